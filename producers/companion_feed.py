"""The companion plugin's lists, read behind the last id; none is given a lower one later.

They are transactions of points and gift cards, and who of the customers changed. A plugin that is off, for an update or
for good, holds nothing else of the store up.
"""

from collections.abc import Mapping

import msgspec

from counterflow import log
from counterflow.clock import Clock
from counterflow.config import Store
from counterflow.errors import Broken, Rejected, Transient
from counterflow.systems.ports import Read
from counterflow.systems.woocommerce.companion import CHANGES_MAX, CardChange, Companion, Page, PointsChange
from schemas.changes import Change, Source
from schemas.names import GIFT_CARDS, POINTS

PAGES_MAX = 10  # In one poll; the next one goes on.
CUSTOMERS = "customers"  # The list's name, and the plugin's feature.
AT_ONCE = 100  # Accounts in one poll: each that is gone is looked up by itself.
PROBE_S = 60.0  # From an answer that says nothing to the next question.
# Without the plugin a site that has application passwords refuses our key on its routes with 401: that is no word on
# the key, which the store's own routes take or refuse.
_NOT_NOW = (Transient, Rejected, Broken)


class CompanionFeed:
    """Reads one store's lists. Where each one stands is kept by the caller, as text by the list's name."""

    def __init__(self, system: str, companion: Companion, settings: Store, clock: Clock) -> None:
        self._system, self._companion, self._settings, self._clock = system, companion, settings, clock
        self._tells_customers, self._probe_at = False, float("-inf")
        self.has_more = True  # Whether a list of transactions was not read to its end the last time, or at all.
        self._lists = [POINTS] if settings.loyalty else []
        self._lists += [GIFT_CARDS] if settings.gift_cards else []
        self._log = log.get("producer").bind(source=system)

    @property
    def is_needed(self) -> bool:
        """Whether there are transactions to read."""
        return bool(self._lists)

    def read(self, state: Mapping[str, str], position: int) -> tuple[list[Read], dict[str, str]]:
        """Give what is new, and where each list stands then."""
        reads: list[Read] = []
        stands = dict(state)
        read_to_end = 0
        for name in self._lists:
            last = int(stands.get(name, 0))
            for _ in range(PAGES_MAX):
                page = self._page(name, last)
                if page is None:
                    break
                reads += [self._as_read(one, position) for one in page.changes]
                last = page.last
                if len(page.changes) < CHANGES_MAX:
                    read_to_end += 1
                    break
            stands[name] = str(last)
        self.has_more = read_to_end < len(self._lists)
        return reads, stands

    def customers(self, state: Mapping[str, str]) -> tuple[set[str], dict[str, str]]:
        """Give which accounts changed or are gone, and where that list stands then; a page a poll.

        Without the plugin it is none: then only the store's web hooks and a sweep tell of them (W-34).
        """
        stands = dict(state)
        if self._settings.customers is None or not self._has_customers():
            return set(), stands
        last = int(stands.get(CUSTOMERS, 0))
        try:
            # The one read last is asked for once more: where it is not there, the ids have begun anew.
            page = self._companion.customer_changes(max(0, last - 1), limit=AT_ONCE)
        except _NOT_NOW as error:
            self._stop_asking(error)
            return set(), stands
        if last and not page.changes:
            self._log.warning("companion's list begins anew", list=CUSTOMERS, last=last)
        stands[CUSTOMERS] = str(page.last if page.changes else 0)
        return {str(one.user) for one in page.changes if one.id > last}, stands

    def _has_customers(self) -> bool:
        """Say whether the plugin is there and knows them: asked as often as all customers are swept."""
        if self._clock.monotonic() >= self._probe_at:
            try:
                status = self._companion.status()
            except _NOT_NOW as error:
                self._stop_asking(error)
                return False
            self._tells_customers = status is not None and CUSTOMERS in status.features
            self._probe_at = self._clock.monotonic() + self._settings.sweep_s
        return self._tells_customers

    def _stop_asking(self, error: Exception) -> None:
        """Leave the plugin alone for a while; meanwhile it is as if there were none."""
        self._log.warning("companion not read", list=CUSTOMERS, why=str(error))
        self._tells_customers = False
        self._probe_at = self._clock.monotonic() + min(PROBE_S, self._settings.sweep_s)

    def _page(self, name: str, last: int) -> Page[PointsChange] | Page[CardChange] | None:
        try:
            if name == POINTS:
                return self._companion.points_changes(last)
            return self._companion.card_changes(last)
        except _NOT_NOW as error:
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
