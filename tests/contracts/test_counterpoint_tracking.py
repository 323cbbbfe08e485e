"""Change Tracking's source against a simulated server: whatever happens, the mirror comes to equal the tables."""

import json
import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from counterflow.errors import Broken
from counterflow.systems.counterpoint import sql
from counterflow.systems.ports import Reading
from producers.counterpoint_tracking import TrackingSource
from tests.contracts.counterpoint_fakes import Database, FakeTracking, Mirror

PAGE_ROWS = 4
SEEDS = 300
STEPS = 60


@dataclass
class World:
    """A server, a producer that may die at each step, and a reader of the topics."""

    dice: random.Random
    server: FakeTracking = field(default_factory=FakeTracking)
    mirror: Mirror = field(default_factory=Mirror)
    backups: list[Database] = field(default_factory=list)
    cursor: str | None = None
    position: int = 0
    unsure: bool = False  # It died, and published more than its cursor says.

    def __post_init__(self) -> None:
        self.source = TrackingSource(self.server.connect, self.server.note, poll_s=0.1, page_rows=PAGE_ROWS)

    def poll(self) -> Reading:
        """Read, publish, keep the cursor, note: what the runner does when nothing fails."""
        reading = self.begin()
        self.mirror.apply(reading.reads)
        self.cursor = reading.cursor
        self.source.confirm(reading)
        self.unsure = False
        return reading

    def begin(self) -> Reading:
        reading = self.source.poll(self.cursor, self.position)
        assert reading.position > self.position
        self.position = reading.position
        return reading

    def die(self) -> None:
        """Read, and die somewhere before the end."""
        reading = self.begin()
        self.unsure = True
        match self.dice.choice(["in the middle", "before the cursor", "before the note"]):
            case "in the middle":
                self.mirror.apply(reading.reads[: self.dice.randint(0, len(reading.reads))])
            case "before the cursor":
                self.mirror.apply(reading.reads)
            case _:
                self.mirror.apply(reading.reads)
                self.cursor = reading.cursor

    def states(self, cursor: str | None) -> dict[str, Any]:
        found = json.loads(cursor or "{}")
        return {name: {"reading": False, **one} for name, one in found.items()}

    def compare(self) -> None:
        """Each table that is read up to now equals its mirror.

        Rows that vanished unseen stay in the mirror: nothing follows from absence (design 7). They may only be where a
        table was read whole; here they are looked up at once, found gone, and dropped.
        """
        states = self.states(self.cursor)
        for name, state in states.items():
            documents = states["PS_DOC_HDR"]
            waits = name == "IM_INV" and (documents["reading"] or documents["version"] != self.server.now.version)
            if waits or state["reading"] or state["version"] != self.server.now.version:
                continue
            mirrored, there = self.mirror.rows[name], self.server.now.rows[name]
            unseen = mirrored.keys() - there.keys()
            assert not unseen or name in self.server.read_whole, f"{name}: deletions of {unseen} were lost"
            for key in unseen:
                del mirrored[key]
            assert mirrored == there, name
            self.server.read_whole.discard(name)

    def step(self) -> None:
        """Let something happen.

        Not seen, and so left out here: a restore between the death of a producer and its next poll, from a backup with
        the note that the cursor knows. What it published last is of a past that is no more, and nobody knows of it.
        """
        chance = self.dice.random()
        if chance < 0.45:
            self.server.transaction(self.dice)
        elif chance < 0.75:
            self.poll()
            self.compare()
        elif chance < 0.85:
            self.die()
        elif chance < 0.90:
            self.server.clean_up(self.dice)
        elif chance < 0.93:
            self.server.truncate(self.dice.choice([*sql.TRACKED]))
        elif chance < 0.97:
            self.backups.append(self.server.backup())
        elif self.backups and not self.unsure:
            self.server.restore(self.dice.choice(self.backups))

    def settle(self) -> None:
        """Poll until everything was read; it ends, or the source reads the same again and again."""
        for _ in range(100):
            if not self.poll().reset and all(
                one["version"] == self.server.now.version and not one["reading"]
                for one in self.states(self.cursor).values()
            ):
                return
        raise AssertionError("the source does not come to rest")


def test_the_mirror_equals_the_tables_after_each_poll() -> None:
    for seed in range(SEEDS):
        world = World(random.Random(seed))
        try:
            for _ in range(STEPS):
                world.step()
            world.settle()
            world.compare()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        assert set(world.states(world.cursor)) == set(sql.TRACKED), f"seed {seed}"


