"""A source is read again when somebody asks: everything is published once more, and it is said when that has ended."""

import random
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from kafka.errors import KafkaError

from counterflow.clock import FakeClock
from counterflow.errors import Transient
from counterflow.state.server import EmbeddedServer
from counterflow.systems.ports import Read, Reading
from producers.asks import KafkaAsks
from producers.counterpoint_queue import QueueSource
from producers.counterpoint_tracking import TrackingSource
from producers.runner import Runner
from sandbox.counterpoint import loyalty
from sandbox.counterpoint.loyalty import Which
from sandbox.woocommerce import orders, products
from schemas.outcomes import Cursor
from schemas.requests import QueueAll, ReadAgain, Request
from tests.contracts.counterpoint_fakes import FakeTracking
from tests.contracts.counterpoint_points_till import Till, balances_of, rows_of
from tests.contracts.polled_shop import SWEEP_S, Shop
from tests.contracts.test_counterpoint_runner import Topics

NOW = FakeClock().now()


class Asks:
    """Who asks, and how often it was said to be done. See producers.asks."""

    def __init__(self, *asked: datetime | None) -> None:
        self.left, self.confirmed = list(asked), 0

    def take(self) -> datetime | None:
        return self.left.pop(0) if self.left else None

    def confirm(self) -> None:
        self.confirmed += 1


class Process(FakeClock):
    """A producer over a quiet shop, until it has waited a few times."""

    def __init__(self, server: FakeTracking, topics: Topics, *, waits: int = 3) -> None:
        super().__init__()
        self._left, self._stop, self._topics = waits, threading.Event(), topics
        source = TrackingSource(server.connect, server.note, poll_s=0.25, page_rows=5)
        self.runner = Runner(source, topics, prefix="", clock=self, stop=self._stop)

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self._left -= 1
        if self._left <= 0:
            self._stop.set()

    def run(self, asks: Asks | None = None) -> "Process":
        self.runner.run(self._topics.stored(), asks)
        return self


@pytest.fixture
def server() -> FakeTracking:
    made, dice = FakeTracking(), random.Random(1)
    for _ in range(60):
        made.transaction(dice)
    return made


@pytest.fixture
def topics(server: FakeTracking) -> Topics:
    """What was published of a shop that was read whole long ago."""
    made = Topics(random.Random(1))
    Process(server, made).run()
    return made


def keys(topics: Topics) -> set[tuple[str, bytes]]:
    return {(one.topic, one.key) for one in topics.of("changes.")}


def whole_since(topics: Topics) -> list[datetime | None]:
    cursors = [msgspec.json.decode(one.value or b"", type=Cursor) for one in topics.of("cursors")]
    return [one.whole_since for one in cursors]


def test_everything_is_published_again_and_its_end_is_said(server: FakeTracking, topics: Topics) -> None:
    published, topics.messages = keys(topics), topics.of("cursors")
    asked = NOW + timedelta(hours=1)  # By a clock that is ahead of ours.
    asks = Asks(None, asked)
    Process(server, topics).run(asks)
    assert keys(topics) == published
    assert whole_since(topics)[-1] == asked
    assert asks.confirmed > 0


def test_before_its_end_nothing_is_said_and_nothing_forgotten(server: FakeTracking, topics: Topics) -> None:
    asks, before = Asks(NOW + timedelta(hours=1)), whole_since(topics)[-1]
    process = Process(server, topics)
    topics.share_failing = 1.0
    process.run(asks)
    assert (asks.confirmed, whole_since(topics)[-1]) == (0, before)


def test_what_was_asked_for_before_it_was_read_whole_is_done(server: FakeTracking, topics: Topics) -> None:
    since = whole_since(topics)[-1]
    assert since is not None
    count = len(topics.of("changes."))
    asks = Asks(since)
    Process(server, topics).run(asks)
    assert (len(topics.of("changes.")), asks.confirmed > 0) == (count, True)


def test_what_is_asked_in_the_middle_begins_anew(server: FakeTracking, topics: Topics) -> None:
    first, second = NOW + timedelta(hours=1), NOW + timedelta(hours=2)
    Process(server, topics).run(Asks(first, None, second))
    assert (first in whole_since(topics), whole_since(topics)[-1]) == (False, second)


