"""Gift cards between the till and the one store that keeps them (req-G1)."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine

from schemas.commands import AdjustCard, ChangeCard, Command, MoveCard
from schemas.loyalty import HistoryRow, PointsReading, PointsShown
from tests.flows import builders as b
from tests.flows.pipeline import Pipeline
from tests.flows.test_customer_flow import opened, settings

CARD = "card:GC-1"


@pytest.fixture
def pipeline(database: Engine) -> Pipeline:
    shop = replace(settings(), cards_at="north", cards_redeem=True, cards_buy=True)
    return opened(Pipeline(database, shop))


def reading(version: int, *shown: PointsShown, rows: tuple[HistoryRow, ...] = ()) -> PointsReading:
    return PointsReading(key="points", version=version, previous=0, customers=shown, rows=rows, unposted=None)


def has(cents: int, **facts: Any) -> PointsShown:
    return PointsShown(cust_no=CARD, balance=cents, **facts)


def row(number: int, cents: int, reference: str = "", *, version: int = 2) -> HistoryRow:
    return HistoryRow(row_id=f"card:GC-1|{number}", cust_no=CARD, version=version, points=cents, reference=reference)


def moved(number: int, cents: int, reference: str = "redeem:1", order: int | None = None) -> b.Row:
    facts = {"id": number, "number": "GC-1", "cents": cents, "reference": reference, "reason": "", "order": order}
    return facts | {"created_gmt": b.PLACED}


def web_moves(went: list[Command]) -> list[int]:
    return [one.body.cents for one in went if isinstance(one.body, MoveCard)]


def till_moves(went: list[Command]) -> list[int]:
    return [one.body.cents for one in went if isinstance(one.body, AdjustCard)]


def start(pipeline: Pipeline, cents: int = 5000) -> None:
    """A card is known on both sides."""
    for one in pipeline.take(pipeline.points(reading(1, has(cents)))):
        pipeline.take(pipeline.answer(one, "applied", points=str(cents)))


def state(pipeline: Pipeline) -> tuple[int, int]:
    """Give the till's balance, and the web's, by the book."""
    query = """SELECT
        sum(CASE WHEN kind = 'pos' OR kind = 'web' AND body::json ->> 'state' = 'settled'
            THEN (body::json ->> 'points')::int ELSE 0 END),
        sum(CASE WHEN kind = 'accounts' THEN (body::json ->> 'read')::int
            WHEN kind = 'moves' AND body::json ->> 'state' = 'done' THEN (body::json ->> 'points')::int ELSE 0 END)
        FROM ledger_entry"""
    ((till, web),) = pipeline.rows(query)
    return till, web


def test_a_card_goes_up_with_its_number_and_balance(pipeline: Pipeline) -> None:
    (one,) = pipeline.take(pipeline.points(reading(1, has(5000, expires="2027-12-31"))))[:1]
    assert isinstance(one.body, (MoveCard, ChangeCard))
    went = [one.body for one in pipeline.commands_out() if isinstance(one.body, MoveCard)]
    assert [(one.number, one.cents, one.expires) for one in went] == [("GC-1", 5000, "2027-12-31")]


def test_what_the_till_takes_lowers_the_web_card(pipeline: Pipeline) -> None:
    start(pipeline)
    went = pipeline.take(pipeline.points(reading(2, has(3000), rows=(row(2, -2000),))))
    assert (web_moves(went), till_moves(went)) == ([-2000], [])


def test_what_is_redeemed_on_the_web_lowers_the_tills_card_once(pipeline: Pipeline) -> None:
    start(pipeline)
    (one,) = pipeline.take(pipeline.there("north", "points", moved(7, -1500)))
    assert till_moves([one]) == [-1500]
    pipeline.take(pipeline.answer(one, "applied", version="3"))
    assert pipeline.take(pipeline.points(reading(4, has(3500), rows=(row(2, -1500, one.key, version=4),)))) == []
    assert (state(pipeline), pipeline.asked()) == ((3500, 3500), {})


@pytest.mark.parametrize("document_first", [False, True])
def test_what_an_order_pays_travels_in_its_document_alone(pipeline: Pipeline, *, document_first: bool) -> None:
    start(pipeline)
    paid = pipeline.there("north", "points", moved(7, -1500, "order:12:card", 12))
    document = pipeline.points(reading(2, has(3500), rows=(row(2, -1500, "N-12-"),)))
    batches = [document, paid] if document_first else [paid, document]
    went = [one for message in batches for one in pipeline.take(message)]
    assert (went, state(pipeline), pipeline.asked()) == ([], (3500, 3500), {})
    back = pipeline.there("north", "points", moved(8, 1500, "order:12:card:1", 12))  # The order was cancelled.
    void = pipeline.points(reading(3, has(5000), rows=(row(3, 1500, "N-12+", version=3),)))
    went = [one for message in (back, void) for one in pipeline.take(message)]
    assert (went, state(pipeline), pipeline.asked()) == ([], (5000, 5000), {})
    again = pipeline.there("north", "points", moved(9, -700, "order:12:card:2", 12))  # And opened again.
    placed = pipeline.points(reading(4, has(4300), rows=(row(4, -700, "N-12-", version=4),)))
    went = [one for message in (again, placed) for one in pipeline.take(message)]
    assert (went, state(pipeline)) == ([], (4300, 4300))


def test_both_spend_the_same_money_and_none_appears(pipeline: Pipeline) -> None:
    start(pipeline)
    (one,) = pipeline.take(pipeline.there("north", "points", moved(7, -3000)))  # 20.00 is left there.
    # At the till 40.00 were spent meanwhile; of our 30.00 it could take 10.00.
    rows = (row(2, -4000, version=4), row(3, -1000, one.key, version=4))
    pipeline.take(pipeline.answer(one, "applied", version="3"))
    went = pipeline.take(pipeline.points(reading(4, has(0), rows=rows)))
    assert web_moves(went) == [-2000]
    pipeline.take(pipeline.answer(went[0], "applied", points="-2000"))
    assert (state(pipeline), list(pipeline.asked())) == ((0, 0), ["gift-card-overdrawn:c:card:GC-1|3"])
    pipeline.wait(120)
    assert web_moves(pipeline.commands_out())[1:] == [-2000]


def test_a_card_bought_on_the_web_is_asked_for_and_then_kept(pipeline: Pipeline) -> None:
    assert pipeline.take(pipeline.there("north", "points", moved(7, 5000, "order:3:bought"))) == []
    assert list(pipeline.asked()) == ["gift-card-bought:card:GC-1"]
    pipeline.take(pipeline.there("north", "points", moved(8, -1000)))
    went = pipeline.take(pipeline.points(reading(1, has(5000))))  # Staff have sold it at the till.
    assert (web_moves(went), till_moves(went), pipeline.asked()) == ([], [-1000], {})


def test_a_void_card_is_void_on_the_web_and_moves_no_more(pipeline: Pipeline) -> None:
    start(pipeline)
    went = pipeline.take(pipeline.points(reading(2, has(5000, is_enrolled=False))))
    assert [one.body for one in went] == [ChangeCard(number="GC-1", is_void=True)]
    assert pipeline.take(pipeline.points(reading(3, has(4000, is_enrolled=False), rows=(row(2, -1000),)))) == []
    pipeline.take(pipeline.answer(went[0], "applied"))
    went = pipeline.take(pipeline.points(reading(4, has(4000))))
    assert [one.body for one in went if isinstance(one.body, ChangeCard)] == [ChangeCard(number="GC-1", is_void=False)]
    assert web_moves(went) == [-1000]


def test_a_replay_makes_no_card_void_that_is_not(pipeline: Pipeline) -> None:
    start(pipeline)
    told = [pipeline.points(reading(version, has(5000, is_enrolled=version != 2))) for version in (2, 3)]
    for message in told:
        for one in pipeline.take(message):
            pipeline.take(pipeline.answer(one, "applied"))
    assert [one for message in told for one in pipeline.take(message)] == []


def test_cards_of_another_store_are_nobodys(pipeline: Pipeline) -> None:
    start(pipeline)
    assert pipeline.take(pipeline.there("south", "points", moved(7, -1500))) == []


def test_what_a_voided_document_gives_back_is_known_by_its_order(pipeline: Pipeline) -> None:
    """The document is gone from the till's tables, and its marker with it."""
    start(pipeline)
    pipeline.take(pipeline.here("IM_ITEM", b.item("MUG")), pipeline.here("AR_CUST", b.customer("C-1", "a@example.com")))
    pipeline.take(pipeline.there("north", "orders", b.order(12, "a@example.com")))
    (order,) = [one for one in pipeline.commands_out() if one.task == "orders"]
    pipeline.take(pipeline.answer(order, "applied", doc_id="500"))
    pipeline.take(pipeline.there("north", "points", moved(7, -1500, "order:12:card", 12)))
    pipeline.take(pipeline.points(reading(2, has(3500), rows=(row(2, -1500, "N-12-"),))))
    pipeline.take(pipeline.there("north", "points", moved(8, 1500, "order:12:card:1", 12)))
    given_back = HistoryRow(row_id="card:GC-1|3", cust_no=CARD, version=3, points=1500, document="500")
    went = pipeline.take(pipeline.points(reading(3, has(5000), rows=(given_back,))))
    assert (web_moves(went), state(pipeline)) == ([], (5000, 5000))


