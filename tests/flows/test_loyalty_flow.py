"""changes.counterpoint.points and changes.<store>.points -> adjustments and moves, until both sides are equal."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from sqlalchemy import Engine

from processors.rules.book import tag_of
from processors.shop import Loyalty, Shop
from schemas.commands import AdjustPoints, Command, MovePoints
from schemas.loyalty import HistoryRow, PointsReading, PointsShown
from tests.flows import builders as b
from tests.flows.pipeline import Pipeline
from tests.flows.test_account_flow import merge
from tests.flows.test_customer_flow import LATEST, both, carry_out, opened, person, settings

ANA, BEN = "C-1", "C-2"


def with_points(first: str = "ask", **facts: Any) -> Shop:
    policies = {name: Loyalty(first=first) for name in ("north", "south")}  # type: ignore[arg-type]
    return replace(settings(), loyalty=policies, **facts)


@pytest.fixture
def pipeline(database: Engine) -> Pipeline:
    return opened(Pipeline(database, with_points()))


def reading(
    version: int,
    *shown: PointsShown,
    rows: tuple[HistoryRow, ...] = (),
    unposted: tuple[str, ...] = (),
    previous: int | None = None,
) -> Any:
    before = version - 1 if previous is None else previous
    return PointsReading(key="points", version=version, previous=before, customers=shown, rows=rows, unposted=unposted)


def has(balance: int | None, cust_no: str = ANA, **facts: Any) -> PointsShown:
    return PointsShown(cust_no=cust_no, balance=balance, **facts)


def row(number: int, points: int, tag: str = "", *, cust_no: str = ANA, version: int = 2) -> HistoryRow:
    return HistoryRow(row_id=f"hist:{number}", cust_no=cust_no, version=version, points=points, reference=tag)


def moved(number: int, points: int, reference: str = "", *, user: int = 7) -> b.Row:
    return {"id": number, "user": user, "points": points, "reference": reference, "created_gmt": b.PLACED}


def adjustments(went: list[Command]) -> list[tuple[str, str, int]]:
    return [(one.key, one.body.cust_no, one.body.points) for one in went if isinstance(one.body, AdjustPoints)]


def moves(went: list[Command]) -> list[tuple[str, str, int]]:
    return [(one.system, one.body.account_id, one.body.points) for one in went if isinstance(one.body, MovePoints)]


class Web:
    """The stores' accounts, as the commands leave them; a move is told of by the feed."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline, self.balances, self._numbers = pipeline, dict[tuple[str, str], int](), iter(range(100, 999))

    def shop(self, points: int, account: int = 7, store: str = "north") -> tuple[str, list[Command]]:
        """Let a shopper earn or spend; gives the tag of it, and what goes out."""
        number = next(self._numbers)
        key = (store, str(account))
        self.balances[key] = self.balances.get(key, 0) + points
        went = self.pipeline.take(self.pipeline.there(store, "points", moved(number, points, "order:1", user=account)))
        return tag_of(f"w:{store}:{number}"), went

    def carry_out(self, went: list[Command]) -> list[Command]:
        """Do every move, answer it, and tell of it; gives the adjustments that are wanted meanwhile."""
        adjusts = []
        while went:
            command = went.pop(0)
            if not isinstance(command.body, MovePoints):
                adjusts.append(command)
                continue
            key = (command.system, command.body.account_id)
            points = max(command.body.points, -self.balances.get(key, 0))
            self.balances[key] = self.balances.get(key, 0) + points
            went += self.pipeline.take(self.pipeline.answer(command, "applied", points=str(points)))
            echo = moved(next(self._numbers), points, command.body.tag, user=int(key[1]))
            if points:
                went += self.pipeline.take(self.pipeline.there(command.system, "points", echo))
        return adjusts


def start(pipeline: Pipeline, balance: int = 25) -> Web:
    """Ana is known on both sides and has her points there."""
    web = Web(pipeline)
    both(pipeline)
    web.carry_out(pipeline.take(pipeline.points(reading(1, has(balance)))))
    return web


def test_the_first_reading_brings_the_balance_up_and_then_only_changes_go(pipeline: Pipeline) -> None:  # req-L1, L3
    web = start(pipeline)
    assert web.balances == {("north", "7"): 25}
    went = pipeline.take(pipeline.points(reading(2, has(20), rows=(row(1, -5),))))
    assert moves(went) == [("north", "7", -5)]
    web.carry_out(went)
    assert (web.balances, pipeline.asked()) == ({("north", "7"): 20}, {})


