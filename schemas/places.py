"""Countries and states in whichever words: `USA`, `United States` and `US` are one, `Massachusetts` and `MA` too.

pycountry is loaded when a word is not a plain code: most processes never meet one (docs/adr/0002). Pure.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal

import msgspec
from anyascii import anyascii

from schemas.records import Address, Postal

HOME = "US"  # The shop's own country, where nobody says another.
Vocabulary = Literal["code", "alpha_3", "name"]
# Whose states both systems write as ISO 3166-2 does; elsewhere a store has codes of its own, or none: left as they are.
CODED = frozenset({"AU", "BR", "CA", "US"})
# What people write that ISO does not list.
_ALSO = {
    **dict.fromkeys(("UK", "ENGLAND", "SCOTLAND", "WALES", "NORTHERN IRELAND", "GREAT BRITAIN"), "GB"),
    **dict.fromkeys(("AMERICA", "UNITED STATES OF AMERICA", "UNITED STATES (US)"), "US"),
    **dict.fromkeys(("HOLLAND", "THE NETHERLANDS"), "NL"),
    **{"RUSSIA": "RU", "TURKEY": "TR", "UNITED KINGDOM (UK)": "GB", "CZECH REPUBLIC": "CZ"},
}


def country(words: str, home: str = HOME) -> str:
    """Give a country's ISO alpha-2 code; blank is the shop's own, words that nobody knows stay as they are."""
    plain = _plain(words)
    if not plain:
        return home
    if plain in _ALSO:
        return _ALSO[plain]
    return plain if len(plain) == 2 else _countries().get(plain, plain)


def state(words: str, land: str) -> str:
    """Give a state's code within a country; words that nobody knows stay as they are."""
    plain = _plain(words)
    if not plain:
        return ""
    # "US-MA" and WooCommerce's "JP13" have the country before the code.
    own = plain.removeprefix(land).removeprefix("-") if plain.startswith(land) and len(land) == 2 else plain
    known = _states(land)
    return own if own in known.values() else known.get(plain, plain)


def same_place(one: Postal, other: Postal, home: str = HOME) -> bool:
    """Say whether two addresses mean one place, however blanks are set and country and state are called."""
    if any(
        _text(getattr(one, line)) != _text(getattr(other, line)) for line in ("line_1", "line_2", "city", "postcode")
    ):
        return False
    if one.country == other.country and one.state == other.state:
        return True
    land = country(one.country, home)
    if land != country(other.country, home):
        return False
    return _plain(one.state) == _plain(other.state) or state(one.state, land) == state(other.state, land)


def worded(wanted: Postal, there: Postal, *, home: str, words: Vocabulary = "code") -> Postal:
    """Give an address as it is written to a system.

    Args:
        wanted: The address.
        there: What stands there: its own words stay where they mean the same; an empty one where nothing does.
        home: The shop's own country: what blank means.
        words: What the system calls countries.
    """
    land, before = country(wanted.country, home), country(there.country, home)
    is_there = there != Postal()
    if land == before and there.state and state(wanted.state, land) == state(there.state, land):
        own_state = there.state
    else:
        own_state = named_state(wanted.state, land)
    own_country = wanted.country  # Blank, where both are.
    if is_there and land == before:
        own_country = there.country
    elif wanted.country or (is_there and wanted != Postal()):
        own_country = named(wanted.country or home, words)
    return msgspec.structs.replace(wanted, state=own_state, country=own_country)


def worded_address(wanted: Address, *, home: str, words: Vocabulary = "code") -> Address:
    """Give an address with its person as it is written where none stands yet."""
    place = Postal(**{line: getattr(wanted, line) for line in Postal.__struct_fields__})
    own = worded(place, Postal(), home=home, words=words)
    return msgspec.structs.replace(wanted, state=own.state, country=own.country)


def named(words: str, vocabulary: Vocabulary) -> str:
    """Give a country in a system's own words; one that nobody knows as it was."""
    code = country(words) if words else ""
    if len(code) != 2:
        return words
    if vocabulary == "code":
        return code
    import pycountry

    found = pycountry.countries.get(alpha_2=code)
    values: dict[str, str] = dict(found) if found else {"alpha_3": words, "name": words}
    return values["alpha_3"] if vocabulary == "alpha_3" else values.get("common_name") or values["name"]


def named_state(words: str, land: str) -> str:
    """Give a state as it is written: its code, where both systems write those."""
    code = state(words, land) if land in CODED and words else ""
    return code if code and code in _states(land).values() else words


def shorter(address: Postal, limit: Callable[[str], int | None], home: str = HOME) -> Postal:
    """Give an address whose country and state are codes where their words are longer than a limit by line."""
    land = country(address.country, home)
    code = {"country": land, "state": state(address.state, land)}
    own = {line: text for line, text in code.items() if len(getattr(address, line)) > (limit(line) or 1_000)}
    return msgspec.structs.replace(address, **own) if own else address


def is_country(code: str) -> bool:
    """Say whether ISO knows a country under this alpha-2 code."""
    return code in set(_countries().values())


def _text(text: str) -> str:
    return " ".join(text.split())


def _plain(words: str) -> str:
    """Give words as they are looked up: in capitals, without accents, points and a second blank."""
    return _text(anyascii(words).replace(".", "")).upper()


@lru_cache(maxsize=1)
def _countries() -> dict[str, str]:
    """Give every name and code of a country, as it is looked up, to its alpha-2 code."""
    import pycountry

    found: dict[str, str] = {}
    for one in pycountry.countries:
        values: dict[str, Any] = dict(one)
        names = (values.get(name) for name in ("alpha_2", "alpha_3", "name", "official_name", "common_name"))
        found |= {_plain(name): values["alpha_2"] for name in names if name}
    return found


@lru_cache(maxsize=32)  # Countries that a shop sends to.
def _states(land: str) -> dict[str, str]:
    """Give every name of a country's states, as it is looked up, to its code; a name of two of them is none."""
    import pycountry

    found: dict[str, set[str]] = {}
    for one in pycountry.subdivisions:
        if one.country_code == land:
            found.setdefault(_plain(one.name), set()).add(one.code.partition("-")[2])
    return {name: min(codes) for name, codes in found.items() if len(codes) == 1}
