"""changes.<point of sale>.<customers> -> links: a customer who was being created shows up. Keyed by the customer.

And what other flows need of identity: our id of a customer there, and making a customer known under one.
"""

import uuid
from collections.abc import Iterable

from counterflow.state import links, reviews, wanted
from counterflow.state.profiles import customers_with_email
from counterflow.state.records import Seen
from processors.shop import State
from schemas.names import OurId
from schemas.records import Customer

CUSTOMERS = "customers"
ACCOUNT = "account"  # The review: whose is this account?
SPACE = uuid.UUID("5f0c6c2e-5a0e-4b1c-9d43-6e1f2b7a9c10")


def take(batch: Iterable[Seen], state: State) -> None:
    """Let everything that waits for a customer of this e-mail go on, once the point of sale has exactly one."""
    emails = [seen.body.email for seen in batch if isinstance(seen.body, Customer) and seen.body.email]
    settle(state, emails)
    for _, key in reviews.waiting_for(state.connection, [f"email:{email}" for email in emails]):
        store, _, order_id = key.partition("/")
        state.orders.add((store, order_id))


def settle(state: State, emails: Iterable[str]) -> None:
    """Know the customers being created for some e-mails as the ones that the point of sale now has."""
    found = sorted(set(emails))
    links.lock(state.connection, [f"email:{email}" for email in found])
    for _, email in sorted(links.find_all(state.connection, "customer", [(links.UNDER_WAY, one) for one in found])):
        _settle(state, email)


def _settle(state: State, email: str) -> None:
    ours = links.find(state.connection, "customer", links.UNDER_WAY, email)
    if ours is None:
        return
    pos = state.shop.pos
    known = customers_with_email(state.connection, pos, state.shop.entity(pos), email)
    if len(known) == 1:
        know(state, ours, known[0].key, "e-mail")
        # From now on the mirror finds him. Should the e-mail change there, it is nobody's again, not his.
        links.drop(state.connection, "customer", links.UNDER_WAY, email)
        state.newcomers.add(known[0].key)
        creation = (pos, CUSTOMERS, f"email:{email}")
        wanted.mark_done(state.connection, [creation], at=state.now, note="the customer is there")
        state.settle("refused", "/".join(creation))


def know(state: State, ours: OurId, cust_no: str, how: str) -> OurId:
    """Know one of our customers under the point of sale's number, and let his orders go on; gives the id that stays."""
    pos = state.shop.pos
    there = links.find(state.connection, "customer", pos, cust_no)
    if there is not None and there != ours:
        links.unite(state.connection, ours, there)
    else:
        links.make(state.connection, "customer", pos, cust_no, ours, how)
    for row in wanted.blocked_by(state.connection, f"customer:{ours}"):
        store, _, order_id = row.key.partition("/")
        state.orders.add((store, order_id))
    return there or ours


def know_account(state: State, store: str, account_id: str, ours: OurId, how: str) -> None:
    """Know whose a store's account is, unless that is known; what the two sides show of him is then compared."""
    if links.make_all(state.connection, "customer", [(store, account_id)], ours, how):
        state.people.add(ours)


def id_of(state: State, cust_no: str) -> OurId:
    """Give our id of a customer of the point of sale, made at the first time."""
    pos = state.shop.pos
    ours = links.find(state.connection, "customer", pos, cust_no)
    if ours is not None:
        return ours
    made = new_id(f"{pos}/{cust_no}")
    links.make(state.connection, "customer", pos, cust_no, made, "id")
    return made


def new_id(name: str) -> OurId:
    """Make an id from what a customer was first known by: the same in every replay."""
    return OurId(str(uuid.uuid5(SPACE, name)))
