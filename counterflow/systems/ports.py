"""The ports: what every source of changes and every target of commands must keep, whatever system stands behind it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from schemas.changes import Change
from schemas.commands import Command
from schemas.outcomes import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One change as it was read: its entity, its key as it goes on the topic, and the envelope."""

    entity: str
    key: bytes
    change: Change
    together: bytes | None = None  # Changes that must be handled in order with each other, whatever their keys.


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one reading of a source gave, in the order in which it took effect."""

    reads: tuple[Read, ...]
    entities: tuple[str, ...]  # What was read, changed or not: their cursors move to `position`.
    position: int  # Above that of every reading before.
    cursor: str  # Where the next reading goes on; the source's own words.
    counts: Mapping[str, int] = field(default_factory=dict)  # Of the entities whose full reading ends with this one.
    reset: bool = False  # A full reading: the source could not say what changed.
    is_part: bool = False  # Of a reading of everything there is, from the beginning, that has more to come.
    receipt: object = None  # What the source needs to forget this reading by, once it is published.


class Source(Protocol):
    """Something that can be asked what changed. One loop reads it and publishes, in turn."""

    system: str
    poll_s: float  # How long to wait after a reading that gave nothing.

    def poll(self, cursor: str | None, position: int) -> Reading:
        """Read what changed since `cursor` (None: from the beginning); the last reading had `position`.

        Raises:
            Transient: The source does not answer; the same call may work later.
            Broken: It answers, but never will so: rights, a missing table or column. The message names it.
        """
        ...

    def again(self, cursor: str | None) -> str | None:
        """Give the cursor from which everything is published once more; what is known to be published is forgotten."""
        ...

    def confirm(self, reading: Reading) -> None:
        """Note that the reading is published whole. Called after the acknowledgement, and may be lost."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LoyaltyAbilities:
    """What a store can do with points; `reason` says why not, for people."""

    can_move: bool = True
    lists_changes: bool = True  # Every transaction, behind a cursor, with our tag where it was us.
    keeps_references: bool = True  # The same tag again moves nothing.
    reason: str = ""


class Loyalty(Protocol):
    """A store's points (docs/facts/storefronts.md 5). A move is a difference, never a value (loyalty-R5)."""

    def abilities(self) -> LoyaltyAbilities:
        """Ask the store what it can do. Raises Transient or Broken."""
        ...

    def move(self, account_id: str, points: int, tag: str) -> int:
        """Move points in an account, under a tag that is used once; gives what was moved, however often it is asked.

        Below 0, no more is taken than there is; 0 is given where there is nothing.

        Raises:
            Rejected: There is no such account (any more), or the tag was used for another one.
            Transient: Nobody knows whether it took effect; the same call tells.
        """
        ...


class GiftCardPort(Protocol):
    """A store's gift cards: moved by differences under tags, as points are. Amounts are cents."""

    def make(self, number: str, cents: int, tag: str, *, expires: str = "") -> int:
        """Make a card; gives what is on it, however often it is asked. Raises Held where there is one already."""
        ...

    def move(self, number: str, cents: int, tag: str, *, expires: str = "") -> int:
        """Move a card, as `Loyalty.move`; one that is not there is made by what it is to be given."""
        ...

    def change(self, number: str, *, is_void: bool, expires: str) -> bool:
        """Have a card void or good, with this last day ("": none). Says whether there is such a card."""
        ...


class Target(Protocol):
    """A system that commands are carried out in. Applying a command twice is applying it once."""

    system: str

    def probe(self) -> None:
        """Ask the system whether it answers at all. Raises Transient or Broken."""
        ...

    def apply(self, commands: Sequence[Command]) -> Sequence[Outcome]:
        """Carry out some commands of different keys, and say of each what became of it.

        Raises:
            Transient: The target as a whole does not answer; nothing is known of these commands.
            Broken: No command will work until somebody mends the set-up.
        """
        ...
