"""changes.<store>.orders -> wanted documents in Counterpoint, by way of identity. Keyed by the store's order id."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from counterflow.state import links, records, reservations, reviews, steering, wanted
from counterflow.state.records import Seen
from counterflow.state.wanted import Want
from processors import buyers, customers, edits, matches, merges, releases
from processors.rules import documents, refunds
from processors.rules.blocking import person_of
from processors.rules.documents import Hold, Site
from processors.shop import State
from schemas.commands import CreateCustomer, PlaceDocument
from schemas.names import COUNTERPOINT, OurId, order_of
from schemas.records import Customer, Order

ORDERS, CUSTOMERS = "orders", customers.CUSTOMERS
CARDS, THERE = documents.CARDS, "its document is there"
Row = tuple[str, str, str]


def take(batch: Iterable[Seen], state: State) -> None:
    """Decide each order that changed, at the end of the batch."""
    state.orders |= {(seen.system, seen.key) for seen in batch}


def decide(state: State) -> None:
    """Decide every order of the batch, in the order in which they were placed: a store's ids rise."""
    while state.orders:
        todo, state.orders = sorted(state.orders, key=lambda one: (len(one[1]), one[1], one[0])), set()
        for store, order_id in todo:
            _decide(state, store, order_id)


def _decide(state: State, store: str, order_id: str) -> None:
    site = state.shop.sites.get(store)
    if site is None:
        return  # A store that was taken out of the shop's file.
    links.lock(state.connection, [f"order:{store}/{order_id}"])  # Before the reading: two workers may be at it.
    order = records.read(state.connection, store, "orders", [order_id], Order).get(order_id)
    row = (COUNTERPOINT, ORDERS, f"{store}/{order_id}")
    if order is None:  # Deleted, or not read yet: its document may be heard of first.
        if records.gone_at(state.connection, store, "orders", order_id) is not None:
            _give_up(state, row, "the order was deleted in the store")
    elif not _is_from_before(state, store, order.placed_at):
        links.lock(state.connection, [f"email:{order.email}", f"account:{store}/{order.account_id}"])
        if documents.is_over(order) and not _came_back(state, order, row):  # Else each refund is looked at for itself.
            buyers.know_account(state, site, order)  # Nobody is created for it.
            _give_up(state, row, f"the order is {order.status} in the store")
            return
        state.settle("order-cancelled", row[2])
        standing = _seen_there(state, site, order, row)
        _reserve(state, store, order, standing)
        if standing is not None and standing.state == "done":
            _watch_void(state, store, order)
            _watch_refunds(state, site, order, standing.body)
            releases.decide(state, site, order)
        if documents.is_due(order, site.when):
            _become(state, site, order, row, standing)


def _seen_there(state: State, site: Site, order: Order, row: Row) -> Any:
    """Give what is wanted of an order: done where it was sent and its document is seen, though no answer came.

    So it was compared with nothing yet (order-E.12), and the order may be another by now.
    """
    standing = wanted.rows(state.connection, [row]).get(row)
    if standing is None or standing.sent_version is None:
        return standing
    is_open = standing.state in {"ready", "blocked"} or (standing.state == "dropped" and not standing.hash)
    if not is_open or links.find(state.connection, "order", site.store_id, order.key) is None:
        return standing
    wanted.mark_done(state.connection, [row], at=state.now, note=THERE)
    state.settle("order", row[2])  # Whatever it was held for since, it is placed.
    edits.compare(state, site, order, standing.body)
    return wanted.rows(state.connection, [row])[row]


def _came_back(state: State, order: Order, row: Row) -> bool:
    return order.status == "refunded" and releases.came_back(state, OurId(row[2]), order)


def _watch_void(state: State, store: str, order: Order) -> None:
    """Find an order whose document staff voided while the store still has it: for a person."""
    name, document = f"{store}/{order.key}", links.find(state.connection, "order", store, order.key)
    if document and links.fate(state.connection, document) == "gone":
        marker = documents.marker_of(state.shop.prefixes[store], order.key)
        message = (
            f"document {marker} was voided in Counterpoint, and the order is {order.status} in the store: cancel it"
        )
        state.ask("order-voided", name, f"{message} there, or enter it by hand", {"marker": marker})
    else:
        state.settle("order-voided", name)


