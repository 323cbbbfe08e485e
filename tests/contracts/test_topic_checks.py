"""What our topics depend on is set at each of them, and a broker's own defaults are no trouble or are named."""

from collections.abc import Mapping

import pytest

from counterflow import kafka, topic_checks
from counterflow.errors import Broken
from counterflow.topic_checks import Difference
from schemas.topics import CURSORS, HINTS, WORK, Topic

SERVERS = "broker:9092"
DAY = 86_400_000


class Broker:
    """What an admin client says of topics that somebody has set in his own way."""

    def __init__(self, own: Mapping[str, str] | None = None, *, replicas: int = 1) -> None:
        self.own, self.replicas = own or {}, replicas

    def describe_configs(self, resources: list[object], config_filter: str) -> dict[str, dict[str, dict[str, object]]]:
        assert config_filter == "all", "a broker's own default counts, wherever it comes from"
        ours = kafka.topic_settings(WORK, replication=self.replicas) | {**self.own}
        return {"topic": {"work.north": {name: {"value": value} for name, value in ours.items()}}}

    def describe_topics(self, names: list[str]) -> list[dict[str, object]]:
        return [{"name": name, "partitions": [{"replica_nodes": list(range(self.replicas))}] * 8} for name in names]


def look(broker: Broker) -> list[Difference]:
    return topic_checks.differences(broker, {"work.north": WORK})


def refused(broker: Broker) -> str:
    with pytest.raises(Broken) as raised:
        topic_checks.check(broker, SERVERS, {"work.north": WORK})
    return str(raised.value)


def test_a_topic_of_ours_is_as_it_should_be() -> None:
    assert [look(Broker(replicas=replicas)) for replicas in (1, 2, 3)] == [[], [], []]


@pytest.mark.parametrize("topic", [WORK, CURSORS, HINTS], ids=lambda one: one.name)
def test_nothing_that_a_topic_depends_on_is_left_to_the_brokers_defaults(topic: Topic) -> None:
    needed = {"cleanup.policy", "compression.type", "max.message.bytes", "message.timestamp.type"}
    needed |= {"min.insync.replicas", "retention.bytes", "segment.bytes", "unclean.leader.election.enable"}
    assert needed <= kafka.topic_settings(topic, replication=1).keys()


@pytest.mark.parametrize(("replication", "least"), [(1, "1"), (2, "1"), (3, "2")])
def test_one_broker_may_be_away(replication: int, least: str) -> None:
    assert kafka.topic_settings(WORK, replication=replication)["min.insync.replicas"] == least


@pytest.mark.parametrize(
    ("own", "mended"),
    [
        pytest.param({"compression.type": "zstd"}, "compression.type=producer", id="zstd, which no client can read"),
        pytest.param({"compression.type": "lz4"}, "compression.type=producer", id="lz4"),
        pytest.param({"compression.type": "snappy"}, "compression.type=producer", id="snappy"),
        pytest.param({"cleanup.policy": "compact"}, "cleanup.policy=delete", id="the last of each key only"),
        pytest.param({"cleanup.policy": "compact,delete"}, "cleanup.policy=delete", id="both policies"),
        pytest.param({"min.insync.replicas": "2"}, "min.insync.replicas=1", id="more replicas than there are"),
    ],
)
def test_what_nothing_works_with_is_refused_with_the_line_that_mends_it(own: dict[str, str], mended: str) -> None:
    line = "kafka-configs.sh --bootstrap-server broker:9092 --alter --entity-type topics --entity-name work.north"
    assert f"{line} --add-config {mended}" in refused(Broker(own))


@pytest.mark.parametrize(
    ("own", "mended"),
    [
        pytest.param({"retention.ms": str(DAY)}, f"retention.ms={7 * DAY}", id="a shorter time"),
        pytest.param({"retention.bytes": "1000000"}, "retention.bytes=-1", id="a limit of size"),
        pytest.param({"max.message.bytes": "1048588"}, "max.message.bytes=8388608", id="smaller messages"),
        pytest.param({"message.timestamp.type": "CreateTime"}, "message.timestamp.type=LogAppendTime", id="times"),
        pytest.param({"segment.bytes": "1048576"}, "segment.bytes=1073741824", id="segments below a message"),
        pytest.param(
            {"unclean.leader.election.enable": "true"}, "unclean.leader.election.enable=false", id="unclean leaders"
        ),
    ],
)
def test_what_works_but_is_not_as_it_should_be_is_told_with_its_line(own: dict[str, str], mended: str) -> None:
    broker = Broker(own)
    topic_checks.check(broker, SERVERS, {"work.north": WORK})
    assert topic_checks.mend(SERVERS, look(broker)).endswith(f"--add-config {mended}")


@pytest.mark.parametrize(
    "own",
    [
        pytest.param({"retention.ms": "-1"}, id="kept for ever"),
        pytest.param({"retention.ms": str(30 * DAY)}, id="kept longer"),
        pytest.param({"max.message.bytes": "99999999"}, id="larger messages"),
        pytest.param({"compression.type": "gzip"}, id="gzip, which every client reads"),
        pytest.param({"compression.type": "uncompressed"}, id="not packed"),
    ],
)
def test_more_than_we_ask_for_is_well(own: dict[str, str]) -> None:
    assert look(Broker(own)) == []


def test_too_few_replicas_are_told_where_one_broker_away_would_lose_something() -> None:
    assert topic_checks.mend(SERVERS, look(Broker({"min.insync.replicas": "1"}, replicas=3))).endswith(
        "min.insync.replicas=2"
    )


def test_a_broker_that_may_not_tell_its_settings_is_no_trouble() -> None:
    class Silent(Broker):
        def describe_configs(self, resources: object, config_filter: str) -> dict[str, dict[str, dict[str, object]]]:
            return {"topic": {"work.north": {}}}

    assert look(Silent()) == []
