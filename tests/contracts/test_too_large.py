"""What is too large for a message is set aside, named by key and size, and stops nothing."""

import random
import threading
from typing import Any

import msgspec
import pytest
from prometheus_client import REGISTRY
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from counterflow import dead_letters
from counterflow.clock import FakeClock
from counterflow.dead_letters import KEY_MAX, dead_letter
from counterflow.errors import Transient
from counterflow.kafka import MESSAGE_BYTES_MAX, Message, TooLarge, size_of
from counterflow.systems.ports import Read, Reading
from producers.runner import Runner
from producers.webhooks import Receiver
from schemas.changes import Change, Source
from schemas.outcomes import Cursor, DeadLetter, Outcome
from schemas.records import Customer
from tests.contracts.test_consumer_runner import Kafka, Log, Process, Shelf, command
from tests.contracts.test_counterpoint_runner import Topics
from tests.contracts.test_webhooks import SECRET, sign

HUGE = 9_000_000
NOW = FakeClock().now()
SMALL = 20_000  # The limit of a broker whose owner never thought of us.


def message(key: str, value_bytes: int, *, headers: int = 0, topic: str = "changes.north.products") -> Message:
    return Message(topic=topic, key=key.encode(), value=b"x" * value_bytes, headers=(("ce_id", b"h" * headers),))


def letters(messages: list[Message]) -> list[DeadLetter]:
    return [msgspec.json.decode(one.value or b"", type=DeadLetter) for one in messages if one.topic == "deadletters"]


# One publisher.


def test_key_value_and_headers_count() -> None:
    one = message("k" * 100, 1000, headers=10_000)
    assert size_of(one) - size_of(message("", 0)) == 11_100


def test_the_small_ones_around_a_large_one_are_published_in_order() -> None:
    broker = Kafka()
    with pytest.raises(TooLarge) as raised:
        broker.publish([message("a", 1), message("b", HUGE), message("c", 1)])
    assert ([one.key for one in broker.messages], [one.key for one in raised.value.messages]) == ([b"a", b"c"], [b"b"])


@pytest.mark.parametrize("large", [message("k" * HUGE, 1), message("b", 1, headers=HUGE)], ids=["a key", "headers"])
def test_what_is_too_large_elsewhere_than_in_its_value_is_found_too(large: Message) -> None:
    broker = Kafka()
    with pytest.raises(TooLarge):
        broker.publish([large, message("c", 1)])
    assert [one.key for one in broker.messages] == [b"c"]


@pytest.mark.parametrize("at", [0, 7, 99])
def test_what_only_the_broker_finds_too_large_is_found_out_of_many(at: int) -> None:
    broker, sent = Kafka(), [message(str(number), 1) for number in range(100)]
    broker.bytes_max, sent[at] = SMALL, message("large", SMALL)
    with pytest.raises(TooLarge) as raised:
        broker.publish(sent)
    keys = [one.key for one in sent if one.key != b"large"]
    assert ([one.key for one in raised.value.messages], [one.key for one in broker.messages]) == ([b"large"], keys)


def test_a_broker_that_is_away_is_no_matter_of_size() -> None:
    broker = Kafka()
    broker.failing = 1
    with pytest.raises(Transient):
        broker.publish([message("a", 1), message("b", HUGE)])


def test_a_line_and_a_metric_tell_of_it_without_what_is_in_it() -> None:
    labels = {"topic": "changes.north.customers"}
    name = "counterflow_messages_too_large_total"
    before = REGISTRY.get_sample_value(name, labels) or 0
    large = message("ana@example.com", HUGE, topic=labels["topic"])
    with capture_logs() as lines, pytest.raises(TooLarge):
        Kafka().publish([large])
    [line] = lines
    found = (line["log_level"], line["topic"], line["bytes"], "ana" in str(line))
    assert found == ("error", labels["topic"], size_of(large), False)
    assert (REGISTRY.get_sample_value(name, labels) or 0) - before == 1


def test_no_dead_letter_is_too_large_itself() -> None:
    log = Log(b"\x00" * HUGE)
    poison = log.message(0)
    poison.key = b"k" * HUGE
    letter = dead_letter(poison, "r" * HUGE, prefix="", at=NOW)
    assert (len(letter.key), size_of(letter) < 1_000_000) == (KEY_MAX, True)


def test_a_dead_letter_that_the_broker_finds_too_large_goes_out_without_its_body() -> None:
    broker = Kafka()
    broker.bytes_max = SMALL
    poison = dead_letter(Log(b"x" * 100_000).message(0), "no JSON", prefix="", at=NOW)
    dead_letters.publish(broker, [poison], prefix="", at=NOW)
    assert [(one.topic, one.value) for one in letters(broker.messages)] == [("deadletters", "")]


# A source.


