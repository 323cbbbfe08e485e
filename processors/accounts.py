"""Whose is a store's account, and who is to have one (req-C1 to C5, C9)? Keyed by the customer.

An account is a customer's by its link; without one by its e-mail, where exactly one customer has it. A customer of the
point of sale is given an account where the store's policy says so and he qualifies; the store mails him then (W-36), so
that the gate paces these commands, and nobody is named twice.
"""

import msgspec

from counterflow.state import links, profiles, records, reviews, wanted
from counterflow.state.wanted import Want
from processors import customers
from processors.rules.qualification import last_seen, reasons_against
from processors.shop import Customers, State
from schemas.commands import CreateAccount, CreateCustomer
from schemas.names import OurId
from schemas.outcomes import Outcome
from schemas.profiles import as_profile, is_empty, of_customer
from schemas.records import Address, Customer

ACCOUNT = "account"  # The review: whose is this account?
APART = "apart"  # A person's decision: nobody's whom we know by e-mail.
CUSTOMERS = customers.CUSTOMERS


def who(state: State, system: str, customer: Customer) -> OurId | None:
    """Give whose a customer record is; an account without a link is linked by its e-mail where that is clear."""
    ours = links.find(state.connection, "customer", system, customer.key)
    if ours is not None or system == state.shop.pos:
        return ours
    key = f"{system}/{customer.key}"
    decided = reviews.decision(state.connection, ACCOUNT, key)
    if decided == APART or customer.email is None:
        return None
    links.lock(state.connection, [f"email:{customer.email}", f"account:{key}"])
    known = _at_pos(state, customer.email)
    if decided is not None:
        return _link(state, system, customer.key, decided, "person")
    if len(known) > 1:
        _ask(state, key, known)
        return None
    reviews.settle(state.connection, ACCOUNT, key)
    if not known:
        _adopt(state, system, customer)
        return None
    ours = customers.id_of(state, known[0].key)
    if any(one == system for one, _ in links.remotes(state.connection, "customer", ours)):
        return None  # He has an account in this store already: whose this one is, its first order will tell.
    return _link(state, system, customer.key, known[0].key, "e-mail")


def _at_pos(state: State, email: str) -> list[Customer]:
    pos = state.shop.pos
    return profiles.customers_with_email(state.connection, pos, state.shop.entity(pos), email)


def _link(state: State, store: str, key: str, pos_key: str, how: str) -> OurId:
    ours = customers.id_of(state, pos_key)
    links.make(state.connection, "customer", store, key, ours, how)
    return ours


def _ask(state: State, key: str, known: list[Customer]) -> None:
    """Ask whose account it is: the lowest number flagged e-commerce is suggested, else the lowest."""
    ranked = sorted(known, key=lambda one: (not one.is_ecommerce, one.key))
    numbers = [one.key for one in ranked]
    message = f"{len(numbers)} customers have the account's e-mail"
    facts = {"candidates": numbers, "suggestion": numbers[0]}
    reviews.open_review(state.connection, ACCOUNT, key, message, facts)


def link_waiting(state: State, email: str | None) -> None:
    """Link the accounts that wait for a customer with this e-mail."""
    for store in state.shop.customers if email else ():
        for account in profiles.customers_with_email(state.connection, store, "customers", email or ""):
            ours = who(state, store, account)
            if ours is not None:
                state.people.add(ours)


def _adopt(state: State, store: str, customer: Customer) -> None:
    """Have a customer of the store alone created at the point of sale, where the policy says: at once."""
    if state.shop.customers[store].adopt == "at_once":
        adopt(state, store, customer)


def adopt(state: State, store: str, customer: Customer) -> None:
    """Want a customer at the point of sale for an account, under the e-mail as an order would."""
    if customer.email is None or reviews.decision(state.connection, "refused", _creation(state, customer.email)):
        return
    ours = links.find(state.connection, "customer", links.UNDER_WAY, customer.email)
    if ours is None:
        ours = customers.new_id(f"account/{store}/{customer.key}")
        links.make(state.connection, "customer", links.UNDER_WAY, customer.email, ours, "created")
    links.make(state.connection, "customer", store, customer.key, ours, "created")
    body = CreateCustomer(
        email=customer.email,
        first_name=customer.first_name,
        last_name=customer.last_name,
        phone=customer.phone,
        billing=customer.billing or Address(),
    )
    want = Want(system=state.shop.pos, task=CUSTOMERS, key=f"email:{customer.email}", body=body)
    wanted.want(state.connection, [want], at=state.now)


def _creation(state: State, email: str) -> str:
    return f"{state.shop.pos}/{CUSTOMERS}/email:{email}"


