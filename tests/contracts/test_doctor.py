"""The doctor names what is wrong with a set-up and how to mend it, one line each."""

import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import create_engine, text
from sqlalchemy.dialects.mssql import pyodbc as mssql
from typer.testing import CliRunner

from counterflow import kafka as brokers
from counterflow.cli.commands import app
from counterflow.cli.doctor import doctor, lines
from counterflow.cli.doctor_counterpoint import touching_nothing
from counterflow.cli.looks import Check
from counterflow.clock import FakeClock, SystemClock
from counterflow.config import Config
from counterflow.state.server import EmbeddedServer
from counterflow.systems.counterpoint import sql
from sandbox.counterpoint import documents
from sandbox.server import Sandbox, Settings
from schemas.topics import all_topics

NO_BROKER = "127.0.0.1:1"
HOOK_URL = "http://hooks.example.com:8080/hooks/north"
PLACED = {"prefix": "N-", "store": "WEBN", "station": "1", "tax_code": "T", "tax_authority": "T", "tax_rule": "T"}


@pytest.fixture(scope="module")
def box(postgres: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    settings = Settings(folder=tmp_path_factory.mktemp("box"), database_url=postgres.url("doctor"))
    running = Sandbox(settings)
    running.start()
    running.books.create_item({"ITEM_NO": "HAT", "DESCR": "Hat", "PRC_1": "10"}, stock={"MAIN": Decimal(9)})
    yield running
    running.stop()


def values(box: Sandbox, **changes: Any) -> dict[str, Any]:
    """Give a good shop.yaml for the sandbox; a change is named by its path, its parts joined by two underscores."""
    found = box.addresses()
    own = found["counterpoint"]
    logins = {name: own[name] for name in ("company", "user", "password", "api_key")}
    store = {
        "platform": "woocommerce",
        "ca_file": found["ca_file"],
        "orders": PLACED | {"pay_codes": {"*": "CARD"}},
        "stock": {"locations": ["MAIN"]},
        **found["stores"]["north"],
    }
    parts: dict[str, Any] = {
        "kafka": {"servers": NO_BROKER},
        "state": {},
        "counterpoint": {
            "sql": {"url": own["sql_url"], "source": "trigger_queue"},
            "rest": logins | {"url": own["rest_url"], "ca_file": found["ca_file"]},
        },
        "nobody": {"templates": ["TEMPLATE"]},
        "stores": {"north": store},
    }
    for path, value in changes.items():
        *above, last = path.split("__")
        part = parts
        for name in above:
            part = part[name]
        part[last] = value
    return parts


def visit(box: Sandbox, **changes: Any) -> list[Check]:
    return doctor(Config(**values(box, **changes)), SystemClock())


def wrong(box: Sandbox, **changes: Any) -> dict[str, str]:
    """Give the lines that are wrong; the broker's apart, which these tests do without."""
    return {one.what: one.says for one in visit(box, **changes) if not one.ok and not one.what.startswith("Kafka")}


def statement(url: str, *statements: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for one in statements:
            connection.execute(text(one))
    engine.dispose()


def test_a_good_set_up_is_well(box: Sandbox) -> None:
    assert wrong(box) == {}


def test_a_broker_that_is_away_is_named_and_its_topics_are_not_looked_at(box: Sandbox) -> None:
    says = {one.what: one.says for one in visit(box) if one.what.startswith("Kafka")}
    assert "start the broker, or set kafka.servers" in says[f"Kafka at {NO_BROKER}"]
    assert says["Kafka topics"] == f"not looked at; first mend: Kafka at {NO_BROKER}"


def test_a_wrong_password_is_named(box: Sandbox) -> None:
    found = wrong(box, counterpoint__rest__password="wrong")
    assert "check company, user and password" in found["Counterpoint's REST server"]
    assert found["workgroup 1"] == "not looked at; first mend: Counterpoint's REST server"


def test_a_wrong_api_key_is_named(box: Sandbox) -> None:
    assert "check api_key" in wrong(box, counterpoint__rest__api_key="wrong")["Counterpoint's REST server"]


def test_a_rest_server_that_is_away_is_named(box: Sandbox) -> None:
    says = wrong(box, counterpoint__rest__url="https://127.0.0.1:1")["Counterpoint's REST server"]
    assert "check counterpoint.rest.url" in says


def test_an_unknown_workgroup_is_named(box: Sandbox) -> None:
    assert "set counterpoint.rest.workgroup" in wrong(box, counterpoint__rest__workgroup="9")["workgroup 9"]


def test_an_unknown_station_is_named(box: Sandbox) -> None:
    found = wrong(box, stores__north__orders__station="7")
    assert "set stores.north.orders.store and .station" in found["station 7 of store WEBN (north)"]


def test_a_wrong_secret_of_a_store_is_named(box: Sandbox) -> None:
    found = wrong(box, stores__north__secret="wrong")
    assert "check key, secret" in found["store north"]
    assert found["web hooks of north"] == "not looked at; first mend: store north"


def test_a_store_that_is_down_is_named(box: Sandbox) -> None:
    box.stores["north"].switches.set(down=True)
    try:
        says = wrong(box)["store north"]
    finally:
        box.stores["north"].switches.set(down=False)
    assert "no answer" in says
    assert "check url, that the shop runs" in says


def test_an_untrusted_certificate_is_named(box: Sandbox) -> None:
    assert "stores.north.ca_file" in wrong(box, stores__north__ca_file=None)["store north"]


def test_an_address_without_https_is_named(box: Sandbox) -> None:
    assert "https://" in wrong(box, stores__north__url="http://shop.example.com")["address of north"]


def test_a_hook_address_where_wordpress_never_sends_is_named(box: Sandbox) -> None:
    hooks = {"secret": "s", "url": "http://hooks.example.com:9999/hooks/north"}
    assert "use 80, 443 or 8080" in wrong(box, stores__north__hooks=hooks)["web hooks of north"]


def test_a_hook_that_the_store_switched_off_is_named(box: Sandbox) -> None:
    hook = {"topic": "order.updated", "delivery_url": HOOK_URL, "status": "disabled", "id": 77}
    table = box.stores["north"].tables["webhooks"]
    table[77] = {"name": "", "secret": "s", "date_created_gmt": "", "date_modified_gmt": ""} | hook
    try:
        says = wrong(box, stores__north__hooks={"secret": "s", "url": HOOK_URL})["web hooks of north"]
    finally:
        del table[77]
    assert "switched off order.updated" in says


def test_a_missing_column_is_named(box: Sandbox, postgres: EmbeddedServer) -> None:
    statement(postgres.url("doctor"), 'ALTER TABLE "AR_CUST" RENAME COLUMN "CITY" TO "TOWN"')
    try:
        says = wrong(box)["Counterpoint's columns"]
    finally:
        statement(postgres.url("doctor"), 'ALTER TABLE "AR_CUST" RENAME COLUMN "TOWN" TO "CITY"')
    assert "AR_CUST.CITY" in says


def test_a_right_that_is_missing_on_our_own_table_is_named(box: Sandbox, postgres: EmbeddedServer) -> None:
    statement(
        postgres.url("doctor"),
        "CREATE ROLE reader LOGIN PASSWORD 'reader'",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader",
    )
    own = create_engine(box.addresses()["counterpoint"]["sql_url"]).url.set(username="reader", password="reader")
    found = wrong(box, counterpoint__sql__url=own.render_as_string(hide_password=False))
    assert "grant SELECT, INSERT, UPDATE" in found["table USR_CF_CLAIM"]
    assert "grant SELECT, DELETE" in found["table USR_CF_QUEUE"]


def test_a_database_that_does_not_answer_is_named_and_nothing_behind_it_is_tried(box: Sandbox) -> None:
    found = wrong(box, counterpoint__sql__url="postgresql+psycopg://a:b@127.0.0.1:1/c")
    assert "check counterpoint.sql.url" in found["Counterpoint's database"]
    assert found["Counterpoint's clock"] == "not looked at; first mend: Counterpoint's database"


def test_a_state_database_that_does_not_answer_is_named(box: Sandbox) -> None:
    assert "check state.url" in wrong(box, state__url="postgresql+psycopg://a:b@127.0.0.1:1/c")["state database"]


def test_clocks_that_differ_are_named(box: Sandbox) -> None:
    late = FakeClock(SystemClock().now() + timedelta(minutes=5))
    says = {one.what: one.says for one in doctor(Config(**values(box)), late) if not one.ok}
    assert "differs from ours by -300 s" in says["Counterpoint's clock"]
    assert "time server" in says["clock of north"]


def place_order(box: Sandbox, marker: str) -> int:
    header = {"STR_ID": "WEBN", "STA_ID": "1", "DRW_ID": "1", "USR_ID": "WEB", "TKT_TYP": "T", "DOC_TYP": "O"}
    header |= {"CUST_NO": "CASH", "CUST_PO_NO": marker}
    lines = [{"LIN_TYP": "O", "ITEM_NO": "HAT", "QTY_SOLD": 2}]
    return int(documents.place(box.books, {"PS_DOC_HDR": header | {"PS_DOC_LIN": lines}})[-1]["DOC_ID"])


def test_whether_documents_commit_stock_is_measured_at_an_open_order(box: Sandbox, postgres: EmbeddedServer) -> None:
    what = "documents commit stock"
    assert "not measured" in next(one.says for one in visit(box) if one.what == what)
    number = place_order(box, "N-1001")
    assert "as the file says" in next(one.says for one in visit(box) if one.what == what)
    assert "set counterpoint.orders_commit_stock to true" in wrong(box, counterpoint__orders_commit_stock=False)[what]
    statement(postgres.url("doctor"), """UPDATE "IM_INV" SET "QTY_COMMIT" = 0 WHERE "ITEM_NO" = 'HAT'""")
    assert "set counterpoint.orders_commit_stock to false" in wrong(box)[what]
    statement(postgres.url("doctor"), f'DELETE FROM "PS_DOC_HDR" WHERE "DOC_ID" = {number}')


def test_the_command_exits_with_1_and_says_it_as_json(box: Sandbox, tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(yaml.safe_dump(values(box)))
    answer = CliRunner().invoke(app, ["doctor", "--config", str(file), "--json"])
    assert answer.exit_code == 1
    assert json.loads(answer.stdout)[0]["what"] == f"Kafka at {NO_BROKER}"


def test_each_check_is_one_line(box: Sandbox) -> None:
    said = lines(visit(box))
    assert all("\n" not in line for line in said)
    assert said[-1].endswith("checks are wrong")


@pytest.mark.live
def test_topics_with_another_number_of_partitions_are_named(box: Sandbox, kafka: str, prefix: str) -> None:
    client = brokers.admin(kafka)
    brokers.create_topics(client, all_topics(prefix, ("north",)), replication=1)
    says = {one.what: one for one in visit(box, kafka__servers=kafka, kafka__prefix=prefix)}
    assert says["Kafka topics"].says.endswith("with 8 partitions")
    client.create_topics({f"{prefix}x.outcomes": {"num_partitions": 3, "replication_factor": 1}})
    client.wait_for_topics([f"{prefix}x.outcomes"])
    client.close()
    says = {one.what: one for one in visit(box, kafka__servers=kafka, kafka__prefix=f"{prefix}x.")}
    assert "has 3 partitions, not 8" in says["Kafka topics"].says


@pytest.mark.live
def test_a_topic_that_a_broker_set_its_own_way_is_named_with_the_line_that_mends_it(
    box: Sandbox, kafka: str, prefix: str
) -> None:
    client = brokers.admin(kafka)
    own = {"compression.type": "zstd", "retention.bytes": "1000", "cleanup.policy": "delete"}
    name = f"{prefix}work.north"
    client.create_topics({name: {"num_partitions": 8, "replication_factor": 1, "configs": own}})
    client.wait_for_topics([name])
    brokers.create_topics(client, all_topics(prefix, ("north",)), replication=1)
    client.close()
    says = {one.what: one for one in visit(box, kafka__servers=kafka, kafka__prefix=prefix)}
    assert "1 are not set" in says["Kafka topics' settings"].says
    line = says[f"topic {name}"].says
    assert f"--alter --entity-type topics --entity-name {name} --add-config " in line
    assert {"compression.type=producer", "retention.bytes=-1"} <= set(line.rpartition(" ")[2].split(","))
    says = {one.what: one for one in visit(box, kafka__servers=kafka, kafka__prefix=f"{prefix}other.")}
    assert says["Kafka topics' settings"].ok


@pytest.mark.parametrize(
    ("verb", "expected"),
    [
        ("insert", "INSERT INTO [USR_CF_CURSOR] ([TBL], [VER], [AT_UTC]) SELECT [USR_CF_CURSOR].[TBL], "),
        ("update", "UPDATE [USR_CF_CURSOR] SET [AT_UTC]=? WHERE 0 = 1"),
        ("delete", "DELETE FROM [USR_CF_CURSOR] WHERE 0 = 1"),
    ],
)
def test_a_right_is_tried_by_a_statement_that_touches_no_row(verb: str, expected: str) -> None:
    dialect = mssql.dialect(paramstyle="qmark")  # type: ignore[no-untyped-call]
    text_there = str(touching_nothing(sql.CURSOR)[verb].compile(dialect=dialect))
    assert " ".join(text_there.split()).startswith(expected)
    assert text_there.endswith("WHERE 0 = 1")
    assert "OUTPUT" not in text_there


def test_the_template_of_new_customers_must_be_known_as_nobody(box: Sandbox) -> None:
    (found,) = [one for one in visit(box, nobody={}) if one.what.startswith("workgroup")]
    assert (found.ok, "nobody.templates: [TEMPLATE]" in found.says) == (False, True)
