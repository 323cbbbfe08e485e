"""The sandbox's WooCommerce: web hooks are signed, come later, are never repeated, and get switched off."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest
import requests

from sandbox.woocommerce.alone import Alone

TIMEOUT_S = 20
SECRET = "hook secret"


class Got(NamedTuple):
    headers: dict[str, str]
    body: bytes

    @property
    def what(self) -> tuple[str, int]:
        return self.headers.get("x-wc-webhook-topic", "ping"), int(json.loads(self.body)["id"])


class Receiver:
    """A small http server that keeps what it got and answers as told."""

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.status = 200
        receiver = self

        class Serve(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append(Got({name.lower(): text for name, text in self.headers.items()}, body))
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Serve)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class World:
    """A store and a receiver which it may reach."""

    def __init__(self, shop: Alone, receiver: Receiver) -> None:
        self.shop, self.receiver = shop, receiver

    def call(self, verb: str, path: str, body: Any = None) -> requests.Response:
        base = "/_sandbox/" if path.startswith("/") else "/wp-json/wc/v3/"
        url = f"{self.shop.url}{base}{path.lstrip('/')}"
        auth = (self.shop.store.key, self.shop.store.secret)
        return requests.request(verb, url, json=body, auth=auth, verify=str(self.shop.ca_file), timeout=TIMEOUT_S)

    def hook(self, topic: str, **facts: Any) -> dict[str, Any]:
        given = {"topic": topic, "delivery_url": self.receiver.url, "secret": SECRET, **facts}
        return dict(self.call("POST", "webhooks", given).json())

    def told(self) -> list[tuple[str, int]]:
        return [one.what for one in list(self.receiver.got) if b"webhook_id" not in one.body]

    def pings(self) -> int:
        return sum(b"webhook_id" in one.body for one in list(self.receiver.got))

    def has_told_more_than(self, count: int) -> bool:
        return len(self.told()) > count

    def faults(self, **changes: Any) -> None:
        assert self.call("POST", "/faults", changes).status_code == 200


@pytest.fixture(params=["7.9.0", "11.0.1"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    receiver = Receiver()
    ports = frozenset({receiver.server.server_port})
    with Alone(tmp_path_factory.mktemp("authority"), version=request.param, safe_ports=ports) as shop:
        yield World(shop, receiver)
    receiver.close()


def until(holds: Callable[[], bool]) -> bool:
    """Wait until it holds, 10 s at most, and tell whether it does."""
    deadline = time.monotonic() + 10
    while not holds() and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    return holds()


def test_a_new_hook_is_pinged_and_never_tells_its_secret(world: World) -> None:  # W-90, W-91, W-92
    made = world.hook("order.created")
    assert (made["status"], "secret" in made) == ("active", False)
    assert until(lambda: bool(world.receiver.got))
    ping = world.receiver.got[0]
    assert ping.body == f"webhook_id={made['id']}".encode()
    assert "x-wc-webhook-signature" not in ping.headers


def test_wrong_hooks_are_refused(world: World) -> None:  # W-93
    topic = world.call("POST", "webhooks", {"topic": "order.eaten", "delivery_url": world.receiver.url})
    url = world.call("POST", "webhooks", {"topic": "order.created"})
    assert topic.json()["code"] == "woocommerce_rest_shop_webhook_invalid_topic"
    assert url.json()["code"] == "rest_missing_callback_param"


def test_a_delivery_is_signed_over_its_body(world: World) -> None:  # W-94, W-95
    world.hook("product.created")
    made = world.call("POST", "products", {"name": "Mug", "regular_price": "7.50"}).json()
    assert until(lambda: world.told() == [("product.created", made["id"])])
    got = world.receiver.got[-1]
    digest = hmac.new(SECRET.encode(), got.body, hashlib.sha256).digest()
    assert got.headers["x-wc-webhook-signature"] == base64.b64encode(digest).decode()
    assert got.headers["content-type"] == "application/json"
    assert got.headers["x-wc-webhook-source"] == f"{world.shop.url}/"
    assert got.headers["user-agent"].startswith(f"WooCommerce/{world.shop.store.version} Hookshot (WordPress/")
    assert ("referer" in got.headers) is (world.shop.store.version == "7.9.0")
    assert json.loads(got.body)["regular_price"] == "7.50"


def test_quick_changes_are_told_once_with_the_latest_body(world: World) -> None:  # W-98, W-99
    world.hook("customer.created")
    world.hook("customer.updated")
    world.faults(hooks_delay_s=2.0)
    row = world.call("POST", "customers", {"email": "ana@example.com"}).json()
    for name in ("Ana", "Anna", "Anne"):
        world.call("PUT", f"customers/{row['id']}", {"first_name": name})
    both = [("customer.created", row["id"]), ("customer.updated", row["id"])]
    assert until(lambda: world.told() == both)
    assert {json.loads(one.body)["first_name"] for one in world.receiver.got[-2:]} == {"Anne"}


def test_a_batch_tells_each_and_a_deletion_only_its_id(world: World) -> None:  # W-100, W-101
    world.hook("product.updated")
    world.hook("product.deleted")
    made = world.call("POST", "products/batch", {"create": [{"name": f"Mug {n}"} for n in range(10)]}).json()
    ids = [one["id"] for one in made["create"]]
    world.call("POST", "products/batch", {"update": [{"id": one, "name": "Cup"} for one in ids]})
    assert until(lambda: sorted(world.told()) == [("product.updated", one) for one in ids])
    world.call("DELETE", f"products/{ids[0]}?force=true")
    assert until(lambda: world.told()[-1] == ("product.deleted", ids[0]))
    assert json.loads(world.receiver.got[-1].body) == {"id": ids[0]}


def test_seven_failures_in_a_row_switch_a_hook_off_and_nothing_is_replayed(world: World) -> None:
    """W-102, W-103, W-104."""
    hook = world.hook("product.created")
    world.receiver.status = 500

    path = f"webhooks/{hook['id']}"

    def fail(times: int) -> None:
        for n in range(times):
            before = len(world.told())
            world.call("POST", "products", {"name": f"Mug {n}"})
            assert until(partial(world.has_told_more_than, before))

    fail(6)
    assert world.call("GET", path).json()["status"] == "active"
    fail(1)
    assert until(lambda: world.call("GET", path).json()["status"] == "disabled")
    world.call("POST", "products", {"name": "Lost"})
    world.receiver.status = 200
    assert world.call("PUT", path, {"status": "active"}).json()["status"] == "active"
    last = world.call("POST", "products", {"name": "Told"}).json()
    assert until(lambda: world.told()[-1] == ("product.created", last["id"]))
    assert len(world.told()) == 8


def test_a_receiver_outside_the_rule_never_gets_anything(world: World) -> None:  # W-106
    other = Receiver()
    outside = [world.hook("product.created", delivery_url=other.url)["status"]]
    by_name = world.receiver.url.replace("127.0.0.1", "localhost")
    outside.append(world.hook("product.created", delivery_url=by_name)["status"])
    world.hook("product.created")
    made = world.call("POST", "products", {"name": "Mug"}).json()
    assert until(lambda: world.told() == [("product.created", made["id"])])
    other.close()
    assert (outside, other.got) == (["active", "active"], [])


def test_hooks_get_lost_doubled_and_reordered_by_switch(world: World) -> None:
    world.hook("product.created")
    world.faults(hooks_lost=1.0)
    world.call("POST", "products", {"name": "Lost"})
    world.hook("order.created")  # Its ping is never lost and comes after what is: deliveries go out one by one.
    assert until(lambda: world.pings() == 2)
    world.faults(hooks_lost=0.0, hooks_doubled=1.0)
    twice = world.call("POST", "products", {"name": "Twice"}).json()
    wanted = [("product.created", twice["id"])] * 2
    assert until(lambda: world.told() == wanted)
    world.faults(hooks_doubled=0.0, hooks_reordered=True)
    made = world.call("POST", "products/batch", {"create": [{"name": f"Mug {n}"} for n in range(4)]}).json()
    ids = [one["id"] for one in made["create"]]
    assert until(lambda: len(world.told()) == 6)
    after = [number for _, number in world.told()[2:]]
    assert (sorted(after), after != ids) == (ids, True)


def test_a_late_delivery_holds_up_no_request(world: World) -> None:  # W-96, W-105
    world.hook("product.created")
    world.faults(hooks_delay_s=2.0)
    world.call("POST", "products", {"name": "Mug"})
    assert world.told() == []
    assert until(lambda: len(world.told()) == 1)
