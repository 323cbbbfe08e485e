"""Every statement that reaches a SQL Server, as T-SQL, against a golden file (docs/facts/sql-server.md 8).

To write the files anew: COUNTERFLOW_GOLDEN=write pytest this file, and then read the difference.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Dialect, Table, TextClause
from sqlalchemy.dialects.mssql import pyodbc
from sqlalchemy.engine.result import IteratorResult, SimpleResultMetaData

from counterflow.cli.installation import LOYALTY
from counterflow.config import GiftCards, Points
from counterflow.systems.counterpoint import cards, customers, letters, points, releases, sql, tracking
from counterflow.systems.counterpoint.dialects import app_lock, oldest_active

GOLDEN = Path(__file__).parent / "golden"
NOON = datetime(2026, 1, 5, 12)


class Answer(IteratorResult[Any]):
    """Rows as SQLAlchemy gives them, and how many a statement touched."""

    rowcount = 0


class Recorder:
    """A connection to a SQL Server that is not there: it compiles what it is asked, and answers what it was told.

    A row that has an "of" answers only the statements that begin so.
    """

    def __init__(self, *rows: Mapping[str, Any]) -> None:
        self.dialect: Dialect = pyodbc.dialect(paramstyle="qmark")  # type: ignore[no-untyped-call]
        self.statements: list[str] = []
        self._rows = rows

    def execute(self, statement: Any, parameters: Mapping[str, Any] | None = None) -> Answer:
        if isinstance(statement, TextClause) and parameters:
            statement = statement.bindparams(**parameters)
        compiled = statement.compile(dialect=self.dialect, compile_kwargs={"render_postcompile": True})
        lines = [line.rstrip() for line in str(compiled).strip().splitlines()]
        self.statements.append("\n".join(lines))
        mine = [dict(row) for row in self._rows if self.statements[-1].startswith(row.get("of", ""))]
        mine = [{name: value for name, value in row.items() if name != "of"} for row in mine]
        columns = list(mine[0]) if mine else ["nothing"]
        answer = Answer(SimpleResultMetaData(columns), iter([tuple(row.values()) for row in mine]))
        answer.rowcount = len(mine)
        return answer

    @contextmanager
    def begin(self) -> Iterator["Recorder"]:
        yield self


def recorded(work: Callable[[Any], Any], *rows: Mapping[str, Any]) -> str:
    """Give what a piece of work sends, its statements parted by a line."""
    recorder = Recorder(*rows)
    work(recorder)
    assert recorder.statements
    return "\n\n".join(recorder.statements)


def of_table(name: str, table: Table) -> dict[str, str]:
    """Give the statements about one of Counterpoint's tables."""
    key = {"IM_INV": ["I1", "MAIN"], "PS_DOC_HDR": ["100001"]}.get(name, ["K1"])
    versions = {"cur": 7, "lo": 1, "noted": None}
    return {
        f"versions_{name}": recorded(lambda one: tracking.SqlServer(one).versions(table), versions),
        f"changes_{name}": recorded(lambda one: tracking.SqlServer(one).changes(table, 7)),
        f"page_first_{name}": recorded(lambda one: tracking.SqlServer(one).page(table, [], 1000)),
        f"page_next_{name}": recorded(lambda one: tracking.SqlServer(one).page(table, key, 1000)),
        f"rows_by_key_{name}": recorded(lambda one: sql.rows_by_key(one, table, [key, key])),
    }


def of_releases() -> dict[str, str]:
    number = releases.numbers_of
    parts = {f"release_lines_{fate}": (lines, releases.lines_of) for fate, _, lines in releases.PLACES}
    heads = {f"release_header_{fate}": (headers, releases.is_there) for fate, headers, _ in releases.PLACES}
    return {
        name: recorded(lambda one, table=table, work=work: work(one, table, 600))  # type: ignore[misc]
        for name, (table, work) in (parts | heads).items()
    } | {"release_tracking": recorded(lambda one: number(one, 600, "PS_DOC_PKG_TRK_NO", "PKG_TRK_NO"))}


def of_look_ups() -> dict[str, str]:
    posted = [sql.PS_ORD_HIST, sql.PS_TKT_HIST]
    return {
        "missing_columns": recorded(sql.missing_columns),
        "letters": recorded(letters.ask),
        **of_releases(),
        "customers_with_email": recorded(lambda one: sql.customers_with_email(one, "ana@example.com")),
        "customers_with_comment": recorded(lambda one: customers.with_comment(one, "Web order north/1042")),
        "customers_have_comments": recorded(customers.has_comments),
        "documents_with_marker": recorded(
            lambda one: sql.documents_with_marker(one, "N-17", [sql.PS_DOC_HDR, *posted])
        ),
        "document_tables": recorded(sql.document_tables, {"TABLE_NAME": "PS_ORD_HIST"}),
    }


def of_our_own_tables() -> dict[str, str]:
    claim = {"CLAIM_KEY": "document:N-17", "STATE": "refused", "REMOTE": "", "AT_UTC": NOON, "now": NOON}
    return {
        "app_lock": recorded(lambda one: app_lock(one, "counterflow:document:N-17")),
        "take_claim_first": recorded(lambda one: sql.take_claim(one, "document:N-17", keep_out_s=60)),
        "take_claim_again": recorded(lambda one: sql.take_claim(one, "document:N-17", keep_out_s=60), claim),
        "done_claim": recorded(lambda one: sql.done_claim(one, "document:N-17")),
        "settle_claim": recorded(lambda one: sql.settle_claim(one, "document:N-17", state="done", remote="100002")),
        "queue_rows": recorded(lambda one: one.execute(sql.queue_rows(2000))),
        "forget_queue_rows": recorded(lambda one: sql.forget_queue_rows(one, [4, 7])),
        "note": recorded(lambda one: tracking.note(one, {"AR_CUST": 1_767_600_000_001})),
    }


