"""Whose is a store's account (req-C5, C9)? Keyed by the account.

An account is a customer's by its link; without one by its own e-mail, where exactly one customer has it whose name does
not speak against it.
"""

from collections.abc import Iterable, Mapping, Sequence

from counterflow.state import links, profiles, records, reviews, steering, wanted
from counterflow.state.records import Seen
from counterflow.state.wanted import Want
from processors import customers, loyalty, matches, showings
from processors.rules.identity import Claim, Facts, Found, Unclear, match_account, may_link
from processors.rules.names import Name
from processors.shop import State
from schemas.commands import CreateCustomer
from schemas.names import OurId
from schemas.records import Address, Customer
from schemas.requests import AdoptAccount, PartAccount

ACCOUNT, APART, CUSTOMERS = customers.ACCOUNT, customers.APART, customers.CUSTOMERS
TELL = "tell"  # The timer of a walk through all customers of a system.
TELL_AT_ONCE = 200


def may_tell(state: State) -> bool:
    """Say whether the point of sale's customers are known whole: before, one e-mail may seem to be one customer's."""
    if state.is_told is None:
        state.is_told = steering.get(state.connection, f"told:{state.shop.pos}") is not None
    return state.is_told


def begin_to_tell(state: State) -> None:
    """Begin to say whose accounts are, once every customer that the first full reading found has been seen."""
    pos = state.shop.pos
    entity = state.shop.entity(pos)
    if not state.shop.customers or may_tell(state):
        return
    wanted_rows = steering.rows_read(state.connection, pos, entity)
    if wanted_rows is not None and profiles.count(state.connection, pos, entity) >= wanted_rows:
        steering.put_first(state.connection, f"told:{pos}", "yes")
        state.is_told = True
        for system in (*state.shop.customers, pos):
            tell(state, system, "")


def look_at_all(state: State) -> None:
    """Decide of every customer of the point of sale whether he is to have an account."""
    tell(state, state.shop.pos, "")


def tell(state: State, system: str, after: str) -> None:
    """Have the customers of a system behind a key looked at, some at a time: a shop may have a hundred thousand."""
    steering.set_timer(state.connection, TELL, system, state.now, body=after)


def tell_some(state: State, system: str, after: str) -> None:
    """Say of some accounts whose they are, or of some customers whether they are to have one."""
    keys = profiles.keys(state.connection, system, state.shop.entity(system), after=after, most=TELL_AT_ONCE)
    if len(keys) == TELL_AT_ONCE:
        tell(state, system, keys[-1])
    if system == state.shop.pos:
        state.creatable |= set(keys)
        return
    look_whose(state, system, records.read(state.connection, system, "customers", keys, Customer).values())


def look_whose(state: State, store: str, accounts: Iterable[Customer]) -> None:
    """Look whose some accounts of a store are, and let what their owners show be compared.

    An account without a link is linked by its e-mail where that is clear.
    """
    found = list(accounts)
    left = [one for one in _unlinked(state, store, found) if state.shop.email_of(one) is not None]
    if not left or not may_tell(state):
        return
    names = [(f"email:{one.email}", f"account:{store}/{one.key}") for one in left]
    links.lock(state.connection, [name for both in names for name in both])
    left = _unlinked(state, store, left)  # Another worker may have linked one while we waited.
    decided = reviews.decided(state.connection, ACCOUNT, [f"{store}/{one.key}" for one in left])
    left = [one for one in left if decided.get(f"{store}/{one.key}") != APART]
    emails = [one.email for one in left if one.email]
    known = customers.with_emails(state, emails)
    for account in left:
        ours = _tell_by(state, store, account, known.get(account.email or "", []), decided)
        if ours is not None:
            state.people.add(ours)


def take_earlier(readings: Iterable[Seen], state: State) -> None:
    """Link accounts by e-mails that they showed before, within one batch: a change of it in between hides nobody.

    Only where it is clear whose they are; what they show now is looked at afterwards.
    """
    if not may_tell(state):
        return
    found = [one for one in readings if one.system in state.shop.customers and one.email is not None]
    for seen in found:
        if not isinstance(seen.body, Customer) or not _unlinked(state, seen.system, [seen.body]):
            continue
        key = f"{seen.system}/{seen.key}"
        known = customers.with_email(state, seen.email or "")
        is_clear = len(known) == 1 and not customers.are_others(state, seen.system, seen.body, Name.of(known[0]))
        if is_clear and reviews.decision(state.connection, ACCOUNT, key) != APART:
            state.people.add(_link(state, seen.system, seen.key, known[0].key, "e-mail"))


def _unlinked(state: State, store: str, accounts: Sequence[Customer]) -> list[Customer]:
    """Give the accounts that have no link; the owners of the others are looked at."""
    linked = links.find_all(state.connection, "customer", [(store, one.key) for one in accounts])
    state.people |= set(linked.values())
    return [one for one in accounts if (store, one.key) not in linked]


