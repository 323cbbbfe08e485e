"""One customer's book of points: what both sides hold, what is on its way, and why they differ. Pure; knows no store.

Every customer who has points at the point of sale has a book, with or without a web account; it covers all accounts
that are linked to him (docs/facts/loyalty-rules.md):

R1  the first snapshot opens the book with one entry of the balance; an account that has points already asks a person
R2  what a shopper earns or spends becomes one adjustment, under a tag made of its own id
R3  a posted row with such a tag settles it and moves nothing; another amount, or the tag again, is its own entry
R4  an adjustment that was written and is in neither table was deleted by staff: the points go back
R5  what happens at the point of sale moves the web balance by a difference, never to a value
R6  a web transaction with our tag is ours
R7  what an account has not got cannot be taken: it stays a debt
R8  a balance that its rows do not explain is an entry "unexplained", held until a merge explains it or it is let go
R9  a merge unites two books: the sum of the entries is the sum of the balances. One account, the oldest, keeps the
    points, and the others' are moved there
R11 expiry is a movement like any other, from the side that owns it
R12 a customer who is not enrolled keeps his book, and nothing is sent

What is read out of its turn is kept until its turn comes, so that a replay from empty makes the same book (I9).
"""

from collections.abc import Collection
from typing import Literal

from msgspec.structs import replace

from processors.rules.book import (
    TRANSFER,
    Account,
    Book,
    Cause,
    Move,
    PointsSnapshot,
    PosEntry,
    Rate,
    WebEntry,
    at_till,
    is_ours,
    tag_of,
    to_till,
)
from processors.rules.lefts import cancel, deliver, net, without
from schemas.loyalty import HistoryRow, WebTransaction

NEVER = 2**62  # No reading has such a version.


def link_account(
    book: Book,
    name: str,
    *,
    since: str,
    before: int | None = None,
    times: int = 0,
    rate: Rate = (1, 1),
) -> Book:
    """Add a web account.

    Args:
        book: Its customer's.
        name: "<store>/<account id>".
        since: When it was made, as text that sorts.
        before: What its transactions add up to that were made before it was linked, and will not be told; None where
            it has none. Where it has some, nothing is sent until a person has said what becomes of them (R1).
        times: How often it was taken out of a book before.
        rate: So many of its points are so many of the till's; `before` is in its own.
    """
    if name in book.accounts:
        return book
    raw = before or 0
    points = to_till(raw, rate)
    account = Account(cust_no=book.cust_no, since=since, times=times, read=points, raw=raw, before=points or None)
    account = replace(account, rate=rate[0], per=rate[1])
    return replace(book, accounts={**book.accounts, name: account})


def close_account(book: Book, name: str, version: int) -> Book:
    """Take an account out: it was deleted in its store, or is another's. What it had, the next account shall have.

    What its shopper did is not undone: it still goes to the point of sale.
    """
    if name not in book.accounts:
        return book
    points = book.balance(name) - (book.accounts[name].before or 0)
    # Whatever was under way there is over: its tags are used up, and nothing of it is waited for any more.
    over = {tag: _over(one) for tag, one in book.moves.items() if one.account == name}
    entry = PosEntry(points=0, left=points, cause="closed", version=version)
    pos = {**book.pos, f"c:closed:{name}:{book.accounts[name].times}": entry}
    return replace(book, accounts=without(book.accounts, name), moves={**book.moves, **over}, pos=pos)


def _over(move: Move) -> Move:
    return replace(move, state="seen", points=0 if move.state == "sent" else move.points)


def decide_opening(book: Book, name: str, choice: Literal["keep_pos", "keep_web", "add"]) -> Book:
    """Enter what becomes of the points that an account had before it was linked (R1).

    "keep_web" makes up for the opening of the account's own customer, who has to be opened by then.
    """
    account = book.accounts[name]
    points, entry_id = account.before, opening_of(book, name)
    tag = tag_of(entry_id)
    if points is None:
        return book
    book = replace(book, accounts={**book.accounts, name: replace(account, before=None)})
    if choice == "add":
        return replace(book, web={**book.web, tag: WebEntry(entry_id=entry_id, points=points)})
    if choice == "keep_pos":
        taken = PosEntry(points=-points, left=-points, cause="opening", version=book.shown[0])
        settled = WebEntry(entry_id=entry_id, points=points, state="settled")
        return replace(book, web={**book.web, tag: settled}, pos={**book.pos, f"c:{entry_id}": taken})
    opening_id = next((one for one in book.pos if account.cust_no in _opened_by(one)), "")
    opening = book.pos.get(opening_id)
    left, pos = 0, book.pos
    if opening is not None:
        left, pos = opening.left, {**book.pos, opening_id: replace(opening, left=0)}
    return replace(book, pos=pos, web={**book.web, tag: WebEntry(entry_id=entry_id, points=points - left)})


