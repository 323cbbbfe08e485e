"""The wanted rows: what each system should have, and how far it is with it. The queue is where they differ.

blocked -> ready -> sent -> done; a change while sent goes out after the answer. held, rejected and dropped wait for a
person or for another change. What did not work is tried again, later and later; what the target refuses with the same
reason again and again is held.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, and_, bindparam, func, or_, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import BigInteger, DateTime, Text

from counterflow.retry import ROW
from counterflow.state.database import among
from counterflow.state.tables import wanted
from schemas.commands import Body, body_hash
from schemas.outcomes import Outcome

Key = tuple[str, str, str]  # System, task, key.
REFUSALS_MAX = 5  # Equal reasons in a row: what a moment mends is over by then, and the sixth answer would be the same.
TRIES_MAX = 20  # Half an hour, by ROW's waits: longer than an update or a restart takes, so somebody should know.
_VARIES = re.compile(r"[0-9A-Za-z-]*\d[0-9A-Za-z-]*")  # Numbers, times, ids: a refusal may name another one each time.


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of a command, as it counts."""

    outcome: Outcome  # A reason that was given too often in a row has made it held.
    is_lasting: bool = False  # It goes on being tried, and has not worked for long: a person should know.


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """One thing that a system should have."""

    system: str
    task: str
    key: str
    body: Body
    blocked_by: str | None = None  # "customer:<our id>": it cannot be sent before that is known.
    priority: int = 0  # The higher, the earlier.


# A row on its way keeps its state: the change goes out after the answer (one in flight for each row).
_WANT = text(
    """
    INSERT INTO wanted (system, task, key, body, hash, version, state, blocked_by, changed_at, priority)
    SELECT w.system, w.task, w.key, w.body, w.hash, 1, CASE WHEN w.blocked_by IS NULL THEN 'ready' ELSE 'blocked' END,
      w.blocked_by, :at, w.priority
    FROM unnest(:system, :task, :key, :body, :hash, :blocked_by, :priority)
      AS w(system, task, key, body, hash, blocked_by, priority)
    ON CONFLICT (system, task, key) DO UPDATE SET
      body = excluded.body, hash = excluded.hash, version = wanted.version + 1, blocked_by = excluded.blocked_by,
      state = CASE WHEN wanted.state = 'sent' THEN 'sent'
        WHEN excluded.blocked_by IS NULL AND excluded.hash = wanted.done_hash THEN 'done' ELSE excluded.state END,
      changed_at = excluded.changed_at, priority = excluded.priority, not_before = NULL, note = NULL
    WHERE wanted.hash <> excluded.hash OR wanted.blocked_by IS DISTINCT FROM excluded.blocked_by
    """
).bindparams(
    *(bindparam(name, type_=ARRAY(Text)) for name in ("system", "task", "key", "body", "hash", "blocked_by")),
    bindparam("priority", type_=ARRAY(BigInteger)),
    bindparam("at", type_=DateTime(timezone=True)),
)


def want(connection: Connection, wants: Sequence[Want], *, at: datetime) -> None:
    """Want things. An equal want changes nothing; a new one is ready, and goes out when the gate lets it."""
    if not wants:
        return
    latest = {(one.system, one.task, one.key): one for one in wants}
    rows = [one for _, one in sorted(latest.items())]  # In the order of their keys, against deadlocks.
    names = ("system", "task", "key", "blocked_by", "priority")
    values: dict[str, Any] = {name: [getattr(one, name) for one in rows] for name in names}
    values["body"] = [msgspec.json.encode(one.body).decode() for one in rows]
    connection.execute(_WANT, values | {"hash": [body_hash(one.body) for one in rows], "at": at})


_ROWS = text(
    "SELECT wanted.* FROM unnest(:system, :task, :key) AS asked(system, task, key)"
    " JOIN wanted USING (system, task, key)"
).bindparams(*(bindparam(name, type_=ARRAY(Text)) for name in ("system", "task", "key")))


