"""What happens to gift cards in a day beside the orders that they pay: at the till, and in the store with the cards."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.remote import Remote
from sandbox.shop import Shop
from sandbox.truth import Flow, cents_of

Row = Mapping[str, Any]
STORE = "north"  # It keeps the shop's cards.
PREFIX = "N-"  # Of its documents.
REFUSALS = {404, 409}


@dataclass(slots=True)
class GiftCards:
    """The dice, and the cards that no order of the day pays with."""

    remote: Remote
    shop: Shop
    dice: random.Random
    numbers: list[str] = field(default_factory=list)
    overdrawn: set[str] = field(default_factory=set)  # Cards of which both sides may have spent the same money.

    def open(self) -> None:
        """Find out which cards there are."""
        self.numbers = [one["GFC_NO"] for one in self.shop.till_cards if one["GFC_COD"] == "GC"]

    def step(self) -> None:
        """Let one thing happen to a card."""
        kinds = [(self.till, 6.0), (self.web, 6.0), (self.reload, 1.0), (self.buy, 1.0), (self.void, 0.5)]
        kinds += [(self.both, 0.7)]
        self.dice.choices([one for one, _ in kinds], [weight for _, weight in kinds])[0]()

    def till(self) -> None:
        """Redeem at the till."""
        self._till("redeem", self.dice.choice(self.numbers), amount=self.dice.choice([1, 2.5, 4]))

    def web(self) -> None:
        """Redeem in the store, outside of an order."""
        self._web(self.dice.choice(self.numbers), self.dice.choice([100, 175, 300]))

    def both(self) -> None:
        """Redeem all that is left on both sides at once: somebody has to find out."""
        number = self.dice.choice(self.numbers)
        left = self.remote.state(STORE)["gift_cards"].get(number, {}).get("balance", 0)
        if left:
            self.overdrawn.add(number)
            self.numbers.remove(number)
            self._web(number, left)
            self._till("redeem", number, amount=left / 100)

    def reload(self) -> None:
        """Put money on a card at the till."""
        self._till("reload", self.dice.choice(self.numbers), amount=10)

    def void(self) -> None:
        """Void a card at the till, or make it good again."""
        self._till("void", self.dice.choice(self.numbers), void=self.dice.random() < 0.5)

    def buy(self) -> None:
        """Buy a card in the store."""
        answer = self.remote.post(STORE, "gift-cards/buy", cents=self.dice.choice([2500, 5000]))
        if answer.status_code not in {503, *REFUSALS}:
            answer.raise_for_status()

    def finish(self) -> None:
        """Make every card good again: what waited while it was void is caught up with."""
        for number in self.numbers:
            self._till("void", number, void=False)

    def _till(self, what: str, number: str, **body: Any) -> None:
        answer = self.remote.post("counterpoint", f"gift-cards/{number}/{what}", **body)
        if answer.status_code not in REFUSALS:
            answer.raise_for_status()

    def _web(self, number: str, cents: int) -> None:
        answer = self.remote.post(STORE, "gift-cards/redeem", number=number, cents=cents)
        if answer.status_code not in REFUSALS:
            answer.raise_for_status()


def check_balances(cards: GiftCards, states: Mapping[str, Row], journal: Sequence[Row]) -> Flow:
    """Check that every card has the same on both sides: what till and shoppers left of it, and no money more."""
    flow = Flow("gift card -> other side")
    web, told = states[STORE]["gift_cards"], states["counterpoint"]["cards"]
    started = {one["GFC_NO"]: cents_of(one["ORIG_AMT"]) for one in cards.shop.till_cards}
    spent: dict[str, int] = {}
    for entry in (one for one in journal if one["kind"] == "gift-card"):
        is_till = entry["system"] == "counterpoint"
        is_shopper = entry["system"] == STORE and entry["actor"] == "shopper"
        if is_till or (is_shopper and entry["data"]["reference"].startswith("redeem:")):
            flow.changes += entry["data"]["cents"] != 0
            spent[entry["key"]] = spent.get(entry["key"], 0) + entry["data"]["cents"]
    held = _held_in_orders(states, journal)
    for number, one in sorted(told.items()):
        if one["code"] != "GC":
            flow.wrong += [f"store credit {number} is on the web"] if number in web else []
            continue
        there = web.get(number, {"balance": 0, "is_void": False})
        # An order that has no document, because it waits or is held, has its money in the store alone.
        if (there["balance"] - held.get(number, 0), there["is_void"]) != (one["cents"], one["is_void"]):
            flow.wrong.append(f"gift card {number}: {one} in Counterpoint, {there} in {STORE}")
        if number in cards.overdrawn:
            flow.wrong += [f"gift card {number}: money appeared, {one['cents']}"] if one["cents"] else []
        elif number in started and one["cents"] != started[number] + spent.get(number, 0):
            flow.wrong.append(
                f"gift card {number} has {one['cents']}, expected {started[number] + spent.get(number, 0)}"
            )
    flow.wrong += [f"gift card {number} is on the web alone" for number in sorted(web.keys() - told.keys())]
    return flow


def _held_in_orders(states: Mapping[str, Row], journal: Sequence[Row]) -> dict[str, int]:
    """Give what orders without a document took off each card, below 0."""
    placed = {one["CUST_PO_NO"] for one in states["counterpoint"]["documents"] if one["DOC_TYP"] == "O"}
    held: dict[str, int] = {}
    for entry in (one for one in journal if one["kind"] == "gift-card" and one["system"] == STORE):
        kind, _, rest = entry["data"].get("reference", "").partition(":")
        order = rest.partition(":")[0]
        if kind == "order" and ":card" in rest and f"{PREFIX}{order}" not in placed:
            held[entry["key"]] = held.get(entry["key"], 0) + entry["data"]["cents"]
    return held
