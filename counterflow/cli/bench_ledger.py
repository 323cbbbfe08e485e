"""bench ledger: random days of till, shoppers, staff, merges, crashes and replays against the book of points.

A small model of both sides, as docs/facts/loyalty-rules.md 4 describes it, keeps the truth; the book is told in any
order, late, twice, and again from the beginning. The invariants I1 to I10 are checked after each step or at the end.
"""

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import track

from counterflow.cli.bench_points import STORE, Till, Web
from processors.rules import ledger
from processors.rules.book import Adjust, Book, export, tag_of
from schemas.loyalty import HistoryRow, PointsSnapshot, WebTransaction

STEPS = 60
Message = WebTransaction | PointsSnapshot | tuple[str, str, int]  # The last: who was merged into whom, as of when.


class Violation(AssertionError):
    """An invariant does not hold."""


def _must(name: str, *, holds: bool) -> None:
    if not holds:
        raise Violation(name)


@dataclass(slots=True)
class Flow:
    """What the flow does: it finds the book of a message, and the rule does the rest."""

    books: dict[str, Book]
    owners: dict[str, str]  # Account -> customer at first.
    route: dict[str, str] = field(default_factory=dict)  # Who was merged into whom.
    mirror: dict[str, int] = field(default_factory=dict)  # The last snapshot of each customer that was seen.

    def owner(self, cust_no: str) -> str:
        """Give whose book a customer's number leads to."""
        while cust_no in self.route:
            cust_no = self.route[cust_no]
        return cust_no

    def take(self, message: Message) -> None:
        """Handle one message."""
        if isinstance(message, tuple):
            self._merge(*message)
            return
        if isinstance(message, WebTransaction):
            cust_no = self.owner(self.owners[message.account_id])
            self.books[cust_no] = ledger.plan(ledger.take_transaction(self.books[cust_no], message))
            return
        cust_no = self.owner(message.cust_no)
        for row in message.rows:  # A tag leads to its book, though its customer was merged and nobody knows yet.
            for name, book in self.books.items():
                if name != cust_no and row.reference in book.web:
                    self.books[name] = ledger.plan(ledger.take_row(book, row))
        if cust_no in self.books:
            mine = [one for one in message.rows if not self._is_of_another(one, cust_no)]
            seen = msgspec.structs.replace(message, rows=tuple(mine))
            self.books[cust_no] = ledger.plan(ledger.take_snapshot(self.books[cust_no], seen))
        self.mirror[message.cust_no] = max(message.version, self.mirror.get(message.cust_no, 0))

    def _is_of_another(self, row: HistoryRow, cust_no: str) -> bool:
        return any(name != cust_no and row.reference in book.web for name, book in self.books.items())

    def _merge(self, gone: str, stays: str, version: int) -> None:
        if gone in self.route:
            return
        stays = self.owner(stays)
        one, other = self.books.pop(gone, None), self.books.get(stays)
        self.route[gone] = stays
        if one is not None and other is not None:
            self.books[stays] = ledger.plan(ledger.merge(one, other, version=version))
        elif one is not None:
            book = msgspec.structs.replace(one, cust_no=stays)
            known_at = self.mirror.get(stays, 0)
            self.books[stays] = ledger.plan(ledger.expect(book, stays, known_at=known_at, version=version))
        elif other is not None:
            known_at = self.mirror.get(gone, 0)
            self.books[stays] = ledger.plan(ledger.expect(other, gone, known_at=known_at, version=version))


