"""Counterpoint's changes from a trigger queue: opt-in in a shop, and what the sandbox uses.

The queue names keys; the rows are read as they are now, in the same snapshot. First of all every table is read
whole, page by page; what changes meanwhile waits in the queue. Rows are deleted by exactly the numbers that were
published: IDENTITY order is not commit order (docs/facts/sql-server.md 5.5).
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, Engine, RowMapping, Table

from counterflow.errors import Broken
from counterflow.systems.counterpoint import sql
from counterflow.systems.ports import Read, Reading
from schemas.changes import NOTHING, Change, Source, encode_key
from schemas.names import COUNTERPOINT

PAGE_ROWS = 1000
QUEUE_ROWS_MAX = 2000  # Of one reading; what is left comes with the next.
Op = Literal["c", "u", "d", "r"]


class QueueSource:
    """Reads USR_CF_QUEUE. The cursor says how far the first full reading has come; afterwards the queue is its own."""

    system: str = COUNTERPOINT

    def __init__(
        self, engine: Engine, *, poll_s: float, page_rows: int = PAGE_ROWS, rows_max: int = QUEUE_ROWS_MAX
    ) -> None:
        self._engine, self.poll_s = engine, poll_s
        self._page_rows, self._rows_max = page_rows, rows_max

    def poll(self, cursor: str | None, position: int) -> Reading:
        """Read the next page of the full reading, or what waits in the queue. See ports.Source."""
        progress = _Progress.read(cursor)
        if progress.table is not None:
            return self._page(progress, position + 1)
        with sql.reading(self._engine, snapshot=True) as connection:
            rows = connection.execute(sql.queue_rows(self._rows_max)).mappings().all()
            reads = [
                read
                for name, table in sql.TRACKED.items()
                for read in _current(connection, table, [row for row in rows if row["TBL"] == name], position + 1)
            ]
        return Reading(
            reads=tuple(reads),
            entities=tuple(sql.TRACKED),
            position=position + 1,
            cursor=progress.text(),
            receipt=[int(row["SEQ"]) for row in rows],
        )

    def again(self, cursor: str | None) -> str | None:
        """Begin at the beginning: what waits in the queue stays there until then. See ports.Source."""
        return None

    def confirm(self, reading: Reading) -> None:
        """Delete what was published from the queue."""
        numbers = reading.receipt
        assert isinstance(numbers, list)
        if numbers:
            with sql.writing(self._engine) as connection:
                sql.forget_queue_rows(connection, numbers)

    def _page(self, progress: "_Progress", position: int) -> Reading:
        assert progress.table is not None
        table = sql.TRACKED[progress.table]
        with sql.reading(self._engine, snapshot=True) as connection:
            found = connection.execute(sql.page(table, progress.after, self._page_rows)).mappings().all()
        rows = [sql.plain_row(row) for row in found]
        reads = [envelope(table, key_of(table, row), row, op="r", at=None, position=position) for row in rows]
        is_full = len(rows) == self._page_rows
        following = progress.next(table, rows, full=is_full)
        count = progress.rows + len(rows)
        return Reading(
            reads=tuple(reads),
            entities=(str(table.name),),
            position=position,
            cursor=following.text(),
            counts={} if is_full else {str(table.name): count},
            reset=True,
            is_part=following.table is not None,
            receipt=[],
        )


class _Progress(msgspec.Struct, frozen=True):
    """How far the full reading has come; no table: it is done."""

    table: str | None
    after: list[str] = []
    rows: int = 0  # Read of this table until now.

    @classmethod
    def read(cls, cursor: str | None) -> "_Progress":
        try:
            return msgspec.json.decode(cursor or "{}", type=cls)
        except msgspec.ValidationError:  # None yet, or one that another kind of source wrote.
            return cls(next(iter(sql.TRACKED)))

    def text(self) -> str:
        return msgspec.json.encode(self).decode()

    def next(self, table: Table, rows: Sequence[Mapping[str, Any]], *, full: bool) -> "_Progress":
        if full:
            return _Progress(str(table.name), list(key_of(table, rows[-1])), self.rows + len(rows))
        names = list(sql.TRACKED)
        at = names.index(str(table.name)) + 1
        return _Progress(names[at] if at < len(names) else None)


def _current(connection: Connection, table: Table, rows: Sequence[RowMapping], position: int) -> list[Read]:
    """Read the rows that the queue names, each once, with the time of its latest change."""
    latest: dict[tuple[str, ...], datetime] = {}
    for row in rows:
        key = _key_parts(table, row)
        at = row["AT_UTC"].replace(tzinfo=UTC)
        latest[key] = max(at, latest.get(key, at))
    found = sql.rows_by_key(connection, table, list(latest))
    return [
        envelope(table, key, found.get(key), op="u" if key in found else "d", at=at, position=position)
        for key, at in latest.items()
    ]


def _key_parts(table: Table, row: RowMapping) -> tuple[str, ...]:
    """Read the key that a trigger wrote: a JSON array, or the bare value where the table has one key column."""
    text, count = str(row["K"]), len(table.primary_key)
    try:
        parts = json.loads(text) if text.startswith("[") else [text]
    except ValueError:
        parts = []
    if not isinstance(parts, list) or len(parts) != count:
        raise Broken(f"USR_CF_QUEUE, SEQ {row['SEQ']}: no key of {table.name}; does its trigger fit this version?")
    return tuple(str(part).rstrip() for part in parts)


def key_of(table: Table, row: Mapping[str, Any]) -> tuple[str, ...]:
    """Give a row's primary key."""
    return tuple(str(row[column.name]) for column in table.primary_key)


def envelope(
    table: Table, key: Sequence[str], row: Mapping[str, Any] | None, *, op: Op, at: datetime | None, position: int
) -> Read:
    """Give one row as a change; `at` is when it took effect, None where nobody knows."""
    source = Source(
        system=COUNTERPOINT,
        entity=str(table.name),
        ts_ms=int(at.timestamp() * 1000) if at else 0,
        position=position,
        snapshot="true" if op == "r" else "false",
    )
    after = NOTHING if row is None else msgspec.Raw(sql.row_json(row))
    change = Change(op=op, after=after, source=source, ts_ms=source.ts_ms)
    names = [str(column.name) for column in table.primary_key]
    return Read(entity=str(table.name), key=encode_key(dict(zip(names, key, strict=True))), change=change)
