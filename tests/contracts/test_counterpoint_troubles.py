"""What goes wrong on the way to Counterpoint, told apart: what passes, what needs a person, what may have been done."""

import random
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine
from sqlalchemy.exc import ProgrammingError

from counterflow.clock import FakeClock
from counterflow.config import CounterpointRest
from counterflow.errors import Broken, Rejected, Transient
from counterflow.state.database import begin
from counterflow.state.server import EmbeddedServer
from counterflow.systems.counterpoint import sql
from counterflow.systems.counterpoint.client import CounterpointClient
from sandbox.authority import Authority, authority

DRIVER = "[Microsoft][ODBC Driver 18 for SQL Server][SQL Server]"


class OdbcError(Exception):
    """As pyodbc gives an error: its state, and a text that ends in the server's own number."""


def trouble(state: str, message: str) -> Exception:
    """Give what becomes of a driver's error."""
    with pytest.raises((Broken, Rejected, Transient)) as raised, sql.troubles():
        raise ProgrammingError("SELECT", {}, OdbcError(state, f"[{state}] {DRIVER}{message} (SQLExecDirectW)"))
    return raised.value


@pytest.mark.parametrize(
    ("state", "message"),
    [
        pytest.param("42000", "The SELECT permission was denied on the object 'AR_CUST'. (229)", id="no right"),
        pytest.param("42000", "Snapshot isolation is not allowed in this database. (3952)", id="no snapshots"),
        pytest.param(
            "42000", "Change tracking is not enabled on table 'dbo.AR_CUST'. (22105)", id="no change tracking"
        ),
        pytest.param("42S02", "Invalid object name 'USR_CF_CLAIM'. (208)", id="no such table"),
        pytest.param("42S22", "Invalid column name 'PRC_DECS'. (207)", id="no such column"),
        pytest.param("28000", "Login failed for user 'reader'. (18456)", id="wrong login"),
        pytest.param("IM002", "Data source name not found and no default driver specified (0)", id="no such driver"),
    ],
)
def test_what_needs_a_person_is_broken_and_says_why(state: str, message: str) -> None:
    found = trouble(state, message)
    assert isinstance(found, Broken)
    assert message in str(found)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        pytest.param("42000", "applock (51000)", id="our own lock is taken"),
        pytest.param("42000", "Snapshot isolation transaction aborted due to update conflict. (3960)", id="conflict"),
        pytest.param("42000", "Lock request time out period exceeded. (1222)", id="a lock is taken"),
        pytest.param(
            "42000", "Database 'CP' is being recovered. Waiting until recovery is finished. (922)", id="recovery"
        ),
        pytest.param(
            "40001", "Transaction was deadlocked and has been chosen as the deadlock victim. (1205)", id="deadlock"
        ),
        pytest.param("08S01", "Communication link failure (0)", id="the line is cut"),
        pytest.param("HYT00", "Query timeout expired (0)", id="time-out"),
    ],
)
def test_what_passes_is_transient(state: str, message: str) -> None:
    assert isinstance(trouble(state, message), Transient)


@pytest.mark.parametrize(
    ("state", "message", "said"),
    [
        pytest.param(
            "23000",
            'The INSERT statement conflicted with the FOREIGN KEY constraint "FK_ADJ_CUST". The conflict occurred in '
            'database "CP", table "dbo.AR_CUST", column \'CUST_NO\'. (547)',
            "SQL state 23000 (547): constraint FK_ADJ_CUST, table dbo.AR_CUST, column CUST_NO",
            id="a foreign key",
        ),
        pytest.param(
            "23000",
            "Violation of PRIMARY KEY constraint 'PK_GFC'. Cannot insert duplicate key in object 'dbo.SY_GFC'. The "
            "duplicate key value is (ana@example.com). (2627)",
            "SQL state 23000 (2627): constraint PK_GFC, object dbo.SY_GFC",
            id="a key that is taken, without its value",
        ),
        pytest.param(
            "22001",
            "String or binary data would be truncated in table 'CP.dbo.ADJ', column 'DOC_NO'. Truncated value: "
            "'ana@example.com'. (2628)",
            "SQL state 22001 (2628): table CP.dbo.ADJ, column DOC_NO",
            id="a text that is too long, without the text",
        ),
        pytest.param(
            "22018",
            "Conversion failed when converting the varchar value 'ana@example.com' to data type int. (245)",
            "SQL state 22018 (245)",
            id="a value of another form",
        ),
        pytest.param(
            "42000",
            "Operation failed. The index entry of length 1012 bytes for the index 'IX_NAM' exceeds the maximum. (1946)",
            "SQL state 42000 (1946): index IX_NAM",
            id="a general state, and the server's own number",
        ),
    ],
)
def test_what_is_refused_for_good_is_rejected_and_shows_nobodys_values(state: str, message: str, said: str) -> None:
    found = trouble(state, message)
    assert (type(found), str(found)) == (Rejected, f"Counterpoint's database: {said}")


