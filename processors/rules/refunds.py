"""What return does a refund of the store ask for, and what refund a return at the till (order-E.15)? Pure.

The first is for staff: the REST server's returns are not verified. The second is recorded in the store, and moves no
money there. What a ticket and a refund record of each other is never asked for again.

A line comes back at the net price that its document has, by cumulative rounding, so that whatever the parts in which it
comes back, they add up to the line. Shipping and tax are the refund's own. What is left is goodwill, without goods.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from processors.rules.shares import part
from schemas.commands import RecordReturn, ReturnedLine
from schemas.records import Order, Refund, Release


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """What to enter. Amounts in minor units."""

    marker: str
    lines: tuple[tuple[str, int, int], ...]  # Item, pieces, net for all of them.
    shipping: int
    tax: int
    goodwill: int  # What the refund gives beyond that; below 0 where it gives less.
    amount: int

    def text(self, digits: int, pay_codes: Sequence[str]) -> str:
        """Say it to staff, in one line."""

        def money(minor: int) -> str:
            return format(Decimal(minor).scaleb(-digits), "f")

        parts = [f"{pieces} of {item} for {money(net)}" for item, pieces, net in self.lines]
        beside = {"shipping": self.shipping, "tax": self.tax, "goodwill": self.goodwill}
        parts += [f"{what} {money(minor)}" for what, minor in beside.items() if minor]
        return f"{'; '.join(parts)}; {money(self.amount)} back on {' or '.join(pay_codes) or 'what was paid with'}"


def return_of(order: Order, nets: Mapping[str, int], number: int, marker: str) -> Return:
    """Give the return that the refund at `number` (from 0, in the order of their ids) asks for.

    Args:
        order: The order, with all its refunds.
        nets: What each of its lines comes to in the document, by line id.
        number: Which refund.
        marker: What the return ticket is to carry.
    """
    refunds = in_order(order)
    refund = refunds[number]
    back: dict[str, int] = {}
    for earlier in refunds[:number]:
        for one in earlier.lines:
            back[one.line_id] = back.get(one.line_id, 0) + one.quantity
    found = []
    for line in order.lines:
        now = sum(one.quantity for one in refund.lines if one.line_id == line.line_id)
        before = back.get(line.line_id, 0)
        if now > 0 <= before and before + now <= line.quantity:  # Else it is not to be believed: money without goods.
            found.append((line.sku, now, part(max(0, nets[line.line_id]), line.quantity, before, now)))
    tax = sum(line.tax for line in refund.lines) + refund.shipping_tax
    given = sum(net for _, _, net in found) + refund.shipping + tax
    return Return(
        marker=marker,
        lines=tuple(found),
        shipping=refund.shipping,
        tax=tax,
        goodwill=refund.amount - given,
        amount=refund.amount,
    )


def taken_back(order: Order, tickets: Sequence[Release]) -> tuple[tuple[RecordReturn, ...], tuple[str, ...]]:
    """Decide what the order shall show of returns that nobody in the store has recorded.

    A piece comes back at what the shopper paid for it, by cumulative rounding. Pieces are dealt out to the lines of
    their item that still have some.

    Args:
        order: The order, with all its refunds.
        tickets: Those of its tickets that stand, in the order in which they were made.

    Returns:
        What to record, ticket by ticket, and what does not fit the order.
    """
    recorded = {refund.reference for refund in order.refunds}
    back: dict[str, int] = {}
    for one in (line for refund in order.refunds for line in refund.lines):
        back[one.line_id] = back.get(one.line_id, 0) + one.quantity
    found, odd = [], []
    for ticket in (one for one in tickets if one.returned and one.ticket_no not in recorded):
        lines: list[ReturnedLine] = []
        for came in ticket.returned:
            dealt, rest = _deal(order, back, came.item_no, came.quantity)
            lines += dealt
            odd += [f"{rest} of {came.item_no} in {ticket.ticket_no}"] if rest else []
        if lines:
            found.append(
                RecordReturn(
                    order_id=order.key,
                    reference=ticket.ticket_no,
                    minor_digits=order.minor_digits,
                    lines=tuple(lines),
                )
            )
    return tuple(found), tuple(odd)


def _deal(order: Order, back: dict[str, int], item_no: str, pieces: int) -> tuple[list[ReturnedLine], int]:
    """Deal pieces of an item out to the lines that have some left; gives what no line has."""
    dealt: list[ReturnedLine] = []
    for line in order.lines:
        before = back.get(line.line_id, 0)
        now = max(0, min(pieces, line.quantity - before)) if line.sku == item_no else 0
        if now:
            net, tax = (part(max(0, minor), line.quantity, before, now) for minor in (line.net, line.tax))
            dealt.append(ReturnedLine(line_id=line.line_id, quantity=now, net=net, tax=tax))
            back[line.line_id], pieces = before + now, pieces - now
    return dealt, pieces


def in_order(order: Order) -> list[Refund]:
    """Give an order's refunds in the order in which they were made: a store's ids rise."""
    return sorted(order.refunds, key=lambda one: (len(one.refund_id), one.refund_id))


def return_marker(marker: str, number: int) -> str:
    """Give what the return ticket of a refund carries: the order's own marker, and which of its refunds, from 1."""
    return f"{marker}R{number}"


def read_return_marker(marker: str) -> tuple[str, int] | None:
    """Give the order's marker and the refund that a return ticket's marker names; None where it is not one."""
    order, _, number = marker.rpartition("R")
    return (order, int(number)) if order and number.isdecimal() and number.isascii() and int(number) else None
