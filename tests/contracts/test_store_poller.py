"""The store poller: whatever changes while it reads, the last state of each record is published at least once."""

import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from counterflow.clock import FakeClock
from counterflow.errors import Transient
from counterflow.systems.registry import READERS
from counterflow.systems.woocommerce.client import Row, WooClient
from producers.store_poller import StorePoller
from sandbox.woocommerce import customers, orders, products
from sandbox.woocommerce.alone import Alone
from sandbox.woocommerce.store import Store
from schemas.records import Order, RefundLine
from tests.contracts.polled_shop import BEGIN, POLL_S, SWEEP_S, Shop
from tests.contracts.store_fakes import Mailbox, Published, Unsteady, plain, settings


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_what_a_store_has_is_read_over_https(folder: Path) -> None:
    with Alone(folder) as alone:
        with alone.store.lock:
            for number in range(230):
                products.load(alone.store, {"sku": f"SKU{number}", "manage_stock": True, "stock_quantity": number})
            for number in range(120):
                customers.load(alone.store, {"email": f"ana{number}@example.com"})
            orders.create(alone.store, {"status": "processing", "line_items": [{"product_id": 2, "quantity": 1}]})
        clock, published = FakeClock(), Published()
        known = settings(alone.url, ca_file=alone.ca_file)
        poller = StorePoller("north", WooClient("north", known, clock), Mailbox(clock), known, clock)
        cursor: str | None = None
        for _ in range(6):
            reading = poller.poll(cursor, 0)
            published.take(reading)
            poller.confirm(reading)
            cursor = reading.cursor
    found = [len(published.of(name)) for name in ("products", "customers", "orders")]
    assert found == [230, 121, 1]  # With the shop's owner (W-33).


def test_rows_that_change_while_the_pages_are_read_are_all_published(shop: Shop) -> None:
    rows = [shop.product(number, BEGIN - timedelta(seconds=number)) for number in range(1, 351)]

    def busy() -> None:
        for _ in range(8):
            shop.sell(shop.dice.choice(rows), shop.dice.randrange(99))

    shop.client.before = busy
    shop.run(10)
    shop.client.before = lambda: None
    shop.run(10)
    assert shop.published.there() == shop.truth()


def test_more_rows_in_one_second_than_a_page_are_all_published(shop: Shop) -> None:
    bought = shop.product(1)
    rows = [shop.dated(shop.order(bought), BEGIN - timedelta(hours=1)) for _ in range(430)]
    left = iter(rows)
    shop.client.before = lambda: shop.dated(next(left))  # One leaves the second with each question.
    shop.run(3)
    shop.client.before = lambda: None
    shop.run(10)
    missing = set(shop.truth()) - set(shop.published.there())
    assert not missing


def test_what_comes_late_into_a_crowded_second_is_published(shop: Shop) -> None:
    bought = shop.product(1)
    for _ in range(150):
        shop.dated(shop.order(bought), BEGIN)
    shop.run(7)
    late = shop.dated(shop.order(bought), BEGIN)
    shop.run(20)
    assert ("orders", str(late["id"])) in shop.published.last


def test_a_crowded_second_is_not_read_for_ever(shop: Shop) -> None:
    for number in range(1, 230):
        shop.product(number, BEGIN)
    shop.run(60)
    shop.client.asked.clear()
    shop.run(20)
    assert len([query for name, query in shop.client.asked if name == "products" and "modified_after" in query]) <= 5


