"""The generated shop is whole and nobody's, and the sandbox serves it: Counterpoint, both stores, their pages."""

import re
import ssl
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from email_validator import validate_email

from counterflow.state.server import EmbeddedServer
from sandbox.counterpoint import tables as t
from sandbox.server import VERSIONS, Sandbox, Settings
from sandbox.shop import STORES, Shop, generate

TIMEOUT_S = 20
SHOP = generate(1, customers=300, items=60)
SYSTEMS = ("counterpoint", *STORES)


class Browser:
    """A person's browser: pages and forms, no keys."""

    def __init__(self, box: Sandbox) -> None:
        self.box, self.addresses = box, box.addresses()
        self.session = requests.Session()
        self.session.verify = self.addresses["ca_file"]
        self.session.headers["Accept"] = "text/html"
        self.session.trust_env = False

    def url(self, system: str, path: str = "") -> str:
        return str(self.addresses["pages"][system]) + path

    def page(self, system: str) -> str:
        answer = self.session.get(self.url(system), timeout=TIMEOUT_S)
        assert answer.headers["Content-Type"].startswith("text/html")
        return answer.text

    def submit(self, system: str, path: str, **fields: Any) -> requests.Response:
        return self.session.post(self.url(system, path), data=fields, timeout=TIMEOUT_S, allow_redirects=False)

    def state(self, system: str) -> Any:
        return self.session.get(self.url(system, "state"), timeout=TIMEOUT_S).json()


