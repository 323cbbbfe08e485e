"""Orders over REST, and what every order goes through: W-60 to W-72."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sandbox.woocommerce import coupons, products, totals, wallets
from sandbox.woocommerce import store as shop
from sandbox.woocommerce.parameters import STATUSES
from sandbox.woocommerce.store import ADMINISTRATOR, Refused, Row, Store, invalid

TAKES_STOCK = {"processing", "completed", "on-hold"}  # W-62. On hold: as at the checkout.
GIVES_STOCK_BACK = {"pending", "cancelled"}
FIELDS = ("payment_method", "payment_method_title", "customer_note", "transaction_id", "currency")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An order as it is about to be entered."""

    actor: str  # Who places it: "shopper" or "api".
    status: str
    customer_id: int  # 0 is a guest.
    lines: list[Row]
    coupon: Row | None = None  # None: no coupon was given.
    shipping: list[Row]
    fees: Sequence[Row] = ()
    taxes: Mapping[str, Decimal] = field(default_factory=dict)  # Code -> percent.
    facts: Mapping[str, Any]  # What is taken over as it was given: addresses, method of payment, meta data.
    gift_cards: Sequence[Row] = ()  # Code and amount, of the Gift Cards extension.
    tamper: Mapping[str, Any]  # What is overwritten afterwards, to make an order that does not add up.
    journal: Mapping[str, Any]  # What the journal notes with it.


def create(store: Store, given: Mapping[str, Any]) -> Row:
    """Create an order over REST. Stock is not checked (W-63), nor is the product (W-64)."""
    account = int(given.get("customer_id") or 0)
    if account and account not in store.tables["customers"]:
        raise Refused(400, "woocommerce_rest_invalid_customer_id", "Customer ID is invalid.")  # W-65
    entry = Entry(
        actor="api",
        status=_status(given),
        customer_id=account,
        lines=[_line(store, one) for one in given.get("line_items") or []],
        coupon=_coupon(store, given.get("coupon_lines") or []),
        shipping=[totals.shipping_line(store, one) for one in given.get("shipping_lines") or []],
        facts=given,
        tamper={},
        journal={},
    )
    return enter(store, entry)


def _status(given: Mapping[str, Any]) -> str:
    if given.get("set_paid"):  # W-68: with `cod` it is completed at once.
        return "completed" if given.get("payment_method") == "cod" else "processing"
    return str(given.get("status") or "pending")


def _line(store: Store, given: Mapping[str, Any]) -> Row:
    found = store.tables["products"].get(given.get("product_id", 0))
    price = Decimal(found["price"] or "0") if found else Decimal(0)  # W-64: a product that is not there is free.
    row = totals.line(store, found, given.get("quantity", 1), price)
    row.update({name: f"{Decimal(given[name]):.2f}" for name in ("subtotal", "total") if name in given})
    shop.merge_meta(store, row, given.get("meta_data") or [])
    return row


def _coupon(store: Store, asked: Sequence[Mapping[str, Any]]) -> Row | None:
    """Find the coupon, or refuse as this version does (W-67)."""
    if not asked:
        return None
    code = str(asked[0].get("code", ""))
    found = coupons.find(store, code)
    if found:
        return found
    if store.is_new:
        text = f"Coupon &quot;{code}&quot; cannot be applied because it does not exist."
        raise Refused(400, "woocommerce_rest_invalid_coupon", text, new_draft_order_id=store.next_id())
    stray = _row(
        store,
        Entry(
            actor="api",
            status="pending",
            customer_id=0,
            lines=[],
            shipping=[],
            facts={},
            tamper={},
            journal={},
        ),
    )
    store.tables["orders"][stray["id"]] = stray  # It shows in the list.
    raise Refused(400, "woocommerce_rest_invalid_coupon", f'Coupon "{code}" does not exist!')


def enter(store: Store, entry: Entry) -> Row:
    """Enter an order: discount, tax, totals, stock, mails, journal, web hooks."""
    row = _row(store, entry)
    if entry.coupon:
        totals.discount(store, row, entry.coupon)
    totals.tax(store, row, entry.taxes)
    totals.add_up(row)
    totals.pay_with_cards(store, row, entry.gift_cards)
    row.update(entry.tamper)
    number = row["id"]
    store.tables["orders"][number] = row
    _journal(store, row, entry)
    _take_effect(store, row, before="")
    store.changed("order", "created", number)
    store.changed("order", "updated", number)  # W-99: both come.
    return row


