"""changes -> wanted profiles, where the two systems have other letters, other words and other signs for the same."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine

from schemas.commands import ChangeCustomer, Command
from schemas.records import Postal
from tests.flows import builders as b
from tests.flows.pipeline import Pipeline
from tests.flows.test_customer_flow import LATER, LATEST, MARK, changes, opened, person, settings, shown

POS = "counterpoint"


@pytest.fixture
def pipeline(database: Engine) -> Pipeline:
    return opened(Pipeline(database, settings()))


def account(at: str = b.PLACED, **fields: Any) -> b.Row:
    return b.account(7, "ana@example.com", at=at, meta=MARK, **fields)


def both(pipeline: Pipeline, here: dict[str, Any], there: dict[str, Any]) -> list[Command]:
    """Let one person be known on both sides."""
    return pipeline.take(
        pipeline.here("AR_CUST", person(**here)), pipeline.there("north", "customers", account(**there))
    )


def done(pipeline: Pipeline, command: Command, row: b.Row) -> list[Command]:
    """Let the command be answered with what its system shows after it."""
    return pipeline.take(pipeline.answer(command, "applied", record=shown(command.system, row)))


def edited(pipeline: Pipeline, at: str, first_name: str, number: int) -> list[Command]:
    """Let the till's customer be read after all that was answered."""
    row = person(at=at, FST_NAM=first_name)
    return pipeline.take(pipeline.here("AR_CUST", row, position=2_000_000_000_000 + number))


def test_a_stores_encoded_ampersand_is_the_tills_own(pipeline: Pipeline) -> None:
    assert both(pipeline, {"LST_NAM": "A & B"}, {"last_name": "A &amp; B"}) == []


@pytest.mark.parametrize("stands", ["?ukasz", "Lukasz"])
def test_a_name_that_the_till_cannot_hold_stays_as_it_is_in_the_store(pipeline: Pipeline, stands: str) -> None:
    both(pipeline, {}, {})
    (change,) = pipeline.take(pipeline.there("north", "customers", account(LATER, first_name="Łukasz")))
    assert changes([change]) == {(POS, "C-1"): {"first_name": "Łukasz"}}
    assert done(pipeline, change, person(at=LATEST, FST_NAM=stands)) == []
    assert edited(pipeline, LATEST, stands, 1) == []
    assert edited(pipeline, "2026-01-05T13:00:00", "LUKASZ", 2) == []  # A clerk mends it, as far as they can.
    other = edited(pipeline, "2026-01-05T14:00:00", "Piotr", 3)
    assert changes(other) == {("north", "7"): {"first_name": "Piotr"}}


def test_a_name_that_is_read_before_the_answer_is_written_over_nothing(pipeline: Pipeline) -> None:
    both(pipeline, {}, {})
    pipeline.take(pipeline.there("north", "customers", account(LATER, first_name="Łukasz")))
    assert pipeline.take(pipeline.here("AR_CUST", person(at=LATEST, FST_NAM="?ukasz"))) == []


def test_a_customer_whom_we_made_does_not_spoil_the_stores_name_at_the_first_link(pipeline: Pipeline) -> None:
    assert both(pipeline, {"at": LATER, "FST_NAM": "?ukasz"}, {"first_name": "Łukasz"}) == []


def test_countries_and_states_in_other_words_are_no_change(pipeline: Pipeline) -> None:
    here: b.Row = {"ADRS_1": "1 High St", "CITY": "Salem", "STATE": "MA", "CNTRY": "USA"}
    there = {"billing": {"address_1": "1 High St", "city": "Salem", "state": "MA", "country": "US"}}
    assert both(pipeline, here, there) == []
    assert pipeline.take(pipeline.here("AR_CUST", person(at=LATER, **here | {"CNTRY": None}))) == []


def test_a_store_that_fills_in_a_country_alone_empties_no_address(pipeline: Pipeline) -> None:
    here = {"ADRS_1": "1 High St", "CITY": "Salem"}
    went = both(pipeline, here, {"at": LATER, "billing": {"country": "US"}})
    assert changes(went) == {("north", "7"): {"billing": Postal(line_1="1 High St", city="Salem")}}


def test_an_extension_added_at_the_till_goes_to_the_store(pipeline: Pipeline) -> None:
    both(pipeline, {"PHONE_1": "212 555 0100"}, {"phone": "212-555-0100"})
    went = pipeline.take(pipeline.here("AR_CUST", person(at=LATER, PHONE_1="212 555 0100 x12")))
    assert changes(went) == {("north", "7"): {"phone": "212 555 0100 x12"}}


def test_a_british_shop_has_one_phone_and_says_so_to_whoever_writes(database: Engine) -> None:
    pipeline = opened(Pipeline(database, replace(settings(), home="GB")))
    assert both(pipeline, {"PHONE_1": "020 7946 0958"}, {"phone": "+44 20 7946 0958"}) == []
    (change,) = pipeline.take(pipeline.here("AR_CUST", person(at=LATER, PHONE_1="020 7946 0959")))
    assert isinstance(change.body, ChangeCustomer)
    assert change.body.home == "GB"
