"""Accounts at a store over https: changed only where they are as they were decided on, created once, mailed once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from consumers.stores import StoreTarget
from counterflow.clock import FakeClock
from counterflow.systems.woocommerce.client import WooClient
from sandbox.woocommerce import customers
from sandbox.woocommerce.alone import Alone
from schemas.commands import ChangeCustomer, Command, CreateAccount, CreateCustomer, Profile, body_hash
from schemas.outcomes import Outcome
from schemas.records import Address, Postal
from tests.contracts.store_fakes import settings

HOME = Postal(line_1="1 High Street", city="Springfield", state="IL", postcode="62701", country="US")


class Shop:
    """A store, and the target that writes to it."""

    def __init__(self, alone: Alone) -> None:
        self.alone, self.clock = alone, FakeClock()
        client = WooClient("north", settings(alone.url, ca_file=alone.ca_file), self.clock)
        self.target = StoreTarget("north", client, clock=self.clock)

    def account(self, email: str = "ana@example.com", **fields: Any) -> dict[str, Any]:
        given = {"email": email, "first_name": "Ana", "last_name": "Adler", "billing": {"phone": "212-555-0100"}}
        return customers.load(self.alone.store, given | fields)

    def do(self, body: ChangeCustomer | CreateAccount | CreateCustomer) -> Outcome:
        (outcome,) = self.target.apply([command(body)])
        return outcome

    def change(self, row: dict[str, Any], fields: Profile, decided_on: Profile) -> Outcome:
        return self.do(ChangeCustomer(remote_id=str(row["id"]), fields=fields, decided_on=decided_on))

    def mails(self) -> list[str]:
        return [one["to"] for one in self.alone.store.mails if one["subject"].endswith("has been created!")]

    def faults(self, share_half_applied: float) -> None:
        self.alone.switches.set(share_half_applied=share_half_applied)

    def meta(self, row: dict[str, Any]) -> dict[str, str]:
        return {one["key"]: one["value"] for one in row["meta_data"]}


def command(body: ChangeCustomer | CreateAccount | CreateCustomer) -> Command:
    return Command(
        system="north",
        task="profiles",
        key="7",
        version=1,
        hash=body_hash(body),
        reference="north/profiles/7",
        body=body,
        sent_at=FakeClock().now(),
    )


@pytest.fixture(params=["7.9.0", "11.0.1"])
def shop(request: pytest.FixtureRequest, folder: Path) -> Iterator[Shop]:
    with Alone(folder, version=request.param) as alone:
        yield Shop(alone)


def test_fields_are_changed_and_read_back(shop: Shop) -> None:
    row = shop.account()
    fields = Profile(phone="212 555 0199", billing=HOME, marketing=True, group="VIP", pos_id="C-1")
    outcome = shop.change(row, fields, Profile(phone="(212) 555-0100"))
    assert outcome.result == "applied"
    assert outcome.record is not None
    assert (outcome.record.phone, outcome.record.marketing, outcome.record.group) == ("212 555 0199", True, "VIP")
    assert (row["billing"]["address_1"], row["billing"]["phone"]) == ("1 High Street", "212 555 0199")
    assert shop.meta(row)["counterpoint_cust_no"] == "C-1"


def test_what_is_so_already_is_not_written(shop: Shop) -> None:
    row = shop.account()
    before = row["date_modified_gmt"]
    outcome = shop.change(row, Profile(phone="+1 212 555 0100"), Profile(phone="something else"))
    assert (outcome.result, row["date_modified_gmt"]) == ("already", before)
    assert [one.kind for one in shop.alone.journal.entries()] == ["read"]


def test_what_somebody_changed_meanwhile_is_told_and_not_written(shop: Shop) -> None:
    row = shop.account()
    outcome = shop.change(row, Profile(phone="212 555 0199"), Profile(phone="212 555 0000"))
    assert (outcome.result, row["billing"]["phone"]) == ("differs", "212-555-0100")
    assert outcome.record is not None
    assert outcome.record.phone == "212-555-0100"
    assert "0100" not in outcome.message


def test_an_unseen_edit_of_another_field_is_told_before_our_own_date_covers_it(shop: Shop) -> None:
    row = shop.account()
    seen = Profile(phone="212-555-0100", last_name="Adler")
    customers.update(shop.alone.store, row["id"], {"last_name": "Berg"}, actor="shopper")
    outcome = shop.change(row, Profile(phone="212-555-0199"), seen)
    assert (outcome.result, outcome.message) == ("differs", "changed there meanwhile: last_name")
    assert outcome.record is not None
    assert (outcome.record.last_name, row["billing"]["phone"]) == ("Berg", "212-555-0100")


def test_a_look_writes_nothing_and_says_what_is_there(shop: Shop) -> None:
    outcome = shop.change(shop.account(), Profile(), Profile())
    assert (outcome.result, outcome.record is not None) == ("already", True)


def test_an_account_that_is_gone_is_refused(shop: Shop) -> None:
    outcome = shop.do(ChangeCustomer(remote_id="4711", fields=Profile(phone="1"), decided_on=Profile()))
    assert (outcome.result, outcome.message) == ("rejected", "account 4711 is gone from north")


def test_an_email_that_another_account_has_waits_for_a_person(shop: Shop) -> None:  # W-25
    row = shop.account()
    shop.account("ben@example.com")
    outcome = shop.change(row, Profile(email="ben@example.com"), Profile(email="ana@example.com"))
    assert (outcome.result, row["email"], "ben" in outcome.message) == ("held", "ana@example.com", False)


WANTED = CreateAccount(email="ana@example.com", pos_id="C-1", fields=Profile(first_name="Ana", phone="212 555 0100"))


def test_an_account_is_created_and_its_owner_mailed_once(shop: Shop) -> None:  # W-36
    first, second = shop.do(WANTED), shop.do(WANTED)
    assert (first.result, second.result, shop.mails()) == ("applied", "already", ["ana@example.com"])
    assert first.remote == second.remote


def test_a_companys_account_has_its_name_in_the_billing_address(shop: Shop) -> None:
    wanted = CreateAccount(email="office@example.com", pos_id="C-1", fields=Profile(), company="Acme Plumbing LLC")
    done = shop.do(wanted)
    row = shop.alone.store.row("customers", int(done.remote["account_id"]))
    assert (row["billing"]["company"], row["first_name"], row["last_name"]) == ("Acme Plumbing LLC", "", "")
    assert done.record is not None
    assert done.record.company == "Acme Plumbing LLC"


def test_an_account_that_is_there_is_found_whatever_its_capitals_and_left_as_it_is(shop: Shop) -> None:  # W-21
    """Whose it is, the names may speak against: it is marked once it is linked."""
    row = shop.account("ANA@Example.com")
    outcome = shop.do(WANTED)
    assert (outcome.result, outcome.remote, shop.mails()) == ("already", {"account_id": str(row["id"])}, [])
    assert "counterpoint_cust_no" not in shop.meta(row)


def test_an_account_of_another_customer_is_not_taken(shop: Shop) -> None:
    shop.account(meta_data=[{"key": "counterpoint_cust_no", "value": "C-9"}])
    assert (shop.do(WANTED).result, shop.mails()) == ("held", [])


def test_a_creation_that_was_not_answered_is_found_and_nobody_is_mailed_twice(shop: Shop) -> None:
    shop.faults(1.0)
    first = shop.do(WANTED)
    shop.faults(0.0)
    assert (first.result, shop.do(WANTED).result, shop.mails()) == ("waiting", "already", ["ana@example.com"])


def test_a_change_that_was_not_answered_is_found(shop: Shop) -> None:
    row, fields = shop.account(), Profile(phone="212 555 0199")
    shop.faults(1.0)
    first = shop.change(row, fields, Profile(phone="212-555-0100"))
    shop.faults(0.0)
    assert (first.result, shop.change(row, fields, Profile(phone="212-555-0100")).result) == ("waiting", "already")


def test_a_buyer_is_created_where_the_store_is_the_point_of_sale_and_found_again(shop: Shop) -> None:
    wanted = CreateCustomer(
        email="new@example.com", first_name="Ben", phone="212-555-0144", billing=Address(city="Salem")
    )
    made, again = shop.do(wanted), shop.do(wanted)
    assert (made.result, again.result) == ("applied", "already")
    assert made.remote == again.remote == {"cust_no": made.record.key if made.record else ""}
    row = shop.alone.store.row("customers", int(made.remote["cust_no"]))
    assert (row["first_name"], row["billing"]["city"]) == ("Ben", "Salem")
    assert "counterpoint_cust_no" not in shop.meta(row)
    assert shop.mails() == ["new@example.com"]


def test_a_company_with_its_word_about_mail_is_created_where_the_store_is_the_point_of_sale(shop: Shop) -> None:
    made = shop.do(CreateCustomer(email="office@example.com", company="Acme Plumbing LLC", marketing=False))
    row = shop.alone.store.row("customers", int(made.remote["cust_no"]))
    assert (row["billing"]["company"], shop.meta(row)["counterflow_marketing"]) == ("Acme Plumbing LLC", "no")


def test_whoever_said_nothing_of_mail_is_created_without_a_word_of_it(shop: Shop) -> None:
    made = shop.do(CreateCustomer(email="new@example.com", first_name="Ben"))
    assert "counterflow_marketing" not in shop.meta(shop.alone.store.row("customers", int(made.remote["cust_no"])))


def test_an_account_without_an_email_is_refused_before_the_store_is_asked(shop: Shop) -> None:
    outcome = shop.do(CreateCustomer(email="", first_name="Ben", reference="south/12"))
    assert (outcome.result, "needs an e-mail" in outcome.message) == ("rejected", True)
    assert shop.mails() == []


@pytest.mark.parametrize(
    ("wanted", "stands", "written"),
    [
        pytest.param({"state": "MA", "country": "USA"}, "US", ("MA", "US"), id="its own word stays"),
        pytest.param({"state": "Massachusetts", "country": ""}, "US", ("MA", "US"), id="blank is the shop's own"),
        pytest.param({"state": "Massachusetts", "country": ""}, "", ("MA", ""), id="blank stays blank"),
        pytest.param({"state": "Ontario", "country": "Canada"}, "US", ("ON", "CA"), id="as WooCommerce calls it"),
    ],
)
def test_an_address_is_written_in_the_stores_own_words(
    shop: Shop, wanted: dict[str, str], stands: str, written: tuple[str, str]
) -> None:
    before = {"city": "Lynn", "state": "NY", "country": stands}
    row = shop.account(billing={"phone": "212-555-0100"} | before)
    outcome = shop.change(row, Profile(billing=Postal(city="Salem", **wanted)), Profile(billing=Postal(**before)))
    assert (outcome.result, row["billing"]["state"], row["billing"]["country"]) == ("applied", *written)


def test_an_address_that_means_the_same_is_not_written(shop: Shop) -> None:
    row = shop.account(billing={"city": "Salem", "state": "MA", "country": "US"})
    wanted = Profile(billing=Postal(city="Salem", state="Massachusetts", country=""))
    assert shop.change(row, wanted, Profile()).result == "already"


def test_a_new_account_has_codes_for_country_and_state(shop: Shop) -> None:
    place = Postal(city="Salem", state="Massachusetts", country="United States")
    shop.do(CreateAccount(email="new@example.com", pos_id="C-1", fields=Profile(billing=place)))
    row = next(one for one in shop.alone.store.tables["customers"].values() if one["email"] == "new@example.com")
    assert (row["billing"]["state"], row["billing"]["country"]) == ("MA", "US")


def test_an_extension_is_a_change_and_a_phone_at_home_is_none(shop: Shop) -> None:
    row = shop.account(billing={"phone": "020 7946 0958"})
    longer = shop.change(row, Profile(phone="020 7946 0958 x12"), Profile(phone="020 7946 0958"))
    assert (longer.result, row["billing"]["phone"]) == ("applied", "020 7946 0958 x12")
    wanted = Profile(phone="+44 20 7946 0958 x12")
    at_home = ChangeCustomer(remote_id=str(row["id"]), fields=wanted, decided_on=Profile(), home="GB")
    assert shop.do(at_home).result == "already"


class Losing(WooClient):
    """A store whose database has no place for what is not in code page 1252."""

    def change(self, resource: str, key: str, body: Any) -> Any:
        spoilt = {name: one.encode("cp1252", "replace").decode("cp1252") for name, one in body.items()}
        return super().change(resource, key, spoilt)


def test_what_a_store_makes_of_our_words_is_taken_and_what_it_refuses_is_not(shop: Shop) -> None:
    client = Losing("north", settings(shop.alone.url, ca_file=shop.alone.ca_file), shop.clock)
    shop.target = StoreTarget("north", client, clock=shop.clock)
    row = shop.account()
    outcome = shop.change(row, Profile(first_name="Łukasz"), Profile(first_name="Ana"))
    assert (outcome.result, row["first_name"]) == ("applied", "?ukasz")
