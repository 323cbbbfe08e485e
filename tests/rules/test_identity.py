"""Whose order is this: one row for each line of the rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.rules.identity import (
    NO_EMAIL,
    NOBODYS,
    Claim,
    Facts,
    Found,
    Known,
    Match,
    New,
    Same,
    Unclear,
    is_email,
    match_buyer,
)
from processors.rules.names import Name
from processors.rules.nobody import Nobody
from schemas.names import CustNo, OurId

ANA, BEN = "ana@example.com", "ben@example.com"
ADLER, BROOK = Name(first="Ana", last="Adler"), Name(first="Ben", last="Brook")


def known(number: str, *, flagged: bool = True, email: str = ANA, name: Name = ADLER) -> Known:
    return Known(cust_no=CustNo(number), email=email, is_ecommerce=flagged, name=name)


def claim(*customers: Known, email: str | None = ANA, name: Name = ADLER, under_way: str | None = None) -> Claim:
    ours = OurId(under_way) if under_way else None
    return Claim(email=email, name=name, known=customers, under_way=ours, under_way_as=BROOK if ours else Name())


TWINS = [known("3", flagged=False), known("8"), known("5")]
NOBODY = Claim(email="none@none.com", is_nobodys=True)
NONE = Claim()


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(
            Facts(decided=OurId("us-1"), linked=OurId("us-2")),
            Same(OurId("us-1"), "typed e-mail"),
            id="decided once, decided",
        ),
        pytest.param(
            Facts(linked=OurId("us-2"), typed=claim(known("9"))),
            Same(OurId("us-2"), "link"),
            id="the link beats the e-mail",
        ),
        pytest.param(
            Facts(account=claim(known("7")), typed=claim(known("9", email=BEN), email=BEN)),
            Found(CustNo("7"), "own e-mail"),
            id="the account's own e-mail beats the typed one",
        ),
        pytest.param(
            Facts(account=claim(known("7")), typed=NONE),
            Found(CustNo("7"), "own e-mail"),
            id="an administrator's order",
        ),
        pytest.param(
            Facts(account=claim(known("7", name=BROOK))),
            Found(CustNo("7"), "typed e-mail"),
            id="clearly other names link nothing",
        ),
        pytest.param(
            Facts(account=claim(known("7", name=BROOK)), asks_about_names=False),
            Found(CustNo("7"), "own e-mail"),
            id="unless the shop says so",
        ),
        pytest.param(
            Facts(account=claim(known("7")), is_apart=True),
            Unclear("the account was set apart from who has its e-mail", (CustNo("7"),), None, "own e-mail"),
            id="a person has set the account apart",
        ),
        pytest.param(
            Facts(account=claim(*TWINS)),
            Unclear(
                "3 customers have the account's e-mail",
                (CustNo("5"), CustNo("8"), CustNo("3")),
                CustNo("5"),
                "own e-mail",
            ),
            id="several have the account's e-mail",
        ),
        pytest.param(
            Facts(account=claim(name=BROOK, under_way="us-3")),
            Same(OurId("us-3"), "our id"),
            id="being created for the account's e-mail",
        ),
        pytest.param(
            Facts(account=claim(under_way="us-3")),
            Same(OurId("us-3"), "typed e-mail"),
            id="being created for it under clearly another name",
        ),
        pytest.param(
            Facts(account=claim(email=BEN, name=BROOK), typed=claim(known("1"))),
            Found(CustNo("1"), "typed e-mail"),
            id="a typed e-mail routes the document and links nothing",
        ),
        pytest.param(
            Facts(account=claim(email=BEN), typed=claim()),
            New(BEN, "our id"),
            id="a new customer has the account's e-mail",
        ),
        pytest.param(Facts(typed=claim(known("7"))), Found(CustNo("7"), "typed e-mail"), id="a guest"),
        pytest.param(
            Facts(typed=claim(*TWINS)),
            Unclear("3 customers have the order's e-mail", (CustNo("5"), CustNo("8"), CustNo("3")), CustNo("5")),
            id="several: the lowest flagged number first",
        ),
        pytest.param(
            Facts(typed=claim(under_way="us-3")), Same(OurId("us-3"), "typed e-mail"), id="being created already"
        ),
        pytest.param(Facts(typed=claim()), New(ANA, "typed e-mail"), id="nobody has it"),
        pytest.param(Facts(typed=NONE), Unclear(NO_EMAIL, (), None), id="no e-mail"),
        pytest.param(Facts(typed=claim(email="nobody")), Unclear(NO_EMAIL, (), None), id="no address"),
        pytest.param(Facts(typed=NOBODY), Unclear(NOBODYS, (), None), id="nobody's address is asked about"),
        pytest.param(
            Facts(typed=NOBODY, makes_nobodys=True), New(None, "typed e-mail"), id="or makes a customer of its own"
        ),
        pytest.param(Facts(account=claim(), typed=NOBODY), New(ANA, "our id"), id="the account's own is somebody's"),
    ],
)
def test_match_buyer(facts: Facts, expected: Match) -> None:
    assert match_buyer(facts) == expected


@given(st.permutations(TWINS))
def test_the_suggestion_does_not_depend_on_the_order_of_the_candidates(candidates: list[Known]) -> None:
    match = match_buyer(Facts(typed=claim(*candidates)))
    assert isinstance(match, Unclear)
    assert match.suggestion == "5"


@pytest.mark.parametrize("text", ["", "ana", "ana@", "@example.com", "a b@example.com"])
def test_what_can_be_no_address_is_none(text: str) -> None:
    assert not is_email(text)


@pytest.mark.parametrize(
    ("email", "is_nobodys"),
    [
        ("none@none.com", True),
        ("NoEmail@shop.example.com", True),
        ("x@none.com", True),
        ("info@shop.example.com", True),
        ("anybody@own.example.com", True),
        ("x@x.example.com", True),
        ("nomail.ana@example.com", False),
        ("ana@a.com", False),
        ("", False),
        (None, False),
    ],
)
def test_whose_address_is_nobodys_in_particular(email: str | None, is_nobodys: bool) -> None:
    nobody = Nobody(emails=frozenset({"info@shop.example.com", "@own.example.com", "x@x.example.com"}))
    assert nobody.has_email(email) is is_nobodys