@dataclass(slots=True)
class World:
    """Both sides, the topics between them, and the pipeline's books."""

    dice: random.Random
    till: Till
    web: Web
    flow: Flow
    since: dict[str, str]  # When each account was made.
    merges: bool = True
    directs: bool = False
    topics: dict[str, list[Message]] = field(default_factory=dict)  # What is published and not taken yet.
    taken: list[Message] = field(default_factory=list)
    openings: dict[str, int] = field(default_factory=dict)
    confirmed: set[str] = field(default_factory=set)  # Tags deleted after we knew that they were written.

    @property
    def books(self) -> dict[str, Book]:
        """The pipeline's books, by customer."""
        return self.flow.books

    # What people do.

    def ticket(self) -> None:
        """Let a customer earn or redeem at the till."""
        cust_no = self.dice.choice(sorted(self.till.balances))
        points = self.dice.choice([5, 10, 25, -5, -10])
        if self.till.balances[cust_no] + points >= 0:
            self.till.row(cust_no, points)

    def shop(self) -> None:
        """Let a shopper earn or spend on the web."""
        if self.web.owners:
            account = self.dice.choice(sorted(self.web.owners))
            points = self.dice.choice([3, 7, 20, -4, -15])
            if self.web.balance(account) + points >= 0:
                self.web.enter(account, points)

    def post(self) -> None:
        """Let staff post an adjustment, now and then with another amount."""
        if self.till.unposted:
            tag = self.dice.choice(sorted(self.till.unposted))
            cust_no, points = self.till.unposted.pop(tag)
            if self.dice.random() < 0.15:
                change = self.dice.choice([-2, 1, 6])
                points += change
                self.till.altered += change
            self.till.posted[tag] += 1
            self.till.row(cust_no, points, tag)

    def delete(self) -> None:
        """Let staff delete an adjustment that was not posted."""
        if self.till.unposted and self.dice.random() < 0.3:
            tag = self.dice.choice(sorted(self.till.unposted))
            del self.till.unposted[tag]
            self.till.deleted[tag] += 1
            if any(tag in book.web and book.web[tag].state == "written" for book in self.books.values()):
                self.confirmed.add(tag)

    def overwrite(self) -> None:
        """Let somebody write over a balance."""
        if self.directs and self.dice.random() < 0.3:
            cust_no, change = self.dice.choice(sorted(self.till.balances)), self.dice.choice([-3, 9])
            self.till.balances[cust_no] += change
            self.till.direct += change

    def merge(self) -> None:
        """Let staff merge two customers."""
        if self.merges and len(self.till.balances) > 1 and self.dice.random() < 0.25:
            gone, stays = self.dice.sample(sorted(self.till.balances), 2)
            self.till.balances[stays] += self.till.balances.pop(gone)
            for tag, (cust_no, points) in self.till.unposted.items():
                if cust_no == gone:
                    self.till.unposted[tag] = (stays, points)
            self.topics.setdefault("merges", []).append((gone, stays, self.till.version + 1))

    # What the pipeline does.

    def read_till(self) -> None:
        """Publish what the till shows now."""
        self.topics.setdefault("points", []).extend(self.till.snapshot())

    def read_web(self) -> None:
        """Publish what is new in the accounts."""
        for account in sorted(self.web.owners):
            found = self.web.transactions.get(account, [])
            self.topics.setdefault(account, []).extend(found[self.web.read_to[account] :])
            self.web.read_to[account] = len(found)
            name = f"{STORE}/{account}"
            for cust_no, book in self.books.items():
                if name in book.accounts and not self.topics[account]:
                    self.books[cust_no] = ledger.account_read(book, name)

    def deliver(self) -> None:
        """Handle the next message of some topic."""
        waiting = sorted(name for name, found in self.topics.items() if found)
        if waiting:
            self.take(self.topics[self.dice.choice(waiting)].pop(0))

    def take(self, message: Message) -> None:
        """Handle a message, and remember it for replays."""
        self.taken.append(message)
        self.flow.take(message)

    def work(self) -> None:
        """Let a consumer carry out one command; its answer may be lost."""
        todo = [(book, one) for book in self.books.values() for part in ledger.wanted(book) for one in part]
        if not todo:
            return
        book, one = self.dice.choice(sorted(todo, key=lambda each: each[1].tag))
        is_lost = self.dice.random() < 0.2
        if isinstance(one, Adjust):
            version = self.till.adjust(one.tag, self.owner_now(one.cust_no), one.points)
            after = book if is_lost else ledger.written(book, one.tag, version)
        else:
            points = self.web.move(one.account.partition("/")[2], one.tag, one.points)
            after = book if is_lost else ledger.moved(book, one.tag, points)
        self.books[book.cust_no] = ledger.plan(after)

    def owner_now(self, cust_no: str) -> str:
        """Give who has a customer's points at the till: one who was merged is gone there before we know."""
        for gone, stays, _ in (one for one in self.topics.get("merges", []) if isinstance(one, tuple)):
            cust_no = stays if cust_no == gone else cust_no
        return cust_no

    def again(self) -> None:
        """Handle a part of what was handled before once more: nothing may change (I5)."""
        for message in self.taken[: self.dice.randint(0, len(self.taken))]:
            before = dict(self.books)
            self.flow.take(message)
            _must("I5 a replay changes nothing", holds=self.books == before)

    def let_go(self) -> None:
        """Let go what nothing has explained, once every merge is known."""
        if self.topics.get("merges"):
            return
        for cust_no, book in self.books.items():
            self.books[cust_no] = _all_let_go(book)

    def step(self) -> None:
        """Let one thing happen, and check what must hold at any moment."""
        kinds: list[tuple[Callable[[], None], int]] = [
            *((one, 3) for one in (self.ticket, self.shop, self.post, self.work)),
            *((one, 1) for one in (self.delete, self.overwrite, self.merge, self.again)),
            *((one, 3) for one in (self.read_till, self.read_web)),
            (self.deliver, 12),
        ]
        self.dice.choices([one for one, _ in kinds], [weight for _, weight in kinds])[0]()
        self.check()

    def settle(self) -> None:
        """Let everything come to rest: all read, posted and delivered."""
        for _ in range(40):
            before = (dict(self.books), len(self.till.history))
            self.read_web()
            self.read_till()
            while any(self.topics.values()):
                self.deliver()
            self.read_web()
            self.let_go()
            for _ in range(30):
                self.work()
            while self.till.unposted:
                self.post()
            shown = {name: msgspec.structs.replace(book, versions={}) for name, book in self.books.items()}
            last = {name: msgspec.structs.replace(book, versions={}) for name, book in before[0].items()}
            if shown == last and len(self.till.history) == before[1]:
                return
        raise Violation("it does not come to rest")

    # What must hold.

    def check(self) -> None:
        """Check what must hold at any moment."""
        for account in self.web.owners:
            _must("I7 no account is below 0", holds=self.web.balance(account) >= 0)
        for book in self.books.values():
            _must("I2 the difference is explained", holds=difference(book) == explained(book))
            gone = {tag_of(name.removeprefix("c:deleted:")) for name in book.pos if name.startswith("c:deleted:")}
            _must("R4 only what staff deleted goes back", holds=gone <= set(self.till.deleted))

    def check_end(self) -> None:
        """Check what must hold when all has come to rest."""
        for book in self.books.values():
            balance, left = self.till.balances[book.cust_no], sum(one.left for one in book.pos.values())
            accounts = [name.partition("/")[2] for name in book.accounts]
            has = {name: self.web.balance(name) for name in accounts}
            _must("I1 the book is the balance", holds=book.pos_sum == balance)
            _must("I3 both sides are equal, but for debts", holds=sum(has.values()) == balance - left and left <= 0)
            _must("I3 a debt is unpaid only by an empty account", holds=left == 0 or sum(has.values()) == 0)
            home = (book.home or "").partition("/")[2]
            _must("I8 other accounts end at 0", holds=all(not one for name, one in has.items() if name != home))
            unexplained = [one for one in book.pos.values() if one.cause == "unexplained" and one.points]
            _must("I10 nothing is healed", holds=self.directs or not unexplained)
        self._check_truth()
        if not self.till.deleted:  # What was deleted before a reading showed it would be written anew: R4's exception.
            self._check_replay()

    def _check_replay(self) -> None:
        """Tell everything once more to empty books: the same books, and nothing to do (I9)."""
        again = Flow(opened_for(self.since, self.web.owners), self.web.owners)
        for message in self.taken:
            again.take(message)
        for cust_no, book in again.books.items():
            again.books[cust_no] = _all_let_go(book)
        _must("I9 a replay makes the same books", holds=_exports(again.books) == _exports(self.books))
        _must("I9 a replay does nothing", holds=all(ledger.wanted(book) == ((), ()) for book in again.books.values()))

    def _check_truth(self) -> None:
        """Each thing a shopper did came to the till once, or staff deleted it (I4); and nothing else did (I6)."""
        deleted = {tag for tag in self.till.deleted if self.till.posted[tag] == 0}
        for tag in self.web.facts:
            times, exceptions = self.till.posted[tag], self.till.deleted[tag] - (tag in deleted)
            _must("I4 once, or deleted", holds=times == (0 if tag in deleted else 1))
            _must("I4 what was confirmed stays deleted", holds=tag not in self.confirmed or tag in deleted)
            _must("I6 written once, and after an R4 exception", holds=self.till.written[tag] == 1 + exceptions)
        _must("I6 nothing else was written", holds=set(self.till.written) <= set(self.web.facts))
        moves = sum(len(book.moves) for book in self.books.values())
        echoes = sum(bool(one.reference) for found in self.web.transactions.values() for one in found)
        _must("I6 each move is one transaction", holds=moves == echoes)
        total = sum(self.till.balances.values())
        tickets = sum(one.points for one in self.till.history if not one.reference)
        shopped = sum(points for tag, points in self.web.facts.items() if tag not in deleted)
        true = sum(self.openings.values()) + tickets + shopped + self.till.altered + self.till.direct
        _must("I4 the balance is what people did", holds=total == true)


