"""One customer's book of points as a bookkeeper reads it: every entry, and what it moved on each side. Pure.

A book has no clock. Within each kind its order is known, and the kinds are laid beside each other so:

- the till's movements by the reading that showed them; within one reading as they were entered;
- our moves behind the entry that they are of, each account's in their order; a transfer behind what its account got
  before, and before what it got next;
- a shopper's transactions as they were read, each as late as the book allows: it stands before the row that says that
  staff deleted it, the n-th posting has n of them before it, and one that was written stands before what was read
  after that. So one that is posted stands where it was posted, as far as staff post in order;
- the closing of an account behind all of our moves to it;
- nothing of ours takes an account below 0: what must have been there first stands first.

Of two books that were merged, the transactions of who is gone stand before the survivor's.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import assert_never

import msgspec
from msgspec.structs import replace

from processors.rules.book import CARRIED, Book, Move, PosEntry, WebEntry
from schemas.loyalty import HistoryRow

CLOSED = "till:c:closed:"  # How the line of a closed account is named here.
OPENING = "w:open:"  # What an account had before it was linked, once a person has said what becomes of it.


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One entry, or one move of ours."""

    what: str
    origin: str  # Where it comes from: a row of the till, a store's transaction; of a move, the entry it is a part of.
    tag: str = ""  # Under which it was written on the other side.
    state: str = ""
    points: int
    till_moved: int = 0
    web_moved: int = 0
    till: int = 0  # The balance after it, and all before it.
    web: int = 0  # Of all accounts together.


def lines_of(book: Book) -> list[Line]:
    """Give every entry of a book with both running balances."""
    till, web, lines = 0, 0, list[Line]()
    for one in _Order(book, deque(book.web.items()), dict(book.moves)).lines_in_order():
        till, web = till + one.till_moved, web + one.web_moved
        lines.append(replace(one, till=till, web=web))
    return lines


def web_balance(book: Book) -> int:
    """Give what all accounts have together, as far as it is known."""
    return sum(book.balance(name) for name in book.accounts)


@dataclass(slots=True)
class _Order:
    """The merge of the kinds into one order."""

    book: Book
    web: deque[tuple[str, WebEntry]]  # Still to be told, as are the moves.
    moves: dict[str, Move]
    told: set[str] = field(default_factory=set)  # Entries of the till.
    lines: list[Line] = field(default_factory=list)
    has: int = 0  # On the web.

    def lines_in_order(self) -> list[Line]:
        """Tell all of it."""
        needs = _needs(self.book)
        for name, line in _till_lines(self.book):
            while len(self.book.web) - len(self.web) < needs[name]:
                self._tell_shopper()
            if name.startswith(CLOSED):
                self._tell_moves(closing=_account_in(name.removeprefix(CLOSED)))
            self._tell(line)
            self.told.add(name)
            self._tell_moves()
        while self.web:
            self._tell_shopper()
        for tag, move in self.moves.items():
            self._tell(_move_line(tag, move))
        for line in _rest(self.book):
            self._tell(line)
        return self.lines

    def _tell_shopper(self) -> None:
        tag, entry = self.web.popleft()
        self._add(_shopper_line(self.book, tag, entry))

    def _tell(self, line: Line) -> None:
        """Tell of the till, or of us: that took nothing that was not there."""
        while line.web_moved < 0 and self.has + line.web_moved < 0 and self.web:
            self._tell_shopper()
        self._add(line)

    def _add(self, line: Line) -> None:
        self.has += line.web_moved
        self.lines.append(line)

    def _tell_moves(self, *, closing: str = "") -> None:
        """Tell the moves whose entries are told, with the transfers that came before them in their accounts.

        Of an account that is closing, all transfers are told.
        """
        held, transfers, ready = set[str](), list[str](), list[str]()
        for tag, move in self.moves.items():
            if move.account in held or (move.entry_id and f"till:{move.entry_id}" not in self.told):
                held.add(move.account)
            elif not move.entry_id:
                transfers.append(tag)
            else:
                ready += [*self._up_to(transfers, move.account), tag]
        for tag in [*ready, *self._up_to(transfers, closing)]:
            self._tell(_move_line(tag, self.moves.pop(tag)))

    def _up_to(self, transfers: list[str], account: str) -> list[str]:
        """Take out the transfers up to an account's last one."""
        last = max((place for place, tag in enumerate(transfers, 1) if self.moves[tag].account == account), default=0)
        taken = transfers[:last]
        del transfers[:last]
        return taken