def test_what_a_shopper_earns_becomes_one_adjustment_and_its_posting_an_echo(pipeline: Pipeline) -> None:  # req-L2, L5
    web = start(pipeline)
    tag, went = web.shop(10)
    assert adjustments(went) == [(tag, ANA, 10)]
    pipeline.take(pipeline.answer(went[0], "applied", version="4"))
    assert pipeline.take(pipeline.points(reading(5, unposted=(tag,)))) == []
    assert pipeline.take(pipeline.points(reading(6, has(35), rows=(row(1, 10, tag),)))) == []
    assert (web.balances, pipeline.asked()) == ({("north", "7"): 35}, {})


def test_an_adjustment_whose_answer_is_lost_is_looked_for_and_settled(pipeline: Pipeline) -> None:
    web = start(pipeline)
    tag, _ = web.shop(10)
    pipeline.take(pipeline.points(reading(5, unposted=(tag,))))
    (again,) = pipeline.wait(61)  # The lease is over; the consumer finds its tag.
    assert pipeline.take(pipeline.answer(again, "already", version="6")) == []
    assert pipeline.take(pipeline.points(reading(6, has(35), rows=(row(1, 10, tag),)))) == []


def test_points_that_are_worth_more_on_the_web_are_carried(database: Engine) -> None:  # loyalty-R13
    shop = with_points()
    tenth = {name: replace(one, rate=Fraction(1, 10)) for name, one in shop.loyalty.items()}
    pipeline = opened(Pipeline(database, replace(shop, loyalty=tenth)))
    web = start(pipeline, 25)
    assert web.balances == {("north", "7"): 2}
    tag, went = web.shop(1)
    assert adjustments(went) == [(tag, ANA, 10)]
    web.carry_out(pipeline.take(pipeline.points(reading(2, has(39), rows=(row(1, 10, tag), row(2, 4))))))
    assert web.balances == {("north", "7"): 3}
    web.carry_out(pipeline.take(pipeline.points(reading(3, has(40), rows=(row(3, 1, version=3),)))))
    assert (web.balances, pipeline.asked()) == ({("north", "7"): 4}, {})


def test_a_deleted_adjustment_takes_the_points_back_on_the_web(pipeline: Pipeline) -> None:  # loyalty-R4
    web = start(pipeline)
    _, went = web.shop(10)
    pipeline.take(pipeline.answer(went[0], "applied", version="4"))
    early = reading(4, unposted=(), previous=1)
    assert moves(pipeline.take(pipeline.points(early))) == []  # Read before our write.
    went = pipeline.take(pipeline.points(reading(5, unposted=())))
    assert moves(went) == [("north", "7", -10)]
    web.carry_out(went)
    assert web.balances == {("north", "7"): 25}


def two_with_points(pipeline: Pipeline, *, second_account: bool) -> Web:
    """Ana and Ben have 25 points each, and are one person as it turns out."""
    web = Web(pipeline)
    both(pipeline, LOY_PTS_BAL=25)
    pipeline.take(
        pipeline.here("AR_CUST", person(BEN, "ana@example.org", PHONE_1="212 555 0100", LOY_PTS_BAL=25)),
    )
    if second_account:
        went = pipeline.take(pipeline.there("south", "customers", b.account(9, "ana@example.org", phone="2125550100")))
        carry_out(pipeline, went)
    web.carry_out(pipeline.take(pipeline.points(reading(1, has(25), has(25, BEN)))))
    return web


@pytest.mark.parametrize("is_late", [False, True])
def test_a_merge_is_known_though_he_bought_something_before_it_was_read(pipeline: Pipeline, *, is_late: bool) -> None:
    web = two_with_points(pipeline, second_account=True)  # req-C6, L4
    told = reading(2, has(46), has(None, BEN, is_enrolled=False), rows=(row(1, -4),))
    pipeline.take(pipeline.gone_here("AR_CUST", CUST_NO=BEN))
    pipeline.take(pipeline.here("AR_CUST", person(at=LATEST, PHONE_1="212 555 0100", LOY_PTS_BAL=46)))
    if is_late:
        pipeline.wait(121)
        assert list(pipeline.asked()) == ["merge:C-2"]  # Until a reading of points says more.
    web.carry_out(pipeline.take(pipeline.points(told)))
    for _ in range(5):
        web.carry_out(pipeline.wait(30))
    assert {key: points for key, points in web.balances.items() if points} == {("north", "7"): 46}
    assert pipeline.asked() == {}


