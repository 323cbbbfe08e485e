"""A customer without an e-mail at Counterpoint: found by the order they are created for, and never made twice."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text

from schemas.commands import CreateCustomer
from tests.contracts.counterpoint_shop import NUMBERS, Shop, apply, customer, wait_until


def a_reference() -> str:
    return f"north/{1000 + next(NUMBERS)}"


def nameless(reference: str, **facts: Any) -> CreateCustomer:
    return customer("", reference=reference, **facts)


def rows_of(shop: Shop, reference: str) -> list[dict[str, Any]]:
    return [one for one in shop.books.state()["customers"] if one["COMMNT"] == f"Web order {reference}"]


def test_a_customer_without_an_email_is_created_once_for_an_order(shop: Shop) -> None:
    reference = a_reference()
    first, second = apply(shop.target(), nameless(reference)), apply(shop.target(), nameless(reference))
    (row,) = rows_of(shop, reference)
    assert (first.result, second.result) == ("applied", "already")
    assert first.remote == second.remote == {"cust_no": row["CUST_NO"]}
    assert (row["EMAIL_ADRS_1"], row["NAM"]) == (None, "Ana Adler")


def test_two_orders_without_an_email_are_two_customers(shop: Shop) -> None:
    one, other = (apply(shop.target(), nameless(a_reference())) for _ in range(2))
    assert (one.result, other.result) == ("applied", "applied")
    assert one.remote != other.remote


def test_a_half_applied_customer_without_an_email_is_found_and_not_created_again(shop: Shop) -> None:
    target, reference = shop.target(), a_reference()
    shop.faults(share_half_applied=1.0)
    assert apply(target, nameless(reference)).result == "waiting"
    shop.faults(share_half_applied=0.0)
    assert (apply(target, nameless(reference)).result, len(rows_of(shop, reference))) == ("already", 1)


def test_two_processes_at_the_same_moment_make_one_customer_without_an_email(shop: Shop) -> None:
    targets, body = [shop.target() for _ in range(4)], nameless(a_reference())
    with ThreadPoolExecutor(len(targets)) as pool:
        outcomes = list(pool.map(lambda target: apply(target, body), targets))
    assert sorted(one.result for one in outcomes) == ["already", "already", "already", "applied"]
    assert len(rows_of(shop, body.reference)) == 1


def test_a_creation_carried_out_after_its_time_out_makes_no_second_customer(shop: Shop) -> None:
    body, hasty, patient = nameless(a_reference()), shop.target(timeout_s=0.3), shop.target()
    with shop.direct.begin() as slow:  # The server waits here, with the request in its hands.
        slow.execute(text('LOCK TABLE "AR_CUST" IN EXCLUSIVE MODE'))
        outcomes = [apply(one, body) for one in (hasty, patient)]
    assert [one.result for one in outcomes] == ["waiting"] * 2
    assert "never answered" in outcomes[1].message
    wait_until(lambda: rows_of(shop, body.reference))
    assert (apply(patient, body).result, len(rows_of(shop, body.reference))) == ("already", 1)


def test_a_customer_whose_comment_staff_changed_is_known_by_the_answer(shop: Shop) -> None:
    body = nameless(a_reference())
    number = apply(shop.target(), body).remote["cust_no"]
    shop.books.change_customer(number, {"COMMNT": "Likes blue mugs"}, actor="staff")
    assert apply(shop.target(), body).remote == {"cust_no": number}


def test_a_customer_who_was_created_for_an_order_and_is_gone_is_held_not_created_again(shop: Shop) -> None:
    body = nameless(a_reference())
    number = apply(shop.target(), body).remote["cust_no"]
    shop.books.delete_customer(number)
    outcome = apply(shop.target(), body)
    assert (outcome.result, f"customer {number} was created for web order {body.reference}" in outcome.message) == (
        "held",
        True,
    )


def test_several_customers_with_the_orders_comment_are_held_and_named(shop: Shop) -> None:
    body = nameless(a_reference())
    comment = {"FST_NAM": "Ana", "COMMNT": f"Web order {body.reference}"}
    numbers = [shop.books.create_customer(comment, actor="staff") for _ in range(2)]
    outcome = apply(shop.target(), body)
    assert (outcome.result, outcome.message) == (
        "held",
        f"2 customers have the comment 'Web order {body.reference}' by now: {', '.join(sorted(numbers))}",
    )


@pytest.mark.parametrize(
    ("body", "result", "words"),
    [
        pytest.param(customer(""), "rejected", "neither an e-mail nor an order", id="no reference either"),
        pytest.param(nameless(f"north/{'1' * 60}"), "held", "50 characters", id="a reference that would be cut"),
    ],
)
def test_who_could_not_be_found_again_is_not_created(shop: Shop, body: CreateCustomer, result: str, words: str) -> None:
    before = len(shop.books.state()["customers"])
    outcome = apply(shop.target(), body)
    assert (outcome.result, words in outcome.message) == (result, True)
    assert len(shop.books.state()["customers"]) == before


def test_where_customers_have_no_comment_nobody_is_created_without_an_email(shop: Shop) -> None:
    body = nameless(a_reference())
    before = len(shop.books.state()["customers"])
    with shop.direct.begin() as connection:
        connection.execute(text('ALTER TABLE "AR_CUST" RENAME COLUMN "COMMNT" TO "REMARK"'))
    try:
        outcome = apply(shop.target(), body)
    finally:
        with shop.direct.begin() as connection:
            connection.execute(text('ALTER TABLE "AR_CUST" RENAME COLUMN "REMARK" TO "COMMNT"'))
    assert (outcome.result, "has no column COMMNT" in outcome.message) == ("held", True)
    assert len(shop.books.state()["customers"]) == before
