"""The companion plugin on a real WordPress: it keeps what docs/reference/companion.md promises."""

import base64
import hashlib
import hmac
import itertools
import json
import subprocess
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.live import wordpress as setup
from tests.live.waiting import wait_for
from tests.live.wordpress import ADMIN, PLUGIN, WordPress

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

TABLES = {"sequences", "points", "gift_cards", "gift_card_entries", "customers", "welcomes"}
numbers = itertools.count(1)


class Caller:
    """Somebody who calls the plugin's routes."""

    def __init__(self, url: str, login: str = "", password: str = "") -> None:
        self._url = f"{url}/wp-json/counterflow/v1"
        self._auth = (login, password) if login else None
        self.headers: dict[str, str] = {}

    @contextmanager
    def slow_at(self, statement: str) -> Iterator[None]:
        """Be slow at a statement, so that requests at the same moment really meet there."""
        self.headers = {"X-Slow-At": statement}
        yield
        self.headers = {}

    def get(self, path: str, **query: Any) -> requests.Response:
        return requests.get(self._url + path, params=query, auth=self._auth, timeout=60)

    def post(self, path: str, body: dict[str, Any], **headers: str) -> requests.Response:
        return requests.post(self._url + path, json=body, auth=self._auth, headers=headers, timeout=60)

    def adjust(self, user: int, points: int, reference: str, **headers: str) -> requests.Response:
        body = {"user": user, "points": points, "reference": reference}
        return self.post("/points/adjust", body, **self.headers, **headers)

    def balance(self, user: int) -> int:
        return int(self.get(f"/points/{user}").json()["balance"])

    def card(self, cents: int, **more: Any) -> str:
        """Make a gift card and give its number."""
        number = f"GC{next(numbers):06d}"
        made = self.post("/gift-cards", {"number": number, "cents": cents, "reference": fresh("open"), **more})
        assert made.status_code == 200, made.text
        return number

    def take(self, number: str, cents: int, reference: str, **more: Any) -> requests.Response:
        body = {"number": number, "cents": cents, "reference": reference, **more}
        return self.post("/gift-cards/adjust", body, **self.headers)

    def changes(self, feed: str, after: int, limit: int = 100) -> list[dict[str, Any]]:
        """Read a feed to its end, page by page."""
        read: list[dict[str, Any]] = []
        while True:
            page = self.get(f"/{feed}/changes", after=after, limit=limit).json()
            if not page["changes"]:
                assert page["last"] == after
                return read
            read += page["changes"]
            after = page["last"]
            assert after == read[-1]["id"]


@pytest.fixture(scope="module")
def shop() -> Iterator[WordPress]:
    setup.prepare()
    with WordPress() as made:
        yield made


@pytest.fixture(scope="module")
def sync(shop: WordPress) -> Caller:
    """The user that a shop makes for counterflow: the role and nothing else."""
    user = make_user(shop, "counterflow", login="sync")
    return Caller(shop.url, "sync", shop.application_password(user))


@pytest.fixture
def user(shop: WordPress) -> int:
    return make_user(shop, "subscriber")


def make_user(shop: WordPress, role: str, *, login: str = "") -> int:
    login = login or f"shopper{next(numbers)}"
    values = f"array( 'user_login' => '{login}', 'user_email' => '{login}@example.com', 'user_pass' => 'pw', 'role' => '{role}' )"
    return int(shop.php(f"return wp_insert_user( {values} );"))


def fresh(name: str = "CF") -> str:
    """A reference that nobody has used."""
    return f"{name}-{uuid.uuid4().hex[:10]}"


def code_of(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json()["code"])


# What it is, and for whom.


