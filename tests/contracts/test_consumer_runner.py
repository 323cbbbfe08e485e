"""The consumers' loop: crashes, pauses and poison lose no command and do none twice to harm."""

import threading
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from kafka.errors import KafkaError, MessageSizeTooLargeError

from consumers.runner import Runner
from counterflow.clock import FakeClock
from counterflow.dead_letters import IN_A_ROW_MAX
from counterflow.errors import Broken, Transient
from counterflow.kafka import MESSAGE_BYTES_MAX, Message, Publisher, size_of
from schemas.commands import Command, SetStock, body_hash
from schemas.outcomes import DeadLetter, Heartbeat, Outcome


class Crash(BaseException):
    """The process is killed here."""


class Log:
    """A topic's messages and how far they are committed: what is left after a crash."""

    def __init__(self, *values: bytes, topic: str = "work.north") -> None:
        self.values, self.topic = list(values), topic
        self.committed = 0

    def message(self, offset: int) -> Any:
        return SimpleNamespace(topic=self.topic, partition=0, offset=offset, key=b"k", value=self.values[offset])


class Reader:
    """A consumer in memory: from what is committed on, `most` messages of each topic at once."""

    def __init__(self, *logs: Log, stop: threading.Event, most: int = 100) -> None:
        self.logs, self.stop, self.most = logs, stop, most
        self.at = {log.topic: log.committed for log in logs}
        self.commits_failing = 0

    def poll(self, **_: Any) -> dict[str, list[Any]]:
        found = {}
        for log in self.logs:
            end = min(len(log.values), self.at[log.topic] + self.most)
            found[log.topic] = [log.message(offset) for offset in range(self.at[log.topic], end)]
            self.at[log.topic] = end
        if not any(found.values()):
            self.stop.set()
        return found

    def commit(self) -> None:
        if self.commits_failing:
            self.commits_failing -= 1
            raise KafkaError("no answer")
        for log in self.logs:
            log.committed = self.at[log.topic]


class Kafka(Publisher):
    """Keeps what is published; fails, or dies, as told."""

    def __init__(self) -> None:
        super().__init__("nowhere", client_id="test")
        self.messages: list[Message] = []
        self.failing = 0
        self.die_at: Callable[[Message], bool] = lambda message: False
        self.bytes_max = MESSAGE_BYTES_MAX  # The broker's own limit.

    def _deliver(self, messages: Sequence[Message]) -> None:
        if self.failing and any(one.topic != "heartbeats" for one in messages):
            self.failing -= 1
            raise Transient("Kafka does not answer")
        if any(self.die_at(one) for one in messages):
            raise Crash
        if any(size_of(one) > self.bytes_max for one in messages):
            raise MessageSizeTooLargeError
        self.messages += messages

    def outcomes(self) -> list[tuple[str, int, str]]:
        found = [msgspec.json.decode(one.value or b"", type=Outcome) for one in self.of("outcomes")]
        return [(one.key, one.version, one.result) for one in found]

    def of(self, topic: str) -> list[Message]:
        return [one for one in self.messages if one.topic == topic]

    def beats(self) -> list[tuple[bool, str]]:
        found = [msgspec.json.decode(one.value or b"", type=Heartbeat) for one in self.of("heartbeats")]
        return [(one.up, one.note) for one in found]


class Shelf:
    """A target in memory: what each key stands at, and each write in order."""

    system = "north"

    def __init__(self) -> None:
        self.stock: dict[str, int] = {}
        self.writes: list[str] = []
        self.trouble: list[BaseException] = []
        self.probes: list[BaseException | None] = []

    def probe(self) -> None:
        error = self.probes.pop(0) if self.probes else None
        if error is not None:
            raise error

    def apply(self, commands: Sequence[Command]) -> list[Outcome]:
        if self.trouble:
            raise self.trouble.pop(0)
        for one in commands:
            assert isinstance(one.body, SetStock)
            self.stock[one.key] = one.body.quantity
            self.writes.append(f"{one.key}={one.body.quantity}")
        return [
            Outcome(
                system=one.system,
                task=one.task,
                key=one.key,
                version=one.version,
                hash=one.hash,
                result="applied",
                applied_at=FakeClock().now(),
            )
            for one in commands
        ]


