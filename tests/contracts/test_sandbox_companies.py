"""Companies in the demo's day: who orders for one says so, and the truth finds one that became somebody else."""

import random
from collections.abc import Mapping
from typing import Any, cast

import pytest

from sandbox.day import Day
from sandbox.remote import Remote
from sandbox.shop import Shop, generate
from sandbox.truth import Site, Truth

ACME = "Acme Plumbing LLC"
SITES = {"north": Site(prefix="N-", store_no="WEBN", buffer=0, locations=("MAIN",))}


def truth(customer: Mapping[str, Any], company: str = ACME) -> Truth:
    """One paid order of a company nobody knew, and the customer that came of it."""
    data = {"status": "processing", "expect": "document", "person": "new1", "company": company, "lines": []}
    order = {"system": "north", "key": "7", "kind": "order", "at": 1.0, "data": data}
    document = {"CUST_PO_NO": "N-7", "CUST_NO": "200001", "DOC_TYP": "O"}
    row = {"CUST_NO": "200001", "EMAIL_ADRS_1": None, **customer}
    states = {"counterpoint": {"documents": [document], "customers": [row]}}
    return Truth([order], states, SITES, Shop([], [], []))


@pytest.mark.parametrize(
    ("customer", "company", "wrong"),
    [
        pytest.param({"CUST_NAM_TYP": "B", "NAM": ACME}, ACME, 0, id="a company"),
        pytest.param({"CUST_NAM_TYP": "P", "NAM": ACME}, ACME, 1, id="made a person"),
        pytest.param({"CUST_NAM_TYP": "B", "NAM": "Acme"}, ACME, 1, id="under half its name"),
        pytest.param({"CUST_NAM_TYP": "P", "NAM": "Ana Adler"}, "", 0, id="a person"),
        pytest.param({"CUST_NAM_TYP": "B", "NAM": "Ana Adler"}, "", 1, id="a person made a company"),
    ],
)
def test_the_truth_finds_a_company_that_is_none(customer: dict[str, Any], company: str, wrong: int) -> None:
    assert len(truth(customer, company).check_customers().wrong) == wrong


def test_a_days_people_are_companies_too_known_and_new() -> None:
    day = Day(cast(Remote, None), generate(1, customers=300, items=4), random.Random(1), {})
    day.open()
    known = [one for one in day.people if one.company]
    new = [one for one in (day.new_person() for _ in range(60)) if one.company]
    assert known
    assert new
    assert {(one.first_name, one.last_name) for one in (*known, *new)} == {("", "")}
    assert all(day.basket(one, guest=True)["address"] == {"company": one.company} for one in (*known, *new))
