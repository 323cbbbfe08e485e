"""Customers on the command line: who is to have an account and who is not, and what a person decides about links."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from counterflow.cli.steer import AsJson, ConfigFile, ask
from schemas.requests import AdoptAccount, PartAccount

SHOP = Path("shop.yaml")
LINES_MAX = 50  # What a person reads; --json gives all of it.


def qualify(store: str, reason: str = "", config: ConfigFile = SHOP, as_json: AsJson = False) -> None:
    """Count why customers have no account in a store, reason by reason; with a reason, list whom it keeps out."""
    from counterflow.cli.main import configured, tell
    from counterflow.cli.roles import shop, state_url
    from counterflow.clock import SystemClock
    from counterflow.state import profiles, records
    from counterflow.state.database import begin, open_database
    from processors import creations
    from processors.shop import State
    from schemas.names import COUNTERPOINT
    from schemas.records import Customer

    settings = configured(config, "cli")
    policies = shop(settings)
    if store not in policies.customers:
        raise typer.BadParameter(f"{store!r} has no part `customers` in the file")
    with begin(open_database(state_url(settings))) as connection:
        state = State(connection, policies, SystemClock().now())
        keys = profiles.keys(connection, COUNTERPOINT, "AR_CUST")
        found = records.read(connection, COUNTERPOINT, "AR_CUST", keys, Customer)
        against = creations.reasons(state, policies.customers[store], found)
    counts = Counter(name for reasons in against.values() for name, _ in reasons)
    counts["qualifies"] = sum(not reasons for reasons in against.values())
    listed = [
        {"cust_no": key, "reason": name, "detail": detail}
        for key, reasons in against.items()
        for name, detail in reasons
        if name == reason
    ]
    answer: dict[str, Any] = {"store": store, "customers": len(found), "reasons": dict(counts), "listed": listed}
    tell(as_json, answer, lambda: _lines(answer))


def _lines(answer: dict[str, Any]) -> list[str]:
    lines = [f"{answer['customers']} customers; one may have several reasons"]
    lines += [f"{count:>7}  {name}" for name, count in sorted(answer["reasons"].items(), key=lambda one: -one[1])]
    lines += [f"{one['cust_no']:<16}{one['detail']}" for one in answer["listed"][:LINES_MAX]]
    left = len(answer["listed"]) - LINES_MAX
    return lines + ([f"and {left} more; --json gives all"] if left > 0 else [])


def part(
    store: str, account: Annotated[str, typer.Argument(help="The store's id of it.")], config: ConfigFile = SHOP
) -> None:
    """Take an account's link away: it is not that customer's, whatever its e-mail says."""
    from counterflow.cli.main import configured

    ask(configured(config, "cli"), PartAccount(store=store, account=account), key=f"{store}/{account}")


def adopt(
    store: str, account: Annotated[str, typer.Argument(help="The store's id of it.")], config: ConfigFile = SHOP
) -> None:
    """Have a customer created in Counterpoint for an account that the store alone has."""
    from counterflow.cli.main import configured

    ask(configured(config, "cli"), AdoptAccount(store=store, account=account), key=f"{store}/{account}")


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (qualify, part, adopt):
        app.command()(command)
