"""What moves points in a day: tickets, shoppers, staff who post, alter and delete. And what must come of it.

Knows nothing of the pipeline's rules: at the end the balances of both sides are compared with each other, and what was
posted with what shoppers did.
"""

import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import requests

from sandbox.life import Life
from sandbox.remote import Remote
from sandbox.truth import Flow

Row = Mapping[str, Any]
PAIRS = 2
WHO_MANY = 40  # So many customers do it all, so that a good deal happens to each.
OURS = ("CF-", "CT-")  # How the references of counterflow begin.


@dataclass(slots=True)
class Points:
    """The dice, and whose points move."""

    remote: Remote
    life: Life
    dice: random.Random
    who: list[str] = field(default_factory=list)
    pairs: list[tuple[str, str]] = field(default_factory=list)  # 25 and 25: who is gone, who stays.
    is_calm: bool = True  # Then nothing happens that needs a long look at the books, which would slow everything down.
    merged: list[str] = field(default_factory=list)  # Who survived of the pairs.

    def open(self) -> None:
        """Choose who collects points, and make two pairs of namesakes with 25 and 25: one gone has an account."""
        rows = {row["CUST_NO"]: row for row in self.life.shop.customers}
        members = [one for one in sorted(self.life.accounts) if rows[one]["LOY_PGM_COD"]]
        self.who = self.dice.sample(members, min(WHO_MANY, len(members)))
        free = [one for one in self.life.free if one not in self.who]
        pairs = ((one, self.life.namesake(one, free)) for one in free)
        first = next((one, other) for one, other in pairs if other)
        left = [one for one in free if one not in first]
        strangers = [one for one in sorted(rows) if rows[one]["IS_ECOMM_CUST"] == "N" and one not in self.life.accounts]
        others = ((one, self.life.namesake(one, left)) for one in strangers)
        self.pairs = [first, next((one, other) for one, other in others if other)]
        for one in {name for pair in self.pairs for name in pair}:
            self._set_to(one, 25, rows[one]["LOY_PTS_BAL"])
            if one in self.life.free:
                self.life.free.remove(one)
            self.life.quiet.add(one)

    def step(self) -> None:
        """Let one thing happen to somebody's points."""
        kinds = [(self.ticket, 8.0), (self.shop, 8.0), (self.post_all, 2.0), (self.correct, 1.0)]
        if not self.is_calm:
            kinds += [(self.post_one, 3), (self.alter, 1), (self.delete, 1), (self.overwrite, 0.4)]
            if len(self.pairs) == PAIRS:
                self.merge_pair()
        self.dice.choices([one for one, _ in kinds], [weight for _, weight in kinds])[0]()

    def ticket(self) -> None:
        """Earn or redeem at the till."""
        earned = self.dice.choice([5, 12, 30, 0])
        body = {"earned": earned} if earned else {"redeemed": self.dice.randint(1, 15)}
        self._till("ticket", cust_no=self.dice.choice(self.who), **body)

    def shop(self) -> None:
        """Earn or spend in a store, outside of an order."""
        number = self.dice.choice(self.who)
        store = self.dice.choice(sorted(self.life.accounts[number]))
        account = self.life.accounts[number][store]
        if (store, account) not in self.life.deleted:
            points = self.dice.choice([3, 8, 20, -4, -10])
            _may_refuse(self.remote.post(store, "points", user=account, points=points))

    def post_all(self) -> None:
        """Let staff post everything that waits."""
        self._till("post", all=True)

    def post_one(self) -> None:
        """Let staff post one, now and then with another amount."""
        one = self._unposted()
        if one is not None:
            other = {"points": one["points"] + self.dice.choice([-1, 2])} if self.dice.random() < 0.3 else {}
            self._till("post", seq_no=one["seq_no"], **other)

    def alter(self) -> None:
        """Let staff change one before it is posted."""
        one = self._unposted()
        if one is not None:
            self._till("alter", seq_no=one["seq_no"], points=one["points"] + 1)

    def delete(self) -> None:
        """Let staff delete one before it is posted."""
        one = self._unposted()
        if one is not None:
            self._till("delete", seq_no=one["seq_no"])

    def correct(self) -> None:
        """Let staff enter an adjustment of their own."""
        self._till("adjustment", cust_no=self.dice.choice(self.who), points=self.dice.choice([-3, 10]))

    def overwrite(self) -> None:
        """Let somebody write over a balance: no row will explain it."""
        number = self.dice.choice(self.who)
        balance = self.remote.state("counterpoint")["points"].get(number)
        if balance is not None:
            self._till("overwrite", cust_no=number, points_balance=balance + self.dice.choice([7, 15]))

    def merge_pair(self) -> None:
        """Let staff merge a pair of 25 and 25. One pair at a time: of two, nobody could tell who went into whom."""
        gone, stays = self.pairs.pop()
        self.remote.post("counterpoint", "merges", gone=gone, stays=stays).raise_for_status()
        self.life.merged[gone] = stays
        self.merged.append(stays)

    def finish(self) -> None:
        """Let staff merge the second pair, and post what is left."""
        self.merge_pair()
        self._till("post", all=True)

    def _unposted(self) -> Row | None:
        found = self.remote.state("counterpoint")["unposted"]
        return self.dice.choice(found) if found else None

    def _till(self, what: str, **body: Any) -> None:
        _may_refuse(self.remote.post("counterpoint", f"points/{what}", **body))

    def _set_to(self, number: str, points: int, before: int) -> None:
        self._till("enrol", cust_no=number, program="REWARDS")
        if points != before:
            made = self.remote.post("counterpoint", "points/adjustment", cust_no=number, points=points - before)
            made.raise_for_status()
            self._till("post", seq_no=made.json()["seq_no"])


