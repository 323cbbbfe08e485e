"""NCR's REST server, as far as its guide tells (docs/facts/counterpoint.md 8): headers, routes, error codes."""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from json import JSONDecodeError
from typing import Any

from sqlalchemy import Table, select
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.counterpoint import documents
from sandbox.counterpoint import tables as t
from sandbox.counterpoint.books import Books, Refused
from sandbox.counterpoint.rows import known_columns, plain

Answer = tuple[int, dict[str, Any]]
Work = Callable[[Books, Request, Any], Answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What a caller must say."""

    company: str = "SHOP"
    user: str = "web"
    password: str = "counterpoint"  # noqa: S105 - everybody may know the sandbox's.
    api_key: str = "sandbox-key"


def routes(books: Books, login: Login) -> list[Route]:
    """Give the server's routes."""

    def route(path: str, verb: str, work: Work) -> Route:
        async def serve(request: Request) -> Response:
            refusal = _refuse(request, login)
            if refusal:
                return refusal
            try:
                body = await request.json() if verb in {"POST", "PATCH"} else None
                status, answer = await run_in_threadpool(work, books, request, body)
            except JSONDecodeError:
                return _error(400, "ERROR_MISSING_REQUIRED_DATA", "The body is not JSON")
            except Refused as error:
                return _error(error.status, error.code, str(error))
            except (KeyError, TypeError, ValueError, ArithmeticError) as error:
                return _error(400, "ERROR_MISSING_REQUIRED_DATA", f"Cannot read the request: {error!r}")
            except SQLAlchemyError:  # It says no more than this (counterpoint.md 8).
                return _error(500, "ERROR_UNKNOWN", "Unknown error")
            return JSONResponse({"ErrorCode": "SUCCESS", **answer}, status)

        return Route(path, serve, methods=[verb])

    return [
        route("/Company", "GET", _company),
        route("/Customers", "GET", _customers),
        route("/Customers/EC", "GET", _ecommerce_customers),
        route("/Customer", "POST", _create_customer),
        route("/Customer/{no}", "GET", _customer),
        route("/Customer/{no}", "PATCH", _change_customer),
        route("/Customer/{no}/Address", "POST", _add_address),
        route("/Customer/{no}/Note", "POST", _add_note),
        route("/Items", "GET", lambda books, request, _: _list(books, request, t.item, "Items")),
        route("/Item/{no}", "GET", lambda books, request, _: _one(books, request, t.item, "ITEM_NO", "IM_ITEM")),
        route("/Item/{no}/Inventory", "GET", _item_inventory),
        route("/Inventory/EC", "GET", lambda books, request, _: _list(books, request, t.inventory, "Inventory")),
        route("/PayCodes", "GET", lambda books, request, _: _list(books, request, t.pay_code, "PayCodes")),
        route("/Store/{no}", "GET", lambda books, request, _: _one(books, request, t.store, "STR_ID", "PS_STR")),
        route("/Store/{no}/Station/{station}", "GET", _station),
        route(
            "/Workgroup/{no}",
            "GET",
            lambda books, request, _: _one(books, request, t.workgroup, "WRKGRP_ID", "SY_WRKGRP"),
        ),
        route("/Document", "POST", _place_document),
        route(
            "/Document/{no:int}",
            "GET",
            lambda books, request, _: (200, documents.get(books, request.path_params["no"])),
        ),
        route("/Document/{no:int}/Note", "POST", _document_note),
    ]


def _refuse(request: Request, login: Login) -> Response | None:
    """Check the headers: 401 for the login, 403 for the key."""
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    try:
        said = base64.b64decode(given).decode() if kind == "Basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        said = ""
    if said != f"{login.company}.{login.user}:{login.password}":
        return _error(401, "ERROR_UNKNOWN", "Unauthorized: wrong company, user or password")
    if request.headers.get("apikey") != login.api_key:
        return _error(403, "ERROR_INVALID_APIKEY", "The API key is missing, unknown or expired")
    return None


def _error(status: int, code: str, message: str) -> Response:
    return JSONResponse({"ErrorCode": code, "Message": message}, status)


def _company(books: Books, _request: Request, _body: Any) -> Answer:
    with books.engine.connect() as connection:
        version = connection.scalar(select(t.database.c.DB_VER))
    return 200, {"CompanyAlias": "SHOP", "DB_VER": version}


def _list(books: Books, request: Request, table: Table, name: str, *conditions: Any) -> Answer:
    """Give a page; both Page and Rows are needed, else everything comes."""
    page, rows = request.query_params.get("Page"), request.query_params.get("Rows")
    query = select(table).where(*conditions).order_by(*table.primary_key)
    if page and rows:
        query = query.limit(int(rows)).offset((int(page) - 1) * int(rows))
    with books.engine.connect() as connection:
        return 200, {name: [plain(row) for row in connection.execute(query).mappings()]}


def _one(books: Books, request: Request, table: Table, key: str, name: str) -> Answer:
    number = request.path_params["no"]
    with books.engine.connect() as connection:
        row = connection.execute(select(table).where(table.c[key] == number)).mappings().first()
    if row is None:
        raise Refused(404, "ERROR_RECORD_NOT_FOUND", f"{name} {number} not found")
    return 200, {name: plain(row)}


def _customer(books: Books, request: Request, _body: Any) -> Answer:
    return _one(books, request, t.customer, "CUST_NO", "AR_CUST")


def _customers(books: Books, request: Request, _body: Any) -> Answer:
    return _list(books, request, t.customer, "Customers")


def _ecommerce_customers(books: Books, request: Request, _body: Any) -> Answer:
    return _list(books, request, t.customer, "Customers", t.customer.c.IS_ECOMM_CUST == "Y")


def _create_customer(books: Books, _request: Request, body: Any) -> Answer:
    given = body.get("AR_CUST") if isinstance(body, dict) else None
    if not given or not given.get("FST_NAM") or not given.get("LST_NAM"):
        raise Refused(400, "ERROR_MISSING_REQUIRED_DATA", "AR_CUST with FST_NAM and LST_NAM is required")
    number = books.create_customer(given, actor="api", workgroup=str(body.get("Workgroup", "1")))
    return 201, {"CUST_NO": number}


def _change_customer(books: Books, request: Request, body: Any) -> Answer:
    given = body.get("AR_CUST") if isinstance(body, dict) else None
    if not given:
        raise Refused(400, "ERROR_MISSING_REQUIRED_DATA", "AR_CUST is required")
    books.change_customer(request.path_params["no"], given, actor="api")
    return 200, {}


def _child(books: Books, request: Request, table: Table, body: Any, name: str) -> Answer:
    number = request.path_params["no"]
    _one(books, request, t.customer, "CUST_NO", "AR_CUST")
    given = body.get(name) if isinstance(body, dict) else None
    if not given:
        raise Refused(400, "ERROR_MISSING_REQUIRED_DATA", f"{name} is required")
    with books.engine.begin() as connection:
        connection.execute(table.insert(), [known_columns(table, given) | {"CUST_NO": number}])
    return 201, {}


def _add_address(books: Books, request: Request, body: Any) -> Answer:
    return _child(books, request, t.address, body, "AR_SHIP_ADRS")


def _add_note(books: Books, request: Request, body: Any) -> Answer:
    return _child(books, request, t.note, body, "AR_CUST_NOTE")


def _item_inventory(books: Books, request: Request, _body: Any) -> Answer:
    with books.engine.connect() as connection:
        query = select(t.inventory).where(t.inventory.c.ITEM_NO == request.path_params["no"])
        rows = [dict(row) for row in connection.execute(query).mappings()]
    shelves = []
    for row in rows:
        free = Decimal(row["QTY_ON_HND"]) - Decimal(row["QTY_COMMIT"])  # In every vendor sample (counterpoint 5).
        figures = {name: float(row[name]) for name in ("QTY_ON_HND", "QTY_COMMIT")}
        shelves.append({"LOC_ID": row["LOC_ID"], "QTY_AVAIL": float(free), **figures})
    return 200, {"IM_INV": shelves}


def _station(books: Books, request: Request, _body: Any) -> Answer:
    params = request.path_params
    query = select(t.station).where(t.station.c.STR_ID == params["no"], t.station.c.STA_ID == params["station"])
    with books.engine.connect() as connection:
        row = connection.execute(query).mappings().first()
    if row is None:
        raise Refused(404, "ERROR_RECORD_NOT_FOUND", f"Station {params['station']} not found")
    return 200, {"PS_STA": plain(row)}


def _place_document(books: Books, _request: Request, body: Any) -> Answer:
    made = documents.place(books, body if isinstance(body, dict) else {})
    found = [{"DOC_ID": one["DOC_ID"], "DOC_TYP": one["DOC_TYP"]} for one in made]
    return 201, {"DOC_ID": made[-1]["DOC_ID"], "Documents": found}


def _document_note(books: Books, request: Request, body: Any) -> Answer:
    number = request.path_params["no"]
    documents.get(books, number)
    given = body.get("PS_DOC_NOTE") if isinstance(body, dict) else None
    if not given:
        raise Refused(400, "ERROR_MISSING_REQUIRED_DATA", "PS_DOC_NOTE is required")
    with books.engine.begin() as connection:
        count = len(documents.get(books, number)["PS_DOC_HDR"]["PS_DOC_NOTE"])
        row = {"DOC_ID": number, "NOTE_SEQ_NO": count + 1, "NOTE_ID": given.get("NOTE_ID"), "NOTE": given.get("NOTE")}
        connection.execute(t.document_note.insert(), [row])
    return 201, {}
