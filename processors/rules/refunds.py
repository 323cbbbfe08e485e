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
from schemas.records import Order, Refund, Release, ReleasedLine


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


def number_of(ticket: Release) -> str:
    """Give what a ticket is called in the store."""
    return ticket.ticket_no or ticket.doc_id


def taken_back(
    order: Order, nets: Mapping[str, int], tickets: Sequence[Release]
) -> tuple[tuple[RecordReturn, ...], tuple[str, ...]]:
    """Decide what the order shall show of returns that nobody in the store has recorded.

    Pieces are dealt out to the lines of their item that still have some. With them a line's money comes back, as far
    as it has not by then: whatever the parts, and in whichever order they are recorded, they add up to the line.

    Args:
        order: The order, with all its refunds.
        nets: What each of its lines comes to, by line id, after its share of a discount on the whole order.
        tickets: Those of its tickets that stand, in the order in which they were made.

    Returns:
        What to record, ticket by ticket, and what does not fit the order.
    """
    back = {line.line_id: [0, 0, 0] for line in order.lines}  # Pieces, net, tax.
    for one in (line for refund in order.refunds for line in refund.lines if line.line_id in back):
        for at, value in enumerate((one.quantity, one.net, one.tax)):
            back[one.line_id][at] += value
    recorded = [refund for refund in order.refunds if refund.reference]
    found, odd = [], []
    for ticket in (one for one in tickets if one.returned):
        mine = [refund for refund in recorded if refund.reference == number_of(ticket)]
        if mine:
            odd += _unlike(order, mine, ticket)
            continue
        lines: list[ReturnedLine] = []
        for came in ticket.returned:
            dealt, rest = _deal(order, nets, back, came)
            lines += dealt
            odd += [f"{rest} of {came.item_no} in {number_of(ticket)}"] if rest else []
        if lines:
            own = RecordReturn(
                order_id=order.key,
                reference=number_of(ticket),
                minor_digits=order.minor_digits,
                lines=tuple(lines),
            )
            found.append(own)
    return tuple(found), tuple(odd)


def _unlike(order: Order, recorded: Sequence[Refund], ticket: Release) -> list[str]:
    """Say what a ticket took back beyond what was recorded of it, or that it was recorded more than once."""
    if len(recorded) > 1:
        return [f"{number_of(ticket)} is recorded {len(recorded)} times"]
    skus = {line.line_id: line.sku for line in order.lines}
    shown: dict[str, int] = {}
    for line in recorded[0].lines:
        sku = skus.get(line.line_id, "")
        shown[sku] = shown.get(sku, 0) + line.quantity
    more = [(came.item_no, came.quantity - shown.get(came.item_no, 0)) for came in ticket.returned]
    return [f"{pieces} of {item_no} in {number_of(ticket)}" for item_no, pieces in more if pieces > 0]


def _deal(
    order: Order, nets: Mapping[str, int], back: dict[str, list[int]], came: ReleasedLine
) -> tuple[list[ReturnedLine], int]:
    """Deal pieces of an item out to the lines that have some left; gives what no line has."""
    dealt: list[ReturnedLine] = []
    pieces = came.quantity
    for line in (one for one in order.lines if one.sku == came.item_no):
        so_far = back[line.line_id]
        now = max(0, min(pieces, line.quantity - so_far[0]))
        if now:
            net, tax = (
                max(0, part(max(0, minor), line.quantity, 0, so_far[0] + now) - given)
                for minor, given in ((nets[line.line_id], so_far[1]), (line.tax, so_far[2]))
            )
            dealt.append(ReturnedLine(line_id=line.line_id, quantity=now, net=net, tax=tax))
            back[line.line_id] = [so_far[0] + now, so_far[1] + net, so_far[2] + tax]
            pieces -= now
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
