"""What is left of a book's entries: delivered, and set off against each other. Pure; of `ledger` and `planning`."""

from collections.abc import Mapping
from typing import Literal, TypeVar

from msgspec.structs import replace

from processors.rules.book import Book, PosEntry

Value = TypeVar("Value")


def deliver(book: Book, tag: str, points: int, state: Literal["done", "seen"], *, raw: int = 0) -> Book:
    """Enter what a move did: so much less is left of its entry. `raw`: in the account's own points."""
    move = book.moves[tag]
    pos = book.pos
    if move.state == "sent" and move.entry_id in pos:
        entry = pos[move.entry_id]
        pos = {**pos, move.entry_id: replace(entry, left=entry.left - points)}
    return replace(book, moves={**book.moves, tag: replace(move, state=state, points=points, raw=raw)}, pos=pos)


def net(book: Book) -> Book:
    """Let what is held, and what takes it back, cancel each other: the web never hears of either.

    It is taken back by a merge, or by the next balance: where a ticket's row and its balance are not seen together.
    """
    pos = dict(book.pos)
    for held_id in [entry_id for entry_id, one in pos.items() if one.is_held]:
        for back_id in [entry_id for entry_id, one in pos.items() if _takes_back(book, one)]:
            cancel(pos, held_id, back_id)
    for entry_id, one in pos.items():
        if one.is_held and not one.left:
            pos[entry_id] = replace(one, is_held=False)
    return replace(book, pos=pos)


def _takes_back(book: Book, one: PosEntry) -> bool:
    """Say whether an entry may cancel what is held: of a gift card, a debt too, or money would go there and back."""
    return one.is_held or one.cause == "merged" or (book.is_card and one.left < 0)


def cancel(pos: dict[str, PosEntry], one_id: str, other_id: str) -> None:
    """Let what is left of two entries cancel each other, as far as one is above 0 and one below."""
    one, other = pos[one_id], pos[other_id]
    if one.left * other.left < 0:
        less = min(abs(one.left), abs(other.left)) * (1 if one.left > 0 else -1)
        pos[one_id] = replace(one, left=one.left - less)
        pos[other_id] = replace(other, left=other.left + less)


def without(mapping: Mapping[str, Value], name: str) -> dict[str, Value]:
    """Give a mapping less one of its names."""
    return {key: value for key, value in mapping.items() if key != name}
