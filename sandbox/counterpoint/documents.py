"""POST and GET /Document as NCR's REST server does them (docs/facts/counterpoint.md 8).

A paid order makes two documents, a ticket that holds the deposit and the order; a price counts only with
USR_ENTD_PRC "Y"; nothing is looked up by our marker, and nothing keeps a second one out. A ticket's PS_DOC_GFC makes
gift cards: not verified, no full example is public (counterpoint.md 9).
"""

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from sqlalchemy import Connection, select

from sandbox.counterpoint import balances, cards
from sandbox.counterpoint import tables as t
from sandbox.counterpoint.books import SYSTEM, Books, Refused
from sandbox.counterpoint.rows import PARTS, known_columns, next_number, plain

CENT = Decimal("0.01")
HANDED_OVER = {"S": 1, "R": -1}  # Lines whose goods change hands at once (counterpoint.md 7).
REQUIRED = ("STR_ID", "STA_ID", "DRW_ID", "USR_ID", "TKT_TYP", "DOC_TYP", "CUST_NO")


def place(books: Books, payload: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Place a document; gives the documents made, the order last."""
    header = payload.get("PS_DOC_HDR")
    if not isinstance(header, Mapping):
        raise Refused(400, "ERROR_MISSING_REQUIRED_DATA", "PS_DOC_HDR is missing")
    missing = [name for name in REQUIRED if not header.get(name)]
    has_content = header.get("PS_DOC_LIN") or (header.get("PS_DOC_GFC") and books.tickets_make_cards)
    missing += [] if has_content else ["PS_DOC_LIN"]
    if missing:
        raise Refused(400, "ERROR_MISSING_REQUIRED_DATA", f"Missing: {', '.join(missing)}")
    with books.engine.begin() as connection:
        made, paid, sold = _place(books, connection, header, payload.get("PS_TAX") or {})
    books.tell_cards("api", "redeemed", paid, doc_id=made[-1]["DOC_ID"])
    books.tell_cards("api", "issued", sold, doc_id=made[-1]["DOC_ID"])
    for one in made:
        books.journal.append(SYSTEM, "api", "document", one["DOC_ID"], **one)
    return made


def _place(
    books: Books, connection: Connection, header: Mapping[str, Any], taxes: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], list[balances.Moved], list[balances.Moved]]:
    """Give the documents made, the cards that paid, and the cards that were sold."""
    location = _check(connection, header)
    part = "O" if header["DOC_TYP"] == "O" else "S"
    lines = [_line(connection, number, line, location) for number, line in enumerate(header.get("PS_DOC_LIN") or [], 1)]
    bought = _bought_cards(books, header)
    misc = [one | {"TOT_TYP": part} for one in header.get("PS_DOC_HDR_MISC_CHRG", [])]
    tax = Decimal(str(taxes.get("ORD_TAX_AMT" if part == "O" else "SAL_TAX_AMT") or 0))
    if tax != sum((Decimal(str(one["TAX_AMT"])) for one in header.get("PS_DOC_TAX", [])), Decimal(0)):
        raise Refused(400, "ERROR_MISSING_REQUIRED_DATA", "PS_DOC_TAX and PS_TAX do not agree")
    sub = sum((line["EXT_PRC"] for line in lines), Decimal(0))
    charges = sum((Decimal(str(one["MISC_AMT"])) for one in misc), Decimal(0))
    payments = list(header.get("PS_DOC_PMT", []))
    deposits = [one for one in payments if one.get("FINAL_PMT") == "N" and Decimal(str(one.get("AMT") or 0)) > 0]
    paid = sum((Decimal(str(one["AMT"])) for one in deposits), Decimal(0))
    made = []
    if part == "O" and deposits:
        deposit = _header(connection, {**header, "DOC_TYP": "T"}, location, lines=0)
        _children(connection, deposit, {"payments": deposits})
        made.append(_said(deposit, header, "T", paid, 0))
    doc_id = _header(connection, header, location, lines=len(lines))
    payers = _redeem(connection, deposits, doc_id)
    sold = [cards.issue_in(connection, **one, cust_no=header["CUST_NO"], doc_id=doc_id) for one in bought]
    on_cards = sum((one["amount"] for one in bought), Decimal(0))
    due = sub + tax + charges + on_cards
    total = {"TOT_TYP": part, "SUB_TOT": sub, "TAX_AMT": tax, "NORM_TAX_AMT": tax, "TOT_MISC": charges}
    total |= {"TOT_GFC_AMT": on_cards, "TOT": due, "TOT_TND": paid, "AMT_DUE": due - paid}
    parts = {"lines": lines, "misc": misc, "totals": [total], "taxes": header.get("PS_DOC_TAX", [])}
    parts |= {"notes": header.get("PS_DOC_NOTE", []), "payments": payments}
    codes = zip(bought, sold, strict=True)
    parts["cards"] = [{"GFC_COD": one["code"], "GFC_NO": made_one[0], "AMT": made_one[1]} for one, made_one in codes]
    _children(connection, doc_id, parts)
    profile = known_columns(t.profile, header.get("PS_DOC_HDR_PROF") or {})
    connection.execute(t.profile.insert(), [profile | {"DOC_ID": doc_id}])
    for number, side in enumerate(("BILL_TO_CONTACT", "SHIP_TO_CONTACT"), 1):
        if header.get(side):
            row = known_columns(t.contact, header[side]) | {"DOC_ID": doc_id, "CONTACT_ID": number}
            connection.execute(t.contact.insert(), [row])
    for line in sorted(lines, key=lambda one: str(one["ITEM_NO"])):
        _move_stock(books, connection, line)
    made.append(_said(doc_id, header, header["DOC_TYP"], due, len(lines)))
    return made, payers, sold


def _bought_cards(books: Books, header: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the gift cards that a ticket sells. An order cannot hold any (counterpoint.md 6)."""
    given = (header.get("PS_DOC_GFC") or []) if books.tickets_make_cards else []
    if given and header["DOC_TYP"] != "T":
        raise Refused(400, "ERROR_INVALID_LIN_TYP", "Gift cards are sold on a ticket")
    return [
        {"code": str(one["GFC_COD"]), "number": str(one.get("GFC_NO") or ""), "amount": Decimal(str(one["AMT"]))}
        for one in given
    ]


def _redeem(connection: Connection, payments: Sequence[Mapping[str, Any]], doc_id: int) -> list[balances.Moved]:
    """Lower the gift cards that pay; one that is not there, or holds too little, refuses the document."""
    rows = connection.execute(select(t.pay_code.c.PAY_COD, t.pay_code.c.PAY_TYP))
    codes = {row.PAY_COD: row.PAY_TYP for row in rows}
    moved = []
    for one in payments:
        if codes.get(one["PAY_COD"]) == "G":
            amount, number = Decimal(str(one["AMT"])), str(one.get("CARD_NO") or "")
            able = balances.can_pay(amount)
            balance = balances.move_card(connection, number, -amount, "R", *able, doc_id=doc_id)
            if balance is None:
                raise Refused(400, "ERROR_INVALID_GIFTCARD_PAYMENT", f"Gift card {one.get('CARD_NO')}: no such balance")
            moved.append((number, -amount, balance))
    return moved


def _move_stock(books: Books, connection: Connection, line: Mapping[str, Any]) -> None:
    """Move what a line stands for: an order sets goods aside, a sale takes them, a return brings them back."""
    item_no, location, quantity = line["ITEM_NO"], line["STK_LOC_ID"], line["QTY_SOLD"]
    if line["LIN_TYP"] in HANDED_OVER:
        books.hand_over(connection, item_no, location, quantity * HANDED_OVER[line["LIN_TYP"]])
    else:
        books.commit_stock(connection, item_no, location, quantity)


def _check(connection: Connection, header: Mapping[str, Any]) -> str:
    """Look the store, station and customer up; gives the store's stock location."""
    location = connection.scalar(select(t.store.c.STK_LOC_ID).where(t.store.c.STR_ID == header["STR_ID"]))
    if location is None:
        raise Refused(404, "ERROR_RECORD_NOT_FOUND", f"Store {header['STR_ID']} not found")
    station = select(t.station.c.STA_ID).where(t.station.c.STR_ID == header["STR_ID"])
    if connection.scalar(station.where(t.station.c.STA_ID == header["STA_ID"])) is None:
        raise Refused(404, "ERROR_RECORD_NOT_FOUND", f"Station {header['STA_ID']} not found")
    if connection.scalar(select(t.customer.c.CUST_NO).where(t.customer.c.CUST_NO == header["CUST_NO"])) is None:
        raise Refused(404, "ERROR_RECORD_NOT_FOUND", f"Customer {header['CUST_NO']} not found")
    return str(header.get("STK_LOC_ID") or location)


def _line(connection: Connection, number: int, given: Mapping[str, Any], location: str) -> dict[str, Any]:
    item = connection.execute(select(t.item).where(t.item.c.ITEM_NO == given.get("ITEM_NO"))).mappings().first()
    if item is None:
        raise Refused(404, "ERROR_RECORD_NOT_FOUND", f"Item {given.get('ITEM_NO')} not found")
    if given.get("LIN_TYP") not in {"S", "O", "R", "B", "P", "L"}:
        raise Refused(400, "ERROR_INVALID_LIN_TYP", f"Line {number}: LIN_TYP {given.get('LIN_TYP')}")
    quantity = Decimal(str(given["QTY_SOLD"]))
    own_price = given.get("USR_ENTD_PRC") == "Y" and given.get("PRC") is not None
    price = Decimal(str(given["PRC"])) if own_price else Decimal(str(item["PRC_1"]))
    return {
        "LIN_SEQ_NO": number,
        "LIN_TYP": given["LIN_TYP"],
        "ITEM_NO": item["ITEM_NO"],
        "DESCR": str(given.get("DESCR") or item["DESCR"])[:250],
        "STK_LOC_ID": location,
        "QTY_SOLD": quantity,
        "PRC": price,
        "REG_PRC": Decimal(str(given.get("REG_PRC") or item["PRC_1"])),
        "EXT_PRC": (quantity * price).quantize(CENT, ROUND_HALF_UP),
        "GROSS_EXT_PRC": (quantity * price).quantize(CENT, ROUND_HALF_UP),
        "USR_ENTD_PRC": given.get("USR_ENTD_PRC", "N"),
    }


def _header(connection: Connection, header: Mapping[str, Any], location: str, *, lines: int) -> int:
    doc_id = next_number(connection, "doc_id")
    row = known_columns(t.document, header)
    row |= {"DOC_ID": doc_id, "STK_LOC_ID": location, "ORD_LINS": lines}
    row["TKT_NO"] = row.get("TKT_NO") or str(next_number(connection, "ticket_no"))
    connection.execute(t.document.insert(), [row])
    return doc_id


def _children(connection: Connection, doc_id: int, parts: Mapping[str, Any]) -> None:
    """Write the rows of each child table, numbered where the table wants it."""
    for name, rows in parts.items():
        table = PARTS[name]
        numbered = next((column.name for column in table.primary_key if column.name.endswith("SEQ_NO")), None)
        for number, row in enumerate(rows, 1):
            values = known_columns(table, row) | {"DOC_ID": doc_id}
            connection.execute(table.insert(), [values | ({numbered: number} if numbered else {})])


def _said(doc_id: int, header: Mapping[str, Any], kind: str, total: Decimal, lines: int) -> dict[str, Any]:
    said = {name: header.get(name) for name in ("CUST_NO", "CUST_PO_NO", "STR_ID", "STA_ID")}
    return said | {"DOC_ID": doc_id, "DOC_TYP": kind, "total_cents": int(total * 100), "lines": lines}


def get(books: Books, doc_id: int) -> dict[str, Any]:
    """Give one unposted document with all its parts."""
    with books.engine.connect() as connection:
        row = connection.execute(select(t.document).where(t.document.c.DOC_ID == doc_id)).mappings().first()
        if row is None:
            raise Refused(404, "ERROR_RECORD_NOT_FOUND", f"Document {doc_id} not found")
        names = {"lines": "PS_DOC_LIN", "payments": "PS_DOC_PMT", "misc": "PS_DOC_HDR_MISC_CHRG"}
        names |= {"taxes": "PS_DOC_TAX", "totals": "PS_DOC_HDR_TOT", "notes": "PS_DOC_NOTE", "cards": "PS_DOC_GFC"}
        parts = {
            names[name]: [
                plain(one)
                for one in connection.execute(
                    select(table).where(table.c.DOC_ID == doc_id).order_by(*table.primary_key)
                ).mappings()
            ]
            for name, table in PARTS.items()
        }
    return {"PS_DOC_HDR": plain(row) | parts}
