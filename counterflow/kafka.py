"""Kafka: topics made up front, a producer that waits for the acknowledgement, consumers that commit by hand."""

import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import (
    KafkaError,
    LogTruncationError,
    MessageSizeTooLargeError,
    OffsetOutOfRangeError,
    RecordListTooLargeError,
    TopicAlreadyExistsError,
)
from kafka.partitioner.default import murmur2

from counterflow import gaps, log
from counterflow.errors import Broken, Rejected, Transient
from counterflow.gaps import Gap
from counterflow.metrics import LARGE
from schemas.topics import DAY_MS, PARTITIONS, Topic

_log = log.get("kafka")
CALL_MS = 30_000  # Every call to the broker ends within this.
FIRST_ANSWER_MS = 5_000  # A broker that is there answers within this; whoever opens tries again.
MESSAGE_BYTES_MAX = 8_388_608  # A product with pictures in its text has passed the usual one megabyte.
AROUND_BYTES = 256  # What the client and the broker add to a message at the most, and each header some more.
ACK_S_MAX = 20.0  # Less than the engine's patience.
KEY_SHOWN = 200  # Bytes of a key that a log line shows.
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

TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)  # The broker's own words for it.


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message to publish. `key` decides its partition; messages of one key stay in order."""

    topic: str
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    together: bytes | None = None  # Messages with an equal one stay in order too; None: the key alone decides.


class TooLarge(Rejected):
    """Some messages are too large, for us or for the broker. All others are acknowledged; these will never be."""

    def __init__(self, messages: Sequence[Message]) -> None:
        super().__init__(f"{len(messages)} messages are too large to be published")
        self.messages = tuple(messages)


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


def size_of(message: Message) -> int:
    """Give a message's size as it counts for the largest one: key, value, headers, and what is written around them."""
    headers = sum(len(name.encode()) + len(value) + 16 for name, value in message.headers)
    return len(message.key) + len(message.value or b"") + headers + AROUND_BYTES


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


