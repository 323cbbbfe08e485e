"""Our commands -> the API's requests, and what its answers mean. Pure."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from counterflow.systems.woocommerce import texts
from counterflow.systems.woocommerce.read import GROUP, MARKETING, POS_ID, refunded_line
from schemas.commands import CreateAccount, Profile, RecordReturn, SetStock, Shipment, UpdateOrder
from schemas.names import RETURN
from schemas.profiles import FIELDS as ALL_FIELDS
from schemas.profiles import of_profile
from schemas.records import Postal

HOLDS = {
    "on": "The order is on hold in Counterpoint and needs attention there.",
    "off": "The order goes on in Counterpoint.",
}
SHIPMENTS = "counterflow_shipments"  # Our own key of an order's meta data.
MAY_COMPLETE = frozenset({"pending", "on-hold", "processing"})  # A status only moves forward, and out of no end.
FIELDS = frozenset({*ALL_FIELDS, "pos_id"})
LENGTHS: dict[str, int] = {}
_META = {"marketing": MARKETING, "group": GROUP, "pos_id": POS_ID}
_LINES = {"line_1": "address_1", "line_2": "address_2"}  # The other lines have the same names.


def stock_update(wanted: SetStock) -> dict[str, Any]:
    """Give one item of a products batch. manage_stock goes with it, or the quantity would be ignored (W-58)."""
    return {"id": int(wanted.product_id), "manage_stock": True, "stock_quantity": wanted.quantity}


def stock_result(wanted: SetStock, row: Mapping[str, Any]) -> tuple[str, str]:
    """Say what one item's answer means: result and message (W-84)."""
    error = row.get("error")
    if error:
        code = str(error.get("code", ""))
        if "invalid_id" in code:
            return "rejected", f"product {wanted.product_id} ({wanted.sku}) is gone from the store"
        return "rejected", f"product {wanted.product_id} ({wanted.sku}): {code}"
    if not row:
        return "waiting", f"product {wanted.product_id} ({wanted.sku}) is not in the store's answer"
    if row.get("stock_quantity") != wanted.quantity:
        return "waiting", f"product {wanted.product_id} ({wanted.sku}): the store answered {row.get('stock_quantity')}"
    return "applied", ""


def order_changes(wanted: UpdateOrder, row: Mapping[str, Any]) -> dict[str, Any]:
    """Give the body of PUT /orders/{id}; empty where the order says it all already."""
    text = msgspec.json.encode([_told(one) for one in wanted.shipments]).decode()
    before = next((one.get("value") for one in row.get("meta_data") or [] if one.get("key") == SHIPMENTS), None)
    is_told = before == text or (before is None and not wanted.shipments)
    found: dict[str, Any] = {} if is_told else {"meta_data": [{"key": SHIPMENTS, "value": text}]}
    if wanted.status == "completed" and row.get("status") in MAY_COMPLETE:
        found["status"] = wanted.status
    return found


def shipment_note(shipment: Shipment) -> str:
    """Say what left, for people; it begins with the ticket's number."""
    what = ", ".join(f"{one.quantity} x {one.name or one.sku}" for one in shipment.lines)
    tracking = f" Tracking: {', '.join(shipment.tracking)}." if shipment.tracking else ""
    return f"Shipment {shipment.reference}: {what}.{tracking}"


