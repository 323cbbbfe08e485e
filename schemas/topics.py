"""The map of the flow: every topic, what is on it, and both its ends.

Names begin with the configured prefix. `changes.*` may be replayed; the rest may not.
"""

import msgspec

from schemas.changes import Change
from schemas.commands import Command
from schemas.names import POINTS
from schemas.outcomes import Cursor, DeadLetter, Heartbeat, Outcome
from schemas.requests import Request

PARTITIONS = 8  # Of every topic; a change of it is a new installation.
DAY_MS = 86_400_000

COUNTERPOINT_ENTITIES = ("AR_CUST", "IM_ITEM", "IM_INV", "PS_DOC_HDR", POINTS)
STORE_ENTITIES = ("customers", "products", "orders", POINTS)


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """One topic, or one for each system and entity where the name has placeholders."""

    name: str
    value: type
    key: str
    written_by: tuple[str, ...]
    read_by: tuple[str, ...]
    keep_days: int | None  # None: compacted, the last message of each key stays.

    def named(self, prefix: str, **parts: str) -> str:
        """Give the topic's full name."""
        return prefix + self.name.format(**parts)


CHANGES = Topic(
    name="changes.{system}.{entity}",
    value=Change,
    key="primary key, or the store's id",
    written_by=("producers.runner",),
    read_by=("processors.engine",),
    keep_days=30,  # How far back a replay can go; older mistakes are mended from the mirror's raw bodies.
)
HINTS = Topic(
    name="hints.{system}",
    value=msgspec.Raw,  # A web hook as it came.
    key="the store's id",
    written_by=("producers.webhooks",),
    read_by=("producers.runner",),
    keep_days=3,  # A hint only says where to look; the poller finds what a lost one named.
)
WORK = Topic(
    name="work.{system}",
    value=Command,
    key="wanted row",  # One key, one partition, one order.
    written_by=("processors.engine",),
    read_by=("consumers.runner",),
    keep_days=7,  # Longer than the longest outage of a target: what is unanswered is sent again anyway.
)
WORK_NOW = Topic(
    name="work.{system}.now",
    value=Command,
    key="wanted row",
    written_by=("processors.engine",),
    read_by=("consumers.runner",),
    keep_days=7,
)
OUTCOMES = Topic(
    name="outcomes",
    value=Outcome,
    key="wanted row",
    written_by=("consumers.runner",),
    read_by=("processors.engine",),
    keep_days=14,
)
REQUESTS = Topic(
    name="requests",
    value=Request,
    key="task, record or system",
    written_by=("counterflow.cli", "processors.engine"),
    read_by=("processors.engine", "producers.runner"),
    keep_days=30,
)
DEAD_LETTERS = Topic(
    name="deadletters",
    value=DeadLetter,
    key="the original key",
    written_by=("processors.engine", "consumers.runner", "producers.runner"),
    read_by=("counterflow.cli",),
    keep_days=30,
)
HEARTBEATS = Topic(
    name="heartbeats",
    value=Heartbeat,
    key="system and role",
    written_by=("producers.runner", "consumers.runner"),
    read_by=("processors.engine",),
    keep_days=None,
)
CURSORS = Topic(
    name="cursors",
    value=Cursor,
    key="system and entity",
    written_by=("producers.runner",),
    read_by=("producers.runner", "processors.engine"),
    keep_days=None,
)

PER_ENTITY = (CHANGES,)
PER_STORE = (HINTS,)
PER_TARGET = (WORK, WORK_NOW)
SINGLE = (OUTCOMES, REQUESTS, DEAD_LETTERS, HEARTBEATS, CURSORS)


def entities_of(system: str) -> tuple[str, ...]:
    """Give what is read of a system: Counterpoint's tables and points, or a store's resources."""
    return COUNTERPOINT_ENTITIES if system == "counterpoint" else STORE_ENTITIES


def change_topics(prefix: str, system: str) -> dict[str, str]:
    """Give a system's change topics by entity."""
    return {entity: CHANGES.named(prefix, system=system, entity=entity) for entity in entities_of(system)}


def all_topics(prefix: str, stores: tuple[str, ...]) -> dict[str, Topic]:
    """Give every topic of an installation by its full name."""
    systems = ("counterpoint", *stores)
    named = {topic.named(prefix): topic for topic in SINGLE}
    named |= {topic.named(prefix, system=store): topic for topic in PER_STORE for store in stores}
    named |= {topic.named(prefix, system=system): topic for topic in PER_TARGET for system in systems}
    named |= {name: CHANGES for system in systems for name in change_topics(prefix, system).values()}
    return named
