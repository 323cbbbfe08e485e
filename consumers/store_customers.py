"""A store's accounts: changed where they are as they were decided on, and created where there is none.

The store has no idempotency key, but lets nobody have a second account under one e-mail (W-21). So an account is
looked for before it is created, and an unanswered creation before the next try: nobody is mailed twice.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from counterflow.errors import Held, Rejected
from counterflow.systems.woocommerce import read, write
from counterflow.systems.woocommerce.client import WooClient
from schemas.commands import ChangeCustomer, CreateAccount, CreateCustomer, Profile
from schemas.places import HOME
from schemas.profiles import Value, as_profile, is_empty, moved, of_profile, unlike, untaken, worded_profile
from schemas.records import Customer, Postal

Row = Mapping[str, Any]


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one command about an account."""

    result: str
    message: str = ""
    remote: dict[str, str] = {}
    record: Customer | None = None
    request: dict[str, Any] = {}


class StoreCustomers:
    """Carries out what one store's accounts shall be."""

    def __init__(self, system: str, client: WooClient, *, home: str = HOME) -> None:
        self._system, self._client, self._home = system, client, home

    def change(self, wanted: ChangeCustomer) -> Done:
        """Have some fields of an account so; nothing is written where it is not as it was decided on.

        Raises:
            Rejected: There is no such account, or the store did not take a field.
            Held: The store refuses the e-mail.
            Transient: The store does not answer. A change may have been made: the next try reads first.
        """
        row = self._client.one("customers", wanted.remote_id)
        if row is None:
            raise Rejected(f"account {wanted.remote_id} is gone from {self._system}")
        record = _read(row)
        names = of_profile(wanted.fields)
        if not unlike(wanted.fields, record, names, home=wanted.home):
            return Done(result="already", record=record)
        changed = moved(wanted.fields, wanted.decided_on, record, home=wanted.home)
        if changed:
            return Done(result="differs", message=f"changed there meanwhile: {', '.join(changed)}", record=record)
        return self._change(wanted.remote_id, worded_profile(wanted.fields, record, home=wanted.home), wanted.home)

    def _change(self, number: str, fields: Profile, home: str) -> Done:
        body = write.account_changes(fields)
        try:
            record = _read(self._client.change("customers", number, body))
        except Rejected as error:
            if "invalid_email" in str(error):  # Taken or malformed: the store does not say which (W-25).
                raise Held(f"account {number}: the store refuses the e-mail; has another account the same?") from error
            raise
        missing = untaken(fields, record, of_profile(fields), home=home)
        if missing:
            raise Rejected(f"account {number}: the store did not take {', '.join(missing)}")
        return Done(result="applied", record=record, request=body)

    def create(self, wanted: CreateAccount) -> Done:
        """Have an account with this e-mail: found, or else created. Raises as `change`."""
        found = self._find(wanted.email)
        if found is None:
            fields = worded_profile(wanted.fields, None, home=self._home)
            body = write.new_account(msgspec.structs.replace(wanted, fields=fields))
            try:
                record = _read(self._client.create("customers", body))
                return Done(result="applied", remote={"account_id": record.key}, record=record, request=body)
            except Rejected as error:
                found = self._find(wanted.email) if "email-exists" in str(error) else None
                if found is None:
                    raise
        if wanted.pos_id and found.pos_id not in {"", wanted.pos_id}:
            raise Held(f"account {found.key} has this e-mail, and is customer {found.pos_id}'s")
        return Done(result="already", remote={"account_id": found.key}, record=found)

    def create_buyer(self, wanted: CreateCustomer) -> Done:
        """Have a customer of the other store here, where this store is the pair's point of sale.

        Raises:
            Rejected: They have no e-mail, without which a store has no account. Otherwise as `change`.
        """
        if not wanted.email:
            raise Rejected("an account needs an e-mail, and this customer has none: enter them by hand")
        address = wanted.billing
        place = Postal(**{line: getattr(address, line) for line in Postal.__struct_fields__})
        fields: dict[str, Value] = {
            "first_name": wanted.first_name,
            "last_name": wanted.last_name,
            "phone": wanted.phone,
            "billing": place,
        }
        fields |= {} if wanted.marketing is None else {"marketing": wanted.marketing}
        known = {name: value for name, value in fields.items() if not is_empty(value)}
        done = self.create(
            CreateAccount(email=wanted.email, pos_id="", fields=as_profile(known), company=wanted.company)
        )
        return msgspec.structs.replace(done, remote={"cust_no": done.remote["account_id"]})

    def _find(self, email: str) -> Customer | None:
        rows = [_read(row) for row in self._client.page("customers", email=email, role="all")]
        return next((one for one in rows if one.email == email.lower()), None)


def _read(row: Row) -> Customer:
    record = read.read("customers", msgspec.json.encode(row))
    assert isinstance(record, Customer)
    return record
