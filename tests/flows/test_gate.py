"""wanted -> work.<system>: what goes out, when, and on which lane."""

import pytest

from processors import gate
from schemas.requests import QueueAll
from tests.flows import builders as b
from tests.flows.pipeline import Pipeline


@pytest.fixture
def shop(pipeline: Pipeline) -> Pipeline:
    """Mugs that both stores show wrongly, and an order of a known customer."""
    pipeline.take(
        pipeline.here("IM_ITEM", b.item("MUG")),
        pipeline.here("IM_INV", b.stock("MUG", 10)),
        pipeline.here("AR_CUST", b.customer("C-1", "ana@example.com")),
        pipeline.there("north", "products", b.product(1, "MUG", 0)),
        pipeline.there("south", "products", b.product(1, "MUG", 0)),
        pipeline.there("north", "orders", b.order(1, "ana@example.com")),
    )
    return pipeline


ROWS = [("counterpoint", "north/1"), ("north", "MUG"), ("south", "MUG")]


def test_a_first_start_observes_and_releases_nothing(shop: Pipeline) -> None:
    assert (shop.wait(3600), shop.commands_out()) == ([], [])


def test_master_sync_releases_everything_and_stops_it_again(shop: Pipeline) -> None:
    assert sorted((one.system, one.key) for one in shop.master(on=True)) == ROWS
    shop.master(on=False)
    assert shop.take(shop.there("north", "orders", b.order(2, "ana@example.com"))) == []


@pytest.mark.parametrize("key", ["MUG", "north/1"])
def test_what_is_asked_for_by_hand_goes_at_once_on_its_own_lane(shop: Pipeline, key: str) -> None:
    system, task = ("north", "inventories") if key == "MUG" else ("counterpoint", "orders")
    (went,) = shop.now(system, task, key)
    assert (went.key, shop.broker.messages[-1].topic) == (key, f"work.{system}.now")


def test_what_was_done_is_sent_once_more_by_hand(shop: Pipeline) -> None:
    for command in shop.master(on=True):
        shop.take(shop.answer(command, "applied"))
    (went,) = shop.now("south", "inventories", "MUG")
    assert (went.system, shop.state_of("north/1")) == ("south", "done")


def test_a_disabled_task_releases_nothing_and_the_others_do(shop: Pipeline) -> None:
    shop.task("north", "inventories", enabled=False)
    assert sorted((one.system, one.key) for one in shop.master(on=True)) == [ROWS[0], ROWS[2]]
    assert [one.system for one in shop.task("north", "inventories")] == ["north"]


def test_an_order_releases_the_creation_of_its_customer_although_that_task_is_off(shop: Pipeline) -> None:
    shop.master(on=True)
    shop.task("counterpoint", "customers", enabled=False)
    went = shop.take(shop.there("south", "orders", b.order(1, "cleo@example.com")))
    assert "email:cleo@example.com" in [one.key for one in went]


def test_a_task_with_a_schedule_goes_out_at_its_times_only(shop: Pipeline) -> None:
    shop.master(on=True)
    for command in shop.commands_out():
        shop.take(shop.answer(command, "applied"))
    shop.task("north", "inventories", schedule="every 10 minutes")
    shop.wait(1)  # It runs when it is set.
    went = shop.take(shop.here("IM_INV", b.stock("MUG", 5)))
    later = [shop.wait(300), shop.wait(301)]
    assert [one.system for one in went] == ["south"]
    assert [[one.system for one in part if one.system == "north"] for part in later] == [[], ["north"]]


def test_a_schedule_that_is_none_is_refused_and_stops_nothing(shop: Pipeline) -> None:
    for command in shop.master(on=True):
        shop.take(shop.answer(command, "applied"))
    shop.task("north", "inventories", schedule="now and then")
    shop.wait(1)
    assert "north" in [one.system for one in shop.take(shop.here("IM_INV", b.stock("MUG", 5)))]


def test_what_waits_backs_off_and_is_never_given_up(shop: Pipeline) -> None:
    command = next(one for one in shop.master(on=True) if one.system == "north")
    for wait_s in (1, 2, 4, 8, 16, 32, 64, 120, 120, 120):
        shop.take(shop.answer(command, "waiting", "HTTP 500"))
        early = [one for one in shop.wait(wait_s - 0.1) if one.system == "north"]
        assert early == [], f"before {wait_s} s"
        (command,) = [one for one in shop.wait(0.1) if one.system == "north"]


def test_an_answer_to_an_older_figure_lets_the_newer_one_out_at_once(shop: Pipeline) -> None:
    first = next(one for one in shop.master(on=True) if one.system == "north")
    meanwhile = shop.take(shop.here("IM_INV", b.stock("MUG", 5)))
    (second,) = shop.take(shop.answer(first, "waiting", "HTTP 500"))
    assert ([one.system for one in meanwhile], second.system, second.version) == ([], "north", first.version + 1)


def test_an_answer_that_comes_twice_or_late_changes_nothing(shop: Pipeline) -> None:
    command = next(one for one in shop.master(on=True) if one.system == "north")
    shop.take(shop.answer(command, "applied"))
    before = shop.everything()
    assert shop.take(shop.answer(command, "rejected", "no such product")) == []
    assert shop.everything() == before


def test_a_target_with_a_full_queue_keeps_no_other_waiting(shop: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "IN_FLIGHT_MAX", 1)
    went = shop.take(
        shop.here("IM_ITEM", b.item("JUG")),
        *(shop.there(store, "products", b.product(2, "JUG", 5)) for store in ("north", "south")),
    )
    went += shop.master(on=True)
    assert sorted(one.system for one in went) == ["counterpoint", "north", "south"]
    (answered,) = [one for one in went if one.system == "north"]
    assert [one.system for one in shop.take(shop.answer(answered, "applied"))] == ["north"]


def test_queue_all_sends_everything_of_a_task_once_more(shop: Pipeline) -> None:
    for command in shop.master(on=True):
        shop.take(shop.answer(command, "applied"))
    went = shop.take(shop.request(QueueAll(system="north", task="inventories")))
    assert [(one.system, one.key) for one in went] == [("north", "MUG")]


def test_the_same_request_counts_once(shop: Pipeline) -> None:
    for command in shop.master(on=True):
        shop.take(shop.answer(command, "applied"))
    asked = shop.request(QueueAll(system="north", task="inventories"))
    (command,) = shop.take(asked)
    shop.take(shop.answer(command, "applied"))
    assert shop.take(asked) == []
