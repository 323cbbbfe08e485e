"""A target that answers with a reason: the reason goes to a person, the record waits by itself, and no log has it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import responses
from structlog.testing import capture_logs

from consumers.runner import Runner
from consumers.stores import StoreTarget
from counterflow.clock import FakeClock
from counterflow.errors import Transient
from counterflow.systems.http import REASON_MAX, Session
from counterflow.systems.woocommerce.client import BASE, WooClient
from sandbox.woocommerce import customers, products
from sandbox.woocommerce.alone import Alone
from schemas.commands import (
    Body,
    ChangeCustomer,
    Command,
    CreateAccount,
    Profile,
    SetStock,
    UpdateOrder,
    body_hash,
)
from schemas.outcomes import Outcome
from tests.contracts.counterpoint_shop import Shop, a_marker, an_email, apply, customer, order
from tests.contracts.store_fakes import settings
from tests.contracts.test_consumer_runner import Log, Process

FOREIGN_KEY = {
    "ErrorCode": "ERROR_UNKNOWN",
    "Message": "The INSERT statement conflicted with the FOREIGN KEY constraint FK_PS_DOC_HDR_CUST.",
}
SAID = f"ERROR_UNKNOWN: {FOREIGN_KEY['Message']}"
FATAL = {"code": "internal_server_error", "message": "There has been a critical error, ana@example.com"}
CRITICAL = "internal_server_error: There has been a critical error, ana@example.com"
URL = "https://shop.example.com"
ORDER_41 = UpdateOrder(order_id="41", status="completed", shipments=(), tells_shopper=False)


@pytest.fixture
def web() -> Iterator[responses.RequestsMock]:
    """Answers in the place of a server, where it is told to; everything else goes to the server."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


# One session.


def trouble(web: responses.RequestsMock, names: tuple[str, str] | None, **answer: Any) -> Transient:
    web.add("POST", f"{URL}/x", **answer)
    session = Session("north", URL, clock=FakeClock(), ca_file=None, timeout_s=5.0, reason=names)
    with pytest.raises(Transient) as raised:
        session.write("POST", "/x", {})
    return raised.value


NAMES = ("code", "message")


@pytest.mark.parametrize(
    ("names", "answer", "reason"),
    [
        pytest.param(("ErrorCode", "Message"), {"status": 500, "json": FOREIGN_KEY}, SAID, id="Counterpoint's words"),
        pytest.param(NAMES, {"status": 500, "json": FATAL}, CRITICAL, id="WooCommerce's words"),
        pytest.param(NAMES, {"status": 503, "json": {"code": 7, "message": "a\n b"}}, "7: a b", id="in one line"),
        pytest.param(NAMES, {"status": 500, "json": {"code": "fatal"}}, "", id="a code without a word"),
        pytest.param(
            NAMES, {"status": 500, "json": {"code": "fatal", "message": " "}}, "", id="words that say nothing"
        ),
        pytest.param(NAMES, {"status": 500, "json": {"code": [], "message": {}}}, "", id="of another form"),
        pytest.param(NAMES, {"status": 500, "json": [FATAL]}, "", id="a list"),
        pytest.param(NAMES, {"status": 502, "body": "<html>Bad gateway</html>"}, "", id="a proxy's page"),
        pytest.param(NAMES, {"status": 500, "body": ""}, "", id="nothing"),
        pytest.param(NAMES, {"status": 429, "json": FATAL}, "", id="too many calls is no word about the record"),
        pytest.param(None, {"status": 500, "json": FATAL}, "", id="a system that gives no reasons"),
    ],
)
def test_an_answer_of_5xx_with_code_and_words_has_a_reason(
    web: responses.RequestsMock, names: tuple[str, str] | None, answer: dict[str, Any], reason: str
) -> None:
    assert trouble(web, names, **answer).reason == reason


def test_a_reason_is_not_in_the_errors_text(web: responses.RequestsMock) -> None:
    assert str(trouble(web, NAMES, status=500, json=FATAL)) == "north: HTTP 500 to POST /x"


def test_a_page_of_code_is_no_reason_longer_than_a_person_reads(web: responses.RequestsMock) -> None:
    found = trouble(web, NAMES, status=500, json=FATAL | {"message": "x" * 100_000})
    assert len(found.reason) == REASON_MAX


# Counterpoint.


def refusing(web: responses.RequestsMock, shop: Shop, verb: str, path: str, **answer: Any) -> None:
    url = shop.said["counterpoint"]["rest_url"]
    given: dict[str, Any] = {"status": 500, "json": FOREIGN_KEY}
    web.add(verb, f"{url}{path}", **given | answer)
    web.add_passthru(url)


@pytest.mark.parametrize(
    ("path", "body"),
    [pytest.param("/Customer", customer("ben@example.com"), id="a customer"), ("/Document", order("N-refused"))],
)
def test_what_counterpoint_refuses_with_a_reason_waits_and_says_it(
    web: responses.RequestsMock, shop: Shop, path: str, body: Body
) -> None:
    refusing(web, shop, "POST", path)
    outcome = apply(shop.target(), body)
    message = f"counterpoint-rest: HTTP 500 to POST {path}"
    assert (outcome.result, outcome.message, outcome.reason) == ("waiting", message, SAID)


def test_a_bare_500_of_counterpoints_waits_without_a_reason(web: responses.RequestsMock, shop: Shop) -> None:
    refusing(web, shop, "POST", "/Document", json={})
    outcome = apply(shop.target(), order(a_marker()))
    assert (outcome.result, outcome.reason) == ("waiting", "")


