"""What waits for a person, and the log of what was done."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, insert, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert

from counterflow.state.database import among
from counterflow.state.tables import log_entry, review
from schemas.outcomes import Outcome

AGAIN, DROP = "again", "drop"  # What a person may decide about anything that stands still.
LEVELS = {
    "applied": "info",
    "already": "info",
    "skipped": "info",
    "differs": "info",
    "waiting": "warning",
    "held": "warning",
    "rejected": "error",
}


def open_review(
    connection: Connection, kind: str, key: str, message: str, body: Mapping[str, Any], *, waits_for: str | None = None
) -> None:
    """Ask a person.

    Asked already, the facts are brought up to date; settled by facts once, it is asked anew; decided by a person, only
    if the message changed, or if it did not work again.
    """
    row = {"kind": kind, "key": key, "message": message, "body": msgspec.json.encode(body).decode(), "state": "open"}
    statement = upsert(review).values(row | {"waits_for": waits_for, "made_at": func.now()})
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[review.c.kind, review.c.key],
            set_={name: statement.excluded[name] for name in ("message", "body", "waits_for", "state")},
            where=(review.c.state != "decided")
            | (review.c.message != statement.excluded.message)
            | (review.c.decision == AGAIN),
        )
    )


def is_open(connection: Connection, kinds: Sequence[str], key: str) -> bool:
    """Say whether a person is being asked any of these."""
    match = review.c.kind.in_(kinds) & (review.c.key == key) & (review.c.state == "open")
    return connection.scalar(select(review.c.key).where(match)) is not None


def bodies(connection: Connection, kind: str) -> dict[str, str]:
    """Give the facts of each open review of a kind, by its key."""
    query = select(review.c.key, review.c.body).where(review.c.kind == kind, review.c.state == "open")
    return {row.key: row.body for row in connection.execute(query)}


def settle(connection: Connection, names: Iterable[tuple[str, str]]) -> None:
    """Close reviews that the facts have settled: (kind, key)."""
    found = sorted(set(names))
    if found:
        match = tuple_(review.c.kind, review.c.key).in_(found) & (review.c.state == "open")
        connection.execute(update(review).where(match).values(state="settled", decided_at=func.now()))


_SETTLE_REFUSED = text(
    """
    UPDATE review SET state = 'settled', decided_at = now() FROM wanted
    WHERE review.kind = 'refused' AND review.state = 'open' AND wanted.system = split_part(review.key, '/', 1)
      AND wanted.task = split_part(review.key, '/', 2)
      AND wanted.key = regexp_replace(review.key, '^[^/]*/[^/]*/', '') AND wanted.state IN ('done', 'dropped')
    """
)


def settle_refused(connection: Connection) -> None:
    """Close what was asked of rows that have come right by now, or of which nothing will come."""
    connection.execute(_SETTLE_REFUSED)


def decide(connection: Connection, kind: str, key: str, decision: str, by: str) -> Row[Any] | None:
    """Enter a person's decision; None where there is no such review."""
    match = (review.c.kind == kind) & (review.c.key == key)
    values = {"state": "decided", "decision": decision, "decided_by": by, "decided_at": func.now()}
    return connection.execute(update(review).where(match).values(values).returning(review)).first()


def decision(connection: Connection, kind: str, key: str) -> str | None:
    """Give what a person decided; None where nobody did."""
    query = select(review.c.decision).where(review.c.kind == kind, review.c.key == key, review.c.state == "decided")
    return connection.scalar(query)


def decided(connection: Connection, kind: str, keys: Iterable[str]) -> dict[str, str]:
    """Give what a person decided of one kind, by key, of some keys."""
    match = (review.c.kind == kind) & among(review.c.key, keys) & (review.c.state == "decided")
    return {row.key: row.decision for row in connection.execute(select(review.c.key, review.c.decision).where(match))}


def decisions(connection: Connection, kind: str, prefix: str) -> dict[str, str]:
    """Give what a person decided of one kind, by key, of the keys that begin so."""
    match = (review.c.kind == kind) & review.c.key.startswith(prefix, autoescape=True) & (review.c.state == "decided")
    query = select(review.c.key, review.c.decision).where(match)
    return {row.key: row.decision for row in connection.execute(query)}


def waiting_for(connection: Connection, what: list[str]) -> list[tuple[str, str]]:
    """Give the open reviews that something may settle: (kind, key)."""
    if not what:
        return []
    query = select(review.c.kind, review.c.key).where(review.c.waits_for.in_(what), review.c.state == "open")
    return [(row.kind, row.key) for row in connection.execute(query)]


def open_reviews(connection: Connection) -> list[Row[Any]]:
    """Give everything that waits for a person, the oldest first."""
    return list(connection.execute(select(review).where(review.c.state == "open").order_by(review.c.made_at)))


def counts(connection: Connection) -> dict[str, int]:
    """Count what waits for a person, by kind."""
    query = select(review.c.kind, func.count()).where(review.c.state == "open").group_by(review.c.kind)
    return {kind: count for kind, count in connection.execute(query)}


def log_note(
    connection: Connection, row: tuple[str, str, str], message: str, *, at: datetime, kept: object, lost: object
) -> None:
    """Write a decision between two values into the log: both, each with its time and side."""
    system, task, key = row
    bodies = {name: msgspec.json.encode(body).decode() for name, body in (("request", lost), ("response", kept))}
    values = {"at": at, "system": system, "task": task, "key": key, "level": "info", "message": message, "took_s": "0"}
    connection.execute(insert(log_entry).values(values | bodies))


def log_outcomes(connection: Connection, outcomes: Iterable[Outcome], *, at: datetime) -> None:
    """Write finished commands into the log."""
    rows = [
        {
            "at": at,
            "system": outcome.system,
            "task": outcome.task,
            "key": outcome.key,
            "level": LEVELS[outcome.result],
            "message": outcome.told or outcome.result,
            "request": bytes(outcome.request).decode(),
            "response": bytes(outcome.response).decode(),
            "took_s": str(outcome.took_s),
        }
        for outcome in outcomes
    ]
    if rows:
        connection.execute(insert(log_entry), rows)
