"""The client of WooCommerce's REST API v3 (docs/facts/stores-observed.md, W-n)."""

from collections.abc import Mapping, Sequence
from typing import Any

import requests

from counterflow.clock import Clock
from counterflow.config import Store
from counterflow.errors import Broken, Rejected, Transient
from counterflow.systems.http import Session

BASE = "/wp-json/wc/v3"
PAGE = 100  # W-81, and the most of one batch: W-85.
Row = dict[str, Any]


class WooClient:
    """Calls to one store, within one rate budget."""

    def __init__(self, store_id: str, settings: Store, clock: Clock) -> None:
        """Set the session up. Raises Broken for an address without https: the store refuses keys there (W-2)."""
        if not settings.url.startswith("https://"):
            raise Broken(f"stores.{store_id}.url must begin with https://: WooCommerce takes its keys only there")
        self._name = store_id
        self._session = Session(
            store_id,
            settings.url,
            clock=clock,
            ca_file=settings.ca_file,
            timeout_s=settings.timeout_s,
            per_second=settings.requests_per_s,
            reason=("code", "message"),
        )
        self._session.sign_in(settings.key.get_secret_value(), settings.secret.get_secret_value())

    @property
    def name(self) -> str:
        """The store's id."""
        return self._name

    @property
    def timeout_s(self) -> float:
        """How long an answer may take."""
        return self._session.timeout_s

    def version(self) -> str:
        """Ask for the store's version: also the question that tells whether it answers and knows us."""
        what = "GET system_status"
        body = self._row(self._checked(self._session.read(f"{BASE}/system_status"), what), what)
        return str((body.get("environment") or {}).get("version", "unknown"))

    def date(self) -> str:
        """Give the Date header of an answer: the store's own clock; "" where there is none."""
        return str(self._session.read(f"{BASE}/system_status").headers.get("Date", ""))

    def page(self, resource: str, **query: Any) -> list[Row]:
        """Give one page of a list, at most PAGE rows; a short one is the last (W-82)."""
        answer = self._session.read(f"{BASE}/{resource}", per_page=query.pop("per_page", PAGE), **query)
        return self._rows(self._checked(answer, f"GET {resource}"), f"GET {resource}")

    def pages(self, resource: str, **query: Any) -> int:
        """Say how many pages of PAGE rows a list has (W-80)."""
        answer = self._session.read(f"{BASE}/{resource}", per_page=PAGE, **query)
        self._checked(answer, f"GET {resource}")
        count = answer.headers.get("X-WP-TotalPages", "")
        if not count.isdigit():
            raise Transient(f"{self._name}: GET {resource}: no X-WP-TotalPages; does a cache stand before the store?")
        return int(count)

    def one(self, resource: str, number: str) -> Row | None:
        """Give one row by id; None where the store says that there is none (W-27)."""
        answer = self._session.read(f"{BASE}/{resource}/{number}")
        what = f"GET {resource}/{number}"
        if answer.status_code == 404 and _code(self._json(answer, what)).endswith("invalid_id"):
            return None
        row = self._row(self._checked(answer, what), what)
        return None if row.get("status") == "trash" else row

    def batch(self, resource: str, update: Sequence[Mapping[str, Any]]) -> list[Row]:
        """Change several rows; each answer is the row, or holds an `error` in its place (W-84)."""
        assert len(update) <= PAGE
        body = {"update": list(update)}
        what = f"POST {resource}/batch"
        answer = self._row(self._checked(self._session.write("POST", f"{BASE}/{resource}/batch", body), what), what)
        return self._rows(answer.get("update", []), what)

    def create(self, resource: str, body: Mapping[str, Any]) -> Row:
        """Create one row."""
        what = f"POST {resource}"
        return self._row(self._checked(self._session.write("POST", f"{BASE}/{resource}", body), what), what)

    def change(self, resource: str, number: str, body: Mapping[str, Any]) -> Row:
        """Change one row."""
        what = f"PUT {resource}/{number}"
        return self._row(self._checked(self._session.write("PUT", f"{BASE}/{resource}/{number}", body), what), what)

    def get(self, path: str, what: str, *, absent: str = "", **query: Any) -> Row | None:
        """Ask a route beside wc/v3, by its whole path.

        Args:
            path: From the root of the shop's address.
            what: What errors call it: nothing in it may be secret.
            absent: The code of a 404 that is an answer; then None is given.
            query: Behind the question mark.
        """
        return self._found(self._session.read(path, **query), what, absent)

    def post(self, path: str, what: str, body: Mapping[str, Any], *, absent: str = "") -> Row | None:
        """Send to a route beside wc/v3, once. See get."""
        return self._found(self._session.write("POST", path, body), what, absent)

    def _found(self, answer: requests.Response, what: str, absent: str) -> Row | None:
        if answer.status_code == 404 and absent and _code(self._json(answer, what)) == absent:
            return None
        return self._row(self._checked(answer, what), what)

    def _json(self, answer: requests.Response, what: str) -> Any:
        try:
            return answer.json()
        except requests.JSONDecodeError as error:
            text = f"{self._name}: {what}: HTTP {answer.status_code}, no JSON; is the address the shop's?"
            raise Transient(text, unknown=not what.startswith("GET")) from error

    def _checked(self, answer: requests.Response, what: str) -> Any:
        """Give the answer's body, or say what its error means; by code, never by text (W-21)."""
        if 300 <= answer.status_code < 400:  # Followed, a POST would become a GET.
            text = f"{self._name}: {what}: HTTP {answer.status_code}, a redirect; write the shop's final address"
            raise Transient(text)
        body = self._json(answer, what)
        if answer.status_code < 400:
            return body
        code = _code(body)
        if answer.status_code in {401, 403}:
            raise Broken(
                f"{self._name} refuses our key (HTTP {answer.status_code} {code}): check key, secret and its rights"
            )
        if code == "rest_no_route":  # The plugin is off for an update, or the address is not the shop's.
            raise Transient(f"{self._name}: {what}: the store has no such route (rest_no_route); is the plugin active?")
        data = body.get("data") if isinstance(body, dict) else None
        wrong = ", ".join((data.get("params") if isinstance(data, dict) else None) or [])
        raise Rejected(f"{self._name}: {what}: HTTP {answer.status_code} {code} {wrong}".rstrip())

    def _rows(self, body: Any, what: str) -> list[Row]:
        """Give a list of rows. A plugin or a cache may answer 200 with something else."""
        if isinstance(body, list) and all(isinstance(row, dict) and "id" in row for row in body):
            return body
        raise Transient(f"{self._name}: {what}: not a list of rows; is the address the shop's?")

    def _row(self, body: Any, what: str) -> Row:
        if isinstance(body, dict):
            return body
        raise Transient(f"{self._name}: {what}: not a row; is the address the shop's?")


def _code(body: Any) -> str:
    return str(body.get("code", "")) if isinstance(body, dict) else ""
