"""A default, a filler or a stale date is nobody's word (issue 15.2).

Kinds: what a record shows first after we made it, what we had to fill in, a wish about mail at a first link, a date
that a script has left as it was.
"""

from typing import Any

import pytest
from sqlalchemy import Engine

from schemas.commands import CreateAccount, CreateCustomer
from schemas.names import SystemId
from schemas.profiles import of_profile
from tests.flows import builders as b
from tests.flows.builders import Row
from tests.flows.pipeline import Pipeline
from tests.flows.test_customer_flow import LATER, LATEST, MARK, both, changes, opened, person, settings, shown

NO, YES = {"counterflow_marketing": "no"}, {"counterflow_marketing": "yes"}


@pytest.fixture
def pipeline(database: Engine) -> Pipeline:
    pipeline = opened(Pipeline(database, settings()))
    pipeline.take(
        pipeline.there("north", "products", b.product(1, "MUG", 5)),
        pipeline.here("IM_ITEM", b.item("MUG")),
        pipeline.here("IM_INV", b.stock("MUG", 10)),
    )
    return pipeline


def ordered(pipeline: Pipeline, meta: Row | None = None, **account: Any) -> CreateCustomer:
    """Let somebody whom Counterpoint does not know order, signed in; gives what is to be created."""
    row = b.account(7, "a7@example.com", meta=meta or {}, **account)
    pipeline.take(pipeline.there("north", "customers", row))
    order = b.order(1, "a7@example.com", customer_id=7)
    order["billing"] |= {name: row[name] for name in ("first_name", "last_name")}
    went = pipeline.take(pipeline.there("north", "orders", order))
    (create,) = [one for one in went if isinstance(one.body, CreateCustomer)]
    pipeline.take(pipeline.answer(create, "applied", cust_no="C-9"))
    assert isinstance(create.body, CreateCustomer)
    return create.body


def made(pipeline: Pipeline, **columns: Any) -> dict[tuple[str, str], Row]:
    """Let the new customer be read as the template has made them, later than the account; gives what is written."""
    row = person("C-9", "a7@example.com", at=LATER, **{"CATEG_COD": "RETAIL"} | columns)
    went = changes(pipeline.take(pipeline.here("AR_CUST", row)) + pipeline.wait(1))
    return {place: {name: value for name, value in one.items() if name != "pos_id"} for place, one in went.items()}


@pytest.mark.parametrize(("meta", "said"), [(NO, False), (YES, True), ({}, None)])
def test_what_somebody_said_of_mail_is_sent_at_creation(pipeline: Pipeline, meta: Row, said: bool | None) -> None:
    assert ordered(pipeline, meta).marketing is said


@pytest.mark.parametrize("meta", [NO, {}])
def test_a_templates_yes_is_nobodys_and_reaches_no_store(pipeline: Pipeline, meta: Row) -> None:
    ordered(pipeline, meta)
    went = made(pipeline, INCLUDE_IN_MARKETING_MAILOUTS="Y")
    assert "marketing" not in went.get(("north", "7"), {})


def test_a_no_goes_over_a_templates_yes(pipeline: Pipeline) -> None:
    """Should the point of sale have taken no notice of what was sent."""
    ordered(pipeline, NO)
    assert made(pipeline, INCLUDE_IN_MARKETING_MAILOUTS="Y")["counterpoint", "C-9"]["marketing"] is False


def test_a_templates_group_is_nobodys(pipeline: Pipeline) -> None:
    pipeline.take(pipeline.here("AR_CUST", person("C-2", "vip@example.com", CATEG_COD="VIP")))
    ordered(pipeline, {"counterflow_group": "VIP"})
    assert made(pipeline) == {("counterpoint", "C-9"): {"group": "VIP"}, ("north", "7"): {}}
    assert pipeline.asked() == {}


def test_what_a_clerk_changes_afterwards_is_somebodys(pipeline: Pipeline) -> None:
    ordered(pipeline, NO)
    made(pipeline, INCLUDE_IN_MARKETING_MAILOUTS="N")
    changed = {"INCLUDE_IN_MARKETING_MAILOUTS": "Y", "CATEG_COD": "WHOLESALE"}
    row = person("C-9", "a7@example.com", at=LATEST, **changed)
    went = changes(pipeline.take(pipeline.here("AR_CUST", row)))
    wanted = pipeline.rows("SELECT body FROM wanted WHERE system = 'north' AND task = 'profiles'")
    assert '"marketing":true' in str(wanted) or went["north", "7"]["marketing"] is True


def test_what_was_filled_in_never_comes_back_as_data(pipeline: Pipeline) -> None:
    """The server wants two names, and she has one."""
    ordered(pipeline, first_name="Madonna", last_name="")
    went = made(pipeline, FST_NAM="Madonna", LST_NAM="Madonna", NAM="Madonna")
    assert went.get(("north", "7"), {}) == {}
    row = person("C-9", "a7@example.com", at=LATEST, FST_NAM="Madonna", LST_NAM="Ciccone", CATEG_COD="RETAIL")
    pipeline.take(pipeline.here("AR_CUST", row))
    assert '"last_name":"Ciccone"' in str(pipeline.rows("SELECT body FROM wanted WHERE system = 'north'"))


# A wish about mail at a first link.


