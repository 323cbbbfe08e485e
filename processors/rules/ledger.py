"""One customer's book of points: what both sides hold, what is on its way, and why they differ. Pure; knows no store.

A book is of one customer at the point of sale and of all web accounts linked to it (docs/facts/loyalty-rules.md):

R1  the first snapshot opens the book with one entry of the balance; an account that has points already asks a person
R2  what a shopper earns or spends becomes one adjustment, under a tag made of its own id
R3  a posted row with such a tag settles it and moves nothing; another amount, or the tag again, is its own entry
R4  an adjustment that was written and is in neither table was deleted by staff: the points go back
R5  what happens at the point of sale moves the web balance by a difference, never to a value
R6  a web transaction with our tag is ours
R7  what an account has not got cannot be taken: it stays a debt
R8  a balance that its rows do not explain is an entry "unexplained", held until a merge explains it or it is let go
R9  a merge unites two books; one account, the oldest, keeps the points, and the others' are moved there
R11 expiry is a movement like any other, from the side that owns it
R12 a customer who is not enrolled keeps his book, and nothing is sent

What is read out of its turn is kept until its turn comes, so that a replay from empty makes the same book (I9).
"""

from collections.abc import Mapping
from typing import Literal, TypeVar

from msgspec.structs import replace

from processors.rules.book import (
    TAG,
    TRANSFER,
    Account,
    Adjust,
    Book,
    Cause,
    Move,
    MovePoints,
    PosEntry,
    WebEntry,
    tag_of,
)
from schemas.loyalty import HistoryRow, PointsSnapshot, WebTransaction

Value = TypeVar("Value")


def link_account(book: Book, name: str, *, since: str, points: int = 0) -> Book:
    """Add a web account. One that has points already asks a person, and nothing is sent until he has answered (R1)."""
    if name in book.accounts:
        return book
    account = Account(since=since, read=points, asks=points != 0)
    return replace(book, accounts={**book.accounts, name: account})


def decide_opening(book: Book, name: str, choice: Literal["keep_pos", "keep_web", "add"]) -> Book:
    """Enter what becomes of the points that an account had before it was linked (R1)."""
    account, entry_id = book.accounts[name], f"w:open:{name}"
    points, tag = account.read, tag_of(entry_id)
    if not account.asks:
        return book
    book = replace(book, accounts={**book.accounts, name: replace(account, asks=False)})
    if choice == "add":
        return replace(book, web={**book.web, tag: WebEntry(entry_id=entry_id, points=points)})
    if choice == "keep_pos":
        taken = PosEntry(points=-points, left=-points, cause="opening", version=book.versions.get(book.cust_no, 0))
        settled = WebEntry(entry_id=entry_id, points=points, state="settled")
        return replace(book, web={**book.web, tag: settled}, pos={**book.pos, f"c:{entry_id}": taken})
    known = {entry_id: one for entry_id, one in book.pos.items() if one.cause == "opening"}
    rest = sum(one.left for one in known.values())
    pos = {**book.pos, **{entry_id: replace(one, left=0) for entry_id, one in known.items()}}
    return replace(book, pos=pos, web={**book.web, tag: WebEntry(entry_id=entry_id, points=points - rest)})


def take_transaction(book: Book, seen: WebTransaction) -> Book:
    """Enter one transaction of a linked account: the shopper's own, or the echo of a move of ours (R6)."""
    name = f"{seen.store}/{seen.account_id}"
    entry_id = f"w:{seen.store}:{seen.transaction_id}"
    tag = seen.reference if seen.reference.startswith((TAG, TRANSFER)) else tag_of(entry_id)
    move = book.moves.get(tag)
    if tag in book.web or tag in book.early or (move is not None and move.state == "seen"):
        return book
    account = book.accounts[name]
    book = replace(book, accounts={**book.accounts, name: replace(account, read=account.read + seen.points)})
    if move is not None:
        return _moved(book, tag, seen.points, "seen")
    if seen.reference.startswith(TRANSFER):  # A replay: it was decided long ago.
        return replace(book, moves={**book.moves, tag: Move(account=name, points=seen.points, state="seen")})
    if seen.reference.startswith(TAG):
        return replace(book, early={**book.early, tag: seen})
    book = replace(book, web={**book.web, tag: WebEntry(entry_id=entry_id, points=seen.points)})
    row = book.early_rows.get(tag)
    if row is not None:  # Its adjustment was posted before we read of it: a replay.
        book = _settle(replace(book, early_rows=_without(book.early_rows, tag)), tag, row)
    return book


