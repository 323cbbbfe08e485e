"""The sandbox's WooCommerce answers as real ones did: signing in, customers, products, lists, batches."""

import base64
import hashlib
import hmac
import itertools
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import requests

from sandbox.woocommerce.alone import Alone, Served

TIMEOUT_S = 20
API = "/wp-json/wc/v3"
NUMBERS = itertools.count(1)


class Client:
    """A REST client of one store, with key and secret."""

    def __init__(self, shop: Alone) -> None:
        self.shop, self.url = shop, shop.url
        self.session = requests.Session()
        self.session.auth = (shop.store.key, shop.store.secret)
        self.session.verify = str(shop.ca_file)
        self.session.trust_env = False

    def call(self, verb: str, path: str, **options: Any) -> requests.Response:
        base = "" if path.startswith("/") else f"{API}/"
        return self.session.request(verb, f"{self.url}{base}{path}", timeout=TIMEOUT_S, **options)

    def get(self, path: str, **params: Any) -> requests.Response:
        return self.call("GET", path, params=params)

    def post(self, path: str, body: Any) -> requests.Response:
        return self.call("POST", path, json=body)

    def put(self, path: str, body: Any) -> requests.Response:
        return self.call("PUT", path, json=body)

    def mails_to(self, address: str) -> list[str]:
        return [one["subject"] for one in self.shop.store.mails if one["to"] == address]


@pytest.fixture(scope="module", params=["7.9.0", "11.0.1"])
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with Alone(tmp_path_factory.mktemp("authority"), version=request.param) as shop:
        client = Client(shop)
        yield client
        client.session.close()


def email() -> str:
    return f"ana{next(NUMBERS)}@example.com"


def product(api: Client, **facts: Any) -> dict[str, Any]:
    given = {"sku": f"SKU{next(NUMBERS)}", "name": "Mug", "regular_price": "7.50", "manage_stock": True}
    return dict(api.post("products", {**given, "stock_quantity": 10, **facts}).json())


def code_of(answer: requests.Response) -> tuple[int, str]:
    body = answer.json()
    assert body["data"]["status"] == answer.status_code
    return answer.status_code, body["code"]


def test_basic_and_query_credentials_are_accepted_over_https(api: Client) -> None:  # W-1, W-3
    given = {"consumer_key": api.shop.store.key, "consumer_secret": api.shop.store.secret}
    plain = requests.get(f"{api.url}{API}/orders", params=given, verify=str(api.shop.ca_file), timeout=TIMEOUT_S)
    assert (api.get("orders").status_code, plain.status_code) == (200, 200)


@pytest.mark.parametrize(
    ("auth", "code"),
    [
        pytest.param(None, "woocommerce_rest_cannot_view", id="no credentials (W-5)"),
        pytest.param(("ck_other", "cs"), "woocommerce_rest_cannot_view", id="unknown key (W-5)"),
        pytest.param(("ck_north", "cs"), "woocommerce_rest_authentication_error", id="wrong secret (W-6)"),
    ],
)
def test_wrong_credentials_are_refused(api: Client, auth: tuple[str, str] | None, code: str) -> None:
    answer = requests.get(f"{api.url}{API}/orders", auth=auth, verify=str(api.shop.ca_file), timeout=TIMEOUT_S)
    assert code_of(answer) == (401, code)
    assert "WWW-Authenticate" not in answer.headers


def test_plain_http_takes_a_signature_and_nothing_else(api: Client) -> None:  # W-2, W-4
    store = api.shop.store
    with Served(api.shop.app, None) as served:
        address = f"{served.url}{API}/orders"
        basic = requests.get(address, auth=(store.key, store.secret), timeout=TIMEOUT_S)
        signed = {
            "oauth_consumer_key": store.key,
            "oauth_nonce": "n",
            "oauth_signature_method": "HMAC-SHA256",
        }
        signed |= {"oauth_timestamp": "1700000000", "status": "any"}
        query = urlencode(sorted(signed.items()))
        text = "&".join(quote(one, safe="") for one in ("GET", address, query))
        digest = hmac.new(f"{store.secret}&".encode(), text.encode(), hashlib.sha256).digest()
        signed["oauth_signature"] = base64.b64encode(digest).decode()
        answer = requests.get(address, params=signed, timeout=TIMEOUT_S)
        wrong = requests.get(address, params={**signed, "status": "pending"}, timeout=TIMEOUT_S)
    assert code_of(basic) == (401, "woocommerce_rest_cannot_view")
    assert (answer.status_code, wrong.status_code) == (200, 401)


