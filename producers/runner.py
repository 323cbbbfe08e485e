"""One loop per source: read, publish, move the cursor, let the source forget, again.

The order of a key on its topic is the order in which it was read. The cursor follows the acknowledgement, so a crash
in between delivers again and never skips; readers take repeats.
"""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from counterflow import log
from counterflow.clock import Clock
from counterflow.dead_letters import publish
from counterflow.errors import Broken, Rejected, Transient
from counterflow.kafka import Message, Publisher, cloud_event
from counterflow.metrics import CAPTURED, POLL, RESETS, UP
from counterflow.retry import ROW
from counterflow.systems.ports import Read, Reading, Source
from producers.asks import Asks, Nobody
from schemas.changes import change_id, decode_key
from schemas.outcomes import Cursor, Heartbeat
from schemas.topics import CHANGES, CURSORS, HEARTBEATS

SLICE = 1000  # Messages published at once.
HEARTBEAT_S = 5.0
CURSORS_S = 2.0  # A quiet source says so often enough for whoever waits until it was read.


class Runner:
    """Drives one source."""

    def __init__(
        self, source: Source, publisher: Publisher, *, prefix: str, clock: Clock, stop: threading.Event
    ) -> None:
        self._source, self._publisher, self._prefix = source, publisher, prefix
        self._clock, self._stop = clock, stop
        self._log = log.get("producer").bind(source=source.system)
        self._up: bool | None = None
        self._since = clock.now()
        self._beat_at = self._cursors_at = float("-inf")
        self._asks: Asks = Nobody()
        self._begun: datetime | None = None  # When everything began to be read that has not come to its end.
        self._whole: datetime | None = None  # When the last one began that has.
        self._counts: dict[str, int] = {}  # Of the full readings that have ended: the topic keeps the newest word only.

    def run(self, stored: dict[str, bytes], asks: Asks | None = None) -> None:
        """Go on from the stored cursors until the stop.

        Args:
            stored: The `cursors` topic, by key, as `counterflow.kafka.read_whole` gives it.
            asks: Who asks that everything be read again; None: nobody does.

        Raises:
            Broken: The source will not work until somebody mends the set-up.
        """
        cursor, position = self._begin(stored)
        self._asks = asks or Nobody()
        failures = 0
        while not self._stop.is_set():
            try:
                cursor = self._from_where(cursor)
                reading = self._source.poll(cursor, self._floor(position))
                position = reading.position  # Never used again, published or not.
                self._publish(reading, cursor)
                self._source.confirm(reading)
                self._close(reading)
            except (Transient, Rejected) as error:  # A page refused as a whole is the source's trouble, no record's.
                failures += 1
                self._log.warning("waiting", why=str(error))
                self._heartbeat(up=False, note=str(error))
                self._clock.sleep(min(2.0, _wait_s(error, failures)))
                continue
            except Broken as error:
                self._heartbeat(up=False, note=str(error))
                raise
            failures = 0
            cursor = reading.cursor
            self._heartbeat(up=True)
            if not reading.reads and not reading.reset:
                self._clock.sleep(self._source.poll_s)

    def _begin(self, stored: dict[str, bytes]) -> tuple[str | None, int]:
        own = [msgspec.json.decode(value, type=Cursor) for value in stored.values()]
        own = [one for one in own if one.system == self._source.system]
        self._counts = {one.entity: one.rows for one in own if one.rows is not None}
        if not own:
            self._begun = self._clock.now()
            return None, 0
        newest = max(own, key=lambda one: one.position)
        self._whole = newest.whole_since
        return newest.value, newest.position

    def _from_where(self, cursor: str | None) -> str | None:
        """Give the cursor to go on from: the beginning, where somebody has asked for that since it was read last."""
        asked = self._asks.take()
        if asked is not None and (self._whole is None or asked > self._whole):
            # Never before it was asked for, whatever our clock says: who asked waits for a later one.
            self._begun = max(self._clock.now(), asked)
            self._log.warning("reading everything again")
            return self._source.again(cursor)
        if self._begun is None:
            self._asks.confirm()
        return cursor

    def _ends(self, reading: Reading) -> datetime | None:
        """Give when everything began to be read that comes to its end with this reading."""
        return self._begun if reading.entities and not reading.is_part else None

    def _close(self, reading: Reading) -> None:
        """Note that everything was read, now that the reading that ends it is published."""
        ended = self._ends(reading)
        if ended is not None:
            self._begun, self._whole = None, ended

    def _floor(self, position: int) -> int:
        """Let positions follow the clock, so that they rise also after a crash that lost the last cursor."""
        return max(position, int(self._clock.now().timestamp() * 1000))

    def _publish(self, reading: Reading, before: str | None) -> None:
        """Publish a reading, and then where it ended."""
        with POLL.labels(self._source.system, "all").time():
            for start in range(0, len(reading.reads), SLICE):
                self._say([self._message(read) for read in reading.reads[start : start + SLICE]])
        for read in reading.reads:
            CAPTURED.labels(self._source.system, read.entity, read.change.op).inc()
        if reading.reset:
            RESETS.labels(self._source.system, ",".join(reading.entities)).inc()
        due = self._clock.monotonic() - self._cursors_at >= CURSORS_S
        due = due or self._ends(reading) is not None
        if reading.entities and (reading.reads or reading.cursor != before or due):
            self._say(self._cursors(reading))
            self._cursors_at = self._clock.monotonic()

    def _say(self, messages: Sequence[Message]) -> None:
        """Publish; a row that is too large is set aside, or it would stop its source for ever. Raises Transient."""
        publish(self._publisher, messages, prefix=self._prefix, at=self._clock.now())

    def _message(self, read: Read) -> Message:
        system, key = self._source.system, decode_key(read.key)
        at = datetime.fromtimestamp(read.change.source.ts_ms / 1000, UTC).isoformat()
        headers = cloud_event(
            kind="counterflow.change",
            source=f"/{system}/{read.entity}",
            event_id=change_id(system, read.entity, key, read.change),
            subject=key,
            at=at,
        )
        topic = CHANGES.named(self._prefix, system=system, entity=read.entity)
        return Message(
            topic=topic, key=read.key, value=msgspec.json.encode(read.change), headers=headers, together=read.together
        )

    def _cursors(self, reading: Reading) -> Sequence[Message]:
        now = self._clock.now()
        self._counts |= reading.counts
        return [
            Message(
                topic=CURSORS.named(self._prefix),
                key=f"{self._source.system}/{entity}".encode(),
                value=msgspec.json.encode(
                    Cursor(
                        system=self._source.system,
                        entity=entity,
                        position=reading.position,
                        value=reading.cursor,
                        rows=self._counts.get(entity),
                        whole_since=self._ends(reading) or self._whole,
                        at=now,
                    )
                ),
            )
            for entity in reading.entities
        ]

    def _heartbeat(self, *, up: bool, note: str = "") -> None:
        """Say how the connection stands: at once when it changes, else now and then."""
        now = self._clock.now()
        if up != self._up:
            self._up, self._since, self._beat_at = up, now, float("-inf")
            self._log.info("connection up" if up else "connection down")
        UP.labels(self._source.system).set(int(up))
        if self._clock.monotonic() - self._beat_at < HEARTBEAT_S:
            return
        self._beat_at = self._clock.monotonic()
        beat = Heartbeat(system=self._source.system, role="producer", up=up, since=self._since, seen_at=now, note=note)
        key = f"{self._source.system}/producer".encode()
        try:
            self._say([Message(topic=HEARTBEATS.named(self._prefix), key=key, value=msgspec.json.encode(beat))])
        except Transient as error:
            self._log.warning("heartbeat not sent", why=str(error))


def _wait_s(error: Transient | Rejected, failures: int) -> float:
    asked = error.retry_after_s if isinstance(error, Transient) else None
    return asked or ROW.delay_s(failures) or 2.0
