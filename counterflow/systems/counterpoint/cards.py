"""Gift cards in Counterpoint's database (docs/facts/counterpoint.md 6): what is on them, what moved it, and our writes.

A card is told as a customer's points are, under "card:" and its number, in cents. Store credit is never told: its code
creates it. No public example shows which column of the activity keeps a text of ours: it is a setting.
"""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    DateTime,
    Integer,
    Numeric,
    Select,
    String,
    column,
    func,
    insert,
    literal,
    select,
    table,
    update,
)

from counterflow.config import GiftCards
from counterflow.errors import Transient
from counterflow.systems.counterpoint import sql
from counterflow.systems.counterpoint.dialects import newer_than, row_version, utcnow
from counterflow.systems.counterpoint.points import next_version
from schemas.loyalty import CARD, HistoryRow, PointsShown

CARDS = table(
    "SY_GFC",
    column("GFC_NO", String()),
    column("GFC_COD", String()),
    column("CURR_AMT", Numeric(15, 4)),
    column("IS_VOID", String()),
    column("NO_EXP_DAT", String()),
    column("EXP_DAT", DateTime()),
    column("LST_ACTIV_DAT", DateTime()),
    column("ROW_TS", BigInteger()),
)
TAG = re.compile(r"CF-[A-Z2-7]{10}")
CODES = table("SY_GFC_COD", column("GFC_COD", String()), column("CREATE_AS_STC", String()))


def _activity(settings: GiftCards) -> Any:
    names = [*settings.values, settings.tag]
    return table(
        "SY_GFC_ACTIV",
        column("GFC_NO", String()),
        column("SEQ_NO", Integer()),
        column("DAT", DateTime()),
        column("DOC_ID", BigInteger()),
        column("ACTIV_TYP", String()),
        column("AMT", Numeric(15, 4)),
        column("ROW_TS", BigInteger()),
        *(column(name, String()) for name in names),
    )


def missing_columns(connection: Connection, settings: GiftCards) -> list[str]:
    """Say which columns are not there, as TABLE.COLUMN."""
    tables = (CARDS, CODES, _activity(settings))
    found = connection.execute(sql.COLUMNS, {"tables": [str(one.name) for one in tables]})
    there = {(str(row.tbl), str(row.col)) for row in found}
    return [f"{one.name}.{part.name}" for one in tables for part in one.c if (str(one.name), part.name) not in there]


def _real() -> Select[Any]:
    """Select cards that are no store credit."""
    return select(CARDS).join(CODES, CODES.c.GFC_COD == CARDS.c.GFC_COD).where(CODES.c.CREATE_AS_STC == "N")


def changed(connection: Connection, *, after: int) -> dict[str, int]:
    """Give the cards with a newer row version, each with that."""
    query = _real().with_only_columns(CARDS.c.GFC_NO, row_version(CARDS.c.ROW_TS).label("row_version"))
    rows = connection.execute(query.where(newer_than(CARDS.c.ROW_TS, literal(after))))
    return {str(row.GFC_NO).rstrip(): int(row.row_version) for row in rows}


def page(connection: Connection, after: str, count: int) -> list[PointsShown]:
    """Give the next cards behind a number, in their order."""
    query = _real().where(CARDS.c.GFC_NO > after).order_by(CARDS.c.GFC_NO).limit(count)
    return [_shown(row) for row in connection.execute(query)]


def shown(connection: Connection, numbers: Sequence[str]) -> list[PointsShown]:
    """Give what is on some cards; store credit is not among them."""
    found = []
    for start in range(0, len(numbers), sql.ROWS_AT_ONCE):
        some = CARDS.c.GFC_NO.in_(numbers[start : start + sql.ROWS_AT_ONCE])
        found += [_shown(row) for row in connection.execute(_real().where(some))]
    return found


def _shown(row: Any) -> PointsShown:
    has_end = row.NO_EXP_DAT != "Y" and row.EXP_DAT is not None
    return PointsShown(
        cust_no=CARD + str(row.GFC_NO).rstrip(),
        balance=cents(row.CURR_AMT),
        is_enrolled=row.IS_VOID != "Y",
        expires=row.EXP_DAT.date().isoformat() if has_end else "",
    )


