"""The companion plugin's transactions: points and gift cards, read behind the last id; none is given a lower one later.

A plugin that is off, for an update or for good, holds nothing else of the store up.
"""

from collections.abc import Mapping

import msgspec

from counterflow import log
from counterflow.config import Store
from counterflow.errors import Rejected, Transient
from counterflow.systems.ports import Read
from counterflow.systems.woocommerce.companion import CHANGES_MAX, CardChange, Companion, Page, PointsChange
from schemas.changes import Change, Source
from schemas.names import GIFT_CARDS, POINTS

PAGES_MAX = 10  # In one poll; the next one goes on.


class CompanionFeed:
    """Reads one store's transactions. Where each list stands is kept by the caller, as text by the list's name."""

    def __init__(self, system: str, companion: Companion, settings: Store) -> None:
        self._system, self._companion = system, companion
        self._lists = [POINTS] if settings.loyalty else []
        self._lists += [GIFT_CARDS] if settings.gift_cards else []
        self._log = log.get("producer").bind(source=system)

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to read."""
        return bool(self._lists)

    def read(self, state: Mapping[str, str], position: int) -> tuple[list[Read], dict[str, str]]:
        """Give what is new, and where each list stands then."""
        reads: list[Read] = []
        stands = dict(state)
        for name in self._lists:
            last = int(stands.get(name, 0))
            for _ in range(PAGES_MAX):
                page = self._page(name, last)
                if page is None:
                    break
                reads += [self._as_read(one, position) for one in page.changes]
                last = page.last
                if len(page.changes) < CHANGES_MAX:
                    break
            stands[name] = str(last)
        return reads, stands

    def _page(self, name: str, last: int) -> Page[PointsChange] | Page[CardChange] | None:
        try:
            if name == POINTS:
                return self._companion.points_changes(last)
            return self._companion.card_changes(last)
        except (Transient, Rejected) as error:
            self._log.warning("companion not read", list=name, why=str(error))
            return None

    def _as_read(self, one: PointsChange | CardChange, position: int) -> Read:
        """Give a transaction as a change; an account's, or a card's, are handled in their order."""
        if isinstance(one, PointsChange):
            key, together = str(one.id), f"points/{one.user}"
        else:
            key, together = f"card-{one.id}", f"card/{one.number}"
        at = int(one.created_at.timestamp() * 1000)
        source = Source(system=self._system, entity=POINTS, ts_ms=at, position=position)
        change = Change(op="c", after=msgspec.Raw(msgspec.json.encode(one)), source=source, ts_ms=at)
        return Read(entity=POINTS, key=key.encode(), change=change, together=together.encode())
