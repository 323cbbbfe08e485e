"""Gift cards: their books are kept as those of points are (req-G1); here is what is their own.

One store of all keeps the shop's cards. What an order pays with one travels in the order's document alone; a card that
was bought on the web is asked for in Counterpoint, and known by its number once it is there.
"""

import msgspec

from counterflow.state import ledger as kept
from counterflow.state import links, wanted
from counterflow.state.wanted import Want
from processors.rules import ledger
from processors.rules.book import Book, is_ours
from processors.shop import State
from schemas.commands import ChangeCard
from schemas.loyalty import CARD, HistoryRow, PointsShown, WebTransaction
from schemas.names import COUNTERPOINT, GIFT_CARDS

BOUGHT, OVERDRAWN = "gift-card-bought", "gift-card-overdrawn"  # Reviews.


def take(state: State, book: Book, seen: WebTransaction, order_id: str) -> Book:
    """Enter one transaction of a card's."""
    if order_id and not is_ours(seen.reference):
        sign = "+" if seen.points > 0 else "-"
        return ledger.take_order_payment(book, seen, f"{state.shop.prefixes[seen.store]}{order_id}{sign}")
    return ledger.take_transaction(book, seen)


def with_marker(state: State, row: HistoryRow) -> HistoryRow:
    """Give a row the marker of its document where that is gone from the till's tables: staff have voided it."""
    if row.reference or not row.document:
        return row
    ours = links.find(state.connection, "order", COUNTERPOINT, row.document)
    orders = links.remotes(state.connection, "order", ours) if ours is not None else []
    order_id = next((number for store, number in orders if store == state.shop.cards_at), None)
    if order_id is None:
        return row
    sign = "+" if row.points > 0 else "-"
    return msgspec.structs.replace(row, reference=f"{state.shop.prefixes[state.shop.cards_at]}{order_id}{sign}")


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
    paid = sum(one.points for one in known if one.points > 0)
    book = ledger.link_account(book, name, since="", before=paid or None)
    if paid:  # It was bought there. What staff have sold it for is what was on it.
        book = ledger.keep_bought(book, name)
        state.settle(BOUGHT, book.cust_no)
    for one in known:
        if one.points < 0:
            book = ledger.take_transaction(book, one)
    return book


def want_changes(state: State, shown: PointsShown) -> None:
    """Have a card void, or end, in the store as it does in Counterpoint."""
    row = (state.shop.cards_at, GIFT_CARDS, shown.cust_no)
    is_plain = shown.is_enrolled and not shown.expires
    if not state.shop.cards_at or (is_plain and row not in wanted.rows(state.connection, [row])):
        return
    body = ChangeCard(number=shown.cust_no.removeprefix(CARD), is_void=not shown.is_enrolled, expires=shown.expires)
    wanted.want(state.connection, [Want(system=row[0], task=row[1], key=row[2], body=body)], at=state.now)


def ask_if_overdrawn(state: State, before: Book, book: Book) -> None:
    """Tell a person where both sides spent the same money."""
    for entry_id, entry in book.pos.items():
        if entry.cause == "altered" and entry.points > 0 and entry_id not in before.pos:
            message = (
                f"{entry.points / 100:.2f} more was spent of gift card {book.cust_no.removeprefix(CARD)} than it had"
            )
            state.ask(OVERDRAWN, entry_id, message, {"card": book.cust_no, "cents": entry.points})
