"""`counterflow doctor`: look at every address, right, column and clock, and say in one line what is wrong.

It writes nothing anywhere. A check that cannot run because an earlier one failed says so.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from counterflow import kafka
from counterflow.clock import Clock, SystemClock
from counterflow.config import Config, Store
from counterflow.errors import Trouble

if TYPE_CHECKING:
    from counterflow.systems.woocommerce.client import WooClient

CLOCK_S_MAX = 30.0  # Further apart, "the more recent change wins" would begin to lie.
HOOK_PORTS = {80, 443, 8080}  # WordPress's own rule (W-106).
SHOP = Path("shop.yaml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One look: what was looked at, whether it is well, and what to do where it is not."""

    what: str
    ok: bool
    says: str

    def line(self) -> str:
        """Give the check in one line."""
        return f"{'ok   ' if self.ok else 'WRONG'}  {self.what}: {self.says}"


Look = Callable[[], str]  # Gives what it saw; raises Trouble with what is wrong and how to mend it.


class Wrong(Trouble):
    """What a look found, and how to mend it."""


def doctor(config: Config, clock: Clock) -> list[Check]:
    """Look at everything that the file names."""
    return [*look_at_broker(config), *look_at_counterpoint(config, clock), *look_at_stores(config, clock)]


def _check(what: str, look: Look) -> Check:
    try:
        return Check(what=what, ok=True, says=look())
    except Trouble as error:
        return Check(what=what, ok=False, says=str(error))


def look_at_broker(config: Config) -> Iterator[Check]:
    """Look at Kafka and the state database."""

    def topics() -> str:
        client = kafka.admin(config.kafka.servers)
        try:
            from schemas.topics import all_topics

            there = set(client.list_topics())
            ours = [name for name in all_topics(config.kafka.prefix, tuple(config.stores)) if name in there]
            kafka.describe(client, ours)
        finally:
            client.close()
        return f"answers; {len(ours)} of our topics are there, the rest is made at the first start"

    yield _check(f"Kafka at {config.kafka.servers}", topics)
    if config.state.url:
        yield _check("state database", lambda: _state_database(config))


def _state_database(config: Config) -> str:
    from counterflow.state.database import begin, open_database

    assert config.state.url is not None
    with begin(open_database(config.state.url)) as connection:
        version = connection.exec_driver_sql("SHOW server_version").scalar_one()
    return f"PostgreSQL {version}"


def look_at_counterpoint(config: Config, clock: Clock) -> Iterator[Check]:
    """Look at Counterpoint's database and REST server."""
    from counterflow.systems.counterpoint.client import CounterpointClient

    yield _check("Counterpoint's database", lambda: _columns(config))
    if config.counterpoint.sql.source == "change_tracking":
        yield _check("Change Tracking", lambda: _tracking(config))
    yield _check("Counterpoint's clock", lambda: _database_clock(config, clock))
    client = CounterpointClient(config.counterpoint.rest, clock)
    company = _check("Counterpoint's REST server", lambda: f"company {client.company().get('CompanyAlias', '?')}")
    yield company
    group = config.counterpoint.rest.workgroup
    looks: list[tuple[str, Look]] = [(f"workgroup {group}", lambda: _workgroup(client.workgroup(group), group))]
    for name, store in config.stores.items():
        place = (store.orders.store, store.orders.station)
        looks.append((f"station {place[1]} of store {place[0]} ({name})", _station(client.store, place)))
    for what, look in looks:
        yield _check(what, look) if company.ok else Check(what=what, ok=False, says="not looked at: no REST server")
    yield Check(
        what="do documents commit stock",
        ok=True,
        says=f"the file says {str(config.counterpoint.orders_commit_stock).lower()}; place one test order and look at "
        "QTY_COMMIT of its item (docs/facts/counterpoint.md 9.7)",
    )


def _station(ask: Callable[[str, str], object], place: tuple[str, str]) -> Look:
    def look() -> str:
        ask(*place)
        return "is there"

    return look


