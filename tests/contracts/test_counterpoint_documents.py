"""What becomes of a document at Counterpoint, over real https and SQL: payments, edits, voids, releases, returns."""

from typing import Any

import msgspec
import pytest

from counterflow.systems.counterpoint import releases, sql
from sandbox.counterpoint.books import Refused
from schemas.commands import (
    CompareDocument,
    DocumentPayment,
    FindDocument,
    NoteDocument,
    ReadRelease,
)
from schemas.outcomes import Outcome
from schemas.records import Release, ReleasedLine
from tests.contracts.counterpoint_shop import (
    Shop,
    a_marker,
    apply,
    order,
)


def test_fees_and_gift_cards_stand_in_the_document_as_they_were_ordered(shop: Shop) -> None:  # order-E.8, E.10
    marker = a_marker()
    payments = (
        DocumentPayment(pay_code="GIFT", amount=620, captured=True, card_no="GC-0001"),
        DocumentPayment(pay_code="CARD", amount=1850, captured=True),
    )
    outcome = apply(shop.target(), order(marker, fee_charge_no="2", fees=350, total=2470, payments=payments))
    assert (outcome.result, outcome.message) == ("applied", "")
    (document,) = [one for one in shop.books.state()["documents"] if one["DOC_ID"] == int(outcome.remote["doc_id"])]
    assert [(one["MISC_CHRG_NO"], one["MISC_AMT"]) for one in document["misc"]] == [("1", 5.0), ("2", 3.5)]
    assert [(one["PAY_COD"], one["AMT"], one["CARD_NO"]) for one in document["payments"]] == [
        ("GIFT", 6.2, "GC-0001"),
        ("CARD", 18.5, None),
    ]
    assert shop.books.state()["gift_cards"]["GC-0001"] == 43.8
    shop.books.void_document(marker)
    assert shop.books.state()["gift_cards"]["GC-0001"] == 50.0


def test_a_gift_card_that_is_not_there_refuses_the_document(shop: Shop) -> None:
    marker = a_marker()
    payments = (DocumentPayment(pay_code="GIFT", amount=2120, captured=True, card_no="4711"),)
    outcome = apply(shop.target(), order(marker, payments=payments))
    assert (outcome.result, "ERROR_INVALID_GIFTCARD_PAYMENT" in outcome.message) == ("rejected", True)
    assert shop.documents(marker) == []


def test_an_edited_order_is_told_item_by_item_until_its_document_fits(shop: Shop) -> None:  # order-E.13
    placed = order(a_marker())
    doc_id = apply(shop.target(), placed).remote["doc_id"]
    line = msgspec.structs.replace(placed.lines[0], quantity=3, net=2250)
    payment = msgspec.structs.replace(placed.payments[0], amount=2870)
    edited = msgspec.structs.replace(placed, lines=(line,), total=2870, payments=(payment,))
    same, other = (
        apply(shop.target(), CompareDocument(doc_id=doc_id, document=one, as_of=1)) for one in (placed, edited)
    )
    assert (same.result, same.remote["differs"]) == ("already", "")
    assert other.remote["differs"] == (
        "total: wanted 28.70, there 21.20; deposit: wanted 28.70, there 21.20; "
        "ITM0001: wanted 3 for 22.50, there 2 for 15.00"
    )
    shop.books.post_document(int(doc_id))
    gone = apply(shop.target(), CompareDocument(doc_id=doc_id, document=edited, as_of=2))
    assert gone.remote["differs"] == "it is not open any more"


def where(shop: Shop, marker: str, doc_id: str) -> tuple[str, str]:
    outcome = apply(shop.target(), FindDocument(marker=marker, doc_id=doc_id))
    return outcome.result, outcome.remote.get("fate", "")


def test_a_document_is_open_posted_or_gone(shop: Shop) -> None:
    first, second = a_marker(), a_marker()
    doc_id, other = (apply(shop.target(), order(marker)).remote["doc_id"] for marker in (first, second))
    assert where(shop, first, doc_id) == ("already", "open")
    shop.books.post_document(int(doc_id))
    assert where(shop, first, doc_id) == ("already", "posted")
    shop.books.void_document(second)
    assert where(shop, second, other) == ("already", "gone")


def test_a_void_frees_the_goods_and_takes_the_deposit_away(shop: Shop) -> None:
    before, marker = shop.books.state()["inventory"]["ITM0001"], a_marker()
    apply(shop.target(), order(marker))
    assert shop.books.state()["inventory"]["ITM0001"] != before
    shop.books.void_document(marker)
    state = shop.books.state()
    assert state["inventory"]["ITM0001"] == before
    assert [one for one in state["documents"] if one["CUST_PO_NO"] == marker] == []
    with pytest.raises(Refused, match="No open order"):
        shop.books.void_document(marker)


def test_where_the_posted_orders_are_not_known_nothing_is_said_to_be_gone(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "document_tables", lambda _connection: [sql.PS_DOC_HDR])
    assert where(shop, "N-1", "500") == ("held", "")


def looked_at(shop: Shop, released: dict[str, Any], *, tracking: str = "PS_DOC_PKG_TRK_NO.PKG_TRK_NO") -> Outcome:
    body = ReadRelease(doc_id=str(released["doc_id"]), ticket_no=released["ticket_no"], as_of=1)
    return apply(shop.target(tracking=tracking), body)


