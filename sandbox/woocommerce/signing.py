"""Signing in: Basic or query over https, OAuth 1.0a over http (W-1 to W-6)."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from urllib.parse import parse_qsl, quote

from starlette.requests import Request

from sandbox.woocommerce.store import Refused, Store

DIGESTS = {"HMAC-SHA1": hashlib.sha1, "HMAC-SHA256": hashlib.sha256}


def check(store: Store, request: Request) -> None:
    """Let a request pass whose key and secret are right.

    Raises:
        Refused: 401; without credentials and with an unknown key in the same words (W-5).
    """
    if request.url.scheme != "https":
        return _check_signature(store, request)
    key, secret = _basic(request)
    key = key or request.query_params.get("consumer_key", "")
    secret = secret or request.query_params.get("consumer_secret", "")
    if key != store.key:
        raise _nobody()
    if secret != store.secret:
        raise _wrong("Consumer secret is invalid.")
    return None


def _nobody() -> Refused:
    return Refused(401, "woocommerce_rest_cannot_view", "Sorry, you cannot list resources.")  # W-5


def _wrong(text: str) -> Refused:
    return Refused(401, "woocommerce_rest_authentication_error", text)  # W-6


def _basic(request: Request) -> tuple[str, str]:
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    try:
        key, _, secret = base64.b64decode(given).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return (key, secret) if kind.lower() == "basic" else ("", "")


def _check_signature(store: Store, request: Request) -> None:
    """Check a signature over http; key and secret themselves are refused there (W-2, W-3, W-4)."""
    pairs = parse_qsl(request.url.query, keep_blank_values=True)
    given = dict(pairs) | _oauth_header(request)
    signature = given.pop("oauth_signature", "")
    digest = DIGESTS.get(given.get("oauth_signature_method", ""))
    if not signature or digest is None or given.get("oauth_consumer_key") != store.key:
        raise _nobody()
    text = _base_string(request, list(given.items()))
    made = hmac.new(f"{store.secret}&".encode(), text.encode(), digest).digest()
    if not hmac.compare_digest(base64.b64encode(made).decode(), signature):
        raise _wrong("Invalid signature - provided signature does not match.")


def _oauth_header(request: Request) -> dict[str, str]:
    kind, _, rest = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "oauth":
        return {}
    parts = (one.strip().partition("=") for one in rest.split(","))
    named = {name: text.strip('"') for name, _, text in parts}
    return dict(parse_qsl("&".join(f"{name}={text}" for name, text in named.items() if name != "realm")))


def _base_string(request: Request, pairs: Sequence[tuple[str, str]]) -> str:
    encoded = sorted((quote(name, safe="~"), quote(text, safe="~")) for name, text in pairs)
    query = "&".join(f"{name}={text}" for name, text in encoded)
    address = str(request.url.replace(query="", fragment=""))
    return "&".join(quote(one, safe="~") for one in (request.method, address.rstrip("?"), query))
