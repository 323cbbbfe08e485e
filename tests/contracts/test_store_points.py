"""A store's points over https: its transactions are read once and in their order, and ours are made once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests
from starlette.testclient import TestClient

from consumers.stores import StoreTarget
from counterflow.clock import FakeClock
from counterflow.config import Store as Known
from counterflow.systems.ports import Reading
from counterflow.systems.woocommerce.client import WooClient
from counterflow.systems.woocommerce.companion import CHANGES_MAX, Companion
from counterflow.systems.woocommerce.loyalty import CompanionLoyalty
from counterflow.systems.woocommerce.read import read as read_record
from producers.store_poller import Hint, StorePoller
from producers.webhooks import Receiver
from sandbox.woocommerce import customers, orders, wallets
from sandbox.woocommerce.alone import Alone
from schemas.commands import Command, MovePoints, body_hash
from schemas.loyalty import PointsMoved
from schemas.names import POINTS
from schemas.outcomes import Outcome
from tests.contracts import test_sandbox_woocommerce_hooks as hooks
from tests.contracts.store_fakes import Mailbox, settings
from tests.contracts.test_webhooks import Topic

SECRET = "hook secret"
POLL_S = 5.0
NOBODY = 999_999


class Shop:
    """A store with the plugin, its poller and its target."""

    def __init__(self, alone: Alone, receiver: hooks.Receiver, **changes: Any) -> None:
        self.alone, self.store, self.receiver = alone, alone.store, receiver
        self.clock = FakeClock()
        self.known: Known = settings(alone.url, **{"ca_file": alone.ca_file, "poll_s": POLL_S, "loyalty": {}} | changes)
        self.client = WooClient("north", self.known, self.clock)
        self.loyalty = CompanionLoyalty(Companion(self.client))
        self.target = StoreTarget("north", self.client, clock=self.clock, loyalty=self.loyalty)
        self.hints = Mailbox(self.clock)
        self.cursor: str | None = None
        self.position = self.users = 0
        self.restart()

    def restart(self) -> None:
        """A new process: only the published cursor is left."""
        self.poller = StorePoller("north", self.client, self.hints, self.known, self.clock)

    def poll(self) -> Reading:
        """Read; nothing is published yet."""
        reading = self.poller.poll(self.cursor, self.position)
        self.position = reading.position
        return reading

    def publish(self, reading: Reading) -> Reading:
        self.poller.confirm(reading)
        self.cursor = reading.cursor
        return reading

    def take(self) -> Reading:
        """Read and publish what has become due."""
        self.clock.sleep(POLL_S)
        return self.publish(self.poll())

    def user(self) -> int:
        self.users += 1
        with self.store.lock:
            return int(customers.load(self.store, {"email": f"ana{self.users}@example.com"})["id"])

    def earn(self, user: int, points: int) -> None:
        url = f"{self.alone.url}/_sandbox/points"
        given = {"user": user, "points": points}
        requests.post(url, json=given, verify=str(self.alone.ca_file), timeout=20).raise_for_status()

    def balance(self, user: int) -> int:
        return self.store.kept.points.balance(user)

    def moves(self, user: int) -> list[int]:
        return [one.amount for one in self.store.kept.points.after(0, 10_000) if one.key == user]

    def apply(self, body: MovePoints, target: StoreTarget | None = None) -> Outcome:
        command = Command(
            system="north",
            task=POINTS,
            key=body.tag,
            version=1,
            hash=body_hash(body),
            reference="r",
            body=body,
            sent_at=self.clock.now(),
        )
        [outcome] = (target or self.target).apply([command])
        return outcome

    def move(self, user: int, points: int, tag: str = "CF-ABCDEFGHIJ") -> tuple[str, dict[str, str]]:
        outcome = self.apply(MovePoints(tag=tag, account_id=str(user), points=points))
        return outcome.result, dict(outcome.remote)


@pytest.fixture
def shop(folder: Path) -> Iterator[Shop]:
    receiver = hooks.Receiver()
    with Alone(folder, safe_ports=frozenset({receiver.server.server_port})) as alone:
        yield Shop(alone, receiver)
    receiver.close()


def told(*readings: Reading) -> list[tuple[str, str, int]]:
    """Give the transactions as the pipeline reads them: id, account, points."""
    found = []
    for one in (one for reading in readings for one in reading.reads if one.entity == POINTS):
        record = read_record(POINTS, bytes(one.change.after))
        assert isinstance(record, PointsMoved)
        assert record.key == one.key.decode()
        found.append((record.key, record.account_id, record.points))
    return found


# What is read.


def test_every_transaction_is_told_once_in_its_order(shop: Shop) -> None:
    ana, ben = shop.user(), shop.user()
    for user, points in ((ana, 5), (ben, 7), (ana, -2)):
        shop.earn(user, points)
    expected = [("1", str(ana), 5), ("2", str(ben), 7), ("3", str(ana), -2)]
    assert (told(shop.take()), told(shop.take())) == (expected, [])


def test_a_transaction_of_ours_is_told_with_its_reference(shop: Shop) -> None:
    shop.move(ana := shop.user(), 5, "CF-OURSOURS22")
    [one] = [one for one in shop.take().reads if one.entity == POINTS]
    record = read_record(POINTS, bytes(one.change.after))
    assert isinstance(record, PointsMoved)
    assert (record.account_id, record.points, record.reference) == (str(ana), 5, "CF-OURSOURS22")


def test_an_accounts_transactions_travel_together(shop: Shop) -> None:
    ana, ben = shop.user(), shop.user()
    for user in (ana, ben, ana):
        shop.earn(user, 1)
    found = [one.together for one in shop.take().reads if one.entity == POINTS]
    assert found == [f"points/{user}".encode() for user in (ana, ben, ana)]


@pytest.mark.parametrize("count", [CHANGES_MAX, CHANGES_MAX + 1, 10 * CHANGES_MAX + 3])
def test_full_pages_go_on_until_all_is_told(shop: Shop, count: int) -> None:
    ana = shop.user()
    with shop.store.lock:
        for number in range(count):
            shop.store.kept.points.move(ana, 1, f"order:{number}:earn")
    found = told(shop.take(), shop.take(), shop.take())
    assert [int(key) for key, _, _ in found] == list(range(1, count + 1))


def test_what_was_not_published_is_told_again(shop: Shop) -> None:
    shop.earn(shop.user(), 5)
    shop.clock.sleep(POLL_S)
    lost, again = shop.poll(), shop.poll()
    assert told(lost) == told(again) != []


def test_a_restart_goes_on_from_the_stored_cursor(shop: Shop) -> None:
    shop.earn(ana := shop.user(), 5)
    shop.take()
    shop.restart()
    shop.earn(ana, 6)
    assert told(shop.take()) == [("2", str(ana), 6)]


def test_a_cursor_from_before_points_were_switched_on_goes_on(shop: Shop) -> None:
    plain = Shop(shop.alone, shop.receiver, loyalty=None)
    shop.earn(ana := shop.user(), 5)
    before = plain.take()
    shop.cursor = before.cursor
    assert (told(before), told(shop.take())) == ([], [("1", str(ana), 5)])


def test_where_points_are_left_alone_the_plugin_is_not_asked(shop: Shop) -> None:
    plain = Shop(shop.alone, shop.receiver, loyalty=None)
    shop.earn(shop.user(), 5)
    plain.hints.say(POINTS, 1)
    reading = plain.take()
    assert (told(reading), POINTS in reading.entities) == ([], False)


def test_a_hint_wakes_it_before_anything_is_due(shop: Shop) -> None:
    shop.take()
    while shop.poller._at.sweep is not None:  # The first sweep has ended: nothing is due.
        shop.publish(shop.poll())
    shop.earn(ana := shop.user(), 5)
    assert told(shop.publish(shop.poll())) == []
    shop.hints.say(POINTS, 1, "changed")
    assert told(shop.publish(shop.poll())) == [("1", str(ana), 5)]
    assert (told(shop.take()), shop.hints.waiting) == ([], [])


def test_a_plugin_that_is_off_holds_nothing_else_up_and_nothing_is_lost(shop: Shop) -> None:
    shop.earn(ana := shop.user(), 5)
    shop.take()
    shop.earn(ana, 6)
    shop.store.has_companion = False
    with shop.store.lock:
        order = orders.create(shop.store, {"status": "processing", "line_items": []})
    shop.hints.say(POINTS, 2, "changed")
    off = shop.take()
    assert ("orders", str(order["id"]).encode()) in {(one.entity, one.key) for one in off.reads}
    assert (told(off), shop.hints.waiting) == ([], [])
    shop.store.has_companion = True
    assert told(shop.take()) == [("2", str(ana), 6)]


def test_a_page_that_fails_loses_none_of_those_before_it(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    ana = shop.user()
    with shop.store.lock:
        for number in range(CHANGES_MAX + 5):
            shop.store.kept.points.move(ana, 1, f"order:{number}:earn")
    real = Companion.points_changes

    def off_on_the_second(self: Companion, after: int) -> Any:
        shop.store.has_companion = not after
        return real(self, after)

    with monkeypatch.context() as patched:
        patched.setattr(Companion, "points_changes", off_on_the_second)
        first = shop.take()
    shop.store.has_companion = True
    assert (len(told(first)), len(told(shop.take()))) == (CHANGES_MAX, 5)


# The web hook.


def test_the_plugins_hook_becomes_a_hint_that_is_followed(shop: Shop) -> None:
    """Its signature is checked, it holds the transaction's id, and where it leads the transaction is found."""
    with shop.store.lock:
        wallets.set_hook(shop.store, {"url": shop.receiver.url, "secret": SECRET})
    shop.earn(ana := shop.user(), 5)
    what = ("counterflow_points.changed", 1)
    hooks.until(lambda: any(one.what == what for one in shop.receiver.got))
    [got] = [one for one in shop.receiver.got if one.what == what]
    topic = Topic()
    web = TestClient(Receiver("north", SECRET, topic, prefix="t.", clock=shop.clock).app)
    sent = {name: value for name, value in got.headers.items() if name.startswith(("x-wc-", "content-type"))}
    assert web.post("/hooks/north", content=got.body, headers=sent).status_code == 200
    [hint] = [msgspec.json.decode(one.value or b"", type=Hint) for one in topic.messages]
    assert (hint.entity, hint.id, hint.event) == (POINTS, "1", "changed")
    shop.hints.waiting.append(hint)
    assert told(shop.publish(shop.poll())) == [("1", str(ana), 5)]


