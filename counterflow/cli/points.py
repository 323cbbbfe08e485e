"""points: find out where points stand in Counterpoint's database, before the file names it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from counterflow.cli.steer import AsJson, ConfigFile
from counterflow.config import Points

SHOP = Path("shop.yaml")
# What no public source names, and how it is found out (counterpoint 3).
LOOK_FOR = """
No public source names the table of unposted adjustments, and no name is verified: look before you fill in
counterpoint.points (docs/how-to/loyalty.md).
  unposted    Enter an adjustment of points in Counterpoint and do not post it: the table that has one row more.
  its tag     A text column of 13 characters or more (a document number, a reference) that the row still has when it
              was posted: write something there, post, and look for it among the posted ones.
  rows        What moves a balance: posted adjustments (AR_LOY_PT_ADJ_HIST was seen at shops), open documents
              (PS_DOC_HDR_LOY_PGM), posted tickets (VI_PS_TKT_HIST), or whatever grows when you try each.
  SY_GFC...   Gift cards; they are not points."""

group = typer.Typer(no_args_is_help=True, help="Points in Counterpoint's database.")


@group.command()
def tables(config: ConfigFile = SHOP, as_json: AsJson = False) -> None:
    """List the tables that may hold points or gift cards, with their columns; what the file names is marked."""
    from counterflow.cli.main import configured, tell
    from counterflow.systems.counterpoint import points, sql

    settings = configured(config, "cli").counterpoint
    engine = sql.open_engine(settings.sql.url.get_secret_value())
    try:
        with sql.reading(engine, snapshot=False) as connection:
            found = points.likely_tables(connection)
            missing = points.missing_columns(connection, settings.points) if settings.points else []
    finally:
        engine.dispose()
    answer = marked(found, named(settings.points)) | {"missing": missing}
    tell(as_json, answer, lambda: _lines(answer))


def named(settings: Points | None) -> dict[str, dict[str, str]]:
    """Give what the file names: table -> column -> what it is there. Under "" what the table is."""
    found: dict[str, dict[str, str]] = {}
    if settings is None:
        return found
    own = settings.unposted
    columns = {"": "unposted", own.customer: "customer", own.points: "points", own.tag: "tag"}
    columns |= dict.fromkeys(own.values, "values") | ({own.at: "at"} if own.at else {})
    found[own.table] = columns
    for rows in settings.rows:
        optional = {rows.minus: "minus", rows.tag: "tag"}
        columns = {"": f"rows, {rows.name}", rows.key: "key", rows.points: "points", rows.version: "version"}
        columns |= {name: what for name, what in optional.items() if name}
        if rows.header:
            found.setdefault(rows.header, {"": f"header of {rows.table}", rows.key: "key", rows.customer: "customer"})
        else:
            columns[rows.customer] = "customer"
        found[rows.table] = columns
    return found


def marked(found: Mapping[str, list[str]], names: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Mark what was found with what the file says of it."""
    return {
        "tables": [
            {
                "table": table,
                "is": names.get(table, {}).get(""),
                "columns": [{"column": one, "is": names.get(table, {}).get(one.split(" ", 1)[0])} for one in columns],
            }
            for table, columns in found.items()
        ],
        "also_named": {table: columns[""] for table, columns in names.items() if table not in found},
    }


def _lines(answer: Mapping[str, Any]) -> list[str]:
    lines = []
    for table in answer["tables"]:
        lines.append(_line("", table["table"], table["is"]))
        lines += [_line("    ", one["column"], one["is"]) for one in table["columns"]]
    if not answer["tables"]:
        lines.append("no table whose name sounds like points or gift cards; may our login see them (SELECT)?")
    lines += ["", "* is named in the file"]
    lines += [f"* also named: {table} ({what})" for table, what in answer["also_named"].items()]
    lines += [f"NOT THERE, or our login may not read it: {name}" for name in answer["missing"]]
    return [*lines, *LOOK_FOR.splitlines()]


def _line(indent: str, name: str, what: str | None) -> str:
    return f"{'*' if what else ' '} {indent}{name}" + (f"  ({what})" if what else "")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="points")
