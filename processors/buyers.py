"""Whose an order is: what is known of it is looked up, and the rule (`rules/identity`) decides. Keyed by the order."""

from dataclasses import dataclass, replace
from datetime import timedelta

from counterflow.state import links, records, reviews, steering
from processors import accounts, customers, matches
from processors.rules.documents import Site
from processors.rules.identity import (
    Claim,
    Facts,
    Found,
    Key,
    Match,
    New,
    Same,
    Unclear,
    match_buyer,
    may_link,
)
from processors.rules.names import Name
from processors.shop import State
from schemas.names import COUNTERPOINT, CustNo, OurId
from schemas.records import Customer, Order

REVIEW = "order-customer"  # Whose is this order?
UNREAD = "account-unread"  # The timer of an order whose account could not be read.
UNREAD_FOR = timedelta(minutes=15)  # After that a person is told: an account is read with its order.


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What is known of an order's buyer."""

    facts: Facts
    account: Customer | None  # The account that placed it, as far as it was looked at; None for a guest.
    awaits_account: bool = False  # It was not read yet.
    is_unread: bool = False  # It was not read, and is waited for no longer.


def look_up(state: State, site: Site, order: Order) -> Looked:
    """Return what is known of an order's buyer."""
    store, account_id = site.store_id, order.account_id
    decided = links.find(state.connection, "buyer", store, order.key)
    linked = links.find(state.connection, "customer", store, account_id) if account_id else None
    if decided is not None and linked is not None:
        return Looked(facts=Facts(decided=decided, linked=linked), account=None)
    account = _account(state, store, account_id) if account_id else None
    if linked is None and account_id and account is None and _may_come(state, site, order):
        return Looked(facts=Facts(decided=decided), account=None, awaits_account=True)
    decision = reviews.decision(state.connection, customers.ACCOUNT, f"{store}/{account_id}") if account else None
    own = _claim(state, account.email, Name.of(account)) if account is not None else None
    facts = Facts(
        decided=decided,
        linked=linked,
        account=own,
        is_apart=decision == customers.APART,
        asks_about_names=state.shop.asks_about_names(store),
        makes_nobodys=site.makes_nobodys,
        typed=own
        if own is not None and own.email == order.email
        else _claim(state, order.email, Name.typed(order.billing)),
    )
    return Looked(facts=facts, account=account, is_unread=account_id is not None and account is None)


def _account(state: State, store: str, account_id: str) -> Customer | None:
    return records.read(state.connection, store, "customers", [account_id], Customer).get(account_id)


def _may_come(state: State, site: Site, order: Order) -> bool:
    """Return whether an account that is not known may still be read: it is told with its order, or told to be gone."""
    store, key = site.store_id, f"{site.store_id}/{order.key}"
    if records.gone_at(state.connection, store, "customers", order.account_id or "") is not None:
        return False
    if reviews.decision(state.connection, REVIEW, key) is not None:
        return False  # A person has said whose the order is.
    steering.set_timer_once(state.connection, UNREAD, key, state.now + UNREAD_FOR)
    return True


def _claim(state: State, email: str | None, name: Name) -> Claim:
    """Look up who is known by an e-mail."""
    if email is None or state.shop.nobody.has_email(email):
        return Claim(email=email, is_nobodys=email is not None)
    found = customers.with_email(state, email)
    under_way = links.find(state.connection, "customer", links.UNDER_WAY, email) if not found else None
    return Claim(
        email=email,
        name=name,
        known=customers.known_of(found),
        under_way=under_way,
        under_way_as=customers.being_created_as(state, email) if under_way is not None else Name(),
    )


def decide(state: State, site: Site, order: Order, known: Looked) -> OurId | None:
    """Decide whose order it is, and remember it; None where a person must say."""
    row_key = f"{site.store_id}/{order.key}"
    match = _answered(state, known, row_key) or _person(state, site, match_buyer(known.facts), row_key)
    key: Key
    match match:
        case Same(our_id, key):
            buyer, how = our_id, "id"
        case Found(cust_no, key):
            buyer, how = customers.id_of(state, cust_no), "person" if key == "person" else "e-mail"
        case New(email, key):
            buyer, how = customers.new_id(f"order/{row_key}"), "created"
            name = without_email(row_key) if email is None else email
            links.make(state.connection, "customer", links.UNDER_WAY, name, buyer, how)
        case Unclear(why, candidates, _):
            waits_for = f"email:{order.email}" if candidates else None
            state.ask(REVIEW, row_key, why, {"candidates": list(candidates)}, waits_for=waits_for)
            return None
    links.make(state.connection, "buyer", site.store_id, order.key, buyer, how)
    if order.account_id is not None and _links(state, key):
        customers.know_account(state, site.store_id, order.account_id, buyer, how)
    elif known.account is not None and isinstance(match, Found):
        _ask_whose(state, site, known, match)
    elif known.facts.decided is not None:
        _know_account(state, site, order, known)
    return buyer


