"""One store's data, and what every part of it shares: dates, errors, mails, meta data, the lock."""

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from sandbox.faults import Switches
from sandbox.journal import Journal
from sandbox.woocommerce.ledger import Kept

Row = dict[str, Any]
ADMINISTRATOR = "admin@example.com"  # The shop's owner has an account too (W-33), and gets the shop's mails.
EMAIL = re.compile(r"^[^@\s]+@[^@\s]+\.[^@\s]+$")
KINDS = {
    "customers": "customer",
    "products": "product",
    "orders": "order",
    "coupons": "coupon",
    "webhooks": "webhook",
}
SHOP_TIME = timedelta(hours=-5)  # Not UTC: who compares `date_modified` with UTC must notice (W-12).
WORDPRESS = {"11.0.1": "7.1", "7.9.0": "6.1.9"}
ADDRESS = (
    *("first_name", "last_name", "company", "address_1", "address_2"),
    *("city", "state", "postcode", "country", "email", "phone"),
)


class Refused(Exception):
    """An error as the REST API says it (W-7)."""

    def __init__(self, status: int, code: str, message: str, **data: Any) -> None:
        super().__init__(message)
        self.status, self.code = status, code
        self.body = {"code": code, "message": message, "data": {"status": status, **data}}


def invalid(name: str, message: str, kind: str = "rest_invalid_type") -> Refused:
    """Say that a parameter is wrong (W-7)."""
    details = {name: {"code": kind, "message": message, "data": None}}
    return Refused(400, "rest_invalid_param", f"Invalid parameter(s): {name}", params={name: message}, details=details)


def missing(name: str) -> Refused:
    """Say that a parameter is missing (W-23, W-93)."""
    return Refused(400, "rest_missing_callback_param", f"Missing parameter(s): {name}", params=[name])


def no_route() -> Refused:
    """Say that no route has this path and method (W-8)."""
    return Refused(404, "rest_no_route", "No route was found matching the URL and request method.")


def _untold(_kind: str, _event: str, _number: int) -> None:
    """Tell nobody."""


class Store:
    """One store. Everything in it is read and changed under its lock."""

    def __init__(
        self,
        store_id: str,
        *,
        version: str,
        journal: Journal,
        switches: Switches,
        safe_ports: frozenset[int] = frozenset(),
        has_companion: bool = True,
    ) -> None:
        self.id, self.version, self.journal, self.switches = store_id, version, journal, switches
        self.is_new = not version.startswith("7.")  # Order tables, and the rules of the newer version.
        self.wordpress = WORDPRESS[version]
        self.safe_ports = safe_ports | {80, 443, 8080}  # W-106, and the filter of W-107.
        self.lock = threading.RLock()
        self.key, self.secret = f"ck_{store_id}", f"cs_{store_id}"
        self.url = f"https://{store_id}.example.com"  # Until the first request says how the store is reached.
        self.tables: dict[str, dict[int, Row]] = {name: {} for name in KINDS}
        self.mails: list[Row] = []
        self.accounts_by_email: dict[str, int] = {}
        self.accounts_by_username: dict[str, int] = {}
        self.products_by_sku: dict[str, int] = {}
        self._last_id = 0
        self.has_companion = has_companion  # The plugin of docs/reference/companion.md is active.
        self.kept = Kept()  # What that plugin keeps.
        self.tell: Callable[[str, str, int], None] = _untold  # Until the web hooks listen.

    def next_id(self) -> int:
        """Draw an id: all kinds of records share one row of numbers."""
        self._last_id += 1
        return self._last_id

    def begin_at(self, number: int) -> None:
        """Let the next record have at least this id."""
        self._last_id = max(self._last_id, number - 1)

    def changed(self, resource: str, event: str, number: int) -> None:
        """Say that a record changed: to the web hooks, and of a customer to the plugin too."""
        self.tell(resource, event, number)
        if resource == "customer" and self.has_companion:
            self.kept.note_customer(number, is_deleted=event == "deleted")
            self.tell("counterflow_customers", "changed", number)

    def mail(self, to: str, subject: str) -> None:
        """Send a mail: into the outbox."""
        self.mails.append({"at": time.time(), "to": to, "subject": subject})

    def note(self, actor: str, kind: str, key: object, **data: Any) -> None:
        """Write into the journal what takes effect now."""
        self.journal.append(self.id, actor, kind, key, **data)

    def row(self, table: str, number: int) -> Row:
        """Give one row. Raises Refused with the error of that table and version."""
        found = self.tables[table].get(number)
        if found is None:
            raise self.unknown(table)
        return found

    def unknown(self, table: str, status: int = 404) -> Refused:
        """Give the error for an unknown id (W-27, W-84)."""
        if table == "customers":
            code = "wc_user_invalid_id" if self.is_new else "woocommerce_rest_invalid_id"
            return Refused(status, code, "Invalid resource ID.")
        kind = "product" if table == "products" else f"shop_{KINDS[table]}"
        return Refused(status, f"woocommerce_rest_{kind}_invalid_id", "Invalid ID.")

    def may_reach(self, url: str) -> bool:
        """Tell whether WordPress would call this address: some ports only, not localhost by name (W-106)."""
        try:
            parts = urlsplit(url)
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            return False
        return (
            parts.scheme in {"http", "https"} and port in self.safe_ports and parts.hostname not in {None, "localhost"}
        )