@pytest.mark.parametrize("path", sorted(PLUGIN.rglob("*.php")), ids=lambda path: str(path.relative_to(PLUGIN)))
def test_php_accepts_each_file(path: Path) -> None:
    setup.prepare()
    done = subprocess.run(["php", "-l", str(path)], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_says_what_it_can(sync: Caller) -> None:
    assert sync.get("/status").json() == {
        "version": "0.1.0",
        "features": ["points", "gift_cards", "customers"],
        "woocommerce": False,
        "currency": None,
    }


def test_without_a_user_it_answers_401(shop: WordPress) -> None:
    assert code_of(Caller(shop.url).get("/status")) == (401, "rest_forbidden")


def test_without_the_right_it_answers_403(shop: WordPress, user: int) -> None:
    login = str(shop.php(f"return get_userdata( {user} )->user_login;"))
    caller = Caller(shop.url, login, shop.application_password(user))
    assert code_of(caller.get("/status")) == (403, "rest_forbidden")
    assert code_of(caller.adjust(user, 5, fresh())) == (403, "rest_forbidden")


def test_a_wrong_password_is_refused(shop: WordPress, sync: Caller) -> None:
    assert Caller(shop.url, "sync", "wrong").get("/status").status_code == 401


def test_an_administrator_has_the_right(shop: WordPress) -> None:
    assert Caller(shop.url, ADMIN[0], shop.application_password(1)).get("/status").status_code == 200


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("/wp-json/counterflow/v1/status", True),
        ("/wp-json/wp/v2/users", False),
        ("/wp-json/wp/v2/users?x=/wp-json/counterflow/v1/status", False),
        ("/blog/wp-json/counterflow/v1/status", False),
    ],
)
def test_a_woocommerce_key_opens_our_routes_only(shop: WordPress, address: str, expected: bool) -> None:
    asked = f"$_SERVER['REQUEST_URI'] = '{address}'; return apply_filters( 'woocommerce_rest_is_request_to_rest_api', false );"
    assert shop.php(asked) is expected


def test_tables_without_transactions_are_refused_with_the_way_out(shop: WordPress, sync: Caller, user: int) -> None:
    shop.php("$wpdb->query( 'ALTER TABLE wp_counterflow_points ENGINE=MyISAM' );")
    try:
        for answer in (sync.get("/status"), sync.adjust(user, 5, fresh())):
            assert code_of(answer) == (500, "counterflow_not_innodb")
            assert "wp_counterflow_points" in answer.json()["message"]
    finally:
        shop.php("$wpdb->query( 'ALTER TABLE wp_counterflow_points ENGINE=InnoDB' );")
    assert sync.balance(user) == 0


# Points.


def test_points_are_moved_and_read(sync: Caller, user: int) -> None:
    reference = fresh()
    body = {"user": user, "points": 25, "reference": reference, "reason": "Größe 100% 🎁"}
    moved = sync.post("/points/adjust", body).json()
    assert moved == {"user": user, "points": 25, "balance": 25, "id": moved["id"], "already": False}
    assert sync.get(f"/points/{user}").json() == {"user": user, "balance": 25, "last": moved["id"]}
    (change,) = sync.changes("points", moved["id"] - 1)
    assert change.pop("created_gmt")[10] == "T"
    assert change == {"id": moved["id"], "user": user, "points": 25, "reference": reference, "reason": "Größe 100% 🎁"}


def test_the_same_reference_again_changes_nothing(sync: Caller, user: int) -> None:
    reference = fresh()
    first = sync.adjust(user, 25, reference).json()
    assert sync.adjust(user, 99, reference).json() == first | {"already": True}
    assert sync.balance(user) == 25


def test_references_differ_by_a_capital(sync: Caller, user: int) -> None:
    reference = fresh("cf")
    sync.adjust(user, 1, reference)
    assert sync.adjust(user, 2, reference.upper()).json()["already"] is False


def test_a_reference_of_another_users_is_refused(shop: WordPress, sync: Caller, user: int) -> None:
    reference = fresh()
    sync.adjust(user, 25, reference)
    other = make_user(shop, "subscriber")
    assert code_of(sync.adjust(other, 25, reference)) == (409, "counterflow_reference_taken")
    assert sync.balance(other) == 0


def test_what_is_not_there_is_not_taken(sync: Caller, user: int) -> None:
    sync.adjust(user, 25, fresh())
    taken = sync.adjust(user, -40, fresh()).json()
    assert (taken["points"], taken["balance"]) == (-25, 0)


