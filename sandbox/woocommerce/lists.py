"""Lists: filters, order, pages and their headers (W-31 to W-34, W-53, W-56, W-80 to W-83)."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from urllib.parse import urlencode

from sandbox.woocommerce.parameters import STATUSES
from sandbox.woocommerce.store import Row, Store, invalid

PER_PAGE_MAX = 100
COLUMNS = {"modified": "date_modified_gmt", "date": "date_created_gmt", "registered_date": "date_created_gmt"}
ORDERS_BY = {
    "customers": ("id", "include", "name", "registered_date"),  # W-34: no "modified".
    "products": (
        "date",
        "id",
        "include",
        "title",
        "slug",
        "modified",
        "price",
        "popularity",
        "rating",
        "menu_order",
    ),
    "orders": ("date", "id", "include", "title", "slug", "modified"),
    "coupons": ("date", "id", "include", "title", "slug", "modified"),
    "webhooks": ("date", "id", "title"),
}
DEFAULTS = {"orders": {"status[0]": "any", "dp": "2"}}
Query = Mapping[str, str]
Keep = Callable[[Row], bool]


def query_of(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Give the parameters by name; a list's items, `status[]=a` or `status[0]=a`, as one text with commas."""
    query: dict[str, str] = {}
    for name, text in pairs:
        bare = re.sub(r"\[\d*\]$", "", name)
        query[bare] = f"{query[bare]},{text}" if bare != name and bare in query else text
    return query


def page(store: Store, table: str, query: Query) -> tuple[list[Row], dict[str, str]]:
    """Give one page of a table, and its headers."""
    per_page, number = _whole(query, "per_page", 10), _whole(query, "page", 1)
    if not 1 <= per_page <= PER_PAGE_MAX:  # W-81
        text = f"per_page must be between 1 (inclusive) and {PER_PAGE_MAX} (inclusive)"
        raise invalid("per_page", text, "rest_out_of_bounds")
    if number < 1:
        raise invalid("page", "page must be greater than or equal to 1", "rest_out_of_bounds")
    rows = _sorted(table, list(_kept(store, table, query)), query)
    total, pages = len(rows), math.ceil(len(rows) / per_page)
    link = _link(store, table, {**query, "per_page": str(per_page)}, (number, pages))
    found = rows[(number - 1) * per_page : number * per_page]
    if not found and number > 1 and store.is_new and table == "orders":
        total = pages = 0  # W-82: the order tables; post storage gives the true total.
    headers = {"X-WP-Total": str(total), "X-WP-TotalPages": str(pages)}
    return found, headers | ({"Link": link} if link else {})


def _link(store: Store, table: str, query: Query, at: tuple[int, int]) -> str:
    """Name the pages before and after, with the query and its defaults filled in (W-80)."""
    number, pages = at
    base = f"{store.url}/wp-json/wc/v3/{table}"
    defaults = {name: text for name, text in DEFAULTS.get(table, {}).items() if name.partition("[")[0] not in query}
    filled = {name: text for name, text in query.items() if not name.startswith("consumer_")} | defaults
    near = [("prev", min(number - 1, max(pages, 1)))] * (number > 1) + [("next", number + 1)] * (number < pages)
    return ", ".join(
        f'<{base}?{urlencode({**filled, "page": other, "context": "view"})}>; rel="{name}"' for name, other in near
    )


def _whole(query: Query, name: str, usual: int) -> int:
    try:
        return int(query.get(name, usual))
    except ValueError:
        raise invalid(name, f"{name} is not of type integer.") from None


def _kept(store: Store, table: str, query: Query) -> Iterable[Row]:
    rows: Iterable[Row] = store.tables[table].values()
    if query.get("include"):
        wanted = {_whole({"include": one}, "include", 0) for one in query["include"].split(",")}
        rows = [found for one in wanted if (found := store.tables[table].get(one))]
    tests = FILTERS[table](query)
    return (row for row in rows if all(keep(row) for keep in tests))