# What is written.


def test_a_move_is_made_once_and_says_how_much(shop: Shop) -> None:
    ana = shop.user()
    assert [shop.move(ana, 5), shop.move(ana, 5)] == [("applied", {"points": "5"})] * 2
    assert shop.moves(ana) == [5]


def test_a_half_applied_move_is_made_once_and_the_same_number_told(shop: Shop) -> None:
    ana = shop.user()
    shop.earn(ana, 3)
    shop.alone.switches.set(share_half_applied=1.0)
    first = shop.move(ana, -5)[0]
    shop.alone.switches.set(share_half_applied=0.0)
    shop.earn(ana, 50)  # The answer tells what was moved then, whatever there is now.
    assert (first, shop.move(ana, -5), shop.moves(ana)) == ("waiting", ("applied", {"points": "-3"}), [3, -3, 50])


def test_where_there_is_nothing_to_take_nothing_is_taken_and_said(shop: Shop) -> None:
    ana = shop.user()
    assert (shop.move(ana, -5), shop.moves(ana)) == (("applied", {"points": "0"}), [])


@pytest.mark.parametrize("account", [str(NOBODY), "", "abc", "4.1", "-4", "²"])
def test_a_move_for_nobody_is_rejected(shop: Shop, account: str) -> None:
    outcome = shop.apply(MovePoints(tag="CF-ABCDEFGHIJ", account_id=account, points=5))
    assert (outcome.result, bool(outcome.message), outcome.remote) == ("rejected", True, {})


def test_a_tag_that_another_account_has_is_rejected(shop: Shop) -> None:
    ana, ben = shop.user(), shop.user()
    shop.move(ana, 5)
    assert (shop.move(ben, 5)[0], shop.balance(ben)) == ("rejected", 0)


def test_a_plugin_that_is_off_lets_a_move_wait(shop: Shop) -> None:
    ana = shop.user()
    shop.store.has_companion = False
    assert shop.move(ana, 5)[0] == "waiting"
    shop.store.has_companion = True
    assert (shop.move(ana, 5)[0], shop.moves(ana)) == ("applied", [5])


def test_where_points_are_left_alone_a_move_is_rejected(shop: Shop) -> None:
    ana = shop.user()
    target = StoreTarget("north", shop.client, clock=shop.clock)
    outcome = shop.apply(MovePoints(tag="CF-ABCDEFGHIJ", account_id=str(ana), points=5), target)
    assert (outcome.result, shop.balance(ana)) == ("rejected", 0)
