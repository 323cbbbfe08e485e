"""What document does a web order become (order-E.2 to E.12)?

In the order in which it is tried:

0. Gift cards that the order buys are left out, with what they cost: a ticket of their own sells them (order-E.11).
1. Another currency than Counterpoint's, a marker that is too long, no lines, a quantity below 1: held.
2. A line whose SKU Counterpoint does not have: the whole order is held until the item is there (order-E.4).
3. A discount on the whole order is spread over the lines that it may lower (order-E.5); fees below 0 are such a one.
   Coupons that are in the lines already (W-61) are named in a note and never subtracted again.
4. Each line at its net price, so that quantity times price is the line's net to the cent: the even price; else a price
   of four decimals where the item allows it; else two lines a cent apart (order-E.6).
5. Shipping and fees as misc charges, under one number or two (order-E.8); each of the web's taxes as it is, on the
   authority and rule that the shop names for it (order-E.7); a payment for each tender (order-E.10).
6. Lines + misc + tax = what the shopper paid, to the cent, else held with both columns (order-E.12).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

import msgspec

from processors.rules.shares import spread
from schemas.commands import DocumentLine, DocumentPayment, DocumentTax, PlaceDocument
from schemas.records import Address, Item, Order, OrderLine, TaxLine

MARKER_MAX = 12  # A release ticket adds "-01", and TKT_NO has 15 (order-E.2).
CARDS = "G"  # Behind an order's marker: what the ticket that sells its gift cards carries.
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
    fee_charge_no: str = ""  # Of fees; "" where they go with shipping.
    taxes: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # The store's tax -> authority and rule.
    pay_codes: Mapping[str, str]
    currency: str
    takes_suggestion: bool  # Of several customers with the order's e-mail.
    makes_nobodys: bool = False  # A customer for each order whose e-mail is nobody's in particular; else it is asked.
    gift_cards: frozenset[str] = frozenset()  # SKUs of gift cards that the store sells (order-E.11).
    completes: bool = True  # An order of which everything was released (order-E.16).
    tells_shopper: bool = False  # Of shipments, by a note that the store may mail.
    asks_to_release: bool = True  # What the store says was shipped.
    records_returns: bool = True  # Of its goods at the till, as refunds that move no money (order-E.15).


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
    facts: tuple[object, ...] = (lines, order.shipping, order.fees, order.tax, order.total, order.currency)
    facts += ((order.discount, order.tenders),) if order.discount or order.tenders else ()
    return hashlib.sha256(msgspec.json.encode(facts)).hexdigest()[:32]


def compose(order: Order, site: Site, items: Mapping[str, Item], cust_no: str) -> PlaceDocument | Hold:
    """Decide the document of an order, or why there is none yet.

    Args:
        order: The order as it now is.
        site: Its store's settings.
        items: Counterpoint's items by number, those of the order's SKUs that exist.
        cust_no: Whose it is; "" while the customer is being created.
    """
    hold = _refuse(order, site, items)
    if hold:
        return hold
    lines: list[DocumentLine] = []
    for line, net in zip(order.lines, nets(order, site), strict=True):
        if line.sku not in site.gift_cards:
            lines += _lines(line, net, items[line.sku], order.minor_digits)
    charges, cards = order.shipping + order.fees, cards_bought(order, site)
    net = sum(line.net for line in lines)
    if net + cards + charges + order.tax != order.total:
        return Hold(
            f"the order does not add up: lines {net + cards} + shipping and fees {charges} + tax {order.tax} = "
            f"{net + cards + charges + order.tax}, but the shopper pays {order.total} (minor units of {order.currency})"
        )
    is_apart = site.fee_charge_no not in {"", site.misc_charge_no} and order.fees > 0
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
        misc=order.shipping if is_apart else charges,
        fee_charge_no=site.fee_charge_no if is_apart else "",
        fees=order.fees if is_apart else 0,
        taxes=_taxes(order, site, net + charges),
        payments=_payments(order, site, order.total - cards),
        total=order.total - cards,
        bill_to=order.billing,
        ship_to=order.shipping_to if order.shipping_to != Address() else order.billing,
        notes=_notes(order, site),
    )


def cards_bought(order: Order, site: Site) -> int:
    """Give what the gift cards that the order buys cost: they go on a ticket of their own (order-E.11)."""
    return sum(line.net for line in order.lines if line.sku in site.gift_cards)


def has_goods(order: Order, site: Site) -> bool:
    """Say whether the order buys anything but gift cards."""
    return any(line.sku not in site.gift_cards for line in order.lines) or not order.lines


def nets(order: Order, site: Site) -> list[int]:
    """Give what each line comes to, after its share of a discount on the whole order; gift cards take none of it."""
    eligible = [
        max(0, line.net) if line.is_discountable and line.sku not in site.gift_cards else 0 for line in order.lines
    ]
    shares = spread(min(order.discount, sum(eligible)), eligible)  # `compose` holds an order with a larger one.
    return [line.net - share for line, share in zip(order.lines, shares, strict=True)]


def _taxes(order: Order, site: Site, taxable: int) -> tuple[DocumentTax, ...]:
    """Give the order's taxes by authority and rule; those that the shop does not name go on the site's own."""
    found: dict[tuple[str, str], DocumentTax] = {}
    for one in order.taxes or (TaxLine(name="", tax=order.tax),):
        authority, rule = site.taxes.get(one.name, (site.tax_authority, site.tax_rule))
        base = taxable if one.taxable is None else one.taxable
        before = found.get((authority, rule))
        found[(authority, rule)] = DocumentTax(
            authority=authority,
            rule=rule,
            tax=one.tax + (before.tax if before else 0),
            taxable=max(base, before.taxable if before else 0),  # Two taxes on the same goods have one base.
        )
    return tuple(one for one in found.values() if one.tax)


def _payments(order: Order, site: Site, total: int) -> tuple[DocumentPayment, ...]:
    """Give a payment for each tender, and the payment method's for the rest of the document's total (order-E.10)."""
    found = [
        DocumentPayment(
            pay_code=site.pay_codes.get(one.method, ""), amount=one.amount, captured=True, card_no=one.card_no
        )
        for one in order.tenders
    ]
    rest = total - sum(one.amount for one in order.tenders)
    if rest:
        code = pay_code(site, order.payment_method) or ""
        found.append(DocumentPayment(pay_code=code, amount=rest, captured=order.is_paid))
    return tuple(found)


def pay_code(site: Site, method: str) -> str | None:
    """Give Counterpoint's pay code of a payment method; None where the shop names none."""
    return site.pay_codes.get(method, site.pay_codes.get("*"))


