"""The demo: everything on this machine. Live, for people to try; or `--once`, a scripted day that proves itself."""

import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from counterflow.cli.installation import LOGIN_EMAIL, PER_HOUR, SWEEP_S, Installation, Pipeline
from counterflow.cli.rebuild import compare_rebuilt
from sandbox import lives
from sandbox.aftermath import check_gift_cards, check_refunds, check_shipments, check_till_returns
from sandbox.day import Day
from sandbox.gift_cards import GiftCards, check_balances
from sandbox.life import Life
from sandbox.points import Points, check_points
from sandbox.remote import Remote
from sandbox.shop import Shop, generate
from sandbox.storm import Storm, play
from sandbox.strangers import Strangers
from sandbox.truth import Flow, Site, Truth

CALM_S, CALM_PER_S = 40.0, 10.0
CALM_DELAY_S = 0.05  # Stores answer in 50 ms.
STORM_PER_S = 4.0
QUIET_S = 8.0  # Longer than a store's poll; customers whose web hook was lost are found by a sweep, or the next one.
SETTLE_S_MAX = 300.0
GOALS = {"stock -> store": ("p95_s", 1.0), "order -> document": ("p95_s", 2.0)}
console = Console(stderr=True)


def once(*, seed: int, minutes: float, json_file: Path | None) -> int:
    """Play a day, wait until nothing is left to do, compare, replay, report. Gives the exit code."""
    with ExitStack() as stack:
        made = stack.enter_context(Installation(seed=seed))
        pipeline = stack.enter_context(made.pipeline())
        remote, shop = Remote(made.addresses), generate(seed)
        pipeline.master_on()
        _say("waiting until both stores show what the shop has")
        _settle(made, pipeline, remote)
        life, points, cards = _people(remote, shop, seed)
        prefixes = {name: site.prefix for name, site in made.sites().items()}
        _settle(made, pipeline, remote)
        day = Day(remote, shop, random.Random(seed), prefixes, life, points, cards)
        day.open()
        strangers = _strangers(day, seed)
        for store in remote.stores:
            remote.faults(store, delay_s=CALM_DELAY_S)
        calm_s = min(CALM_S, minutes * 60 / 3)
        _say(f"the calm part: {calm_s:.0f} s at {CALM_PER_S:.0f} changes a second")
        calm_from = time.time()
        play(day, seconds=calm_s, per_second=CALM_PER_S, storm=None, seed=seed)
        calm_until = time.time()
        _settle(made, pipeline, remote)
        rss = pipeline.rss_mib()
        points.is_calm = False
        storm = Storm(remote=remote, kill=pipeline.kill_one, told=_say)
        storm_s = max(20.0, minutes * 60 - calm_s)
        _say(f"the rest of the day: {storm_s:.0f} s at {STORM_PER_S:.0f} changes a second, and things break")
        play(day, seconds=storm_s, per_second=STORM_PER_S, storm=storm, seed=seed)
        life.finish()
        _settle(made, pipeline, remote, quiet_s=1.0)
        for people in (day, points, cards):
            people.finish()
        _do_what_is_asked(made, pipeline, remote)
        _say("waiting until nothing is left to do")
        _settle(made, pipeline, remote, quiet_s=2 * SWEEP_S + QUIET_S)
        states = {name: remote.state(name) for name in ("counterpoint", *remote.stores)}
        journal = remote.journal()
        truth = Truth(journal, states, made.sites(), shop, life.merged)
        flows = _flows(truth, made.sites(), (life, points, cards), states, journal)
        flows.append(strangers.check(states, journal, prefixes))
        _say("replaying every change into the live state")
        live = _replay_live(made, pipeline, remote)
        _say("replaying every change into an empty state")
        differences = compare_rebuilt(made)
        journal = remote.journal()  # With what the replay wrote, if it did.
    calm = [truth.check_orders(calm_from, calm_until), *truth.check_stock(calm_from, calm_until)]
    report = {
        "seed": seed,
        "flows": [one.row() for one in flows],
        "calm": [one.row() for one in calm],
        "wrong": sum(len(one.wrong) for one in flows),
        "unseen": [text for one in flows for text in one.unseen],
        "replay_changes": live + len(differences),
        "faults": storm.happened,
        "rss_mib": rss,
    }
    _show(report, flows, differences, json_file)
    is_right = report["wrong"] == 0 and report["replay_changes"] == 0
    if not is_right or report["unseen"]:
        said = {"wrong": [text for one in flows for text in one.wrong], "differences": differences}
        _keep_evidence(
            made.folder.parent / f"day-{seed}.json", life, report=report | said, journal=journal, states=states
        )
    return 0 if is_right else 1


