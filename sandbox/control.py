"""The control routes that every system of the sandbox has: its faults, the journal, and its page."""

from json import JSONDecodeError
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from sandbox.faults import CONTROL, Switches
from sandbox.journal import Journal

PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "pages"), autoescape=select_autoescape(), enable_async=False
)


def routes(switches: Switches, journal: Journal) -> list[Route]:
    """Give the routes for faults and journal."""

    async def faults(request: Request) -> Response:
        if request.method == "GET":
            return JSONResponse(msgspec.to_builtins(switches.now))
        try:
            switches.set(**await values(request))
        except (msgspec.ValidationError, TypeError) as error:
            return JSONResponse({"error": f"faults: {error}"}, 400)
        return done(request, msgspec.to_builtins(switches.now))

    async def entries(request: Request) -> Response:
        after = int(request.query_params.get("after", 0))
        limit = int(request.query_params.get("limit", 100_000))
        found = journal.entries(after, limit)
        return Response(msgspec.json.encode({"entries": found}), media_type="application/json")

    return [
        Route(f"{CONTROL}faults", faults, methods=["GET", "POST"]),
        Route(f"{CONTROL}journal", entries, methods=["GET"]),
    ]


async def values(request: Request) -> dict[str, Any]:
    """Give what was sent: a JSON object, or a page's form with its numbers and switches as such.

    Raises:
        TypeError: It is neither; the message says so.
    """
    if request.headers.get("content-type", "").startswith("application/json"):
        try:
            sent = await request.json()
        except JSONDecodeError as error:
            raise TypeError(f"the body is not JSON: {error}") from error
        if not isinstance(sent, dict):
            raise TypeError("the body must be a JSON object")
        return sent
    form = await request.form()
    return {name: _typed(str(value)) for name, value in form.items() if value != ""}


def _typed(text: str) -> Any:
    if text in {"true", "false"}:
        return text == "true"
    try:
        number = float(text) if "." in text else int(text)
    except ValueError:
        return text
    return number if isinstance(number, float) or str(number) == text else text  # "0012" is an item, not 12.


def done(request: Request, answer: Any, status: int = 200) -> Response:
    """Answer a script with JSON, and a person's form by going back to the page."""
    if "text/html" in request.headers.get("accept", ""):
        return RedirectResponse(CONTROL, 303)
    return JSONResponse(answer, status)


def page(name: str, **facts: Any) -> Response:
    """Render one of the sandbox's pages."""
    return HTMLResponse(PAGES.get_template(name).render(**facts))
