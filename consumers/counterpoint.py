"""The Counterpoint target: customers and documents by the REST server, look-ups by SQL.

The server has no idempotency key and no search by our marker. So what must not be made twice is looked for in the
database, under a lock on its name, right before it is made; a claim committed before the request keeps others out
for as long as an unanswered request may still take effect (order-E.1).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine

from counterflow import log
from counterflow.clock import Clock
from counterflow.config import GiftCards, Points
from counterflow.errors import Broken, Held, Rejected, Transient
from counterflow.systems.counterpoint import cards, customers, read, releases, sql, write
from counterflow.systems.counterpoint import points as loyalty
from counterflow.systems.counterpoint.client import CounterpointClient
from counterflow.systems.counterpoint.dialects import app_lock
from counterflow.systems.counterpoint.requests import Manner, Requests
from schemas.commands import (
    AdjustCard,
    AdjustPoints,
    ChangeCustomer,
    Command,
    CompareDocument,
    CreateCustomer,
    FindDocument,
    NoteDocument,
    PlaceDocument,
    ReadRelease,
)
from schemas.names import COUNTERPOINT
from schemas.outcomes import Outcome, answer
from schemas.profiles import moved, of_profile, unlike, untaken
from schemas.records import Customer, Release

AT_ONCE = 4  # Commands carried out side by side; a shop's server is a small one.
Remote = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of one command."""

    result: str
    message: str = ""
    remote: Remote = field(default_factory=dict)
    record: Customer | None = None
    release: Release | None = None
    exchange: Mapping[str, Any] = field(default_factory=dict)


