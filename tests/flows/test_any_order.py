"""Topics are read side by side, messages come again, batches are cut anywhere: the state in the end is the same."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from processors.batch import Arrived
from schemas.changes import Change
from schemas.commands import CreateCustomer, PlaceDocument
from tests.flows import builders as b
from tests.flows.pipeline import Pipeline

SEEDS = 12
Streams = list[list[Arrived]]

# What must come out equal. Left out is what is over: a customer who showed up before the order was never wanted, after
# it his row is done; and of an order that was cancelled (south/2), perhaps only the end was seen.
EQUAL = {
    "record": "SELECT system, entity, key, hash, version, deleted FROM record",
    "link": """SELECT one.entity, one.system, one.remote_id, min(other.system || '/' || other.remote_id)
        FROM link AS one JOIN link AS other ON other.our_id = one.our_id
        WHERE NOT (one.entity = 'buyer' AND one.system = 'south' AND one.remote_id = '2') GROUP BY 1, 2, 3""",
    "wanted": """SELECT system, task, key, hash, state FROM wanted
        WHERE NOT (task = 'customers' AND state = 'done') AND state <> 'dropped'""",
    "review": "SELECT kind, key, message FROM review WHERE state = 'open'",
    "held": "SELECT store, order_id, item_no, quantity FROM reservation WHERE ended IS NULL AND item_no <> ''",
}


def outcome_of(pipeline: Pipeline) -> dict[str, list[tuple[Any, ...]]]:
    return {what: sorted(pipeline.rows(query), key=str) for what, query in EQUAL.items()}


def a_little_world(pipeline: Pipeline) -> Streams:
    """What was said of each record, in its order: that order is all that Kafka keeps."""
    here, there = pipeline.here, pipeline.there
    placed, replaced, posted = (pipeline.next_position() for _ in range(3))
    ana, south = b.document("500", "N-1", "C-1"), b.document("501", "S-1", "C-3")
    return [
        [here("IM_ITEM", b.item("MUG"))],
        [here("IM_ITEM", b.item("JUG"))],
        [here("AR_CUST", b.customer("C-1", "ana@example.com"))],
        [here("AR_CUST", b.customer("C-2", "ben@example.com"))],
        [here("AR_CUST", b.customer("C-3", "cleo@example.com"))],  # Created meanwhile, for her two first orders.
        [
            here("IM_INV", b.stock("MUG", 20), position=placed - 10),
            here("IM_INV", b.stock("MUG", 20, 2), position=placed),
            here("IM_INV", b.stock("MUG", 20, 3), position=replaced),
            here("IM_INV", b.stock("MUG", 18, 1), position=posted),  # Ana's were taken away.
        ],
        [here("IM_INV", b.stock("JUG", 1))],
        [
            here("PS_DOC_HDR", ana, position=placed),
            here("PS_DOC_HDR", ana | {"STA_ID": "2"}, position=replaced),
            pipeline.gone_here("PS_DOC_HDR", DOC_ID="500", position=posted),
        ],
        [here("PS_DOC_HDR", south, position=replaced)],
        *(
            [there(store, "products", b.product(number, sku, 0)), there(store, "products", b.product(number, sku, 3))]
            for store in ("north", "south")
            for number, sku in enumerate(("MUG", "JUG"), 1)
        ),
        [there("north", "customers", b.account(7, "ana@example.com"))],
        [there("north", "orders", b.order(1, "ana@example.com", b.line("MUG", 2), customer_id=7))],
        [there("north", "orders", b.order(2, "Cleo@example.com"))],
        [there("south", "orders", b.order(1, "cleo@example.com"))],
        [
            there("south", "orders", b.order(2, "ben@example.com", b.line("JUG", 2))),
            there("south", "orders", b.order(2, "ben@example.com", b.line("JUG", 2), status="cancelled")),
        ],
        [
            there("south", "orders", b.order(3, "ben@example.com", b.line("JUG", 2), total="1.00")),
            there("south", "orders", b.order(3, "ben@example.com", b.line("JUG", 2))),
        ],
        [there("south", "orders", b.order(4, None))],
        [there("south", "orders", b.order(5, "ben@example.com", b.line("CUP")))],
    ]


def played(streams: Streams, dice: random.Random) -> list[list[Arrived]]:
    """Draw from the streams in any order, say some things again, and cut the whole into batches."""
    left, said = [list(stream) for stream in streams], []
    while any(left):
        said.append(dice.choice([one for one in left if one]).pop(0))
        if dice.random() < 0.2:
            said.append(dice.choice(said))
    said = numbered(said)
    batches: list[list[Arrived]] = []
    while said:
        size = dice.choice([1, 2, 3, 5, 8, 40])
        batches.append(said[:size])
        said = said[size:]
    return batches


def numbered(said: Sequence[Arrived]) -> list[Arrived]:
    """Give the messages the offsets that they have in this order; one that is said again keeps its own."""
    offsets: dict[tuple[str, int], int] = {}
    counts = Counter[str]()
    for one in said:
        if (one.topic, one.offset) not in offsets:
            offsets[one.topic, one.offset] = counts[one.topic]
            counts[one.topic] += 1
    return [replace(one, offset=offsets[one.topic, one.offset]) for one in said]


@pytest.mark.parametrize("is_on", [False, True], ids=["gate shut", "gate open"])
def test_any_order_repeats_and_batches_end_in_the_same_state(pipeline: Pipeline, is_on: bool) -> None:
    streams, expected = a_little_world(pipeline), None
    if is_on:  # It may go out before it is cancelled: then it is a question, rightly.
        streams.remove(next(one for one in streams if is_cancelled(one[-1])))
    for seed in range(SEEDS):
        run = Pipeline(pipeline.engine)
        run.master(on=is_on)
        for batch in played(streams, random.Random(seed)):
            run.take(*batch)
        run.wait(1)
        run.take(*(run.cursor(store, "orders") for store in ("north", "south")))
        run.wait(16)  # What a store shows otherwise than wanted, and no order explains, is wanted again.
        answer_everything(run)
        found = outcome_of(run)
        expected = expected or found
        different = {what: set(rows) ^ set(expected[what]) for what, rows in found.items() if rows != expected[what]}
        assert not different, f"seed {seed}"
    assert run.offered("MUG") == {"north": 15, "south": 15}  # 18, 1 committed, north/2 and south/4 hold 1 each.
    assert sorted(run.asked()) == ["order-customer:south/4", "order:south/5", "oversell:JUG"]


def is_cancelled(said: Arrived) -> bool:
    return b'"cancelled"' in (said.value or b"")


def answer_everything(pipeline: Pipeline) -> None:
    """Carry out what went out, as a Counterpoint does that has these customers and documents already."""
    answered = 0
    while answered < len(pipeline.commands_out()):
        command = pipeline.commands_out()[answered]
        answered += 1
        remote: dict[str, str] = {}
        match command.body:
            case CreateCustomer():
                remote = {"cust_no": "C-3"}
            case PlaceDocument(marker=marker):
                known = {"N-1": "500", "S-1": "501"}
                remote = {"doc_id": known.get(marker, f"9-{marker}"), "cust_no": command.body.cust_no}
        pipeline.take(pipeline.answer(command, "already", **remote))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "topic", ["all", "AR_CUST", "IM_INV", "PS_DOC_HDR", "orders", "products", "outcomes", "requests"]
)
def test_a_replay_changes_nothing_and_says_nothing(pipeline: Pipeline, topic: str) -> None:
    said = [one for stream in a_little_world(pipeline) for one in stream]
    said += [pipeline.arrived("requests", b"", MASTER)]
    pipeline.take(*said)
    for command in pipeline.commands_out():
        said.append(pipeline.answer(command, "applied", doc_id=f"9-{command.key}", cust_no="C-3"))
        pipeline.take(said[-1])
    answer_rest(pipeline)
    before, sent = pipeline.everything(), len(pipeline.broker.messages)
    for batch in cut([one for one in said if topic == "all" or one.topic.endswith(topic)]):
        pipeline.take(*batch)
    assert pipeline.everything() == before
    assert pipeline.broker.messages[sent:] == []


MASTER = b'{"id":"m","by":"vera","at":"2026-01-05T09:00:00Z","ask":{"kind":"set_master","on":true}}'


def answer_rest(pipeline: Pipeline) -> None:
    """Answer what the answers released."""
    while open_rows := pipeline.rows("SELECT key FROM wanted WHERE state = 'sent'"):
        for command in [one for one in pipeline.commands_out() if (one.key,) in open_rows]:
            pipeline.take(pipeline.answer(command, "applied", doc_id=f"9-{command.key}", cust_no="C-3"))


def cut(said: Sequence[Arrived]) -> list[Sequence[Arrived]]:
    return [said[start : start + 7] for start in range(0, len(said), 7)]


def test_the_world_has_what_it_takes(pipeline: Pipeline) -> None:
    """The same position for what one reading shows: else the test above would prove nothing."""
    by_position: dict[int, set[str]] = {}
    for one in (one for stream in a_little_world(pipeline) for one in stream):
        change = msgspec.json.decode(one.value or b"", type=Change)
        by_position.setdefault(change.source.position, set()).add(change.source.entity)
    assert [sorted(found) for found in by_position.values() if len(found) > 1] == [["IM_INV", "PS_DOC_HDR"]] * 3
