"""The Faust engine: it moves messages to `Batches` and lets their offsets go afterwards. Nothing else imports Faust.

Why it looks like this (measured: docs/facts/engine.md): Faust acknowledges a message whose handler raised or was
cancelled, so acknowledging is switched off and done here, in order, whole batches, after the commit. It has two
wedges, in which it lives on and does nothing; both end in an exit, and whoever supervises us starts us again:

- a batch that does not end in time (the database away, a broker that does not answer): exit 75;
- nothing assigned for a while, which is what a broker that died while Faust started leads to: exit 75.

A bug in a flow exits with 70, a set-up that cannot work with 3. A message is never skipped because of an error.
"""

import asyncio
import os
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import faust
from faust.worker import Worker
from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import MemberToRemove
from kafka.errors import KafkaError, NoError
from kafka.structs import OffsetAndMetadata
from sqlalchemy import Connection

from counterflow import kafka, log
from counterflow.clock import Clock
from counterflow.errors import Broken, Rejected, Transient
from counterflow.gaps import Gap, tell
from counterflow.metrics import BATCH
from counterflow.retry import ROW
from counterflow.state import steering
from counterflow.state.database import begin
from processors import gaps
from processors.batch import Arrived, broker_time

BATCH_MAX = 500  # 50 give four fifths of the speed; the batch sizes itself, 1 when it is quiet.
BATCH_BYTES = 1_000_000  # A reading of a thousand customers' points has 60,000: fifty would outlast our patience.
TICK_S = 0.25  # How late a timer may be.
EXIT_BUG, EXIT_STUCK, EXIT_BROKEN = 70, 75, 3
_log = log.get("engine")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a worker goes on without getting on, before it leaves to be started again."""

    batch_s: float = 45.0  # More than twice what one publishing may take (kafka.ACK_S_MAX).
    unassigned_s: float = 60.0  # More than a rebalance with a member that died.


USUAL = Patience()


class Work(Protocol):
    """What the engine asks of `Batches`: tests put doubles in its place."""

    @property
    def topics(self) -> Sequence[str]:
        """What is read."""
        ...

    @property
    def expiring(self) -> Sequence[str]:
        """What of it expires."""
        ...

    def lose(self, connection: Connection, lost: Sequence[Gap]) -> None:
        """Note what went before it was handled, before the first batch."""
        ...

    def begin_stores(self, connection: Connection) -> None:
        """Note the stores, before the first batch."""
        ...

    def know_epochs(self, epochs: Mapping[str, int]) -> None:
        """Learn the topics' epochs, before the first batch."""
        ...

    def handle(self, batch: Sequence[Arrived]) -> None:
        """Handle a batch, whole or not at all."""
        ...

    def tick(self) -> None:
        """Do what is due by the clock."""
        ...


def prepare(batches: Work, *, engine: Any, servers: str, group: str, instance: str) -> None:
    """Check the topics, learn their epochs, and rewind the group to what the database says was handled.

    What is gone below that is told of and read again from its source; then it counts as handled.

    Every topic is asked for before Faust starts: a topic that is missing then would never be read (the second wedge).
    Our own dead self leaves the group: a lasting member that comes back is given what it had, nothing after a wedge,
    for ever; and as long as its session lasts, the group could not be rewound.

    Raises:
        Transient: The broker or the database does not answer, or the group cannot be rewound yet.
        Broken: A topic is missing or has another partition count.
    """
    client = kafka.admin(servers)
    try:
        seen = kafka.describe(client, batches.topics)
        begins = kafka.begins(client, batches.expiring)  # Before what is handled, which other workers may move on.
        with begin(engine) as connection:
            batches.begin_stores(connection)
            before = steering.handled_offsets(connection)
            batches.know_epochs(steering.epochs(connection, seen))
            lost = gaps.at_start(begins, before, steering.handled_offsets(connection))
            batches.lose(connection, lost)
            handled = steering.handled_offsets(connection)
        tell(lost)
        client.remove_group_members(group, [MemberToRemove(group_instance_id=instance)])
        committed = client.list_group_offsets(group).get(group, {})
        ours = {part: _offset(offset) for part, offset in committed.items() if part.topic in batches.topics}
        back = {  # What the database has never handled begins at the beginning: it may be a new or an older one.
            part: OffsetAndMetadata(handled.get((part.topic, part.partition), 0), "", -1)
            for part, offset in ours.items()
            if offset > handled.get((part.topic, part.partition), 0)
        }
        if back:  # The database was restored from a backup: what came after it is handled again.
            _rewind(client, group, back)
    except KafkaError as error:  # A broker that has just begun knows no groups yet.
        raise Transient(f"Kafka at {servers}: offsets of {group} not read ({error!r})") from error
    finally:
        client.close()


def _rewind(client: KafkaAdminClient, group: str, back: dict[TopicPartition, OffsetAndMetadata]) -> None:
    """Move the group back. The broker refuses as long as the group has members, a dead one's session included."""
    _log.warning("rewinding to what the database has handled", partitions=len(back))
    answers = client.alter_group_offsets(group, back)
    refused = sum(error is not NoError for error in answers.values())
    if refused:
        raise Transient(f"{refused} partitions of {group} not rewound: another worker runs, or died a moment ago")


def _offset(committed: Any) -> int:
    return -1 if committed is None else int(committed.offset)


