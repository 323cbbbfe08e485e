"""Kafka: topics made up front, a producer that waits for the acknowledgement, consumers that commit by hand."""

import threading
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError, TopicAlreadyExistsError
from kafka.partitioner.default import murmur2

from counterflow.errors import Broken, Transient
from schemas.topics import DAY_MS, PARTITIONS, Topic

CALL_MS = 30_000  # Every call to the broker ends within this.
FIRST_ANSWER_MS = 5_000  # A broker that is there answers within this; whoever opens tries again.
MESSAGE_BYTES_MAX = 8_388_608  # A product with pictures in its text has passed the usual one megabyte.
ACK_S_MAX = 20.0  # Less than the engine's patience.
RECONNECT_MS = 2_000  # A broker that is back is found within this; the client's own ceiling is half a minute.
# What every topic of ours depends on. It is set at each, so that a broker's own defaults never reach one.
SETTINGS = {
    "compression.type": "producer",  # Packed anew by the broker, not every client could read it.
    "max.message.bytes": str(MESSAGE_BYTES_MAX),
    "message.timestamp.type": "LogAppendTime",  # The broker stamps the time: all topics can be read in one order.
    "retention.bytes": "-1",  # Only time lets a message go: a full reading must not push out what nobody has read.
    "segment.bytes": "1073741824",  # A message that is larger than a segment is refused.
    "unclean.leader.election.enable": "false",  # A broker that was behind would forget what was acknowledged.
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message to publish. `key` decides its partition; messages of one key stay in order."""

    topic: str
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    together: bytes | None = None  # Messages with an equal one stay in order too; None: the key alone decides.


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicState:
    """What the broker says of one topic."""

    name: str
    topic_id: str  # Another one under the same name means that the topic was made anew.
    partitions: int


def cloud_event(*, kind: str, source: str, event_id: str, subject: str, at: str) -> tuple[tuple[str, bytes], ...]:
    """Give the CloudEvents 1.0 headers of a message (Kafka binding, binary mode)."""
    fields = {"specversion": "1.0", "id": event_id, "source": source, "type": kind, "subject": subject, "time": at}
    headers = tuple((f"ce_{name}", value.encode()) for name, value in fields.items())
    return (*headers, ("content-type", b"application/json"))


def admin(servers: str) -> KafkaAdminClient:
    """Open an admin client. Raises Transient when no broker answers."""
    try:
        return KafkaAdminClient(
            bootstrap_servers=servers,
            request_timeout_ms=CALL_MS,
            bootstrap_timeout_ms=FIRST_ANSWER_MS,
            client_id="counterflow-admin",
        )
    except KafkaError as error:
        raise Transient(f"Kafka at {servers} does not answer ({error!r}); is the broker up?") from error


def create_topics(client: KafkaAdminClient, topics: dict[str, Topic], *, replication: int) -> None:
    """Create what is missing and wait until it can be used. Changelogs and all: nothing is created by accident."""
    there = set(client.list_topics())
    missing = {
        name: {
            "num_partitions": PARTITIONS,
            "replication_factor": replication,
            "configs": topic_settings(topic, replication=replication),
        }
        for name, topic in topics.items()
        if name not in there
    }
    try:
        if missing:
            client.create_topics(missing, timeout_ms=CALL_MS)
    except TopicAlreadyExistsError:
        pass  # Another process was faster; what counts is the wait below.
    except KafkaError as error:
        raise Transient(f"Kafka: topics could not be created: {error!r}") from error
    client.wait_for_topics(list(topics), timeout_ms=CALL_MS)


def topic_settings(topic: Topic, *, replication: int) -> dict[str, str]:
    """Give a topic's settings; `replication`: on how many brokers it is."""
    # One of them may be away, and what was acknowledged is on another one still.
    settings = SETTINGS | {"min.insync.replicas": str(max(1, replication - 1))}
    if topic.keep_days is None:
        return settings | {"cleanup.policy": "compact"}
    return settings | {"cleanup.policy": "delete", "retention.ms": str(topic.keep_days * DAY_MS)}


def describe(client: KafkaAdminClient, names: Iterable[str]) -> list[TopicState]:
    """Give what the broker says of topics. Raises Broken for one that is missing or has another partition count."""
    found = []
    for answer in client.describe_topics(list(names)):
        name, count = str(answer["name"]), len(answer["partitions"])
        if count != PARTITIONS:
            raise Broken(
                f"topic {name} has {count} partitions, not {PARTITIONS}: versions and keys would no longer fit; "
                "restore the topic, or begin a new installation under another kafka.prefix"
            )
        found.append(TopicState(name=name, topic_id=str(uuid.UUID(str(answer["topic_id"]))), partitions=count))
    return found


class Publisher:
    """A producer that answers only when the broker has acknowledged everything. Threads may share it."""

    def __init__(self, servers: str, *, client_id: str) -> None:
        self._servers, self._client_id = servers, client_id
        self.works = False  # Whether the last publishing was acknowledged.
        self._producer: KafkaProducer | None = None
        self._lock = threading.Lock()  # Web hooks come at the same time: one producer for them all.

    def publish(self, messages: Sequence[Message]) -> None:
        """Publish all of them, in order, and return when all are acknowledged.

        Raises:
            Transient: At least one was not; publish all of them again, every reader takes repeats.
        """
        if not messages:
            return
        try:
            producer = self._open()
            sent = [
                producer.send(one.topic, key=one.key, value=one.value, headers=list(one.headers), partition=_place(one))
                for one in messages
            ]
            producer.flush(timeout=ACK_S_MAX)
            for future in sent:
                future.get(timeout=1)
            self.works = True
        except KafkaError as error:
            self.works = False
            self.close()  # What it may still hold must not come after what we send again.
            raise Transient(f"Kafka: {len(messages)} messages not acknowledged ({error!r})") from error

    def _open(self) -> KafkaProducer:
        with self._lock:
            if self._producer is None:
                self._producer = KafkaProducer(
                    bootstrap_servers=self._servers,
                    client_id=self._client_id,
                    acks="all",
                    enable_idempotence=True,  # Retries inside the client neither repeat nor reorder.
                    linger_ms=0,
                    request_timeout_ms=10_000,
                    delivery_timeout_ms=15_000,
                    max_block_ms=10_000,
                    bootstrap_timeout_ms=FIRST_ANSWER_MS,
                    max_request_size=MESSAGE_BYTES_MAX,
                    reconnect_backoff_max_ms=RECONNECT_MS,
                )
            return self._producer

    def close(self) -> None:
        """Let go of the connection."""
        with self._lock:
            producer, self._producer = self._producer, None
        if producer is not None:
            producer.close(timeout=0)


def _place(message: Message) -> int | None:
    """Give the partition of a message that stays with others; None leaves it to its key."""
    if message.together is None:
        return None
    return int(murmur2(message.together) & 0x7FFFFFFF) % PARTITIONS


def consumer(servers: str, topics: Sequence[str], *, group: str, most: int = 500) -> KafkaConsumer:
    """Open a consumer that reads all partitions of some topics from where its group committed, and commits by hand.

    It assigns them to itself: the group keeps the offsets and nothing else. As a member of the group kafka-python
    3.0.12 was seen to lose its membership, to refuse commits from then on and to spin (docs/adr/0006).

    Args:
        servers: The broker's address.
        topics: What to read.
        group: Whose offsets.
        most: How many messages one poll gives at the most.
    """
    try:
        opened = KafkaConsumer(
            bootstrap_servers=servers,
            group_id=group,
            client_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=most,
            request_timeout_ms=CALL_MS,
            bootstrap_timeout_ms=FIRST_ANSWER_MS,
            reconnect_backoff_max_ms=RECONNECT_MS,
        )
    except KafkaError as error:
        raise Transient(f"Kafka at {servers} does not answer ({error!r}); is the broker up?") from error
    opened.assign([TopicPartition(topic, part) for topic in topics for part in range(PARTITIONS)])
    return opened


def read_whole(servers: str, topic: str) -> dict[str, Any]:
    """Read a compacted topic to its end: the last value of each key, tombstones left out. For start-up.

    Raises:
        Transient: The broker did not answer in time.
    """
    try:
        reader = KafkaConsumer(
            bootstrap_servers=servers,
            enable_auto_commit=False,
            request_timeout_ms=CALL_MS,
            bootstrap_timeout_ms=FIRST_ANSWER_MS,
        )
    except KafkaError as error:
        raise Transient(f"Kafka at {servers} does not answer ({error!r}); is the broker up?") from error
    try:
        parts = [TopicPartition(topic, number) for number in sorted(reader.partitions_for_topic(topic) or ())]
        reader.assign(parts)
        reader.seek_to_beginning(*parts)
        ends = reader.end_offsets(parts)
        last: dict[str, Any] = {}
        while any(reader.position(part) < ends[part] for part in parts):
            for batch in reader.poll(timeout_ms=500).values():
                for message in batch:
                    last[message.key.decode()] = message.value
        return {key: value for key, value in last.items() if value is not None}
    except KafkaError as error:
        raise Transient(f"Kafka: {topic} could not be read: {error!r}") from error
    finally:
        reader.close()
