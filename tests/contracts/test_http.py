"""One HTTP session: what is tried again, what is not, and what its errors say."""

import threading
from collections.abc import Callable
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from counterflow.clock import FakeClock
from counterflow.errors import Transient
from counterflow.systems.http import WAIT_S_MAX, Session, retry_after_s
from sandbox.authority import authority
from sandbox.broker import free_ports
from sandbox.faults import Message, Receive, Scope, Send, cut
from sandbox.woocommerce.alone import Served

CUT = 0
Headers = list[tuple[bytes, bytes]]


class Script:
    """A server that answers as it was told, one status after the other; the last one again and again."""

    def __init__(
        self, *statuses: int, headers: Headers | None = None, before: Callable[[], object] = lambda: None
    ) -> None:
        self.asked: list[str] = []
        self._statuses, self._headers, self._before = list(statuses), headers or [], before

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(f"{scope['method']} {scope['path']}")
        status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
        self._before()
        if status == CUT:
            return cut(receive)
        start: Message = {"type": "http.response.start", "status": status, "headers": self._headers}
        await send(start)
        await send({"type": "http.response.body", "body": b"{}"})
        return None


def session(url: str, clock: FakeClock | None = None, **options: Any) -> Session:
    return Session("north", url, clock=clock or FakeClock(), **{"ca_file": None, "timeout_s": 20.0, **options})


NOW = FakeClock().now()


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param(None, None, id="there is none"),
        pytest.param("", None, id="it is empty"),
        pytest.param("7", 7.0, id="seconds"),
        pytest.param(" 0 ", 0.0, id="no wait at all"),
        pytest.param("86400", WAIT_S_MAX, id="a day is too long"),
        pytest.param(format_datetime(NOW + timedelta(seconds=30), usegmt=True), 30.0, id="a date"),
        pytest.param("Mon, 05 Jan 2026 09:00:45 -0000", 45.0, id="a date of no zone"),
        pytest.param("Wed, 21 Oct 2015 07:28:00 GMT", 0.0, id="a date that is past"),
        pytest.param("-5", None, id="a negative number"),
        pytest.param("soon", None, id="a word"),
        pytest.param("²", None, id="a digit that is no number"),
    ],
)
def test_retry_after_is_read(header: str | None, expected: float | None) -> None:
    assert retry_after_s(header, NOW) == expected


@pytest.mark.parametrize("trouble", [503, 500, 429, CUT])
def test_a_read_is_tried_again(trouble: int) -> None:
    script = Script(trouble, trouble, 200)
    with Served(script, None) as server:
        answer = session(server.url).read("/x")
    assert (answer.status_code, script.asked) == (200, ["GET /x"] * 3)


def test_a_read_gives_up_after_a_few_tries() -> None:
    script, clock = Script(503), FakeClock()
    with Served(script, None) as server, pytest.raises(Transient) as raised:
        session(server.url, clock).read("/x")
    assert (len(script.asked), clock.slept, raised.value.unknown) == (3, [0.2, 0.4], False)


def test_a_read_waits_as_long_as_it_was_asked_to() -> None:
    clock = FakeClock()
    with Served(Script(429, 200, headers=[(b"retry-after", b"7")]), None) as server:
        session(server.url, clock).read("/x")
    assert clock.slept == [7.0]


@pytest.mark.parametrize("verb", ["POST", "PUT"])
@pytest.mark.parametrize(
    ("status", "unknown"),
    [
        pytest.param(500, True, id="after a 500 nobody knows"),
        pytest.param(503, True, id="after a 503 nobody knows"),
        pytest.param(CUT, True, id="cut after it was sent, nobody knows"),
        pytest.param(429, False, id="a 429 was refused before anything was done"),
    ],
)
def test_a_write_is_sent_once(verb: str, status: int, unknown: bool) -> None:
    script = Script(status)
    with Served(script, None) as server, pytest.raises(Transient) as raised:
        session(server.url).write(verb, "/x", {})
    assert (script.asked, raised.value.unknown) == ([f"{verb} /x"], unknown)


def test_a_write_on_a_refused_connection_did_nothing() -> None:
    with pytest.raises(Transient) as raised:
        session(f"http://127.0.0.1:{free_ports(1)[0]}").write("POST", "/x", {})
    assert not raised.value.unknown


def test_a_write_without_an_answer_in_time_is_of_unknown_effect() -> None:
    go_on = threading.Event()
    with Served(Script(200, before=lambda: go_on.wait(20)), None) as server:
        with pytest.raises(Transient) as raised:
            session(server.url, timeout_s=0.2).write("POST", "/x", {})
        go_on.set()
    assert raised.value.unknown


@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_a_redirect_is_not_followed(verb: str) -> None:
    script = Script(302, headers=[(b"location", b"/elsewhere")])
    with Served(script, None) as server:
        made = session(server.url)
        answer = made.read("/x") if verb == "GET" else made.write(verb, "/x", {})
    assert (answer.status_code, script.asked) == (302, [f"{verb} /x"])


def test_an_answer_that_is_no_success_is_given_as_it_is() -> None:
    with Served(Script(404), None) as server:
        assert session(server.url).read("/x").status_code == 404


def test_a_certificate_nobody_trusts_is_named(folder: Path) -> None:
    script = Script(200)
    with Served(script, authority(folder / "theirs")) as server, pytest.raises(Transient, match="ca_file") as raised:
        session(server.url, ca_file=authority(folder / "ours").ca_file).write("POST", "/x", {})
    assert (raised.value.unknown, script.asked) == (False, [])


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_ports(1)[0]}")
    with Served(Script(200), None) as server:
        assert session(server.url).read("/x").status_code == 200


def test_an_error_tells_neither_key_nor_secret() -> None:
    made = session(f"http://127.0.0.1:{free_ports(1)[0]}")
    made.sign_in("ck_of_the_shop", "cs_of_the_shop")
    with pytest.raises(Transient) as raised:
        made.read("/x")
    assert "of_the_shop" not in str(raised.value)


class Budget:
    """Notes who asked for leave, and always gives it."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def try_acquire(self, name: str, **_: Any) -> bool:
        self.names.append(name)
        return True


def test_all_threads_live_on_one_budget(folder: Path) -> None:
    certificates, budget = authority(folder), Budget()
    with Served(Script(200), certificates) as server:
        made = session(server.url, ca_file=certificates.ca_file, per_second=5.0)
        made._session.get_adapter(server.url).limiter = budget  # type: ignore[attr-defined]
        threads = [threading.Thread(target=lambda: made.read("/x") and made.write("POST", "/x", {})) for _ in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join(20)
    assert budget.names == [f"127.0.0.1:{server.port}"] * 8


@pytest.mark.parametrize("per_second", [0.2, 1.0, 10.0])
def test_a_budget_lets_through_what_the_shop_configured(per_second: float) -> None:
    adapter = session("https://shop.example.com", per_second=per_second)._session.get_adapter("https://x")
    rates = adapter.limiter.bucket_factory.rates  # type: ignore[attr-defined]
    assert [one.limit / one.interval * 1000 for one in rates] == [pytest.approx(per_second)]
