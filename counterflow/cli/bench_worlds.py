"""Random worlds of people, accounts, guests, typed e-mails and merges against the rules of identity.

The world knows who is who. What it checks after each step: nothing but a document, which a typed e-mail may route, ever
reaches somebody else; and nobody in particular is linked to nobody. Beside it, how many of the accounts whose owner has
one customer with the account's e-mail are linked to it, and at how many first links a person was asked.

What the rules cannot tell apart is not in it: two people of one name on one address, an initial that stands for two of
a family, and two of a family whose names are both written the wrong way round (which looks like a marriage).
"""

import random
from collections import Counter
from dataclasses import dataclass, field, replace

from processors.rules.identity import (
    Claim,
    Facts,
    Found,
    Known,
    Match,
    New,
    Same,
    Unclear,
    match_account,
    match_buyer,
    may_link,
)
from processors.rules.names import Name, are_clearly_others
from processors.rules.nobody import Nobody
from sandbox.shop import FIRST, LAST
from schemas.names import CustNo, OurId

STEPS = 40
PEOPLE = 5
NOBODY = Nobody(numbers=frozenset({"CASH"}), emails=frozenset({"@own.example.com"}))
NOBODYS = ("none@none.com", "noemail@example.com", "info@own.example.com")
SLIPS = {"first": 0.03, "initial": 0.05, "married": 0.02, "swapped": 0.02}


class Violation(AssertionError):
    """Something of one person has reached another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Somebody:
    """A person, as they are."""

    who: int
    name: Name
    email: str  # A family may share one.


@dataclass(slots=True, kw_only=True)
class Customer:
    """A record of the point of sale, and whose it is."""

    name: Name
    email: str | None
    owner: int | None  # None: nobody's in particular.


@dataclass(slots=True, kw_only=True)
class Account:
    """A store's account, and whose it is."""

    name: Name
    email: str
    owner: int
    is_apart: bool = False


@dataclass(slots=True, kw_only=True)
class Creation:
    """A customer being created: for whom, under which name; the accounts and orders that wait."""

    name: Name
    owner: int
    accounts: set[int] = field(default_factory=set)


