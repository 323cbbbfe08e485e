"""May a customer of the point of sale have an account created in a store (req-C1, C2)? Yes, or no with every reason.

A customer qualifies who is flagged e-commerce, is no walk-in, has an e-mail address that is one, is no placeholder and
nobody else's, and has bought or was changed recently enough: who has been away for long is not mailed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from processors.rules.identity import is_email
from processors.rules.nobody import EVERYBODY_IS_SOMEBODY, Nobody
from schemas.records import Customer


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """A store's terms."""

    away: timedelta | None = None  # How long one may have been away; None: for ever.


def reasons_against(
    customer: Customer, *, sharers: Sequence[str], now: datetime, terms: Terms, nobody: Nobody = EVERYBODY_IS_SOMEBODY
) -> tuple[tuple[str, str], ...]:
    """Give why a customer does not qualify: (reason, detail). Empty: he does.

    Args:
        customer: As the point of sale has him.
        sharers: The numbers of the other customers with his e-mail.
        now: The time.
        terms: The store's terms.
        nobody: What the shop says of whom is nobody in particular.
    """
    found: list[tuple[str, str]] = []
    if customer.is_nobody:
        found.append(("walk-in", "many people buy under this number, or are copied from it"))
    if not customer.is_ecommerce:
        found.append(("not flagged", "the e-commerce flag is not set"))
    email = customer.email or ""
    if not email:
        found.append(("no e-mail", "there is no e-mail address"))
    elif not is_email(email):
        found.append(("e-mail invalid", "the e-mail address cannot be one"))
    elif nobody.has_email(email):
        found.append(("e-mail placeholder", "the e-mail address stands for none"))
    elif sharers:
        found.append(("e-mail shared", f"shared with {', '.join(sorted(sharers))}"))
    seen_at = last_seen(customer)
    if terms.away is not None and (seen_at is None or now - seen_at > terms.away):
        found.append(("away", f"not seen for more than {terms.away.days} days"))
    return tuple(found)


def last_seen(customer: Customer) -> datetime | None:
    """Give when a customer last bought or was changed, whichever is later: the most recent ones come first."""
    return max((at for at in (customer.bought_at, customer.changed_at) if at is not None), default=None)
