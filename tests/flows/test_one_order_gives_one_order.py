"""What is said of one order, or of one document, gives that order away and nothing that waits beside it (issue 15.1).

Kinds: a person's answer about an order, a document under another's number, a guest's words in somebody's creation,
traces that lead to another person, and orders of somebody who is gone.
"""

from dataclasses import replace

import pytest
from sqlalchemy import Engine

from processors.rules.nobody import Nobody
from schemas.commands import CreateCustomer, PlaceDocument
from schemas.requests import PartAccount
from tests.flows import builders as b
from tests.flows.builders import Row
from tests.flows.pipeline import Pipeline
from tests.flows.test_customer_flow import LATER, MARK, changes, person
from tests.flows.test_nobody_else import NOBODY, document, started
from tests.flows.test_nobodys_word import NO, YES, made, ordered

LINKS = """SELECT account.system, account.remote_id, till.remote_id FROM link AS account JOIN link AS till
    USING (entity, our_id) WHERE entity = 'customer' AND account.system IN ('north', 'south')
    AND till.system = 'counterpoint' ORDER BY 1, 2"""
ZOE: Row = {"FST_NAM": "Zoe", "LST_NAM": "Quill", "NAM": "Zoe Quill"}
BEN: Row = {"FST_NAM": "Ben", "LST_NAM": "Brook", "NAM": "Ben Brook"}


@pytest.fixture
def pipeline(database: Engine) -> Pipeline:
    return started(database)


def test_whose_one_order_is_says_nothing_of_an_account_that_waits_with_it(pipeline: Pipeline) -> None:
    pipeline.take(pipeline.here("AR_CUST", person("C-5", "c5@example.com", **ZOE)))
    pipeline.take(pipeline.there("north", "customers", b.account(7, "a7@example.com", at=LATER)))
    went = pipeline.take(pipeline.there("north", "orders", b.order(1, "a7@example.com")))
    (create,) = [one for one in went if isinstance(one.body, CreateCustomer)]
    pipeline.take(pipeline.there("north", "orders", b.order(2, "a7@example.com", customer_id=7)))
    pipeline.take(pipeline.answer(create, "held", "two of them"))
    pipeline.decide("order-customer:north/1", "C-5")
    assert (document(pipeline), pipeline.rows(LINKS)) == ("C-5", [])


def test_a_document_under_anothers_number_gives_its_order_alone(pipeline: Pipeline) -> None:
    pipeline.take(pipeline.here("AR_CUST", person("C-5", "c5@example.com", **BEN)))
    pipeline.take(pipeline.there("north", "customers", b.account(7, "a7@example.com", first_name="", last_name="")))
    pipeline.take(pipeline.there("north", "orders", b.order(1, "a7@example.com", customer_id=7)))
    pipeline.take(pipeline.here("PS_DOC_HDR", b.document("500", "N-1", "C-5")))
    pipeline.take(pipeline.there("south", "customers", b.account(3, "a7@example.com", at=LATER)))
    pipeline.take(pipeline.there("south", "orders", b.order(1, "a7@example.com", customer_id=3)))
    assert (pipeline.buyer("north/1"), pipeline.rows(LINKS)) == ("C-5", [])


def test_no_guests_words_replace_an_accounts_in_its_creation(pipeline: Pipeline) -> None:
    pipeline.task("counterpoint", "customers", enabled=False)
    pipeline.take(pipeline.there("north", "customers", b.account(7, "a7@example.com", meta=NO)))
    pipeline.take(pipeline.there("north", "orders", b.order(1, "a7@example.com", customer_id=7)))
    row = b.order(2, "a7@example.com")
    row["billing"] |= {"first_name": "Ben", "last_name": "Brook", "phone": "212 555 0666"}
    pipeline.take(pipeline.there("north", "orders", row))
    (create,) = [
        one.body
        for one in pipeline.task("counterpoint", "customers") + pipeline.wait(61)
        if isinstance(one.body, CreateCustomer)
    ]
    assert (create.first_name, create.marketing) == ("Ana", False)


