"""One X-Series account as a web application: the loyalty adapter's routes, as the vendor's document 2026-07 has them.

What that document leaves open is a habit of the account (Habits), so that the adapter is tried with each.
"""

import math
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any, Literal

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox import control
from sandbox.faults import CONTROL, App, FaultyHttp, Switches
from sandbox.journal import Journal

VERSIONS = ("2025-10", "2026-01", "2026-04", "2026-07")  # Supported; what is older is answered all the same.
WINDOW_S = 300.0
SCOPES = frozenset({"customers:read", "retailer:read", "payment_types:read", "loyalty.transaction.write"})
Row = dict[str, Any]
Given = Mapping[str, Any]


class Habits(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What is not documented, and so may be either way."""

    repeat_says: Literal["first", "now", "nothing"] = "first"  # The answer to the same request again.
    failure_uses_session: bool = False  # A session whose item failed is used up.
    stranger_is_400: bool = False  # An unknown customer is an error of the request, looked for before the session.
    goes_below_zero: bool = False  # More can be taken than there is.
    doubles: bool = False  # Each write reaches the account twice, as behind a proxy that tries again.


class Refused(Exception):
    """An error as the API says it: {error, message}."""

    def __init__(self, status: int, error: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.headers = status, {name.replace("_", "-"): value for name, value in headers.items()}
        self.body = {"error": error, "message": message}


@dataclass(slots=True)
class Session:
    """A session that was used."""

    items: Any
    answer: Row


@dataclass(slots=True)
class Budget:
    """So many requests in five minutes: 300 for each register, and 50."""

    registers: int = 100
    left: int = 300 * 100 + 50
    ends_at: float = 0.0

    @property
    def limit(self) -> int:
        return 300 * self.registers + 50

    def take(self, now: float) -> bool:
        """Take one request; False: there is none left before `ends_at`."""
        if now >= self.ends_at:
            self.left, self.ends_at = self.limit, now + WINDOW_S
        self.left -= 1
        return self.left >= 0


@dataclass(slots=True, kw_only=True)
class Account:
    """One account. Everything in it is read and changed under its lock."""

    id: str
    journal: Journal
    switches: Switches
    now: Callable[[], float] = time.time
    tokens: dict[str, frozenset[str]] = field(default_factory=dict)  # Each with its scopes.
    habits: Habits = field(default_factory=Habits)
    budget: Budget = field(default_factory=Budget)
    loyalty_is_on: bool = True
    customers: dict[str, Row] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    agents: set[str] = field(default_factory=set)  # Every User-Agent that came.
    lock: threading.RLock = field(default_factory=threading.RLock)
    _version: int = 2_691_964_626  # As large as in the vendor's example.

    def add(self, **given: Any) -> Row:
        """Enter a customer."""
        row: Row = {"first_name": None, "last_name": None, "loyalty_balance": 0, "enable_loyalty": True, **given}
        row |= {"id": str(uuid.uuid4()), "deleted_at": None}
        self.customers[row["id"]] = row
        self._touch(row)
        return row

    def delete(self, row: Row) -> Row:
        """Delete a customer: he stays as a row that says so."""
        row["deleted_at"] = "2026-07-01T00:00:00+00:00"
        self._touch(row)
        return row

    def move(self, actor: str, row: Row, points: float, reason: str) -> None:
        """Move points: a new version of the customer (not verified), and a line in the journal."""
        row["loyalty_balance"] += points
        self._touch(row)
        said = {"points": points, "reference": reason, "balance": row["loyalty_balance"]}
        self.journal.append(self.id, actor, "points", row["id"], **said)

    def customer(self, number: str) -> Row:
        """Give a customer who is there. Raises Refused: 404."""
        found = self.customers.get(number)
        if found is None or found["deleted_at"]:
            raise Refused(404, "Not Found", "Customer not found")
        return found

    def _touch(self, row: Row) -> None:
        self._version += 1
        row["version"] = self._version


def build(account: Account) -> App:
    """Give the application, its faults outermost."""
    account.tokens.setdefault(f"xt_{account.id}", SCOPES)
    routes = [*control.routes(account.switches, account.journal), *_people(account)]
    for verb, path, scopes, work in (
        ("GET", "retailer", ("retailer:read", "payment_types:read"), _retailer),
        ("GET", "customers", ("customers:read",), _list),
        ("GET", "customers/{id}", ("customers:read",), _one),
        ("POST", "loyalty/adjustments/bulk", ("loyalty.transaction.write",), _adjust),
    ):
        routes.append(_route(account, verb, path, scopes, work))
    return FaultyHttp(Starlette(routes=routes), account.switches)


Work = Callable[[Account, Given, Any], tuple[int, Any]]


def _route(account: Account, verb: str, path: str, scopes: tuple[str, ...], work: Work) -> Route:
    async def serve(request: Request) -> Response:
        raw = await request.body()

        def locked() -> Response:
            with account.lock:
                try:
                    _admit(account, request, scopes)
                    given = {**request.query_params, **request.path_params}
                    status, answer = work(account, given, _json(raw))
                    if account.habits.doubles and verb == "POST":
                        status, answer = work(account, given, _json(raw))
                except Refused as error:
                    return JSONResponse(error.body, error.status, error.headers)
                return JSONResponse(answer, status, _signals(account))

        return await run_in_threadpool(locked)

    return Route("/api/{version}/" + path, serve, methods=[verb])


def _admit(account: Account, request: Request, scopes: tuple[str, ...]) -> None:
    """Let a known caller pass who is within his budget and names a version that there is, or was."""
    account.agents.add(request.headers.get("user-agent", ""))
    if not account.budget.take(account.now()):
        at = formatdate(math.ceil(account.budget.ends_at), usegmt=True)
        said = {"Retry_After": at, "X_RateLimit_Limit": str(account.budget.limit), "X_RateLimit_Remaining": "0"}
        raise Refused(429, "Too Many Requests", "Rate limiting enforced", **said)
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    if token not in account.tokens:
        raise Refused(401, "Unauthorized", f"The token {token} is not valid")
    if not account.tokens[token].issuperset(scopes):
        raise Refused(403, "Forbidden", f"The token {token} lacks a scope of {', '.join(scopes)}")
    if request.path_params["version"] > VERSIONS[-1]:
        raise Refused(404, "Not Found", "There is no such version")


def _signals(account: Account) -> dict[str, str]:
    return {
        "X-RateLimit-Limit": str(account.budget.limit),
        "X-RateLimit-Remaining": str(max(0, account.budget.left)),
    }


def _json(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw) if raw else None
    except msgspec.DecodeError as error:
        raise Refused(400, "Bad Request", "The request body is malformed") from error


def _retailer(account: Account, _given: Given, _body: Any) -> tuple[int, Any]:
    loyalty = {"enabled": account.loyalty_is_on, "ratio": 0.1, "send_welcome_email": False}
    return 200, {"data": {"id": str(uuid.uuid5(uuid.NAMESPACE_DNS, account.id)), "loyalty": loyalty}}


def _list(account: Account, given: Given, _body: Any) -> tuple[int, Any]:
    after, size = int(given.get("after", 0)), int(given.get("page_size", 50))
    rows = sorted(account.customers.values(), key=lambda row: int(row["version"]))
    with_deleted = given.get("deleted") == "true"
    rows = [row for row in rows if row["version"] > after and (with_deleted or not row["deleted_at"])][:size]
    versions = [row["version"] for row in rows]
    return 200, {"data": rows, "version": {"min": min(versions, default=None), "max": max(versions, default=None)}}


def _one(account: Account, given: Given, _body: Any) -> tuple[int, Any]:
    return 200, {"data": account.customer(given["id"])}


def _adjust(account: Account, _given: Given, body: Any) -> tuple[int, Any]:
    """Adjust some balances under a session: the same items again change nothing, others are a conflict."""
    session, items = _checked(account, body)
    used = account.sessions.get(session)
    if used is not None and used.items != items:
        raise Refused(409, "Conflict", "The same session_id was passed with a different set of adjustment items")
    if used is not None:
        return _again(account, used)
    applied: list[Row] = []
    errors: list[Row] = []
    for one in items:
        try:
            applied.append(_apply(account, one))
        except Refused as error:
            errors.append({"customer_id": one["customer_id"], "error": str(error)})
    answer = {"applied": applied, "errors": errors}
    if applied or account.habits.failure_uses_session:
        account.sessions[session] = Session(items, answer)
    return 207 if errors else 200, answer


def _apply(account: Account, item: Given) -> Row:
    row = account.customer(item["customer_id"])
    points = item.get("credit") or -item["debit"]
    if row["loyalty_balance"] + points < 0 and points < 0 and not account.habits.goes_below_zero:
        raise Refused(422, "Unprocessable Entity", "Insufficient loyalty balance")
    account.move("api", row, points, item.get("reason", ""))
    return {"customer_id": row["id"], "balance": row["loyalty_balance"]}


def _again(account: Account, used: Session) -> tuple[int, Any]:
    """Answer a repeat, by the account's habit."""
    applied = used.answer["applied"]
    if account.habits.repeat_says == "now":
        balances = {one["customer_id"]: account.customers[one["customer_id"]]["loyalty_balance"] for one in applied}
        applied = [{"customer_id": name, "balance": balance} for name, balance in balances.items()]
    if account.habits.repeat_says == "nothing":
        applied = []
    errors = used.answer["errors"]
    return 207 if errors else 200, {"applied": applied, "errors": errors}


def _checked(account: Account, body: Any) -> tuple[str, Any]:
    """Check the form of a request: a uuid v4, and items of a customer with either a credit or a debit."""
    try:
        session, items = body["session_id"], body["adjustments"]
        is_v4 = uuid.UUID(session).version == 4
        ways = [[one.get(way) for way in ("credit", "debit") if one.get(way) is not None] for one in items]
        known = [str(uuid.UUID(one["customer_id"])) in account.customers for one in items]
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise Refused(400, "Bad Request", "validation errors") from error
    if not is_v4 or not items or any(len(way) != 1 or way[0] <= 0 for way in ways):
        raise Refused(400, "Bad Request", "validation errors")
    if account.habits.stranger_is_400 and not all(known):
        raise Refused(400, "Bad Request", "validation errors")
    return session, items


def _people(account: Account) -> list[Route]:
    """Give the control routes: customers, a shopper who earns and redeems, the budget, the habits."""

    def route(path: str, work: Callable[[Account, Given], Any]) -> Route:
        async def serve(request: Request) -> Response:
            def locked(given: Given) -> Any:
                with account.lock:
                    return work(account, given)

            try:
                return control.done(request, await run_in_threadpool(locked, await control.values(request)))
            except Refused as error:
                return JSONResponse(error.body, error.status)
            except (TypeError, KeyError, ValueError) as error:
                return JSONResponse({"error": "Bad Request", "message": f"cannot read the request: {error!r}"}, 400)

        return Route(CONTROL + path, serve, methods=["POST"])

    return [
        route("customers", lambda account, given: account.add(**given)),
        route("customers/delete", lambda account, given: account.delete(account.customer(given["id"]))),
        route("points", _earn_or_redeem),
        route("budget", _set_budget),
        route("habits", _set_habits),
    ]


def _earn_or_redeem(account: Account, given: Given) -> Row:
    """Let a shopper earn points, or redeem them below 0: {id, points}."""
    row = account.customer(given["id"])
    if row["loyalty_balance"] + given["points"] < 0:
        raise Refused(409, "Conflict", "The customer has not so many points")
    account.move("shopper", row, given["points"], "a sale")
    return {"balance": row["loyalty_balance"]}


def _set_budget(account: Account, given: Given) -> Row:
    """Leave so many requests for so many seconds: {left, seconds}."""
    account.budget.left, account.budget.ends_at = int(given["left"]), account.now() + float(given["seconds"])
    return {"left": account.budget.left}


def _set_habits(account: Account, given: Given) -> Any:
    """Change some habits; the others stay."""
    account.habits = msgspec.convert({**msgspec.to_builtins(account.habits), **given}, Habits)
    return msgspec.to_builtins(account.habits)
