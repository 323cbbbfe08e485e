"""Requests: what a person or a script asks of the pipeline. Each applies once, by its id."""

from datetime import datetime

import msgspec


class _Ask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", omit_defaults=True):
    pass


class SetMaster(_Ask, frozen=True, kw_only=True, tag="set_master"):
    """Turn all automatic syncing on or off (req-U2)."""

    on: bool


class SetTask(_Ask, frozen=True, kw_only=True, tag="set_task"):
    """Enable, disable or reschedule one task (req-U4)."""

    system: str
    task: str
    enabled: bool
    schedule: str = "continuous"  # "continuous", "every N minutes", or a cron line.


class SyncNow(_Ask, frozen=True, kw_only=True, tag="sync_now"):
    """Send one wanted row ahead of the queue, even while Master Sync is off (req-U5)."""

    system: str
    task: str
    key: str


class QueueAll(_Ask, frozen=True, kw_only=True, tag="queue_all"):
    """Queue every row of a task whose target may differ."""

    system: str
    task: str


class DecideReview(_Ask, frozen=True, kw_only=True, tag="decide_review"):
    """Decide what waits for a person."""

    review: str  # Its id.
    decision: str  # What was chosen: a CUST_NO, "again" (try again), "drop".


Ask = SetMaster | SetTask | SyncNow | QueueAll | DecideReview


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One request."""

    id: str
    by: str  # Who asked: "cli", a console user's name, "schedule".
    at: datetime
    ask: Ask