def test_where_nothing_is_there_the_reference_stays_free(sync: Caller, user: int) -> None:
    reference = fresh()
    before = sync.get(f"/points/{user}").json()["last"]
    nothing = {"user": user, "points": 0, "balance": 0, "id": None, "already": False}
    assert sync.adjust(user, -5, reference).json() == nothing
    assert sync.get(f"/points/{user}").json()["last"] == before
    assert sync.adjust(user, 5, reference).json() == {
        "user": user,
        "points": 5,
        "balance": 5,
        "id": before + 1,
        "already": False,
    }


def test_fifty_at_once_with_ten_references_are_ten(sync: Caller, user: int) -> None:
    asked = [(points, fresh()) for points in range(1, 11)] * 5
    with sync.slow_at("INSERT"), ThreadPoolExecutor(50) as pool:
        answers = [one.json() for one in pool.map(lambda one: sync.adjust(user, *one), asked)]
    assert Counter(answer["already"] for answer in answers) == {False: 10, True: 40}
    assert sync.balance(user) == sum(range(1, 11))


def test_taking_at_once_never_goes_below_zero(sync: Caller, user: int) -> None:
    sync.adjust(user, 100, fresh())
    with sync.slow_at("INSERT"), ThreadPoolExecutor(30) as pool:
        answers = [one.json() for one in pool.map(lambda _: sync.adjust(user, -7, fresh()), range(30))]
    assert Counter(answer["points"] for answer in answers) == {-7: 14, -2: 1, 0: 15}
    assert all(answer["balance"] >= 0 for answer in answers)
    assert sync.balance(user) == 0


# Reads as fast as it can, which over HTTP it could not while fifty others are served.
READER = """
wp_set_current_user( 1 );
$read = array();
for ( $after = %d; ; ) {
	$is_end  = file_exists( '%s' );
	$request = new WP_REST_Request( 'GET', '/counterflow/v1/points/changes' );
	$request->set_query_params( array( 'after' => $after, 'limit' => 7 ) );
	$page  = rest_do_request( $request )->get_data();
	$after = $page['last'];
	$read  = array_merge( $read, $page['changes'] );
	if ( $is_end && ! $page['changes'] ) {
		return $read;
	}
}
"""


def test_a_reader_misses_nothing_while_fifty_write(shop: WordPress, sync: Caller, user: int, folder: Path) -> None:
    after, end = int(sync.get(f"/points/{user}").json()["last"]), folder / "end"
    users = [user, *(make_user(shop, "subscriber") for _ in range(4))]
    asked = [(one, 1, fresh()) for one in users for _ in range(40)]
    with sync.slow_at("COMMIT"), ThreadPoolExecutor(51) as pool:
        reader = pool.submit(shop.php, READER % (after, end))
        written = [pool.submit(sync.adjust, *one) for one in asked]
        assert {one.result().status_code for one in written} == {200}
        end.touch()
    read = reader.result()
    assert [one["id"] for one in read] == sorted(one["id"] for one in read)
    assert Counter((one["user"], one["points"], one["reference"]) for one in read) == Counter(asked)
    assert sync.changes("points", after, limit=7) == read


@pytest.mark.parametrize(
    "statement", ["START", "UPDATE wp_counterflow_sequences", "INSERT INTO wp_counterflow_points", "COMMIT"]
)
def test_a_connection_lost_on_the_way_moves_points_once(sync: Caller, user: int, statement: str) -> None:
    """WordPress connects again and goes on, outside of the transaction: the plugin must notice."""
    reference = fresh()
    moved = sync.adjust(user, 25, reference, **{"X-Lose-At": statement}).json()
    assert moved == {"user": user, "points": 25, "balance": 25, "id": moved["id"], "already": False}
    assert sync.adjust(user, 25, reference).json() == moved | {"already": True}
    assert sync.adjust(user, 1, fresh()).json()["balance"] == 26


