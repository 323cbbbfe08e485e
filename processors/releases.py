"""Counterpoint's tickets of web orders -> what the orders tell of shipments and returns, and back (order-E.15, E.16).

A release ticket carries its order's ticket number and "-01"; a return's carries the order's marker. Their headers say
no more; what they let out or took back is looked up by the consumer, and a release again as long as a tracking number
may still be entered.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

import msgspec

from counterflow.state import links, records, releases, reviews, steering, wanted
from counterflow.state.wanted import Want
from processors.rules import documents, refunds, shipments
from processors.rules.documents import Site
from processors.shop import State
from schemas.commands import NoteDocument, ReadRelease, RecordReturn, UpdateOrder
from schemas.names import COUNTERPOINT, RETURN, OurId
from schemas.outcomes import Outcome
from schemas.records import Document, Order, Release

ACTIVITIES, DOCUMENTS = "activities", "documents"  # The tasks.
HOLD_TYPE = "H"  # Of a document that staff put on hold.
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


def order_known(document: Document, ours: OurId, state: State) -> bool:
    """Enter an order's ticket number, and say whether it is new; its releases may have been read before it."""
    is_new = links.make_all(state.connection, "ticket", [(COUNTERPOINT, document.ticket_no)], ours, "document")
    for doc_id, ticket_no in links.told(state.connection, "release", OurId(document.ticket_no)) if is_new else ():
        _look(state, ours, doc_id, ticket_no, 0)
    return is_new


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
        is_release = links.find(state.connection, "release", COUNTERPOINT, doc_id) is not None
        # What else was sold on a return's ticket is no part of the order.
        found = outcome.release if is_release else msgspec.structs.replace(outcome.release, lines=())
        first = releases.keep(state.connection, ours, found, fate=fate, at=state.now)
        if is_release and not found.tracking and state.now - first < LOOKS_END:
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
    held = document if document is not None and document.doc_type == HOLD_TYPE else None
    hold = _hold(state, site, order, is_held=held is not None)
    if what.shipments or hold:
        body = UpdateOrder(
            order_id=order.key,
            status="completed" if site.completes and what.is_all and held is None else "",
            shipments=what.shipments,
            tells_shopper=site.tells_shopper,
            hold=hold,
        )
        _want(state, site, order.key, body)
    _ask_about_hold(state, ours, held)
    odd = what.odd + _record_returns(state, site, order, found)
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


def _hold(state: State, site: Site, order: Order, *, is_held: bool) -> Literal["", "on", "off"]:
    """Give what the store shall be told of a hold; "" where there never was one."""
    row = (site.store_id, ACTIVITIES, order.key)
    standing = None if is_held else wanted.rows(state.connection, [row]).get(row)
    was_held = standing is not None and msgspec.json.decode(standing.body, type=UpdateOrder).hold
    return "on" if is_held else "off" if was_held else ""


def _ask_about_hold(state: State, ours: OurId, held: Document | None) -> None:
    if held is None:
        state.settle("order-held", ours)
    else:
        message = f"document {held.marker} was put on hold in Counterpoint: see why, and let it go on there"
        state.ask("order-held", ours, message, {"marker": held.marker})


def _record_returns(state: State, site: Site, order: Order, found: Sequence[tuple[Release, str]]) -> tuple[str, ...]:
    """Have the store show what came back at the till, or have staff see to it; gives what does not fit the order."""
    nets = {line.line_id: net for line, net in zip(order.lines, documents.nets(order, site), strict=True)}
    missing, odd = refunds.taken_back(order, nets, [one for one, fate in found if fate != releases.GONE])
    waiting = {one.reference: one for one in missing}
    asked_for = _asked_for(state, site, order) if waiting else frozenset()
    for ticket, _ in (one for one in found if one[0].returned):
        row = (site.store_id, ACTIVITIES, f"{order.key}/{ticket.doc_id}")
        name, back = f"{site.store_id}/{row[2]}", waiting.get(refunds.number_of(ticket))
        items = {one.item_no for one in ticket.returned}
        is_decided = back is not None and reviews.decision(state.connection, "order-return", name) is not None
        if back is not None and site.records_returns and not items & asked_for and not is_decided:
            _want(state, site, row[2], back)
        else:
            standing = wanted.rows(state.connection, [row]).get(row)
            if standing is not None and standing.state == "ready":  # Voided, or in question by now.
                wanted.withdraw(state.connection, row, "its ticket does not stand, or a person must see to it")
        if back is not None and (not site.records_returns or items & asked_for):
            _ask_about_return(state, name, ticket, is_asked_for=bool(items & asked_for))
        else:
            state.settle("order-return", name)
    return odd


def _asked_for(state: State, site: Site, order: Order) -> frozenset[str]:
    """Give the items that the store has refunded, and whose return staff have not entered yet."""
    skus = {line.line_id: line.sku for line in order.lines}
    return frozenset(
        skus.get(line.line_id, "")
        for number, refund in enumerate(refunds.in_order(order), 1)
        if not refund.reference
        and links.find(state.connection, "refund", site.store_id, f"{order.key}/R{number}") is None
        for line in refund.lines
    )


def _ask_about_return(state: State, name: str, ticket: Release, *, is_asked_for: bool) -> None:
    what = ", ".join(f"{one.quantity} of {one.item_no}" for one in ticket.returned)
    number = refunds.number_of(ticket)
    message = f"{what} came back at the till on {number}"
    if is_asked_for:
        message += (
            ", and the store has refunded such pieces by itself: if they are the same, nothing is left to do; else"
        )
    message += f": record a refund in the store, with {RETURN}{number} as its reason"
    state.ask("order-return", name, message, {})


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


def give_up(state: State, ours: OurId) -> None:
    """Ask nothing more of an order that is over in the store, but for what becomes of its document."""
    for kind in ("order-voided", "order-held"):
        state.settle(kind, ours)
    for doc_id, _ in links.told(state.connection, "return", ours):
        state.settle("order-return", f"{ours}/{doc_id}")


def is_released(state: State, ours: OurId) -> bool:
    """Say whether goods of an order have left."""
    found = releases.of_order(state.connection, ours)
    return any(fate == releases.UNREAD or (fate != releases.GONE and one.lines) for one, fate in found)


def came_back(state: State, ours: OurId, order: Order) -> bool:
    """Say whether all of an order had left, and its money went back by refunds: each is looked at for itself."""
    standing = [one for one, fate in releases.of_order(state.connection, ours) if fate != releases.GONE]
    whole = msgspec.structs.replace(order, refunds=())
    return bool(order.refunds) and shipments.shipped(whole, standing).is_all
