"""Our commands -> the API's requests, and what its answers mean. Pure."""

from collections.abc import Mapping
from typing import Any

from schemas.commands import SetStock


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