@pytest.fixture(scope="module")
def browser(postgres: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    database = postgres.url(f"counterpoint_{uuid.uuid4().hex[:8]}")
    box = Sandbox(Settings(folder=tmp_path_factory.mktemp("sandbox"), database_url=database), SHOP)
    box.start()
    browser = Browser(box)
    yield browser
    browser.session.close()
    box.stop()


# What is generated.


def emails(shop: Shop) -> list[str]:
    of_customers = [one["EMAIL_ADRS_1"] for one in shop.customers if one["EMAIL_ADRS_1"]]
    return of_customers + [one["email"] for accounts in shop.accounts.values() for one in accounts]


def test_a_seed_always_gives_the_same_shop_and_another_seed_another() -> None:
    assert generate(1, customers=300, items=60) == SHOP
    assert generate(2, customers=300, items=60) != SHOP


def test_each_address_is_valid_and_nobodys() -> None:
    found = {validate_email(one, check_deliverability=False).domain for one in set(emails(SHOP))}
    assert found == {"example.com", "example.org", "example.net"}


@pytest.mark.parametrize(
    ("rows", "key"),
    [
        (SHOP.customers, "CUST_NO"),
        (SHOP.items, "ITEM_NO"),
        *((rows, "sku") for rows in SHOP.products.values()),
    ],
)
def test_no_key_comes_twice(rows: list[dict[str, Any]], key: str) -> None:
    assert max(Counter(one[key] for one in rows).values()) == 1


def test_every_text_fits_its_column() -> None:
    tables = ((t.customer, SHOP.customers), (t.item, SHOP.items), (t.inventory, SHOP.shelves))
    too_long = [
        (table.name, name, value)
        for table, rows in tables
        for row in rows
        for name, value in row.items()
        if isinstance(value, str) and len(value) > (getattr(table.c[name].type, "length", None) or len(value))
    ]
    assert too_long == []


def test_it_has_the_customers_that_make_matching_hard() -> None:
    addresses = Counter(one["EMAIL_ADRS_1"].lower() for one in SHOP.customers if one["EMAIL_ADRS_1"])
    phones = Counter((one["LST_NAM"], one["PHONE_1"]) for one in SHOP.customers)
    assert any(not one["EMAIL_ADRS_1"] for one in SHOP.customers)
    assert any(one["EMAIL_ADRS_1"] and one["EMAIL_ADRS_1"].isupper() for one in SHOP.customers)
    assert max(addresses.values()) > 1  # A family, or a placeholder that a clerk typed.
    assert max(phones.values()) > 1  # The same person twice.


def test_about_three_in_a_hundred_customers_are_companies_without_a_persons_name() -> None:
    shop = generate(1, customers=2000, items=1)
    companies = [one for one in shop.customers if one["CUST_NAM_TYP"] == "B"]
    assert 40 <= len(companies) <= 80
    assert {(one["FST_NAM"], one["LST_NAM"]) for one in companies} == {(None, None)}
    assert all(one["NAM"] for one in companies)
    assert {one["CUST_NAM_TYP"] for one in shop.customers if one not in companies} == {"P"}


@pytest.mark.parametrize("store", STORES)
def test_a_companys_account_has_its_name_in_the_billing_address_alone(store: str) -> None:
    shop = generate(1, customers=2000, items=1)
    names = {
        one["EMAIL_ADRS_1"].lower(): one["NAM"]
        for one in shop.customers
        if one["EMAIL_ADRS_1"] and one["CUST_NAM_TYP"] == "B"
    }
    found = [one for one in shop.accounts[store] if one["email"] in names]
    assert found
    assert all(one["billing"]["company"] == names[one["email"]] for one in found)
    assert {(one["first_name"], one["last_name"]) for one in found} == {("", "")}


@pytest.mark.parametrize("store", STORES)
def test_a_store_sells_what_is_flagged_for_the_web_at_its_price(store: str) -> None:
    flagged = {one["ITEM_NO"]: f"{one['PRC_1']:.2f}" for one in SHOP.items if one["IS_ECOMM_ITEM"] == "Y"}
    assert {one["sku"]: one["regular_price"] for one in SHOP.products[store]} == flagged


@pytest.mark.parametrize("store", STORES)
def test_a_store_knows_customers_of_the_shop_and_strangers(store: str) -> None:
    known = {one["EMAIL_ADRS_1"].lower() for one in SHOP.customers if one["EMAIL_ADRS_1"]}
    accounts = {one["email"] for one in SHOP.accounts[store]}
    assert accounts & known
    assert accounts - known


# What the sandbox serves. First what it begins with: the tests below add to it.


def test_it_begins_full_and_nothing_has_happened_yet(browser: Browser) -> None:
    assert browser.box.journal.entries() == []
    books = browser.state("counterpoint")
    assert len(books["inventory"]) == len(SHOP.items)
    assert len(books["customers"]) == len(SHOP.customers) + 2  # The template, and the walk-in.
    for store in STORES:
        state = browser.state(store)
        assert {one["email"] for one in state["customers"]} == {one["email"] for one in SHOP.accounts[store]}
        assert (len(state["products"]), state["mails"], state["orders"]) == (
            len(SHOP.products[store]),
            [],
            [],
        )


@pytest.mark.parametrize("store", STORES)
def test_a_store_answers_to_the_key_in_its_address_and_tells_its_version(browser: Browser, store: str) -> None:
    said = browser.addresses["stores"][store]
    answer = requests.get(
        f"{said['url']}/wp-json/wc/v3/system_status",
        auth=(said["key"], said["secret"]),
        verify=browser.addresses["ca_file"],
        timeout=TIMEOUT_S,
    )
    assert answer.json()["environment"]["version"] == VERSIONS[store]


def test_who_does_not_know_the_sandboxs_authority_does_not_trust_it(browser: Browser) -> None:
    session = requests.Session()
    session.trust_env = False
    with pytest.raises(requests.exceptions.SSLError) as caught:
        session.get(browser.url("north"), timeout=TIMEOUT_S)
    assert "CERTIFICATE_VERIFY_FAILED" in str(caught.value)
    assert ssl.create_default_context(cafile=browser.addresses["ca_file"]).get_ca_certs()


def test_filling_a_store_twice_changes_nothing(browser: Browser) -> None:
    before = browser.state("north")
    body = {"customers": SHOP.accounts["north"], "products": SHOP.products["north"]}
    answer = browser.session.post(
        browser.url("north", "load"), json=body, headers={"Accept": "application/json"}, timeout=TIMEOUT_S
    )
    assert answer.status_code == 200
    assert browser.state("north") == before


# The pages, as a browser without JavaScript uses them.


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_page_loads_nothing_from_anywhere_and_works_without_script(browser: Browser, system: str) -> None:
    shown = browser.page(system)
    without_script = re.sub(r"<script>.*?</script>", "", shown, flags=re.DOTALL)
    assert re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(?:https?:)?//""", shown) == []
    assert "<script" not in without_script
    assert without_script.count('method="post"') >= 2
    assert "prefers-color-scheme: dark" in shown
    assert 'name="viewport"' in shown


@pytest.mark.parametrize("store", STORES)
def test_a_shopper_orders_by_the_form_and_sees_the_order(browser: Browser, store: str) -> None:
    sku = SHOP.products[store][0]["sku"]
    assert browser.submit(store, f"products/{sku}", stock=5).status_code == 303
    fields = {"sku": sku, "quantity": 2, "email": "vera@example.com", "first_name": "Vera", "guest": "true"}
    sold = browser.submit(store, "orders", **fields, last_name="", coupon="save10")
    order = browser.state(store)["orders"][-1]
    assert (sold.status_code, sold.headers["Location"]) == (303, "/_sandbox/")
    assert (order["customer_id"], order["billing"]["email"], order["coupon_lines"][0]["code"]) == (
        0,
        "vera@example.com",
        "save10",
    )
    assert browser.state(store)["products"][sku]["stock_quantity"] == 3
    assert "vera@example.com" in browser.page(store)


def test_the_till_sells_by_the_form_and_the_shelf_shows_it(browser: Browser) -> None:
    shelf = browser.state("counterpoint")["inventory"]["ITM0001"]["MAIN"]["on_hand"]
    sold = browser.submit("counterpoint", "sales", item_no="ITM0001", quantity=2, loc="MAIN")
    assert (sold.status_code, sold.headers["Location"]) == (303, "/_sandbox/")
    assert browser.state("counterpoint")["inventory"]["ITM0001"]["MAIN"]["on_hand"] == shelf - 2


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_fault_is_switched_on_and_off_by_the_form(browser: Browser, system: str) -> None:
    both = [
        ("down", "false"),
        ("down", "true"),
        ("delay_s", "0.5"),
    ]  # A ticked box, and the hidden one before it.
    address = browser.url(system, "faults")
    answer = browser.session.post(address, data=both, timeout=TIMEOUT_S, allow_redirects=False)
    assert answer.status_code == 303
    assert re.search(r'name="down"[^>]*checked', browser.page(system))
    assert browser.submit(system, "faults", down="false", delay_s="0.0").status_code == 303
    assert not re.search(r'name="down"[^>]*checked', browser.page(system))


def test_one_journal_holds_what_happened_everywhere_in_order(browser: Browser) -> None:
    seen = len(browser.box.journal.entries())
    browser.submit("counterpoint", "receipts", item_no="ITM0002", quantity=1, loc="MAIN")
    browser.submit("south", "products/ITM0002", stock=4)
    browser.submit("counterpoint", "adjustments", item_no="ITM0002", quantity=-1, loc="MAIN")
    found = browser.session.get(browser.url("north", "journal"), params={"after": seen}, timeout=TIMEOUT_S)
    entries = found.json()["entries"]
    assert [(one["system"], one["actor"], one["kind"]) for one in entries] == [
        ("counterpoint", "staff", "receipt"),
        ("south", "staff", "stock"),
        ("counterpoint", "staff", "adjustment"),
    ]
    assert [one["seq"] for one in entries] == [seen + 1, seen + 2, seen + 3]
