"""Links: one thing known on several sides. Only flows write them."""

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.types import Text

from counterflow.state.database import among
from counterflow.state.tables import link
from schemas.names import OurId

# Row by row, as they stand: nothing sorts or skips a function's rows.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(name, 0)) FROM unnest(:names) AS held(name)").bindparams(
    bindparam("names", type_=ARRAY(Text))
)
# Pairs in an IN list are planned one by one: of two hundred that takes five times as long.
_FIND = text(
    "SELECT system, remote_id, our_id FROM unnest(:system, :remote_id) AS wanted(system, remote_id)"
    " JOIN link USING (system, remote_id) WHERE link.entity = :entity"
).bindparams(bindparam("system", type_=ARRAY(Text)), bindparam("remote_id", type_=ARRAY(Text)))
UNDER_WAY = "email"  # The system of a customer who is being created; his remote id is the e-mail.


def find(connection: Connection, entity: str, system: str, remote_id: str) -> OurId | None:
    """Give our id of what a system knows under an id of its own; None where nothing is linked."""
    query = select(link.c.our_id).where(link.c.entity == entity, link.c.system == system, link.c.remote_id == remote_id)
    found = connection.scalar(query)
    return None if found is None else OurId(found)


def remote(connection: Connection, entity: str, system: str, our_id: OurId) -> str | None:
    """Give the id that a system knows ours by; None where it does not, the lowest where it has several."""
    query = select(func.min(link.c.remote_id)).where(
        link.c.entity == entity, link.c.system == system, link.c.our_id == our_id
    )
    found: str | None = connection.scalar(query)
    return found


def remotes(connection: Connection, entity: str, our_id: OurId) -> list[tuple[str, str]]:
    """Give everything that ours is known by: (system, remote id), each system's oldest first: their ids rise."""
    return remotes_of(connection, entity, [our_id]).get(our_id, [])


def remotes_of(connection: Connection, entity: str, ours: Iterable[OurId]) -> dict[OurId, list[tuple[str, str]]]:
    """Give what each of some of ours is known by, as `remotes`; what is known by nothing is not among them."""
    wanted, found = set(ours), dict[OurId, list[tuple[str, str]]]()
    if not wanted:
        return {}
    query = select(link.c.our_id, link.c.system, link.c.remote_id)
    for row in connection.execute(query.where(link.c.entity == entity, among(link.c.our_id, wanted))):
        found.setdefault(OurId(row.our_id), []).append((row.system, row.remote_id))
    return {one: sorted(known, key=lambda each: (each[0], len(each[1]), each[1])) for one, known in found.items()}


def created(connection: Connection, system: str, keys: Iterable[str]) -> dict[str, OurId]:
    """Give which of a system's customers we had created, as our answers said: our ids by their keys."""
    match = (link.c.entity == "customer") & (link.c.system == system) & (link.c.how == "created")
    query = select(link.c.remote_id, link.c.our_id).where(match, among(link.c.remote_id, keys))
    return {row.remote_id: OurId(row.our_id) for row in connection.execute(query)}


def siblings(connection: Connection, entity: str, system: str, remote_id: str) -> list[tuple[str, str]]:
    """Give everything that the thing is known by which a system knows under an id: (system, remote id)."""
    ours = find(connection, entity, system, remote_id)
    return remotes(connection, entity, ours) if ours is not None else []


def told(connection: Connection, entity: str, our_id: OurId) -> list[tuple[str, str]]:
    """Give what Counterpoint's documents are to one thing: (DOC_ID, how it is known), the oldest first."""
    query = select(link.c.remote_id, link.c.how).where(link.c.entity == entity, link.c.our_id == our_id)
    found = [(str(row.remote_id), str(row.how)) for row in connection.execute(query)]
    return sorted(found, key=lambda one: (len(one[0]), one[0]))


def find_all(connection: Connection, entity: str, remotes: Iterable[tuple[str, str]]) -> dict[tuple[str, str], OurId]:
    """Give our ids of what systems know under ids of their own, as far as they are linked: by (system, remote id)."""
    found = sorted(set(remotes))
    if not found:
        return {}
    values = {"entity": entity, "system": [one for one, _ in found], "remote_id": [one for _, one in found]}
    return {(row.system, row.remote_id): OurId(row.our_id) for row in connection.execute(_FIND, values)}


def make(connection: Connection, entity: str, system: str, remote_id: str, our_id: OurId, how: str) -> None:
    """Link a system's id to ours, unless it is linked already."""
    make_all(connection, entity, [(system, remote_id)], our_id, how)


def make_all(connection: Connection, entity: str, remotes: Iterable[tuple[str, str]], our_id: OurId, how: str) -> bool:
    """Link ids of several systems to ours, those that are not linked already; says whether one was not."""
    row = {"entity": entity, "our_id": our_id, "how": how, "made_at": func.now()}
    rows = [row | {"system": system, "remote_id": remote_id} for system, remote_id in remotes]
    made = insert(link).values(rows).on_conflict_do_nothing().returning(link.c.remote_id)
    return connection.execute(made).first() is not None


def drop(connection: Connection, entity: str, system: str, remote_id: str) -> None:
    """Take a link away."""
    connection.execute(
        delete(link).where(link.c.entity == entity, link.c.system == system, link.c.remote_id == remote_id)
    )


def unite(connection: Connection, gone: OurId, stays: OurId) -> None:
    """Let everything that is linked to one customer be the other's."""
    assert gone != stays
    connection.execute(update(link).where(link.c.our_id == gone).values(our_id=stays))


def fate(connection: Connection, our_id: OurId) -> str | None:
    """Give what became of an order's documents: "posted" or "gone"; None while one of them is open, or not looked up.

    A document's fate is a link of its own kind, and says it in `how`.
    """
    mine = (link.c.system == "counterpoint") & (link.c.our_id == our_id)
    documents = set(connection.execute(select(link.c.remote_id).where(mine, link.c.entity == "order")).scalars())
    fates = {row.remote_id: row.how for row in connection.execute(select(link).where(mine, link.c.entity == "fate"))}
    if not documents or documents - fates.keys():
        return None
    return "posted" if "posted" in fates.values() else "gone"


def orders_of(connection: Connection, our_id: OurId) -> list[tuple[str, str]]:
    """Give the web orders of a customer: (store, order id)."""
    query = select(link.c.system, link.c.remote_id).where(link.c.entity == "buyer", link.c.our_id == our_id)
    return [(row.system, row.remote_id) for row in connection.execute(query.order_by(link.c.system, link.c.remote_id))]


def lock(connection: Connection, names: Iterable[str]) -> None:
    """Hold locks on names until the transaction ends: e-mails, accounts, items. In sorted order, against deadlocks."""
    found = sorted(set(names))
    if found:
        connection.execute(_LOCK, {"names": found})