def test_an_order_that_changes_keeps_its_accounts_words_in_the_creation(pipeline: Pipeline) -> None:
    pipeline.task("counterpoint", "customers", enabled=False)
    pipeline.take(pipeline.there("north", "customers", b.account(7, "a7@example.com", meta=NO)))
    for status in ("processing", "completed"):
        row = b.order(1, "a7@example.com", customer_id=7, status=status)
        row["billing"] |= {"first_name": "B", "last_name": "Typed"}
        pipeline.take(pipeline.there("north", "orders", row))
    body = pipeline.body_of("email:a7@example.com")
    assert (body["first_name"], body["marketing"]) == ("Ana", False)


# A person's answer counts, whatever it is about.


def test_an_answer_about_an_order_whose_account_was_not_read_counts(pipeline: Pipeline) -> None:
    pipeline.take(pipeline.here("AR_CUST", person(email="c1@example.com")))
    pipeline.take(pipeline.here("AR_CUST", person("C-5", "c5@example.com", **BEN)))
    pipeline.take(pipeline.there("north", "orders", b.order(1, "c1@example.com", customer_id=7)))
    pipeline.wait(901)
    pipeline.decide("order-customer:north/1", "C-5")
    assert document(pipeline) == "C-5"


def test_new_is_nobodys_number(pipeline: Pipeline) -> None:
    pipeline.take(pipeline.here("AR_CUST", person()), pipeline.here("AR_CUST", person("C-2")))
    pipeline.take(pipeline.there("north", "orders", b.order(1, "ana@example.com")))
    went = pipeline.decide("order-customer:north/1", "new")
    (create,) = [one.body for one in went if isinstance(one.body, CreateCustomer)]
    assert (create.email, create.reference, pipeline.state_of("north/1")) == ("", "north/1", "blocked")


# Traces that lead to somebody else.


@pytest.mark.parametrize("trace", ["document", "points"])
def test_a_trace_to_another_person_is_a_question(pipeline: Pipeline, trace: str) -> None:
    mine: Row = {} if trace == "document" else {"LOY_PTS_BAL": 50}
    theirs: Row = {} if trace == "document" else {"LOY_PTS_BAL": 10}
    pipeline.take(
        pipeline.here("AR_CUST", person(email="c1@example.com", **mine)),
        pipeline.there("north", "customers", b.account(7, "c1@example.com", meta=MARK)),
        pipeline.here("AR_CUST", person("C-2", "ben@example.com", **BEN | theirs)),
    )
    if trace == "document":
        pipeline.take(pipeline.there("north", "orders", b.order(1, "c1@example.com")))
        pipeline.take(pipeline.here("PS_DOC_HDR", b.document("500", "N-1", "C-1")))
        pipeline.take(pipeline.here("PS_DOC_HDR", b.document("500", "N-1", "C-2")))
    pipeline.take(pipeline.gone_here("AR_CUST", CUST_NO="C-1"))
    if trace == "points":
        pipeline.take(pipeline.here("AR_CUST", person("C-2", "ben@example.com", **BEN | {"LOY_PTS_BAL": 60})))
    pipeline.wait(31)
    assert (list(pipeline.asked()), pipeline.rows(LINKS)) == (["merge:C-1"], [("north", "7", "C-1")])


# Orders of somebody who is gone.


def test_a_shop_that_keeps_nobody_the_same_is_asked_whose_the_orders_are(database: Engine) -> None:
    pipeline = Pipeline(database, replace(b.shop(), nobody=NOBODY))
    pipeline.master(on=True)
    pipeline.take(
        pipeline.there("north", "products", b.product(1, "MUG", 5)),
        pipeline.here("IM_ITEM", b.item("MUG")),
        pipeline.here("IM_INV", b.stock("MUG", 10)),
        pipeline.here("AR_CUST", person()),
        pipeline.there("north", "customers", b.account(7, "ana@example.com")),
        pipeline.there("north", "orders", b.order(1, "ana@example.com", customer_id=7)),
    )
    pipeline.take(pipeline.gone_here("AR_CUST", CUST_NO="C-1"))
    pipeline.take(pipeline.there("north", "orders", b.order(2, "ana@example.com", customer_id=7)))
    pipeline.wait(3600)
    assert list(pipeline.asked()) == ["merge:C-1"]


