"""Returns at the till, holds, and tracking numbers of the store -> the other side; what does not fit -> a person."""

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import Engine

from schemas.commands import Command, NoteDocument, ReadRelease, RecordReturn, ReturnedLine, UpdateOrder
from schemas.records import Release, ReleasedLine
from schemas.requests import DecideReview
from tests.flows import builders as b
from tests.flows.pipeline import Pipeline
from tests.flows.test_order_flow import known
from tests.flows.test_shipment_flow import with_document

LINE = {"subtotal": "10.00", "total": "10.00", "total_tax": "0.80"}


@pytest.fixture
def placed(pipeline: Pipeline) -> Pipeline:
    """Three mugs for 10.00 and 0.80 tax, ordered in north; their document is 500, with the ticket number 5001."""
    return with_document(pipeline, web())


def web(**facts: Any) -> b.Row:
    taxes = [{"rate_code": "US-TAX-1", "rate_id": 1, "tax_total": "0.80", "shipping_tax_total": "0.00"}]
    row = b.order(1, "ana@example.com", b.line("MUG", 3) | LINE, tax_lines=taxes, total_tax="0.80")
    return row | {"total": "10.80"} | facts


def refunded(number: int, pieces: int, total: str, tax: str, reason: str = "") -> b.Row:
    line = {"id": 77, "quantity": -pieces, "total": f"-{total}", "total_tax": f"-{tax}"}
    line["meta_data"] = [{"key": "_refunded_item_id", "value": "1"}]
    amount = f"{float(total) + float(tax):.2f}"
    return {"id": number, "amount": amount, "reason": reason, "line_items": [line], "shipping_lines": []}


def came_back(pipeline: Pipeline, doc_id: str, number: str, pieces: int, sku: str = "MUG") -> list[Command]:
    """Let the till take pieces back on a ticket that carries the order's marker; gives what is sent for it."""
    row = b.document(doc_id, "N-1", "C-1", DOC_TYP="T", TKT_NO=number, RET_LINS=1)
    (look,) = [one for one in pipeline.take(pipeline.here("PS_DOC_HDR", row)) if isinstance(one.body, ReadRelease)]
    found = Release(doc_id=doc_id, ticket_no=number, lines=(), returned=(ReleasedLine(item_no=sku, quantity=pieces),))
    return pipeline.take(pipeline.answer(look, "already", release=found, doc_id=doc_id, fate="open"))


def records_of(went: Sequence[Command]) -> list[tuple[str, int, int, int]]:
    """Give what the store shall record: ticket, pieces, net, tax."""
    return [
        (one.body.reference, line.quantity, line.net, line.tax)
        for one in went
        if isinstance(one.body, RecordReturn)
        for line in one.body.lines
    ]


def test_returns_at_the_till_are_recorded_in_the_store_to_the_cent(placed: Pipeline) -> None:
    went = came_back(placed, "700", "8001", 1)
    assert records_of(went) == [("8001", 1, 333, 27)]
    (record,) = [one for one in went if isinstance(one.body, RecordReturn)]
    assert record.body.lines == (ReturnedLine(line_id="1", quantity=1, net=333, tax=27),)  # type: ignore[union-attr]
    placed.take(placed.answer(record, "applied"))
    first = refunded(90, 1, "3.33", "0.27", "Counterpoint return 8001")
    placed.take(placed.there("north", "orders", web(refunds=[first])))
    assert records_of(came_back(placed, "701", "8002", 2)) == [("8002", 2, 667, 53)]
    assert placed.asked() == {}  # Nobody is asked to enter a return that was taken at the till.


def test_a_return_is_recorded_once_whatever_is_read_again(placed: Pipeline) -> None:
    went = came_back(placed, "700", "8001", 1)
    (record,) = [one for one in went if isinstance(one.body, RecordReturn)]
    placed.take(placed.answer(record, "applied"))
    shown = placed.there("north", "orders", web(refunds=[refunded(90, 1, "3.33", "0.27", "Counterpoint return 8001")]))
    assert records_of(placed.take(shown)) == []
    assert records_of(placed.take(shown)) == []
    again = placed.there("north", "orders", web(status="completed", refunds=[]))  # Read before the refund was there.
    assert records_of(placed.take(again)) == []


