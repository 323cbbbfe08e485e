"""Nobody is taken for somebody else (issue 15.1): a weak key makes no lasting link, and nobody is nobody's.

Kinds: a value typed at a checkout, an address that stands for nobody, a record that many people buy under, two people
on one address, a customer under another number.
"""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine

from processors.rules.nobody import Nobody
from schemas.commands import CreateCustomer
from schemas.requests import DecideMatch, PartAccount
from tests.flows import builders as b
from tests.flows.builders import Row
from tests.flows.pipeline import Pipeline
from tests.flows.test_customer_flow import LATER, LATEST, MARK, changes, opened, person, settings

LINKED = "SELECT remote_id FROM link WHERE entity = 'customer' AND system = 'north'"
NOBODY = Nobody(numbers=frozenset({"CASH", "TEMPLATE"}), emails=frozenset({"@shop.example.com"}))


def started(database: Engine, *, sites: Row | None = None, **policy: Any) -> Pipeline:
    shop = settings(**policy)
    sites = {name: replace(site, **(sites or {})) for name, site in shop.sites.items()}
    pipeline = opened(Pipeline(database, replace(shop, nobody=NOBODY, sites=sites)))
    pipeline.take(
        pipeline.there("north", "products", b.product(1, "MUG", 5)),
        pipeline.here("IM_ITEM", b.item("MUG")),
        pipeline.here("IM_INV", b.stock("MUG", 10)),
    )
    return pipeline


@pytest.fixture
def pipeline(database: Engine) -> Pipeline:
    return started(database)


def document(pipeline: Pipeline, order: str = "north/1") -> str:
    return str(pipeline.body_of(order)["cust_no"])


@pytest.mark.parametrize("status", ["processing", "cancelled"])
def test_a_billing_email_routes_the_document_and_links_no_account(pipeline: Pipeline, status: str) -> None:
    pipeline.take(
        pipeline.here("AR_CUST", person(email="c1@example.com")),
        pipeline.there("north", "customers", b.account(7, "a7@example.com", phone="212 555 0999", at=LATER)),
    )
    order = b.order(1, "c1@example.com", customer_id=7, status=status)
    went = pipeline.take(pipeline.there("north", "orders", order)) + pipeline.wait(1)
    assert (changes(went), pipeline.rows(LINKED), pipeline.asked()) == ({}, [], {})
    if status == "processing":
        assert document(pipeline) == "C-1"


def test_a_document_links_no_account_either(pipeline: Pipeline) -> None:
    """A replay reads the document before the order: its customer is whom the typed e-mail led to."""
    pipeline.take(
        pipeline.here("AR_CUST", person(email="c1@example.com")),
        pipeline.there("north", "customers", b.account(7, "a7@example.com")),
        pipeline.here("PS_DOC_HDR", b.document("500", "N-1", "C-1")),
    )
    went = pipeline.take(pipeline.there("north", "orders", b.order(1, "c1@example.com", customer_id=7)))
    assert (changes(went), pipeline.rows(LINKED), pipeline.buyer("north/1")) == ({}, [], "C-1")


def test_an_order_waits_for_its_account_and_is_matched_by_its_own_email(pipeline: Pipeline) -> None:
    pipeline.take(
        pipeline.here("AR_CUST", person(email="c1@example.com")),
        pipeline.here("AR_CUST", person("C-7", email="a7@example.com")),
    )
    pipeline.take(pipeline.there("north", "orders", b.order(1, "c1@example.com", customer_id=7)))
    assert pipeline.state_of("north/1") == "blocked"
    pipeline.take(pipeline.there("north", "customers", b.account(7, "a7@example.com")))
    assert (document(pipeline), pipeline.rows(LINKED)) == ("C-7", [("7",)])


def test_an_account_that_is_gone_is_waited_for_no_longer_than_until_that_is_read(pipeline: Pipeline) -> None:
    pipeline.take(pipeline.here("AR_CUST", person(email="c1@example.com")))
    pipeline.take(pipeline.there("north", "orders", b.order(1, "c1@example.com", customer_id=7)))
    pipeline.take(pipeline.gone_there("north", "customers", 7))
    assert (pipeline.state_of("north/1"), document(pipeline)) == ("sent", "C-1")


