"""Faults that can be switched on in each system of the sandbox, by the same routes for demo, tests and people.

`FaultyHttp` wraps a system's web application; the web hooks and the SQL proxy read the same switches.
"""

import asyncio
import random
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

CONTROL = "/_sandbox/"  # Control routes and pages are never faulty.


class Faults(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The switches of one system. Shares are between 0 and 1, of its requests or deliveries."""

    down: bool = False  # Connections are cut without an answer, SQL too.
    delay_s: float = 0.0  # Added to each answer.
    share_429: float = 0.0  # Refused with Retry-After, nothing applied.
    share_500: float = 0.0  # Failed with a 500, nothing applied.
    share_half_applied: float = 0.0  # Writes: applied, then cut off before the answer.
    retry_after_s: int = 1
    hooks_lost: float = 0.0
    hooks_doubled: float = 0.0
    hooks_delay_s: float = 0.0
    hooks_reordered: bool = False


class Switches:
    """The faults of one system, changed by its control route while it serves."""

    def __init__(self, seed: int = 0) -> None:
        self._lock = threading.Lock()
        self._dice = random.Random(seed)
        self._faults = Faults()

    @property
    def now(self) -> Faults:
        """The switches as they stand."""
        return self._faults

    def set(self, **changes: Any) -> Faults:
        """Change some switches; the others stay. Raises msgspec.ValidationError for an unknown or bad one."""
        with self._lock:
            merged = {**msgspec.to_builtins(self._faults), **changes}
            self._faults = msgspec.convert(merged, Faults)
        return self._faults

    def roll(self, share: float) -> bool:
        """Decide whether a fault with this share strikes now."""
        with self._lock:
            return share > 0 and self._dice.random() < share


class FaultyHttp:
    """An ASGI application behind the switches of its system. The outermost layer: it needs the connection itself."""

    def __init__(self, app: App, switches: Switches) -> None:
        self._app, self._switches = app, switches

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or let a fault strike."""
        if scope["type"] != "http" or scope["path"].startswith(CONTROL):
            return await self._app(scope, receive, send)
        faults, roll = self._switches.now, self._switches.roll
        if faults.down:
            return cut(receive)
        if faults.delay_s:
            receive = await _whole(receive)  # Who gives up meanwhile is served all the same, as by a slow server.
            await asyncio.sleep(faults.delay_s)
        if roll(faults.share_429):
            retry = (b"retry-after", str(faults.retry_after_s).encode())
            return await answer(send, 429, b'{"code":"too_many_requests"}', retry)
        if roll(faults.share_500):
            return await answer(send, 500, b'{"code":"internal_server_error"}')
        if scope["method"] in {"POST", "PUT", "PATCH", "DELETE"} and roll(faults.share_half_applied):
            await self._app(scope, receive, forget)
            return cut(receive)
        await self._app(scope, receive, send)
        return None


def cut(receive: Receive) -> None:
    """Cut the connection without an answer, as a crash or a lost line does.

    Raises:
        RuntimeError: The server is not uvicorn, whose request cycle holds the transport.
    """
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is None:
        raise RuntimeError("no connection to cut: serve the sandbox with uvicorn, FaultyHttp outermost")
    transport.abort()


async def _whole(receive: Receive) -> Receive:
    """Read the request to its end, and give it again to whoever asks."""
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())
    left = iter(messages)
    inner = getattr(receive, "__self__", None)

    class Again:
        transport = getattr(inner, "transport", None)

        async def receive(self) -> Message:
            return next(left, {"type": "http.disconnect"})

    return Again().receive


async def forget(message: Message) -> None:
    """Take an answer and send it nowhere."""


async def answer(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    """Send one small JSON answer."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", b"application/json"), *headers],
        }
    )
    await send({"type": "http.response.body", "body": body})
