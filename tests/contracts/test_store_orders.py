"""What left of an order, told at a store over https: once, whatever is lost on the way, and only ever forward."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from consumers.stores import StoreTarget
from counterflow.clock import FakeClock
from counterflow.systems.woocommerce.client import WooClient
from sandbox.woocommerce import orders, products
from sandbox.woocommerce.alone import Alone
from schemas.commands import Command, Shipment, ShippedLine, UpdateOrder, body_hash
from schemas.outcomes import Outcome
from tests.contracts.store_fakes import settings


class Shop:
    """A store with one paid order of two mugs, and the target that writes to it."""

    def __init__(self, alone: Alone) -> None:
        self.alone, self.clock = alone, FakeClock()
        client = WooClient("north", settings(alone.url, ca_file=alone.ca_file), self.clock)
        self.target = StoreTarget("north", client, clock=self.clock)
        made = products.load(alone.store, {"sku": "MUG", "name": "Tea & coffee mug", "stock_quantity": 9})
        lines = [{"product_id": made["id"], "quantity": 2}]
        given = {"line_items": lines, "status": "processing", "billing": {"email": "ana@example.com"}}
        self.order = orders.create(alone.store, given)

    def tell(self, *shipments: Shipment, status: str = "", tells_shopper: bool = False) -> Outcome:
        body = UpdateOrder(
            order_id=str(self.order["id"]),
            status=status,  # type: ignore[arg-type]
            shipments=shipments,
            tells_shopper=tells_shopper,
        )
        (outcome,) = self.target.apply([command(body)])
        return outcome

    def now(self) -> dict[str, Any]:
        return self.alone.store.tables["orders"][self.order["id"]]

    def notes(self) -> list[str]:
        return [str(one["note"]) for one in self.now()["_notes"]]

    def mails(self) -> list[str]:
        return [one["subject"] for one in self.alone.store.mails if one["to"] == "ana@example.com"]


def command(body: UpdateOrder) -> Command:
    return Command(
        system="north",
        task="activities",
        key=body.order_id,
        version=1,
        hash=body_hash(body),
        reference=f"north/activities/{body.order_id}",
        body=body,
        sent_at=FakeClock().now(),
    )


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with Alone(tmp_path) as alone:
        yield Shop(alone)


def shipment(number: int, quantity: int, *tracking: str) -> Shipment:
    line = ShippedLine(line_id="1", sku="MUG", name="Tea & coffee mug", quantity=quantity)
    return Shipment(reference=f"5001-{number:02d}", lines=(line,), tracking=tracking)


def test_a_part_is_told_and_the_whole_completes_the_order(shop: Shop) -> None:
    first, second = shipment(1, 1, "1Z1"), shipment(2, 1)
    assert shop.tell(first).result == "applied"
    assert (shop.now()["status"], shop.notes()) == (
        "processing",
        ["Shipment 5001-01: 1 x Tea & coffee mug. Tracking: 1Z1."],
    )
    assert shop.tell(first, second, status="completed").result == "applied"
    assert (shop.now()["status"], len(shop.notes())) == ("completed", 2)
    assert shop.mails()[-1:] == ["Your north order is now complete"]


def test_told_again_nothing_is_written_and_nobody_mailed(shop: Shop) -> None:
    shop.tell(shipment(1, 2, "1Z1"), status="completed")
    mails, entries = shop.mails(), len(shop.alone.store.journal.entries())
    assert shop.tell(shipment(1, 2, "1Z1"), status="completed").result == "already"
    assert (shop.mails(), len(shop.alone.store.journal.entries()), len(shop.notes())) == (mails, entries, 1)


def test_an_answer_that_gets_lost_leaves_one_note_and_one_mail(shop: Shop) -> None:
    shop.alone.switches.set(share_half_applied=1.0)
    for _ in range(2):
        assert shop.tell(shipment(1, 2, "1Z1"), status="completed").result == "waiting"
    shop.alone.switches.set(share_half_applied=0.0)
    shop.tell(shipment(1, 2, "1Z1"), status="completed")
    assert (shop.now()["status"], len(shop.notes())) == ("completed", 1)
    assert shop.mails().count("Your north order is now complete") == 1


def test_a_note_that_the_store_wrote_in_other_signs_is_still_ours(shop: Shop) -> None:
    shop.tell(shipment(1, 2, "1Z1"))
    shop.now()["_notes"][0]["note"] = "Shipment 5001-01: 2 x Tea &amp; coffee mug. Tracking: 1Z1."
    assert shop.tell(shipment(1, 2, "1Z1")).result == "already"


def test_a_number_that_comes_later_is_noted_too(shop: Shop) -> None:
    shop.tell(shipment(1, 2))
    shop.tell(shipment(1, 2, "1Z1"))
    assert [one.endswith("Tracking: 1Z1.") for one in shop.notes()] == [False, True]


@pytest.mark.parametrize("status", ["cancelled", "refunded", "failed", "completed"])
def test_a_status_never_goes_backwards(shop: Shop, status: str) -> None:
    orders.update(shop.alone.store, shop.order["id"], {"status": status}, actor="staff")
    shop.tell(shipment(1, 2), status="completed")
    assert shop.now()["status"] == status


def test_the_shopper_is_told_only_where_the_shop_wants_it(shop: Shop) -> None:
    shop.tell(shipment(1, 1))
    shop.tell(shipment(1, 1), shipment(2, 1), tells_shopper=True)
    assert [one["customer_note"] for one in shop.now()["_notes"]] == [False, True]


def test_an_order_that_is_gone_is_said_to_be(shop: Shop) -> None:
    orders.delete(shop.alone.store, shop.order["id"])
    outcome = shop.tell(shipment(1, 2))
    assert (outcome.result, outcome.message) == ("rejected", f"order {shop.order['id']} is gone from north")
