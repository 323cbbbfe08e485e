"""A random day in the shop, from a seed: shoppers in two stores, the till, staff, and things that break.

Every order says in the journal who placed it and whether a document or a hold is expected: the truth that
`sandbox/truth.py` compares with.
"""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.gift_cards import GiftCards
from sandbox.life import Life
from sandbox.points import Points
from sandbox.remote import Remote
from sandbox.shop import CARD_CENTS, FIRST, LAST, TRADES, Shop

# State and county, as the shop's file names them; a fee below 0 is a discount on the whole order.
TAXES: list[dict[str, float]] = [{}, {"US-TAX-1": 8.25}, {"US-STATE-1": 6.25, "US-COUNTY-2": 1.5}]
FEES = [[{"name": "Gift wrap", "cents": 350}], [{"name": "Loyalty", "cents": -137}]]
FEES.append([*FEES[0], *FEES[1]])
COMPANIES_EVERY = 15  # One in so many who were not known before orders for a company.
KNOWN_S = 20.0  # An e-mail that is changed before anybody can have read the account tells nobody whose it is.
STAFF_S = 15.0  # A document that is voided before anybody can have read it says nothing to a replay.
POINTS_SHARE = 0.3  # How often points move, for each thing that happens in the shop.
CARDS_SHARE = 0.1  # How often something happens to a gift card.
BESIDE_SHARE = 0.06  # How often somebody orders in an odd way, for each thing that happens in the shop.
LIFE_SHARE = 0.12  # How often something happens to a profile, for each thing that happens in the shop.


