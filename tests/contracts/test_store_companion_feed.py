"""The companion's list of customers as the store poller reads it: beside the sweep, and never in its way."""

import pytest

from counterflow.errors import Broken, Rejected, Transient
from counterflow.systems.woocommerce.client import Row
from counterflow.systems.woocommerce.companion import Companion
from producers.companion_feed import AT_ONCE, PROBE_S
from producers.store_poller import NEWEST
from sandbox.woocommerce import customers
from tests.contracts.polled_shop import POLL_S, SWEEP_S, Shop


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def crowd(shop: Shop) -> list[Row]:
    """A hundred and fifty accounts, known already, of a store with the companion plugin."""
    rows = [shop.customer(f"ana{number}") for number in range(150)]
    shop.restart(customers={})
    shop.run(10)
    shop.client.asked.clear()
    return rows


def asked_of_customers(shop: Shop) -> int:
    return len([what for what, _ in shop.client.asked if what == "GET companion customers/changes"])


def test_the_plugin_tells_of_an_older_customers_change_with_the_next_poll(shop: Shop, crowd: list[Row]) -> None:
    customers.update(shop.store, crowd[0]["id"], {"email": "other@example.com"})
    customers.delete(shop.store, crowd[1]["id"])
    shop.run(POLL_S + 1)
    assert shop.published.there() == shop.truth()
    count = shop.published.count
    shop.run(4 * POLL_S)
    assert shop.published.count == count


def test_what_the_plugin_told_and_was_not_published_is_told_again(shop: Shop, crowd: list[Row]) -> None:
    customers.update(shop.store, crowd[0]["id"], {"email": "other@example.com"})
    shop.clock.sleep(POLL_S)
    lost = shop.read()
    shop.clock.sleep(POLL_S)
    again = shop.read()
    shop.publish(again)
    shop.clock.sleep(POLL_S)
    told = [[one.key.decode() for one in reading.reads] for reading in (lost, again, shop.read())]
    assert told == [[str(crowd[0]["id"])], [str(crowd[0]["id"])], []]


def test_a_list_that_begins_anew_is_read_from_its_beginning(shop: Shop, crowd: list[Row]) -> None:
    for number in range(9):
        customers.update(shop.store, crowd[number]["id"], {"email": f"other{number}@example.com"})
    shop.run(POLL_S + 1)
    shop.store.kept.customers.clear()
    shop.store.kept.customers_last = 0
    customers.update(shop.store, crowd[20]["id"], {"email": "another@example.com"})
    shop.run(2 * POLL_S + 1)
    assert shop.published.there() == shop.truth()


def test_a_long_list_is_read_a_part_with_each_poll(shop: Shop, crowd: list[Row]) -> None:
    for number, row in enumerate(crowd):
        customers.update(shop.store, row["id"], {"email": f"other{number}@example.com"})
    shop.clock.sleep(POLL_S)
    first = shop.read()
    shop.publish(first)
    shop.run(POLL_S + 1)
    assert (len(first.reads), shop.published.there()) == (AT_ONCE + NEWEST, shop.truth())


@pytest.mark.parametrize("error", [Transient("a redirect"), Rejected("counterflow_not_innodb"), Broken("HTTP 401")])
def test_a_plugin_that_answers_oddly_holds_nothing_up_and_is_left_alone_for_a_while(
    shop: Shop, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def odd(_self: object) -> None:
        asked.append(shop.clock.monotonic())
        raise error

    monkeypatch.setattr(Companion, "status", odd)
    shop.restart(customers={})
    row = shop.product(1)
    shop.run(2 * PROBE_S + POLL_S)
    assert ("products", str(row["id"])) in shop.published.last
    assert len(asked) == 3


def test_a_plugin_that_is_off_holds_nothing_up_and_is_asked_again_later(shop: Shop, crowd: list[Row]) -> None:
    customers.update(shop.store, crowd[0]["id"], {"email": "other@example.com"})
    shop.store.has_companion = False
    order = shop.order(shop.product(1))
    shop.run(4 * POLL_S)
    assert (("orders", str(order["id"])) in shop.published.last, asked_of_customers(shop)) == (True, 1)
    shop.store.has_companion = True
    shop.run(PROBE_S + POLL_S)
    assert shop.published.there() == shop.truth()


def test_a_store_without_the_plugin_is_asked_for_it_as_often_as_it_is_swept(shop: Shop) -> None:
    shop.store.has_companion = False
    shop.restart(customers={})
    shop.run(2 * SWEEP_S)
    probes = [what for what, _ in shop.client.asked if what == "GET companion status"]
    assert (len(probes), asked_of_customers(shop)) == (2, 0)


def test_where_customers_are_left_alone_the_plugin_is_not_asked(shop: Shop) -> None:
    shop.run(10)
    assert not [what for what, _ in shop.client.asked if "companion" in what]
