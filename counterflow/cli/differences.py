"""Why a customer's two balances differ at this moment, reason by reason; and whether his book adds up. Pure."""

from collections.abc import Iterable, Sequence

import msgspec

from counterflow.cli.statement import Line, web_balance
from processors.rules.book import Book, PosEntry

NAMES_MAX = 12  # More tags than a person will look up.


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One reason; all of them together are the difference."""

    points: int  # By how much the web is above the till because of it.
    says: str


def reasons(book: Book) -> list[Reason]:
    """Say why the web's balance is not the till's; none where nothing is on its way."""
    return [*_of_shoppers(book), *_of_the_till(book), *_of_accounts(book)]


def notes(book: Book) -> list[str]:
    """Say why nothing is sent at this moment, and what the till showed where the book has gone on."""
    found = []
    if book.cust_no not in book.opened:
        found.append("his balance at the till was not read yet: nothing is sent before")
    if not book.is_enrolled:
        found.append("he is in no programme, or not flagged for e-commerce: the book is kept, and nothing is sent")
    asks = [name for name, one in book.accounts.items() if one.before is not None]
    if asks:
        found.append(f"nothing is sent before a person has said what becomes of the points that {_some(asks)} had")
    version, balance = book.shown
    if book.cust_no in book.opened and balance != book.pos_sum:
        found.append(f"the till showed {balance} in reading {version}; the next reading of him settles it")
    return found


def faults(book: Book, lines: Sequence[Line]) -> list[str]:
    """Say what does not add up: a fault of ours, never of the shop's."""
    till, web = (lines[-1].till, lines[-1].web) if lines else (0, 0)
    has, explained = web_balance(book), sum(one.points for one in reasons(book))
    found = []
    if till != book.pos_sum:
        found.append(f"the entries add up to {till} at the till, and the book says {book.pos_sum}")
    if web != has:
        found.append(f"the entries add up to {web} on the web, and the accounts have {has}")
    if has - book.pos_sum != explained:
        found.append(f"the sides differ by {has - book.pos_sum:+}, and the reasons explain {explained:+}")
    return found


def _of_shoppers(book: Book) -> list[Reason]:
    says = {
        "new": "of the shopper wait to be written into Counterpoint",
        "written": "of the shopper wait for staff to post",
    }
    found = []
    for state, words in says.items():
        waiting = {tag: one.points for tag, one in book.web.items() if one.state == state and one.points}
        if waiting:
            found.append(_reason(sum(waiting.values()), words, waiting))
    if book.early_rows:
        words = "were posted under our tags, and the shopper's transactions were not read yet"
        found.append(_reason(-sum(one.points for one in book.early_rows.values()), words, book.early_rows))
    return found


def _of_the_till(book: Book) -> list[Reason]:
    """Take apart what the web has not got: what is held, what waits for an account, debts, and what is on its way."""
    open_entries = {name: one for name, one in book.pos.items() if one.left}
    held = {name: one.left for name, one in open_entries.items() if one.is_held}
    rest = [one for one in open_entries.values() if not one.is_held]
    found = []
    if held:
        found.append(_reason(-sum(held.values()), "of the till are held: nothing explains them", held))
    if rest and book.home is None:
        found.append(_reason(-sum(one.left for one in rest), "of the till wait for a web account"))
    elif rest:
        debt = _debt(book, book.home or "", rest)
        way = sum(one.left for one in rest) - debt
        if debt:
            found.append(_reason(-debt, "are a debt: the account has not got them"))
        if way or not debt:
            found.append(_reason(-way, "of the till are on their way to the web"))
    return found


def _debt(book: Book, home: str, entries: Iterable[PosEntry]) -> int:
    """Give what is to be taken and cannot be, below 0: beyond what the account has, and what comes to it."""
    has = 0 if book.accounts[home].is_behind else max(0, book.balance(home))
    comes = sum(one.left for one in entries if one.left > 0)
    takes = sum(one.left for one in entries if one.left < 0)
    return min(0, takes + has + comes)


def _of_accounts(book: Book) -> list[Reason]:
    found = []
    if book.transit:
        found.append(_reason(-book.transit, "were taken from one account and not given to the other yet"))
    for name, account in book.accounts.items():
        if account.before:
            words = f"were in {name} before it was linked: a person decides what becomes of them"
            found.append(_reason(account.before, words))
    if book.early:
        words = "were moved by us, and their entries were not read yet"
        found.append(_reason(sum(one.points for one in book.early.values()), words, book.early))
    return found


def _reason(points: int, words: str, names: Iterable[str] = ()) -> Reason:
    listed = _some([name.removeprefix("c:") for name in names])
    return Reason(points=points, says=f"{abs(points)} points {words}" + (f": {listed}" if listed else ""))


def _some(names: Sequence[str]) -> str:
    more = len(names) - NAMES_MAX
    return ", ".join(names[:NAMES_MAX]) + (f", and {more} more" if more > 0 else "")
