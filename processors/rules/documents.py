"""What document does a web order become (order-E.2 to E.12)?

In the order in which it is tried:

1. Another currency than Counterpoint's, a marker that is too long, no lines, a quantity below 1: held.
2. A line whose SKU Counterpoint does not have: the whole order is held until the item is there (order-E.4).
3. Each line at its net price, so that quantity times price is the line's net to the cent: the even price; else a price
   of four decimals where the item allows it; else two lines a cent apart (order-E.6).
4. Shipping and fees as one misc charge (order-E.8), the web's tax as it is (order-E.7), one tender (order-E.10).
5. Lines + misc + tax = what the shopper paid, to the cent, else held with both columns (order-E.12).

Coupons are in the lines already (W-61): they are named in a note and never subtracted.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

import msgspec

from schemas.commands import DocumentLine, DocumentPayment, DocumentTax, PlaceDocument
from schemas.records import Address, Item, Order, OrderLine

MARKER_MAX = 12  # A release ticket adds "-01", and TKT_NO has 15 (order-E.2).
FINE = 4  # Decimals that suffice up to a quantity of 100 (order-E.6).
When = Literal["placed", "paid", "completed"]

_DUE: Mapping[When, frozenset[str]] = {
    "placed": frozenset({"pending", "on-hold", "processing", "completed"}),
    "paid": frozenset({"processing", "completed"}),
    "completed": frozenset({"completed"}),
}
_TAKES_STOCK = frozenset({"on-hold", "processing", "completed"})  # As the store itself does (W-62).
_OVER = frozenset({"cancelled", "refunded", "failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """How one store's orders stand in Counterpoint (order-E.3)."""

    store_id: str
    when: When
    prefix: str
    store: str
    station: str
    drawer: str
    user: str
    tax_code: str
    tax_authority: str
    tax_rule: str
    misc_charge_no: str
    pay_codes: Mapping[str, str]
    currency: str
    takes_suggestion: bool  # Of several customers with the order's e-mail.


@dataclass(frozen=True, slots=True)
class Hold:
    """The order waits for a person; `waits_for` names the item that may settle it."""

    why: str
    waits_for: str | None = None


def is_due(order: Order, when: When) -> bool:
    """Say whether the order has come to the moment at which this store's orders become documents (req-O1)."""
    return order.status in _DUE[when]


def is_over(order: Order) -> bool:
    """Say whether nothing will come of the order any more."""
    return order.status in _OVER


def takes_stock(order: Order) -> dict[str, int]:
    """Give what the order holds, by SKU; nothing while the store itself has taken nothing off its stock."""
    if order.status not in _TAKES_STOCK:
        return {}
    held: dict[str, int] = {}
    for line in order.lines:
        if line.sku and line.quantity > 0:
            held[line.sku] = held.get(line.sku, 0) + line.quantity
    return held


def marker_of(prefix: str, order_id: str) -> str:
    """Give what the order's document carries."""
    return prefix + order_id


def read_marker(marker: str, prefixes: Mapping[str, str]) -> tuple[str, str] | None:
    """Give the store and order id that a marker names; None where it is not one of ours. Prefixes by store id."""
    for store_id, prefix in prefixes.items():
        rest = marker.removeprefix(prefix)
        if marker.startswith(prefix) and rest.isdigit():
            return store_id, rest
    return None


def fingerprint(order: Order) -> str:
    """Hash what makes the document: a later change of it is an edit."""
    lines = [(line.sku, line.quantity, line.net, line.tax) for line in order.lines]
    facts = (lines, order.shipping, order.fees, order.tax, order.total, order.currency)
    return hashlib.sha256(msgspec.json.encode(facts)).hexdigest()[:32]


