"""`counterflow doctor`: look at every address, right, column and clock, and say in one line what is wrong.

It writes nothing anywhere. A check that cannot be made because an earlier one failed says so.
"""

import socket
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import KafkaError

from counterflow import kafka, topic_checks
from counterflow.cli.looks import Check, Visit, Wrong
from counterflow.clock import Clock, SystemClock
from counterflow.config import Config
from counterflow.errors import Trouble
from schemas.topics import HINTS, PARTITIONS, all_topics

CONNECT_S_MAX = 5.0  # A broker that does not answer is told within this; its client would try for half a minute.
SHOP = Path("shop.yaml")


def doctor(config: Config, clock: Clock) -> list[Check]:
    """Look at everything that the file names."""
    from counterflow.cli.doctor_counterpoint import look_at_counterpoint
    from counterflow.cli.doctor_points import look_at_cards, look_at_points
    from counterflow.cli.doctor_stores import look_at_stores

    visit = Visit()
    servers = config.kafka.servers
    broker = visit.look(f"Kafka at {servers}", lambda: _broker(servers))
    topics = visit.look("Kafka topics", lambda: _topics(config), after=broker)
    _look_at_settings(visit, config, topics)
    if config.state.url:
        visit.look("state database", partial(_state_database, config.state.url))
    look_at_counterpoint(visit, config, clock)
    look_at_stores(visit, config, clock, lambda name: _hooks_that_came(config, name) if broker.ok else 0)
    look_at_points(visit, config, clock)
    look_at_cards(visit, config, clock)
    return visit.checks


def _broker(servers: str) -> str:
    """Connect to one of the brokers."""
    reasons = []
    for server in servers.split(","):
        host, _, port = server.strip().rpartition(":")
        try:
            with socket.create_connection((host, int(port)), timeout=CONNECT_S_MAX):
                return "answers"
        except (OSError, ValueError) as error:
            reasons.append(f"{server}: {error}")
    raise Wrong(f"does not answer ({'; '.join(reasons)}); start the broker, or set kafka.servers to host:port")


def _look_at_settings(visit: Visit, config: Config, topics: Check) -> None:
    """Look at how the topics are set: then a line for each that is not as it should be."""
    found: dict[str, list[topic_checks.Difference]] = {}

    def look() -> str:
        client = kafka.admin(config.kafka.servers)
        try:
            there = set(client.list_topics())
            ours = all_topics(config.kafka.prefix, tuple(config.stores))
            own = {name: topic for name, topic in ours.items() if name in there}
            found.update(topic_checks.by_topic(topic_checks.differences(client, own)))
        finally:
            client.close()
        if found:
            raise Wrong(f"{len(found)} are not set as they should be; a line for each follows")
        return "as they should be"

    visit.look("Kafka topics' settings", look, after=topics)
    for name, some in found.items():
        visit.look(f"topic {name}", partial(_refuse, topic_checks.says(config.kafka.servers, some)))


def _refuse(says: str) -> str:
    raise Wrong(says)


def _topics(config: Config) -> str:
    client = kafka.admin(config.kafka.servers)
    try:
        there = set(client.list_topics())
        ours = all_topics(config.kafka.prefix, tuple(config.stores))
        found = [name for name in ours if name in there]
        if found:
            kafka.describe(client, found)
    except KafkaError as error:
        raise Wrong(f"the broker does not list its topics ({error!r}); see its log") from error
    finally:
        client.close()
    missing = len(ours) - len(found)
    return f"{len(found)} with {PARTITIONS} partitions" + (f", {missing} are made at the first start" * bool(missing))


def _state_database(url: str) -> str:
    from counterflow.state.database import begin, open_database

    engine = open_database(url)
    try:
        with begin(engine) as connection:
            version = connection.exec_driver_sql("SHOW server_version").scalar_one()
    except Trouble as error:
        raise Wrong(f"{error}; check state.url: address, database, user, password") from error
    finally:
        engine.dispose()
    return f"PostgreSQL {version}"


def _hooks_that_came(config: Config, store: str) -> int:
    """Count the web hooks of a store that were ever taken."""
    name = HINTS.named(config.kafka.prefix, system=store)
    client: KafkaAdminClient = kafka.admin(config.kafka.servers)
    try:
        if name not in set(client.list_topics()):
            return 0
        parts = {TopicPartition(name, part): OffsetSpec.LATEST for part in range(PARTITIONS)}
        return sum(found.offset for found in client.list_partition_offsets(parts).values())
    except KafkaError:
        return 0  # The topics' own line tells of the broker.
    finally:
        client.close()


def lines(checks: Sequence[Check]) -> list[str]:
    """Give one line for each check, and one for all of them."""
    wrong = sum(not one.ok for one in checks)
    end = f"{wrong} of {len(checks)} checks are wrong" if wrong else f"all {len(checks)} checks are well"
    return [*(one.line() for one in checks), end]


def command(
    config: Annotated[Path, typer.Option("--config", help="The shop's file.")] = SHOP,
    as_json: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
) -> None:
    """Look at every address, right, column and clock of the set-up; exit 1 if anything is wrong."""
    from counterflow.cli.main import configured, tell

    checks = doctor(configured(config, "doctor"), SystemClock())
    answer = [{"what": one.what, "ok": one.ok, "says": one.says} for one in checks]
    tell(as_json, answer, lambda: lines(checks))
    raise typer.Exit(0 if all(one.ok for one in checks) else 1)


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command("doctor")(command)
