"""Customers' profiles as each system shows them, what is agreed of each person, and whom a store has welcomed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, bindparam, delete, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.types import Text

from counterflow.state.database import among
from counterflow.state.tables import person, profile, record, welcome
from schemas.names import OurId
from schemas.records import Customer

Id = tuple[str, str]  # System, key.


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One customer of one system, as it is kept. `seen` and `pending` are the rules' own, as JSON."""

    system: str
    key: str
    seen: str = "{}"
    pending: str = "{}"
    position: int = 0
    reading: int = 0
    body: Customer
    unflagged_at: datetime | None = None
    points_before: int | None = None
    points_at: datetime | None = None
    gone_at: datetime | None = None


_KEEP = text(
    """
    INSERT INTO profile
      (system, key, seen, pending, position, reading, body, unflagged_at, points_before, points_at, gone_at)
    SELECT * FROM unnest(
      :system, :key, :seen, :pending, :position, :reading, :body, :unflagged_at, :points_before, :points_at, :gone_at)
    ON CONFLICT (system, key) DO UPDATE SET
      seen = excluded.seen, pending = excluded.pending, position = excluded.position, reading = excluded.reading,
      body = excluded.body, unflagged_at = excluded.unflagged_at, points_before = excluded.points_before,
      points_at = excluded.points_at, gone_at = excluded.gone_at
    """
).bindparams(*(bindparam(name, type_=ARRAY(profile.c[name].type)) for name in Kept.__dataclass_fields__))


_READ = text(
    "SELECT profile.* FROM unnest(:system, :key) AS wanted(system, key) JOIN profile USING (system, key)"
    " ORDER BY profile.system, profile.key FOR UPDATE OF profile"
).bindparams(bindparam("system", type_=ARRAY(Text)), bindparam("key", type_=ARRAY(Text)))


def read(connection: Connection, ids: Iterable[Id]) -> dict[Id, Kept]:
    """Read some profiles, locked until the end of the transaction, in the order of their keys."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    values = {"system": [one for one, _ in wanted], "key": [one for _, one in wanted]}
    return {(row.system, row.key): _kept(row) for row in connection.execute(_READ, values)}


_NOBODYS = text(
    "SELECT profile.key, field.name FROM unnest(:key) AS wanted(key) JOIN profile USING (key)"
    " CROSS JOIN LATERAL json_each(profile.seen::json) AS field(name, at)"
    " WHERE profile.system = :system AND (field.at ->> 'is_nobodys')::boolean"
).bindparams(bindparam("key", type_=ARRAY(Text)))


def nobodys(connection: Connection, system: str, keys: Iterable[str]) -> dict[str, set[str]]:
    """Give in which fields some customers of a system show nobody's word, by key; without those that show none."""
    found: dict[str, set[str]] = {}
    for row in connection.execute(_NOBODYS, {"system": system, "key": sorted(set(keys))}):
        found.setdefault(row.key, set()).add(row.name)
    return found


def _kept(row: Row[Any]) -> Kept:
    return Kept(**dict(row._mapping) | {"body": msgspec.json.decode(row.body, type=Customer)})


def keep(connection: Connection, kept: Iterable[Kept]) -> None:
    """Keep profiles."""
    rows = list({(one.system, one.key): one for one in kept}.values())
    if rows:
        values: dict[str, Any] = {name: [getattr(one, name) for one in rows] for name in Kept.__dataclass_fields__}
        connection.execute(_KEEP, values | {"body": [msgspec.json.encode(one.body).decode() for one in rows]})


def mark_gone(connection: Connection, system: str, key: str, at: datetime) -> None:
    """Note that a customer is gone from a system."""
    match = (profile.c.system == system) & (profile.c.key == key) & profile.c.gone_at.is_(None)
    connection.execute(update(profile).where(match).values(gone_at=at))


def changed_around(connection: Connection, system: str, at: datetime, within: timedelta) -> list[Kept]:
    """Give the customers of a system that lost their flag, or changed points, around a time: the traces of a merge."""
    since, until = at - within, at + within
    query = select(profile).where(
        profile.c.system == system,
        profile.c.gone_at.is_(None),
        or_(profile.c.unflagged_at.between(since, until), profile.c.points_at.between(since, until)),
    )
    return [_kept(row) for row in connection.execute(query.order_by(profile.c.key))]


