"""Bad input meets the running pipeline: it is refused, held or put aside, and the rest goes on."""

import base64
import hashlib
import hmac
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests
import yaml
from sqlalchemy import create_engine

from counterflow.kafka import Message, Publisher, read_whole
from sandbox.counterpoint import tables
from schemas.outcomes import DeadLetter
from schemas.topics import CHANGES, DEAD_LETTERS
from tests.live.waiting import wait_for
from tests.live.world import SEEN_S_MAX, World

pytestmark = pytest.mark.live
ROOT = Path(__file__).parents[2]
ALONE_S_MAX = 60.0


def test_web_hooks_that_are_forged_or_no_json_are_refused_and_nothing_stops(world: World) -> None:
    body = b"{no json"
    signed = base64.b64encode(hmac.new(b"secret-north", body, hashlib.sha256).digest()).decode()
    assert _hook(world, body, "Zm9yZ2Vk").status_code == 401
    assert _hook(world, body, signed).status_code == 400
    order = world.place("north", person="after-hooks", email="after.hooks@example.net", lines=_lines(world))
    world.wait_for_document(f"N-{order}")


def test_an_order_with_an_unknown_item_is_held_until_the_item_is_there(world: World) -> None:
    lines = [{"sku": "LATE01", "quantity": 2, "price": "9.99"}]
    order = world.place("north", person="late", email="late.item@example.net", lines=lines)
    assert "'LATE01'" in world.wait_for_review("order", f"north/{order}")
    assert world.documents(f"N-{order}") == []
    item = {"ITEM_NO": "LATE01", "DESCR": "Late Lamp", "PRC_1": 9.99, "stock": {"MAIN": 5}}
    world.remote.post("counterpoint", "items", **item).raise_for_status()
    world.wait_for_document(f"N-{order}")
    wait_for(
        lambda: world.review("order", f"north/{order}") is None, within_s=SEEN_S_MAX, what="the review is still open"
    )


def test_an_order_whose_e_mail_several_customers_have_waits_for_a_person_to_decide(world: World) -> None:
    email = next(one.email for one in world.day.people if one.expect == "hold" and one.email.startswith("family"))
    numbers = sorted(row["CUST_NO"] for row in world.shop.customers if (row["EMAIL_ADRS_1"] or "").lower() == email)
    order = world.place("north", person=numbers[-1], email=email, lines=_lines(world))
    said = world.wait_for_review("order-customer", f"north/{order}")
    assert said == f"{len(numbers)} customers have the order's e-mail"
    assert world.documents(f"N-{order}") == []
    done = _run("decide", f"order-customer:north/{order}", numbers[-1], config=world.made.config_file)
    assert done.returncode == 0, done.stderr
    assert world.wait_for_document(f"N-{order}")["CUST_NO"] == numbers[-1]


def test_an_order_without_an_e_mail_is_held(world: World) -> None:
    order = world.place("south", person="nobody", email="", expect="hold", lines=_lines(world))
    assert "no usable e-mail" in world.wait_for_review("order-customer", f"south/{order}")
    assert world.documents(f"S-{order}") == []


@pytest.mark.parametrize(
    ("topic", "value", "reason"),
    [
        pytest.param(CHANGES.named("", system="counterpoint", entity="IM_INV"), b"\xff{", "JSON", id="no JSON"),
        pytest.param(
            CHANGES.named("", system="north", entity="orders"),
            b'{"op":"u","after":{"id":"what?"},"source":{"system":"north","entity":"orders"}}',
            "order",
            id="no order",
        ),
    ],
)
def test_a_poison_message_becomes_a_dead_letter_and_the_rest_goes_on(
    world: World, topic: str, value: bytes, reason: str
) -> None:
    servers, key = world.made.broker.servers, f'{{"poison":"{topic}"}}'
    publisher = Publisher(servers, client_id="test")
    publisher.publish([Message(topic=topic, key=key.encode(), value=value)])
    publisher.close()
    letters = DEAD_LETTERS.named("")
    wait_for(lambda: key in read_whole(servers, letters), within_s=SEEN_S_MAX, what="no dead letter")
    letter = msgspec.json.decode(read_whole(servers, letters)[key], type=DeadLetter)
    assert letter.topic == topic
    assert reason in letter.reason
    name = topic.rpartition(".")[2].lower().replace("_", "")
    order = world.place("north", person=f"after-{name}", email=f"after.{name}@example.net", lines=_lines(world))
    world.wait_for_document(f"N-{order}")


def test_a_wrong_password_stops_the_consumer_with_a_clear_line(world: World) -> None:
    def change(parts: dict[str, Any]) -> None:
        parts["counterpoint"]["rest"]["password"] = "wrong"

    done = _run("consume", "counterpoint", config=_changed(world, "password", change))
    assert done.returncode == 3, done.stderr
    assert "refuses the login (401): check company, user and password" in done.stderr.splitlines()[-1]


def test_a_misspelt_key_stops_the_start_and_is_named(world: World) -> None:
    def change(parts: dict[str, Any]) -> None:
        parts["stores"]["north"]["pol_s"] = 3

    done = _run("up", config=_changed(world, "misspelt", change))
    assert done.returncode == 3, done.stderr
    assert "stores.north.pol_s: unknown key, is it misspelt?" in done.stderr.splitlines()[-1]


def test_a_missing_column_in_counterpoint_stops_the_producer_and_is_named(world: World) -> None:
    url = world.made.postgres.url("lacking")
    engine = create_engine(url)
    tables.create(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql('ALTER TABLE "IM_INV" RENAME "QTY_COMMIT" TO "QTY_OTHER"')
    engine.dispose()

    def change(parts: dict[str, Any]) -> None:
        parts["counterpoint"]["sql"]["url"] = url

    done = _run("produce", "counterpoint", config=_changed(world, "lacking", change))
    assert done.returncode == 3, done.stderr
    assert "IM_INV.QTY_COMMIT" in done.stderr.splitlines()[-1]


def test_after_all_of_it_nothing_is_wrong(world: World) -> None:
    world.wait_until_right()


def _lines(world: World) -> list[dict[str, Any]]:
    """Give one piece of something that the stores have."""
    return [{"sku": world.shop.products["north"][0]["sku"], "quantity": 1}]


def _hook(world: World, body: bytes, signature: str) -> requests.Response:
    hooks = world.made.config().stores["north"].hooks
    assert hooks is not None
    headers = {"x-wc-webhook-topic": "order.created", "x-wc-webhook-signature": signature}
    return requests.post(hooks.url, data=body, headers=headers, timeout=10)


def _changed(world: World, name: str, change: Callable[[dict[str, Any]], None]) -> Path:
    """Write the configuration changed, with topics of its own: the running pipeline is not to hear of it."""
    parts = yaml.safe_load(world.made.config_file.read_text())
    parts["kafka"]["prefix"] = "alone."
    change(parts)
    file = world.made.folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(parts))
    return file


def _run(*words: str, config: Path) -> subprocess.CompletedProcess[str]:
    """Run one command of ours to its end."""
    command = [sys.executable, "-m", "counterflow.cli", *words, "--config", str(config)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=ALONE_S_MAX, check=False)
