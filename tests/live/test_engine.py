"""The Faust engine alone: it leaves when it is wedged, and no message is ever skipped."""

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import TopicPartition
from kafka.admin import OffsetSpec

from counterflow.kafka import Message, Publisher, admin, create_topics
from sandbox.broker import Broker
from sandbox.counterpoint.proxy import Proxy
from sandbox.faults import Switches
from schemas.topics import OUTCOMES, PARTITIONS
from tests.live.waiting import wait_for

pytestmark = pytest.mark.live
ROOT = Path(__file__).parents[2]
START_S_MAX = 40.0
PATIENCE_S = 3.0


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that a test may kill."""
    with Broker(tmp_path_factory.mktemp("engine-kafka")) as running:
        yield running


class Worker:
    """Starts the worker process of one test, again and again, on the same topic and group."""

    def __init__(self, broker: Broker, database: str, folder: Path) -> None:
        self._folder, self._process = folder, None
        self._topic = f"engine{uuid.uuid4().hex[:8]}"
        self._given = {
            "servers": broker.servers,
            "database": database,
            "topic": self._topic,
            "group": f"{self._topic}.group",
            "folder": str(folder),
            "batch_s": PATIENCE_S,
            "unassigned_s": 30.0,
            "waits": False,
        }
        self._servers = broker.servers
        self.make_topic()

    _process: subprocess.Popen[bytes] | None

    def make_topic(self) -> None:
        """Create its topic."""
        client = admin(self._servers)
        create_topics(client, {self._topic: OUTCOMES}, replication=1)
        client.close()

    def lose_topic(self) -> None:
        """Delete its topic, and wait until the broker has forgotten it."""
        client = admin(self._servers)
        client.delete_topics([self._topic])
        wait_for(lambda: self._topic not in client.list_topics(), within_s=START_S_MAX, what="the topic is still there")
        client.close()

    def send(self, *words: str) -> None:
        """Publish messages in order, on one partition."""
        publisher = Publisher(self._servers, client_id="test")
        publisher.publish([Message(topic=self._topic, key=b"one", value=word.encode()) for word in words])
        publisher.close()

    def expire(self, count: int) -> None:
        """Let the oldest messages go, as their time would."""
        client = admin(self._servers)
        specs = {TopicPartition(self._topic, part): OffsetSpec.LATEST for part in range(PARTITIONS)}
        ends = client.list_partition_offsets(specs)
        (part,) = [part for part in specs if ends[part].offset]  # All of them have one key.
        client.delete_records({part: count})
        client.close()

    def start(self, **changes: object) -> None:
        """Start it."""
        (self._folder / "prepared").unlink(missing_ok=True)
        command = [sys.executable, "-m", "tests.live.engine_alone", json.dumps(self._given | changes)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=log, stderr=log)

    def wait_until_prepared(self) -> None:
        """Wait until it has checked its topics and is about to start Faust."""
        wait_for((self._folder / "prepared").exists, within_s=START_S_MAX, what=self.log)

    def go_on(self) -> None:
        """Let it start Faust, where it waits for that."""
        assert self._process is not None
        self._process.communicate(b"\n", timeout=START_S_MAX)

    def code(self) -> int:
        """Wait until it leaves by itself; gives its exit code."""
        assert self._process is not None
        return self._process.wait(START_S_MAX)

    def handled(self) -> list[str]:
        """Give what it wrote down, over all its starts."""
        file = self._folder / "handled"
        return file.read_text().splitlines() if file.exists() else []

    def wait_until_handled(self, *words: str) -> None:
        """Wait until all of these were handled, at least once."""
        wait_for(lambda: set(self.handled()) >= set(words), within_s=START_S_MAX, what=self.log)

    def mend(self) -> None:
        """Take away what is wrong with the flow."""
        (self._folder / "mended").touch()

    def log(self) -> str:
        """Give the end of its log."""
        return (self._folder / "log").read_text()[-3000:]

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


@pytest.fixture
def worker(broker: Broker, fresh_database: str, folder: Path) -> Iterator[Worker]:
    """A worker process that is ended with the test."""
    made = Worker(broker, fresh_database, folder)
    yield made
    made.stop()


def test_a_batch_that_does_not_end_makes_the_worker_leave_and_comes_again(worker: Worker) -> None:
    worker.send("first", "stuck", "last")
    worker.start()
    assert worker.code() == 75, worker.log()
    worker.mend()
    worker.start()
    worker.wait_until_handled("first", "stuck", "last")


def test_a_database_that_is_away_makes_the_worker_leave_and_the_work_goes_on_when_it_is_back(
    broker: Broker, fresh_database: str, folder: Path
) -> None:
    switches = Switches()
    host, port = fresh_database.partition("@")[2].partition("/")[0].split(":")
    proxy = Proxy((host, int(port)), switches)
    proxy.start()
    worker = Worker(broker, fresh_database.replace(f"{host}:{port}", f"127.0.0.1:{proxy.port}"), folder)
    try:
        worker.send("first")
        worker.start()
        worker.wait_until_handled("first")
        switches.set(down=True)
        worker.send("last")
        assert worker.code() == 75, worker.log()
        assert "last" not in worker.handled()
        worker.start()  # It waits for the database before it starts Faust.
        switches.set(down=False)
        worker.wait_until_handled("last")
    finally:
        worker.stop()
        proxy.stop()


def test_a_broker_that_dies_before_faust_connects_makes_the_worker_leave_and_the_next_one_works(
    worker: Worker, broker: Broker
) -> None:
    worker.send("first")
    worker.start(waits=True)
    worker.wait_until_prepared()
    broker.kill()
    try:
        worker.go_on()
        assert worker.code() != 0, worker.log()
    finally:
        broker.start()
    worker.start()
    worker.wait_until_handled("first")


def test_a_worker_that_is_assigned_nothing_leaves_and_the_next_one_works(worker: Worker) -> None:
    worker.start(waits=True, unassigned_s=PATIENCE_S)
    worker.wait_until_prepared()
    worker.lose_topic()  # As Faust sees it when the broker dies while it starts: no partition, and no error.
    worker.go_on()
    assert worker.code() == 75, worker.log()
    worker.make_topic()
    worker.send("first")
    worker.start()
    worker.wait_until_handled("first")


def test_a_bug_in_a_flow_stops_the_worker_and_its_message_comes_again(worker: Worker) -> None:
    worker.send("first", "bug", "last")
    for _ in range(2):
        worker.start()
        assert worker.code() == 70, worker.log()
    assert "bug" not in worker.handled()
    assert "last" not in worker.handled()
    worker.mend()
    worker.start()
    worker.wait_until_handled("first", "bug", "last")


def test_trouble_that_passes_is_waited_out_and_nothing_is_lost(worker: Worker) -> None:
    worker.send("first", "later", "last")
    worker.start(batch_s=20.0)
    worker.wait_until_handled("first", "later", "last")
    assert worker.log().count("not yet") == 2


def test_a_set_up_that_cannot_work_stops_the_worker_with_its_own_code(worker: Worker) -> None:
    worker.send("broken")
    worker.start()
    assert worker.code() == 3, worker.log()
    assert worker.handled() == []


def test_what_expired_while_no_worker_ran_is_noticed_at_the_start_and_once(worker: Worker) -> None:
    worker.send("first")
    worker.start()
    worker.wait_until_handled("first")
    worker.stop()
    worker.send("second", "third", "last")
    worker.expire(3)
    for _ in range(2):
        worker.start()
        worker.wait_until_handled("last")
        worker.stop()
    assert [word for word in worker.handled() if word != "last"] == ["first", "lost 1-3"]


def test_what_expires_while_a_worker_is_busy_is_noticed_when_it_goes_on(worker: Worker) -> None:
    worker.start(batch_s=60.0)
    worker.send("first")
    worker.wait_until_handled("first")
    worker.send("busy")
    worker.send(*(f"{number:4000}" for number in range(3000)), "last")  # More than a client fetches ahead.
    worker.expire(3000)
    worker.mend()
    worker.wait_until_handled("last")
    (lost,) = [word for word in worker.handled() if word.startswith("lost")]
    assert lost.endswith("-3000")