def gone(state: State, store: str, key: str) -> None:
    """Note that an account was deleted in its store. It is not made again: a deletion there is never undone."""
    ours = links.find(state.connection, "customer", store, key)
    kept = profiles.read(state.connection, [(store, key)]).get((store, key))
    if kept is not None and kept.body.email:
        row = {"store": store, "email": kept.body.email, "our_id": ours or "", "how": "deleted", "at": state.now}
        profiles.note_welcomes(state.connection, [row])
    links.drop(state.connection, "customer", store, key)
    row_key = (store, "profiles", key)
    if row_key in wanted.rows(state.connection, [row_key]):
        wanted.withdraw(state.connection, row_key, "the account was deleted in the store")
    for kind, name in (("refused", "/".join(row_key)), (ACCOUNT, f"{store}/{key}")):
        reviews.settle(state.connection, kind, name)


def decide(state: State) -> None:
    """Decide for every customer of the batch, and every store, whether he is to have an account there."""
    if not state.creatable or not state.shop.customers:
        return
    pos = state.shop.pos
    found = records.read(state.connection, pos, state.shop.entity(pos), state.creatable, Customer)
    for store, policy in sorted(state.shop.customers.items()):
        if policy.create != "never":
            for customer in found.values():
                _decide(state, store, policy, customer)


def _decide(state: State, store: str, policy: Customers, customer: Customer) -> None:
    row = (store, CUSTOMERS, f"pos:{customer.key}")
    standing = wanted.rows(state.connection, [row]).get(row)
    if standing is not None and standing.state in {"sent", "done", "held", "rejected"}:
        return
    if not _is_to_have(state, store, policy, customer):
        if standing is not None and standing.state != "dropped":
            wanted.withdraw(state.connection, row, "he does not qualify any more, or has an account")
        return
    shown = of_customer(customer, set(policy.fields) & state.shop.abilities[store].fields - {"email"})
    values = {name: value for name, value in shown.items() if not is_empty(value)}
    body = CreateAccount(email=customer.email or "", pos_id=customer.key, fields=as_profile(values))
    seen_at = last_seen(customer)
    priority = int(seen_at.timestamp()) if seen_at else 0  # The most recent first (req-C2).
    want = Want(system=store, task=CUSTOMERS, key=row[2], body=body, priority=priority)
    wanted.want(state.connection, [want], at=state.now)


def _is_to_have(state: State, store: str, policy: Customers, customer: Customer) -> bool:
    """Say whether a customer is to have an account that he has not."""
    if reasons(state, policy, customer):
        return False
    email = customer.email or ""
    ours = links.find(state.connection, "customer", state.shop.pos, customer.key)
    if ours is not None and any(one == store for one, _ in links.remotes(state.connection, "customer", ours)):
        return False
    if policy.create == "after_order" and (ours is None or not links.orders_of(state.connection, ours)):
        return False
    if profiles.customers_with_email(state.connection, store, "customers", email):
        return False  # Somebody has it there: whose it is, is decided with that account.
    return not profiles.was_welcomed(state.connection, store, email, ours or OurId("-"))


def reasons(state: State, policy: Customers, customer: Customer) -> tuple[tuple[str, str], ...]:
    """Give why a customer does not qualify for an account."""
    sharers = [one.key for one in _at_pos(state, customer.email)] if customer.email else []
    others = [key for key in sharers if key != customer.key]
    return reasons_against(customer, sharers=others, now=state.now, terms=policy.terms)


def take_answer(outcome: Outcome, state: State) -> None:
    """Link the account that a store created, or had."""
    account_id, cust_no = outcome.remote.get("account_id"), outcome.key.removeprefix("pos:")
    if account_id is None:
        return
    ours = customers.id_of(state, cust_no)
    links.make(state.connection, "customer", outcome.system, account_id, ours, "created")
    there = links.find(state.connection, "customer", outcome.system, account_id)
    if there != ours:
        message = f"the account found for customer {cust_no} is another customer's"
        reviews.open_review(state.connection, ACCOUNT, f"{outcome.system}/{account_id}", message, {"pos_id": cust_no})
    state.people.add(ours)


def welcome_rows(state: State, released: list[tuple[str, str, bytes | str]]) -> list[dict[str, object]]:
    """Give whom a store will mail for the commands that go out to it now: (store, key, body)."""
    found: list[dict[str, object]] = []
    for store, key, text in released:
        body = msgspec.json.decode(text, type=CreateAccount)
        ours = links.find(state.connection, "customer", state.shop.pos, key.removeprefix("pos:"))
        found.append({"store": store, "email": body.email, "our_id": ours or "", "how": "created", "at": state.now})
    return found


def part(state: State, store: str, key: str) -> None:
    """Take a link away that a person says is wrong; the account is not linked by its e-mail again."""
    ours = links.find(state.connection, "customer", store, key)
    reviews.open_review(state.connection, ACCOUNT, f"{store}/{key}", "taken apart by a person", {})
    reviews.decide(state.connection, ACCOUNT, f"{store}/{key}", APART, "person")
    links.drop(state.connection, "customer", store, key)
    if ours is not None:
        state.people.add(ours)
