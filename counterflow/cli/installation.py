"""An installation on this machine, for demo, tests and benches: Kafka, PostgreSQL, the sandbox, and the pipeline.

Everything it starts it also stops, and a start after a hard stop works: what a stopped one left running is ended first.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml
from kafka import TopicPartition
from kafka.admin import OffsetSpec
from sqlalchemy import create_engine, text

from counterflow import kafka
from counterflow.cli import steer
from counterflow.cli.roles import group
from counterflow.config import Config, load
from counterflow.state.server import EmbeddedServer, embedded
from sandbox.broker import Broker, free_ports
from sandbox.remote import Remote
from sandbox.strangers import MAKES_NOBODYS
from sandbox.truth import Site
from schemas.requests import DecideReview, SetMaster
from schemas.topics import PARTITIONS, WORK, WORK_NOW

SWEEP_S = 15.0  # Customers whose web hook was lost are found within this.
PER_HOUR = 25  # Accounts that a store is told to create.
CUSTOMERS = {"create": "at_once", "per_hour": PER_HOUR, "per_day": 60}
# The sandbox's own names: nobody knows the real ones (docs/facts/counterpoint.md 3).
_TICKET = {"name": "ticket", "key": "DOC_ID", "points": "LOY_PTS_EARND_NET", "minus": "LOY_PTS_RDM"}
LOYALTY = {
    "unposted": {
        "table": "AR_LOY_PT_ADJ",
        "points": "NO_OF_PTS",
        "tag": "DOC_NO",
        "at": "TRX_DAT",
        "values": {"BAT_ID": "WEB"},
    },
    "rows": [
        {
            "name": "adjustment",
            "table": "AR_LOY_PT_ADJ_HIST",
            "key": "EVENT_NO",
            "points": "NO_OF_PTS",
            "tag": "DOC_NO",
        },
        _TICKET | {"table": "PS_DOC_HDR_LOY_PGM", "header": "PS_DOC_HDR"},
        _TICKET | {"table": "VI_PS_TKT_HIST"},
    ],
    "expired_by": "counterpoint",
    "earned_by": "stores",
}
CARDS_AT = "north"
LOGIN_EMAIL = {"north": "leave", "south": "follow"}
START_S_MAX = 120.0
OURS = (b"counterflow.cli", b"kafka.Kafka", b"postgres")
PREFIXES = {"north": ("N-", "WEBN", 2), "south": ("S-", "WEBS", 3)}  # Order prefix, Counterpoint store, safety stock.


class Installation:
    """Kafka, PostgreSQL and the sandbox, in a folder; fresh at each start."""

    def __init__(self, *, seed: int, folder: Path = Path(".counterflow/demo"), durable: bool = True) -> None:
        self._seed, self.folder, self._durable = seed, folder.resolve(), durable
        self._stack: list[Any] = []
        self.config_file = self.folder / "shop.yaml"
        self.addresses: dict[str, Any] = {}

    def __enter__(self) -> "Installation":
        end_leftovers(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _start(self) -> None:
        self.broker = Broker(self.folder / "kafka")
        self.broker.start()
        self._stack.append(self.broker.stop)
        self.postgres: EmbeddedServer = embedded(self.folder / "postgres", durable=self._durable)
        self._stack.append(self.postgres.stop)
        self._hook_ports = dict(zip(PREFIXES, free_ports(len(PREFIXES)), strict=True))
        self._sandbox_url = self.postgres.url("counterpoint")
        self._sandbox = self._serve_sandbox()
        self._stack.append(self._stop_sandbox)
        remote = Remote(self.addresses)
        for name, port in self._hook_ports.items():
            hook = {"url": f"http://127.0.0.1:{port}/hooks/{name}", "secret": f"secret-{name}"}
            remote.post(name, "companion/hook", **hook).raise_for_status()
        self.write_config()

    def _serve_sandbox(self) -> subprocess.Popen[bytes]:
        ports = ",".join(str(port) for port in self._hook_ports.values())
        words = ["sandbox", "--folder", str(self.folder / "sandbox"), "--database", self._sandbox_url]
        command = [sys.executable, "-m", "counterflow.cli", *words, "--safe-ports", ports, "--seed", str(self._seed)]
        log = (self.folder / "sandbox.log").open("ab")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, start_new_session=True)
        note_process(self.folder, process.pid)
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the sandbox did not start: {(self.folder / 'sandbox.log').read_text()[-2000:]}")
        self.addresses = json.loads(line)
        return process

    def _stop_sandbox(self) -> None:
        self._sandbox.terminate()
        try:
            self._sandbox.wait(5)
        except subprocess.TimeoutExpired:
            self._sandbox.kill()

    def _stop(self) -> None:
        while self._stack:
            self._stack.pop()()

    def write_config(self, **changes: Any) -> None:
        """Write shop.yaml; `changes` are whole parts put in place of the usual ones."""
        own = self.addresses["counterpoint"]
        parts: dict[str, Any] = {
            "kafka": {"servers": self.broker.servers},
            "state": {"url": self.postgres.url("counterflow"), "folder": str(self.folder / "state")},
            "process": {"port_first": 0},
            "counterpoint": {
                "sql": {"url": own["sql_url"], "source": "trigger_queue", "poll_s": 0.1},
                "rest": {name: own[name] for name in ("company", "user", "password", "api_key")}
                | {"url": own["rest_url"], "ca_file": self.addresses["ca_file"], "timeout_s": 5, "server_timeout_s": 6},
                "points": LOYALTY,
                "gift_cards": {"tag": "REF"},
            },
            "stores": {name: self._store(name) for name in PREFIXES},
            "nobody": {"templates": ["TEMPLATE"], "own_emails": ["@shop.example.com"]},
            "lease_s": 20,
            "drift_s": 8,
            "merge_wait_s": 3,
        }
        self.config_file.write_text(yaml.safe_dump(parts | changes, sort_keys=False))

    def _store(self, name: str) -> dict[str, Any]:
        prefix, store_no, buffer = PREFIXES[name]
        port = self._hook_ports[name]
        return {
            "platform": "woocommerce",
            **self.addresses["stores"][name],
            "ca_file": self.addresses["ca_file"],
            "poll_s": 2,
            "overlap_s": 10,
            "sweep_s": SWEEP_S,
            "requests_per_s": 50,
            "timeout_s": 5,
            "hooks": {
                "secret": f"secret-{name}",
                "url": f"http://127.0.0.1:{port}/hooks/{name}",
                "listen": f"127.0.0.1:{port}",
            },
            "orders": {
                "when": "paid",
                "prefix": prefix,
                "store": store_no,
                "station": "1",
                "tax_code": "TAX",
                "tax_authority": "STATE",
                "tax_rule": "TAX",
                "taxes": {"US-COUNTY-2": {"authority": "COUNTY", "rule": "COUNTY"}},
                "fee_charge_no": "2",
                "nobodys_email": "create" if name == MAKES_NOBODYS else "ask",
                "pay_codes": {"cod": "COD", "gift_card": "GIFT", "*": "CARD"},
            },
            "stock": {"locations": ["MAIN"], "buffer": buffer},
            "customers": CUSTOMERS | {"login_email": LOGIN_EMAIL[name]},
            "loyalty": {"first": "add"},
            **({"gift_cards": {"redeem": True, "buy": True}} if name == CARDS_AT else {}),
        }

    def config(self) -> Config:
        """Read the configuration back, as the processes do."""
        return load(self.config_file)

    def sites(self) -> dict[str, Site]:
        """Give what the truth needs to know of the stores."""
        return {
            name: Site(prefix=prefix, store_no=store_no, buffer=buffer, locations=("MAIN",))
            for name, (prefix, store_no, buffer) in PREFIXES.items()
        }

    def queue_length(self) -> int:
        """Count what waits in Counterpoint's trigger queue."""
        engine = create_engine(self._sandbox_url)
        with engine.connect() as connection:
            count: int = connection.execute(text('SELECT count(*) FROM "USR_CF_QUEUE"')).scalar_one()
        engine.dispose()
        return count

    def commands(self) -> int:
        """Count the commands ever sent, on all work topics."""
        client = kafka.admin(self.broker.servers)
        names = [topic.named("", system=system) for topic in (WORK, WORK_NOW) for system in ("counterpoint", *PREFIXES)]
        specs = {TopicPartition(name, part): OffsetSpec.LATEST for name in names for part in range(PARTITIONS)}
        try:
            return sum(found.offset for found in client.list_partition_offsets(specs).values())
        finally:
            client.close()

    @contextmanager
    def pipeline(self) -> Iterator["Pipeline"]:
        """Run the pipeline against it."""
        running = Pipeline(self)
        running.start()
        try:
            yield running
        finally:
            running.stop()


