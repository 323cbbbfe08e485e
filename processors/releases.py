"""Counterpoint's tickets of web orders -> what the orders tell of shipments and returns, and back (order-E.15, E.16).

A release ticket carries its order's ticket number and "-01"; a return's carries the order's marker. Their headers say
no more; what they let out or took back is looked up by the consumer, and a release again as long as a tracking number
may still be entered.
"""

from collections.abc import Sequence
from datetime import timedelta

import msgspec

from counterflow.state import links, records, releases, steering, wanted
from counterflow.state.wanted import Want
from processors.rules import refunds, shipments
from processors.rules.documents import Site
from processors.shop import State
from schemas.commands import NoteDocument, ReadRelease, RecordReturn, UpdateOrder
from schemas.names import COUNTERPOINT, OurId
from schemas.outcomes import Outcome
from schemas.records import Document, Order, Release

ACTIVITIES, DOCUMENTS = "activities", "documents"  # The tasks.
HOLD_TYPE = "H"  # Of a document that staff put on hold.
RETURN = "Counterpoint return "  # What staff write before a return's number where they record it in the store.
TIMER = "release"
FIRST_LOOK, LOOKS_END = timedelta(minutes=5), timedelta(days=14)


def take(document: Document, version: int, state: State) -> None:
    """Enter a ticket that releases an order, ours or not: which it is may be known later."""
    number = shipments.order_number(document.ticket_no)
    if number is not None:
        # Its own number stands in how it is known.
        links.make(state.connection, "release", COUNTERPOINT, document.key, OurId(number), document.ticket_no)
        ours = links.find(state.connection, "ticket", COUNTERPOINT, number)
        if ours is not None:
            _look(state, ours, document.key, document.ticket_no, version)


def take_return(document: Document, ours: OurId, version: int, state: State) -> None:
    """Enter a ticket of an order that takes goods back."""
    links.make(state.connection, "return", COUNTERPOINT, document.key, ours, "document")
    _look(state, ours, document.key, document.ticket_no, version)


def is_one(state: State, doc_id: str) -> bool:
    """Say whether a document is such a ticket."""
    return any(links.find(state.connection, kind, COUNTERPOINT, doc_id) for kind in ("release", "return"))


def order_known(document: Document, ours: OurId, state: State) -> None:
    """Enter an order's ticket number; its releases may have been read before it."""
    if links.make_all(state.connection, "ticket", [(COUNTERPOINT, document.ticket_no)], ours, "document"):
        for doc_id, ticket_no in links.told(state.connection, "release", OurId(document.ticket_no)):
            _look(state, ours, doc_id, ticket_no, 0)


def left(doc_id: str, version: int, state: State) -> bool:
    """Look a ticket up that has left the open ones; says whether it is one."""
    number = links.find(state.connection, "release", COUNTERPOINT, doc_id)
    ours = links.find(state.connection, "return", COUNTERPOINT, doc_id)
    if ours is None and number is not None:
        ours = links.find(state.connection, "ticket", COUNTERPOINT, number)
    if ours is not None:  # It was looked up before, when it was open.
        _look(state, ours, doc_id, "", version)
    return number is not None or ours is not None


def _look(state: State, ours: OurId, doc_id: str, ticket_no: str, version: int) -> None:
    name = f"{ours}/{doc_id}"
    known = _asked(state, name)
    if known is None or version > known.as_of:
        number = ticket_no or (known.ticket_no if known else "")
        body = ReadRelease(doc_id=doc_id, ticket_no=number, as_of=version)
        wanted.want(state.connection, [Want(system=COUNTERPOINT, task=DOCUMENTS, key=name, body=body)], at=state.now)


def _asked(state: State, name: str) -> ReadRelease | None:
    """Give how a ticket was last asked for; None where it was not."""
    row = (COUNTERPOINT, DOCUMENTS, name)
    standing = wanted.rows(state.connection, [row]).get(row)
    return None if standing is None else msgspec.json.decode(standing.body, type=ReadRelease)


def look_again(state: State, name: str) -> None:
    """Look a release up once more: by its timer, while it has no tracking number."""
    wanted.reopen(state.connection, [(COUNTERPOINT, DOCUMENTS, name)], at=state.now, note="is there a number by now?")


def take_answer(outcome: Outcome, state: State) -> None:
    """Enter what a release let out, and where it stands."""
    store, order_id, doc_id = outcome.key.split("/")
    ours, fate = OurId(f"{store}/{order_id}"), outcome.remote.get("fate", releases.OPEN)
    if outcome.release is None:
        is_known = releases.set_fate(state.connection, doc_id, fate)
        asked = _asked(state, outcome.key)
        if asked is not None and not is_known and fate == releases.POSTED:
            unread = Release(doc_id=doc_id, ticket_no=asked.ticket_no, lines=())
            releases.keep(state.connection, ours, unread, fate=releases.UNREAD, at=state.now)
    else:
        first = releases.keep(state.connection, ours, outcome.release, fate=fate, at=state.now)
        if outcome.release.lines and not outcome.release.tracking and state.now - first < LOOKS_END:
            again = state.now + max(FIRST_LOOK, state.now - first)  # Ever more rarely.
            steering.set_timer(state.connection, TIMER, outcome.key, again)
    state.orders.add((store, order_id))


