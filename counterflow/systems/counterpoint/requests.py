"""Our commands -> the REST server's requests, in the shop's own words and in letters that this very database holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Engine

from counterflow.systems.counterpoint import letters, sql, write
from counterflow.systems.counterpoint.letters import Alphabet, Fitted, Policy
from schemas.commands import ChangeCustomer, CreateCustomer, PlaceDocument
from schemas.places import HOME, Vocabulary, worded_address
from schemas.profiles import worded_profile
from schemas.records import Address, Customer


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a shop wants its records made (shop.yaml)."""

    workgroup: str = "1"  # Whose template new customers are made from.
    home: str = HOME  # The shop's own country.
    countries: Vocabulary = "code"  # What its addresses call a country.
    letters: Policy = "transliterate"  # Of letters that a column cannot hold.
    nobody: frozenset[str] = frozenset()  # Numbers of nobody in particular: found for nobody (req-C5).


class Requests:
    """Makes requests. The database is asked what it holds at the first one, and not again."""

    def __init__(self, engine: Engine, manner: Manner) -> None:
        self._engine, self._manner = engine, manner
        self._alphabet: Alphabet | None = None

    def new_customer(self, wanted: CreateCustomer) -> Fitted:
        """Give the body of POST /Customer. Raises Held, as all below, where the shop is to be asked about letters."""
        wanted = msgspec.structs.replace(wanted, billing=self._worded(wanted.billing))
        return self._fit(write.customer_payload(wanted, self._manner.workgroup))

    def changes(self, wanted: ChangeCustomer, there: Customer, row: Mapping[str, Any]) -> Fitted:
        """Give the columns of PATCH /Customer for a customer as they are: the record, and its row."""
        words = self._manner.countries
        fields = worded_profile(wanted.fields, there, home=wanted.home, words=words)
        fitted = self._fit({"AR_CUST": write.customer_changes(fields, row)})
        return Fitted(body=fitted.body["AR_CUST"], message=fitted.message)

    def document(self, wanted: PlaceDocument) -> Fitted:
        """Give the body of POST /Document."""
        ends = {"bill_to": self._worded(wanted.bill_to), "ship_to": self._worded(wanted.ship_to)}
        return self._fit(write.document_payload(msgspec.structs.replace(wanted, **ends)))

    def note(self, text: str) -> Fitted:
        """Give a document's new note."""
        fitted = self._fit({"PS_DOC_NOTE": {"NOTE_ID": "WEB", "NOTE": text}})
        return Fitted(body=fitted.body["PS_DOC_NOTE"], message=fitted.message)

    def _worded(self, address: Address) -> Address:
        return worded_address(address, home=self._manner.home, words=self._manner.countries)

    def _fit(self, body: Mapping[str, Any]) -> Fitted:
        if self._alphabet is None:
            with sql.reading(self._engine, snapshot=False) as connection:
                self._alphabet = letters.ask(connection)
        return letters.fit(body, self._alphabet, self._manner.letters)
