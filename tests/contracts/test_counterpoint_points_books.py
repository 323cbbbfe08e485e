"""From Counterpoint's rows to the books, without Kafka: whatever people do, each book is the balance it stands for."""

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import select

from counterflow.cli.bench_points import (
    STORE,
    Flow,
    LetGo,
    Linked,
    Merged,
    Web,
    Written,
    difference,
    explained,
    exports,
)
from counterflow.errors import Transient
from counterflow.state.server import EmbeddedServer
from processors.rules import ledger, planning
from sandbox.counterpoint import loyalty
from sandbox.counterpoint import tables as t
from sandbox.counterpoint.books import Refused
from sandbox.counterpoint.loyalty import Which
from tests.contracts.counterpoint_points_till import Till

FRESH = itertools.count(1)
STEPS = 250
ROUNDS_MAX = 60  # Of settling in the end: far more than it takes.


class World:
    """A till, a store, and the books between them; `happened` says what was done."""

    def __init__(self, till: Till, seed: int) -> None:
        self.till, self.dice, self.happened = till, random.Random(seed), Counter[str]()
        self.people = [till.person(100) for _ in range(5)]
        accounts = {f"a{number}": who for number, who in enumerate(self.people)}
        self.web = Web(dict(accounts))
        self.flow = Flow(accounts, {name: name for name in accounts})
        self.answers: list[Written] = []
        self.merges: list[tuple[str, str]] = []
        for account in accounts:
            self.flow.take(Linked(account))

    # What people do.

    def ticket(self) -> None:
        self.till.ticket(self.someone(), self.dice.choice([3, 8, -2]))

    def staff(self) -> None:
        self.till.staff(self.someone(), self.dice.choice([5, -1]))

    def post_document(self) -> None:
        documents = self.rows(t.document.c.DOC_ID)
        if documents:
            self.till.books.post_document(self.dice.choice(documents))

    def post(self) -> None:
        loyalty.post(self.till.books, self.unposted())

    def alter(self) -> None:
        loyalty.alter(self.till.books, self.unposted(), self.dice.choice([0, 1, 9]))

    def delete(self) -> None:
        loyalty.delete(self.till.books, self.unposted())

    def merge(self) -> None:
        if len(self.people) > 2:
            gone, stays = self.dice.sample(self.people, 2)
            self.people.remove(gone)
            self.till.merge(gone, stays)
            self.merges.append((gone, stays))

    def overwrite(self) -> None:
        loyalty.overwrite(self.till.books, self.someone(), self.dice.randrange(200))

    def shop(self) -> None:
        account = self.dice.choice(list(self.web.owners))
        self.web.enter(account, max(self.dice.choice([4, 7, -3]), -self.web.balance(account)) or 1)

    # What we do.

    def write(self) -> None:
        """Carry out what the books want: their answers may come late."""
        for book in list(self.flow.books.values()):
            adjusts, moves = planning.wanted(book)
            for one in adjusts:
                try:
                    self.answers.append(Written(one.tag, self.till.adjust(one.tag, one.cust_no, one.points)))
                except Transient:  # He was merged, and nobody has heard of it yet.
                    self.happened["waits"] += 1
            for move in moves:
                points = self.web.move(move.account.partition("/")[2], move.tag, move.points)
                self.flow.keep(ledger.moved(self.flow.of(book.cust_no), move.tag, points))

    def answer(self) -> None:
        for one in self.answers:
            self.flow.take(one)
        self.answers = []

    def read_web(self) -> None:
        for account in self.web.owners:
            for one in self.web.transactions.get(account, [])[self.web.read_to[account] :]:
                self.flow.take(one)
                self.web.read_to[account] += 1
            book = self.flow.book(self.flow.owner(self.web.owners[account]))
            self.flow.keep(ledger.account_read(book, f"{STORE}/{account}"))

    def follow_merges(self) -> None:
        """Unite the books of whom a reading has told that he is gone, as the flow does."""
        for gone, stays in self.merges:
            version = self.flow.book(gone).versions.get(gone, 0)
            if gone not in self.flow.route and version > self.flow.book(gone).shown[0]:
                self.flow.take(Merged(gone, stays, version))

    def read(self) -> None:
        """Take a reading; now and then the process dies before it is published, and now and then twice."""
        if self.dice.random() < 0.2:
            self.till.poll()
            self.till.restart()
        found = self.till.read_whole()
        for one in found:
            self.flow.take(one)
        self.happened["readings"] += len(found)
        self.check()

    def again(self) -> None:
        """Ask that everything be read again."""
        self.till.cursor = self.till.source.again(self.till.cursor)

    def lose(self) -> None:
        """Let what is read expire before anybody handles it: then everything is read again."""
        lost = [row for one in self.till.read_whole() for row in one.rows]
        self.happened["rows lost"] += len(lost)
        self.happened["postings lost"] += sum(bool(row.reference) for row in lost)
        self.again()
        for book in list(self.flow.books.values()):  # As the flow does where a reading is missing.
            self.flow.keep(ledger.write_again(book))
        for one in self.till.read_whole():
            self.flow.take(one)
        self.check()

    def pass_time(self) -> None:
        self.till.pass_time()

    # And what must be so.

    def check(self) -> None:
        """Each book is the balance it stands for (I1), and what it still owes is the difference to the web (I2)."""
        assert {who: self.flow.of(who).pos_sum for who in self.people} == self.pos_balances()
        for book in self.flow.books.values():
            assert difference(book) == explained(book), book.cust_no

    def unexplained(self) -> list[str]:
        return [
            entry_id
            for book in self.flow.books.values()
            for entry_id, one in book.pos.items()
            if one.cause == "unexplained"
        ]

    def someone(self) -> str:
        return self.dice.choice(self.people)

    def unposted(self) -> Which:
        waiting = self.rows(t.point_adjustment.c.SEQ_NO)
        return Which(seq_no=self.dice.choice(waiting) if waiting else -1)

    def rows(self, column: Any) -> list[int]:
        with self.till.direct.connect() as connection:
            return list(connection.scalars(select(column).order_by(column)))

    def do(self, name: str) -> None:
        try:
            getattr(self, name)()
            self.happened[name] += 1
        except Refused:  # There is none, he has too few, or he is gone.
            self.happened[f"{name} refused"] += 1

    def live(self, *more: str, steps: int = STEPS) -> None:
        """Let so many things happen."""
        people = ["ticket", "staff", "post_document", "post", "alter", "delete", "shop", "shop"]
        ours = ["write", "answer", "read_web", "read", "read", "read", "pass_time"]
        for _ in range(steps):
            self.do(self.dice.choice([*people, *ours, *more]))
            self.follow_merges() if self.dice.random() < 0.3 else None

    def settle(self) -> None:
        """Let everything that waits be done: staff post what they can, and nobody does anything else."""
        for _ in range(ROUNDS_MAX):
            before = self.stand()
            for name in ("read_web", "write", "answer", "read", "follow_merges"):
                self.do(name)
            loyalty.post_all(self.till.books)
            for seq_no in self.rows(t.point_adjustment.c.SEQ_NO):  # Of whom is gone.
                loyalty.delete(self.till.books, Which(seq_no=seq_no))
            if before == self.stand():
                break
            self.flow.take(LetGo())

    def stand(self) -> tuple[Any, ...]:
        """Give what says that nothing moves any more."""
        return (
            self.till.balances(),
            exports(self.flow.books),
            {name: len(one) for name, one in self.web.transactions.items()},
        )

    def pos_balances(self) -> dict[str, int]:
        found = self.till.balances()
        return {who: found[who] for who in self.people}

    def web_balances(self) -> dict[str, int]:
        """Give what the accounts of each customer have, and what they owe."""
        found = Counter[str]()
        for account, who in self.web.owners.items():
            found[self.flow.owner(who)] += self.web.balance(account)
        for book in self.flow.books.values():
            found[book.cust_no] += sum(min(0, one.left) for one in book.pos.values())
        return {who: found[who] for who in self.people}


