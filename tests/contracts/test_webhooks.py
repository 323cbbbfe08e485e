"""The web hook receiver: only a signed hook becomes a hint, and it is in Kafka before the store hears "taken"."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from kafka.errors import KafkaError
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from counterflow.clock import FakeClock
from counterflow.errors import Transient
from counterflow.kafka import Message, Publisher
from counterflow.systems.woocommerce.client import WooClient
from producers.store_poller import Hint, HookWatch
from producers.webhooks import BODY_MAX, KafkaHints, Receiver
from sandbox.woocommerce.alone import Alone
from tests.contracts.store_fakes import settings

SECRET = "a secret of the shop"
ORDER = {"id": 41, "billing": {"email": "ana@example.com", "first_name": "Ana"}, "total": "12.00"}


class Topic(Publisher):
    """Keeps what is published; without a broker it says so."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.is_away = False

    def publish(self, messages: Sequence[Message]) -> None:
        if self.is_away:
            raise Transient("Kafka does not answer")
        self.messages += messages


class Store:
    """The store's side of the receiver."""

    def __init__(self) -> None:
        self.topic = Topic()
        self.web = TestClient(Receiver("north", SECRET, self.topic, prefix="t.", clock=FakeClock()).app)

    def send(self, body: bytes, topic: str = "order.updated", *, signature: str | None = "right") -> int:
        headers = {"x-wc-webhook-topic": topic, "content-type": "application/json"}
        if signature is not None:
            headers["x-wc-webhook-signature"] = sign(body) if signature == "right" else signature
        return self.web.post("/hooks/north", content=body, headers=headers).status_code

    def hints(self) -> list[dict[str, Any]]:
        return [json.loads(one.value or b"") for one in self.topic.messages]


def sign(body: bytes, secret: str = SECRET) -> str:
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


@pytest.fixture
def store() -> Store:
    return Store()


def test_the_ping_at_a_hooks_creation_is_answered(store: Store) -> None:
    assert (store.send(b"webhook_id=7", signature=None), store.hints()) == (200, [])


@pytest.mark.parametrize(
    ("topic", "entity"),
    [("order.created", "orders"), ("product.updated", "products"), ("customer.deleted", "customers")],
)
def test_a_signed_hook_becomes_a_hint(store: Store, topic: str, entity: str) -> None:
    status = store.send(b'{"id": 41}', topic)
    [hint] = store.hints()
    found = (
        status,
        hint["entity"],
        hint["id"],
        hint["event"],
        store.topic.messages[0].topic,
        store.topic.messages[0].key,
    )
    assert found == (200, entity, "41", topic.partition(".")[2], "t.hints.north", b"41")


def test_a_hint_holds_nothing_personal(store: Store) -> None:
    store.send(json.dumps(ORDER).encode())
    assert sorted(store.hints()[0]) == ["entity", "event", "id", "received_at"]


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param(None, id="none"),
        pytest.param("", id="empty"),
        pytest.param("nonsense", id="nonsense"),
        pytest.param("é", id="not of this alphabet"),
        pytest.param(sign(b'{"id": 41}', "another secret"), id="made with another secret"),
        pytest.param(sign(b'{"id": 42}'), id="of another body"),
    ],
)
def test_a_hook_that_is_not_signed_by_the_store_is_refused(store: Store, signature: str | None) -> None:
    headers = {b"x-wc-webhook-topic": b"order.updated"}
    if signature is not None:
        headers[b"x-wc-webhook-signature"] = signature.encode("latin-1")
    answer = store.web.post("/hooks/north", content=b'{"id": 41}', headers=list(headers.items()))
    assert (answer.status_code, store.hints()) == (401, [])


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="half of a body"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(b"{}", id="no id"),
        pytest.param(b"[1]", id="a list"),
        pytest.param(b"41", id="a bare number"),
        pytest.param(b'{"id": "41"}', id="the id is text"),
        pytest.param(b'{"id": 4.1}', id="the id is a fraction"),
        pytest.param(b'{"id": true}', id="the id is true"),
        pytest.param(b'{"id": null}', id="the id is null"),
        pytest.param(b'{"id": -4}', id="the id is below 0"),
        pytest.param(b'{"id": 0}', id="the id is 0"),
        pytest.param(b'{"id": ' + b"9" * 5000 + b"}", id="the id has thousands of digits"),
        pytest.param(b'{"id": ' + b"[" * 100_000 + b"}", id="a bottomless list"),
    ],
)
def test_a_signed_hook_that_names_no_record_is_refused(store: Store, body: bytes) -> None:
    assert (store.send(body), store.hints()) == (400, [])


