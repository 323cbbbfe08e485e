"""The books of points that one batch works in: read when they are asked for, written down at its end.

One lock lets one batch at a time work in books: a merge, a tag or a posting may lead into any of them.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection

from counterflow.state import ledger as kept
from counterflow.state import links
from counterflow.state.ledger import Entry, Kept
from processors.rules.book import Account, Book, Move, PosEntry, WebEntry
from schemas.loyalty import HistoryRow, WebTransaction

LOCK = "books"
NUMBER = "number"
OWN = {"early", "early_rows"}  # Two books may wait for the same: their ids are kept with the book's name.
ENTRIES: Mapping[str, Any] = {
    "accounts": Account,
    "web": WebEntry,
    "pos": PosEntry,
    "moves": Move,
    "early": WebTransaction,
    "early_rows": HistoryRow,
}


class Ledger:
    """The books, as one transaction sees and changes them. See readings.Books."""

    def __init__(self, connection: Connection) -> None:
        links.lock(connection, [LOCK])
        self._connection = connection
        self._before: dict[str, Book] = {}  # As they were read; one that is new has no entries.
        self._books: dict[str, Book] = {}
        self._routes: dict[str, str] = {}
        self._gone: set[str] = set()
        self.reused_numbers: set[str] = set()

    def fetch(self, numbers: Iterable[str]) -> None:
        """Read the books of some customers in one go."""
        names = set(numbers) - self._routes.keys()
        found = kept.holders(self._connection, NUMBER, names)
        self._routes |= {name: found.get(name, name) for name in names}
        self._load({self._routes[name] for name in names})

    def of(self, cust_no: str) -> Book:
        """Give the book that a number leads to; a new one where there is none."""
        self.fetch([cust_no])
        name = self._routes[cust_no]
        return self._books.get(name, Book(cust_no=name))

    def is_kept(self, cust_no: str) -> bool:
        """Say whether there is a book."""
        self.fetch([cust_no])
        return self._routes[cust_no] in self._books

    def with_tag(self, tag: str) -> Book | None:
        """Give the book that has a shopper's transaction with this tag."""
        return self.holder("web", tag)

    def holder(self, kind: str, name: str) -> Book | None:
        """Give the book that has an entry: "web" or "moves" by tag, "accounts" by name, "pos" by id."""
        here = next((one for one in self._books.values() if name in getattr(one, kind)), None)
        if here is not None:
            return here
        found = kept.holders(self._connection, kind, [name]).get(name)
        if found is None or found in self._gone:
            return None
        self._load([found])
        book = self._books.get(found)
        return book if book is not None and name in getattr(book, kind) else None

    def with_row(self, row_id: str) -> Book | None:
        """Give the book that has entered a row."""
        return self.holder("pos", f"c:{row_id}")

    def reused(self, cust_no: str) -> None:
        """Note that a number is somebody's again who was merged away."""
        self.reused_numbers.add(cust_no)

    def waiting(self) -> list[Book]:
        """Give the books with transactions of shoppers that are not settled."""
        self._load(name for name in kept.with_open(self._connection, "web") if name not in self._gone)
        return [one for one in self._books.values() if any(entry.state != "settled" for entry in one.web.values())]

    def keep(self, book: Book) -> None:
        """Keep a book that may have changed."""
        if book.cust_no not in self._before:
            self._before[book.cust_no] = Book(cust_no=book.cust_no)
        self._books[book.cust_no] = book

    def unite(self, gone: str, united: Book) -> None:
        """Keep a book into which another went."""
        self._books.pop(gone, None)
        self._gone.add(gone)
        for name in united.merged:
            self._routes[name] = united.cust_no
        self.keep(united)

    def changed(self) -> list[tuple[Book, Book]]:
        """Give the books that have changed, each as it was read and as it is."""
        return [(self._before[name], one) for name, one in self._books.items() if one != self._before[name]]

    def write(self) -> None:
        """Write down what has changed."""
        bodies: dict[str, str] = {}
        entries: list[Entry] = []
        dropped: set[tuple[str, str]] = set()
        for before, book in self.changed():
            bodies[book.cust_no] = _body(book)
            was, now = _rows(before), _rows(book)
            entries += [one for key, one in now.items() if was.get(key) != one]
            dropped |= was.keys() - now.keys()
            self._before[book.cust_no] = book
        entries = list({(one.kind, one.id): one for one in entries}.values())
        for name in self._gone & self._before.keys():
            dropped |= _rows(self._before[name]).keys()
        moved = {(one.kind, one.id) for one in entries}  # In another book now, where two were united.
        kept.forget(self._connection, self._gone, dropped - moved)
        kept.keep(self._connection, bodies, entries)

    def _load(self, names: Iterable[str]) -> None:
        for name, found in kept.read(self._connection, set(names) - self._books.keys() - self._gone).items():
            self._books[name] = self._before[name] = _read(name, found)


def _read(name: str, found: Kept) -> Book:
    maps: dict[str, dict[str, Any]] = {kind: {} for kind in ENTRIES}
    for one in found.entries:
        if one.kind in maps:
            own = one.id.removeprefix(f"{found.book}|") if one.kind in OWN else one.id
            maps[one.kind][own] = msgspec.json.decode(one.body, type=ENTRIES[one.kind])
    return msgspec.structs.replace(msgspec.json.decode(found.body, type=Book), cust_no=name, **maps)


def _body(book: Book) -> str:
    """Give what of a book is no entry."""
    bare: Book = msgspec.structs.replace(book, **{kind: {} for kind in ENTRIES})
    return msgspec.json.encode(bare).decode()


def _id(book: Book, kind: str, name: str) -> str:
    return f"{book.cust_no}|{name}" if kind in OWN else name


def _rows(book: Book) -> dict[tuple[str, str], Entry]:
    """Give a book's entries as rows, each kind's in their order."""
    found = {
        (kind, _id(book, kind, name)): Entry(
            kind=kind,
            id=_id(book, kind, name),
            book=book.cust_no,
            place=place,
            is_open=_is_open(value),
            body=msgspec.json.encode(value).decode(),
        )
        for kind in ENTRIES
        for place, (name, value) in enumerate(getattr(book, kind).items())
    }
    for name in book.merged:
        found[NUMBER, name] = Entry(kind=NUMBER, id=name, book=book.cust_no, place=0, is_open=False, body="")
    return found


def _is_open(value: Any) -> bool:
    match value:
        case WebEntry(state=state):
            return state != "settled"
        case PosEntry(left=left):
            return left != 0
        case Move(state=state):
            return state == "sent"
        case _:
            return True
