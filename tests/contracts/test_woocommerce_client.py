"""The store's client: what an answer means, by status and code, and that nothing odd ends the process."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from counterflow.clock import FakeClock
from counterflow.errors import Broken, Rejected, Transient, Trouble
from counterflow.systems.woocommerce.client import WooClient
from sandbox.authority import authority
from sandbox.faults import Message, Receive, Scope, Send
from sandbox.woocommerce.alone import Served
from tests.contracts.store_fakes import settings

Ask = Callable[[WooClient], Any]
CALLS: dict[str, Ask] = {
    "page": lambda client: client.page("orders"),
    "pages": lambda client: client.pages("orders"),
    "one": lambda client: client.one("orders", "7"),
    "batch": lambda client: client.batch("products", [{"id": 1}]),
    "create": lambda client: client.create("webhooks", {}),
    "change": lambda client: client.change("webhooks", "1", {}),
    "version": lambda client: client.version(),
}


class Odd:
    """A store that gives one answer to everything."""

    def __init__(self) -> None:
        self.status, self.body = 200, b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.client: WooClient

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start: Message = {"type": "http.response.start", "status": self.status, "headers": self.headers}
        await send(start)
        await send({"type": "http.response.body", "body": self.body})

    def ask(self, call: Ask, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> Any:
        self.status, self.body, self.headers = status, body, list(headers)
        return call(self.client)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Odd]:
    made, certificates = Odd(), authority(tmp_path_factory.mktemp("authority"))
    with Served(made, certificates) as server:
        made.client = WooClient("north", settings(server.url, ca_file=certificates.ca_file), FakeClock())
        yield made


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        pytest.param(200, b"<html>Be right back</html>", Transient, id="a page for people"),
        pytest.param(200, b'"ok"', Transient, id="JSON of another kind"),
        pytest.param(200, b"null", Transient, id="nothing"),
        pytest.param(301, b"", Transient, id="a redirect"),
        pytest.param(307, b"{}", Transient, id="a redirect with JSON"),
        pytest.param(401, b'{"code": "woocommerce_rest_cannot_view"}', Broken, id="an unknown key"),
        pytest.param(403, b"<html>blocked</html>", Transient, id="a firewall's page"),
        pytest.param(404, b'{"code": "rest_no_route"}', Transient, id="the plugin is off"),
        pytest.param(400, b'{"code": "rest_invalid_param", "data": {"params": {"sku": "x"}}}', Rejected, id="refused"),
        pytest.param(400, b'{"code": "odd", "data": "text"}', Rejected, id="refused in an odd form"),
        pytest.param(400, b"[]", Rejected, id="refused without a code"),
        pytest.param(500, b"{}", Transient, id="a crash"),
    ],
)
def test_whatever_a_store_answers_is_one_of_our_errors(
    odd: Odd, call: Ask, status: int, body: bytes, error: type[Trouble]
) -> None:
    if call is CALLS["pages"] and status == 200:
        body = b"[]"  # What counts there is the header, and there is none.
    with pytest.raises(error):
        odd.ask(call, status, body)


@pytest.mark.parametrize("body", [b"{}", b"[1]", b"[{}]", b'[{"ID": 1}]'])
def test_what_is_no_list_of_rows_is_not_taken_for_one(odd: Odd, body: bytes) -> None:
    with pytest.raises(Transient, match="not a list of rows"):
        odd.ask(CALLS["page"], 200, body)


@pytest.mark.parametrize(
    "code", ["woocommerce_rest_shop_order_invalid_id", "wc_user_invalid_id", "woocommerce_rest_invalid_id"]
)
def test_a_row_that_the_store_does_not_know_is_gone(odd: Odd, code: str) -> None:  # W-27
    assert odd.ask(CALLS["one"], 404, f'{{"code": "{code}"}}'.encode()) is None


def test_a_404_that_only_speaks_of_an_invalid_id_is_not_gone(odd: Odd) -> None:
    with pytest.raises(Rejected):
        odd.ask(CALLS["one"], 404, b'{"code": "other", "message": "invalid_id"}')


def test_a_row_in_the_trash_is_gone(odd: Odd) -> None:
    assert odd.ask(CALLS["one"], 200, b'{"id": 7, "status": "trash"}') is None


def test_the_number_of_pages_is_the_headers(odd: Odd) -> None:  # W-80
    assert odd.ask(CALLS["pages"], 200, b"[]", (b"x-wp-totalpages", b"3")) == 3


def test_an_error_names_the_wrong_parameter_and_no_value(odd: Odd) -> None:  # W-7
    body = b'{"code": "rest_invalid_param", "message": "ana@example.com", "data": {"params": {"email": "ana"}}}'
    with pytest.raises(Rejected, match=r"rest_invalid_param email$") as raised:
        odd.ask(CALLS["create"], 400, body)
    assert "ana" not in str(raised.value)
