"""The companion plugin's routes and our client: what docs/reference/companion.md promises, over https."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import msgspec
import pytest
import requests

from counterflow.clock import FakeClock
from counterflow.errors import Broken, Rejected, Transient
from counterflow.systems.woocommerce.client import WooClient
from counterflow.systems.woocommerce.companion import BASE, CHANGES_MAX, Adjusted, Companion, Gone
from counterflow.systems.woocommerce.read import read
from sandbox.authority import authority
from sandbox.faults import Receive, Scope, Send
from sandbox.woocommerce import companion as routes
from sandbox.woocommerce.alone import Alone, Served
from schemas.records import Order
from tests.contracts.store_fakes import settings
from tests.contracts.test_sandbox_woocommerce_hooks import Receiver, until

FRESH = count(1)
CARD = "GC-7777-SECRET"
ASKED = {"user": 1, "points": 1, "reference": "CF-x"}  # 1 is the administrator.
FEATURES = ("points", "gift_cards", "customers")
Call = Callable[[Companion], Any]


class Shop:
    """One store with the plugin, our client, and its shoppers."""

    def __init__(self, alone: Alone, receiver: Receiver) -> None:
        self.alone, self.receiver, self.store = alone, receiver, alone.store
        self.client = WooClient("north", settings(alone.url, ca_file=alone.ca_file), FakeClock())
        self.companion = Companion(self.client)

    def raw(self, verb: str, path: str, body: Any = None, *, key: str = "ck_north") -> requests.Response:
        url = f"{self.alone.url}/wp-json/{path}"
        options: dict[str, Any] = {"auth": (key, self.store.secret), "verify": str(self.alone.ca_file)}
        return requests.request(verb, url, json=body, timeout=20, **options)

    def shopper(self, path: str, **body: Any) -> requests.Response:
        url = f"{self.alone.url}/_sandbox/{path}"
        return requests.post(url, json=body, verify=str(self.alone.ca_file), timeout=20)

    def state(self) -> dict[str, Any]:
        url = f"{self.alone.url}/_sandbox/state"
        return dict(requests.get(url, verify=str(self.alone.ca_file), timeout=20).json())

    def user(self) -> int:
        made = self.raw("POST", "wc/v3/customers", {"email": f"ana{next(FRESH)}@example.com"})
        return int(made.json()["id"])

    def card(self, cents: int = 5000) -> str:
        number = f"{CARD}-{next(FRESH)}"
        self.companion.create_card(number, cents, reference())
        return number

    def journal(self, kind: str, key: object) -> list[tuple[str, dict[str, Any]]]:
        mine = [one for one in self.alone.journal.entries() if (one.kind, one.key) == (kind, str(key))]
        return [(one.actor, one.data) for one in mine]


def reference() -> str:
    return f"CF-{next(FRESH)}"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    receiver = Receiver()
    ports = frozenset({receiver.server.server_port})
    with Alone(tmp_path_factory.mktemp("authority"), safe_ports=ports) as alone:
        yield Shop(alone, receiver)
    receiver.close()


@pytest.fixture
def shop(running: Shop) -> Iterator[Shop]:
    yield running
    running.alone.switches.set(share_half_applied=0.0, share_500=0.0, hooks_lost=0.0, hooks_doubled=0.0)
    running.store.has_companion, running.store.kept.hook = True, None


def test_the_plugin_says_what_it_is(shop: Shop) -> None:
    found = shop.companion.status()
    assert found is not None
    assert (found.features, found.woocommerce, found.currency) == (frozenset(FEATURES), True, "USD")
    assert "counterflow/v1" in shop.raw("GET", "").json()["namespaces"]


def test_a_store_without_the_plugin_has_no_status_and_no_route(shop: Shop) -> None:
    shop.store.has_companion = False
    assert shop.companion.status() is None
    assert "counterflow/v1" not in shop.raw("GET", "").json()["namespaces"]
    answer = shop.raw("POST", "counterflow/v1/points/adjust", {})
    assert (answer.status_code, answer.json()["code"]) == (404, "rest_no_route")
    with pytest.raises(Transient, match="no such route"):  # Not "gone": a plugin that is updated is off for a moment.
        shop.companion.points(1)


def test_a_key_that_nobody_has_breaks(shop: Shop) -> None:
    stranger = settings(shop.alone.url, ca_file=shop.alone.ca_file, key="ck_stranger")
    with pytest.raises(Broken, match="rest_forbidden"):
        Companion(WooClient("north", stranger, FakeClock())).status()


@pytest.mark.parametrize("path", ["points", "points/adjust", "gift-cards/lookup", "nothing", "points/-1", "points/x"])
def test_what_is_no_route_is_none(shop: Shop, path: str) -> None:
    answer = shop.raw("GET", f"counterflow/v1/{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "rest_no_route")


def test_points_are_added_and_taken(shop: Shop) -> None:
    user = shop.user()
    up = shop.companion.adjust_points(user, 30, reference(), "Ticket 1")
    down = shop.companion.adjust_points(user, -12, reference())
    assert (up.points, up.balance, down.points, down.balance, down.already) == (30, 30, -12, 18, False)
    found = shop.companion.points(user)
    assert (found.user, found.balance, found.last) == (user, 18, down.id)


def test_a_reference_is_used_once_and_a_repeat_gives_what_was_moved_the_first_time(shop: Shop) -> None:
    user, mine = shop.user(), reference()
    first = shop.companion.adjust_points(user, 30, mine)
    shop.companion.adjust_points(user, -10, reference())
    again = shop.companion.adjust_points(user, 99, mine)
    assert again == Adjusted(user=user, points=30, balance=20, id=first.id, already=True)
    assert shop.companion.points(user).balance == 20


def test_fifty_requests_at_the_same_moment_are_one(shop: Shop) -> None:
    user, mine = shop.user(), reference()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: shop.companion.adjust_points(user, 5, mine), range(50)))
    assert sum(not one.already for one in answers) == 1
    assert shop.companion.points(user).balance == 5


def test_another_users_or_cards_reference_is_refused(shop: Shop) -> None:
    mine, here, there = reference(), shop.user(), shop.user()
    shop.companion.adjust_points(here, 5, mine)
    with pytest.raises(Rejected, match="HTTP 409 counterflow_reference_taken"):
        shop.companion.adjust_points(there, 5, mine)
    card, other = shop.card(), shop.card()
    shop.companion.adjust_card(card, 5, mine)  # Points and cards keep their references apart.
    with pytest.raises(Rejected, match="HTTP 409 counterflow_reference_taken"):
        shop.companion.adjust_card(other, 5, mine)


def test_nothing_falls_below_0_and_nothing_moved_leaves_the_reference_free(shop: Shop) -> None:
    user, card, mine = shop.user(), shop.card(100), reference()
    nothing = shop.companion.adjust_points(user, -5, mine)
    assert (nothing.points, nothing.balance, nothing.id, nothing.already) == (0, 0, None, False)
    shop.companion.adjust_points(user, 3, mine)
    part = shop.companion.adjust_points(user, -5, reference())
    assert (part.points, part.balance) == (-3, 0)
    taken = shop.companion.adjust_card(card, -150, mine)
    empty = shop.companion.adjust_card(card, -150, reference())
    assert (taken.cents, taken.balance, empty.cents, empty.id) == (-100, 0, 0, None)


def test_changes_come_in_the_order_of_their_ids_page_by_page(shop: Shop) -> None:
    user, start = shop.user(), shop.companion.points(shop.user()).last
    made = [shop.companion.adjust_points(user, number, reference(), f"why {number}") for number in (1, 2, 3)]
    found = shop.companion.points_changes(start)
    assert [(one.id, one.user, one.points, one.reason) for one in found.changes] == [
        (one.id, user, one.points, f"why {one.points}") for one in made
    ]
    assert found.last == made[-1].id
    assert abs(found.changes[0].created_at - datetime.now(UTC)) < timedelta(minutes=1)
    part = shop.raw("GET", f"counterflow/v1/points/changes?after={start}&limit=2").json()
    assert ([one["id"] for one in part["changes"]], part["last"]) == ([made[0].id, made[1].id], made[1].id)
    assert (shop.companion.points_changes(found.last).changes, shop.companion.points_changes(10**6).last) == ((), 10**6)


@pytest.mark.parametrize("query", ["limit=501", "limit=0", "after=-1", "after=x"])
def test_a_window_that_is_none_is_refused(shop: Shop, query: str) -> None:
    answer = shop.raw("GET", f"counterflow/v1/points/changes?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "rest_invalid_param")


@pytest.mark.parametrize("what", ["points", "adjusted card", "new card", "welcome"])
def test_after_a_half_applied_write_the_same_call_finds_it_done(shop: Shop, what: str) -> None:
    user, card, number, mine = shop.user(), shop.card(), f"{CARD}-{next(FRESH)}", reference()
    calls: dict[str, Call] = {
        "points": lambda it: it.adjust_points(user, 7, mine),
        "adjusted card": lambda it: it.adjust_card(card, 7, mine),
        "new card": lambda it: it.create_card(number, 7, mine),
        "welcome": lambda it: it.send_welcome(user),
    }
    shop.alone.switches.set(share_half_applied=1.0)
    with pytest.raises(Transient) as raised:
        calls[what](shop.companion)
    shop.alone.switches.set(share_half_applied=0.0)
    assert (raised.value.unknown, calls[what](shop.companion).already) == (True, True)


def test_a_card_is_made_with_our_number_once(shop: Shop) -> None:
    number, mine, until_then = f"{CARD}-{next(FRESH)}", reference(), datetime(2031, 1, 31, 12, tzinfo=UTC)
    made = shop.companion.create_card(number, 2500, mine, expires_at=until_then)
    again = shop.companion.create_card(number, 9900, mine)
    assert (made.balance, made.already, again.balance, again.id, again.already) == (2500, False, 2500, made.id, True)
    found = shop.companion.card(number)
    assert found is not None
    assert (found.balance, found.is_void, found.expires_at, found.last) == (2500, False, until_then, made.id)
    with pytest.raises(Rejected, match="HTTP 409 counterflow_card_exists"):
        shop.companion.create_card(number, 2500, reference())
    with pytest.raises(Rejected, match="HTTP 409 counterflow_reference_taken"):
        shop.companion.create_card(f"{CARD}-{next(FRESH)}", 2500, mine)


def test_a_card_may_be_made_with_nothing_on_it(shop: Shop) -> None:
    number, mine = f"{CARD}-{next(FRESH)}", reference()
    made, again = [shop.companion.create_card(number, 0, mine) for _ in range(2)]
    assert [(one.balance, one.id, one.already) for one in (made, again)] == [(0, None, False), (0, None, True)]
    with pytest.raises(Rejected, match="counterflow_reference_taken"):
        shop.companion.create_card(f"{CARD}-{next(FRESH)}", 5, mine)
    assert shop.companion.adjust_card(number, 5, reference()).balance == 5


def test_from_a_void_or_expired_card_nothing_is_taken_though_it_is_filled(shop: Shop) -> None:
    void, old = shop.card(), shop.card()
    shop.companion.change_card(void, is_void=True)
    shop.companion.change_card(old, expires_at=datetime(2020, 1, 1, tzinfo=UTC))
    for number, code in ((void, "counterflow_card_void"), (old, "counterflow_card_expired")):
        with pytest.raises(Rejected, match=f"HTTP 409 {code}"):
            shop.companion.adjust_card(number, -1, reference())
        assert shop.companion.adjust_card(number, 1, reference()).balance == 5001


def test_a_card_that_the_store_has_not_is_none_and_cannot_be_adjusted(shop: Shop) -> None:
    assert shop.companion.card(CARD) is None
    for call in (lambda: shop.companion.adjust_card(CARD, 1, reference()), lambda: shop.companion.change_card(CARD)):
        with pytest.raises(Gone) as raised:
            call()
        assert CARD not in str(raised.value)


def test_a_failed_look_at_a_card_changed_nothing(shop: Shop) -> None:
    shop.alone.switches.set(share_500=1.0)
    with pytest.raises(Transient) as raised:
        shop.companion.card(CARD)
    assert (raised.value.unknown, CARD in repr(raised.value)) == (False, False)


def test_a_card_is_voided_and_its_end_is_set_and_taken_away(shop: Shop) -> None:
    number, until_then = shop.card(), datetime(2031, 1, 31, 12, tzinfo=UTC)
    void = shop.companion.change_card(number, is_void=True)
    ending = shop.companion.change_card(number, expires_at=until_then)
    endless = shop.companion.change_card(number, is_void=False, expires_at=None)
    assert [(one.is_void, one.expires_at) for one in (void, ending, endless)] == [
        (True, None),
        (True, until_then),
        (False, None),
    ]


def test_a_user_who_is_gone_is_not_a_route_that_is_gone(shop: Shop) -> None:
    user = shop.user()
    shop.raw("DELETE", f"wc/v3/customers/{user}?force=true")
    calls: list[Call] = [lambda it: it.points(user), lambda it: it.send_welcome(user)]
    calls.append(lambda it: it.adjust_points(user, 1, reference()))
    for call in calls:
        with pytest.raises(Gone):
            call(shop.companion)


def test_of_a_customer_the_newest_change_is_told(shop: Shop) -> None:
    here, there = shop.user(), shop.user()
    start = shop.companion.customer_changes(0).last
    shop.raw("PUT", f"wc/v3/customers/{here}", {"first_name": "Ana"})
    shop.raw("PUT", f"wc/v3/customers/{there}", {"first_name": "Ben"})
    shop.raw("DELETE", f"wc/v3/customers/{here}?force=true")
    found = shop.companion.customer_changes(start)
    assert [(one.user, one.deleted) for one in found.changes] == [(there, False), (here, True)]
    assert [one.user for one in shop.companion.customer_changes(0).changes].count(here) == 1


def test_a_welcome_is_sent_once(shop: Shop) -> None:
    user = shop.user()
    before = len(shop.store.mails)
    first, second = shop.companion.send_welcome(user), shop.companion.send_welcome(user)
    assert [(one.sent, one.already) for one in (first, second)] == [(True, False), (False, True)]
    assert len(shop.store.mails) == before + 1


def test_shoppers_earn_and_spend_and_the_journal_says_so(shop: Shop) -> None:
    user = shop.user()
    won = shop.shopper("points", user=user, points=40)
    spent = shop.shopper("points", email=shop.store.row("customers", user)["email"], points=-15)
    assert (won.status_code, spent.json()["balance"]) == (200, 25)
    assert shop.shopper("points", user=user, points=-26).status_code == 409
    ours = reference()
    shop.companion.adjust_points(user, 5, ours)
    references = [won.json()["reference"], spent.json()["reference"], ours]
    assert [(actor, one["points"], one["reference"]) for actor, one in shop.journal("points", user)] == list(
        zip(["shopper", "shopper", "api"], [40, -15, 5], references, strict=True)
    )
    assert not any(one.startswith(("CF-", "CT-")) for one in references[:2])
    assert shop.state()["points"][str(user)] == 30


def test_a_card_bought_on_the_web_is_told_and_redeemed_there(shop: Shop) -> None:
    start = shop.companion.card_changes(0).last
    bought = shop.shopper("gift-cards/buy", cents=4000, email="ana@example.com").json()
    number = bought["number"]
    assert shop.shopper("gift-cards/redeem", number=number, cents=4001).status_code == 409
    redeemed = shop.shopper("gift-cards/redeem", number=number, cents=1500).json()
    found = shop.companion.card_changes(start).changes
    assert [(one.number, one.cents, one.reference) for one in found] == [
        (number, 4000, bought["reference"]),
        (number, -1500, redeemed["reference"]),
    ]
    assert [(actor, one["cents"]) for actor, one in shop.journal("gift-card", number)] == [
        ("shopper", 4000),
        ("shopper", -1500),
    ]
    assert shop.state()["gift_cards"][number] == {"balance": 2500, "is_void": False, "expires": None}


def test_nobody_pays_with_a_card_that_is_void_or_expired_or_unknown(shop: Shop) -> None:
    void, old = shop.card(), shop.card()
    shop.companion.change_card(void, is_void=True)
    shop.companion.change_card(old, expires_at=datetime(2020, 1, 1, tzinfo=UTC))
    answers = [shop.shopper("gift-cards/redeem", number=one, cents=1) for one in (void, old, CARD)]
    assert [one.status_code for one in answers] == [409, 409, 404]
    line = [{"sku": "GONE", "quantity": 1, "price": "1.00"}]
    assert shop.shopper("orders", email="carl@example.com", lines=line, gift_card=void).status_code == 409
    assert "carl@example.com" not in shop.store.accounts_by_email  # Refused before anything changed.


def test_an_order_takes_from_a_card_what_it_holds_or_what_the_order_costs(shop: Shop) -> None:
    number = shop.card(3000)
    line = [{"sku": "GONE", "quantity": 1, "price": "20.00"}]
    start = shop.companion.card_changes(0).last
    made = [shop.shopper("orders", email="ben@example.com", lines=line, gift_card=number).json() for _ in range(3)]
    assert [one["total"] for one in made] == ["0.00", "10.00", "20.00"]
    found = shop.companion.card_changes(start).changes
    assert [(one.cents, one.reference, one.order) for one in found] == [
        (-2000, f"order:{made[0]['id']}:card", made[0]["id"]),
        (-1000, f"order:{made[1]['id']}:card", made[1]["id"]),
    ]
    row = shop.client.one("orders", str(made[1]["id"]))
    assert row is not None
    paid = read("orders", msgspec.json.encode(row))  # As the connector reads what the plugin wrote into the order.
    assert isinstance(paid, Order)
    assert [(one.card_no, one.amount) for one in paid.tenders if one.card_no] == [(number, 1000)]


def test_two_cards_pay_for_one_order_by_two_references(shop: Shop) -> None:
    first, second = shop.card(500), shop.card(700)
    line = [{"sku": "GONE", "quantity": 1, "price": "20.00"}]
    asked = [{"code": first, "cents": 9999}, {"code": second, "cents": 300}, {"code": "GC-0001", "cents": 100}]
    start = shop.companion.card_changes(0).last
    made = shop.shopper("orders", email="ben@example.com", lines=line, gift_cards=asked).json()
    assert made["total"] == "11.00"  # The third is one that only Counterpoint knows.
    assert [(one.cents, one.reference) for one in shop.companion.card_changes(start).changes] == [
        (-500, f"order:{made['id']}:card"),
        (-300, f"order:{made['id']}:card:2"),
    ]


def test_a_change_is_told_at_once_and_signed(shop: Shop) -> None:
    shop.receiver.got.clear()
    shop.shopper("companion/hook", url=shop.receiver.url, secret="hook secret")
    user = shop.user()
    points = shop.companion.adjust_points(user, 5, reference())
    card = shop.companion.create_card(f"{CARD}-{next(FRESH)}", 5, reference())
    wanted = {
        ("counterflow_customers.changed", user),
        ("counterflow_points.changed", points.id),
        ("counterflow_gift_cards.changed", card.id),
    }
    assert until(lambda: {one.what for one in list(shop.receiver.got)} == wanted)
    for got in shop.receiver.got:
        digest = hmac.new(b"hook secret", got.body, hashlib.sha256).digest()
        assert got.headers["x-wc-webhook-signature"] == base64.b64encode(digest).decode()
        assert list(json.loads(got.body)) == ["id"]


def test_the_plugins_hook_is_doubled_and_lost_by_the_same_switches(shop: Shop) -> None:
    shop.receiver.got.clear()
    user, other = shop.user(), shop.user()
    shop.shopper("companion/hook", url=shop.receiver.url, secret="hook secret")
    shop.alone.switches.set(hooks_lost=1.0)
    shop.companion.adjust_points(user, 5, reference())
    # A ping is never lost and comes after what is: deliveries go out one by one.
    shop.raw("POST", "wc/v3/webhooks", {"topic": "order.created", "delivery_url": shop.receiver.url})
    assert until(lambda: bool(shop.receiver.got))
    shop.alone.switches.set(hooks_lost=0.0, hooks_doubled=1.0)
    told = shop.companion.adjust_points(other, 5, reference())
    assert until(lambda: len(shop.receiver.got) == 3)
    assert [one.what for one in shop.receiver.got[1:]] == [("counterflow_points.changed", told.id)] * 2


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("points/adjust", {**ASKED, "points": 0}, "rest_invalid_param"),
        ("points/adjust", {**ASKED, "reference": "CF x"}, "rest_invalid_param"),
        ("points/adjust", {**ASKED, "reference": "x" * 65}, "rest_invalid_param"),
        ("points/adjust", {**ASKED, "reason": "x" * 201}, "rest_invalid_param"),
        ("points/adjust", {"user": "x", "points": 1, "reference": "CF-x"}, "rest_invalid_param"),
        ("points/adjust", {**ASKED, "points": 1.5}, "rest_invalid_param"),
        ("points/adjust", {**ASKED, "reference": ""}, "rest_invalid_param"),
        ("points/adjust", {"user": 1, "points": 1}, "rest_missing_callback_param"),
        ("points/adjust", [], "rest_invalid_param"),
        ("gift-cards", {"number": "A", "cents": -1, "reference": "CF-x"}, "rest_invalid_param"),
        ("gift-cards", {"number": "A" * 33, "cents": 1, "reference": "CF-x"}, "rest_invalid_param"),
        ("gift-cards", {"number": "A", "cents": 1, "reference": "CF-x", "expires": "2031-01-31"}, "rest_invalid_param"),
        ("gift-cards", {"number": "A", "cents": 1, "reference": "CF-x", "expires": "soon"}, "rest_invalid_param"),
        ("gift-cards/lookup", {"number": 7}, "rest_invalid_param"),
    ],
)
def test_what_cannot_be_read_is_refused(shop: Shop, path: str, body: Any, code: str) -> None:
    answer = shop.raw("POST", f"counterflow/v1/{path}", body)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


class Odd:
    """A store whose plugin gives one answer to everything."""

    def __init__(self) -> None:
        self.body = b""
        self.companion: Companion

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": self.body})


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Odd]:
    made, certificates = Odd(), authority(tmp_path_factory.mktemp("authority"))
    with Served(made, certificates) as server:
        client = WooClient("north", settings(server.url, ca_file=certificates.ca_file), FakeClock())
        made.companion = Companion(client)
        yield made


CHANGE = {"user": 7, "points": 1, "reference": "CF-1", "reason": "", "created_gmt": "2026-01-05T09:00:00"}


def page(*ids: int, last: int, **changes: Any) -> dict[str, Any]:
    return {"changes": [{"id": one, **CHANGE, **changes} for one in ids], "last": last}


@pytest.mark.parametrize(
    ("call", "body"),
    [
        pytest.param(lambda it: it.status(), {"version": CARD}, id="half a status"),
        pytest.param(lambda it: it.points(7), {"user": 7, "balance": CARD, "last": 1}, id="a text for a number"),
        pytest.param(lambda it: it.points(7), {"user": 7, "balance": -1, "last": 1}, id="below 0"),
        pytest.param(lambda it: it.points(7), {"user": 7, "balance": 1.5, "last": 1}, id="a part of a point"),
        pytest.param(lambda it: it.adjust_points(7, 1, "CF-1"), {}, id="nothing"),
        pytest.param(lambda it: it.card(CARD), {"number": CARD}, id="half a card"),
        pytest.param(lambda it: it.points_changes(3), page(5, 4, last=4), id="ids that fall"),
        pytest.param(lambda it: it.points_changes(3), page(3, last=3), id="what was read already"),
        pytest.param(lambda it: it.points_changes(3), page(last=9), id="an end that no change has"),
        pytest.param(
            lambda it: it.points_changes(3),
            page(4, last=4, created_gmt="2026-01-05T09:00:00+01:00"),
            id="a time's zone",
        ),
    ],
)
def test_an_answer_of_another_form_is_not_taken_and_not_shown(odd: Odd, call: Call, body: Any) -> None:
    odd.body = json.dumps(body).encode()
    with pytest.raises(Transient, match="companion") as raised:
        call(odd.companion)
    assert CARD not in str(raised.value)


def test_a_newer_plugin_may_say_more(odd: Odd) -> None:
    odd.body = json.dumps(page(4, last=4, colour="red") | {"more": True}).encode()
    assert [one.id for one in odd.companion.points_changes(3).changes] == [4]


def test_the_sandbox_names_the_namespace_that_our_client_asks() -> None:
    assert (f"/wp-json/{routes.NAMESPACE}", routes.CHANGES_MAX) == (BASE, CHANGES_MAX)
