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

    def with_row(self, row_id: str) -> Book | None:
        """Give the book that has entered a row of the point of sale."""
        ...

    def reused(self, cust_no: str) -> None:
        """Note that somebody has the number of a customer who was merged away."""
        ...

    def waiting(self) -> Sequence[Book]:
        """Give the books with transactions that are not settled."""
        ...

    def keep(self, book: Book) -> None:
        """Keep a book that may have changed."""
        ...


def take_reading(books: Books, seen: PointsReading) -> None:
    """Enter a reading, each version once in each book."""
    told = {one.cust_no: one for one in seen.customers}
    others = [PointsShown(cust_no=row.cust_no, balance=None) for row in seen.rows if row.cust_no not in told]
    strange = {one.cust_no for one in seen.customers if _is_reused(books.of(one.cust_no), one, seen.version)}
    rest: dict[str, list[HistoryRow]] = {}
    for row in seen.rows:
        if row.cust_no not in strange and not _enter(books, row):
            rest.setdefault(row.cust_no, []).append(row)
    for one in _gone_first([*{one.cust_no: one for one in others}.values(), *seen.customers]):
        if one.cust_no in strange:
            books.reused(one.cust_no)
        else:
            books.keep(_shown(books.of(one.cust_no), one, seen.version, rest.get(one.cust_no, ())))
    for book in books.waiting() if seen.unposted is not None else ():
        books.keep(ledger.take_unposted(book, seen.unposted or (), seen.version))


def _enter(books: Books, row: HistoryRow) -> bool:
    """Enter a row where its tag, or its id, already belongs; says whether it did.

    A merge may move rows to the survivor's number (counterpoint 2): they are told again, and were entered long ago.
    """
    if books.with_row(row.row_id) is not None:
        return True
    book = books.with_tag(row.reference) if row.reference else None
    if book is not None:
        books.keep(ledger.take_row(book, row))
    return book is not None


def _is_reused(book: Book, one: PointsShown, version: int) -> bool:
    """Say whether a number that was merged away is somebody's again."""
    return book.cust_no != one.cust_no and one.balance is not None and version > book.merged_in


def _gone_first(shown: Iterable[PointsShown]) -> list[PointsShown]:
    return sorted(shown, key=lambda one: one.balance is not None)


def _shown(book: Book, one: PointsShown, version: int, rows: Iterable[HistoryRow]) -> Book:
    if one.cust_no == book.cust_no and one.balance is not None and version > book.versions.get(one.cust_no, 0):
        book = replace(book, is_enrolled=one.is_enrolled, expires=one.expires)
    seen = PointsSnapshot(version=version, cust_no=one.cust_no, balance=one.balance, rows=tuple(rows))
    return ledger.take_snapshot(book, seen)