def _flows(
    truth: Truth,
    sites: Mapping[str, Site],
    people: tuple[Life, Points, GiftCards],
    states: Mapping[str, Any],
    journal: Sequence[Mapping[str, Any]],
) -> list[Flow]:
    """Compare what the systems show with what was done, flow by flow."""
    life, points, cards = people
    return [
        truth.check_orders(0, time.time()),
        truth.check_customers(),
        *truth.check_stock(0, time.time()),
        check_shipments(journal, states, sites),
        check_refunds(journal, states, sites),
        check_till_returns(journal, states, sites),
        check_gift_cards(life.shop, states),
        check_points(points, states, journal),
        check_balances(cards, states, journal),
        lives.check_profiles(life, states, journal),
        lives.check_accounts(life, states, journal, per_hour=PER_HOUR),
    ]


def _keep_evidence(path: Path, life: Life, **day: Any) -> None:
    """Write down what was done and what each system shows: the next day's dice fall otherwise."""
    day |= {"accounts": life.accounts, "edits": [asdict(one) for one in life.edits], "merged": life.merged}
    path.write_text(json.dumps(day, default=str) + "\n")
    console.print(f"what everybody did, and what each system shows: {path}")


def _people(remote: Remote, shop: Shop, seed: int) -> tuple[Life, Points, GiftCards]:
    """Find out whose profiles and points, and which gift cards, the day is about."""
    life = Life(remote, shop, random.Random(f"life {seed}"))
    life.open()
    life.follows = frozenset(store for store, setting in LOGIN_EMAIL.items() if setting == "follow")
    points = Points(remote, life, random.Random(f"collectors {seed}"))
    points.open()
    cards = GiftCards(remote, shop, random.Random(f"cards {seed}"))
    cards.open()
    return life, points, cards


def _strangers(day: Day, seed: int) -> Strangers:
    """Let people order in odd ways beside the day's."""
    strangers = Strangers(day.remote, day, random.Random(f"strangers {seed}"))
    strangers.open()
    day.beside = strangers.step
    return strangers


def _enter_returns(pipeline: Pipeline, remote: Remote) -> None:
    """Let staff enter the return of each refund, exactly as they are asked to."""
    for facts in pipeline.asked("order-refund"):
        body = {"order": facts["order"], "pay_code": facts["pay_codes"][0]}
        body |= {name: facts[name] for name in ("lines", "shipping", "tax", "goodwill", "amount")}
        remote.post("counterpoint", f"documents/{facts['marker']}/return", **body).raise_for_status()


def _do_what_is_asked(made: Installation, pipeline: Pipeline, remote: Remote) -> None:
    """Let staff enter the return of each refund, sell each card that the web has sold, accept what was written over."""
    _settle(made, pipeline, remote)  # What the last of the day asks is asked after a poll.
    _enter_returns(pipeline, remote)
    for facts in pipeline.asked("gift-card-bought"):
        card = {"number": facts["number"], "amount": facts["cents"] / 100, "code": "GC"}
        remote.post("counterpoint", "gift-cards", **card).raise_for_status()
    for facts in pipeline.asked("points-unexplained"):
        pipeline.decide(f"points-unexplained:{facts['entry']}", "accept")


def _settle(made: Installation, pipeline: Pipeline, remote: Remote, quiet_s: float = QUIET_S) -> None:
    """Wait until nothing is on its way: no open row, an empty queue in Counterpoint, and for a while no news."""
    deadline = time.monotonic() + SETTLE_S_MAX
    last, quiet_since = -1, time.monotonic()
    while time.monotonic() < deadline:
        count = len(remote.journal())
        if count != last or pipeline.open_rows() or made.queue_length():
            last, quiet_since = count, time.monotonic()
        elif time.monotonic() - quiet_since > quiet_s:
            return
        time.sleep(0.3)
    console.print(f"[yellow]not quiet after {SETTLE_S_MAX:.0f} s; comparing all the same")


def _replay_live(made: Installation, pipeline: Pipeline, remote: Remote) -> int:
    """Rewind everything and handle it again; gives the number of writes at any system that came of it."""
    before, commands, begun = len(_writes(remote)), made.commands(), datetime.now(UTC)
    pipeline.restart_rewound()
    _settle(made, pipeline, remote)
    written, sent = _writes(remote)[before:], made.commands() - commands
    if written or sent:
        for entry in written:
            console.print(f"[red]replay[/]: written: {entry['system']} {entry['kind']} {entry['key']} {entry['data']}")
        for line in pipeline.done_since(begun):
            console.print(f"[red]replay[/]: sent: {line}")
    return len(written) + sent


