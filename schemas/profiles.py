"""A customer's fields: which there are, what a record shows in them, and when two values mean the same."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec
from phonenumbers import NumberParseException, PhoneNumberFormat, format_number, parse

from schemas.commands import Profile
from schemas.records import Address, Customer, Postal

Value = str | bool | Postal
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


def unlike(profile: Profile, customer: Customer, names: Iterable[str]) -> list[str]:
    """Name the fields in which a customer does not show what a profile says; what it does not say must be empty."""
    said, shown = of_profile(profile), of_customer(customer, {*FIELDS, "pos_id"})
    return [name for name in names if not same(name, said.get(name, ""), shown.get(name, ""))]


def moved(fields: Profile, decided_on: Profile, customer: Customer) -> list[str]:
    """Name the fields in which a customer is not as he was when it was decided that he shall have `fields`."""
    names = {*of_profile(fields), *of_profile(decided_on)} - {"pos_id"}  # Ours alone: nobody decides on that.
    return unlike(decided_on, customer, sorted(names))


def same(name: str, one: Value, other: Value) -> bool:
    """Say whether two values of a field mean the same, without regard to how they are written."""
    return _plain(name, one) == _plain(name, other)


def _plain(name: str, value: Value) -> object:
    if is_empty(value):
        return None
    if isinstance(value, Postal):
        return tuple(_text(text) for text in msgspec.structs.astuple(value))
    if isinstance(value, bool):
        return value
    if name == "phone":
        return e164(value)
    if name == "email":
        return value.strip().lower()
    return _text(value)


def _text(text: str) -> str:
    """Give a text as it is compared: the shop's capitals and spelling count, its blanks do not."""
    return " ".join(text.split())


def e164(phone: str, region: str = "US") -> str:
    """Give a phone number in E.164; one that cannot be read, by its digits alone, else as it is."""
    try:
        return format_number(parse(phone, region), PhoneNumberFormat.E164)
    except NumberParseException:
        return "".join(one for one in phone if one.isdigit()) or _text(phone)


def is_empty(value: Value) -> bool:
    """Say whether a value says nothing."""
    return value in ("", Postal())
