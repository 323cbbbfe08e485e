"""changes.<point of sale>.<customers> -> links: a customer who was being created shows up. Keyed by the customer.

And what other flows need of identity: our id of a customer there, and making a customer known under one.
"""

import uuid
from collections.abc import Iterable

import msgspec

from counterflow.state import links, records, reviews, wanted
from counterflow.state.profiles import customers_with_emails
from counterflow.state.records import Seen
from processors.rules.identity import Known
from processors.rules.names import Name, are_clearly_others
from processors.shop import State
from schemas.commands import CreateCustomer
from schemas.names import CustNo, OurId, order_of
from schemas.profiles import is_empty, postal
from schemas.records import Customer

CUSTOMERS = "customers"
ACCOUNT = "account"  # The review: whose is this account?
APART = "apart"  # A person's decision about it: nobody's whom we know by e-mail.
SPACE = uuid.UUID("5f0c6c2e-5a0e-4b1c-9d43-6e1f2b7a9c10")


def with_emails(state: State, emails: Iterable[str]) -> dict[str, list[Customer]]:
    """Read the customers of the point of sale with some e-mails, without nobody in particular: by e-mail."""
    pos = state.shop.pos
    wanted_ones = [email for email in emails if not state.shop.nobody.has_email(email)]
    found = customers_with_emails(state.connection, pos, state.shop.entity(pos), wanted_ones)
    somebody = {email: [one for one in some if not state.shop.is_nobody(one)] for email, some in found.items()}
    return {email: some for email, some in somebody.items() if some}


def with_email(state: State, email: str) -> list[Customer]:
    """Read the customers of the point of sale with an e-mail, as `with_emails`."""
    return with_emails(state, [email]).get(email, [])


def take(batch: Iterable[Seen], state: State) -> None:
    """Let everything that waits for a customer of this e-mail go on, once the point of sale has exactly one."""
    batch = list(batch)
    emails = [seen.email for seen in batch if seen.email]
    settle(state, emails)
    _note_created(state, [seen.key for seen in batch if seen.body is not None])
    back = [f"gone:{seen.key}" for seen in batch if seen.body is not None]
    state.orders |= {order_of(row.key) for row in wanted.blocked_by_any(state.connection, back)}
    waiting = reviews.waiting_for(state.connection, [f"email:{email}" for email in emails])
    state.orders |= {order_of(key) for _, key in waiting}


def settle(state: State, emails: Iterable[str]) -> None:
    """Know the customers being created for some e-mails as the ones that the point of sale now has."""
    found = sorted(set(emails))
    links.lock(state.connection, [f"email:{email}" for email in found])
    for _, email in sorted(links.find_all(state.connection, "customer", [(links.UNDER_WAY, one) for one in found])):
        _settle(state, email)


def _note_created(state: State, numbers: Iterable[str]) -> None:
    """Note who was created for an order of their own, with no e-mail to be known by."""
    for number, ours in links.created(state.connection, state.shop.pos, numbers).items():
        name = links.remote(state.connection, "customer", links.UNDER_WAY, ours)
        if name is not None and name.startswith("order:"):
            state.newcomers.setdefault(number, given(state, name))


def _settle(state: State, email: str) -> None:
    ours = links.find(state.connection, "customer", links.UNDER_WAY, email)
    if ours is None:
        return
    pos = state.shop.pos
    known = with_email(state, email)
    if len(known) == 1:
        part_from_others(state, ours, known[0].key)
        know(state, ours, known[0].key, "e-mail")
        # From now on the mirror finds him. Should the e-mail change there, it is nobody's again, not his.
        links.drop(state.connection, "customer", links.UNDER_WAY, email)
        state.newcomers[known[0].key] = given(state, email)
        creation = (pos, CUSTOMERS, f"email:{email}")
        wanted.mark_done(state.connection, [creation], at=state.now, note="the customer is there")
        state.settle("refused", "/".join(creation))


