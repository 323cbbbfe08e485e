"""What document a web order becomes, to the cent (order-E.2 to E.12; laws P2, P3 and P8)."""

import dataclasses
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.rules.documents import (
    Hold,
    Site,
    cards_bought,
    compose,
    fingerprint,
    is_due,
    marker_of,
    read_marker,
    takes_stock,
    unit_prices,
)
from schemas.commands import PlaceDocument
from schemas.records import Address, Coupon, Item, Order, OrderLine, TaxLine, Tender

SITE = Site(
    store_id="north",
    when="paid",
    prefix="N-",
    store="WEBN",
    station="1",
    drawer="1",
    user="WEB",
    tax_code="TAX",
    tax_authority="STATE",
    tax_rule="TAX",
    misc_charge_no="1",
    pay_codes={"cod": "COD", "*": "CARD"},
    currency="USD",
    takes_suggestion=False,
)
ITEMS = {"A": Item(key="A"), "FINE": Item(key="FINE", price_decimals=4)}
AT = datetime(2026, 1, 5, tzinfo=UTC)


def line(*, sku: str = "A", quantity: int = 1, net: int = 1000, tax: int = 0) -> OrderLine:
    return OrderLine(line_id="1", sku=sku, name=sku, quantity=quantity, regular=net, net=net, tax=tax)


def order(*lines: OrderLine, **given: Any) -> Order:
    shipping, tax = given.get("shipping", 0), given.get("tax", 0)
    usual: dict[str, Any] = {
        "key": "12",
        "number": "12",
        "status": "processing",
        "currency": "USD",
        "minor_digits": 2,
        "account_id": None,
        "email": "ana@example.com",
        "billing": Address(city="Salem"),
        "shipping_to": Address(),
        "lines": lines,
        "shipping": 0,
        "fees": 0,
        "taxes": (TaxLine(name="T", tax=tax),) if tax else (),
        "tax": 0,
        "total": sum(one.net for one in lines) + shipping + tax,
        "is_paid": True,
        "payment_method": "stripe",
        "placed_at": AT,
    }
    return Order(**(usual | given))


def placed(one: Order, site: Site = SITE) -> PlaceDocument:
    made = compose(one, site, ITEMS, "C1")
    assert isinstance(made, PlaceDocument), made
    return made


def test_a_simple_order_becomes_one_document() -> None:
    made = placed(order(line(quantity=2, net=900), shipping=599, tax=74))
    assert (made.marker, made.cust_no, made.store_no, made.total, made.misc) == ("N-12", "C1", "WEBN", 1573, 599)
    assert [(one.quantity, one.price, one.net) for one in made.lines] == [(2, Decimal("4.50"), 900)]
    assert [(one.tax, one.taxable) for one in made.taxes] == [(74, 1499)]
    assert [(one.pay_code, one.amount, one.captured) for one in made.payments] == [("CARD", 1573, True)]


def test_a_coupon_is_named_and_never_subtracted_again() -> None:
    made = placed(order(line(net=900), coupons=(Coupon(code="save10", discount=100),)))
    assert (made.total, made.notes[1]) == (900, "Coupon save10: 1.00 off, in the prices already")


def test_a_discount_on_the_whole_order_lowers_the_lines_that_it_may() -> None:
    gift = msgspec.structs.replace(line(net=500), is_discountable=False)
    made = placed(order(line(net=1000), gift, line(net=999), discount=100, total=2399))
    assert [one.net for one in made.lines] == [950, 500, 949]
    assert made.notes[1] == "Discount 1.00, in the prices already"


def test_fees_have_a_number_of_their_own_where_the_shop_says_so() -> None:
    apart = dataclasses.replace(SITE, fee_charge_no="2")
    made = placed(order(line(), shipping=599, fees=250, total=1849), apart)
    assert (made.misc_charge_no, made.misc, made.fee_charge_no, made.fees) == ("1", 599, "2", 250)
    together = placed(order(line(), shipping=599, fees=250, total=1849))
    assert (together.misc, together.fee_charge_no, together.fees) == (849, "", 0)


def test_each_tax_goes_where_the_shop_names_it() -> None:  # order-E.7
    site = dataclasses.replace(SITE, taxes={"COUNTY": ("COUNTY", "C1"), "CITY": ("COUNTY", "C1")})
    taxes = (
        TaxLine(name="STATE", tax=60, taxable=1000),
        TaxLine(name="COUNTY", tax=20, taxable=900),
        TaxLine(name="CITY", tax=5, taxable=1000),
        TaxLine(name="EXEMPT", tax=0),
    )
    made = placed(order(line(), tax=85, taxes=taxes), site)
    assert [(one.authority, one.rule, one.tax, one.taxable) for one in made.taxes] == [
        ("STATE", "TAX", 60, 1000),
        ("COUNTY", "C1", 25, 1000),
    ]


