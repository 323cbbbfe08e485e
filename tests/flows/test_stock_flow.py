"""Counterpoint's stock and the stores' orders -> what each store may offer (order-E.9). An order counts once."""

import itertools
from dataclasses import replace

import pytest

from tests.flows import builders as b
from tests.flows.pipeline import Pipeline


def open_shop(pipeline: Pipeline, on_hand: int = 10) -> Pipeline:
    """Mugs in Counterpoint and in both stores, and one customer."""
    pipeline.take(
        pipeline.there("north", "products", b.product(1, "MUG", 0)),
        pipeline.there("south", "products", b.product(1, "MUG", 0)),
        pipeline.here("IM_ITEM", b.item("MUG")),
        pipeline.here("IM_INV", b.stock("MUG", on_hand)),
        pipeline.here("AR_CUST", b.customer("C-1", "ana@example.com")),
    )
    return pipeline


ORDER = b.order(1, "ana@example.com", b.line("MUG", 3))


@pytest.mark.parametrize("first", list(itertools.permutations(["order", "document", "stock"])), ids=" ".join)
@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one by one"])
def test_an_order_counts_once_whichever_word_comes_first(
    pipeline: Pipeline, first: tuple[str, ...], together: bool
) -> None:
    """order-P7: the document and the commit of its line are one transaction, so one reading shows both."""
    open_shop(pipeline)
    reading = pipeline.next_position()
    words = {
        "order": pipeline.there("north", "orders", ORDER),
        "document": pipeline.here("PS_DOC_HDR", b.document("500", "N-1", "C-1"), position=reading),
        "stock": pipeline.here("IM_INV", b.stock("MUG", 10, 3), position=reading),
    }
    batch = [words[name] for name in first]
    for part in [batch] if together else [[one] for one in batch]:
        pipeline.take(*part)
    assert pipeline.offered() == {"north": 7, "south": 7}


@pytest.mark.parametrize("name", ["document read twice", "document posted at once"])
def test_a_document_that_was_read_twice_in_one_batch_still_ends_what_its_order_holds(
    pipeline: Pipeline, name: str
) -> None:
    open_shop(pipeline)
    pipeline.take(pipeline.there("north", "orders", ORDER))
    placed = pipeline.next_position()
    document = b.document("500", "N-1", "C-1")
    last = (
        pipeline.here("PS_DOC_HDR", document | {"TKT_NO": "T-1"})
        if name == "document read twice"
        else pipeline.gone_here("PS_DOC_HDR", DOC_ID="500")
    )
    pipeline.take(
        pipeline.here("PS_DOC_HDR", document, position=placed),
        pipeline.here("IM_INV", b.stock("MUG", 10, 3), position=placed),
        last,
    )
    assert pipeline.offered() == {"north": 7, "south": 7}


def test_a_document_that_was_never_read_open_ends_it_too(pipeline: Pipeline) -> None:
    """While the producer was away the document was placed and posted: only the answer and the deletion are left."""
    open_shop(pipeline).master(on=True)
    went = pipeline.take(pipeline.there("north", "orders", ORDER))
    (placed,) = [one for one in went if one.task == "orders"]
    reading = pipeline.next_position()
    pipeline.take(
        pipeline.gone_here("PS_DOC_HDR", DOC_ID="500", position=reading),
        pipeline.here("IM_INV", b.stock("MUG", 7, 0), position=reading),
    )
    pipeline.take(pipeline.answer(placed, "applied", doc_id="500", cust_no="C-1"))
    assert pipeline.offered() == {"north": 7, "south": 7}


def test_a_reading_of_another_location_does_not_end_it(pipeline: Pipeline) -> None:
    open_shop(pipeline)
    pipeline.take(pipeline.there("north", "orders", ORDER))
    pipeline.take(
        pipeline.here("PS_DOC_HDR", b.document("500", "N-1", "C-1")),
        pipeline.here("IM_INV", b.stock("MUG", 5, 0, "WEB")),
    )
    assert pipeline.offered() == {"north": 12, "south": 7}


