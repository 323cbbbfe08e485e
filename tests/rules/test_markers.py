"""order-P6: two stores may have equal order numbers, and still every order has a document of its own (order-E.1, E.2)."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as changed

from processors.rules.documents import MARKER_MAX, Hold, compose, marker_of, read_marker
from processors.rules.refunds import read_return_marker, return_marker
from schemas.commands import PlaceDocument
from tests.rules.test_documents import ITEMS, SITE, line, order

PREFIXES = {"north": "N-", "south": "S-", "east": "E", "west": "W1-"}  # None begins another (config refuses that).
stores, numbers = st.sampled_from(sorted(PREFIXES)), st.integers(1, 10**9)


@given(stores, numbers, stores, numbers)
def test_equal_numbers_of_two_stores_make_two_documents(one: str, first: int, other: str, second: int) -> None:
    markers = [marker_of(PREFIXES[store], str(number)) for store, number in ((one, first), (other, second))]
    assert (markers[0] == markers[1]) == ((one, first) == (other, second))
    assert read_marker(markers[0], PREFIXES) == (one, str(first))


@given(stores, stores, numbers)
def test_the_document_carries_its_own_stores_marker_or_is_held(one: str, other: str, number: int) -> None:
    made = [
        compose(changed(order(line()), key=str(number)), replace(SITE, prefix=PREFIXES[store]), ITEMS, "C1")
        for store in (one, other)
    ]
    placed = [each.marker for each in made if isinstance(each, PlaceDocument)]
    stores_placed = {store for store, each in zip((one, other), made, strict=True) if not isinstance(each, Hold)}
    assert len(set(placed)) == len(stores_placed)
    assert all(len(marker) <= MARKER_MAX for marker in placed)


@given(stores, numbers, st.integers(1, 99))
def test_a_returns_marker_names_its_order_and_is_no_orders(store: str, number: int, refund: int) -> None:
    marker = marker_of(PREFIXES[store], str(number))
    assert read_return_marker(return_marker(marker, refund)) == (marker, refund)
    assert read_marker(return_marker(marker, refund), PREFIXES) is None
