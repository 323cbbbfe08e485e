"""The store target: stock in batches, each item's own answer, and what a store in trouble leads to."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from consumers.stores import StoreTarget
from counterflow.clock import FakeClock
from counterflow.errors import Broken, Rejected, Transient
from counterflow.systems.woocommerce.client import Row, WooClient
from sandbox.faults import Faults
from sandbox.woocommerce import products
from sandbox.woocommerce.alone import Alone
from schemas.commands import Command, PlaceDocument, SetStock, body_hash
from schemas.outcomes import Outcome
from tests.contracts.counterpoint_shop import order
from tests.contracts.store_fakes import settings


class Shop:
    """A store over https and the target that writes to it."""

    def __init__(self, alone: Alone) -> None:
        self.alone, self.clock = alone, FakeClock()
        self.target = self.target_with()

    def target_with(self, **changes: Any) -> StoreTarget:
        known = settings(self.alone.url, ca_file=self.alone.ca_file, **changes)
        return StoreTarget("north", WooClient("north", known, self.clock), clock=self.clock)

    def product(self, number: int, **facts: Any) -> Row:
        given = {"sku": f"SKU{number}", "manage_stock": True, "stock_quantity": 10}
        return products.load(self.alone.store, given | facts)

    def stock(self) -> list[int | None]:
        return [row["stock_quantity"] for row in self.alone.store.tables["products"].values()]

    def results(self, *commands: Command) -> list[tuple[str, str]]:
        return [(one.key, one.result) for one in self.target.apply(commands)]


@pytest.fixture
def shop(folder: Path) -> Iterator[Shop]:
    with Alone(folder) as alone:
        yield Shop(alone)


def command(body: SetStock | PlaceDocument, key: str, version: int = 1) -> Command:
    return Command(
        system="north",
        task="inventories",
        key=key,
        version=version,
        hash=body_hash(body),
        reference=f"north/inventories/{key}",
        body=body,
        sent_at=FakeClock().now(),
    )


def offer(row: Row, quantity: int) -> Command:
    return command(SetStock(sku=row["sku"], product_id=str(row["id"]), quantity=quantity), row["sku"])


def writes(shop: Shop) -> int:
    """How many stock writes took effect, by the store's journal."""
    return len([one for one in shop.alone.journal.entries() if one.kind == "stock"])


def test_a_hundred_commands_are_one_call_and_each_is_answered(shop: Shop) -> None:
    rows = [shop.product(number) for number in range(100)]
    outcomes = shop.target.apply([offer(row, 3) for row in rows])
    assert ({one.result for one in outcomes}, len(outcomes), set(shop.stock())) == ({"applied"}, 100, {3})


def test_an_outcome_says_what_was_asked_and_answered(shop: Shop) -> None:
    [outcome] = shop.target.apply([offer(shop.product(1), 3)])
    found = (
        outcome.version,
        outcome.hash != "",
        b'"stock_quantity":3' in bytes(outcome.request),
        bytes(outcome.response),
    )
    assert found[:3] == (1, True, True)
    assert b'"stock_quantity":3' in found[3]


def test_a_product_that_managed_no_stock_does_so_now(shop: Shop) -> None:  # W-58
    row = shop.product(1, manage_stock=False, stock_quantity=None)
    assert (shop.results(offer(row, 3)), shop.stock()) == ([("SKU1", "applied")], [3])


def test_a_product_that_is_gone_is_rejected_and_the_others_are_written(shop: Shop) -> None:  # W-84
    first, second, third = (shop.product(number) for number in range(3))
    products.delete(shop.alone.store, second["id"])
    found = shop.results(*(offer(row, 3) for row in (first, second, third)))
    assert (found, shop.stock()) == ([("SKU0", "applied"), ("SKU1", "rejected"), ("SKU2", "applied")], [3, 3])


@pytest.mark.parametrize("product_id", ["", "abc", "4.1", "-4", "²"])
def test_what_is_no_product_id_is_rejected_alone(shop: Shop, product_id: str) -> None:
    bad = command(SetStock(sku="BAD", product_id=product_id, quantity=1), "BAD")
    assert sorted(shop.results(bad, offer(shop.product(1), 3))) == [("BAD", "rejected"), ("SKU1", "applied")]


def test_what_a_store_cannot_do_is_rejected_alone(shop: Shop) -> None:
    odd = command(order("N-1"), "N-1")
    assert sorted(shop.results(odd, offer(shop.product(1), 3))) == [("N-1", "rejected"), ("SKU1", "applied")]