def test_a_body_that_is_too_large_is_refused(store: Store) -> None:
    body = json.dumps({"id": 41, "note": "x" * BODY_MAX}).encode()
    assert (store.send(body), store.hints()) == (413, [])


def test_a_topic_that_nobody_reads_is_answered_and_forgotten(store: Store) -> None:
    assert (store.send(b'{"id": 41}', "coupon.updated"), store.hints()) == (200, [])


def test_a_hook_is_not_taken_while_kafka_is_away(store: Store) -> None:
    store.topic.is_away = True
    assert store.send(b'{"id": 41}') == 503


@pytest.mark.parametrize("path", ["/hooks/south", "/hooks/", "/"])
def test_another_stores_address_is_not_served(store: Store, path: str) -> None:
    assert store.web.post(path, content=b'{"id": 41}').status_code == 404


def test_nothing_of_a_body_is_logged(store: Store) -> None:
    body = json.dumps(ORDER).encode()
    with capture_logs() as lines:
        store.send(body)
        store.send(body, signature="wrong")
        store.send(body[:-1])
        store.topic.is_away = True
        store.send(body)
    assert (len(lines), [word for word in ("ana", "Ana", "12.00", SECRET) if word in str(lines)]) == (3, [])


class Log:
    """A consumer of hints in memory: polled and committed as Kafka's."""

    def __init__(self, *batches: Sequence[bytes | None], trouble: bool = False) -> None:
        self.batches, self.trouble, self.commits = list(batches), trouble, 0

    def poll(self, **_: Any) -> dict[str, list[Any]]:
        return {"p": [SimpleNamespace(value=one) for one in self.batches.pop(0)]} if self.batches else {}

    def commit(self) -> None:
        if self.trouble:
            raise KafkaError("not the coordinator")
        self.commits += 1


def hint(number: object, entity: str = "orders") -> bytes:
    return msgspec.json.encode(Hint(entity=entity, id=str(number), event="updated", received_at=FakeClock().now()))


def ids(hints: Sequence[Hint]) -> list[str]:
    return [one.id for one in hints]


def test_hints_come_again_until_they_are_confirmed() -> None:
    hints = KafkaHints(Log([hint(1)], [hint(2)], [hint(3)]))
    found = [ids(hints.take(0)), ids(hints.take(0))]
    hints.confirm()
    assert [*found, ids(hints.take(0))] == [["1"], ["1", "2"], ["3"]]


def test_a_doubled_hint_is_one() -> None:
    assert ids(KafkaHints(Log([hint(1), hint(1), hint(2)])).take(0)) == ["1", "2"]


@pytest.mark.parametrize("poison", [None, b"", b"{", b"\xff", b'{"id": 1}', hint("abc"), hint("-4"), hint("²")])
def test_a_hint_that_cannot_be_read_is_passed_over(poison: bytes | None) -> None:
    assert ids(KafkaHints(Log([poison, hint(2)])).take(0)) == ["2"]


def test_hints_are_committed_once_and_only_if_there_were_any() -> None:
    log = Log([hint(1)])
    hints = KafkaHints(log)
    hints.confirm()
    hints.take(0)
    hints.confirm()
    hints.confirm()
    assert log.commits == 1


def test_a_commit_that_fails_is_made_up_for() -> None:
    log = Log([hint(1)], trouble=True)
    hints = KafkaHints(log)
    hints.take(0)
    hints.confirm()
    log.trouble = False
    hints.confirm()
    assert log.commits == 1


@pytest.fixture
def alone(folder: Path) -> Iterator[Alone]:
    with Alone(folder) as made:
        yield made


def watch_of(alone: Alone) -> HookWatch:
    client = WooClient("north", settings(alone.url, ca_file=alone.ca_file), FakeClock())
    return HookWatch(client, url="https://hooks.example.com:8080/hooks/north", secret=SECRET)


def test_the_hooks_are_registered_once(alone: Alone) -> None:
    watch = watch_of(alone)
    assert [watch.mend(), watch.mend(), len(alone.store.tables["webhooks"])] == [9, 0, 9]


def test_a_hook_that_the_store_switched_off_is_switched_on(alone: Alone) -> None:
    watch = watch_of(alone)
    watch.mend()
    row = next(iter(alone.store.tables["webhooks"].values()))
    row["status"] = "disabled"
    assert (watch.mend(), row["status"]) == (1, "active")