def test_a_restart_keeps_when_everything_was_read(server: FakeTracking, topics: Topics) -> None:
    before = whole_since(topics)[-1]
    server.commit(("AR_CUST", ("K1",), {"CUST_NO": "K1", "NAM": "new"}))
    Process(server, topics).run()
    assert (whole_since(topics)[-1], before is not None) == (before, True)


def test_the_end_is_not_said_before_the_last_table_was_begun(server: FakeTracking) -> None:
    """Stock waits for documents that are not read up to now."""
    source = TrackingSource(server.connect, server.note, poll_s=0.25, page_rows=4)
    cursor, position, dice, waits = None, 0, random.Random(2), 0
    for _ in range(20):
        server.order(dice)
        reading = source.poll(cursor, position)
        source.confirm(reading)
        cursor, position = reading.cursor, reading.position
        waits += "IM_INV" not in cursor
        assert reading.is_part or "IM_INV" in cursor
    assert waits > 2


# What is asked.


class Log:
    """The requests, in memory."""

    def __init__(self, *values: bytes, trouble: bool = False) -> None:
        self.values, self.trouble, self.commits = list(values), trouble, 0

    def poll(self, **_: Any) -> dict[str, list[Any]]:
        if self.trouble:
            raise KafkaError("no answer")
        found, self.values = self.values, []
        return {"p": [SimpleNamespace(value=one) for one in found]} if found else {}

    def commit(self) -> None:
        self.commits += 1


def request(system: str, at: datetime = NOW) -> bytes:
    return msgspec.json.encode(Request(id="1", by="cli", at=at, ask=ReadAgain(system=system)))


OTHER = msgspec.json.encode(Request(id="2", by="cli", at=NOW, ask=QueueAll(system="north", task="inventories")))


def test_the_last_ask_of_ones_own_source_counts() -> None:
    late = NOW + timedelta(seconds=5)
    log = Log(request("north", late), OTHER, b"{", b"", request("north"), request("south", late + timedelta(hours=1)))
    asks = KafkaAsks(log, "north", FakeClock())
    assert asks.take() == late
    asks.confirm()
    asks.confirm()
    assert log.commits == 1


def test_requests_are_looked_for_once_a_second() -> None:
    clock = FakeClock()
    log = Log()
    asks = KafkaAsks(log, "north", clock)
    asks.take()
    log.values = [request("north")]
    assert asks.take() is None
    clock.sleep(1.0)
    assert asks.take() == NOW


def test_a_broker_that_does_not_answer_is_waited_for() -> None:
    with pytest.raises(Transient):
        KafkaAsks(Log(trouble=True), "north", FakeClock()).take()


# Points: their versions go on, and what settles our own writes is told again.


@pytest.fixture
def till(postgres: EmbeddedServer) -> Iterator[Till]:
    made = Till(postgres.url(f"again{random.randrange(10**9)}"), page_rows=3)
    yield made
    made.close()


def test_balances_are_told_again_with_the_rows_that_carry_our_tags(till: Till) -> None:
    people = [till.person(10) for _ in range(4)]
    till.read_whole()
    tag = "CF-0123456789"
    till.adjust(tag, people[0], 5)
    loyalty.post(till.books, Which(tag=tag))
    till.staff(people[1], 7)
    last = till.read_whole()[-1]
    till.pass_time()
    till.cursor = till.source.again(till.cursor)
    till.restart()
    till.staff(people[2], 2)
    found = till.read_whole()
    shown = {who: points for one in found for who, points in balances_of(one).items()}
    assert shown == till.balances()
    assert [(row[1:], version) for row, version in zip(rows_of(*found), versions(found), strict=True)] == [
        ((people[2], 2, ""), found[0].version),
        ((people[0], 5, tag), 0),
    ]
    assert found[0].previous == last.version
    assert till.take() is None


def versions(found: list[Any]) -> list[int]:
    return [row.version for one in found for row in one.rows]


def test_points_that_were_never_read_begin_as_ever(till: Till) -> None:
    ana = till.person(10)
    till.staff(ana, 5)
    till.cursor = till.source.again(None)
    found = till.read_whole()
    assert (found[0].previous, rows_of(*found)) == (0, [])


