"""What has left of a web order, by Counterpoint's release tickets (order-E.16)? Pure.

A release counts pieces of items; they are dealt out to the order's lines of that SKU, in their order, and never more
than a line has. What was refunded with its goods need not leave any more.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from schemas.commands import Shipment, ShippedLine
from schemas.records import Order, Release

_RELEASE = re.compile(r"(?P<order>.+)-(?P<number>\d{2})")  # An order's ticket number, and "-01" (counterpoint 7).


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """What left, what is still to leave, and what does not fit the order."""

    shipments: tuple[Shipment, ...]
    left: tuple[tuple[str, int], ...]  # SKU and pieces that are still to leave.
    odd: tuple[str, ...]  # What a release has that the order does not.

    @property
    def is_all(self) -> bool:
        """Whether everything has left, and something did."""
        return bool(self.shipments) and not self.left


def order_number(ticket_no: str) -> str | None:
    """Give the order's ticket number that a release ticket's number names; None where it is not one."""
    found = _RELEASE.fullmatch(ticket_no)
    return None if found is None else found["order"]


def shipped(order: Order, releases: Sequence[Release], *, never: Collection[str] = ()) -> Shipped:
    """Deal out what was released to the lines of the order.

    Args:
        order: The order as it now is.
        releases: Those that stand, in the order in which they were made.
        never: SKUs that nothing is shipped of: gift cards.
    """
    left = {line.line_id: 0 if line.sku in never else max(0, line.quantity) for line in order.lines}
    shipments: list[Shipment] = []
    odd: list[str] = []
    for release in releases:
        lines: list[ShippedLine] = []
        for item_no, quantity in _sums(release):
            dealt, rest = _deal(order, left, item_no, quantity)
            lines += dealt
            if rest:
                odd.append(f"{rest} of {item_no} in {release.ticket_no}")
        if lines:
            shipments.append(Shipment(reference=release.ticket_no, lines=tuple(lines), tracking=release.tracking))
    return Shipped(shipments=tuple(shipments), left=_still(order, left), odd=tuple(odd))


def _still(order: Order, left: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """Give what is still to leave, by SKU: what was refunded with its goods is not, unless it had left before."""
    back: dict[str, int] = {}
    for one in (line for refund in order.refunds if not refund.reference for line in refund.lines):
        back[one.line_id] = back.get(one.line_id, 0) + one.quantity
    still: dict[str, int] = {}
    for line in order.lines:
        pieces = left[line.line_id] - back.get(line.line_id, 0)
        if pieces > 0:
            still[line.sku] = still.get(line.sku, 0) + pieces
    return tuple(still.items())


def _sums(release: Release) -> Iterable[tuple[str, int]]:
    found: dict[str, int] = {}
    for line in release.lines:
        found[line.item_no] = found.get(line.item_no, 0) + line.quantity
    return ((item_no, quantity) for item_no, quantity in found.items() if quantity > 0)


def _deal(order: Order, left: dict[str, int], item_no: str, quantity: int) -> tuple[list[ShippedLine], int]:
    """Deal pieces of an item out to the lines that still want some; gives what no line wants."""
    dealt = []
    for line in order.lines:
        pieces = min(quantity, left[line.line_id]) if line.sku == item_no else 0
        if pieces:
            left[line.line_id] -= pieces
            quantity -= pieces
            dealt.append(ShippedLine(line_id=line.line_id, sku=line.sku, name=line.name, quantity=pieces))
    return dealt, quantity