def test_a_reading_of_points_deletes_nothing_of_a_card(pipeline: Pipeline) -> None:
    start(pipeline)
    (one,) = pipeline.take(pipeline.there("north", "points", moved(7, -1500)))
    pipeline.take(pipeline.answer(one, "applied", version="3"))
    points = PointsReading(key="points", version=4, previous=0, unposted=())
    assert pipeline.take(pipeline.points(points)) == []


def test_two_cards_of_one_order_are_two(pipeline: Pipeline) -> None:
    start(pipeline)
    other = PointsShown(cust_no="card:GC-2", balance=2000)
    for one in pipeline.take(pipeline.points(reading(2, other))):
        pipeline.take(pipeline.answer(one, "applied", points="2000"))
    pipeline.take(
        pipeline.there("north", "points", moved(7, -1500, "order:12:card", 12)),
        pipeline.there("north", "points", moved(8, -700, "order:12:card:2", 12) | {"number": "GC-2"}),
    )
    second = HistoryRow(row_id="card:GC-2|2", cust_no="card:GC-2", version=3, points=-700, reference="N-12-")
    shown = (has(3500), PointsShown(cust_no="card:GC-2", balance=1300))
    went = pipeline.take(pipeline.points(reading(3, *shown, rows=(row(2, -1500, "N-12-", version=3), second))))
    assert (went, state(pipeline), pipeline.asked()) == ([], (4800, 4800), {})


