"""Counterpoint's rows -> our records. Rows come from our own producers or from Debezium, and both are understood.

A number may be a JSON number or a text; a time may be ISO text or milliseconds (docs/facts/messaging.md 5.4).
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from counterflow.errors import Held, Rejected
from schemas.loyalty import PointsReading
from schemas.names import POINTS
from schemas.records import Address, Customer, Document, Item, Record, Release, ReleasedLine, Stock

# Lengths of FST_NAM and LST_NAM, which the REST server wants filled (docs/facts/counterpoint.md 2).
FIRST_LENGTH, LAST_LENGTH = 15, 25


def read(entity: str, row: bytes) -> Record:
    """Read one row of a table.

    Raises:
        Rejected: It is not JSON, a column is missing or of the wrong form; the message names it.
    """
    try:
        if entity == POINTS:  # Our producer's own record: read in one moment, not row by row.
            return msgspec.json.decode(row, type=PointsReading)
        values = msgspec.json.decode(row)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Rejected(f"Counterpoint {entity}: the row is not JSON: {error}") from error
    mapping = _TABLES.get(entity)
    if mapping is None or not isinstance(values, dict):
        raise Rejected(f"Counterpoint {entity}: no such table, or no row")
    try:
        return mapping(values)
    except KeyError as error:
        raise Rejected(f"Counterpoint {entity}: the row has no column {error.args[0]}") from error
    except (TypeError, ValueError) as error:
        raise Rejected(f"Counterpoint {entity} {_key_for_people(entity, values)}: {error}") from error


def _key_for_people(entity: str, values: Mapping[str, Any]) -> str:
    name = {"AR_CUST": "CUST_NO", "PS_DOC_HDR": "DOC_ID"}.get(entity, "ITEM_NO")
    return str(values.get(name))


def _text(values: Mapping[str, Any], name: str) -> str:
    return str(values[name] or "").strip()


def _number(values: Mapping[str, Any], name: str) -> Decimal:
    value = values[name]
    try:
        number = Decimal(str(0 if value is None else value))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        # Debezium's default for decimals is base64; its connector must say decimal.handling.mode=string.
        raise ValueError(f"{name} is no number: {value!r}")
    return number


def _time(values: Mapping[str, Any], name: str) -> datetime | None:
    value = values.get(name)
    if value is None:
        return None
    try:
        at = datetime.fromtimestamp(value / 1000, UTC) if isinstance(value, int) else datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(f"{name} is no time: {value!r}") from error
    # RS_UTC_DT is UTC without a zone (counterpoint 1).
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def _key(values: Mapping[str, Any], name: str) -> str:
    key = _text(values, name)
    if not key:
        raise ValueError(f"{name} is empty")
    return key


def _flag(values: Mapping[str, Any], name: str) -> bool | None:
    """Read a flag that may be missing: None where it is neither set nor unset."""
    return {"Y": True, "N": False}.get(str(values.get(name) or "").strip())


def is_company(values: Mapping[str, Any]) -> bool:
    """Return whether a row of AR_CUST is a business's; where the kind of name is not said it is a person's."""
    return str(values.get("CUST_NAM_TYP") or "").strip() == "B"


def _names(values: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return company, first and last name. A person's full name is split where it stands alone, a company's never.

    Where both names are the company's own, cut to their columns, somebody filled in what the server requires.
    """
    first, last = _text(values, "FST_NAM"), _text(values, "LST_NAM")
    if is_company(values):
        company = _text(values, "NAM")
        is_filled = (first, last) == (company[:FIRST_LENGTH].strip(), company[:LAST_LENGTH].strip())
        return (company, "", "") if is_filled else (company, first, last)
    if not first and not last:
        first, _, last = _text(values, "NAM").partition(" ")
    return "", first, last


