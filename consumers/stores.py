"""The store target: what a web store shall have, written in batches within one rate budget."""

from collections.abc import Sequence
from typing import Any

import msgspec

from consumers.store_customers import Done, StoreCustomers
from consumers.store_orders import StoreOrders
from counterflow.clock import Clock
from counterflow.errors import Held, Rejected, Transient
from counterflow.systems.ports import GiftCardPort, Loyalty
from counterflow.systems.woocommerce import write
from counterflow.systems.woocommerce.client import WooClient
from schemas.changes import NOTHING
from schemas.commands import (
    ChangeCard,
    ChangeCustomer,
    Command,
    CreateAccount,
    CreateCustomer,
    MoveCard,
    MovePoints,
    RecordReturn,
    SetStock,
    UpdateOrder,
)
from schemas.outcomes import Outcome
from schemas.places import HOME

ONE_BY_ONE = (
    ChangeCustomer | CreateAccount | CreateCustomer | UpdateOrder | RecordReturn | MovePoints | MoveCard | ChangeCard
)


class StoreTarget:
    """Carries out what one store shall have. See ports.Target."""

    def __init__(
        self,
        system: str,
        client: WooClient,
        *,
        clock: Clock,
        loyalty: Loyalty | None = None,
        cards: GiftCardPort | None = None,
        home: str = HOME,
    ) -> None:
        """Set it up.

        Args:
            system: The store's id.
            client: To it.
            clock: The time.
            loyalty: The store's points; None: they are left alone.
            cards: Its gift cards; None: they are left alone.
            home: The shop's own country.
        """
        self._loyalty, self._cards = loyalty, cards
        self.system, self._client, self._clock = system, client, clock
        self._customers = StoreCustomers(system, client, home=home)
        self._orders = StoreOrders(system, client, clock)

    def probe(self) -> None:
        """Ask the store for its version."""
        self._client.version()

    def apply(self, commands: Sequence[Command]) -> Sequence[Outcome]:
        """Carry out commands of different keys: stock in one batch, accounts and orders one by one."""
        alone = [one for one in commands if isinstance(one.body, ONE_BY_ONE)]
        others = [one for one in commands if not isinstance(one.body, ONE_BY_ONE)]
        return [*(self._set_stock(others) if others else []), *(self._one(one) for one in alone)]

    def _one(self, command: Command) -> Outcome:
        """Carry out one command about an account or an order."""
        begun = self._clock.monotonic()
        try:
            done = self._do(command)
        except Held as error:
            done = Done(result="held", message=str(error))
        except Rejected as error:
            done = Done(result="rejected", message=str(error))
        except Transient as error:
            if error.retry_after_s is not None:
                raise  # The store asked for silence: not even a probe before that.
            self.probe()  # Raises when the store as a whole does not answer.
            done = Done(result="waiting", message=str(error))
        outcome = self._outcome(command, (done.result, done.message), {}, begun)
        return msgspec.structs.replace(
            outcome, remote=done.remote, record=done.record, request=msgspec.Raw(msgspec.json.encode(done.request))
        )

    def _do(self, command: Command) -> Done:
        match command.body:
            case ChangeCustomer():
                return self._customers.change(command.body)
            case CreateAccount():
                return self._customers.create(command.body)
            case CreateCustomer():
                return self._customers.create_buyer(command.body)
            case UpdateOrder():
                return self._orders.update(command.body)
            case RecordReturn():
                return self._orders.record_return(command.body)
            case MovePoints() if self._loyalty is not None:
                moved = self._loyalty.move(command.body.account_id, command.body.points, command.body.tag)
                return Done(result="applied", remote={"points": str(moved)})
            case MoveCard() | ChangeCard() if self._cards is not None:
                return self._do_card(self._cards, command.body)
            case _:
                raise Rejected(f"{self.system} cannot do {command.task}")

    def _do_card(self, cards: GiftCardPort, wanted: MoveCard | ChangeCard) -> Done:
        """Move a gift card, or have it void."""
        if isinstance(wanted, MoveCard):
            moved = (cards.make if wanted.is_new else cards.move)(
                wanted.number, wanted.cents, wanted.tag, expires=wanted.expires
            )
            return Done(result="applied", remote={"points": str(moved)})
        is_there = cards.change(wanted.number, is_void=wanted.is_void, expires=wanted.expires)
        return Done(result="applied" if is_there else "already")

    def _set_stock(self, commands: Sequence[Command]) -> Sequence[Outcome]:
        """Set the stock of some products in one batch. Absolute values: written twice is written once."""
        begun = self._clock.monotonic()
        stock = [(one, one.body) for one in commands if isinstance(one.body, SetStock) and _may_be(one.body)]
        able = {id(one) for one, _ in stock}
        outcomes = [
            self._outcome(one, ("rejected", f"{self.system} cannot do {one.task} of {one.reference}"), {}, begun)
            for one in commands
            if id(one) not in able
        ]
        if not stock:
            return outcomes
        updates = [write.stock_update(body) for _, body in stock]
        try:
            rows = self._client.batch("products", updates)
        except Rejected as error:  # The batch as a whole: each command alone, so that one is found out.
            if len(stock) == 1:
                return [*outcomes, self._outcome(stock[0][0], ("rejected", str(error)), {}, begun)]
            return [*outcomes, *(found for one, _ in stock for found in self._set_stock([one]))]
        except Transient as error:
            if error.retry_after_s is not None:
                raise  # The store asked for silence: not even a probe before that.
            self.probe()  # Raises when the store as a whole does not answer.
            return [*outcomes, *(self._outcome(one, ("waiting", str(error)), {}, begun) for one, _ in stock)]
        answers = {str(row.get("id")): row for row in rows}
        for (command, body), update in zip(stock, updates, strict=True):
            row = answers.get(body.product_id, {})
            outcomes.append(
                self._outcome(command, write.stock_result(body, row), {"request": update, "response": row}, begun)
            )
        return outcomes

    def _outcome(self, command: Command, result: tuple[str, str], exchange: dict[str, Any], begun: float) -> Outcome:
        bodies = {name: msgspec.Raw(msgspec.json.encode(_short(body))) for name, body in exchange.items()}
        return Outcome(
            system=command.system,
            task=command.task,
            key=command.key,
            version=command.version,
            hash=command.hash,
            result=result[0],  # type: ignore[arg-type]
            message=result[1],
            request=bodies.get("request", NOTHING),
            response=bodies.get("response", NOTHING),
            took_s=round(self._clock.monotonic() - begun, 3),
            applied_at=self._clock.now(),
        )


def _may_be(wanted: SetStock) -> bool:
    """Say whether a store can have this product: its ids are numbers."""
    return wanted.product_id.isdecimal() and wanted.product_id.isascii()


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """Keep what tells: a whole product has kilobytes."""
    return {name: row[name] for name in ("id", "sku", "manage_stock", "stock_quantity", "error") if name in row}
