"""Merges at the till, and the truth about customers: each check passes a right world and finds a wrong one."""

import random
import uuid
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from sqlalchemy import select

from counterflow.state.server import EmbeddedServer
from sandbox.counterpoint import tables as t
from sandbox.counterpoint.visitor import Visitor
from sandbox.life import Edit, Life
from sandbox.lives import check_accounts, check_profiles
from sandbox.remote import Remote
from sandbox.server import Sandbox, Settings
from sandbox.shop import Shop, generate

World = dict[str, Any]
GROUND = {"first_name": "Ana", "last_name": "Adler", "email": "ana@example.com"}


class Stores:
    """The stores' names are all that the truth asks of the remote."""

    stores = ("north",)


def ana() -> dict[str, Any]:
    row: dict[str, Any] = {"CUST_NO": "10001", "FST_NAM": "Ana", "LST_NAM": "Adler", "EMAIL_ADRS_1": "ANA@example.com"}
    row |= {"PHONE_1": "212-555-1234", "ADRS_1": "1 Oak Road", "ADRS_2": None, "CITY": "Salem", "STATE": "MA"}
    return row | {"ZIP_COD": "01970", "CNTRY": "US", "INCLUDE_IN_MARKETING_MAILOUTS": "Y", "CATEG_COD": "VIP"}


def account() -> dict[str, Any]:
    billing = {"address_1": "1 Oak Road", "address_2": "", "city": "Salem", "state": "MA", "postcode": "01970"}
    meta = {"counterflow_marketing": "yes", "counterflow_group": "VIP", "counterpoint_cust_no": "10001"}
    rows = [{"key": key, "value": value} for key, value in meta.items()]
    return {"id": 7, **GROUND, "billing": billing | {"country": "US", "phone": "+12125551234"}, "meta_data": rows}


def world() -> World:
    """Ana's phone was edited at the till; we made her account, and she was mailed once."""
    mail = {"to": "ana@example.com", "subject": "Your North account has been created!"}
    made = {"system": "north", "key": "7", "actor": "api", "kind": "customer", "at": 1.0}
    changed = {**made, "at": 12.5, "data": {}}
    return {
        "counterpoint": {"customers": [ana()]},
        "north": {"customers": [account()], "mails": [mail]},
        "journal": [made | {"data": {"created": True, "email": "ana@example.com"}}, changed],
    }


def life() -> Life:
    made = Life(cast(Remote, Stores()), Shop([], [], []), random.Random(1), accounts={"10001": {"north": 7}})
    made.follows = frozenset({"north"})
    made.edits = [
        Edit("10001", "phone", "north", "212-555-9999", 8.0),
        Edit("10001", "phone", "counterpoint", "212-555-1234", 11.0),
    ]
    return made


def wrong(made: World, lived: Life) -> list[str]:
    profiles = check_profiles(lived, made, made["journal"])
    return profiles.wrong + check_accounts(lived, made, made["journal"], per_hour=3).wrong


def test_a_right_world_is_found_right_and_the_delay_is_measured() -> None:
    made, lived = world(), life()
    assert wrong(made, lived) == []
    assert check_profiles(lived, made, made["journal"]).delays == [1.5]


def _put(made: World, system: str, name: str, value: Any) -> None:
    made[system]["customers"][0][name] = value


def _meta(made: World, key: str, value: str) -> None:
    rows = made["north"]["customers"][0]["meta_data"]
    made["north"]["customers"][0]["meta_data"] = [one for one in rows if one["key"] != key] + [
        {"key": key, "value": value}
    ]


def _loser_everywhere(made: World) -> None:
    _put(made, "counterpoint", "PHONE_1", "212-555-9999")
    made["north"]["customers"][0]["billing"]["phone"] = "212-555-9999"


