"""Counterpoint's changes from SQL Server's Change Tracking: the default, every edition has it.

The reset rules (docs/facts/sql-server.md 5.3), in the order they are tried:

1. The lowest valid version is NULL: tracking is off, or the right is missing. That is Broken, never "no changes".
2. No cursor, or one below the lowest: a full reading (first run, retention passed, table truncated).
3. A cursor above the current version, or another one than our note in the database says: it was restored from a
   backup, so a full reading.
4. Otherwise: what changed since the cursor.

A full reading goes page by page; it begins at the version that was current before its first page, so whatever
changes meanwhile comes again. A row too many costs a read, one too few costs drift.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

import msgspec
from sqlalchemy import Table

from counterflow.errors import Broken
from counterflow.systems.counterpoint import sql
from counterflow.systems.counterpoint.tracking import TrackingServer, Versions
from counterflow.systems.ports import Read, Reading
from producers.counterpoint_queue import PAGE_ROWS, envelope, key_of
from schemas.names import COUNTERPOINT


class _Table(msgspec.Struct, frozen=True):
    """How far one table was read. `noted` is set once our note in the database must say `version`."""

    version: int
    reading: bool = False  # A full reading is under way; `after` is its last key.
    after: list[str] = []
    noted: bool = False


class TrackingSource:
    """Reads Change Tracking. The cursor holds a version and the state of a full reading for each table."""

    system = COUNTERPOINT

    def __init__(
        self,
        connect: Callable[[], AbstractContextManager[TrackingServer]],
        note: Callable[[Mapping[str, int]], None],
        *,
        poll_s: float,
    ) -> None:
        self._connect, self._note, self.poll_s = connect, note, poll_s

    def poll(self, cursor: str | None, position: int) -> Reading:
        """Read every table in one snapshot. See ports.Source."""
        known = msgspec.json.decode(cursor, type=dict[str, _Table]) if cursor else {}
        reads: list[Read] = []
        following: dict[str, _Table] = {}
        with self._connect() as server:
            for name, table in sql.TRACKED.items():
                state = self._judge(name, server.versions(table), known.get(name))
                found, following[name] = self._read(server, table, state, position + 1)
                reads += found
        full = any(one.reading for one in following.values())
        return Reading(
            reads=tuple(reads),
            entities=tuple(sql.TRACKED),
            position=position + 1,
            cursor=msgspec.json.encode(following).decode(),
            reset=full,
            receipt={name: one.version for name, one in following.items() if not _same(one, known.get(name))},
        )

    def confirm(self, reading: Reading) -> None:
        """Note in the database how far was read."""
        assert isinstance(reading.receipt, dict)
        if reading.receipt:
            self._note(reading.receipt)

    def _judge(self, name: str, versions: Versions, known: _Table | None) -> tuple[_Table, int]:
        """Say where to go on in a table, and at which version it now stands."""
        if versions.lowest is None:
            raise Broken(
                f"Change Tracking says nothing of dbo.{name}: enable it there and grant VIEW CHANGE TRACKING "
                "(docs/how-to/sql-server.md)"
            )
        fresh = _Table(version=versions.current, reading=True)
        if known is None or known.version < versions.lowest or known.version > versions.current:
            return fresh, versions.current
        if known.noted and versions.noted != known.version:
            return fresh, versions.current  # Restored: the note went back with the database.
        return known, versions.current

    def _read(
        self, server: TrackingServer, table: Table, state: tuple[_Table, int], position: int
    ) -> tuple[list[Read], _Table]:
        known, current = state
        if known.reading:
            rows = server.page(table, known.after, PAGE_ROWS)
            reads = [envelope(table, key_of(table, row), row, op="r", at=None, position=position) for row in rows]
            more = len(rows) == PAGE_ROWS
            after = list(key_of(table, rows[-1])) if more else []
            return reads, _Table(version=known.version, reading=more, after=after, noted=True)
        changes = server.changes(table, known.version)
        reads = [
            envelope(table, key, row, op="u" if row is not None else "d", at=None, position=position)
            for key, row in changes
        ]
        return reads, _Table(version=current, noted=True)


def _same(one: _Table, before: _Table | None) -> bool:
    return before is not None and before.noted and before.version == one.version
