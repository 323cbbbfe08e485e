"""The X-Series adapter against the sandbox's account, over https: points moved once, whatever the answers are."""

import itertools
import json
import random
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from structlog.testing import capture_logs

from counterflow.clock import FakeClock
from counterflow.errors import Broken, Rejected, Transient
from counterflow.systems.lightspeed_x.client import Conflict, Customer, XClient, XStore, is_supported, words
from counterflow.systems.lightspeed_x.loyalty import ASKED_MAX, NO_LIST, NOBODY, OFF, Adjusted, XLoyalty, session_id
from counterflow.systems.ports import Loyalty, LoyaltyAbilities
from sandbox.authority import Authority, authority
from sandbox.faults import App, Receive, Scope, Send, Switches, cut, forget
from sandbox.journal import Journal
from sandbox.lightspeed_x.app import Account, Budget, Habits, build
from sandbox.woocommerce.alone import Served

FRESH = itertools.count(1)
CARD = "4111 1111 1111 1111"


class Shop:
    """One account, served, and our adapter."""

    def __init__(self, account: Account, line: "Line", url: str, certificates: Authority, clock: FakeClock) -> None:
        self.account, self.line, self.url, self.clock, self._certificates = account, line, url, clock, certificates
        self.loyalty = self.process()

    def process(self, **changes: Any) -> XLoyalty:
        """An adapter that remembers nothing, as after a restart."""
        return XLoyalty(self.client(**changes))

    def client(self, **changes: Any) -> XClient:
        known = {"url": self.url, "token": SecretStr("xt_west"), "ca_file": self._certificates.ca_file}
        return XClient("west", XStore(**{**known, "requests_per_s": 1000.0, **changes}), self.clock)

    def control(self, path: str, **body: Any) -> dict[str, Any]:
        url = f"{self.url}/_sandbox/{path}"
        answer = requests.post(url, json=body, verify=str(self._certificates.ca_file), timeout=20)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def customer(self, points: float = 0) -> str:
        made = str(self.control("customers", first_name="Ana")["id"])
        if points:
            self.shopper(made, points)
        return made

    def shopper(self, customer: str, points: float) -> None:
        self.control("points", id=customer, points=points)

    def faults(self, **switches: Any) -> None:
        self.control("faults", **switches)

    def has(self, customer: str) -> Any:
        return self.account.customers[customer]["loyalty_balance"]

    def moved(self, tag: str) -> int:
        """What took effect under a tag, whoever was told."""
        mine = [one.data for one in self.account.journal.entries() if one.actor == "api"]
        return sum(one["points"] for one in mine if one["reference"] == f"Counterpoint {tag}")