def test_an_unknown_user_is_404(sync: Caller) -> None:
    assert code_of(sync.get("/points/999999")) == (404, "counterflow_no_user")
    assert code_of(sync.adjust(999999, 5, fresh())) == (404, "counterflow_no_user")


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"points": 0}, "points"),
        ({"points": 2.5}, "points"),
        ({"points": True}, "points"),
        ({"points": "many"}, "points"),
        ({"points": 10**10}, "points"),
        ({"user": 0}, "user"),
        ({"user": "1e3"}, "user"),
        ({"reference": ""}, "reference"),
        ({"reference": "with a blank"}, "reference"),
        ({"reference": "a\n"}, "reference"),
        ({"reference": "x" * 65}, "reference"),
        ({"reference": ["a"]}, "reference"),
        ({"reason": "x" * 201}, "reason"),
    ],
    ids=str,
)
def test_bad_input_is_refused_by_name(sync: Caller, user: int, wrong: dict[str, Any], named: str) -> None:
    answer = sync.post("/points/adjust", {"user": user, "points": 5, "reference": fresh(), **wrong})
    assert code_of(answer) == (400, "rest_invalid_param")
    assert named in answer.json()["data"]["params"]


def test_digits_are_a_number(sync: Caller, user: int) -> None:
    moved = sync.post("/points/adjust", {"user": str(user), "points": "5", "reference": fresh()}).json()
    assert (moved["user"], moved["points"]) == (user, 5)


def test_what_is_missing_is_named(sync: Caller) -> None:
    answer = sync.post("/points/adjust", {"points": 5})
    assert code_of(answer) == (400, "rest_missing_callback_param")
    assert answer.json()["data"]["params"] == ["user", "reference"]


@pytest.mark.parametrize("query", [{"after": -1}, {"after": "x"}, {"limit": 0}, {"limit": 501}], ids=str)
def test_a_bad_page_is_refused(sync: Caller, query: dict[str, Any]) -> None:
    assert code_of(sync.get("/points/changes", **query)) == (400, "rest_invalid_param")


def test_a_shopper_sees_his_points(shop: WordPress, sync: Caller, user: int) -> None:
    sync.adjust(user, 1234, fresh())
    shown = str(shop.php(f"wp_set_current_user( {user} ); return do_shortcode( '[counterflow_points]' );"))
    assert "You have 1,234 points." in shown
    assert shop.php("return do_shortcode( '[counterflow_points]' );") == ""


def test_points_are_in_the_export_of_a_persons_data(shop: WordPress, sync: Caller, user: int) -> None:
    sync.adjust(user, 77, fresh())
    exporter = "apply_filters( 'wp_privacy_personal_data_exporters', array() )['counterflow-points']['callback']"
    export = shop.php(f"return call_user_func( {exporter}, get_userdata( {user} )->user_email, 1 );")
    assert export["done"] is True
    assert [field["value"] for entry in export["data"] for field in entry["data"] if field["name"] == "Points"] == [
        "77"
    ]


# Gift cards.


def test_a_card_is_made_once(sync: Caller) -> None:
    body = {"number": f"GC{next(numbers):06d}", "cents": 5000, "reference": fresh(), "expires": "2099-01-31T00:00:00"}
    made = sync.post("/gift-cards", body).json()
    assert made == {"number": body["number"], "balance": 5000, "id": made["id"], "already": False}
    assert sync.post("/gift-cards", body).json() == made | {"already": True}
    card = sync.post("/gift-cards/lookup", {"number": body["number"]}).json()
    assert card == {
        "number": body["number"],
        "balance": 5000,
        "is_void": False,
        "expires": "2099-01-31T00:00:00",
        "last": made["id"],
    }


def test_a_card_with_nothing_on_it_is_made_once_too(sync: Caller) -> None:
    body = {"number": f"GC{next(numbers):06d}", "cents": 0, "reference": fresh()}
    made = {"number": body["number"], "balance": 0, "id": None}
    assert sync.post("/gift-cards", body).json() == made | {"already": False}
    assert sync.post("/gift-cards", body).json() == made | {"already": True}


