"""The doctor's looks at points: the columns that the file names, what waits to be posted, and each store's plugin."""

from functools import partial

from counterflow.cli.looks import Check, Visit, Wrong
from counterflow.clock import Clock
from counterflow.config import Config, Points
from counterflow.systems.counterpoint import points, sql
from counterflow.systems.woocommerce.client import WooClient
from counterflow.systems.woocommerce.companion import Companion
from counterflow.systems.woocommerce.loyalty import CompanionLoyalty

PAGE = "docs/how-to/loyalty.md"
POINTS = "points in Counterpoint"


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


def _of(visit: Visit, what: str) -> Check:
    return next(one for one in visit.checks if one.what == what)


def _columns(url: str, settings: Points) -> str:
    engine = sql.open_engine(url)
    try:
        with sql.reading(engine, snapshot=False) as connection:
            missing = points.missing_columns(connection, settings)
            waiting = [] if missing else points.unposted(connection, settings)
    finally:
        engine.dispose()
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
