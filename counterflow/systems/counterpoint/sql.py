"""Counterpoint's database: the columns we need, the look-ups, and our own three tables in it.

One code for SQL Server and for the sandbox's PostgreSQL; what differs stands in `dialects.py`. Not yet run on a SQL
Server: every statement that reaches one is compared with a golden file instead (docs/facts/sql-server.md 8).
"""

import importlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Engine,
    MetaData,
    Numeric,
    Select,
    String,
    Table,
    and_,
    bindparam,
    case,
    create_engine,
    delete,
    event,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy import text as sql
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, NoSuchModuleError

from counterflow.errors import Broken, Rejected, Transient
from counterflow.sqlstates import numbers_of, refusal, state_of
from counterflow.systems.counterpoint.dialects import utcnow

metadata = MetaData()
_TEXT, _NUMBER, _TIME, _BIG = String(), Numeric(15, 4), DateTime(), BigInteger()


def _table(name: str, keys: Sequence[str], texts: str, numbers: str = "", times: str = "RS_UTC_DT") -> Table:
    """Declare what we need of a table. implicit_returning: no OUTPUT on tables that may have triggers (error 334)."""
    columns = [Column(key, _BIG if key == "DOC_ID" else _TEXT, primary_key=True) for key in keys]
    for names, kind in ((texts, _TEXT), (numbers, _NUMBER), (times, _TIME)):
        columns += [Column(column, kind) for column in names.split()]
    return Table(name, metadata, *columns, implicit_returning=False)


AR_CUST = _table(
    "AR_CUST",
    ["CUST_NO"],
    "NAM FST_NAM LST_NAM EMAIL_ADRS_1 EMAIL_ADRS_2 PHONE_1 ADRS_1 ADRS_2 CITY STATE ZIP_COD CNTRY CATEG_COD "
    "CUST_NAM_TYP IS_ECOMM_CUST INCLUDE_IN_MARKETING_MAILOUTS",
    "LOY_PTS_BAL",
    "RS_UTC_DT LST_SAL_DAT",
)
IM_ITEM = _table("IM_ITEM", ["ITEM_NO"], "DESCR CATEG_COD STAT IS_ECOMM_ITEM", "PRC_DECS")
IM_INV = _table("IM_INV", ["ITEM_NO", "LOC_ID"], "", "QTY_ON_HND QTY_COMMIT")
_HEADER = "DOC_TYP TKT_NO CUST_NO CUST_PO_NO STR_ID STA_ID STK_LOC_ID"
PS_DOC_HDR = _table("PS_DOC_HDR", ["DOC_ID"], _HEADER, "RET_LINS")
# Posted documents leave the open table: what is not in one may be in another (design 7, absence is not deletion).
PS_ORD_HIST = _table("PS_ORD_HIST", ["DOC_ID"], "DOC_TYP CUST_NO CUST_PO_NO", times="")
PS_TKT_HIST = _table("PS_TKT_HIST", ["DOC_ID"], "DOC_TYP CUST_NO CUST_PO_NO", times="")

QUEUE = Table(
    "USR_CF_QUEUE",
    metadata,
    Column("SEQ", BigInteger, primary_key=True),
    Column("TBL", _TEXT),
    Column("K", _TEXT),
    Column("OP", _TEXT),
    Column("AT_UTC", _TIME),
    implicit_returning=False,
)
CURSOR = Table(
    "USR_CF_CURSOR",
    metadata,
    Column("TBL", _TEXT, primary_key=True),
    Column("VER", BigInteger),
    Column("AT_UTC", _TIME),
    implicit_returning=False,
)
CLAIM = Table(
    "USR_CF_CLAIM",
    metadata,
    Column("CLAIM_KEY", _TEXT, primary_key=True),
    Column("STATE", _TEXT),
    Column("REMOTE", _TEXT),
    Column("AT_UTC", _TIME),
    implicit_returning=False,
)

