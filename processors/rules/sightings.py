"""What one system shows of a customer, and since when each field does.

A system gives one time for the whole record, or none; a field's time is that of the first reading with its value.
What we sent and had no answer to is pending: seen again, it is our own write, as old as the change that it carried.
"""

from collections.abc import Collection, Mapping
from datetime import datetime

import msgspec

from processors.rules.profiles import COPY, NEVER, PERSON, Agreed, At
from schemas.profiles import Value, is_empty, same


class Side(msgspec.Struct, frozen=True):
    """One system's view of one customer."""

    seen: dict[str, At] = {}
    pending: dict[str, list[At]] = {}


def see(side: Side, shown: Mapping[str, Value], at: datetime) -> Side:
    """Enter a reading.

    Args:
        side: What was known.
        shown: What the record shows, by field.
        at: When the record was changed, by its own system's clock.
    """
    return msgspec.structs.replace(side, seen=side.seen | {name: _one(side, name, shown[name], at) for name in shown})


def _one(side: Side, name: str, value: Value, at: datetime) -> At:
    before = side.seen.get(name)
    if before is None:
        return At(value, NEVER if is_empty(value) else at, is_strange=name in {"group", "marketing"})
    if same(name, before.value, value):
        return msgspec.structs.replace(before, value=value)  # The shop's own spelling, as it is now.
    pending = side.pending.get(name, [])
    for one in reversed(pending):
        if same(name, one.value, value):
            return At(value, one.at - COPY)
    # Somebody chose a group without knowing of the one that is on its way there.
    return At(value, at, is_strange=name == "group" and bool(pending))


def disown(side: Side, names: Collection[str]) -> Side:
    """Note that what a record shows in some fields is nobody's word."""
    nobodys = {name: msgspec.structs.replace(side.seen[name], is_nobodys=True) for name in names if name in side.seen}
    return msgspec.structs.replace(side, seen=side.seen | nobodys) if nobodys else side


def send(side: Side, values: Mapping[str, At]) -> Side:
    """Enter what goes out to this system, each value with the time of the change that it carries."""
    pending = dict(side.pending)
    for name, one in values.items():
        if not pending.get(name) or pending[name][-1] != one:
            pending[name] = [*pending.get(name, []), one]
    return msgspec.structs.replace(side, pending=pending)


def know(side: Side, agreed: Mapping[str, Agreed]) -> Side:
    """Enter what was agreed: who shows it is no stranger to it any more, and nobody is once a person has chosen."""
    known = {
        name: msgspec.structs.replace(one, is_strange=False)
        for name, one in side.seen.items()
        if one.is_strange
        and name in agreed
        and (agreed[name].side == PERSON or same(name, one.value, agreed[name].value))
    }
    return msgspec.structs.replace(side, seen=side.seen | known) if known else side


def answer(side: Side, shown: Mapping[str, Value], at: datetime) -> Side:
    """Enter what a consumer read after it wrote, or instead of writing: nothing is on its way any more."""
    return msgspec.structs.replace(see(side, shown, at), pending={})
