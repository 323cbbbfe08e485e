"""The Counterpoint target over real https and SQL: whatever fails, there is one customer and one document."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import text, update

from counterflow.errors import Broken, Transient
from counterflow.systems.counterpoint import sql
from counterflow.systems.counterpoint.client import CounterpointClient
from counterflow.systems.counterpoint.requests import Manner
from sandbox.counterpoint import tables as t
from sandbox.counterpoint.books import Refused
from schemas.commands import (
    Body,
    ChangeCustomer,
    Profile,
    SetStock,
)
from schemas.records import Postal
from tests.contracts.counterpoint_shop import (
    Shop,
    a_marker,
    an_email,
    apply,
    command,
    customer,
    order,
    wait_until,
)


def test_a_customer_is_created_once(shop: Shop) -> None:
    email = an_email()
    first, second = apply(shop.target(), customer(email)), apply(shop.target(), customer(email))
    assert (first.result, second.result) == ("applied", "already")
    assert shop.customers(email) == [first.remote["cust_no"]] == [second.remote["cust_no"]]


def test_a_walk_in_is_found_for_nobody(shop: Shop) -> None:  # req-C5
    """It may have an e-mail that looks like anybody's."""
    email = an_email()
    number = a_customer(shop, EMAIL_ADRS_1=email)
    made = apply(shop.target(manner=Manner(nobody=frozenset({number}))), customer(email))
    assert (made.result, made.remote["cust_no"] != number) == ("applied", True)


def test_a_document_is_placed_once_with_its_deposit(shop: Shop) -> None:
    marker = a_marker()
    first, second = apply(shop.target(), order(marker)), apply(shop.target(), order(marker))
    assert (first.result, second.result, first.message) == ("applied", "already", "")
    assert first.remote == second.remote
    assert {"doc_id", "cust_no", "deposit_doc_id"} == set(first.remote)
    assert shop.documents(marker) == ["O", "T"]


def test_a_half_applied_document_is_found_and_not_placed_again(shop: Shop) -> None:
    target, marker = shop.target(), a_marker()
    shop.faults(share_half_applied=1.0)
    assert apply(target, order(marker)).result == "waiting"
    shop.faults(share_half_applied=0.0)
    assert (apply(target, order(marker)).result, shop.documents(marker)) == ("already", ["O", "T"])


class Mishaps:
    """A client of the REST server whose process dies right before, or right after, a document is sent."""

    def __init__(self, client: CounterpointClient, plan: list[str]) -> None:
        self._client, self._plan = client, plan

    def place_document(self, payload: dict[str, Any]) -> Any:
        mishap = self._plan.pop(0) if self._plan else "none"
        if mishap == "before":
            raise KeyboardInterrupt
        answer = self._client.place_document(payload)
        if mishap == "after":
            raise KeyboardInterrupt
        if mishap == "unanswered":
            raise Transient("timed out", unknown=True)
        return answer

    def document(self, doc_id: int) -> dict[str, Any]:
        return self._client.document(doc_id)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["before", "after", "unanswered"]), max_size=4))
def test_whenever_a_process_dies_there_is_one_document_in_the_end(shop: Shop, plan: list[str]) -> None:  # order-P5
    body = order(a_marker())
    while True:
        target = shop.target(server_timeout_s=0.05)  # A process of its own, each time.
        target._client = Mishaps(target._client, plan)  # type: ignore[assignment]
        try:
            outcome = target._apply(command(body))
        except KeyboardInterrupt:
            continue
        if outcome.result in {"applied", "already"}:
            break
        assert outcome.result == "waiting", outcome.message
    assert shop.documents(body.marker) == ["O", "T"]


def test_a_half_applied_customer_is_found_and_not_created_again(shop: Shop) -> None:
    target, email = shop.target(), an_email()
    shop.faults(share_half_applied=1.0)
    assert apply(target, customer(email)).result == "waiting"
    shop.faults(share_half_applied=0.0)
    assert (apply(target, customer(email)).result, len(shop.customers(email))) == ("already", 1)


