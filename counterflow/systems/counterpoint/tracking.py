"""SQL Server's Change Tracking: the statements, with names filled in from our own list, never from input.

Not yet run on a SQL Server; the texts are compared with golden files and the algorithm with a simulated server.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, Table
from sqlalchemy import text as sql_text

from counterflow.systems.counterpoint import sql


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """What the server says of one table. `lowest` is None where tracking is off or the right is missing."""

    current: int
    lowest: int | None
    noted: int | None  # Our own note inside this very database: the last reading's position; None before the first.


class TrackingServer(Protocol):
    """What the source asks of a server, inside one snapshot transaction for each reading."""

    def versions(self, table: Table) -> Versions:
        """Give the versions that tell whether the cursor is still good."""
        ...

    def changes(self, table: Table, since: int) -> Sequence[tuple[tuple[str, ...], dict[str, Any] | None]]:
        """Give the net changes since a version, in commit order: the key, and the row or None for one that is gone."""
        ...

    def page(self, table: Table, after: Sequence[str], count: int) -> Sequence[dict[str, Any]]:
        """Give the next rows behind a key."""
        ...


def versions_statement(table: Table) -> str:
    """Ask for current and lowest version and for our note, in one statement."""
    return (
        "SELECT CHANGE_TRACKING_CURRENT_VERSION() AS cur,\n"  # noqa: S608 - the name is one of our own tables.
        f"       CHANGE_TRACKING_MIN_VALID_VERSION(OBJECT_ID(N'dbo.{table.name}')) AS lo,\n"
        f"       (SELECT VER FROM dbo.USR_CF_CURSOR WHERE TBL = N'{table.name}') AS noted"
    )


def changes_statement(table: Table) -> str:
    """Ask for the net changes since a version. The parameter must be a plain bigint, not an expression."""
    keys = [column.name for column in table.primary_key]
    columns = [column.name for column in table.c if column.name not in keys]
    named = ", ".join([*(f"ct.{key}" for key in keys), *(f"c.{column}" for column in columns)])
    join = " AND ".join(f"c.{key} = ct.{key}" for key in keys)
    return (
        f"SELECT ct.SYS_CHANGE_OPERATION AS op, CASE WHEN c.{keys[0]} IS NULL THEN 0 ELSE 1 END AS there, {named}\n"
        f"FROM CHANGETABLE(CHANGES dbo.{table.name}, :since) AS ct\n"
        f"LEFT JOIN dbo.{table.name} AS c ON {join}\n"
        "ORDER BY ct.SYS_CHANGE_VERSION"
    )


NOTE_STATEMENT = "UPDATE dbo.USR_CF_CURSOR SET VER = :position, AT_UTC = SYSUTCDATETIME() WHERE TBL = :tbl"
FIRST_NOTE_STATEMENT = "INSERT INTO dbo.USR_CF_CURSOR (TBL, VER, AT_UTC) VALUES (:tbl, :position, SYSUTCDATETIME())"


class SqlServer:
    """A TrackingServer on one connection in a snapshot transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def versions(self, table: Table) -> Versions:
        """See TrackingServer."""
        row = self._connection.execute(sql_text(versions_statement(table))).one()
        return Versions(current=int(row.cur), lowest=_whole(row.lo), noted=_whole(row.noted))

    def changes(self, table: Table, since: int) -> Sequence[tuple[tuple[str, ...], dict[str, Any] | None]]:
        """See TrackingServer."""
        rows = self._connection.execute(sql_text(changes_statement(table)), {"since": since}).mappings()
        return [_change(table, row) for row in rows]

    def page(self, table: Table, after: Sequence[str], count: int) -> Sequence[dict[str, Any]]:
        """See TrackingServer."""
        return [sql.plain_row(row) for row in self._connection.execute(sql.page(table, after, count)).mappings()]


@contextmanager
def connect(engine: Engine) -> Iterator[TrackingServer]:
    """Open a reading in which every statement sees one moment."""
    with sql.reading(engine, snapshot=True) as connection:
        yield SqlServer(connection)


def note(engine: Engine, positions: Mapping[str, int]) -> None:
    """Note in the database itself which reading was the last: what tells a restored backup from the one we knew."""
    with sql.writing(engine) as connection:
        for table, position in positions.items():
            values = {"tbl": table, "position": position}
            if connection.execute(sql_text(NOTE_STATEMENT), values).rowcount == 0:
                connection.execute(sql_text(FIRST_NOTE_STATEMENT), values)


def _change(table: Table, row: Any) -> tuple[tuple[str, ...], dict[str, Any] | None]:
    plain = sql.plain_row(row)
    key = tuple(str(plain[column.name]) for column in table.primary_key)
    gone = plain["op"] == "D" or not plain["there"]
    return key, None if gone else {column.name: plain[column.name] for column in table.c}


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)
