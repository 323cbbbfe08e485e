"""A store's changes: polling is the truth, a web hook only says where to look now (docs/facts/storefronts.md 0).

Orders and products are listed by date of change, from a while before the last one seen, because a list excludes the
very second it is asked from (W-56); what was published already is known by its hash. Customers cannot be listed by
change (W-34): the newest come with every poll, all of them with a sweep. A row that a sweep does not find any more is
looked up by its id before it counts as deleted.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import msgspec

from counterflow.clock import Clock
from counterflow.config import Store
from counterflow.systems.ports import Read, Reading
from counterflow.systems.woocommerce.client import PAGE, WooClient
from schemas.changes import NOTHING, Change, Source

WAIT_S = 0.5  # For a hint, when nothing else is due.
NEWEST = 20  # Customers looked at with every poll.
ORDERS_KNOWN_MAX = 20_000
BY_DATE = ("orders", "products")  # Orders first: what explains a product's new stock comes before it.
SWEPT = ("customers", "products")


class Hint(msgspec.Struct, frozen=True, kw_only=True):
    """What a web hook said, as far as it is believed."""

    entity: str
    id: str
    event: str
    received_at: datetime


class Hints(Protocol):
    """Where hints come from."""

    def take(self, wait_s: float) -> Sequence[Hint]:
        """Give the hints that have come, or wait for some."""
        ...

    def confirm(self) -> None:
        """Forget those given: what they named is published."""
        ...


@dataclass(slots=True)
class _Sweep:
    """A full reading under way."""

    page: dict[str, int]
    seen: dict[str, set[str]] = field(default_factory=lambda: {entity: set() for entity in SWEPT})


class StorePoller:
    """Reads one store. The cursor holds the last date of change seen of each entity, by the store's clock."""

    poll_s = 0.0  # It waits for hints by itself.

    def __init__(self, system: str, client: WooClient, hints: Hints, settings: Store, clock: Clock) -> None:
        self.system, self._client, self._hints = system, client, hints
        self._settings, self._clock = settings, clock
        self._known: dict[str, OrderedDict[str, bytes]] = {name: OrderedDict() for name in (*BY_DATE, "customers")}
        self._sweep: _Sweep | None = None
        self._poll_at = self._sweep_at = float("-inf")
        self._more: set[str] = set()  # Lists whose last page was full.
        self._pages: dict[str, int] = {}
        self._unpublished = False
        self._pending: list[tuple[str, str, bytes | None]] = []  # Known once the reading is published.

    def look_again(self) -> None:
        """Poll at once: hooks may have been lost."""
        self._poll_at = float("-inf")

    def poll(self, cursor: str | None, position: int) -> Reading:
        """Follow hints, list what changed, sweep a page; whatever of it is due. See ports.Source."""
        state: dict[str, str] = msgspec.json.decode(cursor) if cursor else {}
        if self._unpublished:  # The last reading failed half-way or was not taken: all of it is read again.
            self._sweep, self._sweep_at, self._poll_at = None, float("-inf"), float("-inf")
            self._more.clear()
            self._pages.clear()
        self._unpublished = True
        now = self._clock.monotonic()
        busy = bool(self._more) or self._sweep is not None
        wait_s = 0.0 if busy else min(WAIT_S, max(0.0, self._poll_at - now))
        hints = self._hints.take(wait_s)
        self._pending = []
        reads = self._follow(hints, position + 1)
        entities: set[str] = set()
        due = set(self._more)
        if self._clock.monotonic() >= self._poll_at:
            due = set(BY_DATE)
            self._poll_at = self._clock.monotonic() + self._settings.poll_s
            reads += self._publishable("customers", self._newest_customers(), position + 1)
        for entity in BY_DATE:
            if entity in due:
                rows, state = self._list(entity, state)
                reads += self._publishable(entity, rows, position + 1)
                entities.add(entity)
        reads += self._sweep_page(position + 1)
        return Reading(
            reads=tuple(reads),
            entities=tuple(sorted(entities)),
            position=position + 1,
            cursor=msgspec.json.encode(state, order="sorted").decode(),
        )

    def confirm(self, reading: Reading) -> None:
        """Remember what was published, and let the hints go."""
        for entity, number, digest in self._pending:
            known = self._known[entity]
            if digest is None:
                known.pop(number, None)
                continue
            known[number] = digest
            known.move_to_end(number)
            if entity == "orders" and len(known) > ORDERS_KNOWN_MAX:
                known.popitem(last=False)
        self._pending, self._unpublished = [], False
        self._hints.confirm()

    def _follow(self, hints: Sequence[Hint], position: int) -> list[Read]:
        """Read what the hints name, orders first: a product's new stock may be an order's doing."""
        wanted: dict[str, set[str]] = {}
        for hint in hints:
            wanted.setdefault(hint.entity, set()).add(hint.id)
        reads: list[Read] = []
        for entity in ("orders", "customers", "products"):
            ids = sorted(wanted.get(entity, ()), key=int)
            for start in range(0, len(ids), PAGE):
                some = ids[start : start + PAGE]
                rows = self._client.page(
                    entity, include=",".join(some), **({"role": "all"} if entity == "customers" else {})
                )
                reads += self._publishable(entity, rows, position)
                missing = set(some) - {str(row["id"]) for row in rows}
                reads += self._gone(entity, sorted(missing), position)
        return reads

    def _list(self, entity: str, state: dict[str, str]) -> tuple[list[dict[str, Any]], dict[str, str]]:
        """List one page of changes, oldest first.

        A full page goes on from its last second, not deeper into the list: rows that change meanwhile move to the
        end, and deeper pages would slip past others.
        """
        again = entity in self._more
        after = self._after(entity, state, overlap_s=1.0 if again else self._settings.overlap_s)
        page = self._pages.get(entity, 1) if again else 1
        rows = self._client.page(
            entity, modified_after=after, dates_are_gmt="true", orderby="modified", order="asc", page=page
        )
        full = len(rows) == PAGE
        (self._more.add if full else self._more.discard)(entity)
        if not rows:
            return rows, state
        last = str(rows[-1]["date_modified_gmt"])
        stuck = full and last == state.get(entity)  # More than a page within one second: only deeper helps.
        self._pages[entity] = page + 1 if stuck else 1
        return rows, state | {entity: max(last, state.get(entity, last))}

    def _after(self, entity: str, state: Mapping[str, str], *, overlap_s: float) -> str:
        if entity in state:
            begin = datetime.fromisoformat(state[entity]) - timedelta(seconds=overlap_s)
        else:
            days = self._settings.history_days if entity == "orders" else 36_500
            begin = self._clock.now().astimezone(UTC).replace(tzinfo=None) - timedelta(days=days)
        return begin.strftime("%Y-%m-%dT%H:%M:%S")

    def _newest_customers(self) -> list[dict[str, Any]]:
        query = {"orderby": "registered_date", "order": "desc", "per_page": NEWEST, "role": "all"}
        return self._client.page("customers", **query)

    def _sweep_page(self, position: int) -> list[Read]:
        """Read the next page of each swept list; at the end of a list look up what it did not show."""
        now = self._clock.monotonic()
        if self._sweep is None:
            if now < self._sweep_at:
                return []
            self._sweep, self._sweep_at = _Sweep(dict.fromkeys(SWEPT, 1)), now + self._settings.sweep_s
        reads: list[Read] = []
        for entity, page in list(self._sweep.page.items()):
            query = {"role": "all"} if entity == "customers" else {}
            rows = self._client.page(entity, page=page, orderby="id", order="asc", **query)
            reads += self._publishable(entity, rows, position)
            self._sweep.seen[entity] |= {str(row["id"]) for row in rows}
            self._sweep.page[entity] = page + 1
            if len(rows) < PAGE:
                del self._sweep.page[entity]
                absent = set(self._known[entity]) - self._sweep.seen[entity]
                reads += self._gone(entity, sorted(absent)[:PAGE], position)
        if not self._sweep.page:
            self._sweep = None
        return reads

    def _gone(self, entity: str, ids: Sequence[str], position: int) -> list[Read]:
        """Look rows up that a list did not show: deleted only where the store says so."""
        reads = []
        for number in ids:
            row = self._client.one(entity, number)
            if row is not None:
                reads += self._publishable(entity, [row], position)
            else:
                self._pending.append((entity, number, None))
                reads.append(self._read(entity, number, None, position))
        return reads

    def _publishable(self, entity: str, rows: Sequence[dict[str, Any]], position: int) -> list[Read]:
        """Make changes of the rows whose content is new to us."""
        reads = []
        fresh = {number: digest for name, number, digest in self._pending if name == entity}
        for row in rows:
            number, raw = str(row["id"]), msgspec.json.encode(row)
            digest = hashlib.blake2b(raw, digest_size=12).digest()
            if fresh.get(number, self._known[entity].get(number)) != digest:
                fresh[number] = digest
                self._pending.append((entity, number, digest))
                reads.append(self._read(entity, number, raw, position))
        return reads

    def _read(self, entity: str, number: str, raw: bytes | None, position: int) -> Read:
        row = msgspec.json.decode(raw) if raw else {}
        at = row.get("date_modified_gmt")
        # One account's orders are handled in the order in which they were placed: the first one tells whose it is,
        # even if its owner changes the e-mail before the second (req-C5).
        account = row.get("customer_id") if entity == "orders" else None
        together = f"account/{account}".encode() if account else None
        ts_ms = int(datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp() * 1000) if at else 0
        source = Source(system=self.system, entity=entity, ts_ms=ts_ms, position=position)
        change = Change(op="u" if raw else "d", after=msgspec.Raw(raw) if raw else NOTHING, source=source, ts_ms=ts_ms)
        return Read(entity=entity, key=number.encode(), change=change, together=together)


class HookWatch:
    """Keeps our web hooks registered and switched on (W-103, W-104)."""

    TOPICS = tuple(
        f"{what}.{event}" for what in ("order", "product", "customer") for event in ("created", "updated", "deleted")
    )

    def __init__(self, client: WooClient, *, url: str, secret: str) -> None:
        self._client, self._url, self._secret = client, url, secret

    def mend(self) -> int:
        """Create what is missing, switch on what the store switched off; says how many it mended.

        Raises:
            Transient: The store does not answer.
        """
        there = {row["topic"]: row for row in self._client.page("webhooks") if row["delivery_url"] == self._url}
        mended = 0
        for topic in self.TOPICS:
            row = there.get(topic)
            if row is None:
                body = {
                    "name": f"counterflow {topic}",
                    "topic": topic,
                    "delivery_url": self._url,
                    "secret": self._secret,
                }
                self._client.create("webhooks", body)
                mended += 1
            elif row["status"] != "active":
                self._client.change("webhooks", str(row["id"]), {"status": "active"})
                mended += 1
        return mended
