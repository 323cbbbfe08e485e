"""One batch: messages in, one transaction, the outbox out. What the engine runs in its worker thread, without Faust.

The order of things: read and decide inside the transaction; commit; publish the outbox; delete it; only then are the
offsets let go. Whatever dies in between, the same messages come again and change nothing that is already right.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine

from counterflow import log
from counterflow.clock import Clock
from counterflow.dead_letters import dead_letter, too_large
from counterflow.errors import Rejected
from counterflow.gaps import Gap, tell
from counterflow.kafka import Message, Publisher, TooLarge
from counterflow.metrics import HANDLED
from counterflow.state import steering
from counterflow.state.database import begin
from counterflow.state.records import Seen
from counterflow.systems.registry import Reader
from processors import (
    accounts,
    creations,
    customers,
    documents,
    gaps,
    gate,
    loyalty,
    matches,
    mirror,
    orders,
    outcomes,
    profiles,
    stock,
)
from processors.shop import Shop, State
from schemas.changes import Change, decode_key
from schemas.names import COUNTERPOINT, POINTS
from schemas.outcomes import Cursor, Heartbeat, Outcome
from schemas.requests import Request
from schemas.topics import CURSORS, HEARTBEATS, OUTCOMES, REQUESTS, change_topics

SAY_AT_ONCE = 2000
MEASURED_EVERY = timedelta(seconds=1)
_log = log.get("processors")
Word = Outcome | Heartbeat | Cursor | Request


@dataclass(frozen=True, slots=True)
class Arrived:
    """One Kafka message, as every client library can give it."""

    topic: str
    partition: int
    offset: int
    at: datetime  # The broker's time stamp.
    key: bytes | None
    value: bytes | None


class Batches:
    """Handles batches of messages. One thread uses it."""

    def __init__(
        self,
        engine: Engine,
        publisher: Publisher,
        shop: Shop,
        *,
        readers: Mapping[str, Reader],
        prefix: str,
        origin: str,
        clock: Clock,
    ) -> None:
        self._engine, self._publisher, self._shop = engine, publisher, shop
        self._readers, self._prefix, self._origin, self._clock = readers, prefix, origin, clock
        self._entities = {
            topic: (system, entity) for system in readers for entity, topic in change_topics(prefix, system).items()
        }
        self._words: dict[str, type[Any]] = {
            OUTCOMES.named(prefix): Outcome,
            HEARTBEATS.named(prefix): Heartbeat,
            CURSORS.named(prefix): Cursor,
            REQUESTS.named(prefix): Request,
        }
        self._watch = gaps.Watch(self.expiring)
        self._epochs: Mapping[str, int] = {}
        self._begun: set[str] = set()
        self._unknown = True  # A crash may have left something in the outbox.
        self._unsaid: gate.Said = []  # Committed, and not published yet.
        self._said: list[int] = []  # Published; taken out of the outbox with the next transaction.
        self._measured_at = datetime.min.replace(tzinfo=UTC)

    @property
    def expiring(self) -> list[str]:
        """Those of the topics whose messages expire: their offsets have no holes."""
        return [*self._entities, OUTCOMES.named(self._prefix), REQUESTS.named(self._prefix)]

    @property
    def topics(self) -> list[str]:
        """What is read: every change, and what is said about commands and connections."""
        return [*self._entities, *self._words]

    def know_epochs(self, epochs: Mapping[str, int]) -> None:
        """Learn the topics' epochs, before the first batch."""
        self._epochs = epochs

    def begin_stores(self, connection: Connection) -> None:
        """Note from when on each store's orders become documents: from the first start on that knew the store."""
        for system in self._readers:
            if system != COUNTERPOINT:
                outcomes.begun(connection, system, self._clock.now().replace(microsecond=0))

    def lose(self, connection: Connection, lost: Sequence[Gap]) -> None:
        """Note what went before it was handled: no batch says it again, and its sources are read again."""
        steering.note_handled(connection, {(one.topic, one.partition): one.found for one in lost})
        steering.say(connection, self._origin, self._follow(connection, lost))  # Published before anything else.

    def _follow(self, connection: Connection, lost: Sequence[Gap]) -> list[Message]:
        systems = {topic: system for topic, (system, _) in self._entities.items()}
        return gaps.follow(connection, lost, systems, prefix=self._prefix, at=self._clock.now())

    def handle(self, batch: Sequence[Arrived]) -> None:
        """Handle a batch, whole or not at all.

        Raises:
            Transient: The database or the broker is away; the same batch must be handled again.
            Broken: No message works any more.
        """
        try:
            self._handle(batch)
        except Rejected:  # A value that no column takes: the one message is found, the rest goes on.
            if len(batch) > 1:
                for half in (batch[: len(batch) // 2], batch[len(batch) // 2 :]):
                    self.handle(half)
                return
            self._once_more(batch[0])

    def _once_more(self, one: Arrived) -> None:
        """Handle a message that was refused alone: another worker may have made the same row at the same moment."""
        try:
            self._handle([one])
        except Rejected as error:
            self._bury(one, str(error))

    def _bury(self, one: Arrived, why: str) -> None:
        _log.error("dead letter", topic=one.topic, offset=one.offset, why=why)
        letter = dead_letter(one, why, prefix=self._prefix, at=self._clock.now())
        offsets = _next_offsets([one])
        with begin(self._engine) as connection:
            lost = self._watch.find(connection, _places([one]))
            said = steering.say(connection, self._origin, [letter, *self._follow(connection, lost)])
            steering.note_handled(connection, offsets)
        self._watch.handled(offsets)
        tell(lost)
        self._unsaid += said
        self.publish()

    def _handle(self, batch: Sequence[Arrived]) -> None:
        changes, words, letters = self._map(batch)
        offsets = _next_offsets(batch)
        with begin(self._engine) as connection:
            state = State(connection, self._shop, self._clock.now())
            self._run(state, changes, words)
            said = gate.release(state, prefix=self._prefix, origin=self._origin)
            lost = self._watch.find(connection, _places(batch))
            asks = self._follow(connection, lost)
            asks += gaps.take_cursors(state, [one for one in words if isinstance(one, Cursor)], prefix=self._prefix)
            said += steering.say(connection, self._origin, [*letters, *asks])
            steering.note_handled(connection, offsets)
            steering.said(connection, self._said)
        self._watch.handled(offsets)
        tell(lost)
        self._begun |= {seen.system for seen in changes}  # Only now: a batch that failed has noted nothing.
        self._said, self._unsaid = [], self._unsaid + said
        self.publish()
        for one in batch:
            HANDLED.labels(one.topic).inc()

    def tick(self) -> None:
        """Do what is due by the clock. Raises as `handle`."""
        with begin(self._engine) as connection:
            state = State(connection, self._shop, self._clock.now())
            due = gate.due(state)
            _decide(state)
            said = gate.release(state, prefix=self._prefix, origin=self._origin, due=due)
            steering.said(connection, self._said)
            if state.now - self._measured_at >= MEASURED_EVERY:
                gate.measure(state)
                self._measured_at = state.now
        self._said, self._unsaid = [], self._unsaid + said
        self.publish()

    def publish(self) -> None:
        """Publish what this worker has said and not yet published, in order; a repeat after a crash does no harm."""
        while self._unknown:
            with begin(self._engine) as connection:
                left = steering.unsaid(connection, self._origin, most=SAY_AT_ONCE)
            self._send([message for _, message in left])
            with begin(self._engine) as connection:
                steering.said(connection, [number for number, _ in left])
            self._unsaid = []  # It was among them.
            self._unknown = len(left) == SAY_AT_ONCE
        if self._unsaid:
            self._send([message for _, message in self._unsaid])
            self._said += [number for number, _ in self._unsaid]
            self._unsaid = []

    def _send(self, messages: Sequence[Message]) -> None:
        """Publish; of a command that is too large a person is asked, and a letter takes the place of anything else."""
        try:
            self._publisher.publish(messages)
        except TooLarge as error:
            now = self._clock.now()
            answers = [(one, gate.not_sent(one, now)) for one in error.messages]
            letters = [too_large(one, prefix=self._prefix, at=now) for one, answer in answers if answer is None]
            self._publisher.publish(letters)
            with begin(self._engine) as connection:
                state = State(connection, self._shop, now)
                outcomes.take_outcomes([answer for _, answer in answers if answer is not None], state)
                _decide(state)

    def _run(self, state: State, changes: Sequence[Seen], words: Sequence[Word]) -> None:
        """Run the flows over a batch: what was said, what changed, then what is to be decided again because of both."""
        for seen in changes:
            if seen.system not in self._begun and seen.system != COUNTERPOINT:
                outcomes.begun(state.connection, seen.system, seen.at)
        records = [one for one in changes if one.entity != POINTS]
        current = mirror.take(records, state)
        customers.take(_of(current, self._shop.pos, self._shop.entity(self._shop.pos)), state)
        matches.take(current, state)
        profiles.take_last(mirror.last_before_gone(records, current), state)
        accounts.take_earlier(mirror.earlier([one for one in records if one.entity == "customers"], current), state)
        profiles.take(current, state)
        outcomes.take_outcomes([word for word in words if isinstance(word, Outcome)], state)
        outcomes.take_heartbeats([word for word in words if isinstance(word, Heartbeat)], state)
        outcomes.take_cursors([word for word in words if isinstance(word, Cursor)], state)
        for word in words:
            if isinstance(word, Request):
                outcomes.take_request(word, state)
        stock.take_items(_of(current, COUNTERPOINT, "IM_ITEM"), state)
        stock.take_stock(_of(current, COUNTERPOINT, "IM_INV"), state)
        read = _of(changes, COUNTERPOINT, "PS_DOC_HDR")
        documents.take(mirror.first_and_last(read, _of(current, COUNTERPOINT, "PS_DOC_HDR")), state)
        stores = [seen for seen in current if seen.system != COUNTERPOINT]
        orders.take_accounts([seen for seen in stores if seen.entity == "customers"], state)
        orders.take([seen for seen in stores if seen.entity == "orders"], state)
        stock.take_products([seen for seen in stores if seen.entity == "products"], state)
        loyalty.take_readings(_of(changes, COUNTERPOINT, POINTS), state)
        loyalty.take_transactions([one for one in changes if one.entity == POINTS], state)
        _decide(state)

    def _map(self, batch: Sequence[Arrived]) -> tuple[list[Seen], list[Word], list[Message]]:
        """Read every message before the transaction; what cannot be read becomes a dead letter, the rest goes on."""
        changes: list[Seen] = []
        words: list[Word] = []
        letters: list[Message] = []
        for one in batch:
            try:
                if one.topic in self._words:
                    if one.value is not None:  # A tombstone of a compacted topic says nothing.
                        words.append(msgspec.json.decode(one.value, type=self._words[one.topic]))
                elif one.value is not None:  # Debezium's tombstone follows a deletion that was told already.
                    changes.append(self._seen(one))
            except (Rejected, msgspec.MsgspecError, ValueError, ArithmeticError) as error:
                _log.error("dead letter", topic=one.topic, offset=one.offset, why=str(error))
                letters.append(dead_letter(one, str(error), prefix=self._prefix, at=self._clock.now()))
        return changes, words, letters

    def _seen(self, one: Arrived) -> Seen:
        assert one.value is not None
        system, entity = self._entities[one.topic]
        change = msgspec.json.decode(one.value, type=Change)
        raw = change.row
        body = self._shop.marked(system, None if raw is None else self._readers[system](entity, raw))
        return Seen(
            system=system,
            entity=entity,
            key=body.key if body else decode_key(one.key or b""),
            body=body,
            raw=raw,
            hash=hashlib.sha256(msgspec.json.encode(body)).hexdigest()[:32],
            version=change.source.position or steering.version_of(self._epochs.get(one.topic, 1), one.offset),
            position=change.source.position,
            at=one.at,
            email=self._shop.email_of(body),
        )


def _decide(state: State) -> None:
    """Decide again what the batch, or the clock, has touched: orders first, their customers may need an account."""
    orders.decide(state)
    people = set(state.people)  # Deciding about them empties it.
    creations.decide(state)
    profiles.decide(state)
    matches.decide(state)
    stock.decide(state)
    loyalty.decide(state, people)
    state.close()


def _of(seen: Sequence[Seen], system: str, entity: str) -> list[Seen]:
    return [one for one in seen if one.system == system and one.entity == entity]


def _places(batch: Sequence[Arrived]) -> list[tuple[str, int, int, datetime]]:
    return [(one.topic, one.partition, one.offset, one.at) for one in batch]


def _next_offsets(batch: Sequence[Arrived]) -> dict[tuple[str, int], int]:
    offsets: dict[tuple[str, int], int] = {}
    for one in batch:
        place = (one.topic, one.partition)
        offsets[place] = max(one.offset + 1, offsets.get(place, 0))
    return offsets


def broker_time(milliseconds: int) -> datetime:
    """Give the broker's time stamp as a time."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
