"""Points that are worth more at the till than on the web: what is less than one there is carried (loyalty-R13)."""

import random
from dataclasses import dataclass, field

import pytest

from processors.rules import ledger, planning
from processors.rules.book import Book, PointsSnapshot, to_till
from schemas.loyalty import HistoryRow, WebTransaction

HOME = "north/7"
RATES = [1, 2, 3, 10, 100]
DAYS = 300


@dataclass(slots=True)
class World:
    """One customer on both sides, with a rate between them."""

    dice: random.Random
    rate: int
    till: int = 40
    raw: int = 0
    earned: int = 0  # By the shopper, in the store's points.
    rows: list[HistoryRow] = field(default_factory=list)
    told: int = 0
    feed: list[WebTransaction] = field(default_factory=list)
    read: int = 0
    version: int = 0
    tags: dict[str, int] = field(default_factory=dict)  # Moves of ours.
    book: Book = field(default_factory=lambda: Book(cust_no="C-1"))

    def enter(self, points: int, reference: str = "") -> None:
        self.raw += points
        number = str(len(self.feed))
        self.feed.append(
            WebTransaction(store="north", account_id="7", transaction_id=number, points=points, reference=reference)
        )

    def shop(self) -> None:
        points = self.dice.choice([1, 3, 25, 4, -2, -13])
        if self.raw + points >= 0:
            self.earned += points
            self.enter(points)

    def ticket(self) -> None:
        points = self.dice.choice([1, 5, -3])
        if self.till + points >= 0:
            self.row(points)

    def row(self, points: int, reference: str = "") -> None:
        self.till += points
        number = f"hist:{len(self.rows)}"
        self.rows.append(
            HistoryRow(row_id=number, cust_no="C-1", version=self.version + 1, points=points, reference=reference)
        )

    def read_till(self) -> None:
        self.version += 1
        rows = tuple(self.rows[self.told :])
        self.told = len(self.rows)
        seen = PointsSnapshot(version=self.version, cust_no="C-1", balance=self.till, rows=rows)
        self.book = planning.plan(ledger.take_snapshot(self.book, seen))

    def read_web(self) -> None:
        for one in self.feed[self.read :]:
            self.book = planning.plan(ledger.take_transaction(self.book, one))
        self.read = len(self.feed)
        self.book = planning.plan(ledger.account_read(self.book, HOME))

    def work(self) -> None:
        adjusts, moves = planning.wanted(self.book)
        for one in adjusts[:1]:
            self.row(one.points, one.tag)  # Staff post it at once.
            self.book = planning.plan(ledger.written(self.book, one.tag, self.version))
        for move in moves[:1]:
            if move.tag not in self.tags:
                self.tags[move.tag] = max(move.points, -self.raw)
                if self.tags[move.tag]:
                    self.enter(self.tags[move.tag], move.tag)
            moved = self.tags[move.tag] or self.tags.pop(move.tag)
            if self.dice.random() > 0.2:
                self.book = planning.plan(ledger.moved(self.book, move.tag, moved))

    def settle(self) -> None:
        for _ in range(30):
            self.read_web()
            self.read_till()
            for _ in range(5):
                self.work()


@pytest.mark.parametrize("rate", RATES)
def test_both_sides_end_equal_and_less_than_a_point_is_carried(rate: int) -> None:
    for seed in range(DAYS):
        world = World(random.Random(seed), rate)
        world.book = ledger.link_account(world.book, HOME, since="", rate=rate)
        world.read_till()
        for _ in range(50):
            world.dice.choice([world.shop, world.ticket, world.read_till, world.read_web, world.work, world.work])()
        world.settle()
        left = sum(one.left for one in world.book.pos.values())
        assert left <= 0, f"seed {seed}: {left} is not delivered"
        assert to_till(world.raw, rate) == world.till - left, f"seed {seed}: {world.raw} and {world.till}, {left} left"
        counted = sum(one.points for one in world.book.web.values())
        assert abs(counted - to_till(world.earned, rate)) <= 1, f"seed {seed}: {world.earned} earned, {counted} counted"
