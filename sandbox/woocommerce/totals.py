"""What an order comes to: lines, the coupon's discount on them, taxes, shipping. Rounded to the cent."""

import json
from collections.abc import Mapping, Sequence
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import Any

from sandbox.woocommerce.store import Row, Store

CENT = Decimal("0.01")


def cents(text: str | float) -> int:
    """Give an amount in cents."""
    return int((Decimal(str(text)) * 100).to_integral_value())


def line(store: Store, product: Row | None, quantity: int, price: Decimal) -> Row:
    """Give one line item, before discount and tax. A product that is gone has the id 0."""
    total = (price * quantity).quantize(CENT, ROUND_HALF_UP)
    row: Row = {"id": store.next_id(), "quantity": quantity, "price": float(price)}
    row["name"] = product["name"] if product else "A product that is gone"
    row |= {
        "product_id": product["id"] if product else 0,
        "variation_id": 0,
        "sku": product["sku"] if product else "",
    }
    row |= {"subtotal": f"{total}", "total": f"{total}", "subtotal_tax": "0.00", "total_tax": "0.00"}
    row |= {"tax_class": "", "taxes": [], "meta_data": []}
    return row | ({"global_unique_id": ""} if store.is_new else {})


def discount(store: Store, row: Row, coupon: Row) -> None:
    """Take the coupon off the lines (W-61) and name it on the order."""
    parts = _parts(row["line_items"], coupon)
    for one, part in zip(row["line_items"], parts, strict=True):
        one["total"] = f"{Decimal(one['subtotal']) - part:.2f}"
        one["price"] = float(Decimal(one["total"]) / (one["quantity"] or 1))
    said: Row = {"id": store.next_id(), "code": coupon["code"], "discount": f"{sum(parts, Decimal(0)):.2f}"}
    said |= {"discount_tax": "0.00", "meta_data": [_coupon_meta(store, coupon)]}
    if store.is_new:
        said |= {"discount_type": coupon["discount_type"], "nominal_amount": float(coupon["amount"])}
        said["free_shipping"] = False
    row["coupon_lines"] = [said]
    row["discount_total"] = said["discount"]


def _parts(lines: list[Row], coupon: Row) -> list[Decimal]:
    """Give each line's part: a share of it, so much a piece, or so much for the whole cart."""
    amount = Decimal(coupon["amount"])
    prices = [Decimal(one["subtotal"]) for one in lines]
    match coupon["discount_type"]:
        case "percent":
            return [(price * amount / 100).quantize(CENT, ROUND_HALF_UP) for price in prices]
        case "fixed_product":
            return [min(price, amount * one["quantity"]) for price, one in zip(prices, lines, strict=True)]
        case _:
            return _spread(min(amount, sum(prices, Decimal(0))), prices)


def _spread(amount: Decimal, prices: list[Decimal]) -> list[Decimal]:
    """Spread an amount by price; the first lines take the cents that are left."""
    whole = sum(prices, Decimal(0))
    if not whole:
        return [Decimal(0) for _ in prices]
    parts = [(amount * price / whole).quantize(CENT, ROUND_FLOOR) for price in prices]
    left = amount - sum(parts, Decimal(0))
    for at, price in enumerate(prices):
        if left > 0 and parts[at] < price:
            parts[at] += CENT
            left -= CENT
    return parts


def _coupon_meta(store: Store, coupon: Row) -> Row:
    """Give the coupon's meta entry, in the form of this version."""
    shown = {name: value for name, value in coupon.items() if not name.startswith("_")}
    if not store.is_new:
        return {"id": store.next_id(), "key": "coupon_data", "value": shown}
    info = json.dumps([coupon["id"], coupon["code"], coupon["discount_type"], float(coupon["amount"])])
    return {"id": store.next_id(), "key": "coupon_info", "value": info}


def tax(store: Store, row: Row, taxes: Mapping[str, Decimal]) -> None:
    """Charge taxes on lines, shipping and surcharges, on top of the prices, each part rounded to the cent."""
    for code, percent in taxes.items():
        if percent:
            row["tax_lines"].append(_tax(store, row, code, percent))


