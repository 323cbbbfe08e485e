"""bench identity: does anything of one person ever reach another, and how often is a first link asked about?"""

import json
from collections import Counter
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import track

from counterflow.cli.bench_worlds import STEPS, Violation, play
from processors.rules.blocking import Person
from processors.rules.names import Name, are_clearly_others
from sandbox import people
from sandbox.people import generate
from schemas.records import Address


def first_links(seed: int, *, records: int = 20_000) -> tuple[Counter[str], Counter[str]]:
    """Count how often a first link is asked about in the generated shop: of one person, and of two of a family.

    Each person's first record is the point of sale's; it and each double that kept the e-mail are accounts. Where a
    family shares an address, only one of them is a customer: with two it would be a question anyway.
    """
    known = generate(seed, records=records)
    holders: dict[str, people.Known] = {}
    for one in known:
        if one.kind == "first" and one.person.email:
            holders.setdefault(one.person.email, one)
    same, family = Counter[str](), Counter[str]()
    for one in known:
        holder = holders.get(one.person.email) if one.person.email else None
        if holder is not None:
            asked = are_clearly_others(_name(one.person), _name(holder.person))
            (same if holder.who == one.who else family)["asked" if asked else "linked"] += 1
    return same, family


def _name(person: Person) -> Name:
    place = Address(line_1=person.line_1, postcode=person.postcode, company=person.company, phone=person.phone)
    return Name.typed(msgspec.structs.replace(place, first_name=person.first_name, last_name=person.last_name))


def run(*, worlds: int, seed: int, json_file: Path | None) -> int:
    """Play random worlds and print the counts. Gives the exit code: 1 where a law is broken."""
    counts, violations = Counter[str](), list[str]()
    for number in track(range(worlds), "worlds", console=Console(stderr=True), transient=True):
        try:
            counts += play(seed + number)
        except Violation as error:
            violations.append(f"seed {seed + number}: {error}")
    same, family = first_links(seed)
    output = Console()
    output.print(f"{worlds:,} worlds of {STEPS} steps (seeds from {seed}); violations: {len(violations)} (goal 0)")
    found = counts["true pairs linked"] / max(1, counts["true pairs"])
    output.print(f"true pairs linked: {found:.2%}, asked about: {counts['true pairs asked about']:,}")
    asked = same["asked"] / same.total()
    output.print(f"generated shop, first links of one person: {same.total():,}, asked: {asked:.2%} (goal under 1 %)")
    output.print(
        f"  of two of a family on one address: {family.total():,}, asked: {family['asked'] / family.total():.2%}"
    )
    for name, count in [*counts.most_common(), *((one, 1) for one in violations[:5])]:
        output.print(f"  {name:<52} {count:>10,}")
    if json_file:
        report = {"bench": "identity", "worlds": worlds, "violations": violations, "counts": dict(counts)}
        report |= {"first_links": dict(same), "families": dict(family)}
        json_file.write_text(json.dumps(report, indent=1) + "\n")
    return int(bool(violations))
