"""changes.counterpoint.IM_INV, IM_ITEM and changes.<store>.products -> what each store may sell. Keyed by item."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from counterflow.state import links, records, reservations, reviews, steering, wanted
from counterflow.state.records import Seen
from counterflow.state.reservations import Held
from counterflow.state.wanted import Key, Want
from processors.rules.allocation import Allocation, Reservation, Shelf, allocate, buffer_of, is_committed
from processors.shop import State
from schemas.commands import SetStock, body_hash
from schemas.records import Item, Product, Stock

INVENTORIES = "inventories"
DRIFT = "drift"


def take_stock(batch: Iterable[Seen], state: State) -> None:
    """Reckon the items whose stock changed."""
    state.items |= {seen.key.partition("|")[0] for seen in batch}


def take_items(batch: Iterable[Seen], state: State) -> None:
    """Reckon the items that changed, and let orders go on that waited for one."""
    numbers = [seen.key for seen in batch]
    state.items |= set(numbers)
    for kind, key in reviews.waiting_for(state.connection, [f"item:{number}" for number in numbers]):
        if kind == "order":
            store, _, order_id = key.partition("/")
            state.orders.add((store, order_id))


def take_products(batch: Iterable[Seen], state: State) -> None:
    """Reckon the items of products that changed; one whose stock drifted from what is wanted is watched.

    A store lowers its stock itself when it sells, and its order may reach us a moment later. So a difference is
    given time to be explained, before the wanted figure is written again.
    """
    found = {(seen.system, INVENTORIES, seen.body.sku): seen.body for seen in batch if isinstance(seen.body, Product)}
    found = {key: product for key, product in found.items() if product.sku}
    state.items |= {product.sku for product in found.values()}
    rows = wanted.rows(state.connection, found)
    for key, product in sorted(found.items()):
        row = rows.get(key)
        if row is not None and msgspec.json.decode(row.body, type=SetStock).quantity != product.stock:
            name, due_at = f"{key[0]}/{product.sku}", state.now + state.shop.drift
            steering.set_timer_once(state.connection, DRIFT, name, due_at, state.now.isoformat())


def decide(state: State) -> None:
    """Reckon what every store may sell of the batch's items, and want it."""
    numbers, state.items = sorted(state.items), set()
    if not numbers:
        return
    links.lock(state.connection, [f"item:{number}" for number in numbers])
    items = records.items(state.connection, numbers)
    shelves = records.shelves(state.connection, numbers)
    held = reservations.open_ones(state.connection, numbers)
    products = records.products(state.connection, numbers)
    wants: list[Want] = []
    there: dict[Key, Product] = {}
    for number in numbers:
        item = items.get(number)
        if item is None or not item.is_ecommerce:
            continue  # Not for the web: whatever a store has of it is left alone (req-P1).
        own = _shelves(shelves.get(number, []))
        still = _end_committed(state, number, own, held.get(number, []))
        for store, product in products.get(number, []):
            if store not in state.shop.shelves:
                continue  # A store that was taken out of the shop's file.
            want = _want(state, store, product, own, still)
            wants.append(want)
            there[(want.system, want.task, want.key)] = product
        _watch_oversell(state, item, own, still)
    _write_down(state, wants, there)


def _shelves(found: Sequence[tuple[Stock, int]]) -> list[Shelf]:
    return [
        Shelf(location=stock.location, on_hand=stock.on_hand, committed=stock.committed, position=position)
        for stock, position in found
    ]


def _end_committed(state: State, number: str, shelves: Sequence[Shelf], held: Sequence[Held]) -> list[Reservation]:
    """End what Counterpoint's own figures hold by now; gives what is left."""
    left = []
    for one in held:
        reservation = Reservation(
            store=one.store,
            order_id=one.order_id,
            quantity=one.quantity,
            document_position=one.document_position,
            document_location=one.document_location,
        )
        if is_committed(reservation, shelves):
            reservations.end(state.connection, one.store, one.order_id, "committed", [number])
        else:
            left.append(reservation)
    return left


def _want(state: State, store: str, product: Product, shelves: Sequence[Shelf], held: Sequence[Reservation]) -> Want:
    allocation = _allocate(state, store, product.sku, shelves, held)
    body = SetStock(sku=product.sku, product_id=product.key, quantity=allocation.offer)
    return Want(system=store, task=INVENTORIES, key=product.sku, body=body)


def _allocate(state: State, store: str, sku: str, shelves: Sequence[Shelf], held: Sequence[Reservation]) -> Allocation:
    rules = state.shop.shelves[store]
    buffer = buffer_of(sku, usual=rules.buffer, own=rules.buffers)
    return allocate(shelves, held, locations=rules.locations, buffer=buffer)


def _write_down(state: State, wants: Sequence[Want], there: dict[Key, Product]) -> None:
    """Want the figures. What a store has already at the first time is not written once more."""
    known = wanted.rows(state.connection, there)
    wanted.want(state.connection, wants, at=state.now)
    was_so = []
    for one in wants:
        key, body = (one.system, one.task, one.key), one.body
        assert isinstance(body, SetStock)
        product = there[key]
        if key not in known and product.manages_stock and product.stock == body.quantity:
            was_so.append(key)
    wanted.mark_done(state.connection, was_so, at=state.now, note="it was so")


def _watch_oversell(state: State, item: Item, shelves: Sequence[Shelf], held: Sequence[Reservation]) -> None:
    """Find an item of which the stores together sold more than there is: for a person (req-P8)."""
    locations = sorted({one for rules in state.shop.shelves.values() for one in rules.locations})
    whole = allocate(shelves, held, locations=locations, buffer=0)
    if whole.short:
        orders = [f"{one.store}/{one.order_id}" for one in held]
        message = f"{item.key}: {whole.short} more were sold than there are; decide which order gets what there is"
        state.ask("oversell", item.key, message, {"orders": orders, "short": whole.short})
    else:
        state.settle("oversell", item.key)


def check_drift(state: State, due: Mapping[str, datetime]) -> None:
    """Write figures again that a store changed by itself and no order explains: "<store>/<sku>", and since when.

    A timer ends only when the store's orders have been read after the difference was seen; until then it is set anew.
    """
    read_at = {store: steering.cursor_at(state.connection, store, "orders") for store in {_store(key) for key in due}}
    explained: dict[Key, str] = {}
    for key, since in sorted(due.items()):
        at = read_at[_store(key)]
        if at is None or at <= since:
            steering.set_timer_once(state.connection, DRIFT, key, state.now + state.shop.drift, since.isoformat())
        else:
            store, _, sku = key.partition("/")
            explained[(store, INVENTORIES, sku)] = sku
    if not explained:
        return
    rows = wanted.rows(state.connection, explained)
    products = records.products(state.connection, explained.values())
    for row_key, sku in explained.items():
        row = rows.get(row_key)
        product = next((one for system, one in products.get(sku, []) if system == row_key[0]), None)
        if row is None or product is None or row.state not in {"done", "rejected"}:
            continue
        body = msgspec.json.decode(row.body, type=SetStock)
        assert body_hash(body) == row.hash
        if product.stock != body.quantity or product.key != body.product_id:
            wanted.reopen(state.connection, [row_key], at=state.now, note=f"the store had {product.stock}")


def _store(key: str) -> str:
    return key.partition("/")[0]