# Documents before stock: an item's figures must never be read before the document that moved them.
TRACKED: Mapping[str, Table] = {str(table.name): table for table in (AR_CUST, IM_ITEM, PS_DOC_HDR, IM_INV)}
COLUMNS = sql(
    "SELECT TABLE_NAME AS tbl, COLUMN_NAME AS col FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_NAME IN :tables"
).bindparams(bindparam("tables", expanding=True))
ROWS_AT_ONCE = 200  # Of one look-up by keys: far below SQL Server's 2,100 parameters.
FREETDS = "freetds"
LOGIN_S_MAX = 10
QUERY_S_MAX = 60
# PostgreSQL's and ODBC's names for: no such table or column, no right, wrong login, no such database, no such driver.
LASTING_STATES = {"42P01", "42703", "42501", "42S02", "42S22", "28P01", "28000", "3D000", "IM002"}
# SQL Server's: wrong syntax, no such column or object, no right (three), no access to the database, no such procedure,
# snapshots not allowed, change tracking off, change tracking not on for the table.
LASTING_NUMBERS = {102, 156, 207, 208, 229, 230, 262, 297, 916, 2812, 3952, 22104, 22105}


def open_engine(url: str) -> Engine:
    """Open Counterpoint's database. pyodbc is loaded here, and only for a SQL Server.

    Raises:
        Broken: The driver is missing, or is one that crashes with the settings asked for.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() != "mssql":
        options = {"connect_timeout": 5, "options": "-c timezone=utc -c statement_timeout=60000"}
        return create_engine(parsed, pool_size=6, pool_pre_ping=True, connect_args=options)
    if FREETDS in url.lower() and "fast_executemany" in url.lower():
        raise Broken("fast_executemany crashes with the FreeTDS driver; take it out of counterpoint.sql.url")
    try:
        importlib.import_module("pyodbc")
    except ImportError as error:
        raise Broken(
            f"the ODBC library is missing ({error}); install the packages unixodbc and tdsodbc, "
            "or Microsoft's ODBC Driver 18 for SQL Server"
        ) from error
    try:
        engine = create_engine(parsed, pool_size=6, pool_pre_ping=True, connect_args={"timeout": LOGIN_S_MAX})
    except NoSuchModuleError as error:
        raise Broken(f"counterpoint.sql.url: {error}") from error
    event.listen(engine, "connect", _limit_queries)
    return engine


def _limit_queries(connection: Any, _record: Any) -> None:
    """Give pyodbc its time limit for queries; the one it is opened with is for the login alone."""
    connection.timeout = QUERY_S_MAX


@contextmanager
def reading(engine: Engine, *, snapshot: bool) -> Iterator[Connection]:
    """Open a transaction to read in; with `snapshot` all its statements see one moment.

    Raises:
        Transient: The database does not answer.
        Rejected: It takes a value for none of its columns, or a rule of a table is broken.
        Broken: A right or a table is missing; the message is the server's own first line.
    """
    with troubles():
        opened = engine.connect()
        try:
            level = "SNAPSHOT" if engine.dialect.name == "mssql" else "REPEATABLE READ"
            with opened.execution_options(**({"isolation_level": level} if snapshot else {})).begin():
                yield opened
        finally:
            opened.close()


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open a transaction to write our own tables in. Raises as `reading`."""
    with troubles(), engine.begin() as opened:
        yield opened


@contextmanager
def troubles() -> Iterator[None]:
    """Turn the driver's errors into ours: what is refused for good, what is missing or forbidden, and what may pass."""
    try:
        yield
    except DBAPIError as error:
        refused = refusal(error)
        if refused:
            raise Rejected(f"Counterpoint's database: {refused}") from error
        line = str(error.orig).splitlines()[0] if str(error.orig) else type(error.orig).__name__
        if needs_a_person(error.orig):
            raise Broken(f"Counterpoint's database: {line}; run counterflow doctor") from error
        raise Transient(f"Counterpoint's database: {line}") from error


