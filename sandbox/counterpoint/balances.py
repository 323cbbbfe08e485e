"""Points and card balances as rows: each balance moves in the transaction of the row that explains it.

Works inside the caller's transaction, and refuses nothing: who calls it knows what a None means.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from sandbox.counterpoint import tables as t

POINTS = ("LOY_PTS_BAL", "TOT_LOY_PTS_EARND", "TOT_LOY_PTS_RDM", "TOT_LOY_PTS_ADJ")
TURNS = 4711  # The number of the lock; nothing else in this database takes one.
Moved = tuple[str, Decimal, Decimal]  # A card, what was put on it (below 0: taken off), and what it holds now.


def take_turns(connection: Connection) -> None:
    """Let one transaction at a time move points or merge: they lock customers and rows in different orders."""
    connection.execute(select(func.pg_advisory_xact_lock(TURNS)))


def points_of(connection: Connection, cust_no: str) -> int | None:
    """Give a customer's balance, and lock it; None: there is no such customer."""
    balance = func.coalesce(t.customer.c.LOY_PTS_BAL, 0)
    mine = select(balance).where(t.customer.c.CUST_NO == cust_no).with_for_update()
    return connection.execute(mine).scalar_one_or_none()


def move_points(
    connection: Connection, cust_no: str, *, earned: int = 0, redeemed: int = 0, adjusted: int = 0
) -> int | None:
    """Move a customer's balance and the totals that it is the sum of; gives the balance, None: no such customer."""
    moves = dict(zip(POINTS, (earned - redeemed + adjusted, earned, redeemed, adjusted), strict=True))
    values = {name: func.coalesce(t.customer.c[name], 0) + points for name, points in moves.items()}
    mine = update(t.customer).where(t.customer.c.CUST_NO == cust_no)
    return connection.execute(mine.values(values).returning(t.customer.c.LOY_PTS_BAL)).scalar_one_or_none()


def post_ticket_points(connection: Connection, doc_id: int) -> tuple[int, int] | None:
    """Move a ticket's row of points into the history; gives what was earned and redeemed, None: it had no points."""
    mine = t.ticket_points.c.DOC_ID == doc_id
    row = connection.execute(select(t.ticket_points).where(mine)).mappings().first()
    if row is None:
        return None
    names = ("DOC_ID", "LOY_PTS_EARND_NET", "LOY_PTS_RDM", "LOY_PTS_BAL")
    connection.execute(t.posted_ticket_points.insert(), [{name: row[name] for name in names}])
    connection.execute(t.ticket_points.delete().where(mine))
    return int(row["LOY_PTS_EARND_NET"]), int(row["LOY_PTS_RDM"])


def give_to_survivor(connection: Connection, gone: str, stays: str) -> None:
    """Give one customer's history, unposted adjustments and cards to another."""
    for table in (t.posted_ticket, t.posted_order, t.point_adjustment, t.posted_adjustment):
        connection.execute(update(table).where(table.c.CUST_NO == gone).values(CUST_NO=stays))
    connection.execute(update(t.gift_card).where(t.gift_card.c.ORIG_CUST_NO == gone).values(ORIG_CUST_NO=stays))


def make_card(connection: Connection, card: Mapping[str, Any], amount: Decimal, *, doc_id: int | None) -> bool:
    """Enter a card that never expires, with its first activity. False: its number is taken."""
    row = {"IS_VOID": "N", "NO_EXP_DAT": "Y", "ORIG_DAT": datetime.now(UTC).replace(tzinfo=None)}
    row |= {"ORIG_DOC_ID": doc_id, "ORIG_AMT": amount, "CURR_AMT": 0, **card}
    made = insert(t.gift_card).values(row).on_conflict_do_nothing().returning(t.gift_card.c.GFC_NO)
    if connection.scalar(made) is None:
        return False
    move_card(connection, str(card["GFC_NO"]), amount, "I", doc_id=doc_id)
    return True


def move_card(
    connection: Connection,
    number: str,
    amount: Decimal,
    kind: str,
    *conditions: ColumnElement[bool],
    doc_id: int | None = None,
) -> Decimal | None:
    """Put an amount on a card, or take it off; gives what it holds then. None: no such card fulfils the conditions."""
    card, activity = t.gift_card.c, t.card_activity.c
    when = datetime.now(UTC).replace(tzinfo=None)
    changed = update(t.gift_card).where(card.GFC_NO == number, *conditions)
    changed = changed.values(CURR_AMT=card.CURR_AMT + amount, LST_ACTIV_DAT=when)
    balance = connection.scalar(changed.returning(card.CURR_AMT))
    if balance is None:
        return None
    # The card's row is locked: nobody else draws this number.
    last = select(func.coalesce(func.max(activity.SEQ_NO), 0) + 1).where(activity.GFC_NO == number).scalar_subquery()
    row = {"GFC_NO": number, "SEQ_NO": last, "DAT": when, "DOC_ID": doc_id, "ACTIV_TYP": kind, "AMT": amount}
    connection.execute(insert(t.card_activity).values(row))
    return Decimal(balance)


def can_pay(amount: Decimal) -> Sequence[ColumnElement[bool]]:
    """Give the conditions on which a card pays an amount. Its last day is a day on which it still does."""
    card, today = t.gift_card.c, datetime.now(UTC).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    stays = func.coalesce(card.NO_EXP_DAT, "Y") == "Y"
    return (card.IS_VOID == "N", card.CURR_AMT >= amount, or_(stays, card.EXP_DAT >= today))


def give_back(connection: Connection, doc_id: int) -> list[Moved]:
    """Give what gift cards paid for a document back to them."""
    paid = select(t.payment.c.CARD_NO, t.payment.c.AMT).where(
        t.payment.c.DOC_ID == doc_id, t.payment.c.CARD_NO.isnot(None)
    )
    moved = []
    for row in connection.execute(paid.order_by(t.payment.c.CARD_NO)).all():
        balance = move_card(connection, row.CARD_NO, row.AMT, "R", doc_id=doc_id)
        if balance is not None:
            moved.append((str(row.CARD_NO), Decimal(row.AMT), balance))
    return moved


def cents(amount: Decimal) -> int:
    """Give an amount in cents."""
    return int(amount * 100)


def state(connection: Connection) -> dict[str, Any]:
    """Give all balances, and the adjustments that are not posted."""
    customer, card, unposted = t.customer.c, t.gift_card, t.point_adjustment
    balances = connection.execute(select(customer.CUST_NO, func.coalesce(customer.LOY_PTS_BAL, 0)))
    cards = connection.execute(select(card)).mappings().all()
    return {
        "points": {row[0]: row[1] for row in balances},
        "unposted": [
            {"seq_no": row.SEQ_NO, "cust_no": row.CUST_NO, "points": row.NO_OF_PTS, "tag": row.DOC_NO or row.REF}
            for row in connection.execute(select(unposted).order_by(unposted.c.SEQ_NO))
        ],
        "gift_cards": {row["GFC_NO"]: float(row["CURR_AMT"]) for row in cards},
        "cards": {
            row["GFC_NO"]: {"cents": cents(row["CURR_AMT"]), "is_void": row["IS_VOID"] == "Y", "code": row["GFC_COD"]}
            for row in cards
        },
    }
