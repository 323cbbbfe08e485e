"""Who is to have an account in a store (req-C1, C2)? Keyed by the customer.

A customer of the point of sale is given an account where the store's policy says so and they qualify; the store mails
them then (W-36), so that the gate paces these commands, and nobody is named twice.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Row

from counterflow.state import links, profiles, records, wanted
from counterflow.state.wanted import Want
from processors import accounts, customers, matches
from processors.rules.names import Name
from processors.rules.qualification import last_seen, reasons_against
from processors.shop import Customers, State
from schemas.commands import CreateAccount
from schemas.names import OurId
from schemas.outcomes import Outcome
from schemas.profiles import as_profile, is_empty, of_customer
from schemas.records import Customer

CUSTOMERS = customers.CUSTOMERS


def decide(state: State) -> None:
    """Decide for every customer of the batch, and every store, whether he is to have an account there."""
    if not state.creatable or not state.shop.customers or not accounts.may_tell(state):
        return
    pos = state.shop.pos
    policies = {store: policy for store, policy in sorted(state.shop.customers.items()) if policy.create != "never"}
    if not policies:
        return
    found = records.read(state.connection, pos, state.shop.entity(pos), state.creatable, Customer)
    rows = wanted.rows(
        state.connection, [(store, CUSTOMERS, f"pos:{customer}") for store in policies for customer in found]
    )
    wants = []
    known = _look_up(state, [one for one in found.values() if _may_qualify(state, policies.values(), one)], policies)
    for customer in found.values():
        for store, policy in policies.items():
            standing = rows.get((store, CUSTOMERS, f"pos:{customer.key}"))
            if standing is None or standing.state not in {"sent", "done", "held", "rejected"}:
                wants += _decide(state, store, policy, customer, known, standing)
    wanted.want(state.connection, wants, at=state.now)


def _may_qualify(state: State, policies: Iterable[Customers], customer: Customer) -> bool:
    """Say whether nothing in a customer's own record speaks against an account, by one policy at least."""
    nobody = state.shop.nobody
    return any(
        not reasons_against(customer, sharers=(), now=state.now, terms=one.terms, nobody=nobody) for one in policies
    )


@dataclass(frozen=True, slots=True)
class _Known:
    """What the accounts of some customers depend on, looked up for all of them at once."""

    numbers: Mapping[str, Sequence[str]]  # Of the customers of the point of sale, by e-mail.
    ours: Mapping[tuple[str, str], OurId]  # By the point of sale's name and the customer's number there.
    remotes: Mapping[OurId, list[tuple[str, str]]]  # What he is known by: (system, id there).
    taken: set[tuple[str, str]]  # (store, e-mail) of accounts.
    welcomed: set[tuple[str, str]]  # (store, e-mail or our id).
    new: set[str]  # Of whom a person said that they are nobody's whom we know.
    nobodys: Mapping[str, set[str]]  # By number, the fields in which the record shows nobody's word.


def _look_up(state: State, found: Sequence[Customer], stores: Iterable[str]) -> _Known:
    if not found:  # Most who change qualify for none.
        return _Known(numbers={}, ours={}, remotes={}, taken=set(), welcomed=set(), new=set(), nobodys={})
    emails, pos = {one.email for one in found if one.email}, state.shop.pos
    ours = links.find_all(state.connection, "customer", [(pos, one.key) for one in found])
    there = {one: _emails(state, one, "customers", emails) for one in stores}
    return _Known(
        numbers=_emails(state, pos, state.shop.entity(pos), emails),
        ours=ours,
        remotes=links.remotes_of(state.connection, "customer", ours.values()),
        taken={(store, email) for store, numbers in there.items() for email in numbers},
        welcomed=profiles.welcomed(state.connection, emails, ours.values()),
        new=matches.said_new(state, [f"{pos}/{one.key}" for one in found]),
        nobodys=profiles.nobodys(state.connection, pos, [one.key for one in found]),
    )


def _emails(state: State, system: str, entity: str, emails: Iterable[str]) -> dict[str, list[str]]:
    found = profiles.customers_with_emails(state.connection, system, entity, emails)
    return {email: [one.key for one in some] for email, some in found.items()}