def test_the_end_is_said_with_the_last_page_of_points(till: Till) -> None:
    for _ in range(7):
        till.person(10)
    till.set_up()
    parts: list[bool] = []
    while not parts or parts[-1]:
        reading = till.poll()
        till.publish(reading)
        parts.append(reading.is_part)
    assert len(parts) >= 3
    assert all(parts[:-1])


def test_the_trigger_queue_is_read_behind_the_tables(till: Till) -> None:
    ana, source = till.person(10), QueueSource(till.sql, poll_s=0.1)
    cursor, found = source.again('{"table":null}'), list[Read]()
    is_part = True
    while is_part:
        reading = source.poll(cursor, 1)
        cursor, is_part = reading.cursor, reading.is_part
        found += reading.reads
        source.confirm(reading)
    assert {one.change.op for one in found} == {"r"}
    assert any(ana.encode() in one.key for one in found)
    assert {one.change.op for one in source.poll(cursor, 1).reads} == {"u"}  # What waited: our person.


# A store.


@pytest.fixture
def shop() -> Shop:
    made = Shop()
    bought = [made.product(number) for number in range(130)]
    for name in ("ana", "ben"):
        made.customer(name)
    for _ in range(3):
        made.order(bought[0])
    made.run(30)
    made.clock.sleep(60)
    return made


def read_again(shop: Shop) -> list[Reading]:
    """Read until the end of everything; gives the readings."""
    shop.cursor = shop.poller.again(shop.cursor)
    found: list[Reading] = []
    while not found or found[-1].is_part:
        found.append(shop.read())
        shop.publish(found[-1])
        shop.clock.sleep(0.1)
        assert len(found) < 100
    return found


def test_a_store_is_published_again_though_nothing_has_changed(shop: Shop) -> None:
    before, shop.published.last = shop.published.there(), {}
    read_again(shop)
    assert shop.published.there() == before == shop.truth()
    count = shop.published.count
    shop.run(2 * SWEEP_S)
    assert shop.published.count == count


@pytest.mark.parametrize(
    "way",
    [lambda shop, row: products.trash(shop.store, row["id"]), lambda shop, row: products.delete(shop.store, row["id"])],
)
def test_what_was_told_to_be_gone_is_told_again(shop: Shop, way: Callable[[Shop, dict[str, Any]], object]) -> None:
    row = shop.product(900)
    shop.run(10)
    way(shop, row)
    shop.run(SWEEP_S + 10)
    assert shop.published.last.pop(("products", str(row["id"]))) is None
    read_again(shop)
    assert shop.published.last["products", str(row["id"])] is None


def test_an_order_in_the_trash_is_told_again(shop: Shop) -> None:
    order = shop.order(shop.product(901))
    shop.run(10)
    orders.trash(shop.store, order["id"])
    shop.run(SWEEP_S + 10)
    assert shop.published.last.pop(("orders", str(order["id"]))) is None
    read_again(shop)
    assert shop.published.last["orders", str(order["id"])] is None


def test_the_end_of_a_store_is_its_sweeps(shop: Shop) -> None:
    found = read_again(shop)
    assert len(found) >= 2  # A hundred and thirty products are two pages.
    assert "products" in str(found[-1].cursor)


def test_a_store_whose_plugin_does_not_answer_was_not_read_whole() -> None:
    shop = Shop()
    shop.product(1)
    shop.restart(loyalty={"first": "add"})
    shop.store.has_companion = False
    shop.run(30)
    was_part = shop.read().is_part
    shop.store.has_companion = True
    shop.run(30)
    assert (was_part, shop.read().is_part) == (True, False)


def test_after_lost_hints_the_store_is_looked_at_everywhere_at_once(shop: Shop) -> None:
    """A customer who changed is in no list by date: only a sweep finds them."""
    row = next(iter(shop.store.tables["customers"].values()))
    for number in range(30):
        shop.customer(f"other{number}")
    shop.run(SWEEP_S + 10)
    row["first_name"] = "Anne"
    shop.poller.look_everywhere()
    shop.publish(shop.read())
    assert shop.published.there() == shop.truth()
