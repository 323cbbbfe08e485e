"""The processors without Kafka: messages go in as bytes, what would be published is collected."""

import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from kafka.errors import MessageSizeTooLargeError
from sqlalchemy import Engine, text

from counterflow.clock import FakeClock
from counterflow.errors import Transient
from counterflow.kafka import MESSAGE_BYTES_MAX, Message, Publisher, size_of
from counterflow.state.database import begin
from counterflow.systems.registry import readers
from processors.batch import Arrived, Batches
from processors.shop import Shop
from schemas.changes import Change, Source, encode_key
from schemas.commands import Command
from schemas.loyalty import PointsReading
from schemas.outcomes import Cursor, DeadLetter, Heartbeat, Outcome
from schemas.records import Customer, Release
from schemas.requests import Ask, DecideReview, Request, SetMaster, SetTask, SyncNow
from tests.flows.builders import Row, shop

KEYS = {"AR_CUST": ("CUST_NO",), "IM_ITEM": ("ITEM_NO",), "IM_INV": ("ITEM_NO", "LOC_ID"), "PS_DOC_HDR": ("DOC_ID",)}
TABLES = (
    "record link wanted reservation review log_entry outbox setting timer request_done cursor connection topic handled "
    "profile person welcome match_key match_pair release ledger_account ledger_entry"
)
ORIGIN = "test"


class Collected(Publisher):
    """Takes what is published; a broker that is away takes nothing."""

    def __init__(self) -> None:
        super().__init__("", client_id="test")
        self.messages: list[Message] = []
        self.is_away = False
        self.bytes_max = MESSAGE_BYTES_MAX  # The broker's own limit.

    def _deliver(self, messages: Sequence[Message]) -> None:
        if self.is_away:
            raise Transient("Kafka: not acknowledged")
        if any(size_of(one) > self.bytes_max for one in messages):
            raise MessageSizeTooLargeError
        self.messages += messages