def _needs(book: Book) -> Mapping[str, int]:
    """Say of each line of the till how many of the shopper's transactions stand before it at least."""
    shoppers = list(enumerate(book.web.values(), 1))
    places = {one.entry_id: place for place, one in shoppers}
    posted = iter([place for place, one in shoppers if one.state == "settled" and not _undone(book, one)])
    needs: dict[str, int] = {}
    for name, version, entry in _till(book):
        need = max(
            (place for place, one in shoppers if one.state == "written" and one.shown_after < version), default=0
        )
        if isinstance(entry, PosEntry):
            entry_id = name.removeprefix("till:c:").removeprefix("deleted:")
            posting = next(posted, 0) if entry.cause == "altered" else 0
            need = max(need, places.get(entry_id, 0), posting)
        needs[name] = need
    return needs


def _till(book: Book) -> list[tuple[str, int, PosEntry | HistoryRow]]:
    """Give the till's entries and early rows by their readings."""
    found: list[tuple[str, int, PosEntry | HistoryRow]] = [
        *((f"till:{entry_id}", one.version, one) for entry_id, one in book.pos.items()),
        *((f"early:{tag}", row.version, row) for tag, row in book.early_rows.items()),
    ]
    return sorted(found, key=lambda each: each[1])


def _till_lines(book: Book) -> Iterator[tuple[str, Line]]:
    for name, _, entry in _till(book):
        own_id = name.partition(":")[2]
        if isinstance(entry, PosEntry):
            yield name, _till_line(book, own_id, entry)
        else:
            what, state = "adjustment of ours, posted", "its transaction was not read yet"
            points = entry.points
            yield (
                name,
                Line(what=what, origin=entry.row_id, tag=own_id, state=state, points=points, till_moved=points),
            )


def _till_line(book: Book, entry_id: str, entry: PosEntry) -> Line:
    closes, opens = entry.cause == "closed", entry_id.startswith("c:open:")
    beside = beside_moves(book, entry_id) if closes or opens else 0
    return Line(
        what=_what(entry_id, entry),
        origin=entry_id.removeprefix("c:"),
        state=_till_state(book, entry_id, entry, given=beside if opens else 0),
        points=beside if closes else entry.points,
        till_moved=entry.points,
        web_moved=beside,
    )


def beside_moves(book: Book, entry_id: str) -> int:
    """Give what of an entry is settled, and not by a move of ours.

    Of a closed account, that is what it had, below 0; of an opening, what the web had already; of any other, what was
    set off against another entry (R8).
    """
    entry = book.pos[entry_id]
    moved = sum(one.points for one in book.moves.values() if one.entry_id == entry_id and one.state != "sent")
    return entry.points - entry.left - moved


def _what(entry_id: str, entry: PosEntry) -> str:  # One line for each cause.
    name = entry_id.split(":", 2)[-1]
    match entry.cause:
        case "opening":
            return _opening(entry_id)
        case "row":
            return "ticket or adjustment at the till"
        case "altered":
            return "adjustment posted with another amount" if entry.points else "adjustment posted"
        case "deleted":
            return "adjustment deleted by staff"
        case "unexplained":
            return "unexplained balance"
        case "merged":
            return f"merge with {name}"
        case "closed":
            return f"account {_account_in(name)} closed"
        case _:
            assert_never(entry.cause)


def _account_in(rest: str) -> str:
    """Give the account of an id's rest: behind it stands a number."""
    return rest.rpartition(":")[0]


