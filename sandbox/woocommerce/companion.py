"""The companion plugin's routes, as docs/reference/companion.md promises them: what a caller of the API may ask."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sandbox.woocommerce import wallets
from sandbox.woocommerce.ledger import Ledger, Move, ReferenceTaken
from sandbox.woocommerce.parameters import CONVERT
from sandbox.woocommerce.store import Refused, Row, Store, invalid, missing, no_route

NAMESPACE = "counterflow/v1"
VERSION = "1.0.0"
FEATURES = ["points", "gift_cards", "customers"]
CHANGES, CHANGES_MAX = 100, 500  # On one page.
REASON_MAX = 200
VISIBLE = re.compile(r"[!-~]+")
TIME = "%Y-%m-%dT%H:%M:%S"
Given = Mapping[str, Any]


def is_ours(path: str) -> bool:
    """Say whether a path behind /wp-json/ is one of the plugin's."""
    return path.strip("/").startswith(f"{NAMESPACE}/")


def unknown_caller(store: Store) -> Refused:
    """Give the error for a caller without a user: WordPress looks for the route first."""
    if not store.has_companion:
        return no_route()
    return Refused(401, "rest_forbidden", "Sorry, you are not allowed to do that.")


def answer(store: Store, verb: str, parts: Sequence[str], query: Given, body: Any) -> Row:
    """Answer one request; the store's lock is held.

    Args:
        store: The store that is asked.
        verb: GET or POST.
        parts: The path behind the namespace.
        query: What stands behind the question mark.
        body: The JSON that was sent.

    Raises:
        Refused: An error of the contract, or WordPress' own for what is no route or no parameter.
    """
    if not store.has_companion:
        raise no_route()
    try:
        if verb == "GET":
            return _read(store, parts, query)
        if verb == "POST":
            return _write(store, parts, body)
    except ReferenceTaken as error:
        text = "The reference is that of another transaction."
        raise Refused(409, "counterflow_reference_taken", text) from error
    raise no_route()


def _read(store: Store, parts: Sequence[str], query: Given) -> Row:
    kept = store.kept
    match parts:
        case ["status"]:
            return {"version": VERSION, "features": FEATURES, "woocommerce": True, "currency": "USD"}
        case ["points", "changes"]:
            return _changes(kept.points, query, _points_change)
        case ["points", user] if user.isdecimal():
            balance = kept.points.balance(_user(store, int(user)))
            return {"user": int(user), "balance": balance, "last": kept.points.last}
        case ["gift-cards", "changes"]:
            return _changes(kept.card_moves, query, _card_change)
        case ["customers", "changes"]:
            after, limit = _window(query)
            found = [one for one in kept.customers.values() if one["id"] > after][:limit]
            return {"changes": found, "last": found[-1]["id"] if found else after}
        case _:
            raise no_route()


def _write(store: Store, parts: Sequence[str], body: Any) -> Row:
    if not isinstance(body, dict):
        raise invalid("", "The request is not of type object.")
    match parts:
        case ["points", "adjust"]:
            return _adjust_points(store, body)
        case ["gift-cards"]:
            return _create_card(store, body)
        case ["gift-cards", "lookup"]:
            return _shown(store, _number(body))
        case ["gift-cards", "adjust"]:
            return _adjust_card(store, body)
        case ["gift-cards", "change"]:
            return _change_card(store, body)
        case ["customers", user, "send-welcome"] if user.isdecimal():
            return _send_welcome(store, int(user))
        case _:
            raise no_route()


def _adjust_points(store: Store, body: Given) -> Row:
    user, points, reference = _user(store, _whole(body, "user")), _amount(body, "points"), _reference(body)
    before = store.kept.points.used(user, reference)
    entered = before or wallets.move_points(store, "api", user, points, reference, reason=_reason(body))
    moved = {"user": user, "points": entered.amount if entered else 0, "balance": store.kept.points.balance(user)}
    return moved | {"id": entered.id if entered else None, "already": before is not None}


def _create_card(store: Store, body: Given) -> Row:
    number, cents, reference = _number(body), _whole(body, "cents"), _reference(body)
    if cents < 0:
        raise invalid("cents", "cents must be greater than or equal to 0", "rest_out_of_bounds")
    cards, moves, expires = store.kept.cards, store.kept.card_moves, _expires(body)
    entered = moves.used(number, reference)
    if any(one.reference == reference for other, one in cards.items() if other != number):
        raise ReferenceTaken
    already = number in cards
    if already and cards[number].reference != reference:
        text = "There is a card of this number, made under another reference."
        raise Refused(409, "counterflow_card_exists", text)
    if not already:
        entered = wallets.create_card(store, "api", number, cents, reference, expires=expires)
    said: Row = {"number": number, "balance": moves.balance(number)}
    return said | {"id": entered.id if entered else None, "already": already}


