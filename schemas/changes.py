"""A change as a producer publishes it: Debezium's envelope, with the system's own row as it was read.

Rows stay raw here: mapping happens behind the topic, so that a mapping error is mended by a replay.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

import msgspec


class Source(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a change was read. Debezium adds fields of its own, so unknown ones are let through."""

    system: str = ""  # Empty in Debezium's own messages.
    entity: str = ""  # The table, or the store's resource.
    ts_ms: int = 0  # When the change took effect there, by the source's clock, where it says so.
    position: int = 0  # Rises with every reading of this source; equal for what one snapshot showed.
    cursor: str = ""  # Where in the source it was read; for people.
    snapshot: str | bool = "false"


NOTHING = msgspec.Raw(b"null")


def nothing() -> msgspec.Raw:
    """Give the body that is none."""
    return NOTHING


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One row as it now is, or gone."""

    op: Literal["c", "u", "d", "r"]  # Created, updated, deleted, read in a full reading.
    after: msgspec.Raw = msgspec.field(default_factory=nothing)  # The raw row; null for a deletion.
    before: msgspec.Raw = msgspec.field(default_factory=nothing)  # Only where the source has it.
    source: Source
    ts_ms: int = 0  # When the producer read it; the broker's own time stamp says when it arrived.

    @property
    def row(self) -> bytes | None:
        """The row as it now is; None for one that is gone."""
        return None if self.op == "d" or bytes(self.after) in {b"", b"null"} else bytes(self.after)


def change_id(system: str, entity: str, key: str, change: Change) -> str:
    """Make the change's id: the same change read again has the same id."""
    text = f"{system}\n{entity}\n{key}\n{change.op}\n{change.source.ts_ms}\n".encode()
    return hashlib.sha256(text + bytes(change.after)).hexdigest()[:32]


def encode_key(columns: Mapping[str, Any]) -> bytes:
    """Give a row's key as it stands on the topic: a JSON object of the primary key, as Debezium's."""
    return json.dumps({name: str(value) for name, value in columns.items()}, separators=(",", ":")).encode()


def decode_key(key: bytes) -> str:
    """Give a message key as a record's key: the values of a JSON object joined by "|", or the text itself."""
    text = key.decode()
    if not text.startswith("{"):
        return text
    return "|".join(str(value) for value in json.loads(text).values())
