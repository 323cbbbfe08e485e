"""counterflow ledger: a customer's book from the state database, on the screen and as data."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from counterflow.cli.commands import app
from counterflow.cli.ledger import account_of
from counterflow.state.database import begin
from processors.shop import Loyalty
from tests.flows.pipeline import Pipeline
from tests.flows.test_account_flow import merge
from tests.flows.test_customer_flow import opened, settings
from tests.flows.test_loyalty_flow import ANA, BEN, Web, has, reading, row, start, two_with_points

ORDERS = {"prefix": "N-", "store": "WEBN", "station": "1", "tax_code": "T", "tax_authority": "T", "tax_rule": "T"}
FILE = {
    "counterpoint": {
        "sql": {"url": "postgresql+psycopg://nobody@127.0.0.1:1/x"},
        "rest": {"url": "https://127.0.0.1:1", "company": "S", "user": "u", "password": "p", "api_key": "k"},
    },
    "stores": {
        "north": {
            "platform": "woocommerce",
            "url": "https://127.0.0.1:1",
            "key": "k",
            "secret": "s",
            "orders": ORDERS | {"pay_codes": {"*": "CARD"}},
            "stock": {"locations": ["MAIN"]},
        }
    },
}


@pytest.fixture
def pipeline(database: Engine) -> Pipeline:
    policies = {name: Loyalty(first="ask") for name in ("north", "south")}
    return opened(Pipeline(database, replace(settings(), loyalty=policies)))


def asked(pipeline: Pipeline, folder: Path, *arguments: str) -> Result:
    """Ask the command."""
    url = pipeline.engine.url.render_as_string(hide_password=False)
    file = folder / "shop.yaml"
    file.write_text(yaml.safe_dump(FILE | {"state": {"url": url}}))
    return CliRunner().invoke(app, ["ledger", *arguments, "--config", str(file)])


def with_an_adjustment_that_waits(pipeline: Pipeline) -> tuple[Web, str]:
    """Ana has 25 on both sides, earns 10 on the web, and spends 5 at the till."""
    web = start(pipeline)
    tag, went = web.shop(10)
    pipeline.take(pipeline.answer(went[0], "applied", version="4"))
    shown = reading(5, has(20), rows=(row(1, -5, version=5),), unposted=(tag,), previous=1)
    web.carry_out(pipeline.take(pipeline.points(shown)))
    return web, tag


def test_a_book_is_shown_entry_by_entry_with_why_the_sides_differ(pipeline: Pipeline, folder: Path) -> None:
    _, tag = with_an_adjustment_that_waits(pipeline)
    answer = asked(pipeline, folder, ANA)
    assert answer.exit_code == 0, answer.output
    lines = [" ".join(line.split()) for line in answer.stdout.splitlines()]
    assert lines[:2] == ["customer C-1, enrolled", "north/7: 30 points, keeps the points"]
    told = ("opening of C-1", "our move to north/7", "shopper earned in north", "ticket or adjustment at the till")
    assert [next(one for one in told if line.startswith(one)) for line in lines[4:9]] == [*told, told[1]]
    assert lines[6] == f"shopper earned in north north:101 {tag} unposted +10 25 35"
    assert lines[-2:] == [
        "20 points at the till, 30 on the web: the web has 10 more, because",
        f"+10 10 points of the shopper wait for staff to post: {tag}",
    ]


def test_the_same_as_data(pipeline: Pipeline, folder: Path) -> None:
    _, tag = with_an_adjustment_that_waits(pipeline)
    found = json.loads(asked(pipeline, folder, ANA, "--json").stdout)
    assert (found["customer"], found["till"], found["web"], found["does_not_add_up"]) == (ANA, 20, 30, [])
    assert [(one["points"], one["till"], one["web"]) for one in found["entries"]] == [
        (25, 25, 0),
        (25, 25, 25),
        (10, 25, 35),
        (-5, 20, 35),
        (-5, 20, 30),
    ]
    assert found["differ_because"] == [
        {"points": 10, "says": f"10 points of the shopper wait for staff to post: {tag}"}
    ]


def test_a_merged_customers_number_leads_to_his_survivors_book(pipeline: Pipeline, folder: Path) -> None:
    web = two_with_points(pipeline, second_account=True)
    merge(pipeline, points=25)
    went = pipeline.wait(31) + pipeline.take(pipeline.points(reading(2, has(50), has(None, BEN, is_enrolled=False))))
    web.carry_out(went + pipeline.wait(2))
    said = asked(pipeline, folder, BEN).stdout.splitlines()
    assert said[0] == "C-2 was merged into C-1, whose book this is: C-1, enrolled"
    assert said[-1] == "50 points at the till, 50 on the web: equal"
    assert asked(pipeline, folder, ANA).stdout.startswith("customer C-1, with C-2 merged into him, enrolled\n")


def test_what_waits_for_a_person_is_told(pipeline: Pipeline, folder: Path) -> None:
    start(pipeline)
    pipeline.take(pipeline.points(reading(2, has(34))))
    pipeline.wait(300)
    last = asked(pipeline, folder, ANA).stdout.splitlines()[-1]
    assert last.startswith("waits for a person: points-unexplained:c:unexplained:C-1:2: customer C-1: ")


def test_nothing_of_a_person_but_his_number_is_shown(pipeline: Pipeline, folder: Path) -> None:
    start(pipeline)
    said = asked(pipeline, folder, ANA).stdout.lower()
    assert "@" not in said
    assert "ana" not in said


def test_a_customer_without_a_book_is_said_to_have_none(pipeline: Pipeline, folder: Path) -> None:
    answer = asked(pipeline, folder, "C-9")
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert "customer C-9 has no book" in answer.stderr


def test_a_book_that_does_not_add_up_says_so_and_exits_with_1(pipeline: Pipeline, folder: Path) -> None:
    start(pipeline)
    with begin(pipeline.engine) as connection:
        change = "UPDATE ledger_entry SET body = replace(body, '\"left\":0', '\"left\":4') WHERE kind = 'pos'"
        connection.exec_driver_sql(change)
    answer = asked(pipeline, folder, ANA)
    assert answer.exit_code == 1
    assert "DOES NOT ADD UP, please report it" in answer.stdout


def test_looking_at_a_book_changes_nothing(pipeline: Pipeline) -> None:
    with_an_adjustment_that_waits(pipeline)
    before = pipeline.everything()
    with begin(pipeline.engine) as connection:
        assert account_of(connection, ANA) is not None
    assert pipeline.everything() == before