def _opening(entry_id: str) -> str:
    if entry_id.startswith("c:open:"):
        return f"opening of {entry_id.removeprefix('c:open:').replace('+', ' and ')}"
    if entry_id.startswith(f"c:{OPENING}"):
        return f"opening: the till's points count, not {_account_in(entry_id.removeprefix(f'c:{OPENING}'))}'s"
    return "ticket or adjustment, inside the opening"


def _till_state(book: Book, entry_id: str, entry: PosEntry, *, given: int) -> str:
    """Say what the web has not got of it."""
    if entry.left:
        return f"{'held: ' if entry.is_held else ''}{entry.left:+} not on the web yet"
    if given:
        return f"the web had {given} of it"
    if entry.cause != "closed" and beside_moves(book, entry_id):
        return "set off against another entry"
    if entry.cause == "closed":
        return "given to another account" if beside_moves(book, entry_id) else ""
    return "on the web" if entry.points else ""


def _shopper_line(book: Book, tag: str, entry: WebEntry) -> Line:
    is_settled = entry.state == "settled"
    if entry.entry_id.startswith(OPENING) and "/" in entry.entry_id:
        what = f"opening: what {_account_in(entry.entry_id.removeprefix(OPENING))} had before it was linked"
    else:
        store = entry.entry_id.split(":")[1]
        what = f"shopper {'earned' if entry.points > 0 else 'spent'} in {store}"
    return Line(
        what=what,
        origin=entry.entry_id.removeprefix("w:"),
        tag=tag,
        state=_shopper_state(book, entry),
        points=entry.points,
        till_moved=entry.points if is_settled else 0,
        web_moved=entry.points,
    )


def _shopper_state(book: Book, entry: WebEntry) -> str:
    match entry.state:
        case "new":
            return "waits to be written" if entry.points else "nothing to write"
        case "written":
            return "unposted"
        case "settled":
            return "undone, see below" if _undone(book, entry) else "posted"
        case _:
            assert_never(entry.state)


def _undone(book: Book, entry: WebEntry) -> bool:
    """Say whether it came to nothing: deleted by staff, or not counted by a person's decision."""
    return f"c:deleted:{entry.entry_id}" in book.pos or f"c:{entry.entry_id}" in book.pos


def _move_line(tag: str, move: Move) -> Line:
    if move.entry_id:
        what = f"our move to {move.account}"
    elif move.account == CARRIED:
        what = "transfer of less than one of the account's own points, carried"
    else:
        what = f"transfer {'to' if move.points > 0 else 'from'} {move.account}"
    states = {"sent": "on its way", "done": "done", "seen": "done, and seen there"}
    web_moved = 0 if move.state == "sent" else move.points
    origin = move.entry_id.removeprefix("c:")
    return Line(what=what, origin=origin, tag=tag, state=states[move.state], points=move.points, web_moved=web_moved)


def _rest(book: Book) -> Iterator[Line]:
    """Give what stands in no order: what is not decided yet, and what a rebuilding set off against other kinds."""
    for tag, seen in book.early.items():
        what, state = f"our move to {seen.store}/{seen.account_id}", "read before its entry: a rebuilding goes on"
        origin = f"{seen.store}:{seen.transaction_id}"
        yield Line(what=what, origin=origin, tag=tag, state=state, points=seen.points, web_moved=seen.points)
    for name, account in book.accounts.items():
        if account.before is not None:
            what, state = f"what {name} had before it was linked", "waits for a person"
            yield Line(what=what, origin=name, state=state, points=account.before, web_moved=account.before)
    others = [name for name, one in book.pos.items() if one.cause != "closed" and not name.startswith("c:open:")]
    points = sum(beside_moves(book, name) for name in others)
    if points:
        is_whole = all(one.per == 1 for one in book.accounts.values())
        what = "set off against an opening or a closed account"
        what += "" if is_whole else ", or carried: less than one of the account's own points"
        yield Line(what=what, origin="", points=points, web_moved=points)
