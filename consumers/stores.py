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
from schemas.outcomes import Outcome, answer
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
        self._silent_for: tuple[str, str, int] | None = None  # The command for which the store last asked for silence.

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
        begun, reason = self._clock.monotonic(), ""
        try:
            done = self._do(command)
        except Held as error:
            done = Done(result="held", message=str(error))
        except Rejected as error:
            done = Done(result="rejected", message=str(error))
        except Transient as error:
            self._look(command, error)
            done, reason = Done(result="waiting", message=str(error)), error.reason
        outcome = self._outcome(command, (done.result, done.message), {}, begun)
        return msgspec.structs.replace(
            outcome,
            reason=reason,
            remote=done.remote,
            record=done.record,
            request=msgspec.Raw(msgspec.json.encode(done.request)),
        )

    def _look(self, command: Command, error: Transient) -> None:
        """See whether it is the store that does not answer, or this one command that does not work.

        Raises:
            Transient: It is the store; or it asked for silence, and then is not even probed before that. A command for
                which it asks so again, after that silence, waits by itself: the others would never have their turn.
        """
        name = (command.task, command.key, command.version)
        if error.retry_after_s is not None and not error.reason and name != self._silent_for:
            self._silent_for = name
            raise error
        self.probe()

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
        except (Rejected, Transient) as error:
            return [*outcomes, *self._not_set([one for one, _ in stock], error, begun)]
        answers = {str(row.get("id")): row for row in rows}
        for (command, body), update in zip(stock, updates, strict=True):
            row = answers.get(body.product_id, {})
            outcomes.append(
                self._outcome(command, write.stock_result(body, row), {"request": update, "response": row}, begun)
            )
        return outcomes

    def _not_set(self, commands: Sequence[Command], error: Rejected | Transient, begun: float) -> Sequence[Outcome]:
        """Say what became of a batch that was not taken as a whole. Raises as `_look`."""
        reason = error.reason if isinstance(error, Transient) else ""
        if isinstance(error, Transient):
            self._look(commands[0], error)
        if len(commands) > 1 and (reason or isinstance(error, Rejected)):
            # Refused, for the sake of one of them perhaps: each alone, so that it is found out.
            return [found for one in commands for found in self._set_stock([one])]
        result = "rejected" if isinstance(error, Rejected) else "waiting"
        outcomes = [self._outcome(one, (result, str(error)), {}, begun) for one in commands]
        return [msgspec.structs.replace(one, reason=reason) for one in outcomes]

    def _outcome(self, command: Command, result: tuple[str, str], exchange: dict[str, Any], begun: float) -> Outcome:
        bodies = {name: msgspec.Raw(msgspec.json.encode(_short(body))) for name, body in exchange.items()}
        return answer(
            command,
            *result,
            at=self._clock.now(),
            request=bodies.get("request", NOTHING),
            response=bodies.get("response", NOTHING),
            took_s=round(self._clock.monotonic() - begun, 3),
        )


def _may_be(wanted: SetStock) -> bool:
    """Say whether a store can have this product: its ids are numbers."""
    return wanted.product_id.isdecimal() and wanted.product_id.isascii()


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """Keep what tells: a whole product has kilobytes."""
    return {name: row[name] for name in ("id", "sku", "manage_stock", "stock_quantity", "error") if name in row}
