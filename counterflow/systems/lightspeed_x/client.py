"""The client of the X-Series API (docs/facts/lightspeed-contract.md B): address, token, paging, errors.

It signs in with a personal token, which the Plus plan has. OAuth is left out: its refresh token rotates with each
use, so that two processes would sign each other out.

Nothing here was tried on a live account: all that is known is the vendor's OpenAPI document 2026-07 and its pages.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import requests
from pydantic import SecretStr

from counterflow import log as logs
from counterflow.clock import Clock
from counterflow.errors import Broken, Rejected, Transient
from counterflow.systems.http import Session

PAGE = 200  # No most is documented for customers; a list ends with an empty page, however long a page is.
SUPPORTED_MONTHS = 12  # At least. Then the oldest supported version answers, and nobody says so.
VERSION = re.compile(r"(\d{4})-(\d{2})")
WORDS = re.compile(r"[A-Za-z][A-Za-z ,.'_-]{0,99}")
NEVER = {400, 413, 414, 415, 422}  # The same request again is refused again.
log = logs.get("lightspeed_x")


@dataclass(frozen=True, slots=True, kw_only=True)
class XStore:
    """Where one X-Series account is, and how it is asked."""

    url: str  # https://{domain prefix}.retail.lightspeed.app
    token: SecretStr
    version: str = "2026-07"  # Of the API. The adjustments are marked beta in it.
    ca_file: Path | None = None
    timeout_s: float = 30.0
    requests_per_s: float = 1.0  # One register has 350 requests in five minutes, and each other one 300 more.


class Conflict(Rejected):
    """HTTP 409: what was named was used before, for something else."""


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of a customer: nothing personal."""

    id: str
    version: int  # Of the whole account: it grows with every change of any customer.
    loyalty_balance: Decimal = Decimal(0)  # Not whole: the vendor's example has 5809.64.
    enable_loyalty: bool = True
    deleted_at: str | None = None  # None: he is there.


class Versions(msgspec.Struct, frozen=True):
    """The bounds of a page."""

    max: int | None  # None: the page is empty.


class Customers(msgspec.Struct, frozen=True):
    """One page of customers, in the order in which they were changed last."""

    data: tuple[Customer, ...] | None  # None is taken for empty.
    version: Versions


class One(msgspec.Struct, frozen=True):
    """One customer."""

    data: Customer


class LoyaltySettings(msgspec.Struct, frozen=True):
    """What the account's owner has set about points."""

    enabled: bool = False


class Retailer(msgspec.Struct, frozen=True):
    """The account."""

    loyalty: LoyaltySettings = LoyaltySettings()


class OneRetailer(msgspec.Struct, frozen=True):
    """The account, as it is answered."""

    data: Retailer


Form = TypeVar("Form", bound=msgspec.Struct)


