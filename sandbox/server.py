"""The whole sandbox as one process: a Counterpoint and its stores, each on a port of its own, by one clock."""

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from starlette.applications import Starlette

from sandbox import control
from sandbox.authority import Authority, authority
from sandbox.broker import free_ports
from sandbox.counterpoint import rest, tables, till
from sandbox.counterpoint.books import Books
from sandbox.counterpoint.proxy import Proxy
from sandbox.faults import App, FaultyHttp, Switches
from sandbox.journal import Journal
from sandbox.shop import Shop, fill_counterpoint
from sandbox.woocommerce.app import build, fill
from sandbox.woocommerce.hooks import Delivery
from sandbox.woocommerce.rest import show
from sandbox.woocommerce.store import Store

VERSIONS = {"north": "11.0.1", "south": "7.9.0"}  # Both kinds of order storage.
START_S_MAX = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the sandbox stands. Port 0 is any free port."""

    folder: Path
    database_url: str  # An empty PostgreSQL database.
    seed: int = 1
    ports: dict[str, int] = field(default_factory=dict)  # "counterpoint", "counterpoint-sql", and each store's id.
    code_page: str = ""  # Of Counterpoint's texts, as in "cp1252"; "": it keeps every letter.
    safe_ports: frozenset[int] = frozenset()  # Where the stores may send web hooks, besides WordPress's own.


class Sandbox:
    """A running sandbox and its addresses."""

    def __init__(self, settings: Settings, shop: Shop | None = None) -> None:
        self.journal = Journal()
        self._authority: Authority = authority(settings.folder)
        self._engine = create_engine(settings.database_url, pool_size=10, connect_args={"options": "-c timezone=utc"})
        tables.create(self._engine)
        if settings.code_page:
            tables.lose_letters(self._engine, settings.code_page)
        if shop:
            fill_counterpoint(self._engine, shop)
        self.books = Books(self._engine, self.journal)
        self.login = rest.Login()
        switches = Switches(settings.seed)
        database = make_url(settings.database_url)
        target = (database.host or "127.0.0.1", database.port or 5432)
        self._proxy = Proxy(target, switches, port=settings.ports.get("counterpoint-sql", 0))
        routes = [*control.routes(switches, self.journal), *till.routes(self.books, switches)]
        counterpoint = FaultyHttp(Starlette(routes=routes + rest.routes(self.books, self.login)), switches)
        self.stores = {
            name: Store(
                name,
                version=version,
                journal=self.journal,
                switches=Switches(settings.seed + at),
                safe_ports=settings.safe_ports,
            )
            for at, (name, version) in enumerate(VERSIONS.items(), 1)
        }
        self._deliveries = [Delivery(store, show) for store in self.stores.values()]
        apps = {"counterpoint": counterpoint} | {name: build(store) for name, store in self.stores.items()}
        self._servers = {name: _Server(app, settings.ports.get(name, 0), self._authority) for name, app in apps.items()}
        self._sql_url = database.set(host="127.0.0.1", port=self._proxy.port).render_as_string(hide_password=False)
        if shop:
            for name, store in self.stores.items():
                fill(store, customers_given=shop.accounts[name], products_given=shop.products[name])

    def start(self) -> None:
        """Serve, each system in a thread of its own."""
        self._proxy.start()
        for server in self._servers.values():
            server.start()
        for delivery in self._deliveries:
            delivery.start()

    def stop(self) -> None:
        """Stop serving."""
        for delivery in self._deliveries:
            delivery.stop()
        for server in self._servers.values():
            server.stop()
        self._proxy.stop()
        self._engine.dispose()

    def addresses(self) -> dict[str, Any]:
        """Give what a shop.yaml needs to know, and the pages for people."""
        base = {name: f"https://127.0.0.1:{server.port}" for name, server in self._servers.items()}
        return {
            "ca_file": str(self._authority.ca_file),
            "counterpoint": {
                "rest_url": base["counterpoint"],
                "sql_url": self._sql_url,
                "company": self.login.company,
                "user": self.login.user,
                "password": self.login.password,
                "api_key": self.login.api_key,
            },
            "stores": {
                name: {"url": base[name], "key": store.key, "secret": store.secret}
                for name, store in self.stores.items()
            },
            "pages": {name: f"{url}/_sandbox/" for name, url in base.items()},
        }


class _Server:
    """One https server in a thread."""

    def __init__(self, app: App, port: int, certificates: Authority) -> None:
        self.port = port or free_ports(1)[0]
        config = uvicorn.Config(
            app,
            host="127.0.0.1",
            port=self.port,
            log_level="critical",
            http="h11",
            lifespan="off",
            ssl_keyfile=str(certificates.server_file),
            ssl_certfile=str(certificates.server_file),
            timeout_keep_alive=75,
        )
        self._server = uvicorn.Server(config)

    def start(self) -> None:
        """Serve in a thread, and return once it does."""
        thread = threading.Thread(target=self._server.run, daemon=True)
        thread.start()
        deadline = time.monotonic() + START_S_MAX
        while not self._server.started and thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        if not self._server.started:
            raise RuntimeError(f"the sandbox's server did not come up on port {self.port}; is the port taken?")

    def stop(self) -> None:
        """Stop serving."""
        self._server.should_exit = True
