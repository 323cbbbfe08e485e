"""A shop's customers with their doubles, and who is whom: what a match review is measured on.

Nobody in it exists. Families share an address, a telephone and an e-mail and are different people; a double is the same
person once more, as hurried clerks, new addresses, marriages, short names and guest checkouts make them.
"""

import random
import string
from collections.abc import Iterator
from dataclasses import dataclass, replace

from processors.rules.blocking import Person

FIRST = (
    "James Mary Robert Patricia John Jennifer Michael Linda David Elizabeth William Barbara Richard Susan Joseph "
    "Jessica Thomas Karen Christopher Sarah Charles Lisa Daniel Nancy Matthew Sandra Anthony Ashley Mark Emily "
    "Steven Kimberly Andrew Margaret Paul Donna Joshua Michelle Kenneth Carol Kevin Amanda Brian Melissa Timothy "
    "Deborah Ronald Stephanie Jason Rebecca Jeffrey Laura Ryan Helen Jacob Sharon Nicholas Cynthia Gary Kathleen "
    "Eric Amy Jonathan Shirley Stephen Anna Larry Angela Justin Ruth Scott Brenda Brandon Pamela Benjamin Nicole "
    "Samuel Katherine Gregory Virginia Alexander Catherine Patrick Christine Frank Samantha Raymond Debra Jack "
    "Janet Dennis Rachel Jerry Carolyn Tyler Emma Aaron Maria"
).split()
SHORT = dict(
    one.split("/")
    for one in (
        "James/Jim Robert/Bob John/Jack Michael/Mike David/Dave Elizabeth/Liz William/Bill Barbara/Barb Richard/Rick "
        "Susan/Sue Joseph/Joe Thomas/Tom Christopher/Chris Charles/Charlie Daniel/Dan Matthew/Matt Anthony/Tony "
        "Andrew/Drew Margaret/Peggy Joshua/Josh Kenneth/Ken Timothy/Tim Rebecca/Becky Nicholas/Nick Stephen/Steve "
        "Benjamin/Ben Samuel/Sam Katherine/Kate Gregory/Greg Alexander/Alex Patricia/Pat Deborah/Debbie Jennifer/Jenny "
        "Emma/Emmie"
    ).split()
)
COMMON = (
    "Smith Johnson Williams Brown Jones Garcia Miller Davis Martinez Lopez Wilson Anderson Taylor Moore Lee".split()
)
HEADS = (
    "Ash Black Brook Carl Dun East Fair Gold Hart High Holl Kings Lang Lind Mar New North Oak Rad Sand Stan West Wood"
).split()
TAILS = (
    "berg borough by dale den don field ford gate ham hurst "
    "ington ley man more son stead stone ton wall well wick worth"
).split()
STREETS = "Street Avenue Road Lane Drive Court Place Way".split()
DOMAINS = "gmail.example.com mail.example.org post.example.net web.example.com inbox.example.org".split()
TRADES = "Bakery Garage Dental Studio Catering Plumbing Design Flowers Books Cafe".split()
KINDS = ("typo", "domain", "moved", "married", "short", "swapped", "guest", "clerk", "company", "second")


@dataclass(frozen=True, slots=True)
class Known:
    """One record, and whose it is."""

    person: Person
    who: int
    kind: str  # "first", or one of KINDS.