def _adjust_card(store: Store, body: Given) -> Row:
    number, cents, reference = _number(body), _amount(body, "cents"), _reference(body)
    order = _whole(body, "order") if "order" in body else None
    moves = store.kept.card_moves
    before = entered = moves.used(number, reference)
    if before is None:
        found = wallets.card(store, number)
        if cents < 0:
            wallets.check_good(found)
        entered = wallets.move_card(store, "api", number, cents, reference, reason=_reason(body), order=order)
    moved = {"number": number, "cents": entered.amount if entered else 0, "balance": moves.balance(number)}
    return moved | {"id": entered.id if entered else None, "already": before is not None}


def _change_card(store: Store, body: Given) -> Row:
    number = _number(body)
    found = wallets.card(store, number)
    is_void = _converted(body, "is_void", "boolean") if "is_void" in body else found.is_void
    expires = _expires(body) if "expires" in body else found.expires
    if (is_void, expires) != (found.is_void, found.expires):
        found.is_void, found.expires = is_void, expires
        store.note("api", "gift-card-change", number, is_void=is_void, expires=expires)
    return _shown(store, number)


def _shown(store: Store, number: str) -> Row:
    found, moves = wallets.card(store, number), store.kept.card_moves
    said: Row = {"number": number, "balance": moves.balance(number)}
    return said | {"is_void": found.is_void, "expires": found.expires, "last": moves.last}


def _send_welcome(store: Store, user: int) -> Row:
    """Send the mail of a new account. The one that creating it over REST sends at once (W-36) is not counted."""
    _user(store, user)
    already = user in store.kept.welcomed
    if not already:
        store.kept.welcomed.add(user)
        store.mail(store.row("customers", user)["email"], f"Your {store.id} account has been created!")
        store.note("api", "welcome", user)
    return {"user": user, "sent": not already, "already": already}


def _changes(ledger: Ledger[Any], query: Given, say: Callable[[Move[Any]], Row]) -> Row:
    after, limit = _window(query)
    found = ledger.after(after, limit)
    return {"changes": [say(one) for one in found], "last": found[-1].id if found else after}


def _points_change(one: Move[int]) -> Row:
    said: Row = {"id": one.id, "user": one.key, "points": one.amount}
    return said | {"reference": one.reference, "reason": one.reason, "created_gmt": one.created_gmt}


def _card_change(one: Move[str]) -> Row:
    said: Row = {"id": one.id, "number": one.key, "cents": one.amount, "order": one.order}
    return said | {"reference": one.reference, "reason": one.reason, "created_gmt": one.created_gmt}


def _window(query: Given) -> tuple[int, int]:
    """Give the id behind which to read, and how many changes at most."""
    after = _whole(query, "after") if "after" in query else 0
    limit = _whole(query, "limit") if "limit" in query else CHANGES
    if after < 0:
        raise invalid("after", "after must be greater than or equal to 0", "rest_out_of_bounds")
    if not 1 <= limit <= CHANGES_MAX:
        text = f"limit must be between 1 (inclusive) and {CHANGES_MAX} (inclusive)"
        raise invalid("limit", text, "rest_out_of_bounds")
    return after, limit


def _user(store: Store, user: int) -> int:
    if user not in store.tables["customers"]:
        raise Refused(404, "counterflow_no_user", "There is no such user.")
    return user


def _converted(given: Given, name: str, kind: str) -> Any:
    if name not in given:
        raise missing(name)
    try:
        return CONVERT[kind](given[name])
    except ValueError as error:
        raise invalid(name, f"{name} is not of type {kind}.") from error


def _whole(given: Given, name: str) -> int:
    return int(_converted(given, name, "integer"))


def _amount(given: Given, name: str) -> int:
    """Read what is to move, which is not 0."""
    found = _whole(given, name)
    if not found:
        raise invalid(name, f"{name} must not be 0: nothing would move.", "rest_invalid_param")
    return found


def _code(given: Given, name: str, most: int) -> str:
    """Read a number or a reference: visible ASCII, compared byte by byte."""
    found = str(_converted(given, name, "string"))
    if not VISIBLE.fullmatch(found) or len(found) > most:
        raise invalid(name, f"{name} must be 1 to {most} visible ASCII signs.", "rest_invalid_pattern")
    return found


def _number(given: Given) -> str:
    return _code(given, "number", 32)


def _reference(given: Given) -> str:
    return _code(given, "reference", 64)


def _reason(given: Given) -> str:
    found = str(_converted(given, "reason", "string")) if "reason" in given else ""
    if len(found) > REASON_MAX:
        raise invalid("reason", f"reason must be at most {REASON_MAX} characters long.", "rest_too_long")
    return found


def _expires(given: Given) -> str | None:
    """Read until when a card is good: UTC, without a zone; None is for ever."""
    found = given.get("expires")
    try:
        return None if found is None else datetime.strptime(found, TIME).strftime(TIME)  # noqa: DTZ007 - UTC.
    except (TypeError, ValueError) as error:
        raise invalid("expires", "expires is no time there is.", "rest_invalid_date") from error
