"""Messages as others read them: by JSON Schema, by AsyncAPI, and by the headers that really travel."""

import json
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from jsonschema import Draft202012Validator, ValidationError

from counterflow.kafka import cloud_event
from producers.store_poller import Hint
from schemas import export, topics
from schemas.commands import Body, Command
from schemas.outcomes import Outcome
from schemas.requests import Ask, Request

RECORDED = Path(__file__).parent.parent / "recorded" / "messages"
SCHEMAS = {message.__name__.lower(): message for message in export.MESSAGES}
OLD = sorted(file for file in RECORDED.glob("*.json") if file.stem.split("-")[0] in SCHEMAS)


def schema_of(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((export.HERE / "json" / f"{file.stem.split('-')[0]}.json").read_text())
    return found


def kinds(union: Any) -> set[str]:
    """Give the tags of a union's structs."""
    return {str(one.__struct_config__.tag) for one in get_args(union)}


def kinds_recorded(message: type, part: str) -> set[str]:
    name = message.__name__.lower()
    return {json.loads(file.read_text())[part]["kind"] for file in OLD if file.stem.split("-")[0] == name}


def test_every_topic_is_a_channel() -> None:
    every = (*topics.PER_ENTITY, *topics.PER_STORE, *topics.PER_TARGET, *topics.SINGLE)
    assert sorted(one.name for one in export.CHANNELS.values()) == sorted(one.name for one in every)


def test_every_message_on_a_topic_has_a_schema() -> None:
    said = {topic.value for topic in export.CHANNELS.values()} - {msgspec.Raw}
    assert said == set(export.MESSAGES)


def test_every_kind_of_command_is_recorded() -> None:
    assert kinds_recorded(Command, "body") == kinds(Body)


def test_every_kind_of_request_is_recorded() -> None:
    assert kinds_recorded(Request, "ask") == kinds(Ask)


@pytest.mark.parametrize("file", OLD, ids=lambda file: file.stem)
def test_a_recorded_message_fits_its_json_schema(file: Path) -> None:
    Draft202012Validator.check_schema(schema_of(file))
    Draft202012Validator(schema_of(file)).validate(json.loads(file.read_text()))


@pytest.mark.parametrize("file", [one for one in OLD if not one.stem.startswith("change")], ids=lambda file: file.stem)
def test_json_schema_refuses_what_we_refuse(file: Path) -> None:
    with pytest.raises(ValidationError):
        Draft202012Validator(schema_of(file)).validate(json.loads(file.read_text()) | {"surprise": 1})


@pytest.mark.parametrize("file", OLD, ids=lambda file: file.stem)
def test_a_message_written_again_says_the_same(file: Path) -> None:
    kind = SCHEMAS[file.stem.split("-")[0]]
    once: Any = msgspec.json.decode(file.read_bytes(), type=kind)
    assert msgspec.json.decode(msgspec.json.encode(once), type=kind) == once


def test_a_recorded_hint_still_decodes() -> None:
    hint = msgspec.json.decode((RECORDED / "hint-v1.json").read_bytes(), type=Hint)
    assert (hint.entity, hint.id) == ("orders", "1017")


def test_asyncapi_names_the_headers_that_are_sent() -> None:
    sent = cloud_event(kind="k", source="/s", event_id="1", subject="x", at="2026-01-05T12:30:15Z")
    trait = export.asyncapi()["components"]["messageTraits"]["cloudEvent"]
    assert set(trait["headers"]["properties"]) == {name for name, _ in sent if name.startswith("ce_")}


def test_a_quantity_below_zero_is_no_command() -> None:
    old = json.loads((RECORDED / "command-v1-stock.json").read_text())
    old["body"]["quantity"] = -1
    with pytest.raises(msgspec.ValidationError, match="quantity must not be below 0"):
        msgspec.json.decode(json.dumps(old).encode(), type=Command)


def test_an_outcome_of_an_unknown_kind_is_refused() -> None:
    old = json.loads((RECORDED / "outcome-v1.json").read_text())
    with pytest.raises(msgspec.ValidationError, match="result"):
        msgspec.json.decode(json.dumps(old | {"result": "perhaps"}).encode(), type=Outcome)