def account_read(book: Book, name: str) -> Book:
    """Note that an account's transactions were read to their end."""
    account = book.accounts[name]
    return (
        book
        if not account.is_behind
        else replace(book, accounts={**book.accounts, name: replace(account, is_behind=False)})
    )


def take_snapshot(book: Book, seen: PointsSnapshot) -> Book:
    """Enter what the point of sale shows of this customer, or of one who was merged into him; each version once."""
    if seen.version <= book.versions.get(seen.cust_no, 0):
        return book
    book = replace(book, versions={**book.versions, seen.cust_no: seen.version})
    if seen.cust_no == book.cust_no and seen.balance is not None and book.cust_no not in book.opened:
        book = _open(book, seen.balance, seen.version)
    for row in seen.rows:
        if row.version > book.opened.get(row.cust_no, 0) or row.reference in book.web:
            book = take_row(book, row)
    if seen.cust_no != book.cust_no or seen.balance is None:  # He is gone: his balance is in the other's by now.
        return book
    book = _look_for_tags(book, seen)
    return book if seen.version < book.merged_at else _explain(book, seen.balance, seen.version)


def take_row(book: Book, row: HistoryRow) -> Book:
    """Enter a posted row. One with our tag belongs to the book that has the tag, under whichever number it stands."""
    entry_id, tag = f"c:{row.row_id}", row.reference
    if entry_id in book.pos or (tag in book.early_rows and book.early_rows[tag].row_id == row.row_id):
        return book
    if tag in book.web:
        return _settle(book, tag, row)
    if tag.startswith(TAG) and tag not in book.early_rows:
        return replace(book, early_rows={**book.early_rows, tag: row})
    entry = PosEntry(points=row.points, left=row.points, cause="row", version=row.version)
    return replace(book, pos={**book.pos, entry_id: entry})


def written(book: Book, tag: str, version: int) -> Book:
    """Note that an adjustment was committed: snapshots newer than `version` must show it (R2)."""
    entry = book.web.get(tag)
    if entry is None or entry.state != "new":
        return book
    return replace(book, web={**book.web, tag: replace(entry, state="written", written_at=version)})


def moved(book: Book, tag: str, points: int) -> Book:
    """Note what a move did; 0 where the account has nothing left of what was to be taken (R7)."""
    move = book.moves.get(tag)
    if move is None or move.state != "sent":
        return book
    if points:
        return _moved(book, tag, points, "done")
    account = replace(book.accounts[move.account], is_behind=True)
    return replace(book, moves=_without(book.moves, tag), accounts={**book.accounts, move.account: account})


def let_go(book: Book, entry_id: str) -> Book:
    """Let the web have an unexplained entry: nothing has explained it, and it is small, or a person says so (R8)."""
    entry = book.pos[entry_id]
    return replace(book, pos={**book.pos, entry_id: replace(entry, is_held=False)}) if entry.is_held else book


