"""What steers the pipeline: settings, tasks, timers, requests, the connections' state, topics and offsets."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, func, or_, select, tuple_
from sqlalchemy.dialects.postgresql import insert

from counterflow.kafka import Message, TopicState
from counterflow.state.tables import connection as connections
from counterflow.state.tables import cursor, handled, outbox, request_done, setting, timer, topic
from schemas.outcomes import Cursor, Heartbeat

EPOCH_SHIFT = 44  # A version is epoch << 44 | offset: 17 million million messages before a topic's epoch ends.
MASTER = "master"


class Task(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One task's setting."""

    enabled: bool = True
    schedule: str = "continuous"


def get(connection: Connection, key: str) -> str | None:
    """Read a setting; None where it was never set."""
    return connection.scalar(select(setting.c.value).where(setting.c.key == key))


def starting(connection: Connection, prefix: str) -> list[str]:
    """Read the settings whose key begins so."""
    query = select(setting.c.value).where(setting.c.key.startswith(prefix, autoescape=True))
    return list(connection.execute(query.order_by(setting.c.key)).scalars())


def put(connection: Connection, key: str, value: str) -> None:
    """Set a setting."""
    statement = insert(setting).values(key=key, value=value)
    connection.execute(statement.on_conflict_do_update(index_elements=[setting.c.key], set_={"value": value}))


def put_first(connection: Connection, key: str, value: str) -> None:
    """Set a setting unless it is set."""
    connection.execute(insert(setting).values(key=key, value=value).on_conflict_do_nothing())


def first_word(connection: Connection, key: str) -> bool:
    """Say whether something is said for the first time, and remember that it was."""
    statement = insert(setting).values(key=f"said:{key}", value="yes").on_conflict_do_nothing()
    return connection.scalar(statement.returning(setting.c.key)) is not None


def master_is_on(connection: Connection) -> bool:
    """Say whether Master Sync is on. It begins off: a first start observes and writes nothing."""
    return get(connection, MASTER) == "on"


def tasks(connection: Connection) -> dict[tuple[str, str], Task]:
    """Give the tasks that were set otherwise than by default, by system and task."""
    return switches(connection)[1]


def switches(connection: Connection) -> tuple[bool, dict[tuple[str, str], Task]]:
    """Give Master Sync, and the tasks that were set otherwise than by default."""
    is_switch = (setting.c.key == MASTER) | setting.c.key.startswith("task:")
    is_on, found = False, {}
    for row in connection.execute(select(setting).where(is_switch)):
        if row.key == MASTER:
            is_on = row.value == "on"
        else:
            system, _, name = row.key.removeprefix("task:").partition("/")
            found[(system, name)] = msgspec.json.decode(row.value, type=Task)
    return is_on, found


def put_task(connection: Connection, system: str, name: str, task: Task) -> None:
    """Set a task."""
    put(connection, f"task:{system}/{name}", msgspec.json.encode(task).decode())


def set_timer(connection: Connection, kind: str, key: str, due_at: datetime, body: str = "") -> None:
    """Set a timer; a later call moves it."""
    statement = insert(timer).values(kind=kind, key=key, due_at=due_at, body=body)
    moved = {"due_at": due_at, "body": body}
    connection.execute(statement.on_conflict_do_update(index_elements=[timer.c.kind, timer.c.key], set_=moved))


def set_timer_once(connection: Connection, kind: str, key: str, due_at: datetime, body: str = "") -> None:
    """Set a timer unless it is set."""
    connection.execute(insert(timer).values(kind=kind, key=key, due_at=due_at, body=body).on_conflict_do_nothing())


def is_set(connection: Connection, kind: str, key: str) -> bool:
    """Say whether a timer is set."""
    return connection.scalar(select(timer.c.key).where(timer.c.kind == kind, timer.c.key == key)) is not None


def claim_timers(connection: Connection, *, at: datetime, most: int) -> list[Row[Any]]:
    """Take the timers that are due; each is taken once, whichever worker wakes."""
    due = select(timer.c.kind, timer.c.key).where(timer.c.due_at <= at).order_by(timer.c.due_at).limit(most)
    keys = [tuple(row) for row in connection.execute(due.with_for_update(skip_locked=True))]
    if not keys:
        return []
    gone = delete(timer).where(tuple_(timer.c.kind, timer.c.key).in_(keys)).returning(timer)
    return list(connection.execute(gone))


def first_time(connection: Connection, request_id: str) -> bool:
    """Say whether a request comes for the first time, and remember that it came."""
    statement = insert(request_done).values(id=request_id, at=func.now()).on_conflict_do_nothing()
    return connection.scalar(statement.returning(request_done.c.id)) is not None


def take_heartbeat(connection: Connection, beat: Heartbeat) -> None:
    """Keep how a connection stands; an older word never replaces a newer one."""
    row = {name: getattr(beat, name) for name in ("system", "role", "up", "since", "seen_at", "note")}
    statement = insert(connections).values(row)
    keys = [connections.c.system, connections.c.role]
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=keys, set_=row, where=connections.c.seen_at <= statement.excluded.seen_at
        )
    )


