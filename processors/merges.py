"""A customer gone from the point of sale -> whose everything of his is now (req-C6). Keyed by the customer's number.

The traces of a merge come one by one, in any order and from several partitions. So a deletion waits for a moment, and
is judged by what was seen until then.
"""

from dataclasses import replace
from datetime import datetime

from counterflow.state import links, profiles, records, reviews, steering, wanted
from processors import customers, loyalty, matches, showings
from processors.rules import merges as rules
from processors.rules.blocking import person_of
from processors.rules.merges import Suspect
from processors.shop import State
from schemas.names import COUNTERPOINT, OurId, order_of
from schemas.records import Customer, Document

MERGE = "merge"  # The timer, and the review.
ALIKE_MIN = 0.9  # From here on somebody may be a customer who is gone, under another number.
AGAIN, TIMES = "again", 10  # Of the timer: what a person is asked about is judged so often, by what shows late.


def gone(state: State, system: str, key: str) -> None:
    """Have the deletion of a customer judged, once the other traces of a merge have had time to show."""
    assert system == state.shop.pos
    if links.find(state.connection, "customer", system, key) is None and loyalty.has_points(state, key):
        customers.id_of(state, key)  # Nobody had to know him before; now his points must not be lost.
    if links.find(state.connection, "customer", system, key) is not None:
        steering.set_timer_once(state.connection, MERGE, key, state.now + state.shop.merge_wait)

    waiting = wanted.rows(
        state.connection, [(COUNTERPOINT, "orders", f"{one}/{order}") for one, order in _orders(state, key)]
    )
    ready = [row for row in waiting.values() if row.state in {"ready", "held", "rejected"}]
    state.orders |= {order_of(row.key) for row in ready}  # They wait, too, until it is known whose they are.


def look(state: State, key: str) -> None:
    """Have it found out what became of a customer who is gone, for whom an order waits."""
    steering.set_timer_once(state.connection, MERGE, key, state.now + state.shop.merge_wait)


def _orders(state: State, key: str) -> list[tuple[str, str]]:
    ours = links.find(state.connection, "customer", state.shop.pos, key)
    return links.orders_of(state.connection, ours) if ours is not None else []


def judge(state: State, key: str, which: str = "") -> None:
    """Find out into whom a customer was merged, and follow it; ask where it is not clear, and judge it again."""
    if which == AGAIN and not reviews.is_open(state.connection, (MERGE,), key):
        return  # A person has said it.
    pos = state.shop.pos
    kept = profiles.read(state.connection, [(pos, key)]).get((pos, key))
    ours = links.find(state.connection, "customer", pos, key)
    if kept is None and wanted.blocked_by(state.connection, f"gone:{key}"):  # A shop that keeps nobody the same.
        _ask(state, key, rules.Verdict(survivor=None))
    if kept is None or kept.gone_at is None or ours is None:
        return  # They are back, or were followed already.
    suspects = _suspects(state, kept, ours)
    lost_flag = _is_around(state, kept.unflagged_at, kept.gone_at)
    verdict = rules.survivor(kept.body, suspects, home=state.shop.home, lost_flag=lost_flag)
    if verdict.survivor is not None:
        follow(state, key, verdict.survivor)
    elif _matters(state, ours):
        _ask(state, key, verdict)
        if state.now < kept.gone_at + TIMES * state.shop.merge_wait:
            steering.set_timer(state.connection, MERGE, key, state.now + state.shop.merge_wait, AGAIN)


def _suspects(state: State, kept: profiles.Kept, ours: OurId) -> list[Suspect]:
    """Return who may be the survivor, with what speaks for it; nobody in particular is not among them."""
    assert kept.gone_at is not None
    pos = state.shop.pos
    around = profiles.changed_around(state.connection, pos, kept.gone_at, 2 * state.shop.merge_wait)
    holders = _document_holders(state, ours)
    suspects = {one.key: _suspect(state, one, kept, has_documents=one.key in holders) for one in around}
    for holder in holders - suspects.keys():
        body = records.read(state.connection, pos, state.shop.entity(pos), [holder], Customer).get(holder)
        if body is not None:
            suspects[holder] = Suspect(customer=body, has_his_documents=True)
    _add_those_alike(state, kept.body, suspects)
    return [one for one in suspects.values() if not state.shop.is_nobody(one.customer)]


