"""Points in Counterpoint's database: what moved them, what waits to be posted, and our adjustments.

No public source names the table of unposted adjustments, and the others are not verified (docs/facts/counterpoint.md
3): all names are settings, and are looked for before they are used.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Engine,
    Integer,
    Select,
    String,
    TableClause,
    column,
    insert,
    literal,
    literal_column,
    or_,
    select,
    table,
    update,
)
from sqlalchemy import text as sql_text

from counterflow.config import Points, PointsRows
from counterflow.errors import Broken, Transient
from counterflow.systems.counterpoint import sql
from counterflow.systems.counterpoint.dialects import app_lock, newer_than, row_version, utcnow
from schemas.loyalty import HistoryRow, PointsShown

VERSION = "points"  # Our row in USR_CF_CURSOR: rises with every reading and every adjustment.
LOCK = "counterflow:points"
OURS = ("CF-%", "CT-%")  # What our tags look like.
LIKELY = ("%LOY%", "%PT[_]ADJ%", "%GFC%")  # Names to look for (counterpoint 3 and 6).

CUSTOMERS = table(
    "AR_CUST",
    column("CUST_NO", String()),
    column("LOY_PTS_BAL", Integer()),
    column("LOY_PGM_COD", String()),
    column("IS_ECOMM_CUST", String()),
)


def _table(name: str, texts: Iterable[str | None], numbers: Iterable[str | None]) -> TableClause:
    columns = {one: column(one, String()) for one in texts if one}
    return table(name, *(columns | {one: column(one, BigInteger()) for one in numbers if one}).values())


def _rows_table(rows: PointsRows) -> TableClause:
    texts = [rows.tag, None if rows.header else rows.customer]
    return _table(rows.table, texts, [rows.key, rows.points, rows.minus, rows.version])


def _unposted_table(settings: Points) -> TableClause:
    one = settings.unposted
    texts = [name for name, value in one.values.items() if isinstance(value, str)]
    numbers = [name for name in one.values if name not in texts]
    return _table(one.table, [one.customer, one.tag, one.at, *texts], [one.points, *numbers])


def missing_columns(connection: Connection, settings: Points) -> list[str]:
    """Say which of the tables' columns are not there, as TABLE.COLUMN."""
    needed = {str(CUSTOMERS.name): {one.name for one in CUSTOMERS.c}}
    for one in (_unposted_table(settings), *map(_rows_table, settings.rows)):
        needed.setdefault(str(one.name), set()).update(str(part.name) for part in one.c)
    for rows in settings.rows:
        if rows.header:
            needed.setdefault(rows.header, set()).update({rows.key, rows.customer})
    there = {(str(row.tbl), str(row.col)) for row in connection.execute(sql.COLUMNS, {"tables": sorted(needed)})}
    return [
        f"{name}.{part}"
        for name, parts in sorted(needed.items())
        for part in sorted(parts)
        if (name, part) not in there
    ]


def check(engine: Engine, settings: Points) -> None:
    """Look whether every column is there. Raises Broken naming those that are not."""
    with sql.reading(engine, snapshot=False) as connection:
        missing = missing_columns(connection, settings)
    if missing:
        raise Broken(
            f"counterpoint.points names what is not there: {', '.join(missing)}; see counterflow points tables"
        )


def likely_tables(connection: Connection) -> dict[str, list[str]]:
    """Give the tables whose names sound like points or gift cards, with their columns in their order."""
    match = " OR ".join(f"TABLE_NAME LIKE '{one}'" for one in _patterns(connection))
    query = sql_text(
        "SELECT TABLE_NAME AS tbl, COLUMN_NAME AS col, DATA_TYPE AS kind, CHARACTER_MAXIMUM_LENGTH AS size "  # noqa: S608
        f"FROM INFORMATION_SCHEMA.COLUMNS WHERE {match} ORDER BY TABLE_NAME, ORDINAL_POSITION"
    )
    found: dict[str, list[str]] = {}
    for row in connection.execute(query):
        kind = f"{row.kind}({row.size})" if row.size else str(row.kind)
        found.setdefault(str(row.tbl), []).append(f"{row.col} {kind}")
    return found


def _patterns(connection: Connection) -> list[str]:
    """PostgreSQL knows no brackets in LIKE."""
    return [one if connection.dialect.name == "mssql" else one.replace("[_]", "\\_") for one in LIKELY]


def customers(connection: Connection, numbers: Sequence[str]) -> list[PointsShown]:
    """Give what some customers have; who is not there any more has None."""
    found: dict[str, PointsShown] = {}
    for start in range(0, len(numbers), sql.ROWS_AT_ONCE):
        some = CUSTOMERS.c.CUST_NO.in_(numbers[start : start + sql.ROWS_AT_ONCE])
        for row in connection.execute(select(CUSTOMERS).where(some)):
            shown = _shown(row)
            found[shown.cust_no] = shown
    return [found.get(one, PointsShown(cust_no=one, balance=None, is_enrolled=False)) for one in numbers]


def page(connection: Connection, after: str, count: int) -> list[PointsShown]:
    """Give the next customers behind a number, in their order."""
    query = select(CUSTOMERS).where(CUSTOMERS.c.CUST_NO > after).order_by(CUSTOMERS.c.CUST_NO).limit(count)
    return [_shown(row) for row in connection.execute(query)]


def _shown(row: Any) -> PointsShown:
    is_enrolled = bool(str(row.LOY_PGM_COD or "").strip()) and row.IS_ECOMM_CUST == "Y"
    return PointsShown(cust_no=str(row.CUST_NO).rstrip(), balance=int(row.LOY_PTS_BAL or 0), is_enrolled=is_enrolled)


