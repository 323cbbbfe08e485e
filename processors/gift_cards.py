"""Gift cards: their books are kept as those of points are (req-G1); here is what is their own.

One store of all keeps the shop's cards. What an order pays with one travels in the order's document alone; a card that
was bought on the web is asked for in Counterpoint, and known by its number once it is there.
"""

from datetime import timedelta

import msgspec

from counterflow.state import ledger as kept
from counterflow.state import links, steering, wanted
from counterflow.state.wanted import Want
from processors.rules import ledger
from processors.rules.book import Book, is_ours
from processors.shop import State
from schemas.commands import ChangeCard
from schemas.loyalty import CARD, HistoryRow, PointsReading, WebTransaction
from schemas.names import COUNTERPOINT, GIFT_CARDS

BOUGHT, OVERDRAWN, ALONE = "gift-card-bought", "gift-card-overdrawn", "gift-card-alone"  # Reviews.
WAITS = "card-waits"  # The timer of what an order's document moved, and the store has not told of.
WAIT = timedelta(minutes=10)


def take(state: State, book: Book, seen: WebTransaction) -> Book:
    """Enter one transaction of a card's."""
    if is_ours(seen.reference):
        return ledger.take_transaction(book, seen)
    if seen.order_id:
        return ledger.take_order_payment(book, seen, _marker(state, seen.order_id, seen.points, book.cust_no))
    if seen.points > 0 and not any(one.state != "sent" for one in book.moves.values()):
        return ledger.take_bought(book, seen)  # We have not made it there: the store has.
    return ledger.take_transaction(book, seen)


def _marker(state: State, order_id: str, points: int, card: str) -> str:
    """Give what the row of an order's document is known by: its marker, the sign, and the card."""
    sign = "+" if points > 0 else "-"
    return f"{state.shop.prefixes[state.shop.cards_at]}{order_id}{sign}{card}"


def with_marker(state: State, row: HistoryRow) -> HistoryRow:
    """Give a row what it is known by; its document's marker also where staff have voided that, and it is gone."""
    if row.reference and not is_ours(row.reference):
        return msgspec.structs.replace(row, reference=f"{row.reference}{row.cust_no}")
    if row.reference or not row.document:
        return row
    ours = links.find(state.connection, "order", COUNTERPOINT, row.document)
    orders = links.remotes(state.connection, "order", ours) if ours is not None else []
    order_id = next((number for store, number in orders if store == state.shop.cards_at), None)
    if order_id is None:
        return row
    return msgspec.structs.replace(row, reference=_marker(state, order_id, row.points, row.cust_no))


def bought(state: State, number: str, points: int) -> None:
    """Ask for a card that only the store knows: staff sell it, with its number, on a ticket (order-E.11)."""
    if state.shop.cards_buy and points > 0:
        amount = f"{points / 100:.2f}"
        message = (
            f"a gift card was bought in {state.shop.cards_at}: sell it in Counterpoint for {amount}, by its number"
        )
        state.ask(BOUGHT, number, message, {"number": number.removeprefix(CARD), "cents": points})


def open_on_web(state: State, book: Book) -> Book:
    """Enter a card in the store: at its first reading, with what the store knew of it before."""
    if not book.is_card or book.accounts or book.cust_no not in book.opened or not state.shop.cards_redeem:
        return book
    name = f"{state.shop.cards_at}/{book.cust_no}"
    known = [msgspec.json.decode(one.body, type=WebTransaction) for one in kept.loose(state.connection, name)]
    book = ledger.link_account(book, name, since="")
    for one in known:  # What was bought there first: what staff have sold it for is what was on it.
        book = take(state, book, one)
    if known:
        state.settle(BOUGHT, book.cust_no)
    return book


def want_changes(state: State, reading: PointsReading) -> None:
    """Have cards void, or end, in the store as they do in Counterpoint; a replay's older reading changes nothing."""
    shown = [one for one in reading.customers if one.cust_no.startswith(CARD)]
    if not state.shop.cards_redeem or not shown:
        return
    store, version = state.shop.cards_at, reading.version
    shown = [one for one in shown if version >= state.books.of(one.cust_no).versions.get(one.cust_no, 0)]
    known = wanted.rows(state.connection, [(store, GIFT_CARDS, one.cust_no) for one in shown])
    wants = []
    for one in shown:
        is_plain = one.is_enrolled and not one.expires
        if not is_plain or (store, GIFT_CARDS, one.cust_no) in known:
            body = ChangeCard(number=one.cust_no.removeprefix(CARD), is_void=not one.is_enrolled, expires=one.expires)
            wants.append(Want(system=store, task=GIFT_CARDS, key=one.cust_no, body=body))
    wanted.want(state.connection, wants, at=state.now)


def wait_for_store(state: State, before: Book, book: Book) -> None:
    """Let what an order's document moved wait for the store's word; not for ever."""
    for tag in book.early_rows.keys() - before.early_rows.keys():
        if not is_ours(tag):
            steering.set_timer_once(state.connection, WAITS, f"{book.cust_no}|{tag}", state.now + WAIT)
    for tag in before.early_rows.keys() - book.early_rows.keys():
        state.settle(ALONE, f"{book.cust_no}|{tag}")


def look_again(state: State, key: str) -> None:
    """Ask about what waited in vain: another plugin's card of the same number may have paid."""
    card, _, tag = key.partition("|")
    row = state.books.of(card).early_rows.get(tag)
    if row is not None:
        amount, number = f"{row.points / 100:+.2f}", card.removeprefix(CARD)
        message = f"an order's document moved gift card {number} by {amount}, and the store tells of no such payment"
        state.ask(ALONE, key, message, {"card": card, "cents": row.points})


def take_decision(state: State, key: str, decision: str) -> None:
    """Move the store's card by what the document moved, as a person decided."""
    card, _, tag = key.partition("|")
    if decision == "accept":
        state.books.keep(ledger.take_alone(state.books.of(card), tag))


def ask_if_overdrawn(state: State, before: Book, book: Book) -> None:
    """Tell a person where both sides spent the same money."""
    for entry_id, entry in book.pos.items():
        if entry.cause == "altered" and entry.points > 0 and entry_id not in before.pos:
            message = (
                f"{entry.points / 100:.2f} more was spent of gift card {book.cust_no.removeprefix(CARD)} than it had"
            )
            state.ask(OVERDRAWN, entry_id, message, {"card": book.cust_no, "cents": entry.points})
