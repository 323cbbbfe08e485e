"""Points beside Counterpoint's other changes: who changed is read again with the rows that moved his points.

Balances, new rows and unposted tags are read in one snapshot transaction and published as one message, all on one
partition, each with its version and the one before (design 7). Only then is a reading made when there is something
to tell: a customer's row has changed, a tag is gone, or we have written an adjustment.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace
from sqlalchemy import Engine

from counterflow.clock import Clock
from counterflow.config import Points
from counterflow.systems.counterpoint import points, sql
from counterflow.systems.counterpoint.dialects import oldest_active
from counterflow.systems.ports import Read, Reading, Source
from schemas.changes import Change, decode_key, encode_key
from schemas.changes import Source as Origin
from schemas.loyalty import PointsReading, PointsShown
from schemas.names import COUNTERPOINT, POINTS

PAGE_ROWS = 1000
UNPOSTED_S = 1.0  # How often is looked for tags that staff have deleted: nothing else tells of it.
KEY = encode_key({"READING": "points"})  # One key, one partition, one order.


class _Cursor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where both stand: the inner source in its own words, and the points."""

    inner: str
    page: str | None = ""  # The full reading goes on behind this customer; None: it is done.
    version: int = 0  # Of the last reading that was published.
    low: int = 0  # Rows above this row version may still come to be seen.
    known: list[str] = []  # Those above it that were told.
    tags: str = ""  # Of the last reading: a digest.


@dataclass(slots=True)
class _Pending:
    """What one poll is to tell of."""

    changed: set[str]
    page: list[PointsShown]


class PointsSource:
    """Reads what the inner source reads, and points. See ports.Source."""

    def __init__(
        self, inner: Source, engine: Engine, settings: Points, *, clock: Clock, page_rows: int = PAGE_ROWS
    ) -> None:
        self._inner, self._engine, self._settings, self._clock = inner, engine, settings, clock
        self._page_rows = page_rows
        self.system, self.poll_s = inner.system, inner.poll_s
        self._unposted_at = float("-inf")

    def poll(self, cursor: str | None, position: int) -> Reading:
        """Read the inner source, then the points of whoever changed. See ports.Source."""
        at = _cursor(cursor)
        inner = self._inner.poll(at.inner or None, position)
        changed = {decode_key(one.key) for one in inner.reads if one.entity == "AR_CUST" and _tells(one, at)}
        at = replace(at, inner=inner.cursor)
        reads: list[Read] = []
        if changed or at.page is not None or self._has_news(at):
            reading, at = self._read(at, changed)
            reads = [_read(reading, inner.position)]
        return Reading(
            reads=(*inner.reads, *reads),
            entities=(*inner.entities, POINTS),
            position=inner.position,
            cursor=msgspec.json.encode(at).decode(),
            counts=inner.counts,
            reset=inner.reset,
            receipt=inner,
        )

    def confirm(self, reading: Reading) -> None:
        """Let the inner source forget what is published."""
        assert isinstance(reading.receipt, Reading)
        self._inner.confirm(reading.receipt)

    def _has_news(self, at: _Cursor) -> bool:
        """Say whether there is something to read though no customer's row has changed."""
        if self._clock.monotonic() - self._unposted_at < UNPOSTED_S:
            return False
        with sql.reading(self._engine, snapshot=False) as connection:
            version = points.last_version(connection)
            tags = points.unposted(connection, self._settings)
        self._unposted_at = self._clock.monotonic()
        return version != at.version or _digest(tags) != at.tags

    def _read(self, at: _Cursor, changed: set[str]) -> tuple[PointsReading, _Cursor]:
        with sql.writing(self._engine) as own:
            version = points.next_version(own, above=at.version)
        with sql.reading(self._engine, snapshot=True) as connection:
            low = oldest_active(connection)
            if at.page == "" and not at.low:  # What was there before is in the balances.
                at = replace(at, low=low, known=_ids(points.new_rows(connection, self._settings, after=low)))
            found = points.new_rows(connection, self._settings, after=at.low)
            tags = points.unposted(connection, self._settings)
            rows = [replace(row, version=version) for _, row in found if row.row_id not in at.known]
            page = [] if at.page is None else points.page(connection, at.page, self._page_rows)
            others = (changed | {row.cust_no for row in rows}) - {one.cust_no for one in page}
            shown = [*page, *points.customers(connection, sorted(others))]
        reading = PointsReading(
            key=POINTS,
            version=version,
            previous=at.version,
            customers=tuple(shown),
            rows=tuple(rows),
            unposted=tuple(tags),
        )
        following = _Cursor(
            inner=at.inner,
            page=page[-1].cust_no if len(page) == self._page_rows else None,
            version=version,
            low=max(low, at.low),
            known=[row.row_id for row_version, row in found if row_version > max(low, at.low)],
            tags=_digest(tags),
        )
        return reading, following


def _cursor(text: str | None) -> _Cursor:
    try:
        return msgspec.json.decode(text or "", type=_Cursor)
    except msgspec.MsgspecError:  # None yet, or the inner source's own, from before points were read.
        return _Cursor(text or "")


def _tells(read: Read, at: _Cursor) -> bool:
    """Say whether a change of a customer's row is news: a full reading of the inner source is not, beside our own."""
    return read.change.op != "r" or at.page is None


def _ids(rows: Sequence[tuple[int, object]]) -> list[str]:
    return [row.row_id for _, row in rows]  # type: ignore[attr-defined]


def _digest(tags: Sequence[str]) -> str:
    return hashlib.sha256(" ".join(tags).encode()).hexdigest()[:16]


def _read(reading: PointsReading, position: int) -> Read:
    origin = Origin(system=COUNTERPOINT, entity=POINTS, ts_ms=0, position=position, snapshot="false")
    body = msgspec.Raw(msgspec.json.encode(reading))
    return Read(entity=POINTS, key=KEY, change=Change(op="u", after=body, source=origin, ts_ms=0))
