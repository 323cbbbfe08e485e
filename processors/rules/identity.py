"""Whose order is this, and whose is the account that placed it (req-C5)?

An account is linked by its own e-mail, by a person or by an id that we gave, and by nothing that somebody types at a
checkout: a typed e-mail routes that one document, as a guest's does. Tried in this order:

1. Decided once, decided: an order's buyer changes by a merge only, also in a replay.
2. A signed-in customer whose account is linked: that customer, whatever their e-mail has become since.
3. The account's own e-mail is one customer's: that one. The account is linked, unless the names are clearly others'
   (`names`) or a person has set it apart: then it is asked about, and the document goes there all the same.
4. Several customers have the account's own e-mail: the lowest number flagged e-commerce (else the lowest) is suggested;
   a person decides, for the account too, or the shop's setting takes the suggestion for this document alone.
5. A customer with the account's own e-mail is being created: that one.
6. The same, 3 to 5, by the e-mail typed at the checkout, which links nothing.
7. Nobody: a new customer, under the account's own e-mail, else under the typed one.
8. No e-mail address that can be one: a person must look. One that is nobody's (`nobody`): by the shop's setting a
   person, or a new customer of this order's own, who has no e-mail.

What may flow over each key stands in MAY_CARRY.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from email_validator import EmailNotValidError, validate_email

from processors.rules.names import Name, are_clearly_others
from schemas.names import CustNo, OurId

Key = Literal["link", "own e-mail", "person", "our id", "typed e-mail"]
Thing = Literal["document", "profile", "e-mail", "points", "cards", "group"]
EVERYTHING: frozenset[Thing] = frozenset({"document", "profile", "e-mail", "points", "cards", "group"})
# What may reach a customer by each key. Over a link flows everything: it was made by one of the strong ones.
MAY_CARRY: Mapping[Key, frozenset[Thing]] = {
    "link": EVERYTHING,
    "own e-mail": EVERYTHING,
    "person": EVERYTHING,
    "our id": EVERYTHING,
    "typed e-mail": frozenset({"document"}),
}


def may_link(key: Key) -> bool:
    """Return whether a key is strong enough for a link, over which everything flows."""
    return MAY_CARRY[key] == EVERYTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A Counterpoint customer, as far as a match needs them."""

    cust_no: CustNo
    email: str
    is_ecommerce: bool
    name: Name = field(default_factory=Name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """An e-mail address that somebody shows, and who is known by it."""

    email: str | None = None  # Normalised; None where none is shown.
    is_nobodys: bool = False
    name: Name = field(default_factory=Name)
    known: Sequence[Known] = ()  # Every Counterpoint customer with this e-mail.
    under_way: OurId | None = None  # The customer being created for this e-mail,
    under_way_as: Name = field(default_factory=Name)  # and by which name.


@dataclass(frozen=True, slots=True)
class Same:
    """The customer that is known on our side already."""

    our_id: OurId
    key: Key


@dataclass(frozen=True, slots=True)
class Found:
    """One Counterpoint customer, by e-mail or by a person's word."""

    cust_no: CustNo
    key: Key


@dataclass(frozen=True, slots=True)
class New:
    """Nobody has this e-mail: a customer is created; under None, one who has no e-mail."""

    email: str | None
    key: Key


@dataclass(frozen=True, slots=True)
class Unclear:
    """A person must choose; `suggestion` comes first, None where there is nobody to choose from."""

    why: str
    candidates: tuple[CustNo, ...]
    suggestion: CustNo | None
    key: Key = "typed e-mail"  # What it is unclear by: with the account's own e-mail the answer is the account's too.


Match = Same | Found | New | Unclear


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was looked up before the decision."""

    decided: OurId | None = None  # This order's buyer, if they were decided before.
    linked: OurId | None = None  # The account's customer; None for a guest and at a first order.
    account: Claim | None = None  # What the account's own record shows; None for a guest, and where it is gone.
    is_apart: bool = False  # A person has said that the account is not whose e-mail it has.
    asks_about_names: bool = True  # The shop's setting.
    makes_nobodys: bool = False  # The shop's setting: an order with nobody's e-mail makes a customer of its own.
    typed: Claim = field(default_factory=Claim)  # What was typed at the checkout.


NO_EMAIL = "the order has no usable e-mail address"
NOBODYS = "the order's e-mail address is nobody's in particular"


def match_buyer(facts: Facts) -> Match:
    """Decide whose order it is."""
    if facts.decided is not None:
        return Same(facts.decided, "typed e-mail")  # How it was decided then is not asked again: it links nothing.
    if facts.linked is not None:
        return Same(facts.linked, "link")
    own = facts.account if facts.account is not None and _is_usable(facts.account) else None
    typed = facts.typed if _is_usable(facts.typed) else None
    by_email = (own and _by_account(own, facts)) or (typed and _known_by(typed, "typed e-mail", "the order's e-mail"))
    if by_email:
        return by_email
    if own is not None:
        return New(own.email, "our id")
    return New(typed.email, "typed e-mail") if typed is not None else _without_email(facts)


def match_account(facts: Facts) -> Match | None:
    """Return whose an account is that has not ordered: by its own e-mail alone. None where nobody is known by it."""
    own = facts.account
    return _by_account(own, facts) if own is not None and _is_usable(own) else None


def _by_account(own: Claim, facts: Facts) -> Match | None:
    """Return who is known by an account's own e-mail; None where nobody is."""
    if facts.is_apart and own.known:
        numbers = tuple(known.cust_no for known in _ranked(own))
        return Unclear("the account was set apart from who has its e-mail", numbers, None, "own e-mail")
    found = _known_by(own, "own e-mail", "the account's e-mail")
    return _weakened(found, own) if found is not None and facts.asks_about_names else found


def _without_email(facts: Facts) -> Match:
    """Return what becomes of an order that shows no e-mail of anybody's."""
    if facts.typed.is_nobodys or (facts.account is not None and facts.account.is_nobodys):
        return New(None, "typed e-mail") if facts.makes_nobodys else Unclear(NOBODYS, (), None)
    return Unclear(NO_EMAIL, (), None)


def _weakened(match: Match, own: Claim) -> Match:
    """Return a match by an account's own e-mail as one that links nothing, where the names are clearly others'."""
    if isinstance(match, Found) and are_clearly_others(own.name, own.known[0].name):
        return Found(match.cust_no, "typed e-mail")
    if isinstance(match, Same) and are_clearly_others(own.name, own.under_way_as):
        return Same(match.our_id, "typed e-mail")
    return match


def _known_by(claim: Claim, key: Key, whose: str) -> Match | None:
    """Return who is known by an e-mail; None where nobody is."""
    assert all(known.email == claim.email for known in claim.known)
    match _ranked(claim):
        case []:
            return None if claim.under_way is None else Same(claim.under_way, "our id" if may_link(key) else key)
        case [only]:
            return Found(only.cust_no, key)
        case [first, *others]:
            numbers = (first.cust_no, *(known.cust_no for known in others))
            return Unclear(f"{len(numbers)} customers have {whose}", numbers, first.cust_no, key)
        case _:
            raise AssertionError("a sorted list is a list")


def _ranked(claim: Claim) -> list[Known]:
    return sorted(claim.known, key=lambda known: (not known.is_ecommerce, known.cust_no))


def _is_usable(claim: Claim) -> bool:
    return claim.email is not None and not claim.is_nobodys and is_email(claim.email)


def is_email(text: str) -> bool:
    """Return whether this can be an e-mail address; nobody is asked on the network."""
    try:
        validate_email(text, check_deliverability=False, allow_smtputf8=True)
    except EmailNotValidError:
        return False
    return True
