"""The source of points: each customer's balance and the rows that explain it in one message, each row once."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, select, text

from counterflow.state.server import EmbeddedServer
from producers import counterpoint_points
from producers.counterpoint_queue import QueueSource
from sandbox.counterpoint import loyalty
from sandbox.counterpoint import tables as t
from sandbox.counterpoint.loyalty import Which
from tests.contracts.counterpoint_points_till import Till, a_tag, balances_of, rows_of, told

FRESH = itertools.count(1)
Open = Callable[..., Till]


@pytest.fixture
def opened(postgres: EmbeddedServer) -> Iterator[Open]:
    """Opens shops that nobody has read yet."""
    tills: list[Till] = []

    def open_one(**options: Any) -> Till:
        tills.append(Till(postgres.url(f"points{next(FRESH)}"), **options))
        return tills[-1]

    yield open_one
    for one in tills:
        one.close()


@pytest.fixture
def till(opened: Open) -> Till:
    return opened()


# The first reading.


def test_the_first_reading_tells_every_customer_page_by_page(opened: Open) -> None:
    till = opened(page_rows=4)
    for points in range(7):
        till.person(points)
    till.set_up()
    pages = [balances_of(one) for one in till.read_whole()]
    assert [len(one) for one in pages] == [4, 4, 1]
    assert {name: points for one in pages for name, points in one.items()} == till.balances()


def test_whoever_is_enrolled_and_flagged_is_told_so(till: Till) -> None:
    both, no_program, no_flag = till.person(), till.person(LOY_PGM_COD=None), till.person(IS_ECOMM_CUST="N")
    till.set_up()
    [reading] = till.read_whole()
    found = {one.cust_no: one.is_enrolled for one in reading.customers}
    assert (found[both], found[no_program], found[no_flag]) == (True, False, False)


@pytest.mark.parametrize("long_ago", [False, True], ids=["a moment ago", "long ago"])
def test_what_was_posted_before_the_first_reading_is_never_told(till: Till, long_ago: bool) -> None:
    ana = till.person(10)
    till.staff(ana, 5)
    till.books.post_document(till.ticket(ana, 2))
    if long_ago:
        till.pass_time()
    till.set_up()
    first = till.read_whole()
    till.staff(ana, 1)
    later = till.news()
    till.pass_time()
    till.staff(ana, 1)
    assert [balances_of(one)[ana] for one in (*first, later)] == [17, 18]
    assert [points for _, _, points, _ in rows_of(*first, later, till.take())] == [1, 1]


def test_what_is_posted_while_the_first_pages_are_read_is_told_with_its_customer(opened: Open) -> None:
    till = opened(page_rows=3)
    people = [till.person(10) for _ in range(9)]
    till.news()
    till.staff(people[-1], 5)  # His page is still to come.
    till.staff(people[0], 7)  # His has gone by.
    second = till.news()
    found = balances_of(second)
    assert (found[people[-1]], found[people[0]]) == (15, 17)
    assert [(who, points) for _, who, points, _ in rows_of(second)] == [(people[-1], 5), (people[0], 7)]
    assert rows_of(*till.read_whole()) == []


def test_a_cursor_from_before_points_were_switched_on_goes_on_and_all_points_are_read_once(till: Till) -> None:
    ana, inner = till.person(10), QueueSource(till.sql, poll_s=0.1)
    reset = True
    while reset:
        reading = inner.poll(till.cursor, till.position)
        till.cursor, till.position, reset = reading.cursor, reading.position, reading.reset
        inner.confirm(reading)
    till.change(ana, PHONE_1="555-001")
    reading = till.poll()
    first = till.publish(reading)
    assert first is not None
    assert ([one.change.op for one in reading.reads], reading.reset) == (["u", "u"], False)
    assert (first.previous, balances_of(first), till.take()) == (0, till.balances(), None)


# What changes.


@pytest.fixture
def read(till: Till) -> Till:
    """A shop that was read whole."""
    till.read_whole()
    return till


def test_who_has_changed_is_told_with_the_rows_that_moved_his_points(read: Till) -> None:
    ana, ben = read.person(10), read.person(10)
    read.take()
    doc_id, event_no = read.ticket(ana, 3), read.staff(ana, -2)
    reading = read.news()
    assert balances_of(reading) == {ana: 11}
    assert sorted(rows_of(reading)) == [
        (f"adjustment:{event_no}", ana, -2, ""),
        (f"ticket:{doc_id}", ana, 3, ""),
    ]
    assert {row.version for row in reading.rows} == {reading.version}
    read.change(ben, PHONE_1="555-001")
    assert (balances_of(later := read.news()), later.rows) == ({ben: 10}, ())


def test_where_nothing_is_new_there_is_no_reading(read: Till) -> None:
    before = read.cursor, read.version()
    read.books.sell([], cust_no="CASH")
    assert (read.take(), read.take()) == (None, None)
    assert (read.cursor, read.version()) == before


@pytest.mark.parametrize("is_new_process", [False, True], ids=["by the same process", "by a new one"])
def test_a_row_is_told_once(read: Till, is_new_process: bool) -> None:
    ana = read.person(10)
    read.staff(ana, 5)
    found = [read.news()]
    for points in (3, 4):
        if is_new_process:
            read.restart()
        read.staff(ana, points)
        found.append(read.news())
        read.pass_time()
    assert [points for _, _, points, _ in rows_of(*found)] == [5, 3, 4]
    assert [balances_of(one) for one in found] == [{ana: 15}, {ana: 18}, {ana: 22}]


def test_what_was_read_and_not_published_is_told_again_under_the_same_id(read: Till) -> None:
    ana = read.person(10)
    read.staff(ana, 5)
    lost = told(read.poll())
    read.restart()
    again = read.news()
    assert lost is not None
    assert rows_of(lost) == rows_of(again) != []
    assert (balances_of(again), again.previous, again.version) == (balances_of(lost), lost.previous, lost.version + 1)


def test_each_reading_names_the_one_before_it_also_after_a_restart(opened: Open) -> None:
    till = opened(page_rows=3)
    found = till.read_whole()
    for number in range(4):
        till.person(number)
        found.append(till.news())
        till.restart()
    assert [one.previous for one in found] == [0, *(one.version for one in found[:-1])]
    assert sorted({one.version for one in found}) == [one.version for one in found]


def test_an_adjustment_between_two_readings_takes_a_version_of_its_own(read: Till) -> None:
    ana = read.person(10)
    first = read.news()
    version = read.adjust(a_tag(), ana, 5)
    second = read.news()
    assert (second.previous, first.version < version < second.version) == (first.version, True)


def test_an_open_ticket_and_a_posted_one_are_the_same_row(read: Till) -> None:
    doc_id = read.ticket(read.person(10), 4)
    was_open = read.news()
    read.pass_time()
    read.staff(ben := read.person(), 1)
    read.take()
    read.books.post_document(doc_id)
    read.change(ben, PHONE_1="555-001")
    assert rows_of(read.take()) == rows_of(was_open) != []


def test_an_open_ticket_of_before_the_first_reading_is_known_when_it_is_posted(till: Till) -> None:
    ana = till.person(10)
    doc_id = till.ticket(ana, 4)
    till.pass_time()
    till.set_up()
    [first] = till.read_whole()  # It is in the balance already: the book enters it as part of the opening.
    assert (rows_of(first), balances_of(first)[ana]) == ([(f"ticket:{doc_id}", ana, 4, "")], 14)
    assert first.rows[0].version == first.version


@pytest.mark.parametrize("at_posting", [False, True], ids=["at completion", "at posting"])
def test_a_ticket_moves_the_balance_when_the_shop_says_so(opened: Open, at_posting: bool) -> None:
    till = opened(points_move_at_posting=at_posting)
    ana = till.person(10)
    till.read_whole()
    doc_id = till.ticket(ana, 4)
    completed = till.take()
    till.books.post_document(doc_id)
    posted = till.take()
    moving, other = (posted, completed) if at_posting else (completed, posted)
    assert moving is not None
    assert (balances_of(moving), rows_of(moving), other) == ({ana: 14}, [(f"ticket:{doc_id}", ana, 4, "")], None)


def test_a_customer_who_is_deleted_has_no_balance_any_more(read: Till) -> None:
    ana = read.person(10)
    read.take()
    read.books.delete_customer(ana)
    assert balances_of(read.news()) == {ana: None}


@pytest.mark.parametrize("moves", [True, False], ids=["with his history", "without it"])
def test_a_customer_is_merged(opened: Open, moves: bool) -> None:
    till = opened(merge_moves_history=moves)
    gone, stays = till.person(25), till.person(25)
    till.read_whole()
    event_no, tag = till.staff(gone, 5), a_tag()
    till.adjust(tag, gone, 3)
    before = till.news()
    till.merge(gone, stays)
    after = till.news()
    row = f"adjustment:{event_no}"
    assert (rows_of(before), balances_of(before)) == ([(row, gone, 5, "")], {gone: 30})
    assert (balances_of(after), after.unposted) == ({gone: None, stays: 55}, (tag,))
    assert rows_of(after) == []  # The row was told: whose it is now says nothing new.


def test_a_row_that_a_merge_moves_comes_again_under_the_same_id(till: Till) -> None:
    """An UPDATE gives it a new row version: whoever enters it has to know it, in whichever book it stands."""
    gone, stays = till.person(25), till.person(25)
    till.read_whole()
    till.staff(gone, 5)
    [(row_id, _, points, _)] = rows_of(till.take())
    till.pass_time()
    till.change(stays, PHONE_1="555-001")
    till.take()
    till.merge(gone, stays)
    assert rows_of(till.take()) == [(row_id, stays, points, "")]


def test_more_rows_than_a_message_holds_come_in_several(opened: Open) -> None:
    till = opened(rows_max=3)
    ana, ben, cleo = (till.person(10) for _ in range(3))
    till.read_whole()
    tag = a_tag()
    till.adjust(tag, cleo, 9)
    till.take()
    for who, points in ((ana, 1), (ben, 2), (ana, 3), (ben, 4)):
        till.staff(who, points)
    with till.direct.begin() as connection:
        connection.execute(t.posted_adjustment.update().values(DOC_NO="SPRING"))  # A reference, but none of ours.
    loyalty.post(till.books, Which(tag=tag))
    first, second = till.read_whole()
    assert [row[1:3] for row in rows_of(first)] == [(ana, 1), (ben, 2), (ana, 3), (cleo, 9)]  # With our tag: at once.
    assert [row[1:3] for row in rows_of(second)] == [(ben, 4)]
    assert (balances_of(first), balances_of(second)) == ({ana: 14, cleo: 19}, {ben: 16})  # With all of his rows.


# Our adjustments.


def tagged(till: Till, points: int = 5) -> tuple[str, str]:
    """Somebody, and an adjustment of ours that the source has told of."""
    ana, tag = till.person(10), a_tag()
    till.adjust(tag, ana, points)
    assert till.news().unposted == (tag,)
    return ana, tag


def test_a_posted_adjustment_keeps_our_tag(read: Till) -> None:
    ana, tag = tagged(read)
    event_no = loyalty.post(read.books, Which(tag=tag))["event_no"]
    reading = read.news()
    assert (rows_of(reading), reading.unposted) == ([(f"adjustment:{event_no}", ana, 5, tag)], ())
    assert balances_of(reading) == {ana: 15}


def test_an_adjustment_that_staff_altered_to_nothing_is_told_when_it_is_posted(read: Till) -> None:
    ana, tag = tagged(read)
    loyalty.alter(read.books, Which(tag=tag), 0)
    event_no = loyalty.post(read.books, Which(tag=tag))["event_no"]
    reading = read.news()
    assert (rows_of(reading), reading.unposted) == ([(f"adjustment:{event_no}", ana, 0, tag)], ())


def test_an_adjustment_that_staff_deleted_makes_a_reading(read: Till) -> None:
    _, tag = tagged(read)
    loyalty.delete(read.books, Which(tag=tag))
    reading = read.news()
    assert (reading.unposted, reading.rows, reading.customers, read.take()) == ((), (), (), None)


def test_an_adjustment_that_was_written_and_deleted_between_two_readings_makes_one(read: Till) -> None:
    ana, tag = read.person(10), a_tag()
    first = read.news()
    version = read.adjust(tag, ana, 5)
    loyalty.delete(read.books, Which(tag=tag))
    reading = read.news()
    assert (reading.unposted, first.version < version < reading.version, read.take()) == ((), True, None)


def test_what_staff_write_into_the_reference_is_no_tag_of_ours(read: Till) -> None:
    loyalty.enter(read.books, read.person(), 5, "CF-")
    read.take()
    with read.direct.begin() as connection:
        connection.execute(t.point_adjustment.update().values(DOC_NO="XCF-1"))
    assert read.take() is None


# What is written while it is read.


def test_a_row_whose_transaction_is_open_during_a_reading_is_told_later(read: Till) -> None:
    ana, ben = read.person(10), read.person(10)
    read.take()
    with read.direct.begin() as slow:  # It draws the lower row version, and commits last.
        history = {"CUST_NO": ana, "NO_OF_PTS": 5}
        slow.execute(t.posted_adjustment.insert(), [history])
        read.staff(ben, 7)
        assert [points for _, _, points, _ in rows_of(read.news())] == [7]
    read.change(ana, LOY_PTS_BAL=15)
    reading = read.news()
    assert ([row[1:3] for row in rows_of(reading)], balances_of(reading)) == ([(ana, 5)], {ana: 15})


def test_a_row_that_is_committed_right_when_the_reading_begins_is_not_lost(
    read: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lowest row version at work is asked for before the snapshot begins: as SQL Server's, exact here."""
    ana, slow = read.person(10), read.direct.connect()
    read.take()
    slow.execute(t.posted_adjustment.insert(), [{"CUST_NO": ana, "NO_OF_PTS": 5}])

    def exact(connection: Connection) -> int:
        connection.execute(select(t.customer.c.CUST_NO))  # What a snapshot shows is settled by its first look at data.
        if not slow.closed:
            slow.commit()
            slow.close()
        return int(connection.scalar(text("SELECT last_value FROM row_ts")) or 0)

    monkeypatch.setattr(counterpoint_points, "oldest_active", exact)
    read.change(ana, LOY_PTS_BAL=15)
    found = [read.news()]
    read.change(ana, PHONE_1="555-001")
    found.append(read.news())
    assert [row[1:3] for row in rows_of(*found)] == [(ana, 5)]


def test_after_a_restored_backup_new_rows_are_told(read: Till) -> None:
    ana = read.person(10)
    for _ in range(3):
        read.pass_time()
        read.staff(ana, 5)
        read.take()
    restore(read.direct)
    read.change(ana, PHONE_1="555-001")
    read.take()  # Where it stands now is seen.
    read.staff(ana, 7)
    assert [row[1:3] for row in rows_of(read.take())] == [(ana, 7)]


def restore(engine: Engine) -> None:
    """Let row versions go back, as those of a restored database do."""
    with engine.begin() as connection:
        connection.execute(text('DELETE FROM "AR_LOY_PT_ADJ_HIST"'))
        connection.execute(text("SELECT setval('row_ts', 3000)"))
