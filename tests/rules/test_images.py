"""What a system made of our words is nobody's word: it changes nothing elsewhere, and is not written again and again."""

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from anyascii import anyascii
from hypothesis import given
from hypothesis import strategies as st

from processors.rules import sightings
from processors.rules.profiles import Abilities, Agreed, At, settle, writes
from processors.rules.sightings import Side
from schemas.profiles import FIELDS, Value, is_image
from schemas.records import Postal

POS, WEB = "counterpoint", "north"
ABLE = {POS: Abilities(), WEB: Abilities()}
BEGIN = datetime(2026, 5, 4, 9, 0, tzinfo=UTC)


def at(second: int) -> datetime:
    return BEGIN + timedelta(seconds=second)


@pytest.mark.parametrize(
    ("ours", "theirs", "image"),
    [
        ("Łukasz", "?ukasz", True),
        ("Łukasz", "Lukasz", True),
        ("Łukasz", "LUKASZ", True),
        ("Łukasz", "ukasz", True),
        ("Łukasz", "Lucas", False),
        ("Łukasz", "", False),
        ("Łukasz", "Piotr", False),
        ("Lukasz", "?ukasz", False),  # Every system holds an L.
        ("Lukasz", "Łukasz", False),  # Somebody knows better.
        ("Maximiliane-Alexandra", "Maximiliane-Ale", True),
        ("Ana Maria", "Ana", False),  # No column is so short.
        ("O'Hara", "O'HARA", True),
        ("A &amp; B", "A & B", True),
        ("東京 Tower", "Tower", True),
        ("😀 Ana", "?? Ana", True),
        (Postal(line_1="ul. Łódzka 1", city="Łódź"), Postal(line_1="ul. ??dzka 1", city="?ód?"), True),
        (Postal(line_1="ul. Łódzka 1", city="Łódź"), Postal(line_1="ul. ??dzka 2", city="?ód?"), False),
        (Postal(city="Łódź", country="PL"), Postal(city="Lodz", country="Poland"), True),
        (Postal(city="Łódź"), Postal(), False),
    ],
)
def test_what_a_system_may_have_made_of_ours(ours: Value, theirs: Value, image: bool) -> None:
    assert is_image(ours, theirs) is image


NAMES = st.text(
    st.characters(min_codepoint=0x41, max_codepoint=0x4FF, categories=["Lu", "Ll"]), min_size=2, max_size=20
)


@given(NAMES, st.sampled_from(["cp1250", "cp1251", "cp1252", "cp850"]), st.integers(10, 40))
def test_what_a_code_page_and_a_column_make_of_a_name_is_an_image(name: str, page: str, length: int) -> None:
    spoilt = name.encode(page, "replace").decode(page)
    assert is_image(name, spoilt)
    assert is_image(name, spoilt[:length])
    assert is_image(name, name.encode(page, "ignore").decode(page)) or not name.encode(page, "ignore")
    assert is_image(name, anyascii(name)) or not anyascii(name).strip()


@given(NAMES, NAMES)
def test_a_clearly_different_name_is_no_image(ours: str, theirs: str) -> None:
    letters = {one for one in anyascii(theirs).casefold() if one.isalnum()}
    if letters - set(anyascii(ours).casefold()) and theirs.casefold() not in ours.casefold():
        assert not is_image(ours, theirs)


@given(NAMES)
def test_a_name_is_an_image_of_itself(name: str) -> None:
    assert is_image(name, name)


def sent(value: Value, *, name: str = "first_name", before: Value = "Ana", second: int = 5) -> Side:
    """A side to which a value is on its way."""
    side = sightings.see(Side(), {name: before}, at(0))
    return sightings.send(side, {name: At(value, at(second))})


def decided(side: Side, agreed: Agreed, *, name: str = "first_name", web: Value | None = None) -> Value | None:
    """What counts after a decision, with the store as it was agreed."""
    shown = {POS: side.seen[name], WEB: At(agreed.value if web is None else web, agreed.at)}
    settled = settle(name, agreed, shown, ABLE, pos=POS)
    assert settled.agreed is not None
    return settled.agreed.value