def _all_let_go(book: Book) -> Book:
    for entry_id in book.pos:
        book = ledger.let_go(book, entry_id)
    return ledger.plan(book)


def _exports(books: dict[str, Book]) -> list[bytes]:
    return [export(books[cust_no]) for cust_no in sorted(books)]


def opened_for(since: dict[str, str], owners: dict[str, str]) -> dict[str, Book]:
    """Give a book with its accounts to everybody who has one."""
    books: dict[str, Book] = {}
    for account, cust_no in owners.items():
        book = books.get(cust_no, Book(cust_no=cust_no))
        books[cust_no] = ledger.link_account(book, f"{STORE}/{account}", since=since[account])
    return books


def difference(book: Book) -> int:
    """Give by how much the web is above the point of sale, as far as both were read."""
    return sum(book.balance(name) for name in book.accounts) + book.transit - book.pos_sum


def explained(book: Book) -> int:
    """Give by how much it must be (I2)."""
    waiting = sum(one.points for one in book.web.values() if one.state != "settled")
    early = sum(one.points for one in book.early.values()) - sum(one.points for one in book.early_rows.values())
    return waiting + early - sum(one.left for one in book.pos.values())


def world(seed: int, *, merges: bool = True, directs: bool = False) -> World:
    """Make a shop of two or three customers, with none to two accounts each."""
    dice = random.Random(seed)
    names = ["A", "B", "C"][: dice.choice([2, 2, 3])]
    till = Till({name: dice.choice([0, 25, 40]) for name in names})
    owners = {f"{name.lower()}{number}": name for name in names for number in range(dice.choice([0, 1, 1, 2]))}
    since = {account: f"2026-01-{dice.randint(10, 28)}" for account in owners}
    flow = Flow(opened_for(since, owners), owners)
    made = World(dice, till, Web(owners), flow, since, merges=merges, directs=directs)
    made.openings = dict(till.balances)
    made.read_till()  # Everybody was read before the day begins: a mirror has him.
    while made.topics["points"]:
        made.deliver()
    return made


