"""A book as a bookkeeper reads it: every entry once, running balances that add up, and a reason for every difference."""

from typing import Any

import pytest
from msgspec.structs import replace

from counterflow.cli import bench_ledger, differences, statement
from counterflow.cli.bench_points import Flow
from counterflow.cli.ledger import told
from processors.rules import ledger, planning
from processors.rules.book import Book, tag_of
from tests.rules.test_ledger import HOME, OTHER, carried_out, earned, row, snapshot, web

DAYS = range(60)
SEEN, SEEN_NEXT = tag_of("w:north:1"), tag_of("w:north:2")


def opened(balance: int = 25) -> Book:
    """C-1 with his points on both sides."""
    book = ledger.link_account(Book(cust_no="C-1"), HOME, since="2026-01-01")
    return carried_out(ledger.take_snapshot(book, snapshot(1, balance)))


def said(book: Book) -> list[tuple[str, str, int, int, int]]:
    """Give what a reader sees: what, state, points, and both running balances."""
    return [(one.what, one.state, one.points, one.till, one.web) for one in statement.lines_of(book)]


def why(book: Book) -> list[tuple[int, str]]:
    return [(one.points, one.says) for one in differences.reasons(book)]


def faults(book: Book) -> list[str]:
    return differences.faults(book, statement.lines_of(book))


def entries(book: Book) -> int:
    """Count what has a line."""
    asked = sum(one.before is not None for one in book.accounts.values())
    return sum(map(len, (book.web, book.pos, book.moves, book.early, book.early_rows))) + asked


def books_of_a_day(seed: int) -> list[Book]:
    """Play a random day; gives its books at many moments, and as they are while they are built anew."""
    day = bench_ledger.world(seed, merges=seed % 2 == 0, directs=seed % 3 == 0)
    found = list[Book]()
    for _ in range(bench_ledger.STEPS):
        day.step()
        found += day.books.values()
    again = Flow(day.web.owners | day.web.deleted, day.flow.since)
    for topic in ("points", *sorted({topic for topic, _ in day.taken})):
        for name, message in day.taken:
            if name == topic:
                again.take(message)
                found += again.books.values()
    return found


@pytest.mark.parametrize("seed", DAYS)
def test_every_book_of_a_random_day_adds_up(seed: int) -> None:
    for book in books_of_a_day(seed):
        lines = statement.lines_of(book)
        assert differences.faults(book, lines) == []
        own = [one for one in lines if one.what != "set off against an opening or a closed account"]
        assert len(own) == entries(book)


@pytest.mark.parametrize("seed", DAYS)
def test_every_closing_of_a_random_day_adds_up(seed: int) -> None:
    for book in books_of_a_day(seed)[::9]:
        for name in book.accounts:
            closed = planning.plan(ledger.close_account(book, name, book.shown[0]))
            assert faults(closed) == []
            assert faults(carried_out(closed)) == []


@pytest.mark.parametrize("seed", DAYS)
def test_each_kind_stands_in_its_own_order(seed: int) -> None:
    for book in books_of_a_day(seed)[::5]:
        lines = statement.lines_of(book)
        assert [one.tag for one in lines if one.tag in book.web] == list(book.web)
        for account in {move.account for move in book.moves.values()}:
            mine = [tag for tag, move in book.moves.items() if move.account == account]
            assert [one.tag for one in lines if one.tag in mine] == mine
        versions = [
            book.pos[f"c:{one.origin}"].version for one in lines if f"c:{one.origin}" in book.pos and not one.tag
        ]
        assert versions == sorted(versions)


@pytest.mark.parametrize("seed", DAYS)
def test_a_move_stands_behind_what_it_is_a_part_of(seed: int) -> None:
    for book in books_of_a_day(seed)[::5]:
        places = {(one.origin, bool(one.tag)): place for place, one in enumerate(statement.lines_of(book))}
        for origin, is_move in places:
            if is_move and f"c:{origin}" in book.pos:
                assert places[origin, False] < places[origin, True]


