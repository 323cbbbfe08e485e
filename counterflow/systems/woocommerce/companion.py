"""The client of our companion plugin's routes (docs/reference/companion.md): points, gift cards, changed customers.

Every adjustment carries a reference, which the store uses once: after a doubtful answer the same call is made again.
A gift card's number is money. It is in no path, and in no error text.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

import msgspec

from counterflow.errors import Rejected, Transient
from counterflow.systems.woocommerce.client import WooClient

BASE = "/wp-json/counterflow/v1"
CHANGES_MAX = 500  # On one page: the most that the plugin gives.
REASON_MAX = 200
NO_USER, NO_CARD = "counterflow_no_user", "counterflow_no_card"

Time = Annotated[datetime, msgspec.Meta(tz=False)]  # UTC, without a zone.
Id = Annotated[int, msgspec.Meta(ge=1)]
Amount = Annotated[int, msgspec.Meta(ge=0)]


class Gone(Rejected):
    """The store has no such user, or no such gift card (any more)."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What the plugin says of itself. A newer one may say more, here and everywhere."""

    version: str
    features: frozenset[str]  # "points", "gift_cards", "customers".
    woocommerce: bool  # WooCommerce is active.
    currency: str | None  # None: there is no WooCommerce.


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody's points."""

    user: Id
    balance: Amount
    last: Amount  # The newest transaction of anybody, in the same moment; 0 where there is none.


class Adjusted(msgspec.Struct, frozen=True, kw_only=True):
    """What an adjustment of points did; of a repeat, what it did the first time, and the balance of now."""

    user: Id
    points: int  # What was moved: below 0 no more than there was.
    balance: Amount
    id: Id | None  # The transaction; None: nothing was moved, and the reference is free.
    already: bool  # It had been done before.