LUKASZ = Agreed("Łukasz", at(5), WEB)


@pytest.mark.parametrize("image", ["?ukasz", "Lukasz", "ukasz", "LUKASZ"])
def test_an_image_of_what_we_sent_is_written_over_nothing(image: str) -> None:
    side = sightings.see(sent("Łukasz"), {"first_name": image}, at(9))
    assert side.seen["first_name"].is_nobodys
    assert decided(side, LUKASZ) == "Łukasz"


def test_an_image_in_the_answer_is_the_systems_also_where_it_stood_there_before() -> None:
    side = sightings.took(sent("Łukasz", before="Lukasz"), {"first_name": "Lukasz"}, at(9))
    settled = settle("first_name", LUKASZ, {POS: side.seen["first_name"], WEB: At("Łukasz", at(5))}, ABLE, pos=POS)
    assert (settled.agreed, settled.lost) == (LUKASZ, ())
    assert writes({"first_name": settled}, side.seen, ABLE[POS], FIELDS) == {}


def test_what_was_not_written_yet_is_still_to_be_written() -> None:
    side = sightings.answer(sent("Łukasz", before="Lukasz"), {"first_name": "Lukasz"}, at(9))
    settled = settle("first_name", LUKASZ, {POS: side.seen["first_name"]}, ABLE, pos=POS)
    assert writes({"first_name": settled}, side.seen, ABLE[POS], FIELDS) == {"first_name": "Łukasz"}


def test_an_image_is_not_written_for_ever() -> None:
    side = sightings.took(sent("Łukasz"), {"first_name": "?ukasz"}, at(9))
    side = sightings.see(side, {"first_name": "?ukasz"}, at(20))
    settled = settle("first_name", LUKASZ, {POS: side.seen["first_name"]}, ABLE, pos=POS)
    assert writes({"first_name": settled}, side.seen, ABLE[POS], FIELDS) == {}


def test_another_value_that_is_agreed_later_is_written_over_an_image() -> None:
    side = sightings.took(sent("Łukasz"), {"first_name": "?ukasz"}, at(9))
    settled = settle("first_name", Agreed("Piotr", at(30), WEB), {POS: side.seen["first_name"]}, ABLE, pos=POS)
    assert writes({"first_name": settled}, side.seen, ABLE[POS], FIELDS) == {"first_name": "Piotr"}


def test_a_clerk_who_mends_an_image_changes_nothing_elsewhere() -> None:
    side = sightings.took(sent("Łukasz"), {"first_name": "?ukasz"}, at(9))
    side = sightings.see(side, {"first_name": "Lukasz"}, at(60))
    assert decided(side, LUKASZ) == "Łukasz"


def test_a_clerk_who_writes_another_name_over_an_image_is_heard() -> None:
    side = sightings.took(sent("Łukasz"), {"first_name": "?ukasz"}, at(9))
    side = sightings.see(side, {"first_name": "Piotr"}, at(60))
    assert not side.seen["first_name"].is_nobodys
    assert decided(side, LUKASZ) == "Piotr"


def test_an_email_and_a_group_are_never_an_image() -> None:
    side = sightings.see(sent("ana@example.com", name="email"), {"email": "ana@example.co"}, at(9))
    assert not side.seen["email"].is_nobodys


def test_an_address_cut_by_a_short_column_is_nobodys() -> None:
    ours = Postal(line_1="1 Llanfairpwllgwyngyll Street North", city="Salem")
    side = sightings.see(sent(ours, name="billing"), {"billing": Postal(line_1=ours.line_1[:20], city="Salem")}, at(9))
    assert decided(side, Agreed(ours, at(5), WEB), name="billing") == ours