def test_a_book_is_told_from_its_opening_on() -> None:
    book, _ = earned(opened())
    book = carried_out(ledger.take_snapshot(book, snapshot(2, 20, row(1, -5))))
    assert said(book) == [
        ("opening of C-1", "on the web", 25, 25, 0),
        ("our move to north/7", "done", 25, 25, 25),
        ("shopper earned in north", "unposted", 10, 25, 35),
        ("ticket or adjustment at the till", "on the web", -5, 20, 35),
        ("our move to north/7", "done", -5, 20, 30),
    ]


def test_origin_and_tag_are_those_of_both_sides() -> None:
    book, tag = earned(opened())
    opening, move, shopper = statement.lines_of(book)
    assert (opening.origin, opening.tag) == ("open:C-1", "")
    assert (move.origin, move.tag) == ("open:C-1", tag_of("c:open:C-1#0"))
    assert (shopper.origin, shopper.tag) == ("north:1", tag)


def posted(points: int) -> Book:
    book, tag = earned(opened())
    return ledger.take_snapshot(book, snapshot(2, 25 + points, row(1, points, tag)))


def deleted() -> Book:
    return ledger.take_unposted(earned(opened())[0], [], 2)


def spent_and_new() -> Book:
    return ledger.take_transaction(opened(), web(1, -10))


def unexplained() -> Book:
    return ledger.take_snapshot(opened(), snapshot(2, 34))


def merged() -> Book:
    gone = ledger.take_snapshot(Book(cust_no="C-2"), snapshot(1, 25, cust_no="C-2"))
    return ledger.merge(gone, ledger.take_snapshot(opened(), snapshot(2, 50)), version=2)


def closed() -> Book:
    return ledger.close_account(opened(), HOME, 1)


def two_accounts() -> Book:
    book = ledger.link_account(opened(), OTHER, since="2026-01-02")
    return planning.plan(ledger.take_transaction(book, web(2, 7, account="8")))


@pytest.mark.parametrize(
    ("book", "expected"),
    [
        pytest.param(posted(10), ("shopper earned in north", "posted", 10, 35, 35), id="posted"),
        pytest.param(posted(10), ("adjustment posted", "", 0, 35, 35), id="the posting itself"),
        pytest.param(
            posted(12),
            ("adjustment posted with another amount", "+2 not on the web yet", 2, 37, 35),
            id="posted with another amount",
        ),
        pytest.param(deleted(), ("shopper earned in north", "undone, see below", 10, 35, 35), id="what was deleted"),
        pytest.param(
            deleted(), ("adjustment deleted by staff", "-10 not on the web yet", -10, 25, 35), id="the deletion"
        ),
        pytest.param(spent_and_new(), ("shopper spent in north", "waits to be written", -10, 25, 15), id="new"),
        pytest.param(
            unexplained(), ("unexplained balance", "held: +9 not on the web yet", 9, 34, 25), id="unexplained"
        ),
        pytest.param(merged(), ("merge with C-2", "set off against another entry", -25, 50, 25), id="merge"),
        pytest.param(closed(), ("account north/7 closed", "+25 not on the web yet", -25, 25, 0), id="closed"),
        pytest.param(two_accounts(), ("transfer from north/8", "on its way", -7, 25, 32), id="transfer"),
        pytest.param(
            ledger.take_snapshot(Book(cust_no="C-1"), snapshot(1, 25, row(1, 5, version=1))),
            ("ticket or adjustment, inside the opening", "", 0, 0, 0),
            id="a row inside the opening",
        ),
        pytest.param(
            ledger.take_snapshot(opened(), snapshot(2, 35, row(1, 10, tag_of("w:north:1")))),
            ("adjustment of ours, posted", "its transaction was not read yet", 10, 35, 25),
            id="posted before it was read",
        ),
        pytest.param(
            ledger.take_transaction(opened(), web(1, 5, tag_of("c:hist:1#0"))),
            ("our move to north/7", "read before its entry: a rebuilding goes on", 5, 25, 30),
            id="moved before its entry was read",
        ),
    ],
)
def test_an_entry_is_told_in_the_words_of_the_trade(book: Book, expected: tuple[Any, ...]) -> None:
    assert expected in said(book)
    assert faults(book) == []


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("keep_pos", [("opening: the till's points count, not north/7's", "-10 not on the web yet", -10, 25, 10)]),
        (
            "keep_web",
            [
                ("opening of C-1", "the web had 25 of it", 25, 25, 25),
                ("opening: what north/7 had before it was linked", "waits to be written", -15, 25, 10),
            ],
        ),
        ("add", [("opening: what north/7 had before it was linked", "waits to be written", 10, 25, 10)]),
    ],
)
def test_what_a_person_decided_about_points_on_both_sides_adds_up(choice: Any, expected: list[Any]) -> None:
    book = ledger.link_account(Book(cust_no="C-1"), HOME, since="2026-01-01", before=10)
    book = ledger.take_snapshot(book, snapshot(1, 25))
    assert said(book)[-1] == ("what north/7 had before it was linked", "waits for a person", 10, 25, 10)
    assert (10, "10 points were in north/7 before it was linked: a person decides what becomes of them") in why(book)
    assert differences.notes(book) == [
        "nothing is sent before a person has said what becomes of the points that north/7 had"
    ]
    assert faults(book) == []
    decided = ledger.decide_opening(book, HOME, choice)
    assert [one for one in said(decided) if one in expected] == expected
    assert faults(decided) == []
    assert faults(carried_out(planning.plan(decided))) == []