def _ask(state: State, key: str, verdict: rules.Verdict) -> None:
    why = f" ({verdict.why})" if verdict.why else ""
    message = f"customer {key} is gone from the point of sale{why}: whose are their accounts and orders now?"
    state.ask(MERGE, key, message, {"gone": key, "candidates": list(verdict.candidates)})


def _is_around(state: State, at: datetime | None, gone_at: datetime) -> bool:
    return at is not None and abs(at - gone_at) <= 2 * state.shop.merge_wait


def _suspect(state: State, kept: profiles.Kept, gone: profiles.Kept, *, has_documents: bool) -> Suspect:
    return Suspect(
        customer=kept.body,
        has_his_documents=has_documents,
        points_before=kept.points_before,
        unexplained=loyalty.unexplained(state, kept.key, gone.key),
        lost_flag=gone.gone_at is not None and _is_around(state, kept.unflagged_at, gone.gone_at),
    )


def _add_those_alike(state: State, gone: Customer, suspects: dict[str, Suspect]) -> None:
    """Add whoever may be the customer under another number: a renumbering is a deletion and a new customer."""
    for other, _ in matches.suspects(state, state.shop.pos, person_of(gone), least=ALIKE_MIN):
        before = suspects.get(other.key, Suspect(customer=other))
        suspects[other.key] = replace(before, is_alike=True)


def _document_holders(state: State, ours: OurId) -> set[str]:
    """Give who has the documents now that were made for a person."""
    numbers = [
        links.find(state.connection, "order", store, order) for store, order in links.orders_of(state.connection, ours)
    ]
    ids = [links.remote(state.connection, "order", COUNTERPOINT, number) for number in numbers if number is not None]
    found = records.read(state.connection, COUNTERPOINT, "PS_DOC_HDR", [one for one in ids if one], Document)
    own = {key for system, key in links.remotes(state.connection, "customer", ours) if system == state.shop.pos}
    return {one.cust_no for one in found.values() if one.cust_no} - own


def _matters(state: State, ours: OurId) -> bool:
    """Say whether anything hangs on a person who is gone."""
    has_accounts = any(system != state.shop.pos for system, _ in links.remotes(state.connection, "customer", ours))
    numbers = [key for system, key in links.remotes(state.connection, "customer", ours) if system == state.shop.pos]
    has_points = any(loyalty.has_points(state, number) for number in numbers)
    return has_accounts or has_points or bool(links.orders_of(state.connection, ours))


def let_go(state: State, key: str) -> None:
    """Let nothing hang on a customer any more of whom a person said that they were deleted.

    Their accounts are known anew, by their own e-mails; their orders wait no more.
    """
    pos = state.shop.pos
    ours = links.find(state.connection, "customer", pos, key)
    if ours is None or records.gone_at(state.connection, pos, state.shop.entity(pos), key) is None:
        return
    for system, remote_id in links.remotes(state.connection, "customer", ours):
        links.drop(state.connection, "customer", system, remote_id)
    orders = [(COUNTERPOINT, "orders", f"{store}/{order}") for store, order in links.orders_of(state.connection, ours)]
    for row in wanted.rows(state.connection, orders).values():
        if row.state not in {"sent", "done"}:
            links.drop(state.connection, "buyer", *order_of(row.key))
            state.orders.add(order_of(row.key))


def follow(state: State, key: str, survivor: str) -> None:
    """Let everything that hung on a customer hang on the one he was merged into."""
    pos = state.shop.pos
    ours, stays = links.find(state.connection, "customer", pos, key), customers.id_of(state, survivor)
    if ours is None or ours == stays:
        return
    links.lock(state.connection, [f"person:{ours}", f"person:{stays}"])
    loyalty.follow_merge(state, key, survivor)
    for system, remote_id in links.remotes(state.connection, "customer", ours):
        showings.estrange(state, system, remote_id)
    links.drop(state.connection, "customer", pos, key)
    links.unite(state.connection, ours, stays)
    profiles.forget_agreed(state.connection, ours)
    for kind in (MERGE, "group"):
        state.settle(kind, key if kind == MERGE else ours)
    row = (pos, "profiles", key)
    if row in wanted.rows(state.connection, [row]):
        wanted.withdraw(state.connection, row, f"merged into {survivor}")
    for store, order_id in links.orders_of(state.connection, stays):
        state.orders.add((store, order_id))
    note = {"merged": key, "into": survivor}
    reviews.log_note(state.connection, row, f"merged into {survivor}", at=state.now, kept=note, lost=note)
    state.people.add(stays)
