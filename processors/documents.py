"""changes.counterpoint.PS_DOC_HDR -> links and reservations: our documents as Counterpoint shows them. Keyed by DOC_ID.

A document with our marker is the truth about its order, however our own answer got lost: that it is there, and whose.
"""

from collections.abc import Iterable

from counterflow.state import links, records, reservations, wanted
from counterflow.state.records import Seen
from counterflow.state.wanted import Want
from processors import customers, edits, releases
from processors.rules.documents import CARDS, marker_of, read_marker
from processors.rules.refunds import read_return_marker
from processors.shop import State
from schemas.commands import FindDocument
from schemas.names import COUNTERPOINT, OurId
from schemas.outcomes import Outcome
from schemas.records import Document

ORDER_TYPE, TICKET_TYPE = "O", "T"
DOCUMENTS, HOLD_TYPE = releases.DOCUMENTS, releases.HOLD_TYPE


def take(batch: Iterable[Seen], state: State) -> None:
    """Enter what each document says about its web order."""
    for seen in batch:
        if isinstance(seen.body, Document):
            _note_return(seen.body, state)
            if seen.body.doc_type == TICKET_TYPE:
                releases.take(seen.body, seen.version, state)
            found = read_marker(seen.body.marker, state.shop.prefixes)
            if found and seen.body.returns and seen.body.doc_type == TICKET_TYPE:  # In whichever store it was rung up.
                releases.take_return(seen.body, OurId("/".join(found)), seen.version, state)
            # A clerk may type a purchase order's number that looks like ours: the store must be ours too.
            elif found and seen.body.store_no == state.shop.sites[found[0]].store:
                _take_order(state, seen.body, seen.position, found)
        elif not releases.left(seen.key, seen.version, state):
            _left(state, seen.key, seen.position)


def _take_order(state: State, document: Document, position: int, order: tuple[str, str]) -> None:
    """Enter an order's document, though it be on hold."""
    if document.doc_type in {ORDER_TYPE, HOLD_TYPE} and not document.returns:
        _enter(state, document, position, *order)
    if document.doc_type == HOLD_TYPE:
        state.orders.add(order)


def _note_return(document: Document, state: State) -> None:
    """Note the ticket of a refund, or of an order's gift cards, which staff entered as they were asked to."""
    if document.doc_type == TICKET_TYPE and document.marker.endswith(CARDS):
        sold = read_marker(document.marker.removesuffix(CARDS), state.shop.prefixes)
        if sold:
            links.make(state.connection, "cards", *sold, OurId("/".join(sold)), "document")
            state.orders.add(sold)
    named = read_return_marker(document.marker)
    found = read_marker(named[0], state.shop.prefixes) if named else None
    if named and found and document.doc_type == TICKET_TYPE:
        store, order_id = found
        name = f"{order_id}/R{named[1]}"
        links.make(state.connection, "refund", store, name, OurId(f"{store}/{order_id}"), "document")
        state.settle("order-refund", f"{store}/{name}")


def _enter(state: State, document: Document, position: int, store: str, order_id: str) -> None:
    ours = OurId(f"{store}/{order_id}")
    is_new = releases.order_known(document, ours, state)  # What is written in it has waited for it.
    edits.changed_there(state, ours)
    names = [(store, order_id), (COUNTERPOINT, document.key)]
    is_new |= links.make_all(state.connection, "order", names, ours, "document")
    if document.cust_no not in state.shop.nobody.numbers:  # Staff may give an order to the walk-in: it tells nobody.
        is_new |= _enter_buyer(state, document.cust_no, store, order_id)
    if state.shop.orders_commit_stock:
        state.items |= set(
            reservations.document_seen(state.connection, store, order_id, position, document.stock_location)
        )
    if is_new:
        state.orders.add((store, order_id))  # Decided again, it is found done.


def _enter_buyer(state: State, cust_no: str, store: str, order_id: str) -> bool:
    """Enter whose an order is by its document; returns whether that was not known."""
    buyer = customers.id_of(state, cust_no)
    decided = links.find(state.connection, "buyer", store, order_id)
    if decided is None:
        links.make(state.connection, "buyer", store, order_id, buyer, "document")
    elif decided != buyer and links.remote(state.connection, "customer", COUNTERPOINT, decided) is None:
        customers.give_order(state, store, order_id, buyer, "document")
    return decided != buyer


def _left(state: State, doc_id: str, position: int) -> None:
    """Note that an order's document has left the open ones, posted perhaps before it was ever read.

    Where documents commit stock, the item's figures of this reading or a later one hold what became of it; where they
    do not, it holds nothing any more.
    """
    ours = links.find(state.connection, "order", COUNTERPOINT, doc_id)
    if ours is None:
        return
    store, _, order_id = ours.partition("/")
    if state.shop.orders_commit_stock:
        state.items |= set(reservations.document_seen(state.connection, store, order_id, position, ""))
    else:
        state.items |= set(reservations.end(state.connection, store, order_id, "released"))
    if store in state.shop.prefixes:
        look = FindDocument(marker=marker_of(state.shop.prefixes[store], order_id), doc_id=doc_id)
        want = Want(system=COUNTERPOINT, task=DOCUMENTS, key=f"{ours}/{doc_id}", body=look)
        wanted.want(state.connection, [want], at=state.now)


def take_answer(outcome: Outcome, state: State) -> None:
    """Enter where a document stands that had left the open ones: only now does its leaving mean anything."""
    doc_id, what = outcome.remote.get("doc_id"), outcome.remote.get("fate")
    if doc_id is not None and releases.is_one(state, doc_id):
        releases.take_answer(outcome, state)
        return
    if "differs" in outcome.remote:
        edits.take_answer(outcome, state)
        return
    ours = None if doc_id is None else links.find(state.connection, "order", COUNTERPOINT, doc_id)
    if doc_id is None or ours is None or what not in {"posted", "gone"}:
        return
    links.make(state.connection, "fate", COUNTERPOINT, doc_id, ours, what)
    store, _, order_id = ours.partition("/")
    state.orders.add((store, order_id))


def answered(state: State, doc_id: str) -> None:
    """Note an answer that named a document: it may have been seen to leave before we knew whose it was."""
    position = records.gone_at(state.connection, COUNTERPOINT, "PS_DOC_HDR", doc_id)
    if position is not None:
        _left(state, doc_id, position)
