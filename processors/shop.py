"""What flows need to know of the shop, and the state that one batch works in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection

from processors.rules.documents import Site


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelves:
    """What one store may sell from."""

    locations: tuple[str, ...]
    buffer: int
    buffers: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """The shop's settings, as the rules want them."""

    sites: Mapping[str, Site]
    shelves: Mapping[str, Shelves]
    orders_commit_stock: bool
    lease: timedelta
    drift: timedelta

    @property
    def prefixes(self) -> Mapping[str, str]:
        """The order prefixes by store."""
        return {name: site.prefix for name, site in self.sites.items()}

    @property
    def tasks(self) -> tuple[tuple[str, str], ...]:
        """Every task there is: (system, task)."""
        return (
            ("counterpoint", "customers"),
            ("counterpoint", "orders"),
            *((store, "inventories") for store in self.sites),
        )


@dataclass(slots=True)
class State:
    """One batch's transaction, and what the flows of the batch found to decide again at its end."""

    connection: Connection
    shop: Shop
    now: datetime
    orders: set[tuple[str, str]] = field(default_factory=set)  # (store, order id)
    items: set[str] = field(default_factory=set)
