"""Which group of the point of sale's is a store's (req-C8)?

1. A title written exactly alike is the same group.
2. One that a person paired is the one he said; one that he said is none, is none.
3. One that differs in capitals or blanks only is proposed, never done.
4. Any other waits for a person too. Until then nobody's group is touched for its sake.
"""

from collections.abc import Collection
from dataclasses import dataclass

NONE = "none"


@dataclass(frozen=True, slots=True)
class Same:
    """The point of sale's title of the same group."""

    title: str


@dataclass(frozen=True, slots=True)
class NoGroup:
    """A person said that it is no group of the point of sale's."""


@dataclass(frozen=True, slots=True)
class Unpaired:
    """A person must say; `suggestion` is None where nothing is alike."""

    suggestion: str | None


def pair(title: str, known: Collection[str], *, decided: str | None) -> Same | NoGroup | Unpaired:
    """Pair one title of a store's.

    Args:
        title: As the store writes it.
        known: The point of sale's titles.
        decided: What a person said; None where nobody did.
    """
    if title in known:
        return Same(title)
    if decided == NONE:
        return NoGroup()
    if decided is not None:
        return Same(decided)
    alike = sorted(one for one in known if _plain(one) == _plain(title))
    return Unpaired(alike[0] if alike else None)


def _plain(title: str) -> str:
    return "".join(title.split()).casefold()
