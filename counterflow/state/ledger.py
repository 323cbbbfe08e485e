"""Books of points and gift cards, as they are kept: what is no entry as one body, and every entry as a row."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, select, text, tuple_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Boolean, Integer, Text

from counterflow.state.tables import ledger_account, ledger_entry

LOOSE = "loose"

_KEEP = text(
    """
    INSERT INTO ledger_entry (kind, id, book, place, is_open, body)
    SELECT * FROM unnest(:kind, :id, :book, :place, :is_open, :body)
    ON CONFLICT (kind, id) DO UPDATE SET
      book = excluded.book, place = excluded.place, is_open = excluded.is_open, body = excluded.body
    """
).bindparams(
    *(bindparam(name, type_=ARRAY(Text)) for name in ("kind", "id", "book", "body")),
    bindparam("place", type_=ARRAY(Integer)),
    bindparam("is_open", type_=ARRAY(Boolean)),
)

_KEEP_BOOKS = text(
    """
    INSERT INTO ledger_account (book, body) SELECT * FROM unnest(:book, :body)
    ON CONFLICT (book) DO UPDATE SET body = excluded.body
    """
).bindparams(*(bindparam(name, type_=ARRAY(Text)) for name in ("book", "body")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row of a book."""

    kind: str
    id: str
    book: str
    place: int
    is_open: bool
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A book as it is kept; its entries in their places."""

    book: str
    body: str
    entries: Sequence[Entry] = field(default_factory=list)


def read(connection: Connection, books: Iterable[str]) -> dict[str, Kept]:
    """Read some books; those that are not kept are not among them."""
    names = sorted(set(books))
    if not names:
        return {}
    entries: dict[str, list[Entry]] = {}
    query = select(ledger_entry).where(ledger_entry.c.book.in_(names), ledger_entry.c.kind != LOOSE)
    for row in connection.execute(query.order_by(ledger_entry.c.book, ledger_entry.c.place)):
        entries.setdefault(row.book, []).append(_entry(row))
    bodies = connection.execute(select(ledger_account).where(ledger_account.c.book.in_(names)))
    return {row.book: Kept(book=row.book, body=row.body, entries=entries.get(row.book, [])) for row in bodies}


def holders(connection: Connection, kind: str, ids: Iterable[str]) -> dict[str, str]:
    """Give in which book each entry stands; those that stand in none are not among them."""
    names = sorted(set(ids))
    if not names:
        return {}
    query = select(ledger_entry.c.id, ledger_entry.c.book)
    found = connection.execute(query.where(ledger_entry.c.kind == kind, ledger_entry.c.id.in_(names)))
    return {row.id: row.book for row in found}


def with_open(connection: Connection, kind: str) -> list[str]:
    """Give the books that have an open entry of a kind."""
    query = select(ledger_entry.c.book).distinct().where(ledger_entry.c.kind == kind, ledger_entry.c.is_open)
    return sorted(connection.execute(query).scalars())


def keep(connection: Connection, bodies: Mapping[str, str], entries: Sequence[Entry]) -> None:
    """Keep books and entries, in place of what was kept under the same names."""
    if bodies:
        connection.execute(_KEEP_BOOKS, {"book": list(bodies), "body": list(bodies.values())})
    if entries:
        names = ("kind", "id", "book", "place", "is_open", "body")
        connection.execute(_KEEP, {name: [getattr(one, name) for one in entries] for name in names})


def forget(connection: Connection, books: Iterable[str], entries: Iterable[tuple[str, str]]) -> None:
    """Let books go that are in others now, and entries that were only kept for their turn."""
    names, keys = sorted(set(books)), sorted(set(entries))
    if names:
        connection.execute(delete(ledger_account).where(ledger_account.c.book.in_(names)))
    if keys:
        connection.execute(delete(ledger_entry).where(tuple_(ledger_entry.c.kind, ledger_entry.c.id).in_(keys)))


def loose(connection: Connection, account: str) -> list[Entry]:
    """Give the transactions of an account that nobody had when they were read."""
    match = (ledger_entry.c.kind == LOOSE) & (ledger_entry.c.book == account)
    query = select(ledger_entry).where(match).order_by(ledger_entry.c.place)
    return [_entry(row) for row in connection.execute(query)]


def _entry(row: Row[Any]) -> Entry:
    return Entry(kind=row.kind, id=row.id, book=row.book, place=row.place, is_open=row.is_open, body=row.body)
