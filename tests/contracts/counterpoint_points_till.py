"""Counterpoint's tables with points in them, and the source that reads them: without the sandbox's servers."""

import itertools
from typing import Any

import msgspec
from sqlalchemy import create_engine, select, text, update

from counterflow.cli.installation import LOYALTY
from counterflow.clock import FakeClock
from counterflow.config import Points
from counterflow.systems.counterpoint import points, sql
from counterflow.systems.ports import Reading
from processors.rules.book import tag_of
from producers.counterpoint_points import PointsSource
from producers.counterpoint_queue import QueueSource
from sandbox.counterpoint import loyalty
from sandbox.counterpoint import tables as t
from sandbox.counterpoint.books import Books
from sandbox.counterpoint.loyalty import Which
from sandbox.journal import Journal
from schemas.loyalty import HistoryRow, PointsReading
from schemas.names import POINTS

SETTINGS = Points.model_validate(LOYALTY)
MARGIN = 2000  # So far behind does the source stay at the sandbox's sequence.
NUMBERS = itertools.count(1)


def a_tag() -> str:
    return tag_of(f"w:north:{next(NUMBERS)}")


class Till:
    """A shop's database, what people do in it, and a source of points over the trigger queue."""

    def __init__(self, url: str, *, page_rows: int = 1000, rows_max: int = 10_000, **options: bool) -> None:
        self.direct = create_engine(url)
        t.create(self.direct)
        self.sql = sql.open_engine(url)
        self.books = Books(self.direct, Journal(), **options)
        self.clock = FakeClock()
        self.page_rows, self.rows_max = page_rows, rows_max
        self.cursor: str | None = None
        self.position = 0
        self.restart()

    def close(self) -> None:
        self.direct.dispose()
        self.sql.dispose()

    # The source.

    def restart(self) -> None:
        """A new process: only the published cursor is left."""
        inner = QueueSource(self.sql, poll_s=0.1)
        sizes = {"page_rows": self.page_rows, "rows_max": self.rows_max}
        self.source = PointsSource(inner, self.sql, SETTINGS, clock=self.clock, **sizes)

    def poll(self) -> Reading:
        """Read; nothing is published yet. A second has passed since the last time."""
        self.clock.sleep(1.0)
        reading = self.source.poll(self.cursor, self.position)
        self.position = reading.position
        return reading

    def publish(self, reading: Reading) -> PointsReading | None:
        """Publish, keep the cursor, confirm; gives what is said of points."""
        self.cursor = reading.cursor
        self.source.confirm(reading)
        return told(reading)

    def take(self) -> PointsReading | None:
        return self.publish(self.poll())

    def news(self) -> PointsReading:
        found = self.take()
        assert found is not None
        return found

    def read_whole(self) -> list[PointsReading]:
        """Take everything there is to be read."""
        found: list[PointsReading] = []
        while True:
            reading = self.poll()
            one = self.publish(reading)
            found += [one] if one is not None else []
            if one is None and not reading.reset:
                return found

    # What people do.

    def person(self, balance: int = 0, **facts: Any) -> str:
        """A customer who is enrolled, with points of which no row tells."""
        number = f"{30_000 + next(NUMBERS)}"
        row = {"CUST_NO": number, "NAM": "Ana", "LOY_PTS_BAL": balance, "TOT_LOY_PTS_ADJ": balance}
        with self.direct.begin() as connection:
            flags = {"LOY_PGM_COD": "REWARDS", "IS_ECOMM_CUST": "Y"}
            connection.execute(t.customer.insert(), [row | flags | facts])
        return number

    def change(self, number: str, **values: Any) -> None:
        with self.direct.begin() as connection:
            connection.execute(update(t.customer).where(t.customer.c.CUST_NO == number).values(values))

    def ticket(self, number: str, points: int) -> int:
        """Complete a ticket; gives its DOC_ID."""
        earned, redeemed = max(points, 0), max(-points, 0)
        return int(loyalty.ticket(self.books, number, [], earned=earned, redeemed=redeemed)["doc_id"])

    def staff(self, number: str, points: int) -> int:
        """Let staff enter an adjustment and post it; gives its number in the history."""
        seq_no = loyalty.enter(self.books, number, points, "Birthday")["seq_no"]
        return int(loyalty.post(self.books, Which(seq_no=seq_no))["event_no"])

    def adjust(self, tag: str, number: str, points: int) -> int:
        """Write an adjustment of ours; gives its version."""
        with sql.writing(self.sql) as connection:
            return adjust(connection, tag, number, points)[1]

    def merge(self, gone: str, stays: str) -> None:
        for number in (gone, stays):
            self.change(number, IS_ECOMM_CUST="N")  # Counterpoint refuses it otherwise.
        self.books.merge(gone, stays)
        self.change(stays, IS_ECOMM_CUST="Y")

    def set_up(self) -> None:
        """Begin as a shop does whose triggers are new: nothing waits in the queue."""
        with self.direct.begin() as connection:
            connection.execute(t.queue.delete())

    def pass_time(self) -> None:
        """Let so many rows be written elsewhere that what is there now lies behind the margin."""
        with self.direct.begin() as connection:
            connection.execute(text("SELECT setval('row_ts', nextval('row_ts') + :some)"), {"some": 2 * MARGIN})

    def version(self) -> int:
        with self.sql.connect() as connection:
            return points.last_version(connection)

    def balances(self) -> dict[str, int]:
        query = select(t.customer.c.CUST_NO, t.customer.c.LOY_PTS_BAL)
        with self.direct.connect() as connection:
            return {row.CUST_NO: row.LOY_PTS_BAL or 0 for row in connection.execute(query)}


def adjust(connection: Any, tag: str, number: str, points_: int) -> tuple[bool, int]:
    return points.adjust(connection, SETTINGS, tag=tag, cust_no=number, points=points_)


def told(reading: Reading) -> PointsReading | None:
    """Give what a reading says of points."""
    mine = [one for one in reading.reads if one.entity == POINTS]
    assert len(mine) <= 1
    return msgspec.json.decode(bytes(mine[0].change.after), type=PointsReading) if mine else None


def balances_of(reading: PointsReading) -> dict[str, int | None]:
    return {one.cust_no: one.balance for one in reading.customers}


def rows_of(*readings: PointsReading | None) -> list[tuple[str, str, int, str]]:
    """Give rows as: where, whose, points, reference."""
    return [row_of(row) for one in readings if one is not None for row in one.rows]


def row_of(row: HistoryRow) -> tuple[str, str, int, str]:
    return (row.row_id, row.cust_no, row.points, row.reference)