def _watch_refunds(state: State, site: Site, order: Order, wanted_body: str) -> None:
    """Ask staff for the return of each refund, until its ticket is seen (order-E.15)."""
    body = msgspec.json.decode(wanted_body, type=PlaceDocument)
    nets = {line.line_id: net for line, net in zip(order.lines, documents.nets(order, site), strict=True)}
    for number, refund in enumerate(refunds.in_order(order)):
        marker = refunds.return_marker(body.marker, number + 1)
        name = f"{site.store_id}/{order.key}/R{number + 1}"
        if refund.reference:  # It records a return that was taken at the till.
            state.settle("order-refund", name)
            continue
        if links.find(state.connection, "refund", site.store_id, f"{order.key}/R{number + 1}") is not None:
            state.settle("order-refund", name)
            continue
        what = refunds.return_of(order, nets, number, marker)
        pay_codes = [one.pay_code for one in body.payments]
        text = what.text(order.minor_digits, pay_codes)
        message = f"the store gave money back: enter a return that carries {marker} as purchase order number: {text}"
        facts = {"order": body.marker, "marker": marker, "pay_codes": pay_codes, "lines": what.lines}
        facts |= {name: getattr(what, name) for name in ("shipping", "tax", "goodwill", "amount")}
        state.ask("order-refund", name, message, facts)


def _become(state: State, site: Site, order: Order, row: Row, standing: Any) -> None:
    """Let an order become its document, and have its gift cards sold."""
    if documents.cards_bought(order, site):
        _watch_cards(state, site, order)
    if documents.has_goods(order, site):
        _want(state, site, order, row, standing)


def _watch_cards(state: State, site: Site, order: Order) -> None:
    """Ask staff for the ticket that sells an order's gift cards: orders refuse such lines (order-E.11)."""
    name, marker = f"{site.store_id}/{order.key}", documents.marker_of(site.prefix, order.key) + CARDS
    if links.find(state.connection, "cards", site.store_id, order.key) is not None:
        state.settle("order-gift-card", name)
        return
    bought = ", ".join(
        f"{line.quantity} for {Decimal(line.net).scaleb(-order.minor_digits):f}"
        for line in order.lines
        if line.sku in site.gift_cards
    )
    pay_code = documents.pay_code(site, order.payment_method) or "what was paid with"
    message = (
        f"the order buys gift cards: sell them on a ticket that carries {marker} as purchase order number: {bought}"
    )
    state.ask("order-gift-card", name, f"{message}, paid by {pay_code}; their codes stand in the store's order", {})


def _is_from_before(state: State, store: str, placed_at: datetime) -> bool:
    """Say whether an order is older than this installation: it is mirrored, and never made a document."""
    begun = steering.get(state.connection, f"begun:{store}")
    return begun is not None and placed_at < datetime.fromisoformat(begun)


def _reserve(state: State, store: str, order: Order, standing: Any) -> None:
    """Hold what the order takes, until its document is counted in Counterpoint's own figures."""
    held = (
        {} if _was_dropped(standing) else documents.takes_stock(order)
    )  # What a person has dropped stands elsewhere by now.
    state.items |= reservations.hold(state.connection, store, order.key, held)


def _onto_cards(standing: Any) -> str:
    """Say which gift cards paid: their store has given that back to them already, so it is never given in cash."""
    if standing is None:
        return ""
    body = msgspec.json.decode(standing.body, type=PlaceDocument)
    cards = [(Decimal(one.amount).scaleb(-body.minor_digits), one.card_no) for one in body.payments if one.card_no]
    parts = [f"{amount:f} onto gift card {number}" for amount, number in cards]
    return f", of it {' and '.join(parts)}, which has it on the web already" if parts else ""


