"""wanted -> work.<system> and work.<system>.now: what may go out goes out, one command in flight for each row.

A row goes out when Master Sync is on, its task is enabled and due, and its target answers; by hand in any case.
Continuous tasks are released in the flow's own transaction, the others by their timer, both under one lock.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Row

from counterflow import log
from counterflow.kafka import Message, cloud_event, size_of
from counterflow.metrics import MASTER, RELEASED, REVIEWS, SYNC_LAG, WANTED
from counterflow.state import links, profiles, reviews, steering, wanted
from counterflow.state.steering import Task
from processors import accounts, buyers, creations, gift_cards, loyalty, merges, orders, releases, stock
from processors.orders import CUSTOMERS, ORDERS
from processors.rules.schedule import CONTINUOUS, next_run
from processors.shop import State
from schemas.commands import Body, Command
from schemas.names import COUNTERPOINT
from schemas.outcomes import Outcome, answer
from schemas.topics import WORK, WORK_NOW

IN_FLIGHT_MAX = 500  # Commands on their way to one target; more would only grow old on the topic.
TIMERS_AT_ONCE = 200
SILENCE = timedelta(seconds=60)  # A consumer says every few seconds that it lives, but not within a long round.
# Who is further behind than that has read too little to send anything: figures that are not so any more, orders that
# were cancelled since, to a target that may be away. Until then it is silent to us, as it was.
BEHIND_MAX = timedelta(minutes=5)
_log = log.get("gate")
# What each timer of one thing does: it is given its key and its body.
_TIMERS: dict[str, Callable[[State, str, str], None]] = {
    accounts.TELL: accounts.tell_some,
    buyers.UNREAD: orders.ask_about_account,
    merges.MERGE: merges.judge,
    releases.TIMER: lambda state, key, _: releases.look_again(state, key),
    loyalty.HELD: lambda state, key, _: loyalty.look_again(state, key),
    loyalty.MERGED: loyalty.follow_merge,
    loyalty.PARTING: loyalty.part,
    gift_cards.WAITS: lambda state, key, _: gift_cards.look_again(state, key),
}
Said = list[tuple[int, Message]]  # Numbers in the outbox, and what stands there.


def release(state: State, *, prefix: str, origin: str, due: Sequence[tuple[str, str]] | None = None) -> Said:
    """Let out what may go: the rows of continuous tasks, those of tasks that are `due`, and those asked for by hand.

    What is paced goes out by the clock alone, when `due` is given. Gives what is to be published.
    """
    waiting = [task for task in state.shop.tasks if _is_paced(state, task)] if due is None else []
    ready = wanted.ready(state.connection, waiting, at=state.now)
    if not ready:
        return []
    links.lock(state.connection, ["gate"])
    tasks, flying = _open_tasks(state, due or ()), wanted.in_flight(state.connection)
    rows: list[Row[Any]] = []
    for system in ready:  # Each has room of its own: one that is away keeps what it has on its way, and holds
        own = [task for task in tasks if task[0] == system]  # nobody up.
        most = max(0, IN_FLIGHT_MAX - flying.get(system, 0))
        paced = [task for task in own if _is_paced(state, task)]  # The store mails whom it creates (W-36).
        others = [task for task in own if task not in paced]
        rows += wanted.releasable(state.connection, system, others, at=state.now, most=most)
        for task in paced if due is not None else ():
            room = min(most, _room(state, system))
            rows += wanted.releasable(state.connection, system, [task], at=state.now, most=room)
    rows = list({(row.system, row.task, row.key): row for row in rows}.values())  # Those asked for by hand come twice.
    if not rows:
        return []
    mailed = [(row.system, row.key, row.body) for row in rows if _is_paced(state, (row.system, row.task))]
    profiles.note_welcomes(state.connection, creations.welcome_rows(state, mailed))
    wanted.mark_sent(state.connection, rows, at=state.now)
    for row in rows:
        RELEASED.labels(row.system, row.task).inc()
    return steering.say(state.connection, origin, [_command(state, row, prefix) for row in rows])


def _is_paced(state: State, task: tuple[str, str]) -> bool:
    return task[0] in state.shop.customers and task[1] == CUSTOMERS


def _room(state: State, store: str) -> int:
    """Say how many customers a store may be told to create now: so many an hour, and so many a day (req-C2)."""
    policy = state.shop.customers[store]
    spans = ((policy.per_hour, timedelta(hours=1)), (policy.per_day, timedelta(days=1)))
    return max(
        0, min(most - profiles.welcomed_since(state.connection, store, state.now - span) for most, span in spans)
    )


def _open_tasks(state: State, due: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Give the tasks whose rows may go out now."""
    is_on, settings = steering.switches(state.connection)
    if not is_on:
        return []
    down = _down(state, _heard_at(state))

    def is_open(task: tuple[str, str]) -> bool:
        setting = settings.get(task, Task())
        return setting.enabled and (setting.schedule == CONTINUOUS or task in due) and task[0] not in down

    found = [task for task in state.shop.tasks if is_open(task)]
    # An order may release the creation of its customer although that task is off (design 7).
    if (COUNTERPOINT, ORDERS) in found and (COUNTERPOINT, CUSTOMERS) not in found:
        found.append((COUNTERPOINT, CUSTOMERS))
    return found