def test_an_account_that_cannot_be_read_is_a_question_in_the_end(pipeline: Pipeline) -> None:
    pipeline.take(pipeline.here("AR_CUST", person(email="c1@example.com")))
    pipeline.take(pipeline.there("north", "orders", b.order(1, "c1@example.com", customer_id=7)))
    pipeline.wait(899)
    assert pipeline.asked() == {}
    pipeline.wait(2)
    assert list(pipeline.asked()) == ["order-customer:north/1"]
    pipeline.decide("order-customer:north/1", "C-1")
    assert (document(pipeline), pipeline.rows(LINKED), pipeline.asked()) == ("C-1", [], {})


def test_a_new_customer_is_made_for_the_accounts_own_email_and_not_for_a_typed_one(pipeline: Pipeline) -> None:
    pipeline.take(pipeline.there("north", "customers", b.account(7, "a7@example.com")))
    went = pipeline.take(pipeline.there("north", "orders", b.order(1, "typo@example.com", customer_id=7)))
    (create,) = [one for one in went if isinstance(one.body, CreateCustomer)]
    assert (create.key, create.body.email) == ("email:a7@example.com", "a7@example.com")  # type: ignore[union-attr]
    pipeline.take(pipeline.answer(create, "applied", cust_no="C-9"))
    went = pipeline.take(pipeline.here("AR_CUST", person("C-9", "a7@example.com")))
    assert (pipeline.rows(LINKED), document(pipeline)) == ([("7",)], "C-9")
    assert changes(went)["north", "7"] == {"pos_id": "C-9"}


def test_an_administrators_order_without_an_email_is_the_accounts(pipeline: Pipeline) -> None:
    pipeline.take(
        pipeline.here("AR_CUST", person()),
        pipeline.there("north", "customers", b.account(7, "ana@example.com", meta=MARK)),
    )
    pipeline.take(pipeline.there("north", "orders", b.order(1, "", customer_id=7)))
    assert (document(pipeline), pipeline.asked()) == ("C-1", {})


# Two people on one address.

BEN: Row = {"first_name": "Ben", "last_name": "Brook"}


def test_clearly_other_names_are_a_question_and_nothing_moves_but_the_document(pipeline: Pipeline) -> None:
    pipeline.take(pipeline.here("AR_CUST", person(PHONE_1="212 555 0100")))
    account = b.account(7, "ana@example.com", phone="212 555 0999", at=LATER, **BEN)
    went = pipeline.take(pipeline.there("north", "customers", account))
    went += pipeline.take(pipeline.there("north", "orders", b.order(1, "ana@example.com", customer_id=7)))
    assert (changes(went), pipeline.rows(LINKED), document(pipeline)) == ({}, [], "C-1")
    assert list(pipeline.asked()) == ["account:north/7"]
    ((facts,),) = pipeline.rows("SELECT body FROM review WHERE kind = 'account'")
    assert '"names":{"north/7":"Ben Brook","C-1":"Ana Adler"}' in facts
    went = pipeline.decide("account:north/7", "C-1")
    assert changes(went)["counterpoint", "C-1"]["first_name"] == "Ben"


def test_who_is_told_apart_stays_apart_and_their_next_order_is_asked_about(pipeline: Pipeline) -> None:
    pipeline.take(pipeline.here("AR_CUST", person()))
    pipeline.take(pipeline.there("north", "customers", b.account(7, "ana@example.com", **BEN)))
    pipeline.decide("account:north/7", "apart")
    pipeline.take(pipeline.there("north", "orders", b.order(1, "ana@example.com", customer_id=7)))
    assert (pipeline.state_of("north/1"), list(pipeline.asked())) == (None, ["order-customer:north/1"])
    assert pipeline.rows(LINKED) == []


def test_a_setting_links_them_all_the_same(database: Engine) -> None:
    pipeline = started(database, other_names="link")
    pipeline.take(pipeline.here("AR_CUST", person()))
    pipeline.take(pipeline.there("north", "customers", b.account(7, "ana@example.com", **BEN)))
    assert (pipeline.rows(LINKED), pipeline.asked()) == ([("7",)], {})


