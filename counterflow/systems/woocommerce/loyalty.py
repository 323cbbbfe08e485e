"""A WooCommerce store's points: by our companion plugin, which gives each transaction a reference of its own."""

from datetime import UTC, datetime, time

from counterflow.errors import Held, Rejected, Transient
from counterflow.systems.ports import LoyaltyAbilities
from counterflow.systems.woocommerce.companion import Companion, Gone

EXISTS = "counterflow_card_exists"
WAITS = ("counterflow_card_void", "counterflow_card_expired")
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
        if not (account_id.isascii() and account_id.isdecimal()):
            raise Rejected(f"{account_id!r} is no account of this store: its ids are numbers")
        return self._companion.adjust_points(int(account_id), points, tag, "Counterpoint").points


class CompanionCards:
    """See ports.GiftCardPort."""

    def __init__(self, companion: Companion) -> None:
        self._companion = companion

    def make(self, number: str, cents: int, tag: str, *, expires: str = "") -> int:
        """Make a card under a tag. See ports.GiftCardPort."""
        try:
            return self._companion.create_card(number, cents, tag, expires_at=_end(expires)).balance
        except Rejected as error:
            if EXISTS in str(error):
                raise Held(
                    "the store has a card of this number already, which is not known as Counterpoint's"
                ) from error
            raise

    def move(self, number: str, cents: int, tag: str, *, expires: str = "") -> int:
        """Move a card under a tag, or make it. See ports.GiftCardPort."""
        try:
            return self._companion.adjust_card(number, cents, tag, "Counterpoint").cents
        except Gone:
            if cents <= 0:
                return 0
            return self._companion.create_card(number, cents, tag, expires_at=_end(expires)).balance
        except Rejected as error:
            if any(
                code in str(error) for code in WAITS
            ):  # Counterpoint's card is good: the store's will be, or is asked.
                raise Transient(f"{tag}: the store takes nothing from a card that is void or over ({error})") from error
            raise

    def change(self, number: str, *, is_void: bool, expires: str) -> bool:
        """Have a card void or good. See ports.GiftCardPort."""
        try:
            self._companion.change_card(number, is_void=is_void, expires_at=_end(expires))
        except Gone:
            return False
        return True


def _end(day: str) -> datetime | None:
    """Give the last second of a day; None: never."""
    return datetime.combine(datetime.fromisoformat(day).date(), time(23, 59, 59), UTC) if day else None