def needs_a_person(error: BaseException | None) -> bool:
    """Say whether a driver's error stays until the set-up is mended: a wrong name, right, login or driver.

    SQL Server's 42000 is no answer by itself. Our own lock's time-out, a snapshot's conflict and a database that is
    being recovered have it too, and they pass; so there the server's own number counts.
    """
    state = state_of(error)
    if state == "42000":
        return bool(numbers_of(error) & LASTING_NUMBERS)
    return state in LASTING_STATES


def missing_columns(connection: Connection) -> list[str]:
    """Say which of the columns we need are not there, as TABLE.COLUMN (counterpoint 10.1).

    INFORMATION_SCHEMA shows what our login may use: of a table without a right no column is seen.
    """
    names = [*TRACKED, CLAIM.name]
    there = {(row.tbl, row.col) for row in connection.execute(COLUMNS, {"tables": names})}
    missing = []
    for table in (*TRACKED.values(), CLAIM):
        gone = [f"{table.name}.{column.name}" for column in table.c if (table.name, column.name) not in there]
        missing += gone if len(gone) < len(table.c) else [f"{table.name} (no such table, or no right to read it)"]
    return missing


def check_columns(engine: Engine) -> None:
    """Look whether every column we need is there. Raises Broken naming those that are not."""
    with reading(engine, snapshot=False) as connection:
        missing = missing_columns(connection)
    if missing:
        raise Broken(f"Counterpoint's database lacks {', '.join(missing)}; counterflow needs it")


def page(table: Table, after: Sequence[str], count: int) -> Select[Any]:
    """Select the next rows behind a key, in its order: one page of a full reading."""
    keys = list(table.primary_key)
    query = select(table).order_by(*keys).limit(count)
    if not after:
        return query
    if len(keys) == 1:
        return query.where(keys[0] > _key_value(keys[0], after[0]))
    first, second = keys
    return query.where(or_(first > after[0], and_(first == after[0], second > after[1])))


def rows_by_key(
    connection: Connection, table: Table, keys: Sequence[Sequence[str]]
) -> dict[tuple[str, ...], dict[str, Any]]:
    """Read the rows of some keys as they are now; what is gone is not among them."""
    found = {}
    columns = list(table.primary_key)
    for start in range(0, len(keys), ROWS_AT_ONCE):
        some = keys[start : start + ROWS_AT_ONCE]
        match = or_(
            *(
                and_(*(column == _key_value(column, part) for column, part in zip(columns, key, strict=True)))
                for key in some
            )
        )
        for row in connection.execute(select(table).where(match)).mappings():
            plain = plain_row(row)
            found[tuple(str(plain[column.name]) for column in columns)] = plain
    return found


def _key_value(column: Column[Any], value: str) -> Any:
    return int(value) if isinstance(column.type, BigInteger) else value


