"""The counterflow command. Data goes to standard output, talk to standard error.

Exit codes: 0 done; 1 something is wrong (doctor, demo --once); 2 wrong use; 3 the set-up is wrong, the message says
what to mend; 70 a bug; 75 stuck, start again.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from counterflow import log
from counterflow.config import SECRETS_VARIABLE, Config, load
from counterflow.errors import Trouble

EXIT_BROKEN = 3
# They live for months, eight on one machine: what the other commands need would be a third of their memory.
PROCESSES = frozenset({"produce", "process", "consume", "up"})
app = typer.Typer(no_args_is_help=True, add_completion=False, help="Keeps Counterpoint and web stores in step.")

ConfigFile = Annotated[Path, typer.Option("--config", help="The shop's file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Answer as JSON.")]
Port = Annotated[int, typer.Option(help="Of this process's own pages; 0 is any free one.")]
SHOP = Path("shop.yaml")


def main() -> None:
    """Run the command line; our own errors are one clear line, not a trace."""
    try:
        if not PROCESSES.intersection(sys.argv[1:2]):
            from counterflow.cli import commands  # noqa: F401  # They add themselves to `app`.
        app()
    except Trouble as error:
        sys.stderr.write(f"counterflow: {error}\n")
        raise SystemExit(EXIT_BROKEN) from error


def configured(file: Path, role: str) -> Config:
    """Read the configuration and set the log up. Raises Broken with every problem of the file."""
    secrets = os.environ.get(SECRETS_VARIABLE)
    config = load(file, secrets_dir=Path(secrets) if secrets else None)
    log.set_up(role=role, as_json=config.log_format == "json")
    return config


def tell(as_json: bool, answer: Any, lines: Callable[[], list[str]]) -> None:
    """Print an answer, for a script or for a person."""
    typer.echo(json.dumps(answer, default=str) if as_json else "\n".join(lines()))


@app.command()
def produce(system: str, config: ConfigFile = SHOP, port: Port = 0) -> None:
    """Publish what changes in one system (counterpoint, or a store's id)."""
    from counterflow.cli import roles

    roles.produce(known(configured(config, f"produce-{system}"), system), system, port)


@app.command()
def process(config: ConfigFile = SHOP, port: Port = 0, worker: int = 1) -> None:
    """Decide what follows from changes. Several workers share the work; each has a number."""
    from counterflow.cli import roles

    roles.process(configured(config, f"process-{worker}"), port, worker=worker)


@app.command()
def consume(system: str, config: ConfigFile = SHOP, port: Port = 0) -> None:
    """Carry out the commands for one system (counterpoint, or a store's id)."""
    from counterflow.cli import roles

    roles.consume(known(configured(config, f"consume-{system}"), system), system, port)


@app.command()
def up(config: ConfigFile = SHOP) -> None:
    """Run all processes on this machine and start again what leaves."""
    from counterflow.cli import roles
    from counterflow.cli.up import Supervisor

    settings = configured(config, "up")
    environment = {"COUNTERFLOW_STATE__URL": roles.state_url(settings)}
    folder = settings.state.folder.resolve().parent / "run"
    Supervisor(settings, config.resolve(), environment, folder).run(roles.roles(settings))


def known(config: Config, system: str) -> Config:
    """Give the configuration back. Raises BadParameter where it has no such system."""
    if system != "counterpoint" and system not in config.stores:
        raise typer.BadParameter(f"{system!r} is not in the file; it has counterpoint, {', '.join(config.stores)}")
    return config
