"""One batch is one transaction: what is read, decided and said is kept together, or comes again whole."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from counterflow.errors import Transient, Trouble
from counterflow.kafka import TopicState
from counterflow.state import steering
from counterflow.state.database import begin
from processors.batch import Arrived
from tests.flows import builders as b
from tests.flows.pipeline import Pipeline

REFUSE = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {what}; RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER refuse AFTER INSERT OR UPDATE ON handled DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION refuse()
"""
ONCE = "IF nextval('refusals') = 1 THEN RAISE EXCEPTION 'there' USING ERRCODE = '23505'; END IF"
FAILURES = {
    "a deadlock": "RAISE EXCEPTION 'two met' USING ERRCODE = '40P01'",
    "the connection is cut": "PERFORM pg_terminate_backend(pg_backend_pid())",
    "a constraint": "RAISE EXCEPTION 'no' USING ERRCODE = '23514'",
}


@contextmanager
def commits_fail(pipeline: Pipeline, what: str) -> Iterator[None]:
    """Let PostgreSQL itself refuse at the very commit, after everything was decided."""
    with begin(pipeline.engine) as connection:
        connection.execute(text(REFUSE.format(what=what)))
    yield
    with begin(pipeline.engine) as connection:
        connection.execute(text("DROP TRIGGER refuse ON handled; DROP FUNCTION refuse"))


def a_day(pipeline: Pipeline) -> list[Arrived]:
    """A batch that leads to records, links, reviews and commands."""
    return [
        pipeline.here("IM_ITEM", b.item("MUG")),
        pipeline.here("IM_INV", b.stock("MUG", 10)),
        pipeline.here("AR_CUST", b.customer("C-1", "ana@example.com")),
        pipeline.there("north", "products", b.product(1, "MUG", 0)),
        pipeline.there("north", "orders", b.order(1, "ana@example.com")),
        pipeline.there("north", "orders", b.order(2, None)),
        pipeline.here("PS_DOC_HDR", b.document("500", "S-9", "C-1")),
    ]


@pytest.mark.parametrize("what", FAILURES.values(), ids=FAILURES)
def test_a_batch_whose_commit_fails_publishes_nothing_and_comes_again_whole(pipeline: Pipeline, what: str) -> None:
    pipeline.master(on=True)
    batch, before = a_day(pipeline), pipeline.everything()
    with commits_fail(pipeline, what), pytest.raises(Trouble):
        pipeline.take(*batch)
    assert (pipeline.commands_out(), pipeline.everything()) == ([], before)
    assert sorted(one.key for one in pipeline.take(*batch)) == ["MUG", "north/1"]


def test_a_store_first_heard_of_in_a_batch_that_failed_is_known_when_it_comes_again(pipeline: Pipeline) -> None:
    old = pipeline.there("north", "orders", b.order(1, "ana@example.com", date_created_gmt="2020-01-01T00:00:00"))
    with commits_fail(pipeline, FAILURES["a deadlock"]), pytest.raises(Transient):
        pipeline.take(old)
    pipeline.take(old, *a_day(pipeline)[:3])
    assert (pipeline.state_of("north/1"), pipeline.asked()) == (None, {})


def test_the_offsets_go_with_the_batch_and_never_back(pipeline: Pipeline) -> None:
    first, second = (pipeline.here("IM_INV", b.stock("MUG", count)) for count in (1, 2))
    pipeline.take(first, second)
    pipeline.take(first)
    assert pipeline.rows("SELECT topic, partition, next_offset FROM handled") == [
        ("changes.counterpoint.IM_INV", 0, second.offset + 1)
    ]


def test_what_was_committed_goes_out_after_the_broker_was_away_in_order_and_once(pipeline: Pipeline) -> None:
    pipeline.master(on=True)
    pipeline.broker.is_away = True
    batch = a_day(pipeline)
    with pytest.raises(Transient):
        pipeline.take(*batch)
    pipeline.broker.is_away = False
    pipeline.batches = pipeline.worker()  # The process died meanwhile.
    pipeline.take(*batch)
    assert sorted(one.key for one in pipeline.commands_out()) == ["MUG", "north/1"]
    assert pipeline.rows("SELECT id FROM outbox") == []


# What cannot be read.


def poison(pipeline: Pipeline) -> dict[str, Arrived]:
    stock = b.stock("MUG", 3)
    del stock["QTY_ON_HND"]
    return {
        "no JSON": pipeline.arrived("changes.north.orders", b"1", b"{"),
        "not UTF-8": pipeline.arrived("changes.north.orders", b"\xff", b"\xff\xfe"),
        "no change": pipeline.arrived("changes.north.orders", b"1", b'{"op":"x","source":{}}'),
        "a column missing": pipeline.here("IM_INV", stock),
        "no number": pipeline.here("IM_INV", b.stock("MUG", 3) | {"QTY_ON_HND": "many"}),
        "a field missing": pipeline.there("north", "orders", {"id": 1}),
        "part of a cent": pipeline.there("north", "orders", b.order(1, "ana@example.com", total="10.005")),
        "a zero byte": pipeline.there("north", "orders", b.order(77, "a\x00na@example.com")),
        "an outcome of nobody": pipeline.arrived("outcomes", b"", b'{"system":"north"}'),
        "a request for nothing": pipeline.arrived("requests", b"", b'{"id":"1","by":"a","ask":{"kind":"dance"}}'),
    }


