"""A SQL Server with Change Tracking, in memory, and a mirror of what was published of it (sql-server.md 5.3)."""

import copy
import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Table

from counterflow.systems.counterpoint import sql
from counterflow.systems.counterpoint.tracking import TrackingServer, Versions
from counterflow.systems.ports import Read

Key = tuple[str, ...]
Row = dict[str, Any]


@dataclass
class Database:
    """What a backup holds: rows, change tracking, and our own note."""

    rows: dict[str, dict[Key, Row]] = field(default_factory=lambda: {name: {} for name in sql.TRACKED})
    version: int = 0
    changed: dict[str, dict[Key, int]] = field(default_factory=lambda: {name: {} for name in sql.TRACKED})
    lowest: dict[str, int | None] = field(default_factory=lambda: dict.fromkeys(sql.TRACKED, 0))
    notes: dict[str, int] = field(default_factory=dict)


class FakeTracking:
    """A TrackingServer, and what happens to it. Each reading sees one moment, as in a snapshot transaction."""

    def __init__(self) -> None:
        self.now = Database()
        self.stock_of: dict[Key, Key] = {}  # Which stock row each document moved.
        self.read_whole: set[str] = set()  # Tables of which a page was read, since somebody asked.
        self._numbers = 0

    @contextmanager
    def connect(self) -> Iterator[TrackingServer]:
        """Open a reading."""
        yield self

    def versions(self, table: Table) -> Versions:
        """See TrackingServer."""
        name = str(table.name)
        return Versions(current=self.now.version, lowest=self.now.lowest[name], noted=self.now.notes.get(name))

    def changes(self, table: Table, since: int) -> Sequence[tuple[Key, Row | None]]:
        """See TrackingServer."""
        name = str(table.name)
        assert since >= (self.now.lowest[name] or 0), "the server would answer with too little"
        newer = sorted((at, key) for key, at in self.now.changed[name].items() if at > since)
        return [(key, self.now.rows[name].get(key)) for _, key in newer]

    def page(self, table: Table, after: Sequence[str], count: int) -> Sequence[Row]:
        """See TrackingServer."""
        self.read_whole.add(str(table.name))
        rows = self.now.rows[str(table.name)]
        return [rows[key] for key in sorted(rows) if not after or key > tuple(after)][:count]

    def note(self, positions: Mapping[str, int]) -> None:
        """Keep our own note."""
        self.now.notes |= positions

    def commit(self, *changes: tuple[str, Key, Row | None]) -> None:
        """Commit one transaction: a row, or None for a deletion."""
        self.now.version += 1
        for name, key, row in changes:
            if row is None and key not in self.now.rows[name]:
                continue
            self.now.changed[name][key] = self.now.version
            if row is None:
                del self.now.rows[name][key]
            else:
                self.now.rows[name][key] = row

    def transaction(self, dice: random.Random) -> None:
        """Commit what a shop may do: some rows of some tables written or deleted, or an order with its stock."""
        if dice.random() < 0.3:
            self.order(dice)
            return
        names = dice.sample([*sql.TRACKED], dice.randint(1, 3))
        self.commit(*(self._change(dice, name) for name in names for _ in range(dice.randint(1, 3))))

    def order(self, dice: random.Random) -> None:
        """Commit a document and the stock row that it moves."""
        self._numbers += 1
        document, stock = (f"{100_000 + self._numbers}",), (f"I{dice.randint(0, 9)}", "MAIN")
        self.stock_of[document] = stock
        self.commit(
            ("PS_DOC_HDR", document, self._row("PS_DOC_HDR", document)), ("IM_INV", stock, self._row("IM_INV", stock))
        )

    def clean_up(self, dice: random.Random) -> None:
        """Let the retention pass, for each table by itself."""
        for name, lowest in self.now.lowest.items():
            until = dice.randint(lowest or 0, self.now.version)
            self.now.lowest[name] = until
            self.now.changed[name] = {key: at for key, at in self.now.changed[name].items() if at > until}

    def truncate(self, name: str) -> None:
        """Empty a table: nothing is tracked of it, but the lowest valid version rises."""
        self.now.version += 1
        self.now.rows[name], self.now.changed[name], self.now.lowest[name] = {}, {}, self.now.version

    def backup(self) -> Database:
        """Copy everything."""
        return copy.deepcopy(self.now)

    def restore(self, backup: Database) -> None:
        """Go back to a backup."""
        self.now = copy.deepcopy(backup)

    def _change(self, dice: random.Random, name: str) -> tuple[str, Key, Row | None]:
        key = tuple(f"{part}{dice.randint(0, 9)}" for part in "KL"[: len(sql.TRACKED[name].primary_key)])
        return name, key, None if dice.random() < 0.3 else self._row(name, key)

    def _row(self, name: str, key: Key) -> Row:
        self._numbers += 1
        columns = [column.name for column in sql.TRACKED[name].primary_key]
        return dict(zip(columns, key, strict=True)) | {"NAM": str(self._numbers)}


class Mirror:
    """What a reader of the topics knows after it applied what it read, in order."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[Key, Row]] = {name: {} for name in sql.TRACKED}
        self.first: dict[Key, int] = {}  # The first position at which each document was read.
        self.latest: dict[Key, int] = {}  # The latest at which each stock row was.

    def apply(self, reads: Iterable[Read]) -> None:
        """Apply changes in order."""
        for read in reads:
            key = tuple(json.loads(read.key).values())
            self._apply(read, key)
            if read.entity == "PS_DOC_HDR":
                self.first.setdefault(key, read.change.source.position)
            if read.entity == "IM_INV":
                self.latest[key] = read.change.source.position

    def _apply(self, read: Read, key: Key) -> None:
        if read.change.op == "d":
            self.rows[read.entity].pop(key, None)
        else:
            self.rows[read.entity][key] = json.loads(bytes(read.change.after))
