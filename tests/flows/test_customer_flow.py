"""changes.<system>.<customers> -> one person, the same everywhere: fields, accounts, groups, merges (req-C1 to C9)."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine

from counterflow.systems.registry import KEPT, READERS
from processors.rules.profiles import Abilities
from processors.shop import Customers, Shop
from schemas.commands import ChangeCustomer, Command
from schemas.profiles import of_profile
from schemas.records import Customer, Postal
from tests.flows import builders as b
from tests.flows.builders import Row
from tests.flows.pipeline import Pipeline

PLATFORMS = {"counterpoint": "counterpoint", "north": "woocommerce", "south": "woocommerce"}
MARK = {"counterpoint_cust_no": "C-1"}
LATER = "2026-01-05T11:00:00"
LATEST = "2026-01-05T12:00:00"


def settings(**policy: Any) -> Shop:
    policies = {name: Customers(**policy) for name in ("north", "south")}
    able = {name: Abilities(fields=KEPT[kind][0], lengths=KEPT[kind][1]) for name, kind in PLATFORMS.items()}
    return replace(b.shop(), customers=policies, abilities=able, merge_wait=timedelta(seconds=30))


@pytest.fixture
def pipeline(database: Engine) -> Pipeline:
    return opened(Pipeline(database, settings()))


def opened(pipeline: Pipeline) -> Pipeline:
    """Turn everything on, with the point of sale's customers read whole: there were none."""
    pipeline.master(on=True)
    pipeline.take(pipeline.cursor(pipeline.shop.pos, pipeline.shop.entity(pipeline.shop.pos), rows=0))
    return pipeline


def person(cust_no: str = "C-1", email: str = "ana@example.com", *, at: str = b.PLACED, **columns: Any) -> Row:
    return b.customer(cust_no, email, RS_UTC_DT=at, **columns)


def changes(commands: list[Command]) -> dict[tuple[str, str], Row]:
    """Give what each system is to show."""
    return {
        (one.system, one.key): of_profile(one.body.fields) for one in commands if isinstance(one.body, ChangeCustomer)
    }


def shown(system: str, row: Row) -> Customer:
    found = READERS[PLATFORMS[system]]("AR_CUST" if system == "counterpoint" else "customers", msgspec.json.encode(row))
    assert isinstance(found, Customer)
    return found


def both(pipeline: Pipeline, **columns: Any) -> None:
    """Let one person be known on both sides, marked and alike."""
    meta = MARK | ({"counterflow_group": columns["CATEG_COD"]} if "CATEG_COD" in columns else {})
    pipeline.take(
        pipeline.here("AR_CUST", person(PHONE_1="212 555 0100", **columns)),
        pipeline.there("north", "customers", b.account(7, "ana@example.com", phone="212-555-0100", meta=meta)),
    )


def carry_out(pipeline: Pipeline, commands: list[Command]) -> None:
    """Do what is asked as a consumer would, until nothing more is."""
    for minute in range(60):
        if not commands:
            return
        commands = [
            one
            for command in commands
            for one in pipeline.take(_done(pipeline, command, f"2026-01-05T14:{minute:02}:00"))
        ]
    raise AssertionError("it never ends")


def _done(pipeline: Pipeline, command: Command, at: str) -> Any:
    if not isinstance(command.body, ChangeCustomer):
        return pipeline.answer(command, "applied", account_id=f"9{command.key.removeprefix('pos:C-')}")
    query = "SELECT body FROM profile WHERE system = :system AND key = :key"
    ((body,),) = pipeline.rows(query, system=command.system, key=command.key)
    record = msgspec.json.decode(body, type=Customer)
    plain = {name: value for name, value in of_profile(command.body.fields).items() if not isinstance(value, Postal)}
    record = msgspec.structs.replace(record, changed_at=datetime.fromisoformat(at + "+00:00"), **plain)
    return pipeline.answer(command, "applied", record=record)


