"""Which records are worth comparing at all: those that share a key, and a key is two weak things that agree (req-C10).

One field alone would make crowds (every Smith) and still miss whoever has a typo in it. Two fields that sound alike, of
name, street, number, town and postcode, are rare together, and of so many pairs of them a duplicate shares some.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

from schemas.records import Customer

_CODES = {
    letter: code for code, letters in enumerate(("", "bfpv", "cgjkqsxz", "dt", "l", "mn", "r")) for letter in letters
}
# Short forms that people are known by, to the name that stands for all of them.
_NICKNAMES = {
    short: names.split()[0]
    for names in (
        "alexander alex alec lex sandy|andrew andy drew|anthony tony|barbara barb babs|benjamin ben benny|charles "
        "charlie chuck|christopher chris kit topher|daniel dan danny|david dave|deborah deb debbie|edward ed eddie ted "
        "ned|elizabeth liz beth betty eliza lizzie|emma em emmie|frances fran frankie|gregory greg|henry harry "
        "hank|isabella bella izzy|jacob jake|james jim jimmy jamie|jennifer jen jenny|john johnny jack jon|jonathan "
        "jonny|joseph joe joey|joshua josh|katherine kate katie kathy kitty cathy|kenneth ken kenny|leonard leo len "
        "lenny|margaret maggie meg peggy|matthew matt|michael mike mick mickey|nicholas nick nicky|olivia liv|patricia "
        "pat patty trish|peter pete|philip phil|rebecca becky|richard rick rich dick|robert bob rob bobby "
        "robbie|samuel sam sammy|samantha mandy|stephen steve|susan sue susie|theodore theo|thomas tom tommy|timothy "
        "tim|victoria vicky tori|william bill will billy liam|zachary zach zack"
    ).split("|")
    for short in names.split()
}
PHONE_DIGITS = 7  # The last ones: who leaves the area code away means the same.
LOCAL_MIN = 4  # An e-mail's own part below this says nothing.


STRONG = ("t:", "e:", "nn:")  # One of these keys is enough,
SHARED = 2  # of the others so many must be shared.


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """What is compared of a customer, as it was written."""

    key: str
    first_name: str = ""
    last_name: str = ""
    company: str = ""
    email: str = ""
    phone: str = ""
    line_1: str = ""
    city: str = ""
    postcode: str = ""


def nickname(first: str) -> str:
    """Give the name that a short form stands for; another name stands for itself."""
    return _NICKNAMES.get(first, first)


def company_of(customer: Customer) -> str:
    """Return the company that a customer is, or that the billing address names."""
    return customer.company or (customer.billing.company if customer.billing else "")


def person_of(customer: Customer) -> Person:
    """Give what is compared of a record."""
    place = customer.billing
    return Person(
        key=customer.key,
        first_name=customer.first_name,
        last_name=customer.last_name,
        company=company_of(customer),
        email=customer.email or "",
        phone=customer.phone,
        line_1=place.line_1 if place else "",
        city=place.city if place else "",
        postcode=place.postcode if place else "",
    )


def keys_of(person: Person) -> frozenset[str]:
    """Give a person's keys; who shares none with another is not compared with him. Nobody named is without one."""
    plain = Plain.of(person)
    names = [one for one in (sound(plain.first), sound(plain.last)) if one]
    places = {
        "n": plain.number,
        "a": sound(plain.street),
        "u": sound(plain.city),
        "p": plain.postcode,
    }
    found = set(_pairs(names, [(kind, value) for kind, value in places.items() if value]))
    if plain.phone:
        found.add(f"t:{plain.phone[-PHONE_DIGITS:]}")
    if len(plain.local) >= LOCAL_MIN:
        found.add(f"e:{plain.local}")
    if plain.company:
        found.add(f"c:{sound(plain.company)}+{plain.postcode or sound(plain.city)}")
    for name in (plain.first, plain.last):
        if len(name) >= LOCAL_MIN:
            found.add(f"q:{name[:LOCAL_MIN]}+{plain.postcode[:2]}")
    if not found and names:
        found.add(f"one:{names[0]}")
    return frozenset(found)


def _pairs(names: list[str], places: list[tuple[str, str]]) -> Iterable[str]:
    """Give the keys of two things that agree; names have no order: people swap them."""
    if len(names) > 1:
        yield f"nn:{'+'.join(sorted(names))}"
    for name in names:
        for kind, value in places:
            yield f"x{kind}:{name}+{value}"
    for (kind, value), (other_kind, other) in combinations(places, 2):
        yield f"{kind}{other_kind}:{value}+{other}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """A person's fields as they are compared: lower case, letters and digits."""

    first: str
    nickname: str  # The name that all its short forms stand for.
    last: str
    company: str
    local: str  # Of the e-mail.
    domain: str
    phone: str  # Its digits.
    number: str  # Of the house.
    street: str
    city: str
    postcode: str

    @classmethod
    def of(cls, person: Person) -> "Plain":
        """Read a person's fields."""
        local, _, domain = person.email.lower().strip().partition("@")
        line = person.line_1.lower()
        number = re.match(r"\s*(\d+\w?)\b", line)
        first = _letters(person.first_name)
        return cls(
            first=first,
            nickname=nickname(first),
            last=_letters(person.last_name),
            company=_letters(person.company),
            local=re.sub(r"[^a-z0-9]", "", local.partition("+")[0]),
            domain=domain,
            phone=re.sub(r"\D", "", re.split(r"[x;#]|ext", person.phone.lower())[0])[-10:],  # Without its extension.
            number=number.group(1) if number else "",
            street=_letters(line[number.end() :] if number else line),
            city=_letters(person.city),
            postcode=re.sub(r"[^a-z0-9]", "", person.postcode.lower()),
        )


def _letters(text: str) -> str:
    return re.sub(r"[^\w]|_", "", text.lower())


def sound(word: str) -> str:
    """Give how a word sounds, roughly: its first letter and up to three classes of consonants (Soundex)."""
    letters = re.sub(r"[^a-z]", "", word)
    if not letters:
        return word[:LOCAL_MIN]
    code, last = letters[0], _CODES.get(letters[0], 0)
    for letter in letters[1:]:
        now = _CODES.get(letter, 0)
        if now and now != last:
            code += str(now)
        if letter not in "hw":
            last = now
    return code[:LOCAL_MIN]