def of_points() -> dict[str, str]:
    settings = Points.model_validate(LOYALTY)
    adjustment, is_open, posted = settings.rows
    bare = adjustment.model_copy(update={"tag": None})
    rows = {"tag": adjustment, "header": is_open, "minus": posted, "bare": bare}
    version, there = {"of": "SELECT [USR_CF_CURSOR]", "VER": 7}, {"of": "SELECT [AR_CUST]", "CUST_NO": "C-1"}

    def new_rows(one: Any, name: str) -> None:
        points.new_rows(one, settings.model_copy(update={"rows": [rows[name]]}), after=4_294_967_300)

    def adjust(one: Any) -> None:
        points.adjust(one, settings, tag="CF-ABCDEFGHIJ", cust_no="C-1", points=-5)

    return {
        "points_customers": recorded(lambda one: points.customers(one, ["C-1", "C-2"])),
        "points_page": recorded(lambda one: points.page(one, "C-1", 1000)),
        **{f"points_rows_{name}": recorded(lambda one, name=name: new_rows(one, name)) for name in rows},  # type: ignore[misc]
        "points_unposted": recorded(lambda one: points.unposted(one, settings)),
        "points_next_version_first": recorded(points.next_version),
        "points_next_version_later": recorded(points.next_version, version),
        "points_last_version": recorded(points.last_version),
        "points_adjust": recorded(adjust, version, there),
        "points_likely_tables": recorded(points.likely_tables),
        "points_missing_columns": recorded(lambda one: points.missing_columns(one, settings)),
        "oldest_active": recorded(oldest_active),
    }


def of_cards() -> dict[str, str]:
    settings = GiftCards(tag="DOC_NO", values={"STR_ID": "MAIN"})
    row = {"of": "SELECT [SY_GFC_ACTIV].[GFC_NO], [SY_GFC_ACTIV].[SEQ_NO]", "GFC_NO": "GC-1", "SEQ_NO": 2, "AMT": -1}
    row |= {"DOC_ID": 600, "tag": "", "row_version": 9}
    touched = {"of": "UPDATE [SY_GFC]", "GFC_NO": "GC-1"}

    def adjust(one: Any) -> None:
        cards.adjust(one, settings, tag="CF-ABCDEFGHIJ", number="GC-1", amount=-500)

    return {
        "cards_page": recorded(lambda one: cards.page(one, "GC-1", 1000)),
        "cards_shown": recorded(lambda one: cards.shown(one, ["GC-1", "GC-2"])),
        "cards_changed": recorded(lambda one: cards.changed(one, after=4_294_967_300)),
        "cards_rows": recorded(lambda one: cards.new_rows(one, settings, after=4_294_967_300), row),
        "cards_adjust": recorded(adjust, touched),
        "cards_missing_columns": recorded(lambda one: cards.missing_columns(one, settings)),
    }


STATEMENTS = of_cards() | of_look_ups() | of_our_own_tables() | of_points()
for tracked in sql.TRACKED.items():
    STATEMENTS |= of_table(*tracked)


@pytest.mark.parametrize("name", STATEMENTS)
def test_the_statement_is_the_one_that_was_reviewed(name: str) -> None:
    file = GOLDEN / f"{name}.sql"
    if os.environ.get("COUNTERFLOW_GOLDEN") == "write":
        file.write_text(STATEMENTS[name] + "\n")
    assert file.read_text() == STATEMENTS[name] + "\n"


def test_there_is_no_golden_file_without_a_statement() -> None:
    assert {file.stem for file in GOLDEN.glob("*.sql")} == set(STATEMENTS)


@pytest.mark.parametrize(
    "word",
    [
        pytest.param(r"\bOUTPUT\b", id="no OUTPUT: error 334 on a table with triggers"),
        pytest.param(r"\bMERGE\b", id="no MERGE"),
        pytest.param(r"\bNOLOCK\b", id="no dirty reads"),
        pytest.param(r"SELECT\s+(TOP\s+\S+\s+)?\*", id="no SELECT *"),
        pytest.param(r"\bRETURNING\b|\bLIMIT\b|__\[POSTCOMPILE", id="nothing that SQL Server does not know"),
        pytest.param(r"\) = 1\b", id="no boolean: SQL Server has none, and SQLAlchemy would compare it with 1"),
    ],
)
def test_no_statement_has(word: str) -> None:
    assert [file.stem for file in GOLDEN.glob("*.sql") if re.search(word, file.read_text(), re.IGNORECASE)] == []


def test_nocount_is_switched_off_again_and_before_anything_is_thrown() -> None:
    for file in GOLDEN.glob("*.sql"):
        text = file.read_text().upper()
        for on in re.finditer("SET NOCOUNT ON", text):
            rest = text[on.end() :]
            assert "SET NOCOUNT OFF" in rest, file.stem
            assert "THROW" not in rest[: rest.index("SET NOCOUNT OFF")], file.stem


def test_only_our_own_tables_are_written_and_adjustments_that_wait_and_gift_cards() -> None:
    written = {
        found
        for file in GOLDEN.glob("*.sql")
        for found in re.findall(r"(?:INSERT INTO|UPDATE|DELETE FROM)\s+([\w.\[\]]+)", file.read_text())
    }
    ours = {"USR_CF_CLAIM", "USR_CF_CURSOR", "USR_CF_QUEUE"}
    assert {one.replace("dbo.", "").strip("[]") for one in written} == ours | {
        "AR_LOY_PT_ADJ",
        "SY_GFC",
        "SY_GFC_ACTIV",
    }