def test_an_account_with_the_email_of_one_customer_is_his_at_once(pipeline: Pipeline) -> None:  # req-C9
    pipeline.take(pipeline.here("AR_CUST", person()))
    went = pipeline.take(pipeline.there("north", "customers", b.account(7, "ANA@example.com")))
    assert changes(went) == {("north", "7"): {"pos_id": "C-1"}}


def test_no_account_is_told_by_customers_who_are_not_read_whole(database: Engine) -> None:
    pipeline = Pipeline(database, settings())
    pipeline.master(on=True)
    pipeline.take(pipeline.there("north", "customers", b.account(7, "ana@example.com")))
    pipeline.take(pipeline.here("AR_CUST", person("C-1")), pipeline.cursor("counterpoint", "AR_CUST", rows=3))
    pipeline.take(pipeline.here("AR_CUST", person("C-3", "ben@example.com")))
    assert (pipeline.rows("SELECT count(*) FROM link"), pipeline.asked()) == ([(0,)], {})
    pipeline.take(pipeline.here("AR_CUST", person("C-2")))
    pipeline.wait(1)
    assert list(pipeline.asked()) == ["account:north/7"]


def test_whoever_comes_first_the_other_is_found(pipeline: Pipeline) -> None:
    pipeline.take(pipeline.there("north", "customers", b.account(7, "ana@example.com")))
    assert changes(pipeline.take(pipeline.here("AR_CUST", person()))) == {("north", "7"): {"pos_id": "C-1"}}


def test_equal_sides_are_left_alone(pipeline: Pipeline) -> None:
    both(pipeline)
    assert pipeline.commands_out() == []


def test_a_change_on_the_web_goes_to_the_point_of_sale_and_comes_back_in_silence(pipeline: Pipeline) -> None:
    both(pipeline)
    new = b.account(7, "ana@example.com", phone="212-555-0199", meta=MARK, at=LATER)
    (went,) = pipeline.take(pipeline.there("north", "customers", new))
    assert changes([went]) == {("counterpoint", "C-1"): {"phone": "212-555-0199"}}
    row = person(PHONE_1="212-555-0199", at=LATEST)
    assert pipeline.take(pipeline.answer(went, "applied", record=shown("counterpoint", row))) == []
    assert pipeline.take(pipeline.here("AR_CUST", row, position=2_000_000_000_000)) == []


@pytest.mark.parametrize("is_together", [True, False])
def test_an_answer_that_comes_after_a_later_edit_was_read_does_not_undo_it(
    pipeline: Pipeline, is_together: bool
) -> None:
    both(pipeline)
    (went,) = pipeline.take(pipeline.here("AR_CUST", person(PHONE_1="212 555 0111", at=LATER)))
    edited = b.account(7, "ana@example.com", phone="2125550122", meta=MARK, at=LATEST)
    written = shown("north", b.account(7, "ana@example.com", phone="212 555 0111", meta=MARK, at=LATER))
    reading = pipeline.there("north", "customers", edited, position=2_000_000_000_000)
    answer = pipeline.answer(went, "applied", record=written)
    out = pipeline.take(reading, answer) if is_together else pipeline.take(reading) + pipeline.take(answer)
    assert changes(out)[("counterpoint", "C-1")] == {"phone": "2125550122"}
    ((seen,),) = pipeline.rows("SELECT seen FROM profile WHERE system = 'north'")
    assert '"2125550122"' in seen


def test_what_is_changed_back_before_our_answer_comes_is_a_change(pipeline: Pipeline) -> None:
    """It shows what it showed before our write; only its own date tells that somebody has had it so again."""
    both(pipeline)
    new = b.account(7, "ana@example.com", phone="2125550122", meta=MARK, at=LATER)
    (went,) = pipeline.take(pipeline.there("north", "customers", new))
    back = person(PHONE_1="212 555 0100", at="2026-01-05T13:00:00")
    pipeline.take(pipeline.here("AR_CUST", back, position=2_000_000_000_000))
    written = shown("counterpoint", person(PHONE_1="2125550122", at=LATEST))
    out = changes(pipeline.take(pipeline.answer(went, "applied", record=written)))
    assert out[("north", "7")] == {"phone": "212 555 0100"}
    assert not out.get(("counterpoint", "C-1"))