def test_a_refused_order_of_somebody_deleted_is_somebodys_again(pipeline: Pipeline) -> None:
    pipeline.take(
        pipeline.here("AR_CUST", person()),
        pipeline.there("north", "customers", b.account(7, "ana@example.com", meta=MARK)),
    )
    went = pipeline.take(pipeline.there("north", "orders", b.order(1, "ana@example.com", customer_id=7)))
    (place,) = [one for one in went if isinstance(one.body, PlaceDocument)]
    pipeline.take(pipeline.gone_here("AR_CUST", CUST_NO="C-1"))
    pipeline.take(pipeline.answer(place, "rejected", "no such customer"))
    pipeline.wait(31)
    pipeline.decide("merge:C-1", "drop")
    pipeline.decide("refused:counterpoint/orders/north/1", "again")
    assert [one for one in pipeline.commands_out() if isinstance(one.body, CreateCustomer)]


def test_what_waits_to_go_out_for_somebody_who_is_gone_waits_on(pipeline: Pipeline) -> None:
    pipeline.task("counterpoint", "orders", enabled=False)
    pipeline.take(
        pipeline.here("AR_CUST", person()),
        pipeline.there("north", "customers", b.account(7, "ana@example.com", meta=MARK)),
        pipeline.there("north", "orders", b.order(1, "ana@example.com", customer_id=7)),
    )
    assert pipeline.state_of("north/1") == "ready"
    pipeline.take(pipeline.gone_here("AR_CUST", CUST_NO="C-1"))
    assert pipeline.state_of("north/1") == "blocked"


# Nobody, and a no, also afterwards.


def test_a_walk_in_that_is_named_later_is_nobody_at_once(pipeline: Pipeline) -> None:
    pipeline.shop = replace(pipeline.shop, nobody=Nobody())
    pipeline.batches = pipeline.worker()
    walk_in: Row = {"NAM": "Walk-in", "FST_NAM": "", "LST_NAM": ""}
    nameless: Row = {"first_name": "", "last_name": ""}
    pipeline.take(pipeline.here("AR_CUST", person("CASH", "till@example.com", **walk_in)))
    pipeline.take(pipeline.there("north", "customers", b.account(7, "till@example.com", **nameless)))
    pipeline.shop = replace(pipeline.shop, nobody=NOBODY)
    pipeline.batches = pipeline.worker()
    again = b.account(7, "till@example.com", phone="212 555 0999", at=LATER, **nameless)
    assert ("counterpoint", "CASH") not in changes(pipeline.take(pipeline.there("north", "customers", again)))


def test_a_shoppers_later_yes_is_their_own_word(pipeline: Pipeline) -> None:
    ordered(pipeline)
    made(pipeline, INCLUDE_IN_MARKETING_MAILOUTS="N")
    pipeline.clock.sleep(86_400)
    meta = {"counterpoint_cust_no": "C-9"} | YES
    row = b.account(7, "a7@example.com", meta=meta, at="2026-01-06T12:00:00")
    pipeline.take(pipeline.there("north", "customers", row))
    ((agreed,),) = pipeline.rows("SELECT agreed FROM person")
    assert '"marketing":{"at":"2026-01-06T12:00:00Z","side":"north","value":true}' in agreed


def test_a_no_stays_one_where_an_account_comes_to_another_customer(pipeline: Pipeline) -> None:
    pipeline.take(
        pipeline.here("AR_CUST", person("C-2", "ana2@example.com", INCLUDE_IN_MARKETING_MAILOUTS="N")),
        pipeline.there(
            "south", "customers", b.account(8, "ana2@example.com", meta={"counterpoint_cust_no": "C-2"} | NO)
        ),
        pipeline.here("AR_CUST", person(at=LATER, INCLUDE_IN_MARKETING_MAILOUTS="Y")),
        pipeline.there("north", "customers", b.account(7, "ana@example.com", at=LATER, meta=MARK | YES)),
    )
    pipeline.take(pipeline.request(PartAccount(store="south", account="8")))
    went = changes(pipeline.decide("account:south/8", "C-1"))
    assert went["south", "8"].get("marketing") is not True
