"""One reading of the point of sale's points -> the books of everybody it tells of (loyalty-R3, R4, R8). Pure.

The order matters: first the rows with our tags, each in the book that has the tag; then those who are gone; then who
is there, with the rest of the rows; and only then is looked for what staff have deleted.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from msgspec.structs import replace

from processors.rules import ledger
from processors.rules.book import Book, PointsSnapshot
from schemas.loyalty import HistoryRow, PointsReading, PointsShown


class Books(Protocol):
    """The books there are, wherever they are kept."""

    def of(self, cust_no: str) -> Book:
        """Give the book that a customer's number leads to: his own, or the one of whom he was merged into."""
        ...

    def with_tag(self, tag: str) -> Book | None:
        """Give the book that has a shopper's transaction with this tag."""
        ...

    def waiting(self) -> Sequence[Book]:
        """Give the books with transactions that are not settled."""
        ...

    def keep(self, book: Book) -> None:
        """Keep a book that may have changed."""
        ...


def take_reading(books: Books, seen: PointsReading) -> None:
    """Enter a reading, each version once in each book."""
    rest: dict[str, list[HistoryRow]] = {}
    for row in seen.rows:
        book = books.with_tag(row.reference) if row.reference else None
        if book is not None:
            books.keep(ledger.take_row(book, row))
        else:
            rest.setdefault(row.cust_no, []).append(row)
    told = {one.cust_no for one in seen.customers}
    others = [PointsShown(cust_no=cust_no, balance=None) for cust_no in sorted(rest.keys() - told)]
    for one in _gone_first([*others, *seen.customers]):
        books.keep(_shown(books.of(one.cust_no), one, seen.version, rest.get(one.cust_no, ())))
    for book in books.waiting() if seen.unposted is not None else ():
        books.keep(ledger.take_unposted(book, seen.unposted or (), seen.version))


def _gone_first(shown: Iterable[PointsShown]) -> list[PointsShown]:
    return sorted(shown, key=lambda one: one.balance is not None)


def _shown(book: Book, one: PointsShown, version: int, rows: Iterable[HistoryRow]) -> Book:
    if one.cust_no == book.cust_no and one.balance is not None and version > book.versions.get(one.cust_no, 0):
        book = replace(book, is_enrolled=one.is_enrolled, expires=one.expires)
    seen = PointsSnapshot(version=version, cust_no=one.cust_no, balance=one.balance, rows=tuple(rows))
    return ledger.take_snapshot(book, seen)