def begins(client: KafkaAdminClient, names: Iterable[str]) -> dict[tuple[str, int], int]:
    """Give the first offset that each partition of some topics still has."""
    specs = {TopicPartition(name, part): OffsetSpec.EARLIEST for name in names for part in range(PARTITIONS)}
    found = client.list_partition_offsets(specs)
    return {(part.topic, part.partition): int(answer.offset) for part, answer in found.items()}


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
            TooLarge: At least one is too large; all others are acknowledged.
        """
        large = [one for one in messages if size_of(one) > MESSAGE_BYTES_MAX]
        large += self._publish([one for one in messages if size_of(one) <= MESSAGE_BYTES_MAX])
        for one in large:
            LARGE.labels(one.topic).inc()
            key = one.key[:KEY_SHOWN].decode(errors="replace")
            _log.error("too large to be published", topic=one.topic, key=log.key(key), bytes=size_of(one))
        if large:
            raise TooLarge(large)

    def _publish(self, messages: Sequence[Message]) -> list[Message]:
        """Publish in order; gives what the broker finds too large: its own limit may be below ours.

        It is found by halves, and so the small ones of a batch may be published twice. Raises Transient as `publish`.
        """
        try:
            if messages:
                self._deliver(messages)
                self.works = True
            return []
        except TOO_LARGE:
            self.close()  # A sequence that lacks a message is at an end.
            if len(messages) == 1:
                return [*messages]
            half = len(messages) // 2
            return self._publish(messages[:half]) + self._publish(messages[half:])
        except KafkaError as error:
            self.works = False
            self.close()  # What it may still hold must not come after what we send again.
            raise Transient(f"Kafka: {len(messages)} messages not acknowledged ({error!r})") from error

    def _deliver(self, messages: Sequence[Message]) -> None:
        """Send all of them and wait for the acknowledgements. Raises KafkaError."""
        producer = self._open()
        sent = [
            producer.send(one.topic, key=one.key, value=one.value, headers=list(one.headers), partition=_place(one))
            for one in messages
        ]
        producer.flush(timeout=ACK_S_MAX)
        errors = [future.exception for future in sent if future.failed()]
        if errors:  # What came behind one that is too large may have failed because of it.
            raise next((one for one in errors if isinstance(one, TOO_LARGE)), errors[0])
        for future in sent:
            future.get(timeout=1)

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


class Messages(Protocol):
    """What is read message by message, and committed by hand."""

    def poll(self, *, timeout_ms: int, max_records: int | None = None) -> Mapping[Any, Sequence[Any]]:
        """Give what has come, by partition; waits at most so long."""
        ...

    def commit(self) -> None:
        """Commit what was given. Raises KafkaError."""
        ...


class Reader:
    """Reads partitions from where their group committed. One thread uses it.

    Where the log begins behind that, or ends before it, the alarm is raised and it goes on with what there is: the
    client's own ways, to go to the beginning or to the end, say nothing of what is missing. Seen with kafka-python
    3.0.12: without such a way it raises OffsetOutOfRangeError of one partition, and LogTruncationError of some.
    """

    def __init__(self, opened: KafkaConsumer, parts: Sequence[TopicPartition]) -> None:
        self._consumer = opened
        self.on_gap: Callable[[], None] = lambda: None  # Called where something is missing, within `poll`.
        opened.assign(parts)
        self._seek({part: opened.committed(part) for part in parts})

    def poll(self, *, timeout_ms: int, max_records: int | None = None) -> Mapping[Any, Sequence[Any]]:
        """Give what has come, by partition. See Messages."""
        try:
            found: Mapping[Any, Sequence[Any]] = self._consumer.poll(timeout_ms=timeout_ms, max_records=max_records)
        except (OffsetOutOfRangeError, LogTruncationError) as error:
            self._go_on(error.args[0])
            return {}
        return found

    def commit(self) -> None:
        """Commit what was given. See Messages."""
        self._consumer.commit()

    def close(self) -> None:
        """Let go of the connection."""
        self._consumer.close()

    def _go_on(self, parts: Iterable[TopicPartition]) -> None:
        """Go on with what there is; while the broker does not say, the next poll finds the same again."""
        try:
            self._seek({part: self._consumer.position(part) for part in parts})
            self.on_gap()
        except KafkaError as error:
            _log.warning("offsets not read", why=repr(error))

    def _seek(self, wanted: Mapping[TopicPartition, int | None]) -> None:
        """Go to the wanted offsets as far as the log has them; None: nothing is committed, so to the beginning."""
        parts = list(wanted)
        first, ends = self._consumer.beginning_offsets(parts), self._consumer.end_offsets(parts)
        missing = []
        for part, offset in wanted.items():
            is_there = offset is not None and first[part] <= offset <= ends[part]
            if offset is not None and not is_there:
                missing.append(Gap(topic=part.topic, partition=part.partition, first=offset, found=first[part]))
            self._consumer.seek(part, offset if is_there else first[part])
        gaps.tell(missing)
        unknown = sum(offset is None and first[part] > 0 for part, offset in wanted.items())
        if unknown:  # A broker forgets what was committed after a week of silence (offsets.retention.minutes).
            _log.warning("nobody knows what was read before, reading from where the log begins", partitions=unknown)


def consumer(servers: str, topics: Sequence[str], *, group: str, most: int = 500) -> Reader:
    """Open a reader of all partitions of some topics, from where its group committed; it commits by hand.

    It assigns them to itself: the group keeps the offsets and nothing else. As a member of the group kafka-python
    3.0.12 was seen to lose its membership, to refuse commits from then on and to spin (docs/adr/0006).

    Args:
        servers: The broker's address.
        topics: What to read.
        group: Whose offsets.
        most: How many messages one poll gives at the most.

    Raises:
        Transient: The broker does not answer.
    """
    opened = None
    try:
        opened = KafkaConsumer(
            bootstrap_servers=servers,
            group_id=group,
            client_id=group,
            enable_auto_commit=False,
            auto_offset_reset="none",  # Where to go on is our own decision, and is said.
            max_poll_records=most,
            request_timeout_ms=CALL_MS,
            bootstrap_timeout_ms=FIRST_ANSWER_MS,
            reconnect_backoff_max_ms=RECONNECT_MS,
        )
        return Reader(opened, [TopicPartition(topic, part) for topic in topics for part in range(PARTITIONS)])
    except KafkaError as error:
        if opened is not None:
            opened.close()
        raise Transient(f"Kafka at {servers} does not answer ({error!r}); is the broker up?") from error


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
