"""Our adjustments of points: written once, seen by every later reading, and nothing written where names are wrong."""

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Connection, select, text

from consumers.counterpoint import CounterpointTarget
from counterflow.cli.installation import LOYALTY
from counterflow.clock import SystemClock
from counterflow.config import Points
from counterflow.errors import Broken, Transient
from counterflow.state.server import EmbeddedServer
from counterflow.systems.counterpoint import points, sql
from counterflow.systems.counterpoint.requests import Manner
from sandbox.counterpoint import loyalty
from sandbox.counterpoint import tables as t
from sandbox.counterpoint.loyalty import Which
from schemas.commands import AdjustPoints
from schemas.loyalty import PointsReading
from tests.contracts.counterpoint_points_till import SETTINGS, Till, a_tag, adjust, told
from tests.contracts.counterpoint_shop import Shop, apply, wait_until

FRESH = itertools.count(1)


@pytest.fixture(scope="module")
def opened(postgres: EmbeddedServer) -> Iterator[Till]:
    till = Till(postgres.url(f"adjust{next(FRESH)}"))
    yield till
    till.close()


@pytest.fixture
def till(opened: Till) -> Till:
    """A shop of which everything was read."""
    opened.read_whole()
    return opened


def unposted(till: Till, tag: str) -> list[dict[str, Any]]:
    query = select(t.point_adjustment).where(t.point_adjustment.c.DOC_NO == tag)
    with till.direct.connect() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def waiting(reading: PointsReading) -> tuple[str, ...]:
    assert reading.unposted is not None
    return reading.unposted


def write(till: Till, tag: str, number: str, amount: int = 5) -> tuple[bool, int]:
    with sql.writing(till.sql) as connection:
        return adjust(connection, tag, number, amount)


def test_an_adjustment_has_all_that_was_configured(till: Till) -> None:
    ana, tag = till.person(), a_tag()
    write(till, tag, ana, -5)
    [row] = unposted(till, tag)
    assert [row[name] for name in ("CUST_NO", "NO_OF_PTS", "DOC_NO", "BAT_ID")] == [ana, -5, tag, "WEB"]
    assert row["TRX_DAT"] is not None
    assert till.balances()[ana] == 0


def test_a_new_row_may_need_numbers_and_no_time(till: Till) -> None:
    settings = renamed(unposted={"at": None, "values": {"BAT_ID": 7, "ROW_TS": 7}})
    tag = a_tag()
    with sql.writing(till.sql) as connection:
        points.adjust(connection, settings, tag=tag, cust_no=till.person(), points=5)
    [row] = unposted(till, tag)
    assert (row["BAT_ID"], row["TRX_DAT"]) == ("7", None)


def test_asked_for_many_times_at_once_it_is_written_once(till: Till) -> None:
    ana, tag, begin = till.person(), a_tag(), threading.Barrier(8)

    def one(_: int) -> tuple[bool, int]:
        begin.wait()
        return write(till, tag, ana)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, range(8)))
    assert (sorted(is_new for is_new, _ in answers), len(unposted(till, tag))) == ([False] * 7 + [True], 1)
    assert len({version for _, version in answers}) == 8


@pytest.mark.parametrize("posted", [False, True], ids=["while it waits", "when it is posted"])
def test_what_is_there_already_is_found(till: Till, posted: bool) -> None:
    ana, tag = till.person(), a_tag()
    write(till, tag, ana)
    if posted:
        loyalty.post(till.books, Which(tag=tag))
    assert (write(till, tag, ana)[0], len(unposted(till, tag))) == (False, int(not posted))


def test_what_staff_have_deleted_is_written_again_when_it_is_asked_for(till: Till) -> None:
    ana, tag = till.person(), a_tag()
    write(till, tag, ana)
    loyalty.delete(till.books, Which(tag=tag))
    assert (write(till, tag, ana)[0], len(unposted(till, tag))) == (True, 1)


def test_for_a_customer_who_is_gone_nothing_is_written_and_no_version_taken(till: Till) -> None:
    tag, before = a_tag(), till.version()
    with pytest.raises(Transient, match="merged into another"):
        write(till, tag, "NOBODY")
    assert (unposted(till, tag), till.version()) == ([], before)


# Beside readings.


def test_its_version_stands_between_the_readings_before_and_after_it(till: Till) -> None:
    ana, tag = till.person(), a_tag()
    before = till.news()
    _, version = write(till, tag, ana)
    after = till.news()
    assert (tag in waiting(after), before.version < version < after.version) == (True, True)


