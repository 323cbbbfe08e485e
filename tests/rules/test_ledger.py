"""The book of points: the rules R1 to R12 one by one, the invariants on random days, and designs that do not hold."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from counterflow.cli import bench_ledger, bench_points
from counterflow.cli.bench_ledger import Violation, play
from processors.rules import ledger, planning, readings
from processors.rules.book import TRANSFER, Adjust, Book, MovePoints, PointsSnapshot, export, tag_of
from schemas.loyalty import HistoryRow, PointsReading, WebTransaction

HOME, OTHER = "north/7", "north/8"


def row(number: int, points: int, reference: str = "", *, version: int = 2, cust_no: str = "C-1") -> HistoryRow:
    return HistoryRow(row_id=f"hist:{number}", cust_no=cust_no, version=version, points=points, reference=reference)


def snapshot(version: int, balance: int, *rows: HistoryRow, cust_no: str = "C-1") -> PointsSnapshot:
    return PointsSnapshot(version=version, cust_no=cust_no, balance=balance, rows=rows)


def web(number: int, points: int, reference: str = "", *, account: str = "7") -> WebTransaction:
    return WebTransaction(
        store="north", account_id=account, transaction_id=str(number), points=points, reference=reference
    )


def moves(book: Book) -> list[tuple[str, int]]:
    return [(one.account, one.points) for one in planning.wanted(book)[1]]


def carried_out(book: Book) -> Book:
    """Let the web do what is wanted, move by move, and tell of it."""
    book = planning.plan(book)
    while wanted := planning.wanted(book)[1]:
        for one in wanted:
            book = planning.plan(ledger.moved(book, one.tag, one.points))
    return book


def at_web(book: Book) -> int:
    return sum(book.balance(name) for name in book.accounts)


@pytest.fixture
def opened() -> Book:
    """C-1 with 25 points on both sides."""
    book = ledger.link_account(Book(cust_no="C-1"), HOME, since="2026-01-01")
    return carried_out(ledger.take_snapshot(book, snapshot(1, 25)))


def earned(book: Book, points: int = 10) -> tuple[Book, str]:
    """Let the shopper earn, and the adjustment be written; gives its tag."""
    book = planning.plan(ledger.take_transaction(book, web(1, points)))
    (one,) = planning.wanted(book)[0]
    return ledger.written(book, one.tag, 1), one.tag


def test_the_first_snapshot_brings_the_balance_up_once() -> None:  # R1
    book = ledger.link_account(Book(cust_no="C-1"), HOME, since="2026-01-01")
    book = planning.plan(ledger.take_snapshot(book, snapshot(1, 25, row(1, 25, version=1))))
    assert moves(book) == [(HOME, 25)]
    book = carried_out(book)
    assert (at_web(book), moves(planning.plan(ledger.take_snapshot(book, snapshot(2, 25))))) == (25, [])


@pytest.mark.parametrize(
    ("choice", "till", "shown"),
    [
        pytest.param("keep_pos", 25, 25, id="Counterpoint's balance counts"),
        pytest.param("keep_web", 40, 40, id="the web's balance counts"),
        pytest.param("add", 65, 65, id="both are added"),
    ],
)
def test_points_from_before_wait_for_a_person(choice: Any, till: int, shown: int) -> None:  # R1
    book = ledger.link_account(Book(cust_no="C-1"), HOME, since="2026-01-01", before=40)
    book = planning.plan(ledger.take_snapshot(book, snapshot(1, 25)))
    book = planning.plan(ledger.take_transaction(book, web(1, -15)))  # He goes on shopping meanwhile.
    assert planning.wanted(book) == ((), ())
    book = carried_out(ledger.decide_opening(book, HOME, choice))
    adjusted = sum(one.points for one in planning.wanted(book)[0])
    assert (25 + adjusted, at_web(book)) == (till - 15, shown - 15)


@pytest.mark.parametrize("first", ["keep_pos", "keep_web"])
def test_two_accounts_from_before_are_decided_in_any_order(first: Any) -> None:  # R1
    book = ledger.link_account(Book(cust_no="C-1"), HOME, since="2026-01-01", before=40)
    book = ledger.link_account(book, OTHER, since="2026-01-02", before=30)
    book = ledger.take_snapshot(book, snapshot(1, 25))
    choices = {HOME: "keep_pos", OTHER: "keep_web"}
    for name in sorted(choices, key=lambda one: choices[one] != first):
        book = ledger.decide_opening(book, name, choices[name])  # type: ignore[arg-type]
    book = carried_out(book)
    adjusted = sum(one.points for one in planning.wanted(book)[0])
    assert (25 + adjusted, at_web(book)) == (30, 30)


def test_rows_inside_the_opening_are_no_news(opened: Book) -> None:  # R1
    book = planning.plan(ledger.take_snapshot(opened, snapshot(2, 25, row(1, 25, version=1), row(2, -5, version=0))))
    assert (planning.wanted(book), book.pos_sum) == (((), ()), 25)


def test_a_shoppers_transaction_becomes_one_adjustment_until_it_is_posted(opened: Book) -> None:  # R2, R3
    book = planning.plan(ledger.take_transaction(opened, web(1, 10)))
    tag = tag_of("w:north:1")
    assert planning.wanted(book) == ((Adjust(tag=tag, cust_no="C-1", points=10),), ())
    book = ledger.written(book, tag, 1)
    assert planning.wanted(book) == ((), ())
    book = ledger.take_unposted(book, [tag], 2)
    book = carried_out(ledger.take_snapshot(book, snapshot(3, 35, row(1, 10, tag, version=3))))
    assert (book.pos_sum, at_web(book)) == (35, 35)


def test_a_tag_is_short_and_the_same_for_ever() -> None:
    assert (tag_of("w:north:1"), len(tag_of("w:north:1"))) == (tag_of("w:north:1"), 13)
    assert tag_of("w:north:1") != tag_of("w:north:2")


def test_another_amount_goes_to_the_web_as_the_difference(opened: Book) -> None:  # R3
    book, tag = earned(opened)
    book = carried_out(ledger.take_snapshot(book, snapshot(2, 32, row(1, 7, tag))))
    assert (book.pos_sum, at_web(book)) == (32, 32)


def test_a_tag_posted_twice_counts_twice_at_the_till(opened: Book) -> None:  # R3
    book, tag = earned(opened)
    book = carried_out(ledger.take_snapshot(book, snapshot(2, 45, row(1, 10, tag), row(2, 10, tag))))
    assert (book.pos_sum, at_web(book)) == (45, 45)


def test_a_deleted_adjustment_takes_the_points_back(opened: Book) -> None:  # R4
    book, _ = earned(opened)
    book = planning.plan(ledger.take_unposted(book, [], 2))
    assert moves(book) == [(HOME, -10)]
    assert at_web(carried_out(book)) == 25


def test_a_snapshot_read_before_our_write_deletes_nothing(opened: Book) -> None:  # R4
    book = planning.plan(ledger.take_transaction(opened, web(1, 10)))
    (one,) = planning.wanted(book)[0]
    book = ledger.written(book, one.tag, 3)  # The till had been read three times when it was committed.
    stale = planning.plan(ledger.take_unposted(book, [], 3))
    assert (moves(stale), at_web(stale)) == ([], 35)
    gone = planning.plan(ledger.take_unposted(stale, [], 4))
    assert moves(gone) == [(HOME, -10)]


def test_what_happens_at_the_till_is_a_difference_and_never_a_value(opened: Book) -> None:  # R5
    book = planning.plan(ledger.take_transaction(opened, web(1, -20)))
    book = carried_out(ledger.take_snapshot(book, snapshot(2, 30, row(1, 5))))
    assert at_web(book) == 10  # 25 - 20 + 5, and not 30.


def test_our_own_transaction_is_no_shoppers(opened: Book) -> None:  # R6
    book = planning.plan(ledger.take_snapshot(opened, snapshot(2, 35, row(1, 10))))
    (move,) = planning.wanted(book)[1]
    seen = planning.plan(ledger.take_transaction(book, web(9, 10, move.tag)))  # Before any answer of ours.
    assert (planning.wanted(seen), at_web(seen)) == (((), ()), 35)
    assert ledger.moved(seen, move.tag, 10) == seen


def test_what_is_not_there_stays_a_debt_until_points_come(opened: Book) -> None:  # R7
    book = planning.plan(ledger.take_transaction(opened, web(1, -20)))
    book = carried_out(ledger.take_snapshot(book, snapshot(2, 0, row(1, -25))))
    assert (at_web(book), sum(one.left for one in book.pos.values())) == (0, -20)
    book = carried_out(ledger.take_transaction(book, web(2, 30)))
    assert (at_web(book), sum(one.left for one in book.pos.values())) == (10, 0)


def test_an_account_that_had_less_is_read_again_before_more_is_taken(opened: Book) -> None:  # R7
    book = planning.plan(ledger.take_snapshot(opened, snapshot(2, 5, row(1, -20))))
    (move,) = planning.wanted(book)[1]
    book = planning.plan(ledger.moved(book, move.tag, 0))  # He has just spent it all.
    assert moves(book) == []
    book = planning.plan(ledger.account_read(ledger.take_transaction(book, web(1, -25)), HOME))
    assert (moves(book), sum(one.left for one in book.pos.values())) == ([], -20)


def test_a_balance_that_nothing_explains_is_held_until_it_is_let_go(opened: Book) -> None:  # R8
    book = planning.plan(ledger.take_snapshot(opened, snapshot(2, 40)))
    assert (moves(book), book.pos["c:unexplained:C-1:2"].points) == ([], 15)
    book = planning.plan(ledger.let_go(book, "c:unexplained:C-1:2"))
    assert moves(book) == [(HOME, 15)]


def second(*, has_account: bool = True, since: str = "2026-02-01", points: int = 25) -> Book:
    """C-2 with 25 points on both sides, or without a web account."""
    book = Book(cust_no="C-2")
    if has_account:
        book = ledger.link_account(book, OTHER, since=since)
    return carried_out(ledger.take_snapshot(book, snapshot(1, points, cust_no="C-2")))


def test_twenty_five_and_twenty_five_are_fifty_without_a_second_account(opened: Book) -> None:  # R9
    book = carried_out(ledger.merge(second(has_account=False), opened, version=2))
    book = carried_out(ledger.take_snapshot(book, snapshot(2, 50)))
    assert (book.pos_sum, at_web(book), planning.wanted(book)) == (50, 50, ((), ()))
    assert not any(one.is_held for one in book.pos.values())


def test_twenty_five_and_twenty_five_are_fifty_with_a_second_account(opened: Book) -> None:  # R9
    book = carried_out(ledger.merge(second(since="2025-12-31"), opened, version=2))  # The older one.
    book = carried_out(ledger.take_snapshot(book, snapshot(2, 50)))
    assert (book.pos_sum, book.balance(HOME), book.balance(OTHER)) == (50, 0, 50)
    assert planning.wanted(book)[0] == ()


@pytest.mark.parametrize("has_account", [True, False])
@pytest.mark.parametrize("is_let_go", [True, False])
def test_a_sum_that_is_seen_before_the_merge_is_known_is_not_given_twice(
    opened: Book, has_account: bool, is_let_go: bool
) -> None:  # R8, R9
    book = planning.plan(ledger.take_snapshot(opened, snapshot(2, 50)))
    assert moves(book) == []
    if is_let_go:
        book = carried_out(ledger.let_go(book, "c:unexplained:C-1:2"))
    book = carried_out(ledger.merge(second(has_account=has_account), book, version=2))
    book = carried_out(ledger.take_snapshot(book, snapshot(3, 50)))
    assert (book.pos_sum, at_web(book), book.balance(HOME)) == (50, 50, 50)
    assert not any(one.is_held for one in book.pos.values())


def test_what_is_really_unexplained_stays_held_through_a_merge(opened: Book) -> None:  # R8
    book = ledger.take_snapshot(opened, snapshot(2, 50 + 9000))
    book = carried_out(ledger.merge(second(has_account=False), book, version=2))
    assert (at_web(book), [one.left for one in book.pos.values() if one.is_held]) == (50, [9000])


@pytest.mark.parametrize("which", ["gone", "stays"])
def test_one_who_was_never_read_before_the_merge_is_opened_by_the_sum(opened: Book, which: str) -> None:  # R1, R9
    unread = ledger.link_account(Book(cust_no="C-2" if which == "gone" else "C-1"), OTHER, since="2026-02-01")
    if which == "gone":
        book = ledger.merge(unread, opened, version=2)
    else:
        book = ledger.merge(second(points=25), unread, version=2)
    book = carried_out(ledger.take_snapshot(carried_out(book), snapshot(2, 50)))
    assert (book.pos_sum, at_web(book), [one for one in book.pos.values() if one.is_held]) == (50, 50, [])


def test_an_adjustment_of_one_who_was_merged_settles_under_the_survivors_number(opened: Book) -> None:  # R9
    book, tag = earned(opened)
    stays = second(has_account=False, points=5)
    book = ledger.merge(book, stays, version=2)
    posted = row(1, 10, tag, version=2, cust_no="C-2")
    book = carried_out(ledger.take_snapshot(book, snapshot(2, 40, posted, cust_no="C-2")))
    assert (book.pos_sum, at_web(book), planning.wanted(book)[0]) == (40, 40, ())


def test_a_row_that_came_before_its_transaction_settles_it_all_the_same(opened: Book) -> None:  # I9
    tag = tag_of("w:north:1")
    book = ledger.take_snapshot(opened, snapshot(2, 35, row(1, 10, tag)))
    assert (book.pos_sum, list(book.early_rows)) == (35, [tag])
    book = carried_out(ledger.take_transaction(book, web(1, 10)))
    assert (planning.wanted(book), at_web(book), book.early_rows) == (((), ()), 35, {})


def test_what_staff_write_into_the_field_is_no_tag(opened: Book) -> None:
    book = carried_out(ledger.take_snapshot(opened, snapshot(2, 35, row(1, 10, "CF-XMAS2026"))))
    assert (at_web(book), book.early_rows) == (35, {})


def test_what_was_taken_for_the_other_account_is_given_though_a_person_is_asked(opened: Book) -> None:
    book = planning.plan(ledger.merge(second(since="2025-12-31"), opened, version=2))
    (take,) = planning.wanted(book)[1]
    book = planning.plan(ledger.moved(book, take.tag, take.points))
    book = planning.plan(ledger.link_account(book, "north/9", since="2026-03-01", before=5))
    assert moves(book) == [(OTHER, 25)]


def test_what_is_being_given_goes_where_it_was_sent_though_an_older_account_appears(opened: Book) -> None:
    book = planning.plan(ledger.merge(second(since="2025-12-31"), opened, version=2))
    (take,) = planning.wanted(book)[1]
    book = planning.plan(ledger.moved(book, take.tag, take.points))
    (give,) = planning.wanted(book)[1]
    book = planning.plan(ledger.link_account(book, "north/9", since="2025-01-01"))
    more = web(5, -5, tag_of("from:north/7#1", TRANSFER))  # Of another transfer, whose answer was lost.
    book = planning.plan(ledger.take_transaction(book, more))
    assert planning.wanted(book)[1] == (MovePoints(tag=give.tag, account=OTHER, points=30),)


def test_who_is_not_enrolled_keeps_his_book_and_is_sent_nothing(opened: Book) -> None:  # R12
    away = msgspec.structs.replace(opened, is_enrolled=False)
    away = planning.plan(ledger.take_snapshot(away, snapshot(2, 30, row(1, 5))))
    assert planning.wanted(away) == ((), ())
    back = planning.plan(msgspec.structs.replace(away, is_enrolled=True))
    assert moves(back) == [(HOME, 5)]


def test_whatever_comes_again_changes_nothing(opened: Book) -> None:  # I5
    shown = snapshot(2, 30, row(1, 5))
    book = carried_out(ledger.take_transaction(ledger.take_snapshot(opened, shown), web(1, 10)))
    again = ledger.take_transaction(ledger.take_snapshot(book, shown), web(1, 10))
    assert (again, export(again)) == (book, export(book))


SCHEDULES = 2000


@pytest.mark.parametrize("part", range(4))
def test_the_invariants_hold_on_random_days(part: int) -> None:  # I1 to I10
    for seed in range(part * SCHEDULES // 4, (part + 1) * SCHEDULES // 4):
        play(seed, merges=seed % 2 == 0, directs=seed % 5 == 0)


def unmarked(seen: Any) -> Any:
    """Take our tags off what is read."""
    if isinstance(seen, PointsReading):
        rows = tuple(msgspec.structs.replace(one, reference="") for one in seen.rows)
        return msgspec.structs.replace(seen, rows=rows)
    return msgspec.structs.replace(seen, reference="")


def no_echo_on_the_web(patch: pytest.MonkeyPatch) -> None:
    take = ledger.take_transaction
    patch.setattr(ledger, "take_transaction", lambda book, seen: take(book, unmarked(seen)))


def no_echo_at_the_till(patch: pytest.MonkeyPatch) -> None:
    """Forward every change of the balance: rows are not held against what we wrote."""
    take = readings.take_reading
    patch.setattr(readings, "take_reading", lambda books, seen: take(books, unmarked(seen)))


def no_look_before_writing(patch: pytest.MonkeyPatch) -> None:
    def adjust(self: bench_points.Till, tag: str, cust_no: str, points: int) -> int:
        self.unposted[tag if tag not in self.unposted else f"{tag}'"] = (cust_no, points)
        self.written[tag] += 1
        return self.version

    patch.setattr(bench_points.Till, "adjust", adjust)


def no_look_before_moving(patch: pytest.MonkeyPatch) -> None:
    def move(self: bench_points.Web, account: str, tag: str, points: int) -> int:
        self.enter(account, moved := max(points, -self.balance(account)), tag)
        return moved

    patch.setattr(bench_points.Web, "move", move)


def absolute_value(patch: pytest.MonkeyPatch) -> None:
    """Set the web's balance to the till's."""
    plan = planning.plan

    def set_to(book: Book) -> Book:
        planned = plan(book)
        sent = {tag: one for tag, one in planned.moves.items() if one.state == "sent" and one.entry_id}
        value = {tag: msgspec.structs.replace(one, points=book.pos_sum - at_web(book)) for tag, one in sent.items()}
        return msgspec.structs.replace(planned, moves={**planned.moves, **value})

    patch.setattr(planning, "plan", set_to)


def another_moment(patch: pytest.MonkeyPatch) -> None:
    """Read the balance at another moment than the rows."""
    read, before = bench_points.Till.reading, dict[str, int]()

    def stale(self: bench_points.Till) -> PointsReading | None:
        reading = read(self)
        if reading is None:
            return None
        shown = tuple(
            one if one.balance is None else msgspec.structs.replace(one, balance=before.get(one.cust_no, one.balance))
            for one in reading.customers
        )
        before.update(self.balances)
        return msgspec.structs.replace(reading, customers=shown)

    patch.setattr(bench_points.Till, "reading", stale)


def no_floor(patch: pytest.MonkeyPatch) -> None:
    def move(self: bench_points.Web, account: str, tag: str, points: int) -> int:
        if all(one.reference != tag for one in self.transactions.get(account, ())):
            self.enter(account, points, tag)
        return points

    patch.setattr(bench_points.Web, "move", move)


def no_version_of_our_write(patch: pytest.MonkeyPatch) -> None:
    written = ledger.written
    patch.setattr(ledger, "written", lambda book, tag, _version: written(book, tag, 0))


def merge_of_balances(patch: pytest.MonkeyPatch) -> None:
    """Take the survivor's book alone: what the other had is healed by the control total."""

    def merge(gone: Book, stays: Book, *, version: int) -> Book:
        united = {**gone.accounts, **stays.accounts}
        return msgspec.structs.replace(stays, accounts=united, merged_in=version)

    patch.setattr(ledger, "merge", merge)


