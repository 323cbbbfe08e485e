"""WooCommerce's JSON -> our records. Pure.

Line totals come net of tax and after every discount, coupons too (W-61): a coupon is never subtracted again.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

from counterflow.errors import Rejected
from counterflow.systems.woocommerce import texts
from schemas.loyalty import CARD, PointsMoved
from schemas.names import POINTS, RETURN
from schemas.records import (
    Address,
    Coupon,
    Customer,
    Order,
    OrderLine,
    Product,
    Record,
    Refund,
    RefundLine,
    TaxLine,
    Tender,
)

GIFT_CARD = "gift_card"  # The tender's method: orders.pay_codes names its pay code.
CARDS_PAID = "counterflow_gift_card"  # Our plugin's: a list of {number, cents}, as text.
TRACKING = "_wc_shipment_tracking_items"
# Our own keys of a customer's meta data: none begins with an underscore, which would be dropped silently (W-42).
POS_ID, MARKETING, GROUP = "counterpoint_cust_no", "counterflow_marketing", "counterflow_group"
Status = Literal["draft", "pending", "on-hold", "processing", "completed", "cancelled", "refunded", "failed"]
STATUSES: dict[str, Status] = {
    "auto-draft": "draft",
    "checkout-draft": "draft",
    "pending": "pending",
    "on-hold": "on-hold",
    "processing": "processing",
    "completed": "completed",
    "cancelled": "cancelled",
    "trash": "cancelled",
    "refunded": "refunded",
    "failed": "failed",
}
# Digits behind the point where they are not two (ISO 4217).
DIGITS = dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0)
DIGITS |= dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3)


def read(entity: str, row: bytes) -> Record:
    """Read one row of the API.

    Raises:
        Rejected: It is not JSON, a field is missing or of the wrong form; the message names record and field.
    """
    try:
        values = texts.decoded(msgspec.json.decode(row))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Rejected(f"WooCommerce {entity}: the row is not JSON: {error}") from error
    mapping = _ENTITIES.get(entity)
    if mapping is None or not isinstance(values, dict):
        raise Rejected(f"WooCommerce {entity}: no such resource, or no row")
    try:
        return mapping(values)
    except KeyError as error:
        raise Rejected(f"WooCommerce {entity} {values.get('id')}: no field {error.args[0]}") from error
    except (TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise Rejected(f"WooCommerce {entity} {values.get('id')}: {error!r}") from error


def _time(values: Mapping[str, Any], name: str) -> datetime | None:
    text = values.get(name)
    return datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None  # No zone, UTC (W-12).


def _email(text: str | None) -> str | None:
    return (text or "").strip().lower() or None


def _address(values: Mapping[str, Any] | None) -> Address:
    given = {name: str(value or "") for name, value in (values or {}).items()}
    return Address(
        first_name=given.get("first_name", ""),
        last_name=given.get("last_name", ""),
        company=given.get("company", "").strip(),
        line_1=given.get("address_1", ""),
        line_2=given.get("address_2", ""),
        city=given.get("city", ""),
        state=given.get("state", ""),
        postcode=given.get("postcode", ""),
        country=given.get("country", ""),
        phone=given.get("phone", ""),
        email=_email(given.get("email")) or "",
    )


def _customer(values: Mapping[str, Any]) -> Customer:
    billing = _address(values.get("billing"))
    meta = {str(one.get("key")): str(one.get("value") or "") for one in values.get("meta_data") or []}
    return Customer(
        key=str(values["id"]),
        changed_at=_time(values, "date_modified_gmt"),
        made_at=_time(values, "date_created_gmt"),
        email=_email(values["email"]),
        first_name=str(values.get("first_name") or billing.first_name),
        last_name=str(values.get("last_name") or billing.last_name),
        company=billing.company,
        phone=billing.phone,
        is_ecommerce=True,
        billing=billing,
        shipping=_address(values.get("shipping")),
        marketing={"yes": True, "no": False}.get(meta.get(MARKETING, "")),
        group=meta.get(GROUP),
        pos_id=meta.get(POS_ID, ""),
        is_paying=bool(values.get("is_paying_customer")),
    )


def _product(values: Mapping[str, Any]) -> Product:
    stock = values.get("stock_quantity")
    return Product(
        key=str(values["id"]),
        changed_at=_time(values, "date_modified_gmt"),
        sku=str(values["sku"]).strip(),
        manages_stock=bool(values["manage_stock"]),
        stock=None if stock is None else int(stock),
    )


def _order(values: Mapping[str, Any]) -> Order:
    currency = str(values["currency"])
    digits = DIGITS.get(currency, 2)
    placed_at = _time(values, "date_created_gmt")
    if placed_at is None:
        raise ValueError("date_created_gmt is empty")

    def amount(text: Any) -> int:
        minor = Decimal(str(text or 0)).scaleb(digits)
        if minor != minor.to_integral_value():
            raise ValueError(f"amount {text!r} has more digits than {currency} has")
        return int(minor)

    fees = [amount(fee["total"]) for fee in values.get("fee_lines") or []]
    cards = _gift_cards(values, amount)
    status = STATUSES.get(str(values["status"]), "on-hold")  # A status of some plugin's own: not paid, not done.
    return Order(
        key=str(values["id"]),
        changed_at=_time(values, "date_modified_gmt"),
        number=str(values["number"]),
        status=status,
        currency=currency,
        minor_digits=digits,
        account_id=str(values["customer_id"]) if values["customer_id"] else None,
        email=_email(values["billing"].get("email")),
        billing=_address(values["billing"]),
        shipping_to=_address(values.get("shipping")),
        lines=tuple(_line(line, amount) for line in values["line_items"]),
        shipping=amount(values["shipping_total"]),
        fees=sum(fee for fee in fees if fee > 0),
        discount=-sum(fee for fee in fees if fee < 0),  # Many shops' way of a discount on the whole order.
        taxes=tuple(
            TaxLine(
                name=str(tax.get("rate_code") or tax.get("label") or ""),
                tax=amount(tax["tax_total"]) + amount(tax["shipping_tax_total"]),
                taxable=_taxable(values, tax.get("rate_id"), amount),
            )
            for tax in values.get("tax_lines") or []
        ),
        tax=amount(values["total_tax"]),
        total=amount(values["total"]) + sum(card.amount for card in cards),
        tenders=cards,
        coupons=tuple(
            Coupon(code=str(one["code"]), discount=amount(one["discount"])) for one in values.get("coupon_lines") or []
        ),
        refunds=tuple(_refund(one, amount) for one in values.get("refunds") or []),
        is_paid=bool(values.get("date_paid_gmt")),
        payment_method=str(values.get("payment_method") or ""),
        tracking=_tracking(values),
        placed_at=placed_at,
    )


def _tracking(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Read the tracking numbers of the Shipment Tracking extension, which shipping services fill too: not verified."""
    found = next((one.get("value") for one in values.get("meta_data") or [] if one.get("key") == TRACKING), None)
    # The extension's own list, or what PHP makes of one that something was taken out of; another value tells nothing.
    items = list(found.values()) if isinstance(found, dict) else found if isinstance(found, list) else []
    numbers = (str(one.get("tracking_number") or "").strip() for one in items if isinstance(one, dict))
    return tuple(dict.fromkeys(one for one in numbers if one))