def _customers(query: Query) -> list[Keep]:
    """Filter customers. There is no filter by date: `modified_after` is ignored (W-34)."""
    tests: list[Keep] = []
    role = query.get("role", "customer")  # W-33
    if role != "all":
        tests.append(lambda row: row["role"] == role)
    if "email" in query:  # W-31
        email = query["email"].lower()
        tests.append(lambda row: row["email"].lower() == email)
    if "search" in query:  # W-32
        text = query["search"].lower()
        names = ("email", "first_name", "last_name", "username")
        tests.append(lambda row: any(text in row[name].lower() for name in names))
    return tests


def _products(query: Query) -> list[Keep]:
    tests = _dates(query) + _statuses("products", query)
    if query.get("sku"):  # W-53
        skus = {one.strip() for one in query["sku"].split(",")}
        tests.append(lambda row: row["sku"] in skus)
    if "search" in query:
        text = query["search"].lower()
        tests.append(lambda row: text in row["name"].lower())
    return tests


def _orders(query: Query) -> list[Keep]:
    """Filter orders (W-83)."""
    tests = _dates(query) + _statuses("orders", query)
    if "customer" in query:
        customer = _whole(query, "customer", 0)
        tests.append(lambda row: row["customer_id"] == customer)
    if "search" in query:
        text = query["search"].lower()
        names = ("email", "first_name", "last_name")
        tests.append(lambda row: any(text in row["billing"][name].lower() for name in names) or row["number"] == text)
    return tests


def _coupons(query: Query) -> list[Keep]:
    code = query.get("code", "").lower()
    return [*_dates(query), lambda row: not code or row["code"] == code]


def _webhooks(query: Query) -> list[Keep]:
    status = query.get("status", "all")
    return [lambda row: status in {"all", row["status"]}]


FILTERS: dict[str, Callable[[Query], list[Keep]]] = {
    "customers": _customers,
    "products": _products,
    "orders": _orders,
    "coupons": _coupons,
    "webhooks": _webhooks,
}


def _statuses(table: str, query: Query) -> list[Keep]:
    """Filter by status; `any` is all but the trash."""
    wanted = set(query.get("status", "any").split(","))
    known = {"any", "trash", *STATUSES} if table == "orders" else wanted
    if not wanted <= known:
        raise invalid("status", f"status[0] is not one of {', '.join(sorted(known))}.", "rest_not_in_enum")
    return [lambda row: row["status"] in wanted or ("any" in wanted and row["status"] != "trash")]


def _dates(query: Query) -> list[Keep]:
    """Filter by date: both ends exclusive, at whole seconds; in shop time unless `dates_are_gmt` (W-56)."""
    suffix = "_gmt" if query.get("dates_are_gmt") in {"true", "1"} else ""
    columns = {"modified_after": "date_modified", "after": "date_created"}
    tests: list[Keep] = []
    for name, column in columns.items():
        if name in query:
            tests.append(_later(column + suffix, _date(name, query[name])))
        before = name.replace("after", "before")
        if before in query:
            tests.append(_earlier(column + suffix, _date(before, query[before])))
    return tests


def _later(column: str, date: str) -> Keep:
    return lambda row: bool(row[column] > date)


def _earlier(column: str, date: str) -> Keep:
    return lambda row: bool(row[column] < date)


def _date(name: str, text: str) -> str:
    """Read a date. A zone in it is ignored, as the real one does."""
    try:
        return datetime.fromisoformat(text).strftime("%Y-%m-%dT%H:%M:%S")
    except ValueError:
        raise invalid(name, "Invalid date.", "rest_invalid_date") from None  # W-83


def _sorted(table: str, rows: list[Row], query: Query) -> list[Row]:
    by = query.get("orderby", "name" if table == "customers" else "date")
    if by not in ORDERS_BY[table]:  # W-34
        raise invalid("orderby", f"orderby is not one of {', '.join(ORDERS_BY[table])}.", "rest_not_in_enum")
    way = query.get("order", "asc" if table == "customers" else "desc")
    if way not in {"asc", "desc"}:
        raise invalid("order", "order is not one of asc, and desc.", "rest_not_in_enum")
    rows.sort(key=_key(by), reverse=way == "desc")
    return rows


def _key(by: str) -> Callable[[Row], tuple[str, int]]:
    if by == "name":
        return lambda row: (row["username"], row["id"])
    column = COLUMNS.get(by)
    return (lambda row: (row[column], row["id"])) if column else (lambda row: ("", row["id"]))
