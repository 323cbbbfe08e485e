"""Which value of a customer's field counts (req-C7)? One register for each field, whoever holds it.

What is agreed has a value, a time and a side. Tried in this order:

1. A side that shows what is agreed says nothing: our own writes come back so, and are silent. What a system made of
   ours, `?ukasz` of `Łukasz`, says nothing either, and is left as it is there.
2. A side that does not keep the field, or shows nothing in one that must not be empty, says nothing.
3. A side that shows something else changed it. A change older than what is agreed came too late: it lost.
   An empty field that never had a value is no change.
4. Of several changes the most recent wins; at the same moment the point of sale does.
5. Nothing agreed yet: as above.
6. The group alone is no register: where two sides disagree, a person chooses; nothing is written meanwhile (req-C8).
7. What nobody said counts for nothing: a template's default, what we filled in, an address that stands for none.
8. A wish about mail: what a record shows first is no edit, and its date is not the wish's. So at a first link a "no"
   counts, whatever the dates; a "yes" counts there only where every side shows it, and silence is left alone. After
   that a "no" becomes "yes" by somebody's edit alone.

Whoever shows something else than the winner is written to. What loses is named, with both values and times.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec

from schemas.places import HOME, shorter
from schemas.profiles import EXACT, FIELDS, Value, is_empty, is_image, same
from schemas.records import Postal

NEVER_EMPTY = frozenset({"email", "first_name", "last_name"})  # Neither side can do without.
PERSON = "person"  # The side of a value that somebody chose by hand.
# Since when a side shows an empty field that never had a value.
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
COPY = timedelta(microseconds=1)  # A copy is a little older than its original: it never wins against it.


class At(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one system shows in a field, and since when, by its own clock."""

    value: Value
    at: datetime
    # Chosen in ignorance of what was agreed or on its way, or shown first: counts in groups and wishes about mail.
    is_strange: bool = False
    is_nobodys: bool = False  # Nobody's word: what a machine filled in, or made of ours. It is no change.
    of: Value | None = None  # Our value that a system made this of; None: it is no such image.


class Agreed(msgspec.Struct, frozen=True):
    """What counts in a field, since when, and which side said so."""

    value: Value
    at: datetime
    side: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What a system can keep of a customer."""

    fields: frozenset[str] = frozenset(FIELDS)
    lengths: Mapping[str, int] = field(default_factory=dict)  # By field, or by line of an address.

    def can(self, name: str, value: Value) -> bool:
        """Say whether this system can be given a value at all: it keeps the field, and half an e-mail is none."""
        if name not in self.fields or (name in NEVER_EMPTY and is_empty(value)):
            return False
        return name != "email" or len(str(value)) <= self.lengths.get(name, len(str(value)))

    def holds(self, name: str, value: Value) -> Value:
        """Give a value as this system would keep it: cut to its columns."""
        if isinstance(value, Postal):
            parts = msgspec.structs.asdict(shorter(value, self.lengths.get))
            return Postal(**{part: text[: self.lengths.get(part)].strip() for part, text in parts.items()})
        return value[: self.lengths.get(name)].strip() if isinstance(value, str) and name != "email" else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A change that did not count, and why what counts does."""

    side: str
    change: At
    against: Agreed


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What counts in one field now."""

    agreed: Agreed | None  # None: nobody says anything.
    lost: tuple[Lost, ...] = ()
    conflict: tuple[str, ...] = ()  # The values that a person must choose from; nothing is written meanwhile.


def settle(
    name: str,
    agreed: Agreed | None,
    sides: Mapping[str, At],
    abilities: Mapping[str, Abilities],
    *,
    pos: str,
    silent: Collection[str] = (),
    home: str = HOME,
) -> Settled:
    """Decide one field.

    Args:
        name: One of FIELDS.
        agreed: What counted until now; None where this person is new.
        sides: What each system shows; a system that does not keep the field is not among them.
        abilities: Of each of those systems.
        pos: The point of sale's name: it wins at the same moment.
        silent: Systems of this person that keep the field and show nothing in it.
        home: The shop's own country.
    """
    said = {side: at for side, at in sorted(sides.items()) if _says(name, agreed, at, abilities[side], home)}
    if agreed is not None:
        others = {side: at for side, at in sides.items() if side not in said and _is_own_word(name, at)}
        agreed = _latest(name, agreed, others, abilities, pos=pos, home=home)
    else:
        said = {side: at for side, at in said.items() if not any(is_less(name, at, one) for one in said.values())}
    if not said:
        return Settled(agreed=agreed)
    if name == "group":
        return _choose(agreed, said, pos)
    if name == "marketing" and any(at.is_strange for at in said.values()):
        return _wish(agreed, said, is_silent=bool(silent) or any(at.is_nobodys for at in sides.values()), pos=pos)
    return _last(name, agreed, said, pos, home)


def _last(name: str, agreed: Agreed | None, said: Mapping[str, At], pos: str, home: str) -> Settled:
    """Decide by the most recent change."""
    rank = {side: (at.at, side == pos) for side, at in said.items()}
    winner = max(sorted(said), key=rank.__getitem__)
    now = Agreed(said[winner].value, said[winner].at, winner)
    if agreed is not None and _is_late(said[winner], winner, agreed, pos):
        now = agreed
    lost = tuple(
        Lost(side=side, change=at, against=now)
        for side, at in said.items()
        if not same(name, at.value, now.value, home=home) and (agreed is not None or len(said) > 1)
    )
    return Settled(agreed=now, lost=lost)


def _says(name: str, agreed: Agreed | None, shown: At, able: Abilities, home: str) -> bool:
    """Say whether what a side shows is a change."""
    if shown.is_nobodys or (is_empty(shown.value) and (name in NEVER_EMPTY or shown.at == NEVER)):
        return False
    return agreed is None or not same(name, shown.value, able.holds(name, agreed.value), home=home)


def is_less(name: str, shown: At, other: At | Agreed) -> bool:
    """Say whether a value is what a system may have made of another one, but not the reverse. A phone is as it is."""
    if name in EXACT or name == "phone" or shown.value == other.value:
        return False
    return is_image(other.value, shown.value) and not is_image(shown.value, other.value)


def _is_own_word(name: str, at: At) -> bool:
    """Return whether a side came to what it shows by somebody's edit."""
    return not at.is_nobodys and not (name == "marketing" and at.is_strange)


