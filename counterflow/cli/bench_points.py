"""The two sides of `bench ledger`: a till and a web store, as small as the rules of points need them."""

from collections import Counter
from dataclasses import dataclass, field

from processors.rules.book import tag_of
from schemas.loyalty import HistoryRow, PointsSnapshot, WebTransaction

STORE = "north"


@dataclass(slots=True)
class Till:
    """Counterpoint: balances, history, adjustments that wait to be posted."""

    balances: dict[str, int]
    history: list[HistoryRow] = field(default_factory=list)
    unposted: dict[str, tuple[str, int]] = field(default_factory=dict)
    version: int = 0  # Of the last reading.
    read_to: int = 0
    written: Counter[str] = field(default_factory=Counter)  # Adjustments by tag.
    posted: Counter[str] = field(default_factory=Counter)
    deleted: Counter[str] = field(default_factory=Counter)
    altered: int = 0  # What staff changed, all adjustments together.
    direct: int = 0  # What staff wrote over balances.

    def row(self, cust_no: str, points: int, reference: str = "") -> None:
        """Post a movement: the balance and the history move together."""
        self.balances[cust_no] += points
        number = f"hist:{len(self.history)}"
        self.history.append(
            HistoryRow(row_id=number, cust_no=cust_no, version=self.version + 1, points=points, reference=reference)
        )

    def adjust(self, tag: str, cust_no: str, points: int) -> int:
        """Write an adjustment unless its tag is there; gives the version as of which it is there."""
        if tag not in self.unposted and all(one.reference != tag for one in self.history):
            self.unposted[tag] = (cust_no, points)
            self.written[tag] += 1
        return self.version

    def snapshot(self) -> list[PointsSnapshot]:
        """Read all customers and what is new of the history, in one moment."""
        self.version += 1
        rows: dict[str, list[HistoryRow]] = {}
        for row in self.history[self.read_to :]:
            rows.setdefault(row.cust_no, []).append(row)
        self.read_to = len(self.history)
        gone = [name for name in rows if name not in self.balances]
        return [
            PointsSnapshot(
                version=self.version,
                cust_no=name,
                balance=self.balances.get(name),
                unposted=tuple(sorted(self.unposted)),
                rows=tuple(rows.get(name, ())),
            )
            for name in [*sorted(gone), *sorted(self.balances)]
        ]


@dataclass(slots=True)
class Web:
    """A store's accounts."""

    owners: dict[str, str]  # Account -> customer at first.
    transactions: dict[str, list[WebTransaction]] = field(default_factory=dict)
    read_to: Counter[str] = field(default_factory=Counter)
    facts: dict[str, int] = field(default_factory=dict)  # What shoppers did: tag -> points.

    def balance(self, account: str) -> int:
        """Give what an account has."""
        return sum(one.points for one in self.transactions.get(account, ()))

    def enter(self, account: str, points: int, reference: str = "") -> None:
        """Enter a transaction: a shopper's own where there is no reference."""
        known = self.transactions.setdefault(account, [])
        number = f"{account}-{len(known)}"
        known.append(
            WebTransaction(store=STORE, account_id=account, transaction_id=number, points=points, reference=reference)
        )
        if not reference:
            self.facts[tag_of(f"w:{STORE}:{number}")] = points

    def move(self, account: str, tag: str, points: int) -> int:
        """Move points unless the tag is there; no account falls below 0. Gives what was moved."""
        done = [one.points for one in self.transactions.get(account, ()) if one.reference == tag]
        if done:
            return done[0]
        moved = max(points, -self.balance(account))
        if moved:
            self.enter(account, moved, tag)
        return moved
