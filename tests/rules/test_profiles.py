"""Whose value counts: the rules as a table, and what must hold whatever happens and in whichever order it is heard of."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.rules import sightings
from processors.rules.profiles import NEVER, PERSON, Abilities, Agreed, At, settle, writes
from processors.rules.sightings import Side
from schemas.profiles import FIELDS, Value, same
from schemas.records import Postal

POS, WEB, OTHER = "counterpoint", "north", "south"
BEGIN = datetime(2026, 5, 4, 9, 0, tzinfo=UTC)
ABLE = {POS: Abilities(lengths={"first_name": 15, "email": 50}), WEB: Abilities(), OTHER: Abilities()}


def at(second: int) -> datetime:
    return BEGIN + timedelta(seconds=second)


ROWS = [
    ("both show what is agreed", ("A", 0, POS), {POS: ("A", 0), WEB: ("A", 0)}, ("A", 0, POS), []),
    ("one came to it by itself", ("A", 0, POS), {POS: ("A", 0), WEB: ("A", 9)}, ("A", 9, WEB), []),
    ("the web changed", ("A", 0, POS), {POS: ("A", 0), WEB: ("B", 5)}, ("B", 5, WEB), []),
    ("the point of sale changed", ("A", 0, POS), {POS: ("B", 5), WEB: ("A", 0)}, ("B", 5, POS), []),
    ("both changed: the more recent", ("A", 0, POS), {POS: ("B", 5), WEB: ("C", 6)}, ("C", 6, WEB), [POS]),
    ("both at once: the point of sale", ("A", 0, WEB), {POS: ("B", 5), WEB: ("C", 5)}, ("B", 5, POS), [WEB]),
    ("a change that came late", ("A", 7, POS), {POS: ("A", 7), WEB: ("B", 5)}, ("A", 7, POS), [WEB]),
    ("twice within a second on one side", ("A", 7, WEB), {POS: ("A", 6), WEB: ("B", 7)}, ("B", 7, WEB), []),
    ("new: a value wins over none", None, {POS: ("", None), WEB: ("B", 5)}, ("B", 5, WEB), []),
    ("new: the more recent", None, {POS: ("A", 9), WEB: ("B", 5)}, ("A", 9, POS), [WEB]),
    ("new: nobody says anything", None, {POS: ("", None), WEB: ("", None)}, None, []),
    ("emptied", ("A", 0, POS), {POS: ("A", 0), WEB: ("", 5)}, ("", 5, WEB), []),
    ("three sides", ("A", 0, POS), {POS: ("A", 0), WEB: ("B", 5), OTHER: ("C", 6)}, ("C", 6, OTHER), [WEB]),
]


@pytest.mark.parametrize(("what", "agreed", "sides", "wanted", "lost"), ROWS, ids=[row[0] for row in ROWS])
def test_the_rules_as_a_table(what: str, agreed: Any, sides: Any, wanted: Any, lost: list[str]) -> None:
    before = agreed and Agreed(agreed[0], at(agreed[1]), agreed[2])
    shown = {side: At(value, NEVER if second is None else at(second)) for side, (value, second) in sides.items()}
    settled = settle("phone", before, shown, ABLE, pos=POS)
    assert settled.agreed == (wanted and Agreed(wanted[0], at(wanted[1]), wanted[2]))
    assert [one.side for one in settled.lost] == lost


def test_what_must_not_be_empty_is_never_emptied() -> None:
    shown = {POS: At("ana@example.com", at(0)), WEB: At("", at(9))}
    settled = settle("email", Agreed("ana@example.com", at(0), POS), shown, ABLE, pos=POS)
    assert settled.agreed == Agreed("ana@example.com", at(0), POS)


def test_an_account_that_is_new_to_us_empties_nothing() -> None:
    side = sightings.see(Side(), {"phone": "", "first_name": "Ana"}, at(9))
    shown = {POS: At("555 0100", at(0)), WEB: side.seen["phone"]}
    settled = settle("phone", Agreed("555 0100", at(0), POS), shown, ABLE, pos=POS)
    assert (settled.agreed, settled.lost) == (Agreed("555 0100", at(0), POS), ())
    assert writes({"phone": settled}, side.seen, ABLE[WEB], FIELDS) == {"phone": "555 0100"}


def test_a_name_too_long_for_one_side_is_left_as_that_side_keeps_it() -> None:
    long = "Maximiliane-Alexandra"
    shown = {POS: At(long[:15], at(4)), WEB: At(long, at(5))}
    settled = settle("first_name", Agreed(long, at(5), WEB), shown, ABLE, pos=POS)
    assert settled.agreed == Agreed(long, at(5), WEB)
    for side in (POS, WEB):
        assert writes({"first_name": settled}, {"first_name": shown[side]}, ABLE[side], FIELDS) == {}


def test_an_email_too_long_for_one_side_is_not_cut_but_left_alone() -> None:
    long = Agreed("a" * 60 + "@example.com", at(5), WEB)
    settled = settle("email", long, {POS: At("a@example.com", at(0))}, ABLE, pos=POS)
    assert writes({"email": settled}, {"email": At("a@example.com", at(0))}, ABLE[POS], FIELDS) == {}


@pytest.mark.parametrize(
    ("name", "one", "other", "equal"),
    [
        ("phone", "(212) 555-0100", "+1 212 555 0100", True),
        ("phone", "212-555-0100", "212-555-0101", False),
        ("phone", "ext 12", "12", True),
        ("email", "Ana@Example.com ", "ana@example.com", True),
        ("last_name", "O'Hara", "o'hara", False),  # The shop's spelling counts.
        ("last_name", "van  Dyck", "van Dyck", True),
        ("billing", Postal(line_1="1 High St"), Postal(line_1="1 High St "), True),
        ("billing", Postal(line_1="1 High St"), Postal(line_1="2 High St"), False),
        ("marketing", True, False, False),
    ],
)
def test_what_means_the_same(name: str, one: Value, other: Value, equal: bool) -> None:
    assert same(name, one, other) is equal


def group(agreed: Agreed | None, **shown: Any) -> Any:
    sides = {side: At(*what) for side, what in shown.items()}
    return settle("group", agreed, sides, ABLE, pos=POS)


def test_a_group_changed_on_one_side_is_followed() -> None:
    settled = group(Agreed("RETAIL", at(0), POS), counterpoint=("VIP", at(5)), north=("RETAIL", at(0)))
    assert (settled.agreed, settled.conflict) == (Agreed("VIP", at(5), POS), ())


def test_two_groups_are_for_a_person_and_his_choice_stands() -> None:  # req-C8
    before = Agreed("RETAIL", at(0), POS)
    settled = group(before, counterpoint=("VIP", at(5)), north=("TRADE", at(6)))
    assert (settled.agreed, settled.conflict) == (before, ("TRADE", "VIP"))
    chosen = Agreed("VIP", at(60), PERSON)
    settled = group(chosen, counterpoint=("VIP", at(5)), north=("TRADE", at(6)))
    assert (settled.agreed, settled.conflict) == (chosen, ())
    assert sightings.know(Side(seen={"group": At("TRADE", at(6), True)}), {"group": chosen}).seen == {
        "group": At("TRADE", at(6))
    }


def test_an_account_that_comes_with_another_group_is_for_a_person() -> None:
    settled = group(Agreed("RETAIL", at(0), POS), counterpoint=("RETAIL", at(0)), north=("TRADE", at(9), True))
    assert settled.conflict == ("RETAIL", "TRADE")
    assert writes({"group": settled}, {"group": At("TRADE", at(9), is_strange=True)}, ABLE[WEB], FIELDS) == {}


class World:
    """Two or three systems whose people edit, and our part in between: readings late, writes late, answers lost."""

    def __init__(self, sides: tuple[str, ...]) -> None:
        self.clock = count(1)
        self.there = {side: ("start", at(0)) for side in sides}
        self.known = {side: sightings.see(Side(), {"phone": "start"}, at(0)) for side in sides}
        self.agreed: Agreed | None = None
        self.sent: dict[str, tuple[str, str] | None] = dict.fromkeys(sides)
        self.edits = [(at(0), True, "start")]
        self.writes = 0

    def edit(self, side: str) -> None:
        second = next(self.clock)
        value = f"{200 + second} 555 0{100 + second}"
        self.there[side] = (value, at(second))
        self.edits.append((at(second), side == POS, value))

    def read(self, side: str) -> None:
        value, when = self.there[side]
        self.known[side] = sightings.see(self.known[side], {"phone": value}, when)
        self.decide()

    def decide(self) -> None:
        shown = {side: one.seen["phone"] for side, one in self.known.items()}
        settled = settle("phone", self.agreed, shown, ABLE, pos=POS)
        self.agreed = settled.agreed
        for side, one in self.known.items():
            wanted = writes({"phone": settled}, one.seen, ABLE[side], FIELDS)
            if wanted and self.sent[side] is None and self.agreed is not None:
                self.sent[side] = (str(one.seen["phone"].value), str(wanted["phone"]))
                self.known[side] = sightings.send(one, {"phone": At(wanted["phone"], self.agreed.at)})

    def write(self, side: str, answered: bool) -> None:
        """Carry out what was sent: read first, write where it is as decided on, and answer, or not."""
        sent = self.sent[side]
        if sent is None:
            return
        if self.there[side][0] == sent[0]:
            self.there[side] = (sent[1], at(next(self.clock)))
            self.writes += 1
        if answered:
            self.sent[side] = None
            value, when = self.there[side]
            self.known[side] = sightings.answer(self.known[side], {"phone": value}, when)
            self.decide()

    def settle_down(self) -> None:
        for _ in range(20):
            for side in self.there:
                self.read(side)
                self.write(side, answered=True)


STEPS = st.lists(
    st.tuples(st.sampled_from(["edit", "read", "write", "write unanswered"]), st.integers(0, 2)), max_size=40
)


@given(steps=STEPS, sides=st.sampled_from([(POS, WEB), (POS, WEB, OTHER)]))
def test_whatever_comes_in_whichever_order_the_last_edit_counts_everywhere(
    steps: list[tuple[str, int]], sides: tuple[str, ...]
) -> None:
    world = World(sides)
    for what, which in steps:
        side = sides[which % len(sides)]
        if what == "edit":
            world.edit(side)
        elif what == "read":
            world.read(side)
        else:
            world.write(side, answered=what == "write")
    world.settle_down()
    assert {value for value, _ in world.there.values()} == {max(world.edits)[2]}, "nothing else, and nothing invented"
    writes_before = world.writes
    world.settle_down()
    assert world.writes == writes_before, "our own writes come back in silence"


VALUES = st.sampled_from(["A", "B", "C", ""])
TIMES = st.integers(0, 5).map(at)
SHOWN = st.builds(At, VALUES, TIMES, st.booleans()) | st.builds(At, st.just(""), st.just(NEVER))


@given(
    agreed=st.none() | st.builds(Agreed, VALUES, TIMES, st.sampled_from([POS, WEB, PERSON])),
    sides=st.dictionaries(st.sampled_from([POS, WEB, OTHER]), SHOWN),
    name=st.sampled_from(["phone", "last_name", "group"]),
)
def test_deciding_twice_is_deciding_once_and_nothing_is_invented(
    agreed: Agreed | None, sides: dict[str, At], name: str
) -> None:
    if agreed is not None and agreed.side == PERSON:
        name = "group"  # The only field that people choose.
    sides = known_to(sides, name, agreed)
    once = settle(name, agreed, sides, ABLE, pos=POS)
    twice = settle(name, once.agreed, known_to(sides, name, once.agreed), ABLE, pos=POS)
    assert (twice.agreed, twice.conflict) == (once.agreed, once.conflict)
    if once.agreed is not None and once.agreed != agreed:
        assert once.agreed.value in {shown.value for shown in sides.values()}


def known_to(sides: dict[str, At], name: str, agreed: Agreed | None) -> dict[str, At]:
    """Let every side know what is agreed, as is done after each decision."""
    now = {name: agreed} if agreed else {}
    return {side: sightings.know(Side(seen={name: shown}), now).seen[name] for side, shown in sides.items()}
