"""What the REST API takes: the type of each parameter, and what a wrong one gets (W-7, W-50, W-51, W-66)."""

from collections.abc import Callable, Mapping
from typing import Any

from sandbox.woocommerce.store import Refused

STATUSES = (
    *("auto-draft", "pending", "processing", "on-hold", "completed"),
    *("cancelled", "refunded", "failed", "checkout-draft"),
)  # W-66

Kind = str | tuple[str, ...]  # A type's name, or the values there are.
TYPES: dict[str, dict[str, Kind]] = {
    "customers": {
        **dict.fromkeys(("email", "first_name", "last_name", "username", "password"), "string"),
        **{"billing": "object", "shipping": "object", "meta_data": "array"},
    },
    "products": {
        **dict.fromkeys(("name", "sku", "regular_price", "sale_price", "description", "short_description"), "string"),
        **{
            "manage_stock": "boolean",
            "stock_quantity": "integer or null",
            "low_stock_amount": "integer or null",
        },
        **{"backorders": ("no", "notify", "yes"), "type": ("simple", "grouped", "external", "variable")},
        **{"status": ("draft", "pending", "private", "publish", "future", "auto-draft", "trash")},
        **dict.fromkeys(("meta_data", "images", "categories"), "array"),
    },
    "orders": {
        **{
            "status": STATUSES,
            "customer_id": "integer",
            "set_paid": "boolean",
            "billing": "object",
            "shipping": "object",
        },
        **dict.fromkeys(("payment_method", "payment_method_title", "currency", "customer_note"), "string"),
        **dict.fromkeys(("line_items", "shipping_lines", "fee_lines", "coupon_lines", "meta_data"), "array"),
    },
    "line_items": {
        **{"product_id": "integer", "variation_id": "integer", "quantity": "integer", "meta_data": "array"},
        **{"subtotal": "string", "total": "string"},
    },
    "coupons": {
        **{"code": "string", "amount": "string", "description": "string", "meta_data": "array"},
        **{"discount_type": ("percent", "fixed_cart", "fixed_product")},
    },
    "webhooks": {
        **dict.fromkeys(("name", "topic", "delivery_url", "secret"), "string"),
        **{"status": ("active", "paused", "disabled")},
    },
    "notes": {"note": "string", "customer_note": "boolean"},
    "refunds": {"amount": "string", "reason": "string", "api_refund": "boolean", "api_restock": "boolean"},
}


def clean(table: str, given: Any) -> dict[str, Any]:
    """Give the parameters with their numbers and switches as such.

    Raises:
        Refused: One or more have the wrong type or value; all of them are named.
    """
    if not isinstance(given, dict):
        raise _refusal({"": ("rest_invalid_type", "The item is not of type object.")})
    cleaned, wrong = dict(given), dict[str, tuple[str, str]]()
    for name, kind in TYPES[table].items():
        if name not in given:
            continue
        try:
            cleaned[name] = _typed(given[name], kind)
        except ValueError:
            wrong[name] = _complaint(name, kind)
    if wrong:
        raise _refusal(wrong)
    if table == "orders" and "line_items" in cleaned:
        cleaned["line_items"] = [clean("line_items", one) for one in cleaned["line_items"]]
    return cleaned


def _typed(value: Any, kind: Kind) -> Any:
    """Give the value as this type. Raises ValueError if it is of another."""
    if isinstance(kind, tuple):
        return _one_of(value, kind)
    return CONVERT[kind](value)


def _one_of(value: Any, values: tuple[Any, ...]) -> Any:
    if value not in values:
        raise ValueError
    return value


def _integer(value: Any) -> int:
    """Read a whole number; the text "7" is one too (W-51)."""
    if isinstance(value, bool | list | dict) or value is None or (isinstance(value, float) and value % 1):
        raise ValueError
    return int(value)


def _boolean(value: Any) -> bool:
    return _one_of(value, (True, False, "true", "false", "1", "0")) in (True, "true", "1")


def _instance(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise ValueError
    return value


def _array(value: Any) -> Any:
    """Read a list; every list of this API holds objects."""
    return [_instance(one, dict) for one in _instance(value, list)]


CONVERT: dict[str, Callable[[Any], Any]] = {
    "string": lambda value: _instance(value, str),
    "integer": _integer,
    "integer or null": lambda value: None if value is None else _integer(value),
    "boolean": _boolean,
    "object": lambda value: _instance(value, dict),
    "array": _array,
}


def _complaint(name: str, kind: Kind) -> tuple[str, str]:
    if isinstance(kind, tuple):
        return "rest_not_in_enum", f"{name} is not one of {', '.join(kind[:-1])}, and {kind[-1]}."
    return "rest_invalid_type", f"{name} is not of type {kind.replace(' or ', ',')}."


def _refusal(wrong: Mapping[str, tuple[str, str]]) -> Refused:
    params = {name: text for name, (_, text) in wrong.items()}
    details = {name: {"code": code, "message": text, "data": None} for name, (code, text) in wrong.items()}
    return Refused(
        400, "rest_invalid_param", f"Invalid parameter(s): {', '.join(wrong)}", params=params, details=details
    )
