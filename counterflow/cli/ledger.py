"""ledger: one customer's book of points, entry by entry, and why both sides differ. No names, no addresses."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from sqlalchemy import Connection, or_, select

from counterflow.cli import differences, statement
from counterflow.cli.steer import AsJson, ConfigFile
from counterflow.state.tables import review
from processors.books import Ledger
from processors.loyalty import FIRST, PARTED, UNEXPLAINED
from processors.rules.book import Book

SHOP = Path("shop.yaml")
COLUMNS = ("what", "origin", "tag", "state", "points", "till", "web")
NUMBERS = COLUMNS[-3:]


def ledger(
    cust_no: Annotated[str, typer.Argument(help="The customer's number in Counterpoint.")],
    config: ConfigFile = SHOP,
    as_json: AsJson = False,
) -> None:
    """Show one customer's points: every entry of both sides, the balances, and why they differ."""
    from counterflow.cli.main import configured, tell
    from counterflow.cli.roles import state_url
    from counterflow.state.database import begin, open_database

    engine = open_database(state_url(configured(config, "cli")))
    with begin(engine) as connection:
        answer = account_of(connection, cust_no)
    engine.dispose()
    if answer is None:
        typer.echo(
            f"customer {cust_no} has no book: Counterpoint has shown no points of his and no programme, or points are "
            "off (counterflow doctor tells)",
            err=True,
        )
        raise typer.Exit(1)
    tell(as_json, answer, lambda: _lines(answer))
    raise typer.Exit(1 if answer["does_not_add_up"] else 0)


def account_of(connection: Connection, cust_no: str) -> dict[str, Any] | None:
    """Gather what a book says; None where there is none. Holds the books' lock: no batch is half in it."""
    books = Ledger(connection)
    if not books.is_kept(cust_no):
        return None
    book = books.of(cust_no)
    return told(book, cust_no) | {"waits_for_a_person": _asked(connection, book)}


def told(book: Book, cust_no: str) -> dict[str, Any]:
    """Tell a book.

    Args:
        book: Any.
        cust_no: Who was asked for: himself, or one who was merged into him.
    """
    lines = statement.lines_of(book)
    return {
        "customer": book.cust_no,
        "asked_for": cust_no,
        "merged": list(book.merged),
        "is_enrolled": book.is_enrolled,
        "accounts": [
            {"account": name, "points": book.balance(name), "keeps_the_points": name == book.home}
            for name in sorted(book.accounts)
        ],
        "entries": [msgspec.structs.asdict(one) for one in lines],
        "till": book.pos_sum,
        "web": statement.web_balance(book),
        "differ_because": [msgspec.structs.asdict(one) for one in differences.reasons(book)],
        "notes": differences.notes(book),
        "does_not_add_up": differences.faults(book, lines),
    }


def _asked(connection: Connection, book: Book) -> list[str]:
    """Give what waits for a person."""
    mine = or_(
        (review.c.kind == UNEXPLAINED) & review.c.key.in_(list(book.pos)),
        review.c.kind.in_((FIRST, PARTED)) & review.c.key.in_(list(book.accounts)),
    )
    query = select(review).where(mine, review.c.state == "open").order_by(review.c.made_at)
    return [f"{one.kind}:{one.key}: {one.message}" for one in connection.execute(query)]


def _lines(answer: dict[str, Any]) -> list[str]:
    lines = [_who(answer)]
    for one in answer["accounts"]:
        keeps = ", keeps the points" if one["keeps_the_points"] else ""
        lines.append(f"  {one['account']}: {one['points']} points{keeps}")
    if not answer["accounts"]:
        lines.append("  no web account")
    lines += ["", *_table(answer["entries"]), "", _end(answer)]
    lines += [f"  {one['points']:+6}  {one['says']}" for one in answer["differ_because"]]
    lines += [f"note: {one}" for one in answer["notes"]]
    lines += [f"waits for a person: {one}" for one in answer["waits_for_a_person"]]
    return lines + [f"DOES NOT ADD UP, please report it: {one}" for one in answer["does_not_add_up"]]


def _who(answer: dict[str, Any]) -> str:
    who, asked_for = answer["customer"], answer["asked_for"]
    said = f"customer {who}" if asked_for == who else f"{asked_for} was merged into {who}, whose book this is: {who}"
    others = [one for one in answer["merged"] if one != asked_for]
    said += f", with {', '.join(others)} merged into him" if others else ""
    return f"{said}, {'enrolled' if answer['is_enrolled'] else 'not enrolled'}"


def _end(answer: dict[str, Any]) -> str:
    till, web = answer["till"], answer["web"]
    said = f"{till} points at the till, {web} on the web"
    if till == web:
        return f"{said}: equal" + (", and the reasons cancel each other" if answer["differ_because"] else "")
    return f"{said}: the web has {abs(web - till)} {'more' if web > till else 'less'}, because"


def _table(entries: list[dict[str, Any]]) -> list[str]:
    rows = [{name: _cell(name, one[name]) for name in COLUMNS} for one in entries]
    widths = {name: max([len(name), *(len(row[name]) for row in rows)]) for name in COLUMNS}
    return [_row(one, widths) for one in [{name: name for name in COLUMNS}, *rows]]


def _cell(name: str, value: Any) -> str:
    return f"{value:+}" if name == "points" and value else str(value)


def _row(cells: dict[str, str], widths: dict[str, int]) -> str:
    placed = (
        cells[name].rjust(width) if name in NUMBERS else cells[name].ljust(width) for name, width in widths.items()
    )
    return "  ".join(placed).rstrip()


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(ledger)