def test_an_edit_read_in_a_round_that_began_before_our_write_is_looked_for_again(pipeline: Pipeline) -> None:
    both(pipeline)
    (went,) = pipeline.take(pipeline.here("AR_CUST", person(PHONE_1="212 555 0111", at=LATER)))
    edited = b.account(7, "ana@example.com", phone="2125550122", meta=MARK, at=LATEST)
    written = shown("north", b.account(7, "ana@example.com", phone="212 555 0111", meta=MARK, at=LATER))
    begun = int(pipeline.clock.now().timestamp() * 1000) - 800
    (look,) = pipeline.take(
        pipeline.there("north", "customers", edited, position=begun), pipeline.answer(went, "applied", record=written)
    )
    assert changes([look]) == {("north", "7"): {}}
    out = pipeline.take(pipeline.answer(look, "already", record=shown("north", edited)))
    assert changes(out)[("counterpoint", "C-1")] == {"phone": "2125550122"}


def test_both_changed_the_more_recent_wins_and_the_loser_is_in_the_log(pipeline: Pipeline) -> None:  # req-C7
    both(pipeline)
    went = pipeline.take(
        pipeline.here("AR_CUST", person(PHONE_1="212 555 0111", at=LATER)),
        pipeline.there("north", "customers", b.account(7, "ana@example.com", phone="2125550122", meta=MARK, at=LATEST)),
    )
    assert changes(went) == {("counterpoint", "C-1"): {"phone": "2125550122"}}
    ((message, lost, kept),) = pipeline.rows("SELECT message, request, response FROM log_entry")
    assert message == "phone: the change in counterpoint lost against the one in north"
    assert ("212 555 0111" in lost, "11:00" in lost, "2125550122" in kept, "12:00" in kept) == (True,) * 4


def test_different_fields_changed_on_both_sides_are_both_kept(pipeline: Pipeline) -> None:
    both(pipeline)
    went = pipeline.take(
        pipeline.here("AR_CUST", person(PHONE_1="212 555 0100", LST_NAM="Adler-Brown", at=LATER)),
        pipeline.there("north", "customers", b.account(7, "ana@example.com", phone="2125550122", meta=MARK, at=LATEST)),
    )
    assert changes(went) == {
        ("counterpoint", "C-1"): {"phone": "2125550122"},
        ("north", "7"): {"last_name": "Adler-Brown"},
    }


def test_where_the_target_changed_meanwhile_nothing_is_written_and_it_is_decided_again(pipeline: Pipeline) -> None:
    both(pipeline)
    new = b.account(7, "ana@example.com", phone="2125550122", meta=MARK, at=LATER)
    (went,) = pipeline.take(pipeline.there("north", "customers", new))
    clerk = shown("counterpoint", person(PHONE_1="212 555 0133", at=LATEST))
    again = pipeline.take(pipeline.answer(went, "differs", "changed there meanwhile: phone", record=clerk))
    assert changes(again) == {("north", "7"): {"phone": "212 555 0133"}}


def test_an_old_reading_behind_our_own_write_undoes_nothing_but_is_looked_at(pipeline: Pipeline) -> None:
    both(pipeline)
    new = b.account(7, "ana@example.com", phone="2125550122", meta=MARK, at=LATER)
    (went,) = pipeline.take(pipeline.there("north", "customers", new))
    written = shown("counterpoint", person(PHONE_1="2125550122", at=LATEST))
    pipeline.take(pipeline.answer(went, "applied", record=written))
    old = pipeline.next_position()
    (look,) = pipeline.take(pipeline.here("AR_CUST", person(PHONE_1="212 555 0100"), position=old))
    assert changes([look]) == {("counterpoint", "C-1"): {}}
    assert pipeline.take(pipeline.answer(look, "already", record=written)) == []
    assert pipeline.take(pipeline.here("AR_CUST", person(PHONE_1="212 555 0100"), position=old)) == []


