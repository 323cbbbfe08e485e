"""changes.<system>.<customers> -> wanted profiles: every system shows the same of one person. Keyed by the customer.

Each system's view is kept field by field; what counts is decided for the person, over all systems at once; whoever
shows something else is written to. The writer reads first, and says what it found where that is not what we knew.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import Row

from counterflow.state import links, profiles, reviews, steering, wanted
from counterflow.state.profiles import Kept
from counterflow.state.records import Seen
from counterflow.state.wanted import Want
from processors import accounts, groups, merges, showings
from processors.rules import profiles as rules
from processors.rules import sightings
from processors.rules.profiles import Agreed, At, Settled
from processors.rules.sightings import Side
from processors.shop import State
from schemas.commands import ChangeCustomer, Profile
from schemas.names import OurId
from schemas.outcomes import Outcome
from schemas.profiles import FIELDS, Value, as_profile, is_empty
from schemas.records import Customer

PROFILES = "profiles"
ROUND_MAX = timedelta(seconds=60)  # From a producer's round's begin to the last record that it reads.
_AGREED = msgspec.json.Decoder(dict[str, Agreed])


def take(batch: Iterable[Seen], state: State) -> None:
    """Enter what customers' records show now; at the end of the batch it is decided what counts."""
    ours = [seen for seen in batch if state.shop.keeps(seen.system, seen.entity)]
    _note_groups(ours, state)
    kept = profiles.read(state.connection, [(seen.system, seen.key) for seen in ours])
    entered = []
    for seen in ours:
        before = kept.get((seen.system, seen.key))
        if isinstance(seen.body, Customer):
            position = seen.position or showings.position_of(seen.at)
            if before is not None and before.gone_at is None and position < before.position:
                if position > before.reading:  # Not a replay, which says nothing new.
                    showings.doubt(state, before, seen.body)
                    entered.append(replace(before, reading=position))
                continue
            entered.append(showings.entered(state, before, seen.system, seen.body, position=position, at=seen.at))
        elif before is not None:
            profiles.mark_gone(state.connection, seen.system, seen.key, seen.at)
    profiles.keep(state.connection, entered)
    if any(seen.system == state.shop.pos for seen in ours):
        accounts.begin_to_tell(state)
    _follow_up(ours, state)


def take_last(readings: Iterable[Seen], state: State) -> None:
    """Enter what somebody showed last who is gone by the end of the batch: a merge is known by it (req-C6)."""
    ours = [seen for seen in readings if state.shop.keeps(seen.system, seen.entity)]
    if not ours:  # As in nearly every batch.
        return
    kept = profiles.read(state.connection, [(seen.system, seen.key) for seen in ours])
    entered = []
    for seen in ours:
        before, position = kept.get((seen.system, seen.key)), seen.position or showings.position_of(seen.at)
        is_news = before is not None and before.gone_at is None and position >= before.position
        if is_news and isinstance(seen.body, Customer):
            entered.append(showings.entered(state, before, seen.system, seen.body, position=position, at=seen.at))
    profiles.keep(state.connection, entered)


def _note_groups(ours: Iterable[Seen], state: State) -> None:
    """Note the groups that the point of sale has, first of all: a store's are told by them."""
    bodies = [seen.body for seen in ours if seen.system == state.shop.pos]
    for title in groups.note_titles(state, {one.group or "" for one in bodies if isinstance(one, Customer)}):
        for store in state.shop.customers:
            look_again(state, store, title)


def _follow_up(ours: Iterable[Seen], state: State) -> None:
    """Let everything that hangs on these customers be decided again."""
    ours = list(ours)
    linked = links.find_all(state.connection, "customer", [(seen.system, seen.key) for seen in ours if seen.body])
    emails, unlinked = set(), dict[str, list[Customer]]()
    for seen in ours:
        if not isinstance(seen.body, Customer):
            (merges.gone if seen.system == state.shop.pos else accounts.gone)(state, seen.system, seen.key)
            continue
        who = linked.get((seen.system, seen.key))
        if seen.system == state.shop.pos:
            state.creatable.add(seen.key)
            emails.add(seen.body.email or "")
        if who is not None:
            state.people.add(who)
        elif seen.system != state.shop.pos:
            unlinked.setdefault(seen.system, []).append(seen.body)
    accounts.link_waiting(state, emails - {""})  # First: of two accounts with one e-mail the older one is his.
    for store, bodies in sorted(unlinked.items()):
        accounts.look_whose(state, store, bodies)


