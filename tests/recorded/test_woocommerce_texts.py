"""Texts of WooCommerce's rows: their HTML entities are decoded once, wherever they stand."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from counterflow.systems.woocommerce import write
from counterflow.systems.woocommerce.read import read
from schemas.commands import Shipment
from schemas.names import RETURN
from schemas.records import Customer, Order

FOLDER = Path(__file__).parent / "woocommerce"
VERSIONS = ("7.9.0", "11.0.1")


def row_of(table: str, version: str) -> dict[str, Any]:
    rows: dict[str, dict[str, Any]] = json.loads((FOLDER / f"{table}-{version}.json").read_text())
    return next(iter(rows.values()))


def customer(**changes: Any) -> Customer:
    found = read("customers", msgspec.json.encode(row_of("customers", VERSIONS[0]) | changes))
    assert isinstance(found, Customer)
    return found


def order(version: str = VERSIONS[0], **changes: Any) -> Order:
    found = read("orders", msgspec.json.encode(row_of("orders", version) | changes))
    assert isinstance(found, Order)
    return found


@pytest.mark.parametrize(
    ("stands", "means"),
    [
        ("A &amp; B", "A & B"),
        ("A &amp;amp; B", "A &amp; B"),
        ("O&#039;Hara", "O'Hara"),
        ("O&#x27;Hara", "O'Hara"),
        ("M&uuml;ller", "Müller"),
        ("Tom &quot;T&quot; Hardy", 'Tom "T" Hardy'),
        ("Smith&copyright", "Smith&copyright"),
        ("R&D", "R&D"),
        ("[&quot;]", '["]'),
    ],
)
def test_an_entity_in_a_name_is_decoded_once(stands: str, means: str) -> None:
    assert customer(first_name=stands).first_name == means


def test_entities_are_decoded_in_addresses_companies_and_group_titles() -> None:
    place = {"company": "Fish &amp; Sons", "address_1": "1 High &amp; Low St", "city": "K&ouml;ln"}
    meta = [{"id": 1, "key": "counterflow_group", "value": "B &amp; B"}]
    found = customer(billing=place, meta_data=meta)
    assert found.billing is not None
    assert (found.billing.company, found.billing.line_1, found.billing.city, found.group) == (
        "Fish & Sons",
        "1 High & Low St",
        "Köln",
        "B & B",
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_entities_are_decoded_in_an_orders_lines_coupons_and_taxes(version: str) -> None:
    row = row_of("orders", version)
    lines = [line | {"name": "Salt &amp; Pepper", "sku": "S&amp;P"} for line in row["line_items"]]
    found = order(version, line_items=lines, coupon_lines=[{"code": "black&amp;white", "discount": "1.00"}])
    assert {(one.name, one.sku) for one in found.lines} == {("Salt & Pepper", "S&P")}
    assert [one.code for one in found.coupons] == ["black&white"]


def test_json_inside_a_text_is_parsed_before_its_texts_are_decoded() -> None:
    paid = json.dumps([{"number": "A&quot;1", "cents": 500}])
    found = order(meta_data=[{"id": 1, "key": "counterflow_gift_card", "value": paid}])
    assert [(one.card_no, one.amount) for one in found.tenders] == [('A"1', 500)]


def test_json_that_was_encoded_as_a_whole_is_parsed_too() -> None:
    paid = "[{&quot;number&quot;:&quot;GC-1&quot;,&quot;cents&quot;:500}]"
    found = order(meta_data=[{"id": 1, "key": "counterflow_gift_card", "value": paid}])
    assert [(one.card_no, one.amount) for one in found.tenders] == [("GC-1", 500)]


def test_a_return_ticket_in_a_refunds_reason_is_decoded_once() -> None:
    refund = {"id": 9, "amount": "1.00", "total": "-1.00", "reason": f"{RETURN}5&amp;amp;7"}
    found = order(refunds=[refund])
    assert [one.reference for one in found.refunds] == ["5&amp;7"]


def test_a_note_of_a_shipment_is_known_whatever_the_store_made_of_its_signs() -> None:
    shipment = Shipment(reference="T&1", lines=(), tracking=("1Z&9",))
    assert write.is_noted(shipment, [{"note": "Shipment T&amp;1: Tea &amp; Co. Tracking: 1Z&amp;9."}])
    assert not write.is_noted(shipment, [{"note": "Shipment T&amp;amp;1: Tea. Tracking: 1Z&amp;9."}])