def test_no_stock_is_read_before_the_document_that_moved_it() -> None:
    """For every document the stock row it moved is read with it or later: else its reservation would never end."""
    for seed in range(SEEDS):
        world = World(random.Random(seed))
        for _ in range(STEPS):
            match world.dice.choice("ooopdc"):
                case "o":
                    world.server.order(world.dice)
                case "p":
                    world.poll()
                case "d":
                    world.die()
                case _:
                    world.server.clean_up(world.dice)
        world.settle()
        assert world.mirror.first.keys() == world.server.stock_of.keys()
        late = [
            document
            for document, first in world.mirror.first.items()
            if world.mirror.latest[world.server.stock_of[document]] < first
        ]
        assert not late, f"seed {seed}"


def test_a_quiet_shop_is_read_whole_once_and_then_not_again() -> None:
    world = World(random.Random(1))
    for _ in range(20):
        world.server.transaction(world.dice)
    world.settle()
    cursor = world.cursor
    readings = [world.poll() for _ in range(5)]
    assert [(one.reads, one.reset, one.receipt) for one in readings] == [((), False, {})] * 5
    assert world.cursor == cursor


def test_a_crash_before_the_note_costs_one_full_reading_not_one_after_the_other() -> None:
    world = World(random.Random(2))
    for _ in range(20):
        world.server.transaction(world.dice)
    world.settle()
    world.server.transaction(world.dice)
    reading = world.begin()
    world.cursor = reading.cursor  # Published; the note is lost with the process.
    assert world.poll().reset
    world.settle()
    assert not world.poll().reset


def test_a_restore_in_the_middle_of_a_full_reading_is_seen() -> None:
    world = World(random.Random(3))
    for number in range(PAGE_ROWS + 1):
        world.server.commit(("AR_CUST", (f"C{number}",), {"CUST_NO": f"C{number}", "NAM": "before"}))
    world.poll()
    backup = world.server.backup()
    world.server.commit(("AR_CUST", (f"C{PAGE_ROWS}",), {"CUST_NO": f"C{PAGE_ROWS}", "NAM": "lost with the restore"}))
    world.poll()
    world.server.restore(backup)
    world.settle()
    world.compare()
    assert world.mirror.rows["AR_CUST"] == world.server.now.rows["AR_CUST"]


def test_a_restore_from_another_line_of_backups_is_seen_although_versions_agree() -> None:
    world = World(random.Random(4))
    world.server.commit(("AR_CUST", ("C1",), {"CUST_NO": "C1", "NAM": "first"}))
    world.settle()
    old = world.server.backup()
    world.server.commit(("AR_CUST", ("C1",), {"CUST_NO": "C1", "NAM": "second"}))
    world.poll()
    newer = world.server.backup()  # Its note says the version that the other line will reach too.
    world.server.restore(old)
    world.settle()
    world.server.commit(("AR_CUST", ("C1",), {"CUST_NO": "C1", "NAM": "of the other line"}))
    world.settle()
    world.server.restore(newer)
    world.settle()
    assert world.mirror.rows["AR_CUST"][("C1",)]["NAM"] == "second"


def test_a_truncated_table_is_read_whole_and_says_nothing_of_what_is_gone() -> None:
    world = World(random.Random(5))
    world.server.commit(("AR_CUST", ("C1",), {"CUST_NO": "C1", "NAM": "gone"}))
    world.settle()
    world.server.truncate("AR_CUST")
    reading = world.poll()
    assert (reading.reset, reading.reads) == (True, ())


def test_a_deletion_it_can_see_is_reported() -> None:
    world = World(random.Random(6))
    world.server.commit(("AR_CUST", ("C1",), {"CUST_NO": "C1", "NAM": "here"}))
    world.settle()
    world.server.commit(("AR_CUST", ("C1",), None))
    (read,) = world.poll().reads
    assert (read.key, read.change.op, bytes(read.change.after)) == (b'{"CUST_NO":"C1"}', "d", b"null")


def test_no_lowest_version_is_broken_and_names_the_table() -> None:
    world = World(random.Random(7))
    world.server.now.lowest["IM_ITEM"] = None
    with pytest.raises(Broken, match=r"dbo\.IM_ITEM: enable it there and grant VIEW CHANGE TRACKING"):
        world.poll()


def test_the_cursor_of_another_kind_of_source_means_a_full_reading() -> None:
    world = World(random.Random(8))
    world.server.commit(("AR_CUST", ("C1",), {"CUST_NO": "C1", "NAM": "here"}))
    world.cursor = '{"table":null,"after":[]}'  # As QueueSource writes it.
    assert world.poll().reset
    assert ("C1",) in world.mirror.rows["AR_CUST"]
