"""The doctor's looks at Counterpoint: its database, its REST server, and whether its documents commit stock."""

from collections.abc import Callable, Collection
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import (
    Connection,
    Delete,
    Engine,
    Insert,
    Table,
    Update,
    delete,
    false,
    insert,
    or_,
    select,
    update,
)

from counterflow.cli.looks import Visit, Wrong, offset
from counterflow.clock import Clock
from counterflow.config import Config
from counterflow.errors import Trouble
from counterflow.systems.counterpoint import sql, tracking
from counterflow.systems.counterpoint.client import CounterpointClient
from counterflow.systems.counterpoint.dialects import utcnow

DOCUMENTS_LOOKED_AT = 5  # Of our open orders, the newest: enough to tell whether they commit stock.
SQL_PAGE = "docs/how-to/sql-server.md"
MEND_SQL = f"check counterpoint.sql.url: address, database, user, password ({SQL_PAGE})"
MEND_REST = "check counterpoint.rest.url, that the server runs, and that this machine may reach it"
Answer = TypeVar("Answer")


def look_at_counterpoint(visit: Visit, config: Config, clock: Clock) -> None:
    """Look at both ways into Counterpoint."""
    _look_at_database(visit, config, clock)
    _look_at_server(visit, config, clock)


def _look_at_database(visit: Visit, config: Config, clock: Clock) -> None:
    try:
        engine = sql.open_engine(config.counterpoint.sql.url.get_secret_value())
    except Trouble as error:
        visit.look("Counterpoint's database", partial(_raise, error))
        return
    database = visit.look("Counterpoint's database", lambda: _asked(engine, _name))
    visit.look("Counterpoint's columns", lambda: _asked(engine, _columns), after=database)
    for table, verbs in _own_tables(config):
        visit.look(f"table {table.name}", partial(_own, engine, table, verbs), after=database)
    visit.look("snapshot isolation", lambda: _snapshot(engine), after=database)
    if config.counterpoint.sql.source == "change_tracking":
        visit.look("Change Tracking", lambda: _tracking(engine), after=database)
    visit.look("Counterpoint's clock", lambda: offset(_asked(engine, _now), clock), after=database)
    engine.dispose()


def _raise(error: Trouble) -> str:
    raise error


def _asked(engine: Engine, ask: Callable[[Connection], Answer]) -> Answer:
    """Ask the database; where it refuses, say what to mend."""
    try:
        with sql.reading(engine, snapshot=False) as connection:
            return ask(connection)
    except Wrong:
        raise
    except Trouble as error:
        raise Wrong(f"{_plain(error)}; {MEND_SQL}") from error


def _plain(error: Trouble) -> str:
    """Leave out the advice to ask the doctor."""
    return str(error).removesuffix("; run counterflow doctor")


def _name(connection: Connection) -> str:
    connection.exec_driver_sql("SELECT 1")
    return f"answers ({connection.dialect.name})"


def _columns(connection: Connection) -> str:
    own = sql.CLAIM.name
    missing = [name for name in sql.missing_columns(connection) if not name.startswith(own)]
    if missing:
        raise Wrong(
            f"not there, or our login may not read it: {', '.join(missing)}; grant SELECT ({SQL_PAGE}), "
            "or open an issue that names your version of Counterpoint"
        )
    return "all that are needed are there"


def _now(connection: Connection) -> datetime:
    there: datetime = connection.execute(select(utcnow())).scalar_one()
    return there.replace(tzinfo=UTC)


def _own_tables(config: Config) -> list[tuple[Table, tuple[str, ...]]]:
    """Give our own tables in Counterpoint's database, and what we do with each."""
    claim, cursor = ((table, ("insert", "update")) for table in (sql.CLAIM, sql.CURSOR))
    if config.counterpoint.sql.source == "change_tracking":
        return [claim, cursor]
    points = [cursor] if config.counterpoint.points else []  # Their readings and adjustments are numbered there.
    return [claim, (sql.QUEUE, ("delete",)), *points]


def touching_nothing(table: Table) -> dict[str, Insert | Update | Delete]:
    """Give a statement for each right that needs the right and touches no row."""
    return {
        "insert": insert(table).from_select(list(table.c), select(table).where(false())),
        "update": update(table).where(false()).values({table.c.AT_UTC: None}),
        "delete": delete(table).where(false()),
    }


def _own(engine: Engine, table: Table, verbs: tuple[str, ...]) -> str:
    try:
        with sql.writing(engine) as connection:
            connection.execute(select(table).where(false()))
            for verb in verbs:
                connection.execute(touching_nothing(table)[verb])
    except Trouble as error:
        raise Wrong(f"{_plain(error)}; make it and grant SELECT, {', '.join(verbs).upper()} ({SQL_PAGE})") from error
    return f"is there; we may {', '.join(verbs)}"


def _snapshot(engine: Engine) -> str:
    """Read one of Counterpoint's tables in a snapshot: the server refuses at the first row where it is off."""
    try:
        with sql.reading(engine, snapshot=True) as connection:
            connection.execute(select(sql.AR_CUST.c.CUST_NO).limit(1))
    except Trouble as error:
        raise Wrong(
            f"{_plain(error)}; ALTER DATABASE ... SET ALLOW_SNAPSHOT_ISOLATION ON, else readers see half a change "
            f"({SQL_PAGE})"
        ) from error
    return "may be used"