def _refuse(order: Order, site: Site, items: Mapping[str, Item]) -> Hold | None:
    """Give the first reason to hold an order, None where there is none."""
    # "*" is for what pays the rest: a gift card must not pass for a bank card.
    without = next((one.method for one in order.tenders if one.method not in site.pay_codes), None)
    rest = order.total - sum(one.amount for one in order.tenders)
    if without is None and (rest or not order.tenders) and not pay_code(site, order.payment_method):
        without = order.payment_method
    eligible = sum(line.net for line in order.lines if line.is_discountable and line.sku not in site.gift_cards)
    cards = [line for line in order.lines if line.sku in site.gift_cards]
    tendered = sum(one.amount for one in order.tenders)
    unknown = next(
        (line.sku or line.name for line in order.lines if line.sku not in items and line.sku not in site.gift_cards),
        None,
    )
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
        (min(order.shipping, order.fees) < 0, Hold("shipping or fees are below 0")),
        (
            order.discount > eligible,
            Hold(f"a discount of {order.discount} is more than the lines it may lower, {eligible} (minor units)"),
        ),
        (
            without is not None,
            Hold(f"no pay code for the payment method {without!r}; add it to orders.pay_codes"),
        ),
        (
            tendered > max(order.total - cards_bought(order, site), 0) or any(one.amount < 1 for one in order.tenders),
            Hold(f"its gift cards and credits pay {tendered} of {order.total} (minor units): not a sum to believe"),
        ),
        (any(line.tax for line in cards), Hold("a gift card that the order buys is taxed: enter it by hand")),
        (bool(cards) and len(cards) == len(order.lines), Hold("the order buys nothing but gift cards")),
        (
            bool(order.taxes) and sum(tax.tax for tax in order.taxes) != order.tax,
            Hold("the order's taxes do not add up to its tax"),
        ),
    )
    return next((hold for is_so, hold in reasons if is_so), None)


def _lines(line: OrderLine, net: int, item: Item, digits: int) -> list[DocumentLine]:
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
        for quantity, price in unit_prices(net, line.quantity, digits=digits, decimals=item.price_decimals)
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
    if order.discount:
        coupons.append(f"Discount {Decimal(order.discount).scaleb(-order.minor_digits)}, in the prices already")
    return (f"Web order {order.number} of {site.store_id}", *coupons)
