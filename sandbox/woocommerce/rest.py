"""The REST API, version 3: routes, errors, batches (W-7, W-8, W-28, W-84, W-85)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import InvalidOperation
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.woocommerce import companion, coupons, customers, hooks, lists, orders, products, signing
from sandbox.woocommerce.parameters import clean
from sandbox.woocommerce.store import KINDS, Refused, Row, Store, invalid, missing, no_route

BATCH_MAX = 100
NOBODY = "woocommerce_rest_cannot_view"  # WooCommerce's own word for a caller without a user (W-5).
VERBS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
CREATE: dict[str, Callable[[Store, Mapping[str, Any]], Row]] = {
    "customers": customers.create,
    "products": products.create,
    "orders": orders.create,
    "webhooks": hooks.create,
    "coupons": coupons.create,
}
UPDATE: dict[str, Callable[[Store, int, Mapping[str, Any]], Row]] = {
    "customers": customers.update,
    "products": products.update,
    "orders": orders.update,
    "webhooks": hooks.update,
    "coupons": coupons.update,
}
TRASH: dict[str, Callable[[Store, int], Row]] = {"products": products.trash, "orders": orders.trash}
DELETE: dict[str, Callable[[Store, int], Row]] = {
    "customers": customers.delete,
    "products": products.delete,
    "orders": orders.delete,
    "webhooks": hooks.delete,
    "coupons": coupons.delete,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request, taken apart."""

    verb: str  # PATCH is PUT here.
    parts: list[str]  # The path behind /wp-json/.
    query: dict[str, str]
    body: Any


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, before it is written as JSON."""

    value: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


def show(_table: str, row: Row) -> Row:
    """Give a row as the API shows it: what begins with "_" is the store's own."""
    return {name: value for name, value in row.items() if not name.startswith("_")}


def routes(store: Store) -> list[Route]:
    """Give the API's routes, and its 404 for any other path below it."""

    async def serve(request: Request) -> Response:
        try:
            _sign_in(store, request)
            asked = await _asked(request)
            return await run_in_threadpool(_serve, store, asked, f"{request.url.scheme}://{request.url.netloc}")
        except Refused as error:
            return JSONResponse(error.body, error.status)

    async def index(request: Request) -> Response:
        base = f"{request.url.scheme}://{request.url.netloc}"
        facts = {"name": store.id, "description": "", "url": base, "home": base, "gmt_offset": "-5"}
        own = [companion.NAMESPACE] if store.has_companion else []
        return JSONResponse(facts | {"namespaces": ["oembed/1.0", *own, "wc/v3", "wp/v2"]})

    return [Route("/wp-json/", index), Route("/wp-json/{path:path}", serve, methods=VERBS)]


def _sign_in(store: Store, request: Request) -> None:
    """Let a known caller pass. Raises Refused as the route's owner does."""
    try:
        signing.check(store, request)
    except Refused as error:
        if error.code == NOBODY and companion.is_ours(request.path_params["path"]):
            raise companion.unknown_caller(store) from error
        raise


async def _asked(request: Request) -> Asked:
    raw = await request.body()
    try:
        body = msgspec.json.decode(raw) if raw else {}
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        data = {"json_error_code": 4, "json_error_message": "Syntax error"}
        raise Refused(400, "rest_invalid_json", "Invalid JSON body passed.", **data) from error  # W-8
    return Asked(
        verb="PUT" if request.method == "PATCH" else request.method,
        parts=request.path_params["path"].strip("/").split("/"),
        query=lists.query_of(request.query_params.multi_items()),
        body=body,
    )


def _serve(store: Store, asked: Asked, url: str) -> Response:
    """Answer under the lock, JSON included: a row never changes while it is written down."""
    with store.lock:
        store.url = url
        try:
            answer = _answer(store, asked)
        except InvalidOperation as error:
            raise Refused(400, "rest_invalid_param", "Invalid parameter(s): an amount is not a number") from error
        content = msgspec.json.encode(answer.value)
    cache = "no-cache, must-revalidate, max-age=0" + (", no-store, private" if store.is_new else "")
    headers = {"Cache-Control": cache, **answer.headers}
    return Response(content, answer.status, headers, media_type="application/json; charset=UTF-8")


