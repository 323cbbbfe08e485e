"""What a release ticket let out of an order: its lines and tracking numbers, by SQL. Writes nothing.

The names of the posted lines and of the tracking numbers are not verified (docs/facts/counterpoint.md 7): both are
looked for before they are read.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Integer, MetaData, Numeric, String, Table, select

from counterflow.errors import Held
from counterflow.systems.counterpoint import sql


def _lines(name: str) -> Table:
    return Table(
        name,
        MetaData(),
        Column("DOC_ID", BigInteger),
        Column("LIN_SEQ_NO", Integer),
        Column("LIN_TYP", String()),
        Column("ITEM_NO", String()),
        Column("QTY_SOLD", Numeric(15, 4)),
    )


PLACES = (
    ("open", sql.PS_DOC_HDR, _lines("PS_DOC_LIN")),
    ("posted", sql.PS_TKT_HIST, _lines("PS_TKT_HIST_LIN")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Where a ticket stands: "open", "posted" or "gone"; its lines as plain rows, None where they cannot be read."""

    fate: str
    lines: list[dict[str, Any]] | None = None
    tracking: tuple[str, ...] = ()


def find(connection: Connection, doc_id: int, *, tracking: str) -> Found:
    """Find a ticket. The open ones are read first: one that is posted meanwhile is found among the others.

    Args:
        connection: A transaction to read in.
        doc_id: The ticket's.
        tracking: The TABLE.COLUMN of tracking numbers by DOC_ID; "" for none.

    Raises:
        Held: The tables do not tell: one is missing, or we have no right to read it.
    """
    names = {table.name for _, headers, lines in PLACES for table in (headers, lines)}
    name, _, column = tracking.partition(".")
    rows = connection.execute(sql.COLUMNS, {"tables": sorted(names | ({name} if name else set()))})
    there = {(str(row.tbl), str(row.col)) for row in rows}
    if not _has_all(PLACES[0][2], there):
        raise Held("what tickets release cannot be read: no table PS_DOC_LIN, or no right to read it")
    numbers = numbers_of(connection, doc_id, name, column) if {(name, column), (name, "DOC_ID")} <= there else ()
    found = Found(fate="gone")
    for fate, headers, lines in PLACES:
        if (headers.name, "DOC_ID") not in there:
            raise Held(f"ticket {doc_id} has left the open ones; the table of posted tickets is not known")
        if not is_there(connection, headers, doc_id):
            continue
        shown = lines_of(connection, lines, doc_id) if _has_all(lines, there) else None
        found = Found(fate=fate, lines=shown, tracking=numbers)
        if found.lines:
            break
    return found


def _has_all(table: Table, there: set[tuple[str, str]]) -> bool:
    """Say whether a table has every column that we read, so that asking for it stops nothing."""
    return {(table.name, column.name) for column in table.c} <= there


def is_there(connection: Connection, headers: Table, doc_id: int) -> bool:
    """Say whether a table has a document."""
    return connection.execute(select(headers.c.DOC_ID).where(headers.c.DOC_ID == doc_id)).first() is not None


def lines_of(connection: Connection, lines: Table, doc_id: int) -> list[dict[str, Any]]:
    """Give a document's lines, in their order."""
    query = select(lines).where(lines.c.DOC_ID == doc_id).order_by(lines.c.LIN_SEQ_NO)
    return [sql.plain_row(row) for row in connection.execute(query).mappings()]


def numbers_of(connection: Connection, doc_id: int, name: str, column: str) -> tuple[str, ...]:
    """Give a document's tracking numbers, each once."""
    packages = Table(name, MetaData(), Column("DOC_ID", BigInteger), Column(column, String()))
    query = select(packages.c[column]).where(packages.c.DOC_ID == doc_id)
    return tuple(sorted({str(one or "").strip() for one in connection.execute(query).scalars()} - {""}))