def test_a_number_or_a_reference_of_another_card_is_refused(sync: Caller) -> None:
    number, reference = sync.card(5000), fresh()
    again = {"number": number, "cents": 1, "reference": fresh()}
    assert code_of(sync.post("/gift-cards", again)) == (409, "counterflow_card_exists")
    sync.take(number, -1, reference)
    other = {"number": "OTHER", "cents": 1, "reference": reference}
    assert code_of(sync.post("/gift-cards", other)) == (409, "counterflow_reference_taken")
    assert code_of(sync.take(sync.card(100), -1, reference)) == (409, "counterflow_reference_taken")
    assert code_of(sync.post("/gift-cards/lookup", {"number": "OTHER"})) == (404, "counterflow_no_card")


def test_cents_are_moved_once_and_not_below_zero(sync: Caller) -> None:
    number, reference = sync.card(5000), fresh()
    taken = sync.take(number, -2000, reference, order=12, reason="Order 12").json()
    assert taken == {"number": number, "cents": -2000, "balance": 3000, "id": taken["id"], "already": False}
    assert sync.take(number, -2000, reference).json() == taken | {"already": True}
    (change,) = sync.changes("gift-cards", taken["id"] - 1)
    assert change.pop("created_gmt")[10] == "T"
    told = {
        "id": taken["id"],
        "number": number,
        "cents": -2000,
        "reference": reference,
        "reason": "Order 12",
        "order": 12,
    }
    assert change == told
    assert sync.take(number, -9999, fresh()).json()["cents"] == -3000
    free = fresh()
    assert sync.take(number, -1, free).json() == {
        "number": number,
        "cents": 0,
        "balance": 0,
        "id": None,
        "already": False,
    }
    assert sync.take(number, 700, free).json()["balance"] == 700


def test_a_card_is_not_spent_twice_by_two_at_once(sync: Caller) -> None:
    number = sync.card(1000)
    with sync.slow_at("INSERT"), ThreadPoolExecutor(20) as pool:
        answers = [one.json() for one in pool.map(lambda _: sync.take(number, -300, fresh()), range(20))]
    assert Counter(answer["cents"] for answer in answers) == {-300: 3, -100: 1, 0: 16}


def test_a_void_card_gives_nothing(sync: Caller) -> None:
    number, reference = sync.card(5000), fresh()
    first = sync.take(number, -1000, reference).json()
    assert sync.post("/gift-cards/change", {"number": number, "is_void": True}).json()["is_void"] is True
    assert code_of(sync.take(number, -1000, fresh())) == (409, "counterflow_card_void")
    assert sync.take(number, -1000, reference).json() == first | {"already": True}
    assert sync.take(number, 1000, fresh()).json()["balance"] == 5000
    assert sync.post("/gift-cards/change", {"number": number, "is_void": False}).json()["is_void"] is False
    assert sync.take(number, -1000, fresh()).status_code == 200


def test_an_expired_card_gives_nothing(sync: Caller) -> None:
    number = sync.card(5000, expires="2020-01-31T00:00:00")
    assert code_of(sync.take(number, -1000, fresh())) == (409, "counterflow_card_expired")
    changed = sync.post("/gift-cards/change", {"number": number, "expires": None}).json()
    assert (changed["expires"], changed["is_void"]) == (None, False)
    assert sync.take(number, -1000, fresh()).status_code == 200


def test_a_number_in_an_address_is_refused(sync: Caller) -> None:
    answer = sync.post("/gift-cards/lookup?number=GC000001", {})
    assert code_of(answer) == (400, "rest_invalid_param")
    assert "body" in answer.json()["data"]["params"]["number"]
    assert code_of(sync.get("/gift-cards/GC000001")) == (404, "rest_no_route")


@pytest.mark.parametrize(
    "wrong",
    [
        {"cents": -1},
        {"cents": 1.5},
        {"number": "with blank"},
        {"number": "x" * 33},
        {"expires": "tomorrow"},
        {"expires": "2026-02-30T00:00:00"},
    ],
    ids=str,
)
def test_a_bad_card_is_refused(sync: Caller, wrong: dict[str, Any]) -> None:
    body = {"number": "BAD", "cents": 1, "reference": fresh(), **wrong}
    assert code_of(sync.post("/gift-cards", body)) == (400, "rest_invalid_param")