def _row(store: Store, entry: Entry) -> Row:
    number = store.next_id()
    facts = entry.facts
    row: Row = {
        "id": number,
        "parent_id": 0,
        "number": str(number),
        "order_key": f"wc_order_{store.id}{number}",
    }
    row |= {"created_via": "checkout" if entry.actor == "shopper" else "rest-api", "version": store.version}
    row |= {"status": entry.status, "customer_id": entry.customer_id, "prices_include_tax": False}
    row |= dict.fromkeys(FIELDS, "") | {name: str(facts[name]) for name in FIELDS if facts.get(name)}
    row["currency"] = row["currency"] or "USD"
    row |= {
        "billing": shop.address(facts.get("billing")),
        "shipping": shop.shipping_address(facts.get("shipping")),
    }
    row |= {"line_items": entry.lines, "shipping_lines": entry.shipping, "tax_lines": []}
    row |= {"fee_lines": list(entry.fees)}
    row |= {"coupon_lines": [], "refunds": [], "meta_data": []}
    row |= dict.fromkeys(("discount_total", "discount_tax", "shipping_total", "shipping_tax"), "0.00")
    row |= dict.fromkeys(("cart_tax", "total_tax", "total"), "0.00")
    row |= dict.fromkeys(("date_paid", "date_paid_gmt", "date_completed", "date_completed_gmt"))
    row |= {"_took_stock": False, "_notes": [], "_refunds": []}
    shop.born(row)
    shop.merge_meta(store, row, facts.get("meta_data") or [])
    return row


def _take_effect(store: Store, row: Row, *, before: str) -> None:
    """Do what a new status brings: dates, stock (once each way), mails."""
    status = row["status"]
    is_paid = status == "completed" or (status == "processing" and row["payment_method"] != "cod")
    if is_paid and not row["date_paid"]:
        shop.stamp(row, "date_paid")
    if status == "completed":
        shop.stamp(row, "date_completed")
    if status in TAKES_STOCK and not row["_took_stock"]:
        _move_stock(store, row, 1)
    elif status in GIVES_STOCK_BACK and row["_took_stock"]:
        _move_stock(store, row, -1)
    _mails(store, row, before)


def _move_stock(store: Store, row: Row, sign: int) -> None:
    row["_took_stock"] = sign > 0
    for one in row["line_items"]:
        products.take_stock(store, one["product_id"], sign * one["quantity"])


def _mails(store: Store, row: Row, before: str) -> None:
    """Send what a new order, or a new status, sends (W-69)."""
    shopper, status = row["billing"]["email"], row["status"]
    if status in {"completed", "processing"} and before in {"", "pending", "failed", "cancelled"}:
        store.mail(ADMINISTRATOR, f"New order #{row['number']}")
    if status == "completed":
        store.mail(shopper, f"Your {store.id} order is now complete")
    elif status == "processing":
        store.mail(shopper, f"Your {store.id} order has been received!")


def _journal(store: Store, row: Row, entry: Entry) -> None:
    names = ("sku", "product_id", "quantity")
    lines = [{name: one[name] for name in names} for one in row["line_items"]]
    for said, one in zip(lines, row["line_items"], strict=True):
        said |= {f"{name}_cents": totals.cents(one[name]) for name in ("subtotal", "total", "total_tax")}
    data = {name: row[name] for name in ("number", "status", "customer_id", "currency", "payment_method")}
    data |= {"email": row["billing"]["email"], "lines": lines, "total_cents": totals.cents(row["total"])}
    data |= {
        "tax_cents": totals.cents(row["total_tax"]),
        "shipping_cents": totals.cents(row["shipping_total"]),
    }
    data["discount_cents"] = totals.cents(row["discount_total"])
    data["cards_cents"] = {one["code"]: totals.cents(one["amount"]) for one in row.get("gift_cards", [])}
    data["fees_cents"] = [totals.cents(one["total"]) for one in row["fee_lines"]]
    data["taxes_cents"] = {
        one["rate_code"]: totals.cents(one["tax_total"]) + totals.cents(one["shipping_tax_total"])
        for one in row["tax_lines"]
    }
    store.note(entry.actor, "order", row["id"], **data, **entry.journal)


def update(store: Store, number: int, given: Mapping[str, Any], *, actor: str = "api") -> Row:
    """Change an order: its status, its addresses, its meta data. An unchanged status mails nothing (W-70)."""
    row = store.row("orders", number)
    if given.get("status", "pending") not in STATUSES:
        raise invalid("status", "status is not one of its values.", "rest_not_in_enum")  # W-66
    if given.get("set_paid") and not row["date_paid"]:
        given = dict(given) | {"status": _status(dict(given) | {"payment_method": row["payment_method"]})}
    before, row["status"] = row["status"], given.get("status", row["status"])
    row.update({name: str(given[name]) for name in FIELDS if name in given})
    shop.change_addresses(row, given)
    shop.merge_meta(store, row, given.get("meta_data") or [])
    shop.touch(row)
    if row["status"] != before:
        store.note(actor, "order-status", number, status=row["status"], before=before)
        _take_effect(store, row, before=before)
        if row["status"] in {"cancelled", "failed"}:
            wallets.give_back(store, number)
    elif actor == "api":
        store.note(actor, "order", number, fields=sorted(given))
    store.changed("order", "updated", number)
    return row


def add_tracking(store: Store, number: int, numbers: Sequence[str]) -> None:
    """Enter tracking numbers as the Shipment Tracking extension keeps them: beside the REST rules for keys."""
    row = store.row("orders", number)
    items = [{"tracking_provider": "ups", "tracking_number": one, "tracking_id": f"{one:>032}"} for one in numbers]
    row["meta_data"].append({"id": store.next_id(), "key": "_wc_shipment_tracking_items", "value": items})
    store.note("staff", "order-tracking", number, tracking=list(numbers))