def _may_refuse(answer: requests.Response) -> None:
    """Let pass what a till refuses: a customer who was merged away, points that are not there."""
    if answer.status_code not in {404, 409}:
        answer.raise_for_status()


def check_points(points: Points, states: Mapping[str, Row], journal: Sequence[Row]) -> Flow:
    """Check that the balances of both sides are equal, and that what shoppers did was posted once, or deleted."""
    flow = Flow("points -> other side")
    life = points.life
    balances = states["counterpoint"]["points"]
    rows = states["counterpoint"]["customers"]
    members = {row["CUST_NO"] for row in rows if row.get("LOY_PGM_COD") and row["IS_ECOMM_CUST"] == "Y"}
    for number, owned in sorted(_accounts(life, states).items()):
        if number not in members:
            continue
        web = {f"{store}/{one}": int(states[store]["points"].get(str(one), 0)) for store, one in owned}
        if sum(web.values()) != max(0, balances[number]):
            flow.wrong.append(f"customer {number} has {balances[number]} points, his accounts have {web}")
        if sum(one > 0 for one in web.values()) > 1:
            flow.wrong.append(f"customer {number} has points on several accounts: {web}")
    for stays in points.merged:
        if balances.get(stays) != 50:
            flow.wrong.append(f"25 and 25: customer {stays}, who survived, has {balances.get(stays)}")
    flow.changes, flow.delays = _measured(life, journal)
    flow.wrong += _posted_once(life, journal, members)
    return flow


def _accounts(life: Life, states: Mapping[str, Row]) -> dict[str, list[tuple[str, int]]]:
    """Give whose the accounts are that were there in the morning, and are still."""
    found: dict[str, list[tuple[str, int]]] = {}
    for number, owned in life.accounts.items():
        for store, account in owned.items():
            if any(one["id"] == account for one in states[store]["customers"]):
                found.setdefault(life.merged.get(number, number), []).append((store, account))
    return found


def _posted_once(life: Life, journal: Sequence[Row], members: Collection[str]) -> list[str]:
    """Compare what shoppers did, customer by customer, with what was posted, or deleted, for it.

    Of somebody in no programme, as the survivor of a merge may be, it waits until he is in one (loyalty-R12).
    """
    owners = {
        (store, str(account)): life.merged.get(number, number)
        for number, owned in life.accounts.items()
        for store, account in owned.items()
    }
    did: dict[str, Counter[int]] = {}
    posted: dict[str, Counter[int]] = {}
    deleted: dict[str, tuple[str, int]] = {}
    entered: dict[str, int] = {}  # What staff have altered, as we wrote it.
    for one in (entry for entry in journal if entry["kind"] == "points"):
        data = one["data"]
        if one["actor"] == "shopper":
            did.setdefault(owners[one["system"], one["key"]], Counter())[data["points"]] += 1
        elif str(data.get("tag", "")).startswith(OURS):
            number = str(life.merged.get(one["key"], one["key"]))
            if data["what"] == "altered":
                entered.setdefault(data["tag"], data["before"])
            elif data["what"] == "posted":
                deleted.pop(data["tag"], None)  # It was written again (loyalty-R4's exception).
                posted.setdefault(number, Counter())[entered.pop(data["tag"], data["before"])] += 1
            elif data["what"] == "deleted":
                deleted[data["tag"]] = (number, entered.pop(data["tag"], data["points"]))
    for who, points_deleted in deleted.values():
        posted.setdefault(who, Counter())[points_deleted] += 1
    return [
        f"customer {who}: his shoppers did {did.get(who)}, posted or deleted was {posted.get(who)}"
        for who in sorted(did.keys() | posted.keys())
        if (did.get(who) != posted.get(who) if who in members else posted.get(who, Counter()) - did.get(who, Counter()))
    ]


def _measured(life: Life, journal: Sequence[Row]) -> tuple[int, list[float]]:
    """Give how many tickets moved points of customers with an account, and how long after each the web was moved."""
    moved = [one for one in journal if one["kind"] == "points" and one["actor"] == "api"]
    changes, delays = 0, []
    for one in (entry for entry in journal if entry["kind"] == "points" and entry["actor"] == "till"):
        number = str(life.merged.get(one["key"], one["key"]))
        owned = {(store, str(account)) for store, account in life.accounts.get(number, {}).items()}
        if not owned:
            continue
        changes += 1
        later = [
            entry["at"] - one["at"]
            for entry in moved
            if (entry["system"], entry["key"]) in owned
            and entry["at"] >= one["at"]
            and entry["data"]["points"] == one["data"]["points"]
        ]
        delays += later[:1]
    return changes, delays
