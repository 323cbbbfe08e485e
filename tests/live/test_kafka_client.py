"""Our consumers and our publisher on a real broker: at once, over its death, from where they were, and at rest."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import msgspec
import pytest
from kafka import TopicPartition
from kafka.admin import ConfigResource
from kafka.partitioner.default import murmur2
from kafka.structs import OffsetAndMetadata

from counterflow import kafka
from counterflow.clock import SystemClock
from counterflow.errors import Transient
from counterflow.kafka import Message, Publisher, Reader, TooLarge
from counterflow.metrics import LOST
from producers.asks import KafkaAsks
from sandbox.broker import Broker, free_ports
from schemas.requests import ReadAgain, Request
from schemas.topics import CURSORS, PARTITIONS, WORK
from tests.live.waiting import wait_for

pytestmark = pytest.mark.live

AT_ONCE_S = 15.0  # On a busy machine; usually a tenth of a second.
BACK_S = 60.0
REST_S = 3.0


class Topic:
    """One topic of a test's own, and who writes to it."""

    def __init__(self, broker: Broker, name: str) -> None:
        self.broker, self.name = broker, name
        self.publisher = Publisher(broker.servers, client_id=name)
        client = kafka.admin(broker.servers)
        kafka.create_topics(client, {name: WORK, f"{name}.now": WORK, f"{name}.kept": CURSORS}, replication=1)
        client.close()

    def put(self, *values: str) -> None:
        self.publisher.publish([self.message(value) for value in values])

    def expire(self, until: int) -> None:
        """Let what lies below an offset of the topic's fifth partition go, as its time would."""
        client = kafka.admin(self.broker.servers)
        client.delete_records({TopicPartition(self.name, 5): until})
        client.close()

    def lost(self) -> float:
        """Give how many messages the alarm has told of."""
        return float(LOST.labels(self.name)._value.get())

    def message(self, value: str, topic: str = "") -> Message:
        return Message(topic=topic or self.name, key=value.encode(), value=value.encode())

    def reader(self, group: str) -> Reader:
        return kafka.consumer(self.broker.servers, [self.name, f"{self.name}.now"], group=f"{self.name}.{group}")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker of our own: it gets killed."""
    with Broker(tmp_path_factory.mktemp("broker")) as made:
        yield made


@pytest.fixture
def topic(broker: Broker, prefix: str) -> Iterator[Topic]:
    made = Topic(broker, f"{prefix}work")
    yield made
    made.publisher.close()


def read(reader: Reader, count: int, *, within_s: float = AT_ONCE_S) -> list[str]:
    """Give what comes, as soon as it is so many."""
    found: list[str] = []

    def enough() -> bool:
        batches = reader.poll(timeout_ms=200)
        found.extend(message.value.decode() for batch in batches.values() for message in batch)
        return len(found) >= count

    wait_for(enough, within_s=within_s, what=lambda: f"{count} messages, only {found}")
    return sorted(found)


def load(work: Callable[[], object]) -> float:
    """Give the share of one core that this process takes while it works on something for a while."""
    wall, cpu = time.monotonic(), time.process_time()
    while time.monotonic() - wall < REST_S:
        work()
    return (time.process_time() - cpu) / (time.monotonic() - wall)


def started(broker: Broker) -> bool:
    """Start it. Somebody's connection may have taken the port while it was free, and leaves it again."""
    try:
        broker.start()
    except RuntimeError as error:
        if "in use" in str(error):
            return False
        raise
    return True


def persistently(work: Callable[[], object]) -> Callable[[], bool]:
    def works() -> bool:
        try:
            work()
        except Transient:
            return False
        return True

    return works


def test_consumers_read_at_once_twenty_times_in_turn(topic: Topic) -> None:
    topic.put("a", "b", "c")
    for number in range(20):
        reader = topic.reader(f"group{number}")
        assert read(reader, 3) == ["a", "b", "c"]
        reader.close()