class XClient:
    """Calls to one account, within one rate budget (per account and application).

    Every method raises Transient for an answer that does not come, says "later", or is not of the documented form;
    Broken for a token that is refused; Rejected for what will be refused again, and of it Conflict for a 409.
    """

    def __init__(self, store_id: str, settings: XStore, clock: Clock) -> None:
        """Set the session up, and log the version. Raises Broken for an address or a version of another form."""
        if not settings.url.startswith("https://"):
            raise Broken(f"stores.{store_id}.url must begin with https://: the token goes with every call")
        if not VERSION.fullmatch(settings.version):
            raise Broken(f"stores.{store_id}.version must be a year and a month, as in 2026-07")
        self.name = store_id
        self._base = f"/api/{settings.version}"
        self._session = Session(
            store_id,
            settings.url,
            clock=clock,
            ca_file=settings.ca_file,
            timeout_s=settings.timeout_s,
            per_second=settings.requests_per_s,
            reason=("error", "message"),
        )
        _bear(self._session, settings.token)
        say = log.info if is_supported(settings.version, clock.now()) else log.warning
        say("api_version", store=store_id, version=settings.version)

    def retailer(self) -> Retailer:
        """Ask for the account: the scopes retailer:read and payment_types:read."""
        return self._get("retailer", OneRetailer).data

    def customers(self, after: int) -> tuple[tuple[Customer, ...], int]:
        """Give one page of the customers that changed behind this version, deleted ones too, and the version to go on.

        No customers: that was the last page. Whether versions become visible in their order is not verified: whoever
        reads by them looks at all customers again, once a night.
        """
        page = self._get("customers", Customers, after=after, page_size=PAGE, deleted="true")
        rows = page.data or ()
        versions = [after, *(one.version for one in rows)]
        if versions != sorted(set(versions)) or (rows and page.version.max != versions[-1]):
            raise Transient(f"{self.name}: GET customers: versions do not rise from where we asked to where it ends")
        return rows, versions[-1]

    def customer(self, customer_id: str) -> Customer | None:
        """Give one customer; None where there is none (any more)."""
        what = f"GET customers/{customer_id}"
        answer = self._session.read(f"{self._base}/customers/{customer_id}")
        if answer.status_code == 404 and _is_envelope(answer):
            return None
        found = self._as(self._checked(answer, what), One, what).data
        return None if found.deleted_at else found

    def post(self, path: str, what: str, body: Mapping[str, Any], form: type[Form]) -> Form:
        """Send something, once; `what` is what errors call it."""
        answer = self._session.write("POST", f"{self._base}/{path}", body)
        return self._as(self._checked(answer, what), form, what)

    def _get(self, path: str, form: type[Form], **query: Any) -> Form:
        what = f"GET {path}"
        return self._as(self._checked(self._session.read(f"{self._base}/{path}", **query), what), form, what)

    def _checked(self, answer: requests.Response, what: str) -> requests.Response:
        """Give an answer of success, or say what its error means; by status, never by text."""
        status = answer.status_code
        if status < 300:
            return answer
        if status in {401, 403}:
            raise Broken(f"{self.name} refuses our token for {what} (HTTP {status}): check the token and its scopes")
        text = f"{self.name}: {what}: HTTP {status} {_title(answer)}".rstrip()
        if status == 409:
            raise Conflict(text)
        if status in NEVER:
            raise Rejected(text)
        hint = "a redirect; write the account's final address" if status < 400 else "is the address the account's?"
        raise Transient(f"{text}; {hint}")

    def _as(self, answer: requests.Response, form: type[Form], what: str) -> Form:
        try:
            return msgspec.json.decode(answer.content, type=form)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            text = f"{self.name}: {what}: the answer is not the API's; is the address the account's?"
            raise Transient(text, unknown=not what.startswith("GET")) from error


def is_supported(version: str, now: datetime) -> bool:
    """Say whether the vendor still promises this version: an expired one is answered by another, and nothing shows."""
    found = VERSION.fullmatch(version)
    assert found is not None
    year, month = int(found[1]), int(found[2])
    return (now.year - year) * 12 + now.month - month <= SUPPORTED_MONTHS


def words(text: str) -> str:
    """Give an error's text where it is plain words; "" where a number, an address or a token may be in it."""
    return text if WORDS.fullmatch(text) else ""


def _bear(session: Session, token: SecretStr) -> None:
    """Send the token with every call. Session itself knows names with passwords only (sign_in)."""
    headers = {"Authorization": f"Bearer {token.get_secret_value()}", "User-Agent": "counterflow"}
    session._session.headers.update(headers)


class _Error(msgspec.Struct, frozen=True):
    """An error as the API says it; not verified."""

    error: str = ""
    message: str = ""  # Never in an error's text: it may name somebody.


def _title(answer: requests.Response) -> str:
    try:
        return words(msgspec.json.decode(answer.content, type=_Error).error)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def _is_envelope(answer: requests.Response) -> bool:
    """Say whether an error is the API's own, not that of something else at this address."""
    try:
        found = msgspec.json.decode(answer.content, type=_Error)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return bool(found.error or found.message)