def cents(amount: Any) -> int:
    """Give an amount in cents; Counterpoint keeps four digits, and a card's are never finer than two."""
    return round(Decimal(str(amount or 0)) * 100)


def new_rows(connection: Connection, settings: GiftCards, *, after: int) -> list[tuple[int, HistoryRow]]:
    """Give the activity with a newer row version, each with that. See points.new_rows.

    What a document moved carries the document's marker, with the sign: "N-1042-" paid, "N-1042+" was given back.
    """
    own = _activity(settings)
    query = (
        select(
            own.c.GFC_NO,
            own.c.SEQ_NO,
            own.c.AMT,
            own.c.DOC_ID,
            own.c[settings.tag].label("tag"),
            row_version(own.c.ROW_TS).label("row_version"),
        )
        .join(CARDS, CARDS.c.GFC_NO == own.c.GFC_NO)
        .join(CODES, CODES.c.GFC_COD == CARDS.c.GFC_COD)
        .where(CODES.c.CREATE_AS_STC == "N", newer_than(own.c.ROW_TS, literal(after)))
        .order_by(own.c.GFC_NO, own.c.SEQ_NO)
    )
    rows = list(connection.execute(query))
    markers = _markers(connection, sorted({int(row.DOC_ID) for row in rows if row.DOC_ID}))
    found = []
    for row in rows:
        marker, amount = markers.get(int(row.DOC_ID or 0), ""), cents(row.AMT)
        tag = str(row.tag or "").rstrip()  # Counterpoint fills the column too, for its own documents.
        reference = tag if TAG.fullmatch(tag) else f"{marker}{'+' if amount > 0 else '-'}" if marker else ""
        number = str(row.GFC_NO).rstrip()
        one = HistoryRow(
            row_id=f"card:{number}|{row.SEQ_NO}",
            cust_no=CARD + number,
            version=0,
            points=amount,
            reference=reference,
            document=str(row.DOC_ID or ""),
        )
        if amount or reference:
            found.append((int(row.row_version), one))
    return found


def _markers(connection: Connection, documents: Sequence[int]) -> dict[int, str]:
    """Give what documents carry as purchase order number, open or posted."""
    found: dict[int, str] = {}
    for one in sql.document_tables(connection):
        for start in range(0, len(documents), sql.ROWS_AT_ONCE):
            some = one.c.DOC_ID.in_(documents[start : start + sql.ROWS_AT_ONCE])
            for row in connection.execute(select(one.c.DOC_ID, one.c.CUST_PO_NO).where(some)):
                found.setdefault(int(row.DOC_ID), str(row.CUST_PO_NO or "").rstrip())
    return found


def adjust(connection: Connection, settings: GiftCards, *, tag: str, number: str, amount: int) -> tuple[bool, int]:
    """Move a card by so many cents under a tag, unless the tag is there; of what it has not got, what it has.

    Where it has nothing a row of 0 is written all the same, so that the books know. Gives as points.adjust.

    Raises:
        Transient: There is no such card now.
    """
    version = next_version(connection)
    own = _activity(settings)
    if connection.execute(select(own.c.GFC_NO).where(own.c[settings.tag] == tag)).first() is not None:
        return False, version
    mine = CARDS.c.GFC_NO == number
    # The first statement takes the card's lock, whichever way a till takes it.
    touched = connection.execute(update(CARDS).where(mine).values(LST_ACTIV_DAT=utcnow()))
    if touched.rowcount == 0:
        raise Transient("there is no such gift card in Counterpoint (yet)")
    has = cents(connection.execute(select(CARDS.c.CURR_AMT).where(mine)).scalar())
    moved = max(amount, -max(0, has))
    last = connection.execute(select(func.max(own.c.SEQ_NO)).where(own.c.GFC_NO == number)).scalar()
    money = Decimal(moved) / 100
    values = {"GFC_NO": number, "SEQ_NO": int(last or 0) + 1, "DAT": utcnow(), "AMT": money, settings.tag: tag}
    kind = {"ACTIV_TYP": "I" if moved > 0 else "R"}
    connection.execute(insert(own).values(values | kind | dict(settings.values)))
    connection.execute(update(CARDS).where(mine).values(CURR_AMT=CARDS.c.CURR_AMT + money))
    return True, version
