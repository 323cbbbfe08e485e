"""One store as a web application: its API, its checkout and back office (control routes), its page."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox import control
from sandbox.control import done, page, values
from sandbox.faults import CONTROL, App, FaultyHttp
from sandbox.woocommerce import checkout, coupons, customers, orders, products, rest, wallets
from sandbox.woocommerce.store import ADMINISTRATOR, Refused, Row, Store

PAGE_ROWS = 15  # What a person looks at.
Given = dict[str, Any]
Work = Callable[[Store, dict[str, Any], Given], Any]


FIRST_ORDER = 5000  # Of every store: two stores have equal order numbers.


def build(store: Store) -> App:
    """Give the application, its faults outermost."""
    if ADMINISTRATOR not in store.accounts_by_email:
        customers.load(store, {"email": ADMINISTRATOR, "username": "admin"}, role="administrator")  # W-33
    routes = [*control.routes(store.switches, store.journal), *_people(store), *rest.routes(store)]
    return FaultyHttp(Starlette(routes=routes), store.switches)


def fill(store: Store, *, customers_given: Sequence[Row], products_given: Sequence[Row]) -> None:
    """Enter what was there before: no mails, no web hooks, no journal. What is there already stays."""
    for one in customers_given:
        if one["email"].lower() not in store.accounts_by_email:
            customers.load(store, one)
    for one in products_given:
        if one["sku"] not in store.products_by_sku:
            products.load(store, {"manage_stock": True, **one})
    if not store.tables["coupons"]:
        coupons.create(store, {"code": "save10", "amount": "10", "discount_type": "percent"})
    store.begin_at(FIRST_ORDER)


def _people(store: Store) -> list[Route]:
    """Give the routes of shoppers and staff."""

    def route(verb: str, path: str, status: int, work: Work) -> Route:
        async def serve(request: Request) -> Response:
            def locked(given: Given) -> Any:
                with store.lock:
                    return work(store, request.path_params, given)

            try:
                answer = await run_in_threadpool(locked, await values(request))
            except Refused as error:
                return JSONResponse(error.body, error.status)
            except (TypeError, KeyError, ValueError, ArithmeticError) as error:
                return JSONResponse({"code": "bad_request", "message": f"cannot read the request: {error!r}"}, 400)
            return done(request, answer, status)

        return Route(CONTROL + path, serve, methods=[verb])

    async def state(_request: Request) -> Response:
        return Response(await run_in_threadpool(_state, store), media_type="application/json")

    async def show(_request: Request) -> Response:
        return await run_in_threadpool(_page, store)

    return [
        route("POST", "orders", 201, _checkout),
        route("POST", "orders/{id:int}/status", 200, _change_status),
        route("POST", "orders/{id:int}/refunds", 201, _refund),
        route("DELETE", "orders/{id:int}", 200, _trash_order),
        route("POST", "customers", 201, _sign_up),
        route("PUT", "customers/{id:int}", 200, _change_customer),
        route("DELETE", "customers/{id:int}", 200, _delete_customer),
        route("POST", "products/{sku:path}", 200, _edit_product),
        route("DELETE", "products/{sku:path}", 200, _delete_product),
        route("POST", "points", 200, lambda store, _, given: wallets.earn_or_spend(store, given)),
        route("POST", "gift-cards/buy", 201, lambda store, _, given: wallets.buy(store, given)),
        route("POST", "gift-cards/redeem", 200, lambda store, _, given: wallets.redeem(store, given)),
        route("POST", "companion/hook", 200, lambda store, _, given: wallets.set_hook(store, given)),
        route("POST", "load", 200, _load),
        Route(CONTROL + "state", state, methods=["GET"]),
        Route(CONTROL, show, methods=["GET"]),
    ]


def _checkout(store: Store, _path: Given, given: Given) -> Row:
    if "sku" in given:  # From the page's form: one line.
        given = given | {"lines": [{"sku": given["sku"], "quantity": given.get("quantity", 1)}]}
    made = checkout.place(store, given)
    return {name: made[name] for name in ("id", "number", "status", "customer_id", "currency", "total")}


def _change_status(store: Store, path: Given, given: Given) -> Row:
    if given.get("tracking"):
        orders.add_tracking(store, path["id"], [str(one) for one in given["tracking"]])
    row = orders.update(store, path["id"], {"status": given["status"]}, actor="staff")
    return {name: row[name] for name in ("id", "status")}


def _refund(store: Store, path: Given, given: Given) -> Row:
    return {"id": orders.refund_pieces(store, path["id"], given)["id"]}


def _trash_order(store: Store, path: Given, _given: Given) -> Row:
    return {"id": orders.trash(store, path["id"], actor="staff")["id"]}


def _sign_up(store: Store, _path: Given, given: Given) -> Row:
    return rest.show("customers", customers.create(store, given, actor="shopper"))


def _change_customer(store: Store, path: Given, given: Given) -> Row:
    before = copy.deepcopy(store.row("customers", path["id"]))
    after = customers.update(store, path["id"], given, actor="shopper")
    changed = any(after[name] != before.get(name) for name in after if not name.startswith("date_modified"))
    return rest.show("customers", after) | {"changed": changed}


def _delete_customer(store: Store, path: Given, _given: Given) -> Row:
    return {"id": customers.delete(store, path["id"], actor="staff")["id"]}


def _edit_product(store: Store, path: Given, given: Given) -> Row:
    if "stock" in given:
        given = {"manage_stock": True, **given, "stock_quantity": given["stock"]}
    row = products.update(store, _product_id(store, path), given, actor="staff")
    return {name: row[name] for name in ("id", "sku", "manage_stock", "stock_quantity", "price")}


def _delete_product(store: Store, path: Given, _given: Given) -> Row:
    return {"id": products.trash(store, _product_id(store, path), actor="staff")["id"]}


def _product_id(store: Store, path: Given) -> int:
    number = store.products_by_sku.get(path["sku"])
    if number is None:
        raise Refused(404, "unknown_product", f"the store has no product with the SKU {path['sku']!r}")
    return number


def _load(store: Store, _path: Given, given: Given) -> Row:
    fill(store, customers_given=given.get("customers", []), products_given=given.get("products", []))
    return {"customers": len(store.tables["customers"]), "products": len(store.products_by_sku)}


def _state(store: Store) -> bytes:
    names = ("id", "stock_quantity", "manage_stock", "price")
    with store.lock:
        shelves = (store.tables["products"][number] for number in store.products_by_sku.values())
        people = [one for one in store.tables["customers"].values() if one["role"] == "customer"]
        return msgspec.json.encode(
            {
                "products": {one["sku"]: {name: one[name] for name in names} for one in shelves},
                "customers": [rest.show("customers", one) for one in people],
                "orders": [rest.show("orders", one) for one in store.tables["orders"].values()],
                "notes": {one["id"]: one["_notes"] for one in store.tables["orders"].values()},
                "points": store.kept.points.balances,
                "gift_cards": _cards(store),
                "mails": store.mails,
                "hooks": [rest.show("webhooks", one) for one in store.tables["webhooks"].values()],
            }
        )


def _cards(store: Store) -> dict[str, Row]:
    balances = store.kept.card_moves.balances
    return {
        number: {"balance": balances.get(number, 0), "is_void": one.is_void, "expires": one.expires}
        for number, one in store.kept.cards.items()
    }


def _page(store: Store) -> Response:
    """Show the store to a person."""
    with store.lock:
        numbers = list(store.products_by_sku.values())[:PAGE_ROWS]
        people = [one for one in list(store.tables["customers"].values())[: PAGE_ROWS + 1] if one["role"] == "customer"]
        points = list(store.kept.points.balances.items())[-PAGE_ROWS:][::-1]
        return page(
            "woocommerce.html",
            store=store,
            products=[store.tables["products"][number] for number in numbers],
            people=people,
            points=[(store.tables["customers"].get(user), balance) for user, balance in points],
            cards=list(_cards(store).items())[-PAGE_ROWS:][::-1],
            orders=list(store.tables["orders"].values())[-PAGE_ROWS:][::-1],
            faults=msgspec.to_builtins(store.switches.now),
            tail=[one for one in store.journal.entries() if one.system == store.id][-PAGE_ROWS:][::-1],
            hooks=list(store.tables["webhooks"].values()),
            mails=store.mails[-PAGE_ROWS:][::-1],
        )
