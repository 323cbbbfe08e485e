"""The mirror: reading and keeping what each system has."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import msgspec
from sqlalchemy import Connection, bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import BigInteger, Boolean, DateTime, LargeBinary, Text

from counterflow.state.database import among
from counterflow.state.tables import record
from schemas.records import Item, Product, Record, Stock

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One record as a message showed it; `body` is None for a deletion."""

    system: str
    entity: str
    key: str
    body: Record | None
    raw: bytes | None
    hash: str
    version: int
    position: int
    at: datetime  # When the message arrived on its topic.
    email: str | None = None  # By which its owner may be known; None for what is no customer, and for nobody's.


Id = tuple[str, str, str]

# A message older than what is kept changes nothing; an equal one, a replay's, is kept again, and decided again.
_KEEP = text(
    """
    INSERT INTO record (system, entity, key, raw, body, hash, version, position, deleted, email, sku, seen_at)
    SELECT * FROM unnest(
      :system, :entity, :key, :raw, :body, :hash, :version, :position, :deleted, :email, :sku, :seen_at)
    ON CONFLICT (system, entity, key) DO UPDATE SET
      raw = excluded.raw, body = excluded.body, hash = excluded.hash, version = excluded.version,
      position = excluded.position, deleted = excluded.deleted, email = excluded.email, sku = excluded.sku,
      seen_at = excluded.seen_at
    WHERE record.version <= excluded.version
    """
).bindparams(
    *(bindparam(name, type_=ARRAY(Text)) for name in ("system", "entity", "key", "body", "hash", "email", "sku")),
    bindparam("raw", type_=ARRAY(LargeBinary)),
    bindparam("version", type_=ARRAY(BigInteger)),
    bindparam("position", type_=ARRAY(BigInteger)),
    bindparam("deleted", type_=ARRAY(Boolean)),
    bindparam("seen_at", type_=ARRAY(DateTime(timezone=True))),
)

_KNOWN = text(
    """
    SELECT system, entity, key, version, hash
    FROM unnest(:system, :entity, :key) AS wanted(system, entity, key) JOIN record USING (system, entity, key)
    ORDER BY system, entity, key FOR UPDATE OF record
    """
).bindparams(*(bindparam(name, type_=ARRAY(Text)) for name in ("system", "entity", "key")))


def known(connection: Connection, ids: Iterable[Id]) -> dict[Id, tuple[int, str]]:
    """Give version and hash of some records, locked until the end of the transaction, in the order of their keys."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    values = {name: [one[place] for one in wanted] for place, name in enumerate(("system", "entity", "key"))}
    return {(row.system, row.entity, row.key): (row.version, row.hash) for row in connection.execute(_KNOWN, values)}


def keep(connection: Connection, seen: Sequence[Seen]) -> None:
    """Keep records, one of each id, unless newer ones are kept already."""
    if not seen:
        return
    connection.execute(
        _KEEP,
        {
            "system": [one.system for one in seen],
            "entity": [one.entity for one in seen],
            "key": [one.key for one in seen],
            "raw": [one.raw for one in seen],
            "body": [None if one.body is None else msgspec.json.encode(one.body).decode() for one in seen],
            "hash": [one.hash for one in seen],
            "version": [one.version for one in seen],
            "position": [one.position for one in seen],
            "deleted": [one.body is None for one in seen],
            "email": [one.email for one in seen],
            "sku": [_sku(one.body) for one in seen],
            "seen_at": [one.at for one in seen],
        },
    )


def _sku(body: Record | None) -> str | None:
    match body:
        case Product():
            return body.sku
        case Stock():
            return body.item_no
        case _:
            return None


def read(connection: Connection, system: str, entity: str, keys: Iterable[str], kind: type[R]) -> dict[str, R]:
    """Read some records by key; those that are gone are not among them."""
    wanted = set(keys)
    if not wanted:
        return {}
    query = select(record.c.key, record.c.body).where(
        record.c.system == system, record.c.entity == entity, among(record.c.key, wanted), ~record.c.deleted
    )
    return {row.key: msgspec.json.decode(row.body, type=kind) for row in connection.execute(query)}


def gone_at(connection: Connection, system: str, entity: str, key: str) -> int | None:
    """Give the position of the reading that showed a record to be gone; None where it was not."""
    query = select(record.c.position).where(
        record.c.system == system, record.c.entity == entity, record.c.key == key, record.c.deleted
    )
    return connection.scalar(query)


def items(connection: Connection, numbers: Iterable[str]) -> dict[str, Item]:
    """Read Counterpoint's items."""
    return read(connection, "counterpoint", "IM_ITEM", numbers, Item)


def shelves(connection: Connection, numbers: Iterable[str]) -> dict[str, list[tuple[Stock, int]]]:
    """Read items' stock at every location, each with the position of the reading that showed it."""
    query = select(record.c.body, record.c.position).where(
        record.c.entity == "IM_INV", record.c.sku.in_(sorted(set(numbers))), ~record.c.deleted
    )
    found: dict[str, list[tuple[Stock, int]]] = {}
    for row in connection.execute(query):
        stock = msgspec.json.decode(row.body, type=Stock)
        found.setdefault(stock.item_no, []).append((stock, row.position))
    return found


def products(connection: Connection, skus: Iterable[str]) -> dict[str, list[tuple[str, Product]]]:
    """Read the stores' products by SKU: (store, product)."""
    query = select(record.c.system, record.c.body).where(
        record.c.entity == "products", record.c.sku.in_(sorted(set(skus))), ~record.c.deleted
    )
    found: dict[str, list[tuple[str, Product]]] = {}
    for row in connection.execute(query.order_by(record.c.system, record.c.key)):
        product = msgspec.json.decode(row.body, type=Product)
        found.setdefault(product.sku, []).append((row.system, product))
    return found