def test_a_customer_found_at_creation_under_another_name_gets_no_account(pipeline: Pipeline) -> None:
    """A clerk has made somebody with the e-mail at the same moment."""
    pipeline.take(pipeline.there("north", "customers", b.account(7, "a7@example.com", **BEN)))
    went = pipeline.take(pipeline.there("north", "orders", b.order(1, "a7@example.com", customer_id=7)))
    (create,) = [one for one in went if isinstance(one.body, CreateCustomer)]
    pipeline.take(pipeline.answer(create, "already", cust_no="C-9"))
    went = pipeline.take(pipeline.here("AR_CUST", person("C-9", "a7@example.com")))
    assert (changes(went), pipeline.rows(LINKED), document(pipeline)) == ({}, [], "C-9")
    assert list(pipeline.asked()) == ["account:north/7"]


# Nobody in particular.


@pytest.mark.parametrize("email", ["none@none.com", "noemail@example.com", "info@shop.example.com"])
@pytest.mark.parametrize("number", ["CASH", "C-1"])
def test_an_address_of_nobodys_leads_to_nobody(pipeline: Pipeline, email: str, number: str) -> None:
    pipeline.take(pipeline.here("AR_CUST", person(number, email)))
    went = pipeline.take(
        pipeline.there("north", "customers", b.account(7, email, at=LATER, phone="212 555 0999")),
        pipeline.there("north", "orders", b.order(1, email, customer_id=7)),
    )
    assert (changes(went), pipeline.rows(LINKED), pipeline.state_of("north/1")) == ({}, [], None)
    assert list(pipeline.asked()) == ["order-customer:north/1"]
    assert not [one for one in went if isinstance(one.body, CreateCustomer)]


def test_by_setting_an_order_of_nobodys_address_makes_a_customer_of_its_own(database: Engine) -> None:
    pipeline = started(database, sites={"makes_nobodys": True})
    pipeline.take(pipeline.here("AR_CUST", person("CASH", "none@none.com")))
    went = pipeline.take(
        pipeline.there("north", "orders", b.order(1, "none@none.com")),
        pipeline.there("north", "orders", b.order(2, "none@none.com")),
    )
    made = {one.key: one.body for one in went if isinstance(one.body, CreateCustomer)}
    assert {key: (one.email, one.reference) for key, one in made.items()} == {
        "order:north/1": ("", "north/1"),
        "order:north/2": ("", "north/2"),
    }
    (first, _) = [one for one in went if isinstance(one.body, CreateCustomer)]
    pipeline.take(pipeline.answer(first, "applied", cust_no="C-21"))
    assert (document(pipeline), pipeline.state_of("north/2")) == ("C-21", "blocked")


def test_the_walk_in_is_known_by_no_email_and_nobodys_word_makes_it_somebody(pipeline: Pipeline) -> None:
    pipeline.take(pipeline.here("AR_CUST", person("CASH", "till@example.com")))
    went = pipeline.take(
        pipeline.there("north", "customers", b.account(7, "till@example.com", at=LATER, phone="212 555 0999")),
        pipeline.there("north", "customers", b.account(8, "ana@example.com")),
    )
    assert (changes(went), pipeline.rows(LINKED)) == ({}, [])
    pipeline.take(pipeline.there("north", "orders", b.order(1, None)))
    went = pipeline.decide("order-customer:north/1", "CASH")
    pipeline.take(pipeline.request(DecideMatch(one="counterpoint/CASH", other="north/8", decision="same")))
    assert (went, pipeline.state_of("north/1"), pipeline.rows(LINKED)) == ([], None, [])


def test_who_is_found_for_a_creation_is_never_the_walk_in(pipeline: Pipeline) -> None:
    went = pipeline.take(pipeline.there("north", "orders", b.order(1, "till@example.com")))
    (create,) = [one for one in went if isinstance(one.body, CreateCustomer)]
    pipeline.take(pipeline.answer(create, "already", cust_no="CASH"))
    assert (pipeline.state_of("north/1"), list(pipeline.asked())) == ("blocked", ["order-customer:north/1"])


def test_a_document_that_staff_gave_the_walk_in_tells_nobody(pipeline: Pipeline) -> None:
    pipeline.take(pipeline.there("north", "customers", b.account(7, "a7@example.com")))
    pipeline.take(pipeline.there("north", "orders", b.order(1, "a7@example.com", customer_id=7)))
    pipeline.take(pipeline.here("PS_DOC_HDR", b.document("500", "N-1", "CASH")))
    assert pipeline.rows("SELECT count(*) FROM link WHERE remote_id = 'CASH'") == [(0,)]


