"""The match review on the command line: who may be whom, what speaks for it, and what a person says."""

import csv
import multiprocessing
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import typer

from counterflow.cli.steer import AsJson, ConfigFile, ask
from processors.rules import matching
from processors.rules.blocking import SHARED, STRONG, Person, Plain, keys_of, person_of
from schemas.requests import DecideMatch, RefitMatches

SHOP = Path("shop.yaml")
CROWD = 60  # Holders of one key in a whole-list pass: above it the key says nothing.
SLICE = 20_000  # Pairs that a worker scores at a time.
LINES_MAX = 40
Found = tuple[str, str, float]


def matches(
    config: ConfigFile = SHOP,
    everything: Annotated[bool, typer.Option("--all", help="Also what was decided.")] = False,
    as_json: AsJson = False,
) -> None:
    """List who may be whom, the likeliest first, with what speaks for it and against it."""
    from counterflow.cli.main import configured, tell
    from counterflow.cli.roles import state_url
    from counterflow.state import matches as state
    from counterflow.state.database import begin, open_database

    names = ("one", "other", "percent", "evidence", "state", "decision", "decided_by")
    with begin(open_database(state_url(configured(config, "cli")))) as connection:
        rows = state.listed(connection, also_decided=everything)
        answer = [{name: getattr(row, name) for name in names} for row in rows]
    for row in answer:
        row["evidence"] = msgspec.json.decode(row["evidence"])
    tell(as_json, answer, lambda: _lines(answer))


def _lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    if not rows:
        return ["nobody waits: no two records look like one person"]
    lines = []
    for row in rows:
        decided = f"  {row['decision']} by {row['decided_by']}" if row["decision"] else ""
        lines.append(f"{row['percent']:>3} %  {row['one']}  {row['other']}{decided}")
        told = (one for one in row["evidence"] if one["field"] != "base" and one["how"] != "missing on a side")
        lines.append("       " + ", ".join(f"{one['field']} {one['how']} ({one['weight']:+.1f})" for one in told))
    return lines


def match(
    one: Annotated[str, typer.Argument(help="As `matches` names it: counterpoint/10042, north/77.")],
    other: str,
    decision: Literal["same", "different", "new", "later", "undo"],
    config: ConfigFile = SHOP,
) -> None:
    """Say of two records whether they are one person: same, different, new (nobody known), later, or undo."""
    from counterflow.cli.main import configured

    what = DecideMatch(one=one, other=other, decision=decision)
    ask(configured(config, "cli"), what, key="|".join(sorted((one, other))))


def refit(config: ConfigFile = SHOP) -> None:
    """Fit the percentages to the shop's own decisions: what was called the same, and what different."""
    from counterflow.cli.main import configured

    ask(configured(config, "cli"), RefitMatches(), key="matches")
    typer.echo("asked; the workers fit them, and say in their log to how many decisions", err=True)


def duplicates(
    system: Annotated[str, typer.Option(help="Whose customers.")] = "counterpoint",
    least: Annotated[float, typer.Option(help="The smallest share that is told, 0 to 1.", min=0.01, max=1.0)] = 0.5,
    out: Annotated[Path | None, typer.Option(help="A CSV file for all of them.")] = None,
    config: ConfigFile = SHOP,
) -> None:
    """Look through a whole list of customers for doubles: for the first day at a shop."""
    from counterflow.cli.main import configured
    from counterflow.cli.roles import state_url
    from counterflow.state import profiles, records
    from counterflow.state.database import begin, open_database
    from schemas.records import Customer

    entity = "AR_CUST" if system == "counterpoint" else "customers"
    with begin(open_database(state_url(configured(config, "cli")))) as connection:
        keys = profiles.keys(connection, system, entity)
        people = [person_of(one) for one in records.read(connection, system, entity, keys, Customer).values()]
    found = run_pass(people, least=least)
    if out:
        with out.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("one", "other", "share"), *found])
    bands = Counter(min(9, int(share * 10)) for _, _, share in found)
    typer.echo(f"{len(people):,} customers, {len(found):,} pairs of {least:.0%} and more")
    for band, count in sorted(bands.items(), reverse=True):
        typer.echo(f"{band * 10:>4} %  {count:>7,}  {'#' * min(60, count)}")
    for one, other, share in found[:LINES_MAX]:
        typer.echo(f"{share:>5.0%}  {one}  {other}")


def run_pass(people: Sequence[Person], *, least: float, progress: bool = True) -> list[Found]:
    """Compare everybody with everybody who shares a key, on all cores; gives the likely pairs, the likeliest first."""
    pairs = _pairs(people)
    slices = [pairs[start : start + SLICE] for start in range(0, len(pairs), SLICE)]
    found: list[Found] = []
    context = multiprocessing.get_context("fork" if os.name == "posix" else "spawn")
    with context.Pool(initializer=_begin, initargs=(people, least)) as pool:
        bar = typer.progressbar(length=len(pairs), label=f"{len(pairs):,} pairs", file=typer.get_text_stream("stderr"))
        with bar as shown:
            for part, count in zip(pool.imap(_score, slices), map(len, slices), strict=True):
                found += part
                if progress:
                    shown.update(count)
    return sorted(found, key=lambda one: (-one[2], one[0], one[1]))


def _pairs(people: Sequence[Person]) -> list[tuple[int, int]]:
    holders: dict[str, list[int]] = {}
    for at, person in enumerate(people):
        for key in keys_of(person):
            holders.setdefault(key, []).append(at)
    shared: Counter[tuple[int, int]] = Counter()
    for key, own in holders.items():
        if 1 < len(own) <= CROWD:
            weight = SHARED if key.startswith(STRONG) else 1
            for pair in combinations(own, 2):
                shared[pair] += weight
    return [pair for pair, count in shared.items() if count >= SHARED]


_work: dict[str, Any] = {}  # Of one worker process: what it compares by.


def _begin(people: Sequence[Person], least: float) -> None:
    _work["keys"] = [person.key for person in people]
    _work["plain"] = [Plain.of(person) for person in people]
    _work["common"], _work["model"], _work["least"] = matching.count(people), matching.load_model(), least


def _score(pairs: Sequence[tuple[int, int]]) -> list[Found]:
    return list(_likely(pairs))


def _likely(pairs: Sequence[tuple[int, int]]) -> Iterator[Found]:
    plain, common, model = _work["plain"], _work["common"], _work["model"]
    for one, other in pairs:
        values = matching.features(plain[one], plain[other], common)
        share = matching.share(model.base + sum(matching.weigh(values, model).values()))
        if share >= _work["least"]:
            yield _work["keys"][one], _work["keys"][other], round(share, 4)


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (matches, match, refit, duplicates):
        app.command()(command)
