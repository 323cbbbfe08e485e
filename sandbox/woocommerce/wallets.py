"""Points and gift cards of a store with the companion plugin: each movement told and noted, and what shoppers do."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.woocommerce import totals
from sandbox.woocommerce.ledger import Card, Move
from sandbox.woocommerce.store import Refused, Row, Store, merge_meta, missing, no_route

STRANGE_CARD_CENTS = 5000  # What a card pays that only Counterpoint knows: so much is on each there.
Given = Mapping[str, Any]


def move_points(
    store: Store, actor: str, user: int, points: int, reference: str, *, reason: str = ""
) -> Move[int] | None:
    """Enter a movement of points under a free reference. None: there was nothing to take."""
    moves = store.kept.points
    entered = moves.move(user, points, reference, reason=reason)
    if entered:
        store.note(actor, "points", user, points=entered.amount, reference=reference, balance=moves.balance(user))
        store.changed("counterflow_points", "changed", entered.id)
    return entered


def move_card(
    store: Store, actor: str, number: str, cents: int, reference: str, *, reason: str = "", order: int | None = None
) -> Move[str] | None:
    """Enter a movement on a gift card under a free reference. None: there was nothing to take."""
    moves = store.kept.card_moves
    entered = moves.move(number, cents, reference, reason=reason, order=order)
    if entered:
        store.note(actor, "gift-card", number, cents=entered.amount, reference=reference, balance=moves.balance(number))
        store.changed("counterflow_gift_cards", "changed", entered.id)  # Not the number: it is money.
    return entered


def create_card(
    store: Store, actor: str, number: str, cents: int, reference: str, *, expires: str | None = None
) -> Move[str] | None:
    """Make a card of a number that is new here. None: there is nothing on it."""
    assert number not in store.kept.cards
    store.kept.cards[number] = Card(reference=reference, expires=expires)
    return move_card(store, actor, number, cents, reference)


def card(store: Store, number: str) -> Card:
    """Give a card. Raises Refused: 404."""
    found = store.kept.cards.get(number)
    if found is None:
        raise Refused(404, "counterflow_no_card", "There is no such card.")
    return found


def check_good(found: Card) -> None:
    """Check that something can be taken from a card. Raises Refused: 409."""
    if found.is_void:
        raise Refused(409, "counterflow_card_void", "The card is void: nothing is taken from it.")
    if found.has_expired():
        raise Refused(409, "counterflow_card_expired", "The card has expired: nothing is taken from it.")


def earn_or_spend(store: Store, given: Given) -> Row:
    """Let a shopper earn points, or spend them below 0: {user or email, points}.

    Raises:
        Refused: 404 for nobody's account; 409 for more than he has.
    """
    _needs_plugin(store)
    known = store.accounts_by_email.get(str(given.get("email", "")).lower(), 0)
    user, points = int(store.row("customers", int(given.get("user") or known))["id"]), int(given["points"])
    if store.kept.points.balance(user) + points < 0:
        raise Refused(409, "not_enough_points", "The account has not so many points.")
    reference = f"game:{store.kept.points.last + 1}"
    move_points(store, "shopper", user, points, reference, reason="Won or spent in the shop's game")
    return {"user": user, "balance": store.kept.points.balance(user), "reference": reference}


def buy(store: Store, given: Given) -> Row:
    """Let a shopper buy a gift card: {cents, email?}. The store makes the number."""
    _needs_plugin(store)
    cents = int(given["cents"])
    if cents < 1:
        raise Refused(400, "bad_request", "cents must be at least 1")
    order = store.next_id()
    number = f"WEB-{store.id.upper()}-{order}"
    reference = f"order:{order}:bought"
    create_card(store, "shopper", number, cents, reference)
    if given.get("email"):
        store.mail(str(given["email"]), f"Your {store.id} gift card")
    return {"number": number, "cents": cents, "reference": reference}


def redeem(store: Store, given: Given) -> Row:
    """Let a shopper pay with a card outside of an order: {number, cents}.

    Raises:
        Refused: 404 for no such card; 409 where it is void, expired, or holds too little.
    """
    _needs_plugin(store)
    if not given.get("number"):
        raise missing("number")
    number, cents = str(given["number"]), int(given["cents"])
    check_good(card(store, number))
    moves = store.kept.card_moves
    if not 0 < cents <= moves.balance(number):
        raise Refused(409, "not_enough", "The gift card does not hold so much.")
    reference = f"redeem:{moves.last + 1}"
    move_card(store, "shopper", number, -cents, reference, reason="Redeemed on the web")
    return {"number": number, "balance": moves.balance(number), "reference": reference}


def set_hook(store: Store, given: Given) -> Row:
    """Set where the plugin tells of changes, as its page of settings does: {url, secret}; without both nowhere."""
    _needs_plugin(store)
    url, secret = str(given.get("url") or ""), str(given.get("secret") or "")
    store.kept.hook = {"delivery_url": url, "_secret": secret} if url and secret else None
    return {"url": url}


def payable(store: Store, given: Given) -> list[Row]:
    """Give the cards that are to pay for an order: one that the store keeps, with no more than it holds.

    Raises:
        Refused: 409 for a card that is void or has expired.
    """
    asked: Sequence[Given] = given.get("gift_cards") or []
    if not asked and given.get("gift_card"):  # What a visitor of the page typed in: it pays as much as it can.
        code = str(given["gift_card"])
        asked = [{"code": code, "cents": store.kept.card_moves.balances.get(code, STRANGE_CARD_CENTS)}]
    cards, left = _cards(store), Counter(store.kept.card_moves.balances)
    found: list[Row] = []
    for one in asked:
        code, cents = str(one["code"]), int(one["cents"])
        if code in cards:
            check_good(cards[code])
            cents = min(cents, left[code])
            left[code] -= cents
        found.append({**one, "code": code, "cents": cents})
    return found


def pay(store: Store, order: Row) -> None:
    """Take what an order was paid with off the cards that the store keeps."""
    number = order["id"]
    cards = _cards(store)
    mine = [one for one in order.get("gift_cards", []) if one["code"] in cards]
    for at, one in enumerate(mine, 1):
        reference = f"order:{number}:card" + (f":{at}" if at > 1 else "")  # A reference is used once.
        reason = f"Paid for order {number}"
        move_card(store, "shopper", one["code"], -totals.cents(one["amount"]), reference, reason=reason, order=number)
    if mine:  # The plugin says so in the order's meta data; the list is an extension's.
        paid = [{"number": one["code"], "cents": totals.cents(one["amount"])} for one in mine]
        merge_meta(store, order, [{"key": "counterflow_gift_card", "value": json.dumps(paid)}])
        order["gift_cards"] = [one for one in order["gift_cards"] if one not in mine]


def _cards(store: Store) -> dict[str, Card]:
    """Give the cards that the plugin keeps; without it an order's cards are those of an extension."""
    return store.kept.cards if store.has_companion else {}


def _needs_plugin(store: Store) -> None:
    if not store.has_companion:
        raise no_route()


def give_back(store: Store, order: int) -> None:
    """Give back what an order that is given up took off gift cards, as the plugin does."""
    mine = [one for one in store.kept.card_moves.after(0, limit=store.kept.card_moves.last) if one.order == order]
    for number in sorted({one.key for one in mine}):
        own = [one for one in mine if one.key == number]
        taken = sum(one.amount for one in own)
        if taken < 0:
            move_card(store, "shopper", number, -taken, f"order:{order}:card:{number}:{len(own)}", order=order)
