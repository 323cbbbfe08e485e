"""What flows need to know of the shop, and the state that one batch works in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection

from counterflow.state import reviews
from processors.books import Ledger
from processors.rules.documents import Site
from processors.rules.matching import Scale
from processors.rules.nobody import Nobody
from processors.rules.profiles import Abilities
from processors.rules.qualification import Terms
from schemas.names import COUNTERPOINT, GIFT_CARDS, POINTS, OurId
from schemas.places import HOME
from schemas.profiles import FIELDS
from schemas.records import Customer, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelves:
    """What one store may sell from."""

    locations: tuple[str, ...]
    buffer: int
    buffers: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Customers:
    """How one store's accounts and the customers of the point of sale are kept the same (req-C1 to C11)."""

    create: Literal["never", "after_order", "at_once"] = "never"  # Of those whom the point of sale alone has.
    adopt: Literal["by_hand", "after_purchase", "at_once"] = "after_purchase"  # Of those whom the store alone has.
    matches: Literal["create", "hold"] = "create"  # What to do about somebody who may be known already.
    fields: tuple[str, ...] = FIELDS  # What is kept the same.
    other_names: Literal["ask", "link"] = "ask"  # At a first link of two whose names are clearly other people's.
    login_email: Literal["leave", "follow"] = "leave"  # Whether an account's login follows the point of sale's e-mail.
    terms: Terms = field(default_factory=Terms)
    per_hour: int = 60
    per_day: int = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Loyalty:
    """How one store's points and the point of sale's are kept the same (req-L1 to L5)."""

    first: Literal["ask", "keep_pos", "keep_web", "add"] = "ask"  # Of somebody who has points on both sides at first.
    rate: Fraction = Fraction(1)  # So many of the store's points are one of the till's (loyalty-R13).


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """The shop's settings, as the rules want them."""

    sites: Mapping[str, Site]
    shelves: Mapping[str, Shelves]
    orders_commit_stock: bool
    lease: timedelta
    drift: timedelta
    customers: Mapping[str, Customers] = field(default_factory=dict)  # By store; one that is not here is left alone.
    abilities: Mapping[str, Abilities] = field(default_factory=dict)  # By system.
    loyalty: Mapping[str, Loyalty] = field(default_factory=dict)  # By store; one that is not here is left alone.
    cards_at: str = ""  # The store that keeps the gift cards; "": none does.
    cards_redeem: bool = False  # The point of sale's cards go up, and are redeemed there.
    cards_buy: bool = False  # Cards bought there are asked for at the point of sale.
    kept_by: Literal["oldest", "newest"] = "oldest"  # Which of a customer's accounts keeps his points (loyalty-R9).
    unexplained_max: int = 0  # A balance that nothing explains is asked about where it is larger.
    merge_wait: timedelta = timedelta(seconds=120)  # How long a merge's traces may take to show.
    home: str = HOME  # Its own country: what a phone without a prefix and an address without a country mean.
    pos: str = COUNTERPOINT  # Of the pairs of customers: a pair of two stores names one of them.
    nobody: Nobody = field(default_factory=Nobody)  # Who is nobody in particular.

    def marked(self, system: str, body: Record | None) -> Record | None:
        """Return a record with the mark of being nobody in particular, where its number says so."""
        if isinstance(body, Customer) and system == self.pos and body.key in self.nobody.numbers:
            return msgspec.structs.replace(body, is_nobody=True)
        return body

    def is_nobody(self, customer: Customer) -> bool:
        """Return whether a customer of the point of sale is nobody in particular, also where they were read before."""
        return customer.is_nobody or customer.key in self.nobody.numbers

    def email_of(self, body: Record | None) -> str | None:
        """Return the e-mail by which a record's owner may be known; None for nobody's."""
        is_somebody = isinstance(body, Customer) and not body.is_nobody and not self.nobody.has_email(body.email)
        return body.email if is_somebody and isinstance(body, Customer) else None

    def asks_about_names(self, store: str) -> bool:
        """Return whether a first link of two with clearly other names is asked about."""
        return store not in self.customers or self.customers[store].other_names == "ask"

    @property
    def keeps_books(self) -> bool:
        """Whether points or gift cards are kept the same."""
        return bool(self.loyalty or self.cards_at)

    @property
    def prefixes(self) -> Mapping[str, str]:
        """The order prefixes by store."""
        return {name: site.prefix for name, site in self.sites.items()}

    @property
    def tasks(self) -> tuple[tuple[str, str], ...]:
        """Every task there is: (system, task)."""
        return (
            *dict.fromkeys([(COUNTERPOINT, "customers"), (self.pos, "customers")]),
            (COUNTERPOINT, "orders"),
            (COUNTERPOINT, "documents"),
            *((store, task) for store in self.sites for task in ("inventories", "activities")),
            *((store, task) for store in self.customers for task in ("customers", "profiles")),
            *([(self.pos, "profiles")] if self.customers else []),
            *((system, POINTS) for system in (COUNTERPOINT, *self.loyalty) if self.loyalty),
            *((system, GIFT_CARDS) for system in (COUNTERPOINT, self.cards_at) if self.cards_at),
        )

    def keeps(self, system: str, entity: str) -> bool:
        """Say whether records of a system are customers that are kept the same."""
        has_customers = system == self.pos or system in self.customers
        return bool(self.customers) and has_customers and entity == self.entity(system)

    def entity(self, system: str) -> str:
        """Give the name under which a system's customers come."""
        return "AR_CUST" if system == COUNTERPOINT else "customers"