@pytest.mark.parametrize(
    ("book", "expected"),
    [
        pytest.param(opened(), [], id="equal"),
        pytest.param(
            earned(opened())[0], [(10, f"10 points of the shopper wait for staff to post: {SEEN}")], id="unposted"
        ),
        pytest.param(
            spent_and_new(),
            [(-10, f"10 points of the shopper wait to be written into Counterpoint: {SEEN}")],
            id="to be written",
        ),
        pytest.param(
            ledger.take_snapshot(opened(), snapshot(2, 30, row(1, 5))),
            [(-5, "5 points of the till are on their way to the web")],
            id="on its way",
        ),
        pytest.param(
            ledger.take_snapshot(opened(), snapshot(2, -5, row(1, -30))),
            [
                (5, "5 points are a debt: the account has not got them"),
                (25, "25 points of the till are on their way to the web"),
            ],
            id="a debt, and what can be taken",
        ),
        pytest.param(
            unexplained(), [(-9, "9 points of the till are held: nothing explains them: unexplained:C-1:2")], id="held"
        ),
        pytest.param(closed(), [(-25, "25 points of the till wait for a web account")], id="no account"),
        pytest.param(
            ledger.moved(two_accounts(), list(two_accounts().moves)[-1], -7),
            [
                (7, f"7 points of the shopper wait to be written into Counterpoint: {SEEN_NEXT}"),
                (-7, "7 points were taken from one account and not given to the other yet"),
            ],
            id="in transit",
        ),
    ],
)
def test_why_both_sides_differ_is_one_sentence_for_each_reason(book: Book, expected: list[tuple[int, str]]) -> None:
    assert why(book) == expected


def test_who_left_the_programme_is_told_so() -> None:
    assert differences.notes(replace(opened(), is_enrolled=False)) == [
        "he is in no programme, or not flagged for e-commerce: the book is kept, and nothing is sent"
    ]


def test_a_book_that_does_not_add_up_says_so() -> None:
    book = opened()
    account = replace(book.accounts[HOME], read=3)
    answer = told(replace(book, accounts={HOME: account}), "C-1")
    assert answer["does_not_add_up"] == [
        "the entries add up to 25 on the web, and the accounts have 28",
        "the sides differ by +3, and the reasons explain +0",
    ]


def test_a_long_list_of_tags_is_cut() -> None:
    book = opened()
    for number in range(15):
        book = ledger.take_transaction(book, web(number, 1))
    assert why(book)[0][1].endswith(", and 3 more")
    assert len(said(book)) == len(said(opened())) + 15