def trash(store: Store, number: int, *, actor: str = "api") -> Row:
    """Put an order in the trash; its stock stays taken."""
    row = store.row("orders", number)
    before, row["status"] = row["status"], "trash"
    shop.touch(row)
    store.note(actor, "order-status", number, status="trash", before=before)
    store.changed("order", "deleted", number)
    return row


def delete(store: Store, number: int) -> Row:
    """Delete an order for good."""
    row = trash(store, number)
    del store.tables["orders"][number]
    return row


def add_note(store: Store, number: int, given: Mapping[str, Any]) -> Row:
    """Add a note (W-71)."""
    row = store.row("orders", number)
    if not given.get("note"):
        raise shop.missing("note")
    note: Row = {"id": store.next_id(), "author": "system", "note": str(given["note"])}
    note["customer_note"] = bool(given.get("customer_note"))
    shop.stamp(note, "date_created")
    row["_notes"].append(note)
    if note["customer_note"] and not store.is_new:  # Seen on the older version.
        store.mail(row["billing"]["email"], f"Note added to your {store.id} order #{row['number']}")
    return note


def _refunded(store: Store, row: Row, given: Mapping[str, Any]) -> Row:
    """Give a refunded line as its route shows it: everything below 0, and which line it was."""
    line = next((one for one in row["line_items"] if one["id"] == int(given["id"])), None)
    if line is None:
        raise invalid("line_items", f"line {given['id']} is not of this order")
    tax = sum((Decimal(str(one["refund_total"])) for one in given.get("refund_tax") or []), Decimal(0))
    made: Row = {"id": store.next_id(), "sku": line["sku"], "quantity": -int(given.get("quantity") or 0)}
    made |= {"total": f"{-Decimal(str(given.get('refund_total') or 0)):.2f}", "total_tax": f"{-tax:.2f}"}
    taxes = [{"id": one["id"], "total": f"-{one['refund_total']}"} for one in given.get("refund_tax") or []]
    meta = [{"id": store.next_id(), "key": "_refunded_item_id", "value": str(line["id"])}]
    return made | {"taxes": taxes, "meta_data": meta}


def refund(store: Store, number: int, given: Mapping[str, Any], *, actor: str = "api") -> Row:
    """Refund a part: status and total stay, `refunds` tells of it (W-72)."""
    row = store.row("orders", number)
    if not given.get("amount"):
        raise shop.missing("amount")
    amount = f"{Decimal(given['amount']):.2f}"
    if Decimal(amount) > Decimal(row["total"]) - sum(Decimal(one["amount"]) for one in row["_refunds"]):
        raise Refused(500, "woocommerce_rest_cannot_create_order_refund", "Invalid refund amount.")
    made: Row = {
        "id": store.next_id(),
        "amount": amount,
        "reason": str(given.get("reason") or ""),
        "line_items": [],
    }
    made["line_items"] = [_refunded(store, row, one) for one in given.get("line_items") or []]
    made |= {"shipping_lines": [], "meta_data": []}
    if store.is_new:
        made["meta_data"] = [{"id": store.next_id(), "key": "_refund_type", "value": "partial"}]
    shop.stamp(made, "date_created")
    said: Row = {"id": made["id"], "reason": made["reason"], "total": f"-{amount}"}
    row["refunds"].append(said | ({"total_tax": "0.00"} if store.is_new else {}))
    row["_refunds"].append(made)
    shop.touch(row)
    if not store.is_new:  # Seen on the older version.
        store.mail(row["billing"]["email"], f"Your {store.id} order #{row['number']} has been partially refunded")
    pieces = {one["sku"]: -one["quantity"] for one in made["line_items"]}
    said = {"id": made["id"], "number": len(row["refunds"]), "cents": totals.cents(amount), "pieces": pieces}
    store.note(actor, "refund", number, **said)
    store.changed("order", "updated", number)
    return made


def refund_pieces(store: Store, number: int, given: Mapping[str, Any]) -> Row:
    """Let staff refund pieces of a line, with their share of its price and tax, and some cents beside."""
    row = store.row("orders", number)
    lines, amount = [], Decimal(int(given.get("goodwill_cents") or 0)) / 100
    for one in (line for line in row["line_items"] if line["sku"] == given.get("sku")):
        pieces = min(int(given["quantity"]), one["quantity"])
        net = (Decimal(one["total"]) * pieces / one["quantity"]).quantize(Decimal("0.01"))
        taxes = [
            {
                "id": tax["id"],
                "refund_total": (Decimal(tax["total"]) * pieces / one["quantity"]).quantize(Decimal("0.01")),
            }
            for tax in one["taxes"]
        ]
        lines.append({"id": one["id"], "quantity": pieces, "refund_total": net, "refund_tax": taxes})
        amount += net + sum((tax["refund_total"] for tax in taxes), Decimal(0))
        break
    return refund(store, number, {"amount": str(amount), "line_items": lines}, actor="staff")
