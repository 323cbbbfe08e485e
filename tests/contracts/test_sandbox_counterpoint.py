"""The sandbox's Counterpoint answers as its REST guide and public code say the real one does (counterpoint.md)."""

import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import requests
from sqlalchemy import select

from counterflow.state.server import EmbeddedServer
from sandbox.counterpoint import tables as t
from sandbox.counterpoint.books import Books
from sandbox.counterpoint.visitor import Visitor
from sandbox.journal import Journal
from sandbox.server import Sandbox, Settings
from sandbox.shop import generate


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


def line(item_no: str, **facts: Any) -> dict[str, Any]:
    return {"LIN_TYP": "O", "ITEM_NO": item_no, "QTY_SOLD": 1, "PRC": 12.5, "USR_ENTD_PRC": "Y", **facts}


def order(*lines: dict[str, Any], **facts: Any) -> dict[str, Any]:
    header = {"STR_ID": "WEBN", "STA_ID": "1", "DRW_ID": "1", "USR_ID": "WEB", "TKT_TYP": "T", "DOC_TYP": "O"}
    return {"PS_DOC_HDR": {**header, "CUST_NO": "10001", "PS_DOC_LIN": list(lines), **facts}}


def refusal(answer: requests.Response) -> tuple[int, str]:
    assert answer.json()["Message"]
    return answer.status_code, answer.json()["ErrorCode"]


# Headers and error codes (8).


def test_the_login_needs_the_company_before_the_user(shop: Visitor) -> None:
    said = shop.login
    assert shop.get("/Company").json()["ErrorCode"] == "SUCCESS"
    assert refusal(shop.call("GET", "/Company", auth=(said["user"], said["password"]))) == (
        401,
        "ERROR_UNKNOWN",
    )


def test_a_wrong_password_is_401_and_a_wrong_or_missing_key_403(shop: Visitor) -> None:
    said = shop.login
    wrong = shop.call("GET", "/Company", auth=(f"{said['company']}.{said['user']}", "wrong"))
    keys = [shop.call("GET", "/Company", headers={"APIKey": key}) for key in ("wrong", None)]
    assert wrong.status_code == 401
    assert [refusal(one) for one in keys] == [(403, "ERROR_INVALID_APIKEY")] * 2


@pytest.mark.parametrize(
    "path",
    [
        "/Customer/NOBODY",
        "/Item/NOTHING",
        "/Document/1",
        "/Store/NONE",
        "/Store/MAIN/Station/9",
        "/Workgroup/9",
    ],
)
def test_what_is_not_there_is_404(shop: Visitor, path: str) -> None:
    assert refusal(shop.get(path)) == (404, "ERROR_RECORD_NOT_FOUND")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("/Customer", {"AR_CUST": {"FST_NAM": "Ana"}}, id="a customer without a last name"),
        pytest.param("/Customer", ["AR_CUST"], id="a list for a customer"),
        pytest.param("/Document", {}, id="no header"),
        pytest.param("/Document", order(), id="no line"),
        pytest.param("/Document", order({"LIN_TYP": "O", "ITEM_NO": "ITM0001"}), id="a line without a quantity"),
        pytest.param("/Document", order(line("ITM0001", QTY_SOLD="many")), id="a quantity in words"),
        pytest.param("/Document", order(line("ITM0001"), DRW_ID=""), id="an order without a drawer"),
    ],
)
def test_what_misses_required_data_is_400_and_enters_nothing(shop: Visitor, path: str, body: Any) -> None:
    assert refusal(shop.post(path, body)) == (400, "ERROR_MISSING_REQUIRED_DATA")
    assert shop.queued() == []


def test_a_body_that_is_not_json_is_400(shop: Visitor) -> None:
    assert refusal(shop.call("POST", "/Customer", data="{")) == (400, "ERROR_MISSING_REQUIRED_DATA")


@pytest.mark.parametrize(
    ("item_no", "wrong"),
    [
        ("ITM0001", {"STR_ID": "NONE"}),
        ("ITM0001", {"STA_ID": "9"}),
        ("ITM0001", {"CUST_NO": "NOBODY"}),
        ("NOTHING", {}),
    ],
)
def test_an_order_for_what_is_not_there_is_refused(shop: Visitor, item_no: str, wrong: dict[str, str]) -> None:
    assert refusal(shop.post("/Document", order(line(item_no), **wrong))) == (404, "ERROR_RECORD_NOT_FOUND")
    assert shop.queued() == []


def test_a_line_of_no_known_kind_is_refused(shop: Visitor) -> None:
    assert refusal(shop.post("/Document", order(line("ITM0001", LIN_TYP="X")))) == (
        400,
        "ERROR_INVALID_LIN_TYP",
    )


# Customers (2, 8).