def opening_of(book: Book, name: str) -> str:
    """Give the id of what an account had before it was linked: another one each time that it is."""
    return f"w:open:{name}:{book.accounts[name].times}"


def _opened_by(entry_id: str) -> list[str]:
    """Give whose balances an opening entry holds: of several, where they were merged before they were read."""
    prefix = "c:open:"
    return entry_id.removeprefix(prefix).split("+") if entry_id.startswith(prefix) else []


def take_bought(book: Book, seen: WebTransaction) -> Book:
    """Enter what a gift card was bought for in the store, told of after staff have sold it at the till."""
    entry_id = f"w:{seen.store}:{seen.transaction_id}"
    tag, name = tag_of(entry_id), f"{seen.store}/{seen.account_id}"
    if tag in book.web:
        return book
    account = book.accounts[name]
    accounts = {**book.accounts, name: replace(account, read=account.read + seen.points, raw=account.raw + seen.points)}
    settled = WebEntry(entry_id=entry_id, points=seen.points, state="settled")
    taken = PosEntry(points=-seen.points, left=-seen.points, cause="opening", version=book.shown[0])
    pos = {**book.pos, f"c:{entry_id}": taken}
    cancel(pos, f"c:open:{book.cust_no}", f"c:{entry_id}")
    return replace(book, accounts=accounts, web={**book.web, tag: settled}, pos=pos)


def take_order_payment(book: Book, seen: WebTransaction, tag: str) -> Book:
    """Enter what an order took off a gift card, or gave back: it travels in the order's own document, not by us.

    Args:
        book: The card's.
        seen: The store's transaction.
        tag: What the row of the point of sale will carry: the document's marker and the sign.
    """
    entry_id = f"w:{seen.store}:{seen.transaction_id}"
    mine = {one: entry for one, entry in book.web.items() if one == tag or one.startswith(f"{tag}#")}
    if any(entry.entry_id == entry_id for entry in mine.values()):
        return book
    name = f"{seen.store}/{seen.account_id}"
    account = book.accounts[name]
    own = f"{tag}#{len(mine) + 1}" if mine else tag  # The order was given up, and paid once more.
    entry = WebEntry(entry_id=entry_id, points=seen.points, state="written", shown_after=NEVER)
    account = replace(account, read=account.read + seen.points, raw=account.raw + seen.points)
    book = replace(book, accounts={**book.accounts, name: account}, web={**book.web, own: entry})
    return _settle_early(book)


def take_transaction(book: Book, seen: WebTransaction) -> Book:
    """Enter one transaction of a linked account: the shopper's own, or the echo of a move of ours (R6)."""
    name = f"{seen.store}/{seen.account_id}"
    entry_id = f"w:{seen.store}:{seen.transaction_id}"
    has_tag = is_ours(seen.reference)
    tag = seen.reference if has_tag else tag_of(entry_id)
    move = book.moves.get(tag)
    if move is not None and move.points == 0 and move.account != name:  # A replay had it elsewhere, where it was over.
        move = replace(move, account=name, state="sent")
        book = replace(book, moves={**book.moves, tag: move})
    if tag in book.web or tag in book.early or (move is not None and move.state == "seen"):
        return book
    if has_tag:
        return _take_echo(book, name, tag, seen)
    account = book.accounts[name]
    raw = account.raw + seen.points
    points = to_till(raw, account.worth) - to_till(account.raw, account.worth)
    account = replace(account, read=account.read + points, raw=raw)
    # Less than a point at the till is nothing to write; it counts with the next (R13).
    entry = WebEntry(entry_id=entry_id, points=points, state="new" if points or not seen.points else "settled")
    return _settle_early(replace(book, accounts={**book.accounts, name: account}, web={**book.web, tag: entry}))


def _take_echo(book: Book, name: str, tag: str, seen: WebTransaction) -> Book:
    """Enter what a move of ours did; from here on in points of the till (R13)."""
    move = book.moves.get(tag)
    if move is not None and move.state == "done" and move.raw == seen.points:
        points = move.points
    else:
        others = replace(book, moves=without(book.moves, tag))
        points = at_till(others, name, seen.points, move.points if move is not None else 0)
    account = book.accounts[name]
    account = replace(account, read=account.read + points, moved=account.moved + seen.points)
    book = replace(book, accounts={**book.accounts, name: account})
    if move is not None:
        return deliver(book, tag, points, "seen", raw=seen.points)
    if tag.startswith(TRANSFER):  # A replay: it was decided long ago.
        return replace(book, moves={**book.moves, tag: Move(account=name, points=points, state="seen")})
    return replace(book, early={**book.early, tag: replace(seen, points=points)})