def test_a_refund_of_the_stores_own_still_asks_for_its_return(placed: Pipeline) -> None:
    both = [refunded(90, 1, "3.33", "0.27", "Counterpoint return 8001"), refunded(91, 1, "3.33", "0.27", "broken")]
    placed.take(placed.there("north", "orders", web(refunds=both)))
    assert [name for name in placed.asked() if name.startswith("order-refund")] == ["order-refund:north/1/R2"]


def test_what_the_order_does_not_have_any_more_is_a_question(placed: Pipeline) -> None:
    placed.take(placed.there("north", "orders", web(refunds=[refunded(90, 3, "10.00", "0.80")])))
    assert records_of(came_back(placed, "700", "8001", 1)) == []
    assert "1 of MUG in 8001" in placed.asked()["order-release:north/1"]


def test_an_order_that_came_back_whole_asks_nobody_for_a_return(placed: Pipeline) -> None:
    released(placed, "600", "5001-01", 3)
    came_back(placed, "700", "8001", 3)
    whole = refunded(90, 3, "10.00", "0.80", "Counterpoint return 8001")
    placed.take(placed.there("north", "orders", web(status="refunded", refunds=[whole])))
    assert placed.asked() == {}


def test_a_shop_that_records_returns_by_hand_is_told_and_closes_by_itself(database: Engine) -> None:
    placed = with_document(Pipeline(database, b.shop(sites={"records_returns": False})), web())
    assert records_of(came_back(placed, "700", "8001", 1)) == []
    assert "with Counterpoint return 8001 as its reason" in placed.asked()["order-return:north/1/700"]
    by_hand = refunded(90, 1, "3.33", "0.27", "Counterpoint return 8001")
    placed.take(placed.there("north", "orders", web(refunds=[by_hand])))
    assert placed.asked() == {}


def released(pipeline: Pipeline, doc_id: str, number: str, pieces: int) -> list[Command]:
    out = b.document(doc_id, "N-1", "C-1", DOC_TYP="T", TKT_NO=number)
    (look,) = [one for one in pipeline.take(pipeline.here("PS_DOC_HDR", out)) if isinstance(one.body, ReadRelease)]
    left = Release(doc_id=doc_id, ticket_no=number, lines=(ReleasedLine(item_no="MUG", quantity=pieces),))
    return pipeline.take(pipeline.answer(look, "already", release=left, doc_id=doc_id, fate="open"))


def told(went: Sequence[Command]) -> list[UpdateOrder]:
    return [one.body for one in went if isinstance(one.body, UpdateOrder)]


def test_a_piece_that_came_back_had_left_so_the_rest_still_has_to(placed: Pipeline) -> None:
    (tell,) = [one for one in released(placed, "600", "5001-01", 1) if isinstance(one.body, UpdateOrder)]
    placed.take(placed.answer(tell, "applied"))
    came_back(placed, "700", "8001", 1)
    shown = web(refunds=[refunded(90, 1, "3.33", "0.27", "Counterpoint return 8001")])
    assert told(placed.take(placed.there("north", "orders", shown))) == []
    assert [one.status for one in told(released(placed, "601", "5001-02", 2))] == ["completed"]


def test_what_else_was_sold_on_a_returns_ticket_is_no_shipment(placed: Pipeline) -> None:
    row = b.document(
        "700", "N-1", "C-1", DOC_TYP="T", TKT_NO="8001", RET_LINS=1, STR_ID="MAIN"
    )  # Another store's till.
    (look,) = [one for one in placed.take(placed.here("PS_DOC_HDR", row)) if isinstance(one.body, ReadRelease)]
    line = ReleasedLine(item_no="MUG", quantity=1)
    found = Release(doc_id="700", ticket_no="8001", lines=(line,), returned=(line,))
    went = placed.take(placed.answer(look, "already", release=found, doc_id="700", fate="open"))
    assert (told(went), records_of(went)) == ([], [("8001", 1, 333, 27)])


