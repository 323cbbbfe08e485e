"""The order that keeps a command from being lost: written at the target, then reported, then committed."""

import threading
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from consumers.runner import Runner
from counterflow.clock import FakeClock
from counterflow.errors import Transient
from counterflow.kafka import Message, Publisher
from schemas.commands import Command, SetStock, body_hash
from schemas.outcomes import Outcome


class Stage(Publisher):
    """Target, consumer and publisher in one: it notes what happens, in order, and ends after the last batch."""

    system = "north"

    def __init__(self, *batches: Sequence[bytes], trouble: Sequence[Exception] = ()) -> None:
        super().__init__("nowhere", client_id="test")
        self.happened: list[str] = []
        self.said: list[Message] = []
        self.stop = threading.Event()
        self._batches, self._trouble = list(batches), list(trouble)

    def poll(self, **_: Any) -> dict[str, list[Any]]:
        if not self._batches:
            self.stop.set()
            return {}
        batch = self._batches.pop(0)
        return {
            "p": [
                SimpleNamespace(topic="work.north", partition=0, offset=at, key=b"k", value=one)
                for at, one in enumerate(batch)
            ]
        }

    def probe(self) -> None:
        self.happened.append("probe")

    def apply(self, commands: Sequence[Command]) -> list[Outcome]:
        if self._trouble:
            raise self._trouble.pop(0)
        self.happened.append("write " + " ".join(f"{one.key}:{one.version}" for one in commands))
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

    def publish(self, messages: Sequence[Message]) -> None:
        said = [one for one in messages if one.topic != "heartbeats"]
        self.said += said
        if said:
            self.happened.append(f"report {said[0].topic}")

    def commit(self) -> None:
        self.happened.append("commit")

    def run(self) -> list[str]:
        Runner(self, self, self, prefix="", clock=FakeClock(), stop=self.stop).run()
        return [one for one in self.happened if one != "probe"]

    def results(self) -> list[tuple[int, str]]:
        outcomes = [msgspec.json.decode(one.value or b"", type=Outcome) for one in self.said if one.topic == "outcomes"]
        return sorted((one.version, one.result) for one in outcomes)


def command(version: int, *, key: str = "A") -> bytes:
    body = SetStock(sku=key, product_id="1", quantity=version)
    made = Command(
        system="north",
        task="inventories",
        key=key,
        version=version,
        hash=body_hash(body),
        reference=key,
        body=body,
        sent_at=FakeClock().now(),
    )
    return msgspec.json.encode(made)


def test_the_offset_goes_after_the_report_and_the_report_after_the_write() -> None:
    assert Stage([command(1)]).run() == ["write A:1", "report outcomes", "commit"]


def test_a_target_that_is_away_keeps_its_commands_and_commits_nothing_meanwhile() -> None:
    stage = Stage([command(1)], trouble=[Transient("away"), Transient("away")])
    assert stage.run() == ["write A:1", "report outcomes", "commit"]


def test_an_older_command_is_never_written_after_a_newer_one() -> None:
    stage = Stage([command(2)], [command(1)])
    assert (stage.run()[0], stage.results()) == ("write A:2", [(1, "skipped"), (2, "applied")])


def test_two_commands_of_one_row_become_the_newest() -> None:
    stage = Stage([command(1), command(2), command(1, key="B")])
    assert (stage.run()[0], stage.results()) == ("write A:2 B:1", [(1, "applied"), (1, "skipped"), (2, "applied")])


@pytest.mark.parametrize("poison", [b"{", b"\xff", b'{"system":"north"}', b""])
def test_what_is_no_command_is_a_dead_letter_and_the_rest_goes_on(poison: bytes) -> None:
    stage = Stage([poison, command(1)])
    assert stage.run() == ["report deadletters", "write A:1", "report outcomes", "commit"]