LONG = "".join(random.Random(1).choices("abcdefghij0123456789", k=5_000))  # Nothing packs it into an index's page.


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        pytest.param("INSERT INTO one VALUES ('ana', 1)", "23505: constraint one_pkey", id="a key that is taken"),
        pytest.param("INSERT INTO one VALUES (NULL, 1)", "23502: column name, relation one", id="no value"),
        pytest.param(
            "INSERT INTO one VALUES ('ben', 0)", "23514: relation one, constraint one_number_check", id="a check"
        ),
        pytest.param("INSERT INTO one VALUES ('ben', 99999)", "22003", id="a number that is too large"),
        pytest.param("INSERT INTO one VALUES ('ben', 'ana')", "22P02", id="no number"),
        pytest.param(f"INSERT INTO one VALUES ('{LONG}', 1)", "54000: index one_pkey", id="too large for an index"),
    ],
)
def test_what_postgresql_refuses_for_good_is_rejected_by_both_databases(
    fresh_engine: Engine, statement: str, said: str
) -> None:
    ways = ((sql.writing, "Counterpoint's"), (begin, "state"))
    for opened, whose in ways:
        with pytest.raises(Rejected) as raised, opened(fresh_engine) as connection:
            connection.exec_driver_sql(statement)
        assert str(raised.value) == f"{whose} database: SQL state {said}"


@pytest.fixture(scope="module")
def fresh_engine(postgres: EmbeddedServer) -> Iterator[Engine]:
    engine = sql.open_engine(postgres.url("troubles"))
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE one (name text PRIMARY KEY, number smallint CHECK (number > 0)); INSERT INTO one VALUES ('ana', 1)"
        )
    yield engine
    engine.dispose()


def test_freetds_with_fast_executemany_is_refused() -> None:
    url = "mssql+pyodbc:///?odbc_connect=DRIVER%3D%7BFreeTDS%7D%3BSERVER%3Ddb.example.com&fast_executemany=True"
    with pytest.raises(Broken, match="fast_executemany crashes with the FreeTDS driver"):
        sql.open_engine(url)


@contextmanager
def a_server(certificates: Authority, serve: Callable[[ssl.SSLSocket], None]) -> Iterator[str]:
    """Serve each https connection by hand."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server_file)
    listener = socket.create_server(("127.0.0.1", 0))

    def work() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            with plain:
                plain.settimeout(10)
                try:
                    serve(context.wrap_socket(plain, server_side=True))
                except OSError:
                    continue

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def client(url: str, ca_file: Path | None) -> CounterpointClient:
    said: dict[str, Any] = {"url": url, "company": "SHOP", "user": "web", "ca_file": ca_file, "timeout_s": 5.0}
    settings = CounterpointRest(**said, password=SecretStr("p"), api_key=SecretStr("k"))
    return CounterpointClient(settings, FakeClock())


def take_request(secure: ssl.SSLSocket) -> None:
    """Read the whole request, whose body is an empty object: what is left unread would cut the answer off."""
    taken = b""
    while not taken.endswith(b"{}"):
        taken += secure.recv(65_536)


def answering(status: str, body: bytes, kind: str = "text/html") -> Callable[[ssl.SSLSocket], None]:
    def serve(secure: ssl.SSLSocket) -> None:
        take_request(secure)
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        secure.sendall(head.encode() + body)
        secure.close()

    return serve


def test_a_line_cut_after_the_request_is_of_unknown_effect(tmp_path: Path) -> None:
    """Cut without TLS's good-bye, as a crashed server does."""

    def cut(secure: ssl.SSLSocket) -> None:
        take_request(secure)
        socket.socket(fileno=secure.detach()).close()

    certificates = authority(tmp_path)
    with a_server(certificates, cut) as url, pytest.raises(Transient) as raised:
        client(url, certificates.ca_file).place_document({})
    assert raised.value.unknown


def test_a_certificate_that_is_not_trusted_is_named_and_nothing_was_sent(tmp_path: Path) -> None:
    certificates = authority(tmp_path)
    with a_server(certificates, lambda one: one.close()) as url, pytest.raises(Transient, match="ca_file") as raised:
        client(url, None).place_document({})
    assert not raised.value.unknown


def test_a_refused_connection_sent_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Transient) as raised:
        client(f"https://127.0.0.1:{port}", None).place_document({})
    assert not raised.value.unknown


@pytest.mark.parametrize(
    ("status", "body", "expected", "message"),
    [
        pytest.param(
            "401 Unauthorized", b"<html>no</html>", Broken, "check company, user and password", id="401 as a page"
        ),
        pytest.param("403 Forbidden", b"", Broken, "check api_key", id="403 without a body"),
        pytest.param("200 OK", b"<html>Welcome</html>", Transient, "is the address right", id="another server's page"),
        pytest.param("201 Created", b"[]", Transient, "is the address right", id="JSON of another form"),
        pytest.param("201 Created", b"{}", Transient, "the answer has no CUST_NO", id="an answer without the number"),
    ],
)
def test_strange_answers(tmp_path: Path, status: str, body: bytes, expected: type[Exception], message: str) -> None:
    certificates = authority(tmp_path)
    with a_server(certificates, answering(status, body)) as url, pytest.raises(expected, match=message) as raised:
        client(url, certificates.ca_file).create_customer({})
    assert expected is Broken or getattr(raised.value, "unknown", False)