def test_a_half_applied_batch_waits_and_applied_again_is_harmless(shop: Shop) -> None:
    one = offer(shop.product(1), 3)
    shop.alone.switches.set(share_half_applied=1.0)
    first = shop.results(one)
    shop.alone.switches.set(share_half_applied=0.0)
    assert [first, shop.results(one), shop.stock()] == [[("SKU1", "waiting")], [("SKU1", "applied")], [3]]


def test_a_batch_that_fails_while_the_store_answers_waits(shop: Shop) -> None:
    class Failing(WooClient):
        def batch(self, resource: str, update: Sequence[Any]) -> list[Row]:
            raise Transient("HTTP 500", unknown=True)

    client = Failing("north", settings(shop.alone.url, ca_file=shop.alone.ca_file), shop.clock)
    outcomes = StoreTarget("north", client, clock=shop.clock).apply([offer(shop.product(1), 3)])
    assert [(one.result, one.message) for one in outcomes] == [("waiting", "HTTP 500")]


def test_a_store_that_refuses_the_batch_as_a_whole_is_asked_for_each_alone(shop: Shop) -> None:
    class Picky(WooClient):
        def batch(self, resource: str, update: Sequence[Any]) -> list[Row]:
            if any(one["stock_quantity"] == 13 for one in update):
                raise Rejected("HTTP 400 rest_invalid_param")
            return super().batch(resource, update)

    client = Picky("north", settings(shop.alone.url, ca_file=shop.alone.ca_file), shop.clock)
    commands = [offer(shop.product(number), number) for number in (12, 13, 14)]
    outcomes = StoreTarget("north", client, clock=shop.clock).apply(commands)
    found = [(one.key, one.result) for one in outcomes]
    assert found == [("SKU12", "applied"), ("SKU13", "rejected"), ("SKU14", "applied")]


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(Faults(down=True), id="connections are cut"),
        pytest.param(Faults(share_500=1.0), id="everything fails"),
        pytest.param(Faults(share_429=1.0, retry_after_s=30), id="too many requests"),
    ],
)
def test_a_store_that_is_down_is_told_of_and_nothing_is_written(shop: Shop, faults: Faults) -> None:
    one = offer(shop.product(1), 3)
    shop.alone.switches.set(**{name: getattr(faults, name) for name in faults.__struct_fields__})
    with pytest.raises(Transient):
        shop.target.apply([one])
    assert writes(shop) == 0


def test_a_store_that_asks_for_silence_is_not_even_probed(shop: Shop) -> None:
    one = offer(shop.product(1), 3)
    shop.alone.switches.set(share_429=1.0, retry_after_s=30)
    with pytest.raises(Transient) as raised:
        shop.target.apply([one])
    assert (raised.value.retry_after_s, shop.clock.slept) == (30.0, [])


def test_a_wrong_key_is_broken(shop: Shop) -> None:  # W-6
    with pytest.raises(Broken, match="check key"):
        shop.target_with(secret="cs_other").apply([offer(shop.product(1), 3)])


def test_an_address_without_https_is_broken(shop: Shop) -> None:  # W-2
    with pytest.raises(Broken, match="https"):
        WooClient("north", settings("http://shop.example.com"), shop.clock)


class Answering(WooClient):
    """A store that answers a batch with something of its own."""

    def __init__(self, shop: Shop, rows: list[Row]) -> None:
        super().__init__("north", settings(shop.alone.url, ca_file=shop.alone.ca_file), shop.clock)
        self._rows_given = rows

    def batch(self, resource: str, update: Sequence[Any]) -> list[Row]:
        return self._rows_given


@pytest.mark.parametrize(
    ("rows", "result"),
    [
        pytest.param([], "waiting", id="the item is missing from the answer"),
        pytest.param([{"id": 1, "stock_quantity": 9}], "waiting", id="another quantity than we set"),
        pytest.param([{"id": 1, "stock_quantity": None}], "waiting", id="no quantity"),
        pytest.param([{"id": 1, "error": {"code": "woocommerce_rest_product_invalid_id"}}], "rejected", id="gone"),
        pytest.param([{"id": 1, "error": {"code": "rest_invalid_param"}}], "rejected", id="refused"),
        pytest.param([{"id": 1, "stock_quantity": 3}], "applied", id="as we set it"),
    ],
)
def test_an_items_answer_says_what_became_of_it(shop: Shop, rows: list[Row], result: str) -> None:
    wanted = command(SetStock(sku="SKU1", product_id="1", quantity=3), "SKU1")
    outcomes: Sequence[Outcome] = StoreTarget("north", Answering(shop, rows), clock=shop.clock).apply([wanted])
    assert [one.result for one in outcomes] == [result]