def linked(pipeline: Pipeline, till: str | None, meta: Row, *, at: str = b.PLACED) -> dict[tuple[str, str], Row]:
    """Link two records of one person, the till's as young as given; gives what is written of mail."""
    pipeline.take(pipeline.here("AR_CUST", person(at=at, INCLUDE_IN_MARKETING_MAILOUTS=till)))
    went = changes(pipeline.take(pipeline.there("north", "customers", b.account(7, "ana@example.com", meta=meta))))
    return {place: {"marketing": one["marketing"]} for place, one in went.items() if "marketing" in one}


@pytest.mark.parametrize("at", [b.BEGUN, LATER])
def test_at_a_first_link_a_no_counts_whatever_the_dates(pipeline: Pipeline, at: str) -> None:
    assert linked(pipeline, "Y", MARK | NO, at=at) == {("counterpoint", "C-1"): {"marketing": False}}


@pytest.mark.parametrize("at", [b.BEGUN, LATER])
def test_at_a_first_link_a_no_of_the_till_counts_too(pipeline: Pipeline, at: str) -> None:
    assert linked(pipeline, "N", MARK | YES, at=at) == {("north", "7"): {"marketing": False}}


def test_at_a_first_link_silence_is_no_yes(pipeline: Pipeline) -> None:
    assert linked(pipeline, "Y", MARK, at=LATER) == {}


def test_a_no_becomes_yes_by_somebodys_edit(pipeline: Pipeline) -> None:
    assert linked(pipeline, "N", MARK | NO) == {}
    went = pipeline.take(
        pipeline.there("north", "customers", b.account(7, "ana@example.com", meta=MARK | YES, at=LATEST))
    )
    assert changes(went) == {("counterpoint", "C-1"): {"marketing": True}}


def test_an_edit_reaches_who_never_said_anything(pipeline: Pipeline) -> None:
    assert linked(pipeline, "Y", MARK) == {}
    went = pipeline.take(pipeline.here("AR_CUST", person(at=LATEST, INCLUDE_IN_MARKETING_MAILOUTS="N")))
    assert changes(went) == {("north", "7"): {"marketing": False}}


def test_an_account_is_not_made_with_what_nobody_said(database: Engine) -> None:
    """A guest's order has made the customer; a template's group and wish about mail are sent to no store."""
    pipeline = opened(Pipeline(database, settings(create="after_order")))
    pipeline.take(pipeline.there("north", "products", b.product(1, "MUG", 5)), pipeline.here("IM_ITEM", b.item("MUG")))
    went = pipeline.take(pipeline.there("north", "orders", b.order(1, "ana@example.com")))
    (create,) = [one for one in went if isinstance(one.body, CreateCustomer)]
    pipeline.take(pipeline.answer(create, "applied", cust_no="C-1"))
    template = {"INCLUDE_IN_MARKETING_MAILOUTS": "Y", "CATEG_COD": "RETAIL"}
    went = pipeline.take(pipeline.here("AR_CUST", person(at=LATER, **template))) + pipeline.wait(1)
    (body,) = [one.body for one in went if one.system == "north" and isinstance(one.body, CreateAccount)]
    assert {"marketing", "group"} & of_profile(body.fields).keys() == set()


# A date that was left as it was.


@pytest.mark.parametrize("system", ["counterpoint", "north"])
def test_a_script_that_leaves_the_date_has_changed_it_when_the_feed_shows_it(
    pipeline: Pipeline, system: SystemId
) -> None:
    both(pipeline)
    pipeline.clock.sleep(2 * 3600)  # It is later than the last edit on either side.
    if system == "counterpoint":
        went = pipeline.take(pipeline.here("AR_CUST", person(PHONE_1="212 555 0111")))
        assert changes(went) == {("north", "7"): {"phone": "212 555 0111"}}
    else:
        row = b.account(7, "ana@example.com", phone="212 555 0111", meta=MARK)
        assert changes(pipeline.take(pipeline.there("north", "customers", row))) == {
            ("counterpoint", "C-1"): {"phone": "212 555 0111"}
        }


def test_a_script_that_leaves_the_date_is_seen_by_the_writer_too(pipeline: Pipeline) -> None:
    """It is found when somebody else's change is on its way: the target is read first."""
    both(pipeline)
    (went,) = pipeline.take(pipeline.here("AR_CUST", person(PHONE_1="212 555 0111", at=LATER)))
    pipeline.clock.sleep(3 * 3600)
    record = shown("north", b.account(7, "ana@example.com", phone="212 555 0122", meta=MARK))
    again = pipeline.take(pipeline.answer(went, "differs", record=record))
    assert changes(again) == {("counterpoint", "C-1"): {"phone": "212 555 0122"}}


def test_a_page_from_before_changes_nothing_back(pipeline: Pipeline) -> None:
    """A cache's answer has an older date than the last one: it is no change."""
    both(pipeline)
    new = b.account(7, "ana@example.com", phone="212 555 0111", meta=MARK, at=LATER)
    pipeline.take(pipeline.there("north", "customers", new))
    done = person(PHONE_1="212 555 0111", at=LATEST)
    pipeline.take(pipeline.here("AR_CUST", done))
    stale = b.account(7, "ana@example.com", phone="212-555-0100", meta=MARK)
    assert ("counterpoint", "C-1") not in changes(pipeline.take(pipeline.there("north", "customers", stale)))