@pytest.mark.parametrize("image", ["?ukasz", "Lukasz"])
def test_at_the_first_link_the_fuller_word_counts_however_young_the_poorer_one_is(image: str) -> None:
    side = sightings.see(Side(), {"first_name": image}, at(99))  # We made this customer: so says the till.
    shown = {POS: side.seen["first_name"], WEB: At("Łukasz", at(5))}
    settled = settle("first_name", None, shown, ABLE, pos=POS)
    assert settled.agreed == LUKASZ
    side = sightings.mute(side, {"first_name": LUKASZ})
    assert decided(side, LUKASZ) == "Łukasz"
    assert writes({"first_name": settled}, side.seen, ABLE[POS], FIELDS) == {}


def test_capitals_alone_are_a_change_like_any_other_at_the_first_link() -> None:
    shown = {POS: At("ANA", at(9)), WEB: At("Ana", at(5))}
    settled = settle("first_name", None, shown, ABLE, pos=POS)
    assert settled.agreed == Agreed("ANA", at(9), POS)


class World:
    """A till of code page 1252 and a store that holds every letter: edits, readings, writes, answers that got lost."""

    def __init__(self) -> None:
        self.clock = count(1)
        self.there = {POS: ("Ana", at(0)), WEB: ("Ana", at(0))}
        self.known = {side: sightings.see(Side(), {"first_name": "Ana"}, at(0)) for side in self.there}
        self.agreed: Agreed | None = None
        self.sent: dict[str, tuple[str, str] | None] = {POS: None, WEB: None}
        self.edits = [(at(0), "Ana")]
        self.writes = 0

    def edit(self, side: str) -> None:
        second = next(self.clock)
        name = f"{'Łukasz' if side == WEB else 'Zoë'} {second}."
        self.there[side] = (name, at(second))
        self.edits.append((at(second), name))

    def read(self, side: str) -> None:
        value, when = self.there[side]
        self.known[side] = sightings.see(self.known[side], {"first_name": value}, when)
        self.decide()

    def decide(self) -> None:
        shown = {side: one.seen["first_name"] for side, one in self.known.items()}
        settled = settle("first_name", self.agreed, shown, ABLE, pos=POS)
        self.agreed = settled.agreed
        assert self.agreed is not None
        for side in self.known:
            one = self.known[side] = sightings.mute(self.known[side], {"first_name": self.agreed})
            wanted = writes({"first_name": settled}, one.seen, ABLE[side], FIELDS)
            if wanted and self.sent[side] is None:
                self.sent[side] = (str(one.seen["first_name"].value), str(wanted["first_name"]))
                self.known[side] = sightings.send(one, {"first_name": At(wanted["first_name"], self.agreed.at)})

    def write(self, side: str, *, answered: bool) -> None:
        """Carry out what was sent as a consumer does, and answer, or not."""
        sent = self.sent[side]
        if sent is None:
            return
        held = sent[1].encode("cp1252", "replace").decode("cp1252") if side == POS else sent[1]
        if self.there[side][0] not in {sent[0], held}:
            enter = sightings.answer  # It differs.
        else:
            enter = sightings.took
            if self.there[side][0] != held:
                self.there[side] = (held, at(next(self.clock)))
                self.writes += 1
        if answered:
            self.sent[side] = None
            value, when = self.there[side]
            self.known[side] = enter(self.known[side], {"first_name": value}, when)
            self.decide()

    def settle_down(self) -> None:
        for _ in range(20):
            for side in self.there:
                self.read(side)
                self.write(side, answered=True)


@given(st.lists(st.tuples(st.sampled_from(["edit", "read", "write", "write unanswered"]), st.booleans()), max_size=40))
def test_whatever_is_read_and_answered_the_last_edit_counts_and_its_image_changes_nothing(
    steps: list[tuple[str, bool]],
) -> None:
    world = World()
    for what, is_web in steps:
        side = WEB if is_web else POS
        if what == "edit":
            world.edit(side)
        elif what == "read":
            world.read(side)
        else:
            world.write(side, answered=what == "write")
    world.settle_down()
    last, writes_before = max(world.edits)[1], world.writes
    assert world.there[WEB][0] == last
    assert world.there[POS][0] == last.encode("cp1252", "replace").decode("cp1252")
    world.settle_down()
    assert world.writes == writes_before, "nothing is written for ever"
