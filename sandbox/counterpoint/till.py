"""What people do in the shop: the till, the stock room, the office. Control routes, and a page for them."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy.exc import DataError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.control import done, page, values
from sandbox.counterpoint import cards, loyalty
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
            except (TypeError, KeyError, ValueError, ArithmeticError, DataError) as error:
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
        *(route(f"points/{name}", "POST", work) for name, work in POINTS.items()),
        route("gift-cards", "POST", _issue),
        *(route(f"gift-cards/{{no}}/{name}", "POST", work) for name, work in CARDS.items()),
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


def _whole(value: Any) -> int:
    """Give a whole number; a point is never cut to one.

    Raises:
        ValueError: It is none.
    """
    if isinstance(value, bool) or int(value) != float(value):
        raise ValueError(f"{value!r} is no whole number")
    return int(value)


def _text(value: Any) -> str | None:
    return str(value) if value not in {None, ""} else None


def _which(given: dict[str, Any]) -> loyalty.Which:
    """Give the adjustment that is meant, by one of its two names."""
    seq_no, tag = given.get("seq_no"), _text(given.get("tag"))
    if (seq_no is None) == (tag is None):
        raise ValueError("name either seq_no or tag")
    return loyalty.Which(seq_no=None if seq_no is None else _whole(seq_no), tag=tag)


def _ticket(books: Books, _params: Any, given: dict[str, Any]) -> dict[str, Any]:
    lines = given.get("lines") or [{"item_no": one, "quantity": 1} for one in [_text(given.get("item_no"))] if one]
    points = {name: _whole(given.get(name) or 0) for name in ("earned", "redeemed")}
    return loyalty.ticket(books, str(given["cust_no"]), lines, loc=str(given.get("loc", "MAIN")), **points)


def _enter_points(books: Books, _params: Any, given: dict[str, Any]) -> dict[str, Any]:
    return loyalty.enter(books, str(given["cust_no"]), _whole(given["points"]), _text(given.get("reference")))


def _post_points(books: Books, _params: Any, given: dict[str, Any]) -> dict[str, Any]:
    points = given.get("points")
    if given.get("all") is True:
        if points is not None or "seq_no" in given or "tag" in given:
            raise ValueError("all are posted as they are")
        return loyalty.post_all(books)
    return loyalty.post(books, _which(given), None if points is None else _whole(points))


def _alter_points(books: Books, _params: Any, given: dict[str, Any]) -> dict[str, Any]:
    return loyalty.alter(books, _which(given), _whole(given["points"]))


def _delete_points(books: Books, _params: Any, given: dict[str, Any]) -> dict[str, Any]:
    return loyalty.delete(books, _which(given))


def _overwrite_points(books: Books, _params: Any, given: dict[str, Any]) -> dict[str, Any]:
    return loyalty.overwrite(books, str(given["cust_no"]), _whole(given["points_balance"]))


def _enrol(books: Books, _params: Any, given: dict[str, Any]) -> None:
    loyalty.enrol(books, str(given["cust_no"]), _text(given["program"]))


def _issue(books: Books, _params: Any, given: dict[str, Any]) -> dict[str, Any]:
    number, cust_no = _text(given.get("number")) or "", _text(given.get("cust_no"))
    return cards.issue(books, Decimal(str(given["amount"])), code=str(given["code"]), number=number, cust_no=cust_no)


def _redeem(books: Books, params: Any, given: dict[str, Any]) -> dict[str, Any]:
    return cards.redeem(books, str(params["no"]), Decimal(str(given["amount"])))


def _reload(books: Books, params: Any, given: dict[str, Any]) -> dict[str, Any]:
    return cards.reload(books, str(params["no"]), Decimal(str(given["amount"])))


def _void_card(books: Books, params: Any, given: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(given["void"], bool):
        raise ValueError(f"void is yes or no, not {given['void']!r}")
    return cards.void(books, str(params["no"]), is_void=given["void"])


def _expire(books: Books, params: Any, given: dict[str, Any]) -> dict[str, Any]:
    last_day = _text(given["date"])
    return cards.expire(books, str(params["no"]), date.fromisoformat(last_day) if last_day else None)


POINTS: dict[str, Work] = {
    "ticket": _ticket,
    "adjustment": _enter_points,
    "post": _post_points,
    "alter": _alter_points,
    "delete": _delete_points,
    "overwrite": _overwrite_points,
    "enrol": _enrol,
}
CARDS: dict[str, Work] = {"redeem": _redeem, "reload": _reload, "void": _void_card, "expire": _expire}
