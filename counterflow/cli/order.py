"""order: one web order's whole way, from the store into Counterpoint and back, with times. No names, no addresses."""

import json
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from sqlalchemy import Connection, Row, select

from counterflow.cli.steer import AsJson, ConfigFile
from counterflow.state import steering
from counterflow.state.tables import link, log_entry, record, release, reservation, review, wanted
from schemas.commands import PlaceDocument
from schemas.names import COUNTERPOINT
from schemas.records import Order, Release

SHOP = Path("shop.yaml")
KINDS = tuple(
    f"order{what}"
    for what in ("", *"-customer -edited -cancelled -voided -held -refund -return -release -shipped -gift-card".split())
)
Step = tuple[datetime, str, str]  # When, where, what.


def order(
    store: str,
    number: Annotated[str, typer.Argument(help="As the shopper was told, or the store's id.")],
    config: ConfigFile = SHOP,
    as_json: AsJson = False,
) -> None:
    """Show one web order's whole way: what came, what was decided, what was written, what came back."""
    from counterflow.cli.main import configured, tell
    from counterflow.cli.roles import state_url
    from counterflow.state.database import begin, open_database

    settings = configured(config, "cli")
    if store not in settings.stores:
        raise typer.BadParameter(f"{store!r} is not in the file; it has {', '.join(settings.stores)}")
    with begin(open_database(state_url(settings))) as connection:
        answer = way_of(connection, store, number)
    if answer is None:
        raise typer.BadParameter(f"{store} has shown no order {number!r}")
    tell(as_json, answer, lambda: _lines(answer))


def way_of(connection: Connection, store: str, number: str) -> dict[str, Any] | None:
    """Gather what is known of an order; None where the store never showed it.

    Returns:
        The order as it was last seen, its document as it is wanted, the figures of both, what it holds of the stock,
        what waits for a person, and every step with its time.
    """
    row = _order(connection, store, number)
    if row is None:
        return None
    name, found = f"{store}/{row.key}", None if row.body is None else msgspec.json.decode(row.body, type=Order)
    mine = (wanted.c.system == COUNTERPOINT) & (wanted.c.task == "orders") & (wanted.c.key == name)
    standing = connection.execute(select(wanted).where(mine)).first()
    document = None if standing is None else msgspec.json.decode(standing.body, type=PlaceDocument)
    own = (review.c.key == name) | review.c.key.startswith(f"{name}/", autoescape=True)  # A refund has a number, too.
    asked = list(connection.execute(select(review).where(review.c.kind.in_(KINDS), own)))
    steps = _steps(connection, row, found) + _written(connection, name, standing) + _linked(connection, store, row.key)
    steps += _released(connection, name)
    for one in asked:
        steps.append((one.made_at, "review", f"{one.kind}: {one.message}"))
        if one.decided_at is not None:
            what = f"decided by {one.decided_by}: {one.decision}" if one.state == "decided" else "settled by the facts"
            steps.append((one.decided_at, "review", f"{one.kind}: {what}"))
    held = reservation.c.store == store, reservation.c.order_id == row.key, reservation.c.item_no != ""
    return {
        "order": f"{store}/{row.key}",
        "status": "deleted in the store" if found is None else found.status,
        "document": None if standing is None else standing.state,
        "note": _note(connection, store, found) if standing is None else standing.note,
        "lines": [] if found is None else _columns(found, document),
        "holds": [
            {"item": one.item_no, "quantity": one.quantity, "until": one.ended or "its document is counted"}
            for one in connection.execute(select(reservation).where(*held).order_by(reservation.c.item_no))
        ],
        "waits_for_a_person": [f"{one.kind}:{one.key}: {one.message}" for one in asked if one.state == "open"],
        "steps": [{"at": at, "where": where, "what": what} for at, where, what in sorted(steps)],
    }


def _note(connection: Connection, store: str, found: Order | None) -> str | None:
    """Say why an order has no document and nobody wants one: it is from before counterflow knew the store."""
    begun = steering.get(connection, f"begun:{store}")
    if found is not None and begun is not None and found.placed_at < datetime.fromisoformat(begun):
        return "placed before counterflow knew this store: mirrored, and never made a document"
    return None


def _order(connection: Connection, store: str, number: str) -> Row[Any] | None:
    """Find an order by its number; where none has it, by its id."""
    orders = select(record).where(record.c.system == store, record.c.entity == "orders")
    by_number = orders.where(record.c.body.contains(f'"number":{json.dumps(number)}', autoescape=True))
    return connection.execute(by_number).first() or connection.execute(orders.where(record.c.key == number)).first()


def _steps(connection: Connection, row: Row[Any], found: Order | None) -> list[Step]:
    """Give what came from the store, and the documents that Counterpoint shows of it."""
    steps: list[Step] = []
    if found is not None:
        steps.append((found.placed_at, row.system, f"placed as number {found.number}"))
        if found.changed_at is not None:
            steps.append((found.changed_at, row.system, f"changed there: {found.status}"))
    steps.append((row.seen_at, row.system, "seen last" if found is not None else "seen to be deleted"))
    documents = select(link.c.remote_id).where(
        link.c.entity == "order", link.c.system == COUNTERPOINT, link.c.our_id == f"{row.system}/{row.key}"
    )
    shown = (record.c.system == COUNTERPOINT) & (record.c.entity == "PS_DOC_HDR") & record.c.key.in_(documents)
    for one in connection.execute(select(record).where(shown)):
        what = "has left the open documents" if one.deleted else "is open"
        steps.append((one.seen_at, COUNTERPOINT, f"document {one.key} {what}"))
    return steps