class Line:
    """The line to the account: of the next writes, those marked True arrive and their answers are lost."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.cuts: list[bool] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "POST" and scope["path"].startswith("/api/") and self.cuts and self.cuts.pop(0):
            await self._app(scope, receive, forget)
            return cut(receive)
        return await self._app(scope, receive, send)


def tag() -> str:
    return f"CF-{next(FRESH)}"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def running(certificates: Authority) -> Iterator[Shop]:
    clock = FakeClock()
    account = Account(id="west", journal=Journal(), switches=Switches(), now=clock.monotonic)
    line = Line(build(account))
    with Served(line, certificates) as server:
        yield Shop(account, line, server.url, certificates, clock)


@pytest.fixture
def shop(running: Shop) -> Iterator[Shop]:
    running.loyalty = running.process()
    yield running
    running.account.switches.set(down=False, share_half_applied=0.0, share_500=0.0)
    running.account.habits, running.account.budget, running.line.cuts = Habits(), Budget(), []
    running.account.loyalty_is_on = True


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_session_is_a_uuid_v4_of_its_tag_alone(one: str, other: str) -> None:
    made = uuid.UUID(session_id(one))
    assert (made.version, made.variant, str(made)) == (4, uuid.RFC_4122, session_id(one))
    assert (session_id(one) == session_id(other)) == (one == other)


def test_a_session_is_the_same_for_ever() -> None:
    # Written down: another release must ask again under the same one.
    assert session_id("CF-YU5KZHPSVV") == "be91c58c-6d44-41f0-b927-ce41df03aa45"


def test_it_says_why_points_are_not_kept_in_step(shop: Shop) -> None:
    port: Loyalty = shop.loyalty
    assert port.abilities() == LoyaltyAbilities(lists_changes=False, reason=NO_LIST)
    shop.account.loyalty_is_on = False
    assert port.abilities() == LoyaltyAbilities(can_move=False, lists_changes=False, reason=OFF)


def test_points_are_added_and_taken(shop: Shop) -> None:
    ana = shop.customer()
    assert (shop.loyalty.move(ana, 30, tag()), shop.loyalty.move(ana, -12, tag())) == (30, -12)
    assert (shop.has(ana), shop.loyalty.balance(ana)) == (18, Decimal(18))
    assert "counterflow" in shop.account.agents


def test_the_same_call_again_moves_nothing_and_says_the_same(shop: Shop) -> None:
    ana, mine = shop.customer(5), tag()
    assert [shop.process().move(ana, 30, mine) for _ in range(3)] == [30, 30, 30]
    assert (shop.moved(mine), shop.has(ana)) == (30, 35)


@pytest.mark.parametrize("points", [7, -7])
def test_after_a_lost_answer_the_same_call_finds_it_done(shop: Shop, points: int) -> None:
    ana, mine = shop.customer(20), tag()
    shop.faults(share_half_applied=1.0)
    with pytest.raises(Transient) as raised:
        shop.loyalty.move(ana, points, mine)
    assert raised.value.unknown
    shop.faults(share_half_applied=0.0)
    assert (shop.process().move(ana, points, mine), shop.moved(mine)) == (points, points)


@pytest.mark.parametrize(
    ("has", "asked", "moved"),
    [
        pytest.param(10, -30, -10, id="what is there is taken"),
        pytest.param(0, -30, 0, id="where nothing is, nothing is taken"),
        pytest.param(10, -10, -10, id="all of it"),
        pytest.param(10.75, -30, -10, id="cents stay"),
        pytest.param(0.5, -1, 0, id="a part of a point is none"),
    ],
)
@pytest.mark.parametrize("below_zero", [False, True], ids=["it refuses more", "it goes below 0"])
def test_no_more_is_taken_than_there_is(shop: Shop, has: float, asked: int, moved: int, below_zero: bool) -> None:
    shop.control("habits", goes_below_zero=below_zero)
    ana, mine = shop.customer(has), tag()
    assert (shop.loyalty.move(ana, asked, mine), shop.moved(mine), shop.has(ana)) == (moved, moved, has + moved)


def test_a_debt_is_taken_under_the_same_tag_once_points_come(shop: Shop) -> None:
    ana, mine = shop.customer(), tag()
    assert shop.loyalty.move(ana, -30, mine) == 0
    shop.shopper(ana, 20)
    assert (shop.loyalty.move(ana, -20, mine), shop.has(ana)) == (-20, 0)


@pytest.mark.parametrize("later", [-10, 0, 5, 40], ids=lambda one: f"then {one}")
def test_what_was_asked_first_is_asked_again(shop: Shop, later: int) -> None:
    """He had 20, of 30 that were to be taken 20 were asked for, and the answer was lost."""
    ana, mine = shop.customer(20), tag()
    shop.line.cuts = [False, True]  # The look is answered.
    with pytest.raises(Transient):
        shop.loyalty.move(ana, -30, mine)
    if later:
        shop.shopper(ana, max(later, 0) or 1)
    assert (shop.loyalty.move(ana, -30, mine), shop.moved(mine)) == (-20, -20)


def test_a_credit_that_was_amended_is_given_as_it_was_asked_first(shop: Shop) -> None:
    ana, mine = shop.customer(), tag()
    shop.line.cuts = [True]
    with pytest.raises(Transient):
        shop.loyalty.move(ana, 10, mine)
    assert (shop.loyalty.move(ana, 15, mine), shop.moved(mine)) == (10, 10)


def test_what_never_arrived_is_limited_anew(shop: Shop) -> None:
    ana, mine = shop.customer(20), tag()
    shop.faults(share_500=1.0)
    with pytest.raises(Transient):
        shop.loyalty.move(ana, -15, mine)
    shop.faults(share_500=0.0)
    shop.shopper(ana, -12)
    assert (shop.loyalty.move(ana, -15, mine), shop.has(ana)) == (-8, 0)


def test_what_never_arrived_is_no_more_than_is_wanted_by_now(shop: Shop) -> None:
    ana, mine = shop.customer(20), tag()
    shop.faults(share_500=1.0)
    with pytest.raises(Transient):
        shop.loyalty.move(ana, -15, mine)
    shop.faults(share_500=0.0)
    shop.shopper(ana, -10)
    assert (shop.loyalty.move(ana, -3, mine), shop.has(ana)) == (-3, 7)


def test_a_process_that_has_forgotten_finds_all_of_it_taken(shop: Shop) -> None:
    ana, mine = shop.customer(30), tag()
    shop.line.cuts = [True]
    with pytest.raises(Transient):
        shop.loyalty.move(ana, -30, mine)
    assert shop.has(ana) == 0  # Not "there is nothing, so nothing was taken".
    assert (shop.process().move(ana, -30, mine), shop.moved(mine)) == (-30, -30)


def test_a_process_that_has_forgotten_how_much_lets_a_person_look(shop: Shop) -> None:
    ana, mine = shop.customer(20), tag()
    assert shop.loyalty.move(ana, -30, mine) == -20
    with pytest.raises(Conflict, match=f"{ana} for what was moved with the reason 'Counterpoint {mine}'"):
        shop.process().move(ana, -30, mine)
    assert shop.moved(mine) == -20


def test_another_customers_tag_is_refused(shop: Shop) -> None:
    ana, ben, mine = shop.customer(), shop.customer(50), tag()
    shop.loyalty.move(ana, 5, mine)
    for points in (5, -5, -70):
        with pytest.raises(Rejected, match="was used before"):
            shop.loyalty.move(ben, points, mine)
    assert shop.has(ben) == 50


@pytest.mark.parametrize("account", [NOBODY, "17", "", "../retailer", f"{NOBODY}/x"])
def test_whom_the_account_has_not_is_rejected(shop: Shop, account: str) -> None:
    with pytest.raises(Rejected):
        shop.loyalty.move(account, 5, tag())


def test_a_deleted_customer_is_rejected(shop: Shop) -> None:
    ana = shop.customer(5)
    shop.control("customers/delete", id=ana)
    with pytest.raises(Rejected, match="any more"):
        shop.loyalty.move(ana, 5, tag())


def test_an_item_that_fails_is_rejected_in_the_vendors_words(shop: Shop) -> None:
    """A 207: a shopper redeems between our look and our write."""
    ana, mine = shop.customer(20), tag()
    client = shop.client()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "customer", lambda _: RICH)
        with pytest.raises(Rejected, match="failed: Insufficient loyalty balance"):
            XLoyalty(client).move(ana, -30, mine)
    assert (shop.moved(mine), shop.loyalty.move(ana, -15, mine)) == (0, -15)


RICH = Customer(id=NOBODY, version=1, loyalty_balance=Decimal(1000))


def test_what_waits_for_an_answer_has_a_limit(shop: Shop) -> None:
    ana = shop.customer()
    client = shop.client()

    def silence(*_: Any) -> Any:
        raise Transient("no answer", unknown=True)

    loyalty = XLoyalty(client)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "customer", lambda _: RICH)
        patch.setattr(client, "post", silence)
        for _ in range(ASKED_MAX + 5):
            with pytest.raises(Transient):
                loyalty.move(ana, 1, tag())
    assert len(loyalty._asked) == ASKED_MAX


OPEN = [
    Habits(repeat_says=says, failure_uses_session=used, stranger_is_400=stranger, goes_below_zero=below, doubles=twice)
    for says in ("first", "now", "nothing")
    for used, stranger, below, twice in itertools.product([False, True], repeat=4)
]


@pytest.mark.parametrize("at", range(len(OPEN)))
def test_whatever_the_documents_leave_open_no_point_is_told_wrong(shop: Shop, at: int) -> None:
    """What a move says is what was moved, or a person looks; and our debits leave nobody below 0."""
    habits, dice = OPEN[at], random.Random(at)
    shop.account.habits = habits
    shop.account.switches.set(share_500=0.1, share_half_applied=0.4)
    told = rejected = forgotten = 0
    for _ in range(12):
        customer, mine, points = shop.customer(dice.choice([0, 5, 20.5])), tag(), dice.choice([-30, -20, -3, 4])
        for _attempt in range(30):
            try:
                said = shop.loyalty.move(customer, points, mine)
            except Transient:
                if shop.has(customer) and dice.random() < 0.3:
                    shop.shopper(customer, dice.choice([7, -shop.has(customer)]))
                if dice.random() < 0.2:
                    shop.loyalty, forgotten = shop.process(), forgotten + 1
                continue
            except Rejected:
                rejected += 1
                break
            told += 1
            assert said == shop.moved(mine)
            break
        assert shop.has(customer) >= 0
    assert told + rejected == 12
    if not (forgotten or habits.stranger_is_400 or habits.failure_uses_session):
        assert not rejected


def test_customers_are_read_by_version_to_their_end(shop: Shop) -> None:
    _, begun = shop.loyalty.customers(0)
    while (page := shop.loyalty.customers(begun))[0]:
        begun = page[1]
    people = [shop.customer() for _ in range(205)]
    shop.shopper(people[0], 9.25)
    shop.control("customers/delete", id=people[1])
    first, after = shop.loyalty.customers(begun)
    second, end = shop.loyalty.customers(after)
    assert [len(first), len(second)] == [200, 5]
    found = {one.id: one for one in (*first, *second)}
    assert set(found) == set(people)
    assert (found[people[0]].loyalty_balance, bool(found[people[1]].deleted_at)) == (Decimal("9.25"), True)
    assert shop.loyalty.customers(end) == ((), end)


def test_a_429_with_a_date_is_waited_for(shop: Shop) -> None:
    ana = shop.customer(5)
    shop.control("budget", left=0, seconds=40)
    before = len(shop.clock.slept)
    assert shop.loyalty.balance(ana) == 5
    assert shop.clock.slept[before:] == [pytest.approx(40, abs=1)]


def test_a_429_to_a_write_did_nothing_and_says_when(shop: Shop) -> None:
    ana, mine = shop.customer(), tag()
    shop.control("budget", left=1, seconds=40)  # For the look.
    with pytest.raises(Transient) as raised:
        shop.loyalty.move(ana, 5, mine)
    assert not raised.value.unknown
    assert raised.value.retry_after_s == pytest.approx(40, abs=1)
    shop.clock.sleep(41)
    assert (shop.loyalty.move(ana, 5, mine), shop.has(ana)) == (5, 5)


def test_an_account_that_is_down_is_transient(shop: Shop) -> None:
    ana = shop.customer(5)
    shop.faults(down=True)
    with pytest.raises(Transient):
        shop.loyalty.move(ana, 5, tag())


def test_a_token_that_nobody_has_breaks_and_is_not_shown(shop: Shop) -> None:
    with pytest.raises(Broken, match="check the token") as raised:
        shop.process(token=SecretStr("xt_stranger")).abilities()
    assert "xt_stranger" not in f"{raised.value!r} {XStore(url='https://x', token=SecretStr('xt_stranger'))!r}"


def test_a_token_that_may_not_adjust_breaks_at_the_first_move(shop: Shop) -> None:
    shop.account.tokens["xt_reader"] = frozenset({"customers:read", "retailer:read", "payment_types:read"})
    reader, ana = shop.process(token=SecretStr("xt_reader")), shop.customer()
    assert reader.abilities().can_move
    with pytest.raises(Broken, match="scopes") as raised:
        reader.move(ana, 5, tag())
    assert "xt_reader" not in str(raised.value)


def test_an_expired_version_is_answered_all_the_same_and_logged(shop: Shop) -> None:
    with capture_logs() as lines:
        assert shop.process(version="2024-07").abilities().can_move
        shop.process()
    said = [(one["log_level"], one["version"]) for one in lines if one["event"] == "api_version"]
    assert said == [("warning", "2024-07"), ("info", "2026-07")]


def test_a_version_that_there_is_not_yet_is_transient(shop: Shop) -> None:
    with pytest.raises(Transient, match="HTTP 404"):
        shop.process(version="2031-01").abilities()


@pytest.mark.parametrize(
    ("version", "expected"), [("2026-07", True), ("2025-08", True), ("2025-07", True), ("2025-06", False)]
)
def test_a_version_is_promised_for_a_year(version: str, expected: bool) -> None:
    assert is_supported(version, datetime(2026, 7, 31, tzinfo=UTC)) == expected


@pytest.mark.parametrize("wrong", [{"url": "http://x"}, {"version": "2.0"}, {"version": "latest"}])
def test_an_address_or_a_version_of_another_form_breaks(shop: Shop, wrong: dict[str, Any]) -> None:
    with pytest.raises(Broken, match=r"stores\.west"):
        shop.client(**wrong)


class Odd:
    """An account that gives one answer to everything."""

    def __init__(self) -> None:
        self.status, self.body = 200, b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": self.body})


@pytest.fixture(scope="module")
def odd(certificates: Authority) -> Iterator[tuple[Odd, XClient]]:
    app = Odd()
    with Served(app, certificates) as server:
        store = XStore(url=server.url, token=SecretStr("xt_west"), ca_file=certificates.ca_file, requests_per_s=1000.0)
        yield app, XClient("west", store, FakeClock())


ROW = {"id": NOBODY, "version": 5, "loyalty_balance": 20}
VERSIONS = {"min": 5, "max": 5}
CALLS = {
    "list": lambda it: it.customers(3),
    "balance": lambda it: it.balance(NOBODY),
    "move": lambda it: it._adjust(NOBODY, 5, "CF-1"),
    "look": lambda it: it.abilities(),
}


@pytest.mark.parametrize(
    ("call", "status", "body", "expected"),
    [
        pytest.param("balance", 200, f"<p>{CARD}</p>", Transient, id="a page"),
        pytest.param("balance", 200, b"\xff\xfe", Transient, id="no text"),
        pytest.param("balance", 200, {"data": {**ROW, "loyalty_balance": CARD}}, Transient, id="a text for a number"),
        pytest.param("balance", 200, {"data": {**ROW, "version": None}}, Transient, id="no version"),
        pytest.param("balance", 200, {"data": None}, Transient, id="no row"),
        pytest.param("balance", 302, {}, Transient, id="a redirect"),
        pytest.param("balance", 404, f"<p>{CARD}</p>", Transient, id="a 404 of something else"),
        pytest.param("balance", 404, {"error": "Not Found", "message": CARD}, Rejected, id="a 404 of the API"),
        pytest.param("balance", 401, f"<p>{CARD}</p>", Broken, id="a 401 of whatever form"),
        pytest.param("list", 200, {"data": [ROW, ROW], "version": VERSIONS}, Transient, id="versions that stand"),
        pytest.param("list", 200, {"data": [{**ROW, "version": 3}], "version": VERSIONS}, Transient, id="read already"),
        pytest.param("list", 200, {"data": [ROW], "version": {"min": 5, "max": 9}}, Transient, id="another end"),
        pytest.param("list", 200, {"data": [ROW]}, Transient, id="no end"),
        pytest.param("list", 404, {"error": "Not Found"}, Transient, id="no such list"),
        pytest.param("list", 400, {"error": "Bad Request", "message": CARD}, Rejected, id="a bad request"),
        pytest.param("list", 402, {"error": "Payment Required"}, Transient, id="a status that may pass"),
        pytest.param("move", 200, [CARD], Transient, id="a move's answer that is no object"),
        pytest.param("move", 200, {"applied": [{"customer_id": CARD}]}, Transient, id="another customer's move"),
        pytest.param("move", 404, {"error": "Not Found"}, Transient, id="the beta route is gone"),
        pytest.param("move", 422, {"error": f"Card {CARD}"}, Rejected, id="a title that is not plain words"),
        pytest.param("move", 207, {"errors": [{"error": CARD}]}, Rejected, id="a failure that is not plain words"),
        pytest.param("look", 200, {"data": {"loyalty": {"enabled": CARD}}}, Transient, id="a switch that is none"),
    ],
)
def test_an_answer_of_another_form_is_not_taken_and_not_shown(
    odd: tuple[Odd, XClient], call: str, status: int, body: Any, expected: type[Exception]
) -> None:
    app, client = odd
    app.status = status
    app.body = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    with pytest.raises(expected) as raised:
        CALLS[call](XLoyalty(client))
    assert type(raised.value) is expected
    assert not re.search(r"4111|xt_west", str(raised.value))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"applied": None, "errors": None}, id="lists that are null"),
        pytest.param({}, id="nothing, as of a repeat"),
        pytest.param({"applied": [{"customer_id": NOBODY.upper(), "balance": 5}], "more": 1}, id="more than we know"),
    ],
)
def test_an_adjustment_without_an_error_took_effect(odd: tuple[Odd, XClient], body: Any) -> None:
    app, client = odd
    app.status, app.body = 200, json.dumps(body).encode()
    XLoyalty(client)._adjust(NOBODY, 5, "CF-1")


@pytest.mark.parametrize("body", [{}, {"applied": [{"customer_id": NOBODY}], "errors": [{"customer_id": NOBODY}]}])
def test_a_look_that_does_not_tell_is_for_a_person(odd: tuple[Odd, XClient], body: Any) -> None:
    app, client = odd
    app.status, app.body = 200, json.dumps(body).encode()
    with pytest.raises(Rejected, match="CF-1: it cannot be found out"):
        XLoyalty(client)._was_used("CF-1")


def test_a_page_that_is_null_is_empty(odd: tuple[Odd, XClient]) -> None:
    app, client = odd
    app.status, app.body = 200, b'{"data": null, "version": {"min": null, "max": null}}'
    assert client.customers(7) == ((), 7)


def test_the_vendors_example_is_read(odd: tuple[Odd, XClient]) -> None:
    """Of the OpenAPI document 2026-07, GET /customers/{customer_id}, shortened."""
    app, client = odd
    row = {"balance": -25840.85, "customer_code": "Tony-N4ZJ", "enable_loyalty": True, "first_name": "Anthony"}
    row |= {"id": "b8ca3a65-0183-11e4-fbb5-4f73f02a9d1c", "loyalty_balance": 5809.64, "version": 2691964626}
    app.status, app.body = 200, json.dumps({"data": row}).encode()
    assert XLoyalty(client).balance(str(row["id"])) == Decimal("5809.64")


@pytest.mark.parametrize(
    ("text", "shown"),
    [("Insufficient balance", True), ("Customer not found.", True), ("", False), (CARD, False), ("a@b", False)],
)
def test_only_plain_words_are_shown(text: str, shown: bool) -> None:
    assert bool(words(text)) == shown


@pytest.mark.parametrize(
    "body",
    [
        {"session_id": str(uuid.uuid5(uuid.NAMESPACE_DNS, "x")), "adjustments": [{"customer_id": NOBODY, "credit": 1}]},
        {"session_id": "no", "adjustments": [{"customer_id": NOBODY, "credit": 1}]},
        {"session_id": NOBODY, "adjustments": []},
        {"session_id": NOBODY, "adjustments": [{"customer_id": NOBODY, "credit": 1, "debit": 1}]},
        {"session_id": NOBODY, "adjustments": [{"customer_id": NOBODY, "credit": 0}]},
        {"session_id": NOBODY, "adjustments": [{"customer_id": "7", "credit": 1}]},
        {"session_id": NOBODY},
        [],
    ],
)
def test_the_sandbox_refuses_what_the_document_does_not_allow(shop: Shop, body: Any) -> None:
    with pytest.raises(Rejected, match="HTTP 400"):
        shop.client().post("loyalty/adjustments/bulk", "POST", body, Adjusted)
