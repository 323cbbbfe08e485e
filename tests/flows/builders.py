"""Raw rows of Counterpoint and of WooCommerce, as small as the mappings allow, and the settings of a little shop."""

from datetime import timedelta
from typing import Any

from processors.rules.documents import Site
from processors.shop import Shelves, Shop

Row = dict[str, Any]
BEGUN = "2026-01-05T09:00:00"  # FakeClock's first moment.
PLACED = "2026-01-05T10:00:00"


def site(store_id: str, **facts: Any) -> Site:
    given: Row = {
        "store_id": store_id,
        "when": "paid",
        "prefix": f"{store_id[0].upper()}-",
        "store": f"WEB{store_id[0].upper()}",
        "station": "1",
        "drawer": "1",
        "user": "WEB",
        "tax_code": "WEB",
        "tax_authority": "WEB",
        "tax_rule": "TAX",
        "misc_charge_no": "1",
        "pay_codes": {"*": "CARD"},
        "currency": "USD",
        "takes_suggestion": False,
    }
    return Site(**given | facts)


def shop(*, sites: Row | None = None, buffers: dict[str, int] | None = None, **facts: Any) -> Shop:
    """A Counterpoint with the locations MAIN and WEB, and the stores north (from both) and south (from MAIN)."""
    given: Row = {
        "sites": {name: site(name, **(sites or {})) for name in ("north", "south")},
        "shelves": {
            "north": Shelves(locations=("MAIN", "WEB"), buffer=0, buffers=buffers or {}),
            "south": Shelves(locations=("MAIN",), buffer=0, buffers={}),
        },
        "orders_commit_stock": True,
        "lease": timedelta(seconds=60),
        "drift": timedelta(seconds=15),
    }
    return Shop(**given | facts)


def customer(cust_no: str, email: str, **columns: Any) -> Row:
    """A row of AR_CUST."""
    row: Row = dict.fromkeys(("PHONE_1", "ADRS_1", "ADRS_2", "CITY", "STATE", "ZIP_COD", "CNTRY"))
    names = {"NAM": "Ana Adler", "FST_NAM": "Ana", "LST_NAM": "Adler"}
    return row | names | {"CUST_NO": cust_no, "EMAIL_ADRS_1": email, "IS_ECOMM_CUST": "Y"} | columns


def account(account_id: int, email: str, *, at: str = PLACED, meta: Row | None = None, **fields: Any) -> Row:
    """A WooCommerce customer."""
    row = {"id": account_id, "email": email, "first_name": "Ana", "last_name": "Adler", "date_modified_gmt": at}
    row |= {"billing": {"phone": fields.pop("phone", "")} | fields.pop("billing", {}), "shipping": {}}
    return row | {"meta_data": [{"key": key, "value": value} for key, value in (meta or {}).items()]} | fields


def item(item_no: str, **columns: Any) -> Row:
    """A row of IM_ITEM."""
    row = {"ITEM_NO": item_no, "DESCR": "Mug", "IS_ECOMM_ITEM": "Y", "STAT": "A", "PRC_DECS": 2, "CATEG_COD": "MUGS"}
    return row | columns


def stock(item_no: str, on_hand: float, committed: float = 0, location: str = "MAIN") -> Row:
    """A row of IM_INV."""
    return {"ITEM_NO": item_no, "LOC_ID": location, "QTY_ON_HND": on_hand, "QTY_COMMIT": committed}


def document(doc_id: str, marker: str, cust_no: str, **columns: Any) -> Row:
    """A row of PS_DOC_HDR."""
    row = {"DOC_ID": doc_id, "DOC_TYP": "O", "TKT_NO": doc_id, "CUST_NO": cust_no, "CUST_PO_NO": marker}
    return row | {"STR_ID": f"WEB{marker[0]}", "STA_ID": "1", "STK_LOC_ID": "MAIN"} | columns


def product(product_id: int, sku: str, quantity: int | None) -> Row:
    """A WooCommerce product."""
    return {"id": product_id, "sku": sku, "manage_stock": quantity is not None, "stock_quantity": quantity}


def line(sku: str, quantity: int = 1, total: str = "10.00") -> Row:
    """A line of a WooCommerce order."""
    amounts = {"subtotal": total, "total": total, "total_tax": "0.00"}
    return {"id": 1, "sku": sku, "name": f"A {sku}", "quantity": quantity} | amounts


def order(order_id: int, email: str | None, *lines: Row, **fields: Any) -> Row:
    """A WooCommerce order, paid, whose lines are all there is to pay."""
    found = lines or (line("MUG"),)
    total = sum(float(one["total"]) for one in found)
    row = {
        "id": order_id,
        "number": str(order_id),
        "status": "processing",
        "currency": "USD",
        "customer_id": 0,
        "billing": {"first_name": "Ana", "last_name": "Adler", "email": email},
        "line_items": list(found),
        "shipping_total": "0.00",
        "total_tax": "0.00",
        "total": f"{total:.2f}",
        "date_paid_gmt": PLACED,
        "date_created_gmt": PLACED,
        "payment_method": "stripe",
    }
    return row | fields
