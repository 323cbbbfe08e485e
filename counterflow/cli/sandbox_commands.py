"""The sandbox's commands: the sandbox alone, and the demo. The only part outside sandbox/ that knows it."""

import json
from pathlib import Path
from typing import Annotated

import typer


def sandbox(
    folder: Annotated[Path, typer.Option(help="Where certificates and the database stand.")] = Path(
        ".counterflow/sandbox"
    ),
    database: Annotated[str | None, typer.Option(help="An empty PostgreSQL database; without it one is made.")] = None,
    ports: Annotated[str, typer.Option(help="counterpoint=8081,counterpoint-sql=5433,north=8443,south=8444")] = "",
    safe_ports: Annotated[
        str, typer.Option(help="Where the stores may send web hooks, besides 80, 443 and 8080.")
    ] = "",
    seed: int = 1,
) -> None:
    """Start the sandbox's Counterpoint and web stores alone; print their addresses as JSON, serve until stopped."""
    from counterflow.cli.roles import Stop
    from counterflow.state.server import embedded
    from sandbox.server import Sandbox, Settings
    from sandbox.shop import generate

    stop = Stop()
    url = database or embedded(folder / "postgres").url(f"sandbox_{folder.resolve().name}_{_next(folder)}")
    given = dict(pair.split("=") for pair in ports.split(",") if pair)
    settings = Settings(
        folder=folder,
        database_url=url,
        seed=seed,
        ports={name: int(port) for name, port in given.items()},
        safe_ports=frozenset(int(port) for port in safe_ports.split(",") if port),
    )
    running = Sandbox(settings, generate(seed))
    running.start()
    typer.echo(json.dumps(running.addresses()))
    stop.event.wait()
    running.stop()


def demo(
    once: Annotated[bool, typer.Option("--once", help="Play a scripted day, prove it, and end.")] = False,
    seed: Annotated[int, typer.Option(help="The same seed plays the same day.")] = 1,
    minutes: Annotated[float, typer.Option(help="How long the day is.")] = 2.5,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures there.")] = None,
) -> None:
    """Run a shop, two web stores and the pipeline on this machine."""
    import signal

    from counterflow import log
    from counterflow.cli import demo as shows

    log.set_up(role="demo", as_json=False, level="error")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # Ends as Ctrl-C does: what was started is stopped.
    try:
        code = shows.once(seed=seed, minutes=minutes, json_file=json_file) if once else shows.live(seed=seed)
    except KeyboardInterrupt:
        code = 130
    raise typer.Exit(code)


def bench(
    name: Annotated[
        str, typer.Argument(help="decide: changes a second. matches: doubles. orders, ledger, identity: what is off")
    ],
    *,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures there.")] = None,
    changes: Annotated[int, typer.Option(help="Of decide: how many changes.")] = 20_000,
    count: Annotated[int, typer.Option(help="Of orders: how many.")] = 200_000,
    schedules: Annotated[int, typer.Option(help="Of ledger: how many random days.")] = 100_000,
    worlds: Annotated[int, typer.Option(help="Of identity: how many random worlds.")] = 100_000,
    seed: Annotated[int, typer.Option(help="Of orders, ledger and identity: the dice.")] = 1,
    fit: Annotated[bool, typer.Option("--fit", help="Of matches: fit the weights anew first, and keep them.")] = False,
) -> None:
    """Measure something, and print it beside its goal."""
    from counterflow import log
    from counterflow.cli import bench as benches

    log.set_up(role="bench", as_json=False, level="error")
    if name == "matches":
        from counterflow.cli import bench_matches

        raise typer.Exit(bench_matches.run(json_file=json_file, refit=fit))
    if name == "orders":
        from counterflow.cli import bench_orders

        raise typer.Exit(bench_orders.run(count=count, seed=seed, json_file=json_file))
    if name == "ledger":
        from counterflow.cli import bench_ledger

        raise typer.Exit(bench_ledger.run(schedules=schedules, seed=seed, json_file=json_file))
    if name == "identity":
        from counterflow.cli import bench_identity

        raise typer.Exit(bench_identity.run(worlds=worlds, seed=seed, json_file=json_file))
    benches.run(name, changes=changes, json_file=json_file)


def _next(folder: Path) -> int:
    """Count the starts: each has a database of its own, so that a hard stop leaves nothing in the way."""
    counter = folder / "starts"
    number = int(counter.read_text()) + 1 if counter.exists() else 1
    folder.mkdir(parents=True, exist_ok=True)
    counter.write_text(str(number))
    return number


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(sandbox)
    app.command()(demo)
    app.command()(bench)
