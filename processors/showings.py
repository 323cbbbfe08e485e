"""What a system shows of a customer, and since when: as it is kept, field by field, after each reading."""

from dataclasses import replace
from datetime import datetime

import msgspec

from counterflow.state import profiles
from counterflow.state.profiles import Kept
from processors import groups
from processors.rules import sightings
from processors.rules.sightings import Side
from processors.shop import State
from schemas.profiles import FIELDS, Value, of_customer, same
from schemas.records import Customer


def entered(state: State, before: Kept | None, system: str, customer: Customer, *, position: int, at: datetime) -> Kept:
    """Give a customer as he is kept after a reading."""
    was = side_of(before)
    if before is not None and before.gone_at is not None:
        before = None  # He is back, or another under his number: what he was says nothing.
    side = side_of(before)
    shown = shown_by(state, system, customer)
    now = sightings.see(side, shown, changed_at(before, customer, at), home=state.shop.home)
    now = sightings.disown(now, nobodys(state, before, system, customer) | _still_nobodys(was, now, state.shop.home))
    if now != side:
        state.fresh.add((system, customer.key))
    kept = before or Kept(system=system, key=customer.key, body=customer)
    texts = {"seen": text_of(now.seen), "pending": text_of(now.pending)}
    return _traced(replace(kept, **texts, position=position, reading=position), customer, at)  # type: ignore[arg-type]


def _still_nobodys(was: Side, now: Side, home: str) -> set[str]:
    """Return the fields that show what was nobody's word before, also where a record was gone and is back."""
    nobodys = {name: at.value for name, at in was.seen.items() if at.is_nobodys and at.of is None}
    return {
        name
        for name, value in nobodys.items()
        if name in now.seen and same(name, value, now.seen[name].value, home=home)
    }


def changed_at(before: Kept | None, customer: Customer, at: datetime) -> datetime:
    """Return since when a record is as it is shown.

    A script that changes a field and leaves the date has changed it when the feed shows it, not when the date says; a
    clock of that system's that is ahead makes it no older than the date.
    """
    if customer.changed_at is None:
        return at
    is_old_date = before is not None and customer.changed_at == before.body.changed_at
    return max(at, customer.changed_at) if is_old_date else customer.changed_at


def nobodys(state: State, before: Kept | None, system: str, customer: Customer) -> set[str]:
    """Return the fields in which what a record shows is nobody's word.

    An address that stands for none; and what a customer shows first whom we had made, in all that we did not send: a
    template's defaults, and what we had to fill in. Their e-mail may have been typed at a checkout.
    """
    found = {"email"} if state.shop.nobody.has_email(customer.email) else set()
    if before is None and system == state.shop.pos and customer.key in state.newcomers:
        found |= set(FIELDS) - state.newcomers[customer.key]
    return found


def _traced(kept: Kept, customer: Customer, at: datetime) -> Kept:
    """Note what may show a merge later: a flag that was taken away, points that changed."""
    if kept.body.is_ecommerce and not customer.is_ecommerce:
        kept = replace(kept, unflagged_at=at)
    if kept.body.points != customer.points:
        kept = replace(kept, points_before=kept.body.points, points_at=at)
    return replace(kept, body=customer)


def doubt(state: State, before: Kept, customer: Customer) -> None:
    """Have a record read once more that was read before we wrote it, or at the same time: which one is it now?"""
    side = side_of(before)
    shown = shown_by(state, before.system, customer)
    if sightings.see(side, shown, before.body.changed_at or state.now, home=state.shop.home) != side:
        state.unsure.add((before.system, before.key))


def shown_by(state: State, system: str, customer: Customer) -> dict[str, Value]:
    """Give what a record shows, with the group under the point of sale's title."""
    shown = of_customer(customer, state.shop.abilities[system].fields)
    if system != state.shop.pos and "group" in shown:
        title = groups.at_pos(state, system, str(shown.pop("group")))
        if title is not None:
            shown["group"] = title
    return shown


def disown_first(state: State, key: str, given: frozenset[str]) -> None:
    """Note of a customer whom we had made, and who was read before we heard so, what of them is nobody's word."""
    kept = profiles.read(state.connection, [(state.shop.pos, key)]).get((state.shop.pos, key))
    if kept is not None:
        side = sightings.disown(side_of(kept), set(FIELDS) - given)
        profiles.keep(state.connection, [replace(kept, seen=text_of(side.seen))])


def estrange(state: State, system: str, key: str) -> None:
    """Have what a record shows of wishes about mail count as shown first again: it comes to another person."""
    kept = profiles.read(state.connection, [(system, key)]).get((system, key))
    side = side_of(kept)
    if kept is None or "marketing" not in side.seen:
        return
    strange = {"marketing": msgspec.structs.replace(side.seen["marketing"], is_strange=True)}
    seen = msgspec.structs.replace(side, seen=side.seen | strange).seen
    profiles.keep(state.connection, [replace(kept, seen=text_of(seen))])


def side_of(kept: Kept | None) -> Side:
    """Return a kept profile as the rules want it; an empty one where there is none."""
    if kept is None:
        return Side()
    return msgspec.json.decode(f'{{"seen":{kept.seen},"pending":{kept.pending}}}', type=Side)


def text_of(values: object) -> str:
    """Return the rules' own values as they are kept."""
    return msgspec.json.encode(values, order="sorted").decode()


def position_of(at: datetime) -> int:
    """Give a time as a position: a reading's is milliseconds of the clock (producers.runner)."""
    return int(at.timestamp() * 1000)
