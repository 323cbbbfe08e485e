"""An order that is changed after its document was placed: staff are told what to edit, until it fits (order-E.13)."""

from collections.abc import Sequence

import pytest

from processors.batch import Arrived
from schemas.commands import Command, CompareDocument
from tests.flows import builders as b
from tests.flows.pipeline import Pipeline
from tests.flows.test_order_flow import known

DIFFERS = "MUG: wanted 2 for 20.00, there 1 for 10.00"


@pytest.fixture
def placed(pipeline: Pipeline) -> Pipeline:
    """One mug ordered in north; its document is 500."""
    known(pipeline, b.customer("C-1", "ana@example.com")).master(on=True)
    (place,) = [one for one in pipeline.take(web(pipeline, 1)) if one.task == "orders"]
    pipeline.take(pipeline.answer(place, "applied", doc_id="500", cust_no="C-1"))
    pipeline.take(pipeline.here("PS_DOC_HDR", b.document("500", "N-1", "C-1")))
    return pipeline


def web(pipeline: Pipeline, quantity: int, sku: str = "MUG") -> Arrived:
    return pipeline.there("north", "orders", b.order(1, "ana@example.com", b.line(sku, quantity, f"{quantity}0.00")))


def looks(went: Sequence[Command]) -> list[Command]:
    return [one for one in went if isinstance(one.body, CompareDocument)]


def edited_there(pipeline: Pipeline, station: str) -> list[Command]:
    return looks(pipeline.take(pipeline.here("PS_DOC_HDR", b.document("500", "N-1", "C-1", STA_ID=station))))


def test_staff_are_told_what_differs_until_the_document_fits(placed: Pipeline) -> None:
    (look,) = looks(placed.take(web(placed, 2)))
    placed.take(placed.answer(look, "already", doc_id="500", differs=DIFFERS))
    assert placed.asked() == {
        "order-edited:north/1": f"the order was changed in the store after its document was placed: edit N-1: {DIFFERS}"
    }
    (look,) = edited_there(placed, "2")
    placed.take(placed.answer(look, "already", doc_id="500", differs=DIFFERS))
    assert list(placed.asked()) == ["order-edited:north/1"]
    (look,) = edited_there(placed, "3")
    placed.take(placed.answer(look, "already", doc_id="500", differs=""))
    assert (placed.asked(), placed.state_of("north/1")) == ({}, "done")
    assert [one for one in placed.take(web(placed, 2)) if one.task in {"orders", "documents"}] == []
    assert placed.body_of("north/1")["lines"][0]["quantity"] == 2
    assert edited_there(placed, "4") == []  # Nobody asks any more.


def test_an_order_changed_back_asks_nothing_any_more(placed: Pipeline) -> None:
    (look,) = looks(placed.take(web(placed, 2)))
    placed.take(placed.answer(look, "already", doc_id="500", differs=DIFFERS))
    (look,) = looks(placed.take(web(placed, 1)))
    placed.take(placed.answer(look, "already", doc_id="500", differs=""))
    assert placed.asked() == {}
    assert looks(placed.take(web(placed, 1))) == []


def test_an_order_changed_back_after_staff_had_edited_its_document_is_asked_about(placed: Pipeline) -> None:
    (look,) = looks(placed.take(web(placed, 2)))
    placed.take(placed.answer(look, "already", doc_id="500", differs=DIFFERS))
    (look,) = edited_there(placed, "2")
    placed.take(web(placed, 1))
    (look,) = looks(placed.take(placed.answer(look, "already", doc_id="500", differs="")))
    placed.take(placed.answer(look, "already", doc_id="500", differs="MUG: wanted 1 for 10.00, there 2 for 20.00"))
    assert "the document is not what the order says: edit N-1: MUG: wanted 1" in placed.asked()["order-edited:north/1"]
    (look,) = edited_there(placed, "3")
    placed.take(placed.answer(look, "already", doc_id="500", differs=""))
    assert placed.asked() == {}


@pytest.fixture
def unanswered(pipeline: Pipeline) -> Pipeline:
    """One mug ordered in north; nobody knows yet what became of the request."""
    known(pipeline, b.customer("C-1", "ana@example.com")).master(on=True)
    (place,) = [one for one in pipeline.take(web(pipeline, 1)) if one.task == "orders"]
    pipeline.take(pipeline.answer(place, "waiting", "no answer"))
    return pipeline