class Process:
    """One life of the consumer."""

    def __init__(self, *logs: Log, target: Shelf | None = None, kafka: Kafka | None = None, most: int = 100) -> None:
        self.stop, self.clock = threading.Event(), FakeClock()
        self.target, self.kafka = target or Shelf(), kafka or Kafka()
        self.reader = Reader(*logs, stop=self.stop, most=most)

    def run(self) -> "Process":
        Runner(self.target, self.reader, self.kafka, prefix="", clock=self.clock, stop=self.stop).run()
        return self


def command(key: str, quantity: int, version: int = 1, system: str = "north") -> bytes:
    body = SetStock(sku=key, product_id="1", quantity=quantity)
    made = Command(
        system=system,
        task="inventories",
        key=key,
        version=version,
        hash=body_hash(body),
        reference=key,
        body=body,
        sent_at=FakeClock().now(),
    )
    return msgspec.json.encode(made)


def test_a_crash_before_the_report_leaves_the_command_and_the_next_life_is_harmless() -> None:
    log, target, dying = Log(command("A", 3), command("B", 4)), Shelf(), Kafka()
    dying.die_at = lambda message: message.topic == "outcomes"
    with pytest.raises(Crash):
        Process(log, target=target, kafka=dying).run()
    left = log.committed
    again = Process(log, target=target).run()
    assert (left, target.stock, again.kafka.outcomes(), log.committed) == (
        0,
        {"A": 3, "B": 4},
        [("A", 1, "applied"), ("B", 1, "applied")],
        2,
    )


def test_a_crash_before_the_commit_reports_again() -> None:
    log, kafka = Log(command("A", 3)), Kafka()
    dying = Process(log, kafka=kafka)
    dying.reader.commit = crash  # type: ignore[method-assign]
    with pytest.raises(Crash):
        dying.run()
    Process(log, kafka=kafka).run()
    assert (kafka.outcomes(), log.committed) == ([("A", 1, "applied")] * 2, 1)


def crash() -> None:
    raise Crash


def test_a_commit_that_the_broker_does_not_take_is_made_up_for_by_the_next() -> None:
    log = Log(command("A", 3), command("B", 4))
    process = Process(log, most=1)
    process.reader.commits_failing = 1
    process.run()
    assert (log.committed, process.target.writes) == (2, ["A=3", "B=4"])


def test_a_target_that_is_away_gets_the_same_commands_when_it_is_back() -> None:
    process = Process(Log(command("A", 3), command("B", 4)))
    process.target.trouble = [Transient("away")]
    process.target.probes = [Transient("still away"), Transient("still away"), None]
    process.run()
    assert (process.target.writes, process.kafka.outcomes()[0]) == (["A=3", "B=4"], ("A", 1, "applied"))


def test_a_pause_is_told_and_its_end_too() -> None:
    process = Process(Log(command("A", 3)))
    process.target.trouble = [Transient("away")]
    process.target.probes = [Transient("still away"), None]
    process.run()
    told = [up for up, _ in process.kafka.beats()]
    assert (told[:1], told[-1], (False, "still away") in process.kafka.beats()) == ([False], True, True)


def test_a_target_that_asked_for_silence_is_left_alone_so_long() -> None:
    process = Process(Log(command("A", 3)))
    process.target.trouble = [Transient("HTTP 429", retry_after_s=30.0)]
    process.run()
    assert (sum(process.clock.slept), max(process.clock.slept), process.target.writes) == (30.0, 2.0, ["A=3"])


def test_a_long_silence_is_told_again_and_again() -> None:
    process = Process(Log(command("A", 3)))
    process.target.trouble = [Transient("HTTP 429", retry_after_s=30.0)]
    process.run()
    assert process.kafka.beats().count((False, "HTTP 429")) >= 5