def touch(row: Row) -> None:
    """Move `date_modified`: every write does, also one that changes nothing (W-35, W-55)."""
    stamp(row, "date_modified")


def stamp(row: Row, name: str) -> None:
    """Set a pair of dates to now: shop time and UTC, whole seconds, without a zone (W-12)."""
    now = datetime.now(UTC)
    row[name] = (now + SHOP_TIME).strftime("%Y-%m-%dT%H:%M:%S")
    row[f"{name}_gmt"] = now.strftime("%Y-%m-%dT%H:%M:%S")


def born(row: Row) -> None:
    """Set the dates of a new row."""
    stamp(row, "date_created")
    row |= {"date_modified": row["date_created"], "date_modified_gmt": row["date_created_gmt"]}


def merge_meta(store: Store, row: Row, given: Sequence[Mapping[str, Any]]) -> None:
    """Write meta data: the same key or id updates, null deletes, scalars become text (W-39 to W-41)."""
    entries: list[Row] = row.setdefault("meta_data", [])
    for one in given:
        found = next((entry for entry in entries if _is_same(entry, one)), None)
        value = one.get("value")
        if value is None:
            entries[:] = [entry for entry in entries if entry is not found]
        elif found:
            found["value"] = _meta_value(value)
        else:
            entries.append({"id": store.next_id(), "key": str(one.get("key", "")), "value": _meta_value(value)})


def _is_same(entry: Row, given: Mapping[str, Any]) -> bool:
    return bool(entry["id"] == given["id"] if given.get("id") else entry["key"] == given.get("key"))


def _meta_value(value: Any) -> Any:
    if isinstance(value, bool):
        return "1" if value else ""  # As PHP writes them.
    return value if isinstance(value, dict | list) else str(value)


def address(given: Mapping[str, Any] | None) -> Row:
    """Give a billing address with all its keys, empty where nothing was given (W-20)."""
    return {name: str((given or {}).get(name) or "") for name in ADDRESS}


def shipping_address(given: Mapping[str, Any] | None) -> Row:
    """Give a shipping address with all its keys: it has no e-mail (W-20)."""
    return {name: text for name, text in address(given).items() if name != "email"}


def change_addresses(row: Row, given: Mapping[str, Any]) -> None:
    """Change the parts of the addresses that were given; the others stay."""
    for side in ("billing", "shipping"):
        parts = given.get(side) or {}
        row[side].update({name: str(text or "") for name, text in parts.items() if name in row[side]})
