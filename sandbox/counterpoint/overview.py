"""What the till's page shows: a few rows of each kind, cheap enough to be asked for every two seconds."""

from typing import Any

from sqlalchemy import Connection, Engine, Table, func, select

from sandbox.counterpoint import tables as t
from sandbox.counterpoint.rows import plain

SHELVES_MAX = 20  # What a person looks at; the search box finds the others.
DOCUMENTS_MAX = 12
CHOICES_MAX = 200  # Of the list that a form offers while somebody types.
CUSTOMERS_MAX = 12
UNPOSTED_MAX = 12  # The oldest ones: they wait for somebody.
CARDS_MAX = 12


def overview(engine: Engine, wanted: str) -> dict[str, Any]:
    """Give shelves (those of items that contain `wanted`), last documents, customers, and what forms offer."""
    with engine.connect() as connection:
        return {
            "shelves": _shelves(connection, wanted),
            "documents": _documents(connection),
            "customers": _customers(connection),
            "unposted": _unposted(connection),
            "cards": _cards(connection),
            "items": _items(connection),
            "locations": list(connection.scalars(select(t.location.c.LOC_ID).order_by(t.location.c.LOC_ID))),
            "counts": _counts(connection),
            "version": connection.scalar(select(t.database.c.DB_VER)),
            "wanted": wanted,
        }


def _shelves(connection: Connection, wanted: str) -> list[dict[str, Any]]:
    shelf, item = t.inventory.c, t.item.c
    columns = (shelf.ITEM_NO, item.DESCR, shelf.LOC_ID, shelf.QTY_ON_HND, shelf.QTY_COMMIT, item.IS_ECOMM_ITEM)
    query = select(*columns, (shelf.QTY_ON_HND - shelf.QTY_COMMIT).label("QTY_AVAIL"))  # counterpoint.md 5
    query = query.join(t.item, item.ITEM_NO == shelf.ITEM_NO).order_by(shelf.ITEM_NO, shelf.LOC_ID)
    if wanted:
        name = func.lower(shelf.ITEM_NO + " " + func.coalesce(item.DESCR, ""))
        query = query.where(name.contains(wanted.lower(), autoescape=True))
    return _plain(connection, query.limit(SHELVES_MAX))


def _documents(connection: Connection) -> list[dict[str, Any]]:
    """Give the last documents, open and posted, the newest first."""
    found: list[dict[str, Any]] = []
    for table, is_posted in ((t.document, False), (t.posted_ticket, True), (t.posted_order, True)):
        found += [one | {"is_posted": is_posted} for one in _last(connection, table)]
    return sorted(found, key=lambda one: -int(one["DOC_ID"]))[:DOCUMENTS_MAX]


def _last(connection: Connection, table: Table) -> list[dict[str, Any]]:
    header, totals, line = table.c, t.totals.c, t.line.c
    lines = select(func.count()).where(line.DOC_ID == header.DOC_ID).scalar_subquery().label("lines")
    columns = (header.DOC_ID, header.DOC_TYP, header.TKT_NO, header.CUST_NO, header.CUST_PO_NO, header.STR_ID)
    query = select(*columns, totals.TOT, lines).outerjoin(t.totals, totals.DOC_ID == header.DOC_ID)
    return _plain(connection, query.order_by(header.DOC_ID.desc()).limit(DOCUMENTS_MAX))


def _customers(connection: Connection) -> list[dict[str, Any]]:
    """Give the customers that were changed last, the newest first."""
    columns = [t.customer.c[name] for name in ("CUST_NO", "NAM", "EMAIL_ADRS_1", "IS_ECOMM_CUST", "LOY_PTS_BAL")]
    return _plain(connection, select(*columns).order_by(t.customer.c.ROW_TS.desc()).limit(CUSTOMERS_MAX))


def _unposted(connection: Connection) -> list[dict[str, Any]]:
    """Give the adjustments of points that nobody has posted yet, the oldest first."""
    row = t.point_adjustment.c
    columns = (row.SEQ_NO, row.CUST_NO, row.NO_OF_PTS, func.coalesce(row.DOC_NO, row.REF).label("tag"))
    return _plain(connection, select(*columns).order_by(row.SEQ_NO).limit(UNPOSTED_MAX))


def _cards(connection: Connection) -> list[dict[str, Any]]:
    """Give the gift cards that were changed last, the newest first."""
    columns = [t.gift_card.c[name] for name in ("GFC_NO", "GFC_COD", "CURR_AMT", "IS_VOID")]
    return _plain(connection, select(*columns).order_by(t.gift_card.c.ROW_TS.desc()).limit(CARDS_MAX))


def _items(connection: Connection) -> list[dict[str, Any]]:
    return _plain(connection, select(t.item.c.ITEM_NO, t.item.c.DESCR).order_by(t.item.c.ITEM_NO).limit(CHOICES_MAX))


def _counts(connection: Connection) -> dict[str, int]:
    tables = {"items": t.item, "customers": t.customer, "open documents": t.document}
    return {name: connection.scalar(select(func.count()).select_from(table)) or 0 for name, table in tables.items()}


def _plain(connection: Connection, query: Any) -> list[dict[str, Any]]:
    return [plain(row) for row in connection.execute(query).mappings()]
