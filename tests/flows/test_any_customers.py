"""Any schedule of edits, late and doubled readings and lost answers: one person, one account, the same everywhere."""

import random
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine

from counterflow.systems.registry import READERS
from processors.rules.qualification import Terms
from schemas.commands import ChangeCustomer, Command, CreateAccount
from schemas.profiles import moved, of_profile, unlike
from schemas.records import Customer
from tests.flows import builders as b
from tests.flows.builders import Row
from tests.flows.pipeline import Pipeline
from tests.flows.test_customer_flow import PLATFORMS, opened, settings

PEOPLE = 4
STEPS = 60
STORES = ("north", "south")


class World:
    """Counterpoint and two stores as they really are, what was read of them and not handled yet, and the clock."""

    def __init__(self, pipeline: Pipeline, dice: random.Random) -> None:
        self.pipeline, self.dice = pipeline, dice
        self.rows: dict[tuple[str, str], Row] = {}
        self.waiting: list[Any] = []  # Readings on their way, each system's in order.
        self.commands: list[Command] = []
        self.edits: dict[tuple[str, str], list[tuple[str, str]]] = {}  # (person, field) -> (time, value).
        self.mails: list[tuple[str, str]] = []
        self.second = 0
        self.next_account = 100
        for number in range(PEOPLE):
            self.rows["counterpoint", f"C-{number}"] = b.customer(
                f"C-{number}",
                f"p{number}@example.com",
                RS_UTC_DT=self.now(),
                LOY_PTS_BAL=10 + number,
                PHONE_1="",
                FST_NAM=f"P{number}",
            )
            self.read("counterpoint", f"C-{number}")

    def now(self) -> str:
        self.second += 2
        return f"2026-01-05T{9 + self.second // 3600:02}:{self.second // 60 % 60:02}:{self.second % 60:02}"

    def read(self, system: str, key: str) -> None:
        row = self.rows.get((system, key))
        position = 1_767_600_000_000 + self.second * 1000
        if system == "counterpoint":
            gone = self.pipeline.gone_here("AR_CUST", CUST_NO=key, position=position)
            self.waiting.append(self.pipeline.here("AR_CUST", dict(row), position=position) if row else gone)
        elif row:
            self.waiting.append(
                self.pipeline.there(
                    system, "customers", msgspec.json.decode(msgspec.json.encode(row)), position=position
                )
            )

    def edit(self) -> None:
        """Let a clerk or a shopper change somebody's phone."""
        system, key = self.dice.choice(sorted(self.rows))
        row, value, at = self.rows[system, key], f"212555{self.dice.randint(1000, 9999)}", self.now()
        row |= {"PHONE_1": value, "RS_UTC_DT": at} if system == "counterpoint" else {"date_modified_gmt": at}
        if system != "counterpoint":
            row["billing"]["phone"] = value
        who = (row["EMAIL_ADRS_1"] if system == "counterpoint" else row["email"]).split("@")[0]
        self.edits.setdefault((who, "phone"), []).append((at, value))
        self.read(system, key)

    def handle(self) -> None:
        """Let some of what was read arrive; now and then the same once more."""
        count = self.dice.randint(1, 4)
        batch, self.waiting = self.waiting[:count], self.waiting[count:]
        if batch and self.dice.random() < 0.3:
            batch.append(self.dice.choice(batch))
        if batch:
            self.commands += self.pipeline.take(*batch)

    def carry_out(self) -> None:
        """Let a consumer do one command as the real ones do; now and then its answer is lost, and it does it again."""
        if not self.commands:
            return
        command = self.commands.pop(self.dice.randrange(len(self.commands)))
        result, remote, record = self._do(command)
        if self.dice.random() < 0.2:
            self.commands.append(command)
            return
        answer = self.pipeline.answer(command, result, record=record, **remote)
        self.commands += self.pipeline.take(answer)

    def _do(self, command: Command) -> tuple[str, dict[str, Any], Customer | None]:
        match command.body:
            case CreateAccount(email=email, pos_id=pos_id):
                found = [
                    key
                    for (system, key), row in self.rows.items()
                    if system == command.system and row["email"] == email
                ]
                if not found:
                    self.next_account += 1
                    key = str(self.next_account)
                    self.mails.append((command.system, email))
                    meta = {"counterpoint_cust_no": pos_id}
                    self.rows[command.system, key] = b.account(int(key), email, at=self.now(), meta=meta)
                    self.rows[command.system, key] |= {"first_name": command.body.fields.first_name or "Ana"}
                    self.read(command.system, key)
                    return "applied", {"account_id": key}, self.record(command.system, key)
                return "already", {"account_id": found[0]}, self.record(command.system, found[0])
            case ChangeCustomer(remote_id=key, fields=fields, decided_on=decided_on):
                if (command.system, key) not in self.rows:
                    return "rejected", {}, None
                record, names = self.record(command.system, key), of_profile(fields)
                if not unlike(fields, record, names):
                    return "already", {}, record
                if moved(fields, decided_on, record):
                    return "differs", {}, record
                self._write(command.system, key, of_profile(fields))
                self.read(command.system, key)
                return "applied", {}, self.record(command.system, key)
            case _:
                raise AssertionError(command.body)

    def _write(self, system: str, key: str, fields: dict[str, Any]) -> None:
        row, at = self.rows[system, key], self.now()
        names = {"first_name": "FST_NAM", "last_name": "LST_NAM", "phone": "PHONE_1", "email": "EMAIL_ADRS_1"}
        if system == "counterpoint":
            row |= {names[name]: value for name, value in fields.items() if name in names} | {"RS_UTC_DT": at}
            return
        row["date_modified_gmt"] = at
        row |= {name: value for name, value in fields.items() if name in {"first_name", "last_name", "email"}}
        if "phone" in fields:
            row["billing"]["phone"] = fields["phone"]
        if "pos_id" in fields:
            row["meta_data"] = [{"key": "counterpoint_cust_no", "value": fields["pos_id"]}]

    def record(self, system: str, key: str) -> Customer:
        entity = "AR_CUST" if system == "counterpoint" else "customers"
        found = READERS[PLATFORMS[system]](entity, msgspec.json.encode(self.rows[system, key]))
        assert isinstance(found, Customer)
        return found

    def settle(self) -> None:
        for _ in range(400):
            if not self.waiting and not self.commands:
                self.commands += self.pipeline.wait(61)
                if not self.commands:
                    return
            self.handle()
            self.carry_out()
        raise AssertionError("it never comes to rest")


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_one_person_is_the_same_everywhere(database: Engine, seed: int) -> None:
    policy = {"create": "at_once", "terms": Terms(away=timedelta(days=3650))}
    world = World(opened(Pipeline(database, settings(**policy))), random.Random(seed))
    for _ in range(STEPS):
        world.dice.choice([world.edit, world.handle, world.handle, world.carry_out, world.carry_out])()
        if world.dice.random() < 0.2:
            world.commands += world.pipeline.wait(1)
    world.settle()
    assert len(world.mails) == len(set(world.mails)) == PEOPLE * len(STORES), "one account each, one mail each"
    for number in range(PEOPLE):
        shown = {system: row for (system, _), row in world.rows.items() if _is(row, number)}
        phones = {
            row["PHONE_1"] if system == "counterpoint" else row["billing"]["phone"] for system, row in shown.items()
        }
        last = max(world.edits.get((f"p{number}", "phone"), [("", "")]))[1]
        assert (len(shown), phones) == (1 + len(STORES), {last})
    linked = world.pipeline.rows(
        "SELECT our_id, system, count(*) FROM link WHERE entity = 'customer' GROUP BY 1, 2 HAVING count(*) > 1"
    )
    assert linked == [], "each account is one customer's, and each customer has one account in a store"
    before = len(world.mails)
    world.pipeline.clock.sleep(1)
    for system, key in sorted(world.rows):
        world.read(system, key)
    world.settle()
    assert len(world.mails) == before, "a replay mails nobody"


def _is(row: Row, number: int) -> bool:
    return bool(f"p{number}@example.com" in {row.get("email"), row.get("EMAIL_ADRS_1")})
