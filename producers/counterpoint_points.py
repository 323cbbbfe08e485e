"""Points beside Counterpoint's other changes: who changed is read again with the rows that moved his points.

Balances, new rows and unposted tags are read in one snapshot transaction and published as one message, all on one
partition, each with its version and the one before (design 7). Only then is a reading made when there is something
to tell: a customer's row has changed, a tag is gone, or we have written an adjustment.

What was posted before the first reading is in the balances, and never told. A ticket that was open then is told with
it: it comes again when it is posted, and has to be known by then.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, Engine

from counterflow.clock import Clock
from counterflow.config import Points
from counterflow.systems.counterpoint import points, sql
from counterflow.systems.counterpoint.dialects import oldest_active
from counterflow.systems.ports import Read, Reading, Source
from schemas.changes import Change, decode_key, encode_key
from schemas.changes import Source as Origin
from schemas.loyalty import HistoryRow, PointsReading
from schemas.names import COUNTERPOINT, POINTS

PAGE_ROWS = 1000
ROWS_MAX = 20_000  # Of one reading, far below what a message holds: the points of a whole shop may expire in a night.
UNPOSTED_S = 1.0  # How often is looked for tags that staff have deleted: nothing else tells of it.


class _Cursor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where both stand: the inner source in its own words, and the points."""

    inner: str
    page: str | None = ""  # The full reading goes on behind this customer; None: it is done.
    version: int = 0  # Of the last reading that was published.
    low: int = 0  # Rows above this row version may still come to be seen.
    known: list[str] = []  # Those above it that were told.
    tags: str = ""  # Of the last reading: a digest.
    again: bool = False  # Everything is read once more: what stands under our tags is told with it.

    def text(self) -> str:
        return msgspec.json.encode(self).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class _News:
    """The rows that one reading tells, and where the next one goes on."""

    rows: list[HistoryRow]
    low: int
    known: list[str]
    later: frozenset[str] = frozenset()  # Whose rows are not all among them: their balance has to wait.


class PointsSource:
    """Reads what the inner source reads, and points. See ports.Source."""

    def __init__(
        self,
        inner: Source,
        engine: Engine,
        settings: Points,
        *,
        clock: Clock,
        page_rows: int = PAGE_ROWS,
        rows_max: int = ROWS_MAX,
    ) -> None:
        self._inner, self._engine, self._settings, self._clock = inner, engine, settings, clock
        self._page_rows, self._rows_max = page_rows, rows_max
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
            reads = [envelope(reading, inner.position)]
        return beside(inner, reads, cursor=at.text(), entities=(POINTS,), is_part=at.page is not None)

    def again(self, cursor: str | None) -> str | None:
        """Begin both at the beginning; versions go on, and our own rows are told once more. See ports.Source."""
        at = _cursor(cursor)
        inner = self._inner.again(at.inner or None) or ""
        if not at.version:
            return _Cursor(inner).text()
        return replace(at, inner=inner, page="", again=True).text()

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
        # Before the snapshot begins: what is committed between the two is in it, and is told now or again.
        with sql.reading(self._engine, snapshot=False) as connection:
            low = oldest_active(connection)
        with sql.reading(self._engine, snapshot=True) as connection:
            news = self._new_rows(connection, at, low) if at.version else self._first_rows(connection, low)
            tags = points.unposted(connection, self._settings)
            rows = [replace(row, version=version) for row in news.rows]
            rows += told_again(rows, points.our_rows(connection, self._settings)) if at.again else []
            page = [] if at.page is None else points.page(connection, at.page, self._page_rows)
            others = ({row.cust_no for row in rows} | changed) - news.later - {one.cust_no for one in page}
            shown = [*page, *points.customers(connection, sorted(others))]
        reading = PointsReading(
            key=POINTS,
            version=version,
            previous=at.version,
            customers=tuple(one for one in shown if one.cust_no not in news.later),
            rows=tuple(rows),
            unposted=tuple(tags),
        )
        following = _Cursor(
            inner=at.inner,
            page=page[-1].cust_no if len(page) == self._page_rows else None,
            version=version,
            low=news.low,
            known=news.known,
            tags="" if news.later else _digest(tags),
        )
        return reading, following

    def _first_rows(self, connection: Connection, low: int) -> _News:
        """Give what is not posted yet; what is there already is in the balances."""
        is_open = points.new_rows(connection, points.open_rows(self._settings), after=0)
        there = points.new_rows(connection, self._settings, after=low)
        return _News(rows=[row for _, row in is_open], low=low, known=[row.row_id for _, row in there])

    def _new_rows(self, connection: Connection, at: _Cursor, low: int) -> _News:
        """Give the rows that were not told, the oldest ones first; all with our tags, or they would count as deleted.

        Below the last row version there can be a lower one only in a database that was restored from a backup.
        """
        found = sorted(points.new_rows(connection, self._settings, after=min(low, at.low)), key=_row_version)
        known = set(at.known)
        fresh = [one for one in found if one[1].row_id not in known]
        some, rest = fresh[: self._rows_max], fresh[self._rows_max :]
        told = [row for _, row in some] + [row for _, row in rest if points.is_ours(row)]
        low = min(low, some[-1][0]) if rest else low
        known |= {row.row_id for row in told}
        return _News(
            rows=told,
            low=low,
            known=[row.row_id for version, row in found if version > low and row.row_id in known],
            later=frozenset(row.cust_no for _, row in rest if not points.is_ours(row)),
        )


def _cursor(text: str | None) -> _Cursor:
    try:
        return msgspec.json.decode(text or "", type=_Cursor)
    except msgspec.MsgspecError:  # None yet, or the inner source's own, from before points were read.
        return _Cursor(text or "")


def _tells(read: Read, at: _Cursor) -> bool:
    """Say whether a change of a customer's row is news: a full reading of the inner source is not, beside our own."""
    return read.change.op != "r" or at.page is None


def _row_version(one: tuple[int, HistoryRow]) -> int:
    return one[0]


def _digest(tags: Sequence[str]) -> str:
    return hashlib.sha256(" ".join(tags).encode()).hexdigest()[:16]


def envelope(reading: PointsReading, position: int, *, key: str = POINTS) -> Read:
    """Give a reading as a change: all of one key stand on one partition, in their order."""
    origin = Origin(system=COUNTERPOINT, entity=POINTS, ts_ms=0, position=position, snapshot="false")
    body = msgspec.Raw(msgspec.json.encode(reading))
    change = Change(op="u", after=body, source=origin, ts_ms=0)
    return Read(entity=POINTS, key=encode_key({"READING": key}), change=change)


def told_again(fresh: Sequence[HistoryRow], rows: Iterable[HistoryRow]) -> list[HistoryRow]:
    """Give the rows that are to be told once more, less those that are told for the first time.

    Their version is 0: nobody knows in which reading they were told, and whoever was seen since has them in his balance
    already. Where it settles what somebody wrote, a row counts whatever its version is (loyalty-R3).
    """
    new = {row.row_id for row in fresh}
    return [row for row in rows if row.row_id not in new]


def beside(
    inner: Reading, reads: Sequence[Read], *, cursor: str, entities: Sequence[str] = (), is_part: bool = False
) -> Reading:
    """Give the inner source's reading with more beside it; it is what is confirmed to the inner source."""
    return Reading(
        reads=(*inner.reads, *reads),
        entities=(*inner.entities, *entities),
        position=inner.position,
        cursor=cursor,
        counts=inner.counts,
        reset=inner.reset,
        is_part=inner.is_part or is_part,
        receipt=inner,
    )
