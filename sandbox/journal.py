"""What till, shoppers and staff did, and what reached each system: the truth to compare with.

One journal for the whole sandbox, kept in memory, in the order in which things took effect, by one clock.
"""

import threading
import time
from collections.abc import Sequence
from typing import Any

import msgspec


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that took effect in a system of the sandbox, or that one record was read ("read")."""

    seq: int  # 1, 2, 3, ... without holes.
    at: float  # Seconds since 1970, by the sandbox's clock.
    system: str  # "counterpoint", or the store's id.
    actor: str  # Who did it: "till", "staff", "shopper", or "api" (what came in over a system's own API).
    kind: str  # "order", "sale", "receipt", "adjustment", "stock", "customer", "document", ...
    key: str  # The record it happened to, by that system's own id.
    data: dict[str, Any]


class Journal:
    """An append-only list, safe to use from several threads."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._lock = threading.Lock()

    def append(self, system: str, actor: str, kind: str, key: object, *, at: float | None = None, **data: Any) -> Entry:
        """Note one thing that took effect just now (or at `at`)."""
        with self._lock:
            entry = Entry(
                seq=len(self._entries) + 1,
                at=time.time() if at is None else at,
                system=system,
                actor=actor,
                kind=kind,
                key=str(key),
                data=data,
            )
            self._entries.append(entry)
        return entry

    def entries(self, after: int = 0, limit: int | None = None) -> Sequence[Entry]:
        """Give the entries behind number `after`, oldest first, at most `limit` of them."""
        with self._lock:
            return self._entries[after : None if limit is None else after + limit]
