"""Which folder speaks which platform: one line each. Nothing else names a platform."""

from collections.abc import Callable, Mapping

from counterflow.systems.counterpoint import read as counterpoint
from counterflow.systems.counterpoint import write as counterpoint_write
from counterflow.systems.woocommerce import read as woocommerce
from counterflow.systems.woocommerce import write as woocommerce_write
from schemas.records import Record

Reader = Callable[[str, bytes], Record]

READERS: dict[str, Reader] = {
    "counterpoint": counterpoint.read,
    "woocommerce": woocommerce.read,
}


# What each keeps of a customer: the fields, and how long each may be.
KEPT: dict[str, tuple[frozenset[str], Mapping[str, int]]] = {
    "counterpoint": (counterpoint_write.FIELDS, counterpoint_write.LENGTHS),
    "woocommerce": (woocommerce_write.FIELDS, woocommerce_write.LENGTHS),
}


def readers(platforms: dict[str, str]) -> dict[str, Reader]:
    """Give the reader of each system: Counterpoint's, and each store's by its platform."""
    return {"counterpoint": READERS["counterpoint"]} | {store: READERS[name] for store, name in platforms.items()}