def take_answer(outcome: Outcome, state: State) -> None:
    """Enter what a consumer found at its target, after it wrote or instead of writing."""
    kept = profiles.read(state.connection, [(outcome.system, outcome.key)]).get((outcome.system, outcome.key))
    if kept is None or outcome.result in {"waiting", "skipped"}:
        return
    record = outcome.record
    if record is None:  # Refused: nothing is on its way any more.
        profiles.keep(state.connection, [replace(kept, pending="{}")])
        return
    shown, position = showings.shown_by(state, outcome.system, record), showings.position_of(outcome.applied_at)
    enter = sightings.took if outcome.result in {"applied", "already"} else sightings.answer
    side = enter(
        showings.side_of(kept), shown, showings.changed_at(kept, record, outcome.applied_at), home=state.shop.home
    )
    side = sightings.disown(side, showings.nobodys(state, kept, outcome.system, record))
    after = replace(kept, pending="{}")
    read_at, wrote_at = kept.body.changed_at, record.changed_at
    if position >= kept.position:
        after = replace(after, seen=showings.text_of(side.seen), position=position, body=record)
    elif read_at is not None and wrote_at is not None and read_at > wrote_at:
        # By that system's own clock it was changed after our write, and read before we heard of the write: what shows
        # the old value then was changed back.
        side = sightings.see(side, showings.shown_by(state, outcome.system, kept.body), read_at, home=state.shop.home)
        after = replace(after, seen=showings.text_of(side.seen))
    profiles.keep(state.connection, [after])
    # A reading of late that shows something else: was it made before our write, or after it? A reading's position is
    # the moment in which its round began, so that no clock tells, and the record is read once more.
    row = (outcome.system, PROFILES, outcome.key)
    sent_at = wanted.rows(state.connection, [row])[row].sent_at
    if side.seen != showings.side_of(kept).seen and kept.reading >= showings.position_of(sent_at - ROUND_MAX):
        state.unsure.add((outcome.system, outcome.key))
    state.fresh.add((outcome.system, outcome.key))
    who = links.find(state.connection, "customer", outcome.system, outcome.key)
    if who is not None:
        state.people.add(who)


def decide(state: State) -> None:
    """Decide what counts of every person of the batch, and have it written where something else stands."""
    known = _known(state, state.people) if state.people else {}
    for who, one in sorted(known.items()):
        _decide(state, who, one)
    for system, key in sorted(state.unsure):
        _look(state, system, key)


def _decide(state: State, who: OurId, known: "_Known") -> None:
    kept, fields, before = known.kept, known.fields, known.agreed
    if state.shop.pos not in kept or len(kept) == 1 or state.shop.is_nobody(kept[state.shop.pos].body):
        return
    sides = {system: showings.side_of(one) for system, one in kept.items()}
    settled = {name: _settle(state, name, before.get(name), sides, fields) for name in FIELDS}
    agreed = {name: one.agreed for name, one in settled.items() if one.agreed is not None}
    if agreed != before:
        profiles.agree(state.connection, who, showings.text_of(agreed))
    _log_losers(state, kept, settled)
    _ask_for_group(state, who, settled["group"])
    for system, one in kept.items():
        side = sightings.mute(sightings.know(sides[system], agreed), agreed)
        able = state.shop.abilities[system]
        values = rules.writes(settled, side.seen, able, fields[system], home=state.shop.home)
        if "group" in values and _is_unpaired(state, one):
            del values["group"]
        if "email" in values and not _may_have_email(state, one, str(values["email"])):
            del values["email"]
        _say_what_is_too_long(state, one, agreed.get("email"))
        if values or _is_unmarked(state, one, kept[state.shop.pos].key):
            side = _want(state, one, side, values, agreed, pos_id=kept[state.shop.pos].key)
        else:
            _rest(state, known.standing.get(system))
        if side != sides[system]:
            profiles.keep(
                state.connection,
                [replace(one, seen=showings.text_of(side.seen), pending=showings.text_of(side.pending))],
            )


def _say_what_is_too_long(state: State, kept: Kept, email: Agreed | None) -> None:
    """Say once that an e-mail is left alone that a system would have to cut."""
    able = state.shop.abilities[kept.system]
    if email is None or is_empty(email.value) or able.can("email", email.value):
        return
    if steering.first_word(state.connection, f"{kept.system}/{kept.key}/email"):
        message = f"email: too long for {kept.system}, which would cut it; it is left alone there"
        row = (kept.system, PROFILES, kept.key)
        reviews.log_note(state.connection, row, message, at=state.now, kept=email, lost=None)


