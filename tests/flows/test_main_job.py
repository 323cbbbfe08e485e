"""This batch leads to that state and those commands: orders, identity, stock, and what happens when things go wrong."""

import random
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import event

from counterflow.errors import Transient
from schemas.commands import CreateCustomer, PlaceDocument
from schemas.requests import DecideReview, SetMaster, SetTask, SyncNow
from tests.flows.world import World

Make = Callable[..., World]


@pytest.fixture
def world(fresh_database: str) -> World:
    made = World(fresh_database)
    made.open_shop()
    return made


def documents(world: World) -> list[PlaceDocument]:
    return [one.body for one in world.answer_all() if isinstance(one.body, PlaceDocument)]


def test_a_known_customer_gets_his_document(world: World) -> None:
    world.handle(world.customer("C1", "ana@example.com"))
    world.handle(world.order("north", 5))
    assert [(one.marker, one.cust_no, one.store_no, one.total) for one in documents(world)] == [
        ("N-5", "C1", "WEBN", 2000)
    ]


def test_two_first_orders_of_one_person_from_two_stores_are_one_customer(world: World) -> None:
    emails = "ana@example.com", "Ana@example.com"
    world.handle(world.account("north", 7, emails[0]), world.account("south", 9, emails[1]))
    world.handle(world.order("north", 5, account=7), world.order("south", 5, account=9))
    done = world.answer_all()
    created = [one for one in done if isinstance(one.body, CreateCustomer)]
    buyers = {one.body.cust_no for one in done if isinstance(one.body, PlaceDocument)}
    assert (len(created), len(buyers), world.wanted("orders")) == (1, 1, {"north/5": "done", "south/5": "done"})


def test_equal_order_numbers_of_two_stores_are_two_documents(world: World) -> None:
    world.handle(world.customer("C1", "ana@example.com"), world.order("north", 5), world.order("south", 5))
    assert sorted(one.marker for one in documents(world)) == ["N-5", "S-5"]


def test_a_customer_who_changes_the_email_stays_the_same(world: World) -> None:
    world.handle(world.customer("C1", "ana@example.com"), world.customer("C2", "new@example.com"))
    world.handle(world.account("north", 7, "ana@example.com"), world.order("north", 5, account=7))
    world.handle(world.account("north", 7, "new@example.com"))
    world.handle(world.order("north", 6, account=7, email="new@example.com"))
    assert [one.cust_no for one in documents(world)] == ["C1", "C1"]


def test_a_changed_email_while_the_customer_is_being_created_makes_no_second_one(world: World) -> None:
    world.handle(world.account("north", 7, "ana@example.com"), world.order("north", 5, account=7))
    world.handle(
        world.order("north", 6, account=7, email="new@example.com"), world.order("north", 7, account=7, email="")
    )
    assert list(world.wanted("customers")) == ["email:ana@example.com"]


def test_a_guest_is_matched_by_email_every_time(world: World) -> None:
    world.handle(world.customer("C1", "ana@example.com"), world.customer("C2", "ben@example.com"))
    world.handle(world.order("north", 5), world.order("north", 6, email="ben@example.com"))
    assert sorted(one.cust_no for one in documents(world)) == ["C1", "C2"]


def test_an_email_of_several_customers_waits_for_a_person_who_decides(world: World) -> None:
    world.handle(world.customer("C1", "ana@example.com"), world.customer("C2", "ana@example.com"))
    world.handle(world.order("north", 5))
    held = world.reviews()
    world.handle(world.ask(DecideReview(review="order-customer:north/5", decision="C2")))
    assert (held, [one.cust_no for one in documents(world)]) == ({("order-customer", "north/5")}, ["C2"])


def test_the_suggestion_is_taken_by_setting(fresh_database: str) -> None:
    world = World(fresh_database, takes_suggestion=True)
    world.open_shop()
    world.handle(world.customer("C2", "ana@example.com"), world.customer("C1", "ana@example.com"))
    world.handle(world.order("north", 5))
    assert [one.cust_no for one in documents(world)] == ["C1"]


