"""A command that is too large to be sent: a person is asked, and everything else goes out."""

import pytest

from counterflow.kafka import MESSAGE_BYTES_MAX
from tests.flows import builders as b
from tests.flows.pipeline import Pipeline

ASKED = "refused:counterpoint/orders/north/1"
SMALL = 20_000  # The limit of a broker whose owner never thought of us.
LIMITS = pytest.mark.parametrize("bytes_max", [MESSAGE_BYTES_MAX, SMALL], ids=["for us", "for the broker"])


@pytest.fixture
def shop(pipeline: Pipeline) -> Pipeline:
    pipeline.take(
        pipeline.here("IM_ITEM", b.item("MUG")),
        pipeline.here("IM_INV", b.stock("MUG", 10)),
        pipeline.here("AR_CUST", b.customer("C-1", "ana@example.com")),
        pipeline.there("north", "products", b.product(1, "MUG", 0)),
    )
    return pipeline


def enormous(number: int) -> b.Row:
    """An order whose shopper has pasted a book into the address."""
    order = b.order(number, "ana@example.com")
    return order | {"billing": order["billing"] | {"address_1": "x" * 9_000_000}}


@LIMITS
def test_its_row_is_held_and_asked_about_and_the_others_go_out(shop: Pipeline, bytes_max: int) -> None:
    shop.broker.bytes_max = bytes_max
    shop.take(shop.there("north", "orders", enormous(1)), shop.there("north", "orders", b.order(2, "ana@example.com")))
    went = shop.master(on=True)
    assert sorted(one.key for one in went) == ["MUG", "north/2"]
    assert (shop.state_of("north/1"), list(shop.asked())) == ("held", [ASKED])
    assert "bytes, too many to be sent" in shop.asked()[ASKED]
    for one in went:
        shop.take(shop.answer(one, "applied"))
    assert (shop.wait(300), shop.rows("SELECT topic FROM outbox")) == ([], [])


@LIMITS
def test_a_worker_that_died_before_it_knew_asks_when_it_comes_again(shop: Pipeline, bytes_max: int) -> None:
    shop.broker.is_away = True
    shop.broker.bytes_max = bytes_max
    shop.take(shop.there("north", "orders", enormous(1)))
    with pytest.raises(Exception, match="not acknowledged"):
        shop.master(on=True)
    shop.broker.is_away = False
    shop.batches = shop.worker()
    assert [one.key for one in shop.wait(1)] == ["MUG"]
    assert (shop.state_of("north/1"), list(shop.asked())) == ("held", [ASKED])


def test_what_was_shortened_in_the_store_goes_out_again(shop: Pipeline) -> None:
    shop.take(shop.there("north", "orders", enormous(1)))
    shop.master(on=True)
    shop.take(shop.there("north", "orders", b.order(1, "ana@example.com")))
    assert [one.key for one in shop.decide(ASKED, "again")] == ["north/1"]


def test_a_dead_letter_that_is_too_large_for_the_broker_stops_no_batch(shop: Pipeline) -> None:
    shop.broker.bytes_max = SMALL
    poison = shop.arrived("changes.north.orders", b"1", b"{" + b"x" * 50_000)
    shop.take(poison, shop.there("north", "orders", b.order(2, "ana@example.com")))
    assert [(one.topic, one.value) for one in shop.letters()] == [("deadletters", "")]
    assert shop.state_of("north/2") == "ready"
