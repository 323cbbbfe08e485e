"""What happens in the shop, each as one short transaction and one line in the journal: sales, receipts, customers."""

import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Engine, and_, select, update

from sandbox.counterpoint import balances
from sandbox.counterpoint import tables as t
from sandbox.counterpoint.rows import PARTS, children, known_columns, next_number, plain, released, still_open
from sandbox.journal import Journal

SYSTEM = "counterpoint"


class Refused(Exception):
    """The shop's own rules refuse it: an ErrorCode of the REST server, and its HTTP status."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class Books:
    """The shop's books. What the real one does is not verified where an option chooses.

    `orders_commit_stock`: an order's lines raise QTY_COMMIT. `points_move_at_posting`: a ticket's points move the
    balance when it is posted, not when it is completed. `merge_moves_history`: history, unposted adjustments and cards
    go to the survivor, instead of keeping the number of a customer who is gone. `tickets_make_cards`: PS_DOC_GFC in a
    ticket that comes over the REST server makes gift cards, instead of being overlooked.
    """

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        *,
        orders_commit_stock: bool = True,
        points_move_at_posting: bool = False,
        merge_moves_history: bool = True,
        tickets_make_cards: bool = True,
    ) -> None:
        self.engine, self.journal, self.orders_commit_stock = engine, journal, orders_commit_stock
        self.points_move_at_posting, self.merge_moves_history = points_move_at_posting, merge_moves_history
        self.tickets_make_cards = tickets_make_cards

    def sell(self, lines: Sequence[Mapping[str, Any]], *, loc: str = "MAIN", cust_no: str = "CASH") -> int:
        """Ring up a sale at the till: a ticket, and less on the shelf. Gives its DOC_ID."""
        with self.engine.begin() as connection:
            doc_id, shelves = self.ring_up(connection, lines, loc=loc, cust_no=cust_no)
        self.tell_sale(doc_id, shelves)
        return doc_id

    def ring_up(
        self, connection: Connection, lines: Sequence[Mapping[str, Any]], *, loc: str, cust_no: str
    ) -> tuple[int, list[dict[str, Any]]]:
        """Enter a ticket inside a transaction; gives its DOC_ID, and each shelf it took from, for `tell_sale`."""
        doc_id = next_number(connection, "doc_id")
        header = {"DOC_ID": doc_id, "DOC_TYP": "T", "TKT_TYP": "T", "STR_ID": "MAIN", "STA_ID": "1"}
        header |= {"TKT_NO": str(next_number(connection, "ticket_no")), "CUST_NO": cust_no, "STK_LOC_ID": loc}
        connection.execute(t.document.insert(), [header])
        shelves = []
        for number, line in enumerate(sorted(lines, key=lambda one: str(one["item_no"])), 1):
            quantity = Decimal(str(line["quantity"]))
            row = {"DOC_ID": doc_id, "LIN_SEQ_NO": number, "LIN_TYP": "S", "ITEM_NO": line["item_no"]}
            connection.execute(t.line.insert(), [row | {"QTY_SOLD": quantity, "STK_LOC_ID": loc}])
            shelves.append(self._move(connection, str(line["item_no"]), loc, on_hand=-quantity))
        return doc_id, shelves

    def tell_sale(self, doc_id: int, shelves: Sequence[Mapping[str, Any]]) -> None:
        """Note a sale that was committed."""
        for shelf in shelves:
            self.journal.append(SYSTEM, "till", "sale", shelf["item_no"], doc_id=doc_id, **shelf)

    def receive(self, item_no: str, quantity: Decimal, *, loc: str = "MAIN", kind: str = "receipt") -> None:
        """Put goods on the shelf (a receipt), or correct what stands there (an adjustment, which may be below 0)."""
        with self.engine.begin() as connection:
            shelf = self._move(connection, item_no, loc, on_hand=quantity)
        self.journal.append(SYSTEM, "staff", kind, item_no, **shelf)

    def _move(
        self,
        connection: Connection,
        item_no: str,
        loc: str,
        *,
        on_hand: Decimal = Decimal(0),
        commit: Decimal = Decimal(0),
    ) -> dict[str, Any]:
        """Change what one shelf holds, in one statement, and say what it holds now."""
        key = and_(t.inventory.c.ITEM_NO == item_no, t.inventory.c.LOC_ID == loc)
        changes = {
            "QTY_ON_HND": t.inventory.c.QTY_ON_HND + on_hand,
            "QTY_COMMIT": t.inventory.c.QTY_COMMIT + commit,
        }
        found = connection.execute(
            update(t.inventory).where(key).values(changes).returning(t.inventory.c.QTY_ON_HND, t.inventory.c.QTY_COMMIT)
        ).first()
        if found is None:
            raise Refused(404, "ERROR_RECORD_NOT_FOUND", f"Item {item_no} is not at location {loc}")
        return {
            "item_no": item_no,
            "loc": loc,
            "quantity": float(on_hand),
            "on_hand": float(found[0]),
            "commit": float(found[1]),
        }

    def commit_stock(self, connection: Connection, item_no: str, loc: str, quantity: Decimal) -> None:
        """Set goods of an order aside."""
        if self.orders_commit_stock:
            self._move(connection, item_no, loc, commit=quantity)

    def hand_over(self, connection: Connection, item_no: str, loc: str, quantity: Decimal) -> None:
        """Take goods of a ticket off the shelf; a quantity below 0 puts them back."""
        self._move(connection, item_no, loc, on_hand=-quantity)

    def create_customer(self, given: Mapping[str, Any], *, actor: str, workgroup: str = "1") -> str:
        """Enter a customer: the workgroup's next number and its template's defaults, unless a number is given."""
        with self.engine.begin() as connection:
            group = (
                connection.execute(select(t.workgroup).where(t.workgroup.c.WRKGRP_ID == workgroup).with_for_update())
                .mappings()
                .first()
            )
            template = (
                group
                and connection.execute(select(t.customer).where(t.customer.c.CUST_NO == group["TMPLT_CUST_NO"]))
                .mappings()
                .first()
            )
            if not group or not template:
                raise Refused(500, "ERROR_UNKNOWN", "Unknown error")  # As the real one: it does not say why (§8).
            number = str(given.get("CUST_NO") or group["NXT_CUST_NO"])
            if not given.get("CUST_NO"):
                following = update(t.workgroup).where(t.workgroup.c.WRKGRP_ID == workgroup)
                connection.execute(following.values(NXT_CUST_NO=group["NXT_CUST_NO"] + 1))
            row = {name: template[name] for name in t.OF_TEMPLATE}
            row |= {"IS_ECOMM_CUST": "N"} | known_columns(t.customer, given)
            row |= {"CUST_NO": number, "NAM": row.get("NAM") or _full_name(row)}
            row["NAM_UPR"] = row["NAM"].upper()
            connection.execute(t.customer.insert(), [row])
        self.journal.append(SYSTEM, actor, "customer", number, email=row.get("EMAIL_ADRS_1"), created=True)
        return number

    def change_customer(self, cust_no: str, given: Mapping[str, Any], *, actor: str) -> bool:
        """Change some columns of a customer; says whether one of them was another before."""
        with self.engine.begin() as connection:
            changes = known_columns(t.customer, given)
            mine = t.customer.c.CUST_NO == cust_no
            before = connection.execute(select(t.customer).where(mine)).mappings().first()
            if before is None:
                raise Refused(404, "ERROR_RECORD_NOT_FOUND", f"Customer {cust_no} not found")
            connection.execute(update(t.customer).where(mine).values(changes))
        self.journal.append(SYSTEM, actor, "customer", cust_no, changed=sorted(changes))
        return any(before[name] != value for name, value in changes.items())

    def delete_customer(self, cust_no: str) -> None:
        """Delete a customer."""
        with self.engine.begin() as connection:
            gone = connection.execute(t.customer.delete().where(t.customer.c.CUST_NO == cust_no))
            if gone.rowcount == 0:
                raise Refused(404, "ERROR_RECORD_NOT_FOUND", f"Customer {cust_no} not found")
        self.journal.append(SYSTEM, "staff", "customer", cust_no, deleted=True)

    def flagged(self, numbers: Sequence[str]) -> set[str]:
        """Give those customers that are flagged e-commerce."""
        query = select(t.customer.c.CUST_NO).where(t.customer.c.CUST_NO.in_(numbers), t.customer.c.IS_ECOMM_CUST == "Y")
        with self.engine.connect() as connection:
            return set(connection.execute(query).scalars())

    def merge(self, gone: str, stays: str) -> None:
        """Merge one customer into another, as Counterpoint's own procedure is said to (counterpoint 2, merge).

        It refuses while either is flagged e-commerce. What becomes of history and unposted adjustments is not known:
        see `merge_moves_history`. Open documents go to the survivor in any case.
        """
        with self.engine.begin() as connection:
            balances.take_turns(connection)
            query = select(t.customer).where(t.customer.c.CUST_NO.in_([gone, stays])).with_for_update()
            rows = {row["CUST_NO"]: row for row in connection.execute(query).mappings()}
            if gone == stays or rows.keys() != {gone, stays}:
                raise Refused(404, "ERROR_RECORD_NOT_FOUND", f"Customer {gone} or {stays} not found")
            if any(row["IS_ECOMM_CUST"] == "Y" for row in rows.values()):
                raise Refused(409, "ERROR_UNKNOWN", "An e-commerce customer cannot be merged")
            sums = {name: (rows[stays][name] or 0) + (rows[gone][name] or 0) for name in balances.POINTS}
            connection.execute(update(t.document).where(t.document.c.CUST_NO == gone).values(CUST_NO=stays))
            if self.merge_moves_history:
                balances.give_to_survivor(connection, gone, stays)
            _move_addresses(connection, gone, stays)
            connection.execute(update(t.customer).where(t.customer.c.CUST_NO == stays).values(sums))
            connection.execute(t.customer.delete().where(t.customer.c.CUST_NO == gone))
        self.journal.append(SYSTEM, "staff", "merge", gone, into=stays)

    def create_item(self, given: Mapping[str, Any], *, stock: Mapping[str, Decimal]) -> None:
        """Enter an item and what there is of it at each location."""
        with self.engine.begin() as connection:
            row = {"ITEM_TYP": "I", "STAT": "A", "IS_ECOMM_ITEM": "Y", "PRC_DECS": 2, "QTY_DECS": 0}
            connection.execute(t.item.insert(), [row | known_columns(t.item, given)])
            for loc, quantity in stock.items():
                shelf = {"ITEM_NO": given["ITEM_NO"], "LOC_ID": loc, "QTY_ON_HND": quantity, "QTY_COMMIT": 0}
                connection.execute(t.inventory.insert(), [shelf])
        self.journal.append(SYSTEM, "staff", "item", given["ITEM_NO"])

    def post_document(self, doc_id: int) -> None:
        """Post a document: its header, and a ticket's points, move to the history tables."""
        with self.engine.begin() as connection:
            balances.take_turns(connection)
            row = connection.execute(select(t.document).where(t.document.c.DOC_ID == doc_id)).mappings().first()
            if row is None:
                raise Refused(404, "ERROR_RECORD_NOT_FOUND", f"Document {doc_id} not found")
            target = t.posted_order if row["DOC_TYP"] == "O" else t.posted_ticket
            connection.execute(target.insert(), [dict(row)])
            connection.execute(t.document.delete().where(t.document.c.DOC_ID == doc_id))
            moved = self._post_points(connection, doc_id, row["CUST_NO"])
        self.journal.append(SYSTEM, "staff", "posting", doc_id)
        if moved:
            self.journal.append(SYSTEM, "staff", "points", row["CUST_NO"], what="posted", doc_id=doc_id, **moved)

    def _post_points(self, connection: Connection, doc_id: int, cust_no: str) -> dict[str, int]:
        """Post a ticket's points; says what moved the balance just now, if something did."""
        points = balances.post_ticket_points(connection, doc_id)
        if points is None or not self.points_move_at_posting:
            return {}
        earned, redeemed = points
        balance = balances.move_points(connection, cust_no, earned=earned, redeemed=redeemed)
        if balance is None:
            raise Refused(404, "ERROR_RECORD_NOT_FOUND", f"Customer {cust_no} not found")
        return {"points": earned - redeemed, "earned": earned, "redeemed": redeemed, "balance": balance}

    def void_document(self, marker: str, *, of_age_s: float = 0.0) -> int:
        """Void the order that carries a marker, with its deposit: it is gone, its goods are free. Gives its DOC_ID.

        An order that nobody touched for less than `of_age_s` is not found yet.
        """
        with self.engine.begin() as connection:
            mine = t.document.c.CUST_PO_NO == marker
            found = list(connection.execute(select(t.document).where(mine).with_for_update()).mappings())
            until = datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=of_age_s)
            order = next((row for row in found if row["DOC_TYP"] == "O" and row["RS_UTC_DT"] <= until), None)
            if order is None:
                raise Refused(404, "ERROR_RECORD_NOT_FOUND", f"No open order carries {marker}")
            lines = connection.execute(select(t.line).where(t.line.c.DOC_ID == order["DOC_ID"])).mappings()
            if released(connection, order["TKT_NO"]):
                raise Refused(409, "ERROR_DOCUMENT_ALREADY_COMPLETED", f"Goods of order {marker} were released")
            cards = balances.give_back(connection, order["DOC_ID"])  # Before the shelves, as the order itself did.
            for line in sorted(lines, key=lambda one: str(one["ITEM_NO"])):
                self.commit_stock(connection, line["ITEM_NO"], line["STK_LOC_ID"], -line["QTY_SOLD"])
            numbers = [row["DOC_ID"] for row in found]
            for table in (*PARTS.values(), t.profile, t.contact, t.document):
                connection.execute(table.delete().where(table.c.DOC_ID.in_(numbers)))
        self.tell_cards("staff", "returned", cards, doc_id=order["DOC_ID"])
        self.journal.append(SYSTEM, "staff", "void", order["DOC_ID"], marker=marker)
        return int(order["DOC_ID"])

    def release(self, marker: str, *, of_age_s: float, part: bool, tracking: Sequence[str]) -> dict[str, Any]:
        """Release an order that carries a marker, whole or a part of it: a ticket "-01", goods off the shelf.

        How the real one numbers and fills the ticket is said in counterpoint 7; that it copies the order's CUST_PO_NO
        is not known, and makes it the harder to tell from the deposit's ticket.
        """
        with self.engine.begin() as connection:
            until = datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=of_age_s)
            mine = select(t.document).where(t.document.c.CUST_PO_NO == marker, t.document.c.DOC_TYP == "O")
            order = connection.execute(mine.where(t.document.c.RS_UTC_DT <= until).with_for_update()).mappings().first()
            if order is None:
                raise Refused(404, "ERROR_RECORD_NOT_FOUND", f"No open order carries {marker}")
            before = released(connection, order["TKT_NO"])
            lines = still_open(connection, order["DOC_ID"], before)
            if not lines:
                raise Refused(404, "ERROR_RECORD_NOT_FOUND", f"Nothing is left of {marker}")
            if part:
                lines = [lines[0] | {"QTY_SOLD": max(Decimal(1), lines[0]["QTY_SOLD"] // 2)}]
            header = dict(order) | {"DOC_ID": next_number(connection, "doc_id"), "DOC_TYP": "T", "ORD_LINS": 0}
            header |= {"TKT_NO": f"{order['TKT_NO']}-{len(before) + 1:02d}", "SAL_LINS": len(lines)}
            connection.execute(t.document.insert(), [header])
            for number, line in enumerate(sorted(lines, key=lambda one: str(one["ITEM_NO"])), 1):
                own = {"DOC_ID": header["DOC_ID"], "LIN_SEQ_NO": number, "LIN_TYP": "S"}
                connection.execute(t.line.insert(), [line | own])
                self.commit_stock(connection, line["ITEM_NO"], line["STK_LOC_ID"], -line["QTY_SOLD"])
                self.hand_over(connection, line["ITEM_NO"], line["STK_LOC_ID"], line["QTY_SOLD"])
            rows = [{"DOC_ID": header["DOC_ID"], "SEQ_NO": at, "PKG_TRK_NO": one} for at, one in enumerate(tracking, 1)]
            if rows:
                connection.execute(t.package.insert(), rows)
        said = {"ticket_no": header["TKT_NO"], "tracking": list(tracking), "marker": marker}
        said["lines"] = [{"sku": one["ITEM_NO"], "quantity": int(one["QTY_SOLD"])} for one in lines]
        self.journal.append(SYSTEM, "staff", "release", header["DOC_ID"], **said)
        return {"doc_id": header["DOC_ID"], **said}

    def enter_return(self, marker: str, given: Mapping[str, Any]) -> int:
        """Enter a return ticket that carries a marker, for an order's goods, shipping, tax and goodwill, all in cents.

        Gives its DOC_ID. `lines`: item, pieces and net for all of them; `pay_code`: what the money goes back on.
        """
        cents = {name: Decimal(int(given.get(name) or 0)) / 100 for name in ("shipping", "tax", "goodwill", "amount")}
        with self.engine.begin() as connection:
            mine = t.document.c.CUST_PO_NO == str(given["order"]), t.document.c.DOC_TYP == "O"
            order = connection.execute(select(t.document).where(*mine)).mappings().first()
            if order is None:
                raise Refused(404, "ERROR_RECORD_NOT_FOUND", f"No open order carries {given['order']}")
            doc_id = next_number(connection, "doc_id")
            ticket = {"DOC_ID": doc_id, "DOC_TYP": "T", "CUST_PO_NO": marker, "ORD_LINS": 0}
            ticket |= {"STR_ID": given["store"]} if given.get("store") else {}
            lines = sorted(given.get("lines") or [])
            ticket |= {"TKT_NO": str(next_number(connection, "ticket_no")), "SAL_LINS": 0, "RET_LINS": len(lines)}
            connection.execute(t.document.insert(), [dict(order) | ticket])
            shelves = []
            for number, (item_no, pieces, net) in enumerate(lines, 1):
                quantity, amount = Decimal(int(pieces)), Decimal(int(net)) / 100
                line = {"DOC_ID": doc_id, "LIN_SEQ_NO": number, "LIN_TYP": "R", "ITEM_NO": item_no}
                line |= {"QTY_SOLD": quantity, "EXT_PRC": amount, "STK_LOC_ID": order["STK_LOC_ID"]}
                connection.execute(t.line.insert(), [line])
                shelves.append(self._move(connection, item_no, order["STK_LOC_ID"], on_hand=quantity))
            charges = -(cents["shipping"] + cents["goodwill"])
            total = {"DOC_ID": doc_id, "TOT_TYP": "S", "TAX_AMT": -cents["tax"], "TOT_MISC": charges}
            connection.execute(t.totals.insert(), [total | {"TOT": -cents["amount"], "TOT_TND": -cents["amount"]}])
            paid = {"DOC_ID": doc_id, "PMT_SEQ_NO": 1, "PAY_COD": given.get("pay_code"), "AMT": -cents["amount"]}
            connection.execute(t.payment.insert(), [paid])
        said: dict[str, Any] = {"doc_id": doc_id, "marker": marker, "ticket_no": ticket["TKT_NO"]}
        for shelf, (_, pieces, _) in zip(shelves, lines, strict=True):
            self.journal.append(SYSTEM, "staff", "return", shelf["item_no"], **said, pieces=int(pieces), **shelf)
        return doc_id

    def tell_cards(self, actor: str, what: str, cards: Sequence[balances.Moved], **more: Any) -> None:
        """Note what was put on cards, or taken off them, and was committed."""
        for number, amount, balance in cards:
            figures = {"cents": balances.cents(amount), "balance": balances.cents(balance)}
            self.journal.append(SYSTEM, actor, "gift-card", number, what=what, **figures, **more)

    def hold(self, marker: str, *, is_held: bool) -> int:
        """Put the order that carries a marker on hold, or let it go on. Gives its DOC_ID."""
        kinds = ("O", "H") if is_held else ("H", "O")
        with self.engine.begin() as connection:
            mine = (t.document.c.CUST_PO_NO == marker) & (t.document.c.DOC_TYP == kinds[0])
            doc_id = connection.scalar(
                update(t.document).where(mine).values(DOC_TYP=kinds[1]).returning(t.document.c.DOC_ID)
            )
        if doc_id is None:
            raise Refused(404, "ERROR_RECORD_NOT_FOUND", f"No such open order carries {marker}")
        self.journal.append(SYSTEM, "staff", "hold", doc_id, marker=marker, is_held=is_held)
        return int(doc_id)

    def state(self) -> dict[str, Any]:
        """Give what stands in the books: inventory, customers, documents with all their parts, points, gift cards."""
        with self.engine.connect() as connection:
            shelves: dict[str, Any] = {}
            for row in connection.execute(select(t.inventory)).mappings():
                figures = {"on_hand": float(row["QTY_ON_HND"]), "commit": float(row["QTY_COMMIT"])}
                shelves.setdefault(row["ITEM_NO"], {})[row["LOC_ID"]] = figures
            customers = [plain(row) for row in connection.execute(select(t.customer)).mappings()]
            held = balances.state(connection)
            documents = [
                {**plain(row), "posted": table is not t.document}
                for table in (t.document, t.posted_ticket, t.posted_order)
                for row in connection.execute(select(table)).mappings()
            ]
            parts = {name: children(connection, table) for name, table in PARTS.items()}
            for one in documents:
                one.update({name: found.get(one["DOC_ID"], []) for name, found in parts.items()})
        return {"inventory": shelves, "customers": customers, "documents": documents, **held}


def _move_addresses(connection: Connection, gone: str, stays: str) -> None:
    """Give one customer's shipping addresses to another, under the next free number where theirs is taken.

    What the real procedure does with numbers that meet is not known.
    """
    number, owner = t.address.c.SHIP_ADRS_ID, t.address.c.CUST_NO
    taken = set(connection.execute(select(number).where(owner == stays)).scalars())
    for old in connection.execute(select(number).where(owner == gone).order_by(number)).scalars().all():
        new = old if old not in taken else next(str(one) for one in itertools.count(1) if str(one) not in taken)
        taken.add(new)
        one = update(t.address).where(owner == gone, number == old)
        connection.execute(one.values(CUST_NO=stays, SHIP_ADRS_ID=new))


def _full_name(row: Mapping[str, Any]) -> str:
    return f"{row.get('FST_NAM') or ''} {row.get('LST_NAM') or ''}".strip()[:40]