def test_unknown_routes_and_broken_bodies_have_their_errors(api: Client) -> None:  # W-8
    assert code_of(api.get("nothing")) == (404, "rest_no_route")
    answer = api.call("POST", "customers", data=b"{no", headers={"Content-Type": "application/json"})
    assert code_of(answer) == (400, "rest_invalid_json")
    assert answer.json()["data"]["json_error_message"]


def test_the_index_and_the_system_status_name_the_store(api: Client) -> None:
    assert "wc/v3" in api.get("/wp-json/").json()["namespaces"]
    assert api.get("system_status").json()["environment"]["version"] == api.shop.store.version


def test_a_new_customer_is_whole_and_is_mailed(api: Client) -> None:  # W-12, W-20, W-36
    n = next(NUMBERS)
    made = api.post("customers", {"email": f"Jane.Doe+d{n}@example.com", "first_name": "Jane"})
    row = made.json()
    assert made.status_code == 201
    assert (row["email"], row["username"], row["role"]) == (
        f"Jane.Doe+d{n}@example.com",
        f"jane.doed{n}",
        "customer",
    )
    assert row["billing"]["postcode"] == row["shipping"]["city"] == ""
    assert api.mails_to(row["email"]) == ["Your north account has been created!"]
    shop_time, utc = (datetime.fromisoformat(row[f"date_modified{one}"]) for one in ("", "_gmt"))
    assert utc - shop_time == timedelta(hours=5)


def test_customers_that_cannot_be_made_are_refused_by_code(api: Client) -> None:  # W-21 to W-24
    row = api.post("customers", {"email": email(), "username": f"user{next(NUMBERS)}"}).json()
    taken = api.post("customers", {"email": row["email"].upper()})
    assert code_of(taken) == (400, "registration-error-email-exists")
    assert ("<a href" in taken.json()["message"]) is (api.shop.store.version == "7.9.0")
    same_name = api.post("customers", {"email": email(), "username": row["username"]})
    assert code_of(same_name) == (400, "registration-error-username-exists")
    nothing = api.post("customers", {"first_name": "Ana"})
    assert code_of(nothing) == (400, "rest_missing_callback_param")
    assert nothing.json()["data"]["params"] == ["email"]
    assert code_of(api.post("customers", {"email": "ana.example.com"})) == (400, "customer_invalid_email")
    wrong = api.post("customers", {"email": email(), "first_name": 7})
    assert code_of(wrong) == (400, "rest_invalid_param")
    assert wrong.json()["data"]["details"]["first_name"]["code"] == "rest_invalid_type"  # W-7


def test_a_customer_changes_as_observed(api: Client) -> None:  # W-25, W-26, W-37, W-38
    first, second = (api.post("customers", {"email": email()}).json() for _ in range(2))
    path = f"customers/{first['id']}"
    taken = api.put(path, {"email": second["email"]})
    assert code_of(taken) == (400, "woocommerce_rest_customer_invalid_email")
    named = api.put(path, {"username": "other"})
    assert code_of(named) == (400, "woocommerce_rest_customer_invalid_argument")
    mails = len(api.shop.store.mails)
    assert api.put(path, {"first_name": "Ana", "billing": {"city": "Salem"}}).json()["billing"]["city"] == "Salem"
    assert len(api.shop.store.mails) == mails
    moved = api.put(path, {"email": email(), "password": "a new one"}).json()
    assert api.mails_to(first["email"])[-1] == "Email Changed"
    assert api.mails_to(moved["email"]) == ["Password Changed"]
    assert api.get("customers", email=first["email"]).json() == []


def test_unknown_and_deleted_customers(api: Client) -> None:  # W-27, W-28, W-29
    old = api.shop.store.version == "7.9.0"
    code = "woocommerce_rest_invalid_id" if old else "wc_user_invalid_id"
    assert code_of(api.get("customers/999999")) == (404, code)
    row = api.post("customers", {"email": email()}).json()
    order = api.post("orders", {"customer_id": row["id"]}).json()
    path = f"customers/{row['id']}"
    assert code_of(api.call("DELETE", path)) == (501, "woocommerce_rest_trash_not_supported")
    assert api.call("DELETE", path, params={"force": "true"}).json()["id"] == row["id"]
    assert api.get(f"orders/{order['id']}").json()["customer_id"] == 0