def _customer(values: Mapping[str, Any]) -> Customer:
    company, first, last = _names(values)
    email = _text(values, "EMAIL_ADRS_1").lower() or None
    return Customer(
        key=_key(values, "CUST_NO"),
        changed_at=_time(values, "RS_UTC_DT"),
        email=email,
        first_name=first,
        last_name=last,
        company=company,
        phone=_text(values, "PHONE_1"),
        is_ecommerce=_text(values, "IS_ECOMM_CUST") == "Y",
        marketing=_flag(values, "INCLUDE_IN_MARKETING_MAILOUTS"),
        group=str(values.get("CATEG_COD") or "").strip(),
        bought_at=_time(
            values, "LST_SAL_DAT"
        ),  # A date of the shop's own zone: a day more or less does not count here.
        points=None if values.get("LOY_PTS_BAL") is None else int(_number(values, "LOY_PTS_BAL")),
        billing=Address(
            first_name=first,
            last_name=last,
            company=company,
            line_1=_text(values, "ADRS_1"),
            line_2=_text(values, "ADRS_2"),
            city=_text(values, "CITY"),
            state=_text(values, "STATE"),
            postcode=_text(values, "ZIP_COD"),
            country=_text(values, "CNTRY"),
            phone=_text(values, "PHONE_1"),
            email=email or "",
        ),
    )


def _item(values: Mapping[str, Any]) -> Item:
    return Item(
        key=_key(values, "ITEM_NO"),
        changed_at=_time(values, "RS_UTC_DT"),
        description=_text(values, "DESCR"),
        is_ecommerce=_text(values, "IS_ECOMM_ITEM") == "Y",
        is_active=_text(values, "STAT") in {"A", ""},
        price_decimals=2 if values["PRC_DECS"] is None else int(_number(values, "PRC_DECS")),
        category=_text(values, "CATEG_COD"),
    )


def _stock(values: Mapping[str, Any]) -> Stock:
    item_no, location = _key(values, "ITEM_NO"), _key(values, "LOC_ID")
    return Stock(
        key=f"{item_no}|{location}",
        changed_at=_time(values, "RS_UTC_DT"),
        item_no=item_no,
        location=location,
        on_hand=_number(values, "QTY_ON_HND"),
        committed=_number(values, "QTY_COMMIT"),
    )


def _document(values: Mapping[str, Any]) -> Document:
    return Document(
        key=_key(values, "DOC_ID"),
        changed_at=_time(values, "RS_UTC_DT"),
        doc_type=_text(values, "DOC_TYP"),
        ticket_no=_text(values, "TKT_NO"),
        cust_no=_text(values, "CUST_NO"),
        marker=_text(values, "CUST_PO_NO"),
        store_no=_text(values, "STR_ID"),
        station=_text(values, "STA_ID"),
        stock_location=_text(values, "STK_LOC_ID"),
        returns=int(_number(values, "RET_LINS")) if "RET_LINS" in values else 0,
    )


def release(doc_id: str, ticket_no: str, rows: Iterable[Mapping[str, Any]], tracking: tuple[str, ...]) -> Release:
    """Read what a ticket let out, and what it took back.

    Raises:
        Held: Pieces of a line are no whole number: no web order has such a line.
    """
    lines: list[ReleasedLine] = []
    returned: list[ReleasedLine] = []
    for row in rows:
        quantity, item_no = _number(row, "QTY_SOLD"), _text(row, "ITEM_NO")
        if quantity != int(quantity):
            raise Held(f"ticket {ticket_no} has {quantity} of {item_no}: web orders count whole pieces")
        goes_back = _text(row, "LIN_TYP") == "R"  # Whether its pieces are then above or below 0 is not verified.
        if item_no and (quantity > 0 or goes_back):
            line = ReleasedLine(item_no=item_no, quantity=abs(int(quantity)))
            (returned if goes_back else lines).append(line)
    return Release(doc_id=doc_id, ticket_no=ticket_no, lines=tuple(lines), tracking=tracking, returned=tuple(returned))


_TABLES: dict[str, Callable[[Mapping[str, Any]], Record]] = {
    "AR_CUST": _customer,
    "IM_ITEM": _item,
    "IM_INV": _stock,
    "PS_DOC_HDR": _document,
}