def _writes(remote: Remote) -> list[dict[str, Any]]:
    return [one for one in remote.journal() if one["actor"] == "api" and one["kind"] not in {"webhook", "read"}]


def _show(report: dict[str, Any], flows: Sequence[Flow], differences: Sequence[str], json_file: Path | None) -> None:
    if json_file:
        json_file.write_text(json.dumps(report, indent=1) + "\n")
    for name, rows in (("The whole day", report["flows"]), ("The calm part", report["calm"])):
        table = Table(title=name, title_justify="left")
        for column in ("flow", "changes", "applied", "p50 s", "p95 s", "p99 s", "wrong", "goal"):
            table.add_column(column, justify="left" if column == "flow" else "right")
        for row in rows:
            goal = GOALS.get(row["flow"]) if name != "The whole day" else None
            said = f"p95 <= {goal[1]:.0f} s: {'met' if (row[goal[0]] or 0) <= goal[1] else 'MISSED'}" if goal else ""
            table.add_row(*(str("-" if value is None else value) for value in row.values()), said)
        console.print(table)
    _show_each(flows, differences)
    console.print(
        f"seed {report['seed']}: wrong {report['wrong']}, replay changes {report['replay_changes']}, "
        f"memory of our processes {report['rss_mib']} MiB (goal 600)"
    )


def _show_each(flows: Sequence[Flow], differences: Sequence[str]) -> None:
    for flow in flows:
        for text in flow.wrong[:20]:
            console.print(f"[red]wrong[/]: {flow.flow}: {text}")
        for text in flow.unseen:
            console.print(f"[yellow]nobody's[/]: {flow.flow}: {text}")
    for text in differences[:20]:
        console.print(f"[red]replay[/]: {text}")


def _say(text: str) -> None:
    console.print(f"[dim]{datetime.now(UTC):%H:%M:%S}[/] {text}")


def live(*, seed: int) -> int:
    """Run everything until stopped, and show each applied change with its delay."""
    with ExitStack() as stack:
        made = stack.enter_context(Installation(seed=seed))
        pipeline = stack.enter_context(made.pipeline())
        remote = Remote(made.addresses)
        pipeline.master_on()
        with console.status("the stores learn what the shop has (2,000 customers, 500 items)"):
            _fill(made, pipeline)
        console.print("\n[bold]counterflow is running.[/] Try it; every page changes as the other side does:")
        for name, page in made.addresses["pages"].items():
            console.print(f"  {name:<13} {page}")
        console.print(f"  steering      ./run cli status --config {made.config_file}")
        ports = {role: f"http://127.0.0.1:{child['port']}/metrics" for role, child in pipeline.children().items()}
        console.print(
            f"  metrics       {ports['process']} (and of each other process: {made.folder / 'run'}/processes.json)"
        )
        console.print("Each line below is one change at its target. Stop with Ctrl-C.\n")
        try:
            for line in _tail(remote, len(remote.journal())):
                console.print(line)
        except KeyboardInterrupt:
            console.print("stopping")
    return 0


def _fill(made: Installation, pipeline: Pipeline) -> None:
    """Wait until the first figures have reached the stores."""
    deadline = time.monotonic() + SETTLE_S_MAX
    calm = 0
    while calm < 4 and time.monotonic() < deadline:
        calm = 0 if pipeline.open_rows() or made.queue_length() else calm + 1
        time.sleep(0.5)


def _tail(remote: Remote, seen: int) -> Iterator[str]:
    """Follow the journal from an entry on: each write of ours, and how long after what caused it."""
    causes: dict[str, float] = {}
    applied = 0
    while True:
        for entry in remote.journal(seen):
            seen = entry["seq"]
            at, key, data = entry["at"], entry["key"], entry["data"]
            if entry["actor"] != "api":
                causes[key] = at
                for line in data.get("lines", []) if isinstance(data.get("lines"), list) else []:
                    causes[line["sku"]] = at
                yield f"[dim]{_clock(at)}  {entry['system']:<13} {entry['actor']:<8} {entry['kind']} {key}[/]"
            elif entry["kind"] in {"stock", "document", "customer"}:
                applied += 1
                cause = key if entry["kind"] == "stock" else str(data.get("CUST_PO_NO") or "").partition("-")[2]
                late = f"{at - causes[cause]:6.2f} s" if cause in causes else "        "
                what = f"offers {data['quantity']}" if entry["kind"] == "stock" else str(data.get("CUST_PO_NO") or "")
                where = f"{_clock(at)}  {entry['system']:<13} [green]{late}[/]"
                yield f"{where} {entry['kind']} {key} {what}  [dim]({applied} applied)[/]"
        time.sleep(0.2)


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S}"
