"""What left of an order, told at a store over https: once, whatever is lost on the way, and only ever forward."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from consumers.stores import StoreTarget
from counterflow.clock import FakeClock
from counterflow.errors import Transient
from counterflow.systems.woocommerce import write
from counterflow.systems.woocommerce.client import WooClient
from sandbox.woocommerce import orders, products
from sandbox.woocommerce.alone import Alone
from schemas.commands import Command, RecordReturn, ReturnedLine, Shipment, ShippedLine, UpdateOrder, body_hash
from schemas.outcomes import Outcome
from tests.contracts.store_fakes import settings


class Shop:
    """A store with one paid order of two mugs, and the target that writes to it."""

    def __init__(self, alone: Alone) -> None:
        self.alone, self.clock = alone, FakeClock()
        self.client = WooClient("north", settings(alone.url, ca_file=alone.ca_file), self.clock)
        self.target = StoreTarget("north", self.client, clock=self.clock)
        made = products.load(
            alone.store, {"sku": "MUG", "name": "Tea & coffee mug", "regular_price": "5.00", "stock_quantity": 9}
        )
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


def command(body: UpdateOrder | RecordReturn) -> Command:
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


def back(shop: Shop, ticket: str, quantity: int = 1) -> RecordReturn:
    """A return of mugs at 5.00 each: what the shop's till took back."""
    line_id = str(shop.now()["line_items"][0]["id"])
    line = ReturnedLine(line_id=line_id, quantity=quantity, net=500 * quantity, tax=0)
    return RecordReturn(order_id=str(shop.order["id"]), reference=ticket, minor_digits=2, lines=(line,))


def test_a_return_at_the_till_is_a_refund_that_moves_nothing(shop: Shop) -> None:  # order-E.15
    (outcome,) = shop.target.apply([command(back(shop, "8001"))])
    (made,) = shop.now()["_refunds"]
    assert (outcome.result, made["amount"], made["reason"]) == ("applied", "5.00", "Counterpoint return 8001")
    assert [one["quantity"] for one in made["line_items"]] == [-1]
    assert shop.alone.store.journal.entries()[-1].actor == "api"
    (again,) = shop.target.apply([command(back(shop, "8001"))])
    assert (again.result, len(shop.now()["_refunds"])) == ("already", 1)


def test_an_answer_that_gets_lost_leaves_one_refund(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    create, late = shop.client.create, list[tuple[str, dict[str, Any]]]()

    def unanswered(resource: str, body: dict[str, Any]) -> dict[str, Any]:
        late.append((resource, body))
        raise Transient("no answer", unknown=True)

    monkeypatch.setattr(shop.client, "create", unanswered)
    wanted = command(back(shop, "8001"))
    assert [shop.target.apply([wanted])[0].result for _ in range(2)] == ["waiting", "waiting"]
    assert len(late) == 1  # Not sent again while the first may still take effect.
    create(*late[0])
    assert (shop.target.apply([wanted])[0].result, len(shop.now()["_refunds"])) == ("already", 1)


def test_a_request_that_came_to_nothing_is_sent_again_later(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def unanswered(_resource: str, _body: dict[str, Any]) -> dict[str, Any]:
        raise Transient("no answer", unknown=True)

    with monkeypatch.context() as patched:
        patched.setattr(shop.client, "create", unanswered)
        shop.target.apply([command(back(shop, "8001"))])
    shop.clock.sleep(3 * shop.client.timeout_s)
    (outcome,) = shop.target.apply([command(back(shop, "8001"))])
    assert (outcome.result, len(shop.now()["_refunds"])) == ("applied", 1)


def test_more_than_the_store_took_is_for_a_person(shop: Shop) -> None:
    shop.now()["total"] = "4.00"  # A gift card paid the rest.
    (outcome,) = shop.target.apply([command(back(shop, "8001"))])
    assert (outcome.result, shop.now()["_refunds"]) == ("held", [])
    assert "more than north has left to give back" in outcome.message


def test_pieces_that_the_store_gave_back_itself_are_for_a_person(shop: Shop) -> None:
    orders.refund_pieces(shop.alone.store, shop.order["id"], {"sku": "MUG", "quantity": 2})
    (outcome,) = shop.target.apply([command(back(shop, "8001"))])
    assert (outcome.result, len(shop.now()["_refunds"])) == ("held", 1)
    assert "has given pieces" in outcome.message


def test_a_tax_of_several_rates_is_given_back_by_what_each_has_left(shop: Shop) -> None:
    wanted = back(shop, "8001")
    line_id = wanted.lines[0].line_id
    taxes = [{"id": 1, "total": "2.00"}, {"id": 2, "total": "0.99"}]
    row, refunds, given = {"line_items": [{"id": int(line_id), "taxes": taxes}]}, list[dict[str, Any]](), []
    for tax in (100, 99, 100):  # 2.99 in three parts.
        line = msgspec.structs.replace(wanted.lines[0], tax=tax)
        (made,) = write.refund(msgspec.structs.replace(wanted, lines=(line,)), row, refunds)["line_items"]
        parts = {one["id"]: one["refund_total"] for one in made["refund_tax"]}
        given.append(parts)
        meta = [{"key": "_refunded_item_id", "value": line_id}]
        shown = [{"id": rate, "total": f"-{total}"} for rate, total in parts.items()]
        refunds.append({"line_items": [{"id": 7, "taxes": shown, "meta_data": meta}]})
    assert given == [{1: "0.67", 2: "0.33"}, {1: "0.66", 2: "0.33"}, {1: "0.67", 2: "0.33"}]


def test_a_hold_and_its_end_are_noted_each_time_once_and_for_staff(shop: Shop) -> None:
    def tell(hold: Literal["on", "off"]) -> str:
        body = UpdateOrder(order_id=str(shop.order["id"]), status="", shipments=(), tells_shopper=True, hold=hold)
        return shop.target.apply([command(body)])[0].result

    results = [tell(hold) for hold in ("on", "on", "off", "off", "on")]
    assert results == ["applied", "already", "applied", "already", "applied"]
    assert [one["customer_note"] for one in shop.now()["_notes"]] == [False] * 3