def _written(connection: Connection, name: str, standing: Row[Any] | None) -> list[Step]:
    """Give what was wanted, sent and answered."""
    steps: list[Step] = []
    if standing is not None:
        steps.append((standing.changed_at, "decided", f"its document is wanted so (version {standing.version})"))
        if standing.sent_at is not None:
            steps.append((standing.sent_at, "sent", f"version {standing.sent_version}"))
    store, _, key = name.partition("/")
    placed = (log_entry.c.system == COUNTERPOINT) & (log_entry.c.task == "orders") & (log_entry.c.key == name)
    ours = (log_entry.c.key == key) | log_entry.c.key.startswith(f"{key}/", autoescape=True)  # A return's has a number.
    told = (log_entry.c.system == store) & (log_entry.c.task == "activities") & ours
    for one in connection.execute(select(log_entry).where(placed | told).order_by(log_entry.c.id)):
        steps.append((one.at, one.system, f"{one.message} ({one.took_s} s)"))
    return steps


def _released(connection: Connection, name: str) -> list[Step]:
    """Give what Counterpoint's tickets let out and took back."""
    steps: list[Step] = []
    for one in connection.execute(select(release).where(release.c.our_id == name)):
        found = msgspec.json.decode(one.body, type=Release)
        what = [f"{line.quantity} of {line.item_no} left" for line in found.lines]
        what += [f"{line.quantity} of {line.item_no} came back" for line in found.returned]
        what += [f"tracking {number}" for number in found.tracking]
        steps.append((one.first_at, COUNTERPOINT, f"ticket {found.ticket_no} ({one.fate}): {', '.join(what)}"))
    return steps


def _linked(connection: Connection, store: str, key: str) -> list[Step]:
    """Give whose it is and which document it has, by what and since when."""
    steps: list[Step] = []
    own = select(link).where(link.c.system == store, link.c.remote_id == key, link.c.entity.in_(("buyer", "order")))
    for one in connection.execute(own):
        match = (link.c.system == COUNTERPOINT) & (link.c.our_id == one.our_id)
        entity = "customer" if one.entity == "buyer" else "order"
        numbers = sorted(connection.execute(select(link.c.remote_id).where(match, link.c.entity == entity)).scalars())
        what = "customer" if one.entity == "buyer" else "document"
        steps.append((one.made_at, "known", f"{what} {', '.join(numbers) or '(being created)'}, by {one.how}"))
    return steps


def _columns(found: Order, document: PlaceDocument | None) -> list[dict[str, Any]]:
    """Give both columns: what the store says, and what the document says."""
    here, there = _store_column(found), {} if document is None else _document_column(document)
    return [
        {"what": what, "store": _amount(here.get(what), found), "document": _amount(there.get(what), found)}
        for what in dict.fromkeys([*here, *there])
    ]


def _amount(minor: int | None, found: Order) -> str:
    return "" if minor is None else format(Decimal(minor).scaleb(-found.minor_digits), "f")


def _store_column(found: Order) -> dict[str, int]:
    rows = _sums((line.sku, line.net) for line in found.lines)
    beside = {"discount": -found.discount, "shipping": found.shipping, "fees": found.fees}
    return rows | {what: minor for what, minor in beside.items() if minor} | {"tax": found.tax, "total": found.total}


def _document_column(document: PlaceDocument) -> dict[str, int]:
    rows = _sums((line.item_no, line.net) for line in document.lines)
    beside = {"shipping": document.misc, "fees": document.fees}
    rows |= {what: minor for what, minor in beside.items() if minor}
    rows |= {"tax": sum(one.tax for one in document.taxes), "total": document.total}
    paid = ((f"paid by {one.pay_code}{'' if one.captured else ' later'}", one.amount) for one in document.payments)
    return rows | _sums(paid)


def _sums(parts: Iterable[tuple[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, minor in parts:
        found[name] = found.get(name, 0) + minor
    return found


def _lines(answer: dict[str, Any]) -> list[str]:
    state = "none" if answer["document"] is None else answer["document"]
    lines = [f"{answer['order']}: {answer['status']} in the store; document: {state}"]
    lines += [f"  ({answer['note']})"] if answer["note"] else []
    lines += [f"{'':<28}{'store':>12}{'document':>12}"] if answer["lines"] else []
    lines += [f"  {one['what']:<26}{one['store']:>12}{one['document']:>12}" for one in answer["lines"]]
    lines += [f"holds {one['quantity']} of {one['item']}: {one['until']}" for one in answer["holds"]]
    lines += [f"{one['at']:%F %T.%f}"[:-3] + f"  {one['where']:<13}{one['what']}" for one in answer["steps"]]
    return lines + [f"waits for a person: {one}" for one in answer["waits_for_a_person"]]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(order)
