"""The one file: good ones are read, bad ones are refused with every wrong key named, and no secret is told."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from counterflow.config import Config, load
from counterflow.errors import Broken

EXAMPLE = Path(__file__).parent.parent.parent / "shop.example.yaml"
REFERENCE = EXAMPLE.parent / "docs" / "reference" / "configuration.md"


def parts() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
    return found


def write(folder: Path, values: dict[str, Any]) -> Path:
    file = folder / "shop.yaml"
    file.write_text(yaml.safe_dump(values))
    return file


def keys(model: type[BaseModel]) -> set[str]:
    found: set[str] = set()
    for name, field in model.model_fields.items():
        found.add(name)
        for kind in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                found |= keys(kind)
    return found


def test_the_example_is_valid() -> None:
    assert load(EXAMPLE).stores["web"].orders.prefix == "W-"


@pytest.mark.parametrize("key", sorted(keys(Config)))
def test_the_example_shows_every_key(key: str) -> None:
    assert f"{key}:" in EXAMPLE.read_text()


def test_a_missing_file_says_where_to_begin(tmp_path: Path) -> None:
    with pytest.raises(Broken, match=r"no such file; start from shop\.example\.yaml"):
        load(tmp_path / "none.yaml")


def test_a_file_that_is_not_yaml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text("kafka: [")
    with pytest.raises(Broken, match="not YAML"):
        load(tmp_path / "shop.yaml")


def test_a_misspelt_key_is_named(tmp_path: Path) -> None:
    values = parts()
    values["stores"]["web"]["orders"]["prefx"] = values["stores"]["web"]["orders"].pop("prefix")
    with pytest.raises(Broken, match=r"stores\.web\.orders\.prefx: unknown key"):
        load(write(tmp_path, values))


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    values = parts()
    values["kafak"] = values.pop("kafka")
    values["counterpoint"]["rest"]["timeout_s"] = -1
    with pytest.raises(Broken) as refused:
        load(write(tmp_path, values))
    assert all(name in str(refused.value) for name in ("kafak", "counterpoint.rest.timeout_s"))


def test_no_secret_is_told(tmp_path: Path) -> None:
    values = parts()
    values["counterpoint"]["rest"]["password"] = ["hunter2"]
    with pytest.raises(Broken) as refused:
        load(write(tmp_path, values))
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("store", ["counterpoint", "Web Store", "WEB"])
def test_a_store_needs_an_id_of_its_own(tmp_path: Path, store: str) -> None:
    values = parts()
    values["stores"] = {store: values["stores"]["web"]}
    with pytest.raises(Broken, match="must be lower-case"):
        load(write(tmp_path, values))


def test_markers_of_two_stores_must_not_clash(tmp_path: Path) -> None:
    values = parts()
    other = yaml.safe_load(yaml.safe_dump(values["stores"]["web"]))
    other["orders"]["prefix"] = "W"
    del other["gift_cards"]
    values["stores"]["other"] = other
    with pytest.raises(Broken, match="markers would clash"):
        load(write(tmp_path, values))


def test_one_store_keeps_the_gift_cards(tmp_path: Path) -> None:
    values = parts()
    other = yaml.safe_load(yaml.safe_dump(values["stores"]["web"]))
    other["orders"]["prefix"] = "X-"
    values["stores"]["other"] = other
    with pytest.raises(Broken, match=r"one store only, not by \w+ and \w+"):
        load(write(tmp_path, values))


def test_a_shops_country_is_one_that_there_is(tmp_path: Path) -> None:
    with pytest.raises(Broken, match=r"home_country: .*'UK' is no country"):
        load(write(tmp_path, parts() | {"home_country": "UK"}))
    assert load(write(tmp_path, parts() | {"home_country": "GB"})).home_country == "GB"


def test_the_environment_comes_before_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERFLOW_COUNTERPOINT__REST__PASSWORD", "from-environment")
    assert load(EXAMPLE).counterpoint.rest.password.get_secret_value() == "from-environment"


def test_a_secrets_directory_comes_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "counterflow_counterpoint__rest__password").write_text("from-a-file\n")
    assert load(EXAMPLE, secrets_dir=tmp_path).counterpoint.rest.password.get_secret_value() == "from-a-file"
