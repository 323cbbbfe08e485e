"""Release tickets of Counterpoint -> what web orders tell of their shipments; what does not fit -> a person."""

from collections.abc import Sequence
from typing import Any

import pytest

from counterflow.cli.order import way_of
from counterflow.state.database import begin
from schemas.commands import Command, ReadRelease, UpdateOrder
from schemas.records import Release, ReleasedLine
from tests.flows import builders as b
from tests.flows.pipeline import Pipeline
from tests.flows.test_order_flow import known


@pytest.fixture
def placed(pipeline: Pipeline) -> Pipeline:
    """Two mugs ordered in north; their document is 500, with the ticket number 5001."""
    return with_document(pipeline, web())


def with_document(pipeline: Pipeline, order: b.Row) -> Pipeline:
    """Let an order of north have been placed as document 500."""
    known(pipeline, b.customer("C-1", "ana@example.com")).master(on=True)
    went = pipeline.take(pipeline.there("north", "orders", order))
    (place,) = [one for one in went if one.task == "orders"]
    pipeline.take(pipeline.answer(place, "applied", doc_id="500", cust_no="C-1"))
    pipeline.take(pipeline.here("PS_DOC_HDR", b.document("500", "N-1", "C-1", TKT_NO="5001")))
    return pipeline


def web(**facts: Any) -> b.Row:
    return b.order(1, "ana@example.com", b.line("MUG", 2), **facts)


def ticket(doc_id: str, number: str, **columns: Any) -> b.Row:
    """A release ticket's header, which carries the order's marker too."""
    return b.document(doc_id, "N-1", "C-1", DOC_TYP="T", TKT_NO=number, **columns)


def let_out(look: Command, quantity: int, *tracking: str, sku: str = "MUG") -> Release:
    assert isinstance(look.body, ReadRelease)
    lines = (ReleasedLine(item_no=sku, quantity=quantity),)
    return Release(doc_id=look.body.doc_id, ticket_no=look.body.ticket_no, lines=lines, tracking=tracking)


def answered(pipeline: Pipeline, look: Command, release: Release | None, fate: str = "open") -> list[Command]:
    assert isinstance(look.body, ReadRelease)
    return pipeline.take(pipeline.answer(look, "already", release=release, doc_id=look.body.doc_id, fate=fate))


def looks(went: Sequence[Command]) -> list[Command]:
    return [one for one in went if isinstance(one.body, ReadRelease)]


def told(went: Sequence[Command]) -> list[tuple[str, list[tuple[str, int, tuple[str, ...]]]]]:
    """Give what the store shall tell: the status, and of each shipment its ticket, pieces and tracking numbers."""
    return [
        (
            one.body.status,
            [(each.reference, sum(line.quantity for line in each.lines), each.tracking) for each in one.body.shipments],
        )
        for one in went
        if isinstance(one.body, UpdateOrder)
    ]


def test_what_is_released_is_told_in_the_store_part_by_part(placed: Pipeline) -> None:
    (look,) = looks(placed.take(placed.here("PS_DOC_HDR", ticket("600", "5001-01"))))
    went = answered(placed, look, let_out(look, 1, "1Z1"))
    assert told(went) == [("", [("5001-01", 1, ("1Z1",))])]
    (store,) = [one for one in went if one.task == "activities"]
    placed.take(placed.answer(store, "applied"))
    (look,) = looks(placed.take(placed.here("PS_DOC_HDR", ticket("601", "5001-02"))))
    went = answered(placed, look, let_out(look, 1))
    assert told(went) == [("completed", [("5001-01", 1, ("1Z1",)), ("5001-02", 1, ())])]
    placed.take(placed.there("north", "orders", web(status="completed")))  # Our own write comes back.
    assert placed.asked() == {}


def test_a_ticket_read_before_its_order_is_looked_up_once_that_is_known(pipeline: Pipeline) -> None:
    pipeline.master(on=True)
    assert looks(pipeline.take(pipeline.here("PS_DOC_HDR", ticket("600", "5001-01")))) == []
    (look,) = looks(pipeline.take(pipeline.here("PS_DOC_HDR", b.document("500", "N-1", "C-1", TKT_NO="5001"))))
    assert look.body == ReadRelease(doc_id="600", ticket_no="5001-01", as_of=0)


