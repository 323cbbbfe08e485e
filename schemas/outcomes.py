"""Outcomes: what a consumer did with one command. Heartbeats and cursors: how a connection and a producer stand."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from schemas.changes import nothing
from schemas.commands import Command
from schemas.records import Customer, Release


class Outcome(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What became of one command.

    applied: written. already: it was so. held: a person must look. rejected: this will never work.
    waiting: it did not work now (its key waits, the rest goes on); with a `reason` the target answered, and refused it
    with these words: the same answer may come for ever. skipped: a newer command was seen.
    differs: the target is not what was decided on; nothing was written, `record` says what is there.
    """

    system: str
    task: str
    key: str
    version: int
    hash: str
    result: Literal["applied", "already", "held", "rejected", "waiting", "skipped", "differs"]
    message: str = ""  # What, which one, and what to do. Never a secret or personal data.
    reason: str = ""  # Why it waits, in the target's own words. May hold personal data: never in a log.
    remote: dict[str, str] = {}  # Ids the target gave: {"cust_no": ...}, {"doc_id": ..., "deposit_doc_id": ...}.
    request: msgspec.Raw = msgspec.field(
        default_factory=nothing
    )  # The bodies, for the Log tab; personal data stays in the state database.
    response: msgspec.Raw = msgspec.field(default_factory=nothing)
    record: Customer | None = None  # A customer as read at the target, after the write if there was one.
    release: Release | None = None  # What a release ticket let out, where that was asked.
    took_s: float = 0.0
    applied_at: datetime

    @property
    def told(self) -> str:
        """The message and the target's own words: for people, and never for a log."""
        return f"{self.message}: {self.reason}" if self.reason else self.message


def answer(command: Command, result: str, message: str, *, at: datetime, **more: Any) -> Outcome:
    """Return what became of a command; `more`: further fields of the outcome."""
    return Outcome(
        system=command.system,
        task=command.task,
        key=command.key,
        version=command.version,
        hash=command.hash,
        result=result,  # type: ignore[arg-type]
        message=message,
        applied_at=at,
        **more,
    )


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How one connection stands, as one process sees it."""

    system: str
    role: Literal["producer", "consumer"]
    up: bool
    since: datetime
    seen_at: datetime
    note: str = ""  # Why it is down.


class Cursor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where one producer stands in one entity of its source."""

    system: str
    entity: str
    position: int  # Of the last reading that was published whole.
    value: str = ""  # The source's own cursor, as the producer wrote it.
    rows: int | None = None  # How many a full reading found, once it has ended with this reading.
    # When the last full reading of the whole source began that has come to its end, by the producer's clock and never
    # before somebody asked for it; None: none was asked for yet, or has ended.
    whole_since: datetime | None = None
    at: datetime


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A message that will never work, where it was, and why."""

    topic: str
    partition: int  # -1: it was too large to be published, and never stood there.
    offset: int  # -1: the same.
    key: str  # Its beginning, where it is long.
    value: str  # The original, as text; bytes that are not UTF-8 are replaced. "" for one that was too large.
    reason: str
    at: datetime
