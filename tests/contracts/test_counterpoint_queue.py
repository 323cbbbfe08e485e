"""The trigger queue's source against the sandbox's Counterpoint: nothing skipped, nothing forgotten unpublished."""

import json
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import Engine, create_engine, delete, insert, select, text, update

from counterflow.errors import Broken, Transient
from counterflow.state.server import EmbeddedServer
from counterflow.systems.counterpoint import sql
from counterflow.systems.ports import Reading
from producers.counterpoint_queue import QueueSource
from sandbox.counterpoint import tables as t
from sandbox.server import Sandbox, Settings
from sandbox.shop import generate
from tests.contracts.counterpoint_fakes import Mirror

ITEM, ITEMS, CUSTOMERS = "ITM0001", 20, 30


class Shop:
    """A running sandbox, the source that reads it, and a reader of what was published."""

    def __init__(self, url: str, folder: Path) -> None:
        self.box = Sandbox(Settings(folder=folder, database_url=url), generate(1, customers=CUSTOMERS, items=ITEMS))
        self.box.start()
        self.url, self.books = url, self.box.books
        self.direct = create_engine(url)  # What till and clerks use: not through the proxy that can be cut.
        self.sql = sql.open_engine(str(self.box.addresses()["counterpoint"]["sql_url"]))
        self.source = QueueSource(self.sql, poll_s=0.1, page_rows=8)
        self.mirror, self.cursor, self.position = Mirror(), None, 0

    cursor: str | None

    def poll(self) -> Reading:
        """Read; nothing is confirmed yet."""
        reading = self.source.poll(self.cursor, self.position)
        self.position = reading.position
        return reading

    def publish(self, reading: Reading) -> Reading:
        """Publish, keep the cursor, confirm: what the runner does."""
        self.mirror.apply(reading.reads)
        self.cursor = reading.cursor
        self.source.confirm(reading)
        return reading

    def take(self) -> list[tuple[str, tuple[str, ...], str]]:
        """Read and publish once: table, key and operation of each."""
        reading = self.publish(self.poll())
        return [(one.entity, tuple(json.loads(one.key).values()), one.change.op) for one in reading.reads]

    def read_whole(self) -> None:
        """Take the full reading."""
        while self.publish(self.poll()).reset:
            pass

    def waiting(self) -> list[int]:
        with self.direct.connect() as connection:
            return list(connection.scalars(select(t.queue.c.SEQ).order_by(t.queue.c.SEQ)))

    def rows(self, name: str) -> dict[tuple[str, ...], dict[str, Any]]:
        """Give a table as it stands, in the form of the mirror."""
        table = sql.TRACKED[name]
        with self.direct.connect() as connection:
            plain = [sql.plain_row(row) for row in connection.execute(select(table)).mappings()]
        return {tuple(str(row[column.name]) for column in table.primary_key): row for row in plain}

    def faults(self, **switches: Any) -> None:
        said = self.box.addresses()
        url = f"{said['counterpoint']['rest_url']}/_sandbox/faults"
        requests.post(url, json=switches, verify=said["ca_file"], timeout=10).raise_for_status()

    def close(self) -> None:
        self.box.stop()
        self.sql.dispose()
        self.direct.dispose()