def test_a_consumer_goes_on_from_what_was_committed(topic: Topic) -> None:
    topic.put("a", "b")
    first = topic.reader("one")
    read(first, 2)
    first.commit()
    topic.put("c")
    read(first, 1)
    first.close()  # And "c" is not committed.
    topic.put("d")
    second = topic.reader("one")
    assert read(second, 2) == ["c", "d"]
    second.close()


# Values whose keys stand on the fifth partition.
ONE_PLACE = [value for value in map(str, range(200)) if murmur2(value.encode()) % 0x80000000 % PARTITIONS == 5][:8]


def test_what_expired_while_a_consumer_was_away_is_told_and_the_rest_is_read(topic: Topic) -> None:
    topic.put(*ONE_PLACE[:1])
    first = topic.reader("one")
    read(first, 1)
    first.commit()
    first.close()
    topic.put(*ONE_PLACE[1:])
    topic.expire(until=4)
    second = topic.reader("one")
    assert (read(second, 4), topic.lost()) == (sorted(ONE_PLACE[4:]), 3.0)
    second.close()


def test_what_expires_while_a_consumer_is_busy_is_told_and_the_rest_is_read(topic: Topic) -> None:
    looked: list[str] = []
    busy = topic.reader("one")
    busy.on_gap = lambda: looked.append("everywhere")
    topic.put(*ONE_PLACE)
    topic.expire(until=5)
    assert (read(busy, 3), topic.lost(), looked) == (sorted(ONE_PLACE[5:]), 5.0, ["everywhere"])
    busy.close()


def test_a_log_that_ends_before_what_was_committed_is_told_and_read_from_its_beginning(topic: Topic) -> None:
    topic.put(*ONE_PLACE[:3])
    first = topic.reader("one")
    read(first, 3)
    first.commit()
    first.close()
    client = kafka.admin(topic.broker.servers)
    client.alter_group_offsets(f"{topic.name}.one", {TopicPartition(topic.name, 5): OffsetAndMetadata(9, "", -1)})
    client.close()
    second = topic.reader("one")
    assert (read(second, 3), topic.lost()) == (sorted(ONE_PLACE[:3]), 1.0)
    second.close()


def heard_by(topic: Topic, clock: SystemClock, then: Callable[[KafkaAsks], None] = lambda _: None) -> datetime | None:
    """Give when a producer that begins now was asked, and let it do something about that."""
    reader, heard = topic.reader("again"), list[datetime | None]()
    asks = KafkaAsks(reader, "north", clock)

    def hears() -> bool:
        heard.append(asks.take())
        return heard[-1] is not None

    wait_for(hears, within_s=AT_ONCE_S, what="nothing heard")
    then(asks)
    reader.close()
    return heard[-1]


def test_a_producer_hears_what_is_asked_of_it_until_it_is_done(topic: Topic) -> None:
    clock, at = SystemClock(), datetime(2026, 11, 25, tzinfo=UTC)
    request = Request(id="1", by="cli", at=at, ask=ReadAgain(system="north"))
    topic.publisher.publish([Message(topic=topic.name, key=b"north", value=msgspec.json.encode(request))])
    heard = [heard_by(topic, clock)]  # It dies before it is done.
    heard.append(heard_by(topic, clock, then=KafkaAsks.confirm))
    topic.put("other")
    reader = topic.reader("again")
    assert (heard, read(reader, 1)) == ([at, at], ["other"])
    reader.close()


def test_a_group_that_has_never_read_begins_at_the_beginning_and_raises_no_alarm(topic: Topic) -> None:
    topic.put(*ONE_PLACE[:3])
    topic.expire(until=1)
    reader = topic.reader("new")
    assert (read(reader, 2), topic.lost()) == (sorted(ONE_PLACE[1:3]), 0.0)
    reader.close()