def is_noted(shipment: Shipment, notes: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether a note tells of a shipment and all its tracking numbers, whatever the store made of its signs."""
    mine = [text for text in map(_plain, notes) if text.startswith(f"Shipment {shipment.reference}:")]
    return any(all(number in text for number in shipment.tracking) for text in mine)


def order_notes(wanted: UpdateOrder, notes: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Give the bodies of the notes that an order lacks, each by what it is about."""
    found = {
        one.reference: {"note": shipment_note(one), "customer_note": wanted.tells_shopper}
        for one in wanted.shipments
        if not is_noted(one, notes)
    }
    about = [one for one in notes if _plain(one) in HOLDS.values()]
    last = _plain(max(about, key=lambda one: int(one["id"]))) if about else ""
    if wanted.hold and HOLDS[wanted.hold] != last:
        found["hold"] = {"note": HOLDS[wanted.hold], "customer_note": False}
    return found


def _plain(note: Mapping[str, Any]) -> str:
    return texts.text(str(note.get("note", "")))


def claim(reference: str) -> str:
    """Give the key of an order's meta data under which we say that we are about to record a return."""
    return f"counterflow_return_{reference}"


def claimed_at(wanted: RecordReturn, order: Mapping[str, Any]) -> str:
    """Give when we last were; "" where we never were."""
    key = claim(wanted.reference)
    return next((str(one.get("value")) for one in order.get("meta_data") or [] if one.get("key") == key), "")


def refund(wanted: RecordReturn, order: Mapping[str, Any], refunds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Give the body of POST /orders/{id}/refunds that records a return: no money, no stock moves (storefronts 1.6).

    A line's tax is divided over its rates by what each has left, so that no rate gives back more than it took.
    """
    rows = {str(one["id"]): one for one in order.get("line_items") or []}
    lines = []
    for line in wanted.lines:
        left = {int(one["id"]): _minor(one, wanted) for one in rows[line.line_id].get("taxes") or []}
        for one in (part for refund in refunds for part in refund.get("line_items") or []):
            for tax in one.get("taxes") or [] if refunded_line(one) == line.line_id else ():
                left[int(tax["id"])] = left.get(int(tax["id"]), 0) + _minor(tax, wanted)  # Below 0.
        taxes = _split(line.tax, left)
        lines.append(
            {
                "id": int(line.line_id),
                "quantity": line.quantity,
                "refund_total": _amount(line.net, wanted),
                "refund_tax": [{"id": rate, "refund_total": _amount(minor, wanted)} for rate, minor in taxes],
            }
        )
    amount = sum(line.net + line.tax for line in wanted.lines)
    flags = {"api_refund": False, "api_restock": False}
    return {"amount": _amount(amount, wanted), "reason": f"{RETURN}{wanted.reference}", "line_items": lines} | flags


def _split(tax: int, left: Mapping[int, int]) -> list[tuple[int, int]]:
    """Divide a tax over rates by what each has left: whole units, then one each where there is room."""
    rates = {rate: minor for rate, minor in left.items() if minor > 0}
    whole = sum(rates.values())
    shares = {rate: min(minor, tax * minor // whole) for rate, minor in rates.items()}
    for rate in sorted(rates, key=lambda one: -(tax * rates[one] % whole)):
        if sum(shares.values()) < tax and shares[rate] < rates[rate]:
            shares[rate] += 1
    return list(shares.items())


def _minor(tax: Mapping[str, Any], wanted: RecordReturn) -> int:
    return int(Decimal(str(tax.get("total") or 0)).scaleb(wanted.minor_digits).to_integral_value())


def _amount(minor: int, wanted: RecordReturn) -> str:
    return format(Decimal(minor).scaleb(-wanted.minor_digits), "f")


def _told(shipment: Shipment) -> dict[str, Any]:
    lines = [{"line": one.line_id, "sku": one.sku, "quantity": one.quantity} for one in shipment.lines]
    return {"reference": shipment.reference, "lines": lines, "tracking": list(shipment.tracking)}


def account_changes(wanted: Profile) -> dict[str, Any]:
    """Give the body of PUT /customers/{id}: what is not in it is left as it is."""
    found: dict[str, Any] = {}
    for name, value in of_profile(wanted).items():
        if name in _META:
            text = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
            found.setdefault("meta_data", []).append({"key": _META[name], "value": text})
        elif isinstance(value, Postal):
            found.setdefault(name, {}).update(_address(value))
        elif name == "phone":
            found.setdefault("billing", {})["phone"] = value
        else:
            found[name] = value
    return found


def new_account(wanted: CreateAccount) -> dict[str, Any]:
    """Give the body of POST /customers, which mails the new account's owner (W-36)."""
    body = account_changes(wanted.fields)
    names: dict[str, Any] = {name: body[name] for name in ("first_name", "last_name") if name in body}
    if wanted.company:
        names["company"] = wanted.company
    body["billing"] = {"email": wanted.email} | names | body.get("billing", {})
    meta = [one for one in body.get("meta_data", []) if one["key"] != POS_ID]
    own = [{"key": POS_ID, "value": wanted.pos_id}] if wanted.pos_id else []
    return body | {"email": wanted.email, "meta_data": [*meta, *own]}


def _address(address: Postal) -> dict[str, str]:
    return {_LINES.get(line, line): getattr(address, line) for line in Postal.__struct_fields__}
