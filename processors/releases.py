"""Counterpoint's release tickets -> what the web orders tell of their shipments, and back (order-E.16, req-O4).

A release ticket carries its order's ticket number and "-01". Its header says no more; what it let out is looked up
by its consumer, and again as long as a tracking number may still be entered.
"""

from collections.abc import Sequence
from datetime import timedelta

import msgspec

from counterflow.state import links, releases, steering, wanted
from counterflow.state.wanted import Want
from processors.rules import shipments
from processors.rules.documents import Site
from processors.shop import State
from schemas.commands import ReadRelease, UpdateOrder
from schemas.names import COUNTERPOINT, OurId
from schemas.outcomes import Outcome
from schemas.records import Document, Order, Release

ACTIVITIES, DOCUMENTS = "activities", "documents"  # The tasks.
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


def order_known(document: Document, ours: OurId, state: State) -> None:
    """Enter an order's ticket number; its releases may have been read before it."""
    if links.make_all(state.connection, "ticket", [(COUNTERPOINT, document.ticket_no)], ours, "document"):
        for doc_id, ticket_no in links.told(state.connection, "release", OurId(document.ticket_no)):
            _look(state, ours, doc_id, ticket_no, 0)


def left(doc_id: str, version: int, state: State) -> bool:
    """Look a release up that has left the open ones; says whether it is one."""
    number = links.find(state.connection, "release", COUNTERPOINT, doc_id)
    if number is None:
        return False
    ours = links.find(state.connection, "ticket", COUNTERPOINT, number)
    if ours is not None:
        ticket_no = dict(links.told(state.connection, "release", number))[doc_id]
        _look(state, ours, doc_id, ticket_no, version)
    return True


def _look(state: State, ours: OurId, doc_id: str, ticket_no: str, version: int) -> None:
    row = (COUNTERPOINT, DOCUMENTS, f"{ours}/{doc_id}")
    standing = wanted.rows(state.connection, [row]).get(row)
    known = -1 if standing is None else msgspec.json.decode(standing.body, type=ReadRelease).as_of
    if version > known:
        body = ReadRelease(doc_id=doc_id, ticket_no=ticket_no, as_of=version)
        wanted.want(state.connection, [Want(system=row[0], task=row[1], key=row[2], body=body)], at=state.now)


def look_again(state: State, name: str) -> None:
    """Look a release up once more: by its timer, while it has no tracking number."""
    wanted.reopen(state.connection, [(COUNTERPOINT, DOCUMENTS, name)], at=state.now, note="is there a number by now?")


def take_answer(outcome: Outcome, state: State) -> None:
    """Enter what a release let out, and where it stands."""
    store, order_id, doc_id = outcome.key.split("/")
    ours, fate = OurId(f"{store}/{order_id}"), outcome.remote.get("fate", releases.OPEN)
    if outcome.release is None:
        is_known = releases.set_fate(state.connection, doc_id, fate)
        if not is_known and fate == releases.POSTED:
            number = links.find(state.connection, "release", COUNTERPOINT, doc_id)
            ticket_no = dict(links.told(state.connection, "release", number))[doc_id] if number else ""
            unread = Release(doc_id=doc_id, ticket_no=ticket_no, lines=())
            releases.keep(state.connection, ours, unread, fate=releases.UNREAD, at=state.now)
    else:
        first = releases.keep(state.connection, ours, outcome.release, fate=fate, at=state.now)
        if not outcome.release.tracking and state.now - first < LOOKS_END:
            again = state.now + max(FIRST_LOOK, state.now - first)  # Ever more rarely.
            steering.set_timer(state.connection, TIMER, outcome.key, again)
    state.orders.add((store, order_id))


def decide(state: State, site: Site, order: Order) -> None:
    """Want the store to tell what has left; ask where the two sides do not fit."""
    ours = OurId(f"{site.store_id}/{order.key}")
    found = releases.of_order(state.connection, ours)
    standing = [release for release, fate in found if fate != releases.GONE]
    what = shipments.shipped(order, standing, never=site.gift_cards)
    if what.shipments:
        body = UpdateOrder(
            order_id=order.key,
            status="completed" if site.completes and what.is_all else "",
            shipments=what.shipments,
            tells_shopper=site.tells_shopper,
        )
        wanted.want(
            state.connection, [Want(system=site.store_id, task=ACTIVITIES, key=order.key, body=body)], at=state.now
        )
    _ask_about_releases(state, ours, what.odd, found)
    _ask_about_shipping(state, site, order, what.left)


def _ask_about_releases(state: State, ours: OurId, odd: tuple[str, ...], found: Sequence[tuple[Release, str]]) -> None:
    gone = [release.ticket_no for release, fate in found if fate == releases.GONE]
    unread = [release.ticket_no for release, fate in found if fate == releases.UNREAD]
    what = {
        "released in Counterpoint, and not in the order": odd,
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
        state.ask("order-shipped", ours, message, {})
    else:
        state.settle("order-shipped", ours)


def is_released(state: State, ours: OurId) -> bool:
    """Say whether goods of an order have left."""
    return any(fate != releases.GONE for _, fate in releases.of_order(state.connection, ours))