def _down(state: State, heard: datetime) -> set[str]:
    """Give the systems whose consumer does not answer, as far as was heard."""
    return steering.down(state.connection, "consumer", since=max(heard, state.now - BEHIND_MAX) - SILENCE)


def _heard_at(state: State) -> datetime:
    """Give until when we have heard what goes on: a while ago, where there is much to read.

    What a target answered since then may wait on its topic, as its signs of life do: by the clock it would seem silent,
    and everything on its way to it would be sent once more, to be read and answered twice.
    """
    heard = steering.heard_at(state.connection)
    return state.now if heard is None else min(state.now, heard)


def _command(state: State, row: Row[Any], prefix: str) -> Message:
    command = Command(
        system=row.system,
        task=row.task,
        key=row.key,
        version=row.version,
        hash=row.hash,
        reference=f"{row.system}/{row.task}/{row.key}",
        body=msgspec.json.decode(row.body, type=Body),
        sent_at=state.now,
    )
    topic = (WORK_NOW if row.now else WORK).named(prefix, system=row.system)
    key = f"{row.task}/{row.key}"
    headers = cloud_event(
        kind="counterflow.command",
        source="/gate",
        event_id=f"{key}/{row.version}",
        subject=key,
        at=state.now.isoformat(),
    )
    return Message(topic=topic, key=key.encode(), value=msgspec.json.encode(command), headers=headers)


def not_sent(message: Message, at: datetime) -> Outcome | None:
    """Give the answer to a command that is too large to be sent: a person must look; None for what is no command."""
    try:
        command = msgspec.json.decode(message.value or b"", type=Command)
    except msgspec.MsgspecError:
        return None
    words = f"its command has {size_of(message)} bytes, too many to be sent: shorten there what it is made of"
    return answer(command, "held", words, at=at)


def due(state: State) -> list[tuple[str, str]]:
    """Do what is due by the clock: expired leases, drift, merges, schedules. Gives the tasks whose time it is."""
    heard = _heard_at(state)
    answering = sorted({system for system, _ in state.shop.tasks} - _down(state, heard))
    expired = wanted.return_expired(state.connection, answering, before=heard - state.shop.lease)
    if expired:
        _log.warning("no outcome within the lease, sent again", rows=expired)
    reviews.settle_refused(state.connection)
    found = []
    timers = steering.claim_timers(state.connection, at=state.now, most=TIMERS_AT_ONCE)
    drifted = {timer.key: datetime.fromisoformat(timer.body) for timer in timers if timer.kind == stock.DRIFT}
    stock.check_drift(state, drifted)
    for timer in timers:
        if timer.kind in _TIMERS:
            _TIMERS[timer.kind](state, timer.key, timer.body)
        elif timer.kind == "schedule":
            system, _, task = timer.key.partition("/")
            found.append((system, task))
            _set_schedule(state, system, task)
    return found


def _set_schedule(state: State, system: str, task: str) -> None:
    """Set the timer of a task's next run; a continuous one needs none."""
    setting = steering.tasks(state.connection).get((system, task), Task())
    at = next_run(setting.schedule, state.now)
    if at is not None:
        steering.set_timer(state.connection, "schedule", f"{system}/{task}", at)


def measure(state: State) -> None:
    """Bring the gauges up to date: what waits, for how long, and what waits for a person."""
    MASTER.set(int(steering.master_is_on(state.connection)))
    lag = dict.fromkeys(state.shop.tasks, 0.0)
    for system, task, name, count, oldest in wanted.counts(state.connection):
        WANTED.labels(system, task, name).set(count)
        if name in {"ready", "sent", "blocked"}:
            lag[(system, task)] = max(lag.get((system, task), 0.0), (state.now - oldest).total_seconds())
    for (system, task), seconds in lag.items():
        SYNC_LAG.labels(system, task).set(seconds)
    kinds: dict[str, int] = dict.fromkeys(("gap", "order", "order-customer", "oversell", "refused"), 0)
    for kind, count in (kinds | reviews.counts(state.connection)).items():
        REVIEWS.labels(kind).set(count)
