"""The parts of `bench ledger`: a till and a web store, as small as the rules of points need them, and a flow."""

from collections import Counter
from dataclasses import dataclass, field

from processors.rules import ledger, planning, readings
from processors.rules.book import Book, export, tag_of
from schemas.loyalty import HistoryRow, PointsReading, PointsShown, WebTransaction

STORE = "north"


@dataclass(slots=True)
class Till:
    """Counterpoint: balances, history, adjustments that wait to be posted."""

    balances: dict[str, int]
    history: list[HistoryRow] = field(default_factory=list)
    unposted: dict[str, tuple[str, int]] = field(default_factory=dict)
    version: int = 0  # Rises with every reading, and with every adjustment of ours: staff may delete it at once.
    told_version: int = 0  # Of the last reading.
    read_to: int = 0
    told: dict[str, int] = field(default_factory=dict)  # Balances, as last read.
    told_tags: tuple[str, ...] = ()
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
        """Write an adjustment unless its tag is there; gives a version: whatever reading has a later one shows it."""
        if tag not in self.unposted and all(one.reference != tag for one in self.history):
            self.unposted[tag] = (cust_no, points)
            self.written[tag] += 1
        self.version += 1
        return self.version

    def reading(self) -> PointsReading | None:
        """Read in one moment everybody of whom something is new; None where nothing is."""
        rows = tuple(self.history[self.read_to :])
        tags = tuple(sorted(self.unposted))
        names = {row.cust_no for row in rows} | {
            name for name, balance in self.balances.items() if self.told.get(name) != balance
        }
        if not names and tags == self.told_tags and self.version == self.told_version:
            return None
        previous, self.version = self.told_version, self.version + 1
        self.told_version = self.version
        self.read_to, self.told, self.told_tags = len(self.history), dict(self.balances), tags
        return PointsReading(
            key="points",
            version=self.version,
            previous=previous,
            customers=tuple(PointsShown(cust_no=name, balance=self.balances.get(name)) for name in sorted(names)),
            rows=rows,
            unposted=tags,
        )


@dataclass(slots=True)
class Web:
    """A store's accounts."""

    owners: dict[str, str]  # Account -> customer at first.
    deleted: dict[str, str] = field(default_factory=dict)  # Accounts that are no more.
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


@dataclass(frozen=True, slots=True)
class Merged:
    """Somebody was merged into another; which reading can show the sum first."""

    gone: str
    stays: str
    version: int


@dataclass(frozen=True, slots=True)
class Linked:
    """A new account was linked."""

    account: str


@dataclass(frozen=True, slots=True)
class Closed:
    """An account was deleted in its store, with whatever it had."""

    account: str


@dataclass(frozen=True, slots=True)
class Written:
    """An adjustment was committed, as of a reading."""

    tag: str
    version: int


@dataclass(frozen=True, slots=True)
class LetGo:
    """What nothing has explained was let go, in all books."""


Message = WebTransaction | PointsReading | Merged | Linked | Closed | Written | LetGo


@dataclass(slots=True)
class Flow:
    """What the flow does: it finds the book of a message, and the rule does the rest."""

    owners: dict[str, str]  # Account -> customer at first.
    since: dict[str, str]  # When each account was made.
    books: dict[str, Book] = field(default_factory=dict)
    route: dict[str, str] = field(default_factory=dict)  # Who was merged into whom.
    closed: set[str] = field(default_factory=set)  # Accounts that were deleted.

    def of(self, cust_no: str) -> Book:
        """Give the book that a number leads to."""
        return self.book(self.owner(cust_no))

    def with_tag(self, tag: str) -> Book | None:
        """Give the book that has a tag."""
        return next((one for one in self.books.values() if tag in one.web), None)

    def with_row(self, row_id: str) -> Book | None:
        """Give the book that has a row."""
        return next((one for one in self.books.values() if f"c:{row_id}" in one.pos), None)

    def reused(self, cust_no: str) -> None:
        """Raise: no number is used again here."""
        raise AssertionError(cust_no)

    def waiting(self) -> list[Book]:
        """Give all books: there are few."""
        return list(self.books.values())

    def owner(self, cust_no: str) -> str:
        """Give whose book a customer's number leads to."""
        while cust_no in self.route:
            cust_no = self.route[cust_no]
        return cust_no

    def book(self, cust_no: str) -> Book:
        """Give a customer's book; a new one where he has none."""
        return self.books.get(cust_no, Book(cust_no=cust_no))

    def take(self, message: Message) -> None:
        """Handle one message."""
        match message:
            case Merged():
                self._merge(message)
            case PointsReading():
                readings.take_reading(self, message)
            case Linked() | WebTransaction():
                self._of_account(message)
            case Closed():
                self._close(message.account)
            case Written() | LetGo():
                self._answer(message)

    def keep(self, book: Book) -> None:
        """Keep a book, with what is to be done next."""
        self.books[book.cust_no] = planning.plan(book)

    def _close(self, account: str) -> None:
        self.closed.add(account)
        name = f"{STORE}/{account}"
        book = next((one for one in self.books.values() if name in one.accounts), None)
        if book is not None:
            self.keep(ledger.close_account(book, name, book.shown[0]))

    def _of_account(self, message: Linked | WebTransaction) -> None:
        if isinstance(message, WebTransaction):
            if message.account_id in self.closed:
                return  # A replay: it was told before the account was deleted, and is in its book.
            cust_no = self.owner(self.owners[message.account_id])
            self.keep(ledger.take_transaction(self.book(cust_no), message))
            return
        if message.account in self.closed:
            return
        cust_no = self.owner(self.owners[message.account])
        name, since = f"{STORE}/{message.account}", self.since[message.account]
        self.keep(ledger.link_account(self.book(cust_no), name, since=since))

    def _answer(self, message: Written | LetGo) -> None:
        for book in list(self.books.values()):
            if isinstance(message, LetGo):
                self.keep(all_let_go(book))
            elif message.tag in book.web:
                self.keep(ledger.written(book, message.tag, message.version))

    def _merge(self, seen: Merged) -> None:
        if seen.gone not in self.route:
            stays = self.owner(seen.stays)
            self.route[seen.gone] = stays
            gone = self.books.pop(seen.gone, Book(cust_no=seen.gone))
            self.keep(ledger.merge(gone, self.book(stays), version=seen.version))


def all_let_go(book: Book) -> Book:
    """Let go whatever is held."""
    for entry_id in book.pos:
        book = ledger.let_go(book, entry_id)
    return planning.plan(book)


def exports(books: dict[str, Book]) -> list[bytes]:
    """Give all books as bytes."""
    return [export(books[cust_no]) for cust_no in sorted(books)]


def sums(books: dict[str, Book]) -> list[tuple[str, int, int, int]]:
    """Give of each book what the till has, what the web has not got, and what it has."""
    return [
        (name, book.pos_sum, sum(one.left for one in book.pos.values()), sum(map(book.balance, book.accounts)))
        for name, book in sorted(books.items())
    ]


def difference(book: Book) -> int:
    """Give by how much the web is above the point of sale, as far as both were read."""
    return sum(book.balance(name) for name in book.accounts) + book.transit - book.pos_sum


def explained(book: Book) -> int:
    """Give by how much it must be (I2)."""
    waiting = sum(one.points for one in book.web.values() if one.state != "settled")
    early = sum(one.points for one in book.early.values()) - sum(one.points for one in book.early_rows.values())
    return waiting + early - sum(one.left for one in book.pos.values())
