"""A store's orders: what has left of them and come back, told once (order-E.15, E.16).

The store has no idempotency key. So a note or a refund is looked for before it is added, and the order is read before
it is written: a status only moves forward, and what is so already mails nobody again.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from consumers.store_customers import Done
from counterflow.clock import Clock
from counterflow.errors import Held, Rejected, Transient
from counterflow.systems.woocommerce import read, texts, write
from counterflow.systems.woocommerce.client import Row, WooClient
from schemas.commands import RecordReturn, UpdateOrder
from schemas.records import Order

TIMEOUTS = 2  # How many of ours a store may need for what it was asked: PHP goes on when nobody listens any more.


class StoreOrders:
    """Carries out what one store's orders shall tell."""

    def __init__(self, system: str, client: WooClient, clock: Clock) -> None:
        self._system, self._client, self._clock = system, client, clock

    def update(self, wanted: UpdateOrder) -> Done:
        """Have an order tell of its shipments, and move it on where everything has left.

        Raises:
            Rejected: There is no such order, or the store did not take the status.
            Transient: The store does not answer. A part may have been written: the next try reads first.
        """
        row = self._order(wanted.order_id)
        notes = self._client.page(f"orders/{wanted.order_id}/notes", type="any")
        missing = write.order_notes(wanted, notes)
        for body in missing.values():
            self._client.create(f"orders/{wanted.order_id}/notes", body)
        changes = write.order_changes(wanted, row)
        if changes:
            self._check(wanted, changes, self._client.change("orders", wanted.order_id, changes))
        told = {"notes": list(missing)} if missing else {}
        return Done(result="applied" if changes or missing else "already", request=changes | told)

    def record_return(self, wanted: RecordReturn) -> Done:
        """Have an order show a return as a refund that moves neither money nor stock.

        Raises:
            Held: The store has given pieces back itself meanwhile, or has less to give back: a person must see to it.
            Rejected: There is no such order, or the store did not take the refund.
            Transient: The store does not answer. It may have been recorded: the next try looks first.
        """
        row = self._order(wanted.order_id)
        refunds = self._client.page(f"orders/{wanted.order_id}/refunds")
        if any(read.return_reference(texts.decoded(one)) == wanted.reference for one in refunds):
            return Done(result="already")
        self._check_left(wanted, {**row, "refunds": refunds})
        body = write.refund(wanted, row, refunds)
        self._claim(wanted, row)
        self._client.create(f"orders/{wanted.order_id}/refunds", body)
        return Done(result="applied", request=body)

    def _claim(self, wanted: RecordReturn, row: Row) -> None:
        """Say in the order that the refund is about to be made: one that was never answered may still take effect."""
        now, before = self._clock.now(), write.claimed_at(wanted, row)
        if before and now < datetime.fromisoformat(before) + timedelta(seconds=TIMEOUTS * self._client.timeout_s):
            text = f"return {wanted.reference} of order {wanted.order_id}: an earlier request was never answered"
            raise Transient(f"{text}; looking again later")
        claim = {"key": write.claim(wanted.reference), "value": now.isoformat()}
        self._client.change("orders", wanted.order_id, {"meta_data": [claim]})

    def _check_left(self, wanted: RecordReturn, row: Row) -> None:
        """Hold what the order has not got any more: pieces, or money that was paid otherwise than by a gift card."""
        order = read.read("orders", msgspec.json.encode(row))
        assert isinstance(order, Order)
        left = {line.line_id: line.quantity for line in order.lines}
        for one in (line for refund in order.refunds for line in refund.lines):
            left[one.line_id] = left.get(one.line_id, 0) - one.quantity
        what = f"return {wanted.reference} of order {wanted.order_id}"
        if any(line.quantity > left.get(line.line_id, 0) for line in wanted.lines):
            text = f"{what}: {self._system} has given pieces back itself"
            raise Held(f"{text}: see whether the two are one, and drop this or record it by hand")
        paid = order.total - sum(one.amount for one in order.tenders)
        if sum(line.net + line.tax for line in wanted.lines) > paid - sum(one.amount for one in order.refunds):
            text = f"{what}: more than {self._system} has left to give back, gift cards apart"
            raise Held(f"{text}: record it there by hand, and drop this")

    def _order(self, order_id: str) -> Row:
        row = self._client.one("orders", order_id)
        if row is None:
            raise Rejected(f"order {order_id} is gone from {self._system}")
        return row

    def _check(self, wanted: UpdateOrder, changes: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        if "status" in changes and after.get("status") != changes["status"]:
            text = f"order {wanted.order_id}: the store answered status {after.get('status')}"
            raise Rejected(f"{text} to {changes['status']}")
