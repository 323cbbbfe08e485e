"""Which folder speaks which platform: one line each. Nothing else names a platform."""

from collections.abc import Callable

from counterflow.systems.counterpoint import read as counterpoint
from counterflow.systems.woocommerce import read as woocommerce
from schemas.records import Record

Reader = Callable[[str, bytes], Record]

READERS: dict[str, Reader] = {
    "counterpoint": counterpoint.read,
    "woocommerce": woocommerce.read,
}


def readers(platforms: dict[str, str]) -> dict[str, Reader]:
    """Give the reader of each system: Counterpoint's, and each store's by its platform."""
    return {"counterpoint": READERS["counterpoint"]} | {store: READERS[name] for store, name in platforms.items()}