def _give_up(state: State, row: Row, why: str) -> None:
    """Drop an order that nothing will come of; once its document is on its way, staff must cancel it there.

    Then it holds its goods until they are in Counterpoint's own figures, as any other order.
    """
    store, _, order_id = row[2].partition("/")
    standing = wanted.rows(state.connection, [row]).get(row)
    releases.give_up(state, OurId(row[2]))
    document = links.find(state.connection, "order", store, order_id)
    fate = links.fate(state.connection, document) if document else None
    if document:  # What waits to be tried again would place it once more after it was voided.
        wanted.mark_done(state.connection, [row], at=state.now, note=THERE)
    if fate == "gone":  # As it was asked for.
        state.items |= set(reservations.end(state.connection, store, order_id, reservations.CANCELLED))
        state.settle("order-cancelled", row[2])
        return
    if document or (standing is not None and standing.state in {"sent", "done", "held"}):
        marker = documents.marker_of(state.shop.prefixes[store], order_id)
        message = f"{why}; its document {marker} stands in Counterpoint: void it there, and give the deposit back"
        if fate == "posted" or releases.is_released(state, OurId(row[2])):
            what = "posted" if fate == "posted" else "released"
            message = (
                f"{why}; its document {marker} was {what} in Counterpoint: enter a return, and give the money back"
                f"{_onto_cards(standing)}"
            )
        state.ask("order-cancelled", row[2], message, {"marker": marker})
        return
    if standing is not None and not _was_dropped(standing):
        wanted.withdraw(state.connection, row, why)
    state.items |= set(reservations.end(state.connection, store, order_id, reservations.CANCELLED))
    for kind in ("order", "order-customer", "order-cancelled", "order-gift-card"):
        state.settle(kind, row[2])


def _want(state: State, site: Site, order: Order, row: Row, standing: Any) -> None:
    """Want the order's document, unless it is on its way or there already."""
    is_out = standing is not None and standing.state in {"sent", "done", "held", "rejected"}
    if standing is not None and is_out and not _lost_its_customer(state, standing, order, row):
        if standing.blocked_by and buyers.know_account(state, site, order):
            wanted.unblock(state.connection, row)
        return edits.watch(state, site, order, standing.body)
    if _was_dropped(standing):
        return None
    items = records.items(state.connection, {line.sku for line in order.lines if line.sku})
    composed = documents.compose(order, site, items, "")
    if isinstance(composed, Hold):
        if standing is not None:  # It was fine before: what waits to go out is not what the order says now.
            wanted.withdraw(state.connection, row, composed.why)
        state.ask("order", row[2], composed.why, {}, waits_for=composed.waits_for)
        return None
    state.settle("order", row[2])
    return _for_buyer(state, site, order, row, composed)


def _for_buyer(state: State, site: Site, order: Order, row: Row, composed: PlaceDocument) -> None:
    """Want a document for whose order it is; it waits while that is not known."""
    known = buyers.look_up(state, site, order)
    account = f"account:{site.store_id}/{order.account_id}" if known.awaits_account else None
    if account is not None and known.facts.decided is None:
        return _block(state, row, composed, account)
    buyer = buyers.decide(state, site, order, known)
    if buyer is None:
        return None
    cust_no = links.remote(state.connection, "customer", COUNTERPOINT, buyer)
    if cust_no is None:
        _block(state, row, composed, f"customer:{buyer}")
        return _want_customer(state, order, buyer, row, known.account)
    if cust_no in state.shop.nobody.numbers:  # Known before the shop said so.
        return state.ask("order-customer", row[2], f"customer {cust_no} is nobody in particular", {"candidates": []})
    document = msgspec.structs.replace(composed, cust_no=cust_no)
    if records.gone_at(state.connection, COUNTERPOINT, "AR_CUST", cust_no) is not None:
        merges.look(state, cust_no)  # Merged, renumbered or deleted: that is found out first.
        return _block(state, row, document, f"gone:{cust_no}")
    state.settle("order-customer", row[2])
    state.creatable.add(cust_no)
    is_there = links.find(state.connection, "order", site.store_id, order.key) is not None
    want = Want(system=row[0], task=row[1], key=row[2], body=document, blocked_by=account if is_there else None)
    wanted.want(state.connection, [want], at=state.now)
    if is_there:
        wanted.mark_done(state.connection, [row], at=state.now, note=THERE)
        state.orders.add((site.store_id, order.key))  # Decided again, as one that has its document.
    return None


def _block(state: State, row: Row, document: PlaceDocument, what: str) -> None:
    """Want a document that waits for something to be known."""
    blocked = Want(system=row[0], task=row[1], key=row[2], body=document, blocked_by=what)
    wanted.want(state.connection, [blocked], at=state.now)