def _may_have_email(state: State, kept: Kept, email: str) -> bool:
    """Return whether an e-mail may be written: to a login by the shop's setting, and never one that others have."""
    if kept.system == state.shop.pos:
        return True
    if state.shop.customers[kept.system].login_email == "leave":
        return False
    mine = {kept.key, *(key for system, key in links.siblings(state.connection, "customer", kept.system, kept.key))}
    pos = state.shop.pos
    there = profiles.customers_with_email(state.connection, kept.system, state.shop.entity(kept.system), email)
    here = profiles.customers_with_email(state.connection, pos, state.shop.entity(pos), email)
    taken = [one.key for one in (*there, *here) if one.key not in mine]
    if taken and steering.first_word(state.connection, f"{kept.system}/{kept.key}/taken/{email}"):
        message = f"the login stays as it is: {' and '.join(taken)} has the e-mail too"
        row = (kept.system, PROFILES, kept.key)
        reviews.log_note(state.connection, row, message, at=state.now, kept=None, lost=None)
    return not taken


def _is_unpaired(state: State, kept: Kept) -> bool:
    """Say whether an account has a group that is none of the point of sale's: it is left alone."""
    return kept.system != state.shop.pos and groups.at_pos(state, kept.system, kept.body.group or "") is None


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of one person, by system: his customer at the point of sale and his oldest account in each store.

    Who has two accounts in one store, after a merge, keeps an e-mail for each: the store lets no two have the same.
    """

    kept: Mapping[str, Kept]  # Without those that are gone.
    fields: Mapping[str, tuple[str, ...]]  # What is kept the same.
    standing: Mapping[str, Row[Any]]  # What is wanted there.
    agreed: Mapping[str, Agreed]


def _known(state: State, people: Iterable[OurId]) -> dict[OurId, _Known]:
    """Look up what is known of some people, for all of them at once."""
    links.lock(state.connection, [f"person:{who}" for who in people])
    keys = {who: _keys(state, own) for who, own in links.remotes_of(state.connection, "customer", people).items()}
    ids = [(system, own[0]) for each in keys.values() for system, own in each.items()]
    kept = {one: found for one, found in profiles.read(state.connection, ids).items() if found.gone_at is None}
    rows = wanted.rows(state.connection, [(system, PROFILES, key) for system, key in kept])
    agreed = profiles.agreed(state.connection, keys)
    return {
        who: _Known(
            kept={system: kept[system, own[0]] for system, own in each.items() if (system, own[0]) in kept},
            fields={system: _kept_the_same(state, system, is_alone=len(own) == 1) for system, own in each.items()},
            standing={
                system: rows[system, PROFILES, own[0]]
                for system, own in each.items()
                if (system, PROFILES, own[0]) in rows
            },
            agreed=_AGREED.decode(agreed.get(who, "{}")),
        )
        for who, each in keys.items()
    }


def _keys(state: State, remotes: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Give a person's ids by system, each system's oldest first, of those that are kept the same."""
    keys: dict[str, list[str]] = {}
    for system, key in remotes:
        if system == state.shop.pos or system in state.shop.customers:
            keys.setdefault(system, []).append(key)
    return keys


def _kept_the_same(state: State, system: str, *, is_alone: bool) -> tuple[str, ...]:
    fields = FIELDS if system == state.shop.pos else state.shop.customers[system].fields
    return fields if is_alone else tuple(name for name in fields if name != "email")


def _settle(
    state: State,
    name: str,
    agreed: Agreed | None,
    sides: Mapping[str, Side],
    fields: Mapping[str, tuple[str, ...]],
) -> Settled:
    keeping = {one: side for one, side in sides.items() if name in fields[one]}
    shown = {system: side.seen[name] for system, side in keeping.items() if name in side.seen}
    able, pos, home = state.shop.abilities, state.shop.pos, state.shop.home
    silent = [system for system in keeping if name not in keeping[system].seen and name in able[system].fields]
    return rules.settle(name, agreed, shown, able, pos=pos, silent=silent, home=home)


def _is_unmarked(state: State, kept: Kept, pos_id: str) -> bool:
    """Say whether an account does not name its customer yet, where it can."""
    is_account = kept.system != state.shop.pos
    return is_account and kept.body.pos_id != pos_id and "pos_id" in state.shop.abilities[kept.system].fields


