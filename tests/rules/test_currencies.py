"""order-P8: minor units by the currency. The control equation holds in yen, dollars and dinars alike (order-E.12)."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.rules.documents import Hold, compose, unit_prices
from schemas.commands import PlaceDocument
from schemas.records import Item, OrderLine, TaxLine
from tests.rules.test_documents import SITE, line, order

DIGITS = {"JPY": 0, "USD": 2, "KWD": 3}
ITEMS = {f"D{decimals}": Item(key=f"D{decimals}", price_decimals=decimals) for decimals in (0, 2, 3, 4)}


@pytest.mark.parametrize(
    ("net", "quantity", "digits", "decimals", "expected"),
    [
        pytest.param(1000, 3, 0, 0, [(2, "333"), (1, "334")], id="yen, two lines a yen apart"),
        pytest.param(1000, 3, 2, 2, [(2, "3.33"), (1, "3.34")], id="dollars, two lines a cent apart"),
        pytest.param(1000, 3, 2, 4, [(3, "3.3333")], id="dollars, one fine price"),
        pytest.param(1000, 3, 3, 3, [(2, "0.333"), (1, "0.334")], id="dinars, two lines a fils apart"),
        pytest.param(1000, 3, 3, 4, [(3, "0.3333")], id="dinars, one fine price"),
        pytest.param(1, 3, 2, 2, [(2, "0.00"), (1, "0.01")], id="a cent for three"),
        pytest.param(0, 3, 2, 2, [(3, "0.00")], id="for nothing"),
        pytest.param(900, 3, 2, 2, [(3, "3.00")], id="even"),
        pytest.param(50, 101, 2, 4, [(51, "0.00"), (50, "0.01")], id="where four decimals no longer suffice"),
    ],
)
def test_unit_prices(net: int, quantity: int, digits: int, decimals: int, expected: list[tuple[int, str]]) -> None:
    found = unit_prices(net, quantity, digits=digits, decimals=decimals)
    assert found == [(count, Decimal(price)) for count, price in expected]


lines = st.builds(
    line,
    sku=st.sampled_from(sorted(ITEMS)),
    quantity=st.integers(1, 150),
    net=st.integers(0, 10**6),
    tax=st.integers(0, 500),
)


@given(
    st.sampled_from(sorted(DIGITS)),
    st.lists(lines, min_size=1, max_size=6),
    st.integers(0, 5000),
    st.lists(st.integers(0, 900), max_size=3),
)
def test_what_the_shopper_pays_is_what_the_document_says(
    currency: str, bought: list[OrderLine], shipping: int, taxes: list[int]
) -> None:
    tax = sum(taxes)
    total = sum(one.net for one in bought) + shipping + tax
    told = tuple(TaxLine(name=str(at), tax=one) for at, one in enumerate(taxes))
    facts = {"minor_digits": DIGITS[currency], "currency": currency, "shipping": shipping, "tax": tax, "taxes": told}
    made = compose(order(*bought, total=total, **facts), replace(SITE, currency=currency), ITEMS, "C1")
    assert isinstance(made, PlaceDocument)
    unit = Decimal(1).scaleb(-DIGITS[currency])
    sold = sum(((one.quantity * one.price).quantize(unit, "ROUND_HALF_UP") for one in made.lines), Decimal(0))
    extra = made.misc + sum(one.tax for one in made.taxes)
    assert sold + extra * unit == total * unit
    assert sum(one.amount for one in made.payments) == total


@given(st.lists(lines, min_size=1, max_size=6), st.integers(-100, 100).filter(bool))
def test_a_single_minor_unit_too_many_or_too_few_holds_the_order(bought: list[OrderLine], wrong: int) -> None:
    net = sum(one.net for one in bought)
    made = compose(order(*bought, total=net + wrong), SITE, ITEMS, "C1")
    assert isinstance(made, Hold)
    assert (str(net) in made.why, str(net + wrong) in made.why) == (True, True)
