"""The producer's loop, with a publisher that fails and a process that dies: what was committed is published."""

import json
import random
import threading
from collections.abc import Sequence

import msgspec
import pytest
from kafka.errors import MessageSizeTooLargeError

from counterflow.clock import FakeClock
from counterflow.errors import Broken, Transient
from counterflow.kafka import MESSAGE_BYTES_MAX, Message, Publisher, size_of
from counterflow.systems.ports import Read, Reading
from producers.counterpoint_tracking import TrackingSource
from producers.runner import Runner
from schemas.changes import Change
from schemas.outcomes import Cursor, Heartbeat
from tests.contracts.counterpoint_fakes import FakeTracking, Mirror

SEEDS = 50
STEPS = 40


class Killed(BaseException):
    """The process dies here."""


class Topics(Publisher):
    """A broker that keeps what it was given, and a publisher that may not get everything to it."""

    def __init__(self, dice: random.Random, *, share_failing: float = 0.0, share_killed: float = 0.0) -> None:
        super().__init__("nowhere", client_id="test")
        self.dice, self.share_failing, self.share_killed = dice, share_failing, share_killed
        self.messages: list[Message] = []
        self.bytes_max = MESSAGE_BYTES_MAX  # The broker's own limit.

    def _deliver(self, messages: Sequence[Message]) -> None:
        """Take all of it; or a part, and say so or die."""
        if any(size_of(one) > self.bytes_max for one in messages):
            raise MessageSizeTooLargeError
        chance = self.dice.random()
        if chance >= self.share_failing + self.share_killed:
            self.messages += messages
            return
        self.messages += messages[: self.dice.randint(0, len(messages))]
        if chance < self.share_failing:
            raise Transient("Kafka: not acknowledged", unknown=True)
        raise Killed

    def of(self, name: str) -> list[Message]:
        return [one for one in self.messages if one.topic.startswith(name)]

    def stored(self) -> dict[str, bytes]:
        """Give the compacted cursors, as a restarted process reads them."""
        return {one.key.decode(): one.value for one in self.of("cursors") if one.value}

    def mirror(self) -> Mirror:
        """Apply everything that was published, in order."""
        mirror = Mirror()
        for one in self.of("changes."):
            change = msgspec.json.decode(one.value or b"", type=Change)
            mirror.apply([Read(entity=one.topic.rpartition(".")[2], key=one.key, change=change)])
        return mirror


class Shop(FakeClock):
    """A clock at which, whenever the producer waits, something happens in the shop; at last it is told to stop."""

    def __init__(self, server: FakeTracking, topics: Topics, stop: threading.Event) -> None:
        super().__init__()
        self._server, self._topics, self._stop, self._left = server, topics, stop, STEPS

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self._left -= 1
        if self._left > 0:
            self._server.transaction(self._topics.dice)
            return
        self._topics.share_failing = self._topics.share_killed = 0.0
        if self._left < -3:
            self._stop.set()


def run(seed: int, *, share_failing: float, share_killed: float) -> tuple[FakeTracking, Topics]:
    """Run a producer until the end of the day, started again after each death."""
    server, stop = FakeTracking(), threading.Event()
    topics = Topics(random.Random(seed), share_failing=share_failing, share_killed=share_killed)
    clock = Shop(server, topics, stop)
    while not stop.is_set():
        source = TrackingSource(server.connect, server.note, poll_s=0.25, page_rows=5)
        try:
            Runner(source, topics, prefix="", clock=clock, stop=stop).run(topics.stored())
        except Killed:
            clock.sleep(1.0)
    return server, topics


@pytest.mark.parametrize(
    ("share_failing", "share_killed"),
    [
        pytest.param(0.0, 0.0, id="nothing fails"),
        pytest.param(0.4, 0.0, id="the broker fails in the middle of a batch"),
        pytest.param(0.0, 0.3, id="the process dies in the middle, or before the cursor"),
        pytest.param(0.2, 0.2, id="both"),
    ],
)
def test_nothing_is_skipped(share_failing: float, share_killed: float) -> None:
    for seed in range(SEEDS):
        server, topics = run(seed, share_failing=share_failing, share_killed=share_killed)
        mirror = topics.mirror()
        assert mirror.rows == server.now.rows, f"seed {seed}"
        late = [one for one, stock in server.stock_of.items() if mirror.latest[stock] < mirror.first[one]]
        assert not late, f"seed {seed}: stock before its document"


def test_positions_rise_also_over_a_death_that_lost_the_cursor() -> None:
    for seed in range(SEEDS):
        _, topics = run(seed, share_failing=0.2, share_killed=0.3)
        values = [msgspec.json.decode(one.value or b"", type=Change) for one in topics.of("changes.")]
        positions = [one.source.position for one in values]
        assert positions == sorted(positions), f"seed {seed}"


def test_the_cursor_is_published_after_what_it_stands_for() -> None:
    _, topics = run(1, share_failing=0.0, share_killed=0.0)
    published = 0
    for one in topics.messages:
        if one.topic.startswith("changes."):
            published = msgspec.json.decode(one.value or b"", type=Change).source.position
        if one.topic == "cursors":
            assert msgspec.json.decode(one.value or b"", type=Cursor).position >= published
    assert json.loads(msgspec.json.decode(topics.of("cursors")[-1].value or b"", type=Cursor).value)


def test_how_many_a_full_reading_found_stands_in_every_later_cursor() -> None:
    for seed in range(SEEDS):
        _, topics = run(seed, share_failing=0.2, share_killed=0.2)
        cursors = [msgspec.json.decode(value, type=Cursor) for value in topics.stored().values()]
        assert all(one.rows is not None for one in cursors if one.entity == "AR_CUST"), f"seed {seed}"


def test_broken_is_said_in_the_heartbeat_and_ends_the_loop() -> None:
    server, stop = FakeTracking(), threading.Event()
    server.now.lowest["AR_CUST"] = None
    topics = Topics(random.Random(1))
    source = TrackingSource(server.connect, server.note, poll_s=0.25)
    with pytest.raises(Broken, match="VIEW CHANGE TRACKING"):
        Runner(source, topics, prefix="", clock=FakeClock(), stop=stop).run({})
    beat = msgspec.json.decode(topics.of("heartbeats")[-1].value or b"", type=Heartbeat)
    assert (beat.up, "VIEW CHANGE TRACKING" in beat.note) == (False, True)


def test_a_confirmation_that_fails_is_made_up_for() -> None:
    class Forgetful(TrackingSource):
        failures = 3

        def confirm(self, reading: Reading) -> None:
            if self.failures:
                self.failures -= 1
                raise Transient("Counterpoint's database: the connection is lost")
            super().confirm(reading)

    server, stop, topics = FakeTracking(), threading.Event(), Topics(random.Random(5))
    source = Forgetful(server.connect, server.note, poll_s=0.25)
    Runner(source, topics, prefix="", clock=Shop(server, topics, stop), stop=stop).run({})
    assert topics.mirror().rows == server.now.rows