WRONG: dict[str, tuple[Callable[[World], Any], str]] = {
    "the e-mails differ": (lambda made: _put(made, "north", "email", "b@example.com"), "email differs"),
    "the first names differ": (lambda made: _put(made, "counterpoint", "FST_NAM", "A"), "first_name differs"),
    "the last names differ": (lambda made: _put(made, "north", "last_name", "Brook"), "last_name differs"),
    "the phones differ": (lambda made: _put(made, "counterpoint", "PHONE_1", "1"), "phone differs"),
    "the addresses differ": (lambda made: _put(made, "counterpoint", "CITY", "Austin"), "billing differs"),
    "the wish about mail differs": (lambda made: _meta(made, "counterflow_marketing", "no"), "marketing differs"),
    "the groups differ": (lambda made: _meta(made, "counterflow_group", "RETAIL"), "group differs"),
    "the older edit won on both sides": (_loser_everywhere, "the phone edited last in counterpoint is lost"),
    "the account names another": (lambda made: _meta(made, "counterpoint_cust_no", "10002"), "names customer 10002"),
    "the account is gone": (lambda made: made["north"]["customers"].clear(), "is gone"),
    "an account was made twice": (lambda made: made["journal"].append(made["journal"][0]), "told twice"),
    "one person was made a second account": (
        lambda made: made["north"]["customers"].append(made["north"]["customers"][0] | {"id": 8}),
        "beside another",
    ),
    "one person was mailed twice": (lambda made: made["north"]["mails"].append(made["north"]["mails"][0]), "2 times"),
    "the pace was not kept": (lambda made: made["journal"].extend([made["journal"][0]] * 3), "more than 3 an hour"),
}


