"""A customer's fields: which there are, what a record shows in them, and when two values mean the same."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec
from phonenumbers import NumberParseException, PhoneNumberFormat, format_number, parse

from schemas.commands import Profile
from schemas.images import is_image_of
from schemas.places import HOME, Vocabulary, country, same_place, state, worded
from schemas.records import Address, Customer, Postal

Value = str | bool | Postal
EXACT = frozenset({"email", "group", "marketing", "pos_id"})  # Taken as it is or not at all: another one is another.
_SAYING = tuple(line for line in Postal.__struct_fields__ if line != "country")
FIELDS = ("email", "first_name", "last_name", "phone", "billing", "shipping", "marketing", "group")


def of_customer(customer: Customer, fields: Collection[str]) -> dict[str, Value]:
    """Give what a record shows, by field; a field that the system does not say is not among them."""
    shown: dict[str, Value | None] = {
        "email": customer.email or "",
        "first_name": customer.first_name,
        "last_name": customer.last_name,
        "phone": customer.phone,
        "billing": postal(customer.billing),
        "shipping": postal(customer.shipping),
        "marketing": customer.marketing,
        "group": customer.group,
        "pos_id": customer.pos_id,
    }
    return {name: value for name, value in shown.items() if value is not None and name in fields}


def postal(address: Address | None) -> Postal | None:
    """Give where an address can be sent to, without the person it is for."""
    if address is None:
        return None
    return Postal(**{name: getattr(address, name) for name in Postal.__struct_fields__})


def as_profile(values: Mapping[str, Value]) -> Profile:
    """Give values as a command carries them."""
    return Profile(**values)  # type: ignore[arg-type]


def of_profile(profile: Profile) -> dict[str, Value]:
    """Give the fields that a command carries."""
    values: dict[str, Any] = msgspec.structs.asdict(profile)
    return {name: value for name, value in values.items() if value is not msgspec.UNSET}


def unlike(profile: Profile, customer: Customer, names: Iterable[str], *, home: str = HOME) -> list[str]:
    """Name the fields in which a customer does not show what a profile says; what it does not say must be empty."""
    said, shown = of_profile(profile), of_customer(customer, {*FIELDS, "pos_id"})
    return [name for name in names if not same(name, said.get(name, ""), shown.get(name, ""), home=home)]


def untaken(profile: Profile, customer: Customer, names: Iterable[str], *, home: str = HOME) -> list[str]:
    """Name the fields in which a customer shows neither what was written nor what a system may have made of it."""
    said, shown = of_profile(profile), of_customer(customer, {*FIELDS, "pos_id"})
    return [
        name
        for name in unlike(profile, customer, names, home=home)
        if name in EXACT or not is_image(said.get(name, ""), shown.get(name, ""), home=home)
    ]


def moved(fields: Profile, decided_on: Profile, customer: Customer, *, home: str = HOME) -> list[str]:
    """Name the fields in which a customer is not as when it was decided that they shall have `fields`."""
    names = {*of_profile(fields), *of_profile(decided_on)} - {"pos_id"}  # Ours alone: nobody decides on that.
    return unlike(decided_on, customer, sorted(names), home=home)


def worded_profile(wanted: Profile, there: Customer | None, *, home: str, words: Vocabulary = "code") -> Profile:
    """Give a profile whose addresses are in the words of the system that it is written to.

    Args:
        wanted: What the customer shall have.
        there: Who stands there; None: nobody yet.
        home: The shop's own country.
        words: What the system calls countries.
    """
    shown = of_customer(there, ("billing", "shipping")) if there is not None else {}
    own: dict[str, Value] = {}
    for name, value in of_profile(wanted).items():
        before = shown.get(name)
        if isinstance(value, Postal):
            own[name] = worded(value, before if isinstance(before, Postal) else Postal(), home=home, words=words)
    return msgspec.structs.replace(wanted, **own)


def same(name: str, one: Value, other: Value, *, home: str = HOME) -> bool:
    """Say whether two values of a field mean the same, without regard to how they are written.

    Args:
        name: Of the field.
        one: A value.
        other: Another one.
        home: The shop's own country: what a phone without a prefix and an address without a country mean.
    """
    if isinstance(one, Postal) and isinstance(other, Postal):
        return is_empty(one) == is_empty(other) and (is_empty(one) or same_place(one, other, home))
    return _plain(name, one, home) == _plain(name, other, home)


def is_image(ours: Value, theirs: Value, *, home: str = HOME) -> bool:
    """Say whether a value is what a system may have made of ours: of a text, or of each line of an address."""
    if isinstance(ours, Postal) and isinstance(theirs, Postal):
        return not is_empty(theirs) and _is_image_place(ours, theirs, home)
    if isinstance(ours, str) and isinstance(theirs, str):
        return not is_empty(theirs) and is_image_of(ours, theirs)
    return False


def _is_image_place(ours: Postal, theirs: Postal, home: str) -> bool:
    land = country(ours.country, home)
    if country(theirs.country, home) != land and not is_image_of(ours.country, theirs.country):
        return False
    if state(theirs.state, land) != state(ours.state, land) and not is_image_of(ours.state, theirs.state):
        return False
    lines = ("line_1", "line_2", "city", "postcode")
    return all(is_image_of(getattr(ours, line), getattr(theirs, line)) for line in lines)


def _plain(name: str, value: Value, home: str) -> object:
    if is_empty(value):
        return None
    if not isinstance(value, str):
        return value
    if name == "phone":
        return e164(value, home)
    if name == "email":
        return value.strip().lower()
    return _text(value)


def _text(text: str) -> str:
    """Give a text as it is compared: the shop's capitals and spelling count, its blanks do not."""
    return " ".join(text.split())


def e164(phone: str, region: str = HOME) -> str:
    """Give a phone number in E.164 with its extension; one that cannot be read, by its digits, else as it is."""
    try:
        number = parse(phone, region)
    except NumberParseException:
        return "".join(one for one in phone if one.isdigit()) or _text(phone)
    extension = f" x{number.extension}" if number.extension else ""
    return format_number(number, PhoneNumberFormat.E164) + extension


def is_empty(value: Value) -> bool:
    """Say whether a value says nothing; a country alone, which a store fills in by itself, says nothing."""
    return value == "" or (isinstance(value, Postal) and not any(getattr(value, line) for line in _SAYING))