@pytest.fixture
def shop(postgres: EmbeddedServer, tmp_path: Path) -> Iterator[Shop]:
    """A shop before anybody read it."""
    opened = Shop(postgres.url(f"q{uuid.uuid4().hex[:12]}"), tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def read_shop(shop: Shop) -> Shop:
    """A shop that was read whole, with nothing waiting."""
    shop.read_whole()
    assert shop.take() == []
    return shop


def test_a_full_reading_gives_every_row_of_every_table(shop: Shop) -> None:
    shop.read_whole()
    assert shop.mirror.rows == {name: shop.rows(name) for name in sql.TRACKED}


def test_what_changes_during_the_full_reading_comes_again(shop: Shop) -> None:
    while shop.publish(shop.poll()).entities != ("IM_INV",):
        shop.books.sell([{"item_no": ITEM, "quantity": 1}])
        shop.books.change_customer("10001", {"PHONE_1": f"555-{shop.position % 1000:03d}"}, actor="staff")
    shop.read_whole()
    assert shop.mirror.rows == {name: shop.rows(name) for name in sql.TRACKED}


def test_several_changes_of_one_row_become_one(read_shop: Shop) -> None:
    for _ in range(5):
        read_shop.books.receive(ITEM, Decimal(1))
    assert read_shop.take() == [("IM_INV", (ITEM, "MAIN"), "u")]


def test_the_time_of_a_change_is_its_latest(read_shop: Shop) -> None:
    read_shop.books.receive(ITEM, Decimal(1))
    read_shop.books.receive(ITEM, Decimal(1))
    with read_shop.direct.connect() as connection:
        latest = connection.scalar(text('SELECT extract(epoch FROM max("AT_UTC")) * 1000 FROM "USR_CF_QUEUE"'))
    (read,) = read_shop.poll().reads
    assert read.change.source.ts_ms == int(latest)


def test_exactly_what_was_published_is_forgotten(read_shop: Shop) -> None:
    read_shop.books.receive(ITEM, Decimal(1))
    reading = read_shop.poll()
    read_shop.books.receive("ITM0002", Decimal(1))
    late = read_shop.waiting()[-1]
    read_shop.publish(reading)
    assert read_shop.waiting() == [late]


def test_what_was_read_and_not_confirmed_comes_again(read_shop: Shop) -> None:
    read_shop.books.receive(ITEM, Decimal(1))
    first, second = read_shop.poll(), read_shop.poll()
    assert [one.key for one in first.reads] == [one.key for one in second.reads] != []


def test_a_transaction_that_is_open_during_a_poll_is_not_skipped(read_shop: Shop) -> None:
    with read_shop.direct.begin() as slow:  # It draws the lower number, and commits last.
        slow.execute(update(t.customer).where(t.customer.c.CUST_NO == "10001").values(CITY="Salem"))
        read_shop.books.receive(ITEM, Decimal(1))
        assert read_shop.take() == [("IM_INV", (ITEM, "MAIN"), "u")]
    assert read_shop.take() == [("AR_CUST", ("10001",), "u")]


def test_a_deletion_is_read_as_one(read_shop: Shop) -> None:
    with read_shop.direct.begin() as connection:
        connection.execute(delete(t.inventory).where(t.inventory.c.ITEM_NO == ITEM, t.inventory.c.LOC_ID == "WH2"))
    assert read_shop.take() == [("IM_INV", (ITEM, "WH2"), "d")]


def test_a_row_deleted_and_made_again_is_a_change(read_shop: Shop) -> None:
    with read_shop.direct.begin() as connection:
        row = dict(connection.execute(select(t.item).where(t.item.c.ITEM_NO == "ITM0003")).mappings().one())
        connection.execute(delete(t.item).where(t.item.c.ITEM_NO == "ITM0003"))
        connection.execute(insert(t.item).values(row | {"DESCR": "Made again"}))
    assert read_shop.take() == [("IM_ITEM", ("ITM0003",), "u")]
    assert read_shop.mirror.rows["IM_ITEM"][("ITM0003",)]["DESCR"] == "Made again"


def test_posting_reads_as_a_document_that_is_gone(read_shop: Shop) -> None:
    doc_id = read_shop.books.sell([{"item_no": ITEM, "quantity": 1}])
    read_shop.take()
    read_shop.books.post_document(doc_id)
    assert read_shop.take() == [("PS_DOC_HDR", (str(doc_id),), "d")]


def test_a_change_of_housekeeping_columns_alone_is_none(read_shop: Shop) -> None:
    with read_shop.direct.begin() as connection:
        connection.execute(update(t.customer).values(LST_MAINT_USR_ID="SYNC"))
    assert read_shop.take() == []


def test_documents_come_before_stock_and_stock_is_never_older_than_its_document(read_shop: Shop) -> None:
    source = QueueSource(read_shop.sql, poll_s=0.1, rows_max=7)
    for number in range(1, ITEMS):
        read_shop.books.receive(f"ITM{number:04d}", Decimal(1))
    sold = {}
    for number in range(1, ITEMS):
        doc_id = read_shop.books.sell([{"item_no": f"ITM{number:04d}", "quantity": 1}])
        sold[(str(doc_id),)] = (f"ITM{number:04d}", "MAIN")
    read_shop.source = source
    while read_shop.publish(read_shop.poll()).reads:
        for document, stock in sold.items():
            read_at = read_shop.mirror.first.get(document)
            waits = any(stock[0] in key for key in queued_keys(read_shop.direct))
            assert read_at is None or read_shop.mirror.latest[stock] >= read_at or waits
    assert read_shop.mirror.first.keys() >= sold.keys()
    assert all(read_shop.mirror.latest[stock] >= read_shop.mirror.first[document] for document, stock in sold.items())


def queued_keys(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.scalars(select(t.queue.c.K).where(t.queue.c.TBL == "IM_INV")))


def test_a_trigger_may_write_a_single_key_bare(read_shop: Shop) -> None:
    with read_shop.direct.begin() as connection:
        row = {"TBL": "AR_CUST", "K": "10002", "OP": "U", "AT_UTC": text("timezone('utc', now())")}
        connection.execute(insert(t.queue).values(row))
    assert read_shop.take() == [("AR_CUST", ("10002",), "u")]


def test_a_key_that_cannot_be_read_is_broken_and_named(read_shop: Shop) -> None:
    with read_shop.direct.begin() as connection:
        row = {"TBL": "IM_INV", "K": "ITM0001", "OP": "U", "AT_UTC": text("timezone('utc', now())")}
        connection.execute(insert(t.queue).values(row))
    with pytest.raises(Broken, match=r"USR_CF_QUEUE, SEQ \d+: no key of IM_INV"):
        read_shop.poll()


def test_the_cursor_of_another_kind_of_source_means_a_full_reading(read_shop: Shop) -> None:
    read_shop.cursor = '{"AR_CUST":{"version":7,"noted":9}}'  # As TrackingSource writes it.
    assert read_shop.poll().reset


def test_a_missing_column_is_named(shop: Shop) -> None:
    with shop.direct.begin() as connection:
        connection.execute(text('ALTER TABLE "IM_ITEM" DROP COLUMN "PRC_DECS"'))
    with pytest.raises(Broken, match=r"lacks IM_ITEM\.PRC_DECS;"):
        sql.check_columns(shop.sql)
    with pytest.raises(Broken, match="PRC_DECS"):
        shop.read_whole()


@pytest.fixture
def poor_login(shop: Shop) -> Iterator[Engine]:
    """A login that may read everything but the stock, and may not delete from the queue."""
    name = f"reader_{uuid.uuid4().hex[:8]}"
    tables = ", ".join(f'"{one}"' for one in ("AR_CUST", "IM_ITEM", "PS_DOC_HDR", "USR_CF_CLAIM", "USR_CF_QUEUE"))
    with shop.direct.begin() as connection:
        connection.execute(text(f"CREATE ROLE {name} LOGIN"))
        connection.execute(text(f"GRANT SELECT ON {tables} TO {name}"))
    engine = sql.open_engine(shop.url.replace("postgres@", f"{name}@"))
    yield engine
    engine.dispose()
    with shop.direct.begin() as connection:
        connection.execute(text(f"DROP OWNED BY {name}"))
        connection.execute(text(f"DROP ROLE {name}"))


def test_a_table_without_a_right_is_named_as_such(poor_login: Engine) -> None:
    with pytest.raises(Broken, match=r"lacks IM_INV \(no such table, or no right to read it\); counterflow"):
        sql.check_columns(poor_login)


def test_a_right_that_is_missing_while_reading_is_named(shop: Shop, poor_login: Engine) -> None:
    shop.source = QueueSource(poor_login, poll_s=0.1)
    with pytest.raises(Broken, match="permission denied for table IM_INV; run counterflow doctor"):
        shop.read_whole()


def test_the_right_to_forget_is_named(read_shop: Shop, poor_login: Engine) -> None:
    read_shop.books.change_customer("10001", {"PHONE_1": "555-0100"}, actor="staff")
    with pytest.raises(Broken, match="permission denied for table USR_CF_QUEUE"):
        QueueSource(poor_login, poll_s=0.1).confirm(read_shop.poll())


def test_a_database_that_is_away_is_waited_for(read_shop: Shop) -> None:
    read_shop.books.receive(ITEM, Decimal(1))
    read_shop.faults(down=True)
    with pytest.raises(Transient):
        read_shop.poll()
    read_shop.faults(down=False)
    assert read_shop.take() == [("IM_INV", (ITEM, "MAIN"), "u")]
