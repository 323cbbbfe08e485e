"""Whose order is this: one row for each line of the rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.rules.identity import (
    Facts,
    Found,
    Known,
    Match,
    New,
    Same,
    Unclear,
    is_email,
    match_buyer,
    normal_email,
)
from schemas.names import CustNo, OurId

ANA = "ana@example.com"


def known(number: str, *, flagged: bool = True) -> Known:
    return Known(cust_no=CustNo(number), email=ANA, is_ecommerce=flagged)


def facts(**given: object) -> Facts:
    usual: dict[str, object] = {"decided": None, "linked": None, "email": ANA, "same_email": [], "under_way": None}
    return Facts(**(usual | given))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({"decided": "us-1", "linked": "us-2"}, Same(OurId("us-1")), id="decided once, decided"),
        pytest.param(
            {"linked": "us-2", "same_email": [known("9")]}, Same(OurId("us-2")), id="the link beats the e-mail"
        ),
        pytest.param({"linked": "us-2", "email": None}, Same(OurId("us-2")), id="a linked buyer needs no e-mail"),
        pytest.param({"email": None}, Unclear("the order has no usable e-mail address", (), None), id="no e-mail"),
        pytest.param(
            {"email": "nobody", "same_email": []},
            Unclear("the order has no usable e-mail address", (), None),
            id="no address",
        ),
        pytest.param({"same_email": [known("7")]}, Found(CustNo("7")), id="one customer has the e-mail"),
        pytest.param(
            {"same_email": [known("3", flagged=False), known("8"), known("5")]},
            Unclear("3 customers have the order's e-mail", (CustNo("5"), CustNo("8"), CustNo("3")), CustNo("5")),
            id="several: the lowest flagged number first",
        ),
        pytest.param({"under_way": "us-3"}, Same(OurId("us-3")), id="being created already"),
        pytest.param({}, New(ANA), id="nobody has it"),
    ],
)
def test_match_buyer(given: dict[str, object], expected: Match) -> None:
    assert match_buyer(facts(**given)) == expected


@given(st.permutations([known("3", flagged=False), known("8"), known("5")]))
def test_the_suggestion_does_not_depend_on_the_order_of_the_candidates(candidates: list[Known]) -> None:
    match = match_buyer(facts(same_email=candidates))
    assert isinstance(match, Unclear)
    assert match.suggestion == "5"


@given(st.text())
def test_an_email_is_compared_the_same_however_it_is_typed(text: str) -> None:
    assert normal_email(f"  {text.upper()} ") == normal_email(text.upper().strip())


@pytest.mark.parametrize("text", ["", "ana", "ana@", "@example.com", "a b@example.com"])
def test_what_can_be_no_address_is_none(text: str) -> None:
    assert not is_email(text)