class PointsChange(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction of points."""

    id: Id
    user: Id
    points: int
    reference: str
    reason: str
    created_gmt: Time

    @property
    def created_at(self) -> datetime:
        """When it took effect, by the store's clock, UTC."""
        return self.created_gmt.replace(tzinfo=UTC)


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A gift card that was made, now or before."""

    number: str
    balance: Amount  # Of now.
    id: Id | None  # The transaction that made it; None: it was made with nothing on it.
    already: bool


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """A gift card as it stands."""

    number: str
    balance: Amount  # Cents.
    is_void: bool
    expires: Time | None  # None: never.
    last: Amount  # The newest transaction of any card, in the same moment; 0 where there is none.

    @property
    def expires_at(self) -> datetime | None:
        """Until when it is good, UTC; None: for ever."""
        return self.expires and self.expires.replace(tzinfo=UTC)


class CardAdjusted(msgspec.Struct, frozen=True, kw_only=True):
    """What an adjustment of a gift card did; of a repeat, what it did the first time, and the balance of now."""

    number: str
    cents: int  # What was moved: below 0 no more than there was.
    balance: Amount
    id: Id | None  # The transaction; None: nothing was moved, and the reference is free.
    already: bool


class CardChange(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction of a gift card."""

    id: Id
    number: str
    cents: int
    reference: str
    reason: str
    order: int | None  # None: it is of no order.
    created_gmt: Time

    @property
    def created_at(self) -> datetime:
        """When it took effect, by the store's clock, UTC."""
        return self.created_gmt.replace(tzinfo=UTC)


class CustomerChange(msgspec.Struct, frozen=True, kw_only=True):
    """The newest change of one customer."""

    id: Id
    user: Id
    deleted: bool
    changed_gmt: Time

    @property
    def changed_at(self) -> datetime:
        """When it took effect, by the store's clock, UTC."""
        return self.changed_gmt.replace(tzinfo=UTC)


class Welcomed(msgspec.Struct, frozen=True, kw_only=True):
    """Whether somebody was sent the welcome mail."""

    user: Id
    sent: bool  # By this call.
    already: bool  # By an earlier one.


Answer = TypeVar("Answer", bound=msgspec.Struct)
Change = TypeVar("Change", bound=PointsChange | CardChange | CustomerChange)


class Page(msgspec.Struct, Generic[Change], frozen=True, kw_only=True):
    """Changes, oldest first."""

    changes: tuple[Change, ...]
    last: Amount  # Read on from here.


class Companion:
    """Calls to the plugin in one store, within that store's rate budget.

    Every method raises Transient for an answer that does not come or is not the contract's, Broken for a key that is
    refused, Rejected for what the plugin refuses, and Gone where the user or the card is not there.
    """

    def __init__(self, client: WooClient) -> None:
        self._client = client

    def status(self) -> Status | None:
        """Ask the plugin what it is; None where the store has none."""
        what = "GET companion status"
        found = self._client.get(f"{BASE}/status", what, absent="rest_no_route")
        return None if found is None else self._as(found, Status, what)

    def points(self, user: int) -> Balance:
        """Give somebody's points."""
        return self._get(f"points/{user}", f"GET companion points/{user}", Balance)

    def adjust_points(self, user: int, points: int, reference: str, reason: str = "") -> Adjusted:
        """Add points, or below 0 take them, as far as there are so many. Not 0, and the reason in REASON_MAX signs."""
        assert points
        assert len(reason) <= REASON_MAX
        body = {"user": user, "points": points, "reference": reference, "reason": reason}
        return self._post("points/adjust", body, f"POST companion points/adjust {reference}", Adjusted, absent=NO_USER)

    def points_changes(self, after: int) -> Page[PointsChange]:
        """Give the transactions behind this id, at most CHANGES_MAX; none: that was the last page."""
        return self._page("points/changes", after, Page[PointsChange])

    def create_card(self, number: str, cents: int, reference: str, *, expires_at: datetime | None = None) -> Made:
        """Make a gift card with a number of ours; None: it never expires."""
        body: dict[str, Any] = {"number": number, "cents": cents, "reference": reference}
        body |= {} if expires_at is None else {"expires": _gmt(expires_at)}
        return self._post("gift-cards", body, f"POST companion gift-cards {reference}", Made)

    def card(self, number: str) -> Card | None:
        """Look a gift card up; None where the store has none of this number."""
        what = "POST companion gift-cards/lookup"
        try:
            found = self._client.post(f"{BASE}/gift-cards/lookup", what, {"number": number}, absent=NO_CARD)
            return None if found is None else self._as(found, Card, what)
        except Transient as error:
            # It is a POST for the number's sake, and changes nothing: its effect is never unknown.
            raise Transient(str(error), retry_after_s=error.retry_after_s, reason=error.reason) from error

    def adjust_card(
        self, number: str, cents: int, reference: str, reason: str = "", *, order: int | None = None
    ) -> CardAdjusted:
        """Add cents, or below 0 take them, as far as there are so many. None: it is for no order of the store.

        Not 0, and the reason in REASON_MAX signs. From a card that is void or expired nothing is taken: Rejected.
        """
        assert cents
        assert len(reason) <= REASON_MAX
        body = {"number": number, "cents": cents, "reference": reference, "reason": reason}
        body |= {} if order is None else {"order": order}
        what = f"POST companion gift-cards/adjust {reference}"
        return self._post("gift-cards/adjust", body, what, CardAdjusted, absent=NO_CARD)

    def change_card(
        self,
        number: str,
        *,
        is_void: bool | msgspec.UnsetType = msgspec.UNSET,
        expires_at: datetime | msgspec.UnsetType | None = msgspec.UNSET,
    ) -> Card:
        """Change what is given; None: it never expires."""
        body: dict[str, Any] = {"number": number}
        if is_void is not msgspec.UNSET:
            body["is_void"] = is_void
        if expires_at is not msgspec.UNSET:
            body["expires"] = _gmt(expires_at)
        return self._post("gift-cards/change", body, "POST companion gift-cards/change", Card, absent=NO_CARD)

    def card_changes(self, after: int) -> Page[CardChange]:
        """Give the transactions behind this id, at most CHANGES_MAX; none: that was the last page."""
        return self._page("gift-cards/changes", after, Page[CardChange])

    def customer_changes(self, after: int, *, limit: int = CHANGES_MAX) -> Page[CustomerChange]:
        """Give the changes behind this id, at most `limit`; none: that was the last page."""
        return self._page("customers/changes", after, Page[CustomerChange], limit=limit)

    def send_welcome(self, user: int) -> Welcomed:
        """Have the welcome mail sent, once."""
        path = f"customers/{user}/send-welcome"
        return self._post(path, {}, f"POST companion {path}", Welcomed, absent=NO_USER)

    def _get(self, path: str, what: str, form: type[Answer], **query: Any) -> Answer:
        found = self._client.get(f"{BASE}/{path}", what, absent=NO_USER, **query)
        return self._there(found, form, what)

    def _post(self, path: str, body: Mapping[str, Any], what: str, form: type[Answer], *, absent: str = "") -> Answer:
        found = self._client.post(f"{BASE}/{path}", what, body, absent=absent)
        return self._there(found, form, what)

    def _there(self, found: Mapping[str, Any] | None, form: type[Answer], what: str) -> Answer:
        if found is None:
            raise Gone(f"{self._client.name}: {what}: what it is about is not in the store (any more)")
        return self._as(found, form, what)

    def _page(self, path: str, after: int, form: type[Page[Change]], *, limit: int = CHANGES_MAX) -> Page[Change]:
        what = f"GET companion {path}"
        found = self._get(path, what, form, after=after, limit=limit)
        ids = [after, *(one.id for one in found.changes)]
        if ids != sorted(set(ids)) or found.last != ids[-1]:  # A cache, or somebody else's plugin.
            raise Transient(f"{self._client.name}: {what}: its ids do not rise from where we asked to where it ends")
        return found

    def _as(self, found: Mapping[str, Any], form: type[Answer], what: str) -> Answer:
        try:
            return msgspec.convert(found, form)
        except msgspec.ValidationError as error:
            text = f"{self._client.name}: {what}: the answer is not the plugin's; is it of our version?"
            raise Transient(text, unknown=not what.startswith("GET")) from error


def _gmt(at: datetime | None) -> str | None:
    """Give a time as the plugin takes it: UTC, without a zone."""
    if at is None:
        return None
    assert at.tzinfo is not None
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
