"""Building a state anew from the change topics alone, and comparing it with the one that grew: a proof by replay.

The gate stays shut: nothing goes out. All topics are read in the order in which the broker took them.
"""

import hashlib
import uuid
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from sqlalchemy import Engine, insert, select, text

from counterflow import kafka
from counterflow.cli.installation import Installation
from counterflow.cli.roles import shop
from counterflow.clock import FakeClock
from counterflow.state import steering
from counterflow.state.database import begin, migrate, open_database
from counterflow.state.tables import cursor
from counterflow.systems.registry import readers
from processors.batch import Arrived, Batches, broker_time
from schemas.topics import PARTITIONS, change_topics

BATCH = 500
SPAN = timedelta(seconds=1)
TICKS_MAX = 500
# What must come out equal: records, links as groups of what belongs together, and the documents wanted. Of orders that
# stand: whether one that is over was ever wanted, and whose it was, depends on how batches were cut; so does the number
# of a customer who is merged at that moment, and "buyer" compares whose they are in the end.
_QUERIES = {
    "record": "SELECT system, entity, key, hash, deleted FROM record ORDER BY 1, 2, 3",
    "link": """
        SELECT one.entity, one.system, one.remote_id, min(other.system || '/' || other.remote_id)
        FROM link AS one JOIN link AS other ON other.entity = one.entity AND other.our_id = one.our_id
          AND other.system <> 'email'
        WHERE one.system <> 'email' AND one.entity NOT IN ('buyer', 'fate') GROUP BY 1, 2, 3
        HAVING one.entity <> 'customer' OR count(*) > 1 ORDER BY 1, 2, 3""",  # One linked to nothing says nothing.
    "buyer": """
        SELECT buyer.system, buyer.remote_id, min(customer.remote_id) FROM link AS buyer
        JOIN link AS customer ON customer.entity = 'customer' AND customer.system = 'counterpoint'
          AND customer.our_id = buyer.our_id
        JOIN record ON record.entity = 'orders' AND record.system = buyer.system AND record.key = buyer.remote_id
        WHERE buyer.entity = 'buyer' AND NOT record.deleted
          AND record.body::json ->> 'status' NOT IN ('cancelled', 'refunded', 'failed') GROUP BY 1, 2 ORDER BY 1, 2""",
    # The books: what the till has by their entries, and the web by the transactions read. An adjustment that was
    # deleted before any reading showed it counts for nothing in both, though the rebuilt book does not know it.
    "points": """
        SELECT book,
               sum(CASE WHEN kind = 'pos' OR body::json ->> 'state' = 'settled'
                        THEN (body::json ->> 'points')::int ELSE 0 END),
               sum(CASE WHEN kind = 'accounts' THEN (body::json ->> 'read')::int ELSE 0 END)
        FROM ledger_entry WHERE kind IN ('pos', 'web', 'accounts') GROUP BY 1 ORDER BY 1""",
    "order": """
        SELECT wanted.key, wanted.body::json ->> 'order_hash', wanted.state FROM wanted
        JOIN record ON record.entity = 'orders' AND record.system || '/' || record.key = wanted.key
        WHERE task = 'orders' AND NOT record.deleted
          AND record.body::json ->> 'status' NOT IN ('cancelled', 'refunded', 'failed') ORDER BY 1""",
}


def compare_rebuilt(made: Installation) -> list[str]:
    """Rebuild the state from the topics, and say where it differs from the one that grew."""
    config = made.config()
    name = f"rebuilt_{uuid.uuid4().hex[:8]}"
    grown, rebuilt = open_database(made.postgres.url("counterflow")), open_database(made.postgres.url(name))
    migrate(rebuilt)
    clock = FakeClock()  # What waits for a time must be done between the same messages as it was.
    batches = Batches(
        rebuilt,
        kafka.Publisher(config.kafka.servers, client_id="rebuild"),
        shop(config),
        readers=readers({store: one.platform for store, one in config.stores.items()}),
        prefix=config.kafka.prefix,
        origin="rebuild",
        clock=clock,
    )
    _copy_beginnings(grown, rebuilt)
    messages = _all_changes(config.kafka.servers, config.kafka.prefix, ["counterpoint", *config.stores])
    for part in _parts(messages):
        clock.at = part[-1].at
        batches.handle(part)
        batches.tick()
    clock.at += timedelta(hours=1)
    for _ in range(TICKS_MAX):
        if not _is_due(rebuilt):
            break
        batches.tick()
    with begin(rebuilt) as connection:
        assert not steering.unsaid(connection, "rebuild", most=1), "the gate was shut, and yet something went out"
    differences = [line for what, query in _QUERIES.items() for line in _compare(what, query, grown, rebuilt)]
    grown.dispose()
    rebuilt.dispose()
    return differences


def _is_due(engine: Engine) -> bool:
    """Say whether something waits for a time: all of it has come by now."""
    with engine.connect() as connection:
        return bool(connection.scalar(text("SELECT count(*) FROM timer WHERE kind <> 'schedule'")))


def _parts(messages: Sequence[Arrived]) -> Iterator[Sequence[Arrived]]:
    """Cut messages into batches that are neither long nor span much time."""
    begin_at = 0
    for end in range(1, len(messages) + 1):
        is_last = end == len(messages)
        if is_last or end - begin_at == BATCH or messages[end].at - messages[begin_at].at > SPAN:
            yield messages[begin_at:end]
            begin_at = end


def _copy_beginnings(grown: Engine, rebuilt: Engine) -> None:
    """Let the rebuilt state know what no change says: when each store was first known, how long a full reading was."""
    with grown.connect() as connection:
        settings = connection.execute(text("SELECT key, value FROM setting WHERE key LIKE 'begun:%'")).all()
        cursors = [dict(row._mapping) for row in connection.execute(select(cursor))]
    with begin(rebuilt) as connection:
        connection.execute(insert(cursor), cursors)
        for key, value in settings:
            steering.put_first(connection, key, value)


def _all_changes(servers: str, prefix: str, systems: Sequence[str]) -> list[Arrived]:
    """Read every change there is, in the order in which the broker took them."""
    reader = KafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False, max_poll_records=5000)
    names = [topic for system in systems for topic in change_topics(prefix, system).values()]
    parts = [TopicPartition(name, part) for name in names for part in range(PARTITIONS)]
    reader.assign(parts)
    reader.seek_to_beginning(*parts)
    ends = reader.end_offsets(parts)
    found: list[Arrived] = []
    while any(reader.position(part) < ends[part] for part in parts):
        for batch in reader.poll(timeout_ms=500).values():
            found += [_arrived(message) for message in batch]
    reader.close()
    return sorted(found, key=lambda one: (one.at, one.topic, one.partition, one.offset))


def _arrived(message: Any) -> Arrived:
    return Arrived(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        at=broker_time(message.timestamp),
        key=message.key,
        value=message.value,
    )


def _compare(what: str, query: str, grown: Engine, rebuilt: Engine) -> list[str]:
    """Compare the answers of one query, row by row; personal data stays out of what is said."""
    with grown.connect() as one, rebuilt.connect() as other:
        here = {tuple(row) for row in one.execute(text(query))}
        there = {tuple(row) for row in other.execute(text(query))}
    both = [("only in the grown state", here - there), ("only in the rebuilt one", there - here)]
    return [f"{what}: {where}: {_short(row)}" for where, rows in both for row in sorted(rows, key=str)]


def _short(row: tuple[Any, ...]) -> str:
    return " ".join(hashlib.sha256(str(one).encode()).hexdigest()[:8] if "@" in str(one) else str(one) for one in row)
