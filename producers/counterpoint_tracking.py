"""Counterpoint's changes from SQL Server's Change Tracking: the default, every edition has it.

The reset rules (docs/facts/sql-server.md 5.3), in the order they are tried:

1. The lowest valid version is NULL: tracking is off, or the right is missing. That is Broken, never "no changes".
2. No cursor, or one below the lowest: a full reading (first run, retention passed, table truncated).
3. A cursor above the current version, or a note in the database that is not the one of our last reading: it was
   restored from a backup, so a full reading.
4. Otherwise: what changed since the cursor.

A full reading goes page by page; it begins at the version that was current before its first page, so whatever
changes meanwhile comes again. A row too many costs a read, one too few costs drift. Until the documents are read
up to now, stock waits: no figure may be read before the document that moved it. A row that is gone without a trace
(its table was truncated, its deletion forgotten, the database restored) is not reported: nothing follows from
absence.

The note is the reading's position, not its version. Versions come again after a restore, and stay the same through
the pages of a full reading; a position never comes again.
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
    """How far one table was read."""

    version: int  # Changes are read since this one.
    reading: bool = False  # A full reading is under way; `after` is its last key.
    after: list[str] = []
    rows: int = 0  # Of the full reading, until now.
    noted: int = 0  # The position that our note in the database must say; 0: no reading yet.

    def is_behind(self, versions: Versions) -> bool:
        """Say whether something of the table, as it stands now, is still to be read."""
        return self.reading or self.version != versions.current


class TrackingSource:
    """Reads Change Tracking. The cursor holds a version and the state of a full reading for each table."""

    system: str = COUNTERPOINT

    def __init__(
        self,
        connect: Callable[[], AbstractContextManager[TrackingServer]],
        note: Callable[[Mapping[str, int]], None],
        *,
        poll_s: float,
        page_rows: int = PAGE_ROWS,
    ) -> None:
        self._connect, self._note, self.poll_s, self._page_rows = connect, note, poll_s, page_rows

    def poll(self, cursor: str | None, position: int) -> Reading:
        """Read every table in one snapshot. See ports.Source."""
        known = _states(cursor)
        reads: list[Read] = []
        following: dict[str, _Table] = {}
        full = False
        counts: dict[str, int] = {}
        with self._connect() as server:
            for name, table in sql.TRACKED.items():
                versions, before = server.versions(table), known.get(name)
                if table is sql.IM_INV and following[str(sql.PS_DOC_HDR.name)].is_behind(versions):
                    following |= {name: before} if before else {}
                    continue
                state = self._judge(name, versions, before)
                if state.reading and before and not state.noted:
                    reads += self._deletions(server, table, (before, versions), position + 1)
                found, following[name] = self._read(server, table, (state, versions.current), position + 1)
                reads += found
                if state.reading and not following[name].reading:
                    counts[name] = state.rows + len(found)
                full |= state.reading
        return Reading(
            reads=tuple(reads),
            entities=tuple(sql.TRACKED),
            position=position + 1,
            cursor=msgspec.json.encode(following).decode(),
            counts=counts,
            reset=full,
            is_part=any(name not in following or following[name].reading for name in sql.TRACKED),
            receipt={name: one.noted for name, one in following.items() if one.noted == position + 1},
        )

    def again(self, cursor: str | None) -> str | None:
        """Begin at the beginning. See ports.Source."""
        return None

    def confirm(self, reading: Reading) -> None:
        """Note in the database which reading was the last."""
        assert isinstance(reading.receipt, dict)
        if reading.receipt:
            self._note(reading.receipt)

    def _judge(self, name: str, versions: Versions, known: _Table | None) -> _Table:
        """Say where to go on in a table."""
        if versions.lowest is None:
            raise Broken(
                f"Change Tracking says nothing of dbo.{name}: enable it there and grant VIEW CHANGE TRACKING "
                "(docs/how-to/sql-server.md)"
            )
        fresh = _Table(version=versions.current, reading=True)
        if known is None or known.version < versions.lowest or known.version > versions.current:
            return fresh
        if versions.noted != known.noted:
            return fresh  # Restored: the note went back with the database. Or we died before we noted.
        return known

    def _deletions(
        self, server: TrackingServer, table: Table, known: tuple[_Table, Versions], position: int
    ) -> list[Read]:
        """Read what was deleted, as far as it is still tracked: the pages of a full reading do not show it."""
        before, versions = known
        if not (versions.lowest or 0) <= before.version <= versions.current:
            return []
        gone = [key for key, row in server.changes(table, before.version) if row is None]
        return [envelope(table, key, None, op="d", at=None, position=position) for key in gone]

    def _read(
        self, server: TrackingServer, table: Table, state: tuple[_Table, int], position: int
    ) -> tuple[list[Read], _Table]:
        known, current = state
        if known.reading:
            rows = server.page(table, known.after, self._page_rows)
            reads = [envelope(table, key_of(table, row), row, op="r", at=None, position=position) for row in rows]
            more = len(rows) == self._page_rows
            after = list(key_of(table, rows[-1])) if more else []
            count = known.rows + len(rows) if more else 0
            return reads, _Table(version=known.version, reading=more, after=after, rows=count, noted=position)
        if current == known.version:
            return [], known
        changes = server.changes(table, known.version)
        reads = [
            envelope(table, key, row, op="u" if row is not None else "d", at=None, position=position)
            for key, row in changes
        ]
        return reads, _Table(version=current, noted=position)


def _states(cursor: str | None) -> dict[str, _Table]:
    """Read a cursor; one that another kind of source wrote says nothing to us."""
    try:
        return msgspec.json.decode(cursor, type=dict[str, _Table]) if cursor else {}
    except msgspec.ValidationError:
        return {}
