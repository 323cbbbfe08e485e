"""Benches: figures that anyone can get, as ratios measured side by side in one run. Goals stand beside them.

`decide`: how many changes a second are mapped, mirrored and decided, by the Faust engine and by a bare loop of
confluent-kafka with the very same handlers, on the same messages.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import yaml
from rich.console import Console
from sqlalchemy import create_engine, text

from counterflow import kafka
from counterflow.cli.roles import shop
from counterflow.clock import SystemClock
from counterflow.config import load
from counterflow.errors import Broken
from counterflow.state.database import migrate, open_database
from counterflow.state.server import embedded
from counterflow.systems.registry import readers
from sandbox.broker import Broker
from sandbox.shop import generate
from schemas.changes import Change, Source, encode_key
from schemas.topics import CHANGES, all_topics

GOAL_PER_S = 2000
BATCH = 500
console = Console(stderr=True)


def decide(changes: int) -> dict[str, Any]:
    """Measure both engines on the same messages, one after the other."""
    from processors.batch import Batches

    with tempfile.TemporaryDirectory(prefix="counterflow-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        postgres = embedded(folder / "postgres")
        try:
            with Broker(folder / "kafka") as broker:
                config_file = _write_config(folder, broker.servers, postgres.url("faust"))
                config = load(config_file)
                client = kafka.admin(broker.servers)
                kafka.create_topics(client, all_topics("", tuple(config.stores)), replication=1)
                client.close()
                count = _fill(broker.servers, changes)
                faust_per_s = _run_faust(config_file, postgres.url("faust"), count)
                engine = open_database(postgres.url("bare"))
                migrate(engine)
                batches = Batches(
                    engine,
                    kafka.Publisher(broker.servers, client_id="bench"),
                    shop(config),
                    readers=readers({store: one.platform for store, one in config.stores.items()}),
                    prefix="",
                    origin="bench",
                    clock=SystemClock(),
                )
                bare_per_s = _run_bare(broker.servers, batches, count)
        finally:
            postgres.stop()
    return {
        "bench": "decide",
        "changes": count,
        "faust_per_s": round(faust_per_s),
        "bare_per_s": round(bare_per_s),
        "faust_to_bare": round(faust_per_s / bare_per_s, 2),
        "goal_per_s": GOAL_PER_S,
    }


def _write_config(folder: Path, servers: str, state_url: str) -> Path:
    nowhere = "https://127.0.0.1:1"
    orders = {"prefix": "N-", "store": "1", "station": "1", "tax_code": "T", "tax_authority": "T", "tax_rule": "T"}
    store = {"platform": "woocommerce", "url": nowhere, "key": "k", "secret": "s", "stock": {"locations": ["MAIN"]}}
    rest = {"url": nowhere, "company": "c", "user": "u", "password": "p", "api_key": "k"}
    parts = {
        "kafka": {"servers": servers},
        "state": {"url": state_url, "folder": str(folder / "state")},
        "counterpoint": {"sql": {"url": "postgresql+psycopg://nowhere/x"}, "rest": rest},
        "stores": {"north": store | {"orders": orders | {"pay_codes": {"*": "CARD"}}}},
    }
    file = folder / "shop.yaml"
    file.write_text(yaml.safe_dump(parts))
    return file


def _fill(servers: str, changes: int) -> int:
    """Publish items and products, and then changes of stock, round and round."""
    world = generate(1)
    messages = [
        _message("counterpoint", "IM_ITEM", {"ITEM_NO": row["ITEM_NO"]}, row, at)
        for at, row in enumerate(world.items, 1)
    ]
    for at, row in enumerate(world.products["north"], 1):
        product = {"id": at, "manage_stock": True, "date_modified_gmt": None, **row}
        messages.append(_message("north", "products", {"id": at}, product, at))
    shelves = [row for row in world.shelves if row["LOC_ID"] == "MAIN"]
    for number in range(changes):
        row = shelves[number % len(shelves)] | {"QTY_ON_HND": number % 97, "RS_UTC_DT": None}
        keys = {"ITEM_NO": row["ITEM_NO"], "LOC_ID": row["LOC_ID"]}
        messages.append(_message("counterpoint", "IM_INV", keys, row, number + 1))
    publisher = kafka.Publisher(servers, client_id="bench-fill")
    for start in range(0, len(messages), 1000):
        publisher.publish(messages[start : start + 1000])
    publisher.close()
    return len(messages)


def _message(system: str, entity: str, keys: dict[str, Any], row: dict[str, Any], position: int) -> kafka.Message:
    source = Source(system=system, entity=entity, position=position)
    change = Change(op="u", after=msgspec.Raw(msgspec.json.encode(row)), source=source)
    topic = CHANGES.named("", system=system, entity=entity)
    return kafka.Message(topic=topic, key=encode_key(keys), value=msgspec.json.encode(change))


def _run_faust(config_file: Path, url: str, count: int) -> float:
    """Let a worker process handle them all; gives the rate between its first and its last batch."""
    command = [sys.executable, "-m", "counterflow.cli", "process", "--config", str(config_file)]
    with (
        (config_file.parent / "process.log").open("ab") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as worker,
    ):
        try:
            return _rate(lambda: _handled(url), count)
        finally:
            worker.kill()


def _handled(url: str) -> int:
    engine = create_engine(url)
    with engine.connect() as connection:
        if connection.scalar(text("SELECT to_regclass('handled')")) is None:
            return 0
        query = text("SELECT coalesce(sum(next_offset), 0) FROM handled WHERE topic LIKE 'changes.%'")
        found = int(connection.scalar(query) or 0)
    engine.dispose()
    return found


def _rate(handled: Callable[[], int], count: int) -> float:
    clock = SystemClock()
    begun, at_begin, deadline = 0.0, 0, clock.monotonic() + 600
    while clock.monotonic() < deadline:
        now = handled()
        if now and not begun:
            begun, at_begin = clock.monotonic(), now
        if now >= count:
            return (count - at_begin) / max(0.001, clock.monotonic() - begun)
        clock.sleep(0.02)
    raise TimeoutError(f"{handled()} of {count} changes handled within 600 s")


def _run_bare(servers: str, batches: Any, count: int) -> float:
    """Handle the same messages in a bare loop of confluent-kafka: what an engine costs is the difference."""
    from confluent_kafka import Consumer

    settings = {"bootstrap.servers": servers, "group.id": "bench-bare", "auto.offset.reset": "earliest"}
    consumer = Consumer(settings | {"enable.auto.commit": False})
    consumer.subscribe([name for name in batches.topics if name.startswith("changes.")])
    clock, done, begun = SystemClock(), 0, 0.0
    while done < count:
        found = [one for one in consumer.consume(BATCH, 0.05) if one is not None and not one.error()]
        if found:
            begun = begun or clock.monotonic()
            batches.handle(_arrived(found))
            consumer.commit(asynchronous=False)
            done += len(found)
    consumer.close()
    return done / (clock.monotonic() - begun)


def _arrived(messages: Sequence[Any]) -> list[Any]:
    from processors.batch import Arrived

    return [
        Arrived(
            topic=one.topic(),
            partition=one.partition(),
            offset=one.offset(),
            at=datetime.now(UTC),
            key=one.key(),
            value=one.value(),
        )
        for one in messages
    ]


def run(name: str, *, changes: int, json_file: Path | None) -> None:
    """Measure something, and print it beside its goal. Raises Broken for a name that is none."""
    if name != "decide":
        raise Broken(f"there is no bench {name!r}; there are: decide, ledger, matches, orders")
    console.print(f"[dim]{changes} changes; the same handlers behind both engines, on the same messages, in one run")
    figures = decide(changes)
    console.print(
        f"Faust engine {figures['faust_per_s']}/s, bare loop {figures['bare_per_s']}/s, "
        f"ratio {figures['faust_to_bare']}; goal {GOAL_PER_S}/s on two cores (two workers)"
    )
    if json_file:
        json_file.write_text(json.dumps(figures, indent=1) + "\n")
