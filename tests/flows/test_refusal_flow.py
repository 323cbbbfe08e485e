"""What does not work: tried again, and asked about where the target gives the same reason, or none for too long."""

import pytest

from counterflow.state.wanted import REFUSALS_MAX, TRIES_MAX
from schemas.commands import Command, PlaceDocument
from tests.flows import builders as b
from tests.flows.pipeline import Pipeline

REASON = "ERROR_UNKNOWN: The INSERT statement conflicted with the FOREIGN KEY constraint FK_CUST."
OTHER = "ERROR_MISSING_REQUIRED_DATA: STR_ID"
HTTP = "HTTP 500 to POST /Document"
ASKED = "refused:counterpoint/orders/north/1"
WAIT_S_MAX = 121


class Refused:
    """One order of a known customer, and a Counterpoint that will not have its document."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        pipeline.take(
            pipeline.here("IM_ITEM", b.item("MUG")),
            pipeline.here("IM_INV", b.stock("MUG", 10)),
            pipeline.here("AR_CUST", b.customer("C-1", "ana@example.com")),
        )
        pipeline.master(on=True)
        (self.sent,) = pipeline.take(pipeline.there("north", "orders", b.order(1, "ana@example.com")))

    def answer(self, reason: str = REASON, *, times: int = 1, message: str = HTTP) -> list[Command]:
        """Answer so many times; gives what goes out after the last."""
        went: list[Command] = []
        for _ in range(times):
            went = self.pipeline.take(self.pipeline.answer(self.sent, "waiting", message, reason=reason))
            went += self.pipeline.wait(WAIT_S_MAX)
            if went:
                (self.sent,) = went
        return went

    @property
    def asked(self) -> dict[str, str]:
        return self.pipeline.asked()

    @property
    def state(self) -> str | None:
        return self.pipeline.state_of("north/1")


@pytest.fixture
def order(pipeline: Pipeline) -> Refused:
    return Refused(pipeline)


def test_the_same_reason_again_and_again_is_held_and_asked_with_code_and_words(order: Refused) -> None:
    went = [order.answer() for _ in range(REFUSALS_MAX)]
    assert [len(one) for one in went] == [1] * (REFUSALS_MAX - 1) + [0]
    assert (order.state, order.asked) == ("held", {ASKED: f"{HTTP}: {REASON}"})


def test_what_is_held_is_not_tried_any_more(order: Refused) -> None:
    order.answer(times=REFUSALS_MAX)
    assert order.pipeline.wait(100_000) == []


def test_a_number_that_is_another_each_time_makes_no_other_reason(order: Refused) -> None:
    for number in range(REFUSALS_MAX):
        order.answer(f"ERROR_UNKNOWN: The duplicate key value is (1000{number}, 2026-01-05T09:00:0{number}).")
    assert order.state == "held"


def test_another_reason_in_between_begins_anew(order: Refused) -> None:
    order.answer(times=REFUSALS_MAX - 1)
    order.answer(OTHER)
    order.answer(times=REFUSALS_MAX - 1)
    assert (order.state, order.asked) == ("sent", {})
    order.answer()
    assert order.state == "held"


def test_an_answer_without_a_reason_in_between_says_nothing_of_the_last_one(order: Refused) -> None:
    """An earlier request that may still take effect is waited for between two of them (order-E.1)."""
    for _ in range(REFUSALS_MAX - 1):
        order.answer()
        order.answer("", message="document: an earlier request was never answered; looking again later")
    assert order.state == "sent"
    order.answer()
    assert order.state == "held"


def test_what_works_at_last_has_asked_nobody_and_begins_anew(order: Refused) -> None:
    order.answer(times=REFUSALS_MAX - 1)
    order.pipeline.take(order.pipeline.answer(order.sent, "applied", doc_id="500", cust_no="C-1"))
    assert (order.state, order.asked) == ("done", {})
    counted = "SELECT attempts, refusals, refusal FROM wanted WHERE key = 'north/1'"
    assert order.pipeline.rows(counted) == [(0, 0, None)]


def test_a_person_says_again_and_it_works(order: Refused) -> None:
    order.answer(times=REFUSALS_MAX)
    (again,) = order.pipeline.decide(ASKED, "again")
    order.pipeline.take(order.pipeline.answer(again, "applied", doc_id="500", cust_no="C-1"))
    assert (order.state, order.asked) == ("done", {})


def test_a_person_says_again_and_is_asked_again_where_it_is_refused_as_before(order: Refused) -> None:
    order.answer(times=REFUSALS_MAX)
    (order.sent,) = order.pipeline.decide(ASKED, "again")
    order.answer(times=REFUSALS_MAX - 1)
    assert (order.state, order.asked) == ("sent", {})
    order.answer()
    assert (order.state, order.asked) == ("held", {ASKED: f"{HTTP}: {REASON}"})


def test_a_rejection_that_comes_again_after_a_persons_again_is_asked_again(order: Refused) -> None:
    for _ in range(2):
        order.pipeline.take(order.pipeline.answer(order.sent, "rejected", "no such pay code"))
        assert order.asked == {ASKED: "no such pay code"}
        (order.sent,) = order.pipeline.decide(ASKED, "again")


def test_again_sends_the_order_as_it_is_by_now(order: Refused) -> None:
    order.answer(times=REFUSALS_MAX)
    mended = {"first_name": "Ana", "last_name": "Mended", "email": "ana@example.com"}
    row = b.order(1, "ana@example.com", billing=mended)
    order.pipeline.take(order.pipeline.there("north", "orders", row))
    (again,) = order.pipeline.decide(ASKED, "again")
    assert isinstance(again.body, PlaceDocument)
    assert again.body.bill_to.last_name == "Mended"


@pytest.mark.parametrize("answer", ["HTTP 502", "not seen yet in the database"])
def test_what_only_gets_no_answer_goes_on_being_tried_and_is_asked_about(order: Refused, answer: str) -> None:
    order.answer("", times=TRIES_MAX - 1, message=answer)
    assert order.asked == {}
    went = order.answer("", message=answer)
    message = f"not done after {TRIES_MAX} tries, and still tried: {answer}"
    assert (len(went), order.state, order.asked) == (1, "sent", {ASKED: message})


def test_what_gets_no_answer_in_turns_of_two_kinds_is_asked_about_too(order: Refused) -> None:
    for number in range(TRIES_MAX):
        order.answer("", message=f"HTTP 50{number % 2 + 2}")
    assert list(order.asked) == [ASKED]


def test_the_question_closes_by_itself_when_it_works(order: Refused) -> None:
    order.answer("", times=TRIES_MAX)
    order.pipeline.take(order.pipeline.answer(order.sent, "applied", doc_id="500", cust_no="C-1"))
    assert (order.state, order.asked) == ("done", {})


def test_the_question_closes_by_itself_when_nothing_will_come_of_it(order: Refused) -> None:
    order.answer("", times=TRIES_MAX)
    order.pipeline.take(order.pipeline.answer(order.sent, "waiting", "HTTP 502"))
    order.pipeline.take(order.pipeline.there("north", "orders", b.order(1, "ana@example.com", status="cancelled")))
    order.pipeline.wait(1)
    assert (order.state, order.asked) == ("dropped", {})


def test_again_does_not_send_what_is_on_its_way(order: Refused) -> None:
    order.answer("", times=TRIES_MAX)
    assert (order.state, order.pipeline.decide(ASKED, "again")) == ("sent", [])


def stocked(pipeline: Pipeline, on_hand: int) -> list[Command]:
    return [one for one in pipeline.take(pipeline.here("IM_INV", b.stock("MUG", on_hand))) if one.system == "north"]


def test_an_item_that_sells_all_the_time_is_asked_about_like_any_other(pipeline: Pipeline) -> None:
    """Each new figure is another want: it must not begin the count anew, nor be tried without end."""
    pipeline.take(pipeline.here("IM_ITEM", b.item("MUG")), pipeline.there("north", "products", b.product(1, "MUG", 0)))
    pipeline.master(on=True)
    for number in range(REFUSALS_MAX):
        (sent,) = stocked(pipeline, 10 + number)
        pipeline.take(pipeline.answer(sent, "waiting", "HTTP 500", reason=REASON))
    assert pipeline.asked() == {"refused:north/inventories/MUG": f"HTTP 500: {REASON}"}


def test_a_new_figure_of_what_is_held_is_tried_once_and_held_again(pipeline: Pipeline) -> None:
    pipeline.take(pipeline.here("IM_ITEM", b.item("MUG")), pipeline.there("north", "products", b.product(1, "MUG", 0)))
    pipeline.master(on=True)
    for number in range(REFUSALS_MAX + 2):
        (sent,) = stocked(pipeline, 10 + number)
        pipeline.take(pipeline.answer(sent, "waiting", "HTTP 500", reason=REASON))
    assert (pipeline.state_of("MUG"), pipeline.wait(WAIT_S_MAX)) == ("held", [])


def test_an_answer_to_an_older_figure_holds_nothing(pipeline: Pipeline) -> None:
    pipeline.take(pipeline.here("IM_ITEM", b.item("MUG")), pipeline.there("north", "products", b.product(1, "MUG", 0)))
    pipeline.master(on=True)
    (sent,) = stocked(pipeline, 10)
    for number in range(REFUSALS_MAX + 1):
        stocked(pipeline, 11 + number)
        (sent,) = pipeline.take(pipeline.answer(sent, "waiting", "HTTP 500", reason=REASON))
    assert (pipeline.state_of("MUG"), pipeline.asked()) == ("sent", {})


def test_a_customer_who_is_refused_so_is_asked_for_by_their_order_too(pipeline: Pipeline) -> None:
    pipeline.take(pipeline.here("IM_ITEM", b.item("MUG")), pipeline.here("IM_INV", b.stock("MUG", 10)))
    pipeline.master(on=True)
    (sent,) = pipeline.take(pipeline.there("north", "orders", b.order(1, "cleo@example.com")))
    for _ in range(REFUSALS_MAX):
        pipeline.take(pipeline.answer(sent, "waiting", "HTTP 500", reason=REASON))
        for went in pipeline.wait(WAIT_S_MAX):
            sent = went
    assert set(pipeline.asked()) == {
        "refused:counterpoint/customers/email:cleo@example.com",
        "order-customer:north/1",
    }
