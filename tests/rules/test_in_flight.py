"""order-P7 as a law: at every moment, whatever has been heard of so far, no order is forgotten, and none counts twice
once its document is known."""

from dataclasses import dataclass
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from processors.rules.allocation import Reservation, Shelf, allocate

ON_HAND = 1000


@dataclass(frozen=True)
class WebOrder:
    """One order in flight: its pieces, and the reading that first showed its document with the commit of its line."""

    quantity: int
    placed_in: int  # 0: never.

    def is_in_figures(self, reading: int) -> bool:
        return 0 < self.placed_in <= reading


ORDERS = st.lists(st.builds(WebOrder, quantity=st.integers(1, 9), placed_in=st.integers(0, 8)), max_size=8)


def offer(orders: list[WebOrder], *, stock_read: int, documents_read: int) -> int:
    """Reckon from what was heard: the item as of one reading, the documents as of another."""
    committed = sum(one.quantity for one in orders if one.is_in_figures(stock_read))
    shelf = Shelf(location="MAIN", on_hand=Decimal(ON_HAND), committed=Decimal(committed), position=stock_read)
    held = [
        Reservation(
            store="north" if at % 2 else "south",
            order_id=str(at),
            quantity=one.quantity,
            document_position=one.placed_in if one.is_in_figures(documents_read) else None,
            document_location="MAIN",
        )
        for at, one in enumerate(orders)
    ]
    return allocate([shelf], held, locations=("MAIN",), buffer=0).offer


@given(ORDERS, st.integers(0, 8), st.integers(0, 8))
def test_no_order_is_ever_forgotten(orders: list[WebOrder], stock_read: int, documents_read: int) -> None:
    left = ON_HAND - sum(one.quantity for one in orders)
    assert offer(orders, stock_read=stock_read, documents_read=documents_read) <= left


@given(ORDERS, st.integers(0, 8), st.integers(0, 8))
def test_an_order_counts_once_as_soon_as_its_document_is_known(
    orders: list[WebOrder], stock_read: int, ahead: int
) -> None:
    left = ON_HAND - sum(one.quantity for one in orders)
    assert offer(orders, stock_read=stock_read, documents_read=stock_read + ahead) == left


@given(ORDERS, st.integers(0, 8), st.integers(0, 8))
def test_twice_counts_only_what_is_committed_already_and_whose_document_is_not_heard_of(
    orders: list[WebOrder], stock_read: int, documents_read: int
) -> None:
    twice = sum(
        one.quantity for one in orders if one.is_in_figures(stock_read) and not one.is_in_figures(documents_read)
    )
    left = ON_HAND - sum(one.quantity for one in orders)
    assert offer(orders, stock_read=stock_read, documents_read=documents_read) == left - twice
