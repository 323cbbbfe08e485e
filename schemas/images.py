"""What a system may have made of a text of ours: its code page, its columns and its forms are not ours. Pure.

A letter that a code page lacks becomes a `?`, or nothing, or a plain letter; a text is cut to a column, or put into
capitals; an entity is decoded once more. Letters of ASCII are held by every system: they stay what they are.
"""

import html
import unicodedata
from collections.abc import Iterator

from anyascii import anyascii

CUT_BYTES_MIN = 10  # No column of a name or an address is shorter (docs/facts/counterpoint.md 2).


def is_image_of(ours: str, theirs: str) -> bool:
    """Say whether a text is, or is what a system may have made of, ours."""
    seen = _text(theirs)
    return any(_is_made_of(_text(one), seen) for one in dict.fromkeys((ours, html.unescape(ours))))


def plain(letter: str) -> str:
    """Give a letter as ASCII has it, `L` for `Ł`; as it is where that has none."""
    return letter if letter.isascii() else anyascii(letter)


def _is_made_of(ours: str, theirs: str) -> bool:
    """Walk through ours letter by letter with every place in theirs that it may have led to."""
    places, may_be_cut = {0}, len(theirs.encode()) >= CUT_BYTES_MIN
    for at, letter in enumerate(ours):
        if may_be_cut and len(theirs) in places:
            return True
        if letter == " " and _is_beside_a_loss(ours, at):
            places = places | {place + 1 for place in places if theirs[place : place + 1] == " "}
            continue
        forms = dict.fromkeys(_forms(letter))
        places = {end for place in places for end in _ends(theirs, place, letter, forms)}
        if not places:
            return False
    return any(not theirs[place:].strip() for place in places)


def _ends(theirs: str, place: int, letter: str, forms: dict[str, None]) -> Iterator[int]:
    """Give where in theirs the next letter may begin, if this one begins at a place."""
    for form in forms:
        if theirs[place : place + len(form)].casefold() == form.casefold():
            yield place + len(form)
    there = theirs[place : place + 1]
    # A code page's own best likeness: `Ð` for `Đ`.
    if there and not letter.isascii() and not there.isascii() and plain(there).casefold() == plain(letter).casefold():
        yield place + 1


def _forms(letter: str) -> Iterator[str]:
    yield letter
    if not letter.isascii():
        yield from ("", "?", plain(letter), letter.upper())
        if len(letter.encode("utf-16-le")) > 2:
            yield "??"  # SQL Server counts its halves.


def _is_beside_a_loss(text: str, at: int) -> bool:
    """Say whether a blank may have gone with a word that was lost."""
    return not (text[:at][-1:].isascii() and text[at + 1 :][:1].isascii())


def _text(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())