def test_the_same_change_again_after_it_was_taken_back_goes_out_again(pipeline: Pipeline) -> None:
    both(pipeline)
    sent = []
    for minute, phone in enumerate(("2125550122", "2125550100", "2125550122", "2125550100")):
        at = f"2026-01-05T12:{minute:02}:00"
        new = b.account(7, "ana@example.com", phone=phone, meta=MARK, at=at)
        (went,) = pipeline.take(pipeline.there("north", "customers", new))
        record = shown("counterpoint", person(PHONE_1=phone, at=at))
        pipeline.take(pipeline.answer(went, "applied", record=record))
        sent.append(changes([went])[("counterpoint", "C-1")]["phone"])
    assert sent == ["2125550122", "2125550100", "2125550122", "2125550100"]


def test_two_stores_and_the_point_of_sale_show_the_same(pipeline: Pipeline) -> None:
    both(pipeline)
    pipeline.take(pipeline.there("south", "customers", b.account(9, "ana@example.com", phone="2125550100", meta=MARK)))
    new = b.account(9, "ana@example.com", phone="2125550144", meta=MARK, at=LATER)
    went = pipeline.take(pipeline.there("south", "customers", new))
    assert changes(went) == {
        ("counterpoint", "C-1"): {"phone": "2125550144"},
        ("north", "7"): {"phone": "2125550144"},
    }


def test_an_email_of_several_customers_is_a_question_with_a_suggestion(pipeline: Pipeline) -> None:  # req-C5
    pipeline.take(
        pipeline.here("AR_CUST", person("C-1", IS_ECOMM_CUST="N")),
        pipeline.here("AR_CUST", person("C-2")),
        pipeline.there("north", "customers", b.account(7, "ana@example.com")),
    )
    ((body,),) = pipeline.rows("SELECT body FROM review WHERE kind = 'account'")
    assert msgspec.json.decode(body) == {"candidates": ["C-2", "C-1"], "suggestion": "C-2"}
    assert changes(pipeline.decide("account:north/7", "C-1")) == {("north", "7"): {"pos_id": "C-1"}}


@pytest.mark.parametrize(("setting", "wanted"), [("leave", {}), ("follow", {"email": "anna@example.org"})])
def test_an_email_changed_at_the_till_leaves_the_link_and_reaches_the_login_by_a_setting_alone(
    database: Engine, setting: str, wanted: Row
) -> None:  # req-C5
    pipeline = opened(Pipeline(database, settings(login_email=setting)))
    both(pipeline)
    went = pipeline.take(pipeline.here("AR_CUST", person(email="anna@example.org", PHONE_1="2125550100", at=LATER)))
    assert changes(went) == ({("north", "7"): wanted} if wanted else {})
    assert pipeline.rows("SELECT count(*) FROM link WHERE system = 'north'") == [(1,)]


def test_an_email_that_counterpoint_would_cut_is_left_alone_and_said_once(pipeline: Pipeline) -> None:
    both(pipeline)
    long = f"{'a' * 50}@example.com"
    for phone in ("2125550100", "2125550101"):
        row = b.account(7, long, phone=phone, meta=MARK, at=LATER)
        went = pipeline.take(pipeline.there("north", "customers", row))
        assert "email" not in changes(went).get(("counterpoint", "C-1"), {})
    said = pipeline.rows("SELECT count(*) FROM log_entry WHERE message LIKE 'email: too long%'")
    assert said == [(1,)]


def test_a_replay_of_everything_says_nothing(pipeline: Pipeline) -> None:
    messages = [
        pipeline.here("AR_CUST", person(PHONE_1="212 555 0100")),
        pipeline.there("north", "customers", b.account(7, "ana@example.com", phone="2125550100", meta=MARK)),
        pipeline.there("north", "customers", b.account(7, "ana@example.com", phone="2125550177", meta=MARK, at=LATER)),
    ]
    pipeline.take(*messages)
    pipeline.wait(0)  # What was published is out of the outbox.
    before = pipeline.everything()
    assert [pipeline.take(one) for one in messages] == [[], [], []]
    assert pipeline.everything() == before


