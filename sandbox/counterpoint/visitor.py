"""Somebody who tries the sandbox's Counterpoint: its REST server, its control routes, its database behind the proxy."""

import itertools
from typing import Any

import requests
from sqlalchemy import create_engine, delete, select
from sqlalchemy.pool import NullPool

from sandbox.counterpoint import tables as t
from sandbox.server import Sandbox

TIMEOUT_S = 20.0
OFF = {"down": False, "delay_s": 0.0, "share_429": 0.0, "share_500": 0.0, "share_half_applied": 0.0}


class Visitor:
    """A client with the right headers. It trusts the sandbox's authority and no proxy of the machine."""

    def __init__(self, box: Sandbox) -> None:
        self.books = box.books
        self.login, self._ca_file = box.addresses()["counterpoint"], box.addresses()["ca_file"]
        self.session = requests.Session()
        self.session.auth = (f"{self.login['company']}.{self.login['user']}", self.login["password"])
        self.session.headers["APIKey"] = self.login["api_key"]
        self.session.verify = self._ca_file
        self.session.trust_env = False
        # One connection a use: what was cut is then never taken from a pool.
        self.sql = create_engine(self.login["sql_url"], poolclass=NullPool)
        self._numbers = itertools.count(1)

    def close(self) -> None:
        """Let the connections go."""
        self.session.close()
        self.sql.dispose()

    def call(self, verb: str, path: str, **options: Any) -> requests.Response:
        """Send one request."""
        return self.session.request(verb, self.login["rest_url"] + path, timeout=TIMEOUT_S, **options)

    def get(self, path: str, **params: Any) -> requests.Response:
        """Read."""
        return self.call("GET", path, params=params)

    def post(self, path: str, body: Any) -> requests.Response:
        """Write."""
        return self.call("POST", path, json=body)

    def set_faults(self, **switches: Any) -> requests.Response:
        """Switch faults on or off; those that are not named stay."""
        return self.post("/_sandbox/faults", switches)

    def begin_anew(self) -> None:
        """Switch all faults off and empty the queue."""
        self.set_faults(**OFF).raise_for_status()
        with self.books.engine.begin() as connection:
            connection.execute(delete(t.queue))

    def new_item(self, **facts: Any) -> str:
        """Enter an item that nobody else uses, ten pieces in the main store unless said otherwise; gives its number."""
        number = f"T{next(self._numbers):05d}"
        given = {"ITEM_NO": number, "DESCR": "Mug", "PRC_1": "19.99", "stock": {"MAIN": 10}, **facts}
        self.post("/_sandbox/items", given).raise_for_status()
        return str(given["ITEM_NO"])

    def shelf(self, item_no: str, loc: str = "MAIN") -> tuple[float, float]:
        """Tell what is on hand of an item, and what is set aside."""
        rows = self.get(f"/Item/{item_no}/Inventory").json()["IM_INV"]
        return next((row["QTY_ON_HND"], row["QTY_COMMIT"]) for row in rows if row["LOC_ID"] == loc)

    def queued(self) -> list[tuple[str, str, str]]:
        """Give what the triggers wrote down: table, key, operation."""
        query = select(t.queue.c.TBL, t.queue.c.K, t.queue.c.OP).order_by(t.queue.c.SEQ)
        with self.books.engine.connect() as connection:
            return [(row[0], row[1], row[2]) for row in connection.execute(query)]
