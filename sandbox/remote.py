"""The hands of shoppers, staff and testers: the sandbox's control routes over HTTP."""

from collections.abc import Mapping
from typing import Any

import requests

TIMEOUT_S = 20.0


class Remote:
    """A running sandbox, by its addresses (as `counterflow sandbox` prints them)."""

    def __init__(self, addresses: Mapping[str, Any]) -> None:
        self._bases = {name: url.removesuffix("/_sandbox/") for name, url in addresses["pages"].items()}
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = addresses["ca_file"]

    @property
    def stores(self) -> list[str]:
        """The stores' ids."""
        return [name for name in self._bases if name != "counterpoint"]

    def post(self, system: str, path: str, **body: Any) -> requests.Response:
        """Do something in a system. Gives any answer: a refusal is an answer too."""
        return self._session.post(f"{self._bases[system]}/_sandbox/{path}", json=body, timeout=TIMEOUT_S)

    def put(self, system: str, path: str, **body: Any) -> requests.Response:
        """Change something in a system."""
        return self._session.put(f"{self._bases[system]}/_sandbox/{path}", json=body, timeout=TIMEOUT_S)

    def delete(self, system: str, path: str) -> requests.Response:
        """Delete something in a system."""
        return self._session.delete(f"{self._bases[system]}/_sandbox/{path}", timeout=TIMEOUT_S)

    def faults(self, system: str, **switches: Any) -> None:
        """Switch faults of a system on and off."""
        self.post(system, "faults", **switches).raise_for_status()

    def state(self, system: str) -> dict[str, Any]:
        """Give what a system holds."""
        answer = self._session.get(f"{self._bases[system]}/_sandbox/state", timeout=TIMEOUT_S)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def journal(self, after: int = 0) -> list[dict[str, Any]]:
        """Give the journal's entries behind a number."""
        query = {"after": after}
        answer = self._session.get(f"{self._bases['counterpoint']}/_sandbox/journal", params=query, timeout=TIMEOUT_S)
        answer.raise_for_status()
        entries: list[dict[str, Any]] = answer.json()["entries"]
        return entries
