"""changes.<store>.orders and Counterpoint's tables -> whose order it is, its document, or the question to a person."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from counterflow.cli.order import way_of
from counterflow.state.database import begin
from schemas.commands import Command, FindDocument
from tests.flows import builders as b
from tests.flows.builders import Row
from tests.flows.pipeline import Pipeline


def known(pipeline: Pipeline, *customers: Row) -> Pipeline:
    """Let Counterpoint have mugs and some customers, and the stores be known."""
    pipeline.take(
        pipeline.there("north", "products", b.product(1, "MUG", 5)),
        pipeline.there("south", "products", b.product(1, "MUG", 5)),
        pipeline.here("IM_ITEM", b.item("MUG")),
        pipeline.here("IM_INV", b.stock("MUG", 10)),
        *(pipeline.here("AR_CUST", one) for one in customers),
    )
    return pipeline


def test_an_email_that_a_created_customer_no_longer_has_is_nobodys(pipeline: Pipeline) -> None:
    known(pipeline).master(on=True)
    create = first(pipeline.take(pipeline.there("north", "orders", b.order(1, "cleo@example.com"))))
    pipeline.take(pipeline.answer(create, "applied", cust_no="C-9"))
    pipeline.take(pipeline.here("AR_CUST", b.customer("C-9", "cleo@example.com")))
    pipeline.take(pipeline.here("AR_CUST", b.customer("C-9", "other@example.com")))
    went = pipeline.take(pipeline.there("north", "orders", b.order(2, "cleo@example.com")))
    assert (sent(went, "customers"), sent(went)) == (["email:cleo@example.com"], [])
    assert (pipeline.buyer("north/1"), pipeline.buyer("north/2")) == ("C-9", None)


def test_a_customer_who_shows_up_by_himself_need_not_be_created(pipeline: Pipeline) -> None:
    known(pipeline)
    pipeline.take(pipeline.there("north", "orders", b.order(1, "cleo@example.com")))
    pipeline.take(pipeline.here("AR_CUST", b.customer("C-9", "cleo@example.com")))
    assert (pipeline.state_of("email:cleo@example.com"), pipeline.state_of("north/1")) == ("done", "ready")
    assert pipeline.body_of("north/1")["cust_no"] == "C-9"


def first(went: Sequence[Command]) -> Command:
    """Give the one command that is about people or their orders."""
    (found,) = [one for one in went if one.task != "inventories"]
    return found


def sent(went: Sequence[Command], task: str = "orders") -> list[str]:
    """Give the keys of the commands of one task."""
    return [one.key for one in went if one.task == task]


TWINS = (b.customer("C-2", "ana@example.com", IS_ECOMM_CUST="N"), b.customer("C-3", "ana@example.com"))


def test_a_person_says_whose_order_it_is(pipeline: Pipeline) -> None:
    known(pipeline, *TWINS)
    pipeline.take(
        pipeline.there("north", "customers", b.account(7, "ana@example.com")),
        pipeline.there("north", "orders", b.order(1, "ana@example.com", customer_id=7)),
    )
    pipeline.decide("order-customer:north/1", "C-99")  # Nobody: refused.
    assert pipeline.state_of("north/1") is None
    pipeline.decide("order-customer:north/1", "C-2")
    pipeline.take(pipeline.there("north", "orders", b.order(2, "other@example.com", customer_id=7)))
    assert (pipeline.body_of("north/1")["cust_no"], pipeline.buyer("north/2")) == ("C-2", "C-2")
    assert pipeline.asked() == {}


@pytest.mark.parametrize("email", [None, "", "ana", "ana@"])
def test_an_order_without_a_usable_email_is_held(pipeline: Pipeline, email: str | None) -> None:
    known(pipeline)
    pipeline.take(pipeline.there("north", "orders", b.order(1, email)))
    assert (pipeline.state_of("north/1"), list(pipeline.asked())) == (None, ["order-customer:north/1"])


def test_a_question_stays_open_while_its_order_changes(pipeline: Pipeline) -> None:
    known(pipeline).master(on=True)
    create = first(pipeline.take(pipeline.there("north", "orders", b.order(1, "cleo@example.com"))))
    pipeline.take(pipeline.answer(create, "held", "the e-mail address is too long"))
    refused = {
        "order-customer:north/1": "the e-mail address is too long",
        "refused:counterpoint/customers/email:cleo@example.com": "the e-mail address is too long",
    }
    assert pipeline.asked() == refused
    pipeline.take(pipeline.there("north", "orders", b.order(1, "cleo@example.com", number="1b")))
    assert pipeline.asked() == refused
    pipeline.take(pipeline.there("south", "orders", b.order(8, "cleo@example.com")))
    assert "order-customer:south/8" in pipeline.asked()


def test_a_person_says_whose_the_orders_are_when_no_customer_can_be_created(pipeline: Pipeline) -> None:
    known(pipeline, b.customer("C-1", "ana@example.com")).master(on=True)
    create = first(pipeline.take(pipeline.there("north", "orders", b.order(1, "cleo@example.com"))))
    pipeline.take(pipeline.answer(create, "held", "the e-mail address is too long"))
    placed = first(pipeline.decide("order-customer:north/1", "C-1"))
    assert (placed.key, placed.body.cust_no) == ("north/1", "C-1")  # type: ignore[union-attr]


def test_an_unknown_sku_holds_its_order_and_no_other_until_the_item_is_there(pipeline: Pipeline) -> None:
    known(pipeline, b.customer("C-1", "ana@example.com"))
    pipeline.take(
        pipeline.there("north", "orders", b.order(1, "ana@example.com", b.line("MUG"), b.line("JUG"))),
        pipeline.there("north", "orders", b.order(2, "ana@example.com")),
    )
    assert (pipeline.state_of("north/1"), pipeline.state_of("north/2")) == (None, "ready")
    assert pipeline.asked() == {"order:north/1": "Counterpoint has no item 'JUG'; the order goes on when it has"}
    pipeline.take(pipeline.here("IM_ITEM", b.item("JUG")), pipeline.here("IM_INV", b.stock("JUG", 1)))
    assert (pipeline.state_of("north/1"), pipeline.asked()) == ("ready", {})


def test_who_says_again_to_an_order_that_still_does_not_fit_is_asked_again(pipeline: Pipeline) -> None:
    known(pipeline, b.customer("C-1", "ana@example.com"))
    pipeline.take(pipeline.there("north", "orders", b.order(1, "ana@example.com", total="10.01")))
    pipeline.decide("order:north/1", "again")
    assert list(pipeline.asked()) == ["order:north/1"]


def test_an_order_that_is_mended_in_the_store_goes_on(pipeline: Pipeline) -> None:
    known(pipeline, b.customer("C-1", "ana@example.com"))
    pipeline.take(pipeline.there("north", "orders", b.order(1, "ana@example.com", total="10.01")))
    pipeline.take(pipeline.there("north", "orders", b.order(1, "ana@example.com")))
    assert (pipeline.state_of("north/1"), pipeline.asked()) == ("ready", {})


def test_an_order_that_no_longer_adds_up_does_not_go_out_as_it_was(pipeline: Pipeline) -> None:
    known(pipeline, b.customer("C-1", "ana@example.com"))
    pipeline.take(pipeline.there("north", "orders", b.order(1, "ana@example.com")))
    pipeline.take(pipeline.there("north", "orders", b.order(1, "ana@example.com", total="10.01")))
    assert (sent(pipeline.master(on=True)), list(pipeline.asked())) == ([], ["order:north/1"])
    placed = first(pipeline.take(pipeline.there("north", "orders", b.order(1, "ana@example.com"))))
    assert placed.key == "north/1"


@pytest.mark.parametrize("status", ["cancelled", "refunded", "failed", "trash"])
def test_an_order_cancelled_before_its_import_is_dropped_and_its_goods_are_free(
    pipeline: Pipeline, status: str
) -> None:
    known(pipeline, b.customer("C-1", "ana@example.com"))
    pipeline.take(pipeline.there("north", "orders", b.order(1, "ana@example.com", b.line("MUG", 3))))
    assert pipeline.offered() == {"north": 7, "south": 7}
    pipeline.take(pipeline.there("north", "orders", b.order(1, "ana@example.com", b.line("MUG", 3), status=status)))
    assert (pipeline.state_of("north/1"), pipeline.offered()) == ("dropped", {"north": 10, "south": 10})
    assert (sent(pipeline.master(on=True)), pipeline.asked()) == ([], {})


def test_an_order_deleted_before_its_import_is_dropped_and_its_goods_are_free(pipeline: Pipeline) -> None:
    known(pipeline, b.customer("C-1", "ana@example.com"))
    pipeline.take(pipeline.there("north", "orders", b.order(1, "ana@example.com", b.line("MUG", 3))))
    pipeline.take(pipeline.gone_there("north", "orders", 1))
    assert (pipeline.state_of("north/1"), pipeline.offered()) == ("dropped", {"north": 10, "south": 10})


def test_an_order_that_stands_again_is_placed_and_holds_its_goods_again(pipeline: Pipeline) -> None:
    known(pipeline, b.customer("C-1", "ana@example.com"))
    for status in ("processing", "cancelled", "processing"):
        pipeline.take(pipeline.there("north", "orders", b.order(1, "ana@example.com", status=status)))
    assert (pipeline.state_of("north/1"), pipeline.offered()) == ("ready", {"north": 9, "south": 9})


def test_an_order_cancelled_after_its_document_is_a_question(pipeline: Pipeline) -> None:
    known(pipeline, b.customer("C-1", "ana@example.com")).master(on=True)
    placed = first(pipeline.take(pipeline.there("north", "orders", b.order(1, "ana@example.com"))))
    pipeline.take(pipeline.answer(placed, "applied", doc_id="500", cust_no="C-1"))
    pipeline.take(pipeline.there("north", "orders", b.order(1, "ana@example.com", status="cancelled")))
    assert (pipeline.state_of("north/1"), list(pipeline.asked())) == ("done", ["order-cancelled:north/1"])


def looked_up(pipeline: Pipeline, fate: str) -> list[Command]:
    """Let a document leave the open ones, and be looked up."""
    went = pipeline.take(pipeline.gone_here("PS_DOC_HDR", DOC_ID="500"))
    (look,) = [one for one in went if one.task == "documents"]
    assert look.body == FindDocument(marker="N-1", doc_id="500")
    return pipeline.take(pipeline.answer(look, "already", doc_id="500", fate=fate))


def placed_as_500(pipeline: Pipeline) -> None:
    known(pipeline, b.customer("C-1", "ana@example.com")).master(on=True)
    placed = first(pipeline.take(pipeline.there("north", "orders", b.order(1, "ana@example.com"))))
    pipeline.take(pipeline.answer(placed, "applied", doc_id="500", cust_no="C-1"))
    pipeline.take(pipeline.here("PS_DOC_HDR", b.document("500", "N-1", "C-1")))


def cancelled() -> Row:
    return b.order(1, "ana@example.com", status="cancelled")


def test_a_cancelled_order_is_followed_until_its_document_is_seen_to_be_voided(
    pipeline: Pipeline,
) -> None:  # order-E.14
    placed_as_500(pipeline)
    pipeline.take(pipeline.there("north", "orders", cancelled()))
    assert list(pipeline.asked()) == ["order-cancelled:north/1"]
    looked_up(pipeline, "gone")
    assert pipeline.asked() == {}
    pipeline.take(pipeline.there("north", "orders", cancelled()))  # A replay asks nothing again.
    assert pipeline.asked() == {}


def test_a_cancelled_order_whose_document_was_posted_wants_a_return(pipeline: Pipeline) -> None:
    placed_as_500(pipeline)
    pipeline.take(pipeline.there("north", "orders", cancelled()))
    looked_up(pipeline, "posted")
    assert pipeline.asked()["order-cancelled:north/1"].endswith("enter a return, and give the money back")


def test_what_a_gift_card_paid_goes_back_onto_it_and_not_into_a_hand(pipeline: Pipeline) -> None:  # req-G1
    pipeline = Pipeline(pipeline.engine, b.shop(sites={"pay_codes": {"*": "CARD", "gift_card": "GIFT"}}))
    known(pipeline, b.customer("C-1", "ana@example.com")).master(on=True)
    card = {"gift_cards": [{"code": "GC-1", "amount": "4.00"}], "total": "6.00"}
    placed = first(pipeline.take(pipeline.there("north", "orders", b.order(1, "ana@example.com", **card))))
    pipeline.take(pipeline.answer(placed, "applied", doc_id="500", cust_no="C-1"))
    pipeline.take(pipeline.here("PS_DOC_HDR", b.document("500", "N-1", "C-1")))
    pipeline.take(pipeline.there("north", "orders", b.order(1, "ana@example.com", status="cancelled", **card)))
    looked_up(pipeline, "posted")
    assert pipeline.asked()["order-cancelled:north/1"].endswith(
        "give the money back, of it 4.00 onto gift card GC-1, which has it on the web already"
    )


def test_a_document_that_was_posted_away_means_nothing_else(pipeline: Pipeline) -> None:
    placed_as_500(pipeline)
    assert sent(looked_up(pipeline, "posted")) == []
    assert pipeline.asked() == {}


def test_a_voided_document_of_an_order_that_stands_is_a_question_until_it_is_cancelled_too(pipeline: Pipeline) -> None:
    placed_as_500(pipeline)
    looked_up(pipeline, "gone")
    assert list(pipeline.asked()) == ["order-voided:north/1"]
    pipeline.take(pipeline.there("north", "orders", cancelled()))
    assert pipeline.asked() == {}


def refunded(*refunds: Row) -> Row:
    return b.order(1, "ana@example.com", refunds=list(refunds))


def test_a_refund_is_asked_of_staff_until_its_return_is_seen(pipeline: Pipeline) -> None:  # order-E.15
    placed_as_500(pipeline)
    back = {"id": 1, "quantity": -1, "total": "-10.00", "total_tax": "0.00", "meta_data": []}
    pipeline.take(pipeline.there("north", "orders", refunded({"id": 9, "amount": "10.00", "line_items": [back]})))
    assert pipeline.asked() == {
        "order-refund:north/1/R1": "the store gave money back: enter a return that carries N-1R1 as purchase order "
        "number: 1 of MUG for 10.00; 10.00 back on CARD"
    }
    ticket = b.document("600", "N-1R1", "C-1", DOC_TYP="T")
    pipeline.take(pipeline.here("PS_DOC_HDR", ticket))
    assert pipeline.asked() == {}
    pipeline.take(
        pipeline.there("north", "orders", refunded({"id": 9, "amount": "10.00"}, {"id": 10, "amount": "1.00"}))
    )
    assert list(pipeline.asked()) == ["order-refund:north/1/R2"]


def test_a_refund_before_the_document_is_asked_once_the_document_is_there(pipeline: Pipeline) -> None:
    known(pipeline, b.customer("C-1", "ana@example.com")).master(on=True)
    placed = first(
        pipeline.take(pipeline.there("north", "orders", refunded({"id": 9, "total": "-2.50", "reason": ""})))
    )
    assert pipeline.asked() == {}
    pipeline.take(pipeline.answer(placed, "applied", doc_id="500", cust_no="C-1"))
    pipeline.take(pipeline.here("PS_DOC_HDR", b.document("500", "N-1", "C-1")))
    assert "goodwill 2.50; 2.50 back on CARD" in pipeline.asked()["order-refund:north/1/R1"]


def test_a_refund_is_asked_of_staff_though_nobody_answered_for_the_document(pipeline: Pipeline) -> None:  # order-E.15
    known(pipeline, b.customer("C-1", "ana@example.com")).master(on=True)
    placed = first(pipeline.take(pipeline.there("north", "orders", b.order(1, "ana@example.com"))))
    pipeline.take(pipeline.there("north", "orders", refunded({"id": 9, "total": "-2.50", "reason": ""})))
    pipeline.take(pipeline.answer(placed, "waiting", "no answer"))
    pipeline.take(pipeline.here("PS_DOC_HDR", b.document("500", "N-1", "C-1")))
    assert pipeline.state_of("north/1") == "done"
    assert "goodwill 2.50; 2.50 back on CARD" in pipeline.asked()["order-refund:north/1/R1"]


def test_a_refund_is_asked_of_staff_though_the_document_was_heard_of_first(pipeline: Pipeline) -> None:  # order-E.15
    known(pipeline, b.customer("C-1", "ana@example.com")).master(on=True)
    pipeline.take(pipeline.here("PS_DOC_HDR", b.document("500", "N-1", "C-1")))
    pipeline.take(pipeline.there("north", "orders", refunded({"id": 9, "total": "-2.50", "reason": ""})))
    assert "goodwill 2.50; 2.50 back on CARD" in pipeline.asked()["order-refund:north/1/R1"]


def test_an_order_cancelled_on_its_way_is_not_sent_again_when_it_did_not_work(pipeline: Pipeline) -> None:
    known(pipeline, b.customer("C-1", "ana@example.com")).master(on=True)
    placed = first(pipeline.take(pipeline.there("north", "orders", b.order(1, "ana@example.com"))))
    pipeline.take(pipeline.there("north", "orders", b.order(1, "ana@example.com", status="cancelled")))
    pipeline.take(pipeline.answer(placed, "waiting", "timed out"))
    assert sent(pipeline.wait(300)) == []
    assert (pipeline.state_of("north/1"), pipeline.asked()) == ("dropped", {})


def test_a_document_that_is_there_already_is_not_placed_again(pipeline: Pipeline) -> None:
    known(pipeline, b.customer("C-1", "ana@example.com")).master(on=True)
    pipeline.take(pipeline.here("PS_DOC_HDR", b.document("500", "N-1", "C-1")))
    assert pipeline.asked() == {}  # Of the order itself nothing was heard yet.
    went = pipeline.take(pipeline.there("north", "orders", b.order(1, "other@example.com")))
    assert (sent(went), pipeline.state_of("north/1")) == ([], "done")
    assert pipeline.buyer("north/1") == "C-1"


def test_what_a_person_dropped_stays_dropped(pipeline: Pipeline) -> None:
    known(pipeline, b.customer("C-1", "ana@example.com")).master(on=True)
    placed = first(pipeline.take(pipeline.there("north", "orders", b.order(1, "ana@example.com"))))
    pipeline.take(pipeline.answer(placed, "rejected", "no such pay code"))
    pipeline.decide("refused:counterpoint/orders/north/1", "drop")
    for status in ("processing", "cancelled", "processing"):
        pipeline.take(pipeline.there("north", "orders", b.order(1, "ana@example.com", status=status)))
    assert (pipeline.state_of("north/1"), pipeline.offered()) == ("dropped", {"north": 10, "south": 10})


def test_what_was_refused_is_sent_again_when_a_person_says_so(pipeline: Pipeline) -> None:
    known(pipeline, b.customer("C-1", "ana@example.com")).master(on=True)
    placed = first(pipeline.take(pipeline.there("north", "orders", b.order(1, "ana@example.com"))))
    pipeline.take(pipeline.answer(placed, "rejected", "no such pay code"))
    assert pipeline.asked() == {"refused:counterpoint/orders/north/1": "no such pay code"}
    again = first(pipeline.decide("refused:counterpoint/orders/north/1", "again"))
    pipeline.take(pipeline.answer(again, "applied", doc_id="500", cust_no="C-1"))
    assert (pipeline.state_of("north/1"), pipeline.asked()) == ("done", {})


def test_orders_from_before_the_installation_are_not_placed(pipeline: Pipeline) -> None:
    known(pipeline, b.customer("C-1", "ana@example.com"))
    old = b.order(1, "ana@example.com", date_created_gmt="2026-01-04T12:00:00")
    pipeline.take(pipeline.there("north", "orders", old))
    assert (pipeline.state_of("north/1"), pipeline.offered()) == (None, {"north": 10, "south": 10})


@pytest.mark.parametrize(
    ("when", "status", "expected"),
    [
        pytest.param("placed", "pending", "ready", id="placed takes one that waits for its payment"),
        pytest.param("paid", "on-hold", None, id="paid waits for the payment"),
        pytest.param("paid", "processing", "ready", id="paid takes one that is paid"),
        pytest.param("completed", "processing", None, id="completed waits for the shipment"),
        pytest.param("completed", "completed", "ready", id="completed takes one that is shipped"),
        pytest.param("placed", "checkout-draft", None, id="a draft is never taken"),
    ],
)
def test_an_order_is_taken_when_the_store_says_so(
    pipeline: Pipeline, when: str, status: str, expected: str | None
) -> None:
    waiting = Pipeline(pipeline.engine, b.shop(sites={"when": when}))
    known(waiting, b.customer("C-1", "ana@example.com"))
    waiting.take(waiting.there("north", "orders", b.order(1, "ana@example.com", status=status)))
    assert waiting.state_of("north/1") == expected


def test_a_store_that_left_the_shops_file_is_left_alone(pipeline: Pipeline) -> None:
    known(pipeline)
    pipeline.take(pipeline.there("south", "orders", b.order(1, "ana@example.com", b.line("JUG"))))
    whole = pipeline.shop
    pipeline.shop = replace(whole, sites={"north": whole.sites["north"]}, shelves={"north": whole.shelves["north"]})
    pipeline.batches = pipeline.worker()
    pipeline.take(pipeline.here("IM_ITEM", b.item("JUG")), pipeline.here("IM_INV", b.stock("MUG", 3)))
    assert (pipeline.state_of("south/1"), pipeline.offered()) == (None, {"north": 3, "south": 10})


def test_one_orders_whole_way_can_be_shown(pipeline: Pipeline) -> None:
    pipeline.master(on=True)
    pipeline.take(
        pipeline.here("AR_CUST", b.customer("C-1", "ana@example.com")),
        pipeline.here("IM_ITEM", b.item("MUG")),
        pipeline.here("IM_INV", b.stock("MUG", 10)),
    )
    (went, *_) = pipeline.take(pipeline.there("north", "orders", b.order(7, "ana@example.com", b.line("MUG", 2))))
    pipeline.take(pipeline.answer(went, "applied", doc_id="500", cust_no="C-1"))
    pipeline.take(pipeline.here("PS_DOC_HDR", b.document("500", "N-7", "C-1")))
    with begin(pipeline.engine) as connection:
        way, none = way_of(connection, "north", "7"), way_of(connection, "north", "8")
    assert none is None
    assert way is not None
    assert (way["order"], way["document"], way["waits_for_a_person"]) == ("north/7", "done", [])
    assert {"what": "MUG", "store": "10.00", "document": "10.00"} in way["lines"]
    said = [(one["where"], one["what"]) for one in way["steps"]]
    for step in (
        ("north", "placed as number 7"),
        ("known", "customer C-1, by e-mail"),
        ("known", "document 500, by created"),
        ("counterpoint", "document 500 is open"),
    ):
        assert step in said
    assert [one["at"] for one in way["steps"]] == sorted(one["at"] for one in way["steps"])


def test_a_document_that_is_there_is_not_placed_again_after_its_order_was_cancelled(pipeline: Pipeline) -> None:
    known(pipeline, b.customer("C-1", "ana@example.com")).master(on=True)
    placed = first(pipeline.take(pipeline.there("north", "orders", b.order(1, "ana@example.com"))))
    pipeline.take(pipeline.answer(placed, "waiting", "timed out"))
    document = pipeline.here("PS_DOC_HDR", b.document("500", "N-1", "C-1"))
    pipeline.take(document, pipeline.there("north", "orders", cancelled()))
    assert (pipeline.state_of("north/1"), list(pipeline.asked())) == ("done", ["order-cancelled:north/1"])
    looked_up(pipeline, "gone")
    assert sent(pipeline.wait(600)) == []


def test_an_order_from_before_says_why_it_has_no_document(pipeline: Pipeline) -> None:
    known(pipeline)
    old = b.order(3, "ana@example.com", date_created_gmt="2026-01-05T08:00:00", date_paid_gmt="2026-01-05T08:00:00")
    pipeline.take(pipeline.there("north", "orders", old))
    with begin(pipeline.engine) as connection:
        way = way_of(connection, "north", "3")
    assert way is not None
    assert (way["document"], way["note"]) == (
        None,
        "placed before counterflow knew this store: mirrored, and never made a document",
    )


def test_gift_cards_that_are_bought_are_for_staff_and_the_goods_go_on(selling_cards: Pipeline) -> None:
    pipeline = selling_cards  # order-E.11
    known(pipeline, b.customer("C-1", "ana@example.com")).master(on=True)
    bought = (b.line("MUG"), b.line("GIFT", 2, "50.00") | {"id": 2})
    went = pipeline.take(pipeline.there("north", "orders", b.order(1, "ana@example.com", *bought)))
    assert [one["item_no"] for one in pipeline.body_of("north/1")["lines"]] == ["MUG"]
    assert sent(went) == ["north/1"]
    assert pipeline.asked()["order-gift-card:north/1"].endswith(
        "a ticket that carries N-1G as purchase order number: 2 for 50.00, paid by CARD; "
        "their codes stand in the store's order"
    )
    pipeline.take(pipeline.here("PS_DOC_HDR", b.document("700", "N-1G", "C-1", DOC_TYP="T")))
    assert pipeline.asked() == {}


def test_an_order_of_gift_cards_alone_becomes_no_document(selling_cards: Pipeline) -> None:
    pipeline = selling_cards
    known(pipeline, b.customer("C-1", "ana@example.com")).master(on=True)
    went = pipeline.take(pipeline.there("north", "orders", b.order(1, "ana@example.com", b.line("GIFT", 1, "25.00"))))
    assert (sent(went), list(pipeline.asked())) == ([], ["order-gift-card:north/1"])


@pytest.fixture
def selling_cards(pipeline: Pipeline) -> Pipeline:
    """A shop whose stores sell gift cards."""
    return Pipeline(pipeline.engine, b.shop(sites={"gift_cards": frozenset({"GIFT"})}))


def test_an_account_is_known_by_an_order_that_was_cancelled(pipeline: Pipeline) -> None:
    known(pipeline, b.customer("C-1", "ana@example.com"))
    pipeline.take(pipeline.there("north", "customers", b.account(7, "ana@example.com")))
    first_one = b.order(1, "ana@example.com", customer_id=7, status="cancelled")
    second = b.order(2, "new@example.com", customer_id=7)
    pipeline.take(pipeline.there("north", "orders", first_one), pipeline.there("north", "orders", second))
    assert (pipeline.buyer("north/1"), pipeline.buyer("north/2")) == (None, "C-1")


def test_nobody_is_created_for_an_order_that_was_cancelled(pipeline: Pipeline) -> None:
    known(pipeline).master(on=True)
    went = pipeline.take(
        pipeline.there("north", "orders", b.order(1, "ana@example.com", customer_id=7, status="cancelled"))
    )
    assert (sent(went, "customers"), pipeline.asked()) == ([], {})
