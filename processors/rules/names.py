"""Are two names clearly two people's (req-C5)? Asked before a first link: families share an address.

The first line that fits:

1. One side has no name of its own kind (a person's, a company's): nothing speaks against it.
2. Two companies: clearly others where no word of theirs is alike.
3. One side has no first name, or no last name: clearly others where no name at all is alike.
4. First and last names are alike, or crosswise: one person.
5. The first names alone are alike: one person where phone or address is the same too (who marries keeps them), else
   clearly others.
6. Else clearly others, also where the last names are the same: that is a family.

Alike are equal names, short forms, initials, one that begins with the other, and one slip in a longer name. What makes
of a man's name a woman's (Paul, Paula) is no slip and no beginning.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from rapidfuzz.distance import OSA

from processors.rules.blocking import nickname
from schemas.commands import CreateCustomer
from schemas.records import Address, Customer

BEGINNING_MIN = 3  # Letters: "Alex" of "Alexander".
SLIP_MIN = 5  # Letters of a name in which one slip is one; in a shorter one it is another name.
PHONE_DIGITS = 10
GENDERED = frozenset("a e o na ne ina ine ette elle le la".split())
_NO_WORDS = frozenset("llc inc ltd gmbh co corp company the and und & plc sa ag".split())
_FOLDED = {"ł": "l", "ø": "o", "đ": "d", "ß": "ss", "æ": "ae", "œ": "oe", "þ": "th"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """What somebody is called, and what tells one who marries from another of that first name."""

    first: str = ""
    last: str = ""
    company: str = ""
    phone: str = ""
    place: str = ""  # Street and postcode.

    @classmethod
    def of(cls, customer: Customer) -> "Name":
        """Read the name of a record."""
        billing = customer.billing or Address()
        company = customer.company or billing.company
        return cls(
            first=customer.first_name, last=customer.last_name, company=company, **_where(customer.phone, billing)
        )

    @classmethod
    def typed(cls, billing: Address) -> "Name":
        """Read the name that was typed with an address."""
        names = {"first": billing.first_name, "last": billing.last_name, "company": billing.company}
        return cls(**names, **_where(billing.phone, billing))

    @classmethod
    def created(cls, body: CreateCustomer) -> "Name":
        """Read the name by which somebody is being created."""
        names = {"first": body.first_name, "last": body.last_name, "company": body.company}
        return cls(**names, **_where(body.phone or body.billing.phone, body.billing))

    def text(self) -> str:
        """Write it for a person who is asked about it."""
        return " ".join(one for one in (self.first, self.last, f"({self.company})" if self.company else "") if one)


def _where(phone: str, place: Address) -> dict[str, str]:
    digits = "".join(one for one in phone if one.isdigit())[-PHONE_DIGITS:]
    line = "".join(one for one in f"{place.line_1}{place.postcode}".casefold() if one.isalnum())
    return {"phone": digits if len(digits) == PHONE_DIGITS else "", "place": line if place.line_1 else ""}


def are_clearly_others(one: Name, other: Name) -> bool:
    """Return whether two names are clearly those of two people."""
    firsts, lasts = words(one.first), words(one.last)
    other_firsts, other_lasts = words(other.first), words(other.last)
    if not (firsts or lasts) or not (other_firsts or other_lasts):
        mine, theirs = words(one.company) - _NO_WORDS, words(other.company) - _NO_WORDS
        is_comparable = bool(mine and theirs) and not (firsts or lasts or other_firsts or other_lasts)
        return is_comparable and not _any_alike(mine, theirs)
    if not (firsts and lasts and other_firsts and other_lasts):
        return not _any_alike(firsts | lasts, other_firsts | other_lasts)
    if _are_swapped((firsts, lasts), (other_firsts, other_lasts)):
        return False
    if not _any_alike(firsts, other_firsts):
        return True
    return not (_any_alike(lasts, other_lasts) or _are_at_one_place(one, other))


def _are_at_one_place(one: Name, other: Name) -> bool:
    return bool((one.phone and one.phone == other.phone) or (one.place and one.place == other.place))


def _are_swapped(one: tuple[frozenset[str], frozenset[str]], other: tuple[frozenset[str], frozenset[str]]) -> bool:
    """Return whether first and last names changed places; initials would swap with anything."""
    (first, last), (other_first, other_last) = (
        [[word for word in each if len(word) > 1] for each in name] for name in (one, other)
    )
    return _any_alike(first, other_last) and _any_alike(last, other_first)


def words(text: str) -> frozenset[str]:
    """Split a name into its words, as they are compared: lower case, without accents."""
    folded = "".join(_FOLDED.get(letter, letter) for letter in text.casefold())
    plain = "".join(one for one in unicodedata.normalize("NFKD", folded) if not unicodedata.combining(one))
    return frozenset(one for one in re.split(r"[^\w&']+|_", plain.replace("'", "")) if one)


def _any_alike(some: Iterable[str], others: Iterable[str]) -> bool:
    others = list(others)
    return any(_are_alike(one, other) for one in some for other in others)


def _are_alike(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    if one == other or nickname(one) == nickname(other):
        return True
    if len(short) == 1:
        return long.startswith(short)
    rest = long[len(short) :]
    if len(short) >= BEGINNING_MIN and long.startswith(short):
        return rest not in GENDERED
    is_gendered = one[:-1] == other[:-1] and {one[-1], other[-1]} <= set("aeo")
    return len(short) >= SLIP_MIN and OSA.distance(one, other) == 1 and not is_gendered
