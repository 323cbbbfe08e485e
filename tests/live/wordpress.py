"""A real WordPress with the companion plugin: Debian's packages, a MariaDB of its own, PHP's own web server.

Nothing of the system's is used but programs: no service is started or asked, and all data is in one folder.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
import requests

from sandbox.broker import free_ports
from tests.live.waiting import wait_for

ROOT = Path(__file__).parent.parent.parent
PLUGIN = ROOT / "deploy" / "woocommerce" / "counterflow-companion"
PACKAGES = ("mariadb-server-core", "php-cli", "php-mysql")  # Programs only: none of them starts a service.
WORDPRESS = Path("/usr/share/wordpress")
FETCHED = ROOT / ".counterflow" / "wordpress"
SYSTEM_TABLES = Path("/usr/share/mysql")
MARIADBD = "/usr/sbin/mariadbd"
ADMIN = ("admin", "a-password-of-this-test")
UP_S_MAX = 30.0

CONFIG = """<?php
define( 'DB_NAME', 'wordpress' );
define( 'DB_USER', 'root' );
define( 'DB_PASSWORD', '' );
define( 'DB_HOST', 'localhost:{folder}/mysql.sock' );
define( 'DB_CHARSET', 'utf8mb4' );
define( 'DB_COLLATE', '' );
define( 'WP_HOME', '{url}' );
define( 'WP_SITEURL', '{url}' );
define( 'WP_ENVIRONMENT_TYPE', 'local' ); // Application passwords over plain http.
define( 'WP_DEBUG', true );
define( 'WP_DEBUG_DISPLAY', false );
define( 'WP_DEBUG_LOG', '{folder}/debug.log' );
define( 'DISABLE_WP_CRON', true );
define( 'AUTOMATIC_UPDATER_DISABLED', true );
define( 'WP_HTTP_BLOCK_EXTERNAL', true );
foreach ( array( 'AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE' ) as $name ) {{
	define( $name . '_KEY', $name );
	define( $name . '_SALT', $name );
}}
$table_prefix = 'wp_';
defined( 'ABSPATH' ) || define( 'ABSPATH', __DIR__ . '/' );
require_once ABSPATH . 'wp-settings.php';
"""

ROUTER = """<?php
$path = $_SERVER['DOCUMENT_ROOT'] . parse_url( $_SERVER['REQUEST_URI'], PHP_URL_PATH );
if ( is_file( $path ) ) {
	return false;
}
$_SERVER['SCRIPT_NAME'] = '/index.php';
require $_SERVER['DOCUMENT_ROOT'] . '/index.php';
"""

# Mail goes into a file. A request may ask to lose its connection to the database at a statement, once, or to be slow
# there, so that requests at the same moment really meet.
CAUGHT = """<?php
add_filter( 'pre_wp_mail', function ( $sent, $mail ) {
	file_put_contents( '{folder}/mail.jsonl', wp_json_encode( $mail ) . "\\n", FILE_APPEND );
	return true;
}, 10, 2 );
add_filter( 'query', function ( $sql ) {
	global $wpdb;
	if ( isset( $_SERVER['HTTP_X_LOSE_AT'] ) && str_starts_with( ltrim( $sql ), $_SERVER['HTTP_X_LOSE_AT'] ) ) {
		unset( $_SERVER['HTTP_X_LOSE_AT'] );
		mysqli_report( MYSQLI_REPORT_OFF );
		mysqli_query( $wpdb->dbh, 'KILL CONNECTION_ID()' );
	}
	if ( isset( $_SERVER['HTTP_X_SLOW_AT'] ) && str_starts_with( ltrim( $sql ), $_SERVER['HTTP_X_SLOW_AT'] ) ) {
		usleep( random_int( 0, 20000 ) );
	}
	return $sql;
} );
"""

INSTALL = """
define( 'WP_INSTALLING', true );
require 'wp-load.php';
require ABSPATH . 'wp-admin/includes/upgrade.php';
wp_install( 'Shop', '%s', 'admin@example.com', false, '', '%s' );
update_option( 'permalink_structure', '/%%postname%%/' );
"""

ACTIVATE = """
require_once ABSPATH . 'wp-admin/includes/plugin.php';
$wp_rewrite->init();
flush_rewrite_rules( false );
$failed = activate_plugin( 'counterflow-companion/counterflow-companion.php' );
return is_wp_error( $failed ) ? $failed->get_error_message() : null;
"""


class WordPress:
    """One shop with the plugin, in a folder of its own. It is there from `with` on."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="counterflow-wp-"))
        self.url = f"http://127.0.0.1:{free_ports(1)[0]}"
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "WordPress":
        self._before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # Stopped, we stop what we started.
        try:
            self._start_database()
            self._install()
            self._start_server()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def site(self) -> Path:
        return self._folder / "site"

    @property
    def complaints(self) -> list[str]:
        """What PHP complained of in our plugin."""
        log = self._folder / "debug.log"
        lines = log.read_text().splitlines() if log.exists() else []
        ours = (PLUGIN.name, "Counterflow\\", "counterflow: ", "counterflow_")
        return [line for line in lines if any(name in line for name in ours)]

    @property
    def mails(self) -> list[dict[str, Any]]:
        path = self._folder / "mail.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def php(self, code: str) -> Any:
        """Run code inside of WordPress and give what it returns."""
        script = (
            "require 'wp-load.php'; echo json_encode( ( function () { global $wpdb, $wp_rewrite; " + code + "} )() );"
        )
        return json.loads(self._run_php(script) or "null")

    def activate(self) -> None:
        assert self.php(ACTIVATE) is None

    def application_password(self, user: int) -> str:
        return str(
            self.php(
                f"return WP_Application_Passwords::create_new_application_password( {user}, array( 'name' => 'test' ) )[0];"
            )
        )

    def _start_database(self) -> None:
        data = self._folder / "data"
        data.mkdir()
        base = [MARIADBD, "--no-defaults", f"--datadir={data}", f"--lc-messages-dir={SYSTEM_TABLES}"]
        base += ["--user=root"] if os.getuid() == 0 else []
        tables = [(SYSTEM_TABLES / name).read_text() for name in ("mysql_system_tables.sql",)]
        sql = "\n".join(["CREATE DATABASE mysql;", "USE mysql;", *tables, "CREATE DATABASE wordpress;"])
        with (self._folder / "mariadb.log").open("ab") as log:
            subprocess.run([*base, "--bootstrap"], input=sql.encode(), stdout=log, stderr=log, check=True)
            # No one but us reaches the socket's folder, so there is nothing to grant.
            run = [f"--socket={self._folder}/mysql.sock", "--skip-networking", "--skip-grant-tables"]
            fast = ["--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M", "--max-connections=100"]
            self._spawn([*base, *run, *fast], log_name="mariadb.log")
        wait_for(self._database_answers, within_s=UP_S_MAX, what=lambda: self._tail("mariadb.log"))

    def _database_answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as one:
            return one.connect_ex(str(self._folder / "mysql.sock")) == 0

    def _install(self) -> None:
        shutil.copytree(wordpress_files(), self.site, symlinks=True, ignore=shutil.ignore_patterns("wp-content"))
        plugins, own = self.site / "wp-content" / "plugins", self.site / "wp-content" / "mu-plugins"
        plugins.mkdir(parents=True)
        own.mkdir()
        (plugins / PLUGIN.name).symlink_to(PLUGIN)
        (own / "caught.php").write_text(CAUGHT.replace("{folder}", str(self._folder)))
        (self.site / "wp-config.php").unlink(missing_ok=True)
        (self.site / "wp-config.php").write_text(CONFIG.format(folder=self._folder, url=self.url))
        (self._folder / "router.php").write_text(ROUTER)
        self._run_php(INSTALL % ADMIN)
        self.activate()

    def _start_server(self) -> None:
        address = self.url.removeprefix("http://")
        command = ["php", *_settings(), "-S", address, "-t", str(self.site), str(self._folder / "router.php")]
        self._spawn(command, log_name="php.log", PHP_CLI_SERVER_WORKERS="8")
        wait_for(self._server_answers, within_s=UP_S_MAX, what=lambda: self._tail("php.log"))

    def _server_answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/wp-json/", timeout=20).status_code == 200
        except requests.ConnectionError:
            return False

    def _spawn(self, command: Sequence[str], *, log_name: str, **environment: str) -> None:
        with (self._folder / log_name).open("ab") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True, env=os.environ | environment
            )
        self._processes.append(process)

    def _run_php(self, code: str) -> str:
        host = self.url.removeprefix("http://")
        code = f"$_SERVER['HTTP_HOST'] = '{host}'; $_SERVER['REQUEST_URI'] = '/';" + code
        done = subprocess.run(
            ["php", *_settings(), "-r", code], check=False, cwd=self.site, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _tail(self, name: str) -> str:
        path = self._folder / name
        return path.read_text()[-2000:] if path.exists() else "no log"

    def _stop(self) -> None:
        for process in reversed(self._processes):
            for sent, wait_s in ((signal.SIGTERM, 15), (signal.SIGKILL, 5)):
                try:
                    os.killpg(process.pid, sent)  # The web server's workers are in its group.
                    process.wait(wait_s)
                    break
                except ProcessLookupError:
                    break
                except subprocess.TimeoutExpired:
                    continue
        shutil.rmtree(self._folder, ignore_errors=True)
        signal.signal(signal.SIGTERM, self._before)


def _settings() -> list[str]:
    """PHP's own log goes where WordPress' goes; compiled code is kept, so that requests are quick."""
    return ["-d", "opcache.enable_cli=1", "-d", "display_errors=stderr"]


def wordpress_files() -> Path:
    """Where WordPress is: installed, or fetched once into the checkout.

    Fetched, not installed: the package would install a web server and start it on this machine.
    """
    installed = next(
        (path for path in (WORDPRESS, FETCHED / "usr/share/wordpress") if (path / "wp-load.php").exists()), None
    )
    if installed:
        return installed
    FETCHED.mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "download", "-q", "wordpress"], cwd=FETCHED, check=True, capture_output=True)
    package = next(FETCHED.glob("wordpress_*.deb"))
    subprocess.run(["dpkg-deb", "-x", str(package), str(FETCHED)], check=True)
    package.unlink()
    return FETCHED / "usr/share/wordpress"


def prepare() -> None:
    """Install what is missing when we may; else skip, with the line that installs it."""
    missing = not (Path(MARIADBD).exists() and shutil.which("php") and _has_mysqli())
    if missing and (os.getuid() != 0 or not shutil.which("apt-get")):
        pytest.skip(f"missing on this machine; install it with:  sudo apt-get install -y {' '.join(PACKAGES)}")
    if missing:
        _apt_get("update", "-q")
        _apt_get("install", "-y", "-q", "--no-install-recommends", *PACKAGES)
    if not (WORDPRESS / "wp-load.php").exists() and not shutil.which("apt-get"):
        pytest.skip("no WordPress on this machine; install it with:  sudo apt-get install -y wordpress")


def _has_mysqli() -> bool:
    modules = subprocess.run(["php", "-m"], check=True, capture_output=True, text=True, timeout=60)
    return "mysqli" in modules.stdout.split()


def _apt_get(*arguments: str) -> None:
    command = ["apt-get", "-o", "DPkg::Lock::Timeout=300", *arguments]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})