def _tracking(engine: Engine) -> str:
    try:
        with tracking.connect(engine) as server:
            off = [name for name, table in sql.TRACKED.items() if server.versions(table).lowest is None]
    except Trouble as error:
        raise Wrong(f"{_plain(error)}; {SQL_PAGE} has the statements that switch it on") from error
    if off:
        raise Wrong(f"off, or no right to see it, for {', '.join(off)}; {SQL_PAGE} has the statements")
    return "on for every table"


def _look_at_server(visit: Visit, config: Config, clock: Clock) -> None:
    rest = config.counterpoint.rest
    client = CounterpointClient(rest, clock)
    server = visit.look("Counterpoint's REST server", lambda: _company(client), mend=MEND_REST)
    visit.look(
        f"workgroup {rest.workgroup}", lambda: _workgroup(client, rest.workgroup, config.nobody.templates), after=server
    )
    for name, store in config.stores.items():
        place = store.orders.store, store.orders.station
        look = partial(_station, client, *place, f"stores.{name}.orders")
        visit.look(f"station {place[1]} of store {place[0]} ({name})", look, after=server)
    visit.look("documents commit stock", lambda: _commits(config, client), after=server)


def _company(client: CounterpointClient) -> str:
    return f"login and key are right; company {client.company().get('CompanyAlias', '?')}"


def _station(client: CounterpointClient, store: str, station: str, where: str) -> str:
    try:
        client.store(store, station)
    except Trouble as error:
        raise Wrong(f"{error}; set {where}.store and .station to ones that Counterpoint has") from error
    return "is there"


def _workgroup(client: CounterpointClient, number: str, templates: Collection[str]) -> str:
    try:
        row = client.workgroup(number).get("SY_WRKGRP")
    except Trouble as error:
        raise Wrong(f"{error}; set counterpoint.rest.workgroup to one that Counterpoint has") from error
    template = row.get("TMPLT_CUST_NO") if isinstance(row, dict) else None
    if not template:
        raise Wrong(f"workgroup {number} has no template customer: new customers cannot be made; enter one there")
    if template not in templates:
        raise Wrong(
            f"new customers come from template {template}, which is nobody: write nobody.templates: [{template}]"
        )
    return f"new customers come from template {template}"


def _commits(config: Config, client: CounterpointClient) -> str:
    """Compare what open order documents of ours hold with QTY_COMMIT of their items (counterpoint 9.7)."""
    says = config.counterpoint.orders_commit_stock
    engine = sql.open_engine(config.counterpoint.sql.url.get_secret_value())
    try:
        seen = _asked(engine, lambda connection: _measure(connection, config, client))
    finally:
        engine.dispose()
    if not seen:
        return (
            f"not measured: no open order of ours is in Counterpoint; the file says {str(says).lower()}. "
            "Place a test order and ask again"
        )
    short = next((one for one in seen if one[2] < one[1]), None)
    if says and short:
        raise Wrong(
            f"an open order of ours holds {short[1]:f} of {short[0]}, and its QTY_COMMIT is {short[2]:f}: they do not; "
            "set counterpoint.orders_commit_stock to false, or web orders are not subtracted"
        )
    if not says and short is None:
        raise Wrong(
            f"QTY_COMMIT of {len(seen)} items covers what our open orders hold: they do; "
            "set counterpoint.orders_commit_stock to true, or web orders are subtracted twice"
        )
    return f"{'they do' if says else 'they do not'}, as the file says; seen at {len(seen)} items of open orders"


def _measure(connection: Connection, config: Config, client: CounterpointClient) -> list[tuple[str, Decimal, Decimal]]:
    """Give item, held quantity and QTY_COMMIT for the items of our newest open orders."""
    header = sql.PS_DOC_HDR.c
    ours = or_(
        *(header.CUST_PO_NO.startswith(store.orders.prefix, autoescape=True) for store in config.stores.values())
    )
    query = select(header.DOC_ID, header.STK_LOC_ID).where(header.DOC_TYP == "O", ours)
    held: dict[tuple[str, str], Decimal] = {}
    for row in connection.execute(query.order_by(header.DOC_ID.desc()).limit(DOCUMENTS_LOOKED_AT)):
        for line in _lines(client, int(row.DOC_ID)):
            key = (str(line["ITEM_NO"]), str(line.get("STK_LOC_ID") or row.STK_LOC_ID or "").rstrip())
            held[key] = held.get(key, Decimal(0)) + Decimal(str(line["QTY_SOLD"]))
    there = sql.rows_by_key(connection, sql.IM_INV, list(held))
    return [(key[0], count, Decimal(str(there[key]["QTY_COMMIT"] or 0))) for key, count in held.items() if key in there]


def _lines(client: CounterpointClient, doc_id: int) -> list[dict[str, Any]]:
    try:
        lines: list[dict[str, Any]] = client.document(doc_id).get("PS_DOC_LIN") or []
    except Trouble:
        return []  # Posted since we looked, or not ours to read; the others tell as much.
    return [line for line in lines if line.get("ITEM_NO") and line.get("QTY_SOLD") is not None]