def down(connection: Connection, role: str, *, since: datetime) -> set[str]:
    """Give the systems whose connection is down, as that role sees it: said so, or not heard of `since` a moment."""
    gone = or_(~connections.c.up, connections.c.seen_at < since)
    query = select(connections.c.system).where(connections.c.role == role, gone)
    return set(connection.execute(query).scalars())


def heard_at(connection: Connection) -> datetime | None:
    """Give when any connection last said that it lives, as far as it has been read; None where none ever did."""
    found: datetime | None = connection.scalar(select(func.max(connections.c.seen_at)))
    return found


def all_connections(connection: Connection) -> list[Row[Any]]:
    """Give every connection."""
    return list(connection.execute(select(connections).order_by(connections.c.system, connections.c.role)))


def take_cursors(connection: Connection, batch: Sequence[Cursor]) -> None:
    """Keep where producers stand: of each, the last word, and how many records it found when it last said so."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for one in sorted(batch, key=lambda each: each.position):
        before = found.get((one.system, one.entity), {})
        row = {"system": one.system, "entity": one.entity, "position": one.position, "at": one.at}
        found[(one.system, one.entity)] = row | {"rows": before.get("rows") if one.rows is None else one.rows}
    if not found:
        return
    statement = insert(cursor).values([row for _, row in sorted(found.items())])
    new = statement.excluded
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[cursor.c.system, cursor.c.entity],
            set_={"position": new.position, "at": new.at, "rows": func.coalesce(new.rows, cursor.c.rows)},
            where=cursor.c.position <= new.position,
        )
    )


def epochs(connection: Connection, seen: Sequence[TopicState]) -> dict[str, int]:
    """Give each topic's epoch; a topic that was made anew under its name begins the next one."""
    known = {row.name: row for row in connection.execute(select(topic))}
    found = {}
    for one in seen:
        old = known.get(one.name)
        epoch = 1 if old is None else old.epoch + (old.topic_id != one.topic_id)
        row = {"name": one.name, "topic_id": one.topic_id, "epoch": epoch}
        connection.execute(insert(topic).values(row).on_conflict_do_update(index_elements=[topic.c.name], set_=row))
        if old is not None and old.topic_id != one.topic_id:
            connection.execute(delete(handled).where(handled.c.topic == one.name))
        found[one.name] = epoch
    return found


def version_of(epoch: int, offset: int) -> int:
    """Give a message's version."""
    return epoch << EPOCH_SHIFT | offset


def note_handled(connection: Connection, offsets: Mapping[tuple[str, int], int]) -> None:
    """Note the next offset of each partition, in the batch's own transaction; a replay does not take it back."""
    if not offsets:
        return
    rows = [{"topic": name, "partition": part, "next_offset": at} for (name, part), at in sorted(offsets.items())]
    statement = insert(handled).values(rows)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[handled.c.topic, handled.c.partition],
            set_={"next_offset": statement.excluded.next_offset},
            where=handled.c.next_offset < statement.excluded.next_offset,
        )
    )


def handled_offsets(connection: Connection) -> dict[tuple[str, int], int]:
    """Give the next offset of each partition that was ever handled."""
    return {(row.topic, row.partition): row.next_offset for row in connection.execute(select(handled))}


def say(connection: Connection, origin: str, messages: Sequence[Message]) -> list[tuple[int, Message]]:
    """Put messages into the outbox: said with the commit, or not at all. Gives them with their numbers, in order."""
    if not messages:
        return []
    rows = [
        {
            "origin": origin,
            "topic": one.topic,
            "key": one.key,
            "value": one.value,
            "headers": msgspec.json.encode([(name, value.decode()) for name, value in one.headers]).decode(),
        }
        for one in messages
    ]
    numbers = connection.execute(insert(outbox).returning(outbox.c.id, sort_by_parameter_order=True), rows).scalars()
    return list(zip(numbers, messages, strict=True))


def unsaid(connection: Connection, origin: str, *, most: int) -> list[tuple[int, Message]]:
    """Give what an origin has still to publish, in order."""
    query = select(outbox).where(outbox.c.origin == origin).order_by(outbox.c.id).limit(most)
    return [
        (
            row.id,
            Message(
                topic=row.topic,
                key=row.key,
                value=row.value,
                headers=tuple((name, value.encode()) for name, value in msgspec.json.decode(row.headers)),
            ),
        )
        for row in connection.execute(query)
    ]


def said(connection: Connection, ids: Sequence[int]) -> None:
    """Delete what was published."""
    if ids:
        connection.execute(delete(outbox).where(outbox.c.id.in_(ids)))


def cursor_at(connection: Connection, system: str, entity: str) -> datetime | None:
    """Give when a producer last published where it stands in an entity; None before the first time."""
    return connection.scalar(select(cursor.c.at).where(cursor.c.system == system, cursor.c.entity == entity))


def rows_read(connection: Connection, system: str, entity: str) -> int | None:
    """Give how many records the last full reading of an entity found; None before one has ended."""
    return connection.scalar(select(cursor.c.rows).where(cursor.c.system == system, cursor.c.entity == entity))
