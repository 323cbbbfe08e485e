"""The sandbox's till and stock room, the queue that triggers fill, and the faults that can be switched on."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import OperationalError

from counterflow.state.server import EmbeddedServer
from sandbox.counterpoint import tables as t
from sandbox.counterpoint.visitor import Visitor
from sandbox.server import Sandbox, Settings
from sandbox.shop import generate

CUSTOMER = {"AR_CUST": {"FST_NAM": "Ana", "LST_NAM": "Adler"}}


@pytest.fixture(scope="module")
def running(postgres: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    database = postgres.url(f"counterpoint_{uuid.uuid4().hex[:8]}")
    settings = Settings(folder=tmp_path_factory.mktemp("sandbox"), database_url=database)
    box = Sandbox(settings, generate(1, customers=30, items=8))
    box.start()
    visitor = Visitor(box)
    yield visitor
    visitor.close()
    box.stop()


@pytest.fixture
def shop(running: Visitor) -> Iterator[Visitor]:
    """A shop without faults, and an empty queue; the faults of a test end with it."""
    running.begin_anew()
    yield running
    running.begin_anew()


def customers(shop: Visitor) -> list[dict[str, Any]]:
    return list(shop.get("/Customers").json()["Customers"])


# Till, stock room, journal.


def test_a_sale_takes_from_the_shelf_and_is_journaled(shop: Visitor) -> None:
    number = shop.new_item()
    answer = shop.post("/_sandbox/sales", {"lines": [{"item_no": number, "quantity": 2}]})
    last = shop.get("/_sandbox/journal").json()["entries"][-1]
    assert (answer.status_code, shop.shelf(number)) == (200, (8, 0))
    assert (last["actor"], last["kind"], last["key"], last["data"]["on_hand"]) == ("till", "sale", number, 8)


def test_receipts_and_adjustments_move_one_shelf(shop: Visitor) -> None:
    number = shop.new_item(stock={"MAIN": 10, "WH2": 0})
    shop.post("/_sandbox/receipts", {"item_no": number, "quantity": 5, "loc": "WH2"})
    shop.post("/_sandbox/adjustments", {"item_no": number, "quantity": -1.5, "loc": "WH2"})
    assert (shop.shelf(number, "MAIN"), shop.shelf(number, "WH2")) == ((10, 0), (3.5, 0))


def test_a_sale_of_what_is_not_there_changes_nothing(shop: Visitor) -> None:
    number = shop.new_item()
    before = len(shop.books.journal.entries())
    lines = [{"item_no": number, "quantity": 1}, {"item_no": "ZZZ", "quantity": 1}]
    assert shop.post("/_sandbox/sales", {"lines": lines}).status_code == 404
    assert (shop.shelf(number), len(shop.books.journal.entries())) == ((10, 0), before)


def test_sales_at_the_same_moment_are_all_counted(shop: Visitor) -> None:
    number = shop.new_item(stock={"MAIN": 100})
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: shop.books.sell([{"item_no": number, "quantity": 1}]), range(40)))
    assert shop.shelf(number) == (60, 0)
    assert [one.seq for one in shop.books.journal.entries()] == list(range(1, len(shop.books.journal.entries()) + 1))


def test_the_journal_is_read_from_any_place_on(shop: Visitor) -> None:
    shop.new_item()
    whole = shop.get("/_sandbox/journal").json()["entries"]
    assert shop.get("/_sandbox/journal", after=1, limit=2).json()["entries"] == whole[1:3]


def test_a_form_goes_back_to_the_page_and_the_page_shows_what_it_did(shop: Visitor) -> None:
    number = "00012"  # Digits only: a form must not make a number of it.
    shop.new_item(ITEM_NO=number, DESCR="<b>")
    form = {"item_no": number, "quantity": "3", "loc": "MAIN"}
    browser = {"headers": {"Accept": "text/html"}, "allow_redirects": False}
    sold = shop.call("POST", "/_sandbox/sales", data=form, **browser)
    shown = shop.get("/_sandbox/", q=number).text
    assert (sold.status_code, sold.headers["Location"]) == (303, "/_sandbox/")
    assert "&lt;b&gt;" in shown
    assert "<strong>7</strong>" in shown


# The queue that triggers fill (1; sql-server.md 5.5).


def test_each_change_of_a_tracked_table_is_queued_once(shop: Visitor) -> None:
    number = shop.new_item()
    doc_id = shop.books.sell([{"item_no": number, "quantity": 1}])
    assert shop.queued() == [
        ("IM_ITEM", f'["{number}"]', "I"),
        ("IM_INV", f'["{number}", "MAIN"]', "I"),
        ("PS_DOC_HDR", f'["{doc_id}"]', "I"),
        ("IM_INV", f'["{number}", "MAIN"]', "U"),
    ]


def test_housekeeping_and_changes_that_change_nothing_are_not_queued(shop: Visitor) -> None:
    with shop.books.engine.begin() as connection:
        one = update(t.customer).where(t.customer.c.CUST_NO == "10005")
        stamp = connection.execute(select(t.customer.c.ROW_TS).where(t.customer.c.CUST_NO == "10005")).scalar_one()
        connection.execute(one.values(LST_MAINT_USR_ID="SYNC"))
        connection.execute(one.values(NAM=t.customer.c.NAM))
        moved = connection.execute(select(t.customer.c.ROW_TS).where(t.customer.c.CUST_NO == "10005")).scalar_one()
    assert shop.queued() == []
    assert moved > stamp  # ROW_TS moves all the same: who polls by it must compare.


def test_what_is_rolled_back_is_not_queued_and_a_deletion_is(shop: Visitor) -> None:
    number = shop.new_item()
    with shop.books.engine.connect() as connection:
        connection.execute(delete(t.item).where(t.item.c.ITEM_NO == number))
        connection.rollback()
        connection.execute(delete(t.inventory).where(t.inventory.c.ITEM_NO == number))
        connection.commit()
    assert shop.queued()[2:] == [("IM_INV", f'["{number}", "MAIN"]', "D")]


# Faults.


def test_while_it_is_down_rest_and_sql_are_cut_and_afterwards_both_work(shop: Visitor) -> None:
    row = {"CLAIM_KEY": "too late", "STATE": "taken", "AT_UTC": datetime(2026, 1, 1, tzinfo=UTC)}
    with shop.sql.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        assert connection.scalar(text("SELECT 1")) == 1
        shop.set_faults(down=True)
        with pytest.raises(OperationalError):
            connection.execute(t.claim.insert(), [row])
    with pytest.raises(OperationalError):
        shop.sql.connect()
    with pytest.raises(requests.ConnectionError):
        shop.get("/Company")
    shop.set_faults(down=False)  # The control routes are never faulty.
    with shop.sql.connect() as connection:
        assert connection.scalars(select(t.claim.c.CLAIM_KEY)).all() == []  # Nothing came through any more.
    assert shop.get("/Company").status_code == 200


def test_a_write_can_be_applied_and_cut_off_before_its_answer(shop: Visitor) -> None:
    before = len(customers(shop))
    shop.set_faults(share_half_applied=1.0)
    with pytest.raises(requests.ConnectionError):
        shop.post("/Customer", CUSTOMER)
    assert len(customers(shop)) == before + 1  # And reads are not cut.


@pytest.mark.parametrize(("fault", "status"), [("share_429", 429), ("share_500", 500)])
def test_a_refused_write_is_not_applied(shop: Visitor, fault: str, status: int) -> None:
    before = len(customers(shop))
    shop.set_faults(**{fault: 1.0})
    answer = shop.post("/Customer", CUSTOMER)
    shop.set_faults(**{fault: 0.0})
    assert (answer.status_code, "Retry-After" in answer.headers) == (status, status == 429)
    assert len(customers(shop)) == before


@pytest.mark.parametrize("wrong", [{"share_of_500": 1}, {"delay_s": "long"}, ["down"]])
def test_a_fault_that_is_not_known_is_refused_and_named(shop: Visitor, wrong: Any) -> None:
    answer = shop.post("/_sandbox/faults", wrong)
    assert answer.status_code == 400
    assert not isinstance(wrong, dict) or next(iter(wrong)) in answer.json()["error"]