def test_every_kind_of_poison_becomes_a_dead_letter_that_says_why_and_the_batch_goes_on(pipeline: Pipeline) -> None:
    bad = poison(pipeline)
    pipeline.take(*bad.values(), *a_day(pipeline))
    letters = {(one.topic, one.offset): one.reason for one in pipeline.letters()}
    assert set(letters) == {(one.topic, one.offset) for one in bad.values()}
    assert all(letters.values())
    assert letters[(bad["a column missing"].topic, bad["a column missing"].offset)] == (
        "Counterpoint IM_INV: the row has no column QTY_ON_HND"
    )
    assert (pipeline.state_of("north/1"), pipeline.offered()) == ("ready", {"north": 8})


def test_what_the_state_database_refuses_for_good_is_a_dead_letter_without_the_value(pipeline: Pipeline) -> None:
    sku = "".join(random.Random(1).choices("ABCDEFGHIJ0123456789", k=5_000))  # No index takes it.
    bad = pipeline.there("north", "products", b.product(9, sku, 0))
    pipeline.take(*a_day(pipeline), bad)
    (letter,) = pipeline.letters()
    assert (letter.offset, letter.reason) == (bad.offset, "state database: SQL state 54000: index record_sku")
    assert (pipeline.state_of("north/1"), pipeline.offered()) == ("ready", {"north": 8})


def test_a_row_that_two_workers_made_at_the_same_moment_is_no_dead_letter(pipeline: Pipeline) -> None:
    """The loser is refused once, and finds the other's row the second time."""
    batch = a_day(pipeline)[:1]
    with begin(pipeline.engine) as connection:
        connection.execute(text(REFUSE.format(what=ONCE)))
        connection.execute(text("CREATE SEQUENCE refusals"))
    pipeline.take(*batch)
    with begin(pipeline.engine) as connection:
        connection.execute(text("DROP TRIGGER refuse ON handled; DROP FUNCTION refuse; DROP SEQUENCE refusals"))
    assert (pipeline.letters(), pipeline.rows("SELECT key FROM record")) == ([], [("MUG",)])


def test_a_topic_full_of_poison_ends_and_its_offsets_go(pipeline: Pipeline) -> None:
    bad = [pipeline.arrived("changes.north.orders", b"1", b"{") for _ in range(60)]
    for start in range(0, 60, 20):
        pipeline.take(*bad[start : start + 20])
    assert len(pipeline.letters()) == 60
    assert pipeline.rows("SELECT next_offset FROM handled") == [(bad[-1].offset + 1,)]


def test_a_tombstone_says_nothing(pipeline: Pipeline) -> None:
    topics = ("changes.counterpoint.IM_INV", "heartbeats", "cursors")
    pipeline.take(*(pipeline.arrived(topic, b"k", None) for topic in topics))
    assert pipeline.letters() == []


# Versions.


def debezium(pipeline: Pipeline, on_hand: int, offset: int) -> Arrived:
    """A change without a position of ours: its version is the topic's epoch and its offset."""
    value = pipeline.here("IM_INV", b.stock("MUG", on_hand), position=0).value
    key = b'{"ITEM_NO":"MUG","LOC_ID":"MAIN"}'
    return pipeline.arrived("changes.counterpoint.IM_INV", key, value, offset=offset)


def on_hand(pipeline: Pipeline) -> str:
    ((body,),) = pipeline.rows("SELECT body::json->>'on_hand' FROM record WHERE entity = 'IM_INV'")
    return str(body)


def learn_epochs(pipeline: Pipeline, topic_id: str) -> None:
    names = [TopicState(name=name, topic_id=topic_id, partitions=8) for name in pipeline.batches.topics]
    with begin(pipeline.engine) as connection:
        pipeline.batches.know_epochs(steering.epochs(connection, names))


def test_an_older_message_changes_nothing_and_an_equal_one_is_taken_again(pipeline: Pipeline) -> None:
    learn_epochs(pipeline, "a")
    found = []
    for quantity, offset in ((5, 7), (3, 6), (4, 7)):
        pipeline.take(debezium(pipeline, quantity, offset))
        found.append(on_hand(pipeline))
    assert found == ["5", "5", "4"]


def test_within_a_batch_the_newest_counts_wherever_it_stands(pipeline: Pipeline) -> None:
    learn_epochs(pipeline, "a")
    pipeline.take(debezium(pipeline, 5, 7), debezium(pipeline, 3, 6))
    assert on_hand(pipeline) == "5"


def test_a_topic_made_anew_begins_the_next_epoch(pipeline: Pipeline) -> None:
    learn_epochs(pipeline, "a")
    pipeline.take(debezium(pipeline, 5, 7))
    learn_epochs(pipeline, "a")
    pipeline.take(debezium(pipeline, 4, 0))
    before = on_hand(pipeline)
    learn_epochs(pipeline, "b")
    assert pipeline.rows("SELECT * FROM handled") == []
    pipeline.take(debezium(pipeline, 4, 0))
    assert (before, on_hand(pipeline)) == ("5", "4")
