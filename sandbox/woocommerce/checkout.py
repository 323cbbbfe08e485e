"""A shopper checks out: as guest or with an account, for what is in stock; coupon, tax, shipping."""

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sandbox.woocommerce import coupons, customers, orders, products, totals, wallets
from sandbox.woocommerce.store import Refused, Row, Store, invalid

TAX = "US-TAX-1"  # The one of an order that names none.
STATUSES = ("pending", "processing", "on-hold", "completed")  # What a checkout can end in.


def place(store: Store, given: Mapping[str, Any]) -> Row:
    """Place an order. What must be refused is refused before anything changes.

    Raises:
        Refused: 409 `out_of_stock`, or for a gift card that is void or expired; 400 for an unknown product, coupon,
            account or status.
    """
    status = str(given.get("status") or "processing")
    if status not in STATUSES:
        raise invalid("status", f"status is not one of {', '.join(STATUSES)}.", "rest_not_in_enum")
    _check_stock(store, given["lines"])
    coupon = _coupon(store, str(given.get("coupon") or ""))
    cards = wallets.payable(store, given)
    lines = [_line(store, one) for one in given["lines"]]
    shipping = Decimal(int(given.get("shipping_cents") or 0)) / 100
    taxes = {TAX: given.get("tax_percent") or 0} | (given.get("taxes") or {})
    account = _account(store, given)
    billing = _billing(store, account, given)
    method = str(given.get("payment_method") or "cod")
    who = {name: given.get(name) for name in ("person", "expect")} | {"company": billing.get("company") or ""}
    entry = orders.Entry(
        actor="shopper",
        status=status,
        customer_id=account,
        lines=lines,
        coupon=coupon,
        shipping=[totals.shipping_line(store, {"total": shipping})] if shipping else [],
        fees=[totals.fee_line(store, one) for one in given.get("fees") or []],
        taxes={code: Decimal(str(percent)) for code, percent in taxes.items()},
        facts={
            "billing": billing,
            "shipping": billing,
            "payment_method": method,
            "currency": given.get("currency"),
        },
        gift_cards=cards,
        tamper=given.get("tamper") or {},
        journal=who | {"guest": account == 0},
    )
    placed = orders.enter(store, entry)
    wallets.pay(store, placed)
    return placed


def _check_stock(store: Store, lines: list[Mapping[str, Any]]) -> None:
    """Check what is wanted in all against the stock; the lock is held until it is taken."""
    wanted = Counter[str]()
    for one in lines:
        if int(one["quantity"]) < 1:
            raise invalid("quantity", "quantity must be greater than or equal to 1", "rest_out_of_bounds")
        wanted[str(one["sku"])] += int(one["quantity"])
    if not wanted:
        raise invalid("lines", "lines must contain at least 1 item.", "rest_too_few_items")
    for sku, quantity in wanted.items():
        found = _product(store, sku)
        if found and products.is_short(found, quantity):
            raise Refused(409, "out_of_stock", f"{sku}: {quantity} wanted, {found['stock_quantity']} in stock")


def _product(store: Store, sku: str) -> Row | None:
    return store.tables["products"].get(store.products_by_sku.get(sku, 0))


def _coupon(store: Store, code: str) -> Row | None:
    if not code:
        return None
    found = coupons.find(store, code)
    if found is None:
        raise Refused(400, "invalid_coupon", f'Coupon "{code}" does not exist!')
    return found


def _line(store: Store, given: Mapping[str, Any]) -> Row:
    """Give a line. One with a price of its own may name a product that the store has not (any more)."""
    sku = str(given["sku"])
    found = _product(store, sku)
    if found is None and given.get("price") is None:
        raise Refused(400, "unknown_product", f"the store has no product {sku!r}, and the line names no price")
    price = given.get("price") if given.get("price") is not None else (found or {}).get("price")
    return totals.line(store, found, int(given["quantity"]), Decimal(str(price or 0))) | {"sku": sku}


def _account(store: Store, given: Mapping[str, Any]) -> int:
    """Give the shopper's account; one who has none, and is not a guest, gets one here."""
    if given.get("guest"):
        return 0
    if given.get("customer_id"):
        return int(store.row("customers", int(given["customer_id"]))["id"])
    known = store.accounts_by_email.get(str(given.get("email", "")).lower())
    made = given if known else {**given, "billing": _billing(store, 0, given)}
    return known or int(customers.create(store, made, actor="shopper")["id"])


def _billing(store: Store, account: int, given: Mapping[str, Any]) -> Row:
    """Give the billing address: what was typed in, else what the account has."""
    own: Mapping[str, Any] = store.tables["customers"].get(account, {})
    names = {name: given.get(name) or own.get(name) for name in ("first_name", "last_name", "email")}
    kept = {name: text for name, text in (own.get("billing") or {}).items() if text}
    typed = {name: text for name, text in {**(given.get("address") or {}), **names}.items() if text}
    return kept | typed
