"""Whom the review compares, and that a percentage is a sum of what it shows."""

import math
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.rules.blocking import Person, keys_of, person_of, sound
from processors.rules.matching import EVERYBODY, PARTS, Scale, compare, load_models, refit, shift
from sandbox.people import generate
from schemas.records import Address, Customer

MODELS = load_models()
COMMON = {EVERYBODY: 10_000}
ANA = Person(
    key="1",
    first_name="Elizabeth",
    last_name="Adler",
    email="liz.adler@example.com",
    phone="212-555-0100",
    line_1="12 High Street",
    city="Springfield",
    postcode="62701",
)
WORDS = st.text("abcdefgh 0123456789'-", max_size=12)
PEOPLE = st.builds(Person, key=st.just(""), **{one.name: WORDS for one in fields(Person) if one.name != "key"})
TYPED = ("first_name", "last_name", "email", "phone", "line_1", "city", "postcode")


@given(one=PEOPLE, other=PEOPLE, name=st.sampled_from(sorted(MODELS)))
def test_a_percentage_is_what_its_evidence_adds_up_to_whoever_comes_first(
    one: Person, other: Person, name: str
) -> None:
    likeness = compare(one, other, MODELS[name], COMMON)
    total = sum(each.weight for each in likeness.evidence)
    assert 0 <= likeness.share <= 1
    assert likeness.share == pytest.approx(1 / (1 + math.exp(-max(-40, min(40, total)))))
    assert compare(other, one, MODELS[name], COMMON).share == pytest.approx(likeness.share)


@given(one=PEOPLE)
def test_keys_are_the_same_each_time_and_nobody_with_a_name_is_without(one: Person) -> None:
    assert keys_of(one) == keys_of(replace(one, key="other"))
    assert keys_of(one) or not any(letter.isalnum() for letter in one.first_name + one.last_name)


@given(field=st.sampled_from(TYPED), at=st.integers(0, 30), letter=st.sampled_from("abcxyz019"))
def test_a_typo_in_one_field_leaves_enough_keys(field: str, at: int, letter: str) -> None:
    text = getattr(ANA, field)
    typo = replace(ANA, **{field: text[: at % len(text)] + letter + text[at % len(text) + 1 :]})
    assert len(keys_of(ANA) & keys_of(typo)) >= 2


@pytest.mark.parametrize(
    "customer",
    [
        pytest.param(Customer(key="1", company="Acme"), id="the customer's own"),
        pytest.param(Customer(key="1", company="Acme", billing=Address(company="Other")), id="before the billing's"),
        pytest.param(Customer(key="1", billing=Address(company="Acme")), id="else the billing's"),
    ],
)
def test_the_company_that_is_compared(customer: Customer) -> None:
    assert person_of(customer).company == "Acme"


def test_every_part_of_a_person_is_told() -> None:
    told = [each.field for each in compare(ANA, ANA, MODELS["retail"], COMMON).evidence]
    assert told == ["base", *PARTS]


def test_the_same_person_is_far_more_likely_than_the_family() -> None:
    short = replace(ANA, first_name="Liz", phone="2125550100", line_1="12 High St")
    brother = replace(ANA, first_name="Gregory")
    likely, unlikely = (compare(ANA, one, MODELS["retail"], COMMON).share for one in (short, brother))
    assert (likely > 0.9, unlikely < 0.5) == (True, True)


def test_a_clerks_initial_is_no_other_member_of_the_family() -> None:
    initial, sister = (compare(ANA, replace(ANA, first_name=name), MODELS["retail"], COMMON).share for name in "EQ")
    assert (initial > 0.5, sister < initial / 2) == (True, True)


def test_swapped_names_are_seen() -> None:
    swapped = compare(ANA, replace(ANA, first_name="Adler", last_name="Elizabeth"), MODELS["retail"], COMMON)
    assert {each.field: each.how for each in swapped.evidence}["name"] == "first and last name swapped"


@pytest.mark.parametrize(("one", "other"), [("smith", "smyth"), ("meyer", "maier"), ("robert", "rupert")])
def test_what_sounds_alike(one: str, other: str) -> None:
    assert sound(one) == sound(other)


def test_a_list_with_more_doubles_shifts_every_percentage_up() -> None:
    assert shift([-2.0] * 50 + [2.0] * 50, 0.1) > 0 > shift([-2.0] * 95 + [2.0] * 5, 0.5)


def test_a_shops_own_decisions_bend_the_percentages_and_a_few_bend_them_little() -> None:
    too_sure = [(3.0, True)] * 60 + [(3.0, False)] * 40 + [(-3.0, False)] * 60 + [(-3.0, True)] * 40
    few, many = refit(too_sure[58:62]), refit(too_sure)
    assert (many.slope < 0.3, abs(many.offset) < 0.1, few.slope > many.slope) == (True, True, True)
    assert refit([]) == Scale(slope=1.0, offset=0.0, decisions=0)
    bent = compare(ANA, replace(ANA, first_name="Liz"), MODELS["retail"], COMMON, many)
    assert bent.share == pytest.approx(1 / (1 + math.exp(-sum(each.weight for each in bent.evidence))))


def test_generated_customers_are_the_same_for_the_same_seed_and_have_doubles_of_every_kind() -> None:
    people = generate(3, records=3000)
    assert people == generate(3, records=3000)
    assert len({one.kind for one in people}) == 11
    emails = [one.person.email for one in people if one.kind == "first" and one.person.email]
    assert len(set(emails)) < len(emails), "families share an address"


def test_an_extension_is_no_part_of_a_number() -> None:
    extended = replace(ANA, phone="212-555-0100 x12")
    assert keys_of(extended) == keys_of(ANA)