def test_what_comes_late_into_a_second_seen_before_is_published(shop: Shop) -> None:
    for number in range(1, 150):
        shop.product(number, BEGIN + timedelta(seconds=number // 30))
    shop.clock.at += timedelta(seconds=5)
    shop.run(1)
    late = shop.product(500, BEGIN + timedelta(seconds=1))
    shop.run(7)
    assert str(late["id"]) in shop.published.of("products")


def test_what_was_not_published_is_read_again(shop: Shop) -> None:
    shop.product(1)
    lost = shop.read()
    again = shop.read()
    assert [one.key for one in again.reads] == [one.key for one in lost.reads] != []


def test_what_was_published_is_not_published_again(shop: Shop) -> None:
    shop.product(1)
    shop.run(1)
    before = shop.published.count
    shop.run(2000)
    assert shop.published.count == before


def test_a_restart_goes_on_from_the_stored_cursor(shop: Shop) -> None:
    first = shop.product(1)
    shop.run(30)
    shop.sell(first, 4)
    order = shop.order(first)
    shop.clock.sleep(7200)
    shop.restart()
    shop.run(1)
    assert (shop.published.last["orders", str(order["id"])], shop.published.there()) == (
        order_of(shop, order),
        shop.truth(),
    )


def order_of(shop: Shop, row: Row) -> Row:
    return plain("orders", row)


def failing(name: str, page: int) -> Callable[[Shop], None]:
    """Let one page of the sweep fail."""

    def install(shop: Shop) -> None:
        real = shop.client.page

        def page_or_trouble(resource: str, **query: Any) -> list[Row]:
            if resource == name and query.get("page") == page and query["orderby"] == "id":
                raise Transient("HTTP 500")
            return real(resource, **query)

        shop.client.page = page_or_trouble  # type: ignore[method-assign]

    return install


def test_a_sweep_that_fails_in_the_middle_stops_no_order_and_deletes_nothing(shop: Shop) -> None:
    for number in range(250):
        shop.customer(f"ana{number}")
    bought = shop.product(1)
    failing("customers", 2)(shop)
    shop.run(40)
    order = shop.order(bought)
    shop.run(10)
    deleted = [key for key, row in shop.published.last.items() if row is None]
    assert (("orders", str(order["id"])) in shop.published.last, deleted) == (True, [])


def test_a_sweep_goes_on_where_it_failed(shop: Shop) -> None:
    for number in range(250):
        shop.customer(f"ana{number}")
    working = shop.client.page
    failing("customers", 2)(shop)
    shop.run(40)
    shop.client.page = working  # type: ignore[method-assign]
    shop.client.asked.clear()
    shop.run(10)
    swept = [query["page"] for name, query in shop.client.asked if name == "customers" and query["orderby"] == "id"]
    assert (swept, shop.published.there()) == ([2, 3], shop.truth())


def test_a_sweep_whose_look_up_fails_forgets_no_change(shop: Shop) -> None:
    rows = [shop.customer(f"ana{number}") for number in range(40)]
    shop.run(10)
    customers.delete(shop.store, rows[0]["id"])
    customers.update(shop.store, rows[1]["id"], {"email": "other@example.com"})
    working = shop.client.one

    def cut_once(resource: str, number: str) -> Row | None:
        shop.client.one = working  # type: ignore[method-assign]
        raise Transient("the line was cut")

    shop.client.one = cut_once  # type: ignore[method-assign]
    shop.run(SWEEP_S + 10)
    assert shop.published.there() == shop.truth()


def test_a_store_that_does_not_answer_is_told_of(shop: Shop) -> None:
    shop.client.before = Unsteady(1, 1.0)
    with pytest.raises(Transient):
        shop.read()


def test_a_row_that_slips_past_the_sweep_is_not_deleted(shop: Shop) -> None:
    rows = [shop.product(number, BEGIN) for number in range(1, 150)]
    shop.run(30)
    shop.clock.sleep(SWEEP_S)
    real = shop.client.page

    def trash_first(resource: str, **query: Any) -> list[Row]:
        found = real(resource, **query)
        if resource == "products" and query.get("page") == 1 and query["orderby"] == "id":
            products.trash(shop.store, rows[0]["id"])  # The 101st moves to the page that was read.
        return found

    shop.client.page = trash_first  # type: ignore[method-assign]
    shop.run(20)
    assert shop.published.last["products", str(rows[100]["id"])] is not None


@pytest.mark.parametrize("way", [products.trash, products.delete])
def test_a_deleted_product_is_found_by_the_sweep(shop: Shop, way: Callable[[Store, int], Row]) -> None:
    row = shop.product(1)
    shop.run(10)
    way(shop.store, row["id"])
    shop.run(SWEEP_S + 10)
    assert shop.published.last["products", str(row["id"])] is None


def test_an_order_in_the_trash_is_found_without_a_web_hook(shop: Shop) -> None:
    order = shop.order(shop.product(1))
    shop.run(10)
    orders.trash(shop.store, order["id"])
    shop.restart()
    shop.run(10)
    assert shop.published.last["orders", str(order["id"])] is None


def test_an_order_taken_out_of_the_trash_is_there_again(shop: Shop) -> None:
    order = shop.order(shop.product(1))
    shop.run(10)
    orders.trash(shop.store, order["id"])
    shop.run(SWEEP_S + 10)
    orders.update(shop.store, order["id"], {"status": "processing"})
    shop.dated(order)
    shop.run(10)
    assert shop.published.there() == shop.truth()


def test_a_doubled_hint_of_a_deletion_deletes_once(shop: Shop) -> None:
    row = shop.product(1)
    shop.run(10)
    products.delete(shop.store, row["id"])
    before = shop.published.count
    for _ in range(3):
        shop.hints.say("products", row["id"], "deleted")
        shop.publish(shop.read())
    assert (shop.published.count, shop.published.last["products", str(row["id"])]) == (before + 1, None)


def test_a_hint_of_a_row_that_is_there_after_all_deletes_nothing(shop: Shop) -> None:
    row = shop.product(1)
    shop.run(10)
    shop.hints.say("products", row["id"], "deleted")
    shop.publish(shop.read())
    assert shop.published.there() == shop.truth()


def test_a_hint_is_followed_before_anything_is_due(shop: Shop) -> None:
    row = shop.product(1)
    shop.run(10)
    shop.sell(row, 2)
    shop.hints.say("products", row["id"])
    reading = shop.read()
    assert [one.key.decode() for one in reading.reads] == [str(row["id"])]


def test_an_unconfirmed_hint_is_followed_again(shop: Shop) -> None:
    row = shop.product(1)
    shop.run(10)
    shop.sell(row, 2)
    shop.hints.say("products", row["id"])
    shop.read()
    assert [one.key.decode() for one in shop.read().reads] == [str(row["id"])]


def test_a_new_customer_is_found_with_the_next_poll(shop: Shop) -> None:
    shop.run(10)
    row = shop.customer("bea")
    shop.run(POLL_S + 1)
    assert ("customers", str(row["id"])) in shop.published.last


def test_an_older_customers_change_is_found_by_the_sweep(shop: Shop) -> None:
    rows = [shop.customer(f"ana{number}") for number in range(150)]
    shop.run(10)
    customers.update(shop.store, rows[0]["id"], {"email": "other@example.com"})
    shop.run(SWEEP_S + 10)
    assert shop.published.there() == shop.truth()


def test_looking_again_polls_at_once(shop: Shop) -> None:
    shop.run(10)
    row = shop.product(1)
    shop.poller.look_again()
    assert [one.key.decode() for one in shop.read().reads] == [str(row["id"])]


def test_a_row_without_a_date_does_not_spoil_the_cursor(shop: Shop) -> None:
    shop.product(1)
    real = shop.client.page
    undated = {"id": 900, "date_modified_gmt": None}
    shop.client.page = lambda name, **query: [*real(name, **query), undated]  # type: ignore[method-assign]
    shop.run(10)
    assert ("None" in str(shop.cursor), ("products", "900") in shop.published.last) == (False, True)


def test_an_account_is_read_with_its_order_and_before_it(shop: Shop) -> None:
    """Whose an order is, its account's own e-mail tells: it must not have to wait for a sweep."""
    row = shop.customer("ana")
    for number in range(25):  # She is not among the newest any more.
        shop.customer(f"p{number}")
    shop.publish(shop.read())
    shop.restart()
    order = shop.order(shop.product())
    order["customer_id"] = row["id"]
    shop.dated(order)
    shop.clock.sleep(POLL_S)
    reads = [
        (one.entity, one.key)
        for one in shop.read().reads
        if one.key in {str(row["id"]).encode(), str(order["id"]).encode()}
    ]
    assert reads.index(("customers", str(row["id"]).encode())) < reads.index(("orders", str(order["id"]).encode()))


def test_an_account_that_is_gone_is_told_with_its_order(shop: Shop) -> None:
    shop.publish(shop.read())
    order = shop.order(shop.product())
    order["customer_id"] = 999
    shop.dated(order)
    shop.clock.sleep(POLL_S)
    told = [one.change.op for one in shop.read().reads if (one.entity, one.key) == ("customers", b"999")]
    assert told == ["d"]


def test_an_order_travels_with_the_others_of_its_account(shop: Shop) -> None:
    account = shop.customer("ana")
    order = shop.order(shop.product(1))
    order["customer_id"] = account["id"]
    reads = [one for one in shop.read().reads if one.entity == "orders"]
    assert [one.together for one in reads] == [f"account/{account['id']}".encode()]


def test_an_order_with_refunds_tells_which_goods_came_back(folder: Path) -> None:
    with Alone(folder) as alone:
        made = products.load(
            alone.store,
            {"sku": "MUG", "name": "Mug", "manage_stock": True, "stock_quantity": 9, "regular_price": "5.00"},
        )
        row = orders.create(alone.store, {"line_items": [{"product_id": made["id"], "quantity": 2}]})
        line = str(row["line_items"][0]["id"])
        tax = [{"id": 1, "refund_total": "0.30"}]
        given = {"id": line, "quantity": 1, "refund_total": "4.00", "refund_tax": tax}
        orders.refund(alone.store, row["id"], {"amount": "5.00", "line_items": [given]})
        clock = FakeClock()
        client = WooClient("north", settings(alone.url, ca_file=alone.ca_file), clock)
        poller = StorePoller("north", client, Mailbox(clock), settings(poll_s=POLL_S, sweep_s=SWEEP_S), clock)
        (raw,) = [one.change.row for one in poller.poll(None, 0).reads if one.entity == "orders"]
    found = READERS["woocommerce"]("orders", raw or b"")
    assert isinstance(found, Order)
    (refund,) = found.refunds
    assert (refund.amount, refund.lines) == (500, (RefundLine(line_id=line, quantity=1, net=400, tax=30),))


class Meddler:
    """Shoppers and staff who change something between any two requests; some web hooks of it get lost, some double."""

    def __init__(self, shop: Shop, dice: random.Random) -> None:
        self.shop, self.dice = shop, dice
        self.line = Unsteady(dice.randrange(10**6), 0.05)
        self.may_delete = dice.random() < 0.5

    def __call__(self) -> None:
        if self.dice.random() < 0.7:
            self.dice.choice([self.stock, self.stock, self.order, self.sign_up, self.email, self.status, self.remove])()
        self.line()

    def tell(self, entity: str, row: Row) -> None:
        for _ in range(self.dice.choice([0, 1, 1, 2])):
            self.shop.hints.say(entity, row["id"])

    def any(self, table: str) -> Row:
        return self.dice.choice(list(self.shop.store.tables[table].values()))

    def stock(self) -> None:
        row = self.any("products")
        if row["status"] != "trash":
            self.shop.sell(row, self.dice.randrange(50))
            self.tell("products", row)

    def order(self) -> None:
        row = self.any("products")
        self.tell("orders", self.shop.order(row))

    def sign_up(self) -> None:
        self.tell("customers", self.shop.customer(f"new{self.shop.store.next_id()}"))

    def email(self) -> None:
        row = self.any("customers")
        customers.update(self.shop.store, row["id"], {"email": f"new{self.shop.store.next_id()}@example.com"})
        self.shop.dated(row)
        self.tell("customers", row)

    def status(self) -> None:
        if self.shop.store.tables["orders"]:
            row = self.any("orders")
            orders.update(self.shop.store, row["id"], {"status": self.dice.choice(["completed", "cancelled"])})
            self.shop.dated(row)
            self.tell("orders", row)

    def remove(self) -> None:
        if self.may_delete and self.shop.store.tables["orders"]:
            table = self.dice.choice(["products", "orders", "customers"])
            row = self.any(table)
            ways = {"products": products.trash, "orders": orders.trash, "customers": customers.delete}
            ways[table](self.shop.store, row["id"])
            self.shop.dated(row)
            self.tell(table, row)


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_the_last_state_of_each_record_is_published(seed: int) -> None:
    shop = Shop(seed)
    for number in range(1, 240):
        shop.product(number, BEGIN - timedelta(seconds=shop.dice.choice([0, 0, number])))
    for number in range(130):
        shop.customer(f"ana{number}")
    shop.restart(customers={} if seed % 2 else None)  # With the companion plugin, and without.
    meddler = Meddler(shop, shop.dice)
    shop.client.before = meddler
    for _ in range(15):
        shop.run(shop.dice.choice([1, 4, 11, 30]))
        what = shop.dice.random()
        if what < 0.2 and not meddler.may_delete:  # What is deleted while nobody runs, only a web hook tells.
            shop.restart(customers={} if seed % 2 else None)
        elif what < 0.5:
            try:
                shop.read()  # And it is not published.
            except Transient:
                continue
    shop.client.before = lambda: None
    shop.run(2 * SWEEP_S + 60)
    assert shop.published.there() == shop.truth()
