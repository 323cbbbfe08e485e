"""A running Counterpoint of the sandbox, and the commands that its target is asked to carry out."""

import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import requests
from pydantic import SecretStr
from sqlalchemy import create_engine

from consumers.counterpoint import CounterpointTarget
from counterflow.clock import SystemClock
from counterflow.config import CounterpointRest
from counterflow.systems.counterpoint import sql
from counterflow.systems.counterpoint.client import CounterpointClient
from counterflow.systems.counterpoint.requests import Manner
from sandbox.server import Sandbox, Settings
from sandbox.shop import generate
from schemas.commands import (
    Body,
    Command,
    CreateCustomer,
    DocumentLine,
    DocumentPayment,
    DocumentTax,
    PlaceDocument,
    body_hash,
)
from schemas.outcomes import Outcome
from schemas.records import Address

NUMBERS = itertools.count(1)
WAIT_S_MAX = 20.0
MANNER = Manner()


class Shop:
    """A running sandbox, and targets that speak to it."""

    def __init__(self, url: str, folder: Path, *, code_page: str = "") -> None:
        settings = Settings(folder=folder, database_url=url, code_page=code_page)
        self.box = Sandbox(settings, generate(1, customers=20, items=5))
        self.box.start()
        self.books, self.said = self.box.books, self.box.addresses()
        self.direct = create_engine(url)
        self.sql = sql.open_engine(str(self.said["counterpoint"]["sql_url"]))

    def target(
        self,
        *,
        server_timeout_s: float = 60.0,
        timeout_s: float = 15.0,
        tracking: str = "",
        manner: Manner = MANNER,
        **login: Any,
    ) -> CounterpointTarget:
        """Give a target of a process of its own."""
        said = self.said["counterpoint"]
        settings: dict[str, Any] = {
            "url": said["rest_url"],
            "company": said["company"],
            "user": said["user"],
            "password": SecretStr(said["password"]),
            "api_key": SecretStr(said["api_key"]),
            "ca_file": self.said["ca_file"],
            "timeout_s": timeout_s,
        }
        client = CounterpointClient(CounterpointRest(**settings | login), SystemClock())
        clock = SystemClock()
        return CounterpointTarget(
            client, self.sql, clock=clock, manner=manner, server_timeout_s=server_timeout_s, tracking=tracking
        )

    def faults(self, **switches: Any) -> None:
        url = f"{self.said['counterpoint']['rest_url']}/_sandbox/faults"
        requests.post(url, json=switches, verify=self.said["ca_file"], timeout=10).raise_for_status()

    def customers(self, email: str) -> list[str]:
        return [
            one["CUST_NO"] for one in self.books.state()["customers"] if (one["EMAIL_ADRS_1"] or "").lower() == email
        ]

    def documents(self, marker: str) -> list[str]:
        """Give the types of the documents that carry a marker."""
        return sorted(one["DOC_TYP"] for one in self.books.state()["documents"] if one["CUST_PO_NO"] == marker)

    def close(self) -> None:
        self.box.stop()
        self.sql.dispose()
        self.direct.dispose()


def an_email() -> str:
    return f"ana{next(NUMBERS)}@example.com"


def a_marker() -> str:
    return f"N-{next(NUMBERS)}"


def customer(email: str, **facts: Any) -> CreateCustomer:
    return CreateCustomer(email=email, **{"first_name": "Ana", "last_name": "Adler"} | facts)


def order(marker: str, **facts: Any) -> PlaceDocument:
    line = DocumentLine(
        item_no="ITM0001", description="Mug", quantity=2, price=Decimal("7.50"), regular_price=Decimal("9.00"), net=1500
    )
    given: dict[str, Any] = {
        "marker": marker,
        "order_hash": "h",
        "cust_no": "10001",
        "store_no": "WEBN",
        "station": "1",
        "drawer": "1",
        "user": "WEB",
        "tax_code": "WEB",
        "minor_digits": 2,
        "lines": (line,),
        "misc_charge_no": "1",
        "misc": 500,
        "taxes": (DocumentTax(authority="WEB", rule="TAX", tax=120, taxable=1500),),
        "payments": (DocumentPayment(pay_code="CARD", amount=2120, captured=True),),
        "total": 2120,
        "bill_to": Address(first_name="Ana", last_name="Adler"),
        "ship_to": Address(first_name="Ana", last_name="Adler"),
    }
    return PlaceDocument(**given | facts)


def command(body: Body) -> Command:
    return Command(
        system="counterpoint",
        task="orders",
        key=str(next(NUMBERS)),
        version=1,
        hash=body_hash(body),
        reference="r",
        body=body,
        sent_at=datetime.now(UTC),
    )


def apply(target: CounterpointTarget, body: Body) -> Outcome:
    (outcome,) = target.apply([command(body)])
    return outcome


def wait_until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + WAIT_S_MAX
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