def test_each_tender_is_a_payment_and_the_method_pays_the_rest() -> None:  # order-E.10
    site = dataclasses.replace(SITE, pay_codes=dict(SITE.pay_codes) | {"gift_card": "GIFT"})
    tenders = (Tender(method="gift_card", amount=300, card_no="4711"),)
    made = placed(order(line(), tenders=tenders), site)
    assert [(one.pay_code, one.amount, one.captured, one.card_no) for one in made.payments] == [
        ("GIFT", 300, True, "4711"),
        ("CARD", 700, True, ""),
    ]
    whole = placed(order(line(), tenders=(Tender(method="gift_card", amount=1000, card_no="4711"),)), site)
    assert [one.pay_code for one in whole.payments] == ["GIFT"]


def test_a_gift_card_never_passes_for_whatever_pays_the_rest() -> None:
    made = compose(order(line(), tenders=(Tender(method="gift_card", amount=300, card_no="4711"),)), SITE, ITEMS, "C1")
    assert isinstance(made, Hold)
    assert "'gift_card'" in made.why


def test_a_free_order_has_no_payment() -> None:
    assert placed(order(line(net=0))).payments == ()


def test_an_unpaid_order_has_no_deposit() -> None:
    made = placed(order(line(), is_paid=False, payment_method="cod"))
    assert [(one.pay_code, one.captured) for one in made.payments] == [("COD", False)]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        pytest.param(order(line(sku="GONE")), "no item 'GONE'", id="an unknown SKU"),
        pytest.param(order(line(sku="")), "no item ''", id="a product that is gone"),
        pytest.param(order(line(), total=999), "does not add up", id="a sum that is none"),
        pytest.param(order(line(), currency="EUR"), "in EUR", id="another currency"),
        pytest.param(order(), "no lines", id="no lines"),
        pytest.param(order(line(), discount=1001, total=0), "more than the lines", id="a discount of more than all"),
        pytest.param(
            order(line(), tenders=(Tender(method="cod", amount=1001),)),
            "1001 of 1000",
            id="more tendered than there is",
        ),
        pytest.param(order(line(), fees=-5, total=995), "below 0", id="a fee below 0"),
        pytest.param(order(line(quantity=0, net=0)), "no quantity", id="no quantity"),
        pytest.param(order(line(), key="12345678901"), "too long", id="a marker of more than 12 characters"),
        pytest.param(
            order(line(), tax=5, taxes=(TaxLine(name="T", tax=4),)), "do not add up to its tax", id="taxes that differ"
        ),
    ],
)
def test_an_order_is_held_with_its_reason(given: Order, why: str) -> None:
    made = compose(given, SITE, ITEMS, "C1")
    assert isinstance(made, Hold)
    assert why in made.why


def test_a_payment_method_without_a_pay_code_is_held() -> None:
    made = compose(order(line()), dataclasses.replace(SITE, pay_codes={"cod": "COD"}), ITEMS, "C1")
    assert isinstance(made, Hold)


@given(
    net=st.integers(0, 10**7),
    quantity=st.integers(1, 500),
    digits=st.sampled_from([0, 2, 3]),
    decimals=st.sampled_from([2, 4]),
)
def test_unit_prices_add_up_exactly_in_one_line_or_two(net: int, quantity: int, digits: int, decimals: int) -> None:
    parts = unit_prices(net, quantity, digits=digits, decimals=decimals)
    sums = [(count * price).scaleb(digits).to_integral_value(ROUND_HALF_UP) for count, price in parts]
    assert (sum(sums), sum(count for count, _ in parts), len(parts) <= 2) == (net, quantity, True)


def test_a_fine_price_needs_one_line_only() -> None:
    assert unit_prices(1000, 3, digits=2, decimals=4) == [(3, Decimal("3.3333"))]


lines = st.builds(line, sku=st.sampled_from(["A", "FINE"]), quantity=st.integers(1, 12), net=st.integers(0, 100_000))


