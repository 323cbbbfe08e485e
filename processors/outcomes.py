"""outcomes, heartbeats, cursors, requests -> the wanted rows, links, reviews and settings. Keyed as they come."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from counterflow import log
from counterflow.state import links, records, reviews, steering, wanted
from counterflow.state.reviews import AGAIN, DROP
from counterflow.state.wanted import TRIES_MAX, Taken
from processors import accounts, creations, customers, documents, groups, loyalty, matches, merges, profiles, showings
from processors.orders import CUSTOMERS, ORDERS
from processors.rules.schedule import next_run
from processors.shop import State
from schemas.names import COUNTERPOINT, GIFT_CARDS, POINTS, OurId, order_of
from schemas.outcomes import Cursor, Heartbeat, Outcome
from schemas.records import Customer
from schemas.requests import (
    AdoptAccount,
    DecideMatch,
    DecideReview,
    PartAccount,
    QueueAll,
    RefitMatches,
    Request,
    SetMaster,
    SetTask,
    SyncNow,
)

DONE = {"applied", "already"}
_log = log.get("processors")


def take_outcomes(batch: Sequence[Outcome], state: State) -> None:
    """Enter what consumers did with commands, and what follows from it.

    What is not waited for is passed over: an answer that came twice, or to a command that was sent again meanwhile.
    """
    done = wanted.take_done(state.connection, [one for one in batch if one.result in DONE], at=state.now)
    taken = [Taken(outcome=one) for one in done]
    others = [wanted.take_outcome(state.connection, one, at=state.now) for one in batch if one.result not in DONE]
    taken += [one for one in others if one is not None]
    known = [one.outcome for one in taken if one.outcome.result != "skipped"]
    reviews.log_outcomes(state.connection, known, at=state.now)
    for one in taken:
        if one.is_lasting:
            _ask_of_lasting(one.outcome, state)
        _follow(one.outcome, state)


def _ask_of_lasting(outcome: Outcome, state: State) -> None:
    """Ask about what goes on being tried and never works; the question closes by itself when it does."""
    message = f"not done after {TRIES_MAX} tries, and still tried: {outcome.told}"
    state.ask("refused", f"{outcome.system}/{outcome.task}/{outcome.key}", message, {})


def _follow(outcome: Outcome, state: State) -> None:
    key = f"{outcome.system}/{outcome.task}/{outcome.key}"
    if outcome.result in {"held", "rejected"}:
        state.ask("refused", key, outcome.told, {})
        _ask_for_buyers(state, outcome)
    elif outcome.result in DONE:
        state.settle("refused", key)
    if outcome.task == ORDERS:
        _follow_order(outcome, state)
    elif outcome.task == documents.DOCUMENTS:
        documents.take_answer(outcome, state)
    elif outcome.task == profiles.PROFILES:
        profiles.take_answer(outcome, state)
    elif outcome.task == CUSTOMERS:
        _follow_customer(outcome, state)
    elif outcome.task in {POINTS, GIFT_CARDS}:
        loyalty.take_answer(outcome, state)


def _follow_order(outcome: Outcome, state: State) -> None:
    state.orders.add(order_of(outcome.key))  # What the store said meanwhile may count now: a cancellation, a refund.
    if "doc_id" in outcome.remote:
        store, order_id = order_of(outcome.key)
        ours = links.find(state.connection, "order", store, order_id) or OurId(outcome.key)
        links.make(state.connection, "order", store, order_id, ours, "created")
        links.make(state.connection, "order", COUNTERPOINT, outcome.remote["doc_id"], ours, "created")
        documents.answered(state, outcome.remote["doc_id"])


def _follow_customer(outcome: Outcome, state: State) -> None:
    if outcome.system in state.shop.customers:
        creations.take_answer(outcome, state)
    cust_no = outcome.remote.get("cust_no")
    if cust_no in state.shop.nobody.numbers:
        _ask_for_buyers(state, msgspec.structs.replace(outcome, message=f"customer {cust_no} is nobody in particular"))
    elif outcome.system == state.shop.pos and cust_no:
        _made(state, outcome.key.removeprefix("email:"), cust_no, is_found=outcome.result == "already")


def _ask_for_buyers(state: State, outcome: Outcome) -> None:
    """Ask whose the orders are that wait for a customer who could not be created."""
    email = outcome.key.removeprefix("email:")
    ours = links.find(state.connection, "customer", links.UNDER_WAY, email) if outcome.task == CUSTOMERS else None
    for row in wanted.blocked_by(state.connection, f"customer:{ours}") if ours else []:
        state.ask("order-customer", row.key, outcome.told, {})


def _made(state: State, email: str, cust_no: str, *, is_found: bool) -> None:
    links.lock(state.connection, [f"email:{email}"])
    ours = links.find(state.connection, "customer", links.UNDER_WAY, email)
    if ours is not None and links.remote(state.connection, "customer", state.shop.pos, ours) is None:
        if is_found:
            customers.part_from_others(state, ours, cust_no)
        elif email.startswith("order:"):  # No e-mail tells the record by: it may have been read already.
            showings.disown_first(state, cust_no, customers.given(state, email))
        customers.know(state, ours, cust_no, "created")


def take_heartbeats(batch: Iterable[Heartbeat], state: State) -> None:
    """Keep how connections stand: of each, the last word."""
    for beat in {(one.system, one.role): one for one in batch}.values():
        steering.take_heartbeat(state.connection, beat)


def take_cursors(batch: Sequence[Cursor], state: State) -> None:
    """Keep where producers stand."""
    steering.take_cursors(state.connection, batch)
    if any(cursor.rows is not None for cursor in batch):
        accounts.begin_to_tell(state)


def take_request(request: Request, state: State) -> None:
    """Do what was asked, once. To read a source again is its producer's, who hears of it by itself."""
    if not steering.first_time(state.connection, request.id):
        return
    _log.info("request", kind=type(request.ask).__name__, by=request.by)
    match request.ask:
        case SetMaster(on=on):
            steering.put(state.connection, steering.MASTER, "on" if on else "off")
        case SetTask():
            _set_task(state, request.ask)
        case SyncNow(system=system, task=task, key=key):
            wanted.ask_now(state.connection, (system, task, key), at=state.now)
        case QueueAll():
            _queue_all(state, request.ask)
        case DecideReview(review=review, decision=decision):
            _decide(state, review, decision, request.by)
        case PartAccount() | AdoptAccount() | DecideMatch() | RefitMatches():
            _about_people(state, request.ask, request.by)