class Three:
    """A source of three rows, the second of which is too large."""

    system, poll_s = "north", 5.0

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self.begun_at: list[str | None] = []
        self.confirmed = 0

    def poll(self, cursor: str | None, position: int) -> Reading:
        self.begun_at.append(cursor)
        if cursor is not None:
            self._stop.set()
        sizes = {} if cursor else {"1": 10, "2": HUGE, "3": 10}
        reads = tuple(self._read(key, size, position + 1) for key, size in sizes.items())
        return Reading(reads=reads, entities=("products",), position=position + 1, cursor="all")

    def _read(self, key: str, size: int, position: int) -> Read:
        row = msgspec.Raw(msgspec.json.encode({"id": key, "description": "x" * size}))
        source = Source(system="north", entity="products", position=position)
        return Read(entity="products", key=key.encode(), change=Change(op="u", after=row, source=source))

    def again(self, cursor: str | None) -> str | None:
        return None

    def confirm(self, reading: Reading) -> None:
        self.confirmed += 1


@pytest.mark.parametrize("bytes_max", [MESSAGE_BYTES_MAX, SMALL], ids=["for us", "for the broker"])
def test_one_row_that_is_too_large_is_set_aside_and_its_source_goes_on(bytes_max: int) -> None:
    stop, topics = threading.Event(), Topics(random.Random(1))
    topics.bytes_max = bytes_max
    source = Three(stop)
    Runner(source, topics, prefix="", clock=FakeClock(), stop=stop).run({})
    [letter] = letters(topics.messages)
    assert [one.key for one in topics.of("changes.")] == [b"1", b"3"]
    assert (letter.topic, letter.key, letter.offset, letter.value) == ("changes.north.products", "2", -1, "")
    assert "too large to be published: 9000" in letter.reason
    cursor = msgspec.json.decode(topics.stored()["north/products"], type=Cursor)
    assert (cursor.value, source.begun_at, source.confirmed) == ("all", [None, "all"], 2)


# A target.


class Talker(Shelf):
    """A target that answers a command at length."""

    def __init__(self, **told: Any) -> None:
        super().__init__()
        self._told = told

    def apply(self, commands: Any) -> list[Outcome]:
        return [
            msgspec.structs.replace(one, **self._told) if one.key == "B" else one for one in super().apply(commands)
        ]


def outcomes(process: Process) -> dict[str, Outcome]:
    found = [msgspec.json.decode(one.value or b"", type=Outcome) for one in process.kafka.of("outcomes")]
    return {one.key: one for one in found}


BODY = msgspec.Raw(msgspec.json.encode({"text": "x" * HUGE}))
CUSTOMER = Customer(key="7", email="ana@example.com", first_name="x" * HUGE)


@pytest.mark.parametrize("bytes_max", [MESSAGE_BYTES_MAX, SMALL], ids=["for us", "for the broker"])
@pytest.mark.parametrize(
    ("told", "kept"),
    [
        pytest.param({"request": BODY, "remote": {"doc_id": "5"}}, {"remote": {"doc_id": "5"}}, id="what was asked"),
        pytest.param({"response": BODY, "message": "why"}, {"message": "why"}, id="what was answered"),
        pytest.param({"record": CUSTOMER}, {"record": None}, id="the customer that was read"),
        pytest.param({"reason": "x" * HUGE}, {"reason": "x" * 1000}, id="the reason"),
    ],
)
def test_an_outcome_that_is_too_large_is_told_without_what_makes_it_so(
    told: dict[str, Any], kept: dict[str, Any], bytes_max: int
) -> None:
    kafka, log = Kafka(), Log(command("A", 3), command("B", 4), command("C", 5))
    kafka.bytes_max = bytes_max
    process = Process(log, target=Talker(**told), kafka=kafka).run()
    found = outcomes(process)
    assert ({one: found[one].result for one in "ABC"}, log.committed) == (dict.fromkeys("ABC", "applied"), 3)
    assert {name: getattr(found["B"], name) for name in kept} == kept


def test_an_outcome_that_cannot_be_told_at_all_is_a_dead_letter_and_the_others_are_told() -> None:
    log = Log(command("A", 3), command("B", 4))
    process = Process(log, target=Talker(remote={"doc_id": "x" * HUGE})).run()
    [letter] = letters(process.kafka.messages)
    assert (letter.topic, letter.key, list(outcomes(process)), log.committed) == (
        "outcomes",
        "north/inventories/B",
        ["A"],
        2,
    )


# A web hook.


def test_a_hint_that_is_too_large_is_refused() -> None:
    broker = Kafka()
    broker.bytes_max = 300
    web = TestClient(Receiver("north", SECRET, broker, prefix="", clock=FakeClock()).app)
    body = b'{"id": 41}'
    topic = "order." + "x" * 1000
    headers = {"x-wc-webhook-topic": topic, "x-wc-webhook-signature": sign(body)}
    assert web.post("/hooks/north", content=body, headers=headers).status_code == 413