def test_a_release_is_read_open_and_said_to_be_posted_or_gone(shop: Shop) -> None:  # order-E.16
    marker = a_marker()
    apply(shop.target(), order(marker))
    released = shop.books.release(marker, of_age_s=0, part=True, tracking=["1Z2", "1Z1"])
    outcome = looked_at(shop, released)
    assert (outcome.result, outcome.remote["fate"]) == ("already", "open")
    assert outcome.release == Release(
        doc_id=str(released["doc_id"]),
        ticket_no=released["ticket_no"],
        lines=(ReleasedLine(item_no="ITM0001", quantity=1),),
        tracking=("1Z1", "1Z2"),
    )
    shop.books.post_document(released["doc_id"])
    outcome = looked_at(shop, released)
    assert (outcome.remote["fate"], outcome.release) == ("posted", None)  # The sandbox keeps no posted lines.
    outcome = looked_at(shop, released | {"doc_id": 1})
    assert (outcome.remote["fate"], outcome.release) == ("gone", None)


@pytest.mark.parametrize("tracking", ["", "NO_SUCH_TABLE.PKG_TRK_NO", "PS_DOC_PKG_TRK_NO.NO_SUCH_COLUMN"])
def test_where_tracking_numbers_are_not_known_a_release_has_none(shop: Shop, tracking: str) -> None:
    marker = a_marker()
    apply(shop.target(), order(marker))
    released = shop.books.release(marker, of_age_s=0, part=False, tracking=["1Z1"])
    outcome = looked_at(shop, released, tracking=tracking)
    assert outcome.release is not None
    assert (outcome.release.tracking, [one.quantity for one in outcome.release.lines]) == ((), [2])


def test_an_order_is_released_as_far_as_it_goes_and_then_not_voided(shop: Shop) -> None:
    before, marker = shop.books.state()["inventory"]["ITM0001"]["MAIN"], a_marker()
    doc_id = apply(shop.target(), order(marker)).remote["doc_id"]
    released = [shop.books.release(marker, of_age_s=0, part=part, tracking=[]) for part in (True, False)]
    number = released[0]["ticket_no"].removesuffix("-01")
    assert [one["ticket_no"] for one in released] == [f"{number}-01", f"{number}-02"]
    after = shop.books.state()["inventory"]["ITM0001"]["MAIN"]
    assert (after["on_hand"], after["commit"]) == (before["on_hand"] - 2, before["commit"])
    with pytest.raises(Refused, match="Nothing is left"):
        shop.books.release(marker, of_age_s=0, part=False, tracking=[])
    with pytest.raises(Refused, match="were released"):
        shop.books.void_document(marker)
    assert where(shop, marker, doc_id) == ("already", "open")


def test_what_a_return_took_back_is_read(shop: Shop) -> None:  # order-E.15
    marker = a_marker()
    apply(shop.target(), order(marker))
    doc_id = shop.books.enter_return(marker, {"order": marker, "lines": [["ITM0001", 1, 750]], "pay_code": "CASH"})
    (made,) = [one for one in shop.books.state()["documents"] if one["DOC_ID"] == doc_id]
    outcome = looked_at(shop, {"doc_id": doc_id, "ticket_no": made["TKT_NO"]})
    assert (made["RET_LINS"], outcome.remote["fate"]) == (1, "open")
    assert outcome.release is not None
    assert (outcome.release.lines, outcome.release.returned) == ((), (ReleasedLine(item_no="ITM0001", quantity=1),))


def test_an_order_on_hold_is_found_and_not_placed_again(shop: Shop) -> None:
    placed = order(a_marker())
    doc_id = apply(shop.target(), placed).remote["doc_id"]
    shop.books.hold(placed.marker, is_held=True)
    assert apply(shop.target(), placed).remote["doc_id"] == doc_id
    shop.books.hold(placed.marker, is_held=False)
    with pytest.raises(Refused, match="No such open order"):
        shop.books.hold(placed.marker, is_held=False)


def test_a_documents_note_is_looked_for_before_it_is_added(shop: Shop) -> None:
    doc_id = apply(shop.target(), order(a_marker())).remote["doc_id"]
    results = [
        apply(shop.target(), NoteDocument(doc_id=doc_id, says=says)).result
        for says in (("9400",), ("9400",), ("9400", "9401"), ("9401",))
    ]
    (made,) = [one for one in shop.books.state()["documents"] if one["DOC_ID"] == int(doc_id)]
    assert results == ["applied", "already", "applied", "already"]
    assert [one["NOTE"] for one in made["notes"] if "tracking" in one["NOTE"]] == [
        "Shipped by the web store, tracking 9400",
        "Shipped by the web store, tracking 9400, 9401",
    ]


def test_where_lines_may_not_be_read_nothing_is_said_of_a_release(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        releases, "PLACES", tuple((fate, head, releases._lines("NO")) for fate, head, _ in releases.PLACES)
    )
    marker = a_marker()
    apply(shop.target(), order(marker))
    released = shop.books.release(marker, of_age_s=0, part=False, tracking=[])
    assert looked_at(shop, released).result == "held"