def in_group(connection: Connection, system: str, title: str) -> list[Kept]:
    """Give the customers of a system that show a group by this title of its own."""
    match = (profile.c.system == system) & profile.c.gone_at.is_(None)
    query = select(profile).where(match).order_by(profile.c.key).with_for_update()
    kept = (_kept(row) for row in connection.execute(query))
    return [one for one in kept if one.body.group == title]


def agreed(connection: Connection, ours: Iterable[OurId]) -> dict[OurId, str]:
    """Give what is agreed of some people, as JSON; of whom nothing is, is not among them."""
    query = select(person).where(among(person.c.our_id, ours)).order_by(person.c.our_id).with_for_update()
    return {OurId(row.our_id): row.agreed for row in connection.execute(query)}


def agree(connection: Connection, our_id: OurId, what: str) -> None:
    """Keep what is agreed of a person."""
    statement = insert(person).values(our_id=our_id, agreed=what)
    connection.execute(
        statement.on_conflict_do_update(index_elements=[person.c.our_id], set_={"agreed": statement.excluded.agreed})
    )


def forget_agreed(connection: Connection, our_id: OurId) -> None:
    """Drop what was agreed of a person who is somebody else by now."""
    connection.execute(delete(person).where(person.c.our_id == our_id))


def customers_with_email(connection: Connection, system: str, entity: str, email: str) -> list[Customer]:
    """Read a system's customers with an e-mail, from the mirror."""
    return customers_with_emails(connection, system, entity, [email]).get(email, [])


def customers_with_emails(
    connection: Connection, system: str, entity: str, emails: Iterable[str]
) -> dict[str, list[Customer]]:
    """Read a system's customers with some e-mails, from the mirror: by e-mail, in the order of their keys."""
    wanted, found = set(emails), dict[str, list[Customer]]()
    if not wanted:
        return found
    query = select(record.c.email, record.c.body).where(
        record.c.system == system, record.c.entity == entity, among(record.c.email, wanted), ~record.c.deleted
    )
    for row in connection.execute(query.order_by(record.c.key)):
        found.setdefault(row.email, []).append(msgspec.json.decode(row.body, type=Customer))
    return found


def keys(connection: Connection, system: str, entity: str, *, after: str = "", most: int | None = None) -> list[str]:
    """Give the keys of the customers that a system has, in order, behind a key."""
    match = (record.c.system == system) & (record.c.entity == entity) & (record.c.key > after) & ~record.c.deleted
    query = select(record.c.key).where(match).order_by(record.c.key).limit(most)
    return list(connection.execute(query).scalars())


def count(connection: Connection, system: str, entity: str) -> int:
    """Count the records that were ever seen of an entity."""
    query = select(func.count()).where(record.c.system == system, record.c.entity == entity)
    return connection.scalar(query) or 0


def welcomed(connection: Connection, emails: Iterable[str], ours: Iterable[OurId]) -> set[tuple[str, str]]:
    """Give of whom stores were told to create an account, or who deleted his own there: (store, e-mail or our id)."""
    match = or_(among(welcome.c.email, emails), among(welcome.c.our_id, ours))
    rows = connection.execute(select(welcome.c.store, welcome.c.email, welcome.c.our_id).where(match))
    return {(row.store, name) for row in rows for name in (row.email, row.our_id)}


def note_welcomes(connection: Connection, rows: Iterable[Mapping[str, object]]) -> None:
    """Note accounts that a store is told to create, or that are gone: {store, email, our_id, how, at}."""
    found = list(rows)
    if found:
        connection.execute(insert(welcome).values(found).on_conflict_do_nothing())


def welcomed_since(connection: Connection, store: str, at: datetime) -> int:
    """Count the accounts that a store was told to create since a time."""
    match = (welcome.c.store == store) & (welcome.c.how == "created") & (welcome.c.at > at)
    return connection.scalar(select(func.count()).select_from(welcome).where(match)) or 0