@pytest.mark.parametrize(
    ("given", "kind", "says"),
    [
        pytest.param({"sku": "GONE"}, "order", "no item 'GONE'", id="an unknown SKU"),
        pytest.param({"email": ""}, "order-customer", "no usable e-mail", id="no e-mail"),
        pytest.param(
            {"total": "99.00"}, "order", "lines 2000 .* pays 9900", id="a sum that is none, with both columns"
        ),
        pytest.param({"currency": "EUR"}, "order", "in EUR", id="another currency"),
    ],
)
def test_an_order_is_held_and_the_others_go_on(world: World, given: dict[str, str], kind: str, says: str) -> None:
    import re

    world.handle(world.customer("C1", "ana@example.com"))
    world.handle(world.order("north", 5, **given), world.order("north", 6))
    message = world.query("SELECT message FROM review")[0][0]
    assert world.reviews() == {(kind, "north/5")}
    assert re.search(says, message)
    assert [one.marker for one in documents(world)] == ["N-6"]


def test_an_order_goes_on_when_its_item_arrives(world: World) -> None:
    world.handle(world.customer("C1", "ana@example.com"), world.order("north", 5, sku="B"))
    before = documents(world)
    world.handle(world.item("B"), world.stock("B", on_hand=5))
    assert (before, [one.marker for one in documents(world)], world.reviews()) == ([], ["N-5"], set())


def test_an_order_cancelled_before_its_document_is_dropped_and_its_stock_is_free(world: World) -> None:
    world.handle(world.order("north", 5, status="on-hold"))
    held = world.offers()
    world.handle(world.order("north", 5, status="cancelled"))
    assert (held, world.offers(), documents(world)) == ({"north": 8, "south": 8}, {"north": 10, "south": 10}, [])


def test_what_one_store_sells_no_store_offers(world: World) -> None:
    world.handle(world.order("north", 5, quantity=3))
    assert world.offers() == {"north": 7, "south": 7}


def test_a_safety_stock_is_never_offered(fresh_database: str) -> None:
    world = World(fresh_database, buffer=4)
    world.open_shop()
    world.handle(world.stock(on_hand=3))
    assert world.offers() == {"north": 0, "south": 0}


def test_an_order_in_flight_counts_once(world: World) -> None:
    world.handle(world.customer("C1", "ana@example.com"), world.order("north", 5))
    world.answer_all()
    seen = [world.offers()["south"]]
    world.handle(world.document(77, "N-5", "C1"))
    seen.append(world.offers()["south"])
    world.handle(world.stock(on_hand=10, committed=2))
    seen.append(world.offers()["south"])
    assert seen == [8, 8, 8]


def test_more_sold_than_there_is_goes_to_a_person(world: World) -> None:
    world.handle(
        world.order("north", 5, quantity=8, status="on-hold"), world.order("south", 5, quantity=8, status="on-hold")
    )
    assert (world.reviews(), world.offers()) == ({("oversell", "A")}, {"north": 0, "south": 0})


def test_nothing_goes_out_while_master_sync_is_off_but_what_is_asked_for(fresh_database: str) -> None:
    world = World(fresh_database)
    world.handle(world.item(), world.stock(), world.product("north"), world.product("south"))
    before = world.commands()
    world.handle(world.ask(SyncNow(system="north", task="inventories", key="A")))
    assert (before, [(one.system, one.key) for one in world.commands()]) == ([], [("north", "A")])


def test_one_command_is_in_flight_for_each_row_and_the_newest_follows(world: World) -> None:
    world.handle(world.stock(on_hand=9))
    first = [one for one in world.commands() if one.system == "north"]
    world.handle(world.stock(on_hand=8))
    world.handle(world.stock(on_hand=7))
    meanwhile = [one for one in world.commands() if one.system == "north"]
    world.handle(world.outcome(first[0]))
    after = [one.body.quantity for one in world.commands() if one.system == "north" and one.task == "inventories"]  # type: ignore[union-attr]
    assert (len(first), meanwhile, after) == (1, [], [7])


def test_a_figure_that_may_have_been_written_is_written_over(world: World) -> None:
    world.handle(world.stock(on_hand=7))
    sent = next(one for one in world.commands() if one.system == "north")
    world.handle(world.outcome(sent, "waiting"))
    world.handle(world.stock(on_hand=10))
    assert [one.body.quantity for one in world.commands() if one.system == "north"] == [10]  # type: ignore[union-attr]