def merge(gone: Book, stays: Book, *, version: int) -> Book:
    """Unite two books: who was merged into whom, seen at that version (R9)."""
    united = replace(
        stays,
        merged_at=max(version, gone.merged_at, stays.merged_at),
        expected=(*stays.expected, *gone.expected),
        **{
            name: {**getattr(gone, name), **getattr(stays, name)}
            for name in ("versions", "opened", "accounts", "web", "pos", "moves", "early", "early_rows")
        },
    )
    # Where the sum was seen before the merge was known, it stands twice now: as the gap, and in the other's entries.
    early = _gaps(stays, version)
    for tag in united.early_rows.keys() & united.web.keys():
        row = united.early_rows[tag]
        united = _settle(replace(united, early_rows=_without(united.early_rows, tag)), tag, row)
    pos = {**united.pos, **{entry_id: replace(one, left=0, cause="merged") for entry_id, one in early.items()}}
    if early:
        points, left = (sum(getattr(one, name) for one in early.values()) for name in ("points", "left"))
        twice = PosEntry(
            points=-points, left=left - sum(one.left for one in early.values()), cause="merged", version=version
        )
        pos[f"c:merged:{gone.cust_no}"] = twice
    return replace(united, pos=pos)


def expect(book: Book, cust_no: str, *, known_at: int, version: int) -> Book:
    """Note a merge in which one of the two has no book: what he had comes with a snapshot (R9).

    Args:
        book: The book of the other, under the survivor's number.
        cust_no: Who has none.
        known_at: The last snapshot of his that was seen: what it shows is no news any more.
        version: The first snapshot that can show the sum.
    """
    early = _gaps(book, version)  # It was seen before the merge was known.
    pos = {**book.pos, **{entry_id: replace(one, is_held=False, cause="merged") for entry_id, one in early.items()}}
    known_at = max(known_at, *(one.version for one in early.values()), 0)
    return replace(
        book,
        pos=pos,
        merged_at=max(version, book.merged_at),
        opened={**book.opened, cust_no: known_at},
        versions={**book.versions, cust_no: max(known_at, book.versions.get(cust_no, 0))},
        expected=book.expected if early else (*book.expected, cust_no),
    )


def plan(book: Book) -> Book:
    """Decide the next move, one at a time: what is in transit, then points that came, then debts, then transfers.

    What was to be taken from an account that has nothing any more is not asked for again.
    """
    book = replace(book, moves={tag: one for tag, one in book.moves.items() if not _is_in_vain(book, one)})
    while _may_send(book) and not any(one.state == "sent" for one in book.moves.values()):
        found = _next_move(book)
        if found is None:
            break
        tag, move = found
        book = replace(book, moves={**book.moves, tag: move})
        early = book.early.get(tag)
        if early is not None:  # A replay: it was done long ago.
            book = _moved(replace(book, early=_without(book.early, tag)), tag, early.points, "seen")
    return book


def wanted(book: Book) -> tuple[tuple[Adjust, ...], tuple[MovePoints, ...]]:
    """Give what shall be written on each side now; asked again, it says the same."""
    if not _may_send(book):
        return (), ()
    new = ((tag, one) for tag, one in book.web.items() if one.state == "new" and one.points)
    sent = ((tag, one) for tag, one in book.moves.items() if one.state == "sent")
    return (
        tuple(Adjust(tag=tag, cust_no=book.cust_no, points=one.points) for tag, one in new),
        tuple(MovePoints(tag=tag, account=one.account, points=one.points) for tag, one in sent),
    )


def _may_send(book: Book) -> bool:
    return book.is_enrolled and bool(book.opened) and not any(one.asks for one in book.accounts.values())


def _is_in_vain(book: Book, move: Move) -> bool:
    return move.state == "sent" and move.points < 0 and book.balance(move.account) <= 0


def _next_move(book: Book) -> tuple[str, Move] | None:
    home = book.home
    if home is None:
        return None
    if book.transit > 0:
        return _transfer(book, home, book.transit)
    has = 0 if book.accounts[home].is_behind else book.balance(home)
    for entry_id, entry in book.pos.items():
        if not entry.left or entry.is_held:
            continue
        tag = tag_of(f"{entry_id}#{sum(one.entry_id == entry_id for one in book.moves.values())}")
        points = entry.left if entry.left > 0 else max(entry.left, -max(0, has))
        if points or tag in book.early:
            return tag, Move(account=home, points=points, entry_id=entry_id)
    for name in sorted(book.accounts):
        if name != home and book.balance(name) > 0 and not book.accounts[name].is_behind:
            return _transfer(book, name, -book.balance(name))
    return None