@pytest.mark.parametrize("make", [customer, order], ids=["customer", "document"])
def test_two_processes_at_the_same_moment_make_one(shop: Shop, make: Callable[[str], Body]) -> None:
    targets = [shop.target() for _ in range(4)]
    body = make(an_email() if make is customer else a_marker())
    with ThreadPoolExecutor(len(targets)) as pool:
        outcomes = list(pool.map(lambda target: apply(target, body), targets))
    assert sorted(one.result for one in outcomes) == ["already", "already", "already", "applied"]
    assert len({tuple(one.remote.items()) for one in outcomes}) == 1


def test_capitals_in_an_email_make_no_second_customer(shop: Shop) -> None:
    email = an_email()
    number = shop.books.create_customer({"FST_NAM": "Ana", "EMAIL_ADRS_2": email.upper()}, actor="staff")
    assert apply(shop.target(), customer(email)).remote == {"cust_no": number}


def test_several_customers_with_the_email_are_held_and_named(shop: Shop) -> None:
    email = an_email()
    numbers = [shop.books.create_customer({"FST_NAM": "Ana", "EMAIL_ADRS_1": email}, actor="staff") for _ in range(2)]
    outcome = apply(shop.target(), customer(email))
    assert (outcome.result, outcome.message) == (
        "held",
        f"2 customers have this e-mail address by now: {', '.join(sorted(numbers))}",
    )


def test_an_email_that_would_be_cut_is_held(shop: Shop) -> None:
    outcome = apply(shop.target(), customer(f"{'a' * 45}@example.com"))
    assert (outcome.result, "50 characters" in outcome.message) == ("held", True)


def test_a_document_that_differs_is_held_with_both_columns(shop: Shop) -> None:
    target, marker = shop.target(), a_marker()
    apply(target, order(marker))
    outcome = apply(target, order(marker, total=2620, misc=1000, store_no="WEBS"))
    assert outcome.result == "held"
    for line in (
        "total: wanted 26.20, there 21.20",
        "shipping and fees: wanted 10.00, there 5.00",
        "store: wanted WEBS, there WEBN",
    ):
        assert line in outcome.message
    assert shop.documents(marker) == ["O", "T"]


def test_two_orders_with_one_marker_are_held(shop: Shop) -> None:
    marker = a_marker()
    apply(shop.target(), order(marker))
    other = apply(shop.target(), order(a_marker()))
    with shop.direct.begin() as connection:
        values = {"CUST_PO_NO": marker}
        connection.execute(update(t.document).where(t.document.c.DOC_ID == int(other.remote["doc_id"])).values(values))
    assert "2 order documents carry" in apply(shop.target(), order(marker)).message


def test_a_posted_document_is_found_where_it_went(shop: Shop) -> None:
    target, marker = shop.target(), a_marker()
    remote = apply(target, order(marker)).remote
    for number in (remote["deposit_doc_id"], remote["doc_id"]):
        shop.books.post_document(int(number))
    outcome = apply(target, order(marker))
    assert (outcome.result, outcome.remote) == ("already", remote | {"posted": "yes"})


def test_a_document_that_was_placed_and_is_gone_is_held_not_placed_again(shop: Shop) -> None:
    target, marker = shop.target(), a_marker()
    body = order(marker, payments=())
    number = int(apply(target, body).remote["doc_id"])
    with shop.direct.begin() as connection:  # Voided, or posted to a table of another name.
        connection.execute(t.document.delete().where(t.document.c.DOC_ID == number))
    outcome = apply(target, body)
    assert (outcome.result, f"document {number} was placed as {marker}" in outcome.message) == ("held", True)
    assert shop.documents(marker) == []


def test_a_deposit_without_its_order_is_held(shop: Shop) -> None:
    target, marker = shop.target(), a_marker()
    number = int(apply(target, order(marker)).remote["doc_id"])
    with shop.direct.begin() as connection:
        connection.execute(t.document.delete().where(t.document.c.DOC_ID == number))
    outcome = apply(target, order(marker))
    assert (outcome.result, f"carries {marker}, but no order does" in outcome.message) == ("held", True)


