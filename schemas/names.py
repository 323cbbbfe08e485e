"""Ids as types of their own, so that mypy keeps one from being passed for another."""

from typing import NewType

SystemId = NewType("SystemId", str)  # "counterpoint", or a store's id from shop.yaml.
StoreId = NewType("StoreId", SystemId)
CustNo = NewType("CustNo", str)  # Counterpoint's customer number.
ItemNo = NewType("ItemNo", str)  # Counterpoint's item number; a store's SKU.
OurId = NewType("OurId", str)  # One customer, however many systems know him.

COUNTERPOINT = SystemId("counterpoint")
POINTS = "points"  # The entity, and the task.
GIFT_CARDS = "gift_cards"  # The task.
RETURN = "Counterpoint return "  # Before a ticket's number: the reason of a refund that records a return at the till.


def order_of(row_key: str) -> tuple[str, str]:
    """Return the store, and the order's id there, that the key of an order's wanted row names: "north/1042"."""
    store, _, order_id = row_key.partition("/")
    return store, order_id
