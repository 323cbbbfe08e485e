"""Who may be known already (req-C10, C11)? For whom no exact rule matches: the likeliest, in percent, and why.

Nothing here links anybody by itself. Before somebody is created, he is compared with whom the target has; by the
store's policy he is created all the same and listed, or he waits until a person has said who he is.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import Literal

import msgspec

from counterflow.state import links, matches, records, steering
from counterflow.state.records import Seen
from processors import customers, showings
from processors.rules import matching
from processors.rules.blocking import SHARED, STRONG, Person, Plain, keys_of, person_of
from processors.rules.matching import Evidence, Likeness, Model, Scale
from processors.shop import State
from schemas.names import CustNo
from schemas.records import Customer

LISTED_MIN = 0.5  # From here on somebody is listed as a possible double,
HELD_MIN = 0.1  # and from here on he waits, where the policy says so.
SCALE = "match:scale"  # The setting.
SHOWN_MAX = 20  # More than a person will read.
SAME, DIFFERENT, NEW = "same", "different", "new"
Policy = Literal["create", "hold"]


@cache
def _model() -> Model:
    return matching.load_model()


def take(batch: Iterable[Seen], state: State) -> None:
    """Keep under which keys each customer can be found."""
    by_system: dict[str, dict[str, set[str]]] = {}
    for seen in batch:
        if state.shop.keeps(seen.system, seen.entity):
            values = _keys(_as_somebody(state, seen.body)) if isinstance(seen.body, Customer) else set()
            by_system.setdefault(seen.system, {})[seen.key] = values
    for system, keys in sorted(by_system.items()):
        matches.keep_keys(state.connection, system, keys)


def _as_somebody(state: State, customer: Customer) -> Customer | None:
    """Return a customer as they are compared: without an e-mail that is nobody's. None for nobody in particular."""
    if state.shop.is_nobody(customer):
        return None
    return msgspec.structs.replace(customer, email=state.shop.email_of(customer))


def _keys(customer: Customer | None) -> set[str]:
    if customer is None:
        return set()
    person = person_of(customer)
    return set(keys_of(person)) | {f"{matches.VALUE}{one}" for one in matching.values_of(Plain.of(person))}


def suspects(state: State, system: str, person: Person, *, least: float) -> list[tuple[Customer, Likeness]]:
    """Give who of a system may be this person, the likeliest first."""
    found = matches.candidates(state.connection, system, keys_of(person), shared=SHARED, strong=STRONG)
    if not found:
        return []
    common, scale = _common(state, system, person), scale_of(state)
    bodies = records.read(state.connection, system, state.shop.entity(system), found, Customer)
    known = [one for one in (_as_somebody(state, body) for body in bodies.values()) if one is not None]
    likely = [(body, matching.compare(person, person_of(body), _model(), common, scale)) for body in known]
    likely = [(body, one) for body, one in likely if one.share >= least and body.key != person.key]
    return sorted(likely, key=lambda one: (-one[1].share, one[0].key))[:SHOWN_MAX]


def scale_of(state: State) -> Scale:
    """Give what the shop's own decisions say about the percentages."""
    if state.match_scale is None:
        kept = steering.get(state.connection, SCALE)
        state.match_scale = msgspec.json.decode(kept, type=Scale) if kept else matching.AS_FITTED
    return state.match_scale


def refit(state: State) -> Scale:
    """Fit the percentages to what was decided: every pair that a person called the same, or different."""
    bodies: dict[str, Customer] = {}
    decided = [row for row in matches.listed(state.connection, also_decided=True) if row.decision in {SAME, DIFFERENT}]
    for name in {name for row in decided for name in (row.one, row.other)}:
        system, _, key = name.partition("/")
        found = records.read(state.connection, system, state.shop.entity(system), [key], Customer)
        if key in found:
            bodies[name] = found[key]
    logits = [
        (sum(each.weight for each in _as_fitted(state, bodies[row.one], bodies[row.other])), row.decision == SAME)
        for row in decided
        if row.one in bodies and row.other in bodies
    ]
    scale = state.match_scale = matching.refit(logits)
    steering.put(state.connection, SCALE, msgspec.json.encode(scale).decode())
    return scale


