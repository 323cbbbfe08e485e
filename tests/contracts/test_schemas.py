"""The language keeps its word: generated files are fresh, AsyncAPI is valid, and old messages can still be read."""

import hashlib
import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import export
from schemas.changes import Change, Source, change_id, decode_key, encode_key
from schemas.commands import SetStock, body_hash

HERE = Path(__file__).parent
OLD = HERE.parent / "recorded" / "messages"
SPEC: dict[str, Any] = json.loads((HERE / "vendor" / "asyncapi-3.1.0.json").read_text())


def name_of(message: type) -> str:
    return message.__name__.lower()


def test_generated_files_are_those_of_the_structs() -> None:
    stale = [path.name for path, text in export.files().items() if not path.exists() or path.read_text() != text]
    assert stale == [], "run: python -m schemas.export"


def test_the_vendored_specification_is_the_one_named() -> None:
    digest = hashlib.sha256((HERE / "vendor" / "asyncapi-3.1.0.json").read_bytes()).hexdigest()
    assert digest in (HERE / "vendor" / "VENDOR.md").read_text()


def test_asyncapi_is_valid() -> None:
    jsonschema.Draft7Validator(SPEC).validate(json.loads((export.HERE / "asyncapi.yaml").read_text()))


def test_a_typo_in_asyncapi_is_caught() -> None:
    wrong = deepcopy(export.asyncapi())
    wrong["channels"]["work"]["adress"] = wrong["channels"]["work"].pop("address")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(SPEC).validate(wrong)


@pytest.mark.parametrize("message", export.MESSAGES, ids=name_of)
def test_an_old_message_still_decodes(message: type) -> None:
    files = sorted(OLD.glob(f"{name_of(message)}-v*.json"))
    assert files
    for file in files:
        assert isinstance(msgspec.json.decode(file.read_bytes(), type=message), message)


@pytest.mark.parametrize("message", [one for one in export.MESSAGES if one is not Change], ids=name_of)
def test_an_unknown_field_of_our_own_is_refused(message: type) -> None:
    old = json.loads(sorted(OLD.glob(f"{name_of(message)}-v*.json"))[0].read_text())
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.json.decode(json.dumps(old | {"surprise": 1}).encode(), type=message)


def test_debeziums_envelope_is_a_change() -> None:
    change = msgspec.json.decode((OLD / "change-debezium.json").read_bytes(), type=Change)
    assert (change.op, change.row is not None, change.source.position) == ("u", True, 0)


def test_a_deletion_has_no_row() -> None:
    assert Change(op="d", after=msgspec.Raw(b"null"), source=Source()).row is None


def test_the_same_change_read_again_has_the_same_id_and_another_has_not() -> None:
    one = Change(op="u", after=msgspec.Raw(b'{"a":1}'), source=Source(ts_ms=5, position=7))
    again = Change(op="u", after=msgspec.Raw(b'{"a":1}'), source=Source(ts_ms=5, position=8))
    other = Change(op="u", after=msgspec.Raw(b'{"a":2}'), source=Source(ts_ms=5, position=7))
    ids = [change_id("north", "orders", "1", change) for change in (one, again, other)]
    assert (ids[0] == ids[1], ids[0] == ids[2]) == (True, False)


@given(st.lists(st.text(min_size=1), min_size=1, max_size=3))
def test_a_key_comes_back_as_its_parts(parts: list[str]) -> None:
    columns = {f"C{at}": part for at, part in enumerate(parts)}
    assert decode_key(encode_key(columns)) == "|".join(parts)


def test_equal_bodies_and_only_they_have_equal_hashes() -> None:
    three, again, four = (SetStock(sku="A", product_id="1", quantity=quantity) for quantity in (3, 3, 4))
    assert (body_hash(three) == body_hash(again), body_hash(three) == body_hash(four)) == (True, False)
