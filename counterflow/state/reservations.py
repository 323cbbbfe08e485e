"""What open web orders hold of each item."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from counterflow.state.tables import reservation

CANCELLED = "cancelled"
DOCUMENT = ""  # In place of an item: the first reading of the document itself, for an order that comes after it.


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What one order holds of one item."""

    store: str
    order_id: str
    item_no: str
    quantity: int
    document_position: int | None
    document_location: str | None


def hold(connection: Connection, store: str, order_id: str, quantities: Mapping[str, int]) -> set[str]:
    """Hold what an order takes: exactly this, unless its document is counted already. Gives the items that changed."""
    own = (reservation.c.store == store) & (reservation.c.order_id == order_id)
    before = list(connection.execute(select(reservation).where(own)))
    held = {row.item_no: row.quantity for row in before if row.ended is None and row.item_no != DOCUMENT}
    let_go = held.keys() - quantities.keys()
    if let_go:
        connection.execute(delete(reservation).where(own, reservation.c.item_no.in_(sorted(let_go))))
    if not quantities or held == quantities:
        return let_go
    order = {"store": store, "order_id": order_id, "made_at": func.now()} | _document_before_order(before)
    rows = [order | {"item_no": item, "quantity": count} for item, count in sorted(quantities.items())]
    statement = insert(reservation).values(rows)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[reservation.c.store, reservation.c.order_id, reservation.c.item_no],
            set_={"quantity": statement.excluded.quantity, "ended": None},
            where=reservation.c.ended.is_(None) | (reservation.c.ended == CANCELLED),  # It stands again.
        )
    )
    return let_go | quantities.keys()


def _document_before_order(rows: Sequence[Row[Any]]) -> dict[str, Any]:
    """Give the reading of a document that was seen before anything of its order was; nothing at an edit."""
    if len(rows) == 1 and rows[0].item_no == DOCUMENT:
        return {"document_position": rows[0].document_position, "document_location": rows[0].document_location}
    return {"document_position": None, "document_location": None}


def document_seen(connection: Connection, store: str, order_id: str, position: int, location: str) -> list[str]:
    """Note the first reading that showed an order's document; gives the items it holds, nothing at a later one."""
    own = (reservation.c.store == store) & (reservation.c.order_id == order_id)
    noted = list(connection.execute(select(reservation.c.document_position).where(own)).scalars())
    if noted and None not in noted:
        return []
    first = {"document_position": position, "document_location": location or None}
    row = {"store": store, "order_id": order_id, "item_no": DOCUMENT, "quantity": 0, "made_at": func.now()}
    connection.execute(insert(reservation).values(row | first).on_conflict_do_nothing())
    connection.execute(update(reservation).where(own, reservation.c.document_position.is_(None)).values(first))
    items = select(reservation.c.item_no).where(own, reservation.c.item_no != DOCUMENT)
    return list(connection.execute(items).scalars())


def end(connection: Connection, store: str, order_id: str, how: str, items: Iterable[str] | None = None) -> list[str]:
    """End what an order holds, of some items or of all; gives the items."""
    match = (reservation.c.store == store) & (reservation.c.order_id == order_id) & reservation.c.ended.is_(None)
    match &= reservation.c.item_no != DOCUMENT
    if items is not None:
        match &= reservation.c.item_no.in_(sorted(items))
    done = update(reservation).where(match).values(ended=how).returning(reservation.c.item_no)
    return list(connection.execute(done).scalars())


def open_ones(connection: Connection, items: Iterable[str]) -> dict[str, list[Held]]:
    """Give what is held of some items, of all stores together."""
    query = select(reservation).where(reservation.c.item_no.in_(sorted(set(items))), reservation.c.ended.is_(None))
    found: dict[str, list[Held]] = {}
    for row in connection.execute(query.order_by(reservation.c.store, reservation.c.order_id)):
        held = Held(
            store=row.store,
            order_id=row.order_id,
            item_no=row.item_no,
            quantity=row.quantity,
            document_position=row.document_position,
            document_location=row.document_location,
        )
        found.setdefault(row.item_no, []).append(held)
    return found