def rows(connection: Connection, keys: Iterable[Key]) -> dict[Key, Row[Any]]:
    """Read some rows."""
    found = sorted(set(keys))
    if not found:
        return {}
    values = {name: [one[place] for one in found] for place, name in enumerate(("system", "task", "key"))}
    return {(row.system, row.task, row.key): row for row in connection.execute(_ROWS, values)}


def reopen(connection: Connection, keys: Iterable[Key], *, at: datetime, note: str) -> None:
    """Send rows that were done once more: what the system has is not what it should have."""
    match = tuple_(wanted.c.system, wanted.c.task, wanted.c.key).in_(sorted(set(keys)))
    values = {"state": "ready", "done_hash": None, "changed_at": at, "note": note, "version": wanted.c.version + 1}
    connection.execute(update(wanted).where(match, wanted.c.state.in_(("done", "rejected"))).values(values))


# An order's document may be there before the account was read that placed it: whose that is, is still to be told.
_THERE = text(
    """
    UPDATE wanted SET state = 'done', done_hash = hash, done_at = :at, note = :note, attempts = 0, refusal = NULL,
      refusals = 0, blocked_by = CASE WHEN blocked_by LIKE 'account:%' THEN blocked_by END
    FROM unnest(:system, :task, :key) AS seen(system, task, key)
    WHERE wanted.system = seen.system AND wanted.task = seen.task AND wanted.key = seen.key
      AND (state IN ('ready', 'blocked', 'held', 'rejected') OR state = 'dropped' AND hash = '')
    """
).bindparams(
    *(bindparam(name, type_=ARRAY(Text)) for name in ("system", "task", "key")),
    bindparam("at", type_=DateTime(timezone=True)),
)


def mark_done(connection: Connection, keys: Iterable[Key], *, at: datetime, note: str) -> None:
    """Note that systems have what they should have, seen in the systems. A row on its way waits for its answer.

    What a person has dropped stays so; what was withdrawn because nothing would come of it has come after all.
    """
    found = sorted(set(keys))
    if found:
        values: dict[str, Any] = {
            name: [one[place] for one in found] for place, name in enumerate(("system", "task", "key"))
        }
        connection.execute(_THERE, values | {"at": at, "note": note})


def set_state(connection: Connection, key: Key, state: str, note: str) -> None:
    """Put a row aside, as a person said."""
    match = and_(wanted.c.system == key[0], wanted.c.task == key[1], wanted.c.key == key[2])
    connection.execute(update(wanted).where(match).values(state=state, note=note, blocked_by=None))


def try_again(connection: Connection, key: Key, note: str) -> None:
    """Let a row that stands still go out once more, counted anew; one on its way, or that waits for another, stays."""
    match = and_(wanted.c.system == key[0], wanted.c.task == key[1], wanted.c.key == key[2])
    values = {"state": "ready", "note": note, "not_before": None} | _NOTHING_REFUSED
    connection.execute(update(wanted).where(match, wanted.c.state.not_in(("sent", "blocked"))).values(values))


def withdraw(connection: Connection, key: Key, note: str) -> None:
    """Put a row aside of which the facts say that nothing will come; wanted again, it goes out after all."""
    match = and_(wanted.c.system == key[0], wanted.c.task == key[1], wanted.c.key == key[2])
    values = {"state": "dropped", "note": note, "blocked_by": None, "hash": "", "done_hash": None}
    connection.execute(update(wanted).where(match).values(values))


