"""What the tests of a store's side share: settings, a client without HTTP, and what a consumer of changes would keep."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from counterflow.clock import FakeClock
from counterflow.config import Store as Settings
from counterflow.errors import Transient
from counterflow.systems.ports import Reading
from counterflow.systems.woocommerce.client import PAGE, Row, WooClient
from counterflow.systems.woocommerce.companion import BASE
from producers.store_poller import Hint
from sandbox.faults import Switches
from sandbox.journal import Journal
from sandbox.woocommerce import companion, lists
from sandbox.woocommerce.rest import show
from sandbox.woocommerce.store import Refused, Store

FILE = {
    "platform": "woocommerce",
    "key": "ck_north",
    "secret": "cs_north",
    "requests_per_s": 1000.0,  # A test is no reason to wait.
    "orders": {
        "prefix": "N",
        "store": "MAIN",
        "station": "WEB",
        "tax_code": "WEB",
        "tax_authority": "WEB",
        "tax_rule": "WEB",
        "pay_codes": {},
    },
    "stock": {"locations": ["MAIN"]},
}


def settings(url: str = "https://shop.example.com", **changes: Any) -> Settings:
    return Settings.model_validate({**FILE, "url": url, **changes})


def empty_store() -> Store:
    return Store("north", version="11.0.1", journal=Journal(), switches=Switches())


class DirectClient(WooClient):
    """Asks the sandbox's store without HTTP. `before` is called before each question, and may change the store."""

    def __init__(self, store: Store, before: Callable[[], object] = lambda: None) -> None:
        self.store, self.before = store, before
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def page(self, resource: str, **query: Any) -> list[Row]:
        rows, _ = self._list(resource, query)
        return rows

    def pages(self, resource: str, **query: Any) -> int:
        _, headers = self._list(resource, query)
        return int(headers["X-WP-TotalPages"])

    def one(self, resource: str, number: str) -> Row | None:
        self.asked.append((f"{resource}/{number}", {}))
        self.before()
        row = self.store.tables[resource].get(int(number))
        return None if row is None or row.get("status") == "trash" else plain(resource, row)

    def get(self, path: str, what: str, *, absent: str = "", **query: Any) -> Row | None:
        """Ask the companion plugin."""
        self.asked.append((what, query))
        self.before()
        texts = {name: str(value) for name, value in query.items()}
        try:
            return companion.answer(self.store, "GET", path.removeprefix(f"{BASE}/").split("/"), texts, None)
        except Refused as error:
            if error.status == 404 and absent == error.code:
                return None
            raise Transient(f"{what}: {error.code}") from error

    def _list(self, resource: str, query: dict[str, Any]) -> tuple[list[Row], dict[str, str]]:
        self.asked.append((resource, query))
        self.before()
        texts = {name: str(value) for name, value in {"per_page": PAGE, **query}.items()}
        rows, headers = lists.page(self.store, resource, texts)
        return [plain(resource, row) for row in rows], headers


def plain(resource: str, row: Row) -> Row:
    """A row as the API gives it: a copy."""
    copied: Row = msgspec.json.decode(msgspec.json.encode(show(resource, row)))
    return copied


class Unsteady:
    """A connection that sometimes fails, by its own dice."""

    def __init__(self, seed: int, share: float) -> None:
        self._dice, self.share = random.Random(seed), share

    def __call__(self) -> None:
        if self._dice.random() < self.share:
            raise Transient("the line was cut")


class Mailbox:
    """Hints as Kafka keeps them: given again until they are confirmed. Waiting moves the clock."""

    def __init__(self, clock: FakeClock) -> None:
        self.waiting: list[Hint] = []
        self._clock = clock

    def take(self, wait_s: float) -> Sequence[Hint]:
        if not self.waiting:
            self._clock.sleep(wait_s)
        return list(self.waiting)

    def confirm(self) -> None:
        self.waiting = []

    def say(self, entity: str, number: int, event: str = "updated") -> None:
        self.waiting.append(Hint(entity=entity, id=str(number), event=event, received_at=self._clock.now()))


class Published:
    """The last state of each record on its topic; None for one that was deleted."""

    def __init__(self) -> None:
        self.last: dict[tuple[str, str], Row | None] = {}
        self.count = 0

    def take(self, reading: Reading) -> None:
        self.count += len(reading.reads)
        for read in reading.reads:
            raw = read.change.row
            self.last[read.entity, read.key.decode()] = None if raw is None else msgspec.json.decode(raw)

    def of(self, entity: str) -> dict[str, Row | None]:
        return {number: row for (name, number), row in self.last.items() if name == entity}

    def there(self) -> dict[tuple[str, str], Row]:
        return {key: row for key, row in self.last.items() if row is not None}