def _rest(state: State, standing: Row[Any] | None) -> None:
    """Let a wanted change be that is not needed any more."""
    if standing is not None and standing.state in {"ready", "held", "rejected"}:
        row = (standing.system, standing.task, standing.key)
        wanted.mark_done(state.connection, [row], at=state.now, note="both sides show the same")
        state.settle("refused", "/".join(row))


def _want(
    state: State, kept: Kept, side: Side, values: dict[str, Value], agreed: Mapping[str, Agreed], *, pos_id: str
) -> Side:
    """Want a system to show what is agreed; gives its side with what is on its way now."""
    row = (kept.system, PROFILES, kept.key)
    is_unmarked = _is_unmarked(state, kept, pos_id)
    # All that it showed, not only what is to be written: our writing moves the record's one date, and an edit of
    # another field that nobody had seen before would seem to be as young as that.
    shown = {name: one.value for name, one in side.seen.items()}
    body = ChangeCustomer(
        remote_id=kept.key,
        fields=_profile(state, kept.system, values, pos_id=pos_id if is_unmarked else None),
        decided_on=_profile(state, kept.system, shown, pos_id=None),
        home=state.shop.home,
    )
    _want_again(state, row, body)
    return sightings.send(side, {name: At(value, agreed[name].at) for name, value in values.items()})


def _profile(state: State, system: str, values: Mapping[str, Value], *, pos_id: str | None) -> Profile:
    """Give values as a command carries them, the group under the store's own title."""
    own = dict(values)
    if system != state.shop.pos and "group" in own:
        own["group"] = groups.at_store(state, system, str(own["group"]))
    return as_profile(own | ({} if pos_id is None else {"pos_id": pos_id}))


def _want_again(state: State, row: tuple[str, str, str], body: ChangeCustomer) -> None:
    """Want a change; what was wanted and done in just these words before is wanted once more."""
    before = wanted.rows(state.connection, [row]).get(row)
    wanted.want(state.connection, [Want(system=row[0], task=row[1], key=row[2], body=body)], at=state.now)
    now = wanted.rows(state.connection, [row])[row]
    if before is not None and before.state == "done" and now.state == "done":
        wanted.reopen(state.connection, [row], at=state.now, note="it is not so any more")


def _look(state: State, system: str, key: str) -> None:
    """Have a customer read once more: nothing is written, and the answer says what is there."""
    row = (system, PROFILES, key)
    standing = wanted.rows(state.connection, [row]).get(row)
    if standing is None or standing.state in {"done", "rejected"}:
        look = ChangeCustomer(remote_id=key, fields=Profile(), decided_on=Profile(), home=state.shop.home)
        _want_again(state, row, look)


def _log_losers(state: State, kept: Mapping[str, Kept], settled: Mapping[str, Settled]) -> None:
    """Write into the log what did not count: both values, both times (req-C7)."""
    for name, one in settled.items():
        for lost in one.lost:
            key = kept[lost.side].key
            if (lost.side, key) in state.fresh:
                message = f"{name}: the change in {lost.side} lost against the one in {lost.against.side}"
                row = (lost.side, PROFILES, key)
                reviews.log_note(state.connection, row, message, at=state.now, kept=lost.against, lost=lost.change)


def _ask_for_group(state: State, who: OurId, group: Settled) -> None:
    """Ask a person where two sides disagree about the group."""
    if group.conflict:
        message = f"the group differs: {' or '.join(repr(one) for one in group.conflict)}?"
        state.ask("group", who, message, {"candidates": list(group.conflict)})
    else:
        state.settle("group", who)


def choose_group(state: State, who: OurId, title: str) -> None:
    """Enter the group that a person chose: it counts from now on, on every side."""
    known = _known(state, [who]).get(who)
    if known is None:
        return  # Nobody knows him any more.
    agreed = {**known.agreed, "group": Agreed(title, state.now, rules.PERSON)}
    profiles.agree(state.connection, who, showings.text_of(agreed))
    again = [
        replace(one, seen=showings.text_of(sightings.know(showings.side_of(one), agreed).seen))
        for one in known.kept.values()
    ]
    profiles.keep(state.connection, again)
    state.people.add(who)


def look_again(state: State, system: str, title: str) -> None:
    """Enter anew what the accounts of one group show: its title was paired meanwhile."""
    kept = profiles.in_group(state.connection, system, title)
    again = [showings.entered(state, one, system, one.body, position=one.position, at=state.now) for one in kept]
    profiles.keep(state.connection, [replace(one, reading=old.reading) for one, old in zip(again, kept, strict=True)])
    for one in kept:
        who = links.find(state.connection, "customer", system, one.key)
        if who is not None:
            state.people.add(who)