@dataclass(slots=True)
class World:
    """Both sides and what the pipeline knows, for a few people."""

    dice: random.Random
    people: list[Somebody] = field(default_factory=list)
    customers: dict[str, Customer] = field(default_factory=dict)
    accounts: dict[int, Account] = field(default_factory=dict)
    links: dict[int, str] = field(default_factory=dict)  # Account -> customer.
    making: dict[str, Creation] = field(default_factory=dict)  # By e-mail.
    asked: set[int] = field(default_factory=set)  # Accounts.
    counts: Counter[str] = field(default_factory=Counter)
    made: int = 0

    def open(self) -> None:
        """Let there be people: some share an address with their family, all have names of their own."""
        firsts = self.dice.sample([one for one in FIRST if one[0] not in "AE"], PEOPLE)  # An initial stands for one.
        for who, first in enumerate(firsts):
            family = self.dice.choice(self.people) if self.people and self.dice.random() < 0.3 else None
            last = family.name.last if family else self.dice.choice(LAST)
            name = Name(first=first, last=last, phone=f"{who:010}", place=f"{who}oakstreet")
            if family:
                name = replace(name, phone=family.name.phone, place=family.name.place)
            shares = family is not None and self.dice.random() < 0.6
            email = family.email if family and shares else f"{first}{who}@example.com".lower()
            self.people.append(Somebody(who=who, name=name, email=email))
        till = self.dice.choice([*NOBODYS, "till@example.com", None])
        self.customers["CASH"] = Customer(name=Name(first="Walk", last="In"), email=till, owner=None)

    def _written(self, one: Somebody) -> Name:
        """Return a name as somebody writes it: with a slip, an initial, after a marriage, swapped, or bare."""
        name, roll = one.name, self.dice.random()
        if roll < SLIPS["first"] and len(name.first) > 5:
            name = replace(name, first=name.first[:3] + name.first[4:])
        elif roll < SLIPS["initial"]:
            name = replace(name, first=name.first[0])
        elif roll < SLIPS["initial"] + SLIPS["married"]:
            return replace(name, last=self.dice.choice(LAST))
        elif roll < SLIPS["initial"] + SLIPS["married"] + SLIPS["swapped"] and not self._has_family(one):
            name = replace(name, first=name.last, last=name.first)
        return replace(name, phone="", place="") if self.dice.random() < 0.5 else name

    def _has_family(self, one: Somebody) -> bool:
        return sum(other.name.place == one.name.place for other in self.people) > 1

    # What people do.

    def clerk(self) -> None:
        """Let a clerk enter somebody who is in the shop; now and then for a second time."""
        one = self.dice.choice(self.people)
        email = self.dice.choice([one.email, one.email, one.email, None, self.dice.choice(NOBODYS)])
        self._enter(Customer(name=self._written(one), email=email, owner=one.who))

    def sign_up(self) -> None:
        """Let somebody make an account."""
        one = self.dice.choice(self.people)
        email = self.dice.choice([one.email, one.email, f"{one.who}.{self.made}@example.org", NOBODYS[1]])
        if any(each.email == email for each in self.accounts.values()):
            return  # A store lets nobody have a second account under one e-mail (W-21).
        self.made += 1
        self.accounts[self.made] = Account(name=self._written(one), email=email, owner=one.who)
        self._look(self.made)

    def _typed(self, one: Somebody) -> str | None:
        """Return what somebody types at a checkout: their e-mail, a slip, another's, nobody's, or nothing."""
        others = [each.email for each in self.people] + [each.email for each in self.accounts.values()]
        typed = [one.email] * 6 + [self.dice.choice(others), "slip@example.net", self.dice.choice(NOBODYS), None]
        return self.dice.choice(typed)

    def order(self) -> None:
        """Let somebody order, signed in."""
        if self.accounts:
            number = self.dice.choice(sorted(self.accounts))
            self._order(self.people[self.accounts[number].owner], number)

    def guest(self) -> None:
        """Let somebody order as a guest."""
        self._order(self.dice.choice(self.people), None)

    def change_login(self) -> None:
        """Let somebody change the e-mail of an account."""
        if self.accounts:
            number = self.dice.choice(sorted(self.accounts))
            self.made += 1
            self.accounts[number].email = f"new{self.made}@example.org"
            self._look(number)

    def change_at_till(self) -> None:
        """Let a clerk correct somebody's e-mail."""
        numbers = [one for one, record in self.customers.items() if record.owner is not None]
        if numbers:
            number = self.dice.choice(numbers)
            owner = self.customers[number].owner
            assert owner is not None
            self.customers[number].email = self.people[owner].email
            self._look_all()

    def merge(self) -> None:
        """Let staff merge two records of one person."""
        owners = Counter(one.owner for one in self.customers.values() if one.owner is not None)
        twice = sorted(owner for owner, count in owners.items() if count > 1)
        if not twice:
            return
        owner = self.dice.choice(twice)
        numbers = sorted(number for number, one in self.customers.items() if one.owner == owner)
        gone, stays = self.dice.sample(numbers, 2)
        del self.customers[gone]
        self.links = {account: stays if at == gone else at for account, at in self.links.items()}
        self._look_all()

    def create(self) -> None:
        """Let a creation be carried out: found, where exactly one has the e-mail by then, or else made."""
        if not self.making:
            return
        email = self.dice.choice(sorted(self.making))
        creation, known = self.making[email], self._known(email)
        if len(known) > 1:
            return  # Held: a person says.
        del self.making[email]
        number = str(known[0].cust_no) if known else ""
        if not known:
            number = self._enter(Customer(name=creation.name, email=email, owner=creation.owner))
        for account in sorted(creation.accounts):
            if known and are_clearly_others(self.accounts[account].name, self.customers[number].name):
                self._ask(account)
            else:
                self._link(account, number)
        self._look_all()

    def answer(self) -> None:
        """Let a person who knows say whose an account is."""
        if self.asked:
            account = self.dice.choice(sorted(self.asked))
            self.asked.discard(account)
            owned = [
                record for record in self._known(self.accounts[account].email) if self._is(account, record.cust_no)
            ]
            if owned:
                self._link(account, str(owned[0].cust_no))
            else:
                self.accounts[account].is_apart = True

    # What the pipeline does, by the rules.

    def _known(self, email: str | None) -> list[Known]:
        """Return who is known by an e-mail: nobody in particular is known by none."""
        if NOBODY.has_email(email):
            return []
        return [
            Known(cust_no=CustNo(number), email=email or "", is_ecommerce=True, name=one.name)
            for number, one in sorted(self.customers.items())
            if one.email == email and email and number not in NOBODY.numbers
        ]

    def _claim(self, email: str | None, name: Name) -> Claim:
        is_nobodys, making = NOBODY.has_email(email), self.making.get(email or "")
        return Claim(
            email=email,
            is_nobodys=is_nobodys,
            name=name,
            known=self._known(email),
            under_way=OurId(email or "") if making else None,
            under_way_as=making.name if making else Name(),
        )

    def _look(self, number: int) -> None:
        """Look whose an account is that was read."""
        one = self.accounts[number]
        if number in self.links:
            return
        match = match_account(Facts(account=self._claim(one.email, one.name), is_apart=one.is_apart))
        if isinstance(match, Found) and may_link(match.key):
            self._link(number, str(match.cust_no))
        elif isinstance(match, Found | Unclear) and not one.is_apart:
            self._ask(number)

    def _look_all(self) -> None:
        for number in sorted(self.accounts):
            self._look(number)

    def _order(self, one: Somebody, number: int | None) -> None:
        """Decide whose an order is, and what may follow from it."""
        account = self.accounts.get(number) if number is not None else None
        typed = self._claim(self._typed(one), self._written(one))
        facts = Facts(
            linked=OurId(self.links[number]) if number in self.links and number is not None else None,
            account=self._claim(account.email, account.name) if account else None,
            is_apart=account.is_apart if account else False,
            makes_nobodys=self.dice.random() < 0.5,
            typed=typed,
        )
        self._follow(match_buyer(facts), one, number, typed)

    def _follow(self, match: Match, one: Somebody, number: int | None, typed: Claim) -> None:
        match match:
            case Same(our_id, key) if key != "link":
                if number is not None and may_link(key):
                    self.making[our_id].accounts.add(number)
            case Found(cust_no, key):
                self._document(str(cust_no), one, is_typed=not may_link(key))
                if number is not None and may_link(key):
                    self._link(number, str(cust_no))
            case New(email, key) if email is not None:
                own = {number} if number is not None and may_link(key) else set()
                self.making[email] = Creation(name=self._written(one), owner=one.who, accounts=own)
            case Same(our_id, _):
                self._document(our_id, one, is_typed=False)
            case _:
                self.counts["orders asked about"] += 1

    def _document(self, number: str, one: Somebody, *, is_typed: bool) -> None:
        """Place a document: only a typed e-mail may route it to somebody else, and never to nobody."""
        self.counts["documents"] += 1
        owner = self.customers[number].owner
        if owner is None:
            raise Violation("a document went to nobody in particular")
        if owner != one.who:
            self.counts["documents routed to another by what was typed"] += 1
            if not is_typed:
                raise Violation("a document went to another, and nobody had typed that")

    def _link(self, number: int, cust_no: str) -> None:
        """Link an account: over it flows everything, so it must be its owner's."""
        if number in self.links:
            return
        self.links[number] = cust_no
        self.counts["links"] += 1
        self.asked.discard(number)
        if not self._is(number, cust_no):
            raise Violation(f"account {self.accounts[number]} was linked to {self.customers[cust_no]}")

    def _is(self, number: int, cust_no: str) -> bool:
        return self.accounts[number].owner == self.customers[cust_no].owner

    def _ask(self, number: int) -> None:
        if number not in self.asked:
            self.asked.add(number)
            self.counts["accounts asked about"] += 1

    def _enter(self, record: Customer) -> str:
        self.made += 1
        number = f"C-{self.made}"
        self.customers[number] = record
        self._look_all()
        return number

    def count(self) -> None:
        """Count the true pairs: an account, and the one customer who has its e-mail and is its owner's."""
        for number, account in self.accounts.items():
            known = self._known(account.email)
            if len(known) == 1 and self._is(number, known[0].cust_no):
                self.counts["true pairs"] += 1
                self.counts["true pairs linked"] += number in self.links
                self.counts["true pairs asked about"] += number in self.asked


def play(seed: int) -> Counter[str]:
    """Play one world. Raises Violation where something of one person reaches another."""
    world = World(random.Random(seed))
    world.open()
    kinds = [(world.clerk, 5), (world.sign_up, 5), (world.order, 8), (world.guest, 4), (world.create, 4)]
    kinds += [(world.change_login, 1), (world.change_at_till, 1), (world.merge, 1), (world.answer, 2)]
    steps, weights = [one for one, _ in kinds], [weight for _, weight in kinds]
    for _ in range(STEPS):
        world.dice.choices(steps, weights)[0]()
    while world.making:
        before = len(world.making)
        for _ in range(before):
            world.create()
        if len(world.making) == before:
            break  # Held: several have the e-mail by now.
    world.count()
    return world.counts
