"""Topics that a broker's own defaults have reached: the start is refused with the line that mends them."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from kafka.admin import ConfigResource, ConfigResourceType

from counterflow import kafka as brokers
from schemas.topics import HEARTBEATS, PARTITIONS, WORK
from tests.live.waiting import wait_for

pytestmark = pytest.mark.live
START_S_MAX = 60.0
NOBODY = "https://127.0.0.1:1"
ORDERS = {"prefix": "N-", "store": "WEBN", "station": "1", "tax_code": "T", "tax_authority": "T", "tax_rule": "T"}


def write_shop(folder: Path, servers: str, prefix: str) -> Path:
    """Write the file of a shop of which nothing answers but Kafka."""
    file = folder / "shop.yaml"
    rest = {"url": NOBODY, "company": "a", "user": "b", "password": "c", "api_key": "d"}
    store: dict[str, Any] = {"platform": "woocommerce", "url": NOBODY, "key": "ck", "secret": "cs"}
    store |= {"orders": ORDERS | {"pay_codes": {"*": "CARD"}}, "stock": {"locations": ["MAIN"]}}
    parts = {
        "kafka": {"servers": servers, "prefix": prefix},
        "counterpoint": {"sql": {"url": "postgresql+psycopg://a:b@127.0.0.1:1/c"}, "rest": rest},
        "stores": {"north": store},
    }
    file.write_text(yaml.safe_dump(parts))
    return file


def consume(file: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "counterflow.cli", "consume", "north", "--config", str(file)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def run_line(servers: str, line: str) -> None:
    """Do what the line says, as its own tool would, and wait until the broker has heard of it itself."""
    words = line.split()
    name = words[words.index("--entity-name") + 1]
    wanted = dict(one.split("=") for one in words[words.index("--add-config") + 1].split(","))
    client = brokers.admin(servers)
    assert client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, wanted)]) == {"topic": {name: "OK"}}

    def is_so() -> bool:
        told = client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)], config_filter="all")
        return all(told["topic"][name][key]["value"] == value for key, value in wanted.items())

    wait_for(is_so, within_s=START_S_MAX, what=line)
    client.close()


def test_a_topic_that_no_client_can_read_refuses_the_start_until_its_line_was_run(
    kafka: str, prefix: str, folder: Path
) -> None:
    name = WORK.named(prefix, system="north")
    client = brokers.admin(kafka)
    own = {"compression.type": "zstd", "cleanup.policy": "delete", "min.insync.replicas": "2"}
    client.create_topics({name: {"num_partitions": PARTITIONS, "replication_factor": 1, "configs": own}})
    client.wait_for_topics([name])
    client.close()
    file = write_shop(folder, kafka, prefix)
    refused = consume(file)
    says = refused.communicate(timeout=START_S_MAX)[1]
    assert refused.returncode == 3, says
    assert "compression.type is zstd, not producer" in says
    (line,) = [one.partition("run: ")[2] for one in says.splitlines() if "kafka-configs.sh" in one]
    run_line(kafka, line)
    started = consume(file)
    try:
        heartbeats = HEARTBEATS.named(prefix)
        wait_for(
            lambda: started.poll() is None and "north/consumer" in brokers.read_whole(kafka, heartbeats),
            within_s=START_S_MAX,
            what="it did not start",
        )
    finally:
        started.kill()
        started.communicate()


def test_a_topic_of_ours_leaves_nothing_to_the_brokers_defaults(kafka: str, prefix: str) -> None:
    name = WORK.named(prefix, system="north")
    client = brokers.admin(kafka)
    brokers.create_topics(client, {name: WORK}, replication=1)
    told = client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)], config_filter="all")["topic"][name]
    client.close()
    ours = brokers.topic_settings(WORK, replication=1)
    assert {key: told[key]["value"] for key in ours} == ours
    assert {told[key]["config_source"] for key in ours} == {"DYNAMIC_TOPIC_CONFIG"}
