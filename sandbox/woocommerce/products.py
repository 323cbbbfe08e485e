"""Products and their stock: W-50 to W-58."""

from collections.abc import Mapping
from typing import Any

from sandbox.woocommerce import store as shop
from sandbox.woocommerce.store import ADMINISTRATOR, Refused, Row, Store

FIELDS = ("name", "sku", "description", "short_description", "status", "type", "regular_price", "sale_price")
LOW_STOCK = 2  # Where a product does not name its own amount.


def create(store: Store, given: Mapping[str, Any], *, actor: str = "api") -> Row:
    """Create a product."""
    row = load(store, given)
    store.note(actor, "product", row["id"], sku=row["sku"], quantity=row["stock_quantity"], created=True)
    store.changed("product", "created", row["id"])
    return row


def load(store: Store, given: Mapping[str, Any]) -> Row:
    """Enter a product: no web hook, no journal."""
    _check_sku(store, str(given.get("sku") or ""), holder=0)
    row: Row = dict.fromkeys(FIELDS, "") | {"id": store.next_id(), "status": "publish", "type": "simple"}
    row |= {
        "price": "",
        "manage_stock": False,
        "stock_quantity": None,
        "backorders": "no",
        "low_stock_amount": None,
    }
    row |= {"stock_status": "instock", "meta_data": [], "categories": [], "images": []}
    _apply(store, row, given)
    shop.born(row)
    store.tables["products"][row["id"]] = row
    return row


def update(store: Store, number: int, given: Mapping[str, Any], *, actor: str = "api") -> Row:
    """Change a product. A stock quantity is journaled by SKU, also one that was there already."""
    row = store.tables["products"].get(number)
    if row is None:
        raise store.unknown("products", 400)  # W-84: 400 on an update.
    if "sku" in given:
        _check_sku(store, str(given["sku"]), holder=number)
    before = row["stock_quantity"]
    _apply(store, row, given)
    shop.touch(row)
    if "stock_quantity" in given:
        now = row["stock_quantity"]
        store.note(actor, "stock", row["sku"], quantity=now, product_id=number, changed=now != before)
    else:
        store.note(actor, "product", number, sku=row["sku"], fields=sorted(given))
    store.changed("product", "updated", number)
    return row


def trash(store: Store, number: int, *, actor: str = "api") -> Row:
    """Put a product in the trash: it can be read by its id, and its SKU is free."""
    row = store.row("products", number)
    _free_sku(store, row)
    row["status"] = "trash"
    shop.touch(row)
    store.note(actor, "product", number, sku=row["sku"], deleted=True)
    store.changed("product", "deleted", number)
    return row


def delete(store: Store, number: int, *, actor: str = "api") -> Row:
    """Delete a product for good."""
    row = trash(store, number, actor=actor)
    del store.tables["products"][number]
    return row


def take_stock(store: Store, number: int, quantity: int) -> None:
    """Take pieces off a product's stock, or put them back (below 0), as an order or a cancellation does."""
    row = store.tables["products"].get(number)
    if row is None or not row["manage_stock"]:
        return
    before = row["stock_quantity"]
    _set_stock(row, before - quantity)
    shop.touch(row)
    low = LOW_STOCK if row["low_stock_amount"] is None else row["low_stock_amount"]
    if not store.is_new and before > low >= row["stock_quantity"]:
        store.mail(ADMINISTRATOR, "Product low in stock")  # W-69: seen on the older version.
    store.changed("product", "updated", number)


def is_short(row: Row, quantity: int) -> bool:
    """Tell whether a checkout for this many must be refused."""
    return bool(row["manage_stock"] and row["backorders"] == "no" and row["stock_quantity"] < quantity)


def _check_sku(store: Store, sku: str, *, holder: int) -> None:
    found = store.products_by_sku.get(sku)
    if sku and found not in {None, holder}:  # W-52
        free = next(f"{sku}-{n}" for n in range(1, 1000) if f"{sku}-{n}" not in store.products_by_sku)
        text = "Invalid or duplicated SKU."
        raise Refused(400, "product_invalid_sku", text, resource_id=found, unique_sku=free)


def _free_sku(store: Store, row: Row) -> None:
    """Give a product's SKU free, unless another one has it by now."""
    if store.products_by_sku.get(row["sku"]) == row["id"]:
        del store.products_by_sku[row["sku"]]


def _apply(store: Store, row: Row, given: Mapping[str, Any]) -> None:
    if "images" in given:
        row["images"] = [_image(store, one) for one in given["images"] or []]  # May refuse: before all else.
    if given.get("sku", row["sku"]) != row["sku"]:
        _free_sku(store, row)
    row.update({name: str(given[name]) for name in (*FIELDS, "backorders") if name in given})
    row.update({name: given[name] for name in ("categories", "low_stock_amount") if name in given})
    row["manage_stock"] = bool(given.get("manage_stock", row["manage_stock"]))
    if not row["manage_stock"]:
        row["stock_quantity"] = None  # W-58: a quantity is ignored where the stock is not managed.
    elif "stock_quantity" in given or row["stock_quantity"] is None:
        _set_stock(row, int(given.get("stock_quantity") or 0))
    row["price"] = row["sale_price"] or row["regular_price"]  # W-54
    if row["sku"] and row["status"] != "trash":
        store.products_by_sku[row["sku"]] = row["id"]
    shop.merge_meta(store, row, given.get("meta_data") or [])


def _set_stock(row: Row, quantity: int) -> None:
    row["stock_quantity"] = quantity
    is_there = quantity > 0 or row["backorders"] != "no"
    row["stock_status"] = "instock" if is_there else "outofstock"


def _image(store: Store, given: Mapping[str, Any]) -> Row:
    source = str(given.get("src", ""))
    if source and not store.may_reach(source):  # W-57: the whole product fails.
        text = f"Error getting remote image {source}. A valid URL was not provided."
        raise Refused(400, "woocommerce_product_image_upload_error", text)
    return {"id": given.get("id") or store.next_id(), "src": source}