Begin = Callable[..., World]


@pytest.fixture
def begin(postgres: EmbeddedServer) -> Iterator[Begin]:
    tills: list[Till] = []

    def begin_one(seed: int, *, before: int = 20, **options: Any) -> World:
        tills.append(Till(postgres.url(f"books{next(FRESH)}"), **options))
        world = World(tills[-1], seed)
        for _ in range(before):  # Much has happened before anybody read.
            world.do(world.dice.choice(["ticket", "staff", "post_document"]))
        world.till.pass_time()
        return world

    yield begin_one
    for one in tills:
        one.close()


@pytest.mark.parametrize("rows_max", [10_000, 2], ids=["all at once", "two rows at a time"])
@pytest.mark.parametrize("seed", range(3))
def test_every_book_is_its_balance_and_nothing_is_unexplained(begin: Begin, seed: int, rows_max: int) -> None:
    world = begin(seed, rows_max=rows_max)
    world.live()
    assert world.unexplained() == []
    world.settle()
    assert (world.web_balances(), world.unexplained()) == (world.pos_balances(), [])
    done = {"post", "alter", "delete", "post_document", "write", "pass_time", "readings"}
    assert not [name for name in done if not world.happened[name]]


@pytest.mark.parametrize("seed", range(2))
def test_balances_that_are_overwritten_and_merges_without_history_end_right(begin: Begin, seed: int) -> None:
    world = begin(seed, merge_moves_history=False)
    world.live("overwrite", "merge")
    world.settle()
    assert world.web_balances() == world.pos_balances()
    assert {"overwrite", "merge"} <= world.happened.keys()


@pytest.mark.parametrize("seed", [1, 2])
def test_merges_with_history_end_right(begin: Begin, seed: int) -> None:
    world = begin(seed)
    world.live("merge")
    world.settle()
    assert world.web_balances() == world.pos_balances()
    assert world.happened["merge"]


@pytest.mark.parametrize("seed", range(2))
def test_tickets_that_move_balances_at_posting_end_right(begin: Begin, seed: int) -> None:
    world = begin(seed, points_move_at_posting=True)
    world.live()
    for doc_id in world.rows(t.document.c.DOC_ID):
        world.till.books.post_document(doc_id)
    world.settle()
    assert world.web_balances() == world.pos_balances()


@pytest.mark.parametrize("seed", range(2))
def test_reading_everything_again_adds_nothing_to_any_book(begin: Begin, seed: int) -> None:
    world = begin(seed)
    world.live("again", "again")
    assert (world.unexplained(), world.happened["again"] > 5) == ([], True)
    world.settle()
    assert (world.web_balances(), world.unexplained()) == (world.pos_balances(), [])


@pytest.mark.parametrize("seed", range(4))
def test_readings_that_were_lost_are_made_up_for_by_reading_again(begin: Begin, seed: int) -> None:
    world = begin(seed)
    world.live("lose", "lose")
    deleted = [one for book in world.flow.books.values() for one in book.pos.values() if one.cause == "deleted"]
    world.settle()
    assert world.web_balances() == world.pos_balances()
    assert min(world.happened["rows lost"], world.happened["postings lost"]) > 0
    assert len(deleted) <= world.happened["delete"]  # What was posted, and not told, was deleted by nobody.