def test_a_target_that_is_away_gets_nothing_and_holds_nobody_up(world: World) -> None:
    world.handle(world.heartbeat("north", up=False))
    world.handle(world.stock(on_hand=9))
    away = {one.system for one in world.commands()}
    world.handle(world.heartbeat("north", up=True), world.heartbeat("south", up=True))
    assert (away, {one.system for one in world.commands()}) == ({"south"}, {"north"})


def test_a_command_without_an_answer_is_sent_again_after_its_lease(world: World) -> None:
    world.handle(world.stock(on_hand=9))
    world.commands()
    world.tick(30)
    early = world.commands()
    world.clock.at += timedelta(seconds=50)
    world.handle(world.heartbeat("north", up=True), world.heartbeat("south", up=True))
    world.tick(1)
    assert (early, {one.system for one in world.commands()}) == ([], {"north", "south"})


def test_a_consumer_that_is_not_heard_of_any_more_gets_nothing(world: World) -> None:
    world.handle(world.heartbeat("north", up=True), world.heartbeat("south", up=True))
    world.tick(61)
    world.handle(world.heartbeat("south", up=True), world.stock(on_hand=9))
    assert {one.system for one in world.commands()} == {"south"}


def test_who_is_far_behind_with_reading_sends_nothing_yet(world: World) -> None:
    world.handle(world.heartbeat("north", up=True), world.heartbeat("south", up=True))
    world.tick(8 * 3600)  # The processor was away: orders of the whole day are not read yet.
    world.handle(world.stock(on_hand=9))
    behind = world.commands()
    world.handle(world.heartbeat("north", up=True), world.heartbeat("south", up=True))
    assert (behind, {one.system for one in world.commands()}) == ([], {"north", "south"})


def test_who_is_behind_with_reading_takes_nobody_for_silent_and_sends_nothing_twice(world: World) -> None:
    world.handle(world.heartbeat("north", up=True), world.heartbeat("south", up=True))
    world.handle(world.stock(on_hand=9))
    first = world.commands()
    world.tick(200)  # A long batch: what was answered and said meanwhile is not read yet.
    behind = world.commands()
    world.handle(world.stock(on_hand=4), *(world.outcome(one) for one in first))
    next_ones = {one.system for one in world.commands()}
    assert (len(first), behind, next_ones) == (2, [], {"north", "south"})


def test_a_task_with_a_schedule_waits_for_its_time(world: World) -> None:
    world.handle(world.ask(SetTask(system="north", task="inventories", enabled=True, schedule="every 10 minutes")))
    world.tick(1)
    world.handle(world.stock(on_hand=9))
    at_once = {one.system for one in world.commands()}
    for name in ("north", "south"):
        world.handle(world.heartbeat(name, up=True))
    world.clock.at = world.clock.at.replace(minute=world.clock.at.minute + 11)
    for name in ("north", "south"):
        world.handle(world.heartbeat(name, up=True))
    world.batches.tick()
    assert (at_once, {one.system for one in world.commands()} & {"north"}) == ({"south"}, {"north"})


def test_a_request_applies_once(world: World) -> None:
    off = world.ask(SetMaster(on=False))
    world.handle(off)
    world.handle(world.ask(SetMaster(on=True)))
    world.handle(off)
    world.handle(world.stock(on_hand=9))
    assert {one.system for one in world.commands()} == {"north", "south"}


@pytest.mark.parametrize("poison", [b"{", b'{"op":"u","after":{"ITEM_NO":"A"},"source":{}}', b"\xff"])
def test_a_message_that_cannot_be_read_is_a_dead_letter_and_the_rest_goes_on(world: World, poison: bytes) -> None:
    world.handle(world.message("changes.counterpoint.IM_INV", poison), world.stock(on_hand=4))
    letters = [one for one in world.outbox.messages if one.topic == "deadletters"]
    assert (len(letters), world.offers()) == (1, {"north": 4, "south": 4})


