"""Files that are no configuration at all: each is refused by one clear line, never by a trace, and tells no secret."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from counterflow.config import Loyalty, load
from counterflow.errors import Broken

EXAMPLE = Path(__file__).parent.parent.parent / "shop.example.yaml"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"", "counterpoint: Field required", id="an empty file names what is missing"),
        pytest.param(b"# nothing yet\n", "stores: Field required", id="so does one of comments"),
        pytest.param(b"- kafka\n- state\n", "must hold keys and values", id="a list"),
        pytest.param(b"kafka", "must hold keys and values", id="one word"),
        pytest.param(b"1: kafka\n", "must hold keys and values", id="a number for a key"),
        pytest.param(b"name: caf\xe9", "not UTF-8 at byte 9", id="Latin-1"),
        pytest.param(b"kafka:\n\tservers: x\n", "not YAML at line 2, column 1", id="a tab, with its place"),
        pytest.param(b"a: \x00", "not YAML", id="a control character"),
        pytest.param(b"counterpoint: !!python/object:os.system x\n", "not YAML", id="a tag that would run something"),
    ],
)
def test_what_is_no_configuration_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "shop.yaml").write_bytes(content)
    with pytest.raises(Broken, match=said):
        load(tmp_path / "shop.yaml")


@pytest.mark.parametrize(
    ("written", "rate"), [(10, (10, 1)), ("1/10", (1, 10)), ("3/2", (3, 2)), (0.1, (1, 10)), (1.5, (3, 2))]
)
def test_a_rate_of_points_is_what_is_written(written: object, rate: tuple[int, int]) -> None:  # loyalty-R13
    assert Loyalty.model_validate({"rate": written}).rate.as_integer_ratio() == rate


@pytest.mark.parametrize("written", [0, -1, "1/0", "ten", None])
def test_a_rate_that_is_none_is_refused(written: object) -> None:
    with pytest.raises(ValidationError, match="rate"):
        Loyalty.model_validate({"rate": written})


@pytest.mark.parametrize(
    "broken", ["password: hunter2: x", 'password: "hunter2', "password: *hunter2", "password: !hunter2 x", "hunter2: ["]
)
def test_a_file_that_is_not_yaml_tells_the_place_and_no_secret(tmp_path: Path, broken: str) -> None:
    (tmp_path / "shop.yaml").write_text(f"counterpoint:\n  rest:\n    {broken}\n    user: web\n")
    with pytest.raises(Broken, match=r"not YAML at line \d, column \d") as refused:
        load(tmp_path / "shop.yaml")
    assert "hunter2" not in str(refused.value)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(Broken, match="no such file"):
        load(tmp_path)


def test_an_environment_variable_that_cannot_be_read_is_named_without_its_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COUNTERFLOW_COUNTERPOINT", "hunter2")
    with pytest.raises(Broken, match="counterpoint") as refused:
        load(EXAMPLE)
    assert "hunter2" not in str(refused.value)


def test_a_misspelt_environment_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERFLOW_COUNTERPOINT__REST__PASWORD", "hunter2")
    with pytest.raises(Broken, match=r"counterpoint\.rest\.pasword: unknown key") as refused:
        load(EXAMPLE)
    assert "hunter2" not in str(refused.value)


def test_a_secrets_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Broken, match="COUNTERFLOW_SECRETS_DIR"):
        load(EXAMPLE, secrets_dir=tmp_path / "none")


def test_a_misspelt_secret_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "counterflow_counterpoint__rest__pasword").write_text("hunter2")
    with pytest.raises(Broken, match=r"counterpoint\.rest\.pasword: unknown key") as refused:
        load(EXAMPLE, secrets_dir=tmp_path)
    assert "hunter2" not in str(refused.value)


def test_a_stores_secret_may_come_from_the_environment_or_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTERFLOW_STORES__WEB__SECRET", "from-environment")
    (tmp_path / "counterflow_stores__web__secret").write_text("from-a-file")
    (tmp_path / "counterflow_stores__web__key").write_text("from-a-file\n")
    store = load(EXAMPLE, secrets_dir=tmp_path).stores["web"]
    assert (store.secret.get_secret_value(), store.key.get_secret_value()) == ("from-environment", "from-a-file")
    assert store.orders.prefix == "W-"  # What neither names stays the file's.


def test_no_secret_is_shown_when_the_configuration_is() -> None:
    shown = repr(load(EXAMPLE))
    for secret in ("cs_0123456789abcdef", "ck_0123456789abcdef", "a-long-random-word", "PWD%3Dsecret"):
        assert secret not in shown
