"""What a customer is called in Counterpoint: a company, a person, somebody with one name, somebody with none."""

from typing import Any

import pytest
from sqlalchemy import select

from counterflow.errors import Rejected
from counterflow.systems.counterpoint.write import customer_changes, customer_payload, document_payload
from sandbox.counterpoint import tables as t
from schemas.commands import CreateCustomer, Profile
from schemas.records import Address
from tests.contracts.counterpoint_shop import Shop, a_marker, apply, customer, order

ACME = "Acme Plumbing LLC"


def created(**facts: Any) -> dict[str, Any]:
    columns: dict[str, Any] = customer_payload(CreateCustomer(**{"email": "office@example.com"} | facts), "1")[
        "AR_CUST"
    ]
    return columns


@pytest.mark.parametrize(
    ("facts", "kind", "full", "first", "last"),
    [
        pytest.param({"first_name": "Ana", "last_name": "Adler"}, "P", "Ana Adler", "Ana", "Adler", id="a person"),
        pytest.param({"first_name": "Madonna"}, "P", "Madonna", "Madonna", "Madonna", id="one name"),
        pytest.param({"last_name": "Madonna"}, "P", "Madonna", "Madonna", "Madonna", id="one name, the last one"),
        pytest.param({}, "P", "office", "office", "office", id="no name: the e-mail's own part"),
        pytest.param(
            {"email": "", "reference": "north/1042"},
            "P",
            "north/1042",
            "north/1042",
            "north/1042",
            id="no e-mail either",
        ),
        pytest.param({"company": ACME}, "B", ACME, "Acme Plumbing L", ACME, id="a company"),
        pytest.param(
            {"company": ACME, "first_name": "Ana", "last_name": "Adler"}, "B", ACME, "Ana", "Adler", id="with a contact"
        ),
        pytest.param({"company": ACME, "first_name": "Ana"}, "B", ACME, "Ana", "Ana", id="a contact with one name"),
        pytest.param({"company": "A" * 41}, "B", "A" * 40, "A" * 15, "A" * 25, id="a long name is cut to the columns"),
    ],
)
def test_who_is_created_is_called(facts: dict[str, Any], kind: str, full: str, first: str, last: str) -> None:
    row = created(**facts)
    assert (row["CUST_NAM_TYP"], row["NAM"], row["FST_NAM"], row["LST_NAM"]) == (kind, full, first, last)


@pytest.mark.parametrize(
    ("said", "column"),
    [
        pytest.param(True, "Y", id="yes"),
        pytest.param(False, "N", id="no"),
        pytest.param(None, "N", id="nothing: whoever did not say yes has not agreed"),
    ],
)
def test_consent_is_sent_at_creation(said: bool | None, column: str) -> None:
    assert created(marketing=said)["INCLUDE_IN_MARKETING_MAILOUTS"] == column


ROW = {"CUST_NAM_TYP": "P", "NAM": "Ana Adler", "FST_NAM": "Ana", "LST_NAM": "Adler"}
ALONE = {"CUST_NAM_TYP": "P", "NAM": "Madonna", "FST_NAM": "Madonna", "LST_NAM": "Madonna"}


@pytest.mark.parametrize(
    ("row", "full"),
    [
        pytest.param(ROW, "Ana Brown", id="a full name of both names follows them"),
        pytest.param(ALONE, "Madonna Brown", id="one name, that filled both columns, gets its second"),
        pytest.param(ROW | {"NAM": "Adler's Bakery"}, None, id="a full name of its own stays"),
        pytest.param(ROW | {"CUST_NAM_TYP": "B"}, None, id="a company's name is never made of two names"),
        pytest.param(ALONE | {"CUST_NAM_TYP": "B"}, None, id="nor one whose name fills both columns"),
    ],
)
def test_a_new_last_name_changes_the_full_name(row: dict[str, Any], full: str | None) -> None:
    assert customer_changes(Profile(last_name="Brown"), row).get("NAM") == full


@pytest.mark.parametrize(
    ("address", "contact"),
    [
        pytest.param(
            Address(company=ACME, first_name="Ana", last_name="Adler"),
            {"NAM": ACME, "NAM_TYP": "B", "FST_NAM": "Ana", "LST_NAM": "Adler"},
            id="a company with a contact",
        ),
        pytest.param(Address(company=ACME), {"NAM": ACME, "NAM_TYP": "B"}, id="a company"),
        pytest.param(
            Address(first_name="Ana", last_name="Adler"),
            {"NAM": "Ana Adler", "NAM_TYP": "P", "FST_NAM": "Ana", "LST_NAM": "Adler"},
            id="a person",
        ),
    ],
)
def test_the_document_names_whom_the_address_names(address: Address, contact: dict[str, str]) -> None:
    header = document_payload(order("N-1", bill_to=address, ship_to=address))["PS_DOC_HDR"]
    assert (header["BILL_TO_CONTACT"], header["SHIP_TO_CONTACT"]) == (contact, contact)


def test_a_company_is_created_as_one_and_the_template_agrees_to_no_mail(shop: Shop) -> None:
    acme = customer("office@acme.example.com", first_name="", last_name="", company="Acme Plumbing LLC")
    number = apply(shop.target(), acme).remote["cust_no"]
    row = next(one for one in shop.books.state()["customers"] if one["CUST_NO"] == number)
    assert (row["CUST_NAM_TYP"], row["NAM"]) == ("B", "Acme Plumbing LLC")
    assert (row["INCLUDE_IN_MARKETING_MAILOUTS"], row["CATEG_COD"], row["LOY_PGM_COD"]) == ("N", "RETAIL", "REWARDS")


def test_what_the_payload_does_not_say_is_the_templates(shop: Shop) -> None:
    with shop.direct.connect() as connection:
        template = connection.execute(select(t.customer).where(t.customer.c.CUST_NO == "TEMPLATE")).mappings().one()
    number = shop.books.create_customer({"FST_NAM": "Ana", "LST_NAM": "Adler"}, actor="api")
    row = next(one for one in shop.books.state()["customers"] if one["CUST_NO"] == number)
    names = ("INCLUDE_IN_MARKETING_MAILOUTS", "CATEG_COD", "LOY_PGM_COD", "TAX_COD")
    assert (
        tuple(row[name] for name in names)
        == tuple(template[name] for name in names)
        == ("Y", "RETAIL", "REWARDS", "TAX")
    )


def test_a_companys_order_names_the_company_on_its_document(shop: Shop) -> None:
    acme = Address(company=ACME, line_1="1 High Street")
    made = apply(shop.target(), order(a_marker(), bill_to=acme, ship_to=acme))
    with shop.direct.connect() as connection:
        mine = select(t.contact).where(t.contact.c.DOC_ID == int(made.remote["doc_id"]))
        found = {(one["NAM"], one["NAM_TYP"], one["FST_NAM"]) for one in connection.execute(mine).mappings()}
    assert found == {(ACME, "B", None)}


@pytest.mark.parametrize("missing", ["FST_NAM", "LST_NAM"])
def test_the_server_wants_both_names_of_a_company_too(shop: Shop, missing: str) -> None:
    fields = {"CUST_NAM_TYP": "B", "NAM": ACME, "FST_NAM": "Ana", "LST_NAM": "Adler"}
    del fields[missing]
    with pytest.raises(Rejected, match="FST_NAM and LST_NAM"):
        shop.target()._client.create_customer({"Workgroup": "1", "AR_CUST": fields})
