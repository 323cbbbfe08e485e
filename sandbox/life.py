"""What customers do with their profiles, and staff with theirs, beside the orders; and what must come of it.

Whom this touches is edited once and never again, so that it is certain which edit was the last one.
"""

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.remote import Remote
from sandbox.shop import LAST, Shop

APART_S = 2.2  # Two edits of one field on two sides: the stores' dates are whole seconds.
FIELDS = ("phone", "last_name", "billing", "marketing", "group")


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit of one field."""

    cust_no: str
    field: str
    side: str  # "counterpoint", or the store.
    value: str
    at: float


@dataclass(slots=True)
class Life:
    """The dice, whom it may touch, and what was done."""

    remote: Remote
    shop: Shop
    dice: random.Random
    accounts: dict[str, dict[str, int]] = field(default_factory=dict)  # CUST_NO -> store -> account.
    follows: frozenset[str] = frozenset()  # The stores whose logins follow Counterpoint's e-mail.
    free: list[str] = field(default_factory=list)  # CUST_NOs that nothing was done to yet.
    edits: list[Edit] = field(default_factory=list)
    conflicts: set[str] = field(default_factory=set)  # Whose group a person must choose.
    merged: dict[str, str] = field(default_factory=dict)
    deleted: set[tuple[str, int]] = field(default_factory=set)
    quiet: set[str] = field(default_factory=set)  # CUST_NOs who order nothing any more: merged, or without an account.
    later: list[tuple[float, Edit]] = field(default_factory=list)

    def open(self) -> None:
        """Find out who has accounts: exactly one customer has the account's e-mail."""
        numbers: dict[str, list[str]] = {}
        for row in self.shop.customers:
            if row["EMAIL_ADRS_1"]:
                numbers.setdefault(row["EMAIL_ADRS_1"].lower(), []).append(row["CUST_NO"])
        for store in self.remote.stores:
            for one in self.remote.state(store)["customers"]:
                found = numbers.get(one["email"].lower(), [])
                if len(found) == 1:
                    self.accounts.setdefault(found[0], {})[store] = one["id"]
        self.free = sorted(self.accounts)
        self.dice.shuffle(self.free)

    def step(self) -> None:
        """Let one thing happen, and what was to come a little later."""
        due = [one for at, one in self.later if at <= time.time()]
        self.later = [(at, one) for at, one in self.later if at > time.time()]
        for one in due:
            self._edit(one.cust_no, one.side, one.field, one.value)
        if len(self.free) < 2:
            return
        kinds = [(self.one_side, 10), (self.both_sides, 4), (self.two_fields, 3), (self.group_conflict, 1)]
        kinds += [(self.merge, 2), (self.delete_account, 1), (self.sign_up, 2)]
        self.dice.choices([one for one, _ in kinds], [weight for _, weight in kinds])[0]()

    def finish(self) -> None:
        """Do at once what was to come later."""
        while self.later:
            time.sleep(max(0.0, min(at for at, _ in self.later) - time.time()))
            due, self.later = self.later, []
            for at, one in due:
                if at > time.time():
                    self.later.append((at, one))
                else:
                    self._edit(one.cust_no, one.side, one.field, one.value)

    def one_side(self) -> None:
        """Edit one field on one side."""
        number = self.free.pop()
        self._edit(number, self._side(number), self.dice.choice(FIELDS))

    def both_sides(self) -> None:
        """Edit the same field on both sides, one after the other: the second wins."""
        number, name = self.free.pop(), self.dice.choice(FIELDS[:4])
        sides = ["counterpoint", self._store(number)]
        self.dice.shuffle(sides)
        self._edit(number, sides[0], name)
        self.later.append((time.time() + APART_S, Edit(number, name, sides[1], self._value(name), 0.0)))

    def two_fields(self) -> None:
        """Edit different fields on both sides at once: both count."""
        number = self.free.pop()
        one, other = self.dice.sample(FIELDS[:4], 2)
        self._edit(number, "counterpoint", one)
        self._edit(number, self._store(number), other)

    def group_conflict(self) -> None:
        """Put somebody into two different groups at once: nobody's group is changed before a person chooses."""
        number = self.free.pop()
        if len(self.accounts[number]) == 1:  # With two accounts the other one's group goes with the point of sale's.
            self.conflicts.add(number)
            one, other = self.dice.sample(["RETAIL", "WHOLESALE", "VIP"], 2)
            self._edit(number, "counterpoint", "group", one)
            self._edit(number, self._store(number), "group", other)

    def merge(self) -> None:
        """Let staff merge two records of one name, as Counterpoint wants it."""
        # With points to add up: a merge of which no trace is left is for a person to see, and so is one of other names.
        free = self.free[::-1]
        pairs = ((one, self.namesake(one, free)) for one in free if self._points(one))
        gone, stays = next(((one, other) for one, other in pairs if other), ("", ""))
        if not gone:
            return
        self.free.remove(gone)
        self.free.remove(stays)
        self.remote.post("counterpoint", "merges", gone=gone, stays=stays).raise_for_status()
        self.merged[gone] = stays
        self.quiet |= {gone, stays}

    def delete_account(self) -> None:
        """Let somebody's account be deleted in a store: it must not come back."""
        number = self.free.pop()
        store = self._store(number)
        self.remote.delete(store, f"customers/{self.accounts[number][store]}").raise_for_status()
        self.deleted.add((store, self.accounts[number][store]))
        self.quiet.add(number)

    def sign_up(self) -> None:
        """Let somebody sign up in a store without an order: a stranger, or a customer of the shop."""
        store = self.dice.choice(self.remote.stores)
        email = f"signed.up{len(self.edits)}.{self.dice.randrange(10**6)}@example.net"
        self.remote.post(store, "customers", email=email, first_name="Sara", last_name="Signup").raise_for_status()

    def namesake(self, number: str, among: Sequence[str]) -> str:
        """Return the first other customer of the same name; "" where there is none."""
        names = {row["CUST_NO"]: (row["FST_NAM"], row["LST_NAM"], row["CUST_NAM_TYP"]) for row in self.shop.customers}
        own = names[number]
        return next((one for one in among if one != number and names[one] == own and own[2] != "B"), "")

    def _points(self, number: str) -> int:
        return next(int(row["LOY_PTS_BAL"]) for row in self.shop.customers if row["CUST_NO"] == number)

    def _side(self, number: str) -> str:
        return self.dice.choice(["counterpoint", self._store(number)])

    def _store(self, number: str) -> str:
        return self.dice.choice(sorted(self.accounts[number]))

    def _value(self, name: str) -> str:
        dice = self.dice
        return {
            "phone": f"212-555-{dice.randint(1000, 9999)}",
            "last_name": f"{dice.choice(LAST)}-{dice.choice(LAST)}"[:25],
            "billing": f"{dice.randint(1, 999)} {dice.choice(LAST)} Road",
            "marketing": dice.choice(["yes", "no"]),
            "group": dice.choice(["RETAIL", "WHOLESALE", "VIP"]),
        }[name]

    def _edit(self, number: str, side: str, name: str, value: str | None = None) -> None:
        value = self._value(name) if value is None else value
        if side == "counterpoint":
            answer = self.remote.put(side, f"customers/{number}", **_columns(name, value))
        else:
            answer = self.remote.put(side, f"customers/{self.accounts[number][side]}", **_fields(name, value))
        answer.raise_for_status()
        if answer.json()["changed"]:  # What was typed over the same value is no edit: nobody can see it.
            self.edits.append(Edit(number, name, side, value, time.time()))


