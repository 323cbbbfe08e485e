"""The installation that the live tests share: its pipeline, its people, and whether everything is right."""

import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kafka.errors import KafkaError
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from counterflow.cli.installation import Installation, Pipeline
from sandbox.aftermath import check_gift_cards, check_shipments
from sandbox.day import Day
from sandbox.remote import Remote
from sandbox.shop import Shop
from sandbox.truth import Truth
from tests.live.waiting import wait_for

RATE_PER_S = 6.0
# Bounds for what hangs. A first filling takes 30 s, and 140 s were seen on a machine that was slow for a while.
RIGHT_S_MAX = 300.0
SEEN_S_MAX = 120.0
BACK_S_MAX = 60.0


@dataclass(frozen=True, slots=True)
class World:
    """One installation with a running pipeline."""

    made: Installation
    pipeline: Pipeline
    remote: Remote
    shop: Shop
    day: Day

    def wrong(self) -> list[str]:
        """Say what is not (yet) as it must be: orders, customers, stock."""
        journal = self.remote.journal()
        states = {name: self.remote.state(name) for name in ("counterpoint", *self.remote.stores)}
        truth = Truth(journal, states, self.made.sites(), self.shop)
        flows = [truth.check_orders(0, time.time()), truth.check_customers(), *truth.check_stock(0, time.time())]
        flows += [check_shipments(journal, states, self.made.sites()), check_gift_cards(self.shop, states)]
        return [line for flow in flows for line in flow.wrong]

    def wait_until_right(self, *, within_s: float = RIGHT_S_MAX) -> None:
        """Wait until nothing is on its way any more and nothing is wrong: nothing lost, nothing twice."""
        wait_for(self._is_right, within_s=within_s, what=self._report)

    def _is_right(self) -> bool:
        try:
            if self.pipeline.open_rows() or self.made.queue_length():
                return False
            self.day.finish()
            return not self.wrong()
        except (OperationalError, KafkaError):
            return False  # A test took the database or the broker away, and our own connections with it.

    def _report(self) -> str:
        wrong = self.wrong()
        return f"{self.pipeline.open_rows()} on the way, {len(wrong)} wrong: {wrong[:10]}; see {self.made.folder}"

    def place(self, store: str, **order: Any) -> str:
        """Check out in a store; gives the order's id."""
        given = {"expect": "document", "guest": True, "first_name": "Ana", "last_name": "Brook"} | order
        answer = self.remote.post(store, "orders", **given)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def documents(self, marker: str) -> list[dict[str, Any]]:
        """Give the order documents that carry a marker."""
        found = self.remote.state("counterpoint")["documents"]
        return [one for one in found if one["CUST_PO_NO"] == marker and one["DOC_TYP"] == "O"]

    def wait_for_document(self, marker: str, *, within_s: float = SEEN_S_MAX) -> dict[str, Any]:
        """Wait until a document is there; gives it."""
        wait_for(lambda: bool(self.documents(marker)), within_s=within_s, what=f"no document {marker}")
        return self.documents(marker)[0]

    def ask(self, query: str, **values: Any) -> list[Any]:
        """Ask the state database."""
        engine = create_engine(self.made.postgres.url("counterflow"))
        with engine.connect() as connection:
            rows = list(connection.execute(text(query), values))
        engine.dispose()
        return rows

    def review(self, kind: str, key: str) -> str | None:
        """Give an open review's message; None where there is none."""
        query = "SELECT message FROM review WHERE kind = :kind AND key = :key AND state = 'open'"
        rows = self.ask(query, kind=kind, key=key)
        return rows[0].message if rows else None

    def wait_for_review(self, kind: str, key: str, *, within_s: float = SEEN_S_MAX) -> str:
        """Wait until a person is asked; gives what he is told."""
        wait_for(lambda: self.review(kind, key) is not None, within_s=within_s, what=f"no review {kind}:{key}")
        return self.review(kind, key) or ""

    def kill(self, role: str) -> None:
        """Kill one process hard, and wait until the supervisor has started it again."""
        starts = self.pipeline.children()[role]["starts"]
        self.pipeline.kill(role)
        wait_for(lambda: self._is_back(role, starts), within_s=BACK_S_MAX, what=f"{role} was not started again")

    def _is_back(self, role: str, starts: int) -> bool:
        child = self.pipeline.children()[role]
        return child["starts"] > starts and is_alive(child["pid"])

    @contextmanager
    def stream(self) -> Iterator["Stream"]:
        """Let the day go on in a thread meanwhile."""
        running = Stream(self.day)
        running.start()
        try:
            yield running
        finally:
            running.stop()


class Stream:
    """Things that happen in the shop, at a steady rate, while a test breaks something."""

    def __init__(self, day: Day) -> None:
        self._day, self._stopped = day, threading.Event()
        self._thread = threading.Thread(target=self._run, name="stream", daemon=True)
        self._error: Exception | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; what went wrong in the thread is raised here."""
        self._stopped.set()
        self._thread.join(30)
        if self._error:
            raise self._error

    def wait_for_more(self, count: int) -> None:
        """Return once so many more things have happened."""
        until = self._day.made + count
        wait_for(lambda: self._day.made >= until or self._error is not None, within_s=60, what="nothing happens")

    def _run(self) -> None:
        while not self._stopped.wait(1 / RATE_PER_S):
            try:
                self._day.step()
            except Exception as error:  # noqa: BLE001 - the thread's outermost loop; `stop` raises it
                self._error = error
                return


def day_of(made: Installation, shop: Shop, seed: int) -> Day:
    """Give the people of an installation, with hands of their own."""
    prefixes = {name: site.prefix for name, site in made.sites().items()}
    day = Day(Remote(made.addresses), shop, random.Random(seed), prefixes)
    day.open()
    return day


def ours(folder: Path) -> dict[int, str]:
    """Give the pipeline's processes by their command lines, which name the installation's configuration."""
    found: dict[int, str] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue  # It has just ended.
        if "counterflow.cli" in line and str(folder / "shop.yaml") in line and int(entry.name) != os.getpid():
            found[int(entry.name)] = line
    return found


def is_alive(pid: int | None) -> bool:
    """Say whether a process is there, and not only its exit code."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        return pid is not None and stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
