"""The documents keep step with the code: links lead somewhere, ids are known, and references leave nothing out."""

import re
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest
from prometheus_client import Counter
from prometheus_client.metrics import MetricWrapperBase
from typer.main import get_command

from counterflow import metrics
from counterflow.cli.commands import app
from counterflow.state.tables import metadata
from schemas import topics
from schemas.topics import Topic

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")])
CODE = [path for top in ("counterflow", "producers", "processors", "consumers", "schemas", "sandbox")
        for path in (ROOT / top).rglob("*.py")]  # fmt: skip
OURS = [page for page in PAGES if "facts" not in page.parts]
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]+)\)")


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """Give the names that a link may point to within a page, as GitHub makes them of headings."""
    titles = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(text_of(page)):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", [*PAGES, DOCS / "picture.svg"], ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_names_a_path_of_somebodys_machine(page: Path) -> None:
    assert not re.findall(r"(?:^|[\s`'\"(])/(?:work|tmp|root|home)/\S*", text_of(page))


def quoted(pattern: str) -> set[str]:
    """Give the ids that code and our own pages quote."""
    return {found for path in [*CODE, *OURS] for found in re.findall(pattern, text_of(path))}


def test_every_observation_that_is_quoted_is_known() -> None:
    known = set(re.findall(r"\*\*(W-\d+)\*\*", text_of(DOCS / "facts" / "stores-observed.md")))
    assert quoted(r"\b(W-\d+)\b") <= known


def test_every_order_rule_that_is_quoted_is_known() -> None:
    page = text_of(DOCS / "facts" / "order-rules.md")
    known = {f"E.{number}" for number in re.findall(r"\*\*E\.(\d+)", page)}
    known |= set(re.findall(r"\*\*(P\d+)\*\*", page))
    assert quoted(r"\border-([EP]\.?\d+)") <= known


def test_every_page_that_the_code_names_is_there() -> None:
    for path in CODE:
        for name in re.findall(r"docs/[\w./-]+\.(?:md|svg)", text_of(path)):
            assert (ROOT / name).exists(), f"{path.name}: {name}"


def cells(page: str, column: int = 0) -> set[str]:
    """Give what stands in backticks in one column of a page's tables."""
    rows = re.findall(r"^\| (.+) \|$", text_of(DOCS / "reference" / page), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([^`]+)`", re.split(r"(?<!\\) \| ", row)[column])}


def test_every_table_of_the_state_database_is_described() -> None:
    assert cells("state.md") == set(metadata.tables)


def test_every_topic_is_described() -> None:
    declared = {one.name for one in vars(topics).values() if isinstance(one, Topic)}
    assert {name for name in cells("topics.md") if not name.startswith("counterflow.")} == declared


def test_every_topic_is_described_with_how_long_it_is_kept() -> None:
    page = text_of(DOCS / "reference" / "topics.md")
    for one in vars(topics).values():
        if isinstance(one, Topic):
            row = next(line for line in page.splitlines() if line.startswith(f"| `{one.name}`"))
            assert row.endswith(f"| {one.keep_days} days |" if one.keep_days else "| compacted |")


def test_every_metric_is_described_with_its_labels() -> None:
    page = text_of(DOCS / "reference" / "metrics.md")
    declared = [one for one in vars(metrics).values() if isinstance(one, MetricWrapperBase)]
    names = {one._name + "_total" * isinstance(one, Counter): ", ".join(one._labelnames) or "–" for one in declared}
    assert cells("metrics.md") == set(names)
    for name, labels in names.items():
        assert f"| `{name}` | {labels} |" in page


def test_every_command_is_described_with_its_options() -> None:
    group = get_command(app)
    described = {name.split()[0]: name for name in cells("cli.md") if name.split()[0].replace("-", "").isalpha()}
    commands = group.commands  # type: ignore[attr-defined]
    assert set(described) >= set(commands)
    for name, command in commands.items():
        for option in (param.opts[0] for param in command.params if param.param_type_name == "option"):
            assert option in described[name] or option in {"--config", "--help"} or name == "sandbox", (
                f"{name} {option}"
            )


def test_every_dependency_has_its_line() -> None:
    project = tomllib.loads(text_of(ROOT / "pyproject.toml"))
    groups = [project["project"]["dependencies"], project["project"]["optional-dependencies"]["local"]]
    groups += project["dependency-groups"].values()
    page = text_of(DOCS / "adr" / "0002-dependencies.md")
    for group in groups:
        for entry in group:
            name = re.split(r"[<>=;~ ]", entry)[0]
            assert f"`{name}`" in page, entry


def test_every_decision_says_what_would_change_it() -> None:
    for page in (DOCS / "adr").glob("*.md"):
        assert re.match(r"# \d{4} ", text_of(page)), page.name
        assert "would change our mind" in text_of(page), page.name


def test_every_page_can_be_found_from_the_first_one() -> None:
    linked = {(DOCS / link.partition("#")[0]).resolve() for link in LINK.findall(text_of(DOCS / "README.md"))}
    assert {page.resolve() for page in DOCS.rglob("*.md")} - linked == {DOCS.resolve() / "README.md"}


def test_the_picture_can_be_drawn() -> None:
    assert ElementTree.parse(DOCS / "picture.svg").getroot().tag.endswith("svg")
