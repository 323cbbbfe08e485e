"""Into whom was a customer merged who is gone from the point of sale (req-C6)?

Nothing in the changes says "merge" (counterpoint 10.3): staff take the e-commerce flag from both, merge, and set it
again. What shows it, the strongest first:

1. A document of his is another customer's now.
2. Another's points rose by exactly what he had, or by a sum that no ticket explains and that is what he had.
3. Another lost the flag when he did, and has his e-mail, his phone or his name; a company is its name, and to have
   none is not to have the same.

A trace that leads to clearly another name counts only where both lost the flag around then, as a merge wants it: a
document may have been corrected, and points bought. Exactly one customer shown by the strongest trace there is: they
are the survivor. Several, or only a lost flag: a person says. So where somebody is alike in all that tells a person:
the customer may have been given another number. No trace at all: they were deleted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from processors.rules.blocking import company_of
from processors.rules.names import Name, are_clearly_others
from schemas.places import HOME
from schemas.profiles import e164
from schemas.records import Customer


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """Another customer around the time of the deletion."""

    customer: Customer
    has_his_documents: bool = False
    points_before: int | None = None  # Before the last change; None where they did not change meanwhile.
    unexplained: frozenset[int] = frozenset()  # What his points moved by since, without a ticket or an adjustment.
    lost_flag: bool = False  # Around that time, whether it is set again or not.
    is_alike: bool = False  # In name, e-mail, phone and address, as the matching has it.


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Who survived, or who it may be."""

    survivor: str | None
    candidates: tuple[str, ...] = ()
    why: str = ""


def survivor(gone: Customer, suspects: Sequence[Suspect], *, home: str = HOME, lost_flag: bool = False) -> Verdict:
    """Say into whom a customer was merged.

    Args:
        gone: Who is gone, as they were last.
        suspects: The others.
        home: The shop's own country, of phones without a prefix.
        lost_flag: Whether the e-commerce flag was taken from them just before.
    """
    others = [one for one in suspects if one.customer.key != gone.key]
    traces = (
        ("his documents are that customer's now", [one for one in others if one.has_his_documents]),
        ("his points were added to that customer's", [one for one in others if _has_his_points(gone, one)]),
        (
            "both lost the flag, and they share what tells a person",
            [one for one in others if _is_alike(gone, one, home)],
        ),
    )
    for why, found in traces:
        if len(found) == 1 and not _is_another(gone, found[0], lost_flag=lost_flag):
            return Verdict(survivor=found[0].customer.key, why=why)
        if found:
            return Verdict(survivor=None, candidates=_numbers(found), why=why)
    alike = [one for one in others if one.is_alike]
    if alike:
        return Verdict(survivor=None, candidates=_numbers(alike), why="may have been given another number")
    return Verdict(survivor=None, candidates=_numbers([one for one in others if one.lost_flag]))


def _is_another(gone: Customer, one: Suspect, *, lost_flag: bool) -> bool:
    """Return whether a trace may lead to somebody else: clearly other names, and the flag was not taken from both."""
    return are_clearly_others(Name.of(gone), Name.of(one.customer)) and not (lost_flag and one.lost_flag)


def _has_his_points(gone: Customer, one: Suspect) -> bool:
    if not gone.points:
        return False
    if gone.points in one.unexplained:  # He may have bought something before the two were read.
        return True
    if one.points_before is None or one.customer.points is None:
        return False
    return one.customer.points - one.points_before == gone.points


def _is_alike(gone: Customer, one: Suspect, home: str) -> bool:
    if not one.lost_flag:
        return False
    other = one.customer
    same_phone = bool(gone.phone) and e164(gone.phone, home) == e164(other.phone, home)
    return same_phone or (gone.email is not None and gone.email == other.email) or _has_same_name(gone, other)


def _has_same_name(one: Customer, other: Customer) -> bool:
    """Return whether two have one name: the persons', else the companies' they are or belong to."""
    names = [f"{customer.first_name} {customer.last_name}".strip().casefold() for customer in (one, other)]
    if not all(names):
        names = [company_of(customer).casefold() for customer in (one, other)]
    return bool(names[0]) and names[0] == names[1]


def _numbers(found: Sequence[Suspect]) -> tuple[str, ...]:
    return tuple(sorted(one.customer.key for one in found))