@dataclass(slots=True)
class State:
    """One batch's transaction, and what the flows of the batch found to decide again at its end."""

    connection: Connection
    shop: Shop
    now: datetime
    orders: set[tuple[str, str]] = field(default_factory=set)  # (store, order id)
    items: set[str] = field(default_factory=set)
    is_told: bool | None = None  # Whether accounts may be told by customers; None: not looked up in this batch yet.
    people: set[OurId] = field(default_factory=set)
    creatable: set[str] = field(default_factory=set)  # Customers of the point of sale who may need an account.
    fresh: set[tuple[str, str]] = field(default_factory=set)  # (system, key) of customers whose fields changed.
    # Customers of the point of sale whom we had created, each with the fields that we had something for.
    newcomers: dict[str, frozenset[str]] = field(default_factory=dict)
    unsure: set[tuple[str, str]] = field(default_factory=set)  # Those whose readings contradict each other.
    settled: set[tuple[str, str]] = field(default_factory=set)  # (kind, key) of reviews that the facts settle.
    titles: frozenset[str] | None = None  # The point of sale's groups, once looked up.
    paired: dict[str, dict[str, str]] = field(default_factory=dict)  # What a person paired with them, by store.
    match_scale: Scale | None = None  # As the shop's own decisions have fitted it; None: not looked up yet.
    everybody: dict[str, int] = field(default_factory=dict)  # How many customers a system has, once looked up.
    _books: Ledger | None = None

    @property
    def books(self) -> Ledger:
        """The books of points; the first look takes their lock."""
        if self._books is None:
            self._books = Ledger(self.connection)
        return self._books

    @property
    def has_books(self) -> bool:
        """Whether this batch has looked into a book."""
        return self._books is not None

    def ask(self, kind: str, key: str, message: str, body: Mapping[str, Any], *, waits_for: str | None = None) -> None:
        """Ask a person, as `reviews.open_review`."""
        self.settled.discard((kind, key))
        reviews.open_review(self.connection, kind, key, message, body, waits_for=waits_for)

    def settle(self, kind: str, key: str) -> None:
        """Close a review that the facts have settled; all of them together, by `close`."""
        self.settled.add((kind, key))

    def close(self) -> None:
        """Write down what was put off, at the end of the batch."""
        reviews.settle(self.connection, self.settled)
        self.settled = set()