def test_what_was_bought_and_is_told_late_is_not_paid_twice(pipeline: Pipeline) -> None:
    (made,) = pipeline.take(pipeline.points(reading(1, has(5000))))
    assert isinstance(made.body, MoveCard)
    assert made.body.is_new  # The store says that it has such a card.
    pipeline.take(pipeline.answer(made, "held", "the store has a card of this number already"))
    assert len(pipeline.asked()) == 1
    went = pipeline.take(pipeline.there("north", "points", moved(7, 5000, "order:3:bought")))
    assert (web_moves(went), till_moves(went), pipeline.asked(), state(pipeline)) == ([], [], {}, (5000, 5000))


def test_an_order_that_a_bought_card_paid_before_it_was_sold_counts_once(pipeline: Pipeline) -> None:
    pipeline.take(pipeline.there("north", "points", moved(7, 5000, "order:3:bought")))
    pipeline.take(pipeline.there("north", "points", moved(8, -1500, "order:12:card", 12)))
    pipeline.take(pipeline.there("north", "points", moved(9, 1500, "order:12:card:1", 12)))
    went = pipeline.take(pipeline.points(reading(1, has(5000))))
    assert (web_moves(went), till_moves(went), pipeline.asked()) == ([], [], {})


def test_what_only_the_document_knows_is_asked_after_a_while(pipeline: Pipeline) -> None:
    start(pipeline)
    assert pipeline.take(pipeline.points(reading(2, has(3500), rows=(row(2, -1500, "N-12-"),)))) == []
    assert (pipeline.wait(300), pipeline.asked()) == ([], {})
    pipeline.wait(400)
    assert list(pipeline.asked()) == ["gift-card-alone:card:GC-1|N-12-card:GC-1"]
    went = pipeline.decide("gift-card-alone:card:GC-1|N-12-card:GC-1", "accept")
    assert web_moves(went) == [-1500]
