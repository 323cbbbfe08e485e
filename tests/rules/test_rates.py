"""Points that are not worth the same at the till and on the web: what is less than one is carried (loyalty-R13)."""

import random
from dataclasses import dataclass, field
from fractions import Fraction

import pytest

from counterflow.cli import differences, statement
from processors.rules import ledger, planning
from processors.rules.book import Book, PointsSnapshot, to_till
from schemas.loyalty import HistoryRow, WebTransaction

HOME = "north/7"
RATES = [Fraction(rate) for rate in ("1", "2", "3", "10", "100", "3/2", "2/3", "1/2", "1/10", "7/5", "5/7")]
DAYS = 300


@dataclass(slots=True)
class World:
    """One customer on both sides, with a rate between them."""

    dice: random.Random
    rate: Fraction
    till: int = 40
    opened: int = 40
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

    def check(self, what: str) -> None:
        """Both sides show the same, but for what is carried and what an account could not pay."""
        left = sum(one.left for one in self.book.pos.values())
        assert left <= 0, f"{what}: {left} is not delivered"
        assert self.book.balance(HOME) == self.till - left, what
        counted = sum(one.points for one in self.book.web.values())
        assert counted == to_till(self.earned, self.rate.as_integer_ratio()), f"{what}: {self.earned} earned"
        assert differences.faults(self.book, statement.lines_of(self.book)) == [], what
        off = self.raw - (self.till - left) * self.rate
        assert abs(off) < max(Fraction(1), self.rate), f"{what}: {self.raw} and {self.till}, {left} left"

    def link(self) -> None:
        book = Book(cust_no="C-1")
        self.book = ledger.link_account(book, HOME, since="", rate=self.rate.as_integer_ratio())

    def replay(self) -> None:
        """Build the book anew, the two sides read in any order."""
        self.link()
        rows, opened = self.rows, self.opened
        self.told = self.read = 0
        first = PointsSnapshot(version=1, cust_no="C-1", balance=opened)
        self.book = planning.plan(ledger.take_snapshot(self.book, first))
        while self.told < len(rows) or self.read < len(self.feed):
            if self.dice.random() < 0.5 and self.told < len(rows):
                row, balance = rows[self.told], opened + sum(one.points for one in rows[: self.told + 1])
                seen = PointsSnapshot(version=self.told + 2, cust_no="C-1", balance=balance, rows=(row,))
                self.book, self.told = planning.plan(ledger.take_snapshot(self.book, seen)), self.told + 1
            elif self.read < len(self.feed):
                one, self.read = self.feed[self.read], self.read + 1
                self.book = planning.plan(ledger.take_transaction(self.book, one))
        self.version = len(rows) + 2

    def settle(self) -> None:
        for _ in range(30):
            self.read_web()
            self.read_till()
            for _ in range(5):
                self.work()


@pytest.mark.parametrize("rate", RATES)
def test_both_sides_end_equal_and_less_than_a_point_is_carried(rate: Fraction) -> None:
    for seed in range(DAYS):
        world = World(random.Random(seed), rate)
        world.link()
        world.read_till()
        for _ in range(50):
            world.dice.choice([world.shop, world.ticket, world.read_till, world.read_web, world.work, world.work])()
        world.settle()
        world.check(f"seed {seed}")
        before = (len(world.feed), len(world.rows))
        world.replay()
        world.settle()
        world.check(f"seed {seed}, replayed")
        assert (len(world.feed), len(world.rows)) == before, f"seed {seed}: a replay wrote something"


def test_the_web_counts_and_a_debt_of_before_is_not_forgiven() -> None:  # loyalty-R1
    for rate in ((1, 1), (1, 10)):
        worth = 100 * rate[0] // rate[1]
        book = ledger.link_account(Book(cust_no="C-1"), HOME, since="1", before=worth, rate=rate)
        book = planning.plan(ledger.take_snapshot(book, PointsSnapshot(version=1, cust_no="C-1", balance=50)))
        spent = HistoryRow(row_id="hist:1", cust_no="C-1", version=2, points=-30, reference="")
        book = ledger.take_snapshot(book, PointsSnapshot(version=2, cust_no="C-1", balance=20, rows=(spent,)))
        book = planning.plan(ledger.decide_opening(planning.plan(book), HOME, "keep_web"))
        (adjust,), (move,) = planning.wanted(book)
        assert (adjust.points, move.points) == (50, -30 * rate[0] // rate[1])


def test_a_transfer_between_rates_carries_what_is_less_than_a_point() -> None:
    book = ledger.link_account(Book(cust_no="C-1"), HOME, since="1", rate=(1, 2))  # One point is two at the till.
    book = ledger.link_account(book, "south/9", since="2", rate=(3, 1))
    book = ledger.take_snapshot(book, PointsSnapshot(version=1, cust_no="C-1", balance=0))
    given = []
    for number in range(4):
        earned = WebTransaction(store="south", account_id="9", transaction_id=str(number), points=3, reference="")
        book = planning.plan(ledger.take_transaction(book, earned))
        while moves := planning.wanted(book)[1]:
            given.append((moves[0].account, moves[0].points))
            book = planning.plan(ledger.moved(book, moves[0].tag, moves[0].points))
        assert (book.balance(HOME), book.balance("south/9"), book.transit) == (number + 1, 0, 0)
    assert given == [("south/9", -3), ("south/9", -3), (HOME, 1)] * 2


def test_less_than_a_point_of_an_account_stays_there() -> None:
    book = ledger.link_account(Book(cust_no="C-1"), HOME, since="1", rate=(1, 2))
    book = ledger.take_snapshot(book, PointsSnapshot(version=1, cust_no="C-1", balance=1))
    book = planning.plan(book)
    assert (planning.wanted(book), book.balance(HOME)) == (((), ()), 1)
    book = ledger.link_account(book, "north/2", since="0", rate=(1, 2))  # An older one shows up: it keeps the points.
    book = planning.plan(book)
    assert (planning.wanted(book), book.balance(HOME), book.balance("north/2")) == (((), ()), 1, 0)
