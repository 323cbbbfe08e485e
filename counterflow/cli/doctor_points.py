"""The doctor's looks at points and gift cards: the columns that the file names, and each store's plugin."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from sqlalchemy import Connection

from counterflow.cli.looks import Check, Visit, Wrong
from counterflow.clock import Clock
from counterflow.config import Config, GiftCards, Points
from counterflow.systems.counterpoint import cards, points, sql
from counterflow.systems.woocommerce.client import WooClient
from counterflow.systems.woocommerce.companion import Companion
from counterflow.systems.woocommerce.loyalty import CompanionLoyalty

PAGE = "docs/how-to/loyalty.md"
CARDS_PAGE = "docs/how-to/gift-cards.md"
POINTS = "points in Counterpoint"
CARDS = "gift cards in Counterpoint"


def look_at_points(visit: Visit, config: Config, clock: Clock) -> None:
    """Look at what points need, where the file has them; after everything else."""
    stores = {name: store for name, store in config.stores.items() if store.loyalty}
    settings = config.counterpoint.points
    if settings is not None:
        url = config.counterpoint.sql.url.get_secret_value()
        visit.look(POINTS, partial(_columns, url, settings), after=_of(visit, "Counterpoint's database"))
    elif stores:
        visit.look(POINTS, partial(_off, list(stores)))
    for name, store in stores.items():
        loyalty = CompanionLoyalty(Companion(WooClient(name, store, clock)))
        visit.look(f"points of {name}", partial(_abilities, loyalty), after=_of(visit, f"store {name}"))


def look_at_cards(visit: Visit, config: Config, clock: Clock) -> None:
    """Look at what gift cards need, where the file has them."""
    stores = {name: store for name, store in config.stores.items() if store.gift_cards}
    settings = config.counterpoint.gift_cards
    if settings is not None:
        url = config.counterpoint.sql.url.get_secret_value()
        visit.look(CARDS, partial(_card_columns, url, settings), after=_of(visit, "Counterpoint's database"))
    elif stores:
        visit.look(CARDS, partial(_cards_off, list(stores)))
    for name, store in stores.items():
        companion = Companion(WooClient(name, store, clock))
        visit.look(f"gift cards of {name}", partial(_keeps_cards, companion), after=_of(visit, f"store {name}"))


def _card_columns(url: str, settings: GiftCards) -> str:
    with _reading(url) as connection:
        missing = cards.missing_columns(connection, settings)
    if missing:
        raise Wrong(
            f"not there, or our login may not read it: {', '.join(missing)}; look with counterflow points tables, "
            f"and correct counterpoint.gift_cards or grant what {CARDS_PAGE} lists"
        )
    return "all columns that we use are there"


def _cards_off(stores: list[str]) -> str:
    raise Wrong(
        f"gift cards stay off: the file has stores.{stores[0]}.gift_cards and no counterpoint.gift_cards; fill it in "
        f"({CARDS_PAGE}), or take the other out"
    )


def _keeps_cards(companion: Companion) -> str:
    status = companion.status()
    if status is None or "gift_cards" not in status.features:
        raise Wrong(
            "not supported: the companion plugin is not there, or keeps no gift cards: docs/how-to/companion.md"
        )
    return "the companion plugin keeps them"


def _of(visit: Visit, what: str) -> Check:
    return next(one for one in visit.checks if one.what == what)


@contextmanager
def _reading(url: str) -> Iterator[Connection]:
    engine = sql.open_engine(url)
    try:
        with sql.reading(engine, snapshot=False) as connection:
            yield connection
    finally:
        engine.dispose()


def _columns(url: str, settings: Points) -> str:
    with _reading(url) as connection:
        missing = points.missing_columns(connection, settings)
        waiting = [] if missing else points.unposted(connection, settings)
    if missing:
        raise Wrong(
            f"not there, or our login may not read it: {', '.join(missing)}; look with counterflow points tables, "
            f"and correct counterpoint.points or grant SELECT ({PAGE})"
        )
    return f"all columns that the file names are there; {len(waiting)} adjustments of ours wait for staff to post"


def _off(stores: list[str]) -> str:
    parts = ", ".join(f"stores.{name}.loyalty" for name in stores)
    raise Wrong(
        f"points stay off: the file has {parts} and no counterpoint.points, which says where points stand; fill it in "
        f"({PAGE}), or take the other out"
    )


def _abilities(loyalty: CompanionLoyalty) -> str:
    found = loyalty.abilities()
    if not (found.can_move and found.lists_changes and found.keeps_references):
        raise Wrong(f"not supported: {found.reason}")
    return "the companion plugin keeps them"