@pytest.mark.parametrize("second_account", [False, True])
@pytest.mark.parametrize("is_told_first", [True, False])
def test_25_and_25_are_50_on_both_sides(pipeline: Pipeline, *, second_account: bool, is_told_first: bool) -> None:
    web = two_with_points(pipeline, second_account=second_account)  # req-L4
    assert sum(web.balances.values()) == (50 if second_account else 25)
    told = reading(2, has(50), has(None, BEN, is_enrolled=False))
    went = pipeline.take(pipeline.points(told)) if is_told_first else []
    merge(pipeline, points=25)
    went += pipeline.wait(31)
    went += [] if is_told_first else pipeline.take(pipeline.points(told))
    went += pipeline.wait(2)
    adjusts = [one for one in web.carry_out(went) if isinstance(one.body, AdjustPoints)]
    assert (adjusts, pipeline.asked()) == ([], {})
    assert {key: points for key, points in web.balances.items() if points} == {("north", "7"): 50}
    pipeline.wait(120)
    assert pipeline.asked() == {}  # Nothing for staff to do.


def test_what_nothing_explains_is_held_and_a_person_lets_it_go(pipeline: Pipeline) -> None:  # loyalty-R8
    web = start(pipeline)
    assert moves(pipeline.take(pipeline.points(reading(2, has(34))))) == []
    pipeline.wait(61)
    assert list(pipeline.asked()) == ["points-unexplained:c:unexplained:C-1:2"]
    went = pipeline.decide("points-unexplained:c:unexplained:C-1:2", "accept")
    assert moves(went) == [("north", "7", 9)]
    web.carry_out(went)
    assert web.balances == {("north", "7"): 34}


def test_a_little_that_nothing_explains_needs_no_person(database: Engine) -> None:
    pipeline = opened(Pipeline(database, with_points(unexplained_max=10)))
    start(pipeline)
    pipeline.take(pipeline.points(reading(2, has(34))))
    assert moves(pipeline.wait(61)) == [("north", "7", 9)]
    assert pipeline.asked() == {}


def test_a_balance_that_goes_back_explains_what_was_held(pipeline: Pipeline) -> None:
    start(pipeline)
    pipeline.take(pipeline.points(reading(2, has(34))))
    pipeline.wait(61)
    went = pipeline.take(pipeline.points(reading(3, has(25))))
    assert (moves(went), pipeline.asked()) == ([], {})


@pytest.mark.parametrize(
    ("decision", "sent", "adjusted"), [("keep_pos", [-5], []), ("keep_web", [], [-20]), ("add", [25], [5])]
)
def test_points_on_both_sides_at_first_are_a_persons_choice(
    pipeline: Pipeline, decision: str, sent: list[int], adjusted: list[int]
) -> None:  # loyalty-R1
    pipeline.take(pipeline.there("north", "points", moved(1, 5)))  # Nobody knows yet whose account it is.
    went = pipeline.take(pipeline.points(reading(1, has(25))))
    both(pipeline)
    assert (went, list(pipeline.asked())) == ([], ["points-first:north/7"])
    went = pipeline.decide("points-first:north/7", decision)
    web = Web(pipeline)
    web.balances[("north", "7")] = 5
    adjusts = web.carry_out(list(went))
    assert [points for _, _, points in adjustments(adjusts)] == adjusted
    assert web.balances[("north", "7")] == {"keep_pos": 25, "keep_web": 5, "add": 30}[decision]
    assert moves(went)[:1] == [("north", "7", points) for points in sent[:1]] or decision == "keep_pos"


def test_points_on_the_web_alone_need_no_choice(pipeline: Pipeline) -> None:
    pipeline.take(pipeline.there("north", "points", moved(1, 5)))
    pipeline.take(pipeline.points(reading(1, has(0))))
    both(pipeline)
    (went,) = [one for one in pipeline.commands_out() if isinstance(one.body, AdjustPoints)]
    assert (went.body.points, pipeline.asked()) == (5, {})  # type: ignore[union-attr]


def test_who_is_in_no_programme_is_sent_nothing_until_he_is(pipeline: Pipeline) -> None:  # loyalty-R12
    both(pipeline)
    assert pipeline.take(pipeline.points(reading(1, has(25, is_enrolled=False)))) == []
    assert moves(pipeline.take(pipeline.points(reading(2, has(25))))) == [("north", "7", 25)]


def test_a_deleted_account_loses_nothing_at_the_till_and_the_next_one_has_it(pipeline: Pipeline) -> None:
    web = start(pipeline)
    pipeline.take(pipeline.gone_there("north", "customers", 7))
    went = pipeline.take(pipeline.there("south", "customers", b.account(9, "ana@example.com")))
    web.carry_out([one for one in went + pipeline.wait(1) if isinstance(one.body, MovePoints)])
    assert web.balances[("south", "9")] == 25


def test_whatever_comes_again_changes_nothing(pipeline: Pipeline) -> None:
    start(pipeline)
    before = pipeline.everything()
    again = [pipeline.points(reading(1, has(25))), pipeline.there("north", "points", moved(100, 25, "CF-XXXXXXXXXX"))]
    went = pipeline.take(again[0])
    assert (went, pipeline.everything()["ledger"]) == ([], before["ledger"])