def _tell_by(
    state: State, store: str, account: Customer, known: list[Customer], decided: Mapping[str, str]
) -> OurId | None:
    """Give whose an account without a link is, by those at the point of sale who have its e-mail."""
    key = f"{store}/{account.key}"
    if key in decided:
        return _link(state, store, account.key, decided[key], "person")
    asks = state.shop.asks_about_names(store)
    claim = Claim(email=account.email, name=Name.of(account), known=customers.known_of(known))
    match match_account(Facts(account=claim, asks_about_names=asks)):
        case Unclear():
            _ask(state, key, known)
            return None
        case Found(key=by) if not may_link(by):
            customers.ask_about_names(state, store, account, known[0])
            return None
    state.settle(ACCOUNT, key)
    if not known:
        _adopt(state, store, account)
        return None
    ours = customers.id_of(state, known[0].key)
    if any(one == store for one, _ in links.remotes(state.connection, "customer", ours)):
        return None  # He has an account in this store already: whose this one is, its first order will tell.
    return _link(state, store, account.key, known[0].key, "e-mail")


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
    state.ask(ACCOUNT, key, message, facts)


def link_waiting(state: State, emails: Iterable[str]) -> None:
    """Link the accounts that wait for customers with these e-mails."""
    for store in state.shop.customers if may_tell(state) else ():
        found = profiles.customers_with_emails(state.connection, store, "customers", emails)
        look_whose(state, store, (one for _, some in sorted(found.items()) for one in some))


def _adopt(state: State, store: str, customer: Customer) -> None:
    """Have a customer of the store alone created at the point of sale, where the policy says: at once."""
    if state.shop.customers[store].adopt == "at_once":
        adopt(state, store, customer)


def adopt(state: State, store: str, customer: Customer) -> None:
    """Want a customer at the point of sale for an account, under the e-mail as an order would."""
    if customer.email is None or state.shop.email_of(customer) is None or customers.with_email(state, customer.email):
        return
    ours = links.find(state.connection, "customer", links.UNDER_WAY, customer.email)
    if ours is not None and customers.are_others(
        state, store, customer, customers.being_created_as(state, customer.email)
    ):
        return  # Once that customer is there, it is asked whose the account is.
    if ours is None:
        ours = customers.new_id(f"account/{store}/{customer.key}")
        links.make(state.connection, "customer", links.UNDER_WAY, customer.email, ours, "created")
    links.make(state.connection, "customer", store, customer.key, ours, "created")
    body = CreateCustomer(
        email=customer.email,
        first_name=customer.first_name,
        last_name=customer.last_name,
        company=customer.company,
        marketing=customer.marketing,
        phone=customer.phone,
        billing=customer.billing or Address(),
    )
    if not matches.may_create(state, state.shop.pos, store, customer, state.shop.customers[store].matches):
        return
    want = Want(system=state.shop.pos, task=CUSTOMERS, key=f"email:{customer.email}", body=body)
    wanted.want(state.connection, [want], at=state.now)


def gone(state: State, store: str, key: str) -> None:
    """Note that an account was deleted in its store. It is not made again: a deletion there is never undone."""
    ours = links.find(state.connection, "customer", store, key)
    kept = profiles.read(state.connection, [(store, key)]).get((store, key))
    if kept is not None and kept.body.email:
        row = {"store": store, "email": kept.body.email, "our_id": ours or "", "how": "deleted", "at": state.now}
        profiles.note_welcomes(state.connection, [row])
    links.drop(state.connection, "customer", store, key)
    loyalty.account_gone(state, store, key)
    row_key = (store, "profiles", key)
    if row_key in wanted.rows(state.connection, [row_key]):
        wanted.withdraw(state.connection, row_key, "the account was deleted in the store")
    for kind, name in (("refused", "/".join(row_key)), (ACCOUNT, f"{store}/{key}")):
        state.settle(kind, name)


def take_request(state: State, ask: PartAccount | AdoptAccount, *, by: str) -> None:
    """Do what a person asks about one account."""
    match ask:
        case PartAccount(store=store, account=account):
            part(state, store, account, by=by)
        case AdoptAccount(store=store, account=account):
            adopt_by_hand(state, store, account)


def adopt_by_hand(state: State, store: str, key: str) -> None:
    """Want a customer at the point of sale for an account that has none: a person asks for it."""
    account = records.read(state.connection, store, "customers", [key], Customer).get(key)
    if account is not None and links.find(state.connection, "customer", store, key) is None:
        adopt(state, store, account)


def part(state: State, store: str, key: str, *, by: str) -> None:
    """Take a link away that a person says is wrong; the account is not linked by its e-mail again."""
    ours = links.find(state.connection, "customer", store, key)
    state.ask(ACCOUNT, f"{store}/{key}", "taken apart by a person", {})
    reviews.decide(state.connection, ACCOUNT, f"{store}/{key}", APART, by)
    links.drop(state.connection, "customer", store, key)
    showings.estrange(state, store, key)
    if ours is not None:
        state.people.add(ours)
