"""One HTTP session to one system: time-outs, a rate budget, retries of what is safe to repeat, errors told apart."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from requests_ratelimiter import LimiterAdapter
from tenacity import Retrying, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_base

from counterflow.clock import Clock
from counterflow.errors import Transient
from counterflow.metrics import HTTP, THROTTLED
from counterflow.retry import CALL

WAIT_S_MAX = 120.0  # Whatever a server asks for, we look again after this.
REASON_MAX = 500  # What a person reads of a reason; some servers answer with a page of code.


class Session:
    """Calls to one system. Reads are tried again; a write is sent once, and may be of unknown effect."""

    def __init__(
        self,
        name: str,
        url: str,
        *,
        clock: Clock,
        ca_file: Path | None,
        timeout_s: float,
        per_second: float | None = None,
        reason: tuple[str, str] | None = None,
    ) -> None:
        """Set it up.

        Args:
            name: What the system is called in errors and metrics.
            url: Its address.
            clock: The time.
            ca_file: Who vouches for its certificate; None: the usual authorities.
            timeout_s: How long an answer may take.
            per_second: How many calls; None: any number.
            reason: Under which names an error's code and its words stand in the body; None: it gives none.
        """
        self._reason = reason
        self.name, self._url, self._clock, self.timeout_s = name, url.rstrip("/"), clock, timeout_s
        self._session = requests.Session()
        self._session.trust_env = False  # A proxy or .netrc of the environment is none of ours.
        if ca_file:
            self._session.verify = str(ca_file)
        adapter: BaseAdapter = HTTPAdapter(pool_maxsize=8)
        if per_second:
            # A burst of one second, no more: after a 429 the adapter lets everybody wait that long.
            adapter = LimiterAdapter(per_second=per_second, burst=max(1.0, 1 / per_second), pool_maxsize=8)
        self._session.mount("https://", adapter)
        self._session.headers.update({"Accept": "application/json"})

    def sign_in(self, user: str, password: str, **headers: str) -> None:
        """Send these with every call."""
        self._session.auth = (user, password)
        self._session.headers.update(headers)

    def read(self, path: str, **query: Any) -> requests.Response:
        """GET, tried a few times. Gives any answer but a 429 or a 5xx.

        Raises:
            Transient: No answer, or one that says "later".
        """
        retrying = Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, Transient)),
            stop=stop_after_attempt(CALL.attempts_max),
            wait=_Doubling(),
            sleep=self._clock.sleep,
            reraise=True,
        )
        return retrying(self._send, "GET", path, params=query)

    def write(self, verb: str, path: str, body: Any) -> requests.Response:
        """POST, PUT or PATCH, once.

        Raises:
            Transient: No answer (then it may have taken effect: `unknown`), or one that says "later".
        """
        return self._send(verb, path, json=body)

    def _send(self, verb: str, path: str, **options: Any) -> requests.Response:
        begun = self._clock.monotonic()
        try:
            answer = self._session.request(
                verb, self._url + path, timeout=(5.0, self.timeout_s), allow_redirects=False, **options
            )
        except requests.ConnectTimeout as error:
            raise Transient(f"{self.name}: no connection for {verb} {path}") from error
        except requests.RequestException as error:
            if "CERTIFICATE_VERIFY_FAILED" in repr(error):
                # Only this one is before the request: a line cut later on is an SSLError as well, of unknown effect.
                text = f"{self.name}: its certificate is not trusted; name its authority in ca_file"
                raise Transient(text) from error
            text = f"{self.name}: no answer to {verb} {path} ({type(error).__name__})"
            raise Transient(text, unknown=verb != "GET" and not _never_connected(error)) from error
        took = self._clock.monotonic() - begun
        HTTP.labels(self.name, verb, f"{answer.status_code // 100}xx").observe(took)
        if answer.status_code == 429 or answer.status_code >= 500:
            self._later(answer, verb, path)
        return answer

    def _later(self, answer: requests.Response, verb: str, path: str) -> None:
        if answer.status_code == 429:
            THROTTLED.labels(self.name).inc()
        wait = retry_after_s(answer.headers.get("Retry-After"), self._clock.now())
        # A 429 was refused before anything was done; after a 5xx nobody knows.
        unknown = answer.status_code != 429 and verb != "GET"
        text = f"{self.name}: HTTP {answer.status_code} to {verb} {path}"
        # Too many calls is no word about the record. A reason is: the same answer may come for ever.
        reason = _reason_of(answer, self._reason) if self._reason and answer.status_code != 429 else ""
        raise Transient(text, retry_after_s=wait, unknown=unknown, reason=reason)


class _Doubling(wait_base):
    """Wait as our one policy says, or as the server asked."""

    def __call__(self, retry_state: Any) -> float:
        error = retry_state.outcome.exception()
        asked = error.retry_after_s if isinstance(error, Transient) else None
        return asked if asked is not None else CALL.delay_s(retry_state.attempt_number) or 0.0


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """Read Retry-After, seconds or a date; None where there is none or it cannot be read."""
    if not header:
        return None
    if header.strip().isdecimal():
        return min(WAIT_S_MAX, float(header))
    try:
        at = parsedate_to_datetime(header)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(WAIT_S_MAX, max(0.0, (at - now).total_seconds()))


def _reason_of(answer: requests.Response, names: tuple[str, str]) -> str:
    """Give an error's code and words in one line; "" where the body has not both, as a proxy's has not."""
    try:
        body = answer.json()
    except requests.JSONDecodeError:
        return ""
    found = [body.get(name) for name in names] if isinstance(body, dict) else []
    if not found or not all(isinstance(one, str | int) and str(one).strip() for one in found):
        return ""
    return " ".join(f"{found[0]}: {found[1]}".split())[:REASON_MAX]


def _never_connected(error: requests.RequestException) -> bool:
    """Say whether the request cannot have left: there was no connection."""
    if isinstance(error, requests.ConnectTimeout):
        return True
    said = repr(error)
    return any(sign in said for sign in ("NewConnectionError", "NameResolutionError", "Connection refused"))
