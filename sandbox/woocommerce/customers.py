"""Customers: W-20 to W-45."""

from collections.abc import Mapping
from typing import Any

from sandbox.woocommerce import store as shop
from sandbox.woocommerce.store import EMAIL, Refused, Row, Store


def create(store: Store, given: Mapping[str, Any], *, actor: str = "api") -> Row:
    """Create an account; it is mailed at once (W-36)."""
    email = str(given.get("email") or "")
    _check_new(store, email, given)
    row = load(store, given)
    store.mail(email, f"Your {store.id} account has been created!")
    store.note(actor, "customer", row["id"], email=email, created=True)
    store.changed("customer", "created", row["id"])
    store.changed("customer", "updated", row["id"])  # W-99: both come.
    return row


def _check_new(store: Store, email: str, given: Mapping[str, Any]) -> None:
    if not email:
        raise shop.missing("email")  # W-23
    if not EMAIL.match(email):
        raise Refused(400, "customer_invalid_email", "Please provide a valid email address.")  # W-24
    if email.lower() in store.accounts_by_email:  # W-21: any mix of capitals.
        raise Refused(400, "registration-error-email-exists", _taken(store, email))
    if given.get("username") in store.accounts_by_username:  # W-22
        text = "An account is already registered with that username. Please choose another."
        raise Refused(400, "registration-error-username-exists", text)


def _taken(store: Store, email: str) -> str:
    """Say that the address is taken, in the words of this version (W-21)."""
    if store.is_new:
        return f"An account is already registered with {email}. Please log in or use a different email address."
    link = f'<a href="{store.url}/my-account/">Please log in.</a>'
    return f"An account is already registered with your email address. {link}"


def load(store: Store, given: Mapping[str, Any], *, role: str = "customer") -> Row:
    """Enter an account: no mail, no web hook, no journal."""
    email = str(given["email"])
    row: Row = {"id": store.next_id(), "email": email, "role": role}  # The e-mail keeps its capitals (W-20).
    row["username"] = str(given.get("username") or _username(store, email))
    row |= {name: str(given.get(name) or "") for name in ("first_name", "last_name")}
    row |= {
        "billing": shop.address(given.get("billing")),
        "shipping": shop.shipping_address(given.get("shipping")),
        "is_paying_customer": False,
        "avatar_url": "",
        "meta_data": [],
    }
    shop.born(row)
    _merge_meta(store, row, given)
    if store.is_new and not given.get("password"):
        row["meta_data"].append({"id": store.next_id(), "key": "default_password_nag", "value": "1"})  # W-45
    store.tables["customers"][row["id"]] = row
    store.accounts_by_email[email.lower()] = row["id"]
    store.accounts_by_username[row["username"]] = row["id"]
    return row


def _username(store: Store, email: str) -> str:
    """Make a user name from the part before the @ (W-20); a number makes it the only one."""
    made = "".join(one for one in email.split("@", maxsplit=1)[0].lower() if one.isalnum() or one in "._-")
    return made if made not in store.accounts_by_username else f"{made}-{store.next_id()}"


def _merge_meta(store: Store, row: Row, given: Mapping[str, Any]) -> None:
    entries = given.get("meta_data") or []
    if store.is_new:  # Dropped without a word (W-42).
        entries = [one for one in entries if not str(one.get("key", "")).startswith("_")]
    shop.merge_meta(store, row, entries)


def update(store: Store, number: int, given: Mapping[str, Any], *, actor: str = "api") -> Row:
    """Change an account. Even a change that changes nothing moves its date and is told (W-35, W-100)."""
    row = store.row("customers", number)
    if given.get("username") and given["username"] != row["username"]:
        text = "Username isn't editable."
        raise Refused(400, "woocommerce_rest_customer_invalid_argument", text)  # W-26
    if given.get("email"):
        _change_email(store, row, str(given["email"]))
    if given.get("password"):
        store.mail(row["email"], "Password Changed")  # W-38
    row.update({name: str(given[name]) for name in ("first_name", "last_name") if name in given})
    shop.change_addresses(row, given)
    _merge_meta(store, row, given)
    shop.touch(row)
    store.note(actor, "customer", number, email=row["email"], fields=sorted(given))
    store.changed("customer", "updated", number)
    return row


def _change_email(store: Store, row: Row, email: str) -> None:
    before = row["email"]
    holder = store.accounts_by_email.get(email.lower())
    if not EMAIL.match(email) or holder not in {None, row["id"]}:  # W-25: it does not say that it is taken.
        raise Refused(400, "woocommerce_rest_customer_invalid_email", "Email address is invalid.")
    if email != before:
        store.mail(before, "Email Changed")  # W-38: to the old address.
    del store.accounts_by_email[before.lower()]
    store.accounts_by_email[email.lower()] = row["id"]
    row["email"] = email


def delete(store: Store, number: int, *, actor: str = "api") -> Row:
    """Delete an account for good; its orders stay, without it (W-28, W-29)."""
    row = store.row("customers", number)
    del store.tables["customers"][number]
    del store.accounts_by_email[row["email"].lower()]
    del store.accounts_by_username[row["username"]]
    for order in store.tables["orders"].values():
        if order["customer_id"] == number:
            order["customer_id"] = 0
    store.note(actor, "customer", number, email=row["email"], deleted=True)
    store.changed("customer", "deleted", number)
    return row