def account_read(book: Book, name: str) -> Book:
    """Note that an account's transactions were read to their end."""
    account = book.accounts[name]
    if not account.is_behind:
        return book
    return replace(book, accounts={**book.accounts, name: replace(account, is_behind=False)})


def take_snapshot(book: Book, seen: PointsSnapshot) -> Book:
    """Enter what the point of sale shows of this customer, or of one who was merged into him; each version once."""
    if seen.version <= book.versions.get(seen.cust_no, 0):
        return book
    book = replace(book, versions={**book.versions, seen.cust_no: seen.version})
    for row in seen.rows:
        if row.version > book.opened.get(row.cust_no, seen.version) or row.reference in book.web:
            book = take_row(book, row)
        elif f"c:{row.row_id}" not in book.pos:  # It is in his opening: noted, should it be told again later.
            inside = PosEntry(points=0, left=0, cause="opening", version=row.version)
            book = replace(book, pos={**book.pos, f"c:{row.row_id}": inside})
    if seen.cust_no != book.cust_no or seen.balance is None or seen.version < book.merged_in:
        return book  # His balance is in another's, or not the sum yet.
    return _explain(book, seen.balance, seen.version)


def take_unposted(book: Book, unposted: Collection[str], version: int) -> Book:
    """Find what waits to be posted, and what staff have deleted (R4): by a reading whose rows were all entered.

    Args:
        book: Any.
        unposted: All of our tags among the adjustments that wait to be posted, whoever's they are.
        version: Of the reading.
    """
    if book.is_card:
        return book  # Of gift cards nothing waits to be posted.
    web, pos = dict(book.web), dict(book.pos)
    for tag, entry in book.web.items():
        if entry.state == "new" and tag in unposted:
            web[tag] = replace(entry, state="written", shown_after=version)
        elif entry.state == "written" and tag not in unposted and version > entry.shown_after:
            web[tag] = replace(entry, state="settled", shown_after=0)
            pos[f"c:deleted:{entry.entry_id}"] = PosEntry(
                points=-entry.points, left=-entry.points, cause="deleted", version=version
            )
    return replace(book, web=web, pos=pos)


def write_again(book: Book) -> Book:
    """Want what was written once more: nobody knows what became of it. It is looked for by its tag, and found."""
    web = {
        tag: replace(one, state="new", shown_after=0) if one.state == "written" and one.shown_after < NEVER else one
        for tag, one in book.web.items()
    }
    return replace(book, web=web)


def take_row(book: Book, row: HistoryRow) -> Book:
    """Enter a posted row. One with our tag belongs to the book that has the tag, under whichever number it stands."""
    entry_id, tag = f"c:{row.row_id}", row.reference
    if entry_id in book.pos or any(early.row_id == row.row_id for early in book.early_rows.values()):
        return book
    if book.is_card and tag and not is_ours(tag):
        return _take_order_row(book, row)
    if tag in book.web:
        return _settle(book, tag, row)
    if is_ours(tag) and tag not in book.early_rows:
        return replace(book, early_rows={**book.early_rows, tag: row})
    entry = PosEntry(points=row.points, left=row.points, cause="row", version=row.version)
    return replace(book, pos={**book.pos, entry_id: entry})


def _take_order_row(book: Book, row: HistoryRow) -> Book:
    """Settle what an order took off a card by its document's row; one that comes first waits for the store's word."""
    waiting, number = [], 1
    while (tag := f"{row.reference}#{number}" if number > 1 else row.reference) in book.web.keys() | book.early_rows:
        if tag in book.web and book.web[tag].state != "settled":
            waiting.append(tag)
        number += 1
    if not waiting:
        return replace(book, early_rows={**book.early_rows, tag: row})
    # An order may have been given up before it had a document, and opened again with less on the card.
    same = [one for one in waiting if book.web[one].points == row.points]
    return _settle(book, (same or waiting)[0 if same else -1], row)


def take_alone(book: Book, tag: str) -> Book:
    """Enter a row that waited for its other half as one of the point of sale's alone: the store has not moved that."""
    row = book.early_rows.get(tag)
    if row is None:
        return book
    entry = PosEntry(points=row.points, left=row.points, cause="row", version=row.version)
    pos = {**book.pos, f"c:{row.row_id}": entry}
    return replace(book, early_rows=without(book.early_rows, tag), pos=pos)


