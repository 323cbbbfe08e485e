"""A Counterpoint whose columns have a code page: people's words are written as it can hold them, and known again."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from counterflow.errors import Held
from counterflow.state.server import EmbeddedServer
from counterflow.systems.counterpoint import letters, sql
from counterflow.systems.counterpoint.letters import Alphabet, Column
from counterflow.systems.counterpoint.requests import Manner
from processors.rules import sightings
from processors.rules.profiles import Abilities, Agreed, At, settle, writes
from processors.rules.sightings import Side
from schemas.commands import ChangeCustomer, DocumentLine, Profile
from schemas.outcomes import Outcome
from schemas.profiles import FIELDS, of_customer
from schemas.records import Address, Postal
from tests.contracts.counterpoint_shop import Shop, a_marker, an_email, apply, customer, order

POS, WEB = "counterpoint", "north"
LATIN = Alphabet(columns={("AR_CUST", "NAM"): Column(codec="cp1252", size=40)})


def latin_database(postgres: EmbeddedServer) -> str:
    """Make a database that keeps texts in code page 1252, and says so."""
    name = f"l{uuid.uuid4().hex[:12]}"
    admin = create_engine(postgres.url("postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        make = f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'WIN1252' LC_COLLATE 'C' LC_CTYPE 'C'"
        connection.execute(text(make))
    admin.dispose()
    return make_url(postgres.url("postgres")).set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="module")
def latin(postgres: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Its database says which letters it holds."""
    opened = Shop(latin_database(postgres), tmp_path_factory.mktemp("latin"), code_page="cp1252")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def silent(postgres: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Something between us and its columns loses letters, and nothing says so."""
    url = postgres.url(f"s{uuid.uuid4().hex[:12]}")
    opened = Shop(url, tmp_path_factory.mktemp("silent"), code_page="cp1252")
    yield opened
    opened.close()


def row_of(shop: Shop, cust_no: str) -> dict[str, Any]:
    return next(one for one in shop.books.state()["customers"] if one["CUST_NO"] == cust_no)


@dataclass
class Changed:
    """A customer to whom a name of the store's was written."""

    cust_no: str
    outcome: Outcome

    def stands_in_the_store(self, wanted: Profile) -> tuple[object, dict[str, object]]:
        """What counts of the first name after the answer, and what Counterpoint would be written then."""
        name = str(wanted.first_name)
        side = sightings.see(Side(), {"first_name": "Ana"}, self.outcome.applied_at)
        side = sightings.send(side, {"first_name": At(name, self.outcome.applied_at)})
        assert self.outcome.record is not None
        shown = of_customer(self.outcome.record, ("first_name",))
        side = sightings.took(side, shown, self.outcome.applied_at)
        agreed = Agreed(name, self.outcome.applied_at, WEB)
        able = {POS: Abilities(), WEB: Abilities()}
        settled = settle("first_name", agreed, {POS: side.seen["first_name"], WEB: At(name, agreed.at)}, able, pos=POS)
        assert settled.agreed is not None
        return settled.agreed.value, dict(writes({"first_name": settled}, side.seen, able[POS], FIELDS))


def write_name(shop: Shop, wanted: Profile, **target: Any) -> Changed:
    given = {"FST_NAM": "Ana", "LST_NAM": "Adler", "EMAIL_ADRS_1": an_email()}
    cust_no = shop.books.create_customer(given, actor="staff")
    body = ChangeCustomer(remote_id=cust_no, fields=wanted, decided_on=Profile(first_name="Ana", last_name="Adler"))
    return Changed(cust_no, apply(shop.target(**target), body))


LUKASZ = Profile(first_name="Łukasz")


def test_a_name_comes_back_with_a_question_mark_and_nothing_is_written_over_the_stores(silent: Shop) -> None:
    changed = write_name(silent, LUKASZ)
    assert (changed.outcome.result, row_of(silent, changed.cust_no)["FST_NAM"]) == ("applied", "?ukasz")
    assert changed.stands_in_the_store(LUKASZ) == ("Łukasz", {})


def test_what_the_column_cannot_hold_is_written_in_its_plain_form_and_said(latin: Shop) -> None:
    changed = write_name(latin, LUKASZ)
    assert (changed.outcome.result, row_of(latin, changed.cust_no)["FST_NAM"]) == ("applied", "Lukasz")
    assert changed.outcome.message == "Counterpoint's database cannot hold every letter: written 'Ł' as 'L'"
    assert changed.stands_in_the_store(LUKASZ) == ("Łukasz", {})


def test_what_the_column_holds_is_written_as_it_is(latin: Shop) -> None:
    changed = write_name(latin, Profile(first_name="Zoë", last_name="Müller"))
    row = row_of(latin, changed.cust_no)
    assert (row["FST_NAM"], row["LST_NAM"], changed.outcome.message) == ("Zoë", "Müller", "")


def test_the_plain_form_that_stands_there_is_not_written_again(latin: Shop) -> None:
    first = write_name(latin, LUKASZ)
    again = ChangeCustomer(remote_id=first.cust_no, fields=LUKASZ, decided_on=Profile(first_name="Ana"))
    assert apply(latin.target(), again).result == "already"


def test_a_shop_that_wants_to_be_asked_is(latin: Shop) -> None:
    changed = write_name(latin, LUKASZ, manner=Manner(letters="hold"))
    assert (changed.outcome.result, row_of(latin, changed.cust_no)["FST_NAM"]) == ("held", "Ana")
    assert "would write 'Ł' as 'L'" in changed.outcome.message


def test_a_new_customer_and_their_document_are_written_as_the_database_holds_them(latin: Shop) -> None:
    place = Address(first_name="Łukasz", last_name="Šimůnek", line_1="ul. Łódzka 1", city="Łódź", country="PL")
    made = apply(latin.target(), customer(an_email(), first_name="Łukasz", billing=place))
    row = row_of(latin, made.remote["cust_no"])
    assert (row["FST_NAM"], row["NAM"], row["ADRS_1"]) == ("Lukasz", "Lukasz Adler", "ul. Lódzka 1")
    line = order("").lines[0]
    lines = (DocumentLine(**{name: getattr(line, name) for name in line.__struct_fields__} | {"description": "Łyżka"}),)
    placed = apply(latin.target(), order(a_marker(), lines=lines, bill_to=place, ship_to=place, notes=("Dźwięk",)))
    with latin.direct.connect() as connection:
        query = text('SELECT "NAM", "CITY" FROM "PS_DOC_CONTACT" WHERE "DOC_ID" = :doc_id')
        names = {tuple(one) for one in connection.execute(query, {"doc_id": int(placed.remote["doc_id"])})}
    assert (placed.result, names) == ("applied", {("Lukasz Šimunek", "Lódz")})
    assert "'ż' as 'z'" in placed.message


def test_a_held_creation_keeps_nobody_out(latin: Shop) -> None:
    email = an_email()
    held = apply(latin.target(manner=Manner(letters="hold")), customer(email, first_name="Łukasz"))
    assert (held.result, apply(latin.target(), customer(email, first_name="Łukasz")).result) == ("held", "applied")


def test_the_database_is_asked_what_its_columns_hold(latin: Shop, silent: Shop) -> None:
    with sql.reading(latin.sql, snapshot=False) as connection:
        told = letters.ask(connection)
    with sql.reading(silent.sql, snapshot=False) as connection:
        untold = letters.ask(connection)
    assert told.of("AR_CUST", "FST_NAM") == Column(codec="cp1252", size=15)
    assert told.of("PS_DOC_NOTE", "NOTE").codec == "cp1252"
    assert untold.of("AR_CUST", "FST_NAM") == Column(codec="", size=15)


def test_a_column_that_is_shorter_than_we_think_cuts() -> None:
    short = Alphabet(columns={("AR_CUST", "LST_NAM"): Column(size=10)})
    body = letters.fit({"AR_CUST": {"LST_NAM": "Featherstonehaugh"}}, short, "transliterate").body
    assert body == {"AR_CUST": {"LST_NAM": "Feathersto"}}


def test_an_email_is_never_written_otherwise() -> None:
    with pytest.raises(Held, match="e-mail"):
        letters.fit({"AR_CUST": {"EMAIL_ADRS_1": "łukasz@example.com"}}, LATIN, "transliterate")
    contact = letters.fit({"BILL_TO_CONTACT": {"EMAIL_ADRS_1": "łukasz@example.com"}}, LATIN, "transliterate")
    assert contact.body == {"BILL_TO_CONTACT": {"EMAIL_ADRS_1": ""}}
    assert contact.message


def test_a_letter_without_a_plain_form_is_left_out_and_codes_stay_as_they_are() -> None:
    body = {"AR_CUST": {"NAM": "\ue000", "CUST_NO": "Ł"}, "PS_DOC_LIN": [{"ITEM_NO": "Ł", "DESCR": "Ł"}]}
    fitted = letters.fit(body, LATIN, "transliterate").body
    assert fitted == {"AR_CUST": {"NAM": "", "CUST_NO": "Ł"}, "PS_DOC_LIN": [{"ITEM_NO": "Ł", "DESCR": "L"}]}


@pytest.mark.parametrize(("countries", "stands"), [("code", "GB"), ("alpha_3", "GBR"), ("name", "United Kingdom")])
def test_a_new_customers_country_is_called_as_the_shop_does(latin: Shop, countries: Any, stands: str) -> None:
    made = apply(
        latin.target(manner=Manner(countries=countries)),
        customer(an_email(), billing=Address(city="York", country="UK")),
    )
    assert row_of(latin, made.remote["cust_no"])["CNTRY"] == stands


@pytest.mark.parametrize("stands", ["USA", "United States", "", "US"])
def test_a_tills_own_word_for_a_country_stays(latin: Shop, stands: str) -> None:
    given = {"FST_NAM": "Ana", "LST_NAM": "Adler", "CITY": "Lynn", "CNTRY": stands, "STATE": "Mass."}
    cust_no = latin.books.create_customer(given | {"EMAIL_ADRS_1": an_email()}, actor="staff")
    before = Postal(city="Lynn", state="Mass.", country=stands)
    wanted = Profile(billing=Postal(city="Salem", state="Massachusetts", country="US"))
    outcome = apply(
        latin.target(), ChangeCustomer(remote_id=cust_no, fields=wanted, decided_on=Profile(billing=before))
    )
    row = row_of(latin, cust_no)
    assert (outcome.result, row["CITY"], row["CNTRY"] or "", row["STATE"]) == ("applied", "Salem", stands, "MA")
