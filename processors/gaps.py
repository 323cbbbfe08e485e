"""Messages that went before a worker handled them -> an alarm, a question, and their source read again in full.

The state database knows the next offset of each partition (`handled`), and the topics that expire have their offsets
without a hole: where a log, or a batch, goes on behind what is next, something is missing. What follows:

- changes: their source is read again from the beginning, as a review "gap" says until it has come to its end;
- outcomes: nothing, what nobody has answered is sent again after its lease;
- requests: nothing but the alarm, a person looks whether what they asked for was done, and asks again.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from counterflow.gaps import Gap
from counterflow.kafka import Message
from counterflow.state import reviews, steering
from processors.shop import State
from schemas.outcomes import Cursor
from schemas.requests import ReadAgain, Request
from schemas.topics import REQUESTS

GAP = "gap"  # The review.
Place = tuple[str, int]  # A topic and a partition.


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a review: what was asked of the source, and is not done yet."""

    asked_at: datetime
    is_short: bool = False  # Something newer went since: once this reading has ended, it is asked for again.


def at_start(begins: Mapping[Place, int], before: Mapping[Place, int], handled: Mapping[Place, int]) -> list[Gap]:
    """Find what went while no worker ran.

    Args:
        begins: The first offset that each partition still has.
        before: What was handled, of topics as they were known.
        handled: The same, less the topics that were made anew since.
    """
    anew = {place: offset for place, offset in before.items() if place not in handled and place in begins}
    found = [_gap(place, offset, begins[place]) for place, offset in sorted(anew.items())]
    short = {place: begin for place, begin in begins.items() if place not in anew and begin > handled.get(place, 0)}
    return found + [_gap(place, handled.get(place, 0), begin) for place, begin in sorted(short.items())]


def _gap(place: Place, first: int, found: int) -> Gap:
    return Gap(topic=place[0], partition=place[1], first=first, found=found)


class Watch:
    """Finds what went while this worker runs. What comes next by its own count alone is no proof: it is looked up."""

    def __init__(self, topics: Iterable[str]) -> None:
        """`topics`: those that expire; a compacted one has holes by nature."""
        self._topics = frozenset(topics)
        self._next: dict[Place, int] = {}

    def find(self, connection: Connection, arrived: Sequence[tuple[str, int, int, datetime]]) -> list[Gap]:
        """Find what is missing before messages of a batch, or between them: topic, partition, offset, time of each."""
        places = {(topic, part) for topic, part, _, _ in arrived if topic in self._topics}
        expected = {place: self._next.get(place, 0) for place in places}
        found = _holes(arrived, expected)
        if not found:
            return []
        handled = steering.handled_offsets(connection)  # Another worker may have had the partition meanwhile.
        return _holes(arrived, {place: max(offset, handled.get(place, 0)) for place, offset in expected.items()})

    def handled(self, offsets: Mapping[Place, int]) -> None:
        """Note the next offsets, after the commit."""
        self._next |= {place: max(offset, self._next.get(place, 0)) for place, offset in offsets.items()}


def _holes(arrived: Sequence[tuple[str, int, int, datetime]], expected: Mapping[Place, int]) -> list[Gap]:
    after, found = dict(expected), []
    for topic, part, offset, at in arrived:
        place = (topic, part)
        if place not in after:
            continue
        if offset > after[place]:
            found.append(Gap(topic=topic, partition=part, first=after[place], found=offset, before=at))
        after[place] = max(after[place], offset + 1)
    return found


def follow(
    connection: Connection, gaps: Sequence[Gap], systems: Mapping[str, str], *, prefix: str, at: datetime
) -> list[Message]:
    """Open a review for each source that has lost changes; gives what is to be asked of their producers.

    Args:
        connection: The transaction in which the gaps are noted.
        gaps: What is missing.
        systems: Whose changes are on which topic.
        prefix: Of the topics.
        at: Now.
    """
    lost: dict[str, list[Gap]] = {}
    for one in gaps:
        if one.topic in systems:
            lost.setdefault(systems[one.topic], []).append(one)
    asks, asked = [], _open(connection) if lost else {}
    for system, own in sorted(lost.items()):
        open_one = asked.get(system)
        if open_one is None:
            reviews.open_review(connection, GAP, system, _message(system, own), _body(_Asked(asked_at=at)))
            asks.append(_ask(system, prefix, at))
        elif max(one.before or at for one in own) > open_one.asked_at:  # What is asked for may not find all of it.
            again = _Asked(asked_at=open_one.asked_at, is_short=True)
            reviews.open_review(connection, GAP, system, _message(system, own), _body(again))
    return asks


def take_cursors(state: State, cursors: Sequence[Cursor], *, prefix: str) -> list[Message]:
    """Settle what was read again; gives what is to be asked once more, where something newer went since."""
    ended = {one.system: one.whole_since for one in cursors if one.whole_since is not None}
    if not ended:
        return []
    asks = []
    for system, asked in _open(state.connection).items():
        since = ended.get(system)
        if since is None or since < asked.asked_at:
            continue
        if asked.is_short:
            message = f"{system} lost messages while it was read again; it is read once more"
            reviews.open_review(state.connection, GAP, system, message, _body(_Asked(asked_at=state.now)))
            asks.append(_ask(system, prefix, state.now))
        else:
            reviews.settle(state.connection, [(GAP, system)])
    return asks


def _open(connection: Connection) -> dict[str, _Asked]:
    found = reviews.bodies(connection, GAP)
    return {system: msgspec.json.decode(body, type=_Asked) for system, body in found.items()}


def _body(asked: _Asked) -> dict[str, object]:
    return dict(msgspec.to_builtins(asked))


def _ask(system: str, prefix: str, at: datetime) -> Message:
    request = Request(id=str(uuid.uuid4()), by="counterflow", at=at, ask=ReadAgain(system=system))
    return Message(topic=REQUESTS.named(prefix), key=system.encode(), value=msgspec.json.encode(request))


def _message(system: str, gaps: Sequence[Gap]) -> str:
    counts: dict[str, int] = {}
    for one in gaps:
        counts[one.topic] = counts.get(one.topic, 0) + one.count
    lost = ", ".join(f"{topic} ({count})" for topic, count in sorted(counts.items()))
    return f"messages went before they were handled: {lost}; {system} is being read again from the beginning"