def test_a_new_customer_gets_the_workgroups_next_number_and_the_templates_defaults(shop: Visitor) -> None:
    following = shop.get("/Workgroup/1").json()["SY_WRKGRP"]["NXT_CUST_NO"]
    made = shop.post("/Customer", {"Workgroup": "1", "AR_CUST": {"FST_NAM": "Ana", "LST_NAM": "Adler"}})
    row = shop.get(f"/Customer/{made.json()['CUST_NO']}").json()["AR_CUST"]
    assert (made.status_code, made.json()["CUST_NO"]) == (201, str(following))
    assert {name: row[name] for name in ("NAM", "NAM_UPR", "CUST_TYP", "TAX_COD", "IS_ECOMM_CUST")} == {
        "NAM": "Ana Adler",
        "NAM_UPR": "ANA ADLER",
        "CUST_TYP": "C",
        "TAX_COD": "TAX",
        "IS_ECOMM_CUST": "N",
    }


def test_without_a_template_the_answer_is_only_that_the_error_is_unknown(
    shop: Visitor,
) -> None:  # API issues 61, 131.
    with shop.books.engine.begin() as connection:
        group = {"WRKGRP_ID": "W9", "NXT_CUST_NO": 1, "TMPLT_CUST_NO": "GONE"}
        connection.execute(t.workgroup.insert(), [group])
    given = {"AR_CUST": {"FST_NAM": "Ana", "LST_NAM": "Adler"}}
    for workgroup in (group["WRKGRP_ID"], "NONE"):
        answer = shop.post("/Customer", {"Workgroup": workgroup, **given})
        assert refusal(answer) == (500, "ERROR_UNKNOWN")


def test_two_customers_may_have_one_email(shop: Visitor) -> None:  # 2: EMAIL_ADRS_1 is not unique.
    given = {"AR_CUST": {"FST_NAM": "Ana", "LST_NAM": "Adler", "EMAIL_ADRS_1": "ana@example.com"}}
    numbers = {shop.post("/Customer", given).json()["CUST_NO"] for _ in range(2)}
    assert len(numbers) == 2


def test_a_customer_number_that_is_taken_is_an_unknown_error(shop: Visitor) -> None:
    given = {"AR_CUST": {"CUST_NO": "10001", "FST_NAM": "Ana", "LST_NAM": "Adler"}}
    assert refusal(shop.post("/Customer", given)) == (500, "ERROR_UNKNOWN")


def test_a_patch_changes_what_it_names(shop: Visitor) -> None:
    changed = shop.call("PATCH", "/Customer/10002", json={"AR_CUST": {"PHONE_1": "555-0100"}})
    row = shop.get("/Customer/10002").json()["AR_CUST"]
    assert (changed.status_code, row["PHONE_1"], bool(row["LST_NAM"])) == (200, "555-0100", True)
    unknown = shop.call("PATCH", "/Customer/NOBODY", json={"AR_CUST": {"PHONE_1": "555-0100"}})
    assert refusal(unknown) == (404, "ERROR_RECORD_NOT_FOUND")


def test_addresses_and_notes_are_added_by_their_own_routes(shop: Visitor) -> None:
    address = {"SHIP_ADRS_ID": "WEB1", "NAM": "Ana Adler", "CITY": "Salem", "NOT_A_COLUMN": 1}
    made = shop.post("/Customer/10003/Address", {"AR_SHIP_ADRS": address})
    noted = shop.post("/Customer/10003/Note", {"AR_CUST_NOTE": {"NOTE_ID": "1", "NOTE_TXT": "Met online"}})
    unknown = shop.post("/Customer/NOBODY/Note", {"AR_CUST_NOTE": {"NOTE_ID": "1"}})
    assert [one.status_code for one in (made, noted, unknown)] == [201, 201, 404]


def test_only_flagged_customers_are_in_the_ecommerce_list(shop: Visitor) -> None:
    everyone, flagged = (shop.get(path).json()["Customers"] for path in ("/Customers", "/Customers/EC"))
    assert {one["CUST_NO"] for one in flagged} == {one["CUST_NO"] for one in everyone if one["IS_ECOMM_CUST"] == "Y"}


def test_a_list_has_pages_only_with_both_page_and_rows(shop: Visitor) -> None:
    whole = shop.get("/Items").json()["Items"]
    halves = [shop.get("/Items", Page=page, Rows=4).json()["Items"] for page in (1, 2)]
    assert halves == [whole[:4], whole[4:8]]
    assert shop.get("/Items", Page=1).json()["Items"] == whole


# Documents (7, 8).


def test_a_paid_order_makes_two_documents(shop: Visitor) -> None:
    taxes = [{"AUTH_COD": "TAX", "RUL_COD": "TAX", "TAX_DOC_PART": "O", "TAX_AMT": 5.99, "TOT_TXBL_AMT": 119.95}]
    given = order(
        line(shop.new_item(), QTY_SOLD=5, PRC=23.99),
        PS_DOC_HDR_MISC_CHRG=[{"TOT_TYP": "O", "MISC_CHRG_NO": "1", "MISC_TYP": "A", "MISC_AMT": 11.99}],
        PS_DOC_PMT=[{"PAY_COD": "CARD", "AMT": 137.93, "FINAL_PMT": "N"}],
        PS_DOC_TAX=taxes,
    )
    answer = shop.post("/Document", given | {"PS_TAX": {"ORD_TAX_AMT": 5.99, "ORD_NORM_TAX_AMT": 5.99}}).json()
    deposit, made = answer["Documents"]
    assert (deposit["DOC_TYP"], made["DOC_TYP"], made["DOC_ID"]) == ("T", "O", answer["DOC_ID"])
    totals = shop.get(f"/Document/{made['DOC_ID']}").json()["PS_DOC_HDR"]["PS_DOC_HDR_TOT"][0]
    # The vendor's own sample: 119.95 + 5.99 + 11.99 = 137.93.
    assert [totals[name] for name in ("SUB_TOT", "TAX_AMT", "TOT_MISC", "TOT", "AMT_DUE")] == [
        119.95,
        5.99,
        11.99,
        137.93,
        0.0,
    ]


