"""Coupons: W-61, W-67, W-73."""

from collections.abc import Mapping
from typing import Any

from sandbox.woocommerce import store as shop
from sandbox.woocommerce.store import Refused, Row, Store

FIELDS = ("amount", "discount_type", "description")


def create(store: Store, given: Mapping[str, Any]) -> Row:
    """Create a coupon; its code is kept in small letters."""
    code = str(given.get("code") or "").lower()
    if not code:
        raise shop.missing("code")
    if find(store, code):  # W-73
        text = "The coupon code already exists"
        raise Refused(400, "woocommerce_rest_coupon_code_already_exists", text)
    row: Row = {"id": store.next_id(), "code": code, "amount": "0.00", "discount_type": "fixed_cart"}
    row |= {"description": "", "meta_data": []}
    row |= {name: str(given[name]) for name in FIELDS if name in given}
    shop.merge_meta(store, row, given.get("meta_data") or [])
    shop.born(row)
    store.tables["coupons"][row["id"]] = row
    store.changed("coupon", "created", row["id"])
    return row


def update(store: Store, number: int, given: Mapping[str, Any]) -> Row:
    """Change a coupon."""
    row = store.row("coupons", number)
    row.update({name: str(given[name]) for name in FIELDS if name in given})
    shop.merge_meta(store, row, given.get("meta_data") or [])
    shop.touch(row)
    store.changed("coupon", "updated", number)
    return row


def delete(store: Store, number: int) -> Row:
    """Delete a coupon for good."""
    row = store.row("coupons", number)
    del store.tables["coupons"][number]
    store.changed("coupon", "deleted", number)
    return row


def find(store: Store, code: str) -> Row | None:
    """Give the coupon with this code, in any capitals."""
    wanted = code.lower()
    return next((one for one in store.tables["coupons"].values() if one["code"] == wanted), None)