def decide(state: State, site: Site, order: Order) -> None:
    """Want the store to tell what has left and come back; ask where the two sides do not fit."""
    ours = OurId(f"{site.store_id}/{order.key}")
    found = releases.of_order(state.connection, ours)
    standing = [release for release, fate in found if fate != releases.GONE]
    what = shipments.shipped(order, standing, never=site.gift_cards)
    document = _document(state, ours)
    held = document is not None and document.doc_type == HOLD_TYPE
    if what.shipments or held:
        body = UpdateOrder(
            order_id=order.key,
            status="completed" if site.completes and what.is_all and not held else "",
            shipments=what.shipments,
            tells_shopper=site.tells_shopper,
            attention="The order is on hold in Counterpoint and needs attention there." if held else "",
        )
        _want(state, site, order.key, body)
    _ask_about_hold(state, ours, document if held else None)
    odd = what.odd + _record_returns(state, site, order, standing)
    _ask_about_releases(state, ours, odd, found)
    _tell_tracking(state, ours, order, document, standing)
    _ask_about_shipping(state, site, order, what.left)


def _want(state: State, site: Site, key: str, body: UpdateOrder | RecordReturn) -> None:
    wanted.want(state.connection, [Want(system=site.store_id, task=ACTIVITIES, key=key, body=body)], at=state.now)


def _document(state: State, ours: OurId) -> Document | None:
    """Give an order's document as it is open in Counterpoint; None where it is not."""
    doc_id = links.remote(state.connection, "order", COUNTERPOINT, ours)
    found = records.read(state.connection, COUNTERPOINT, "PS_DOC_HDR", [doc_id] if doc_id else [], Document)
    return found.get(doc_id) if doc_id else None


def _ask_about_hold(state: State, ours: OurId, held: Document | None) -> None:
    if held is None:
        state.settle("order-held", ours)
    else:
        message = f"document {held.marker} was put on hold in Counterpoint: see why, and let it go on there"
        state.ask("order-held", ours, message, {"marker": held.marker})


def _record_returns(state: State, site: Site, order: Order, standing: Sequence[Release]) -> tuple[str, ...]:
    """Have the store show what came back at the till, or have staff record it; gives what does not fit the order."""
    missing, odd = refunds.taken_back(order, standing)
    waiting = {one.reference: one for one in missing}
    for ticket in (one for one in standing if one.returned):
        name, back = f"{site.store_id}/{order.key}/{ticket.doc_id}", waiting.get(ticket.ticket_no)
        if back is not None and site.records_returns:
            _want(state, site, f"{order.key}/{ticket.doc_id}", back)
        elif back is not None:
            what = ", ".join(f"{one.quantity} of {one.item_no}" for one in ticket.returned)
            message = f"{what} came back at the till: record a refund in the store, with {RETURN}{back.reference}"
            state.ask("order-return", name, f"{message} as its reason", {})
        else:
            state.settle("order-return", name)
    return odd


def _tell_tracking(
    state: State, ours: OurId, order: Order, document: Document | None, standing: Sequence[Release]
) -> None:
    """Have the document say under which numbers the store, or a shipping service there, has shipped the order."""
    known = {number for release in standing for number in release.tracking}
    numbers = tuple(one for one in order.tracking if one not in known)
    if numbers and document is not None:
        body = NoteDocument(doc_id=document.key, says=numbers)
        want = Want(system=COUNTERPOINT, task=DOCUMENTS, key=f"{ours}/{document.key}/note", body=body)
        wanted.want(state.connection, [want], at=state.now)


def _ask_about_releases(state: State, ours: OurId, odd: tuple[str, ...], found: Sequence[tuple[Release, str]]) -> None:
    gone = [release.ticket_no for release, fate in found if fate == releases.GONE]
    unread = [release.ticket_no for release, fate in found if fate == releases.UNREAD]
    what = {
        "released or returned in Counterpoint, and not in the order": odd,
        "voided in Counterpoint, after the store may have been told of it": gone,
        "posted in Counterpoint before it was read": unread,
    }
    reasons = [f"{why}: {', '.join(which)}" for why, which in what.items() if which]
    if reasons:
        state.ask("order-release", ours, f"{'; '.join(reasons)}: bring the store's order up to date by hand", {})
    else:
        state.settle("order-release", ours)


def _ask_about_shipping(state: State, site: Site, order: Order, still: tuple[tuple[str, int], ...]) -> None:
    """Ask staff to release what the store has shipped: the REST server cannot (counterpoint 8)."""
    ours = OurId(f"{site.store_id}/{order.key}")
    is_open = links.fate(state.connection, ours) is None
    if site.asks_to_release and order.status == "completed" and still and is_open:
        what = ", ".join(f"{quantity} of {sku}" for sku, quantity in still)
        message = f"the store says that the order is completed: release in Counterpoint what is still open: {what}"
        message += f"; tracking {', '.join(order.tracking)}" if order.tracking else ""
        state.ask("order-shipped", ours, message, {})
    else:
        state.settle("order-shipped", ours)


def is_released(state: State, ours: OurId) -> bool:
    """Say whether goods of an order have left."""
    return any(fate != releases.GONE for _, fate in releases.of_order(state.connection, ours))
