"""How our topics are set on the broker, held against what they depend on (`counterflow.kafka.SETTINGS`).

A topic that was made by somebody else, or before a setting was ours, follows the broker's own defaults. At the start of
every process is refused what nothing works with, or what loses messages without a trace:

- compression.type that a client of ours has no library for: whoever reads it stops at the first message;
- cleanup.policy other than ours: of a key's messages only the last would stay, or nothing of what is kept for good;
- min.insync.replicas above the replicas in place: no write would ever be acknowledged.

Everything else is said, at the start and by `doctor`: it works, and what expires sooner than it should is noticed when
it happens. A shop that has little room on its disk is not stopped for that (docs/reference/topics.md).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from kafka import KafkaAdminClient, codec
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError

from counterflow import log
from counterflow.errors import Broken, Transient
from counterflow.kafka import MESSAGE_BYTES_MAX, topic_settings
from schemas.topics import Topic

_log = log.get("topics")
# What kafka-python needs; the engine's client needs cramjam for each of them.
_LIBRARIES: Mapping[str, Callable[[], bool]] = {
    "lz4": codec.has_lz4,
    "snappy": codec.has_snappy,
    "zstd": codec.has_zstd,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One setting of one topic that is not what we depend on."""

    topic: str
    setting: str
    found: str
    ours: str
    stops: bool  # Whether nothing works with it, or messages are lost without a trace.

    def __str__(self) -> str:
        return f"{self.setting} is {self.found}, not {self.ours}"


def differences(client: KafkaAdminClient, topics: Mapping[str, Topic]) -> list[Difference]:
    """Look at topics that exist; what the broker does not tell of them is passed over.

    Raises:
        Transient: The broker does not answer.
    """
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in topics]
    try:
        told = client.describe_configs(resources, config_filter="all").get("topic", {})
        described = client.describe_topics(list(topics))
    except KafkaError as error:
        raise Transient(f"Kafka: the topics' settings could not be read: {error!r}") from error
    replicas = {str(one["name"]): _replicas(one["partitions"]) for one in described}
    return [
        found
        for name, topic in topics.items()
        for found in _compare(name, topic, told.get(name, {}), replicas.get(name, 1))
    ]


def _replicas(partitions: Sequence[Mapping[str, Sequence[int]]]) -> int:
    """Give on how many brokers each partition is, at least."""
    return min((len(one["replica_nodes"]) for one in partitions), default=1)


def _compare(name: str, topic: Topic, told: Mapping[str, Mapping[str, str]], replicas: int) -> list[Difference]:
    found = []
    for setting, ours in topic_settings(topic, replication=replicas).items():
        value = told.get(setting, {}).get("value")
        if value is None or fits(setting, value, ours):
            continue
        stops = setting in {"cleanup.policy", "compression.type"}
        found.append(Difference(topic=name, setting=setting, found=value, ours=ours, stops=stops))
    least = told.get("min.insync.replicas", {}).get("value") or "1"
    if int(least) > replicas:
        ours = topic_settings(topic, replication=replicas)["min.insync.replicas"]
        found.append(Difference(topic=name, setting="min.insync.replicas", found=least, ours=ours, stops=True))
    return found


def fits(setting: str, found: str, ours: str) -> bool:
    """Say whether we can live with a setting: it is ours, or asks for more of the same."""
    match setting:
        case "compression.type":
            return _is_readable(found)
        case "retention.ms":
            return int(found) < 0 or int(found) >= int(ours)
        case "retention.bytes":
            return int(found) < 0
        case "max.message.bytes" | "min.insync.replicas":
            return int(found) >= int(ours)
        case "segment.bytes":  # Any size will do that takes the largest message.
            return int(found) >= MESSAGE_BYTES_MAX
        case _:
            return found == ours


def _is_readable(compression: str) -> bool:
    has_library = _LIBRARIES.get(compression)
    return has_library is None or (has_library() and find_spec("cramjam") is not None)


def mend(servers: str, found: Sequence[Difference]) -> str:
    """Give the line that mends one topic's settings."""
    (topic,) = {one.topic for one in found}
    return (
        f"kafka-configs.sh --bootstrap-server {servers} --alter --entity-type topics --entity-name {topic} "
        f"--add-config {','.join(f'{one.setting}={one.ours}' for one in found)}"
    )


def by_topic(found: Sequence[Difference]) -> dict[str, list[Difference]]:
    """Give differences by their topic."""
    topics: dict[str, list[Difference]] = {}
    for one in found:
        topics.setdefault(one.topic, []).append(one)
    return topics


def says(servers: str, found: Sequence[Difference]) -> str:
    """Say what is different about one topic, and give the line that mends it."""
    return f"{', '.join(map(str, found))}; run: {mend(servers, found)}"


def check(client: KafkaAdminClient, servers: str, topics: Mapping[str, Topic]) -> None:
    """Refuse topics that nothing works with; say what else is not as it should be.

    Raises:
        Broken: A topic is set so that nothing works, or messages would be lost without a trace; one line mends each.
        Transient: The broker does not answer.
    """
    found = by_topic(differences(client, topics))
    refused = {name: some for name, some in found.items() if any(one.stops for one in some)}
    if refused:
        raise Broken("\n".join(f"topic {name}: {says(servers, some)}" for name, some in refused.items()))
    for name, some in found.items():
        _log.warning("topic is not set as it should be", topic=name, mend=says(servers, some))