def test_the_books_of_one_batch_are_those_of_many(database: Engine) -> None:
    """A reading, a transaction and an answer in one batch or in three: the same books."""
    states = []
    for together in (True, False):
        pipeline = opened(Pipeline(database, with_points()))
        start(pipeline)
        batch = [
            pipeline.there("north", "points", moved(500, 10, "order:9")),
            pipeline.points(reading(2, has(20), rows=(row(1, -5),))),
            pipeline.points(reading(3, has(26), rows=(row(2, 6, version=3),))),
        ]
        for part in [batch] if together else [[one] for one in batch]:
            pipeline.take(*part)
        states.append(
            pipeline.rows("SELECT kind, id, book, body FROM ledger_entry WHERE kind <> 'moves' ORDER BY 1, 2")
        )
    assert states[0] == states[1]


def test_after_a_missing_reading_nothing_follows_from_absence(pipeline: Pipeline) -> None:
    """Counterpoint was restored from a backup, say: our adjustment is gone, and no staff have deleted it."""
    web = start(pipeline)
    tag, went = web.shop(10)
    pipeline.take(pipeline.answer(went[0], "applied", version="2"))
    went = pipeline.take(pipeline.points(reading(9, has(25), previous=7)))
    assert (moves(went), adjustments(went)) == ([], [(tag, ANA, 10)])  # It is looked for, and written again.


def test_a_number_that_is_used_again_is_left_alone(pipeline: Pipeline) -> None:
    two_with_points(pipeline, second_account=False)
    merge(pipeline, points=25)
    pipeline.wait(31)
    pipeline.take(pipeline.points(reading(2, has(50), has(None, BEN, is_enrolled=False))))
    pipeline.wait(2)
    went = pipeline.take(pipeline.points(reading(3, has(40, BEN), rows=(row(9, 40, cust_no=BEN, version=3),))))
    assert (moves(went), list(pipeline.asked())) == ([], ["points-number:C-2"])


def test_rows_that_a_merge_moved_to_the_survivor_are_entered_once(pipeline: Pipeline) -> None:
    web = two_with_points(pipeline, second_account=True)
    web.carry_out(pipeline.take(pipeline.points(reading(2, has(30, BEN), rows=(row(5, 5, cust_no=BEN),)))))
    assert sum(web.balances.values()) == 55
    again = row(5, 5, version=3)  # Under the survivor's number now.
    pipeline.take(pipeline.points(reading(3, has(55), has(None, BEN, is_enrolled=False), rows=(again,))))
    merge(pipeline, points=25)
    web.carry_out(pipeline.wait(31) + pipeline.wait(2))
    assert {key: points for key, points in web.balances.items() if points} == {("north", "7"): 55}
    assert pipeline.asked() == {}


def test_an_account_that_is_deleted_twice_costs_nobody_anything(pipeline: Pipeline) -> None:
    """Of the same name there may be two closings, in two books."""
    web = start(pipeline)
    state = pipeline.rows("SELECT our_id FROM link WHERE system = 'north' AND remote_id = '7'")
    pipeline.take(pipeline.gone_there("north", "customers", 7))
    assert len(state) == 1
    pipeline.take(pipeline.gone_there("north", "customers", 7))
    went = pipeline.take(pipeline.there("south", "customers", b.account(9, "ana@example.com")))
    web.carry_out([one for one in went + pipeline.wait(1) if isinstance(one.body, MovePoints)])
    assert web.balances[("south", "9")] == 25


def test_many_readings_of_many_customers_are_one_batch(pipeline: Pipeline) -> None:
    pages = [
        reading(number, *(has(10, f"X-{number}-{one}") for one in range(300)), previous=number - 1)
        for number in range(1, 11)
    ]
    pipeline.take(*(pipeline.points(one) for one in pages))
    assert pipeline.rows("SELECT count(*) FROM ledger_account") == [(3000,)]


@pytest.mark.parametrize(("kept_by", "keeps"), [("oldest", "7"), ("newest", "9")])
def test_the_oldest_account_keeps_the_points_unless_set_otherwise(database: Engine, kept_by: Any, keeps: str) -> None:
    pipeline = opened(Pipeline(database, with_points(kept_by=kept_by)))
    pipeline.take(pipeline.here("AR_CUST", person()))
    for number, store, at in ((7, "north", "2024-01-01T00:00:00"), (9, "south", "2025-01-01T00:00:00")):
        account = b.account(number, "ana@example.com") | {"date_created_gmt": at}
        pipeline.take(pipeline.there(store, "customers", account))
    web = Web(pipeline)
    web.carry_out([one for one in pipeline.take(pipeline.points(reading(1, has(25)))) if one.task == "points"])
    assert {number: points for (_, number), points in web.balances.items()} == {keeps: 25}
