"""changes.* -> the mirror: what each system has, as last read. Keyed by system, entity and key."""

from collections.abc import Iterable, Sequence

from counterflow.state import records
from counterflow.state.records import Seen
from processors.shop import State


def take(batch: Iterable[Seen], state: State) -> Sequence[Seen]:
    """Keep the newest message of each record, and give those that are as new as what was known.

    What is older than the mirror changes nothing. An equal one, a replay's, is kept and decided again: that is how a
    mapping error is mended.
    """
    newest: dict[tuple[str, str, str], Seen] = {}
    for seen in batch:
        key = (seen.system, seen.entity, seen.key)
        if key not in newest or newest[key].version <= seen.version:
            newest[key] = seen
    known = records.known(state.connection, newest)
    current = [seen for key, seen in sorted(newest.items()) if key not in known or known[key][0] <= seen.version]
    records.keep(state.connection, current)
    return current


def last_before_gone(batch: Iterable[Seen], current: Iterable[Seen]) -> Sequence[Seen]:
    """Give the last reading in a batch of each record that is gone at its end: it was never the newest one."""
    gone = {(seen.system, seen.entity, seen.key) for seen in current if seen.body is None}
    last: dict[tuple[str, str, str], Seen] = {}
    for seen in batch:
        key = (seen.system, seen.entity, seen.key)
        if seen.body is not None and key in gone and (key not in last or last[key].version <= seen.version):
            last[key] = seen
    return list(last.values())


def earlier(batch: Iterable[Seen], current: Iterable[Seen]) -> Sequence[Seen]:
    """Give the readings of a batch, in their order, that a newer one of the same record in it has overtaken."""
    newest = {(seen.system, seen.entity, seen.key): seen.version for seen in current}
    found = [seen for seen in batch if seen.version < newest.get((seen.system, seen.entity, seen.key), 0)]
    return sorted(found, key=lambda seen: (seen.system, seen.entity, seen.key, seen.version))


def first_and_last(batch: Iterable[Seen], current: Iterable[Seen]) -> Sequence[Seen]:
    """Give the first reading in a batch that shows each record, before the newest one of it.

    Where it counts when something first showed up, the newest message alone tells too little: a document may be
    placed, changed and posted away within one batch.
    """
    newest = {seen.key: seen for seen in current}
    first: dict[str, Seen] = {}
    for seen in batch:
        is_earlier = seen.key not in first or seen.version < first[seen.key].version
        if seen.body is not None and seen.key in newest and is_earlier:
            first[seen.key] = seen
    pairs = [[first[key], seen] if key in first and first[key] is not seen else [seen] for key, seen in newest.items()]
    return [seen for pair in pairs for seen in pair]