def test_an_unknown_card_is_404(sync: Caller) -> None:
    for path, more in (("lookup", {}), ("change", {"is_void": True}), ("adjust", {"cents": 1, "reference": fresh()})):
        assert code_of(sync.post(f"/gift-cards/{path}", {"number": "NONE", **more})) == (404, "counterflow_no_card")


# Customers.


def newest(sync: Caller) -> int:
    read = sync.changes("customers", 0, limit=500)
    return int(read[-1]["id"]) if read else 0


def test_the_newest_change_of_a_customer_is_told(shop: WordPress, sync: Caller, user: int) -> None:
    after = newest(sync)
    shop.php(f"wp_update_user( array( 'ID' => {user}, 'first_name' => 'Ana' ) );")
    shop.php(f"wp_update_user( array( 'ID' => {user}, 'first_name' => 'Eva' ) );")
    (change,) = sync.changes("customers", after)
    assert change.pop("changed_gmt")[10] == "T"
    assert change == {"id": change["id"], "user": user, "deleted": False}


def test_a_deleted_customer_is_told(shop: WordPress, sync: Caller, user: int) -> None:
    after = newest(sync)
    shop.php(f"require_once ABSPATH . 'wp-admin/includes/user.php'; wp_delete_user( {user} );")
    assert [(one["user"], one["deleted"]) for one in sync.changes("customers", after)] == [(user, True)]
    assert code_of(sync.get(f"/points/{user}")) == (404, "counterflow_no_user")


def test_those_who_run_the_shop_are_no_customers(shop: WordPress, sync: Caller) -> None:
    after = newest(sync)
    for role in ("editor", "counterflow"):
        make_user(shop, role)
    assert sync.changes("customers", after) == []


def test_a_welcome_is_sent_once(shop: WordPress, sync: Caller, user: int) -> None:
    address, before = shop.php(f"return get_userdata( {user} )->user_email;"), len(shop.mails)
    with ThreadPoolExecutor(5) as pool:
        path = f"/customers/{user}/send-welcome"
        answers = [one.json() for one in pool.map(lambda _: sync.post(path, {}), range(5))]
    assert Counter((one["sent"], one["already"]) for one in answers) == {(True, False): 1, (False, True): 4}
    (mail,) = shop.mails[before:]
    assert mail["to"] == address
    assert "set your password" in mail["message"]


def test_a_welcome_to_nobody_is_404(sync: Caller) -> None:
    assert code_of(sync.post("/customers/999999/send-welcome", {})) == (404, "counterflow_no_user")


# Orders: what they move, with doubles in place of WooCommerce, which is not here. Its checkout itself is not run.

DOUBLES = """
update_option( 'counterflow_settings', array( 'earn_rate' => 2, 'point_cents' => 1, 'cards_pay' => 'yes' ) );
class WC_Order {
	public $status = 'pending';
	public $refunded = '0';
	public function __construct( public int $id, public int $user, public string $total, public array $meta ) {}
	public function get_id() { return $this->id; }
	public function get_order_number() { return 'N' . $this->id; }
	public function get_status() { return $this->status; }
	public function get_customer_id() { return $this->user; }
	public function get_total() { return $this->total; }
	public function get_total_refunded() { return $this->refunded; }
	public function get_meta( $name ) { return $this->meta[ $name ] ?? ''; }
	public function add_order_note( $note ) {}
}
function wc_get_order( $id ) { return $GLOBALS['order']; }
function wc_get_is_paid_statuses() { return array( 'processing', 'completed' ); }
function WC() { return (object) array( 'session' => null, 'cart' => null ); }
function place( $order ) {
	$GLOBALS['order'] = $order;
	Counterflow\\Companion\\take_payment( $order );
}
function turn( $status ) {
	$GLOBALS['order']->status = $status;
	Counterflow\\Companion\\order_changed( $GLOBALS['order']->id );
}
"""