def test_a_stop_during_a_pause_commits_nothing_and_writes_nothing() -> None:
    log = Log(command("A", 3))
    process = Process(log)
    process.target.trouble = [Transient("away")]
    process.target.probes = [Transient("away")] * 100
    slept = process.clock.sleep

    def sleep_and_stop(seconds: float) -> None:
        slept(seconds)
        if len(process.clock.slept) == 3:
            process.stop.set()

    process.clock.sleep = sleep_and_stop  # type: ignore[method-assign]
    process.run()
    assert (log.committed, process.target.writes, process.kafka.outcomes()) == (0, [], [])


def test_a_stop_while_kafka_is_away_commits_nothing() -> None:
    log = Log(command("A", 3))
    process = Process(log)
    process.kafka.failing = 100
    slept = process.clock.sleep

    def sleep_and_stop(seconds: float) -> None:
        slept(seconds)
        process.stop.set()

    process.clock.sleep = sleep_and_stop  # type: ignore[method-assign]
    process.run()
    assert log.committed == 0


def test_a_report_is_made_when_kafka_is_back() -> None:
    log = Log(command("A", 3))
    process = Process(log)
    process.kafka.failing = 3
    process.run()
    assert (process.target.writes, process.kafka.outcomes(), log.committed) == (["A=3"], [("A", 1, "applied")], 1)


def test_a_broken_target_ends_the_process_says_why_and_commits_nothing() -> None:
    log = Log(command("A", 3))
    process = Process(log)
    process.target.trouble = [Broken("check key and secret")]
    with pytest.raises(Broken):
        process.run()
    assert (log.committed, process.kafka.beats()[-1]) == (0, (False, "check key and secret"))


def test_what_is_wanted_now_goes_first() -> None:
    queue = Log(command("A", 1), command("B", 1))
    at_once = Log(command("C", 9), topic="work.north.now")
    assert Process(queue, at_once).run().target.writes == ["C=9", "A=1", "B=1"]


def test_the_queue_never_undoes_what_was_wanted_now() -> None:
    queue = Log(command("A", 1, version=1), command("A", 2, version=2))
    at_once = Log(command("A", 9, version=5), topic="work.north.now")
    process = Process(queue, at_once).run()
    assert (process.target.writes, sorted(process.kafka.outcomes())) == (
        ["A=9"],
        [("A", 1, "skipped"), ("A", 2, "skipped"), ("A", 5, "applied")],
    )


def test_a_command_sent_again_is_carried_out_again() -> None:
    process = Process(Log(command("A", 3), command("A", 3)), most=1).run()
    assert process.kafka.outcomes() == [("A", 1, "applied")] * 2


def test_a_command_for_another_target_is_a_dead_letter() -> None:
    process = Process(Log(command("A", 3, system="south"), command("B", 4))).run()
    [letter] = [msgspec.json.decode(one.value or b"", type=DeadLetter) for one in process.kafka.of("deadletters")]
    assert (process.target.writes, letter.offset, "for south" in letter.reason) == (["B=4"], 0, True)


def test_as_many_dead_letters_in_a_row_as_allowed_are_passed_over() -> None:
    log = Log(*[b"{"] * IN_A_ROW_MAX, command("A", 3))
    process = Process(log).run()
    assert (process.target.writes, log.committed) == (["A=3"], IN_A_ROW_MAX + 1)


@pytest.mark.parametrize("most", [1, 100])
def test_more_dead_letters_in_a_row_are_broken(most: int) -> None:
    with pytest.raises(Broken, match="in a row"):
        Process(Log(*[b"{"] * (IN_A_ROW_MAX + 1)), most=most).run()


def test_dead_letters_with_commands_between_are_not_in_a_row() -> None:
    values = [one for number in range(30) for one in (b"{", command(f"K{number}", 1))]
    process = Process(Log(*values)).run()
    assert len(process.kafka.of("deadletters")) == 30


def test_a_batch_of_poison_only_is_committed() -> None:
    log = Log(b"{", b"\xff")
    Process(log).run()
    assert log.committed == 2
