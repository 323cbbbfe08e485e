"""Gift cards beside Counterpoint's other changes, as points are read: balances and what moved them in one snapshot.

Nothing in the tables that are tracked tells of a card; so the cards themselves are asked for newer row versions.
"""

import hashlib
import re

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, Engine

from counterflow.clock import Clock
from counterflow.config import GiftCards
from counterflow.systems.counterpoint import cards, points, sql
from counterflow.systems.counterpoint.dialects import oldest_active
from counterflow.systems.ports import Read, Reading, Source
from producers.counterpoint_points import beside, envelope, told_again
from schemas.loyalty import CARD, HistoryRow, PointsReading, PointsShown
from schemas.names import POINTS

PAGE_ROWS = 1000
POLL_S = 1.0


class _Cursor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where both stand: the inner source in its own words, and the cards. See counterpoint_points."""

    inner: str
    card_page: str | None = ""  # The full reading goes on behind this card; None: it is done.
    version: int = 0
    low: int = 0
    known: list[str] = []  # Rows above `low` that were told.
    marks: str = ""  # Of the cards above `low`: a digest.
    again: bool = False  # Everything is read once more. See counterpoint_points.

    def text(self) -> str:
        return msgspec.json.encode(self).decode()


class CardsSource:
    """Reads what the inner source reads, and gift cards. See ports.Source."""

    def __init__(
        self,
        inner: Source,
        engine: Engine,
        settings: GiftCards,
        *,
        marker: str,
        clock: Clock,
        page_rows: int = PAGE_ROWS,
    ) -> None:
        """`marker`: what the documents of the store's orders carry before the order's id."""
        self._inner, self._engine, self._settings, self._clock = inner, engine, settings, clock
        self._order = re.compile(rf"({re.escape(marker)}\d+)(R\d+)?([+-])")
        self._page_rows = page_rows
        self.system, self.poll_s = inner.system, inner.poll_s
        self._polled_at = float("-inf")

    def poll(self, cursor: str | None, position: int) -> Reading:
        """Read the inner source, then the cards that changed. See ports.Source."""
        at = _cursor(cursor)
        inner = self._inner.poll(at.inner or None, position)
        at = replace(at, inner=inner.cursor)
        reads: list[Read] = []
        if at.card_page is not None or self._clock.monotonic() - self._polled_at >= POLL_S:
            reading, at = self._read(at)
            self._polled_at = self._clock.monotonic()
            reads = [] if reading is None else [envelope(reading, inner.position, key="cards")]
        return beside(inner, reads, cursor=at.text(), is_part=at.card_page is not None)

    def again(self, cursor: str | None) -> str | None:
        """Begin both at the beginning, as counterpoint_points does. See ports.Source."""
        at = _cursor(cursor)
        inner = self._inner.again(at.inner or None) or ""
        if not at.version:
            return _Cursor(inner).text()
        return replace(at, inner=inner, card_page="", again=True).text()

    def confirm(self, reading: Reading) -> None:
        """Let the inner source forget what is published."""
        assert isinstance(reading.receipt, Reading)
        self._inner.confirm(reading.receipt)

    def _read(self, at: _Cursor) -> tuple[PointsReading | None, _Cursor]:
        with sql.reading(self._engine, snapshot=False) as connection:
            marks = _digest(cards.changed(connection, after=at.low))
        if at.card_page is None and marks == at.marks:
            return None, at
        with sql.writing(self._engine) as own:
            version = points.next_version(own, above=at.version)
        # Before the snapshot begins, as in counterpoint_points.
        with sql.reading(self._engine, snapshot=False) as connection:
            low = oldest_active(connection)
        with sql.reading(self._engine, snapshot=True) as connection:
            after = min(low, at.low) if at.version else low
            found = cards.new_rows(connection, self._settings, after=after)
            # At first, what was there before is in the balances.
            known = set(at.known) if at.version else {row.row_id for _, row in found}
            rows = [self._row(row, version) for _, row in found if row.row_id not in known]
            rows += told_again(rows, self._ours(connection)) if at.again else []
            page = [] if at.card_page is None else cards.page(connection, at.card_page, self._page_rows)
            changed = cards.changed(connection, after=after)
            others = {*changed, *(row.cust_no.removeprefix(CARD) for row in rows)} - _numbers(page)
            shown = [*page, *cards.shown(connection, sorted(others))]
        following = _Cursor(
            inner=at.inner,
            card_page=page[-1].cust_no.removeprefix(CARD) if len(page) == self._page_rows else None,
            version=version,
            low=low,
            known=[row.row_id for row_version, row in found if row_version > low],
            marks=_digest({number: one for number, one in changed.items() if one > low}),
        )
        reading = PointsReading(
            key=POINTS,
            version=version,
            previous=at.version,
            customers=tuple(shown),
            rows=tuple(rows),
            unposted=None,  # Gift cards know no posting.
        )
        return reading, following

    def _ours(self, connection: Connection) -> list[HistoryRow]:
        """Give the rows that carry a tag of ours, or the marker of an order of the store's."""
        there = [self._row(row, 0) for _, row in cards.new_rows(connection, self._settings, after=0)]
        return [row for row in there if row.reference]

    def _row(self, row: HistoryRow, version: int) -> HistoryRow:
        """Keep a document's marker only where the order is the store's that keeps the cards.

        A return that puts money back on the card is known as what the store gave back of that order.
        """
        found = self._order.fullmatch(row.reference)
        if row.reference.startswith("CF-") or (found is not None and found[2] is None):
            return replace(row, version=version)
        is_return = found is not None and found[3] == "+"
        return replace(row, version=version, reference=f"{found[1]}+" if found is not None and is_return else "")


def _cursor(text: str | None) -> _Cursor:
    try:
        return msgspec.json.decode(text or "", type=_Cursor)
    except msgspec.MsgspecError:  # None yet, or the inner source's own, from before cards were read.
        return _Cursor(text or "")


def _numbers(page: list[PointsShown]) -> set[str]:
    return {one.cust_no.removeprefix(CARD) for one in page}


def _digest(marks: dict[str, int]) -> str:
    text = " ".join(f"{number}:{mark}" for number, mark in sorted(marks.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
