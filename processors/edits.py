"""Web orders that were changed after their document was placed -> what staff edit there, until it fits (order-E.13).

The REST server can neither cancel nor change an order (counterpoint 8). So what the order has become since is compared
with its document, the difference is told to staff, and it is compared again whenever the document changes.
"""

import msgspec

from counterflow.state import links, records, reviews, wanted
from counterflow.state.wanted import Want
from processors.rules import documents
from processors.rules.documents import Hold, Site
from processors.shop import State
from schemas.commands import CompareDocument, FindDocument, PlaceDocument
from schemas.names import COUNTERPOINT, OurId
from schemas.outcomes import Outcome
from schemas.records import Order

EDITED, DOCUMENTS, ORDERS = "order-edited", "documents", "orders"
TEXT = "the order was changed in the store after its document was placed"


def watch(state: State, site: Site, order: Order, wanted_body: str) -> None:
    """Find an order that was changed after its document was on its way."""
    ours, is_now = OurId(f"{site.store_id}/{order.key}"), documents.fingerprint(order)
    if msgspec.json.decode(wanted_body, type=PlaceDocument).order_hash != is_now:
        compare(state, site, order, wanted_body)
        return
    compared, is_asked = _compared(state, ours), reviews.is_open(state.connection, (EDITED,), ours)
    # Staff may have made its document fit what it was in between.
    if is_asked or (compared is not None and compared.order_hash != is_now):
        if links.fate(state.connection, ours) in {"posted", "gone"}:
            state.settle(EDITED, ours)  # There is nothing to edit any more.
        else:
            compare(state, site, order, wanted_body)


def _compared(state: State, ours: OurId) -> PlaceDocument | None:
    """Give what the document of an order was last compared with."""
    doc_id = links.remote(state.connection, "order", COUNTERPOINT, ours)
    row = (COUNTERPOINT, DOCUMENTS, f"{ours}/{doc_id}")
    standing = wanted.rows(state.connection, [row]).get(row)
    look = msgspec.json.decode(standing.body, type=CompareDocument | FindDocument) if standing else None
    return look.document if isinstance(look, CompareDocument) else None


def compare(state: State, site: Site, order: Order, wanted_body: str) -> None:
    """Have the document of an order compared with what the order is now."""
    body, name = msgspec.json.decode(wanted_body, type=PlaceDocument), f"{site.store_id}/{order.key}"
    items = records.items(state.connection, {line.sku for line in order.lines if line.sku})
    buyer = links.find(state.connection, "buyer", site.store_id, order.key)
    cust_no = links.remote(state.connection, "customer", COUNTERPOINT, buyer) if buyer else None
    now = documents.compose(order, site, items, cust_no or body.cust_no)  # He may have been merged since.
    doc_id = links.remote(state.connection, "order", COUNTERPOINT, OurId(name))
    if isinstance(now, Hold):
        state.ask(EDITED, name, f"{TEXT}, and as it is now it could not be one: {now.why}", {"marker": body.marker})
    elif doc_id is not None:  # Else it is on its way, and looked at once it is there.
        id_ = (COUNTERPOINT, "PS_DOC_HDR", doc_id)
        version, _ = records.known(state.connection, [id_]).get(id_, (0, ""))
        look = CompareDocument(doc_id=doc_id, document=now, as_of=version)
        want = Want(system=COUNTERPOINT, task=DOCUMENTS, key=f"{name}/{doc_id}", body=look)
        wanted.want(state.connection, [want], at=state.now)


def changed_there(state: State, ours: OurId) -> None:
    """Look again where staff have changed a document that they were asked to, or let it go on."""
    if reviews.is_open(state.connection, (EDITED, "order-held"), ours):
        store, _, order_id = ours.partition("/")
        state.orders.add((store, order_id))


def take_answer(outcome: Outcome, state: State) -> None:
    """Enter how an edited order's document differs by now; one that fits is what was wanted all along."""
    row = (COUNTERPOINT, DOCUMENTS, outcome.key)
    standing = wanted.rows(state.connection, [row])[row]
    if standing.hash != outcome.hash:  # It was edited once more meanwhile, and is compared again.
        return
    document = msgspec.json.decode(standing.body, type=CompareDocument).document
    name, differs = outcome.key.rpartition("/")[0], outcome.remote["differs"]
    order = (COUNTERPOINT, ORDERS, name)
    placed = msgspec.json.decode(wanted.rows(state.connection, [order])[order].body, type=PlaceDocument)
    is_edited = placed.order_hash != document.order_hash
    if differs and not is_edited and "fate" in outcome.remote:
        return  # Posted before it could be read: there is nothing to edit any more.
    if differs:
        why = TEXT if is_edited else "the document is not what the order says"
        state.ask(EDITED, name, f"{why}: edit {document.marker}: {differs}", {"marker": document.marker})
        return
    state.settle(EDITED, name)
    wanted.want(state.connection, [Want(system=order[0], task=order[1], key=name, body=document)], at=state.now)
    wanted.mark_done(state.connection, [order], at=state.now, note="edited there by staff")
