"""Comparing customers and accounts with what was done to them. Knows nothing of the pipeline's rules."""

from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.life import Edit, Life, in_counterpoint, in_store
from sandbox.truth import Flow

Row = Mapping[str, Any]
# Which field of an account's JSON holds what is edited.
_IN_STORE = {"phone": "billing", "billing": "billing", "last_name": "last_name"}
_IN_STORE |= {"marketing": "meta_data", "group": "meta_data"}
MAIL = "account has been created!"
HOUR_S = 3600.0
BLINK_S = 5.0  # From asking for an account to having written it, at the most: as long as an answer may take.


def check_profiles(life: Life, states: Mapping[str, Row], journal: Sequence[Row]) -> Flow:
    """Check that both sides show the same of each customer with an account, and what was edited last."""
    flow = Flow("profile -> other side")
    customers = {row["CUST_NO"]: in_counterpoint(row) for row in states["counterpoint"]["customers"]}
    accounts = {(store, one["id"]): in_store(one) for store in life.remote.stores for one in states[store]["customers"]}
    for number, owned in sorted(life.accounts.items()):
        for store, account in owned.items():
            flow.wrong += _compare(life, number, (store, account), customers, accounts)
    for edit in _winners(life):
        number = life.merged.get(edit.cust_no, edit.cust_no)
        flow.changes += 1
        lost = _check_edit(edit, customers.get(number, {}))
        (flow.unseen if lost and _is_unseen(life, edit, journal) else flow.wrong).extend(lost)
        flow.delays += _delay(life, edit, journal)
    return flow


def _compare(
    life: Life,
    number: str,
    account: tuple[str, int],
    customers: Mapping[str, Mapping[str, str]],
    accounts: Mapping[tuple[str, int], Mapping[str, str]],
) -> list[str]:
    """Compare one customer with one of his accounts."""
    what = f"{account[0]} account {account[1]} of customer {number}"
    if account in life.deleted:
        return [f"{what} was deleted, and is there again"] if account in accounts else []
    stays = life.merged.get(number, number)
    here, there = customers.get(stays), accounts.get(account)
    if here is None or there is None:
        return [f"{what} is gone"]
    if account in _left_behind(life):
        return []
    wrong = [f"{what} names customer {there['pos_id']}"] if there["pos_id"] != stays else []
    left_alone = {"group"} if number in life.conflicts else set()
    if account[0] not in life.follows:
        left_alone.add("email")  # What somebody signs in with is left alone there.
    if not there["marketing"] and here["marketing"] == "yes" and not _is_edited(life, stays, "marketing"):
        left_alone.add("marketing")  # Who has said nothing is not told yes: a record's first yes is nobody's word.
    if account[0] in {store for store, _ in _left_behind(life, stays)}:
        left_alone.add("email")  # Two accounts of one person keep an e-mail each.
    names = [name for name in here if name not in left_alone]
    return wrong + [f"{what}: {name} differs" for name in names if here[name] != there[name]]


def _is_edited(life: Life, number: str, name: str) -> bool:
    return any(one.field == name and life.merged.get(one.cust_no, one.cust_no) == number for one in life.edits)


def _winners(life: Life) -> list[Edit]:
    """Give the last edit of each field of each customer."""
    last = {(one.cust_no, one.field): one for one in sorted(life.edits, key=lambda one: one.at)}
    return [one for key, one in sorted(last.items()) if one.field != "group" or one.cust_no not in life.conflicts]


def _check_edit(edit: Edit, here: Mapping[str, str]) -> list[str]:
    shown = here.get(edit.field, "")
    wanted = "".join(one for one in edit.value if one.isdigit()) if edit.field == "phone" else edit.value
    is_there = shown.startswith(wanted) if edit.field == "billing" else shown == wanted
    return [] if is_there else [f"customer {edit.cust_no}: the {edit.field} edited last in {edit.side} is lost"]