def test_a_replay_looks_nothing_up_again_and_a_change_of_the_ticket_does(placed: Pipeline) -> None:
    first = placed.here("PS_DOC_HDR", ticket("600", "5001-01"))
    (look,) = looks(placed.take(first))
    answered(placed, look, let_out(look, 1, "1Z1"))
    assert looks(placed.take(first)) == []
    assert len(looks(placed.take(placed.here("PS_DOC_HDR", ticket("600", "5001-01", STA_ID="2"))))) == 1


def test_a_tracking_number_that_is_entered_later_is_found(placed: Pipeline) -> None:
    (look,) = looks(placed.take(placed.here("PS_DOC_HDR", ticket("600", "5001-01"))))
    (store,) = [one for one in answered(placed, look, let_out(look, 2)) if one.task == "activities"]
    placed.take(placed.answer(store, "applied"))
    assert looks(placed.wait(60)) == []
    (again,) = looks(placed.wait(300))
    went = answered(placed, again, let_out(again, 2, "1Z1"))
    assert told(went) == [("completed", [("5001-01", 2, ("1Z1",))])]
    assert looks(placed.wait(86_400)) == []


def test_a_ticket_that_was_posted_stays_told_and_a_voided_one_is_a_question(placed: Pipeline) -> None:
    (look,) = looks(placed.take(placed.here("PS_DOC_HDR", ticket("600", "5001-01"))))
    answered(placed, look, let_out(look, 1, "1Z1"))
    (look,) = looks(placed.take(placed.gone_here("PS_DOC_HDR", DOC_ID="600")))
    assert told(answered(placed, look, None, "posted")) == []
    assert placed.asked() == {}
    (look,) = looks(placed.take(placed.here("PS_DOC_HDR", ticket("601", "5001-02"))))
    answered(placed, look, let_out(look, 1, "1Z2"))
    (look,) = looks(placed.take(placed.gone_here("PS_DOC_HDR", DOC_ID="601")))
    answered(placed, look, None, "gone")
    assert "5001-02" in placed.asked()["order-release:north/1"]


def test_a_ticket_posted_before_it_was_read_is_a_question(placed: Pipeline) -> None:
    (look,) = looks(placed.take(placed.here("PS_DOC_HDR", ticket("600", "5001-01"))))
    answered(placed, look, None, "posted")
    assert "posted in Counterpoint before it was read: 5001-01" in placed.asked()["order-release:north/1"]


def test_what_the_order_does_not_have_is_a_question(placed: Pipeline) -> None:
    (look,) = looks(placed.take(placed.here("PS_DOC_HDR", ticket("600", "5001-01"))))
    answered(placed, look, let_out(look, 1, "1Z1", sku="POT"))
    assert "1 of POT in 5001-01" in placed.asked()["order-release:north/1"]


def test_an_order_shipped_by_the_store_is_to_be_released_and_closes_by_itself(placed: Pipeline) -> None:
    placed.take(placed.there("north", "orders", web(status="completed")))
    assert "2 of MUG" in placed.asked()["order-shipped:north/1"]
    (look,) = looks(placed.take(placed.here("PS_DOC_HDR", ticket("600", "5001-01"))))
    answered(placed, look, let_out(look, 2, "1Z1"))
    assert placed.asked() == {}


def test_an_order_cancelled_after_its_release_wants_a_return(placed: Pipeline) -> None:
    (look,) = looks(placed.take(placed.here("PS_DOC_HDR", ticket("600", "5001-01"))))
    answered(placed, look, let_out(look, 2, "1Z1"))
    placed.take(placed.there("north", "orders", web(status="cancelled")))
    assert "enter a return" in placed.asked()["order-cancelled:north/1"]


def test_a_till_ticket_with_such_a_number_is_nobodys(placed: Pipeline) -> None:
    assert looks(placed.take(placed.here("PS_DOC_HDR", ticket("600", "7777-01")))) == []


def test_the_way_of_an_order_shows_what_was_released_and_told(placed: Pipeline) -> None:
    (look,) = looks(placed.take(placed.here("PS_DOC_HDR", ticket("600", "5001-01"))))
    (store,) = [one for one in answered(placed, look, let_out(look, 1, "1Z1")) if one.task == "activities"]
    placed.take(placed.answer(store, "applied"))
    with begin(placed.engine) as connection:
        way = way_of(connection, "north", "1")
    assert way is not None
    steps = [(one["where"], one["what"]) for one in way["steps"]]
    assert ("counterpoint", "ticket 5001-01 (open): 1 of MUG left, tracking 1Z1") in steps
    assert any(where == "north" and what.startswith("applied") for where, what in steps)