def test_an_order_moves_what_is_right_whatever_becomes_of_it(shop: WordPress, sync: Caller, user: int) -> None:
    number, order = sync.card(5000), next(numbers)
    after = sync.adjust(user, 500, fresh()).json()["id"]
    card = json.dumps([{"number": number, "cents": 2000}])
    steps = """
    $seen = array();
    $look = function () use ( &$seen ) {
        $seen[] = array( Counterflow\\Companion\\points_of( %(user)d ), Counterflow\\Companion\\look_card_up( '%(number)s' )['balance'] );
    };
    $order = new WC_Order( %(order)d, %(user)d, '50.99', array( 'counterflow_points' => '100', 'counterflow_gift_card' => '%(card)s' ) );
    place( $order ); $look();
    turn( 'processing' ); $look();
    turn( 'completed' ); $look();
    $order->refunded = '35.50';
    Counterflow\\Companion\\order_refunded( %(order)d, 77 ); $look();
    Counterflow\\Companion\\order_refunded( %(order)d, 77 ); $look();
    turn( 'cancelled' ); $look();
    turn( 'cancelled' ); $look();
    turn( 'processing' ); $look();
    delete_option( 'counterflow_settings' );
    return $seen;
    """
    seen = shop.php(DOUBLES + steps % {"user": user, "number": number, "order": order, "card": card})
    assert seen == [
        [400, 3000],  # Placed: 100 points and 20.00 of the card are taken.
        [540, 3000],  # Paid: 2 points for each of 70 whole units, of 50.99 in money and 20.00 by card.
        [540, 3000],
        [469, 3000],  # 35.50 of 70.99 given back: 69 of 140 points stay.
        [469, 3000],
        [500, 5000],  # Cancelled: as before.
        [500, 5000],
        [470, 3000],  # Opened again: 35 whole units are paid now.
    ]
    points = {change["reference"]: change["points"] for change in sync.changes("points", after)}
    assert points == {
        f"order:{order}:redeem": -100,
        f"order:{order}:earn": 140,
        f"order:{order}:earn-back:77": -71,
        f"order:{order}:earn:2": -69,
        f"order:{order}:redeem:1": 100,
        f"order:{order}:earn:3": 70,
        f"order:{order}:redeem:2": -100,
    }
    told = [change for change in sync.changes("gift-cards", 0) if change["number"] == number][1:]
    assert [(change["reference"].removeprefix(f"order:{order}:"), change["cents"]) for change in told] == [
        ("card", -2000),
        ("card:1", 2000),
        ("card:2", -2000),
    ]
    assert {change["order"] for change in told} == {order}


def test_an_order_that_cannot_be_paid_so_takes_nothing(shop: WordPress, sync: Caller, user: int) -> None:
    sync.adjust(user, 50, fresh())
    steps = """
    $said = '';
    try {
        place( new WC_Order( %d, %d, '1.00', array( 'counterflow_points' => '60' ) ) );
    } catch ( Exception $error ) {
        $said = $error->getMessage();
    }
    delete_option( 'counterflow_settings' );
    return $said;
    """
    assert "used elsewhere" in shop.php(DOUBLES + steps % (next(numbers), user))
    assert sync.balance(user) == 50


# The hook, the settings, and the end.


