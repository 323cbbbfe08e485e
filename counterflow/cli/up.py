"""Running all processes of an installation on one machine, and starting again what leaves."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

from counterflow import log
from counterflow.clock import SystemClock
from counterflow.config import Config

RESTART_S = 1.0
BROKEN_S = 15.0  # Exit code 3: somebody must mend the set-up first.
GRACE_S = 10.0  # A worker whose database is away does not hear a SIGTERM.
EXIT_BROKEN = 3
LEAN = {"MALLOC_ARENA_MAX": "2"}  # A small shop has little memory; our threads mostly wait.
_log = log.get("up")


@dataclass(slots=True)
class Child:
    """One process, and when it may start again."""

    words: list[str]
    port: int
    process: subprocess.Popen[bytes] | None = None
    start_at: float = 0.0
    starts: int = 0

    @property
    def name(self) -> str:
        """The role in one word: "consume-north"."""
        return "-".join(self.words)


@dataclass(slots=True)
class Supervisor:
    """Starts the processes, restarts what leaves, stops them all."""

    config: Config
    file: Path
    environment: dict[str, str]
    folder: Path
    children: list[Child] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self, roles: list[list[str]]) -> None:
        """Run until told to stop by a signal."""
        self.folder.mkdir(parents=True, exist_ok=True)
        first = self.config.process.port_first
        self.children = [Child(words, first + at if first else _free_port()) for at, words in enumerate(roles)]
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop.set())
        clock = SystemClock(self.stop)
        self._end_orphans()
        try:
            while not self.stop.is_set():
                changed = [self._look_after(child, clock.monotonic()) for child in self.children]
                if any(changed):
                    self._write_down()
                clock.sleep(0.2)
        finally:
            self._stop_all()

    def _end_orphans(self) -> None:
        """End what an earlier supervisor of this file left behind when it was killed alone."""
        written = self.folder / "processes.json"
        for child in json.loads(written.read_text()).values() if written.exists() else []:
            line = Path(f"/proc/{child['pid']}/cmdline")
            if child["pid"] and line.exists() and str(self.file).encode() in line.read_bytes():
                _log.warning("ending a process that an earlier start left behind", pid=child["pid"])
                os.kill(child["pid"], signal.SIGKILL)

    def _look_after(self, child: Child, now: float) -> bool:
        """Start a child that is not running, once its time has come; says whether anything changed."""
        if child.process is not None:
            code = child.process.poll()
            if code is None:
                return False
            wait_s = BROKEN_S if code == EXIT_BROKEN else RESTART_S
            _log.warning("process left, starting it again", role=child.name, code=code, in_s=wait_s)
            child.process, child.start_at = None, now + wait_s
            return True
        if now < child.start_at:
            return False
        command = [
            sys.executable,
            "-m",
            "counterflow.cli",
            *child.words,
            "--config",
            str(self.file),
            "--port",
            str(child.port),
        ]
        with (self.folder / f"{child.name}.log").open("ab") as output:
            child.process = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                env=os.environ | LEAN | self.environment,
            )
        child.starts += 1
        return True

    def _write_down(self) -> None:
        """Say which process is which, for people and tests."""
        found = {
            child.name: {
                "pid": child.process.pid if child.process else None,
                "port": child.port,
                "starts": child.starts,
            }
            for child in self.children
        }
        new = self.folder / "processes.json.new"
        new.write_text(json.dumps(found, indent=1))
        new.replace(self.folder / "processes.json")

    def _stop_all(self) -> None:
        running = [child.process for child in self.children if child.process and child.process.poll() is None]
        for process in running:
            process.terminate()
        deadline = SystemClock().monotonic() + GRACE_S
        for process in running:
            try:
                process.wait(max(0.1, deadline - SystemClock().monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()  # Harmless: whatever it was at comes again.
                process.wait()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
