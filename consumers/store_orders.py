"""A store's orders: what has left of them, told once (order-E.16).

The store has no idempotency key. So a note is looked for before it is added, and the order is read before it is
written: a status only moves forward, and what is so already mails nobody again.
"""

from collections.abc import Mapping
from typing import Any

from consumers.store_customers import Done
from counterflow.errors import Rejected
from counterflow.systems.woocommerce import write
from counterflow.systems.woocommerce.client import WooClient
from schemas.commands import UpdateOrder


class StoreOrders:
    """Carries out what one store's orders shall tell."""

    def __init__(self, system: str, client: WooClient) -> None:
        self._system, self._client = system, client

    def update(self, wanted: UpdateOrder) -> Done:
        """Have an order tell of its shipments, and move it on where everything has left.

        Raises:
            Rejected: There is no such order, or the store did not take the status.
            Transient: The store does not answer. A part may have been written: the next try reads first.
        """
        row = self._client.one("orders", wanted.order_id)
        if row is None:
            raise Rejected(f"order {wanted.order_id} is gone from {self._system}")
        notes = self._client.page(f"orders/{wanted.order_id}/notes", type="any")
        missing = [one for one in wanted.shipments if not write.is_noted(one, notes)]
        for shipment in missing:
            body = {"note": write.shipment_note(shipment), "customer_note": wanted.tells_shopper}
            self._client.create(f"orders/{wanted.order_id}/notes", body)
        changes = write.order_changes(wanted, row)
        if changes:
            self._check(wanted, changes, self._client.change("orders", wanted.order_id, changes))
        told = {"notes": [one.reference for one in missing]} if missing else {}
        return Done(result="applied" if changes or missing else "already", request=changes | told)

    def _check(self, wanted: UpdateOrder, changes: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        if "status" in changes and after.get("status") != changes["status"]:
            text = f"order {wanted.order_id}: the store answered status {after.get('status')}"
            raise Rejected(f"{text} to {changes['status']}")