def part_from_others(state: State, ours: OurId, cust_no: str) -> None:
    """Take away the accounts of a customer being created, where the one who was found has clearly another's name.

    A clerk may have made them at the same moment, or a guest have typed the e-mail: a person says whose the account is.
    """
    pos = state.shop.pos
    found = records.read(state.connection, pos, state.shop.entity(pos), [cust_no], Customer).get(cust_no)
    if found is None:
        return  # Not read yet: once it is, this is looked at again.
    for store, key in links.remotes(state.connection, "customer", ours):
        if store in {state.shop.pos, links.UNDER_WAY}:
            continue
        account = records.read(state.connection, store, "customers", [key], Customer).get(key)
        if account is not None and are_others(state, store, account, Name.of(found)):
            links.drop(state.connection, "customer", store, key)
            ask_about_names(state, store, account, found)


def known_of(found: Iterable[Customer]) -> list[Known]:
    """Return the customers who have one e-mail, as the rule of identity wants them."""
    return [
        Known(cust_no=CustNo(one.key), email=one.email or "", is_ecommerce=one.is_ecommerce, name=Name.of(one))
        for one in found
    ]


def are_others(state: State, store: str, account: Customer, found: Name) -> bool:
    """Return whether an account and the customer with its e-mail are to be asked about before a first link."""
    return state.shop.asks_about_names(store) and are_clearly_others(Name.of(account), found)


def ask_about_names(state: State, store: str, account: Customer, found: Customer) -> None:
    """Ask whether an account is the customer's who has its e-mail: nothing of theirs moves before."""
    names = {f"{store}/{account.key}": Name.of(account).text(), found.key: Name.of(found).text()}
    message = f"customer {found.key} has the account's e-mail, and clearly another name: is it theirs?"
    facts = {"candidates": [found.key], "suggestion": found.key, "names": names}
    state.ask(ACCOUNT, f"{store}/{account.key}", message, facts)


def being_created_as(state: State, email: str) -> Name:
    """Return the name by which a customer with an e-mail is being created; no name where nobody is."""
    body = creation(state, email)
    return Name() if body is None else Name.created(body)


def creation_key(name: str) -> str:
    """Return the key of the wanted row that creates a customer: by their e-mail, or by the one order they are for."""
    return name if name.startswith("order:") else f"email:{name}"


def creation(state: State, name: str) -> CreateCustomer | None:
    """Return what is wanted of a customer being created under a name; None where nothing was."""
    row = (state.shop.pos, CUSTOMERS, creation_key(name))
    standing = wanted.rows(state.connection, [row]).get(row)
    return None if standing is None else msgspec.json.decode(standing.body, type=CreateCustomer)


def given(state: State, email: str) -> frozenset[str]:
    """Return the fields of a profile that a creation had something for: what else shows then is nobody's word."""
    body = creation(state, email)
    if body is None:
        return frozenset({"first_name", "last_name", "phone", "billing"})
    has = {
        "first_name": bool(body.first_name),
        "last_name": bool(body.last_name),
        "phone": bool(body.phone or body.billing.phone),
        "billing": not is_empty(postal(body.billing) or ""),
        "marketing": body.marketing is not None,
    }
    return frozenset(name for name, is_given in has.items() if is_given)


def know(state: State, ours: OurId, cust_no: str, how: str) -> OurId:
    """Know one of our customers under the point of sale's number, and let his orders go on; gives the id that stays."""
    pos = state.shop.pos
    there = links.find(state.connection, "customer", pos, cust_no)
    if there is not None and there != ours:
        links.unite(state.connection, ours, there)
    else:
        links.make(state.connection, "customer", pos, cust_no, ours, how)
    state.orders |= {order_of(row.key) for row in wanted.blocked_by(state.connection, f"customer:{ours}")}
    return there or ours


def give_order(state: State, store: str, order_id: str, ours: OurId, how: str) -> None:
    """Give one order to a customer: nothing else of who waited with it, or typed the same e-mail, follows."""
    links.drop(state.connection, "buyer", store, order_id)
    links.make(state.connection, "buyer", store, order_id, ours, how)


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