def _want_customer(state: State, order: Order, buyer: OurId, row: Row, account: Customer | None) -> None:
    """Want the customer whom an order waits for; where they were refused already, ask whose this order is, too."""
    # They are created under the e-mail of the order that began it; another one of theirs may have another, or none.
    name = buyers.name_of_creation(state, order, buyer, row[2], account)
    if name is not None:
        key = (COUNTERPOINT, CUSTOMERS, customers.creation_key(name))
        if buyers.may_word(state, order, buyer, row[2], name, account):
            own = name == buyers.without_email(row[2])
            create = _creation(order, "" if own else name, account)
            create = msgspec.structs.replace(create, reference=row[2]) if own else create
            if _may_be_known(state, order, create, row):
                return
            wanted.want(state.connection, [Want(system=key[0], task=key[1], key=key[2], body=create)], at=state.now)
        made = wanted.rows(state.connection, [key])[key]
        if made.state == "done":  # Of another time: the one who was made then has another e-mail by now.
            wanted.reopen(state.connection, [key], at=state.now, note="nobody has this e-mail any more")
        if made.state in {"held", "rejected"}:
            state.ask("order-customer", row[2], made.note or "", {})
            return
    elif buyers.is_nobodys_to_make(state, buyer):
        state.ask("order-customer", row[2], "the customer whom the order was for is gone: whose is it?", {})
        return
    state.settle("order-customer", row[2])


def _lost_its_customer(state: State, standing: Any, order: Order, row: Row) -> bool:
    """Say whether a document was refused for a customer who was merged into another meanwhile (req-C6)."""
    if standing.state != "rejected":
        return False
    buyer = links.find(state.connection, "buyer", row[2].partition("/")[0], order.key)
    now = links.remote(state.connection, "customer", COUNTERPOINT, buyer) if buyer else None
    return now not in {None, msgspec.json.decode(standing.body, type=PlaceDocument).cust_no}


def _may_be_known(state: State, order: Order, create: CreateCustomer, row: Row) -> bool:
    """Hold the creation of somebody who may be known, where the store's policy says so; a person says who he is."""
    store = row[2].partition("/")[0]
    policy = state.shop.customers.get(store)
    if policy is None or policy.matches != "hold":
        return False
    if reviews.decision(state.connection, "order-customer", row[2]) == matches.NEW:
        return False
    customer = Customer(
        key=f"order-{order.key}",
        email=create.email,
        first_name=create.first_name,
        last_name=create.last_name,
        company=create.company,
        phone=create.phone,
        billing=create.billing,
    )
    likely = matches.suspects(state, COUNTERPOINT, person_of(customer), least=matches.HELD_MIN)
    if not likely:
        return False
    percent = [round(like.share * 100) for _, like in likely]
    facts = {"candidates": [one.key for one, _ in likely], "percent": percent}
    message = f"{len(likely)} customers may be this one already, the likeliest with {percent[0]} %"
    state.ask("order-customer", row[2], message, facts)
    return True


def _was_dropped(standing: Any) -> bool:
    """Say whether a person has dropped the order: final, whatever the store says later."""
    return standing is not None and standing.state == "dropped" and bool(standing.hash)


def _creation(order: Order, email: str, account: Customer | None) -> CreateCustomer:
    """Compose the customer that an order is created for: an account's own words before what was typed."""
    billing, own = order.billing, account if account is not None and _is_named(account) else None
    return CreateCustomer(
        email=email,
        first_name=own.first_name if own else billing.first_name,
        last_name=own.last_name if own else billing.last_name,
        company=billing.company,
        phone=billing.phone,
        billing=billing,
        marketing=account.marketing if account is not None else None,
    )


def _is_named(account: Customer) -> bool:
    return bool(account.first_name or account.last_name)


def take_accounts(batch: Iterable[Seen], state: State) -> None:
    """Let the orders go on that wait for their account to be read: whose they are, its own e-mail tells."""
    read = [f"account:{seen.system}/{seen.key}" for seen in batch]
    links.lock(state.connection, read)  # Another worker may be about to let an order wait for one of them.
    for row in wanted.blocked_by_any(state.connection, read):
        store, order_id = order_of(row.key)
        state.orders.add((store, order_id))


def ask_about_account(state: State, key: str, _body: str) -> None:
    """Tell a person of an order whose account could not be read for long; it still goes on once it is read."""
    standing = wanted.rows(state.connection, [(COUNTERPOINT, ORDERS, key)]).get((COUNTERPOINT, ORDERS, key))
    if standing is None or standing.state != "blocked" or not standing.blocked_by.startswith("account:"):
        return
    store, account = standing.blocked_by.removeprefix("account:").split("/", 1)
    if records.read(state.connection, store, "customers", [account], Customer):
        state.orders.add((store, key.partition("/")[2]))  # It was read after all.
    else:
        message = "the account that placed the order could not be read: whose is the order?"
        state.ask("order-customer", key, message, {"candidates": []})
