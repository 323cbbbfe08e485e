"""What people do with points: tickets at the till, adjustments in the office, and what staff do to those.

Each is one short transaction and one line in the journal, written after its commit. A line has a `balance` exactly
where its `points` moved one: those lines of a customer add up to the balance. Documents are posted in `books.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, or_, select, update

from sandbox.counterpoint import balances
from sandbox.counterpoint import tables as t
from sandbox.counterpoint.books import SYSTEM, Books, Refused

BATCH = "STAFF"  # The batch of what staff enter by hand.
COLUMNS = ("BAT_ID", "CUST_NO", "TRX_DAT", "NO_OF_PTS", "DOC_NO", "REF")


@dataclass(frozen=True, slots=True, kw_only=True)
class Which:
    """One unposted adjustment: by its number, or the oldest that carries a tag (as DOC_NO or REF)."""

    seq_no: int | None = None
    tag: str | None = None

    def condition(self) -> ColumnElement[bool]:
        """Give what its row fulfils."""
        row = t.point_adjustment.c
        return row.SEQ_NO == self.seq_no if self.tag is None else or_(row.DOC_NO == self.tag, row.REF == self.tag)


def ticket(
    books: Books, cust_no: str, lines: Sequence[Mapping[str, Any]], *, earned: int, redeemed: int, loc: str = "MAIN"
) -> dict[str, Any]:
    """Complete a ticket that earns or redeems points. It may have no lines: only its points are of interest then."""
    if redeemed < 0 or not (earned or redeemed):
        raise Refused(400, "ERROR_MISSING_REQUIRED_DATA", f"A ticket cannot earn {earned} and redeem {redeemed}")
    with books.engine.begin() as connection:
        balances.take_turns(connection)
        doc_id, shelves = books.ring_up(connection, lines, loc=loc, cust_no=cust_no)
        before = _balance(connection, cust_no)
        if redeemed > before:
            raise Refused(409, "ERROR_UNKNOWN", f"Customer {cust_no} has {before} points, {redeemed} are too many")
        row = {"DOC_ID": doc_id, "LOY_PTS_EARND_NET": earned, "LOY_PTS_RDM": redeemed}
        connection.execute(t.ticket_points.insert(), [row | {"LOY_PTS_BAL": before + earned - redeemed}])
        moved: dict[str, Any] = {}
        if not books.points_move_at_posting:
            moved["balance"] = balances.move_points(connection, cust_no, earned=earned, redeemed=redeemed)
    books.tell_sale(doc_id, shelves)
    said = {"doc_id": doc_id, "points": earned - redeemed, "earned": earned, "redeemed": redeemed, **moved}
    books.journal.append(SYSTEM, "till", "points", cust_no, what="ticket", **said)
    return {"doc_id": doc_id, **moved}


def enter(books: Books, cust_no: str, points: int, reference: str | None) -> dict[str, Any]:
    """Enter an adjustment, which moves nothing before somebody posts it."""
    if points == 0:
        raise Refused(400, "ERROR_MISSING_REQUIRED_DATA", "An adjustment of 0 points")
    row = {"BAT_ID": BATCH, "CUST_NO": cust_no, "NO_OF_PTS": points, "REF": reference}
    row["TRX_DAT"] = datetime.now(UTC).replace(tzinfo=None)
    with books.engine.begin() as connection:
        balances.take_turns(connection)
        _balance(connection, cust_no)
        made = t.point_adjustment.insert().values(row).returning(t.point_adjustment)
        entered = connection.execute(made).mappings().one()
    _tell(books, "entered", entered, points=points)
    return {"seq_no": entered["SEQ_NO"]}


def post(books: Books, which: Which, points: int | None = None) -> dict[str, Any]:
    """Post one adjustment, with another amount where one is given."""
    with books.engine.begin() as connection:
        row = _take(connection, which)
        posted = _post(connection, row, row["NO_OF_PTS"] if points is None else points)
    _tell(books, "posted", row, **posted)
    return posted


def post_all(books: Books) -> dict[str, Any]:
    """Post the journal of adjustments, all or nothing but those whose customer is gone: they stay, and are named."""
    order = t.point_adjustment.c.SEQ_NO
    with books.engine.begin() as connection:
        balances.take_turns(connection)
        known = select(t.customer.c.CUST_NO)
        here = select(t.point_adjustment).where(t.point_adjustment.c.CUST_NO.in_(known)).order_by(order)
        rows = connection.execute(here.with_for_update()).mappings().all()
        done = [(row, _post(connection, row, row["NO_OF_PTS"])) for row in rows]
        left = connection.scalars(select(order).where(t.point_adjustment.c.CUST_NO.not_in(known)).order_by(order)).all()
    for row, posted in done:
        _tell(books, "posted", row, **posted)
    return {"posted": [posted["event_no"] for _, posted in done], "left": list(left)}


def alter(books: Books, which: Which, points: int) -> dict[str, Any]:
    """Change how many points an unposted adjustment is about."""
    with books.engine.begin() as connection:
        row = _take(connection, which)
        mine = update(t.point_adjustment).where(t.point_adjustment.c.SEQ_NO == row["SEQ_NO"])
        connection.execute(mine.values(NO_OF_PTS=points))
    _tell(books, "altered", row, points=points, before=row["NO_OF_PTS"])
    return {"seq_no": row["SEQ_NO"], "before": row["NO_OF_PTS"]}


def delete(books: Books, which: Which) -> dict[str, Any]:
    """Delete an unposted adjustment."""
    with books.engine.begin() as connection:
        row = _take(connection, which)
        _remove(connection, row)
    _tell(books, "deleted", row, points=row["NO_OF_PTS"])
    return {"seq_no": row["SEQ_NO"], "points": row["NO_OF_PTS"]}


def overwrite(books: Books, cust_no: str, points_balance: int) -> dict[str, Any]:
    """Write a balance over the balance, as some integrators do: no row and no total explains it (counterpoint.md 3)."""
    with books.engine.begin() as connection:
        balances.take_turns(connection)
        before = _balance(connection, cust_no)
        mine = update(t.customer).where(t.customer.c.CUST_NO == cust_no)
        connection.execute(mine.values(LOY_PTS_BAL=points_balance))
    said = {"points": points_balance - before, "balance": points_balance}
    books.journal.append(SYSTEM, "staff", "points", cust_no, what="overwritten", **said)
    return said


def enrol(books: Books, cust_no: str, program: str | None) -> None:
    """Enrol a customer in a loyalty programme; None ends it, and leaves the balance."""
    with books.engine.begin() as connection:
        mine = update(t.customer).where(t.customer.c.CUST_NO == cust_no)
        if connection.execute(mine.values(LOY_PGM_COD=program)).rowcount == 0:
            raise Refused(404, "ERROR_RECORD_NOT_FOUND", f"Customer {cust_no} not found")
    books.journal.append(SYSTEM, "staff", "points", cust_no, what="enrolled", points=0, program=program)


def _balance(connection: Connection, cust_no: str) -> int:
    balance = balances.points_of(connection, cust_no)
    if balance is None:
        raise Refused(404, "ERROR_RECORD_NOT_FOUND", f"Customer {cust_no} not found")
    return balance


def _take(connection: Connection, which: Which) -> RowMapping:
    """Find one unposted adjustment, and lock it."""
    balances.take_turns(connection)
    mine = select(t.point_adjustment).where(which.condition()).order_by(t.point_adjustment.c.SEQ_NO).limit(1)
    row = connection.execute(mine.with_for_update()).mappings().first()
    if row is None:
        raise Refused(404, "ERROR_RECORD_NOT_FOUND", f"No unposted adjustment is {which}")
    return row


def _post(connection: Connection, row: RowMapping, points: int) -> dict[str, Any]:
    """Move one row to the history, and the balance with it; says so."""
    history = {name: row[name] for name in COLUMNS} | {"NO_OF_PTS": points}
    made = t.posted_adjustment.insert().values(history).returning(t.posted_adjustment.c.EVENT_NO)
    event_no = connection.scalar(made)
    _remove(connection, row)
    balance = balances.move_points(connection, row["CUST_NO"], adjusted=points)
    if balance is None:
        raise Refused(404, "ERROR_RECORD_NOT_FOUND", f"Customer {row['CUST_NO']} not found")
    return {"event_no": event_no, "points": points, "before": row["NO_OF_PTS"], "balance": balance}


def _remove(connection: Connection, row: RowMapping) -> None:
    connection.execute(t.point_adjustment.delete().where(t.point_adjustment.c.SEQ_NO == row["SEQ_NO"]))


def _tell(books: Books, what: str, row: RowMapping, **said: Any) -> None:
    """Note what became of an adjustment."""
    tag = row["DOC_NO"] or row["REF"]
    named = {"seq_no": row["SEQ_NO"]} | ({"tag": tag} if tag else {})
    books.journal.append(SYSTEM, "staff", "points", row["CUST_NO"], what=what, **named, **said)
