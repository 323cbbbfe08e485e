"""Gift cards in Counterpoint's tables: read in one snapshot, and moved under a tag (req-G1)."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import msgspec
import pytest
from sqlalchemy import text

from counterflow.clock import FakeClock
from counterflow.config import GiftCards
from counterflow.errors import Transient
from counterflow.state.server import EmbeddedServer
from counterflow.systems.counterpoint import cards, sql
from counterflow.systems.ports import Reading, Source
from producers.counterpoint_cards import CardsSource
from sandbox.counterpoint import cards as desk
from sandbox.counterpoint import tables
from sandbox.counterpoint.books import Books
from sandbox.journal import Journal
from schemas.loyalty import PointsReading

SETTINGS = GiftCards(tag="REF", values={})


class Nothing:
    """An inner source that tells of nothing."""

    system, poll_s = "counterpoint", 0.1

    def poll(self, _cursor: str | None, position: int) -> Reading:
        return Reading(reads=(), entities=(), position=position + 1, cursor="inner")

    def again(self, _cursor: str | None) -> str | None:
        """Begin at the beginning."""
        return None

    def confirm(self, _reading: Reading) -> None:
        """Forget nothing."""


class Shop:
    """A till with cards, and the source that reads them."""

    def __init__(self, books: Books) -> None:
        self.books, self.clock, self.cursor, self.position = books, FakeClock(), None, 0
        self.source = self.opened()

    cursor: str | None

    def opened(self) -> CardsSource:
        inner: Source = Nothing()
        return CardsSource(inner, self.books.engine, SETTINGS, marker="N-", clock=self.clock, page_rows=2)

    def read(self) -> PointsReading | None:
        self.clock.sleep(2)
        reading = self.source.poll(self.cursor, self.position)
        self.cursor, self.position = reading.cursor, reading.position
        self.source.confirm(reading)
        if not reading.reads:
            return None
        return msgspec.json.decode(reading.reads[0].change.row or b"", type=PointsReading)

    def all(self) -> list[PointsReading]:
        found = []
        while (one := self.read()) is not None:
            found.append(one)
            assert len(found) < 20
        return found

    def adjust(self, tag: str, amount: int, number: str = "A") -> tuple[bool, int]:
        with sql.writing(self.books.engine) as connection:
            return cards.adjust(connection, SETTINGS, tag=tag, number=number, amount=amount)

    def cents(self, number: str = "A") -> int:
        return int(self.books.state()["cards"][number]["cents"])


@pytest.fixture
def shop(postgres: EmbeddedServer) -> Iterator[Shop]:
    engine = sql.open_engine(postgres.url(f"cards_{uuid.uuid4().hex[:8]}"))
    tables.create(engine)
    books = Books(engine, Journal())
    for number in ("A", "B", "C"):
        desk.issue(books, Decimal(50), code="GC", number=number, cust_no=None)
    desk.issue(books, Decimal(7), code="STC", number="CREDIT", cust_no=None)
    yield Shop(books)
    engine.dispose()


def test_every_card_is_told_once_and_then_only_what_moved(shop: Shop) -> None:
    first = shop.all()
    assert {page.unposted for page in first} == {None}
    assert {one.cust_no for page in first for one in page.customers} == {"card:A", "card:B", "card:C"}
    assert [row for page in first for row in page.rows] == []
    desk.redeem(shop.books, "A", Decimal(20))
    (one,) = shop.all()
    assert [(row.cust_no, row.points, row.reference) for row in one.rows] == [("card:A", -2000, "")]
    assert {shown.cust_no: shown.balance for shown in one.customers}["card:A"] == 3000
    shop.source = shop.opened()  # Started again from its cursor.
    assert shop.all() == []


def test_store_credit_is_never_told(shop: Shop) -> None:
    shop.all()
    desk.redeem(shop.books, "CREDIT", Decimal(2))
    assert [row for page in shop.all() for row in page.rows] == []


def test_void_and_last_day_are_told(shop: Shop) -> None:
    shop.all()
    desk.void(shop.books, "B", is_void=True)
    (one,) = shop.all()
    assert [shown.is_enrolled for shown in one.customers if shown.cust_no == "card:B"] == [False]


def test_a_card_is_moved_once_under_a_tag_by_what_it_has(shop: Shop) -> None:
    shop.all()
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: shop.adjust("CF-AAAAAAAAAA", -1500)[0], range(8)))
    assert (sum(done), shop.cents()) == (1, 3500)
    assert shop.adjust("CF-BBBBBBBBBB", -4000)[0]
    assert shop.cents() == 0
    assert shop.adjust("CF-CCCCCCCCCC", -100)[0]  # Nothing is left: noted all the same.
    rows = [(row.points, row.reference) for page in shop.all() for row in page.rows]
    assert rows == [(-1500, "CF-AAAAAAAAAA"), (-3500, "CF-BBBBBBBBBB"), (0, "CF-CCCCCCCCCC")]


def test_an_unknown_card_waits(shop: Shop) -> None:
    with pytest.raises(Transient, match="no such gift card"):
        shop.adjust("CF-AAAAAAAAAA", -100, "Z")


def test_what_an_order_paid_carries_its_marker_and_the_sign(shop: Shop) -> None:
    shop.all()
    marked = {"N-12": 901, "S-12": 902, "N-12R1": 903, "N-12R2": 904}
    with shop.books.engine.begin() as connection:
        for marker, doc_id in marked.items():
            connection.execute(
                text("""INSERT INTO "PS_DOC_HDR" ("DOC_ID", "DOC_TYP", "CUST_PO_NO") VALUES (:doc, 'O', :marker)"""),
                {"doc": doc_id, "marker": marker},
            )
            connection.execute(
                text("""INSERT INTO "SY_GFC_ACTIV" ("GFC_NO", "SEQ_NO", "DOC_ID", "ACTIV_TYP", "AMT")
                        VALUES ('A', :doc, :doc, 'R', :amount)"""),
                {"doc": doc_id, "amount": 1 if marker == "N-12R2" else -1},
            )
            connection.execute(text("""UPDATE "SY_GFC" SET "CURR_AMT" = "CURR_AMT" - 2 WHERE "GFC_NO" = 'A'"""))
    rows = [(row.row_id, row.reference) for page in shop.all() for row in page.rows]
    # The last is a return: what came back onto the card is what the store gave back of the order.
    assert rows == [("card:A|901", "N-12-"), ("card:A|902", ""), ("card:A|903", ""), ("card:A|904", "N-12+")]


def test_cards_are_told_again_with_the_rows_that_carry_our_tags(shop: Shop) -> None:
    shop.all()
    desk.redeem(shop.books, "B", Decimal(20))
    shop.adjust("CF-AAAAAAAAAA", -1500)
    last = shop.all()[-1]
    shop.cursor = shop.source.again(shop.cursor)
    found = shop.all()
    assert {one.cust_no: one.balance for page in found for one in page.customers} == {
        "card:A": 3500,
        "card:B": 3000,
        "card:C": 5000,
    }
    told = [(row.points, row.reference, row.version) for page in found for row in page.rows]
    assert (told, found[0].previous) == ([(-1500, "CF-AAAAAAAAAA", 0)], last.version)


def test_missing_columns_are_named(shop: Shop) -> None:
    with sql.reading(shop.books.engine, snapshot=False) as connection:
        assert cards.missing_columns(connection, SETTINGS) == []
        wrong = GiftCards(tag="NOTHING", values={})
        assert cards.missing_columns(connection, wrong) == ["SY_GFC_ACTIV.NOTHING"]
