"""Counterpoint's rows as our records: rows of our own producers, and Debezium's forms of the same ones."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from counterflow.errors import Rejected
from counterflow.systems.counterpoint.read import read
from schemas.records import Address, Customer, Document, Item, Record, Stock

FOLDER = Path(__file__).parent / "counterpoint"
CHANGED_AT = datetime(2026, 1, 5, 12, 30, 15, 250_000, tzinfo=UTC)

ANA = Customer(
    key="10001",
    changed_at=CHANGED_AT,
    email="ana.adler@example.com",
    first_name="Ana",
    last_name="Adler",
    phone="555-201-4711",
    is_ecommerce=True,
    group="",
    billing=Address(
        first_name="Ana",
        last_name="Adler",
        line_1="12 Oak Street",
        city="Zürich",
        state="IL",
        postcode="62701",
        country="US",
        phone="555-201-4711",
        email="ana.adler@example.com",
    ),
)
MUG = Item(
    key="ITM0001",
    changed_at=CHANGED_AT,
    description="Blue Mug",
    is_ecommerce=True,
    price_decimals=4,
    category="KITCHEN",
)
SHELF = Stock(
    key="ITM0001|MAIN",
    changed_at=CHANGED_AT,
    item_no="ITM0001",
    location="MAIN",
    on_hand=Decimal("-5.5"),
    committed=Decimal("8"),
)
ORDER = Document(
    key="100002",
    changed_at=CHANGED_AT,
    doc_type="O",
    ticket_no="5002",
    cust_no="10001",
    marker="N-17",
    store_no="WEBN",
    station="1",
    stock_location="MAIN",
)
ROWS = [
    pytest.param("AR_CUST", ANA, id="customer"),
    pytest.param("IM_ITEM", MUG, id="item"),
    pytest.param("IM_INV", SHELF, id="stock below zero"),
    pytest.param("PS_DOC_HDR", ORDER, id="document"),
]


def row(name: str) -> dict[str, Any]:
    return dict(json.loads((FOLDER / f"{name}.json").read_text()))


def read_with(entity: str, **changes: Any) -> Record:
    return read(entity, msgspec.json.encode(row(entity) | changes))


def read_without(entity: str, column: str) -> Record:
    return read(entity, msgspec.json.encode({name: value for name, value in row(entity).items() if name != column}))


@pytest.mark.parametrize(("entity", "expected"), ROWS)
def test_our_own_rows(entity: str, expected: Record) -> None:
    assert read(entity, (FOLDER / f"{entity}.json").read_bytes()) == expected


@pytest.mark.parametrize(("entity", "expected"), ROWS)
def test_debezium_rows_say_the_same(entity: str, expected: Record) -> None:
    """Numbers as numbers or texts, times in milliseconds, blanks behind texts, more columns than we know."""
    found = read(entity, (FOLDER / f"debezium_{entity}.json").read_bytes())
    if isinstance(found, Customer):
        assert found.points == 120
        found = msgspec.structs.replace(found, points=None)
    assert found == expected


@pytest.mark.parametrize(
    ("entity", "column"),
    [
        (entity, column)
        for entity in ("AR_CUST", "IM_ITEM", "IM_INV", "PS_DOC_HDR")
        for column in row(entity)
        if column not in {"RS_UTC_DT", "EMAIL_ADRS_2", "CATEG_COD", "NAM"}
    ],
)
def test_a_missing_column_is_named(entity: str, column: str) -> None:
    with pytest.raises(Rejected, match=rf"{entity}: the row has no column {column}$"):
        read_without(entity, column)


@pytest.mark.parametrize("email", [None, "", "   "])
def test_an_empty_email_is_none(email: str | None) -> None:
    found = read_with("AR_CUST", EMAIL_ADRS_1=email)
    assert isinstance(found, Customer)
    assert (found.email, found.billing and found.billing.email) == (None, "")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(
            {"FST_NAM": None, "LST_NAM": None, "NAM": "Ana Maria Adler"}, ("Ana", "Maria Adler"), id="full name only"
        ),
        pytest.param({"FST_NAM": " ", "LST_NAM": "", "NAM": None}, ("", ""), id="no name at all"),
        pytest.param({"FST_NAM": "", "LST_NAM": "Adler", "NAM": "A. Adler"}, ("", "Adler"), id="last name only"),
    ],
)
def test_names(given: dict[str, Any], expected: tuple[str, str]) -> None:
    found = read_with("AR_CUST", **given)
    assert isinstance(found, Customer)
    assert (found.first_name, found.last_name) == expected


ACME = {"CUST_NAM_TYP": "B", "NAM": "Acme Plumbing LLC", "FST_NAM": None, "LST_NAM": None}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({}, ("Acme Plumbing LLC", "", ""), id="no names: never split into a person's"),
        pytest.param(
            {"FST_NAM": "Ana", "LST_NAM": "Adler"}, ("Acme Plumbing LLC", "Ana", "Adler"), id="with a contact"
        ),
        pytest.param(
            {"FST_NAM": "Acme Plumbing L", "LST_NAM": "Acme Plumbing LLC"},
            ("Acme Plumbing LLC", "", ""),
            id="its own name, where the server wants a person's",
        ),
        pytest.param({"LST_NAM": "Adler"}, ("Acme Plumbing LLC", "", "Adler"), id="a last name only"),
        pytest.param({"CUST_NAM_TYP": "P"}, ("", "Acme", "Plumbing LLC"), id="a person"),
        pytest.param({"CUST_NAM_TYP": None}, ("", "Acme", "Plumbing LLC"), id="not said"),
        pytest.param({"CUST_NAM_TYP": "B "}, ("Acme Plumbing LLC", "", ""), id="with a blank, as Debezium has it"),
    ],
)
def test_a_company_is_a_company(given: dict[str, Any], expected: tuple[str, str, str]) -> None:
    found = read_with("AR_CUST", **ACME | given)
    assert isinstance(found, Customer)
    assert found.billing is not None
    assert (found.company, found.first_name, found.last_name) == expected
    assert (found.billing.company, found.billing.first_name, found.billing.last_name) == expected


def test_where_the_kind_of_name_is_not_read_the_customer_is_a_person() -> None:
    found = read_with("AR_CUST", **{name: value for name, value in ACME.items() if name != "CUST_NAM_TYP"})
    assert isinstance(found, Customer)
    assert (found.company, found.first_name, found.last_name) == ("", "Acme", "Plumbing LLC")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param("12.5000", "12.5", id="text"),
        pytest.param("-3.0000", "-3", id="below zero"),
        pytest.param("0.3333", "0.3333", id="four digits"),
        pytest.param(12.1, "12.1", id="a JSON number loses nothing"),
        pytest.param(7, "7", id="whole"),
        pytest.param(None, "0", id="null"),
        pytest.param("99999999999.9999", "99999999999.9999", id="all fifteen digits"),
    ],
)
def test_quantities_are_exact(given: Any, expected: str) -> None:
    found = read_with("IM_INV", QTY_ON_HND=given)
    assert isinstance(found, Stock)
    assert found.on_hand == Decimal(expected)


@pytest.mark.parametrize(
    ("entity", "changes", "message"),
    [
        pytest.param("IM_INV", {"QTY_ON_HND": "AMNQ"}, "QTY_ON_HND is no number: 'AMNQ'", id="decimals as base64"),
        pytest.param("IM_INV", {"QTY_COMMIT": "NaN"}, "QTY_COMMIT is no number", id="not a number"),
        pytest.param("IM_INV", {"QTY_COMMIT": "Infinity"}, "QTY_COMMIT is no number", id="infinity"),
        pytest.param("IM_ITEM", {"PRC_DECS": "two"}, "ITM0001: PRC_DECS is no number", id="digits"),
        pytest.param("IM_INV", {"LOC_ID": " "}, "LOC_ID is empty", id="half a key"),
        pytest.param("AR_CUST", {"CUST_NO": None}, "CUST_NO is empty", id="no key"),
        pytest.param("AR_CUST", {"RS_UTC_DT": "yesterday"}, "10001: RS_UTC_DT is no time", id="time"),
        pytest.param("AR_CUST", {"RS_UTC_DT": 10**18}, "RS_UTC_DT is no time", id="nanoseconds"),
    ],
)
def test_a_wrong_value_is_rejected_and_its_column_named(entity: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(Rejected, match=message):
        read_with(entity, **changes)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param("2026-01-05T12:30:15.250000", CHANGED_AT, id="UTC without a zone"),
        pytest.param("2026-01-05T12:30:15.250Z", CHANGED_AT, id="UTC"),
        pytest.param("2026-01-05T14:30:15.250+02:00", CHANGED_AT, id="another zone"),
        pytest.param(1_767_616_215_250, CHANGED_AT, id="milliseconds"),
        pytest.param(None, None, id="null"),
    ],
)
def test_times(given: Any, expected: datetime | None) -> None:
    assert read_with("IM_ITEM", RS_UTC_DT=given).changed_at == expected


@pytest.mark.parametrize(
    ("status", "is_active"),
    [("A", True), (None, True), ("V", False), ("D", False)],
    ids=["active", "none", "inactive", "gone"],
)
def test_item_status(status: str | None, is_active: bool) -> None:
    found = read_with("IM_ITEM", STAT=status)
    assert isinstance(found, Item)
    assert found.is_active is is_active


@pytest.mark.parametrize(
    ("entity", "raw"),
    [
        pytest.param("AR_CUST", b"{", id="not JSON"),
        pytest.param("AR_CUST", b'{"CUST_NO": "\xff"}', id="not UTF-8"),
        pytest.param("AR_CUST", b"null", id="no row"),
        pytest.param("AR_CUST", b"[]", id="a list"),
        pytest.param("AR_NOTHING", b"{}", id="no such table"),
    ],
)
def test_what_is_no_row_is_rejected(entity: str, raw: bytes) -> None:
    with pytest.raises(Rejected, match=f"Counterpoint {entity}: "):
        read(entity, raw)