def written(book: Book, tag: str, version: int) -> Book:
    """Note that an adjustment was committed: snapshots newer than `version` must show it (R2)."""
    entry = book.web.get(tag)
    if entry is None or entry.state != "new":
        return book
    return replace(book, web={**book.web, tag: replace(entry, state="written", shown_after=version)})


def moved(book: Book, tag: str, points: int) -> Book:
    """Note what a move did, in the account's own points; 0 where it has none left to take (R7)."""
    move = book.moves.get(tag)
    if move is None or move.state != "sent":
        return book
    if points:
        return deliver(book, tag, at_till(book, move.account, points, move.points), "done", raw=points)
    account = replace(book.accounts[move.account], is_behind=True)
    return replace(book, moves=without(book.moves, tag), accounts={**book.accounts, move.account: account})


def let_go(book: Book, entry_id: str) -> Book:
    """Let the web have an unexplained entry: nothing has explained it, and it is small, or a person says so (R8)."""
    entry = book.pos[entry_id]
    return replace(book, pos={**book.pos, entry_id: replace(entry, is_held=False)}) if entry.is_held else book


def merge(gone: Book, stays: Book, *, version: int) -> Book:
    """Unite two books (R9).

    Args:
        gone: The book of the customer who is no more.
        stays: The survivor's.
        version: Of the first snapshot that can show the sum, or an older one.
    """
    names = ("versions", "opened", "accounts", "web", "pos", "moves", "early", "early_rows")
    united = replace(
        stays,
        merged=(*stays.merged, gone.cust_no, *gone.merged),
        merged_in=max(version, gone.merged_in, stays.merged_in),
        **{name: {**getattr(gone, name), **getattr(stays, name)} for name in names},
    )
    united = _settle_early(united)
    shown_in, balance = stays.shown
    if shown_in < united.merged_in or stays.cust_no not in united.opened:
        return united  # The next snapshot shows the sum.
    return _correct(united, balance, shown_in, gone.cust_no)


def _settle(book: Book, tag: str, row: HistoryRow) -> Book:
    """Settle a shopper's transaction by its posted adjustment; what differs is an entry of its own (R3)."""
    entry, entry_id = book.web[tag], f"c:{row.row_id}"
    is_first = entry.state != "settled"
    points = row.points - entry.points if is_first else row.points
    # Of a gift card less can be taken than was spent: both sides spent the same money. None may appear of it.
    is_held = book.is_card and is_first and points > 0
    cause: Cause = "altered" if is_first else "row"
    more = PosEntry(points=points, left=points, cause=cause, version=row.version, is_held=is_held)
    settled = replace(entry, state="settled", shown_after=0)
    return replace(book, web={**book.web, tag: settled}, pos={**book.pos, entry_id: more})  # Entered though it be 0.


def _settle_early(book: Book) -> Book:
    """Settle what was posted before its transaction was known here: in a replay, or in the book of another."""
    for tag in sorted(book.early_rows.keys() & book.web.keys()):
        row = book.early_rows[tag]
        book = _settle(replace(book, early_rows=without(book.early_rows, tag)), tag, row)
    return book


def _explain(book: Book, balance: int, version: int) -> Book:
    """Hold the book against the balance: whoever is not opened yet is opened by it, or it is held (R1, R8)."""
    book, gap = replace(book, shown=(version, balance)), balance - book.pos_sum
    new = [cust_no for cust_no in (book.cust_no, *book.merged) if cust_no not in book.opened]
    if new:
        entry = PosEntry(points=gap, left=gap, cause="opening", version=version)
        opened = {**book.opened, **dict.fromkeys(new, version)}
        return replace(book, opened=opened, pos={**book.pos, f"c:open:{'+'.join(new)}": entry})
    if not gap:
        return book
    entry = PosEntry(points=gap, left=gap, cause="unexplained", version=version, is_held=True)
    return net(replace(book, pos={**book.pos, f"c:unexplained:{book.cust_no}:{version}": entry}))


def _correct(book: Book, balance: int, version: int, gone: str) -> Book:
    """Take back what a sum that was seen before its merge was known has added, and the other's entries say again."""
    gap = balance - book.pos_sum
    if not gap:
        return book
    entry = PosEntry(points=gap, left=gap, cause="merged", version=version)
    return net(replace(book, pos={**book.pos, f"c:merged:{gone}": entry}))
