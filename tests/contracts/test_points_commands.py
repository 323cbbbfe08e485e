"""Before points are switched on: the command that finds their tables, and what the doctor says of them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import create_engine, text
from typer.testing import CliRunner

from counterflow.cli.commands import app
from counterflow.cli.installation import LOYALTY
from counterflow.state.server import EmbeddedServer
from sandbox.server import Sandbox, Settings
from tests.contracts.test_doctor import values, visit, wrong

AWAY = "postgresql+psycopg://a:b@127.0.0.1:1/c"
HERE = "points in Counterpoint"
WRONG_NAMES = LOYALTY | {"unposted": {"table": "AR_LOY_PT_ADJ", "points": "POINTS", "tag": "DOC_NO"}}


@pytest.fixture(scope="module")
def box(postgres: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    running = Sandbox(Settings(folder=tmp_path_factory.mktemp("box"), database_url=postgres.url("doctor_points")))
    running.start()
    yield running
    running.stop()


def says(box: Sandbox, **changes: Any) -> dict[str, str]:
    return {one.what: one.says for one in visit(box, **changes)}


def test_nothing_is_said_of_points_where_nobody_asked_for_them(box: Sandbox) -> None:
    assert not [what for what in says(box) if "points" in what]


def test_a_good_set_up_is_well_and_says_what_waits_to_be_posted(box: Sandbox) -> None:
    given = {"counterpoint__points": LOYALTY, "stores__north__loyalty": {}}
    assert wrong(box, **given) == {}
    found = says(box, **given)
    assert found[HERE].endswith("; 0 adjustments of ours wait for staff to post")
    assert found["points of north"] == "the companion plugin keeps them"
    assert found["table USR_CF_CURSOR"] == "is there; we may insert, update"


def test_our_adjustments_that_wait_are_counted(box: Sandbox, postgres: EmbeddedServer) -> None:
    engine = create_engine(postgres.url("doctor_points"), isolation_level="AUTOCOMMIT")
    insert = """INSERT INTO "AR_LOY_PT_ADJ" ("CUST_NO", "DOC_NO", "NO_OF_PTS", "BAT_ID") VALUES ('C-1', :no, 5, 'X')"""
    with engine.connect() as connection:
        for number in ("CF-AAAAAAAAAA", "BY-HAND"):
            connection.execute(text(insert), {"no": number})
    engine.dispose()
    assert says(box, counterpoint__points=LOYALTY)[HERE].endswith("; 1 adjustments of ours wait for staff to post")


def test_a_column_that_is_not_there_is_named(box: Sandbox) -> None:
    found = wrong(box, counterpoint__points=WRONG_NAMES)
    assert list(found) == [HERE]
    assert "AR_LOY_PT_ADJ.POINTS; look with counterflow points tables" in found[HERE]


def test_a_store_with_loyalty_alone_has_its_points_off(box: Sandbox) -> None:
    found = wrong(box, stores__north__loyalty={})
    assert found[HERE].startswith("points stay off: the file has stores.north.loyalty and no counterpoint.points")


def test_a_store_without_the_plugin_is_named(box: Sandbox) -> None:
    box.stores["north"].has_companion = False
    try:
        found = wrong(box, counterpoint__points=LOYALTY, stores__north__loyalty={})
    finally:
        box.stores["north"].has_companion = True
    assert list(found) == ["points of north"]
    assert found["points of north"].startswith("not supported: the companion plugin is not there")


def test_where_the_database_or_the_store_is_away_points_are_not_looked_at(box: Sandbox) -> None:
    changes = {"counterpoint__points": LOYALTY, "stores__north__loyalty": {}}
    found = wrong(box, **changes, counterpoint__sql__url=AWAY, stores__north__secret="wrong")
    assert found[HERE] == "not looked at; first mend: Counterpoint's database"
    assert found["points of north"] == "not looked at; first mend: store north"


def tables(box: Sandbox, folder: Path, *options: str, **changes: Any) -> str:
    file = folder / "shop.yaml"
    file.write_text(yaml.safe_dump(values(box, **changes)))
    answer = CliRunner().invoke(app, ["points", "tables", "--config", str(file), *options])
    assert answer.exit_code == 0, answer.output
    return answer.stdout


def test_tables_are_listed_before_the_file_names_any(box: Sandbox, folder: Path) -> None:
    lines = tables(box, folder).splitlines()
    assert "  AR_LOY_PT_ADJ" in lines
    assert "  SY_GFC" in lines
    assert any(line.startswith("      NO_OF_PTS ") for line in lines)
    assert not [line for line in lines if line.startswith("* ") and line != "* is named in the file"]
    assert any("no name is verified" in line for line in lines)


def test_what_the_file_names_is_marked(box: Sandbox, folder: Path) -> None:
    lines = tables(box, folder, counterpoint__points=LOYALTY).splitlines()
    assert "* AR_LOY_PT_ADJ  (unposted)" in lines
    assert "* AR_LOY_PT_ADJ_HIST  (rows, adjustment)" in lines
    assert any(line.startswith("*     DOC_NO ") and line.endswith("(tag)") for line in lines)
    assert "* also named: PS_DOC_HDR (header of PS_DOC_HDR_LOY_PGM)" in lines
    assert not [line for line in lines if line.startswith("NOT THERE")]


def test_what_the_file_names_and_is_not_there_is_told(box: Sandbox, folder: Path) -> None:
    assert "\nNOT THERE, or our login may not read it: AR_LOY_PT_ADJ.POINTS\n" in tables(
        box, folder, counterpoint__points=WRONG_NAMES
    )


def test_tables_are_told_as_json(box: Sandbox, folder: Path) -> None:
    found = json.loads(tables(box, folder, "--json", counterpoint__points=LOYALTY))
    (own,) = [one for one in found["tables"] if one["is"] == "unposted"]
    assert (own["table"], found["missing"]) == ("AR_LOY_PT_ADJ", [])
    assert {"tag", "points", "customer", "at", "values"} <= {one["is"] for one in own["columns"]}


def test_gift_cards_are_looked_at_where_the_file_has_them(box: Sandbox) -> None:
    given = {"counterpoint__gift_cards": {"tag": "REF"}, "stores__north__gift_cards": {}}
    assert wrong(box, **given) == {}
    assert says(box, **given)["gift cards of north"] == "the companion plugin keeps them"
    found = wrong(box, **(given | {"counterpoint__gift_cards": {"tag": "NOWHERE"}}))
    assert "SY_GFC_ACTIV.NOWHERE" in found["gift cards in Counterpoint"]
    found = wrong(box, stores__north__gift_cards={})
    assert "gift cards stay off" in found["gift cards in Counterpoint"]
