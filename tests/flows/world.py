"""A little world for the flows: a real PostgreSQL, the real `Batches`, and messages as Kafka would bring them."""

import json
import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import text

from counterflow.clock import FakeClock
from counterflow.errors import Transient
from counterflow.kafka import Message, Publisher
from counterflow.state.database import migrate, open_database
from counterflow.systems.registry import readers
from processors.batch import Arrived, Batches
from processors.rules.documents import Site
from processors.shop import Shelves, Shop
from schemas.commands import Command
from schemas.outcomes import Heartbeat, Outcome
from schemas.requests import Ask, Request, SetMaster

PREFIXES = {"north": "N-", "south": "S-"}


class Outbox(Publisher):
    """A publisher that keeps what it was given, or fails."""

    def __init__(self) -> None:
        super().__init__("nowhere", client_id="test")
        self.messages: list[Message] = []
        self.away = False

    def publish(self, messages: Sequence[Message]) -> None:
        if self.away:
            raise Transient("Kafka is away")
        self.messages += messages


def site(store: str, *, takes_suggestion: bool = False) -> Site:
    return Site(
        store_id=store,
        when="paid",
        prefix=PREFIXES[store],
        store=f"WEB{store[0].upper()}",
        station="1",
        drawer="1",
        user="WEB",
        tax_code="TAX",
        tax_authority="STATE",
        tax_rule="TAX",
        misc_charge_no="1",
        pay_codes={"*": "CARD"},
        currency="USD",
        takes_suggestion=takes_suggestion,
    )