def test_where_documents_commit_no_stock_it_ends_when_the_document_is_posted(pipeline: Pipeline) -> None:
    loose = open_shop(Pipeline(pipeline.engine, replace(pipeline.shop, orders_commit_stock=False)))
    loose.take(loose.there("north", "orders", ORDER))
    loose.take(loose.here("PS_DOC_HDR", b.document("500", "N-1", "C-1")), loose.here("IM_INV", b.stock("MUG", 10)))
    before = loose.offered()["south"]
    loose.take(loose.gone_here("PS_DOC_HDR", DOC_ID="500"), loose.here("IM_INV", b.stock("MUG", 7)))
    assert (before, loose.offered()["south"]) == (7, 7)


def test_a_line_taken_out_of_an_order_is_free_again(pipeline: Pipeline) -> None:
    open_shop(pipeline)
    pipeline.take(pipeline.there("north", "orders", ORDER))
    pipeline.take(pipeline.there("north", "orders", b.order(1, "ana@example.com", b.line("JUG", 1))))
    assert pipeline.offered() == {"north": 10, "south": 10}


def test_an_order_cancelled_after_its_document_holds_its_goods_until_they_are_in_the_figures(
    pipeline: Pipeline,
) -> None:
    open_shop(pipeline)
    pipeline.take(
        pipeline.there("north", "orders", ORDER), pipeline.here("PS_DOC_HDR", b.document("500", "N-1", "C-1"))
    )
    pipeline.take(pipeline.there("north", "orders", ORDER | {"status": "cancelled"}))
    before = pipeline.offered()
    pipeline.take(pipeline.here("IM_INV", b.stock("MUG", 10, 3)))
    committed = pipeline.offered()
    pipeline.take(pipeline.here("IM_INV", b.stock("MUG", 10, 0)))
    assert (before, committed, pipeline.offered()["south"]) == ({"north": 7, "south": 7}, {"north": 7, "south": 7}, 10)


def test_each_store_offers_from_its_own_locations_and_keeps_its_own_safety_stock(pipeline: Pipeline) -> None:
    careful = open_shop(Pipeline(pipeline.engine, b.shop(buffers={"MUG": 4})))
    careful.take(careful.here("IM_INV", b.stock("MUG", 5, 0, "WEB")))
    careful.take(careful.there("south", "orders", ORDER))
    assert careful.offered() == {"north": 10 + 5 - 3 - 4, "south": 10 - 3}


def test_an_oversell_is_settled_by_new_goods_and_asked_anew_when_it_comes_back(pipeline: Pipeline) -> None:
    open_shop(pipeline, on_hand=2)
    pipeline.take(pipeline.there("north", "orders", ORDER))
    message = {"oversell:MUG": "MUG: 1 more were sold than there are; decide which order gets what there is"}
    found = [pipeline.asked()]
    for on_hand in (3, 2):
        pipeline.take(pipeline.here("IM_INV", b.stock("MUG", on_hand)))
        found.append(pipeline.asked())
    assert found == [message, {}, message]


def test_what_is_not_for_the_web_is_left_alone(pipeline: Pipeline) -> None:
    pipeline.take(
        pipeline.here("IM_ITEM", b.item("MUG", IS_ECOMM_ITEM="N")),
        pipeline.here("IM_INV", b.stock("MUG", 3)),
        pipeline.there("north", "products", b.product(1, "MUG", 9)),
    )
    assert pipeline.offered() == {}


def test_a_store_that_has_the_right_figure_at_first_is_not_written(pipeline: Pipeline) -> None:
    pipeline.master(on=True)
    went = pipeline.take(
        pipeline.there("north", "products", b.product(1, "MUG", 4)),
        pipeline.here("IM_ITEM", b.item("MUG")),
        pipeline.here("IM_INV", b.stock("MUG", 4)),
    )
    assert (went, pipeline.state_of("MUG")) == ([], "done")


def test_a_figure_that_a_store_changed_by_itself_is_written_again_unless_an_order_explains_it(
    pipeline: Pipeline,
) -> None:
    open_shop(pipeline).master(on=True)
    for command in pipeline.commands_out():
        pipeline.take(pipeline.answer(command, "applied"))
    went = pipeline.take(pipeline.there("north", "products", b.product(1, "MUG", 9)))
    early = pipeline.wait(16)  # The store's orders were not read since: it may have sold one.
    pipeline.take(pipeline.cursor("north", "orders"))
    late = pipeline.wait(16)
    assert (went, early) == ([], [])
    assert [(one.system, one.body.quantity) for one in late] == [("north", 10)]  # type: ignore[union-attr]
