"""Countries, states and phones: which words are one, and what is written to a system that has its own."""

import pycountry
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.places import HOME, country, named_state, same_place, shorter, state, worded
from schemas.profiles import FIELDS, Value, is_empty, same
from schemas.records import Postal

LANDS = [one.alpha_2 for one in pycountry.countries]


@pytest.mark.parametrize("words", ["USA", "United States", "US", "us", "U.S.A.", "United States of America", "", " "])
def test_the_shops_own_country_is_one_in_whichever_words(words: str) -> None:
    assert country(words) == "US"


@pytest.mark.parametrize(
    ("words", "code"),
    [("UK", "GB"), ("Great Britain", "GB"), ("Germany", "DE"), ("DEU", "DE"), ("Deutschland", "DEUTSCHLAND")],
)
def test_a_country_by_its_names(words: str, code: str) -> None:
    assert country(words) == code


@pytest.mark.parametrize(
    ("one", "other", "home", "equal"),
    [
        (Postal(city="Salem", state="MA"), Postal(city="Salem", state="Massachusetts", country="USA"), "US", True),
        (Postal(city="Salem", state="MA"), Postal(city="Salem", state="Maine"), "US", False),
        (Postal(city="York", country=""), Postal(city="York", country="United Kingdom"), "GB", True),
        (Postal(city="York", country=""), Postal(city="York", country="United Kingdom"), "US", False),
        (
            Postal(city="Laval", state="Québec", country="CA"),
            Postal(city="Laval", state="qc", country="CAN"),
            "US",
            True,
        ),
        (
            Postal(city="Tokyo", state="JP13", country="JP"),
            Postal(city="Tokyo", state="Tokyo", country="JPN"),
            "US",
            True,
        ),
        (Postal(city="Ulm", country="Deutschland"), Postal(city="Ulm", country="DE"), "US", False),
        (Postal(state="AE", city="APO"), Postal(state="ae ", city="APO"), "US", True),
    ],
)
def test_addresses_in_two_vocabularies(one: Postal, other: Postal, home: str, equal: bool) -> None:
    assert same("billing", one, other, home=home) is equal


def test_a_country_alone_is_no_address() -> None:
    assert is_empty(Postal(country="US"))
    assert same("billing", Postal(country="US"), Postal())


@pytest.mark.parametrize(
    ("wanted", "there", "written"),
    [
        pytest.param(
            Postal(city="Salem", state="MA", country="US"),
            Postal(city="Lynn", state="Massachusetts", country="USA"),
            Postal(city="Salem", state="Massachusetts", country="USA"),
            id="a system's own words stay",
        ),
        pytest.param(
            Postal(city="Salem", state="MA", country="US"),
            Postal(city="Lynn", state="MA"),
            Postal(city="Salem", state="MA"),
            id="blank means home and stays blank",
        ),
        pytest.param(
            Postal(city="Salem", state="MA"),
            Postal(city="Lynn", state="MA", country="US"),
            Postal(city="Salem", state="MA", country="US"),
            id="an emptiness is not written over a word",
        ),
        pytest.param(
            Postal(city="Salem", state="Massachusetts"),
            Postal(city="Laval", state="QC", country="CA"),
            Postal(city="Salem", state="MA", country="US"),
            id="back home from another country",
        ),
        pytest.param(
            Postal(city="Laval", state="Quebec", country="Canada"),
            Postal(city="Lynn", state="MA"),
            Postal(city="Laval", state="QC", country="CA"),
            id="another country in the system's own words",
        ),
        pytest.param(
            Postal(city="Ulm", state="Bayern", country="Deutschland"),
            Postal(city="Lynn", country="US"),
            Postal(city="Ulm", state="Bayern", country="Deutschland"),
            id="words that nobody knows",
        ),
        pytest.param(
            Postal(city="York", state="London", country="UK"),
            Postal(),
            Postal(city="York", state="London", country="GB"),
            id="a county is no code where systems write it out",
        ),
        pytest.param(Postal(), Postal(city="Lynn", country="US"), Postal(country="US"), id="emptied"),
        pytest.param(Postal(), Postal(city="Laval", country="CA"), Postal(), id="emptied abroad"),
    ],
)
def test_an_address_is_written_in_the_systems_own_words(wanted: Postal, there: Postal, written: Postal) -> None:
    assert worded(wanted, there, home=HOME) == written


