"""Messages that went before a worker handled them: an alarm, a question, and their source is read again."""

from datetime import datetime, timedelta

import msgspec
import pytest

from counterflow.errors import Transient
from counterflow.gaps import Gap, tell
from counterflow.metrics import LOST
from counterflow.state.database import begin
from processors import gaps
from processors.batch import Arrived
from schemas.names import COUNTERPOINT
from schemas.outcomes import Cursor
from schemas.requests import ReadAgain, Request
from tests.flows import builders as b
from tests.flows.pipeline import Pipeline
from tests.flows.test_batches import FAILURES, commits_fail

INV = "changes.counterpoint.IM_INV"
PRODUCTS = "changes.north.products"


def stock(pipeline: Pipeline, offset: int) -> Arrived:
    """A change of stock at some offset: what lies between it and the last one is gone."""
    one = pipeline.here("IM_INV", b.stock("MUG", offset))
    return pipeline.arrived(one.topic, one.key or b"", one.value, offset=offset)


def product(pipeline: Pipeline, offset: int) -> Arrived:
    one = pipeline.there("north", "products", b.product(1, "MUG", offset))
    return pipeline.arrived(one.topic, one.key or b"", one.value, offset=offset)


def asked_again(pipeline: Pipeline) -> list[str]:
    """Give which sources were asked to be read again."""
    found = [one.value or b"" for one in pipeline.broker.messages if one.topic == "requests"]
    asks = [msgspec.json.decode(one, type=Request) for one in found]
    assert all(one.by == "counterflow" for one in asks)
    return [one.ask.system for one in asks if isinstance(one.ask, ReadAgain)]


def read_whole(pipeline: Pipeline, system: str, since: datetime) -> None:
    """Its producer says that it has read everything since a time."""
    at, position = pipeline.clock.now(), pipeline.next_position()
    cursor = Cursor(system=system, entity="orders", position=position, at=at, whole_since=since)
    pipeline.take(pipeline.arrived("cursors", b"k", msgspec.json.encode(cursor)))


class Lost:
    """What the alarm tells from here on."""

    def __init__(self, topic: str) -> None:
        self._metric = LOST.labels(topic)
        self._before = self.now()

    def now(self) -> float:
        return float(self._metric._value.get())

    def count(self) -> float:
        return self.now() - self._before


def test_what_is_missing_before_a_message_is_told_asked_and_read_again(pipeline: Pipeline) -> None:
    lost = Lost(INV)
    pipeline.take(stock(pipeline, 0), stock(pipeline, 1))
    assert (lost.count(), pipeline.asked()) == (0, {})
    pipeline.take(stock(pipeline, 5))
    assert (lost.count(), asked_again(pipeline)) == (3, [COUNTERPOINT])
    assert "changes.counterpoint.IM_INV (3)" in pipeline.asked()["gap:counterpoint"]


def test_what_is_missing_in_the_middle_of_a_batch_is_noticed(pipeline: Pipeline) -> None:
    lost = Lost(PRODUCTS)
    pipeline.take(stock(pipeline, 0), product(pipeline, 0), stock(pipeline, 1), product(pipeline, 4))
    assert (lost.count(), asked_again(pipeline), list(pipeline.asked())) == (3, ["north"], ["gap:north"])


def test_what_is_missing_before_a_dead_letter_is_noticed(pipeline: Pipeline) -> None:
    bad = pipeline.there("north", "orders", b.order(77, "a\x00na@example.com"))
    pipeline.take(product(pipeline, 0), pipeline.arrived(bad.topic, bad.key or b"", bad.value, offset=3))
    assert (len(pipeline.letters()), asked_again(pipeline)) == (1, ["north"])


def test_what_another_worker_has_handled_is_not_missing(pipeline: Pipeline) -> None:
    lost, other = Lost(INV), pipeline.worker()
    pipeline.take(stock(pipeline, 0))
    other.handle([stock(pipeline, 1), stock(pipeline, 2)])  # It was given the partition.
    pipeline.take(stock(pipeline, 3))  # And gave it back.
    assert (lost.count(), pipeline.asked()) == (0, {})


def test_a_replay_is_no_gap(pipeline: Pipeline) -> None:
    lost, said = Lost(INV), [stock(pipeline, offset) for offset in range(4)]
    pipeline.take(*said)
    pipeline.batches = pipeline.worker()
    pipeline.take(*said[1:])
    pipeline.take(said[0], said[2], stock(pipeline, 4))
    assert lost.count() == 0


def test_a_batch_whose_commit_fails_raises_no_alarm_until_it_is_handled(pipeline: Pipeline) -> None:
    lost, late = Lost(INV), stock(pipeline, 3)
    with commits_fail(pipeline, FAILURES["a deadlock"]), pytest.raises(Transient):
        pipeline.take(late)
    assert (lost.count(), pipeline.asked(), asked_again(pipeline)) == (0, {}, [])
    pipeline.take(late)
    assert (lost.count(), asked_again(pipeline)) == (3, [COUNTERPOINT])


@pytest.mark.parametrize("topic", ["heartbeats", "cursors"])
def test_a_compacted_topic_has_holes_by_nature(pipeline: Pipeline, topic: str) -> None:
    lost = Lost(topic)
    pipeline.take(pipeline.arrived(topic, b"k", None, offset=7), pipeline.arrived(topic, b"k", None, offset=70))
    assert (lost.count(), pipeline.asked()) == (0, {})