def test_a_value_that_no_column_takes_is_a_dead_letter_and_the_rest_goes_on(world: World) -> None:
    world.handle(world.order("north", 5, quantity=3_000_000_000), world.stock(on_hand=4))
    letters = [one for one in world.outbox.messages if one.topic == "deadletters"]
    assert (len(letters), world.offers()) == (1, {"north": 4, "south": 4})


def test_a_batch_whose_commit_fails_says_nothing_and_comes_again_whole(world: World) -> None:
    world.outbox.messages = []
    failing = [True]

    def fail(_connection: object) -> None:
        if failing and failing.pop():
            raise Transient("the database went away in the commit")

    event.listen(world.engine, "commit", fail)
    batch = (world.stock(on_hand=3),)
    with pytest.raises(Transient):
        world.handle(*batch)
    said = list(world.outbox.messages)
    event.remove(world.engine, "commit", fail)
    world.handle(*batch)
    assert (said, {one.system for one in world.commands()}) == ([], {"north", "south"})


def test_what_was_committed_and_not_published_goes_out_after_a_restart(world: World) -> None:
    world.outbox.away = True
    batch = (world.stock(on_hand=3),)
    with pytest.raises(Transient):
        world.handle(*batch)
    world.outbox.away = False
    world.batches = world.worker()
    world.handle(*batch)
    assert {one.system for one in world.commands()} == {"north", "south"}


def test_an_older_message_changes_nothing(world: World) -> None:
    old = world.stock(on_hand=3)
    world.handle(world.stock(on_hand=5))
    world.handle(old)
    assert world.offers() == {"north": 5, "south": 5}


def a_day(world: World) -> list[list[object]]:
    """Streams of messages, each in its own order, as their partitions keep it."""
    return [
        [world.customer("C1", "ana@example.com"), world.customer("C2", "ben@example.com")],
        [world.account("north", 7, "ana@example.com")],
        [world.item("A"), world.item("B")],
        [world.product("north", 2, sku="B"), world.product("south", 2, sku="B")],
        [world.order("north", 5, account=7), world.order("north", 6, account=7, email="new@example.com")],
        [world.order("south", 5), world.order("south", 6, email="ben@example.com", sku="B")],
        [world.order("south", 7, status="on-hold"), world.order("south", 7, status="cancelled")],
        [world.document(70, "N-5", "C1"), world.document(71, "S-5", "C1")],
        [world.stock(on_hand=20), world.stock(on_hand=19, committed=4), world.stock("B", on_hand=5)],
    ]


@pytest.mark.parametrize("seed", range(12))
def test_repeats_and_any_order_between_topics_end_in_the_same_offers_and_buyers(fresh_database: str, seed: int) -> None:
    dice = random.Random(seed)
    world = World(fresh_database)
    world.open_shop()
    streams = [list(stream) for stream in a_day(world)]
    while any(streams):
        stream = dice.choice([one for one in streams if one])
        batch = [stream.pop(0) for _ in range(min(len(stream), dice.randint(1, 2)))]
        world.handle(*batch)  # type: ignore[arg-type]
        if dice.random() < 0.3:
            world.handle(*batch)  # type: ignore[arg-type]
    buyers = world.query(
        """SELECT buyer.system, buyer.remote_id, min(customer.remote_id) FROM link AS buyer JOIN link AS customer
        ON customer.our_id = buyer.our_id AND customer.entity = 'customer' AND customer.system = 'counterpoint'
        WHERE buyer.entity = 'buyer' GROUP BY 1, 2 ORDER BY 1, 2"""
    )
    expected = [("north", "5", "C1"), ("north", "6", "C1"), ("south", "5", "C1"), ("south", "6", "C2")]
    # 19 on hand, 4 committed for N-5 and S-5, and two more held by N-6.
    assert (buyers, world.offers()) == (expected, {"north": 13, "south": 13})


def test_a_replay_of_every_topic_changes_nothing(fresh_database: str) -> None:
    world = World(fresh_database)
    world.open_shop()
    messages = [one for stream in a_day(world) for one in stream]
    world.handle(*messages)  # type: ignore[arg-type]
    world.answer_all()
    before = world.everything()
    world.handle(*messages)  # type: ignore[arg-type]
    assert (world.commands(), world.everything()) == ([], before)