class CounterpointTarget:
    """Carries out what Counterpoint shall have. See ports.Target."""

    system: str = COUNTERPOINT

    def __init__(
        self,
        client: CounterpointClient,
        engine: Engine,
        *,
        clock: Clock,
        manner: Manner,
        server_timeout_s: float,
        tracking: str = "",
        points: Points | None = None,
        gift_cards: GiftCards | None = None,
    ) -> None:
        """Set it up.

        Args:
            client: To its REST server.
            engine: Its database.
            clock: The time.
            manner: How the shop wants its records made.
            server_timeout_s: After so long an unanswered request cannot take effect any more.
            tracking: The TABLE.COLUMN that holds packages' tracking numbers by DOC_ID; "" for none.
            points: Where points stand; None: they are left alone.
            gift_cards: How gift cards are written; None: they are left alone.
        """
        self._points, self._cards = points, gift_cards
        self._tracking = tracking
        self._client, self._engine, self._clock = client, engine, clock
        self._requests, self._server_timeout_s = Requests(engine, manner), server_timeout_s
        self._nobody = manner.nobody
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="counterpoint")
        self._log = log.get("counterpoint-target")

    def probe(self) -> None:
        """Ask both ways in: the REST server, and the database."""
        self._client.company()
        with sql.reading(self._engine, snapshot=False) as connection:
            connection.exec_driver_sql("SELECT 1")

    def apply(self, commands: Sequence[Command]) -> Sequence[Outcome]:
        """Carry out commands of different keys, some side by side."""
        outcomes = list(self._pool.map(self._apply, commands))
        if any(one.result == "waiting" for one in outcomes):
            self.probe()  # Raises when it is the target that does not answer, not one record.
        return outcomes

    def _apply(self, command: Command) -> Outcome:
        begun = self._clock.monotonic()
        reason = ""
        try:
            done = self._do(command)
        except Held as error:
            done = Done(result="held", message=str(error))
        except Rejected as error:
            done = Done(result="rejected", message=str(error))
        except Transient as error:
            done, reason = Done(result="waiting", message=str(error)), error.reason
        return answer(
            command,
            done.result,
            done.message,
            at=self._clock.now(),
            reason=reason,
            remote=done.remote,
            record=done.record,
            release=done.release,
            request=_raw(done.exchange.get("request")),
            response=_raw(done.exchange.get("response")),
            took_s=round(self._clock.monotonic() - begun, 3),
        )

    def _do(self, command: Command) -> Done:
        match command.body:
            case CreateCustomer():
                return self._have_customer(command.body)
            case ChangeCustomer():
                return self._change_customer(command.body)
            case PlaceDocument():
                return self._have_document(command.body)
            case FindDocument() | CompareDocument() | ReadRelease() | NoteDocument():
                return self._about_document(command.body)
            case AdjustPoints() | AdjustCard():
                return self._adjust(command.body)
            case _:
                raise Rejected(f"Counterpoint cannot do {command.task}")

    def _adjust(self, wanted: AdjustPoints | AdjustCard) -> Done:
        """Move points or a gift card, in one short transaction under the lock on points."""
        with sql.writing(self._engine) as connection:
            if isinstance(wanted, AdjustPoints) and self._points is not None:
                done = loyalty.adjust(
                    connection, self._points, tag=wanted.tag, cust_no=wanted.cust_no, points=wanted.points
                )
            elif isinstance(wanted, AdjustCard) and self._cards is not None:
                done = cards.adjust(connection, self._cards, tag=wanted.tag, number=wanted.number, amount=wanted.cents)
            else:
                raise Rejected("counterpoint.points or counterpoint.gift_cards is missing in shop.yaml")
        is_new, version = done
        return Done(result="applied" if is_new else "already", remote={"version": str(version)})

    def _about_document(self, wanted: FindDocument | CompareDocument | ReadRelease | NoteDocument) -> Done:
        """Look at a document that is there, or add a note to it."""
        match wanted:
            case FindDocument():
                return Done(result="already", remote=self._where(wanted))
            case CompareDocument():
                return Done(result="already", remote=self._differs(wanted))
            case ReadRelease():
                return self._read_release(wanted)
            case NoteDocument():
                return self._note(wanted)

    def _have_customer(self, wanted: CreateCustomer) -> Done:
        """Find the customer by e-mail, or by their order, or create one, with nobody else between the two."""
        name = customers.name_of(wanted)
        with self._locked(name) as connection:
            customers.check(connection, wanted)
            number = customers.known(connection, wanted, self._nobody)
            if not number:
                fitted = self._requests.new_customer(wanted)
                self._claim(name)
                # Looked at again: an earlier request may have been carried out just before its claim ran out.
                number = customers.known(connection, wanted, self._nobody)
            if number:
                self._settle(name, "done", number)
                return Done(result="already", remote={"cust_no": number})
            made: str = self._send(name, lambda: self._client.create_customer(fitted.body))
            if made not in customers.find(connection, wanted):
                raise Transient(f"customer {made} was created but is not seen yet in the database")
            self._settle(name, "done", made)
        exchange = {"request": fitted.body, "response": {"CUST_NO": made}}
        return Done(result="applied", message=fitted.message, remote={"cust_no": made}, exchange=exchange)

    def _change_customer(self, wanted: ChangeCustomer) -> Done:
        """Have some columns of a customer so; nothing is written where they are not as they were decided on."""
        names, home = of_profile(wanted.fields), wanted.home
        with self._locked(f"customer-no:{wanted.remote_id}") as connection:
            row, record = self._read_customer(connection, wanted.remote_id)
            if not unlike(wanted.fields, record, names, home=home):
                return Done(result="already", record=record)
            fitted = self._requests.changes(wanted, record, row)
            if write.shows(row, fitted.body):  # All that it can hold of what is wanted.
                return Done(result="already", message=fitted.message, record=record)
            if moved(wanted.fields, wanted.decided_on, record, home=home):
                return Done(result="differs", record=record)
            self._client.change_customer(wanted.remote_id, fitted.body)
            row, record = self._read_customer(connection, wanted.remote_id)
        if untaken(wanted.fields, record, names, home=home) and not write.shows(row, fitted.body):
            raise Transient(f"customer {wanted.remote_id} was changed but is not seen so yet in the database")
        return Done(result="applied", message=fitted.message, record=record, exchange={"request": fitted.body})

    def _read_customer(self, connection: Connection, cust_no: str) -> tuple[Mapping[str, Any], Customer]:
        row = sql.customer(connection, cust_no)
        if row is None:
            raise Rejected(f"customer {cust_no} is gone from Counterpoint: deleted, or merged into another")
        record = read.read("AR_CUST", sql.row_json(row))
        assert isinstance(record, Customer)
        return row, record

    def _have_document(self, wanted: PlaceDocument) -> Done:
        """Find the document with this marker, or place it; either way compare it with what is wanted."""
        name = f"document:{wanted.marker}"
        with self._locked(name) as connection:
            done = Done(result="already", remote=self._find(connection, wanted))
            if not done.remote:
                done = self._place(connection, name, wanted)
            self._settle(name, "done", done.remote["doc_id"])
        self._compare(wanted, done.remote)
        return done

    def _place(self, connection: Connection, name: str, wanted: PlaceDocument) -> Done:
        """Place a document that is not there; the lock is held."""
        placed = sql.done_claim(connection, name)
        if placed is not None:
            raise Held(
                f"document {placed} was placed as {wanted.marker} and is not found any more: "
                "was it voided, or posted to a table that counterflow does not know?"
            )
        fitted = self._requests.document(wanted)
        self._claim(name)
        # Looked at again: an earlier request may have been carried out just before its claim ran out.
        remote = self._find(connection, wanted)
        if remote:
            return Done(result="already", remote=remote)
        answer = self._send(name, lambda: self._client.place_document(fitted.body))
        remote = self._find(connection, wanted)
        if not remote:
            raise Transient(f"document {wanted.marker} was placed but is not seen yet in the database")
        exchange = {"request": fitted.body, "response": answer}
        return Done(result="applied", message=fitted.message, remote=remote, exchange=exchange)

    def _compare(self, wanted: PlaceDocument, remote: Remote) -> None:
        """Read the document back, and hold it where it is not what is wanted (order-E.12)."""
        if remote.get("posted") == "yes":
            return  # The REST server knows unposted ones only (counterpoint 8).
        try:
            different = write.differences(wanted, self._client.document(int(remote["doc_id"])))
        except Rejected:
            with sql.reading(self._engine, snapshot=False) as connection:
                if self._find(connection, wanted).get("posted") == "yes":
                    return  # Posted since we found it.
            raise
        if different:
            raise Held(f"document {remote['doc_id']} is not what the order says: " + "; ".join(different))

    def _where(self, wanted: FindDocument) -> Remote:
        """Say where a document stands: open, posted, or gone, which is to say voided."""
        with sql.reading(self._engine, snapshot=False) as connection:
            tables = sql.document_tables(connection)
            if sql.PS_ORD_HIST not in tables:
                raise Held(f"document {wanted.doc_id} has left the open ones; the table of posted orders is not known")
            open_ones = sql.documents_with_marker(connection, wanted.marker, [sql.PS_DOC_HDR])
            # The open ones were read first: a document that is posted meanwhile is found among the others.
            posted = sql.documents_with_marker(connection, wanted.marker, [sql.PS_ORD_HIST])
        for fate, found in (("open", open_ones), ("posted", posted)):
            if wanted.doc_id in {str(doc_id) for doc_id, _, _ in found}:
                return {"doc_id": wanted.doc_id, "fate": fate}
        return {"doc_id": wanted.doc_id, "fate": "gone"}

    def _differs(self, wanted: CompareDocument) -> Remote:
        """Compare an edited order's document; one that is not open any more cannot be read."""
        try:
            different = write.differences(wanted.document, self._client.document(int(wanted.doc_id)))
        except Rejected:
            return {"doc_id": wanted.doc_id, "differs": "it is not open any more", "fate": "left"}
        return {"doc_id": wanted.doc_id, "differs": "; ".join(different)}

    def _read_release(self, wanted: ReadRelease) -> Done:
        """Read what a release ticket let out, open or posted."""
        with sql.reading(self._engine, snapshot=False) as connection:
            found = releases.find(connection, int(wanted.doc_id), tracking=self._tracking)
        release = None
        if found.lines is not None:
            release = read.release(wanted.doc_id, wanted.ticket_no, found.lines, found.tracking)
        return Done(result="already", remote={"doc_id": wanted.doc_id, "fate": found.fate}, release=release)

    def _note(self, wanted: NoteDocument) -> Done:
        """Have an open document carry a note; one that says it all is looked for first. Staff may see it twice."""
        try:
            notes = self._client.document(int(wanted.doc_id)).get("PS_DOC_NOTE") or []
        except Rejected:  # It has left the open ones: nothing can be noted any more.
            return Done(result="already")
        if any(write.says(str(one.get("NOTE") or ""), wanted.says) for one in notes):
            return Done(result="already")
        note = self._requests.note(write.tracking_note(wanted.says)).body
        self._client.note_document(int(wanted.doc_id), note)
        return Done(result="applied", exchange={"request": note})

    def _find(self, connection: Connection, wanted: PlaceDocument) -> Remote:
        """Look for our marker in open and posted documents; a paid order has a deposit ticket beside it."""
        others = [table for table in sql.document_tables(connection) if table is not sql.PS_DOC_HDR]
        found = {one[0]: (*one, "no") for one in sql.documents_with_marker(connection, wanted.marker, [sql.PS_DOC_HDR])}
        # The open ones were read first: a document that is posted meanwhile is seen twice, not never.
        found |= {one[0]: (*one, "yes") for one in sql.documents_with_marker(connection, wanted.marker, others)}
        orders = [found[number] for number in sorted(found) if found[number][1] == "O"]
        orders = orders or [found[number] for number in sorted(found) if found[number][1] == "H"]  # Put on hold.
        tickets = [number for number in sorted(found) if found[number][1] == "T"]
        if len(orders) > 1:
            numbers = ", ".join(str(one[0]) for one in orders)
            raise Held(f"{len(orders)} order documents carry {wanted.marker}: {numbers}")
        if tickets and not orders:
            raise Held(f"ticket {tickets[0]} carries {wanted.marker}, but no order does: was the order voided?")
        if not orders:
            return {}
        doc_id, _, cust_no, posted = orders[0]
        remote = {"doc_id": str(doc_id), "cust_no": cust_no} | ({"posted": posted} if posted == "yes" else {})
        return remote | ({"deposit_doc_id": str(tickets[0])} if tickets else {})

    @contextmanager
    def _locked(self, name: str) -> Iterator[Connection]:
        """Hold Counterpoint's own lock on a name. The reads below it see what others have committed."""
        with sql.reading(self._engine, snapshot=False) as connection:
            app_lock(connection, f"counterflow:{name}")
            yield connection

    def _claim(self, name: str) -> None:
        """Commit a claim before the request. Raises Transient while an earlier request may still take effect."""
        with sql.writing(self._engine) as own:
            wait_s = sql.take_claim(own, name, keep_out_s=self._server_timeout_s)
        if wait_s:
            text = f"{name.partition(':')[0]}: an earlier request was never answered; looking again later"
            raise Transient(text, retry_after_s=wait_s)

    def _send(self, name: str, send: Callable[[], Any]) -> Any:
        """Send the claimed request once, and settle the claim where the answer says that nothing was made."""
        try:
            return send()
        except (Rejected, Broken):
            self._settle(name, "refused")
            raise
        except Transient as error:
            if not error.unknown:
                self._settle(name, "refused")
            raise

    def _settle(self, name: str, state: str, remote: str = "") -> None:
        with sql.writing(self._engine) as own:
            sql.settle_claim(own, name, state=state, remote=remote)


def _raw(body: Mapping[str, Any] | None) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(body))
