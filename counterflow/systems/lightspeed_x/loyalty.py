"""An X-Series account's points, by POST /loyalty/adjustments/bulk, which the vendor marks beta.

One adjustment a session: "the same request sent twice will be only applied once", and 409 for "the same session_id
passed with a different set of adjustment items" (the vendor's OpenAPI document 2026-07). So what was asked first must
be asked again, to the letter. Not documented, and left open here in the way that moves no point too many:

- what a repeat answers: the first balance, that of now, or nothing. Only its success is read.
- whether more can be taken than there is. We look first; between the look and the write a shopper may spend.
- whether a session whose item failed is used up. If so, a debit of more than there is ends at a person (Conflict).
- whether an unknown customer is an error of his item (207) or of the request (400). If the latter: the same.
- how long a session is remembered.
- whether somebody with `enable_loyalty` off can be given points.

Digits like a card's are blanked out in the text fields of customers and sales; `reason` is not said to be one, and a
tag is too short to look like a card.
"""

import re
import uuid
from decimal import Decimal
from hashlib import sha256

import msgspec

from counterflow.errors import Rejected, Transient
from counterflow.systems.lightspeed_x.client import Conflict, Customer, XClient, words
from counterflow.systems.ports import LoyaltyAbilities

ADJUST = "loyalty/adjustments/bulk"
ASKED_MAX = 1000  # More than wait for an answer at any moment; whoever falls out is looked for in the account.
ID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
OFF = "loyalty is switched off in this X-Series account (Setup, Loyalty)"
NO_LIST = (
    "points can be moved and balances read, but not kept in step: X-Series lists balances and no transactions, so that"
    " our own move cannot be told from a shopper's. The adjustments are beta, and were never tried on a live account."
    " Loyalty there is money, with cents, and nothing converts it: docs/how-to/lightspeed.md"
)


class Applied(msgspec.Struct, frozen=True):
    """An adjustment that took effect."""

    customer_id: str


class Failed(msgspec.Struct, frozen=True):
    """An adjustment that did not."""

    customer_id: str = ""
    error: str = ""


class Adjusted(msgspec.Struct, frozen=True):
    """The answer: 200, or 207 where some failed. None is taken for empty."""

    applied: tuple[Applied, ...] | None = None
    errors: tuple[Failed, ...] | None = None


def session_id(tag: str) -> str:
    """Give the session of a tag: a hash in the shape of a uuid v4, which the vendor asks for; the same for ever."""
    return str(uuid.UUID(bytes=sha256(f"counterflow loyalty {tag}".encode()).digest()[:16], version=4))


NOBODY = session_id("nobody")  # A customer's id that no account has.


class XLoyalty:
    """See ports.Loyalty."""

    def __init__(self, client: XClient) -> None:
        self._client = client
        self._asked: dict[tuple[str, str], int] = {}  # By account and tag: what was asked, and not answered yet.

    def abilities(self) -> LoyaltyAbilities:
        """Ask whether loyalty is switched on. See ports.Loyalty.

        Whether the token may adjust (loyalty.transaction.write) shows with the first move only: Broken if not.
        """
        is_on = self._client.retailer().loyalty.enabled
        return LoyaltyAbilities(can_move=is_on, lists_changes=False, reason=NO_LIST if is_on else OFF)

    def balance(self, account_id: str) -> Decimal:
        """Give what a customer has; it may have cents, and be below 0. Raises Rejected where there is no such one."""
        if not ID.fullmatch(account_id):
            raise Rejected(f"{account_id!r} is no customer of X-Series: their ids are UUIDs")
        found = self._client.customer(account_id)
        if found is None:
            raise Rejected(f"{self._client.name}: there is no customer {account_id} (any more)")
        return found.loyalty_balance

    def customers(self, after: int) -> tuple[tuple[Customer, ...], int]:
        """Give customers with their balances, behind a version. See XClient.customers."""
        return self._client.customers(after)

    def move(self, account_id: str, points: int, tag: str) -> int:
        """Move points under a tag. See ports.Loyalty.

        What this process asked before and got no answer to is asked again, whatever is wanted by now. A process that
        has forgotten looks whether the session was used, where there is less than it would take; how much was taken
        then cannot be read anywhere, so if it was not all of it a person must look.

        Raises:
            Rejected: As in the port; or the tag was used before and nobody knows for how many points.
        """
        assert points
        has = int(max(Decimal(0), self.balance(account_id)))  # Whole points only.
        asked = self._asked.get((account_id, tag), points)
        if has < -asked and not self._was_used(tag):
            asked = max(points, -has)
        return self._ask(account_id, asked, tag) if asked else 0

    def _ask(self, account_id: str, points: int, tag: str) -> int:
        """Ask for one adjustment, and keep in mind what was asked until it is answered."""
        if len(self._asked) >= ASKED_MAX:
            self._asked.pop(next(iter(self._asked)))
        self._asked[account_id, tag] = points
        try:
            self._adjust(account_id, points, tag)
        except Rejected:
            self._asked.pop((account_id, tag))
            raise
        self._asked.pop((account_id, tag))
        return points

    def _adjust(self, account_id: str, points: int, tag: str) -> None:
        try:
            answer = self._post(account_id, points, tag)
        except Conflict as error:
            text = (
                f"{self._client.name}: {tag} was used before, for another number of points or customer;"
                f" look in the account of customer {account_id} for what was moved with the reason {_reason(tag)!r}"
            )
            raise Conflict(text) from error
        if answer.errors:
            why = words(answer.errors[0].error) or "no reason that can be shown"
            raise Rejected(f"{self._client.name}: {tag}: the adjustment of {account_id} failed: {why}")
        if any(one.customer_id.lower() != account_id.lower() for one in answer.applied or ()):
            text = f"{self._client.name}: {tag}: the answer is about another customer than was asked"
            raise Transient(text, unknown=True)

    def _was_used(self, tag: str) -> bool:
        """Find out whether a tag's session was used, by other items under it, of a customer who does not exist.

        Raises:
            Rejected: The answer does not tell.
        """
        try:
            answer = self._post(NOBODY, -1, tag)
        except Conflict:
            return True
        if answer.errors and not answer.applied:
            return False
        raise Rejected(f"{self._client.name}: {tag}: it cannot be found out whether this tag was used before")

    def _post(self, account_id: str, points: int, tag: str) -> Adjusted:
        way = {"credit": points} if points > 0 else {"debit": -points}
        item = {"customer_id": account_id, **way, "reason": _reason(tag)}
        body = {"session_id": session_id(tag), "adjustments": [item]}
        return self._client.post(ADJUST, f"POST {ADJUST} {tag}", body, Adjusted)


def _reason(tag: str) -> str:
    """Give what staff read beside the movement. It must never change: it is a part of what is asked again."""
    return f"Counterpoint {tag}"