def _tax(store: Store, row: Row, code: str, percent: Decimal) -> Row:
    rate = store.next_id()
    for one in row["line_items"]:
        before, after = _share(one["subtotal"], percent), _share(one["total"], percent)
        one["subtotal_tax"] = f"{Decimal(one['subtotal_tax']) + Decimal(before):.2f}"
        one["total_tax"] = f"{Decimal(one['total_tax']) + Decimal(after):.2f}"
        one["taxes"].append({"id": rate, "total": after, "subtotal": before})
    beside = {
        "shipping": row["shipping_lines"],
        "fee": [one for one in row["fee_lines"] if one["tax_status"] != "none"],
    }
    for one in [*beside["shipping"], *beside["fee"]]:
        part = _share(one["total"], percent)
        one["total_tax"] = f"{Decimal(one['total_tax']) + Decimal(part):.2f}"
        one["taxes"].append({"id": rate, "total": part, "subtotal": ""})
    said: Row = {"id": store.next_id(), "rate_code": code, "rate_id": rate, "label": "Tax", "compound": False}
    said |= {
        "tax_total": _of_rate([*row["line_items"], *beside["fee"]], rate),
        "shipping_tax_total": _of_rate(beside["shipping"], rate),
    }
    return said | {"rate_percent": float(percent), "meta_data": []}


def _of_rate(rows: list[Row], rate: int) -> str:
    parts = [Decimal(tax["total"]) for one in rows for tax in one["taxes"] if tax["id"] == rate]
    return f"{sum(parts, Decimal(0)):.2f}"


def _share(text: str, percent: Decimal) -> str:
    return f"{(Decimal(text) * percent / 100).quantize(CENT, ROUND_HALF_UP)}"


def _sum(rows: list[Row], name: str) -> str:
    return f"{sum((Decimal(one[name]) for one in rows), Decimal(0)):.2f}"


def shipping_line(store: Store, given: Mapping[str, Any]) -> Row:
    """Give one shipping line."""
    row: Row = {
        "id": store.next_id(),
        "method_id": "flat_rate",
        "instance_id": "1",
        "total_tax": "0.00",
        "taxes": [],
    }
    title = str(given.get("method_title") or "Flat rate")
    return row | {
        "method_title": title,
        "total": f"{Decimal(str(given.get('total') or 0)):.2f}",
        "meta_data": [],
    }


def fee_line(store: Store, given: Mapping[str, Any]) -> Row:
    """Give one fee: a surcharge, which is taxed, or below 0 a discount, which is not."""
    cents_given = int(given["cents"])
    row: Row = {"id": store.next_id(), "name": str(given.get("name") or "Fee"), "tax_class": "", "taxes": []}
    row |= {"tax_status": "taxable" if cents_given > 0 else "none", "total_tax": "0.00", "meta_data": []}
    return row | {"total": f"{Decimal(cents_given) / 100:.2f}"}


def pay_with_cards(store: Store, row: Row, cards: Sequence[Mapping[str, Any]]) -> None:
    """Let gift cards pay, as their extension does: the order's total is what is left (storefronts 1.7)."""
    if cards:
        row["gift_cards"] = []
    for card in cards:
        amount = min(Decimal(row["total"]), Decimal(int(card["cents"])) / 100)
        if amount > 0:
            row["gift_cards"].append({"id": store.next_id(), "code": str(card["code"]), "amount": float(amount)})
            row["total"] = f"{Decimal(row['total']) - amount:.2f}"


def add_up(row: Row) -> None:
    """Enter the order's totals."""
    lines, shipping, fees = row["line_items"], row["shipping_lines"], row["fee_lines"]
    row["shipping_total"], row["shipping_tax"] = _sum(shipping, "total"), _sum(shipping, "total_tax")
    row["cart_tax"] = _sum([*lines, *fees], "total_tax")
    row["total_tax"] = f"{Decimal(row['cart_tax']) + Decimal(row['shipping_tax']):.2f}"
    before = Decimal(_sum(lines, "subtotal_tax"))
    row["discount_tax"] = f"{before - Decimal(_sum(lines, 'total_tax')):.2f}"
    for one in row["coupon_lines"]:
        one["discount_tax"] = row["discount_tax"]
    net = Decimal(_sum([*lines, *fees], "total")) + Decimal(row["shipping_total"])
    row["total"] = f"{net + Decimal(row['total_tax']):.2f}"
