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
