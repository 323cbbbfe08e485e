"""The language in writing: JSON Schema of every message, and AsyncAPI 3.1 of every topic. `python -m schemas.export`.

Both are generated from the structs and from topics.py, and committed; a test compares them with a fresh generation.
"""

import json
from pathlib import Path
from typing import Any

import msgspec

from schemas import topics
from schemas.changes import Change
from schemas.commands import Command
from schemas.outcomes import Cursor, DeadLetter, Heartbeat, Outcome
from schemas.requests import Request
from schemas.topics import PARTITIONS, Topic

HERE = Path(__file__).parent
MESSAGES: tuple[type, ...] = (Change, Command, Outcome, Heartbeat, Cursor, DeadLetter, Request)
CHANNELS: dict[str, Topic] = {
    "changes": topics.CHANGES,
    "hints": topics.HINTS,
    "work": topics.WORK,
    "workNow": topics.WORK_NOW,
    "outcomes": topics.OUTCOMES,
    "requests": topics.REQUESTS,
    "deadletters": topics.DEAD_LETTERS,
    "heartbeats": topics.HEARTBEATS,
    "cursors": topics.CURSORS,
}
PARAMETERS = {"system": "counterpoint, or a store's id", "entity": "a table of Counterpoint, or a store's resource"}


def json_schemas() -> dict[str, str]:
    """Give each message's JSON Schema 2020-12 as text, by file name."""
    found = {}
    for message in MESSAGES:
        schema = msgspec.json.schema(message, ref_template="#/$defs/{name}")
        whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": message.__name__, **schema}
        found[f"{message.__name__.lower()}.json"] = _text(whole)
    return found


def asyncapi() -> dict[str, Any]:
    """Give the AsyncAPI document: a channel for each topic, an operation for each of its ends."""
    _, definitions = msgspec.json.schema_components(MESSAGES, ref_template="#/components/schemas/{name}")
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": "counterflow",
            "version": "1",
            "description": "What producers, processors and consumers say to each other. Names begin with the prefix.",
        },
        "defaultContentType": "application/json",
        "channels": {name: _channel(topic) for name, topic in CHANNELS.items()},
        "operations": {
            f"{'send' if what == 'send' else 'receive'}_{name}_{who.replace('.', '_')}": {
                "action": what,
                "channel": {"$ref": f"#/channels/{name}"},
                "summary": f"{who} {'writes' if what == 'send' else 'reads'}",
            }
            for name, topic in CHANNELS.items()
            for what, ends in (("send", topic.written_by), ("receive", topic.read_by))
            for who in ends
        },
        "components": {
            "schemas": _asyncapi_form(definitions),
            "messages": {one.__name__: _message(one) for one in MESSAGES},
            "messageTraits": {"cloudEvent": {"headers": _cloud_event()}},
        },
    }


def _asyncapi_form(part: Any) -> Any:
    """Write a discriminator as AsyncAPI has it: the property's name alone."""
    if isinstance(part, list):
        return [_asyncapi_form(one) for one in part]
    if not isinstance(part, dict):
        return part
    return {
        name: value["propertyName"] if name == "discriminator" and isinstance(value, dict) else _asyncapi_form(value)
        for name, value in part.items()
    }


def _channel(topic: Topic) -> dict[str, Any]:
    names = [name for name in PARAMETERS if "{" + name + "}" in topic.name]
    kept = "compacted" if topic.keep_days is None else f"kept {topic.keep_days} days"
    settings: dict[str, Any] = {"cleanup.policy": ["compact" if topic.keep_days is None else "delete"]}
    if topic.keep_days is not None:
        settings["retention.ms"] = topic.keep_days * topics.DAY_MS
    channel: dict[str, Any] = {
        "address": topic.name,
        "description": f"Keyed by {topic.key}; {kept}.",
        "messages": {_name(topic): _reference(topic)},
        "bindings": {
            "kafka": {"partitions": PARTITIONS, "topicConfiguration": settings, "bindingVersion": "0.5.0"},
        },
    }
    if names:
        channel["parameters"] = {name: {"description": PARAMETERS[name]} for name in names}
    return channel


def _name(topic: Topic) -> str:
    return "Hint" if topic.value is msgspec.Raw else topic.value.__name__


def _reference(topic: Topic) -> dict[str, Any]:
    if topic.value is msgspec.Raw:
        return {
            "name": "Hint",
            "payload": {"type": "object", "description": "entity, id, event and received_at of a web hook"},
        }
    return {"$ref": f"#/components/messages/{topic.value.__name__}"}


def _message(message: type) -> dict[str, Any]:
    said: dict[str, Any] = {"name": message.__name__, "payload": {"$ref": f"#/components/schemas/{message.__name__}"}}
    if message in {Change, Command}:
        said["traits"] = [{"$ref": "#/components/messageTraits/cloudEvent"}]
    return said


def _cloud_event() -> dict[str, Any]:
    names = ("specversion", "id", "source", "type", "subject", "time")
    return {
        "type": "object",
        "description": "CloudEvents 1.0, Kafka binding, binary mode.",
        "properties": {f"ce_{name}": {"type": "string"} for name in names},
    }


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, sort_keys=False) + "\n"


def files() -> dict[Path, str]:
    """Give every generated file and what it holds. JSON is YAML too: one writer serves both."""
    found = {HERE / "json" / name: text for name, text in json_schemas().items()}
    return found | {HERE / "asyncapi.yaml": _text(asyncapi())}


def main() -> None:
    """Write the files."""
    for path, text in files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
