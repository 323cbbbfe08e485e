"""Companies on their way: an order's, an account's, a customer's. Each stays one, and nobody's name is made of it."""

import msgspec
import pytest
from sqlalchemy import Engine

from schemas.commands import Command, CreateAccount, CreateCustomer, PlaceDocument
from tests.flows import builders as b
from tests.flows.builders import Row
from tests.flows.pipeline import Pipeline
from tests.flows.test_account_flow import creating
from tests.flows.test_customer_flow import opened, person, settings
from tests.flows.test_order_flow import known

ACME = "Acme Plumbing LLC"
OFFICE = "office@acme.example.com"
COMPANY: Row = {"CUST_NAM_TYP": "B", "NAM": ACME, "FST_NAM": None, "LST_NAM": None}


@pytest.fixture
def pipeline(database: Engine) -> Pipeline:
    return Pipeline(database)


def bodies(went: list[Command], kind: type) -> list[object]:
    return [one.body for one in went if isinstance(one.body, kind)]


def test_a_company_that_orders_is_created_as_one_and_stands_on_its_document(pipeline: Pipeline) -> None:
    known(pipeline).master(on=True)
    billing = {"first_name": "", "last_name": "", "company": ACME, "email": OFFICE}
    went = pipeline.take(pipeline.there("north", "orders", b.order(1, OFFICE, billing=billing)))
    (create,) = [one for one in went if isinstance(one.body, CreateCustomer)]
    assert isinstance(create.body, CreateCustomer)
    assert (create.body.company, create.body.first_name, create.body.last_name) == (ACME, "", "")
    went = pipeline.take(pipeline.answer(create, "applied", cust_no="C-9"))
    (document,) = bodies(went, PlaceDocument)
    assert isinstance(document, PlaceDocument)
    assert (document.cust_no, document.bill_to.company, document.ship_to.company) == ("C-9", ACME, ACME)


def test_a_companys_account_is_adopted_as_a_company_with_its_word_about_mail(database: Engine) -> None:
    pipeline = opened(Pipeline(database, settings(adopt="at_once")))
    names: Row = {"first_name": "", "last_name": "", "billing": {"company": ACME}}
    row = b.account(7, OFFICE, meta={"counterflow_marketing": "no"}, **names)
    (create,) = bodies(pipeline.take(pipeline.there("north", "customers", row)), CreateCustomer)
    assert isinstance(create, CreateCustomer)
    assert (create.company, create.first_name, create.last_name, create.marketing) == (ACME, "", "", False)


def test_a_company_is_given_accounts_that_name_it(database: Engine) -> None:
    pipeline = creating(database)
    went = pipeline.take(pipeline.here("AR_CUST", person(**COMPANY))) + pipeline.wait(1)
    created = bodies(went, CreateAccount)
    assert {(one.company, one.fields.first_name) for one in created if isinstance(one, CreateAccount)} == {
        (ACME, msgspec.UNSET)
    }
