"""Web hooks: registered (W-90 to W-93), and delivered by one thread without a second try (W-94 to W-107)."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import requests

from sandbox.woocommerce import store as shop
from sandbox.woocommerce.store import Refused, Row, Store

RESOURCES = ("coupon", "customer", "order", "product")
EVENTS = ("created", "updated", "deleted", "restored")
FAILURES_MAX = 6  # The seventh in a row switches the hook off (W-103).
TIMEOUT_S = 5.0  # The real one's is not verified (W-105).
REORDER_S = 0.25  # How long every other delivery waits when they are to come out of order.
Pending = tuple[int, str, int]  # The hook's id, the event, the record's id.
PING = "ping"
PLUGIN = 0  # The companion plugin's own hook, which is no web hook of WooCommerce: its id in what is pending.
PLUGIN_HEADERS = ("Content-Type", "X-WC-Webhook-Topic", "X-WC-Webhook-Signature")  # All that it promises.


def create(store: Store, given: Mapping[str, Any]) -> Row:
    """Register a web hook; the secret is never given back, and may be missing (W-90, W-92)."""
    topic = _topic(given)
    if not given.get("delivery_url"):
        raise shop.missing("delivery_url")  # W-93
    number = store.next_id()
    row: Row = {"id": number, "name": str(given.get("name") or f"Webhook #{number}")}
    row |= {"status": str(given.get("status") or "active"), "_failures": 0}
    row |= topic | {
        "hooks": [],
        "delivery_url": str(given["delivery_url"]),
        "_secret": str(given.get("secret") or ""),
    }
    shop.born(row)
    store.tables["webhooks"][number] = row
    store.note("api", "webhook", number, topic=row["topic"], created=True)
    if row["status"] == "active":
        store.changed("webhook", PING, number)  # W-91
    return row


def _topic(given: Mapping[str, Any]) -> dict[str, str]:
    """Give topic, resource and event. Raises Refused for a topic there is not (W-93)."""
    topic = str(given.get("topic", ""))
    resource, _, event = topic.partition(".")
    if resource not in RESOURCES or event not in EVENTS or topic == "customer.restored":
        raise Refused(400, "woocommerce_rest_shop_webhook_invalid_topic", "Webhook topic must be valid.")
    return {"topic": topic, "resource": resource, "event": event}


def update(store: Store, number: int, given: Mapping[str, Any]) -> Row:
    """Change a web hook; `active` begins anew, and nothing is replayed (W-104)."""
    row = store.row("webhooks", number)
    if "topic" in given:
        row |= _topic(given)
    was_off = row["status"] != "active"
    row.update({name: str(given[name]) for name in ("name", "status", "delivery_url") if name in given})
    row["_secret"] = str(given.get("secret", row["_secret"]))
    if row["status"] == "active" and was_off:
        row["_failures"] = 0
        store.changed("webhook", PING, number)
    shop.touch(row)
    store.note("api", "webhook", number, status=row["status"])
    return row


def delete(store: Store, number: int) -> Row:
    """Delete a web hook; what waits for it is not delivered."""
    row = store.row("webhooks", number)
    del store.tables["webhooks"][number]
    store.note("api", "webhook", number, deleted=True)
    return row


class Delivery:
    """The thread that delivers, apart from the request (W-96). It builds the body when it sends it (W-98)."""

    def __init__(self, store: Store, show: Callable[[str, Row], Row]) -> None:
        self._store, self._show = store, show
        self._pending: dict[Pending, float] = {}  # When each is due. The same one is told once while it waits (W-98).
        self._wake = threading.Condition()
        self._stopped = False
        self._events = 0
        self._session = requests.Session()
        self._session.trust_env = False  # No proxy between a sandbox and its receiver.
        self._session.headers = {"User-Agent": _agent(store), "Connection": "close"}
        store.tell = self.note

    def start(self) -> None:
        """Deliver from now on."""
        threading.Thread(target=self._run, name=f"hooks-{self._store.id}", daemon=True).start()

    def stop(self) -> None:
        """Deliver no more."""
        with self._wake:
            self._stopped = True
            self._wake.notify()

    def note(self, resource: str, event: str, number: int) -> None:
        """Remember which hooks are to be told. The caller holds the store's lock."""
        if resource == "webhook":
            return self._add([(number, PING, number)])
        if resource.startswith("counterflow_"):
            return self._add([(PLUGIN, resource, number)] if self._store.kept.hook else [])
        hooks = [one for one in self._store.tables["webhooks"].values() if one["topic"] == f"{resource}.{event}"]
        return self._add([(hook["id"], event, number) for hook in hooks if hook["status"] == "active"])

    def _add(self, told: list[Pending]) -> None:
        faults = self._store.switches.now
        with self._wake:
            for one in told:
                self._events += 1
                late = REORDER_S if faults.hooks_reordered and self._events % 2 else 0.0
                self._pending.setdefault(one, time.monotonic() + faults.hooks_delay_s + late)
            self._wake.notify()

    def _run(self) -> None:
        while True:
            due = self._next()
            if due is None:
                return
            self._tell(*due)

    def _next(self) -> Pending | None:
        """Wait for the next one that is due, and take it. None: stopped."""
        with self._wake:
            while not self._stopped:
                now = time.monotonic()
                first = min(self._pending, key=self._pending.__getitem__, default=None)
                if first is not None and self._pending[first] <= now:
                    del self._pending[first]
                    return first
                self._wake.wait(None if first is None else self._pending[first] - now)
        return None

    def _tell(self, hook_id: int, event: str, number: int) -> None:
        with self._store.lock:
            hook = self._own(event) if hook_id == PLUGIN else self._store.tables["webhooks"].get(hook_id)
            if hook is None or hook["status"] != "active":
                return None
            if event == PING:
                return self._ping(hook)
            body = self._body(hook["resource"], event, number)
        faults, roll = self._store.switches.now, self._store.switches.roll
        if roll(faults.hooks_lost):
            return None
        for _ in range(2 if roll(faults.hooks_doubled) else 1):
            self._send(hook, body)
        return None

    def _own(self, resource: str) -> Row | None:
        """Give the plugin's hook as if it were one of WooCommerce; it counts no failures. None: it is not set."""
        hook = self._store.kept.hook
        topic = {"topic": f"{resource}.changed", "resource": resource, "event": "changed"}
        return None if hook is None else {"id": PLUGIN, "status": "active", "_failures": 0, **topic, **hook}

    def _body(self, resource: str, event: str, number: int) -> bytes:
        row = self._store.tables.get(f"{resource}s", {}).get(number)  # The plugin tells only ids.
        if row is None or event == "deleted":
            return json.dumps({"id": number}).encode()  # W-101
        return json.dumps(self._show(f"{resource}s", row)).encode()

    def _ping(self, hook: Row) -> None:
        """Send the ping: no signature, no topic (W-91)."""
        url, body = hook["delivery_url"], f"webhook_id={hook['id']}".encode()
        if self._store.may_reach(url):
            self._post(url, body, {"Content-Type": "application/x-www-form-urlencoded"})

    def _send(self, hook: Row, body: bytes) -> None:
        """Send one delivery and count failures. Nothing is tried again (W-102)."""
        if not self._store.may_reach(hook["delivery_url"]):
            return  # W-106: silently.
        worked = self._post(hook["delivery_url"], body, _headers(self._store, hook, body))
        with self._store.lock:
            hook["_failures"] = 0 if worked else hook["_failures"] + 1
            if hook["_failures"] > FAILURES_MAX:
                hook["status"] = "disabled"  # W-103
                shop.touch(hook)

    def _post(self, url: str, body: bytes, headers: dict[str, str]) -> bool:
        """Post it and tell whether it worked: 200 to 302, and a redirect is not followed."""
        if not self._store.is_new:
            headers["Referer"] = url
        try:
            answer = self._session.post(url, data=body, headers=headers, timeout=TIMEOUT_S, allow_redirects=False)
        except requests.RequestException:
            return False
        return 200 <= answer.status_code <= 302


def _agent(store: Store) -> str:
    return f"WooCommerce/{store.version} Hookshot (WordPress/{store.wordpress})"


def _headers(store: Store, hook: Row, body: bytes) -> dict[str, str]:
    """Give a delivery's headers (W-94). Two deliveries of one second share their id."""
    digest = hmac.new(hook["_secret"].encode(), body, hashlib.sha256).digest()
    second = f"{hook['id']}{int(time.time())}".encode()
    headers = {
        "Content-Type": "application/json",
        "X-WC-Webhook-Source": f"{store.url}/",
        "X-WC-Webhook-Topic": hook["topic"],
        "X-WC-Webhook-Resource": hook["resource"],
        "X-WC-Webhook-Event": hook["event"],
        "X-WC-Webhook-Signature": base64.b64encode(digest).decode(),  # W-95
        "X-WC-Webhook-ID": str(hook["id"]),
        "X-WC-Webhook-Delivery-ID": hashlib.md5(second, usedforsecurity=False).hexdigest(),
    }
    return headers if hook["id"] != PLUGIN else {name: headers[name] for name in PLUGIN_HEADERS}