def _transfer(book: Book, account: str, points: int) -> tuple[str, Move]:
    """Give a move between accounts: the n-th to or from this one, whatever the others did meanwhile."""
    way = "to" if points > 0 else "from"
    mine = (one for one in book.moves.values() if not one.entry_id and one.account == account)
    number = sum((one.points > 0) == (points > 0) for one in mine)
    return tag_of(f"{way}:{account}#{number}", TRANSFER), Move(account=account, points=points)


def _moved(book: Book, tag: str, points: int, state: Literal["done", "seen"]) -> Book:
    move = book.moves[tag]
    done = replace(move, state=state, points=points)
    pos = book.pos
    if move.state == "sent" and move.entry_id:
        entry = pos[move.entry_id]
        pos = {**pos, move.entry_id: replace(entry, left=entry.left - points)}
    return replace(book, moves={**book.moves, tag: done}, pos=pos)


def _open(book: Book, balance: int, version: int) -> Book:
    """Open a customer's book, once for ever (R1)."""
    entry = PosEntry(points=balance, left=balance, cause="opening", version=version)
    opened = {**book.opened, book.cust_no: version}
    return replace(book, opened=opened, pos={**book.pos, f"c:open:{book.cust_no}": entry})


def _settle(book: Book, tag: str, row: HistoryRow) -> Book:
    """Settle a shopper's transaction by its posted adjustment; what differs is an entry of its own (R3)."""
    entry, entry_id = book.web[tag], f"c:{row.row_id}"
    is_first = entry.state != "settled"
    points = row.points - entry.points if is_first else row.points
    more = PosEntry(points=points, left=points, cause="altered" if is_first else "row", version=row.version)
    settled = replace(entry, state="settled", written_at=0)
    return replace(book, web={**book.web, tag: settled}, pos={**book.pos, entry_id: more})  # Entered though it be 0.


def _look_for_tags(book: Book, seen: PointsSnapshot) -> Book:
    """Find what waits to be posted, and what staff have deleted (R4)."""
    web, pos = dict(book.web), dict(book.pos)
    for tag, entry in book.web.items():
        if entry.state == "new" and tag in seen.unposted:
            web[tag] = replace(entry, state="written", written_at=seen.version)
        elif entry.state == "written" and tag not in seen.unposted and seen.version > entry.written_at:
            web[tag] = replace(entry, state="settled", written_at=0)
            pos[f"c:deleted:{entry.entry_id}"] = PosEntry(
                points=-entry.points, left=-entry.points, cause="deleted", version=seen.version
            )
    return replace(book, web=web, pos=pos)


def _explain(book: Book, balance: int, version: int) -> Book:
    """Hold the book against the balance: a merge that is waited for explains it, or it is held (R8)."""
    gap = balance - book.pos_sum
    opened = {**book.opened, **dict.fromkeys(book.expected, version)}  # Whatever rows of theirs come after is in it.
    cause: Cause = "merged" if book.expected else "unexplained"
    if gap:
        entry_id = f"c:{cause}:{'+'.join(book.expected) or book.cust_no}:{version}"
        entry = PosEntry(points=gap, left=gap, cause=cause, version=version, is_held=cause == "unexplained")
        book = replace(book, pos={**book.pos, entry_id: entry})
    return replace(book, opened=opened, expected=())


def _gaps(book: Book, version: int) -> dict[str, PosEntry]:
    """Give what was unexplained since a version and is still held."""
    return {
        entry_id: one
        for entry_id, one in book.pos.items()
        if one.cause == "unexplained" and one.is_held and one.version >= version
    }


def _without(mapping: Mapping[str, Value], name: str) -> dict[str, Value]:
    return {key: value for key, value in mapping.items() if key != name}
