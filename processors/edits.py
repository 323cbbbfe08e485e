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
from schemas.commands import CompareDocument, PlaceDocument
from schemas.names import COUNTERPOINT, OurId
from schemas.outcomes import Outcome
from schemas.records import Order

EDITED, DOCUMENTS, ORDERS = "order-edited", "documents", "orders"
TEXT = "the order was changed in the store after its document was placed"


def watch(state: State, site: Site, order: Order, wanted_body: str) -> None:
    """Find an order that was changed after its document was on its way."""
    body, name = msgspec.json.decode(wanted_body, type=PlaceDocument), f"{site.store_id}/{order.key}"
    if body.order_hash == documents.fingerprint(order):
        state.settle(EDITED, name)
        return
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
    if differs:
        state.ask(EDITED, name, f"{TEXT}: edit {document.marker}: {differs}", {"marker": document.marker})
        return
    state.settle(EDITED, name)
    order = Want(system=COUNTERPOINT, task=ORDERS, key=name, body=document)
    wanted.want(state.connection, [order], at=state.now)
    wanted.mark_done(state.connection, (COUNTERPOINT, ORDERS, name), at=state.now, note="edited there by staff")