def test_an_unknown_customer_is_rejected_and_keeps_nobody_out(shop: Shop) -> None:
    target, marker = shop.target(), a_marker()
    outcome = apply(target, order(marker, cust_no="NOBODY"))
    assert (outcome.result, "Customer NOBODY not found" in outcome.message) == ("rejected", True)
    assert apply(target, order(marker)).result == "applied"


def test_stock_is_never_written(shop: Shop) -> None:
    assert apply(shop.target(), SetStock(sku="ITM0001", product_id="1", quantity=3)).result == "rejected"


@pytest.mark.parametrize(
    ("login", "message"),
    [
        pytest.param({"password": SecretStr("wrong")}, r"\(401\): check company, user and password", id="password"),
        pytest.param({"company": "OTHER"}, r"\(401\): check company", id="company"),
        pytest.param({"api_key": SecretStr("old")}, r"\(403\): check api_key", id="key"),
    ],
)
def test_a_wrong_login_is_broken_and_keeps_nobody_out(shop: Shop, login: dict[str, Any], message: str) -> None:
    marker = a_marker()
    with pytest.raises(Broken, match=message) as raised:
        apply(shop.target(**login), order(marker))
    assert "wrong" not in str(raised.value)
    assert apply(shop.target(), order(marker)).result == "applied"


def test_a_server_that_is_down_is_transient_for_the_whole_target(shop: Shop) -> None:
    target, marker = shop.target(), a_marker()
    shop.faults(down=True)
    with pytest.raises(Transient):
        apply(target, order(marker))
    shop.faults(down=False)
    target.probe()
    assert apply(target, order(marker)).result == "applied"


def test_a_refusal_for_now_keeps_nobody_out(shop: Shop) -> None:
    target, marker = shop.target(), a_marker()
    shop.faults(share_429=1.0)
    with pytest.raises(Transient):
        apply(target, order(marker))
    shop.faults(share_429=0.0)
    assert apply(target, order(marker)).result == "applied"


@pytest.mark.parametrize(
    ("table", "make"), [("PS_DOC_HDR", order), ("AR_CUST", customer)], ids=["document", "customer"]
)
def test_a_request_carried_out_after_its_time_out_makes_no_second_one(
    shop: Shop, table: str, make: Callable[[str], Body]
) -> None:
    """The dangerous one: no answer, nothing to be found yet, others try, and then it takes effect."""
    name = an_email() if make is customer else a_marker()
    found = shop.customers if make is customer else shop.documents
    hasty, patient = shop.target(timeout_s=0.3), shop.target()
    with shop.direct.begin() as slow:  # The server waits here, with the request in its hands.
        slow.execute(text(f'LOCK TABLE "{table}" IN EXCLUSIVE MODE'))
        outcomes = [apply(one, make(name)) for one in (hasty, patient, hasty)]
        assert found(name) == []
    assert [one.result for one in outcomes] == ["waiting"] * 3
    assert "never answered" in outcomes[1].message
    wait_until(lambda: found(name))
    assert apply(patient, make(name)).result == "already"
    assert found(name) == (["O", "T"] if make is order else [apply(hasty, make(name)).remote["cust_no"]])


def test_a_request_that_was_lost_is_sent_again_when_it_can_no_longer_take_effect(shop: Shop) -> None:
    target, marker = shop.target(server_timeout_s=1.0), a_marker()
    with shop.direct.begin() as connection:  # As a process leaves it that died with the request on its lips.
        sql.take_claim(connection, f"document:{marker}", keep_out_s=0.0)
    assert apply(target, order(marker)).result == "waiting"
    wait_until(lambda: apply(target, order(marker)).result != "waiting")
    assert shop.documents(marker) == ["O", "T"]