def compose(order: Order, site: Site, items: Mapping[str, Item], cust_no: str) -> PlaceDocument | Hold:
    """Decide the document of an order, or why there is none yet.

    Args:
        order: The order as it now is.
        site: Its store's settings.
        items: Counterpoint's items by number, those of the order's SKUs that exist.
        cust_no: Whose it is; "" while the customer is being created.
    """
    pay_code = site.pay_codes.get(order.payment_method, site.pay_codes.get("*", ""))
    hold = _refuse(order, site, items, pay_code)
    if hold:
        return hold
    lines: list[DocumentLine] = []
    for line in order.lines:
        lines += _lines(line, items[line.sku], order.minor_digits)
    misc = order.shipping + order.fees
    net = sum(line.net for line in lines)
    if net + misc + order.tax != order.total:
        return Hold(
            f"the order does not add up: lines {net} + shipping and fees {misc} + tax {order.tax} = "
            f"{net + misc + order.tax}, but the shopper pays {order.total} (minor units of {order.currency})"
        )
    taxes = [DocumentTax(authority=site.tax_authority, rule=site.tax_rule, tax=order.tax, taxable=net + misc)]
    payments = [DocumentPayment(pay_code=pay_code, amount=order.total, captured=order.is_paid)]
    return PlaceDocument(
        marker=marker_of(site.prefix, order.key),
        order_hash=fingerprint(order),
        cust_no=cust_no,
        store_no=site.store,
        station=site.station,
        drawer=site.drawer,
        user=site.user,
        tax_code=site.tax_code,
        minor_digits=order.minor_digits,
        lines=tuple(lines),
        misc_charge_no=site.misc_charge_no,
        misc=misc,
        taxes=tuple(taxes) if order.tax else (),
        payments=tuple(payments) if order.total else (),
        total=order.total,
        bill_to=order.billing,
        ship_to=order.shipping_to if order.shipping_to != Address() else order.billing,
        notes=_notes(order, site),
    )


def _refuse(order: Order, site: Site, items: Mapping[str, Item], pay_code: str) -> Hold | None:
    """Give the first reason to hold an order, None where there is none."""
    unknown = next((line.sku or line.name for line in order.lines if line.sku not in items), None)
    reasons: Sequence[tuple[bool, Hold]] = (
        (order.currency != site.currency, Hold(f"the order is in {order.currency}, Counterpoint in {site.currency}")),
        (
            len(marker_of(site.prefix, order.key)) > MARKER_MAX,
            Hold("the order's id is too long for a marker of 12 characters"),
        ),
        (not order.lines, Hold("the order has no lines")),
        (any(line.quantity < 1 or line.net < 0 for line in order.lines), Hold("a line has no quantity, or is below 0")),
        (
            unknown is not None,
            Hold(f"Counterpoint has no item {unknown!r}; the order goes on when it has", f"item:{unknown}"),
        ),
        (order.shipping + order.fees < 0, Hold("shipping and fees together are below 0")),
        (
            not pay_code,
            Hold(f"no pay code for the payment method {order.payment_method!r}; add it to orders.pay_codes"),
        ),
        (
            bool(order.taxes) and sum(tax.tax for tax in order.taxes) != order.tax,
            Hold("the order's taxes do not add up to its tax"),
        ),
    )
    return next((hold for is_so, hold in reasons if is_so), None)


def _lines(line: OrderLine, item: Item, digits: int) -> list[DocumentLine]:
    regular = (Decimal(line.regular).scaleb(-digits) / line.quantity).quantize(Decimal(1).scaleb(-FINE), ROUND_HALF_UP)
    return [
        DocumentLine(
            item_no=item.key,
            description=line.name or item.description,
            quantity=quantity,
            price=price,
            regular_price=regular,
            net=int((quantity * price).scaleb(digits).to_integral_value(ROUND_HALF_UP)),
        )
        for quantity, price in unit_prices(line.net, line.quantity, digits=digits, decimals=item.price_decimals)
    ]


def unit_prices(net: int, quantity: int, *, digits: int, decimals: int) -> list[tuple[int, Decimal]]:
    """Give quantities and unit prices whose products add up to `net` exactly, in one line or two (order-E.6).

    Args:
        net: The whole line, in minor units, at least 0.
        quantity: Pieces, at least 1.
        digits: Of the currency.
        decimals: Digits that a price of the item may have.
    """
    assert net >= 0
    assert quantity >= 1
    each, rest = divmod(net, quantity)
    unit = Decimal(1).scaleb(-digits)
    if rest == 0:
        return [(quantity, each * unit)]
    if decimals >= FINE > digits:
        fine = (Decimal(net).scaleb(-digits) / quantity).quantize(Decimal(1).scaleb(-FINE), ROUND_HALF_UP)
        if int((fine * quantity).scaleb(digits).to_integral_value(ROUND_HALF_UP)) == net:
            return [(quantity, fine)]
    return [(quantity - rest, each * unit), (rest, (each + 1) * unit)]


def _notes(order: Order, site: Site) -> tuple[str, ...]:
    """Name the web order, and its coupons as information."""
    coupons = [
        f"Coupon {coupon.code}: {Decimal(coupon.discount).scaleb(-order.minor_digits)} off, in the prices already"
        for coupon in order.coupons
    ]
    return (f"Web order {order.number} of {site.store_id}", *coupons)
