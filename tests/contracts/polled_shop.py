"""One store and its poller, as the poller's tests want them."""

import random
from datetime import datetime, timedelta
from typing import Any

from counterflow.clock import FakeClock
from counterflow.errors import Transient
from counterflow.systems.ports import Reading
from counterflow.systems.woocommerce.client import Row
from producers.store_poller import StorePoller
from sandbox.woocommerce import customers, orders, products
from tests.contracts.store_fakes import DirectClient, Mailbox, Published, empty_store, plain, settings

BEGIN = datetime(2026, 1, 5, 9)
POLL_S, SWEEP_S = 5.0, 900.0


class Shop:
    """One store and its poller. The store's clock is ours: a row that is changed gets our time."""

    def __init__(self, seed: int = 1) -> None:
        self.clock, self.store = FakeClock(), empty_store()
        self.client = DirectClient(self.store)
        self.hints, self.published = Mailbox(self.clock), Published()
        self.dice = random.Random(seed)
        self.cursor: str | None = None
        self.position = 0
        self.restart()

    def restart(self, **changes: Any) -> None:
        """A new process: only the published cursor is left."""
        known = settings(poll_s=POLL_S, sweep_s=SWEEP_S, **changes)
        self.poller = StorePoller("north", self.client, self.hints, known, self.clock)

    def read(self) -> Reading:
        reading = self.poller.poll(self.cursor, self.position)
        self.position = reading.position
        return reading

    def publish(self, reading: Reading) -> None:
        self.published.take(reading)
        self.poller.confirm(reading)
        self.cursor = reading.cursor

    def run(self, seconds: float) -> None:
        """Read and publish for so long, by the fake clock."""
        until = self.clock.at + timedelta(seconds=seconds)
        while self.clock.at < until:
            try:
                self.publish(self.read())
            except Transient:
                self.clock.sleep(1.0)
            self.clock.sleep(0.05)  # What the requests take.

    def dated(self, row: Row, at: datetime | None = None) -> Row:
        text = f"{at or self.clock.now():%Y-%m-%dT%H:%M:%S}"
        row |= {"date_modified": text, "date_modified_gmt": text}
        return row

    def product(self, number: int = 0, at: datetime | None = None) -> Row:
        facts = {"sku": f"SKU{number or len(self.store.tables['products'])}", "manage_stock": True}
        return self.dated(products.load(self.store, facts | {"stock_quantity": 10}), at)

    def sell(self, row: Row, quantity: int) -> None:
        products.update(self.store, row["id"], {"stock_quantity": quantity})
        self.dated(row)

    def customer(self, name: str) -> Row:
        row = self.dated(customers.load(self.store, {"email": f"{name}@example.com"}))
        row["date_created_gmt"] = row["date_modified_gmt"]
        return row

    def order(self, product: Row) -> Row:
        line = {"product_id": product["id"], "quantity": 1}
        row = orders.create(self.store, {"status": "processing", "line_items": [line]})
        self.dated(self.store.tables["products"][product["id"]])
        return self.dated(row)

    def truth(self) -> dict[tuple[str, str], Row]:
        return {
            (table, str(number)): plain(table, row)
            for table in ("orders", "products", "customers")
            for number, row in self.store.tables[table].items()
            if row.get("status") != "trash"
        }