def test_a_document_that_nobody_answered_for_is_compared_once_it_is_seen(unanswered: Pipeline) -> None:  # order-E.12
    (again,) = [one for one in unanswered.take(web(unanswered, 2)) if one.task == "orders"]
    unanswered.take(unanswered.answer(again, "waiting", "no connection"))  # It is there with one mug already.
    (look,) = edited_there(unanswered, "1")
    assert unanswered.state_of("north/1") == "done"
    unanswered.take(unanswered.answer(look, "already", doc_id="500", differs=DIFFERS))
    assert unanswered.asked() == {
        "order-edited:north/1": f"the document is not what the order says: edit N-1: {DIFFERS}"
    }
    assert looks(unanswered.take(web(unanswered, 2))) == []
    assert list(unanswered.asked()) == ["order-edited:north/1"]
    (look,) = edited_there(unanswered, "2")
    unanswered.take(unanswered.answer(look, "already", doc_id="500", differs=""))
    assert unanswered.asked() == {}


def test_a_document_that_nobody_answered_for_may_be_posted_before_it_is_read(unanswered: Pipeline) -> None:
    (look,) = edited_there(unanswered, "1")
    unanswered.take(unanswered.answer(look, "already", doc_id="500", differs="it is not open any more", fate="left"))
    assert unanswered.asked() == {}


def test_a_document_that_was_placed_before_its_item_was_gone_counts(unanswered: Pipeline) -> None:
    unanswered.take(web(unanswered, 1, "POT"))
    assert unanswered.state_of("north/1") == "dropped"
    edited_there(unanswered, "1")
    assert unanswered.state_of("north/1") == "done"
    assert list(unanswered.asked()) == ["order-edited:north/1"]
    assert "no item 'POT'" in unanswered.asked()["order-edited:north/1"]
    (look,) = looks(unanswered.take(web(unanswered, 1)))  # Changed back: only now can it be compared.
    unanswered.take(unanswered.answer(look, "already", doc_id="500", differs=""))
    assert unanswered.asked() == {}


def test_a_document_that_left_for_a_moment_is_still_asked_about(placed: Pipeline) -> None:
    (look,) = looks(placed.take(web(placed, 2)))
    placed.take(placed.answer(look, "already", doc_id="500", differs=DIFFERS))
    (find,) = [one for one in placed.take(placed.gone_here("PS_DOC_HDR", DOC_ID="500")) if one.task == "documents"]
    placed.take(placed.answer(find, "already", doc_id="500", fate="open"))
    assert len(edited_there(placed, "2")) == 1
    assert list(placed.asked()) == ["order-edited:north/1"]


def test_an_answer_about_an_edit_that_was_edited_again_counts_no_more(placed: Pipeline) -> None:
    (look,) = looks(placed.take(web(placed, 2)))
    placed.take(web(placed, 3))
    (again,) = looks(placed.take(placed.answer(look, "already", doc_id="500", differs="")))
    assert (placed.body_of("north/1")["lines"][0]["quantity"], placed.asked()) == (1, {})
    placed.take(placed.answer(again, "already", doc_id="500", differs=DIFFERS))
    assert list(placed.asked()) == ["order-edited:north/1"]


def test_an_edit_that_could_be_no_document_says_why(placed: Pipeline) -> None:
    assert looks(placed.take(web(placed, 1, "POT"))) == []
    assert "no item 'POT'" in placed.asked()["order-edited:north/1"]


def test_an_edit_on_the_way_is_found_once_the_document_is_there(pipeline: Pipeline) -> None:
    pipeline.take(
        pipeline.here("IM_ITEM", b.item("MUG")), pipeline.here("AR_CUST", b.customer("C-1", "ana@example.com"))
    )
    pipeline.master(on=True)
    (place,) = [one for one in pipeline.take(web(pipeline, 1)) if one.task == "orders"]
    assert looks(pipeline.take(web(pipeline, 2))) == []
    went = pipeline.take(pipeline.answer(place, "applied", doc_id="500", cust_no="C-1"))
    assert len(looks(went)) == 1