def know_account(state: State, site: Site, order: Order) -> bool:
    """Link the account of an order that is placed, or that nothing comes of, by its own e-mail; False where it waits.

    Changed before the next order, the account's e-mail tells nobody any more who they were.
    """
    if order.account_id is None:
        return True
    if links.find(state.connection, "customer", site.store_id, order.account_id) is not None:
        return True
    known = look_up(state, site, order)
    _know_account(state, site, order, known)
    return not known.awaits_account


def _links(state: State, key: Key) -> bool:
    """Return whether an order may link its account now: by e-mail only once every customer was read."""
    return may_link(key) and (key != "own e-mail" or not state.shop.customers or accounts.may_tell(state))


def _know_account(state: State, site: Site, order: Order, known: Looked) -> None:
    """Link an account to who is known by its own e-mail, whoever the order's buyer is: that may have been typed."""
    match = match_buyer(replace(known.facts, decided=None))
    if known.facts.linked is None and order.account_id and isinstance(match, Found | Same) and _links(state, match.key):
        ours = match.our_id if isinstance(match, Same) else customers.id_of(state, match.cust_no)
        customers.know_account(state, site.store_id, order.account_id, ours, "e-mail")


def _ask_whose(state: State, site: Site, known: Looked, match: Found) -> None:
    """Ask whose an account is that did not follow its document, where it has the customer's e-mail."""
    found = records.read(state.connection, COUNTERPOINT, "AR_CUST", [match.cust_no], Customer).get(match.cust_no)
    account = known.account
    if account is None or found is None or known.facts.is_apart:
        return
    if account.email == found.email:
        customers.ask_about_names(state, site.store_id, account, found)


def _answered(state: State, known: Looked, row_key: str) -> Match | None:
    """Return what a person has said of an order whose account could not be read, where it is not decided yet."""
    if not known.is_unread or known.facts.decided is not None:
        return None
    decided = reviews.decision(state.connection, REVIEW, row_key)
    return Found(CustNo(decided), "typed e-mail") if decided not in {None, matches.NEW} else None


def _person(state: State, site: Site, match: Match, row_key: str) -> Match:
    """Put a person's decision, or the shop's setting, in place of what is unclear."""
    if not isinstance(match, Unclear):
        return match
    decided = reviews.decision(state.connection, REVIEW, row_key)
    if decided == matches.NEW:
        return New(None, "typed e-mail")
    if decided:
        return Found(CustNo(decided), "person" if may_link(match.key) else "typed e-mail")
    if site.takes_suggestion and match.suggestion is not None:
        return Found(match.suggestion, "typed e-mail")
    return match


def name_of_creation(state: State, order: Order, buyer: OurId, row_key: str, account: Customer | None) -> str | None:
    """Return under which name an order's buyer is being created; None where another order has begun it.

    It is the account's own e-mail, the typed one, or, for somebody who has none, the order.
    """
    emails = [account.email if account is not None else None, order.email]
    names = [*dict.fromkeys(one for one in emails if one), without_email(row_key)]
    under_way = links.find_all(state.connection, "customer", [(links.UNDER_WAY, name) for name in names])
    return next((name for name in names if under_way.get((links.UNDER_WAY, name)) == buyer), None)


def is_nobodys_to_make(state: State, buyer: OurId) -> bool:
    """Return whether nobody is being created for a buyer who has no number: nothing would ever come of waiting."""
    return links.remote(state.connection, "customer", links.UNDER_WAY, buyer) is None


def may_word(state: State, order: Order, buyer: OurId, row_key: str, name: str, account: Customer | None) -> bool:
    """Return whether an order may say what the customer being created shall be: no guest's words replace an account's.

    The account that owns the e-mail may; else who is the first to say it, and the guest's order that began it.
    """
    if (account is not None and name == account.email) or customers.creation(state, name) is None:
        return True
    return order.account_id is None and buyer == customers.new_id(f"order/{row_key}")


def without_email(row_key: str) -> str:
    """Return the name under which a customer of one order's own is being created, who has no e-mail."""
    return f"order:{row_key}"