class Pipeline:
    """`counterflow up` as a process of its own, and its children as the supervisor wrote them down."""

    def __init__(self, made: Installation) -> None:
        self._made, self._process = made, None
        self._run = made.folder / "run"
        self._state = create_engine(made.postgres.url("counterflow"))

    _process: subprocess.Popen[bytes] | None

    def start(self) -> None:
        """Start it, and wait until every process is ready."""
        command = [sys.executable, "-m", "counterflow.cli", "up", "--config", str(self._made.config_file)]
        log = (self._made.folder / "up.log").open("ab")
        self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        note_process(self._made.folder, self._process.pid)
        self._wait_until_connected()

    def stop(self) -> None:
        """Stop it and all of its children."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process = None

    def children(self) -> dict[str, dict[str, Any]]:
        """Give the processes by role: pid, port, how often started."""
        file = self._run / "processes.json"
        found: dict[str, dict[str, Any]] = json.loads(file.read_text()) if file.exists() else {}
        return found

    def kill(self, role: str) -> None:
        """Kill one process hard."""
        pid = self.children()[role]["pid"]
        if pid:
            os.kill(pid, signal.SIGKILL)

    def kill_one(self, dice: random.Random) -> str:
        """Kill some process hard; gives its role."""
        role = dice.choice(sorted(self.children()))
        self.kill(role)
        return role

    def master_on(self) -> None:
        """Turn Master Sync on."""
        steer.ask(self._made.config(), SetMaster(on=True), key="master")

    def open_rows(self) -> int:
        """Count what is on its way: wanted rows that are not done, and messages that are not handled.

        Accounts that wait for the pace may wait for days.
        """
        with self._state.connect() as connection:
            rows: int = connection.execute(
                text(
                    "SELECT count(*) FROM wanted WHERE state = 'sent'"
                    " OR state = 'ready' AND NOT (task = 'customers' AND system <> 'counterpoint')"
                )
            ).scalar_one()
        return rows + self._lag()

    def asked(self, kind: str) -> list[dict[str, Any]]:
        """Give the facts of each open review of a kind, as staff read them."""
        with self._state.connect() as connection:
            query = text("SELECT body FROM review WHERE kind = :kind AND state = 'open' ORDER BY key")
            return [json.loads(body) for body in connection.execute(query, {"kind": kind}).scalars()]

    def decide(self, review: str, decision: str) -> None:
        """Decide a review, as a person does."""
        steer.ask(self._made.config(), DecideReview(review=review, decision=decision), key=review)

    def done_since(self, at: datetime) -> list[str]:
        """Give what consumers have answered since a moment, a line each."""
        query = text("SELECT system, task, key, message FROM log_entry WHERE at >= :at ORDER BY id")
        with self._state.connect() as connection:
            return [" ".join(map(str, row)) for row in connection.execute(query, {"at": at})]

    def _lag(self) -> int:
        """Count the changes and outcomes that no worker has handled yet."""
        config = self._made.config()
        client = kafka.admin(config.kafka.servers)
        try:
            committed = client.list_group_offsets(group(config, "process"))[group(config, "process")]
            said = [part for part in committed if not part.topic.endswith(("heartbeats", "cursors"))]
            ends = client.list_partition_offsets({part: OffsetSpec.LATEST for part in said})
            return sum(max(0, ends[part].offset - committed[part].offset) for part in said)
        finally:
            client.close()

    def rss_mib(self) -> int:
        """Add up the resident memory of our processes."""
        total = 0
        for child in self.children().values():
            status = Path(f"/proc/{child['pid']}/status")
            if child["pid"] and status.exists():
                line = next((one for one in status.read_text().splitlines() if one.startswith("VmRSS")), "VmRSS: 0")
                total += int(line.split()[1])
        return total // 1024

    def restart_rewound(self) -> None:
        """Stop, let every change be handled again, start."""
        self.stop()
        config = self._made.config()
        steer.rewind(config, group(config, "process"), None)
        self.start()

    def _wait_until_connected(self) -> None:
        """Wait until every producer and consumer has said that its system answers, after this very start."""
        begun = time.time()
        deadline = time.monotonic() + START_S_MAX
        wanted = 2 * (1 + len(PREFIXES))
        while time.monotonic() < deadline:
            if self._connected(begun) >= wanted:
                return
            time.sleep(0.2)
        raise RuntimeError(f"the pipeline did not come up; see {self._made.folder / 'up.log'} and {self._run}")

    def _connected(self, since: float) -> int:
        query = text("SELECT count(*) FROM connection WHERE up AND extract(epoch FROM since) >= :since")
        there = text("SELECT to_regclass('connection') IS NOT NULL")
        with self._state.connect() as connection:
            if not connection.scalar(there):
                return 0
            found: int = connection.execute(query, {"since": since}).scalar_one()
        return found


def note_process(folder: Path, pid: int) -> None:
    """Write down that we started a process, so that the next start can end it should we be stopped hard."""
    with (folder / "pids").open("a") as file:
        file.write(f"{pid}\n")


def end_leftovers(folder: Path) -> None:
    """End what an earlier run in this folder left behind: only processes whose command line names the folder."""
    mark = str(folder).encode()
    file = folder / "pids"
    pids = [int(line) for line in file.read_text().split()] if file.exists() else []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes()
        except OSError:
            continue  # It has just ended.
        if mark in line and int(entry.name) != os.getpid() and any(word in line for word in OURS):
            pids.append(int(entry.name))
    for pid in sorted(set(pids)):
        line_of = Path(f"/proc/{pid}/cmdline")
        if line_of.exists() and mark in line_of.read_bytes():
            os.kill(pid, signal.SIGKILL)