def releasable(
    connection: Connection, system: str, tasks: Sequence[tuple[str, str]], *, at: datetime, most: int
) -> list[Row[Any]]:
    """Give a system's rows that may go out now, the oldest first, locked; those asked for by hand in any case."""
    open_task = tuple_(wanted.c.system, wanted.c.task).in_(list(tasks)) if tasks else text("false")
    query = (
        select(wanted)
        .where(
            wanted.c.state == "ready",
            wanted.c.system == system,
            or_(wanted.c.not_before.is_(None), wanted.c.not_before <= at),
            or_(wanted.c.now, open_task),
        )
        .order_by(wanted.c.now.desc(), wanted.c.priority.desc(), wanted.c.changed_at, wanted.c.key)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    return list(connection.execute(query))


def ready(connection: Connection, waiting: Sequence[tuple[str, str]], *, at: datetime) -> list[str]:
    """Give the systems for which something is ready to go out, but for tasks that are `waiting` for the clock."""
    is_due = or_(wanted.c.not_before.is_(None), wanted.c.not_before <= at)
    may_go = or_(wanted.c.now, tuple_(wanted.c.system, wanted.c.task).not_in(list(waiting)))
    query = select(wanted.c.system).distinct().where(wanted.c.state == "ready", is_due, may_go)
    return sorted(connection.execute(query).scalars())


def in_flight(connection: Connection) -> dict[str, int]:
    """Count the commands on their way to each system."""
    query = select(wanted.c.system, func.count()).where(wanted.c.state == "sent").group_by(wanted.c.system)
    return {system: count for system, count in connection.execute(query)}


def mark_sent(connection: Connection, released: Sequence[Row[Any]], *, at: datetime) -> None:
    """Note that rows went out, each with its present version."""
    if not released:
        return
    match = tuple_(wanted.c.system, wanted.c.task, wanted.c.key).in_(
        [(one.system, one.task, one.key) for one in released]
    )
    values = {"state": "sent", "sent_version": wanted.c.version, "sent_at": at, "now": False, "not_before": None}
    values["done_hash"] = None  # From here on nobody knows what the system has, until it answers.
    connection.execute(update(wanted).where(match).values(values))


def return_expired(connection: Connection, systems: Sequence[str], *, before: datetime) -> int:
    """Let rows go out again whose command had no outcome within its lease; only of systems that answer."""
    if not systems:
        return 0
    match = and_(wanted.c.state == "sent", wanted.c.sent_at < before, wanted.c.system.in_(systems))
    return connection.execute(update(wanted).where(match).values(state="ready", note="no outcome, sent again")).rowcount


_DONE = text(
    """
    UPDATE wanted SET done_hash = o.hash, done_at = :at, note = NULL, attempts = 0, refusal = NULL, refusals = 0,
      state = CASE WHEN wanted.hash = o.hash THEN 'done' WHEN wanted.blocked_by IS NULL THEN 'ready' ELSE 'blocked' END
    FROM unnest(:system, :task, :key, :version, :hash) AS o(system, task, key, version, hash)
    WHERE wanted.system = o.system AND wanted.task = o.task AND wanted.key = o.key
      AND wanted.state = 'sent' AND wanted.sent_version = o.version
    RETURNING wanted.system, wanted.task, wanted.key, wanted.sent_version
    """
).bindparams(
    *(bindparam(name, type_=ARRAY(Text)) for name in ("system", "task", "key", "hash")),
    bindparam("version", type_=ARRAY(BigInteger)),
)


def take_done(connection: Connection, outcomes: Sequence[Outcome], *, at: datetime) -> list[Outcome]:
    """Enter commands that were done, many at once; gives those that were waited for, each once."""
    if not outcomes:
        return []
    first: dict[tuple[str, str, str, int], Outcome] = {}
    for one in outcomes:
        first.setdefault((one.system, one.task, one.key, one.version), one)
    names = ("system", "task", "key", "version", "hash")
    values: dict[str, Any] = {name: [getattr(one, name) for one in first.values()] for name in names}
    done = {tuple(row) for row in connection.execute(_DONE, values | {"at": at})}
    return [one for key, one in first.items() if key in done]


def take_outcome(connection: Connection, outcome: Outcome, *, at: datetime) -> Taken | None:
    """Enter what became of a command; gives it as it counts, None where nothing waited for this answer.

    An answer to an older version than the one now wanted only lets the newer one go out.
    """
    match = and_(wanted.c.system == outcome.system, wanted.c.task == outcome.task, wanted.c.key == outcome.key)
    row = connection.execute(select(wanted).where(match).with_for_update()).first()
    if row is None or row.state != "sent" or row.sent_version != outcome.version:
        return None
    tries = _tries(row, outcome) if outcome.result == "waiting" else {}
    if tries and tries["refusals"] >= REFUSALS_MAX and outcome.reason and row.version == outcome.version:
        outcome = msgspec.structs.replace(outcome, result="held")
    connection.execute(update(wanted).where(match).values(_after(row, outcome, at) | tries))
    is_lasting = outcome.result == "waiting" and tries["attempts"] >= TRIES_MAX
    return Taken(outcome=outcome, is_lasting=is_lasting)


def _after(row: Row[Any], outcome: Outcome, at: datetime) -> dict[str, Any]:
    current = row.version == outcome.version
    if outcome.result in {"applied", "already"}:
        done: dict[str, Any] = {"done_hash": outcome.hash, "done_at": at, "note": None} | _NOTHING_REFUSED
        return done | {"state": "done" if row.hash == outcome.hash else _next(row)}
    if outcome.result == "differs":  # What it was decided on is not so any more: the flow decides again.
        differs = {"state": "done", "done_hash": None, "done_at": at, "note": outcome.message}
        return differs | _NOTHING_REFUSED
    if outcome.result in {"held", "rejected"} and current:
        return {"state": outcome.result, "note": outcome.told}
    if outcome.result == "waiting" and current:
        wait = timedelta(seconds=ROW.delay_s(row.attempts + 1) or ROW.delay_s_max)
        return {"state": "ready", "not_before": at + wait, "note": outcome.told}
    return {"state": _next(row)}


_NOTHING_REFUSED: dict[str, Any] = {"attempts": 0, "refusal": None, "refusals": 0}


def _tries(row: Row[Any], outcome: Outcome) -> dict[str, Any]:
    """Count one more answer that was none of success; one without a reason says nothing about the last reason."""
    if not outcome.reason:
        return {"attempts": row.attempts + 1, "refusals": row.refusals}
    is_equal = row.refusal is not None and _VARIES.sub("#", row.refusal) == _VARIES.sub("#", outcome.reason)
    refusals = row.refusals + 1 if is_equal else 1
    return {"attempts": row.attempts + 1, "refusals": refusals, "refusal": outcome.reason}


def _next(row: Row[Any]) -> str:
    return "blocked" if row.blocked_by else "ready"


def blocked_by(connection: Connection, what: str) -> list[Row[Any]]:
    """Give the rows that wait for something."""
    return blocked_by_any(connection, [what])


def blocked_by_any(connection: Connection, whats: Iterable[str]) -> list[Row[Any]]:
    """Give the rows that wait for any of some things."""
    found = set(whats)
    if not found:
        return []
    return list(connection.execute(select(wanted).where(among(wanted.c.blocked_by, found)).order_by(wanted.c.key)))


def counts(connection: Connection) -> list[tuple[str, str, str, int, datetime]]:
    """Count rows by system, task and state, with the time of the oldest change among them."""
    columns = (wanted.c.system, wanted.c.task, wanted.c.state)
    query = select(*columns, func.count(), func.min(wanted.c.changed_at)).group_by(*columns)
    return [(row[0], row[1], row[2], row[3], row[4]) for row in connection.execute(query)]


def unblock(connection: Connection, key: Key) -> None:
    """Note that a row that is done waits for nothing any more."""
    match = and_(wanted.c.system == key[0], wanted.c.task == key[1], wanted.c.key == key[2], wanted.c.state == "done")
    connection.execute(update(wanted).where(match).values(blocked_by=None))


def ask_now(connection: Connection, key: Key, *, at: datetime) -> None:
    """Send one row ahead of the queue, whatever the gate says; one that was done is sent once more."""
    match = and_(wanted.c.system == key[0], wanted.c.task == key[1], wanted.c.key == key[2])
    values = {"state": "ready", "now": True, "not_before": None, "changed_at": at, "version": wanted.c.version + 1}
    connection.execute(update(wanted).where(match, wanted.c.state.not_in(("sent", "blocked"))).values(values))


def reopen_all(connection: Connection, system: str, task: str, *, at: datetime) -> None:
    """Send every row of a task once more."""
    match = and_(wanted.c.system == system, wanted.c.task == task, wanted.c.state.in_(("done", "rejected")))
    values = {"state": "ready", "done_hash": None, "changed_at": at, "version": wanted.c.version + 1}
    connection.execute(update(wanted).where(match).values(values))