def _as_fitted(state: State, one: Customer, other: Customer) -> tuple[Evidence, ...]:
    common = _common(state, state.shop.pos, person_of(one))
    return matching.compare(person_of(one), person_of(other), _model(), common).evidence


def _common(state: State, system: str, person: Person) -> Mapping[str, int]:
    if system not in state.everybody:
        found = steering.rows_read(state.connection, system, state.shop.entity(system))
        state.everybody[system] = found or matching.EVERYBODY_MIN
    everybody = state.everybody[system]
    held = matches.counts(state.connection, system, matching.values_of(Plain.of(person)))
    return held | {matching.EVERYBODY: max(everybody, matching.EVERYBODY_MIN)}


def said_new(state: State, names: Iterable[str]) -> set[str]:
    """Give of which records a person said that they are nobody's whom we know."""
    return matches.said(state.connection, NEW, names)


def may_create(  # What is compared with whom, and by what.
    state: State, target: str, source: str, customer: Customer, policy: Policy, *, new: Collection[str] | None = None
) -> bool:
    """Say whether a customer may be created in another system; who may be there already is noted for a person.

    Args:
        state: The batch's.
        target: Where he is to be created.
        source: Where he is known.
        customer: As he is known there.
        policy: What to do about somebody who may be known.
        new: As `said_new` tells of more records than this one, where it was asked; None: it is asked.
    """
    mine = f"{source}/{customer.key}"
    if mine in (said_new(state, [mine]) if new is None else new):
        return True
    person = replace(person_of(customer), key="")
    found = suspects(state, target, person, least=HELD_MIN if policy == "hold" else LISTED_MIN)
    decisions = [_note(state, mine, f"{target}/{other.key}", (person, other), likeness) for other, likeness in found]
    return policy == "create" or all(one == DIFFERENT for one in decisions)


def _note(state: State, one: str, other: str, compared: tuple[Person, Customer], likeness: Likeness) -> str | None:
    """Note a pair; gives what a person said of it."""
    evidence = [{"field": each.field, "how": each.how, "weight": round(each.weight, 2)} for each in likeness.evidence]
    texts = sorted(repr(replace(person, key="")) for person in (compared[0], person_of(compared[1])))
    row = matches.note(
        state.connection,
        one,
        other,
        percent=round(likeness.share * 100),
        evidence=msgspec.json.encode(evidence).decode(),
        fingerprint=hashlib.sha256("|".join(texts).encode()).hexdigest()[:16],
    )
    decision: str | None = row.decision
    return decision


def list_doubles(state: State, cust_no: str) -> None:
    """List whom a customer whom we had created may be a double of."""
    pos = state.shop.pos
    customer = records.read(state.connection, pos, state.shop.entity(pos), [cust_no], Customer).get(cust_no)
    if customer is None:
        return
    for other, likeness in suspects(state, pos, person_of(customer), least=LISTED_MIN):
        _note(state, f"{pos}/{cust_no}", f"{pos}/{other.key}", (person_of(customer), other), likeness)


def decide(state: State) -> None:
    """List the doubles of everybody who was created in this batch."""
    for cust_no in sorted(state.newcomers):
        list_doubles(state, cust_no)


def take_decision(state: State, one: str, other: str, decision: str, by: str) -> bool:
    """Enter what a person said of two records, and do what follows; False where nobody asked about them."""
    before = matches.decide(state.connection, one, other, None if decision == "undo" else decision, by)
    if before is None:
        return False
    pair = {name.partition("/")[0]: name.partition("/")[2] for name in (one, other)}
    pos_key = pair.pop(state.shop.pos, None)
    for store, key in pair.items():
        if pos_key is None or store not in state.shop.customers or pos_key in state.shop.nobody.numbers:
            continue
        if decision == SAME:
            ours = customers.id_of(state, CustNo(pos_key))
            links.make(state.connection, "customer", store, key, ours, "person")
            state.settle(customers.ACCOUNT, f"{store}/{key}")
            state.people.add(ours)
        elif before.decision == SAME:
            links.drop(state.connection, "customer", store, key)
            showings.estrange(state, store, key)
    if pos_key is not None:
        state.creatable.add(pos_key)
    return True
