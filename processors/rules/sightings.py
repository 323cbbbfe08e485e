"""What one system shows of a customer, and since when each field does.

A system gives one time for the whole record, or none; a field's time is that of the first reading with its value.
What we sent and had no answer to is pending: seen again, it is our own write, as old as the change that it carried.
So is what the system made of it, `?ukasz` or `Lukasz` of `Łukasz`; that is nobody's word, until somebody changes it to
more than another such image (docs/rules/profiles.md).
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import msgspec

from processors.rules.profiles import COPY, NEVER, PERSON, Agreed, At, is_less
from schemas.places import HOME
from schemas.profiles import EXACT, Value, is_empty, is_image, same


class Side(msgspec.Struct, frozen=True):
    """One system's view of one customer."""

    seen: dict[str, At] = {}
    pending: dict[str, list[At]] = {}


def see(side: Side, shown: Mapping[str, Value], at: datetime, *, home: str = HOME) -> Side:
    """Enter a reading.

    Args:
        side: What was known.
        shown: What the record shows, by field.
        at: When the record was changed, by its own system's clock.
        home: The shop's own country.
    """
    seen = {name: _one(side, name, shown[name], at, home) for name in shown}
    return msgspec.structs.replace(side, seen=side.seen | seen)


def _one(side: Side, name: str, value: Value, at: datetime, home: str) -> At:
    before = side.seen.get(name)
    if before is None:
        # A wish about mail that a known record begins to show is somebody's edit; what a new one shows is not.
        is_strange = name == "group" or (name == "marketing" and not side.seen)
        return At(value, NEVER if is_empty(value) else at, is_strange=is_strange)
    if same(name, before.value, value, home=home):  # The shop's own spelling, as it is now.
        return msgspec.structs.replace(before, value=value)
    pending = side.pending.get(name, [])
    for one in reversed(pending):
        if same(name, one.value, value, home=home):
            return At(value, one.at - COPY)
    # Somebody chose a group without knowing of the one that is on its way there.
    edit = At(value, at, is_strange=name == "group" and bool(pending))
    return edit if name in EXACT else _image(before, pending, value, home) or edit


def _image(before: At, pending: Sequence[At], value: Value, home: str) -> At | None:
    """Give a value as what its system made of ours; None where it is no such image."""
    for one in reversed(pending):
        if is_image(one.value, value, home=home):
            return At(value, one.at - COPY, is_nobodys=True, of=one.value)
    if before.of is not None and is_image(before.of, value, home=home):
        return msgspec.structs.replace(before, value=value)  # Somebody mended what the system had made of ours.
    return None


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


def mute(side: Side, agreed: Mapping[str, Agreed]) -> Side:
    """Enter what was just decided: a younger value that did not count shows less of what did, and is nobody's word."""
    less = {
        name: msgspec.structs.replace(one, is_nobodys=True, of=agreed[name].value)
        for name, one in side.seen.items()
        if name in agreed and one.at >= agreed[name].at and not one.is_nobodys and is_less(name, one, agreed[name])
    }
    return msgspec.structs.replace(side, seen=side.seen | less) if less else side


def answer(side: Side, shown: Mapping[str, Value], at: datetime, *, home: str = HOME) -> Side:
    """Enter what a consumer read after it wrote, or instead of writing: nothing is on its way any more."""
    return msgspec.structs.replace(see(side, shown, at, home=home), pending={})


def took(side: Side, shown: Mapping[str, Value], at: datetime, *, home: str = HOME) -> Side:
    """Enter what a consumer read where its system has what was sent: an image of that is all that it can hold."""
    sent = {name: side.pending[name][-1] for name in shown if side.pending.get(name) and name not in EXACT}
    images = {
        name: At(shown[name], one.at - COPY, is_nobodys=True, of=one.value)
        for name, one in sent.items()
        if not same(name, one.value, shown[name], home=home) and is_image(one.value, shown[name], home=home)
    }
    return answer(msgspec.structs.replace(side, seen=side.seen | images), shown, at, home=home)
