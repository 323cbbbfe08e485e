"""The sandbox's WooCommerce: orders over REST and at the checkout, the control routes, the faults."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from sandbox.woocommerce.alone import Alone

TIMEOUT_S = 20
NUMBERS = itertools.count(1)
Answer = requests.Response


class Client:
    """Speaks with one store: its API with key and secret, and its control routes."""

    def __init__(self, shop: Alone) -> None:
        self.shop, self.store = shop, shop.store

    def call(self, verb: str, path: str, body: Any = None, **options: Any) -> Answer:
        base = "/_sandbox/" if path.startswith("/") else "/wp-json/wc/v3/"
        options |= {"auth": (self.store.key, self.store.secret), "verify": str(self.shop.ca_file)}
        url = f"{self.shop.url}{base}{path.lstrip('/')}"
        return requests.request(verb, url, json=body, timeout=TIMEOUT_S, **options)

    def post(self, path: str, body: Any) -> Answer:
        return self.call("POST", path, body)

    def product(self, quantity: int = 10, price: str = "7.50") -> dict[str, Any]:
        facts = {"sku": f"ITEM{next(NUMBERS)}", "regular_price": price, "manage_stock": True}
        return dict(self.post("products", {**facts, "stock_quantity": quantity}).json())

    def stock(self, product: dict[str, Any]) -> int:
        return int(self.call("GET", f"products/{product['id']}").json()["stock_quantity"])

    def buy(self, **facts: Any) -> Answer:
        return self.post("/orders", {"person": "Ana", "expect": "document", **facts})

    def journal(self, kind: str, key: object) -> list[dict[str, Any]]:
        entries = self.call("GET", "/journal").json()["entries"]
        return [one for one in entries if one["kind"] == kind and one["key"] == str(key)]

    def mails(self, since: int) -> list[tuple[str, str]]:
        return [(one["to"], one["subject"]) for one in self.store.mails[since:]]


@pytest.fixture(scope="module", params=["7.9.0", "11.0.1"])
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with Alone(tmp_path_factory.mktemp("authority"), version=request.param) as shop:
        client = Client(shop)
        client.post("coupons", {"code": "SAVE10", "amount": "10", "discount_type": "percent"})
        yield client
        client.post("/faults", {"down": False})


@pytest.fixture
def email() -> str:
    return f"bob{next(NUMBERS)}@example.com"


def code_of(answer: Answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def order_of(product: dict[str, Any], quantity: int = 1, **facts: Any) -> dict[str, Any]:
    return {
        "line_items": [{"product_id": product["id"], "quantity": quantity}],
        "status": "processing",
        **facts,
    }


def test_a_coupon_is_already_in_the_lines(api: Client) -> None:  # W-60, W-61, W-73
    mug = api.product()
    made = api.post("orders", order_of(mug, 2, coupon_lines=[{"code": "Save10"}]))
    row = made.json()
    assert made.status_code == 201
    line, coupon = row["line_items"][0], row["coupon_lines"][0]
    assert (line["subtotal"], line["total"], row["discount_total"], row["total"]) == (
        "15.00",
        "13.50",
        "1.50",
        "13.50",
    )
    new = api.store.version == "11.0.1"
    assert coupon["meta_data"][0]["key"] == ("coupon_info" if new else "coupon_data")
    assert ("nominal_amount" in coupon, "global_unique_id" in line) == (new, new)
    again = api.post("coupons", {"code": "sAVE10", "amount": "5"})
    assert code_of(again) == (400, "woocommerce_rest_coupon_code_already_exists")


def test_stock_falls_with_the_status_and_is_never_checked_over_rest(api: Client) -> None:  # W-62, W-63
    mug = api.product(3)
    pending = api.post("orders", order_of(mug, 1, status="pending")).json()
    assert api.stock(mug) == 3
    assert api.post("orders", order_of(mug, 500)).status_code == 201
    assert api.stock(mug) == -497
    api.call("PUT", f"orders/{pending['id']}", {"status": "completed"})
    assert api.stock(mug) == -498
    api.call("PUT", f"orders/{pending['id']}", {"status": "cancelled"})
    assert api.stock(mug) == -497


def test_wrong_orders_are_refused_except_for_the_trap(api: Client) -> None:  # W-64, W-65, W-66
    assert api.post("orders", {"line_items": [{"product_id": 999999}]}).json()["total"] == "0.00"
    assert code_of(api.post("orders", {"customer_id": 999999})) == (
        400,
        "woocommerce_rest_invalid_customer_id",
    )
    assert code_of(api.post("orders", {"status": "shipped"})) == (400, "rest_invalid_param")
    wrong = api.post("orders", {"line_items": [{"quantity": "many"}]})
    assert code_of(wrong) == (400, "rest_invalid_param")


def test_an_unknown_coupon_leaves_a_stray_order_on_the_older_version(api: Client) -> None:  # W-67
    before = len(api.store.tables["orders"])
    answer = api.post("orders", order_of(api.product(), coupon_lines=[{"code": "nope"}]))
    assert code_of(answer) == (400, "woocommerce_rest_invalid_coupon")
    old = api.store.version == "7.9.0"
    assert len(api.store.tables["orders"]) - before == (1 if old else 0)
    assert ("new_draft_order_id" in answer.json()["data"]) is not old


def test_mails_follow_the_status(api: Client, email: str) -> None:  # W-68, W-69, W-70
    since = len(api.store.mails)
    facts: dict[str, Any] = {"billing": {"email": email}, "payment_method": "cod", "set_paid": True}
    paid = api.post("orders", order_of(api.product(), **facts)).json()
    number = paid["number"]
    assert (paid["status"], paid["date_paid"] is None) == ("completed", False)
    admin = ("admin@example.com", f"New order #{number}")
    assert api.mails(since) == [admin, (email, "Your north order is now complete")]
    api.call("PUT", f"orders/{paid['id']}", {"status": "completed"})
    assert len(api.mails(since)) == 2
    api.post("orders", order_of(api.product(), billing={"email": email}, status="pending"))
    assert len(api.mails(since)) == 2


def test_notes_and_refunds(api: Client, email: str) -> None:  # W-71, W-72
    row = api.post("orders", order_of(api.product(), status="completed", billing={"email": email})).json()
    since, old = len(api.store.mails), api.store.version == "7.9.0"
    note = api.post(f"orders/{row['id']}/notes", {"note": "Thank you", "customer_note": True})
    refund = api.post(f"orders/{row['id']}/refunds", {"amount": "5.00", "reason": "broken", "api_refund": False})
    assert (note.status_code, refund.status_code) == (201, 201)
    after = api.call("GET", f"orders/{row['id']}").json()
    assert (after["status"], after["total"], after["refunds"][0]["total"]) == ("completed", "7.50", "-5.00")
    assert ("total_tax" in after["refunds"][0], bool(refund.json()["meta_data"])) == (not old, not old)
    assert len(api.mails(since)) == (2 if old else 0)


def test_orders_are_found_by_email_customer_and_status(api: Client, email: str) -> None:  # W-30, W-83
    guest = api.buy(guest=True, email=email, lines=[{"sku": api.product()["sku"], "quantity": 1}]).json()
    account = api.post("customers", {"email": email}).json()
    own = api.buy(email=email, lines=[{"sku": api.product()["sku"], "quantity": 1}], status="on-hold").json()
    assert (guest["customer_id"], own["customer_id"]) == (0, account["id"])

    def found(**params: Any) -> list[int]:
        return [one["id"] for one in api.call("GET", "orders", params=params).json()]

    assert found(search=email, orderby="id", order="asc") == [guest["id"], own["id"]]
    assert found(customer=account["id"]) == [own["id"]]
    assert found(search=email, status="on-hold,pending") == [own["id"]]


def test_a_checkout_adds_up_and_is_journaled(api: Client, email: str) -> None:
    mug = api.product(price="10.00")
    lines = [{"sku": mug["sku"], "quantity": 3}]
    address = {"address_1": "1 Oak Street", "city": "Salem"}
    facts = {"coupon": "save10", "shipping_cents": 500, "tax_percent": 8.25, "address": address}
    made = api.buy(email=email, first_name="Bob", last_name="Novak", lines=lines, **facts)
    assert made.status_code == 201
    row = api.call("GET", f"orders/{made.json()['id']}").json()
    amounts = {name: row[name] for name in ("discount_total", "shipping_total", "total_tax", "total", "status")}
    assert amounts == {
        **{"discount_total": "3.00", "shipping_total": "5.00", "total_tax": "2.64"},
        **{"total": "34.64", "status": "processing"},
    }
    tax = row["tax_lines"][0]
    assert (tax["tax_total"], tax["shipping_tax_total"], row["discount_tax"]) == ("2.23", "0.41", "0.25")
    [entry] = api.journal("order", row["id"])
    assert (entry["actor"], entry["system"], entry["data"]["person"]) == ("shopper", "north", "Ana")
    assert (entry["data"]["total_cents"], entry["data"]["lines"][0]["total_cents"]) == (3464, 2700)
    account = api.call("GET", f"customers/{row['customer_id']}").json()
    assert (account["last_name"], account["billing"]["city"], api.stock(mug)) == ("Novak", "Salem", 7)
    api.post(f"/orders/{row['id']}/status", {"status": "cancelled"})
    assert [one["data"]["status"] for one in api.journal("order-status", row["id"])] == ["cancelled"]
    assert api.stock(mug) == 10


def test_shoppers_cannot_buy_what_is_not_there(api: Client) -> None:
    mug = api.product(5)
    lines = [{"sku": mug["sku"], "quantity": 1}]
    with ThreadPoolExecutor(8) as shoppers:
        answers = list(shoppers.map(lambda n: api.buy(guest=True, email=f"s{n}@example.com", lines=lines), range(8)))
    assert sorted(one.status_code for one in answers) == [201] * 5 + [409] * 3
    assert api.stock(mug) == 0
    short = api.buy(email="late@example.com", lines=lines)
    assert code_of(short) == (409, "out_of_stock")
    assert "late@example.com" not in api.store.accounts_by_email


def test_an_order_can_be_strange_on_purpose(api: Client) -> None:
    gone = [{"sku": "GONE", "quantity": 2, "price": "3.00"}]
    made = api.buy(guest=True, email="x@example.com", lines=gone, tamper={"total": "1.00"}).json()
    row = api.call("GET", f"orders/{made['id']}").json()
    assert (row["line_items"][0]["product_id"], row["line_items"][0]["sku"], row["total"]) == (
        0,
        "GONE",
        "1.00",
    )
    assert code_of(api.buy(guest=True, lines=[{"sku": "GONE", "quantity": 1}])) == (400, "unknown_product")
    assert api.buy(guest=True).status_code == 400


def test_stock_writes_are_journaled_by_sku_also_when_nothing_changes(api: Client) -> None:
    mug = api.product(5)
    for quantity in (4, 4):
        api.post("products/batch", {"update": [{"id": mug["id"], "stock_quantity": quantity}]})
    api.post(f"/products/{mug['sku']}", {"stock": 9})
    told = [(one["actor"], one["data"]["quantity"], one["data"]["changed"]) for one in api.journal("stock", mug["sku"])]
    assert told == [("api", 4, True), ("api", 4, False), ("staff", 9, True)]
    assert api.call("GET", "/state").json()["products"][mug["sku"]]["stock_quantity"] == 9


def test_shoppers_sign_up_and_change_their_address(api: Client, email: str) -> None:
    made = api.post("/customers", {"email": email, "first_name": "Bob"}).json()
    moved = api.call("PUT", f"/customers/{made['id']}", {"email": f"new.{email}"}).json()
    assert moved["email"] == f"new.{email}"
    assert {one["actor"] for one in api.journal("customer", made["id"])} == {"shopper"}


def test_unknown_faults_are_refused_by_name(api: Client) -> None:
    answer = api.post("/faults", {"slow": 1})
    assert answer.status_code == 400
    assert "slow" in answer.text


def test_a_half_applied_write_is_applied_and_not_answered(api: Client) -> None:
    mug = api.product(5)
    api.post("/faults", {"share_half_applied": 1.0})
    with pytest.raises(requests.ConnectionError):
        api.call("PUT", f"products/{mug['id']}", {"stock_quantity": 2})
    api.post("/faults", {"share_half_applied": 0.0})
    assert api.stock(mug) == 2


def test_faults_refuse_fail_and_cut(api: Client) -> None:
    api.post("/faults", {"share_429": 1.0, "retry_after_s": 3})
    busy = api.call("GET", "orders")
    api.post("/faults", {"share_429": 0.0, "share_500": 1.0})
    failed = api.call("GET", "orders")
    api.post("/faults", {"share_500": 0.0, "down": True})
    with pytest.raises(requests.ConnectionError):
        api.call("GET", "orders")
    api.post("/faults", {"down": False})
    assert (busy.status_code, busy.headers["Retry-After"], failed.status_code) == (429, "3", 500)
    assert api.call("GET", "orders").status_code == 200


def test_the_page_shows_the_store_and_takes_forms(api: Client, email: str) -> None:
    mug = api.product(5)
    form = {"sku": mug["sku"], "quantity": "2", "email": email, "guest": "true", "first_name": "<b>Bob"}
    sent = requests.post(
        f"{api.shop.url}/_sandbox/orders",
        data=form,
        headers={"Accept": "text/html"},
        verify=str(api.shop.ca_file),
        timeout=TIMEOUT_S,
    )
    assert (sent.status_code, sent.history[0].status_code, api.stock(mug)) == (200, 303, 3)
    assert f"WooCommerce {api.store.version}" in sent.text
    assert email in sent.text
    assert "<b>Bob" not in sent.text
