"""Rows of Counterpoint's tables: how they are numbered, filled from what is given, and shown."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, RowMapping, Table, func, select

from sandbox.counterpoint import tables as t

PARTS: dict[str, Table] = {
    "lines": t.line,
    "payments": t.payment,
    "misc": t.misc,
    "taxes": t.tax,
    "totals": t.totals,
    "notes": t.document_note,
    "cards": t.document_card,
}


def released(connection: Connection, ticket_no: str) -> list[int]:
    """Give the tickets that released parts of an order, by its number."""
    tickets: list[int] = []
    for table in (t.document, t.posted_ticket):
        mine = table.c.TKT_NO.startswith(f"{ticket_no}-", autoescape=True)
        tickets += connection.execute(select(table.c.DOC_ID).where(mine)).scalars().all()
    return tickets


def still_open(connection: Connection, doc_id: int, tickets: Sequence[int]) -> list[dict[str, Any]]:
    """Give an order's lines with what is still to be released of each."""
    gone: dict[str, Decimal] = {}
    for row in connection.execute(select(t.line).where(t.line.c.DOC_ID.in_(tickets))).mappings():
        gone[row["ITEM_NO"]] = gone.get(row["ITEM_NO"], Decimal(0)) + row["QTY_SOLD"]
    found = []
    for row in connection.execute(select(t.line).where(t.line.c.DOC_ID == doc_id)).mappings():
        taken = min(row["QTY_SOLD"], gone.get(row["ITEM_NO"], Decimal(0)))
        gone[row["ITEM_NO"]] = gone.get(row["ITEM_NO"], Decimal(0)) - taken
        if row["QTY_SOLD"] > taken:
            found.append(dict(row) | {"QTY_SOLD": row["QTY_SOLD"] - taken})
    return sorted(found, key=lambda one: int(one["LIN_SEQ_NO"]))


def children(connection: Connection, table: Table) -> dict[int, list[dict[str, Any]]]:
    """Give a child table's rows by document."""
    found: dict[int, list[dict[str, Any]]] = {}
    for row in connection.execute(select(table).order_by(*table.primary_key)).mappings():
        found.setdefault(row["DOC_ID"], []).append(plain(row))
    return found


def plain(row: RowMapping) -> dict[str, Any]:
    """Give a row as JSON can hold it: decimals as numbers, times as text, change columns left out."""
    return {
        name: float(value)
        if isinstance(value, Decimal)
        else value.isoformat()
        if hasattr(value, "isoformat")
        else value
        for name, value in row.items()
        if name not in {"ROW_TS", "RS_UTC_DT", "LST_MAINT_DT", "LST_MAINT_USR_ID"}
    }


def next_number(connection: Connection, sequence: str) -> int:
    """Draw the next number of a sequence."""
    number: int = connection.execute(select(func.nextval(sequence))).scalar_one()
    return number


def known_columns(table: Table, given: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what the table has; texts are cut to their column, as Counterpoint's own screens do."""
    kept = {}
    for name, value in given.items():
        if name in table.c and name not in {"ROW_TS", "RS_UTC_DT", "LST_MAINT_DT"}:
            length = getattr(table.c[name].type, "length", None)
            kept[name] = value[:length] if length and isinstance(value, str) else value
    return kept
