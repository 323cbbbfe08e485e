"""What people do in the shop: the till, the stock room, the office. Control routes, and a page for them."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.control import done, page, values
from sandbox.counterpoint.books import SYSTEM, Books, Refused
from sandbox.counterpoint.overview import overview
from sandbox.faults import CONTROL, Switches

TAIL_MAX = 15  # What a person looks at.
Work = Callable[[Books, dict[str, Any], Any], Any]


def routes(books: Books, switches: Switches) -> list[Route]:
    """Give the routes of till, stock room and office."""

    def route(path: str, verb: str, work: Work) -> Route:
        async def serve(request: Request) -> Response:
            try:
                given = await values(request)
                answer = await run_in_threadpool(work, books, request.path_params, given)
            except Refused as error:
                return JSONResponse({"error": f"{error.code}: {error}"}, error.status)
            except (TypeError, KeyError, ValueError, ArithmeticError) as error:
                return JSONResponse({"error": f"bad request: {error!r}"}, 400)
            return done(request, answer or {})

        return Route(CONTROL + path, serve, methods=[verb])

    async def state(_request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(books.state))

    async def show(request: Request) -> Response:
        facts = await run_in_threadpool(overview, books.engine, request.query_params.get("q", ""))
        tail = [one for one in books.journal.entries() if one.system == SYSTEM][-TAIL_MAX:][::-1]
        return page("counterpoint.html", faults=msgspec.to_builtins(switches.now), tail=tail, **facts)

    return [
        route("sales", "POST", _sell),
        route("receipts", "POST", lambda books, _, given: _receive(books, given, "receipt")),
        route("adjustments", "POST", lambda books, _, given: _receive(books, given, "adjustment")),
        route("items", "POST", _create_item),
        route("customers", "POST", _create_customer),
        route("customers/{no}", "PUT", _change_customer),
        route("customers/{no}", "DELETE", _delete_customer),
        route("merges", "POST", _merge),
        route("documents/{doc_id:int}/post", "POST", _post),
        route("documents/{marker}/void", "POST", _void),
        route("documents/{marker}/release", "POST", _release),
        route("documents/{marker}/return", "POST", _return),
        route("documents/{marker}/hold", "POST", _hold),
        Route(CONTROL + "state", state),
        Route(CONTROL, show),
    ]


def _sell(books: Books, _params: Any, given: dict[str, Any]) -> dict[str, Any]:
    lines = given.get("lines") or [{"item_no": given["item_no"], "quantity": given.get("quantity", 1)}]
    return {"doc_id": books.sell(lines, loc=str(given.get("loc", "MAIN")))}


def _receive(books: Books, given: dict[str, Any], kind: str) -> None:
    quantity = Decimal(str(given["quantity"]))
    books.receive(str(given["item_no"]), quantity, loc=str(given.get("loc", "MAIN")), kind=kind)


def _create_item(books: Books, _params: Any, given: dict[str, Any]) -> None:
    stock = {loc: Decimal(str(quantity)) for loc, quantity in given.pop("stock", {"MAIN": 0}).items()}
    books.create_item(given, stock=stock)


def _create_customer(books: Books, _params: Any, given: dict[str, Any]) -> dict[str, Any]:
    return {"cust_no": books.create_customer(given, actor="staff")}


def _change_customer(books: Books, params: Any, given: dict[str, Any]) -> dict[str, Any]:
    return {"changed": books.change_customer(str(params["no"]), given, actor="staff")}


def _delete_customer(books: Books, params: Any, _given: dict[str, Any]) -> None:
    books.delete_customer(str(params["no"]))


def _merge(books: Books, _params: Any, given: dict[str, Any]) -> None:
    """Take the flag from both, merge, and set it again where the survivor had it, as staff do (counterpoint 2)."""
    gone, stays = str(given["gone"]), str(given["stays"])
    flagged = books.flagged([gone, stays])
    for number in sorted(flagged):
        books.change_customer(number, {"IS_ECOMM_CUST": "N"}, actor="staff")
    books.merge(gone, stays)
    if flagged:
        books.change_customer(stays, {"IS_ECOMM_CUST": "Y"}, actor="staff")


def _void(books: Books, params: Any, given: dict[str, Any]) -> dict[str, Any]:
    return {"doc_id": books.void_document(str(params["marker"]), of_age_s=float(given.get("of_age_s", 0)))}


def _release(books: Books, params: Any, given: dict[str, Any]) -> dict[str, Any]:
    numbers = given.get("tracking") or []
    return books.release(
        str(params["marker"]),
        of_age_s=float(given.get("of_age_s", 0)),
        part=bool(given.get("part")),
        tracking=[str(one) for one in (numbers if isinstance(numbers, list) else [numbers])],
    )


def _return(books: Books, params: Any, given: dict[str, Any]) -> dict[str, Any]:
    marker = str(params["marker"])
    return {"doc_id": books.enter_return(marker, {"order": marker, **given})}


def _hold(books: Books, params: Any, given: dict[str, Any]) -> dict[str, Any]:
    return {"doc_id": books.hold(str(params["marker"]), is_held=bool(given.get("is_held", True)))}


def _post(books: Books, params: Any, _given: dict[str, Any]) -> None:
    books.post_document(int(params["doc_id"]))
