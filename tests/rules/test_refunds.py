"""What return a refund asks for (order-E.15, law P4)."""

import random
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from processors.rules.documents import nets
from processors.rules.refunds import read_return_marker, return_marker, return_of, taken_back
from schemas.records import Order, Refund, RefundLine, Release, ReleasedLine
from tests.rules.test_documents import SITE, line, order


def refund(refund_id: str, amount: int, *lines: RefundLine, **facts: Any) -> Refund:
    return Refund(refund_id=refund_id, amount=amount, lines=lines, **facts)


def back(line_id: str, quantity: int, net: int = 0, tax: int = 0) -> RefundLine:
    return RefundLine(line_id=line_id, quantity=quantity, net=net, tax=tax)


def net_of(one: Order) -> dict[str, int]:
    return {found.line_id: net for found, net in zip(one.lines, nets(one, SITE), strict=True)}


def test_pieces_come_back_at_the_net_price_of_the_document() -> None:
    bought = order(line(quantity=3, net=1000), refunds=(refund("9", 667, back("1", 2, 667)),))
    made = return_of(bought, net_of(bought), 0, "N-12R1")
    assert (made.lines, made.goodwill, made.amount) == ((("A", 2, 667),), 0, 667)


def test_shipping_tax_and_goodwill_are_told_apart() -> None:
    given_back = refund("9", 2000, back("1", 1, 1000, 80), shipping=500, shipping_tax=40)
    bought = order(line(quantity=1, net=1000), refunds=(given_back,))
    made = return_of(bought, net_of(bought), 0, "N-12R1")
    assert (made.shipping, made.tax, made.goodwill) == (500, 120, 380)
    assert made.text(2, ["CARD"]) == "1 of A for 10.00; shipping 5.00; tax 1.20; goodwill 3.80; 20.00 back on CARD"


def test_money_without_goods_is_goodwill() -> None:
    bought = order(line(), refunds=(refund("9", 250),))
    assert return_of(bought, net_of(bought), 0, "m").text(2, []) == "goodwill 2.50; 2.50 back on what was paid with"


def test_more_pieces_than_were_bought_are_not_believed() -> None:
    bought = order(
        line(quantity=1, net=1000), refunds=(refund("8", 1000, back("1", 1)), refund("9", 500, back("1", 1)))
    )
    made = return_of(bought, net_of(bought), 1, "m")
    assert (made.lines, made.goodwill) == ((), 500)


@given(
    st.lists(st.tuples(st.integers(1, 12), st.integers(0, 10_000)), min_size=1, max_size=5),
    st.floats(0, 1),
    st.integers(0, 2**32),
)
def test_whatever_the_parts_the_returns_add_up_to_the_document(  # P4
    bought: list[tuple[int, int]], off: float, seed: int
) -> None:
    dice = random.Random(seed)
    lines = [
        msgspec.structs.replace(line(quantity=quantity, net=net), line_id=str(at))
        for at, (quantity, net) in enumerate(bought)
    ]
    discount = int(sum(net for _, net in bought) * off)
    pieces = [one.line_id for one in lines for _ in range(one.quantity)]
    dice.shuffle(pieces)
    parts: list[list[str]] = []
    while pieces:
        size = dice.randint(1, len(pieces))
        parts.append(pieces[:size])
        pieces = pieces[size:]
    made = tuple(
        refund(str(at), 1, *(back(line_id, some.count(line_id)) for line_id in sorted(set(some))))
        for at, some in enumerate(parts, 90)
    )
    whole = order(*lines, discount=discount, refunds=made)
    returns = [return_of(whole, net_of(whole), number, "m") for number in range(len(made))]
    assert sum(net for one in returns for _, _, net in one.lines) == sum(net_of(whole).values())


@given(st.integers(1, 99))
def test_a_return_names_its_order_and_its_number(number: int) -> None:
    assert read_return_marker(return_marker("N-12", number)) == ("N-12", number)


def test_an_orders_own_marker_is_no_return() -> None:
    assert [read_return_marker(one) for one in ("N-12", "R-12", "N-12R", "N-12Rx", "N-12R0", "")] == [None] * 6


def ticket(number: str, *came: tuple[str, int]) -> Release:
    back = tuple(ReleasedLine(item_no=item_no, quantity=pieces) for item_no, pieces in came)
    return Release(doc_id=number, ticket_no=number, lines=(), returned=back)


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 999), st.integers(0, 99)), min_size=1),
    st.integers(0, 2000),
    st.data(),
)
def test_whatever_comes_back_at_the_till_the_store_shows_no_cent_more_or_less(  # order-E.15, P4
    bought: list[tuple[int, int, int]], discount: int, data: st.DataObject
) -> None:
    lines = [
        msgspec.structs.replace(line(quantity=quantity, net=net, tax=tax), line_id=str(at))
        for at, (quantity, net, tax) in enumerate(bought)
    ]
    now = order(*lines, discount=min(discount, sum(net for _, net, _ in bought)))
    left, tickets = sum(one.quantity for one in lines), list[Release]()
    while left:  # All lines are of one item.
        pieces = data.draw(st.integers(1, left))
        left -= pieces
        tickets.append(ticket(f"80{len(tickets):02d}", ("A", pieces)))
    waiting = list(tickets)
    while waiting:  # In any order: one may be refused for a while.
        records, odd = taken_back(now, net_of(now), tickets)
        one = data.draw(st.sampled_from(records))
        assert (sum(each.quantity for each in one.lines), odd) == (
            next(each.returned[0].quantity for each in waiting if each.ticket_no == one.reference),
            (),
        )
        shown = tuple(back(each.line_id, each.quantity, each.net, each.tax) for each in one.lines)
        amount = sum(each.net + each.tax for each in one.lines)
        made = refund(str(900 + len(now.refunds)), amount, *shown, reference=one.reference)
        now = msgspec.structs.replace(now, refunds=(*now.refunds, made))
        waiting = [each for each in waiting if each.ticket_no != one.reference]
    assert sum(one.amount for one in now.refunds) == sum(net_of(now).values()) + sum(tax for *_, tax in bought)
    assert taken_back(now, net_of(now), tickets) == ((), ())
    assert taken_back(now, net_of(now), [*tickets, ticket("9999", ("A", 1))]) == ((), ("1 of A in 9999",))


def test_a_return_that_is_recorded_in_part_or_twice_is_said() -> None:
    shown = [refund(str(number), 500, back("1", 1, 500), reference="8001") for number in (90, 91)]
    bought = order(line(quantity=3, net=1500), refunds=tuple(shown[:1]))
    assert taken_back(bought, net_of(bought), [ticket("8001", ("A", 2))]) == ((), ("1 of A in 8001",))
    bought = order(line(quantity=3, net=1500), refunds=tuple(shown))
    assert taken_back(bought, net_of(bought), [ticket("8001", ("A", 1))]) == ((), ("8001 is recorded 2 times",))