def _columns(name: str, value: str) -> dict[str, Any]:
    """Give the columns of AR_CUST that a clerk changes."""
    columns: dict[str, dict[str, Any]] = {
        "phone": {"PHONE_1": value},
        "last_name": {"LST_NAM": value},
        "billing": {"ADRS_1": value, "CITY": "Salem", "STATE": "MA", "ZIP_COD": "01970", "CNTRY": "US"},
        "marketing": {"INCLUDE_IN_MARKETING_MAILOUTS": {"yes": "Y", "no": "N"}.get(value)},
        "group": {"CATEG_COD": value},
    }
    return columns[name]


def _fields(name: str, value: str) -> dict[str, Any]:
    """Give the fields of an account that its owner, or the back office, changes."""
    place = {"city": "Salem", "state": "MA", "postcode": "01970", "country": "US"}
    fields: dict[str, dict[str, Any]] = {
        "phone": {"billing": {"phone": value}},
        "last_name": {"last_name": value},
        "billing": {"billing": {"address_1": value, **place}},
        "marketing": {"meta_data": [{"key": "counterflow_marketing", "value": value}]},
        "group": {"meta_data": [{"key": "counterflow_group", "value": value}]},
    }
    return fields[name]


def in_counterpoint(row: Mapping[str, Any]) -> dict[str, str]:
    """Give a customer's fields as Counterpoint has them, in plain words."""
    lines = [str(row[name] or "") for name in ("ADRS_1", "ADRS_2", "CITY", "STATE", "ZIP_COD", "CNTRY")]
    return {
        "email": (row["EMAIL_ADRS_1"] or "").lower(),
        "first_name": row["FST_NAM"] or "",
        "last_name": row["LST_NAM"] or "",
        "phone": _digits(row["PHONE_1"]),
        "billing": ", ".join(lines),
        "marketing": {"Y": "yes", "N": "no"}.get(row["INCLUDE_IN_MARKETING_MAILOUTS"] or "", ""),
        "group": row["CATEG_COD"] or "",
    }


def in_store(row: Mapping[str, Any]) -> dict[str, str]:
    """Give an account's fields as its store has them, in plain words."""
    billing, meta = row["billing"], {one["key"]: one["value"] for one in row["meta_data"]}
    lines = [billing.get(name) or "" for name in ("address_1", "address_2", "city", "state", "postcode", "country")]
    return {
        "email": row["email"].lower(),
        "first_name": row["first_name"],
        "last_name": row["last_name"],
        "phone": _digits(billing.get("phone")),
        "billing": ", ".join(lines),
        "marketing": str(meta.get("counterflow_marketing", "")),
        "group": str(meta.get("counterflow_group", "")),
        "pos_id": str(meta.get("counterpoint_cust_no", "")),
    }


def _digits(text: str | None) -> str:
    return "".join(one for one in text or "" if one.isdigit())[-10:]