def plain_row(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Give a row as JSON holds it: decimals as text, times in ISO form, no blanks behind a text."""
    return {str(name): _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.isoformat()
    return value.rstrip() if isinstance(value, str) else value


def row_json(row: Mapping[str, Any]) -> bytes:
    """Give a plain row as it goes on the topic."""
    return json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode()


def customers_with_email(connection: Connection, email: str) -> list[tuple[str, bool]]:
    """Find customers by e-mail, whatever its capitals: (CUST_NO, flagged e-commerce), flagged and low numbers first."""
    wanted = email.lower()
    match = or_(func.lower(AR_CUST.c.EMAIL_ADRS_1) == wanted, func.lower(AR_CUST.c.EMAIL_ADRS_2) == wanted)
    rows = connection.execute(select(AR_CUST.c.CUST_NO, AR_CUST.c.IS_ECOMM_CUST).where(match))
    found = [(str(row.CUST_NO).rstrip(), row.IS_ECOMM_CUST == "Y") for row in rows]
    return sorted(found, key=lambda one: (not one[1], one[0]))


def customer(connection: Connection, cust_no: str) -> dict[str, Any] | None:
    """Read one customer as a plain row; None where there is none."""
    row = connection.execute(select(AR_CUST).where(AR_CUST.c.CUST_NO == cust_no)).mappings().first()
    return None if row is None else plain_row(row)


def documents_with_marker(connection: Connection, marker: str, tables: Iterable[Table]) -> list[tuple[int, str, str]]:
    """Find documents by our marker, open and posted: (DOC_ID, DOC_TYP, CUST_NO)."""
    found = []
    for table in tables:
        columns = (table.c.DOC_ID, table.c.DOC_TYP, table.c.CUST_NO)
        for row in connection.execute(select(*columns).where(table.c.CUST_PO_NO == marker)):
            found.append((int(row.DOC_ID), str(row.DOC_TYP).rstrip(), str(row.CUST_NO or "").rstrip()))
    return found


def document_tables(connection: Connection) -> list[Table]:
    """Give the tables that documents stand in on this installation: names of posted ones differ by version."""
    query = sql("SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_NAME IN :names").bindparams(
        bindparam("names", expanding=True)
    )
    names = [PS_ORD_HIST.name, PS_TKT_HIST.name]
    there = set(connection.execute(query, {"names": names}).scalars())
    return [PS_DOC_HDR, *(table for table in (PS_ORD_HIST, PS_TKT_HIST) if table.name in there)]


def take_claim(connection: Connection, key: str, *, keep_out_s: float) -> float:
    """Claim the making of something, before the request is sent. Gives 0, or how long to wait before looking again.

    A claim that was never answered keeps others out until the server can no longer carry the request out; after
    that whoever comes looks at the target, and may claim again.
    """
    row = connection.execute(select(CLAIM, utcnow().label("now")).where(CLAIM.c.CLAIM_KEY == key)).first()
    if row is None:
        connection.execute(insert(CLAIM).values(CLAIM_KEY=key, STATE="sent", AT_UTC=utcnow()))
        return 0.0
    age = row.now.replace(tzinfo=UTC) - row.AT_UTC.replace(tzinfo=UTC)
    if row.STATE == "sent" and age < timedelta(seconds=keep_out_s):
        left: timedelta = timedelta(seconds=keep_out_s) - age
        return left.total_seconds()
    connection.execute(update(CLAIM).where(CLAIM.c.CLAIM_KEY == key).values(STATE="sent", AT_UTC=utcnow()))
    return 0.0


def done_claim(connection: Connection, key: str) -> str | None:
    """Give what a claim made, if it was answered so; None where nothing is known to have been made."""
    found = connection.execute(select(CLAIM.c.REMOTE).where(CLAIM.c.CLAIM_KEY == key, CLAIM.c.STATE == "done")).first()
    return None if found is None else str(found.REMOTE or "")


def settle_claim(connection: Connection, key: str, *, state: str, remote: str = "") -> None:
    """Note that a claim was answered: "done", or "refused" (nothing was made)."""
    connection.execute(
        update(CLAIM).where(CLAIM.c.CLAIM_KEY == key).values(STATE=state, REMOTE=remote, AT_UTC=utcnow())
    )


def queue_rows(most: int) -> Select[Any]:
    """Select what waits in the queue, documents first (see TRACKED)."""
    return select(QUEUE).order_by(case((QUEUE.c.TBL == PS_DOC_HDR.name, 0), else_=1), QUEUE.c.SEQ).limit(most)


def forget_queue_rows(connection: Connection, numbers: Sequence[int]) -> None:
    """Delete exactly the rows that were published; never by a high-water mark (sql-server 5.5)."""
    for start in range(0, len(numbers), ROWS_AT_ONCE):
        connection.execute(delete(QUEUE).where(QUEUE.c.SEQ.in_(numbers[start : start + ROWS_AT_ONCE])))