def test_while_counterpoint_as_a_whole_refuses_there_is_no_outcome(web: responses.RequestsMock, shop: Shop) -> None:
    refusing(web, shop, "POST", "/Customer")
    refusing(web, shop, "GET", "/Company")
    with pytest.raises(Transient, match="Company"):
        apply(shop.target(), customer(an_email()))


def test_a_refused_document_is_looked_for_before_it_is_sent_again(web: responses.RequestsMock, shop: Shop) -> None:
    refusing(web, shop, "POST", "/Document")
    body = order(a_marker())
    first = apply(shop.target(server_timeout_s=0.0), body)
    web.remove("POST", f"{shop.said['counterpoint']['rest_url']}/Document")
    assert (first.result, apply(shop.target(server_timeout_s=0.0), body).result) == ("waiting", "applied")
    assert shop.documents(body.marker) == ["O", "T"]


# A store.


class Store:
    """A store over https, and the target that writes to it."""

    def __init__(self, alone: Alone, web: responses.RequestsMock) -> None:
        self.alone, self.web, self.clock = alone, web, FakeClock()
        client = WooClient("north", settings(alone.url, ca_file=alone.ca_file), self.clock)
        self.target = StoreTarget("north", client, clock=self.clock)
        web.add_passthru(alone.url)

    def refuses(self, verb: str, path: str, **answer: Any) -> None:
        given: dict[str, Any] = {"status": 500, "json": FATAL}
        self.web.add(verb, f"{self.alone.url}{BASE}/{path}", **given | answer)

    def do(self, *bodies: Body) -> list[tuple[str, str]]:
        return [(one.result, one.reason) for one in self.target.apply([command(body) for body in bodies])]


def command(body: Body) -> Command:
    key = body.sku if isinstance(body, SetStock) else type(body).__name__
    return Command(
        system="north",
        task="tests",
        key=key,
        version=1,
        hash=body_hash(body),
        reference=key,
        body=body,
        sent_at=FakeClock().now(),
    )


@pytest.fixture
def store(folder: Path, web: responses.RequestsMock) -> Iterator[Store]:
    with Alone(folder) as alone:
        yield Store(alone, web)


def test_an_account_that_a_store_refuses_with_a_reason_waits_and_says_it(store: Store) -> None:
    row = customers.load(store.alone.store, {"email": "ana@example.com", "first_name": "Ana"})
    store.refuses("PUT", f"customers/{row['id']}")
    store.refuses("POST", "customers")
    wanted = ChangeCustomer(
        remote_id=str(row["id"]), fields=Profile(first_name="Anna"), decided_on=Profile(first_name="Ana")
    )
    new = CreateAccount(email="ben@example.com", pos_id="", fields=Profile(first_name="Ben"))
    assert store.do(wanted, new) == [("waiting", CRITICAL)] * 2


def test_an_order_that_a_store_refuses_with_a_reason_waits_and_says_it(store: Store) -> None:
    store.refuses("GET", "orders/41")
    assert store.do(ORDER_41) == [("waiting", CRITICAL)]


def mugs(store: Store, count: int) -> list[SetStock]:
    rows = [products.load(store.alone.store, {"sku": f"M{at}", "manage_stock": True}) for at in range(count)]
    return [SetStock(sku=row["sku"], product_id=str(row["id"]), quantity=3) for row in rows]


def test_one_product_that_a_store_refuses_with_a_reason_keeps_no_other_from_its_stock(store: Store) -> None:
    wanted = mugs(store, 3)
    bad = int(wanted[1].product_id)

    def is_bad(request: Any) -> tuple[bool, str]:
        return any(one["id"] == bad for one in msgspec.json.decode(request.body)["update"]), "another product"

    store.refuses("POST", "products/batch", match=[is_bad])
    assert store.do(*wanted) == [("applied", ""), ("waiting", CRITICAL), ("applied", "")]


def test_a_reason_counts_also_where_the_store_asks_for_silence_because_of_it(store: Store) -> None:
    store.refuses("POST", "products/batch", status=503, headers={"Retry-After": "60"})
    assert store.do(*mugs(store, 1)) == [("waiting", CRITICAL)]


def test_a_command_that_is_answered_by_silence_again_and_again_waits_and_the_others_go_on(store: Store) -> None:
    store.refuses("GET", "orders/41", status=429, headers={"Retry-After": "60"})
    bodies: list[Body] = [ORDER_41, *mugs(store, 1)]
    with pytest.raises(Transient) as raised:
        store.do(*bodies)
    assert (raised.value.retry_after_s, store.do(*bodies)) == (60.0, [("applied", ""), ("waiting", "")])


def test_a_store_that_refuses_everything_gives_no_outcome(store: Store) -> None:
    store.refuses("GET", "orders/41")
    store.refuses("GET", "system_status")
    with pytest.raises(Transient, match="system_status"):
        store.do(ORDER_41)


# On the way to a person.


def test_a_reason_is_told_and_stands_in_no_log() -> None:
    log = Log(msgspec.json.encode(command(SetStock(sku="A", product_id="1", quantity=3))))
    process = Process(log)
    process.target.apply = lambda commands: [refused(one) for one in commands]  # type: ignore[method-assign]
    with capture_logs() as lines:
        Runner(process.target, process.reader, process.kafka, prefix="", clock=process.clock, stop=process.stop).run()
    [told] = [msgspec.json.decode(one.value or b"", type=Outcome) for one in process.kafka.of("outcomes")]
    assert (told.told, "ana@example.com" in str(lines)) == (f"HTTP 500: {CRITICAL}", False)


def refused(one: Command) -> Outcome:
    return Outcome(
        system=one.system,
        task=one.task,
        key=one.key,
        version=one.version,
        hash=one.hash,
        result="waiting",
        message="HTTP 500",
        reason=CRITICAL,
        applied_at=FakeClock().now(),
    )
