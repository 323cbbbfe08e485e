"""Steering a running installation: Master Sync, tasks, status, reviews, replay. Commands go out as requests."""

import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from counterflow import kafka
from counterflow.clock import SystemClock
from counterflow.config import Config
from counterflow.errors import Broken
from schemas.requests import Ask, DecideReview, QueueAll, ReadAgain, Request, SetMaster, SetTask, SyncNow
from schemas.topics import REQUESTS

SHOP = Path("shop.yaml")
GONE_S_MAX = 25.0  # A worker that has stopped stays a member of its group until its session of 10 s ends.
ConfigFile = Annotated[Path, typer.Option("--config", help="The shop's file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Answer as JSON.")]


def ask(config: Config, what: Ask, *, key: str) -> str:
    """Put a request on its topic; gives its id."""
    request = Request(id=str(uuid.uuid4()), by="cli", at=datetime.now(UTC), ask=what)
    publisher = kafka.Publisher(config.kafka.servers, client_id="cli")
    message = kafka.Message(
        topic=REQUESTS.named(config.kafka.prefix), key=key.encode(), value=msgspec.json.encode(request)
    )
    publisher.publish([message])
    publisher.close()
    return request.id


def master(on: Annotated[str, typer.Argument(help="on or off")], config: ConfigFile = SHOP) -> None:
    """Turn Master Sync on or off. It is off at first: the pipeline observes, plans and writes nothing."""
    from counterflow.cli.main import configured

    if on not in {"on", "off"}:
        raise typer.BadParameter("say on or off")
    ask(configured(config, "cli"), SetMaster(on=on == "on"), key="master")
    typer.echo(f"Master Sync is asked to be {on}.", err=True)


def task(
    system: str,
    name: str,
    state: Annotated[
        str, typer.Argument(help="on, off, now-all, or a schedule: continuous, 'every 10 minutes', a cron line")
    ],
    config: ConfigFile = SHOP,
) -> None:
    """Enable, disable or reschedule one task; `now-all` queues all of its rows once more."""
    from counterflow.cli.main import configured
    from processors.rules.schedule import next_run

    settings = configured(config, "cli")
    if state == "now-all":
        ask(settings, QueueAll(system=system, task=name), key=f"{system}/{name}")
        return
    schedule = "continuous" if state in {"on", "off"} else state
    try:
        next_run(schedule, datetime.now(UTC))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    what = SetTask(system=system, task=name, enabled=state != "off", schedule=schedule)
    ask(settings, what, key=f"{system}/{name}")


def sync(system: str, name: str, key: str, config: ConfigFile = SHOP) -> None:
    """Sync one record now, ahead of the queue, also while Master Sync is off: `sync north inventories ITM0001`."""
    from counterflow.cli.main import configured

    ask(configured(config, "cli"), SyncNow(system=system, task=name, key=key), key=f"{system}/{name}/{key}")


def read_again(
    system: Annotated[str, typer.Argument(help="counterpoint, or a store's id")], config: ConfigFile = SHOP
) -> None:
    """Let a system's producer read everything there is once more, from the beginning; what is equal changes nothing."""
    from counterflow.cli.main import configured, known

    ask(known(configured(config, "cli"), system), ReadAgain(system=system), key=system)
    typer.echo(f"{system} is asked to be read again.", err=True)


def decide(review: str, decision: str, config: ConfigFile = SHOP) -> None:
    """Decide a review: a CUST_NO for `order-customer:...`, again or drop for `refused:...`, again for `order:...`."""
    from counterflow.cli.main import configured

    ask(configured(config, "cli"), DecideReview(review=review, decision=decision), key=review)


def status(config: ConfigFile = SHOP, as_json: AsJson = False) -> None:
    """Show connections, queue and what waits for a person."""
    from counterflow.cli.main import configured, tell
    from counterflow.cli.roles import state_url
    from counterflow.state import reviews, steering, wanted
    from counterflow.state.database import begin, open_database

    with begin(open_database(state_url(configured(config, "cli")))) as connection:
        answer: dict[str, Any] = {
            "master": steering.master_is_on(connection),
            "connections": [dict(row._mapping) for row in steering.all_connections(connection)],
            "queue": [
                {"system": row[0], "task": row[1], "state": row[2], "rows": row[3], "oldest": row[4]}
                for row in wanted.counts(connection)
            ],
            "reviews": [
                {"review": f"{row.kind}:{row.key}", "message": row.message, "since": row.made_at}
                for row in reviews.open_reviews(connection)
            ],
        }
    tell(as_json, answer, lambda: _status_lines(answer))


def _status_lines(answer: dict[str, Any]) -> list[str]:
    lines = [f"Master Sync is {'on' if answer['master'] else 'off'}"]
    for one in answer["connections"]:
        lines.append(
            f"{one['system']:<14}{one['role']:<10}{'up  ' if one['up'] else 'DOWN'} since {one['since']:%F %T} "
            f"{one['note']}"
        )
    for one in answer["queue"]:
        lines.append(
            f"{one['system']:<14}{one['task']:<13}{one['state']:<9}{one['rows']:>6}  oldest {one['oldest']:%F %T}"
        )
    lines += [f"waits for a person: {one['review']}: {one['message']}" for one in answer["reviews"]]
    return lines


def replay(
    config: ConfigFile = SHOP,
    since: Annotated[
        datetime | None, typer.Option(help="Only what came after this time (UTC); all of it without.")
    ] = None,
) -> None:
    """Handle the changes again, from the beginning or from a time. Stop the `process` workers first."""
    from kafka.errors import KafkaError

    from counterflow.cli.main import configured
    from counterflow.cli.roles import group

    settings = configured(config, "cli")
    try:
        count = rewind(settings, group(settings, "process"), since)
    except KafkaError as error:
        raise Broken(f"the offsets could not be moved ({error!r}); are all process workers stopped?") from error
    typer.echo(f"{count} partitions rewound; start the process workers again.", err=True)


def rewind(config: Config, group: str, since: datetime | None) -> int:
    """Move a group's offsets on the change topics back; only those may be replayed. Gives the number of partitions."""
    from kafka import TopicPartition
    from kafka.admin import OffsetSpec, OffsetTimestamp

    from schemas.topics import PARTITIONS, change_topics

    systems = ["counterpoint", *config.stores]
    topics = [topic for system in systems for topic in change_topics(config.kafka.prefix, system).values()]
    begin = OffsetSpec.EARLIEST if since is None else OffsetTimestamp(int(since.replace(tzinfo=UTC).timestamp() * 1000))
    specs = {TopicPartition(topic, part): begin for topic in topics for part in range(PARTITIONS)}
    clock, client = SystemClock(), kafka.admin(config.kafka.servers)
    deadline = clock.monotonic() + GONE_S_MAX
    try:
        while True:
            answers = client.reset_group_offsets(group, specs)
            failed = [part for part, answer in answers.items() if getattr(answer.get("error"), "errno", 0) != 0]
            if not failed:
                return len(specs)
            if clock.monotonic() > deadline:
                raise Broken(f"{len(failed)} partitions could not be rewound; are all process workers stopped?")
            clock.sleep(1)
    finally:
        client.close()


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (master, task, sync, read_again, decide, status, replay):
        app.command()(command)