@pytest.mark.parametrize("topic", ["outcomes", "requests"])
def test_lost_answers_and_requests_are_told_and_no_source_is_read_again(pipeline: Pipeline, topic: str) -> None:
    lost = Lost(topic)
    pipeline.take(pipeline.arrived(topic, b"k", None, offset=4))
    assert (lost.count(), pipeline.asked(), asked_again(pipeline)) == (4, {}, [])


def test_a_request_to_read_a_source_again_is_its_producers(pipeline: Pipeline) -> None:
    pipeline.take(pipeline.request(ReadAgain(system="north")))
    assert (pipeline.asked(), pipeline.letters()) == ({}, [])


# Until it is read again.


def test_the_question_is_settled_once_everything_was_read_that_began_after_it(pipeline: Pipeline) -> None:
    pipeline.take(product(pipeline, 3))
    asked_at = pipeline.clock.now()
    read_whole(pipeline, "north", asked_at - timedelta(seconds=1))  # A reading of before.
    read_whole(pipeline, "south", asked_at)  # Another source's.
    assert list(pipeline.asked()) == ["gap:north"]
    read_whole(pipeline, "north", asked_at)
    assert (pipeline.asked(), asked_again(pipeline)) == ({}, ["north"])


def test_what_is_found_missing_of_the_same_time_is_asked_for_once(pipeline: Pipeline) -> None:
    early = product(pipeline, 3)
    pipeline.clock.sleep(60)
    pipeline.take(stock(pipeline, 2))
    pipeline.take(early)
    one = pipeline.there("north", "products", b.product(1, "MUG", 1))
    late = Arrived(topic=one.topic, partition=5, offset=9, at=early.at, key=one.key, value=one.value)
    pipeline.take(late)
    assert asked_again(pipeline) == [COUNTERPOINT, "north"]


def test_what_goes_while_a_source_is_read_again_is_asked_for_when_that_has_ended(pipeline: Pipeline) -> None:
    pipeline.take(product(pipeline, 3))
    first = pipeline.clock.now()
    pipeline.clock.sleep(60)
    pipeline.take(product(pipeline, 9))
    assert asked_again(pipeline) == ["north"]
    read_whole(pipeline, "north", first)
    assert (asked_again(pipeline), list(pipeline.asked())) == (["north", "north"], ["gap:north"])
    read_whole(pipeline, "north", first)
    assert list(pipeline.asked()) == ["gap:north"]
    read_whole(pipeline, "north", pipeline.clock.now())
    assert pipeline.asked() == {}


def test_a_person_may_close_the_question(pipeline: Pipeline) -> None:
    pipeline.take(product(pipeline, 3))
    pipeline.decide("gap:north", "done")
    assert pipeline.asked() == {}


# At the start of a worker.

A, B, C = ("a", 0), ("a", 1), ("b", 0)


@pytest.mark.parametrize(
    ("begins", "before", "handled", "expected"),
    [
        pytest.param({A: 0, B: 0}, {}, {}, [], id="a first start"),
        pytest.param({A: 4, B: 3}, {A: 4, B: 9}, {A: 4, B: 9}, [], id="all that went was handled"),
        pytest.param({A: 7}, {A: 4}, {A: 4}, [(0, 4, 7)], id="some of it was not"),
        pytest.param({A: 0, B: 3}, {A: 1}, {A: 1}, [(1, 0, 3)], id="of this partition nothing ever was"),
        pytest.param({A: 0, B: 0}, {A: 8, B: 2}, {B: 2}, [(0, 8, 0)], id="the topic was made anew"),
        pytest.param({A: 7}, {A: 4, C: 2}, {A: 4}, [(0, 4, 7)], id="a topic that is not read does not matter"),
    ],
)
def test_what_is_gone_at_the_start(
    begins: dict[gaps.Place, int],
    before: dict[gaps.Place, int],
    handled: dict[gaps.Place, int],
    expected: list[tuple[int, int, int]],
) -> None:
    found = gaps.at_start(begins, before, handled)
    assert [(one.partition, one.first, one.found) for one in found] == expected


def test_what_is_gone_at_the_start_is_asked_for_once_and_published(pipeline: Pipeline) -> None:
    pipeline.take(stock(pipeline, 0))
    gone = [Gap(topic=INV, partition=part, first=1, found=5) for part in (0, 1)]
    with begin(pipeline.engine) as connection:
        pipeline.batches.lose(connection, gone)
    tell(gone)
    pipeline.batches = pipeline.worker()
    lost = Lost(INV)
    pipeline.take(stock(pipeline, 5))
    assert (lost.count(), asked_again(pipeline), list(pipeline.asked())) == (0, [COUNTERPOINT], ["gap:counterpoint"])


def test_a_topic_made_anew_may_have_lost_something(pipeline: Pipeline) -> None:
    with begin(pipeline.engine) as connection:
        pipeline.batches.lose(connection, [Gap(topic=PRODUCTS, partition=0, first=8, found=0)])
    assert list(pipeline.asked()) == ["gap:north"]