@dataclass(slots=True)
class Person:
    """Somebody who orders. `email` changes when he changes it; `first_email` is the one he was first known by."""

    name: str
    first_email: str
    email: str
    first_name: str
    last_name: str
    company: str = ""  # Then nobody's name is given.
    expect: str = "document"  # "hold" where his e-mail belongs to several customers, or he gives none.
    accounts: dict[str, int] = field(default_factory=dict)  # Store -> customer id, once he has ordered there.
    only: str = ""  # The one store he orders in from now on, signed in; "" for any.
    # Store -> when his account first paid for an order: there he is known by it.
    paid: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Day:
    """The day's dice and people."""

    remote: Remote
    shop: Shop
    dice: random.Random
    prefixes: Mapping[str, str]  # What each store's documents carry before the order's id.
    life: Life | None = None  # What happens to profiles beside the orders; None: nothing.
    points: Points | None = None  # What happens to points; None: nothing.
    gift_cards: GiftCards | None = None  # What happens to gift cards beside the orders; None: nothing.
    beside: Callable[[], None] | None = None  # What else happens now and then; None: nothing.
    people: list[Person] = field(default_factory=list)
    waiting: list[tuple[str, int]] = field(default_factory=list)  # Orders that are not paid yet.
    placed: list[tuple[str, int]] = field(default_factory=list)  # Orders that were paid.
    cancelled: list[tuple[str, int]] = field(default_factory=list)  # Of those, whose document staff must void.
    shipping: list[tuple[str, int]] = field(default_factory=list)  # Of those, of which something has left.
    sold: dict[tuple[str, int], list[dict[str, Any]]] = field(default_factory=dict)  # Orders that were paid: lines.
    carded: set[tuple[str, int]] = field(default_factory=set)  # Of those, which a gift card paid a part of.
    cards: dict[str, int] = field(default_factory=dict)  # Gift cards, and the cents that may still be on them.
    made: int = 0
    born: int = 0  # People who were not known before.

    def open(self) -> None:
        """Find out who may come: customers of the shop, people with accounts, families on one address."""
        emails: dict[str, list[dict[str, Any]]] = {}
        for row in self.shop.customers:
            if row["EMAIL_ADRS_1"]:
                emails.setdefault(row["EMAIL_ADRS_1"].lower(), []).append(row)
        for email, rows in sorted(emails.items()):
            if email.startswith("noemail@"):
                continue  # It stands for none: see `strangers`.
            expect = "document" if len(rows) == 1 else "hold"
            name = rows[0]["CUST_NO"] if len(rows) == 1 else email
            first, last = rows[0]["FST_NAM"] or "", rows[0]["LST_NAM"] or ""
            company = rows[0]["NAM"] if rows[0]["CUST_NAM_TYP"] == "B" else ""
            self.people.append(Person(name, email, email, first, last, company, expect))
        self.born = len(self.people)
        self.cards = {one["GFC_NO"]: CARD_CENTS for one in self.shop.gift_cards}

    def step(self) -> None:
        """Let one thing happen."""
        kinds: list[tuple[Callable[[], None], int]] = [
            (self.sale, 30),
            (self.receipt, 8),
            (self.adjustment, 5),
            (self.order, 32),
            (self.twin_orders, 4),
            (self.unpaid_order, 4),
            (self.settle_unpaid, 6),
            (self.change_email, 3),
            (self.odd_order, 4),
            (self.cancel, 4),
            (self.void, 4),
            (self.release, 8),
            (self.ship_there, 1),
            (self.refund, 3),
            (self.till_return, 3),
        ]
        work = self.dice.choices([one for one, _ in kinds], [weight for _, weight in kinds])[0]
        work()
        self.made += 1
        if self.life is not None and self.life.dice.random() < LIFE_SHARE:
            self.life.step()
            self.people = [one for one in self.people if one.name not in self.life.quiet]
        if self.points is not None and self.points.dice.random() < POINTS_SHARE:
            self.points.step()
        if self.gift_cards is not None and self.gift_cards.dice.random() < CARDS_SHARE:
            self.gift_cards.step()
        if self.beside is not None and self.dice.random() < BESIDE_SHARE:
            self.beside()

    def sale(self) -> None:
        """Sell one to three of an item at the till."""
        self._counterpoint("sales", item_no=self._item(), quantity=self.dice.randint(1, 3))

    def receipt(self) -> None:
        """Receive goods."""
        self._counterpoint("receipts", item_no=self._item(), quantity=self.dice.randint(1, 20))

    def adjustment(self) -> None:
        """Correct what the shelf holds, up or down."""
        self._counterpoint("adjustments", item_no=self._item(), quantity=self.dice.choice([-2, -1, 1, 2]))

    def order(self) -> None:
        """Place an order, in either store, as somebody known or new, signed in or as a guest."""
        self._place(self._store(), self._person())

    def twin_orders(self) -> None:
        """Let a new person place the first orders in both stores at the same moment."""
        person = self.new_person()
        for store in self.remote.stores:
            self._place(store, person)

    def unpaid_order(self) -> None:
        """Place an order that is paid, or given up, later."""
        person = self._person()
        store = person.only or self._store()
        number = self._place(store, person, status=self.dice.choice(["pending", "on-hold"]))
        if number:
            self.waiting.append((store, number))

    def settle_unpaid(self) -> None:
        """Pay an unpaid order, or cancel it."""
        if self.waiting:
            store, number = self.waiting.pop(self.dice.randrange(len(self.waiting)))
            status = self.dice.choice(["processing", "processing", "cancelled"])
            self.remote.post(store, f"orders/{number}/status", status=status)

    def cancel(self) -> None:
        """Cancel an order that was paid: by now its document is there, on its way, or never comes."""
        if self.placed:
            store, number = self.placed.pop(self.dice.randrange(len(self.placed)))
            self.remote.post(store, f"orders/{number}/status", status="cancelled").raise_for_status()
            self.cancelled.append((store, number))

    def void(self) -> None:
        """Let staff void the document of a cancelled order, as they are asked to, if it is there."""
        if self.cancelled:
            store, number = self.cancelled.pop(0)
            if not self._void(store, number, of_age_s=STAFF_S):
                self.cancelled.append((store, number))

    def release(self) -> None:
        """Let staff release an order, whole or a part of it, with or without a tracking number."""
        known = self.shipping or self.placed if self.dice.random() < 0.4 else self.placed or self.shipping
        if not known:
            return
        store, number = known[self.dice.randrange(len(known))]
        tracking = [f"1Z{self.dice.randrange(10**9):09d}"] if self.dice.random() < 0.7 else []
        path = f"documents/{self.prefixes[store]}{number}/release"
        part = self.dice.random() < 0.4
        answer = self.remote.post("counterpoint", path, of_age_s=STAFF_S, part=part, tracking=tracking)
        if answer.status_code != 404:  # Not there yet, or nothing is left of it.
            answer.raise_for_status()
            if known is self.placed:
                self.placed.remove((store, number))
                self.shipping.append((store, number))
        elif known is self.shipping:
            self.shipping.remove((store, number))

    def ship_there(self) -> None:
        """Let the store's own staff ship an order: Counterpoint's release it later, as they are asked to."""
        if self.placed:
            store, number = self.placed.pop(self.dice.randrange(len(self.placed)))
            body: dict[str, Any] = {"status": "completed"}
            if self.dice.random() < 0.5:  # By a shipping service, which says under which number.
                body["tracking"] = [f"9400{self.dice.randrange(10**12):012d}"]
            self.remote.post(store, f"orders/{number}/status", **body).raise_for_status()
            self.shipping.append((store, number))

    def refund(self) -> None:
        """Let a store's staff give back a piece of a paid order, or some cents for a complaint."""
        known = [one for one in (*self.placed, *self.shipping) if one in self.sold]
        if not known:
            return
        store, number = self.dice.choice(known)
        line = self.dice.choice(self.sold.pop((store, number)))
        body: dict[str, Any] = {"goodwill_cents": self.dice.choice([0, 150, 275])}
        if line["quantity"] > 1 or not body["goodwill_cents"]:
            body |= {"sku": line["sku"], "quantity": 1}
        if (store, number) in self.placed:  # It is not cancelled any more; what is left of it is shipped.
            self.placed.remove((store, number))
            self.shipping.append((store, number))
        answer = self.remote.post(store, f"orders/{number}/refunds", **body)
        if answer.status_code != 500:  # More than is left to give back: a gift card paid the rest.
            answer.raise_for_status()

    def till_return(self) -> None:
        """Take a piece of a web order back at the till; nobody in the store is told."""
        known = [one for one in self.shipping if one in self.sold and one not in self.carded]
        if not known:
            return
        store, number = self.dice.choice(known)
        line = self.dice.choice(self.sold[(store, number)])
        body = {"lines": [[line["sku"], 1, 0]], "pay_code": "CASH", "store": "MAIN"}
        answer = self.remote.post("counterpoint", f"documents/{self.prefixes[store]}{number}/return", **body)
        if answer.status_code != 404:  # Its document is not there yet.
            answer.raise_for_status()
            del self.sold[(store, number)]

    def finish(self) -> None:
        """Void the documents of cancelled orders that are still there; what was never placed is not."""
        self.cancelled = [(store, number) for store, number in self.cancelled if not self._void(store, number)]

    def _void(self, store: str, number: int, *, of_age_s: float = 0.0) -> bool:
        path = f"documents/{self.prefixes[store]}{number}/void"
        answer = self.remote.post("counterpoint", path, of_age_s=of_age_s)
        if answer.status_code == 404:
            return False
        answer.raise_for_status()
        return True

    def change_email(self) -> None:
        """Let somebody change the e-mail of an account he has ordered with, and order again with it."""
        before = time.monotonic() - KNOWN_S
        known = [
            (one, store)
            for one in self.people
            if one.expect == "document"
            for store, since in sorted(one.paid.items())
            if since < before
        ]
        if not known:
            return
        person, store = self.dice.choice(known)
        # Cut at a dot it would be no address: none ends with one before the "@".
        new = f"new{self.made}.{person.first_email.replace('@', '.at.')[:20].rstrip('.')}@example.org"
        self.remote.put(store, f"customers/{person.accounts[store]}", email=new)
        self._place(store, person, account=person.accounts[store], email=new)
        # The new address reaches Counterpoint and the other store in a while: until then nobody there can know a guest,
        # or a new account, by it; and after that nobody by the old one.
        person.email, person.only = new, store

    def odd_order(self) -> None:
        """Place an order that must be held: an item that is gone, no e-mail, a sum that is not one."""
        store, kind = self._store(), self.dice.choice(["unknown item", "no e-mail", "wrong sum"])
        person = self.new_person()
        if kind == "unknown item":
            lines = [{"sku": f"GONE{self.made}", "quantity": 1, "price": "9.99"}]
            self._place(store, person, expect="hold", lines=lines)
        elif kind == "no e-mail":
            person.email, person.expect = "", "hold"  # Whenever he comes again, too.
            self._place(store, person, expect="hold", guest=True)
        else:
            self._place(store, person, expect="hold", tamper={"total": "1234.56"})

    def _place(self, store: str, person: Person, *, account: int | None = None, **more: Any) -> int | None:
        """Check out; gives the order's id, None where the store refused for want of stock."""
        if person.only and account is None:
            store, account = person.only, person.accounts[person.only]
        guest = more.pop("guest", account is None and self.dice.random() < 0.3)
        body = self.basket(person, guest=guest) | more
        if "tamper" not in more and self.dice.random() < 0.15:
            body["gift_cards"] = [self._gift_card()]
        if account is not None or (not guest and store in person.accounts):
            body["customer_id"] = account or person.accounts[store]
        answer = self.remote.post(store, "orders", **body)
        if answer.status_code != 201:
            return None
        made = answer.json()
        becomes_document = made["status"] == "processing" and body["expect"] == "document" == person.expect
        if made["customer_id"]:
            person.accounts[store] = made["customer_id"]
        if becomes_document:
            self.placed.append((store, int(made["id"])))
            self.sold[(store, int(made["id"]))] = body["lines"]
            self.carded |= {(store, int(made["id"]))} if body.get("gift_cards") else set()
            if made["customer_id"]:
                person.paid.setdefault(store, time.monotonic())
        return int(made["id"])

    def basket(self, person: Person, *, guest: bool) -> dict[str, Any]:
        """Fill a basket, and say who is at the checkout."""
        body: dict[str, Any] = {
            "person": person.name,
            "expect": person.expect,
            "lines": [
                {"sku": self._item(), "quantity": self.dice.randint(1, 3)}
                for _ in range(self.dice.choice([1, 1, 2, 3]))
            ],
            "email": person.email,
            "first_name": person.first_name,
            "last_name": person.last_name,
            "guest": guest,
            "payment_method": self.dice.choice(["stripe", "cod", "paypal"]),
            "shipping_cents": self.dice.choice([0, 599, 1250]),
            "taxes": self.dice.choice(TAXES),
        }
        if person.company:
            body["address"] = {"company": person.company}
        if self.dice.random() < 0.25:
            body["fees"] = self.dice.choice(FEES)
        if self.dice.random() < 0.2:
            body["coupon"] = "save10"
        return body

    def _gift_card(self) -> dict[str, Any]:
        """Pick a gift card for a part of an order; one that is given up later has been lowered here all the same."""
        code = self.dice.choice(sorted(self.cards))
        cents = min(self.cards[code], self.dice.choice([500, 1000, 2500]))
        self.cards[code] -= cents
        return {"code": code, "cents": cents}

    def _person(self) -> Person:
        roll = self.dice.random()
        if roll < 0.35:
            return self.new_person()
        if roll < 0.4:
            held = [one for one in self.people if one.expect == "hold"]
            return self.dice.choice(held) if held else self.new_person()
        return self.dice.choice([one for one in self.people if one.expect == "document"])

    def new_person(self) -> Person:
        number = self.born
        self.born += 1
        first, last = self.dice.choice(FIRST), self.dice.choice(LAST)
        email = f"{first}.{last}.new{number}@example.net".lower()
        person = Person(f"new{number}", email, email, first, last)
        if number % COMPANIES_EVERY == 0:
            person.company = f"{last} {TRADES[number % len(TRADES)]} LLC"
            person.first_name = person.last_name = ""
        self.people.append(person)
        return person

    def _item(self) -> str:
        """Pick an item for the web; some sell much better than others, so that stores compete for them."""
        rows = [one for one in self.shop.items if one["IS_ECOMM_ITEM"] == "Y"]
        return str(rows[int(self.dice.random() ** 2 * len(rows))]["ITEM_NO"])

    def _store(self) -> str:
        return self.dice.choice(self.remote.stores)

    def _counterpoint(self, path: str, **body: Any) -> None:
        self.remote.post("counterpoint", path, **body).raise_for_status()