def test_an_order_that_is_only_authorised_makes_one_document(shop: Visitor) -> None:  # order-E.10
    given = order(line(shop.new_item()), PS_DOC_PMT=[{"PAY_COD": "COD", "FINAL_PMT": "Y"}])
    assert [one["DOC_TYP"] for one in shop.post("/Document", given).json()["Documents"]] == ["O"]


@pytest.mark.parametrize(("entered", "price"), [("Y", 12.5), ("N", 19.99)])
def test_a_price_counts_only_when_it_says_that_a_user_entered_it(shop: Visitor, entered: str, price: float) -> None:
    made = shop.post("/Document", order(line(shop.new_item(), QTY_SOLD=2, USR_ENTD_PRC=entered))).json()["DOC_ID"]
    row = shop.get(f"/Document/{made}").json()["PS_DOC_HDR"]["PS_DOC_LIN"][0]
    assert (row["PRC"], row["EXT_PRC"]) == (price, 2 * price)


def test_the_lines_of_an_order_set_stock_aside(shop: Visitor) -> None:  # order-E.9; not verified on a live one.
    number = shop.new_item()
    shop.post("/Document", order(line(number, QTY_SOLD=3), line(number, QTY_SOLD=1)))
    shelf = shop.get(f"/Item/{number}/Inventory").json()["IM_INV"][0]
    assert (shelf["QTY_ON_HND"], shelf["QTY_COMMIT"], shelf["QTY_AVAIL"]) == (10, 4, 6)


def test_a_shop_can_be_one_where_orders_set_nothing_aside(shop: Visitor) -> None:
    number = shop.new_item()
    books = Books(shop.books.engine, Journal(), orders_commit_stock=False)
    with books.engine.begin() as connection:
        books.commit_stock(connection, number, "MAIN", Decimal(3))
    assert shop.shelf(number) == (10, 0)


def test_the_lines_of_a_ticket_take_and_bring_back_goods(shop: Visitor) -> None:
    number = shop.new_item()
    ticket = order(line(number, LIN_TYP="S", QTY_SOLD=3), line(number, LIN_TYP="R"), DOC_TYP="T")
    assert shop.post("/Document", ticket).status_code == 201
    assert shop.shelf(number) == (8, 0)


def test_nothing_keeps_a_second_document_with_the_same_marker_out(shop: Visitor) -> None:  # order-E.1
    given = order(line(shop.new_item()), CUST_PO_NO="north-1")
    assert len({shop.post("/Document", given).json()["DOC_ID"] for _ in range(2)}) == 2


def test_a_document_is_read_with_all_that_was_sent(shop: Visitor) -> None:
    given = order(
        line(shop.new_item()),
        CUST_PO_NO="N-77",
        PS_DOC_NOTE=[{"NOTE_ID": "WEB", "NOTE": "Ring twice"}],
        PS_DOC_HDR_PROF={"PROF_ALPHA_1": "north:77"},
        BILL_TO_CONTACT={"NAM": "Ana Adler", "NAM_TYP": "P"},
    )
    made = shop.post("/Document", given).json()["DOC_ID"]
    assert shop.post(f"/Document/{made}/Note", {"PS_DOC_NOTE": {"NOTE_ID": "2", "NOTE": "Paid"}}).status_code == 201
    read = shop.get(f"/Document/{made}").json()["PS_DOC_HDR"]
    assert (read["CUST_PO_NO"], read["TKT_NO"] != "", len(read["PS_DOC_LIN"])) == ("N-77", True, 1)
    assert [one["NOTE"] for one in read["PS_DOC_NOTE"]] == ["Ring twice", "Paid"]
    with shop.sql.connect() as connection:
        query = select(t.profile.c.PROF_ALPHA_1).where(t.profile.c.DOC_ID == made)
        assert connection.scalar(query) == "north:77"


def test_a_posted_document_is_in_the_history_and_not_in_the_api(shop: Visitor) -> None:
    made = shop.post("/Document", order(line(shop.new_item()))).json()["DOC_ID"]
    assert shop.post(f"/_sandbox/documents/{made}/post", {}).status_code == 200
    assert shop.get(f"/Document/{made}").status_code == 404
    with shop.sql.connect() as connection:
        query = select(t.posted_order.c.DOC_TYP).where(t.posted_order.c.DOC_ID == made)
        assert connection.scalar(query) == "O"