def test_an_address_that_stands_for_none_gives_way_to_the_accounts_own(database: Engine) -> None:
    """The till's placeholder is newer, and is nobody's word: it reaches no login."""
    pipeline = started(database, login_email="follow")
    pipeline.take(
        pipeline.here("AR_CUST", person()),
        pipeline.there("north", "customers", b.account(7, "ana@example.com", meta=MARK)),
    )
    went = pipeline.take(pipeline.here("AR_CUST", person(email="noemail@example.com", at=LATER)))
    assert changes(went) == {("counterpoint", "C-1"): {"email": "ana@example.com"}}


# A login.


def test_a_login_follows_to_no_address_that_another_has(database: Engine) -> None:
    pipeline = started(database, login_email="follow")
    pipeline.take(
        pipeline.here("AR_CUST", person()),
        pipeline.there("north", "customers", b.account(7, "ana@example.com", meta=MARK)),
        pipeline.there("north", "customers", b.account(8, "taken@example.com")),
        pipeline.here("AR_CUST", person("C-2", "taken.too@example.com")),
    )
    for email, at in (("taken@example.com", LATER), ("taken.too@example.com", LATEST)):
        went = pipeline.take(pipeline.here("AR_CUST", person(email=email, at=at)))
        assert changes(went) == {}
    (note, other) = pipeline.rows("SELECT message FROM log_entry WHERE message LIKE '%login stays%' ORDER BY message")
    assert note != other


def test_no_login_is_changed_by_a_value_that_came_from_an_order(database: Engine) -> None:
    """A guest has typed an e-mail, and a customer was made with it; a person says that the account is theirs."""
    pipeline = started(database, login_email="follow")
    pipeline.take(pipeline.there("north", "customers", b.account(7, "a7@example.com")))
    went = pipeline.take(pipeline.there("north", "orders", b.order(1, "typed@example.com")))
    (create,) = [one for one in went if isinstance(one.body, CreateCustomer)]
    pipeline.take(pipeline.answer(create, "applied", cust_no="C-9"))
    pipeline.take(pipeline.here("AR_CUST", person("C-9", "typed@example.com", at=LATER)))
    pipeline.take(pipeline.request(PartAccount(store="north", account="7")))
    went = pipeline.decide("account:north/7", "C-9")
    assert changes(went)["counterpoint", "C-9"]["email"] == "a7@example.com"
    assert "email" not in changes(went)["north", "7"]


# Another number.


def test_a_renumbered_customer_is_asked_about_and_new_orders_wait(pipeline: Pipeline) -> None:
    address: Row = {"PHONE_1": "212 555 0100", "ADRS_1": "7 Oak Street", "CITY": "Salem", "ZIP_COD": "01970"}
    pipeline.take(
        pipeline.here("AR_CUST", person(**address)),
        pipeline.there("north", "customers", b.account(7, "ana@example.com", phone="212-555-0100", meta=MARK)),
    )
    pipeline.take(pipeline.gone_here("AR_CUST", CUST_NO="C-1"))
    pipeline.take(pipeline.here("AR_CUST", person("C-500", at=LATER, **address)))
    pipeline.take(pipeline.there("north", "orders", b.order(1, "ana@example.com", customer_id=7)))
    assert pipeline.state_of("north/1") == "blocked"
    pipeline.wait(31)
    assert list(pipeline.asked()) == ["merge:C-1"]
    ((facts,),) = pipeline.rows("SELECT body FROM review WHERE kind = 'merge'")
    assert facts == '{"gone":"C-1","candidates":["C-500"]}'
    pipeline.decide("merge:C-1", "C-500")
    assert (document(pipeline), pipeline.state_of("north/1"), pipeline.asked()) == ("C-500", "sent", {})


def test_the_orders_of_somebody_deleted_go_on_without_them(pipeline: Pipeline) -> None:
    pipeline.take(
        pipeline.here("AR_CUST", person()),
        pipeline.there("north", "customers", b.account(7, "ana@example.com", meta=MARK)),
    )
    pipeline.take(pipeline.gone_here("AR_CUST", CUST_NO="C-1"))
    pipeline.take(pipeline.there("north", "orders", b.order(1, "ana@example.com", customer_id=7)))
    pipeline.wait(31)
    went = pipeline.decide("merge:C-1", "drop")
    (create,) = [one for one in went if isinstance(one.body, CreateCustomer)]
    assert (create.key, pipeline.state_of("north/1")) == ("email:ana@example.com", "blocked")