def waits_for_a_lock(connection: Connection) -> bool:
    connection.rollback()
    return bool(connection.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'")))


def test_a_reading_that_begins_while_it_is_being_written_waits_and_shows_it(till: Till) -> None:
    ana, tag = till.person(), a_tag()
    before = till.news()
    till.change(ana, PHONE_1="555-001")
    with ThreadPoolExecutor(1) as pool, till.direct.connect() as watch:
        with sql.writing(till.sql) as connection:
            _, version = adjust(connection, tag, ana, 5)
            reading = pool.submit(till.poll)
            wait_until(lambda: waits_for_a_lock(watch))
            assert not reading.done()
        after = told(reading.result(timeout=20))
    till.restart()
    assert after is not None
    assert (tag in waiting(after), before.version < version < after.version) == (True, True)


def test_one_that_is_written_while_a_reading_goes_on_has_a_later_version(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, tag, versions = till.person(), a_tag(), list[int]()
    real = points.unposted

    def late(connection: Connection, settings: Points) -> list[str]:
        if not versions and connection.get_isolation_level() == "REPEATABLE READ":
            connection.execute(select(t.customer.c.CUST_NO))  # The snapshot has begun.
            versions.append(write(till, tag, ana)[1])
        return real(connection, settings)

    monkeypatch.setattr(points, "unposted", late)
    during, after = till.news(), till.news()
    assert [tag in waiting(one) for one in (during, after)] == [False, True]
    assert during.version < versions[0] < after.version


# As a command.


def target_of(shop: Shop) -> CounterpointTarget:
    return CounterpointTarget(
        shop.target()._client,
        shop.sql,
        clock=SystemClock(),
        manner=Manner(),
        server_timeout_s=60.0,
        points=SETTINGS,
    )


def test_a_command_is_carried_out_once_and_says_its_version(shop: Shop) -> None:
    body = AdjustPoints(tag=a_tag(), cust_no="10001", points=5)
    first, second = apply(target_of(shop), body), apply(target_of(shop), body)
    assert (first.result, second.result) == ("applied", "already")
    assert int(first.remote["version"]) < int(second.remote["version"])


def test_a_command_for_a_customer_who_is_gone_waits(shop: Shop) -> None:
    outcome = apply(target_of(shop), AdjustPoints(tag=a_tag(), cust_no="NOBODY", points=5))
    assert (outcome.result, "merged into another" in outcome.message) == ("waiting", True)


def test_an_adjustment_that_the_database_refuses_for_good_is_rejected_and_not_tried_again(shop: Shop) -> None:
    ana = shop.books.create_customer({"FST_NAM": "Ana"}, actor="staff")
    outcome = apply(target_of(shop), AdjustPoints(tag="CF-TOOMUCH234", cust_no=ana, points=10**12))
    assert (outcome.result, outcome.message) == ("rejected", "Counterpoint's database: SQL state 22003")


def test_where_points_are_left_alone_a_command_is_rejected(shop: Shop) -> None:
    assert apply(shop.target(), AdjustPoints(tag=a_tag(), cust_no="10001", points=5)).result == "rejected"


# Names.


def test_the_sandboxs_names_are_all_there(till: Till) -> None:
    points.check(till.sql, SETTINGS)


def renamed(**changes: Any) -> Points:
    given: dict[str, Any] = dict(LOYALTY)
    given["unposted"] = given["unposted"] | changes.get("unposted", {})
    given["rows"] = [one | changes.get(one["table"], {}) for one in given["rows"]]
    return Points.model_validate(given)


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"unposted": {"tag": "REFERENCE"}}, ["AR_LOY_PT_ADJ.REFERENCE"]),
        ({"unposted": {"values": {"REASON": "WEB", "LEVEL": 1}}}, ["AR_LOY_PT_ADJ.LEVEL", "AR_LOY_PT_ADJ.REASON"]),
        (
            {"AR_LOY_PT_ADJ_HIST": {"key": "SEQ_NO", "version": "RS"}},
            ["AR_LOY_PT_ADJ_HIST.RS", "AR_LOY_PT_ADJ_HIST.SEQ_NO"],
        ),
        ({"PS_DOC_HDR_LOY_PGM": {"header": "PS_DOC"}}, ["PS_DOC.CUST_NO", "PS_DOC.DOC_ID"]),
        ({"VI_PS_TKT_HIST": {"minus": "REDEEMED", "tag": "REF"}}, ["VI_PS_TKT_HIST.REDEEMED", "VI_PS_TKT_HIST.REF"]),
    ],
)
def test_a_name_that_is_not_there_is_broken_and_named(till: Till, changes: dict[str, Any], missing: list[str]) -> None:
    with pytest.raises(Broken) as caught:
        points.check(till.sql, renamed(**changes))
    assert f"names what is not there: {', '.join(missing)};" in str(caught.value)


def test_the_tables_that_may_be_meant_are_found_with_their_columns(till: Till) -> None:
    with sql.reading(till.sql, snapshot=False) as connection:
        found = points.likely_tables(connection)
    tables = {"AR_LOY_PT_ADJ", "AR_LOY_PT_ADJ_HIST", "PS_DOC_HDR_LOY_PGM", "PS_TKT_HIST_LOY_PGM"}
    assert tables | {"SY_GFC", "SY_GFC_ACTIV"} <= found.keys()
    assert not found.keys() & {"AR_CUST", "PS_DOC_HDR", "USR_CF_QUEUE"}
    assert found["AR_LOY_PT_ADJ"][:4] == [
        "SEQ_NO bigint",
        "BAT_ID character varying(10)",
        "CUST_NO character varying(15)",
        "DOC_NO character varying(15)",
    ]
