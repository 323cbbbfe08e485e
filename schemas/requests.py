"""Requests: what a person or a script asks of the pipeline. Each applies once, by its id."""

from datetime import datetime
from typing import Literal

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


class PartAccount(_Ask, frozen=True, kw_only=True, tag="part_account"):
    """Take a link away that is wrong: this account is not that customer's, whatever its e-mail says (req-C5)."""

    store: str
    account: str


class AdoptAccount(_Ask, frozen=True, kw_only=True, tag="adopt_account"):
    """Have a customer created at the point of sale for an account that the store alone has (req-C9)."""

    store: str
    account: str


class RefitMatches(_Ask, frozen=True, kw_only=True, tag="refit_matches"):
    """Fit the percentages of the match review to the shop's own decisions (req-C10)."""


class DecideMatch(_Ask, frozen=True, kw_only=True, tag="decide_match"):
    """Say whether two records are one person (req-C10)."""

    one: str  # "system/key".
    other: str
    decision: Literal["same", "different", "new", "later", "undo"]


class ReadAgain(_Ask, frozen=True, kw_only=True, tag="read_again"):
    """Read a whole source once more, from the beginning: its producer does."""

    system: str


Ask = (
    SetMaster
    | SetTask
    | SyncNow
    | QueueAll
    | DecideReview
    | PartAccount
    | AdoptAccount
    | DecideMatch
    | RefitMatches
    | ReadAgain
)


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One request."""

    id: str
    by: str  # Who asked: "cli", a console user's name, "schedule"; "counterflow": the pipeline itself.
    at: datetime
    ask: Ask
