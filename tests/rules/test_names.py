"""When a first link is asked about: one row for each line of the rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.rules.names import Name, are_clearly_others


def name(text: str) -> Name:
    """A name as "first/last/company/phone/place"; what is behind may be left out."""
    first, last, company, phone, place, *_ = [*text.split("/"), *[""] * 4]
    return Name(first=first, last=last, company=company, phone=phone, place=place)


@pytest.mark.parametrize(
    ("one", "other", "are_others"),
    [
        pytest.param("Ana/Adler", "/", False, id="no name speaks against nothing"),
        pytest.param("Ana/Adler", "//Acme LLC", False, id="a person and a company"),
        pytest.param("//Acme Plumbing LLC", "//ACME Plumbing", False, id="one company"),
        pytest.param("//Acme Plumbing LLC", "//Adler Bakery LLC", True, id="two companies"),
        pytest.param("Ana/Adler", "Ana/Brook", True, id="a first name alone"),
        pytest.param("Ana/Adler//5550100", "Ana/Brook//5550100", False, id="who marries keeps the phone"),
        pytest.param("Ana/Adler///1 Oak", "Ana/Brook///1 Oak", False, id="or the address"),
        pytest.param("Ana/Adler//5550100", "Ben/Adler//5550100", True, id="a family has one phone"),
        pytest.param("Ana/", "Ana/Adler", False, id="a first name without a last one"),
        pytest.param("Ana/Adler", "Adler/Ana", False, id="swapped"),
        pytest.param("A/Adler", "Ana/Adler", False, id="an initial"),
        pytest.param("Mary/M", "Michael/M", True, id="an initial of the last name swaps with nothing"),
        pytest.param("Bob/Adler", "Robert/Adler", False, id="a short form"),
        pytest.param("Alex/Adler", "Alexander/Adler", False, id="a beginning"),
        pytest.param("Victr/Adler", "Victor/Adler", False, id="a slip"),
        pytest.param("Eva/Adler", "Ava/Adler", True, id="no slip in a short name"),
        pytest.param("Paul/Adler", "Paula/Adler", True, id="a woman's name of a man's"),
        pytest.param("Mario/Adler", "Maria/Adler", True, id="by its end"),
        pytest.param("Łukasz/Nowak", "Lukasz/Nowak", False, id="accents"),
        pytest.param("Ana & Ben/Adler", "Ben/Adler", False, id="a couple"),
        pytest.param("Ana/Adler", "Ben/Adler", True, id="a family"),
        pytest.param("Ana/Adler", "Ben/Brook", True, id="two people"),
        pytest.param("/Adler", "Ana/Adler", False, id="a last name alone"),
        pytest.param("/Brook", "Ana/Adler", True, id="another last name alone"),
    ],
)
def test_names_are_clearly_those_of_two_people(one: str, other: str, are_others: bool) -> None:
    assert are_clearly_others(name(one), name(other)) is are_others


names = st.builds(Name, first=st.text(max_size=12), last=st.text(max_size=12), company=st.text(max_size=12))


@given(names, names)
def test_it_does_not_matter_who_is_compared_with_whom(one: Name, other: Name) -> None:
    assert are_clearly_others(one, other) is are_clearly_others(other, one)


@given(names)
def test_nobody_is_clearly_another_than_themselves(one: Name) -> None:
    assert not are_clearly_others(one, one)
