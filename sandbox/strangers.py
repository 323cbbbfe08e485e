"""Orders that must make nobody somebody else, and what must come of them. Knows nothing of the pipeline's rules.

Somebody signed in types another's e-mail at the checkout, or a slip; somebody gives an address that stands for none, or
the one that the till's walk-in has; somebody says no to mail when they sign up, or says nothing.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.day import Day, Person
from sandbox.life import in_store
from sandbox.remote import Remote
from sandbox.shop import WALK_IN_EMAIL
from sandbox.truth import Flow

Row = Mapping[str, Any]
WALK_IN = "CASH"
NOBODYS = "none@none.com"
MAKES_NOBODYS = "north"  # The store whose orders with such an e-mail make a customer of their own; the other asks.


@dataclass(slots=True)
class Strangers:
    """The dice, whom it may touch, and what was done."""

    remote: Remote
    day: Day
    dice: random.Random
    others: list[Person] = field(default_factory=list)  # Customers whose e-mail somebody else may type: they keep it.
    typed: dict[tuple[str, int], str] = field(default_factory=dict)  # Account -> the customer whose e-mail was typed.
    wishes: dict[tuple[str, int], str] = field(default_factory=dict)  # Account -> what its owner said of mail, or "".
    made: int = 0

    def open(self) -> None:
        """Find out whose e-mail may be typed: customers of the point of sale whom nothing else touches."""
        life = self.day.life
        touched = set(life.accounts) | set(life.merged) if life is not None else set()
        self.others = [one for one in self.day.people if one.expect == "document" and one.name not in touched]
        self.day.people = [one for one in self.day.people if one not in self.others[:50]]  # They change no e-mail.
        self.others = self.others[:50]

    def step(self) -> None:
        """Let one thing happen."""
        work = self.dice.choice([self.mistyped, self.mistyped, self.walk_in, self.sign_up])
        work()

    def _somebody(self) -> Person:
        """Return somebody new who is a person."""
        person = self.day.new_person()
        return person if not person.company else self._somebody()

    def _signed_up(self, store: str, person: Person, *, wish: str = "") -> int:
        meta = [{"key": "counterflow_marketing", "value": wish}] if wish else []
        names = {"first_name": person.first_name, "last_name": person.last_name}
        answer = self.remote.post(store, "customers", email=person.email, meta_data=meta, billing=names, **names)
        answer.raise_for_status()
        person.accounts[store] = int(answer.json()["id"])
        self.wishes[store, person.accounts[store]] = wish
        return person.accounts[store]

    def _place(self, store: str, who: Person, **more: Any) -> None:
        body = self.day.basket(who, guest="customer_id" not in more) | more
        answer = self.remote.post(store, "orders", **body)
        if answer.status_code != 409:  # Out of stock.
            answer.raise_for_status()

    def mistyped(self) -> None:
        """Let somebody new sign up, and type another's e-mail at the first checkout, or a slip."""
        store, person = self.dice.choice(self.remote.stores), self._somebody()
        number = self._signed_up(store, person)
        self.made += 1
        if self.dice.random() < 0.6:
            other = self.dice.choice(self.others)
            self.typed[store, number] = other.name
            self._place(store, person, customer_id=number, email=other.email, person=other.name)
        else:
            self._place(store, person, customer_id=number, email=f"slip{self.made}@example.net")

    def walk_in(self) -> None:
        """Let somebody give an address that stands for none, or the one that the till's walk-in has."""
        store, person = self.dice.choice(self.remote.stores), self._somebody()
        self.day.people.remove(person)
        if self.dice.random() < 0.3:
            self._place(store, person, email=WALK_IN_EMAIL, person="walk-in's e-mail")
            return
        is_made = store == MAKES_NOBODYS
        self._place(store, person, email=NOBODYS, expect="document" if is_made else "hold")

    def sign_up(self) -> None:
        """Let somebody sign up who says no to mail, or says nothing, and order."""
        store, person = self.dice.choice(self.remote.stores), self._somebody()
        number = self._signed_up(store, person, wish=self.dice.choice(["no", "no", ""]))
        self._place(store, person, customer_id=number)

    def check(self, states: Mapping[str, Row], journal: Sequence[Row], prefixes: Mapping[str, str]) -> Flow:
        """Check that nobody was taken for somebody else, and that a no is still one."""
        flow = Flow("nobody else")
        merged = self.day.life.merged if self.day.life is not None else {}
        rows = {row["CUST_NO"]: row for row in states["counterpoint"]["customers"]}
        accounts = {
            (store, one["id"]): in_store(one) for store in self.remote.stores for one in states[store]["customers"]
        }
        flow.changes = len(self.typed) + len(self.wishes)
        for place, number in self.typed.items():
            if accounts[place]["pos_id"] in {number, merged.get(number, number)}:
                flow.wrong.append(f"{place} became customer {number}'s, whose e-mail was typed")
        for place, wish in self.wishes.items():
            shown, owner = accounts[place]["marketing"], rows.get(accounts[place]["pos_id"], {})
            if wish in {"no", ""} and (shown == "yes" or owner.get("INCLUDE_IN_MARKETING_MAILOUTS") == "Y"):
                flow.wrong.append(f"{place} said {wish or 'nothing'!r} of mail, and it is yes now")
        flow.wrong += _check_walk_in(states, journal, rows, prefixes)
        return flow


def _check_walk_in(
    states: Mapping[str, Row], journal: Sequence[Row], rows: Mapping[str, Row], prefixes: Mapping[str, str]
) -> list[str]:
    """Check that the walk-in was neither written to nor given a web order."""
    wrong = [
        f"customer {WALK_IN} was written to: {one['data']}"
        for one in journal
        if (one["actor"], one["kind"], one["key"]) == ("api", "customer", WALK_IN)
    ]
    ours = tuple(prefixes.values())
    wrong += [
        f"document {one['CUST_PO_NO']} is the walk-in's"
        for one in states["counterpoint"]["documents"]
        if one["CUST_NO"] == WALK_IN and str(one["CUST_PO_NO"] or "").startswith(ours) and one["DOC_TYP"] == "O"
    ]
    wrong += [
        f"customer {number} has the address {NOBODYS}"
        for number, row in rows.items()
        if str(row["EMAIL_ADRS_1"] or "").lower() == NOBODYS
    ]
    return wrong
