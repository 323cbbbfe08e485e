"""changes.<system>.<customers> -> accounts made at a pace, links by hand, and merges followed (req-C1 to C6, C9)."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from processors.rules.qualification import Terms
from schemas.commands import Command, CreateAccount, CreateCustomer
from schemas.requests import AdoptAccount, PartAccount
from tests.flows import builders as b
from tests.flows.builders import Row
from tests.flows.pipeline import Pipeline
from tests.flows.test_customer_flow import (
    LATER,
    LATEST,
    MARK,
    both,
    carry_out,
    changes,
    opened,
    person,
    settings,
    shown,
)


@pytest.fixture
def pipeline(database: Engine) -> Pipeline:
    return opened(Pipeline(database, settings()))


def creating(database: Engine, **policy: Any) -> Pipeline:
    policies = {"create": "at_once", "terms": Terms(away=timedelta(days=365))} | policy
    return opened(Pipeline(database, settings(**policies)))


def created(commands: list[Command]) -> list[tuple[str, str]]:
    return [(one.system, one.key) for one in commands if isinstance(one.body, CreateAccount)]


def test_creation_is_off_by_default(pipeline: Pipeline) -> None:
    assert created(pipeline.take(pipeline.here("AR_CUST", person())) + pipeline.wait(1)) == []


def test_who_qualifies_is_created_once_in_each_store_and_linked(database: Engine) -> None:
    pipeline = creating(database)
    went = pipeline.take(pipeline.here("AR_CUST", person())) + pipeline.wait(1)
    assert created(went) == [("north", "pos:C-1"), ("south", "pos:C-1")]
    north = next(one for one in went if one.system == "north")
    pipeline.take(
        pipeline.answer(north, "applied", account_id="7", record=shown("north", b.account(7, "ana@example.com")))
    )
    again = pipeline.take(pipeline.here("AR_CUST", person(LST_NAM="Brown", at=LATER))) + pipeline.wait(1)
    assert created(again) == []
    pipeline.take(pipeline.there("north", "customers", b.account(7, "ana@example.com", meta=MARK, at=LATER)))
    assert pipeline.rows("SELECT remote_id FROM link WHERE system = 'north'") == [("7",)]


@pytest.mark.parametrize(
    "columns",
    [
        {"IS_ECOMM_CUST": "N"},
        {"EMAIL_ADRS_1": ""},
        {"EMAIL_ADRS_1": "noemail@example.com"},
        {"EMAIL_ADRS_1": "ana(at)example.com"},
        {"RS_UTC_DT": "2020-01-05T10:00:00"},
    ],
)
def test_who_does_not_qualify_is_not_created(database: Engine, columns: Row) -> None:
    pipeline = creating(database)
    assert created(pipeline.take(pipeline.here("AR_CUST", person() | columns)) + pipeline.wait(1)) == []


def test_an_email_that_two_customers_have_makes_no_account(database: Engine) -> None:
    pipeline = creating(database)
    rows = [pipeline.here("AR_CUST", person(number)) for number in ("C-1", "C-2")]
    assert created(pipeline.take(*rows) + pipeline.wait(1)) == []


def test_the_most_recent_come_first_and_no_more_than_the_pace(database: Engine) -> None:  # req-C2
    pipeline = creating(database, per_hour=2, per_day=3)
    rows = [
        pipeline.here("AR_CUST", person(f"C-{day}", f"p{day}@example.com", at=f"2026-01-0{day}T08:00:00"))
        for day in (1, 3, 2, 5, 4)
    ]
    went = pipeline.take(*rows) + pipeline.wait(1)
    assert [key for system, key in created(went) if system == "north"] == ["pos:C-5", "pos:C-4"]
    carry_out(pipeline, went)
    assert created(pipeline.wait(1800)) == []
    went = pipeline.wait(1900)
    assert [key for system, key in created(went) if system == "north"] == ["pos:C-3"]  # The day's room is used up.
    carry_out(pipeline, went)
    assert created(pipeline.wait(7200)) == []
    rest = [key for system, key in created(pipeline.wait(86_400)) if system == "north"]
    assert rest == ["pos:C-2", "pos:C-1"]


def test_a_stopped_load_goes_on_where_it_was(database: Engine) -> None:
    pipeline = creating(database)
    pipeline.task("north", "customers", enabled=False)
    went = pipeline.take(pipeline.here("AR_CUST", person())) + pipeline.wait(1)
    assert created(went) == [("south", "pos:C-1")]
    pipeline.task("north", "customers", enabled=True)
    assert created(pipeline.wait(1)) == [("north", "pos:C-1")]


def test_an_account_deleted_on_the_web_is_never_made_again(database: Engine) -> None:
    pipeline = creating(database)
    pipeline.take(pipeline.there("north", "customers", b.account(7, "ana@example.com")))
    pipeline.take(pipeline.here("AR_CUST", person()))
    pipeline.take(pipeline.gone_there("north", "customers", 7))
    pipeline.take(pipeline.here("AR_CUST", person(LST_NAM="Brown", at=LATER)))
    assert created(pipeline.wait(1)) == [("south", "pos:C-1")]


def test_after_the_first_order_a_customer_is_given_an_account(database: Engine) -> None:  # req-C9
    pipeline = creating(database, create="after_order")
    pipeline.take(
        pipeline.there("north", "products", b.product(1, "MUG", 5)),
        pipeline.here("IM_ITEM", b.item("MUG")),
        pipeline.here("AR_CUST", person()),
    )
    assert created(pipeline.wait(1)) == []
    went = pipeline.take(pipeline.there("north", "orders", b.order(1, "ana@example.com"))) + pipeline.wait(1)
    assert ("north", "pos:C-1") in created(went)


def test_an_account_of_nobody_known_is_made_a_customer_at_once_where_the_policy_says_so(database: Engine) -> None:
    pipeline = opened(Pipeline(database, settings(adopt="at_once")))
    (went,) = pipeline.take(pipeline.there("north", "customers", b.account(7, "cleo@example.com")))
    assert isinstance(went.body, CreateCustomer)
    pipeline.take(pipeline.answer(went, "applied", cust_no="C-9"))
    again = pipeline.take(pipeline.here("AR_CUST", person("C-9", "cleo@example.com")))
    assert changes(again) == {("north", "7"): {"pos_id": "C-9"}}


def test_an_account_taken_apart_by_a_person_stays_apart(pipeline: Pipeline) -> None:  # req-C5
    both(pipeline)
    pipeline.take(pipeline.request(PartAccount(store="north", account="7")))
    went = pipeline.take(
        pipeline.here("AR_CUST", person(PHONE_1="212 555 0111", at=LATER)),
        pipeline.there("north", "customers", b.account(7, "ana@example.com", meta=MARK, at=LATEST)),
    )
    assert (changes(went), pipeline.rows("SELECT count(*) FROM link WHERE system = 'north'")) == ({}, [(0,)])


def test_an_account_of_nobody_known_is_made_a_customer_by_hand(pipeline: Pipeline) -> None:  # req-C9
    pipeline.take(pipeline.there("north", "customers", b.account(7, "cleo@example.com")))
    (went,) = pipeline.take(pipeline.request(AdoptAccount(store="north", account="7")))
    assert (went.system, went.key) == ("counterpoint", "email:cleo@example.com")


# Merges (req-C6).


def merge(pipeline: Pipeline, *, points: int = 0) -> None:
    """Let staff merge C-2 into C-1 as Counterpoint wants it: unflag both, merge, flag again."""
    one: Row
    two: Row
    one, two = {"PHONE_1": "212 555 0100", "LOY_PTS_BAL": 25}, {"PHONE_1": "212 555 0100", "LOY_PTS_BAL": points}
    for column in ("N",):
        pipeline.take(pipeline.here("AR_CUST", person(IS_ECOMM_CUST=column, at=LATER, **one)))
        pipeline.take(pipeline.here("AR_CUST", person("C-2", "ana@example.org", IS_ECOMM_CUST=column, at=LATER, **two)))
    pipeline.take(pipeline.gone_here("AR_CUST", CUST_NO="C-2"))
    pipeline.take(pipeline.here("AR_CUST", person(IS_ECOMM_CUST="Y", at=LATEST, **one | {"LOY_PTS_BAL": 25 + points})))


def two_customers(pipeline: Pipeline, points: int = 0) -> None:
    both(pipeline, LOY_PTS_BAL=25)
    went = pipeline.take(
        pipeline.here("AR_CUST", person("C-2", "ana@example.org", PHONE_1="212 555 0100", LOY_PTS_BAL=points)),
        pipeline.there("south", "customers", b.account(9, "ana@example.org", phone="2125550100")),
    )
    carry_out(pipeline, went)


@pytest.mark.parametrize("points", [0, 25])
def test_a_merge_is_followed_by_everything_that_hung_on_the_merged_one(pipeline: Pipeline, points: int) -> None:
    two_customers(pipeline, points)
    merge(pipeline, points=points)
    went = pipeline.wait(31)
    assert changes(went)[("south", "9")]["pos_id"] == "C-1"
    linked = "SELECT count(DISTINCT our_id) FROM link WHERE entity = 'customer'"
    assert pipeline.rows(linked) == [(1,)]


def test_a_merge_of_two_with_accounts_in_one_store_keeps_the_older_one_in_step(pipeline: Pipeline) -> None:
    both(pipeline, LOY_PTS_BAL=25)
    pipeline.take(
        pipeline.here("AR_CUST", person("C-2", "ana@example.org", PHONE_1="212 555 0100", LOY_PTS_BAL=10)),
        pipeline.there("north", "customers", b.account(11, "ana@example.org", phone="2125550100")),
    )
    merge(pipeline, points=10)
    pipeline.wait(31)
    went = pipeline.take(pipeline.here("AR_CUST", person(PHONE_1="212 555 0155", at="2026-01-05T13:00:00")))
    assert changes(went) == {("north", "7"): {"phone": "212 555 0155"}}


def test_what_somebody_showed_last_counts_though_he_is_gone_in_the_same_batch(pipeline: Pipeline) -> None:
    """He buys something and is merged: his last points are what the survivor's rose by."""
    two_customers(pipeline, 25)
    other = {"EMAIL_ADRS_1": "other@example.com", "FST_NAM": "Una", "LST_NAM": "Unlike"}
    pipeline.take(
        pipeline.here("AR_CUST", person("C-2", "ana@example.org", at=LATER, LOY_PTS_BAL=18, IS_ECOMM_CUST="N")),
        pipeline.gone_here("AR_CUST", CUST_NO="C-2"),
        pipeline.here("AR_CUST", person(at=LATER, LOY_PTS_BAL=43, IS_ECOMM_CUST="N") | other),
    )
    went = pipeline.wait(31)
    assert (pipeline.asked(), changes(went)[("south", "9")]["pos_id"]) == ({}, "C-1")