def _wish(agreed: Agreed | None, said: Mapping[str, At], *, is_silent: bool, pos: str) -> Settled:
    """Decide a wish about mail that some side shows first: a "no" counts, a "yes" only where everybody shows it."""
    first = {side: at for side, at in said.items() if at.is_strange}
    noes = {side: at for side, at in first.items() if not at.value}
    if noes:
        side = max(sorted(noes), key=lambda one: (noes[one].at, one == pos))
        since = noes[side].at if agreed is None else max(noes[side].at, agreed.at + COPY)
        now = Agreed(False, since, side)
        return Settled(agreed=now, lost=_lost({one: at for one, at in said.items() if at.value}, now))
    edits = {side: at for side, at in said.items() if not at.is_strange}
    if edits:
        settled = _last("marketing", agreed, edits, pos, HOME)
        stands = settled.agreed
        return Settled(agreed=stands, lost=settled.lost + (_lost(first, stands) if stands and not stands.value else ()))
    if agreed is not None:
        return Settled(agreed=agreed, lost=_lost(first, agreed))
    if is_silent:
        return Settled(agreed=None)
    side = max(sorted(first), key=lambda one: (first[one].at, one == pos))
    return Settled(agreed=Agreed(True, first[side].at, side))


def _lost(changes: Mapping[str, At], against: Agreed) -> tuple[Lost, ...]:
    return tuple(Lost(side=side, change=at, against=against) for side, at in changes.items())


def _latest(
    name: str, agreed: Agreed, others: Mapping[str, At], abilities: Mapping[str, Abilities], *, pos: str, home: str
) -> Agreed:
    """Give what is agreed the time of the last side that came to it by itself: what is older lost against that too."""
    for side, at in sorted(others.items()):
        shows_it = same(name, at.value, abilities[side].holds(name, agreed.value), home=home)
        if shows_it and (at.at, side == pos) > (agreed.at, agreed.side == pos):
            agreed = Agreed(agreed.value, at.at, side)
    return agreed


def _is_late(change: At, side: str, agreed: Agreed, pos: str) -> bool:
    """Say whether a change lost against what is agreed: it is older, or as old and not the point of sale's.

    One side's own two changes within a second come in the order in which they were read.
    """
    if change.at == agreed.at and side != agreed.side:
        return side != pos or agreed.side == PERSON
    return change.at < agreed.at


def _choose(agreed: Agreed | None, said: Mapping[str, At], pos: str) -> Settled:
    """Decide the group: one change of what was agreed counts; several, or a stranger's, are for a person."""
    if agreed is not None:
        said = {side: at for side, at in said.items() if at.is_strange or not _is_late(at, side, agreed, pos)}
    values = {str(at.value) for at in said.values()}
    if agreed is not None and not is_empty(agreed.value) and any(at.is_strange for at in said.values()):
        values.add(str(agreed.value))
    if not values:
        return Settled(agreed=agreed)
    if len(values) > 1:
        return Settled(agreed=agreed, conflict=tuple(sorted(values)))
    side, at = max(said.items(), key=lambda one: (one[1].at, one[0] == pos, one[0]))
    # A stranger's group that nobody contradicts is taken as of now.
    since = at.at if agreed is None else max(at.at, agreed.at + COPY)
    return Settled(agreed=Agreed(at.value, since, side))


def writes(
    settled: Mapping[str, Settled],
    sides: Mapping[str, At],
    able: Abilities,
    fields: Iterable[str],
    *,
    home: str = HOME,
) -> dict[str, Value]:
    """Give what one system must be given: the agreed values that it does not show, of the fields that it keeps.

    Args:
        settled: By field.
        sides: What this system shows, by field.
        able: Its abilities.
        fields: The fields to consider: those of the pair.
        home: The shop's own country.
    """
    found: dict[str, Value] = {}
    for name in fields:
        one = settled.get(name)
        if one is None or one.agreed is None or one.conflict or not able.can(name, one.agreed.value):
            continue
        wanted = able.holds(name, one.agreed.value)
        shown = sides.get(name)
        if shown is not None and shown.is_nobodys and is_image(one.agreed.value, shown.value, home=home):
            continue  # It made this of ours, and would again.
        if (not is_empty(wanted)) if shown is None else not same(name, shown.value, wanted, home=home):
            found[name] = wanted
    return found
