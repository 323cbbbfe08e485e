"""Who may be known already: found by keys, listed or held by policy, decided once, and asked again only if it changed."""

from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine

from schemas.commands import CreateAccount, CreateCustomer
from schemas.requests import DecideMatch, RefitMatches
from tests.flows import builders as b
from tests.flows.pipeline import Pipeline
from tests.flows.test_account_flow import creating
from tests.flows.test_customer_flow import LATER, changes, opened, person, settings

HOME = {"ADRS_1": "12 High Street", "CITY": "Springfield", "ZIP_COD": "62701", "PHONE_1": "212 555 0100"}
ADDRESS = {"address_1": "12 High Street", "city": "Springfield", "postcode": "62701"}
PAIR = ("counterpoint/C-1", "north/7")


def account(pipeline: Pipeline, **fields: Any) -> Any:
    """An account of the same Ana under another e-mail."""
    given = {"billing": ADDRESS, "phone": "2125550100"} | fields
    return pipeline.there("north", "customers", b.account(7, "ana.adler@example.org", **given))


def pairs(pipeline: Pipeline) -> list[tuple[str, str, str, str | None]]:
    return pipeline.rows("SELECT one, other, state, decision FROM match_pair ORDER BY 1, 2")


def say(pipeline: Pipeline, decision: Any) -> Any:
    return pipeline.take(pipeline.request(DecideMatch(one=PAIR[0], other=PAIR[1], decision=decision)))


def created(pipeline: Pipeline) -> list[str]:
    went = pipeline.wait(1)
    return [one.system for one in went if isinstance(one.body, CreateAccount) and one.system == "north"]


@pytest.fixture
def held(database: Engine) -> Pipeline:
    """A customer who would be created on the web, but for somebody there who is like her."""
    pipeline = creating(database, matches="hold")
    pipeline.take(account(pipeline))
    pipeline.take(pipeline.here("AR_CUST", person(**HOME)))
    return pipeline


def test_somebody_like_her_is_shown_with_percent_and_evidence(held: Pipeline) -> None:
    ((one, other, percent, evidence),) = held.rows("SELECT one, other, percent, evidence FROM match_pair")
    told = {each["field"]: each["how"] for each in msgspec.json.decode(evidence)}
    assert ((one, other), percent >= 50) == (PAIR, True)
    assert (told["name"], told["street"], told["phone"]) == ("same", "same", "same")
    assert "Ana" not in evidence, "what speaks for it is told without what anybody wrote"


def test_by_policy_she_waits_until_a_person_has_said_who_she_is(held: Pipeline) -> None:
    assert (created(held), say(held, "different"), created(held)) == ([], [], ["north"])


def test_the_same_person_is_linked_and_not_created(held: Pipeline) -> None:
    went = say(held, "same")
    assert (changes(went)[("north", "7")]["pos_id"], created(held)) == ("C-1", [])


def test_new_lets_her_be_created_whoever_is_like_her(held: Pipeline) -> None:
    say(held, "new")
    assert created(held) == ["north"]


def test_later_leaves_her_waiting(held: Pipeline) -> None:
    say(held, "later")
    assert created(held) == []


def test_a_decision_is_remembered_and_asked_again_only_if_something_changed(held: Pipeline) -> None:
    say(held, "later")
    held.take(held.here("AR_CUST", person(**HOME, CATEG_COD="VIP", at=LATER)))
    assert pairs(held) == [(*PAIR, "decided", "later")]
    held.take(held.here("AR_CUST", person(**HOME | {"ADRS_1": "14 High Street"}, at=LATER)))
    assert pairs(held) == [(*PAIR, "open", None)]


def test_a_decision_is_taken_back(held: Pipeline) -> None:
    say(held, "same")
    say(held, "undo")
    linked = held.rows("SELECT count(*) FROM link WHERE system = 'north' AND entity = 'customer'")
    assert (pairs(held), linked) == ([(*PAIR, "open", None)], [(0,)])


def test_the_percentages_are_fitted_to_what_was_decided(held: Pipeline) -> None:
    ((before,),) = held.rows("SELECT percent FROM match_pair")
    say(held, "different")
    held.take(held.request(RefitMatches()))
    held.take(held.here("AR_CUST", person(**HOME | {"PHONE_1": "+1 212 555 0100"}, at=LATER)))
    say(held, "undo")
    held.take(held.here("AR_CUST", person(**HOME | {"CITY": "Springfeld"}, at=LATER)))
    ((after,),) = held.rows("SELECT percent FROM match_pair")
    assert after < before


def test_by_default_she_is_created_at_once_and_listed(database: Engine) -> None:
    pipeline = creating(database)
    pipeline.take(account(pipeline))
    pipeline.take(pipeline.here("AR_CUST", person(**HOME)))
    assert (created(pipeline), pairs(pipeline)) == (["north"], [(*PAIR, "open", None)])


def test_a_stranger_is_nobodys_double(database: Engine) -> None:
    pipeline = creating(database, matches="hold")
    pipeline.take(account(pipeline, first_name="Zoltan", last_name="Quirke", billing={}, phone=""))
    pipeline.take(pipeline.here("AR_CUST", person(**HOME)))
    assert (created(pipeline), pairs(pipeline)) == (["north"], [])


def test_keys_follow_a_change_and_leave_with_the_record(database: Engine) -> None:
    pipeline = opened(Pipeline(database, settings()))
    pipeline.take(pipeline.here("AR_CUST", person(**HOME)))
    query = "SELECT value FROM match_key WHERE value LIKE 't:%'"
    assert pipeline.rows(query) == [("t:5550100",)]
    pipeline.take(pipeline.here("AR_CUST", person(**HOME | {"PHONE_1": "212 555 0199"}, at=LATER)))
    assert pipeline.rows(query) == [("t:5550199",)]
    pipeline.take(pipeline.gone_here("AR_CUST", CUST_NO="C-1"))
    assert pipeline.rows("SELECT count(*) FROM match_key") == [(0,)]


def test_an_order_of_somebody_who_may_be_known_waits_where_the_policy_says_so(database: Engine) -> None:
    pipeline = opened(Pipeline(database, settings(matches="hold")))
    pipeline.take(
        pipeline.there("north", "products", b.product(1, "MUG", 5)),
        pipeline.here("IM_ITEM", b.item("MUG")),
        pipeline.here("IM_INV", b.stock("MUG", 10)),
        pipeline.here("AR_CUST", person(**HOME)),
    )
    billing = ADDRESS | {"first_name": "Ana", "last_name": "Adler", "email": "other@example.org", "phone": "2125550100"}
    went = pipeline.take(pipeline.there("north", "orders", b.order(1, None, billing=billing)))
    assert ([one for one in went if isinstance(one.body, CreateCustomer)], list(pipeline.asked())) == (
        [],
        ["order-customer:north/1"],
    )
    (document,) = [one for one in pipeline.decide("order-customer:north/1", "C-1") if one.task == "orders"]
    assert document.body.cust_no == "C-1"  # type: ignore[union-attr]


def test_a_replay_of_everything_asks_nothing_new(held: Pipeline) -> None:
    say(held, "later")
    before = pairs(held)
    held.take(account(held, at=b.PLACED), held.here("AR_CUST", person(**HOME)))
    assert pairs(held) == before
