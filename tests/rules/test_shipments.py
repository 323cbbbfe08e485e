"""order-E.16: what was released is dealt out to the order's lines, never more than there is, and nothing is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from processors.rules.shipments import order_number, shipped
from schemas.records import Order, Refund, RefundLine, Release, ReleasedLine
from tests.rules.test_documents import line, order

SKUS = ("CUP", "MUG", "POT")


@pytest.mark.parametrize(
    ("ticket", "number"),
    [("5001-01", "5001"), ("5001", None), ("N-1-12", "N-1"), ("5001-1", None), ("-01", None), ("5001-001", None)],
)
def test_a_release_ticket_names_its_order(ticket: str, number: str | None) -> None:
    assert order_number(ticket) == number


def release(number: int, *lines: tuple[str, int], tracking: tuple[str, ...] = ()) -> Release:
    released = tuple(ReleasedLine(item_no=sku, quantity=quantity) for sku, quantity in lines)
    return Release(doc_id=str(600 + number), ticket_no=f"5001-{number:02d}", lines=released, tracking=tracking)


def bought(*lines: tuple[str, int], **facts: object) -> Order:
    rows = [replace(line(sku=sku, quantity=quantity), line_id=str(at)) for at, (sku, quantity) in enumerate(lines)]
    return order(*rows, **facts)


orders = st.lists(st.tuples(st.sampled_from(SKUS), st.integers(1, 5)), min_size=1, max_size=5)
pieces = st.lists(st.tuples(st.sampled_from((*SKUS, "LID")), st.integers(1, 6)), max_size=4)


@given(orders, st.lists(pieces, max_size=4))
def test_every_piece_is_dealt_out_once_or_said_to_be_odd(
    lines: list[tuple[str, int]], releases: list[list[tuple[str, int]]]
) -> None:
    web = bought(*lines)
    found = shipped(web, [release(at, *one) for at, one in enumerate(releases, 1)])
    for at, one in enumerate(web.lines):
        dealt = sum(part.quantity for each in found.shipments for part in each.lines if part.line_id == str(at))
        assert 0 <= dealt <= one.quantity
    for sku in (*SKUS, "LID"):
        wanted = sum(quantity for name, quantity in lines if name == sku)
        let_out = sum(quantity for each in releases for name, quantity in each if name == sku)
        dealt = sum(part.quantity for each in found.shipments for part in each.lines if part.sku == sku)
        assert dealt == min(wanted, let_out)
        assert dict(found.left).get(sku, 0) == wanted - dealt
        odd = sum(int(text.split(" ")[0]) for text in found.odd if f" of {sku} in " in text)
        assert odd == let_out - dealt
    assert found.is_all == (bool(found.shipments) and not found.left)


def test_what_was_refunded_with_its_goods_need_not_leave() -> None:
    back = Refund(refund_id="9", amount=100, lines=(RefundLine(line_id="1", quantity=2, net=100, tax=0),))
    web = bought(("MUG", 1), ("CUP", 2), refunds=(back,))
    found = shipped(web, [release(1, ("MUG", 1), tracking=("1Z9",))])
    assert (found.is_all, found.shipments[0].tracking, found.odd) == (True, ("1Z9",), ())


def test_an_order_of_which_nothing_left_is_not_done_although_all_was_refunded() -> None:
    back = Refund(refund_id="9", amount=100, lines=(RefundLine(line_id="0", quantity=1, net=100, tax=0),))
    assert not shipped(bought(("MUG", 1), refunds=(back,)), []).is_all