def _answer(store: Store, asked: Asked) -> Answer:
    if asked.parts[:2] == companion.NAMESPACE.split("/"):
        return Answer(companion.answer(store, asked.verb, asked.parts[2:], asked.query, asked.body))
    if asked.parts[:2] != ["wc", "v3"]:
        raise no_route()
    match asked.verb, asked.parts[2:]:
        case "GET", ["system_status"]:
            return Answer(_system_status(store))
        case verb, [table] if table in KINDS:
            return _table(store, table, verb, asked)
        case "POST" | "PUT", [table, "batch"] if table in KINDS:
            return Answer(_batch(store, table, asked.body))
        case verb, [table, number] if table in KINDS and number.isdigit():
            return _one(store, (table, int(number)), verb, asked)
        case verb, ["orders", number, child] if number.isdigit():
            return _child(store, int(number), (verb, child), asked)
        case _:
            raise no_route()


def _system_status(store: Store) -> dict[str, Any]:
    environment = {
        "home_url": store.url,
        "site_url": store.url,
        "version": store.version,
        "wp_version": store.wordpress,
    }
    settings = {"currency": "USD", "taxonomies": {}, "HPOS_enabled": store.is_new}
    return {"environment": environment, "settings": settings, "security": {"secure_connection": True}}


def _linked(store: Store, table: str, row: Row) -> Row:
    """Give a row with its links, in the form of this version."""
    own: dict[str, Any] = {"href": f"{store.url}/wp-json/wc/v3/{table}/{row['id']}"}
    if store.is_new:
        own["targetHints"] = {"allow": VERBS}
    collection = [{"href": f"{store.url}/wp-json/wc/v3/{table}"}]
    return show(table, row) | {"_links": {"self": [own], "collection": collection}}


def _table(store: Store, table: str, verb: str, asked: Asked) -> Answer:
    if verb == "GET":
        rows, headers = lists.page(store, table, asked.query)
        return Answer([_linked(store, table, row) for row in rows], 200, headers)
    if verb == "POST":
        return Answer(_linked(store, table, CREATE[table](store, clean(table, asked.body))), 201)
    raise no_route()


def _one(store: Store, at: tuple[str, int], verb: str, asked: Asked) -> Answer:
    table, number = at
    match verb:
        case "GET":
            row = store.row(table, number)
            if table == "customers":  # Noted: an edit that is written over before anybody could read it is nobody's.
                store.note("api", "read", number)
        case "DELETE":
            row = _delete(store, table, number, asked.query)
        case _:
            row = UPDATE[table](store, number, clean(table, asked.body))
    return Answer(_linked(store, table, row))


def _delete(store: Store, table: str, number: int, query: Mapping[str, str]) -> Row:
    """Delete for good with `force`; else into the trash, where there is one (W-28)."""
    store.row(table, number)
    if query.get("force") in {"true", "1"}:
        return DELETE[table](store, number)
    if table not in TRASH:
        text = f"{table.capitalize()} do not support trashing."
        raise Refused(501, "woocommerce_rest_trash_not_supported", text)
    return TRASH[table](store, number)


def _child(store: Store, number: int, what: tuple[str, str], asked: Asked) -> Answer:
    row = store.row("orders", number)
    match what:
        case "GET", "notes" | "refunds":
            return Answer(row[f"_{what[1]}"][::-1])  # The newest first.
        case "POST", "notes":
            return Answer(orders.add_note(store, number, clean("notes", asked.body)), 201)
        case "POST", "refunds":
            return Answer(orders.refund(store, number, clean("refunds", asked.body)), 201)
        case _:
            raise no_route()


def _batch(store: Store, table: str, body: Any) -> dict[str, list[Row]]:
    """Do several at once: always 200, each failure in its place (W-84), at most 100 (W-85)."""
    asked = {what: _items(body, what) for what in ("create", "update", "delete")}
    if sum(len(items) for items in asked.values()) > BATCH_MAX:
        text = f"Unable to accept more than {BATCH_MAX} items for this request."
        raise Refused(413, "woocommerce_rest_request_entity_too_large", text)
    return {what: [_item(store, table, what, one) for one in items] for what, items in asked.items() if items}


def _items(body: Any, what: str) -> list[Any]:
    items = body.get(what) or [] if isinstance(body, dict) else None
    if not isinstance(items, list):
        raise invalid(what, f"{what} is not of type array.")
    return items


def _item(store: Store, table: str, what: str, given: Any) -> Row:
    number = 0
    try:
        if what == "create":
            return _linked(store, table, CREATE[table](store, clean(table, given)))
        number = _number(given["id"] if isinstance(given, dict) and "id" in given else given)
        if what == "update":
            return _linked(store, table, UPDATE[table](store, number, clean(table, given)))
        return _linked(store, table, DELETE[table](store, number))
    except Refused as error:
        return {"id": number, "error": error.body}


def _number(given: Any) -> int:
    if isinstance(given, dict):
        raise missing("id")
    if isinstance(given, int) or (isinstance(given, str) and given.isdigit()):
        return int(given)
    raise invalid("id", "id is not of type integer.")
