"""How much each store may offer (order-E.9), and the law that an order in flight counts once (order-P7)."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.rules.allocation import Reservation, Shelf, allocate, buffer_of, is_committed

BOTH = ("MAIN", "WH2")


def shelf(on_hand: str, committed: str = "0", *, location: str = "MAIN", position: int = 1) -> Shelf:
    return Shelf(location=location, on_hand=Decimal(on_hand), committed=Decimal(committed), position=position)


def held(quantity: int, *, store: str = "north", seen: int | None = None, where: str | None = None) -> Reservation:
    return Reservation(store=store, order_id="1", quantity=quantity, document_position=seen, document_location=where)


@pytest.mark.parametrize(
    ("shelves", "reservations", "locations", "buffer", "offer"),
    [
        pytest.param([shelf("10")], [], ("MAIN",), 0, 10, id="what is there"),
        pytest.param([shelf("10", "3")], [], ("MAIN",), 0, 7, id="less what Counterpoint has committed"),
        pytest.param([shelf("10"), shelf("5", location="WH2")], [], ("MAIN",), 0, 10, id="only its own locations"),
        pytest.param([shelf("10"), shelf("5", location="WH2")], [], BOTH, 0, 15, id="all of its locations"),
        pytest.param(
            [shelf("10")], [held(2), held(3, store="south")], ("MAIN",), 0, 5, id="less the orders of every store"
        ),
        pytest.param([shelf("10")], [], ("MAIN",), 4, 6, id="less the safety stock"),
        pytest.param([shelf("2")], [held(5)], ("MAIN",), 0, 0, id="never below nothing"),
        pytest.param([shelf("-3")], [], ("MAIN",), 0, 0, id="a shelf below nothing"),
        pytest.param([shelf("2.75")], [], ("MAIN",), 0, 2, id="whole pieces only"),
        pytest.param([], [], ("MAIN",), 0, 0, id="no shelf at all"),
    ],
)
def test_allocate(
    shelves: list[Shelf], reservations: list[Reservation], locations: tuple[str, ...], buffer: int, offer: int
) -> None:
    assert allocate(shelves, reservations, locations=locations, buffer=buffer).offer == offer


@pytest.mark.parametrize(
    ("reservation", "shelves", "expected"),
    [
        pytest.param(held(1), [shelf("1", position=9)], False, id="no document was seen"),
        pytest.param(held(1, seen=5), [shelf("1", position=4)], False, id="the figures are older than the document"),
        pytest.param(held(1, seen=5), [shelf("1", position=5)], True, id="one reading shows both"),
        pytest.param(held(1, seen=5, where="WH2"), [shelf("1", position=9)], False, id="another location was read"),
        pytest.param(
            held(1, seen=5, where="MAIN"), [shelf("1", position=6)], True, id="its own location was read later"
        ),
    ],
)
def test_is_committed(reservation: Reservation, shelves: list[Shelf], expected: bool) -> None:
    assert is_committed(reservation, shelves) is expected


def test_how_many_too_many_were_sold() -> None:
    assert allocate([shelf("3")], [held(2), held(4)], locations=("MAIN",), buffer=1).short == 3


def test_an_item_may_have_a_safety_stock_of_its_own() -> None:
    assert (buffer_of("A", usual=2, own={"A": 0}), buffer_of("B", usual=2, own={"A": 0})) == (0, 2)


@given(
    st.integers(0, 50),
    st.lists(st.integers(1, 5), max_size=6),
    st.randoms(use_true_random=False),
)
def test_an_order_in_flight_counts_once(on_hand: int, orders: list[int], dice: object) -> None:
    """Whichever of web order, document and stock figure is seen first, at the end each order was taken off once."""
    committed, figures = 0, []
    for quantity in orders:
        committed += quantity
        figures.append(committed)
    readings = list(enumerate(figures, start=10))
    shown = dice.randint(0, len(readings))  # type: ignore[attr-defined]
    position, taken = (readings[shown - 1]) if shown else (1, 0)
    shelves = [shelf(str(on_hand), str(taken), position=position)]
    reservations = [held(quantity, seen=10 + at, where="MAIN") for at, quantity in enumerate(orders)]
    assert allocate(shelves, reservations, locations=("MAIN",), buffer=0).offer == max(0, on_hand - sum(orders))