@given(
    st.lists(lines, min_size=1, max_size=8),
    st.integers(0, 5000),
    st.integers(0, 5000),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_the_control_equation_holds_for_every_document(
    bought: list[OrderLine], shipping: int, tax: int, off: float, by_card: float
) -> None:  # P3
    discount = int(sum(one.net for one in bought) * off)
    whole = sum(one.net for one in bought) - discount + shipping + tax
    tenders = (Tender(method="cod", amount=int(whole * by_card)),) if int(whole * by_card) else ()
    made = placed(order(*bought, shipping=shipping, tax=tax, discount=discount, tenders=tenders, total=whole))
    total = sum(one.net for one in made.lines) + made.misc + sum(one.tax for one in made.taxes)
    assert sum(one.amount for one in made.payments) == whole
    exact = all(one.net == int((one.quantity * one.price * 100).to_integral_value(ROUND_HALF_UP)) for one in made.lines)
    assert (total, exact) == (made.total, True)


SELLS = dataclasses.replace(SITE, gift_cards=frozenset({"CARD"}))


@given(st.lists(lines, min_size=1, max_size=5), st.lists(st.integers(0, 10_000), max_size=3), st.floats(0, 1))
def test_gift_cards_that_are_bought_stand_in_no_document_and_neither_does_their_money(
    bought: list[OrderLine], cards: list[int], off: float
) -> None:  # order-E.11
    discount, goods = int(sum(one.net for one in bought) * off), sum(one.net for one in bought)
    web = order(
        *(line(sku="CARD", net=net) for net in cards), *bought, discount=discount, total=goods - discount + sum(cards)
    )
    made = placed(web, SELLS)
    assert (made.total, sum(one.net for one in made.lines)) == (goods - discount, goods - discount)
    assert sum(one.amount for one in made.payments) == made.total
    assert "CARD" not in {one.item_no for one in made.lines}
    assert cards_bought(web, SELLS) == sum(cards)


@pytest.mark.parametrize(
    ("bought", "why"),
    [
        pytest.param((line(sku="CARD"),), "nothing but gift cards", id="nothing else"),
        pytest.param((line(), line(sku="CARD", tax=5)), "is taxed", id="taxed"),
    ],
)
def test_gift_cards_that_make_no_document(bought: tuple[OrderLine, ...], why: str) -> None:
    web = order(*bought, tax=sum(one.tax for one in bought), total=sum(one.net + one.tax for one in bought))
    made = compose(web, SELLS, ITEMS, "C1")
    assert isinstance(made, Hold)
    assert why in made.why


@pytest.mark.parametrize(
    ("status", "when", "due"),
    [
        ("pending", "placed", True),
        ("pending", "paid", False),
        ("processing", "paid", True),
        ("processing", "completed", False),
        ("completed", "completed", True),
        ("cancelled", "placed", False),
    ],
)
def test_the_moment(status: Any, when: Any, due: bool) -> None:
    assert is_due(order(line(), status=status), when) is due


@pytest.mark.parametrize(
    ("status", "held"), [("pending", {}), ("on-hold", {"A": 3}), ("processing", {"A": 3}), ("cancelled", {})]
)
def test_what_an_order_holds(status: Any, held: dict[str, int]) -> None:
    assert takes_stock(order(line(quantity=1), line(quantity=2), status=status)) == held


@given(st.integers(1, 10**9))
def test_a_marker_is_read_back(number: int) -> None:
    prefixes = {"north": "N-", "south": "S-"}
    assert read_marker(marker_of("S-", str(number)), prefixes) == ("south", str(number))


@pytest.mark.parametrize("marker", ["", "PO 77", "N-", "N-12A", "X-12"])
def test_another_purchase_order_number_is_none_of_ours(marker: str) -> None:
    assert read_marker(marker, {"north": "N-", "south": "S-"}) is None


def test_an_edit_changes_the_fingerprint_and_a_status_does_not() -> None:
    first, paid, edited = order(line()), order(line(), status="completed"), order(line(net=1001))
    assert (fingerprint(first) == fingerprint(paid), fingerprint(first) == fingerprint(edited)) == (True, False)


def test_a_company_stands_on_both_sides_of_its_document() -> None:
    acme = Address(company="Acme Plumbing LLC", line_1="1 High Street")
    site = Address(first_name="Ana", last_name="Adler", company="Acme Site 2")
    both = compose(order(line(), billing=acme, shipping_to=site), SITE, ITEMS, "C-1")
    alone = compose(order(line(), billing=acme, shipping_to=Address()), SITE, ITEMS, "C-1")
    assert isinstance(both, PlaceDocument)
    assert isinstance(alone, PlaceDocument)
    assert (both.bill_to, both.ship_to, alone.ship_to) == (acme, site, acme)