class Engine:
    """One worker process."""

    def __init__(
        self,
        batches: Work,
        *,
        servers: str,
        group: str,
        instance: str,
        folder: Path,
        clock: Clock,
        patience: Patience = USUAL,
    ) -> None:
        self._batches, self._clock, self._patience = batches, clock, patience
        self._busy_since: float | None = None
        self._ticked_at = float("-inf")
        self._assigned = 0
        self._unassigned_since: float | None = time.monotonic()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._app = faust.App(
            group,
            broker=";".join(f"kafka://{one}" for one in servers.split(",")),
            store="memory://",
            datadir=str(folder),
            autodiscover=False,
            value_serializer="raw",
            key_serializer="raw",
            topic_disable_leader=True,
            topic_allow_declare=False,
            consumer_auto_offset_reset="earliest",
            broker_session_timeout=10,
            broker_heartbeat_interval=3,
            broker_request_timeout=40,
            broker_rebalance_timeout=60,
            broker_max_poll_interval=86_400,  # Past it Faust never comes back (the first wedge).
            consumer_group_instance_id=instance,  # A lasting member, which `prepare` can send out of the group.
            broker_commit_every=1000,
            broker_commit_interval=1,
            broker_max_poll_records=BATCH_MAX,
            stream_buffer_maxsize=1024,
            stream_wait_empty=True,
            web_enabled=False,
            worker_redirect_stdouts=False,
        )
        self._app.agent(self._app.topic(*batches.topics))(self._flow)
        self._app.on_partitions_assigned.connect(self._note_assigned)
        self._app.on_partitions_revoked.connect(self._note_revoked)

    def run(self) -> None:
        """Work until told to stop by a signal. Does not return."""
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
        worker = Worker(self._app, loglevel="warn", quiet=True, redirect_stdouts=False)
        worker.spinner = None  # It sets the root logger to debug, and every library makes lines that nobody reads.
        worker.execute_from_commandline()

    @property
    def is_ready(self) -> bool:
        """Say whether this worker has partitions to read."""
        return self._assigned > 0

    async def _flow(self, stream: Any) -> None:
        """Take what has arrived, handle it in the thread, and only then acknowledge it, in order."""
        queue: asyncio.Queue[Any] = asyncio.Queue()
        room = asyncio.Semaphore(2 * BATCH_MAX)
        stream.enable_acks = False  # Nothing is acknowledged but by us.
        task = asyncio.create_task(self._work(stream, queue, room))
        task.add_done_callback(_leave_on_bug)
        try:
            async for event in stream.events():
                await room.acquire()
                queue.put_nowait(event)
        finally:
            task.cancel()

    async def _work(self, stream: Any, queue: asyncio.Queue[Any], room: asyncio.Semaphore) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = await _next_batch(queue)
            self._busy_since = time.monotonic()
            await loop.run_in_executor(self._thread, self._insist, [_arrived(event.message) for event in batch])
            self._busy_since = None
            for event in batch:
                await stream.ack(event)
                room.release()

    def _insist(self, batch: list[Arrived]) -> None:
        """Handle a batch, and what is due by the clock, until it works. In the thread."""
        attempt = 0
        while True:
            try:
                if batch:
                    with BATCH.time():
                        self._batches.handle(batch)
                    batch = []  # Committed and published; a tick that fails must not handle it again.
                if time.monotonic() - self._ticked_at >= TICK_S:
                    self._batches.tick()
                    self._ticked_at = time.monotonic()
                return
            except Transient as error:
                attempt += 1
                _log.warning("waiting", why=str(error))
                self._clock.sleep(min(2.0, ROW.delay_s(attempt) or 2.0))
            except (Broken, Rejected) as error:  # Refused though it is no message's fault: by the clock, or a letter.
                _log.error("stopped", why=str(error))
                os._exit(EXIT_BROKEN)

    def _watch(self) -> None:
        """Leave when stuck. A thread: it works even when the event loop does not."""
        while True:
            self._clock.sleep(1)
            # Each is read once: the event loop may set it to None while we compare.
            busy, unassigned, now = self._busy_since, self._unassigned_since, time.monotonic()
            if busy is not None and now - busy > self._patience.batch_s:
                _log.error("a batch does not end, leaving to be started again", seconds=self._patience.batch_s)
                os._exit(EXIT_STUCK)
            if unassigned is not None and now - unassigned > self._patience.unassigned_s:
                _log.error("nothing assigned, leaving to be started again", seconds=self._patience.unassigned_s)
                os._exit(EXIT_STUCK)

    async def _note_assigned(self, _app: Any, assigned: Any, **_rest: Any) -> None:
        self._assigned = len(assigned)
        self._unassigned_since = None if assigned else time.monotonic()

    async def _note_revoked(self, _app: Any, revoked: Any, **_rest: Any) -> None:
        self._assigned = 0
        self._unassigned_since = time.monotonic()


async def _next_batch(queue: asyncio.Queue[Any]) -> list[Any]:
    """Give what has arrived, or nothing once a tick is due."""
    try:
        batch = [await asyncio.wait_for(queue.get(), TICK_S)]
    except TimeoutError:
        return []
    size = _size(batch[0])
    while len(batch) < BATCH_MAX and size < BATCH_BYTES and not queue.empty():
        batch.append(queue.get_nowait())
        size += _size(batch[-1])
    return batch


def _size(event: Any) -> int:
    return len(event.message.value or b"")


def _leave_on_bug(task: "asyncio.Task[None]") -> None:
    """End the process where the work ended with an error: a bug stops it, and never skips a message."""
    if not task.cancelled():
        _log.error("a flow failed", exc_info=task.exception())
        os._exit(EXIT_BUG)


def _arrived(message: Any) -> Arrived:
    return Arrived(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        at=broker_time(int(message.timestamp * 1000)),
        key=message.key,
        value=message.value,
    )