@pytest.mark.parametrize(("words", "written"), [("code", "DE"), ("alpha_3", "DEU"), ("name", "Germany")])
def test_a_till_calls_countries_as_its_shop_does(words: str, written: str) -> None:
    wanted = Postal(city="Ulm", country="DE")
    assert worded(wanted, Postal(), home="US", words=words).country == written  # type: ignore[arg-type]


def test_words_too_long_for_a_column_become_codes_instead_of_being_cut() -> None:
    long = Postal(city="Salem", state="Massachusetts", country="United States of America")
    lengths = {"state": 10, "country": 20}
    assert shorter(long, lengths.get) == Postal(city="Salem", state="MA", country="US")


@pytest.mark.parametrize("land", ["US", "CA", "AU", "BR"])
def test_a_state_and_its_code_are_one(land: str) -> None:
    for one in (one for one in pycountry.subdivisions if one.country_code == land):
        code = one.code.partition("-")[2]
        assert state(one.name, land) == state(code, land) == named_state(one.name, land) == code


@pytest.mark.parametrize(
    ("one", "other", "home", "equal"),
    [
        ("212 555 0100", "212 555 0100 x12", "US", False),
        ("212 555 0100 ext. 12", "(212) 555-0100 x12", "US", True),
        ("212 555 0100 x12", "212 555 0100 x13", "US", False),
        ("020 7946 0958", "+44 20 7946 0958", "GB", True),
        ("020 7946 0958", "+44 20 7946 0958", "US", False),
    ],
)
def test_phones_with_extensions_and_at_home(one: str, other: str, home: str, equal: bool) -> None:
    assert same("phone", one, other, home=home) is equal


WORDS = st.sampled_from(["", "US", "USA", "United States", "UK", "GB", "Canada", "CAN", "DE", "Elsewhere", "u.s."])
STATES = st.sampled_from(["", "MA", "Massachusetts", "US-MA", "ma", "QC", "Québec", "Quebec", "AE", "Nowhere"])
PLACES = st.builds(Postal, line_1=st.sampled_from(["", "1 High St"]), state=STATES, country=WORDS)
PHONES = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "+1 ", "+44 ", "0"]),
    st.sampled_from(["212 555 0100", "(212) 555-0100", "20 7946 0958", "12", "call me"]),
    st.sampled_from(["", " x12", " ext. 12", ";ext=12", " x13", " 12"]),
)
VALUES: dict[str, st.SearchStrategy[Value]] = {
    "billing": PLACES,
    "phone": PHONES,
    "last_name": st.text(max_size=3),
    "email": st.sampled_from(["", "a@b.c", "A@b.c ", "b@b.c"]),
}
NAMED = st.sampled_from(sorted(VALUES)).flatmap(lambda name: st.tuples(st.just(name), *[VALUES[name]] * 3))


@given(NAMED, st.sampled_from(["US", "GB"]))
def test_meaning_the_same_is_an_equivalence(named: tuple[str, Value, Value, Value], home: str) -> None:
    name, one, other, third = named
    assert name in FIELDS
    assert same(name, one, one, home=home)
    assert same(name, one, other, home=home) == same(name, other, one, home=home)
    if same(name, one, other, home=home) and same(name, other, third, home=home):
        assert same(name, one, third, home=home)


@given(PLACES, PLACES, st.sampled_from(["code", "alpha_3", "name"]))
def test_what_is_written_means_what_is_wanted_and_is_not_written_twice(
    wanted: Postal, there: Postal, words: str
) -> None:
    written = worded(wanted, there, home=HOME, words=words)  # type: ignore[arg-type]
    assert same("billing", written, wanted)
    if not is_empty(wanted):
        assert worded(wanted, written, home=HOME, words=words) == written  # type: ignore[arg-type]


@given(st.sampled_from(LANDS), PLACES)
def test_another_country_is_another_place(land: str, place: Postal) -> None:
    elsewhere = Postal(line_1=place.line_1, state=place.state, country=land)
    assert same_place(place, elsewhere) is (country(place.country) == land)
