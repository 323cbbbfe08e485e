"""What the companion plugin keeps of a store: points and gift cards as transactions, and which customers changed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", int, str)  # Whose: a customer's id, or a gift card's number.


class ReferenceTaken(Exception):
    """The reference belongs to a transaction of another account or card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move(Generic[Key]):
    """One transaction, as it took effect."""

    id: int
    key: Key
    amount: int  # Points, or cents; never 0.
    reference: str
    reason: str
    order: int | None  # None: it is of no order.
    created_gmt: str


class Ledger(Generic[Key]):
    """Transactions of one kind. Ids rise in the order in which they take effect; a reference is used once."""

    def __init__(self) -> None:
        self.balances: dict[Key, int] = {}
        self._moves: list[Move[Key]] = []
        self._by_reference: dict[str, Move[Key]] = {}

    @property
    def last(self) -> int:
        """The id of the newest transaction; 0 where there is none."""
        return len(self._moves)

    def balance(self, key: Key) -> int:
        """Give what is there."""
        return self.balances.get(key, 0)

    def used(self, key: Key, reference: str) -> Move[Key] | None:
        """Give the transaction that has this reference; None: it is free. Raises ReferenceTaken if it is another's."""
        found = self._by_reference.get(reference)
        if found and found.key != key:
            raise ReferenceTaken
        return found

    def move(
        self, key: Key, amount: int, reference: str, *, reason: str = "", order: int | None = None
    ) -> Move[Key] | None:
        """Enter a transaction under a free reference; nothing falls below 0. None: there was nothing to move."""
        assert self.used(key, reference) is None
        moved = max(amount, -self.balance(key))
        if not moved:
            return None
        entered = Move(
            id=self.last + 1,
            key=key,
            amount=moved,
            reference=reference,
            reason=reason,
            order=order,
            created_gmt=now_gmt(),
        )
        self._moves.append(entered)
        self._by_reference[reference] = entered
        self.balances[key] = self.balance(key) + moved
        return entered

    def after(self, number: int, limit: int) -> Sequence[Move[Key]]:
        """Give the transactions behind this id, oldest first."""
        return self._moves[number : number + limit]


@dataclass(slots=True, kw_only=True)
class Card:
    """What a gift card says beside its balance."""

    reference: str  # It was made under.
    is_void: bool = False
    expires: str | None = None  # UTC, without a zone. None: never.

    def has_expired(self) -> bool:
        """Say whether its time is over."""
        return self.expires is not None and self.expires <= now_gmt()


@dataclass(slots=True)
class Kept:
    """The plugin's tables, read and changed under the store's lock."""

    points: Ledger[int] = field(default_factory=Ledger)
    card_moves: Ledger[str] = field(default_factory=Ledger)
    cards: dict[str, Card] = field(default_factory=dict)
    customers: dict[int, dict[str, Any]] = field(default_factory=dict)  # Of each the newest change only, oldest first.
    customers_last: int = 0
    welcomed: set[int] = field(default_factory=set)
    hook: dict[str, Any] | None = None  # Where changes are told; None: nowhere.

    def note_customer(self, user: int, *, is_deleted: bool) -> None:
        """Remember that a customer changed, instead of what was remembered of him."""
        self.customers_last += 1
        self.customers.pop(user, None)
        said = {"id": self.customers_last, "user": user, "deleted": is_deleted, "changed_gmt": now_gmt()}
        self.customers[user] = said


def now_gmt() -> str:
    """Give the time in UTC, whole seconds, without a zone (W-12)."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