def _workgroup(answer: dict[str, object], number: str) -> str:
    row = answer.get("SY_WRKGRP")
    template = row.get("TMPLT_CUST_NO") if isinstance(row, dict) else None
    if not template:
        raise Wrong(f"workgroup {number} has no template customer: new customers cannot be made; enter one there")
    return f"new customers come from template {template}"


def _columns(config: Config) -> str:
    from counterflow.systems.counterpoint import sql

    engine = sql.open_engine(config.counterpoint.sql.url.get_secret_value())
    sql.check_columns(engine)
    return "every column that is needed is there"


def _tracking(config: Config) -> str:
    from counterflow.systems.counterpoint import sql, tracking

    engine = sql.open_engine(config.counterpoint.sql.url.get_secret_value())
    with tracking.connect(engine) as server:
        off = [name for name, table in sql.TRACKED.items() if server.versions(table).lowest is None]
    if off:
        raise Wrong(f"off, or no right to see it, for {', '.join(off)}; docs/how-to/sql-server.md has the statements")
    return "on for every table"


def _database_clock(config: Config, clock: Clock) -> str:
    from sqlalchemy import select

    from counterflow.systems.counterpoint import sql
    from counterflow.systems.counterpoint.dialects import utcnow

    engine = sql.open_engine(config.counterpoint.sql.url.get_secret_value())
    with sql.reading(engine, snapshot=False) as connection:
        there: datetime = connection.execute(select(utcnow())).scalar_one().replace(tzinfo=UTC)
    return _offset(there, clock)


def _offset(there: datetime, clock: Clock) -> str:
    seconds = (there - clock.now()).total_seconds()
    if abs(seconds) > CLOCK_S_MAX:
        raise Wrong(f"differs from ours by {seconds:.0f} s; let both machines take their time from a time server")
    return f"{seconds:+.1f} s from ours"


def look_at_stores(config: Config, clock: Clock) -> Iterator[Check]:
    """Look at each web store."""
    from counterflow.systems.woocommerce.client import WooClient

    for name, store in config.stores.items():
        try:
            client = WooClient(name, store, clock)
        except Trouble as error:
            yield Check(what=f"store {name}", ok=False, says=str(error))
            continue
        answers = _check(f"store {name}", lambda client=client: f"WooCommerce {client.version()}")  # type: ignore[misc]
        yield answers
        if not answers.ok:
            yield Check(what=f"web hooks of {name}", ok=False, says="not looked at: the store does not answer")
            continue
        yield _check(f"clock of {name}", lambda client=client: _offset(_store_time(client), clock))  # type: ignore[misc]
        yield _check(f"web hooks of {name}", lambda client=client, store=store: _hooks(client, store))  # type: ignore[misc]


def _store_time(client: "WooClient") -> datetime:
    header = client.date()
    if not header:
        raise Wrong("the store's answers carry no Date header; compare the clocks by hand")
    return parsedate_to_datetime(header)


def _hooks(client: "WooClient", store: Store) -> str:
    if store.hooks is None:
        return "not used; the store is only polled"
    parts = urlsplit(store.hooks.url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    ours = [row for row in client.page("webhooks") if row["delivery_url"] == store.hooks.url]
    off = [row["topic"] for row in ours if row["status"] != "active"]
    if off:
        raise Wrong(f"the store has switched off {', '.join(off)}; a running pipeline switches them on again")
    note = "" if port in HOOK_PORTS else f"; port {port} is none that WordPress lets itself send to (W-106)"
    return f"{len(ours)} registered, the rest is at the first start{note}"


def command(
    config: Annotated[Path, typer.Option("--config", help="The shop's file.")] = SHOP,
    as_json: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
) -> None:
    """Look at every address, right, column and clock of the set-up; exit 1 if anything is wrong."""
    from counterflow.cli.main import configured, tell

    checks = doctor(configured(config, "doctor"), SystemClock())
    answer = [{"what": one.what, "ok": one.ok, "says": one.says} for one in checks]
    tell(as_json, answer, lambda: [one.line() for one in checks])
    raise typer.Exit(0 if all(one.ok for one in checks) else 1)


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command("doctor")(command)
