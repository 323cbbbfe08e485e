"""The client of the NCR Counterpoint REST server (docs/facts/counterpoint.md 8)."""

from typing import Any
from urllib.parse import quote

import requests

from counterflow.clock import Clock
from counterflow.config import CounterpointRest
from counterflow.errors import Broken, Rejected, Transient
from counterflow.systems.http import Session

NAME = "counterpoint-rest"


class CounterpointClient:
    """Calls to one company's server. Nothing here is sent twice; whoever calls looks before trying again."""

    def __init__(self, settings: CounterpointRest, clock: Clock) -> None:
        self._session = Session(
            NAME,
            settings.url,
            clock=clock,
            ca_file=settings.ca_file,
            timeout_s=settings.timeout_s,
            reason=("ErrorCode", "Message"),
        )
        self._session.sign_in(
            f"{settings.company}.{settings.user}",
            settings.password.get_secret_value(),
            APIKey=settings.api_key.get_secret_value(),
            ServerCache="no-cache",  # Its item cache is two hours old by default.
        )

    def company(self) -> dict[str, Any]:
        """Ask for the company: the cheapest question that tells whether login and key are right."""
        return _checked(self._session.read("/Company"), "GET /Company")

    def store(self, number: str, station: str) -> dict[str, Any]:
        """Ask for a store's station."""
        return _checked(
            self._session.read(f"/Store/{number}/Station/{station}"), f"GET station {station} of store {number}"
        )

    def workgroup(self, number: str) -> dict[str, Any]:
        """Ask for a workgroup."""
        return _checked(self._session.read(f"/Workgroup/{number}"), f"GET workgroup {number}")

    def create_customer(self, payload: dict[str, Any]) -> str:
        """Create a customer; gives its CUST_NO.

        Raises:
            Transient: No answer, or an error that hides its cause: it may have been created.
        """
        answer = self._session.write("POST", "/Customer", payload)
        return str(_part(_checked(answer, "POST /Customer"), "CUST_NO", "POST /Customer"))

    def change_customer(self, cust_no: str, fields: dict[str, Any]) -> None:
        """Change some columns of a customer."""
        answer = self._session.write("PATCH", f"/Customer/{quote(cust_no, safe='')}", {"AR_CUST": fields})
        _checked(answer, "PATCH /Customer")

    def place_document(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Place a document; gives the answer with the ids of all documents made."""
        return _checked(self._session.write("POST", "/Document", payload), "POST /Document")

    def note_document(self, doc_id: int, note: dict[str, Any]) -> None:
        """Add a note to an unposted document."""
        what = f"POST note of document {doc_id}"
        _checked(self._session.write("POST", f"/Document/{doc_id}/Note", {"PS_DOC_NOTE": note}), what)

    def document(self, doc_id: int) -> dict[str, Any]:
        """Read an unposted document."""
        what = f"GET document {doc_id}"
        found: dict[str, Any] = _part(_checked(self._session.read(f"/Document/{doc_id}"), what), "PS_DOC_HDR", what)
        return found


def _checked(answer: requests.Response, what: str) -> dict[str, Any]:
    """Give the answer's body, or say what its error means for us."""
    if answer.status_code == 401:
        raise Broken("Counterpoint's REST server refuses the login (401): check company, user and password")
    if answer.status_code == 403:
        raise Broken("Counterpoint's REST server refuses the key (403): check api_key, its expiry and the API option")
    try:
        found = answer.json()
    except requests.JSONDecodeError:
        found = None
    if answer.is_redirect or not isinstance(found, dict):
        text = f"Counterpoint's REST server: {what}: HTTP {answer.status_code}, no JSON; is the address right?"
        raise Transient(text, unknown=not what.startswith("GET"))
    if answer.status_code >= 400:
        code, message = found.get("ErrorCode", ""), str(found.get("Message", ""))[:200]
        raise Rejected(f"Counterpoint's REST server: {what}: {code}: {message}")
    return found


def _part(body: dict[str, Any], name: str, what: str) -> Any:
    """Give one part of a good answer."""
    if not body.get(name):
        text = f"Counterpoint's REST server: {what}: the answer has no {name}"
        raise Transient(text, unknown=not what.startswith("GET"))
    return body[name]