class World:
    """One installation: what arrives, what it knows, what it says."""

    def __init__(self, url: str, *, buffer: int = 0, takes_suggestion: bool = False) -> None:
        self.engine = open_database(url)
        migrate(self.engine)
        self.outbox, self.clock = Outbox(), FakeClock()
        self._shop = Shop(
            sites={store: site(store, takes_suggestion=takes_suggestion) for store in PREFIXES},
            shelves={store: Shelves(locations=("MAIN",), buffer=buffer, buffers={}) for store in PREFIXES},
            orders_commit_stock=True,
            lease=timedelta(seconds=60),
            drift=timedelta(seconds=15),
        )
        self.batches = self.worker()
        self._offsets = Counter[str]()
        self._position = int(self.clock.at.timestamp() * 1000)

    def worker(self) -> Batches:
        """A worker, as it is after a start."""
        return Batches(
            self.engine,
            self.outbox,
            self._shop,
            readers=readers(dict.fromkeys(PREFIXES, "woocommerce")),
            prefix="",
            origin="test",
            clock=self.clock,
        )

    def handle(self, *messages: Arrived) -> None:
        self.batches.handle(messages)

    def message(self, topic: str, value: bytes, key: bytes = b"k") -> Arrived:
        self._offsets[topic] += 1
        self.clock.at += timedelta(milliseconds=10)
        at = self._offsets[topic] - 1
        return Arrived(topic=topic, partition=0, offset=at, at=self.clock.at, key=key, value=value)

    def change(self, system: str, entity: str, row: dict[str, Any] | None, *, key: str = "") -> Arrived:
        self._position += 1
        source = {"system": system, "entity": entity, "position": self._position}
        value = json.dumps({"op": "u" if row else "d", "after": row, "source": source}).encode()
        return self.message(f"changes.{system}.{entity}", value, (key or str((row or {}).get("id", "x"))).encode())

    def ask(self, what: Ask) -> Arrived:
        request = Request(id=uuid.uuid4().hex, by="test", at=self.clock.at, ask=what)
        return self.message("requests", msgspec.json.encode(request))

    def outcome(self, command: Command, result: Any = "applied", **remote: str) -> Arrived:
        said = Outcome(
            system=command.system,
            task=command.task,
            key=command.key,
            version=command.version,
            hash=command.hash,
            result=result,
            remote=remote,
            applied_at=self.clock.at,
        )
        return self.message("outcomes", msgspec.json.encode(said))

    def heartbeat(self, system: str, *, up: bool) -> Arrived:
        beat = Heartbeat(system=system, role="consumer", up=up, since=self.clock.at, seen_at=self.clock.at)
        return self.message("heartbeats", msgspec.json.encode(beat))

    def tick(self, seconds: float) -> None:
        self.clock.at += timedelta(seconds=seconds)
        self.batches.tick()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(sql))]

    def commands(self) -> list[Command]:
        """What went out since the last look."""
        said = [one for one in self.outbox.messages if one.topic.startswith("work.")]
        self.outbox.messages = [one for one in self.outbox.messages if one not in said]
        return [msgspec.json.decode(one.value or b"", type=Command) for one in said]

    def offers(self) -> dict[str, int]:
        """What each store should offer of item A."""
        rows = self.query("SELECT system, body::json->>'quantity' FROM wanted WHERE task = 'inventories' AND key = 'A'")
        return {system: int(quantity) for system, quantity in rows}

    def reviews(self) -> set[tuple[str, str]]:
        return {(kind, key) for kind, key in self.query("SELECT kind, key FROM review WHERE state = 'open'")}

    def wanted(self, task: str) -> dict[str, str]:
        """The state of a task's rows."""
        return {key: state for name, key, state in self.query("SELECT task, key, state FROM wanted") if name == task}

    def everything(self) -> list[list[tuple[Any, ...]]]:
        """The whole state, but for the times at which things were seen."""
        tables = {
            "record": "system, entity, key, hash, version, deleted",
            "link": "entity, system, remote_id, our_id",
            "wanted": "system, task, key, hash, version, state, done_hash",
            "reservation": "store, order_id, item_no, quantity, ended",
            "review": "kind, key, state, message",
        }
        return [sorted(self.query(f"SELECT {what} FROM {table}"), key=str) for table, what in tables.items()]

    # What there is in a shop.

    def item(self, number: str = "A") -> Arrived:
        row = {"ITEM_NO": number, "DESCR": number, "CATEG_COD": "", "STAT": "A", "IS_ECOMM_ITEM": "Y", "PRC_DECS": 2}
        return self.change("counterpoint", "IM_ITEM", row)

    def stock(self, number: str = "A", *, on_hand: int = 10, committed: int = 0) -> Arrived:
        row = {"ITEM_NO": number, "LOC_ID": "MAIN", "QTY_ON_HND": str(on_hand), "QTY_COMMIT": str(committed)}
        return self.change("counterpoint", "IM_INV", row)

    def product(self, store: str, number: int = 1, *, sku: str = "A", stock: int = 0) -> Arrived:
        row = {"id": number, "sku": sku, "manage_stock": True, "stock_quantity": stock}
        return self.change(store, "products", row)

    def customer(self, number: str, email: str) -> Arrived:
        names = "FST_NAM LST_NAM EMAIL_ADRS_2 PHONE_1 ADRS_1 ADRS_2 CITY STATE ZIP_COD CNTRY CATEG_COD".split()
        row = dict.fromkeys(names, "") | {"CUST_NO": number, "NAM": "Ana Meyer", "EMAIL_ADRS_1": email}
        return self.change("counterpoint", "AR_CUST", row | {"IS_ECOMM_CUST": "Y"})

    def account(self, store: str, number: int, email: str) -> Arrived:
        """An account with its own e-mail, as it was made."""
        row = {"id": number, "email": email, "first_name": "Ana", "last_name": "Meyer"}
        return self.change(store, "customers", row | {"date_modified_gmt": "2026-01-05T09:00:00", "billing": {}})

    def document(self, number: int, marker: str, cust_no: str) -> Arrived:
        row = {"DOC_ID": number, "DOC_TYP": "O", "TKT_NO": "1", "CUST_NO": cust_no, "CUST_PO_NO": marker, "STA_ID": "1"}
        row |= {"STR_ID": "WEBN" if marker.startswith("N") else "WEBS", "STK_LOC_ID": "MAIN"}
        return self.change("counterpoint", "PS_DOC_HDR", row)

    def order(self, store: str, number: int, **given: Any) -> Arrived:
        """A web order of two pieces of A at 10.00 each, unless something else is given."""
        quantity, sku = given.get("quantity", 2), given.get("sku", "A")
        total = given.get("lines_total", f"{quantity * 10}.00")
        at: datetime = given.get("placed_at") or self.clock.at + timedelta(seconds=5)
        when = at.strftime("%Y-%m-%dT%H:%M:%S")
        line = {"id": 1, "sku": sku, "name": sku, "quantity": quantity, "total_tax": "0.00"}
        row = {
            "id": number,
            "number": str(number),
            "status": given.get("status", "processing"),
            "currency": given.get("currency", "USD"),
            "date_created_gmt": when,
            "date_modified_gmt": when,
            "date_paid_gmt": when,
            "customer_id": given.get("account", 0),
            "billing": {"first_name": "Ana", "last_name": "Meyer", "email": given.get("email", "ana@example.com")},
            "shipping": {},
            "line_items": [line | {"subtotal": total, "total": total}],
            "shipping_total": "0.00",
            "fee_lines": [],
            "tax_lines": [],
            "total_tax": "0.00",
            "total": given.get("total", total),
            "coupon_lines": [],
            "payment_method": "card",
        }
        return self.change(store, "orders", row)

    def open_shop(self) -> None:
        """Let Master Sync be on, item A be there ten times, and both stores show it."""
        self.handle(
            self.ask(SetMaster(on=True)), self.item(), self.stock(), *(self.product(store) for store in PREFIXES)
        )
        self.answer_all()

    def answer_all(self) -> list[Command]:
        """Answer every command as a consumer would that finds nothing in the way."""
        done: list[Command] = []
        while commands := self.commands():
            for at, one in enumerate(commands):
                remote = {"customers": {"cust_no": f"C{len(done) + at}"}, "orders": {"doc_id": f"{len(done) + at}"}}
                self.handle(self.outcome(one, **remote.get(one.task, {})))
            done += commands
        return done
