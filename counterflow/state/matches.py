"""The match review: finding who is like somebody, and remembering what was said of two records."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.types import Text

from counterflow.state.database import among
from counterflow.state.tables import match_pair

CROWD = 500  # Holders of one key: above it the key says nothing.
CANDIDATES_MAX = 300  # By the number of keys shared.
RARE_MAX = 1000  # Counted no further.
VALUE = "v:"  # Before a value whose rarity counts: nobody is looked up by it.

# Most readings of a customer change none of his keys, and are to write nothing.
_DROP = text(
    """
    DELETE FROM match_key WHERE system = :system AND key = ANY(:whose) AND NOT EXISTS (
      SELECT FROM unnest(:values, :keys) AS v(value, key) WHERE v.value = match_key.value AND v.key = match_key.key)
    """
).bindparams(*(bindparam(name, type_=ARRAY(Text)) for name in ("whose", "values", "keys")))
_KEEP = text(
    "INSERT INTO match_key (value, system, key) SELECT v.value, :system, v.key"
    " FROM unnest(:values, :keys) AS v(value, key) ON CONFLICT DO NOTHING"
).bindparams(bindparam("values", type_=ARRAY(Text)), bindparam("keys", type_=ARRAY(Text)))

_CANDIDATES = text(
    """
    WITH held AS (
      SELECT v.value, holder.key, count(*) OVER (PARTITION BY v.value) AS holders
      FROM unnest(:values) AS v(value) CROSS JOIN LATERAL (
        SELECT key FROM match_key WHERE match_key.value = v.value AND system = :system LIMIT :crowd) AS holder)
    SELECT key FROM held WHERE holders < :crowd GROUP BY key
    HAVING count(*) >= :shared OR bool_or(value LIKE ANY(:strong)) ORDER BY count(*) DESC, key LIMIT :most
    """
).bindparams(bindparam("values", type_=ARRAY(Text)), bindparam("strong", type_=ARRAY(Text)))

_COUNTS = text(
    """
    SELECT v.value, (SELECT count(*) FROM (
      SELECT 1 FROM match_key WHERE match_key.value = v.value AND system = :system LIMIT :most) AS holder)
    FROM unnest(:values) AS v(value)
    """
).bindparams(bindparam("values", type_=ARRAY(Text)))


def keep_keys(connection: Connection, system: str, keys: Mapping[str, Iterable[str]]) -> None:
    """Keep the keys of some customers in place of the ones they had; nobody keeps keys who has none."""
    if not keys:
        return
    pairs = sorted((value, key) for key, values in keys.items() for value in values)
    values = {"system": system, "values": [value for value, _ in pairs], "keys": [key for _, key in pairs]}
    connection.execute(_DROP, values | {"whose": sorted(keys)})
    if pairs:
        connection.execute(_KEEP, values)


def candidates(
    connection: Connection, system: str, values: Iterable[str], *, shared: int, strong: Iterable[str]
) -> list[str]:
    """Give the customers of a system that share so many keys, or a strong one; those that share most first."""
    parameters = {"system": system, "values": sorted(values), "crowd": CROWD + 1, "most": CANDIDATES_MAX}
    parameters |= {"shared": shared, "strong": [f"{one}%" for one in strong]}
    return list(connection.execute(_CANDIDATES, parameters).scalars())


def counts(connection: Connection, system: str, values: Sequence[str]) -> dict[str, int]:
    """Count the holders of values whose rarity counts, up to a limit."""
    parameters = {"system": system, "values": [f"{VALUE}{one}" for one in values], "most": RARE_MAX}
    return {row[0].removeprefix(VALUE): row[1] for row in connection.execute(_COUNTS, parameters)}


def note(connection: Connection, one: str, other: str, *, percent: int, evidence: str, fingerprint: str) -> Row[Any]:
    """Note that two records may be one person; gives the pair as it stands. Asked again only if something changed."""
    first, second = sorted((one, other))
    row = {"one": first, "other": second, "percent": percent, "evidence": evidence, "fingerprint": fingerprint}
    statement = insert(match_pair).values(row | {"state": "open", "made_at": func.now()})
    changed = {name: statement.excluded[name] for name in ("percent", "evidence", "fingerprint", "state", "made_at")}
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[match_pair.c.one, match_pair.c.other],
            set_=changed | {"decision": None, "decided_by": None, "decided_at": None},
            where=(match_pair.c.fingerprint != statement.excluded.fingerprint)
            & match_pair.c.decision.is_distinct_from("same"),
        )
    )
    return connection.execute(select(match_pair).where(_is(first, second))).one()


def _is(one: str, other: str) -> Any:
    first, second = sorted((one, other))
    return (match_pair.c.one == first) & (match_pair.c.other == second)


def decide(connection: Connection, one: str, other: str, decision: str | None, by: str) -> Row[Any] | None:
    """Enter a person's decision, or take it back with None; gives the pair as it was, None where there is none."""
    before = connection.execute(select(match_pair).where(_is(one, other)).with_for_update()).first()
    values: dict[str, Any] = {"state": "decided", "decision": decision, "decided_by": by, "decided_at": func.now()}
    if decision is None:
        values = {"state": "open", "decision": None, "decided_by": None, "decided_at": None}
    connection.execute(update(match_pair).where(_is(one, other)).values(values))
    return before


def said(connection: Connection, decision: str, names: Iterable[str]) -> set[str]:
    """Give which of some records were decided so in one of their pairs."""
    found = set(names)
    of_them = or_(among(match_pair.c.one, found), among(match_pair.c.other, found))
    query = select(match_pair.c.one, match_pair.c.other).where(match_pair.c.decision == decision, of_them)
    return found & {name for row in connection.execute(query) for name in row}


def listed(connection: Connection, *, also_decided: bool) -> list[Row[Any]]:
    """Give the pairs that wait for a person, the likeliest first; also what was decided, if asked."""
    query = select(match_pair).order_by(match_pair.c.percent.desc(), match_pair.c.one, match_pair.c.other)
    return list(connection.execute(query if also_decided else query.where(match_pair.c.state == "open")))