def test_customers_are_found_by_email_and_text_but_not_by_date(api: Client) -> None:  # W-31 to W-34
    address = email()
    row = api.post("customers", {"email": address}).json()
    assert [one["id"] for one in api.get("customers", email=address.upper()).json()] == [row["id"]]
    assert row["id"] in [one["id"] for one in api.get("customers", search=address[:8], per_page=100).json()]
    assert "administrator" in {one["role"] for one in api.get("customers", role="all", per_page=100).json()}
    assert api.get("customers", modified_after="2099-01-01T00:00:00").json()
    assert code_of(api.get("customers", orderby="modified")) == (400, "rest_invalid_param")


def test_customer_meta_data_keeps_its_traps(api: Client) -> None:  # W-39 to W-42, W-45
    given = [
        {"key": "points", "value": 25},
        {"key": "deep", "value": {"a": 1}},
        {"key": "_hidden", "value": "x"},
    ]
    row = api.post("customers", {"email": email(), "meta_data": given}).json()
    kept = {one["key"]: one["value"] for one in row["meta_data"]}
    old = {"_hidden": "x"} if api.shop.store.version == "7.9.0" else {"default_password_nag": "1"}
    assert kept == {"points": "25", "deep": {"a": 1}, **old}
    points = next(one["id"] for one in row["meta_data"] if one["key"] == "points")
    changed = [{"key": "points", "value": 30}, {"key": "deep", "value": None}]
    after = {one["key"]: one for one in api.put(f"customers/{row['id']}", {"meta_data": changed}).json()["meta_data"]}
    assert (after["points"]["id"], after["points"]["value"], "deep" in after) == (points, "30", False)


def test_product_prices_are_text_and_stock_is_whole(api: Client) -> None:  # W-50, W-51, W-54, W-58
    assert code_of(api.post("products", {"regular_price": 7.5})) == (400, "rest_invalid_param")
    row = product(api, sale_price="5.00")
    assert row["price"] == "5.00"
    path = f"products/{row['id']}"
    assert code_of(api.put(path, {"stock_quantity": 2.5})) == (400, "rest_invalid_param")
    assert api.put(path, {"stock_quantity": "7"}).json()["stock_quantity"] == 7
    loose = product(api, manage_stock=False)
    assert api.put(f"products/{loose['id']}", {"stock_quantity": 4}).json()["stock_quantity"] is None


def test_a_sku_is_there_once(api: Client) -> None:  # W-52, W-53
    first, second = product(api), product(api)
    again = api.post("products", {"sku": first["sku"]})
    assert code_of(again) == (400, "product_invalid_sku")
    assert again.json()["data"]["resource_id"] == first["id"]
    assert again.json()["data"]["unique_sku"] == f"{first['sku']}-1"
    found = api.get("products", sku=f"{first['sku']},{second['sku']}").json()
    assert {one["id"] for one in found} == {first["id"], second["id"]}
    assert api.get("products", sku=first["sku"][:-1]).json() == []


def test_a_refused_change_leaves_the_product_as_it_was(api: Client) -> None:
    row = product(api)
    image = {"sku": f"{row['sku']}-new", "images": [{"src": "http://localhost:5/a.png"}]}
    assert api.put(f"products/{row['id']}", image).status_code == 400
    assert code_of(api.post("products", {"sku": row["sku"], "name": "Mug"})) == (400, "product_invalid_sku")


def test_a_product_in_the_trash_gives_its_sku_free_once(api: Client) -> None:
    old = product(api)
    api.call("DELETE", f"products/{old['id']}")
    product(api, sku=old["sku"])
    api.call("DELETE", f"products/{old['id']}", params={"force": "true"})
    assert code_of(api.post("products", {"sku": old["sku"], "name": "Mug"})) == (400, "product_invalid_sku")