@pytest.mark.parametrize(("spoil", "said"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_world_is_found_wrong(spoil: Callable[[World], Any], said: str) -> None:
    made = world()
    spoil(made)
    assert any(said in one for one in wrong(made, life()))


LOST = "customer 10001: the phone edited last in north is lost"


def _unseen(way: str, *, wrote: str = "billing", read_at: float = 10.8) -> tuple[list[str], list[str]]:
    """Let the shopper's phone be lost, in the order of these things; gives what is wrong and what is nobody's."""
    made, lived = world(), life()
    lived.edits = [Edit("10001", "phone", "north", "212-555-9999", 11.0)]
    one = made["journal"][0]
    kinds = {
        "read": one | {"kind": "read", "at": read_at, "data": {}},
        "typed": one | {"actor": "shopper", "at": 10.9, "data": {"fields": ["billing"]}},
        "wrote": one | {"at": 11.1, "data": {"fields": [wrote]}},
    }
    made["journal"][1:] = [kinds[name] for name in way.split()]
    profiles = check_profiles(lived, made, made["journal"])
    return profiles.wrong, profiles.unseen


def test_an_edit_between_our_reading_and_our_writing_is_named_and_not_wrong() -> None:
    assert _unseen("read typed wrote read") == ([], [LOST])


@pytest.mark.parametrize("way", ["typed read wrote", "typed wrote", "read typed", "typed", "wrote typed wrote"])
def test_an_edit_that_could_be_read_before_it_was_written_over_is_lost(way: str) -> None:
    assert _unseen(way) == ([LOST], [])


def test_who_reads_long_before_he_writes_or_writes_another_field_has_lost_it_otherwise() -> None:
    assert _unseen("read typed wrote", read_at=1.0) == ([LOST], [])
    assert _unseen("read typed wrote", wrote="meta_data") == ([LOST], [])


def test_accounts_made_in_different_hours_keep_the_pace() -> None:
    made = world()
    for number in range(1, 5):
        email = f"new{number}@example.com"
        data = {"created": True, "email": email}
        made["journal"].append(made["journal"][0] | {"at": 3600.0 * number, "data": data})
        made["north"]["mails"].append({"to": email, "subject": "Your North account has been created!"})
    assert wrong(made, life()) == []


def test_a_deleted_account_that_is_there_again_is_found() -> None:
    lived = life()
    lived.deleted = {("north", 7)}
    assert any("is there again" in one for one in wrong(world(), lived))


def test_after_a_merge_the_account_must_name_the_survivor() -> None:
    made, lived = world(), life()
    _put(made, "counterpoint", "CUST_NO", "10002")
    lived.merged = {"10001": "10002"}
    before = wrong(made, lived)
    _meta(made, "counterpoint_cust_no", "10002")
    assert (any("names customer 10001" in one for one in before), wrong(made, lived)) == (True, [])


@pytest.fixture(scope="module")
def shop(postgres: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    database = postgres.url(f"counterpoint_{uuid.uuid4().hex[:8]}")
    settings = Settings(folder=tmp_path_factory.mktemp("sandbox"), database_url=database)
    box = Sandbox(settings, generate(1, customers=10, items=4))
    box.start()
    visitor = Visitor(box)
    yield visitor
    visitor.close()
    box.stop()


def person(shop: Visitor, flag: str, points: int) -> str:
    given = {"FST_NAM": "Ana", "LST_NAM": "Adler", "IS_ECOMM_CUST": flag, "LOY_PTS_BAL": points}
    return str(shop.post("/_sandbox/customers", given).json()["cust_no"])


def row(shop: Visitor, number: str) -> dict[str, Any] | None:
    with shop.books.engine.connect() as connection:
        found = connection.execute(select(t.customer).where(t.customer.c.CUST_NO == number)).mappings().first()
    return dict(found) if found else None


def test_a_merge_adds_up_points_and_moves_documents_and_flags_the_survivor_again(shop: Visitor) -> None:
    gone, stays, item = person(shop, "Y", 25), person(shop, "Y", 25), shop.new_item()
    doc_id = shop.books.sell([{"item_no": item, "quantity": 1}], cust_no=gone)
    shop.post("/_sandbox/merges", {"gone": gone, "stays": stays}).raise_for_status()
    kept = row(shop, stays) or {}
    with shop.books.engine.connect() as connection:
        owner = connection.execute(select(t.document.c.CUST_NO).where(t.document.c.DOC_ID == doc_id)).scalar_one()
    assert (row(shop, gone), kept["LOY_PTS_BAL"], kept["IS_ECOMM_CUST"], owner) == (None, 50, "Y", stays)


def test_a_merge_without_the_choreography_is_refused_and_changes_nothing(shop: Visitor) -> None:
    gone, stays = person(shop, "Y", 25), person(shop, "N", 0)
    with pytest.raises(Exception, match="cannot be merged"):
        shop.books.merge(gone, stays)
    assert (row(shop, gone) or {})["LOY_PTS_BAL"] == 25


def test_a_merge_shows_in_the_queue_as_unflag_sum_delete_and_flag(shop: Visitor) -> None:
    gone, stays = person(shop, "Y", 25), person(shop, "Y", 5)
    shop.begin_anew()
    shop.post("/_sandbox/merges", {"gone": gone, "stays": stays}).raise_for_status()
    steps = [(key.strip('["]'), how) for _, key, how in shop.queued()]
    assert steps == [(gone, "U"), (stays, "U"), (stays, "U"), (gone, "D"), (stays, "U")]


def test_two_customers_with_a_shipping_address_of_the_same_number_can_be_merged(shop: Visitor) -> None:
    gone, stays = person(shop, "N", 0), person(shop, "N", 0)
    with shop.books.engine.begin() as connection:
        for number in (gone, stays):
            where = {"CUST_NO": number, "SHIP_ADRS_ID": "1", "CITY": f"Of {number}"}
            connection.execute(t.address.insert(), [where])
    shop.books.merge(gone, stays)
    with shop.books.engine.connect() as connection:
        cities = connection.execute(select(t.address.c.CITY).where(t.address.c.CUST_NO == stays)).scalars().all()
    assert set(cities) == {f"Of {gone}", f"Of {stays}"}