def _decide(
    state: State, store: str, policy: Customers, customer: Customer, known: _Known, standing: Row[Any] | None
) -> list[Want]:
    row = (store, CUSTOMERS, f"pos:{customer.key}")
    if not _is_to_have(state, store, policy, customer, known):
        if standing is not None and standing.state != "dropped":
            wanted.withdraw(state.connection, row, "he does not qualify any more, or has an account")
        return []
    shown = of_customer(customer, set(policy.fields) & state.shop.abilities[store].fields - {"email"})
    left_out = known.nobodys.get(customer.key, set())
    values = {name: value for name, value in shown.items() if not is_empty(value) and name not in left_out}
    email, company = customer.email or "", customer.company
    body = CreateAccount(email=email, pos_id=customer.key, fields=as_profile(values), company=company)
    seen_at = last_seen(customer)
    priority = int(seen_at.timestamp()) if seen_at else 0  # The most recent first (req-C2).
    if not matches.may_create(state, store, state.shop.pos, customer, policy.matches, new=known.new):
        return []
    return [Want(system=store, task=CUSTOMERS, key=row[2], body=body, priority=priority)]


def _is_to_have(state: State, store: str, policy: Customers, customer: Customer, known: _Known) -> bool:
    """Say whether a customer is to have an account that he has not."""
    sharers = _sharers(customer, known.numbers)
    if reasons_against(customer, sharers=sharers, now=state.now, terms=policy.terms, nobody=state.shop.nobody):
        return False
    ours, email = known.ours.get((state.shop.pos, customer.key)), customer.email or ""
    if ours is not None and any(system == store for system, _ in known.remotes.get(ours, ())):
        return False
    if policy.create == "after_order" and (ours is None or not links.orders_of(state.connection, ours)):
        return False
    if (store, email) in known.taken:
        return False  # Somebody has it there: whose it is, is decided with that account.
    return (store, email) not in known.welcomed and (ours is None or (store, ours) not in known.welcomed)


def reasons(
    state: State, policy: Customers, customers: Mapping[str, Customer]
) -> dict[str, tuple[tuple[str, str], ...]]:
    """Give why customers do not qualify for an account, by their numbers."""
    pos, terms = state.shop.pos, policy.terms
    numbers = _emails(state, pos, state.shop.entity(pos), {one.email for one in customers.values() if one.email})
    return {
        key: reasons_against(one, sharers=_sharers(one, numbers), now=state.now, terms=terms, nobody=state.shop.nobody)
        for key, one in sorted(customers.items())
    }


def _sharers(customer: Customer, numbers: Mapping[str, Sequence[str]]) -> list[str]:
    """Give the others who have his e-mail."""
    return [one for one in numbers.get(customer.email or "", ()) if one != customer.key]


def take_answer(outcome: Outcome, state: State) -> None:
    """Link the account that a store created, or had."""
    account_id, cust_no = outcome.remote.get("account_id"), outcome.key.removeprefix("pos:")
    if account_id is None:
        return
    ours = customers.id_of(state, cust_no)
    if outcome.result == "already" and _is_asked_about(state, outcome, cust_no):
        return
    links.make(state.connection, "customer", outcome.system, account_id, ours, "created")
    there = links.find(state.connection, "customer", outcome.system, account_id)
    if there != ours:
        message = f"the account found for customer {cust_no} is another customer's"
        state.ask(customers.ACCOUNT, f"{outcome.system}/{account_id}", message, {"pos_id": cust_no})
    state.people.add(ours)


def _is_asked_about(state: State, outcome: Outcome, cust_no: str) -> bool:
    """Ask about an account that was there already and is clearly another's, where it is not theirs yet."""
    account, pos = outcome.record, state.shop.pos
    found = records.read(state.connection, pos, state.shop.entity(pos), [cust_no], Customer).get(cust_no)
    if account is None or found is None or not customers.are_others(state, outcome.system, account, Name.of(found)):
        return False
    if links.find(state.connection, "customer", outcome.system, account.key) is None:
        customers.ask_about_names(state, outcome.system, account, found)
    return True


def welcome_rows(state: State, released: list[tuple[str, str, bytes | str]]) -> list[dict[str, object]]:
    """Give whom a store will mail for the commands that go out to it now: (store, key, body)."""
    numbers = [(state.shop.pos, key.removeprefix("pos:")) for _, key, _ in released]
    ours = links.find_all(state.connection, "customer", numbers)
    found: list[dict[str, object]] = []
    for (store, _, text), number in zip(released, numbers, strict=True):
        body = msgspec.json.decode(text, type=CreateAccount)
        row = {"store": store, "email": body.email, "our_id": ours.get(number, ""), "how": "created", "at": state.now}
        found.append(row)
    return found