def _gift_cards(values: Mapping[str, Any], amount: Callable[[Any], int]) -> tuple[Tender, ...]:
    """Read the gift cards that paid: the order's total is what is left to pay (storefronts 1.7).

    Those of the Gift Cards extension stand in a list of their own, those of our companion plugin in the meta data.
    """
    found = [(str(card["code"]), amount(card["amount"])) for card in values.get("gift_cards") or []]
    meta = [one.get("value") for one in values.get("meta_data") or [] if one.get("key") == CARDS_PAID]
    for text in meta:
        found += [(str(card["number"]), int(card["cents"])) for card in texts.inner(text) or []]
    return tuple(Tender(method=GIFT_CARD, amount=cents, card_no=number) for number, cents in found if cents)


def _refund(values: Mapping[str, Any], amount: Callable[[Any], int]) -> Refund:
    """Read a refund: the order's own list has its total below 0, its own route the parts, below 0 too (W-72)."""
    shipping = values.get("shipping_lines") or []
    return Refund(
        refund_id=str(values["id"]),
        amount=amount(values["amount"]) if "amount" in values else -amount(values["total"]),
        lines=tuple(
            RefundLine(
                line_id=refunded_line(line),
                quantity=-int(line["quantity"]),
                net=-amount(line["total"]),
                tax=-amount(line["total_tax"]),
            )
            for line in values.get("line_items") or []
        ),
        shipping=-sum(amount(one["total"]) for one in shipping),
        shipping_tax=-sum(amount(one["total_tax"]) for one in shipping),
        reference=return_reference(values),
    )


def return_reference(values: Mapping[str, Any]) -> str:
    """Give the return ticket that a refund's decoded row records; "" where it records none."""
    reason = str(values.get("reason") or "").strip()
    return reason.removeprefix(RETURN).strip() if reason.startswith(RETURN) else ""


def refunded_line(line: Mapping[str, Any]) -> str:
    """Give the line of the order that a refund's line is of."""
    meta = {str(one.get("key")): str(one.get("value")) for one in line.get("meta_data") or []}
    return meta.get("_refunded_item_id", str(line["id"]))


def _taxable(values: Mapping[str, Any], rate_id: Any, amount: Callable[[Any], int]) -> int | None:
    """Give what a tax was charged on: the parts of the order that name its rate; None where no part does."""
    parts = [one for kind in ("line_items", "shipping_lines", "fee_lines") for one in values.get(kind) or []]
    taxed = [
        one for one in parts if any(tax.get("id") == rate_id and tax.get("total") for tax in one.get("taxes") or [])
    ]
    return sum(amount(one["total"]) for one in taxed) if taxed else None


def _line(line: Mapping[str, Any], amount: Callable[[Any], int]) -> OrderLine:
    quantity = Decimal(str(line["quantity"]))
    if quantity != quantity.to_integral_value():
        raise ValueError(f"line {line['id']}: quantity {quantity} is not whole")
    return OrderLine(
        line_id=str(line["id"]),
        sku=str(line.get("sku") or "").strip(),
        name=str(line.get("name") or ""),
        quantity=int(quantity),
        regular=amount(line["subtotal"]),
        net=amount(line["total"]),
        tax=amount(line["total_tax"]),
    )


def _points(values: Mapping[str, Any]) -> PointsMoved:
    """Read a transaction as our companion plugin lists it: of points, or of a gift card."""
    if "number" in values:
        return PointsMoved(
            key=f"card-{int(values['id'])}",
            changed_at=_time(values, "created_gmt"),
            account_id=f"{CARD}{values['number']}",
            points=int(values["cents"]),
            reference=str(values.get("reference") or ""),
            order_id=str(values.get("order") or ""),
        )
    return PointsMoved(
        key=str(int(values["id"])),
        changed_at=_time(values, "created_gmt"),
        account_id=str(int(values["user"])),
        points=int(values["points"]),
        reference=str(values.get("reference") or ""),
    )


_ENTITIES: dict[str, Callable[[Mapping[str, Any]], Record]] = {
    "customers": _customer,
    "products": _product,
    "orders": _order,
    POINTS: _points,
}