# Groups (req-C8).


def test_a_group_changed_at_the_point_of_sale_reaches_the_web(pipeline: Pipeline) -> None:
    both(pipeline, CATEG_COD="RETAIL")
    went = pipeline.take(pipeline.here("AR_CUST", person(PHONE_1="212 555 0100", CATEG_COD="VIP", at=LATER)))
    assert changes(went) == {("north", "7"): {"group": "VIP"}}


def test_two_different_groups_are_for_a_person_and_freeze_that_field_only(pipeline: Pipeline) -> None:
    meta = MARK | {"counterflow_group": "VIP"}
    pipeline.take(
        pipeline.here("AR_CUST", person("C-5", "vera@example.com", CATEG_COD="VIP")),
        pipeline.here("AR_CUST", person(PHONE_1="212 555 0100", CATEG_COD="RETAIL")),
    )
    row = b.account(7, "ana@example.com", phone="2125550122", meta=meta, at=LATER)
    went = pipeline.take(pipeline.there("north", "customers", row))
    assert changes(went) == {("counterpoint", "C-1"): {"phone": "2125550122"}}
    carry_out(pipeline, went)
    (review,) = [one for one in pipeline.asked() if one.startswith("group:")]
    assert changes(pipeline.decide(review, "VIP"))[("counterpoint", "C-1")]["group"] == "VIP"


def test_a_title_in_other_capitals_is_proposed_and_not_done(pipeline: Pipeline) -> None:
    row = b.account(7, "ana@example.com", phone="2125550100", meta=MARK | {"counterflow_group": "Vip"}, at=LATER)
    pipeline.take(
        pipeline.here("AR_CUST", person(PHONE_1="212 555 0100", CATEG_COD="VIP")),
        pipeline.there("north", "customers", row),
    )
    ((key, body),) = pipeline.rows("SELECT key, body FROM review WHERE kind = 'group-title'")
    assert pipeline.commands_out() == []
    assert (key, msgspec.json.decode(body)["suggestion"]) == ("north/Vip", "VIP")
    pipeline.decide("group-title:north/Vip", "VIP")
    went = pipeline.take(pipeline.here("AR_CUST", person("C-2", "ben@example.com", CATEG_COD="VIP")))
    assert ("north", "7") not in changes(went)


# A pair without Counterpoint: one store is the point of sale of the other.


def test_two_stores_are_a_pair_of_their_own(database: Engine) -> None:
    able = {name: Abilities(fields=KEPT["woocommerce"][0]) for name in ("north", "south")}
    mark = {"counterpoint_cust_no": "9"}
    made = opened(Pipeline(database, replace(b.shop(), pos="south", customers={"north": Customers()}, abilities=able)))
    made.take(
        made.there("south", "customers", b.account(9, "ana@example.com", phone="2125550100")),
        made.there("north", "customers", b.account(7, "ana@example.com", phone="2125550100", meta=mark)),
    )
    went = made.take(made.there("south", "customers", b.account(9, "ana@example.com", phone="2125550111", at=LATER)))
    assert changes(went)[("north", "7")]["phone"] == "2125550111"


def test_a_customer_of_the_store_alone_is_created_at_the_store_that_is_the_point_of_sale(database: Engine) -> None:
    able = {name: Abilities(fields=KEPT["woocommerce"][0]) for name in ("north", "south")}
    policies = {"north": Customers(adopt="at_once")}
    made = opened(Pipeline(database, replace(b.shop(), pos="south", customers=policies, abilities=able)))
    (went,) = made.take(made.there("north", "customers", b.account(7, "ana@example.com")))
    assert (went.system, went.task, went.key) == ("south", "customers", "email:ana@example.com")
    made.take(made.answer(went, "applied", cust_no="9"))
    seen = made.take(made.there("south", "customers", b.account(9, "ana@example.com")))
    assert changes(seen) == {("north", "7"): {"pos_id": "9"}}
    assert made.rows("SELECT count(DISTINCT our_id) FROM link WHERE system IN ('north', 'south')") == [(1,)]