def a_customer(shop: Shop, **columns: Any) -> str:
    given: dict[str, Any] = {"FST_NAM": "Ana", "LST_NAM": "Adler", "EMAIL_ADRS_1": an_email()}
    given |= {"PHONE_1": "212 555 0100"}
    given |= {"CATEG_COD": None, "INCLUDE_IN_MARKETING_MAILOUTS": None}  # Not the template's.
    return shop.books.create_customer(given | columns, actor="staff")


def row_of(shop: Shop, cust_no: str) -> dict[str, Any]:
    return next(one for one in shop.books.state()["customers"] if one["CUST_NO"] == cust_no)


def change(cust_no: str, fields: Profile, decided_on: Profile) -> ChangeCustomer:
    return ChangeCustomer(remote_id=cust_no, fields=fields, decided_on=decided_on)


def test_a_customers_columns_are_changed_and_read_back(shop: Shop) -> None:
    cust_no = a_customer(shop)
    home = Postal(line_1="1 High Street", city="Springfield", state="IL", postcode="62701", country="US")
    fields = Profile(last_name="Brown", phone="212 555 0199", billing=home, marketing=True, group="VIP")
    outcome = apply(shop.target(), change(cust_no, fields, Profile(last_name="Adler", phone="2125550100")))
    row = row_of(shop, cust_no)
    assert (outcome.result, outcome.record is not None) == ("applied", True)
    assert (row["NAM"], row["LST_NAM"], row["ADRS_1"], row["CATEG_COD"]) == (
        "Ana Brown",
        "Brown",
        "1 High Street",
        "VIP",
    )
    assert row["INCLUDE_IN_MARKETING_MAILOUTS"] == "Y"


def test_a_customer_whom_a_clerk_changed_meanwhile_is_told_and_not_written(shop: Shop) -> None:
    cust_no = a_customer(shop, PHONE_1="212 555 0133")
    outcome = apply(shop.target(), change(cust_no, Profile(phone="212 555 0199"), Profile(phone="212 555 0100")))
    assert (outcome.result, row_of(shop, cust_no)["PHONE_1"]) == ("differs", "212 555 0133")
    assert outcome.record is not None
    assert outcome.record.phone == "212 555 0133"


def test_a_customer_who_is_gone_is_refused_with_what_may_have_happened(shop: Shop) -> None:
    outcome = apply(shop.target(), change("99", Profile(phone="1"), Profile()))
    assert (outcome.result, "merged" in outcome.message) == ("rejected", True)


def test_a_change_that_was_not_answered_is_found(shop: Shop) -> None:
    cust_no = a_customer(shop)
    wanted = change(cust_no, Profile(phone="212 555 0199"), Profile(phone="212 555 0100"))
    shop.faults(share_half_applied=1.0)
    first = apply(shop.target(timeout_s=1.0), wanted)
    shop.faults(share_half_applied=0.0)
    assert (first.result, apply(shop.target(), wanted).result) == ("waiting", "already")


def test_a_full_name_of_its_own_is_left_as_it_is(shop: Shop) -> None:
    cust_no = a_customer(shop, NAM="Adler's Bakery")
    apply(shop.target(), change(cust_no, Profile(last_name="Brown"), Profile(last_name="Adler")))
    assert row_of(shop, cust_no)["NAM"] == "Adler's Bakery"


def test_a_merge_is_refused_while_one_is_flagged_and_adds_up_what_both_had(shop: Shop) -> None:
    gone = a_customer(shop, LOY_PTS_BAL=25, IS_ECOMM_CUST="Y")
    stays = a_customer(shop, LOY_PTS_BAL=25)
    with pytest.raises(Refused, match="cannot be merged"):
        shop.books.merge(gone, stays)
    shop.books.change_customer(gone, {"IS_ECOMM_CUST": "N"}, actor="staff")
    shop.books.merge(gone, stays)
    numbers = {one["CUST_NO"]: one["LOY_PTS_BAL"] for one in shop.books.state()["customers"]}
    assert (gone in numbers, numbers[stays]) == (False, 50)