@pytest.mark.parametrize(
    ("design", "what"),
    [
        pytest.param(no_echo_on_the_web, "I3", id="our own web transactions count as the shopper's"),
        pytest.param(no_echo_at_the_till, "R4|I3|I9", id="every change of the balance is forwarded"),
        pytest.param(no_look_before_writing, "I4|I6", id="an adjustment is written again without a look"),
        pytest.param(no_look_before_moving, "I2|I3|I6|rest", id="points are moved again without a look"),
        pytest.param(absolute_value, "I3|I5|I6|I8", id="the web is set to the till's balance"),
        pytest.param(another_moment, "I1 ", id="the balance is read at another moment than its rows"),
        pytest.param(no_floor, "I7", id="an account may fall below 0"),
        pytest.param(no_version_of_our_write, "R4", id="a reading from before our write counts as one after it"),
        pytest.param(merge_of_balances, "I2|I3|I5|I10", id="a merge keeps the survivor's book alone"),
    ],
)
def test_a_design_that_does_not_hold_is_found(design: Callable[[pytest.MonkeyPatch], None], what: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        design(patch)
        with pytest.raises(Violation, match=what):
            _play_many()


def _play_many() -> None:
    for seed in range(300):
        play(seed)


def test_the_bench_counts_violations(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_ledger.run(schedules=20, seed=1, json_file=None) == 0
    assert "violations: 0 (goal 0)" in capsys.readouterr().out
