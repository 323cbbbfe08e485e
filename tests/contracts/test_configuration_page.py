"""docs/reference/configuration.md keeps step with the configuration: every key in its part, with its default."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from counterflow.config import Config

PAGE = Path(__file__).parent.parent.parent / "docs" / "reference" / "configuration.md"
ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| .+ \|$", re.MULTILINE)


def parts(model: type[BaseModel], path: str = "") -> dict[str, type[BaseModel]]:
    """Give every part of the file by its heading on the page."""
    found = {path or "The file itself": model}
    for name, field in model.model_fields.items():
        below = f"{path}.{name}".lstrip(".") + (".ID" if "dict" in str(field.annotation) else "")
        for one in models_in(field.annotation):
            found |= parts(one, below)
    return found


def models_in(kind: Any) -> list[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [kind]
    return [one for part in get_args(kind) for one in models_in(part)]


def default_of(field: FieldInfo) -> str:
    """Give a default as the page words it."""
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required, secret" if "SecretStr" in str(field.annotation) else "required"
    if isinstance(value, BaseModel):
        return "see below"
    if value is None or value == {}:
        return "none"
    return "empty" if value == "" else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def rows(heading: str) -> dict[str, str]:
    """Give key and default of each row below a heading."""
    _, _, below = PAGE.read_text().partition(f"\n## {heading}\n")
    return dict(ROW.findall(below.partition("\n## ")[0]))


@pytest.mark.parametrize("heading", list(parts(Config)))
def test_the_page_has_every_key_of_a_part_with_its_default(heading: str) -> None:
    assert rows(heading) == {name: default_of(field) for name, field in parts(Config)[heading].model_fields.items()}


def test_the_page_has_no_part_that_the_file_has_not() -> None:
    headings = re.findall(r"^## (.+)$", PAGE.read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(parts(Config))
