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

from counterflow.cli.bench_points import (
    STORE,
    Closed,
    Flow,
    LetGo,
    Linked,
    Merged,
    Message,
    Till,
    Web,
    Written,
    difference,
    explained,
    exports,
    sums,
)
from processors.rules import ledger, planning
from processors.rules.book import Adjust, Book, tag_of

STEPS = 60


class Violation(AssertionError):
    """An invariant does not hold."""


def _must(name: str, *, holds: bool) -> None:
    if not holds:
        raise Violation(name)


@dataclass(slots=True)
class World:
    """Both sides, the topics between them, and the pipeline's books."""

    dice: random.Random
    till: Till
    web: Web
    flow: Flow
    merges: bool = True
    directs: bool = False
    topics: dict[str, list[Message]] = field(default_factory=dict)  # What is published and not taken yet.
    taken: list[tuple[str, Message]] = field(default_factory=list)  # What was, with its topic.
    openings: int = 0  # All balances at the beginning.
    before: int = 0  # Rows of the till's past.
    first: int = 0  # Messages of the first reading.
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
            self.topics.setdefault("merges", []).append(Merged(gone, stays, self.till.version + 1))

    def sign_up(self) -> None:
        """Let a customer make an account, or one more; it is older than another now and then."""
        if len(self.web.owners) < 4:
            number = len(self.web.owners) + len(self.web.deleted)
            cust_no, account = self.dice.choice(sorted(self.till.balances)), f"n{number}"
            self.web.owners[account] = cust_no
            self.flow.since[account] = f"2026-01-{self.dice.randint(10, 28)}"
            self.topics.setdefault(account, []).append(Linked(account))

    def delete_account(self) -> None:
        """Let an account be deleted: of what its shopper did, all was read by then."""
        if self.web.owners and self.dice.random() < 0.15:
            account = self.dice.choice(sorted(self.web.owners))
            self.read_web()
            while self.topics.get(account):
                self.take(account, self.topics[account].pop(0))
            self.web.deleted[account] = self.web.owners.pop(account)
            self.take(account, Closed(account))

    # What the pipeline does.

    def read_till(self) -> None:
        """Publish what the till shows now of those who have changed."""
        reading = self.till.reading()
        if reading is not None:
            self.topics.setdefault("points", []).append(reading)

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
            topic = self.dice.choice(waiting)
            self.take(topic, self.topics[topic].pop(0))

    def take(self, topic: str, message: Message) -> None:
        """Handle a message, and remember it for replays."""
        self.taken.append((topic, message))
        self.flow.take(message)

    def work(self) -> None:
        """Let a consumer carry out one command; its answer may be lost."""
        todo = [(book, one) for book in self.books.values() for part in planning.wanted(book) for one in part]
        if not todo:
            return
        book, one = self.dice.choice(sorted(todo, key=lambda each: each[1].tag))
        is_lost = self.dice.random() < 0.2
        if isinstance(one, Adjust):
            if one.cust_no in self.till.balances:  # Else he was merged, and nobody has heard of it yet.
                version = self.till.adjust(one.tag, one.cust_no, one.points)
                if not is_lost:
                    self.take("outcomes", Written(one.tag, version))
            return
        points = self.web.move(one.account.partition("/")[2], one.tag, one.points)
        if not is_lost:
            self.flow.keep(ledger.moved(book, one.tag, points))

    def again(self) -> None:
        """Handle a part of what was handled before once more: nothing may change (I5)."""
        for topic, message in self.taken[: self.dice.randint(0, len(self.taken))]:
            if topic == "requests":  # These are done once, by their ids.
                continue
            before = dict(self.books)
            self.flow.take(message)
            _must("I5 a replay changes nothing", holds=self.books == before)

    def let_go(self) -> None:
        """Let go what nothing has explained, now and then before a merge could."""
        if self.directs:
            self.take("requests", LetGo())

    def step(self) -> None:
        """Let one thing happen, and check what must hold at any moment."""
        kinds: list[tuple[Callable[[], None], int]] = [
            *((one, 3) for one in (self.ticket, self.shop, self.post, self.work)),
            *((one, 1) for one in (self.delete, self.overwrite, self.merge, self.again, self.sign_up, self.let_go)),
            (self.delete_account, 1),
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
                self.check()
            self.read_web()
            self.take("requests", LetGo())
            for _ in range(30):
                self.work()
                self.check()
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
            if not book.accounts:
                _must("I3 what he has not got waits for an account", holds=left + book.transit == balance)
                continue
            _must("I3 both sides are equal, but for debts", holds=sum(has.values()) == balance - left and left <= 0)
            _must("I3 a debt is unpaid only by an empty account", holds=left == 0 or sum(has.values()) == 0)
            home = (book.home or "").partition("/")[2]
            _must("I8 other accounts end at 0", holds=all(not one for name, one in has.items() if name != home))
            _must("I9 nothing is left over", holds=not book.early and not book.early_rows)
        self._check_causes()
        self._check_truth()
        self._check_replay()

    def _check_causes(self) -> None:
        """Nothing is unexplained but what somebody wrote over a balance, and a merge as a whole adds nothing (I10)."""
        sums = Counter[str]()
        for one in (entry for book in self.books.values() for entry in book.pos.values()):
            sums[one.cause] += one.points
        _must("I10 nothing is healed", holds=self.merges or sums["unexplained"] == self.till.direct)
        _must("I10 a merge adds nothing", holds=sums["unexplained"] + sums["merged"] == self.till.direct)

    def _shuffled(self) -> list[Message]:
        """Give what was handled in another order: after the first reading, each topic's own is kept."""
        topics: dict[str, list[Message]] = {}
        for topic, message in self.taken[self.first :]:
            topics.setdefault(topic, []).append(message)
        order = [topic for topic, _ in self.taken[self.first :]]
        self.dice.shuffle(order)
        return [*(message for _, message in self.taken[: self.first]), *(topics[topic].pop(0) for topic in order)]

    def _check_replay(self) -> None:
        """Tell everything once more to empty books (I9): the same books, and nothing to do.

        In another order of the topics the sums are the same; what is held, and let go of, may differ. What was deleted
        before any reading showed it, and was never confirmed, is written anew: R4's exception.
        """
        if any(self.till.deleted.values()):
            return
        again = self._told([message for _, message in self.taken])
        _must("I9 a replay makes the same books", holds=exports(again) == exports(self.books))
        _must("I9 a replay does nothing", holds=all(planning.wanted(book) == ((), ()) for book in again.values()))
        if not self.directs:
            other = self._told([*self._shuffled(), LetGo()])
            _must("I9 the sums are the same in another order", holds=sums(other) == sums(self.books))

    def _told(self, messages: list[Message]) -> dict[str, Book]:
        again = Flow(self.web.owners | self.web.deleted, self.flow.since)
        for message in messages:
            again.take(message)
        return again.books

    def _check_truth(self) -> None:
        """Each thing a shopper did came to the till once, or staff deleted it (I4); and nothing else did (I6)."""
        deleted = {tag for tag in self.till.deleted if self.till.posted[tag] == 0}
        for tag in self.web.facts:
            times, exceptions = self.till.posted[tag], self.till.deleted[tag] - (tag in deleted)
            _must("I4 once, or deleted", holds=times == (0 if tag in deleted else 1))
            _must("I4 what was confirmed stays deleted", holds=tag not in self.confirmed or tag in deleted)
            _must("I6 written once, and after an R4 exception", holds=self.till.written[tag] == 1 + exceptions)
        _must("I6 nothing else was written", holds=set(self.till.written) <= set(self.web.facts))
        moves = sum(one.points != 0 for book in self.books.values() for one in book.moves.values())
        echoes = sum(bool(one.reference) for found in self.web.transactions.values() for one in found)
        _must("I6 each move is one transaction", holds=moves == echoes)
        total = sum(self.till.balances.values())
        tickets = sum(one.points for one in self.till.history[self.before :] if not one.reference)
        shopped = sum(points for tag, points in self.web.facts.items() if tag not in deleted)
        true = self.openings + tickets + shopped + self.till.altered + self.till.direct
        _must("I4 the balance is what people did", holds=total == true)


def world(seed: int, *, merges: bool = True, directs: bool = False) -> World:
    """Make a shop of two or three customers with points and a past, and none to two accounts each."""
    dice = random.Random(seed)
    names = ["A", "B", "C"][: dice.choice([2, 2, 3])]
    till = Till(dict.fromkeys(names, 0))
    for name in names:
        for points in dice.choice([[], [25], [50, -10]]):
            till.row(name, points)
    owners = {f"{name.lower()}{number}": name for name in names for number in range(dice.choice([0, 1, 1, 2]))}
    since = {account: f"2026-01-{dice.randint(10, 28)}" for account in owners}
    made = World(dice, till, Web(owners), Flow(owners, since), merges=merges, directs=directs)
    made.openings = sum(till.balances.values())
    made.topics = {account: [Linked(account)] for account in owners}
    made.before = len(till.history)
    made.read_till()
    while made.topics["points"]:  # Nobody judges a merge before everybody was read once.
        made.take("points", made.topics["points"].pop(0))
    made.first = len(made.taken)
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
