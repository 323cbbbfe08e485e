"""One store served alone in this process: for contract tests, and to try something against one store."""

import socket
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn

from sandbox.authority import Authority, authority
from sandbox.faults import App, Switches
from sandbox.journal import Journal
from sandbox.woocommerce.app import build
from sandbox.woocommerce.hooks import Delivery
from sandbox.woocommerce.rest import show
from sandbox.woocommerce.store import Store

START_S_MAX = 30.0


class _Server(uvicorn.Server):
    """A server that ends at once: asyncio waits 30 s for each client that left without saying goodbye."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await super().shutdown(sockets)


class Served:
    """An application served on a free port by a thread, until the block ends."""

    def __init__(self, app: App, certificates: Authority | None) -> None:
        """Prepare the server; without certificates it speaks plain http."""
        # Taken here, so that nobody else gets the port. Without the protocol's number asyncio leaves Nagle's
        # algorithm on, which costs 40 ms an answer.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"{'https' if certificates else 'http'}://127.0.0.1:{self.port}"
        shown = str(certificates.server_file) if certificates else None
        config = uvicorn.Config(
            app,
            log_level="critical",
            lifespan="off",
            ssl_keyfile=shown,
            ssl_certfile=shown,
        )
        self._server = _Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        deadline = time.monotonic() + START_S_MAX
        while not self._server.started and self._thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        if not self._server.started:
            raise RuntimeError(f"no server came up on port {self.port}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(START_S_MAX)


class Alone:
    """One store with everything around it, served over https until the block ends."""

    def __init__(
        self,
        folder: Path,
        *,
        store_id: str = "north",
        version: str = "11.0.1",
        safe_ports: frozenset[int] = frozenset(),
    ) -> None:
        self.journal, self.switches = Journal(), Switches()
        self.store = Store(
            store_id, version=version, journal=self.journal, switches=self.switches, safe_ports=safe_ports
        )
        certificates = authority(folder)
        self.ca_file = certificates.ca_file
        self.app = build(self.store)
        self._served = Served(self.app, certificates)
        self._delivery = Delivery(self.store, show)
        self.url = self._served.url

    def __enter__(self) -> Self:
        self._served.__enter__()
        self._delivery.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._delivery.stop()
        self._served.__exit__(kind, error, trace)