class Pipeline:
    """Messages for one little shop, what became of them in the state database, and what goes out."""

    def __init__(self, engine: Engine, settings: Shop | None = None) -> None:
        self.engine, self.shop = engine, settings or shop()
        self.clock, self.broker = FakeClock(), Collected()
        self.batches = self.worker()
        self._position, self._offsets = itertools.count(1), Counter[str]()
        self._requests = itertools.count(1)
        with begin(engine) as connection:
            connection.exec_driver_sql(f"TRUNCATE {', '.join(TABLES.split())}")

    def worker(self) -> Batches:
        """Give a process that knows only what the database says."""
        platforms = dict.fromkeys(self.shop.sites, "woocommerce")
        return Batches(
            self.engine,
            self.broker,
            self.shop,
            readers=readers(platforms),
            prefix="",
            origin=ORIGIN,
            clock=self.clock,
        )

    # Messages.

    def arrived(self, topic: str, key: bytes, value: bytes | None, *, offset: int | None = None) -> Arrived:
        at = self._offsets[topic] if offset is None else offset  # As Kafka counts: without holes, each topic by itself.
        self._offsets[topic] = max(self._offsets[topic], at + 1)
        return Arrived(topic=topic, partition=0, offset=at, at=self.clock.now(), key=key, value=value)

    def here(self, table: str, row: Row, *, position: int | None = None) -> Arrived:
        """A row of Counterpoint changed; what is read together has the same position."""
        key = {name: row[name] for name in KEYS[table]}
        return self._change("counterpoint", table, encode_key(key), row, position)

    def gone_here(self, table: str, *, position: int | None = None, **key: str) -> Arrived:
        """A row of Counterpoint was deleted."""
        return self._change("counterpoint", table, encode_key(key), None, position)

    def points(self, reading: PointsReading) -> Arrived:
        """The point of sale's points were read."""
        row = msgspec.to_builtins(reading)
        return self._change("counterpoint", "points", encode_key({"READING": "points"}), row, reading.version)

    def there(self, store: str, entity: str, row: Row, *, position: int | None = None) -> Arrived:
        """A record of a store changed."""
        return self._change(store, entity, str(row["id"]).encode(), row, position)

    def gone_there(self, store: str, entity: str, key: int) -> Arrived:
        """A record of a store was deleted."""
        return self._change(store, entity, str(key).encode(), None, None)

    def next_position(self) -> int:
        """Begin another reading."""
        return next(self._position)

    def _change(self, system: str, entity: str, key: bytes, row: Row | None, position: int | None) -> Arrived:
        at = self.next_position() if position is None else position
        change = Change(
            op="d" if row is None else "u",
            after=msgspec.Raw(json.dumps(row).encode()),
            source=Source(system=system, entity=entity, position=at),
        )
        return self.arrived(f"changes.{system}.{entity}", key, msgspec.json.encode(change))

    def answer(
        self,
        command: Command,
        result: str,
        message: str = "",
        record: Customer | None = None,
        release: Release | None = None,
        reason: str = "",
        **remote: Any,
    ) -> Arrived:
        """A consumer's answer to a command."""
        outcome = Outcome(
            system=command.system,
            task=command.task,
            key=command.key,
            version=command.version,
            hash=command.hash,
            result=result,  # type: ignore[arg-type]
            message=message,
            reason=reason,
            remote=remote,
            record=record,
            release=release,
            applied_at=self.clock.now(),
        )
        return self.arrived("outcomes", command.key.encode(), msgspec.json.encode(outcome))

    def beat(self, system: str, *, up: bool) -> Arrived:
        """A consumer says how its target stands."""
        now = self.clock.now()
        beat = Heartbeat(system=system, role="consumer", up=up, since=now, seen_at=now)
        return self.arrived("heartbeats", system.encode(), msgspec.json.encode(beat))

    def cursor(self, system: str, entity: str, *, rows: int | None = None) -> Arrived:
        """A producer has read everything of an entity up to now; `rows`: for the first time, and found so many."""
        at = self.clock.now()
        cursor = Cursor(system=system, entity=entity, position=self.next_position(), rows=rows, at=at)
        return self.arrived("cursors", entity.encode(), msgspec.json.encode(cursor))

    def request(self, ask: Ask) -> Arrived:
        """A person asks."""
        asked = Request(id=f"request-{next(self._requests)}", by="vera", at=self.clock.now(), ask=ask)
        return self.arrived("requests", b"", msgspec.json.encode(asked))

    # What happens.

    def take(self, *batch: Arrived) -> list[Command]:
        """Handle one batch; gives the commands that went out because of it."""
        seen = len(self.broker.messages)
        self.batches.handle(batch)
        return commands(self.broker.messages[seen:])

    def wait(self, seconds: float) -> list[Command]:
        """Let time pass; gives the commands that went out because of it."""
        seen = len(self.broker.messages)
        self.clock.sleep(seconds)
        self.batches.tick()
        return commands(self.broker.messages[seen:])

    def master(self, *, on: bool) -> list[Command]:
        return self.take(self.request(SetMaster(on=on)))

    def task(self, system: str, task: str, *, enabled: bool = True, schedule: str = "continuous") -> list[Command]:
        return self.take(self.request(SetTask(system=system, task=task, enabled=enabled, schedule=schedule)))

    def now(self, system: str, task: str, key: str) -> list[Command]:
        return self.take(self.request(SyncNow(system=system, task=task, key=key)))

    def decide(self, review: str, decision: str) -> list[Command]:
        return self.take(self.request(DecideReview(review=review, decision=decision)))

    def commands_out(self) -> list[Command]:
        """Give every command that ever went out."""
        return commands(self.broker.messages)

    # What is known afterwards.

    def rows(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        with begin(self.engine) as connection:
            return [tuple(row) for row in connection.execute(text(query), values)]

    def state_of(self, key: str) -> str | None:
        """Give the state of a wanted row by its key."""
        found = self.rows("SELECT state FROM wanted WHERE key = :key", key=key)
        return found[0][0] if found else None

    def body_of(self, key: str) -> Row:
        """Give the body of a wanted row by its key."""
        ((body,),) = self.rows("SELECT body FROM wanted WHERE key = :key", key=key)
        return dict(json.loads(body))

    def offered(self, sku: str = "MUG") -> dict[str, int]:
        """Give what each store shall offer of an item."""
        query = "SELECT system, body FROM wanted WHERE task = 'inventories' AND key = :sku"
        return {system: json.loads(body)["quantity"] for system, body in self.rows(query, sku=sku)}

    def asked(self) -> dict[str, str]:
        """Give what waits for a person: the message of each review."""
        return dict(self.rows("SELECT kind || ':' || key, message FROM review WHERE state = 'open'"))

    def buyer(self, order: str) -> str | None:
        """Give whose order it is in Counterpoint."""
        found = self.rows(
            """SELECT min(customer.remote_id) FROM link AS buyer JOIN link AS customer ON customer.entity = 'customer'
            AND customer.system = 'counterpoint' AND customer.our_id = buyer.our_id
            WHERE buyer.entity = 'buyer' AND buyer.system || '/' || buyer.remote_id = :order""",
            order=order,
        )
        return None if found[0][0] is None else str(found[0][0])

    def letters(self) -> list[DeadLetter]:
        found = [one for one in self.broker.messages if one.topic == "deadletters"]
        return [msgspec.json.decode(one.value or b"", type=DeadLetter) for one in found]

    def everything(self) -> Mapping[str, Any]:
        """Give all that must not change when a message comes again."""
        queries = {
            "record": "SELECT system, entity, key, hash, version, deleted FROM record ORDER BY 1, 2, 3",
            "link": "SELECT entity, system, remote_id, our_id FROM link ORDER BY 1, 2, 3",
            "wanted": "SELECT system, task, key, hash, version, state, sent_version FROM wanted ORDER BY 1, 2, 3",
            "reservation": "SELECT store, order_id, item_no, quantity, document_position, ended FROM reservation ORDER BY 1, 2, 3",
            "review": "SELECT kind, key, message, state, decision FROM review ORDER BY 1, 2",
            "profile": "SELECT system, key, seen, pending, gone_at IS NULL FROM profile ORDER BY 1, 2",
            "person": "SELECT our_id, agreed FROM person ORDER BY 1",
            "welcome": "SELECT store, email, how FROM welcome ORDER BY 1, 2",
            "setting": "SELECT key, value FROM setting ORDER BY 1",
            "outbox": "SELECT id FROM outbox",
            "ledger": "SELECT kind, id, book, place, is_open, body FROM ledger_entry ORDER BY 1, 2",
        }
        return {what: self.rows(query) for what, query in queries.items()}


def commands(messages: Sequence[Message]) -> list[Command]:
    """Give the commands among some messages."""
    found = [one for one in messages if one.topic.startswith("work.")]
    return [msgspec.json.decode(one.value or b"", type=Command) for one in found]
