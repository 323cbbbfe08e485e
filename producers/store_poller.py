"""A store's changes: polling is the truth, a web hook only says where to look now (docs/facts/storefronts.md 0).

Orders and products are listed by date of change, from a while before the last one seen, because a list excludes the
very second it is asked from (W-56); what was published already is known by its hash. Customers cannot be listed by
change (W-34): the newest come with every poll, and those that the companion plugin names; all of them with a sweep. A
row that a sweep does not find any more is looked up by its id before it counts as deleted.

A poll only looks at where the readings stand and says where they would stand next; that counts once it is published.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import msgspec

from counterflow import log
from counterflow.clock import Clock
from counterflow.config import Store
from counterflow.errors import Rejected, Transient
from counterflow.systems.ports import Read, Reading
from counterflow.systems.woocommerce.client import PAGE, WooClient
from counterflow.systems.woocommerce.companion import Companion
from producers.companion_feed import CompanionFeed
from schemas.changes import NOTHING, Change, Source
from schemas.names import POINTS

WAIT_S = 0.5  # For a hint, when nothing else is due.
NEWEST = 20  # Customers looked at with every poll.
ORDERS_KNOWN_MAX = 20_000
BY_DATE = ("orders", "products")  # Orders first: what explains a product's new stock comes before it.
SWEPT = ("customers", "products", "trash")  # "trash": the orders in it, which no other list shows.
GONE = b""  # In place of the hash of a row that is gone.
FORGOTTEN = b"?"  # In place of the hash of a row that is to be published again, there or gone.
Row = dict[str, Any]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Progress:
    """Where the readings stand. Times by the monotonic clock, dates as the store writes them."""

    poll_at: float = float("-inf")  # When the lists are due.
    more: Mapping[str, str] = field(default_factory=dict)  # Lists whose last page was full: read on after this date.
    crowds: Mapping[str, tuple[str, float]] = field(default_factory=dict)  # A crowded second, and when first read.
    settled: Mapping[str, str] = field(default_factory=dict)  # A crowded second that is read for good.
    sweep: Mapping[str, int] | None = None  # The next page of each list; None: no sweep is under way.
    sweep_at: float = float("-inf")  # When the next page, or the next sweep, is due.
    sweep_begun: float = 0.0


class StorePoller:
    """Reads one store. The cursor holds the last date of change seen of each entity, by the store's clock."""

    poll_s = 0.0  # It waits for hints by itself.

    def __init__(self, system: str, client: WooClient, hints: Hints, settings: Store, clock: Clock) -> None:
        self.system, self._client, self._hints = system, client, hints
        self._feed = CompanionFeed(system, Companion(client), settings, clock)
        self._settings, self._clock = settings, clock
        self._log = log.get("producer").bind(source=system)
        self._known: dict[str, OrderedDict[str, bytes]] = {name: OrderedDict() for name in (*BY_DATE, "customers")}
        self._at = self._next = _Progress()
        self._seen: dict[str, set[str]] = {}  # By the sweep under way.
        self._pending: dict[tuple[str, str], bytes] = {}  # Known once the reading is published.
        self._look_again, self._look_everywhere = threading.Event(), threading.Event()

    def look_again(self) -> None:
        """Poll at once: hooks may have been lost. Any thread may ask."""
        self._look_again.set()

    def look_everywhere(self) -> None:
        """Poll at once, and sweep all lists: nobody knows what the hints would have named. Any thread may ask."""
        self._look_everywhere.set()

    def again(self, cursor: str | None) -> str | None:
        """Begin at the beginning; of rows that are known only their numbers are, to notice one that is gone."""
        for known in self._known.values():
            known.update(dict.fromkeys(known, FORGOTTEN))
        self._at, self._pending = _Progress(), {}
        return None

    def poll(self, cursor: str | None, position: int) -> Reading:
        """Follow hints, list what changed, sweep a page; whatever of it is due. See ports.Source."""
        state: dict[str, str] = msgspec.json.decode(cursor) if cursor else {}
        hints = self._hints.take(self._wait_s())
        if self._look_everywhere.is_set():
            self._look_everywhere.clear()
            self._at = replace(self._at, poll_at=float("-inf"), sweep=None, sweep_at=float("-inf"))
        self._next, self._pending = self._at, {}
        named: dict[str, set[str]] = {}
        for hint in hints:
            named.setdefault(hint.entity, set()).add(hint.id)
        due = set(self._at.more)
        is_due = self._look_again.is_set() or self._clock.monotonic() >= self._at.poll_at
        if is_due:
            self._look_again.clear()
            due = set(BY_DATE)
            self._next = replace(self._next, poll_at=self._clock.monotonic() + self._settings.poll_s)
            changed, state = self._feed.customers(state)
            named.setdefault("customers", set()).update(changed)
        reads = self._follow(named, position + 1)
        if is_due:
            reads += self._publishable("customers", self._newest_customers(), position + 1)
        entities = [entity for entity in BY_DATE if entity in due]
        for entity in entities:
            rows, state = self._list(entity, state)
            reads += self._publishable(entity, rows, position + 1)
        reads += self._sweep(position + 1, answers=bool(entities))
        if self._feed.is_needed and (entities or POINTS in named):
            moved, state = self._feed.read(state, position + 1)
            reads += moved
            entities.append(POINTS)
        return Reading(
            reads=tuple(reads),
            entities=tuple(entities),
            position=position + 1,
            cursor=msgspec.json.encode(state, order="sorted").decode(),
            is_part=self._is_part(),
        )

    def _is_part(self) -> bool:
        """Say whether lists, a sweep or the plugin's transactions have more to give since this process began."""
        at = self._next
        was_swept = at.sweep is None and at.sweep_at > float("-inf")
        return bool(at.more) or not was_swept or (self._feed.is_needed and self._feed.has_more)

    def confirm(self, reading: Reading) -> None:
        """Remember what was published and go on from there, and let the hints go."""
        for (entity, number), digest in self._pending.items():
            known = self._known[entity]
            known[number] = digest
            known.move_to_end(number)
            if entity == "orders" and len(known) > ORDERS_KNOWN_MAX:
                known.popitem(last=False)
        self._at, self._pending = self._next, {}
        self._hints.confirm()

    def _wait_s(self) -> float:
        """Say how long to wait for hints: not at all while a list or a sweep has more to give."""
        now = self._clock.monotonic()
        is_busy = bool(self._at.more) or (self._at.sweep is not None and now >= self._at.sweep_at)
        if is_busy or self._look_again.is_set():
            return 0.0
        return min(WAIT_S, max(0.0, self._at.poll_at - now))

    def _follow(self, named: Mapping[str, set[str]], position: int) -> list[Read]:
        """Read what hints and the plugin name, orders first: a product's new stock may be an order's doing."""
        reads: list[Read] = []
        for entity in ("orders", "customers", "products"):
            ids = sorted(named.get(entity, ()), key=int)
            for start in range(0, len(ids), PAGE):
                some = ids[start : start + PAGE]
                rows = self._client.page(
                    entity, include=",".join(some), **({"role": "all"} if entity == "customers" else {})
                )
                reads += self._publishable(entity, rows, position)
                missing = set(some) - {str(row["id"]) for row in rows}
                reads += self._gone(entity, sorted(missing), position)
        return reads

    def _list(self, entity: str, state: dict[str, str]) -> tuple[list[Row], dict[str, str]]:
        """List one page of changes, oldest first.

        A full page goes on from its last second, not deeper into the list: rows that change meanwhile move to the
        end, and deeper pages would slip past others.
        """
        after = self._at.more.get(entity) or self._after(entity, state)
        rows = self._client.page(entity, modified_after=after, dates_are_gmt="true", orderby="modified", order="asc")
        dates = [str(row["date_modified_gmt"]) for row in rows if row.get("date_modified_gmt")]
        more = {name: date for name, date in self._next.more.items() if name != entity}
        if len(rows) == PAGE and dates:
            more[entity] = _shifted(dates[-1], -1.0)  # A list excludes its first second: the last one is read again.
            if dates[0] == dates[-1]:
                rows = self._second(entity, dates[-1])
                more[entity] = dates[-1]
        self._next = replace(self._next, more=more)
        return rows, state | ({entity: max(dates[-1], state.get(entity, ""))} if dates else {})

    def _second(self, entity: str, second: str) -> list[Row]:
        """Read one second that has more rows than a page, from its last page to its first.

        A row that changes meanwhile leaves the second, and those behind it move forward: to pages still to be read.
        """
        begun = self._clock.monotonic()
        first, first_at = self._at.crowds.get(entity, ("", begun))
        if first != second:
            self._next = replace(self._next, crowds={**self._next.crowds, entity: (second, begun)})
        elif begun - first_at >= self._settings.overlap_s:  # Nothing comes into it any more.
            self._next = replace(self._next, settled={**self._next.settled, entity: second})
        window = {"modified_after": _shifted(second, -1.0), "modified_before": _shifted(second, 1.0)}
        query = {**window, "dates_are_gmt": "true", "orderby": "modified", "order": "asc"}
        rows: list[Row] = []
        for page in range(self._client.pages(entity, **query), 0, -1):
            rows += self._client.page(entity, page=page, **query)
        return rows

    def _after(self, entity: str, state: Mapping[str, str]) -> str:
        """Give the date to list from: a while before the last one seen, but behind what is settled."""
        if entity in state:
            return max(_shifted(state[entity], -self._settings.overlap_s), self._at.settled.get(entity, ""))
        days = self._settings.history_days if entity == "orders" else 36_500
        begin = self._clock.now().astimezone(UTC) - timedelta(days=days)
        return begin.strftime("%Y-%m-%dT%H:%M:%S")

    def _newest_customers(self) -> list[Row]:
        query = {"orderby": "registered_date", "order": "desc", "per_page": NEWEST, "role": "all"}
        return self._client.page("customers", **query)

    def _sweep(self, position: int, *, answers: bool) -> list[Read]:
        """Read the next page of each swept list. One that fails waits for the next poll and stops nothing else.

        Args:
            position: Of the changes.
            answers: Whether the store has answered to something else in this poll; if not, it may be away.
        """
        at, now = self._at, self._clock.monotonic()
        if now < at.sweep_at:
            return []
        if at.sweep is None:
            self._seen = {name: set() for name in SWEPT}
        reads: list[Read] = []
        left: dict[str, int] = {}
        sweep_at = now
        for name, page in (at.sweep or dict.fromkeys(SWEPT, 1)).items():
            before = dict(self._pending)
            try:
                found, is_last = self._swept(name, page, position)
            except (Transient, Rejected) as error:
                if not answers:
                    raise
                self._log.warning("sweep waits", list=name, page=page, why=str(error))
                self._pending, left[name], sweep_at = before, page, self._next.poll_at
                continue
            reads += found
            if not is_last:
                left[name] = page + 1
        begun = now if at.sweep is None else at.sweep_begun
        sweep_at = sweep_at if left else begun + self._settings.sweep_s
        self._next = replace(self._next, sweep=left or None, sweep_at=sweep_at, sweep_begun=begun)
        return reads

    def _swept(self, name: str, page: int, position: int) -> tuple[list[Read], bool]:
        """Give what one swept page tells, and whether it is the last; then also what the list did not show."""
        if name == "trash":  # That the list takes this status is known from the plugin's source, not seen.
            rows = self._client.page("orders", status="trash", page=page, orderby="id", order="asc")
            return self._deletions("orders", [str(row["id"]) for row in rows], position), len(rows) < PAGE
        query = {"role": "all"} if name == "customers" else {}
        rows = self._client.page(name, page=page, orderby="id", order="asc", **query)
        reads = self._publishable(name, rows, position)
        self._seen[name] |= {str(row["id"]) for row in rows}
        if len(rows) == PAGE:
            return reads, False
        there = {number for number, digest in self._known[name].items() if digest != GONE}
        return reads + self._gone(name, sorted(there - self._seen[name], key=int)[:PAGE], position), True

    def _gone(self, entity: str, ids: Sequence[str], position: int) -> list[Read]:
        """Look rows up that a list did not show: deleted only where the store says so."""
        reads = []
        for number in ids:
            row = self._client.one(entity, number)
            if row is None:
                reads += self._deletions(entity, [number], position)
            else:
                reads += self._publishable(entity, [row], position)
        return reads

    def _deletions(self, entity: str, ids: Sequence[str], position: int) -> list[Read]:
        """Make deletions of the rows that are not known to be gone."""
        reads = []
        for number in ids:
            if self._last(entity, number) != GONE:
                self._pending[entity, number] = GONE
                reads.append(self._read(entity, number, None, position))
        return reads

    def _publishable(self, entity: str, rows: Sequence[Row], position: int) -> list[Read]:
        """Make changes of the rows whose content is new to us; orders come behind accounts that were never read."""
        reads, new = [], []
        for row in rows:
            number = str(row["id"])
            raw = msgspec.json.encode(self._with_refunds(row) if entity == "orders" and row.get("refunds") else row)
            digest = hashlib.blake2b(raw, digest_size=12).digest()
            if self._last(entity, number) != digest:
                self._pending[entity, number] = digest
                reads.append(self._read(entity, number, raw, position))
                new.append(row)
        return (self._accounts_of(new, position) if entity == "orders" else []) + reads

    def _accounts_of(self, orders: Sequence[Row], position: int) -> list[Read]:
        """Read the accounts of orders that were never read: whose an account is, its own e-mail tells (req-C5)."""
        placed_by = {str(row["customer_id"]) for row in orders if row.get("customer_id")}
        unread = {number for number in placed_by if self._last("customers", number) is None}
        return self._follow({"customers": unread}, position) if unread else []

    def _with_refunds(self, row: Row) -> Row:
        """Give an order with its refunds whole: which goods came back, only their own route tells."""
        try:
            return {**row, "refunds": self._client.page(f"orders/{row['id']}/refunds")}
        except Rejected as error:  # Their totals are better than nothing.
            self._log.warning("refunds not read", order=row["id"], why=str(error))
            return row

    def _read(self, entity: str, number: str, raw: bytes | None, position: int) -> Read:
        row = msgspec.json.decode(raw) if raw else {}
        at = row.get("date_modified_gmt")
        # One account's orders are handled in the order in which they were placed: the first one tells whose it is,
        # even if its owner changes the e-mail before the second (req-C5).
        account = row.get("customer_id") if entity == "orders" else None
        together = f"account/{account}".encode() if account else None
        ts_ms = _ms(datetime.fromisoformat(at).replace(tzinfo=UTC)) if at else 0
        source = Source(system=self.system, entity=entity, ts_ms=ts_ms, position=position)
        change = Change(op="u" if raw else "d", after=msgspec.Raw(raw) if raw else NOTHING, source=source, ts_ms=ts_ms)
        return Read(entity=entity, key=number.encode(), change=change, together=together)

    def _last(self, entity: str, number: str) -> bytes | None:
        """Give the hash of a row's last content; None where it is not known."""
        return self._pending.get((entity, number), self._known[entity].get(number))


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _shifted(date: str, seconds: float) -> str:
    return (datetime.fromisoformat(date) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


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
