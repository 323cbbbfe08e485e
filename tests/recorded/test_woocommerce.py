"""WooCommerce's rows as our records, in the form of both versions. The rows are the sandbox's, with fixed dates."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from counterflow.errors import Rejected
from counterflow.systems.woocommerce.read import read
from schemas.records import Address, Coupon, Customer, Order, OrderLine, Product, Record, TaxLine, Tender

FOLDER = Path(__file__).parent / "woocommerce"
VERSIONS = ("7.9.0", "11.0.1")
CHANGED_AT = datetime(2026, 1, 5, 12, 31, tzinfo=UTC)
PLACED_AT = datetime(2026, 1, 5, 12, 30, 15, tzinfo=UTC)


def recorded(version: str, table: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{table}-{version}.json").read_text())[name]
    return found


def mapped(table: str, row: dict[str, Any]) -> Record:
    return read(table, msgspec.json.encode(row))


def order(version: str, name: str, **changes: Any) -> Order:
    found = mapped("orders", recorded(version, "orders", name) | changes)
    assert isinstance(found, Order)
    return found


pytestmark = pytest.mark.parametrize("version", VERSIONS)


def test_a_coupon_is_in_the_lines_and_taxes_are_in_one_line(version: str) -> None:  # W-61
    address = Address(
        first_name="Ana",
        last_name="Adler",
        line_1="12 Oak Street",
        city="Zürich",
        state="IL",
        postcode="62701",
        country="US",
        phone="555-201-4711",
    )
    row = recorded(version, "orders", "coupon")
    mug, bag = (str(one["id"]) for one in row["line_items"])
    assert mapped("orders", row) == Order(
        key=str(row["id"]),
        changed_at=CHANGED_AT,
        number=str(row["id"]),
        status="processing",
        currency="USD",
        minor_digits=2,
        account_id="3",
        email="ana.adler@example.com",
        billing=msgspec.structs.replace(address, email="ana.adler@example.com"),
        shipping_to=address,
        lines=(
            OrderLine(line_id=mug, sku="MUG-1", name="Blue Mug", quantity=2, regular=3000, net=2700, tax=223),
            OrderLine(line_id=bag, sku="BAG-1", name="Bag", quantity=1, regular=725, net=652, tax=54),
        ),
        shipping=595,
        fees=0,
        taxes=(TaxLine(name="US-TAX-1", tax=326, taxable=3947),),
        tax=326,
        total=4273,
        coupons=(Coupon(code="save10", discount=373),),
        is_paid=True,
        payment_method="stripe",
        placed_at=PLACED_AT,
    )


def test_what_was_recorded_adds_up(version: str) -> None:
    names = json.loads((FOLDER / f"orders-{version}.json").read_text())
    found = [order(version, name) for name in names]
    sums = [sum(line.net for line in one.lines) - one.discount + one.shipping + one.fees + one.tax for one in found]
    assert sums == [one.total for one in found]


def test_a_guest_has_no_account(version: str) -> None:
    found = order(version, "guest")
    assert (found.account_id, found.email, found.is_paid) == (None, "cleo@example.net", False)


def test_a_fee_below_zero_is_a_discount_on_the_whole_order(version: str) -> None:
    found = order(version, "fees")
    assert (found.fees, found.discount) == (250, 100)


def test_a_line_of_a_product_that_is_gone_has_no_sku(version: str) -> None:
    assert [line.sku for line in order(version, "gone").lines] == [""]


def test_yen_have_no_digits_behind_the_point(version: str) -> None:
    found = order(version, "yen")
    assert (found.minor_digits, found.lines[0].net, found.tax, found.total) == (0, 3000, 300, 3300)


def test_yen_written_with_a_point_are_the_same(version: str) -> None:
    assert order(version, "yen", total="3300.00").total == 3300


@pytest.mark.parametrize(
    ("status", "ours"),
    [("checkout-draft", "draft"), ("trash", "cancelled"), ("refunded", "refunded"), ("on-its-way", "on-hold")],
)
def test_a_status_is_one_of_ours(version: str, status: str, ours: str) -> None:
    assert order(version, "guest", status=status).status == ours


def test_an_order_in_the_trash_is_cancelled(version: str) -> None:
    assert order(version, "trashed").status == "cancelled"


def test_products_with_and_without_stock(version: str) -> None:
    found = [mapped("products", recorded(version, "products", name)) for name in ("mug", "bag")]
    assert found == [
        Product(key="1", changed_at=CHANGED_AT, sku="MUG-1", manages_stock=True, stock=48),
        Product(key="2", changed_at=CHANGED_AT, sku="BAG-1"),
    ]


def test_a_customers_email_is_normalised(version: str) -> None:
    found = mapped("customers", recorded(version, "customers", "ana"))
    assert isinstance(found, Customer)
    assert (found.email, found.first_name, found.phone) == ("ana.adler@example.com", "Ana", "555-201-4711")


def test_a_customer_without_a_name_has_the_billing_addresss(version: str) -> None:
    row = recorded(version, "customers", "ana") | {"first_name": "", "last_name": None}
    found = mapped("customers", row)
    assert isinstance(found, Customer)
    assert (found.first_name, found.last_name) == ("Ana", "Adler")


def test_a_billing_company_is_a_company_and_no_names_are_made_of_it(version: str) -> None:
    row = recorded(version, "customers", "bea")
    found = mapped("customers", row | {"billing": row["billing"] | {"company": " Acme Plumbing LLC "}})
    assert isinstance(found, Customer)
    assert (found.company, found.first_name, found.last_name) == ("Acme Plumbing LLC", "", "")


def test_somebody_at_a_company_keeps_their_names(version: str) -> None:
    row = recorded(version, "customers", "ana")
    found = mapped("customers", row | {"billing": row["billing"] | {"company": "Acme Plumbing LLC"}})
    assert isinstance(found, Customer)
    assert (found.company, found.first_name, found.last_name) == ("Acme Plumbing LLC", "Ana", "Adler")


REQUIRED = {
    "orders": "id number status currency customer_id billing line_items shipping_total total_tax total".split(),
    "products": ["id", "sku", "manage_stock"],
    "customers": ["id", "email"],
}


@pytest.mark.parametrize(("table", "field"), [(table, field) for table, names in REQUIRED.items() for field in names])
def test_a_missing_field_is_named(version: str, table: str, field: str) -> None:
    name = {"orders": "coupon", "products": "mug", "customers": "ana"}[table]
    row = recorded(version, table, name)
    del row[field]
    with pytest.raises(Rejected, match=rf"WooCommerce {table} .*no field {field}$"):
        mapped(table, row)


@pytest.mark.parametrize("field", ["id", "quantity", "subtotal", "total", "total_tax"])
def test_a_missing_field_of_a_line_is_named(version: str, field: str) -> None:
    row = recorded(version, "orders", "coupon")
    del row["line_items"][1][field]
    with pytest.raises(Rejected, match=f"no field {field}$"):
        mapped("orders", row)


@pytest.mark.parametrize("quantity", [0.5, "1.5", "many", None, "Infinity", "NaN", [1]])
def test_a_quantity_that_is_not_whole_is_refused(version: str, quantity: object) -> None:
    row = recorded(version, "orders", "coupon")
    row["line_items"][0]["quantity"] = quantity
    with pytest.raises(Rejected):
        mapped("orders", row)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"total": "12.345"}, id="more digits than the currency has"),
        pytest.param({"total": "a lot"}, id="an amount that is a word"),
        pytest.param({"total": "Infinity"}, id="an endless amount"),
        pytest.param({"total": "NaN"}, id="an amount that is no number"),
        pytest.param({"total": [1]}, id="an amount that is a list"),
        pytest.param({"date_created_gmt": None}, id="no date"),
        pytest.param({"date_created_gmt": "yesterday"}, id="a date that is a word"),
        pytest.param({"date_modified_gmt": 5}, id="a date that is a number"),
        pytest.param({"billing": None}, id="no billing address"),
        pytest.param({"line_items": None}, id="no lines"),
        pytest.param({"line_items": [None]}, id="an empty line"),
        pytest.param({"tax_lines": [5]}, id="a tax that is a number"),
    ],
)
def test_an_order_of_the_wrong_form_is_refused(version: str, changes: dict[str, Any]) -> None:
    with pytest.raises(Rejected, match="WooCommerce orders"):
        order(version, "coupon", **changes)


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"null", b"[]", b"5"])
def test_what_is_no_row_is_refused(version: str, raw: bytes) -> None:
    with pytest.raises(Rejected):
        read("orders", raw)


def test_a_resource_that_nobody_reads_is_refused(version: str) -> None:
    with pytest.raises(Rejected, match="no such resource"):
        read("coupons", b"{}")


def test_a_gift_card_is_a_tender_and_the_total_what_the_shopper_pays_in_all(version: str) -> None:  # storefronts 1.7
    cards = [{"id": 1, "code": "GC-0001", "amount": 10}, {"id": 2, "code": "GC-0002", "amount": 0}]
    found = order(version, "coupon", gift_cards=cards, total="5.00")
    assert (found.total, found.tenders) == (1500, (Tender(method="gift_card", amount=1000, card_no="GC-0001"),))
