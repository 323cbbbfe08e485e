"""Nothing of one person ever reaches another, through the whole processor: random days of accounts, guests and clerks.

The same law as `./run bench identity`, by the flows instead of the rules alone: what is linked, and every phone number
that is written anywhere, is its owner's. Kinds: typed e-mails, families on one address, placeholders, lost answers,
documents that are read before their orders.
"""

import random
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine

from counterflow.systems.registry import READERS
from processors.rules.nobody import Nobody
from schemas.commands import ChangeCustomer, Command, CreateAccount, CreateCustomer, PlaceDocument
from schemas.profiles import of_profile
from schemas.records import Customer
from tests.flows import builders as b
from tests.flows.builders import Row
from tests.flows.pipeline import Pipeline
from tests.flows.test_customer_flow import opened, settings

STEPS = 60
NAMES = [("Ana", "Adler"), ("Ben", "Adler"), ("Carla", "Brook"), ("David", "Carter"), ("Emma", "Carter")]
FAMILY = {1: 0, 4: 3}  # Who shares whose e-mail.
LINKS = """SELECT account.remote_id, till.remote_id FROM link AS account JOIN link AS till USING (entity, our_id)
    WHERE entity = 'customer' AND account.system = 'north' AND till.system = 'counterpoint'"""


class Town:
    """A till and one store as they really are, whose each record is, and what is on its way."""

    def __init__(self, database: Engine, dice: random.Random) -> None:
        shop = replace(settings(adopt="after_purchase"), nobody=Nobody(numbers=frozenset({"CASH"})))
        self.dice, self.pipeline = dice, opened(Pipeline(database, shop))
        self.owners: dict[str, int] = {}  # By number, and by account.
        self.till: dict[str, Row] = {}
        self.accounts: dict[str, Row] = {}
        self.commands: list[Command] = []
        self.made = 0
        self.take(self.pipeline.here("IM_ITEM", b.item("MUG")), self.pipeline.here("IM_INV", b.stock("MUG", 500)))
        self.enter("CASH", None, {"NAM": "Walk-in", "FST_NAM": "", "LST_NAM": "", "EMAIL_ADRS_1": "ana0@example.com"})

    def take(self, *batch: Any) -> None:
        self.commands += self.pipeline.take(*batch)
        self.check()

    def now(self) -> str:
        self.made += 1
        return f"2026-01-05T{9 + self.made // 3600:02}:{self.made // 60 % 60:02}:{self.made % 60:02}"

    def email(self, who: int) -> str:
        return f"{NAMES[FAMILY.get(who, who)][0].lower()}{FAMILY.get(who, who)}@example.com"

    def phone(self, who: int) -> str:
        return f"212 555 01{who}{self.dice.randrange(10)}"

    def enter(self, number: str, who: int | None, columns: Row) -> None:
        if who is not None:
            self.owners[number] = who
        self.till[number] = b.customer(number, "", RS_UTC_DT=self.now()) | columns
        self.take(self.pipeline.here("AR_CUST", dict(self.till[number])))

    # What people do.

    def clerk(self) -> None:
        who = self.dice.randrange(len(NAMES))
        first, last = NAMES[who]
        email = self.dice.choice([self.email(who), self.email(who), "none@none.com", ""])
        columns = {"FST_NAM": first, "LST_NAM": last, "PHONE_1": self.phone(who), "EMAIL_ADRS_1": email}
        if sum(owner == who for key, owner in self.owners.items() if key in self.till) < 2:
            self.enter(f"C-{self.made}", who, columns)

    def sign_up(self) -> None:
        who = self.dice.randrange(len(NAMES))
        email = self.dice.choice([self.email(who), f"own{self.made}@example.org"])
        if email in {row["email"] for row in self.accounts.values()}:
            return
        key = str(100 + self.made)
        names: Row = dict(zip(("first_name", "last_name"), NAMES[who], strict=True))
        self.owners[key] = who
        self.accounts[key] = b.account(int(key), email, at=self.now(), phone=self.phone(who), **names)
        self.show(key)

    def show(self, key: str) -> None:
        row = msgspec.json.decode(msgspec.json.encode(self.accounts[key]))
        self.take(self.pipeline.there("north", "customers", row))

    def change_login(self) -> None:
        if self.accounts:
            key = self.dice.choice(sorted(self.accounts))
            self.accounts[key] |= {"email": f"new{self.made}@example.org", "date_modified_gmt": self.now()}
            self.show(key)

    def order(self) -> None:
        key = self.dice.choice([*sorted(self.accounts), "0"])
        who = self.owners[key] if key != "0" else self.dice.randrange(len(NAMES))
        typed = self.dice.choice([self.email(who), self.email(self.dice.randrange(len(NAMES))), "none@none.com", ""])
        self.made += 1
        row = b.order(self.made, typed, customer_id=int(key))
        row["billing"] |= dict(zip(("first_name", "last_name"), NAMES[who], strict=True)) | {"phone": self.phone(who)}
        self.take(self.pipeline.there("north", "orders", row))

    def answer(self) -> None:
        """Let a person who knows say whose an account is."""
        asked = sorted(one for one in self.pipeline.asked() if one.startswith("account:"))
        if asked:
            review = self.dice.choice(asked)
            who = self.owners[review.rpartition("/")[2]]
            own = sorted(number for number, owner in self.owners.items() if owner == who and number in self.till)
            self.commands += self.pipeline.decide(review, own[0] if own else "apart")
            self.check()

    # What the systems do.

    def carry_out(self) -> None:
        """Carry out one command; now and then its answer is lost, and it comes again."""
        if not self.commands:
            return
        command = self.commands.pop(self.dice.randrange(len(self.commands)))
        match command.body:
            case CreateCustomer():
                self._create(command, command.body)
            case ChangeCustomer():
                self._change(command, command.body)
            case PlaceDocument(marker=marker, cust_no=cust_no):
                assert cust_no != "CASH"
                if self.dice.random() < 0.5:
                    self.take(self.pipeline.here("PS_DOC_HDR", b.document(f"D{marker}", marker, cust_no)))
                self.take(self.pipeline.answer(command, "applied", doc_id=f"D{marker}", cust_no=cust_no))
            case CreateAccount():
                raise AssertionError("the policy creates none")
            case _:
                self.take(self.pipeline.answer(command, "already"))

    def _create(self, command: Command, body: CreateCustomer) -> None:
        found = [number for number, row in self.till.items() if row["EMAIL_ADRS_1"] == body.email and number != "CASH"]
        if len(found) > 1:
            self.take(self.pipeline.answer(command, "held", "several have it by now"))
            return
        number = found[0] if found else f"C-{self.made}"
        if not found:
            (who,) = [at for at, (first, _) in enumerate(NAMES) if first == body.first_name]
            names = {"FST_NAM": body.first_name, "LST_NAM": body.last_name}
            template = {"INCLUDE_IN_MARKETING_MAILOUTS": "Y", "PHONE_1": body.phone, "EMAIL_ADRS_1": body.email}
            self.enter(number, who, names | template)
        if self.dice.random() < 0.2:
            self.commands.append(command)  # The answer is lost.
        else:
            self.take(self.pipeline.answer(command, "already" if found else "applied", cust_no=number))

    def _change(self, command: Command, body: ChangeCustomer) -> None:
        values = of_profile(body.fields)
        phone = str(values.get("phone", ""))
        assert not phone or int(phone[-2]) == self.owners[body.remote_id], f"{body} is not theirs"
        assert "email" not in values or command.system == "counterpoint", "a login was changed"
        if command.system == "counterpoint":
            names = {"phone": "PHONE_1", "email": "EMAIL_ADRS_1", "first_name": "FST_NAM", "last_name": "LST_NAM"}
            row = self.till[body.remote_id]
            row |= {names[name]: value for name, value in values.items() if name in names} | {"RS_UTC_DT": self.now()}
            record = self._read("counterpoint", "AR_CUST", row)
        else:
            row = self.accounts[body.remote_id]
            row |= {name: value for name, value in values.items() if name in {"first_name", "last_name"}}
            row["billing"]["phone"] = phone or row["billing"]["phone"]
            row |= {"meta_data": [{"key": "counterpoint_cust_no", "value": values.get("pos_id", "")}]}
            record = self._read("woocommerce", "customers", row | {"date_modified_gmt": self.now()})
        self.take(self.pipeline.answer(command, "applied", record=record))

    def _read(self, platform: str, entity: str, row: Row) -> Customer:
        found = READERS[platform](entity, msgspec.json.encode(row))
        assert isinstance(found, Customer)
        return found

    def check(self) -> None:
        """Check that every account is linked to its owner's customer, and nobody to the walk-in."""
        for account, number in self.pipeline.rows(LINKS):
            assert self.owners.get(number) == self.owners[account], f"account {account} is customer {number}'s"


@pytest.mark.parametrize("seed", range(5))
def test_nothing_of_one_person_ever_reaches_another(database: Engine, seed: int) -> None:
    town = Town(database, random.Random(seed))
    work = [town.clerk, town.sign_up, town.order, town.order, town.carry_out, town.carry_out, town.carry_out]
    for _ in range(STEPS):
        town.dice.choice([*work, town.answer, town.change_login])()
        if town.dice.random() < 0.2:
            town.commands += town.pipeline.wait(1)
    assert town.pipeline.rows(LINKS), "somebody is still known"