def open_rows(settings: Points) -> Points:
    """Give the settings of those tables alone whose rows go on to another one, named alike and listed behind it."""
    names = [one.name for one in settings.rows]
    rows = [one for at, one in enumerate(settings.rows, 1) if one.name in names[at:]]
    return settings.model_copy(update={"rows": rows})


def new_rows(connection: Connection, settings: Points, *, after: int) -> list[tuple[int, HistoryRow]]:
    """Give the rows with a newer row version, each with that; `version` of the row itself is still to be given."""
    found: dict[str, tuple[int, HistoryRow]] = {}
    for rows in settings.rows:
        own = _rows_table(rows)
        newer = newer_than(own.c[rows.version], literal(after))
        for row in connection.execute(_rows_query(rows, own).where(newer)):
            one = _row(rows, row)
            found[one.row_id] = (max(int(row.row_version), found.get(one.row_id, (0, one))[0]), one)
    return [one for one in found.values() if (one[1].points or one[1].reference) and one[1].cust_no]


def our_rows(connection: Connection, settings: Points) -> list[HistoryRow]:
    """Give every row that carries a tag of ours; `version` is 0. They are few beside the shop's own."""
    found: dict[str, HistoryRow] = {}
    for rows in settings.rows:
        if rows.tag is None:
            continue
        own = _rows_table(rows)
        is_ours_there = or_(*(own.c[rows.tag].like(one) for one in OURS))
        for row in connection.execute(_rows_query(rows, own).where(is_ours_there)):
            one = _row(rows, row)
            found[one.row_id] = one
    return [one for one in found.values() if one.cust_no]


def _row(rows: PointsRows, row: Any) -> HistoryRow:
    return HistoryRow(
        row_id=f"{rows.name}:{row.id}",
        cust_no=str(row.cust_no or "").rstrip(),
        version=0,
        points=int(row.points or 0) - int(row.minus or 0),
        reference=str(row.tag or "").rstrip(),
    )


def _rows_query(rows: PointsRows, own: TableClause) -> Select[Any]:
    parts = own.c
    customer = parts.get(rows.customer)
    source: Any = own
    if rows.header:
        header = _table(rows.header, [rows.customer], [rows.key])
        customer = header.c[rows.customer]
        source = own.join(header, header.c[rows.key] == parts[rows.key])
    assert customer is not None
    return select(
        parts[rows.key].label("id"),
        customer.label("cust_no"),
        parts[rows.points].label("points"),
        (parts[rows.minus] if rows.minus else literal_column("0")).label("minus"),
        (parts[rows.tag] if rows.tag else literal_column("''")).label("tag"),
        row_version(parts[rows.version]).label("row_version"),
    ).select_from(source)


def unposted(connection: Connection, settings: Points) -> list[str]:
    """Give all of our tags among the adjustments that wait to be posted, sorted."""
    tag = _unposted_table(settings).c[settings.unposted.tag]
    query = select(tag).where(or_(*(tag.like(one) for one in OURS)))
    return sorted({str(one).rstrip() for one in connection.execute(query).scalars()})


def is_ours(row: HistoryRow) -> bool:
    """Say whether a row may have been an adjustment of ours."""
    return row.reference.startswith(tuple(one.removesuffix("%") for one in OURS))


def next_version(connection: Connection, *, above: int = 0) -> int:
    """Take the next version of points; the lock is held to the end of the transaction.

    So whoever takes a later one begins after this transaction's commit, and sees what it wrote.
    """
    app_lock(connection, LOCK)
    version = sql.CURSOR.c.VER
    mine = sql.CURSOR.c.TBL == VERSION
    last = connection.execute(select(version).where(mine)).scalar()
    following = max(int(last or 0), above) + 1
    values = {"VER": following, "AT_UTC": utcnow()}
    if last is None:
        connection.execute(insert(sql.CURSOR).values(TBL=VERSION, **values))
    else:
        connection.execute(update(sql.CURSOR).where(mine).values(**values))
    return following


def last_version(connection: Connection) -> int:
    """Give the version that was taken last."""
    return int(connection.execute(select(sql.CURSOR.c.VER).where(sql.CURSOR.c.TBL == VERSION)).scalar() or 0)


def adjust(connection: Connection, settings: Points, *, tag: str, cust_no: str, points: int) -> tuple[bool, int]:
    """Write an unposted adjustment unless its tag is there, unposted or posted (loyalty-R2).

    Gives whether it was written now, and a version: any reading with a later one shows it.

    Raises:
        Transient: There is no such customer now: he may have been merged, and nobody has heard of it yet.
    """
    version = next_version(connection)
    if _has(connection, settings, tag):
        return False, version
    there = select(CUSTOMERS.c.CUST_NO).where(CUSTOMERS.c.CUST_NO == cust_no)
    if connection.execute(there).first() is None:
        raise Transient(f"customer {cust_no} is not there any more; was he merged into another?")
    own = settings.unposted
    values: dict[str, Any] = {own.customer: cust_no, own.points: points, own.tag: tag, **own.values}
    if own.at:
        values[own.at] = utcnow()
    connection.execute(insert(_unposted_table(settings)).values(values))
    return True, version


def _has(connection: Connection, settings: Points, tag: str) -> bool:
    places = [(_unposted_table(settings), settings.unposted.tag)]
    places += [(_rows_table(rows), rows.tag) for rows in settings.rows if rows.tag]
    return any(
        connection.execute(select(where.c[name]).where(where.c[name] == tag)).first() is not None
        for where, name in places
    )