def test_product_meta_keeps_a_leading_underscore_and_bad_images_fail(api: Client) -> None:  # W-44, W-57
    row = product(api, meta_data=[{"key": "_cp", "value": "x"}])
    assert [(one["key"], one["value"]) for one in row["meta_data"]] == [("_cp", "x")]
    image = {"name": "Mug", "images": [{"src": "http://localhost:5/a.png"}]}
    assert code_of(api.post("products", image)) == (400, "woocommerce_product_image_upload_error")


def test_modified_after_is_exclusive_at_whole_seconds(api: Client) -> None:  # W-55, W-56
    row = product(api)
    at = api.put(f"products/{row['id']}", {}).json()["date_modified_gmt"]
    window = {
        "dates_are_gmt": "true",
        "orderby": "modified",
        "order": "asc",
        "per_page": 100,
        "sku": row["sku"],
    }
    before = (datetime.fromisoformat(at) - timedelta(seconds=1)).isoformat()
    assert api.get("products", modified_after=at, **window).json() == []
    assert [one["id"] for one in api.get("products", modified_after=before, **window).json()] == [row["id"]]
    del window["dates_are_gmt"]
    assert api.get("products", modified_after=before, **window).json() == []  # Compared with the shop's own time.
    assert code_of(api.get("orders", after="yesterday")) == (400, "rest_invalid_param")  # W-83


def test_lists_name_their_pages(api: Client) -> None:  # W-80, W-81, W-82
    skus = ",".join(product(api)["sku"] for _ in range(5))
    middle = api.get("products", sku=skus, per_page=2, page=2)
    assert (middle.headers["X-WP-Total"], middle.headers["X-WP-TotalPages"]) == ("5", "3")
    assert {"prev", "next"} == set(middle.links)
    following = api.session.get(middle.links["next"]["url"], timeout=TIMEOUT_S)
    assert [len(middle.json()), len(following.json())] == [2, 1]
    assert code_of(api.get("products", per_page=101)) == (400, "rest_invalid_param")
    api.post("orders", {})
    beyond = api.get("orders", page=99)
    assert beyond.json() == []
    assert (beyond.headers["X-WP-Total"] == "0") is (api.shop.store.version == "11.0.1")
    assert "status%5B0%5D=any" in beyond.headers["Link"]


def test_a_batch_always_answers_and_names_each_failure(api: Client) -> None:  # W-84, W-85
    row = product(api)
    asked = {"create": [{"sku": row["sku"]}, {"regular_price": 1}], "delete": [999999]}
    asked["update"] = [{"id": row["id"], "stock_quantity": 3}, {"id": 999999, "stock_quantity": 1}]
    answer = api.post("products/batch", asked)
    said = answer.json()
    assert answer.status_code == 200
    assert [(one["id"], one["error"]["code"]) for one in said["create"]] == [
        (0, "product_invalid_sku"),
        (0, "rest_invalid_param"),
    ]
    assert said["update"][0]["stock_quantity"] == 3
    assert (said["update"][1]["id"], said["update"][1]["error"]["data"]["status"]) == (999999, 400)
    assert said["delete"][0]["error"]["data"]["status"] == 404
    assert said["delete"][0]["error"]["code"] == "woocommerce_rest_product_invalid_id"
    many = api.post("products/batch", {"update": [{"id": 1}] * 101})
    assert code_of(many) == (413, "woocommerce_rest_request_entity_too_large")


def test_links_and_caching_differ_by_version(api: Client) -> None:
    answer = api.get("products", sku=product(api)["sku"])
    new = api.shop.store.version == "11.0.1"
    assert ("targetHints" in answer.json()[0]["_links"]["self"][0]) is new
    assert ("no-store" in answer.headers["Cache-Control"]) is new
    assert "Date" in answer.headers


def test_a_large_store_is_paged_whole(tmp_path: Path) -> None:
    with Alone(tmp_path) as shop:
        api = Client(shop)
        people = [{"email": f"p{n}@example.com"} for n in range(3000)]
        loaded = api.call("POST", "/_sandbox/load", json={"customers": people, "products": []})
        assert loaded.status_code == 200
        seen = [row["id"] for page in range(1, 31) for row in api.get("customers", page=page, per_page=100).json()]
        api.session.close()
    assert (len(seen), len(set(seen)), shop.store.mails, list(shop.journal.entries())) == (3000, 3000, [], [])