def _about_people(state: State, ask: PartAccount | AdoptAccount | DecideMatch | RefitMatches, by: str) -> None:
    match ask:
        case RefitMatches():
            scale = matches.refit(state)
            _log.info("percentages fitted", decisions=scale.decisions, slope=scale.slope, offset=scale.offset)
        case DecideMatch():
            if not matches.take_decision(state, ask.one, ask.other, ask.decision, by):
                _log.warning("no such pair was asked about")
        case _:
            accounts.take_request(state, ask, by=by)


def _queue_all(state: State, ask: QueueAll) -> None:
    if ask.task == CUSTOMERS and ask.system in state.shop.customers:  # Who may have qualified meanwhile (req-C2).
        accounts.look_at_all(state)
    else:
        wanted.reopen_all(state.connection, ask.system, ask.task, at=state.now)


def _set_task(state: State, ask: SetTask) -> None:
    try:
        next_run(ask.schedule, state.now)
    except ValueError as error:  # It would stop the gate, at every tick.
        _log.warning("schedule refused", system=ask.system, task=ask.task, why=str(error))
        return
    task = steering.Task(enabled=ask.enabled, schedule=ask.schedule)
    steering.put_task(state.connection, ask.system, ask.task, task)
    steering.set_timer(state.connection, "schedule", f"{ask.system}/{ask.task}", state.now)


def _decide(state: State, review: str, decision: str, by: str) -> None:
    """Enter a person's decision. A review is named by its kind and key: "order-customer:north/1042"."""
    kind, _, key = review.partition(":")
    if _names_a_customer(kind, decision) and not _is_somebody(state, decision):
        _log.warning("decision refused: Counterpoint has no such customer, or it is nobody in particular", review=kind)
        return
    if kind == "order" and decision != DROP:  # Looked at again; what still does not fit still waits.
        state.orders.add(order_of(key))
        return
    if reviews.decide(state.connection, kind, key, decision, by) is None:
        _log.warning("no such review", kind=kind)
        return
    if kind == "refused":
        _decide_refused(state, key, decision)
    loyalty.take_decision(state, kind, key, decision)
    if kind in {"group", groups.TITLE, accounts.ACCOUNT, merges.MERGE}:
        _decide_customer(state, kind, key, decision)
    if kind in {"order", "order-customer"}:
        store, order_id = order_of(key)
        buyer = links.find(state.connection, "buyer", store, order_id)
        waits = buyer is not None and links.remote(state.connection, "customer", COUNTERPOINT, buyer) is None
        if kind == "order-customer" and buyer is not None and waits and decision != matches.NEW:
            customers.give_order(state, store, order_id, customers.id_of(state, decision), "person")
        state.orders.add((store, order_id))


def _decide_customer(state: State, kind: str, key: str, decision: str) -> None:
    """Do what a person decided about a customer: his group, a group's title, whose an account is, who survived."""
    system, _, name = key.partition("/")
    if kind == "group":
        profiles.choose_group(state, OurId(key), decision)
    elif kind == groups.TITLE:
        groups.forget_pairs(state)
        profiles.look_again(state, system, name)
    elif kind == merges.MERGE:
        if decision == DROP:
            merges.let_go(state, key)
        else:
            merges.follow(state, key, decision)
    elif kind == accounts.ACCOUNT:
        account = records.read(state.connection, system, "customers", [name], Customer).get(name)
        accounts.look_whose(state, system, [account] if account is not None else [])


def _is_somebody(state: State, number: str) -> bool:
    found = records.read(state.connection, COUNTERPOINT, "AR_CUST", [number], Customer).get(number)
    return found is not None and not state.shop.is_nobody(found)


def _names_a_customer(kind: str, decision: str) -> bool:
    """Say whether a decision is a customer's number."""
    if kind == accounts.ACCOUNT:
        return decision != accounts.APART
    return (kind == "order-customer" and decision != matches.NEW) or (kind == merges.MERGE and decision != DROP)


def _decide_refused(state: State, key: str, decision: str) -> None:
    system, task, row_key = key.split("/", 2)
    if decision == AGAIN:
        wanted.try_again(state.connection, (system, task, row_key), "sent again by a person")
    elif decision == DROP:
        wanted.set_state(state.connection, (system, task, row_key), "dropped", "dropped by a person")
    if decision in {AGAIN, DROP} and task == ORDERS:  # Again: as it is by now, if it was mended in the store.
        state.orders.add(order_of(row_key))


def begun(connection: Connection, system: str, at: datetime) -> None:
    """Note when a store was first known: orders from before are not made documents again."""
    steering.put_first(connection, f"begun:{system}", at.isoformat())