class Heard:
    """A small web server that keeps what it is told."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        heard = self.requests

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                heard.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hooks/web"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_a_change_is_told_and_signed(shop: WordPress, sync: Caller, user: int) -> None:
    heard = Heard()
    shop.php(
        f"update_option( 'counterflow_settings', array( 'hook_url' => '{heard.url}', 'hook_secret' => 'very secret' ) );"
    )
    try:
        reference = fresh()
        points = sync.adjust(user, 5, reference).json()["id"]
        sync.adjust(user, 5, reference)  # Nothing moves, so nothing is told.
        card = sync.take(sync.card(0), 100, fresh()).json()["id"]
        shop.php(f"wp_update_user( array( 'ID' => {user}, 'first_name' => 'Ana' ) );")
        wait_for(lambda: len(heard.requests) >= 3, within_s=20, what=lambda: heard.requests)
    finally:
        shop.php("delete_option( 'counterflow_settings' );")
        heard.close()
    told = [(headers["x-wc-webhook-topic"], json.loads(body)["id"]) for headers, body in heard.requests]
    expected = [("points", points), ("gift_cards", card), ("customers", user)]
    assert sorted(told) == sorted((f"counterflow_{feed}.changed", one) for feed, one in expected)
    for headers, body in heard.requests:
        signed = base64.b64encode(hmac.new(b"very secret", body, hashlib.sha256).digest()).decode()
        assert headers["x-wc-webhook-signature"] == signed
        assert headers["content-type"] == "application/json"


def test_a_hook_that_nobody_hears_harms_nothing(shop: WordPress, sync: Caller, user: int) -> None:
    heard = Heard()
    heard.close()
    shop.php(f"update_option( 'counterflow_settings', array( 'hook_url' => '{heard.url}', 'hook_secret' => 'x' ) );")
    try:
        assert sync.adjust(user, 5, fresh()).json()["balance"] == 5
    finally:
        shop.php("delete_option( 'counterflow_settings' );")


def test_the_settings_are_saved_by_an_administrator(shop: WordPress) -> None:
    browser = requests.Session()
    login = {"log": ADMIN[0], "pwd": ADMIN[1], "testcookie": "1"}
    browser.cookies.set("wordpress_test_cookie", "WP%20Cookie%20check")
    browser.post(f"{shop.url}/wp-login.php", data=login, timeout=60)
    page = browser.get(f"{shop.url}/wp-admin/options-general.php?page=counterflow", timeout=60).text
    assert "Tell of changes at" in page
    nonce = page.split('name="_wpnonce" value="')[1].split('"')[0]
    given = {
        "hook_url": "https://hooks.example.com/hooks/web",
        "hook_secret": "s",
        "earn_rate": "-3",
        "cards_pay": "yes",
    }
    form = {f"counterflow_settings[{name}]": value for name, value in given.items()}
    form |= {"option_page": "counterflow", "action": "update", "_wpnonce": nonce}
    try:
        assert (
            browser.post(f"{shop.url}/wp-admin/options.php", data=form | {"_wpnonce": "wrong"}, timeout=60).status_code
            == 403
        )
        browser.post(f"{shop.url}/wp-admin/options.php", data=form, timeout=60)
        kept = shop.php("return get_option( 'counterflow_settings' );")
        assert kept["hook_url"] == given["hook_url"]
        assert (kept["hook_secret"], kept["earn_rate"], kept["cards_pay"], kept["delete_data"]) == ("s", 3, "yes", "")
        page = browser.get(f"{shop.url}/wp-admin/options-general.php?page=counterflow", timeout=60).text
        assert "One is set." in page
    finally:
        shop.php("delete_option( 'counterflow_settings' );")


def tables(shop: WordPress) -> set[str]:
    found = shop.php("return $wpdb->get_col( \"SHOW TABLES LIKE 'wp\\_counterflow\\_%'\" );")
    return {str(name).removeprefix("wp_counterflow_") for name in found}


def test_uninstalling_leaves_points_and_cards_unless_it_was_asked_for(shop: WordPress) -> None:
    load = "require_once ABSPATH . 'wp-admin/includes/plugin.php'; "
    uninstall = load + "uninstall_plugin( 'counterflow-companion/counterflow-companion.php' );"
    shop.php(load + "deactivate_plugins( 'counterflow-companion/counterflow-companion.php' );")
    try:
        shop.php(uninstall)
        assert tables(shop) == TABLES
        shop.php("update_option( 'counterflow_settings', array( 'delete_data' => 'yes' ) );" + uninstall)
        assert tables(shop) == set()
        assert shop.php("return array( get_role( 'counterflow' ), get_option( 'counterflow_settings' ) );") == [
            None,
            False,
        ]
        assert shop.php("return get_role( 'administrator' )->has_cap( 'counterflow_sync' );") is False
    finally:
        shop.activate()
    assert tables(shop) == TABLES


def test_php_complained_of_nothing_in_all_that(shop: WordPress) -> None:
    assert shop.complaints == []
