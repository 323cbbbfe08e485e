"""A WooCommerce store's points: by our companion plugin, which gives each transaction a reference of its own."""

from counterflow.errors import Rejected
from counterflow.systems.ports import LoyaltyAbilities
from counterflow.systems.woocommerce.companion import Companion

ABSENT = "the companion plugin is not there, or keeps no points: docs/how-to/companion.md"


class CompanionLoyalty:
    """See ports.Loyalty."""

    def __init__(self, companion: Companion) -> None:
        self._companion = companion

    def abilities(self) -> LoyaltyAbilities:
        """Ask whether the plugin is there. See ports.Loyalty."""
        status = self._companion.status()
        if status is None or "points" not in status.features:
            return LoyaltyAbilities(can_move=False, lists_changes=False, keeps_references=False, reason=ABSENT)
        return LoyaltyAbilities()

    def move(self, account_id: str, points: int, tag: str) -> int:
        """Move points under a tag. See ports.Loyalty."""
        if not account_id.isdecimal():
            raise Rejected(f"{account_id!r} is no account of this store: its ids are numbers")
        return self._companion.adjust_points(int(account_id), points, tag, "Counterpoint").points