def _is_unseen(life: Life, edit: Edit, journal: Sequence[Row]) -> bool:
    """Say whether an edit in a store fell between our reading of that one account and our writing it.

    No store has a write that depends on what stands there: between the two is a blink. Reading a list does not count.
    """
    if edit.side == "counterpoint":
        return False
    account = (edit.side, str(life.accounts[edit.cust_no][edit.side]))
    told = [one for one in journal if (one["system"], one["key"]) == account and one["kind"] in {"customer", "read"}]
    edits = [at for at, one in enumerate(told) if one["actor"] != "api" and one["at"] <= edit.at]
    around = told[edits[-1] - 1 : edits[-1] + 2] if edits and edits[-1] else []
    if [(one["actor"], one["kind"]) for one in around[::2]] != [("api", "read"), ("api", "customer")]:
        return False
    read, _, wrote = around
    return wrote["at"] - read["at"] < BLINK_S and _IN_STORE[edit.field] in wrote["data"].get("fields", ())


def _delay(life: Life, edit: Edit, journal: Sequence[Row]) -> list[float]:
    """Give how long after an edit the other side was written to."""
    owned = life.accounts[edit.cust_no]
    others = {("counterpoint", edit.cust_no)} if edit.side != "counterpoint" else set()
    others |= {(store, str(number)) for store, number in owned.items() if store != edit.side}
    for entry in journal:
        is_ours = entry["actor"] == "api" and entry["kind"] == "customer"
        if is_ours and (entry["system"], entry["key"]) in others and entry["at"] >= edit.at:
            return [entry["at"] - edit.at]
    return []


def check_accounts(life: Life, states: Mapping[str, Row], journal: Sequence[Row], *, per_hour: int) -> Flow:
    """Check the accounts that we had made: one for each person, one mail each, no more than the pace."""
    flow = Flow("customer -> account")
    numbers = {row["CUST_NO"] for row in states["counterpoint"]["customers"]}
    for store in life.remote.stores:
        creations = [
            entry
            for entry in journal
            if entry["system"] == store
            and entry["actor"] == "api"
            and entry["data"].get("created")
            and entry["kind"] == "customer"
        ]
        made = [entry["data"]["email"].lower() for entry in creations]
        flow.changes += len(made)
        flow.delays += [0.0] * len(made)
        mails = [one["to"].lower() for one in states[store]["mails"] if one["subject"].endswith(MAIL)]
        flow.wrong += [f"{store} was told twice to create an account" for one in set(made) if made.count(one) > 1]
        flow.wrong += [
            f"{store} mailed one person {mails.count(one)} times" for one in set(made) if mails.count(one) != 1
        ]
        busiest = _busiest_hour([entry["at"] for entry in creations])
        if busiest > per_hour:
            flow.wrong.append(f"{store} was told to create {busiest} accounts, more than {per_hour} an hour")
        owners: dict[str, int] = {}
        for one in states[store]["customers"]:
            pos_id = in_store(one)["pos_id"]
            owners[pos_id] = owners.get(pos_id, 0) + 1
            if pos_id and pos_id not in numbers and (store, one["id"]) not in _left_behind(life):
                flow.wrong.append(f"{store} account {one['id']} names customer {pos_id}, who is gone")
        flow.wrong += _made_second(life, store, {entry["key"] for entry in creations}, states[store]["customers"])
        if made and not any(owners.get(number) for number in numbers):
            flow.wrong.append(f"{store}: no account names its customer")
    return flow


def _made_second(life: Life, store: str, made: set[str], accounts: Sequence[Row]) -> list[str]:
    """Find the accounts that we made for a customer who has another one there; a merge may bring two together."""
    of_customer: dict[str, set[str]] = {}
    for one in accounts:
        of_customer.setdefault(in_store(one)["pos_id"], set()).add(str(one["id"]))
    apart = {"", *life.merged.values(), *life.merged}
    return [
        f"{store}: customer {number} was made an account beside another: {sorted(owned)}"
        for number, owned in sorted(of_customer.items())
        if number not in apart and len(owned) > 1 and owned & made
    ]


def _busiest_hour(times: Sequence[float]) -> int:
    """Count the times in the fullest hour that begins with one of them."""
    return max((sum(1 for one in times if 0 <= one - start < HOUR_S) for start in times), default=0)


def _left_behind(life: Life, survivor: str | None = None) -> set[tuple[str, int]]:
    """Give the accounts that lost against an older one of the same store in a merge: nothing is written to them."""
    found: set[tuple[str, int]] = set()
    merged = {gone: stays for gone, stays in life.merged.items() if survivor in {None, stays}}
    for gone, stays in merged.items():
        for store in life.accounts.get(gone, {}).keys() & life.accounts.get(stays, {}).keys():
            found.add((store, max(life.accounts[gone][store], life.accounts[stays][store])))
    return found