def test_a_consumer_outlives_its_broker_and_rests_meanwhile_and_afterwards(broker: Broker, topic: Topic) -> None:
    topic.put("a")
    reader = topic.reader("one")
    read(reader, 1)
    reader.commit()
    broker.kill()
    away = load(lambda: reader.poll(timeout_ms=200))
    wait_for(lambda: started(broker), within_s=BACK_S, what="the broker came up again on its port")
    wait_for(persistently(lambda: topic.put("b")), within_s=BACK_S, what="published again")
    found = read(reader, 1, within_s=BACK_S)
    reader.commit()
    rest = load(lambda: reader.poll(timeout_ms=200))
    reader.close()
    topic.put("c")
    again = topic.reader("one")
    assert (found, read(again, 1)) == (["b"], ["c"])
    again.close()
    assert max(away, rest) < 0.4, f"it spins: {away:.0%} of a core without a broker, {rest:.0%} at rest"


def test_a_consumer_rests_while_nothing_comes(topic: Topic) -> None:
    reader = topic.reader("one")
    share = load(lambda: reader.poll(timeout_ms=200))
    reader.close()
    assert share < 0.4


def test_threads_share_one_publisher(topic: Topic) -> None:
    """Web hooks come at the same time."""
    values = [f"v{number}" for number in range(12)]
    threads = [threading.Thread(target=topic.put, args=(value,)) for value in values]
    for one in threads:
        one.start()
    for one in threads:
        one.join(BACK_S)
    reader = topic.reader("one")
    assert read(reader, 12) == sorted(values)
    reader.close()


def test_a_compacted_topic_is_read_whole(topic: Topic) -> None:
    name = f"{topic.name}.kept"
    gone = Message(topic=name, key=b"b", value=None)
    changed = Message(topic=name, key=b"a", value=b"2")
    topic.publisher.publish([topic.message("a", name), topic.message("b", name), gone, changed])
    assert kafka.read_whole(topic.broker.servers, name) == {"a": b"2"}


@pytest.mark.parametrize("topic_bytes_max", ["8388608", "100000"], ids=["for us", "for the topic alone"])
@pytest.mark.parametrize("bytes_large", [9_000_000, 1_000_000], ids=["nine megabytes", "one megabyte"])
def test_one_message_that_is_too_large_is_named_and_the_others_are_published(
    topic: Topic, topic_bytes_max: str, bytes_large: int
) -> None:
    client = kafka.admin(topic.broker.servers)
    where = ConfigResource("TOPIC", topic.name, configs={"max.message.bytes": topic_bytes_max})
    client.alter_configs([where])
    client.close()
    sent = [topic.message(f"small{number}") for number in range(50)]
    sent.insert(25, Message(topic=topic.name, key=b"large", value=b"x" * bytes_large))
    large = bytes_large > int(topic_bytes_max)
    found: list[bytes] = []
    try:
        topic.publisher.publish(sent)
    except TooLarge as error:
        found = [one.key for one in error.messages]
    topic.publisher.publish([topic.message("later")])
    reader = topic.reader("one")
    keys = {one[:5] for one in read(reader, 52 - large)}
    reader.close()
    assert (found, keys) == ([b"large"] if large else [], {"small", "later"} | (set() if large else {"xxxxx"}))


def test_an_empty_topic_is_read_whole(topic: Topic) -> None:
    assert kafka.read_whole(topic.broker.servers, f"{topic.name}.kept") == {}


def test_without_a_broker_everything_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    servers = f"127.0.0.1:{free_ports(1)[0]}"
    monkeypatch.setattr(kafka, "FIRST_ANSWER_MS", 500)
    publisher = Publisher(servers, client_id="alone")
    tries: list[Callable[[], object]] = [
        lambda: kafka.consumer(servers, ["any"], group="one"),
        lambda: kafka.read_whole(servers, "any"),
        lambda: kafka.admin(servers),
        lambda: publisher.publish([Message(topic="any", key=b"k", value=b"v")]),
    ]
    assert [persistently(work)() for work in tries] == [False] * 4