def test_a_deletion_without_a_trace_of_a_merge_is_a_question(pipeline: Pipeline) -> None:
    both(pipeline)
    pipeline.take(pipeline.gone_here("AR_CUST", CUST_NO="C-1"))
    assert pipeline.asked() == {}
    pipeline.wait(31)
    assert list(pipeline.asked()) == ["merge:C-1"]
    pipeline.take(pipeline.here("AR_CUST", person("C-2", "ana@example.org", PHONE_1="212 555 0100")))
    went = pipeline.decide("merge:C-1", "C-2")
    assert changes(went)[("north", "7")]["pos_id"] == "C-2"


def test_an_order_of_the_merged_one_becomes_the_survivors_document(pipeline: Pipeline) -> None:
    pipeline.take(
        pipeline.there("north", "products", b.product(1, "MUG", 5)),
        pipeline.here("IM_ITEM", b.item("MUG")),
    )
    two_customers(pipeline, 25)
    sent = next(
        one
        for one in pipeline.take(pipeline.there("south", "orders", b.order(3, "ana@example.org", customer_id=9)))
        if one.task == "orders"
    )
    merge(pipeline, points=25)
    pipeline.wait(31)
    went = pipeline.take(pipeline.answer(sent, "rejected", "customer C-2 is gone from Counterpoint"))
    assert [(one.key, one.body.cust_no) for one in went if one.task == "orders"] == [("south/3", "C-1")]  # type: ignore[union-attr]