def play(seed: int, *, merges: bool = True, directs: bool = False) -> World:
    """Play one random day to its end. Raises Violation where an invariant does not hold."""
    made = world(seed, merges=merges, directs=directs)
    for _ in range(STEPS):
        made.step()
    made.settle()
    made.check_end()
    return made


def run(*, schedules: int, seed: int, json_file: Path | None) -> int:
    """Play random days and print how many violate an invariant. Gives the exit code: 1 where one does."""
    found, entries = Counter[str](), Counter[str]()
    for number in track(range(schedules), "schedules", console=Console(stderr=True), transient=True):
        try:
            made = play(seed + number, merges=number % 2 == 0, directs=number % 5 == 0)
        except Violation as error:
            found[str(error)] += 1
            continue
        entries["adjustments"] += sum(made.till.written.values())
        entries["moves"] += sum(len(book.moves) for book in made.books.values())
        entries["merges"] += len(made.flow.route)
        entries["unexplained"] += sum(
            one.cause == "unexplained" for book in made.books.values() for one in book.pos.values()
        )
    output = Console()
    output.print(
        f"{schedules:,} schedules of {STEPS} steps (seeds from {seed}); violations: {sum(found.values())} (goal 0)"
    )
    for name, count in [*found.most_common(), *entries.items()]:
        output.print(f"  {name:<44} {count:>10,}")
    if json_file:
        report = {"bench": "ledger", "schedules": schedules, "violations": dict(found), "entries": dict(entries)}
        json_file.write_text(json.dumps(report, indent=1) + "\n")
    return int(bool(found))
