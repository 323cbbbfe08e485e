"""Whose order is this (req-C5)?

Tried in this order:

1. Decided once, decided: an order's buyer changes by a merge only, also in a replay.
2. A signed-in customer whose account is linked: that customer, whatever his e-mail has become since.
3. No e-mail address, or one that cannot be one: a person must look.
4. One Counterpoint customer has the e-mail: that one.
5. Several have it: the lowest number flagged e-commerce (else the lowest) is suggested; a person decides, or the
   shop's setting takes the suggestion.
6. A customer with this e-mail is being created already, by another order perhaps in another store: that one.
7. Nobody: a new customer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from email_validator import EmailNotValidError, validate_email

from schemas.names import CustNo, OurId


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A Counterpoint customer, as far as a match needs him."""

    cust_no: CustNo
    email: str
    is_ecommerce: bool


@dataclass(frozen=True, slots=True)
class Same:
    """The customer that is known on our side already."""

    our_id: OurId


@dataclass(frozen=True, slots=True)
class Found:
    """One Counterpoint customer, by e-mail."""

    cust_no: CustNo


@dataclass(frozen=True, slots=True)
class New:
    """Nobody has this e-mail: a customer is created."""

    email: str


@dataclass(frozen=True, slots=True)
class Unclear:
    """A person must choose; `suggestion` comes first, None where there is nobody to choose from."""

    why: str
    candidates: tuple[CustNo, ...]
    suggestion: CustNo | None


Match = Same | Found | New | Unclear


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was looked up before the decision."""

    decided: OurId | None  # This order's buyer, if he was decided before.
    linked: OurId | None  # The account's customer; None for a guest and at a first order.
    email: str | None  # Normalised.
    same_email: Sequence[Known]  # Every Counterpoint customer with this e-mail.
    under_way: OurId | None  # The customer being created for this e-mail.


def match_buyer(facts: Facts) -> Match:
    """Decide whose order it is."""
    assert all(known.email == facts.email for known in facts.same_email)
    if facts.decided is not None:
        return Same(facts.decided)
    if facts.linked is not None:
        return Same(facts.linked)
    if facts.email is None or not is_email(facts.email):
        return Unclear("the order has no usable e-mail address", (), None)
    match sorted(facts.same_email, key=lambda known: (not known.is_ecommerce, known.cust_no)):
        case []:
            return New(facts.email) if facts.under_way is None else Same(facts.under_way)
        case [only]:
            return Found(only.cust_no)
        case [first, *others]:
            numbers = (first.cust_no, *(known.cust_no for known in others))
            return Unclear(f"{len(numbers)} customers have the order's e-mail", numbers, first.cust_no)
        case _:
            raise AssertionError("a sorted list is a list")


def is_email(text: str) -> bool:
    """Say whether this can be an e-mail address; nobody is asked on the network."""
    try:
        validate_email(text, check_deliverability=False, allow_smtputf8=True)
    except EmailNotValidError:
        return False
    return True


def normal_email(text: str | None) -> str | None:
    """Give an e-mail as it is compared: without blanks around it, in lower case. None for an empty one."""
    cleaned = (text or "").strip().lower()
    return cleaned or None