def generate(seed: int, *, records: int = 20_000) -> list[Known]:
    """Give records in no order; the same seed gives the same."""
    dice = random.Random(seed)
    towns = [(_name(dice), f"{dice.randint(10_000, 99_999)}") for _ in range(max(20, records // 250))]
    streets = [f"{_name(dice)} {dice.choice(STREETS)}" for _ in range(max(60, records // 20))]
    found: list[Known] = []
    who = 0
    while len(found) < records:
        for person in _household(dice, towns, streets):
            found.append(Known(person, who, "first"))
            for _ in range(dice.choices([0, 1, 2], [80, 16, 4])[0]):
                kind = dice.choice(KINDS)
                found.append(Known(_double(dice, person, kind, towns, streets), who, kind))
            who += 1
    dice.shuffle(found)
    return [replace(one, person=replace(one.person, key=str(at))) for at, one in enumerate(found[:records])]


def _household(dice: random.Random, towns: list[tuple[str, str]], streets: list[str]) -> Iterator[Person]:
    """Give one person, or a family that shares address, telephone and, often, an e-mail."""
    first = _person(dice, towns, streets)
    yield first
    if dice.random() < 0.12:
        shares_email = dice.random() < 0.6
        for _ in range(dice.randint(1, 3)):
            name = dice.choice(FIRST)
            own = _email(dice, name, first.last_name)
            yield replace(first, first_name=name, email=first.email if shares_email else own)


def _person(dice: random.Random, towns: list[tuple[str, str]], streets: list[str]) -> Person:
    first, last = dice.choice(FIRST), _last(dice)
    city, postcode = dice.choice(towns)
    return Person(
        key="",
        first_name=first,
        last_name=last,
        company=f"{last} {dice.choice(TRADES)}" if dice.random() < 0.05 else "",
        email=_email(dice, first, last) if dice.random() < 0.85 else "",
        phone=_phone(dice) if dice.random() < 0.9 else "",
        line_1=f"{dice.randint(1, 400)} {dice.choice(streets)}",
        city=city,
        postcode=postcode,
    )


def _double(dice: random.Random, person: Person, kind: str, towns: list[tuple[str, str]], streets: list[str]) -> Person:
    """Give the same person once more, as something went wrong, with a typo here and there on top."""
    other = _person(dice, towns, streets)
    local, _, domain = person.email.partition("@")
    made = {
        "typo": person,
        "domain": replace(person, email=f"{local}@{_mistyped(dice, domain)}" if local else "", phone=""),
        "moved": replace(person, line_1=other.line_1, city=other.city, postcode=other.postcode),
        "married": replace(person, last_name=other.last_name, email=dice.choice([person.email, ""])),
        "short": replace(person, first_name=SHORT.get(person.first_name, person.first_name[:4])),
        "swapped": replace(person, first_name=person.last_name, last_name=person.first_name),
        "guest": replace(person, phone=dice.choice([person.phone, ""]), line_1="", city="", postcode=""),
        "clerk": replace(person, first_name=person.first_name[:1], email=dice.choice((person.email, ""))),
        "second": replace(person, email=_email(dice, person.first_name, person.last_name)),
        "company": replace(person, company=f"{person.last_name} {dice.choice(TRADES)}", email=other.email),
    }[kind]
    if kind == "typo" or dice.random() < 0.35:
        name = dice.choice(("first_name", "last_name", "phone", "line_1", "city", "postcode"))
        made = replace(made, **{name: _mistyped(dice, getattr(made, name))})
    if dice.random() < 0.2:
        made = replace(made, **{dice.choice(("phone", "email", "line_1", "postcode")): ""})
    return made


def _mistyped(dice: random.Random, text: str) -> str:
    """Change one letter: left out, doubled, swapped with the next, or another one."""
    if len(text) < 3:
        return text
    at = dice.randrange(len(text) - 1)
    letter = dice.choice(string.digits if text[at].isdigit() else string.ascii_lowercase)
    return dice.choice(
        [
            text[:at] + text[at + 1 :],
            text[:at] + text[at] + text[at:],
            text[:at] + text[at + 1] + text[at] + text[at + 2 :],
            text[:at] + letter + text[at + 1 :],
        ]
    )


def _last(dice: random.Random) -> str:
    return dice.choice(COMMON) if dice.random() < 0.25 else _name(dice)


def _name(dice: random.Random) -> str:
    return dice.choice(HEADS) + dice.choice(TAILS)


def _email(dice: random.Random, first: str, last: str) -> str:
    local = dice.choice([f"{first}.{last}", f"{first[0]}{last}", f"{last}{dice.randint(1, 99)}", f"{first}{last}"])
    return f"{local}@{dice.choice(DOMAINS)}".lower()


def _phone(dice: random.Random) -> str:
    return f"{dice.randint(201, 989)}-{dice.randint(200, 999)}-{dice.randint(1000, 9999)}"
