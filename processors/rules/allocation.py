"""How much of an item each store may offer (order-E.9, req-P8).

    max(0, floor(sum over the store's locations of (on hand - committed)) - open web orders - safety stock)

An order that is in flight counts once: in our reservations until the reading of Counterpoint in which its document
was first seen has reached the item's own figures, in QTY_COMMIT from then on. The switch is by readings, never by
time. Orders of all stores count in every store: they draw on the same shelves.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """One item at one location, and the reading that showed it so."""

    location: str
    on_hand: Decimal
    committed: Decimal
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """What one web order holds of one item."""

    store: str
    order_id: str
    quantity: int
    document_position: int | None  # The reading that first showed its document.
    document_location: str | None  # Where the document commits its lines; None where it does not say.


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """What a store may offer, and the figures behind it."""

    offer: int  # At least 0.
    on_shelves: Decimal
    held_by_orders: int
    buffer: int

    @property
    def short(self) -> int:
        """How many pieces were sold that are not there; 0 where all is well."""
        return max(0, self.held_by_orders - int(self.on_shelves.to_integral_value(rounding=ROUND_FLOOR)))


def is_committed(reservation: Reservation, shelves: Iterable[Shelf]) -> bool:
    """Say whether Counterpoint's own figures hold this order already.

    They do when the item was read at or after the reading that first showed the document: a document and the
    commit of its lines are one transaction there, so one reading shows both.
    """
    seen, where = reservation.document_position, reservation.document_location
    return seen is not None and any(
        shelf.position >= seen for shelf in shelves if where is None or shelf.location == where
    )


def allocate(
    shelves: Sequence[Shelf], reservations: Sequence[Reservation], *, locations: Sequence[str], buffer: int
) -> Allocation:
    """Decide what one store may offer of one item.

    Args:
        shelves: The item at every location.
        reservations: What open web orders of every store hold of it; those already committed are left out here.
        locations: Where this store sells from.
        buffer: The store's safety stock of the item.
    """
    assert buffer >= 0
    own = [shelf for shelf in shelves if shelf.location in locations]
    on_shelves = sum((shelf.on_hand - shelf.committed for shelf in own), Decimal(0))
    held = sum(one.quantity for one in reservations if not is_committed(one, shelves))
    left = int(on_shelves.to_integral_value(rounding=ROUND_FLOOR)) - held - buffer
    return Allocation(offer=max(0, left), on_shelves=on_shelves, held_by_orders=held, buffer=buffer)


def buffer_of(item_no: str, *, usual: int, own: Mapping[str, int]) -> int:
    """Give the safety stock of an item: its own, else the store's usual one."""
    return own.get(item_no, usual)
