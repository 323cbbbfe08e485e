"""Gift cards and store credit at the till: sold, redeemed, reloaded, voided, with a last day."""

from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, select, update

from sandbox.counterpoint import balances
from sandbox.counterpoint import tables as t
from sandbox.counterpoint.books import SYSTEM, Books, Refused
from sandbox.counterpoint.rows import next_number


def issue_in(
    connection: Connection, *, code: str, number: str, amount: Decimal, cust_no: str | None, doc_id: int | None
) -> balances.Moved:
    """Make a card inside a transaction. Without a number it gets the next one."""
    about = connection.scalar(select(t.gift_card_code.c.DESCR).where(t.gift_card_code.c.GFC_COD == code))
    if about is None:
        raise Refused(404, "ERROR_RECORD_NOT_FOUND", f"Gift card code {code} not found")
    card = {"GFC_NO": number or str(next_number(connection, "card_no")), "GFC_COD": code, "DESCR": about}
    if not balances.make_card(connection, card | {"ORIG_CUST_NO": cust_no}, _money(amount), doc_id=doc_id):
        raise Refused(409, "ERROR_UNKNOWN", f"There is a gift card {number} already")
    return card["GFC_NO"], amount, amount


def issue(books: Books, amount: Decimal, *, code: str, number: str, cust_no: str | None) -> dict[str, Any]:
    """Sell a card, or give store credit."""
    with books.engine.begin() as connection:
        made = issue_in(connection, code=code, number=number, amount=amount, cust_no=cust_no, doc_id=None)
    books.tell_cards("till", "issued", [made], code=code)
    return {"number": made[0], "balance": balances.cents(amount)}


def redeem(books: Books, number: str, amount: Decimal) -> dict[str, Any]:
    """Take an amount off a card that can pay it."""
    with books.engine.begin() as connection:
        able = balances.can_pay(_money(amount))
        balance = balances.move_card(connection, number, -amount, "R", *able)
        if balance is None:
            _card(connection, number)
            raise Refused(409, "ERROR_INVALID_GIFTCARD_PAYMENT", f"Gift card {number} does not hold {amount}")
    books.tell_cards("till", "redeemed", [(number, -amount, balance)])
    return {"balance": balances.cents(balance)}


def reload(books: Books, number: str, amount: Decimal) -> dict[str, Any]:
    """Put an amount on a card that is not void."""
    with books.engine.begin() as connection:
        balance = balances.move_card(connection, number, _money(amount), "I", t.gift_card.c.IS_VOID == "N")
        if balance is None:
            _card(connection, number)
            raise Refused(409, "ERROR_UNKNOWN", f"Gift card {number} is void")
    books.tell_cards("till", "reloaded", [(number, amount, balance)])
    return {"balance": balances.cents(balance)}


def void(books: Books, number: str, *, is_void: bool) -> dict[str, Any]:
    """Make a card worthless, or good again; what is on it stays."""
    return _change(books, number, {"IS_VOID": "Y" if is_void else "N"}, what="voided", is_void=is_void)


def expire(books: Books, number: str, last_day: date | None) -> dict[str, Any]:
    """Give a card a last day; None: it never expires."""
    until = datetime.combine(last_day, time()) if last_day else None
    values = {"EXP_DAT": until, "NO_EXP_DAT": "N" if until else "Y"}
    return _change(books, number, values, what="expired", date=last_day.isoformat() if last_day else None)


def _change(books: Books, number: str, values: dict[str, Any], **said: Any) -> dict[str, Any]:
    """Change what stands on a card besides its amount."""
    with books.engine.begin() as connection:
        connection.execute(update(t.gift_card).where(t.gift_card.c.GFC_NO == number).values(values))
        balance = balances.cents(_card(connection, number))
    books.journal.append(SYSTEM, "staff", "gift-card", number, cents=0, balance=balance, **said)
    return {"balance": balance}


def _card(connection: Connection, number: str) -> Decimal:
    """Give what is on a card."""
    balance = connection.scalar(select(t.gift_card.c.CURR_AMT).where(t.gift_card.c.GFC_NO == number))
    if balance is None:
        raise Refused(404, "ERROR_RECORD_NOT_FOUND", f"Gift card {number} not found")
    return Decimal(balance)


def _money(amount: Decimal) -> Decimal:
    """Refuse an amount that no coins pay."""
    if not amount.is_finite() or amount <= 0 or amount != round(amount, 2):
        raise Refused(400, "ERROR_MISSING_REQUIRED_DATA", f"{amount} is no amount of money")
    return amount