def test_what_may_be_the_stores_own_refund_is_asked_and_not_recorded_twice(placed: Pipeline) -> None:
    placed.take(placed.there("north", "orders", web(refunds=[refunded(90, 1, "3.33", "0.27")])))
    assert records_of(came_back(placed, "700", "8001", 1)) == []
    assert "the store has refunded such pieces by itself" in placed.asked()["order-return:north/1/700"]
    placed.take(placed.request(DecideReview(review="order-return:north/1/700", decision="drop")))
    own = b.document("701", "N-1R1", "C-1", DOC_TYP="T", TKT_NO="8002")  # And the return that was asked for.
    assert records_of(placed.take(placed.here("PS_DOC_HDR", own))) == []
    assert placed.asked() == {}


def test_a_return_that_was_voided_before_it_was_sent_is_not_recorded(placed: Pipeline) -> None:
    placed.task("north", "activities", enabled=False)
    assert came_back(placed, "700", "8001", 1) == []
    (look,) = [one for one in placed.take(placed.gone_here("PS_DOC_HDR", DOC_ID="700"))]
    placed.take(placed.answer(look, "already", doc_id="700", fate="gone"))
    assert records_of(placed.task("north", "activities")) == []


def test_an_order_of_which_some_never_left_is_still_to_be_voided(placed: Pipeline) -> None:
    released(placed, "600", "5001-01", 1)
    all_of_it = web(status="refunded", refunds=[refunded(90, 3, "10.00", "0.80")])
    placed.take(placed.there("north", "orders", all_of_it))
    assert list(placed.asked()) == ["order-cancelled:north/1"]


def test_a_document_on_hold_is_told_in_the_store_until_it_goes_on(placed: Pipeline) -> None:
    held = b.document("500", "N-1", "C-1", TKT_NO="5001", DOC_TYP="H")
    (note,) = [one for one in placed.take(placed.here("PS_DOC_HDR", held)) if isinstance(one.body, UpdateOrder)]
    assert (note.body.hold, note.body.status) == ("on", "")  # type: ignore[union-attr]
    assert "document N-1 was put on hold" in placed.asked()["order-held:north/1"]
    placed.take(placed.answer(note, "applied"))
    went = placed.take(placed.here("PS_DOC_HDR", b.document("500", "N-1", "C-1", TKT_NO="5001")))
    assert [one.hold for one in told(went)] == ["off"]
    assert placed.asked() == {}


def test_a_hold_of_an_order_that_is_cancelled_is_nobodys_question_any_more(placed: Pipeline) -> None:
    placed.take(placed.here("PS_DOC_HDR", b.document("500", "N-1", "C-1", TKT_NO="5001", DOC_TYP="H")))
    placed.take(placed.there("north", "orders", web(status="cancelled")))
    assert list(placed.asked()) == ["order-cancelled:north/1"]


def test_a_tracking_number_that_is_known_before_the_documents_row_reaches_it(pipeline: Pipeline) -> None:
    known(pipeline, b.customer("C-1", "ana@example.com")).master(on=True)
    numbers = [{"key": "_wc_shipment_tracking_items", "value": {"1": {"tracking_number": "9400"}}}]
    (place,) = [one for one in pipeline.take(pipeline.there("north", "orders", web())) if one.task == "orders"]
    pipeline.take(pipeline.there("north", "orders", web(status="completed", meta_data=numbers)))
    pipeline.take(pipeline.answer(place, "applied", doc_id="500", cust_no="C-1"))
    went = pipeline.take(pipeline.here("PS_DOC_HDR", b.document("500", "N-1", "C-1", TKT_NO="5001")))
    (note,) = [one.body for one in went if isinstance(one.body, NoteDocument)]
    assert note == NoteDocument(doc_id="500", says=("9400",))


def test_the_stores_tracking_numbers_reach_the_document_once(placed: Pipeline) -> None:
    numbers = [{"key": "_wc_shipment_tracking_items", "value": {"1": {"tracking_number": "9400"}, "2": {}}}]
    shipped = placed.there("north", "orders", web(status="completed", meta_data=numbers))
    (note,) = [one for one in placed.take(shipped) if isinstance(one.body, NoteDocument)]
    assert note.body == NoteDocument(doc_id="500", says=("9400",))
    assert "tracking 9400" in placed.asked()["order-shipped:north/1"]
    placed.take(placed.answer(note, "applied"))
    assert [one for one in placed.take(shipped) if isinstance(one.body, NoteDocument)] == []
