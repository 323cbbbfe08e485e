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

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Literal, TypeVar

from msgspec.structs import replace

from processors.rules.book import (
    TRANSFER,
    Account,
    Adjust,
    Book,
    Cause,
    Move,
    MovePoints,
    PointsSnapshot,
    PosEntry,
    WebEntry,
    is_ours,
    tag_of,
)
from schemas.loyalty import HistoryRow, WebTransaction

Value = TypeVar("Value")
PARTS_AHEAD = 4
NEVER = 2**62  # No reading has such a version.


def link_account(book: Book, name: str, *, since: str, before: int | None = None, times: int = 0) -> Book:
    """Add a web account.

    Args:
        book: Its customer's.
        name: "<store>/<account id>".
        since: When it was made, as text that sorts.
        before: What its transactions add up to that were made before it was linked, and will not be told; None where
            it has none. Where it has some, nothing is sent until a person has said what becomes of them (R1).
        times: How often it was taken out of a book before.
    """
    if name in book.accounts:
        return book
    account = Account(cust_no=book.cust_no, since=since, times=times, read=before or 0, before=before)
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
    return replace(book, accounts=_without(book.accounts, name), moves={**book.moves, **over}, pos=pos)


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


def keep_bought(book: Book, name: str) -> Book:
    """Keep what a card had that was bought in the store: of what staff sold it for, only the difference goes up."""
    taken_id = f"c:{opening_of(book, name)}"
    book = decide_opening(book, name, "keep_pos")
    pos = dict(book.pos)
    _cancel(pos, f"c:open:{book.cust_no}", taken_id)
    return replace(book, pos=pos)


def take_order_payment(book: Book, seen: WebTransaction, tag: str) -> Book:
    """Enter what an order took off a gift card, or gave back: it travels in the order's own document, not by us.

    Args:
        book: The card's.
        seen: The store's transaction.
        tag: What the row of the point of sale will carry: the document's marker and the sign.
    """
    entry_id = f"w:{seen.store}:{seen.transaction_id}"
    mine = {one: entry for one, entry in book.web.items() if one.partition("#")[0] == tag}
    if any(entry.entry_id == entry_id for entry in mine.values()):
        return book
    name = f"{seen.store}/{seen.account_id}"
    account = book.accounts[name]
    own = f"{tag}#{len(mine) + 1}" if mine else tag  # The order was given up, and paid once more.
    entry = WebEntry(entry_id=entry_id, points=seen.points, state="written", shown_after=NEVER)
    accounts = {**book.accounts, name: replace(account, read=account.read + seen.points)}
    book = replace(book, accounts=accounts, web={**book.web, own: entry})
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
    account = book.accounts[name]
    book = replace(book, accounts={**book.accounts, name: replace(account, read=account.read + seen.points)})
    if move is not None:
        return _moved(book, tag, seen.points, "seen")
    if tag.startswith(TRANSFER):  # A replay: it was decided long ago.
        return replace(book, moves={**book.moves, tag: Move(account=name, points=seen.points, state="seen")})
    if has_tag:
        return replace(book, early={**book.early, tag: seen})
    return _settle_early(replace(book, web={**book.web, tag: WebEntry(entry_id=entry_id, points=seen.points)}))


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
    number = 1
    while True:
        tag = f"{row.reference}#{number}" if number > 1 else row.reference
        if tag in book.web and book.web[tag].state != "settled":
            return _settle(book, tag, row)
        if tag not in book.web and tag not in book.early_rows:
            return replace(book, early_rows={**book.early_rows, tag: row})
        number += 1


def written(book: Book, tag: str, version: int) -> Book:
    """Note that an adjustment was committed: snapshots newer than `version` must show it (R2)."""
    entry = book.web.get(tag)
    if entry is None or entry.state != "new":
        return book
    return replace(book, web={**book.web, tag: replace(entry, state="written", shown_after=version)})


def moved(book: Book, tag: str, points: int) -> Book:
    """Note what a move did; 0 where points were to be taken and the account has none left (R7)."""
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


def plan(book: Book) -> Book:
    """Decide the next move, one at a time: what is in transit, then points that came, then debts, then transfers.

    What was decided and cannot be meant any more is dropped: had it been carried out all the same, its echo says so.
    """
    moves = {tag: _amended(book, one) for tag, one in book.moves.items() if not _is_in_vain(book, one)}
    book = _net(replace(book, moves=moves)) if book.is_card else replace(book, moves=moves)
    book = _match_early(book)
    if not any(one.state == "sent" for one in book.moves.values()):
        found = _next_move(book)
        if found is not None:
            tag, move = found
            book = replace(book, moves={**book.moves, tag: move})
    return book


def wanted(book: Book) -> tuple[tuple[Adjust, ...], tuple[MovePoints, ...]]:
    """Give what shall be written on each side now; asked again, it says the same."""
    may_send = _may_send(book)
    new = [(tag, one) for tag, one in book.web.items() if one.state == "new" and one.points and may_send]
    sent = [
        (tag, one)
        for tag, one in book.moves.items()
        if one.state == "sent" and (may_send or _ends_transfer(one))  # What was taken is given, whatever happens.
    ]
    return (
        tuple(Adjust(tag=tag, cust_no=book.cust_no, points=one.points) for tag, one in new),
        tuple(MovePoints(tag=tag, account=one.account, points=one.points) for tag, one in sent),
    )


def _may_send(book: Book) -> bool:
    asks = any(one.before is not None for one in book.accounts.values())
    return book.is_enrolled and book.cust_no in book.opened and not asks


def _ends_transfer(move: Move) -> bool:
    return not move.entry_id and move.points > 0


def _is_in_vain(book: Book, move: Move) -> bool:
    if move.state != "sent":
        return False
    if _ends_transfer(move):
        return book.transit <= 0
    if move.points < 0 and book.balance(move.account) <= 0:
        return True
    if not move.entry_id:
        return False
    entry = book.pos.get(move.entry_id)
    return entry is None or abs(entry.left) < abs(move.points)


def _amended(book: Book, move: Move) -> Move:
    """Give what is in transit by now, to the account it was sent to: it may be there already, under this very tag."""
    is_under_way = move.state == "sent" and _ends_transfer(move)
    return replace(move, points=book.transit) if is_under_way and move.points != book.transit else move


def _match_early(book: Book) -> Book:
    """Find the entries whose moves were read before they were decided here: a replay.

    It may have cancelled meanwhile what was sent then; so what was moved counts, whatever was left of it here.
    """
    for tag in [one for one in book.early if one in book.moves and not book.moves[one].points]:
        book = _taken(book, tag, book.moves[tag].entry_id)
    if not book.early:
        return book
    parts = Counter(one.entry_id for one in book.moves.values() if one.state != "sent")
    # In any order: parts went to several accounts, and a number may be used up at one that was deleted.
    tags = {
        tag_of(f"{entry_id}#{number}"): entry_id
        for entry_id in book.pos
        for number in range(parts[entry_id] + PARTS_AHEAD)
    }
    found = [tag for tag in tags if tag in book.early]
    while found:
        tag = found.pop(0)
        entry_id = tags[tag]
        book = _taken(book, tag, entry_id)
        parts[entry_id] += 1
        following = tag_of(f"{entry_id}#{parts[entry_id] + PARTS_AHEAD - 1}")
        if following in book.early:
            tags[following] = entry_id
            found.append(following)
    return book


def _taken(book: Book, tag: str, entry_id: str) -> Book:
    """Enter a move of an entry's that was read early."""
    seen = book.early[tag]
    move = Move(account=f"{seen.store}/{seen.account_id}", points=seen.points, entry_id=entry_id)
    book = replace(book, early=_without(book.early, tag), moves={**book.moves, tag: move})
    book = _moved(book, tag, seen.points, "seen")
    return _even_out(book, entry_id) if entry_id in book.pos else book


def _even_out(book: Book, entry_id: str) -> Book:
    """Let what was moved beyond an entry's own points count for others of which something is left, held ones first."""
    pos = dict(book.pos)
    for other_id in sorted(pos, key=lambda one: not pos[one].is_held):
        if pos[entry_id].left * pos[entry_id].points >= 0:
            break
        _cancel(pos, entry_id, other_id)
    return replace(book, pos=pos)


def _next_tag(book: Book, entry_id: str) -> str:
    """Give the tag of the next part of an entry: the first that was not used."""
    number = sum(one.entry_id == entry_id and one.state != "sent" for one in book.moves.values())
    while (tag := tag_of(f"{entry_id}#{number}")) in book.moves and book.moves[tag].state != "sent":
        number += 1
    return tag


def _next_move(book: Book) -> tuple[str, Move] | None:
    home = book.home
    if home is None:
        return None
    if book.transit > 0:
        return _transfer(book, home, book.transit)
    if not _may_send(book):
        return None
    return _next_part(book, home) or _next_transfer(book, home)


def _next_part(book: Book, home: str) -> tuple[str, Move] | None:
    has = 0 if book.accounts[home].is_behind else max(0, book.balance(home))
    for entry_id, entry in book.pos.items():
        points = entry.left if entry.left > 0 else max(entry.left, -has)
        if points and not entry.is_held:
            return _next_tag(book, entry_id), Move(account=home, points=points, entry_id=entry_id)
    return None


def _next_transfer(book: Book, home: str) -> tuple[str, Move] | None:
    for name in sorted(book.accounts):
        if name != home and book.balance(name) > 0 and not book.accounts[name].is_behind:
            return _transfer(book, name, -book.balance(name))
    return None


def _transfer(book: Book, account: str, points: int) -> tuple[str, Move]:
    """Give a move between accounts: the n-th to or from this one, whatever the others did meanwhile."""
    way = "to" if points > 0 else "from"
    mine = (one for one in book.moves.values() if not one.entry_id and one.account == account)
    number = sum((one.points > 0) == (points > 0) for one in mine)
    times = book.accounts[account].times  # It may have been in another's book, which had numbers of its own.
    return tag_of(f"{way}:{account}:{times}#{number}", TRANSFER), Move(account=account, points=points)


def _moved(book: Book, tag: str, points: int, state: Literal["done", "seen"]) -> Book:
    move = book.moves[tag]
    pos = book.pos
    if move.state == "sent" and move.entry_id in pos:
        entry = pos[move.entry_id]
        pos = {**pos, move.entry_id: replace(entry, left=entry.left - points)}
    return replace(book, moves={**book.moves, tag: replace(move, state=state, points=points)}, pos=pos)


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
        book = _settle(replace(book, early_rows=_without(book.early_rows, tag)), tag, row)
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
    return _net(replace(book, pos={**book.pos, f"c:unexplained:{book.cust_no}:{version}": entry}))


def _correct(book: Book, balance: int, version: int, gone: str) -> Book:
    """Take back what a sum that was seen before its merge was known has added, and the other's entries say again."""
    gap = balance - book.pos_sum
    if not gap:
        return book
    entry = PosEntry(points=gap, left=gap, cause="merged", version=version)
    return _net(replace(book, pos={**book.pos, f"c:merged:{gone}": entry}))


def _net(book: Book) -> Book:
    """Let what is held, and what takes it back, cancel each other: the web never hears of either.

    It is taken back by a merge, or by the next balance: where a ticket's row and its balance are not seen together.
    """
    pos = dict(book.pos)
    for held_id in [entry_id for entry_id, one in pos.items() if one.is_held]:
        for back_id in [entry_id for entry_id, one in pos.items() if _takes_back(book, one)]:
            _cancel(pos, held_id, back_id)
    for entry_id, one in pos.items():
        if one.is_held and not one.left:
            pos[entry_id] = replace(one, is_held=False)
    return replace(book, pos=pos)


def _takes_back(book: Book, one: PosEntry) -> bool:
    """Say whether an entry may cancel what is held: of a gift card, a debt too, or money would go there and back."""
    return one.is_held or one.cause == "merged" or (book.is_card and one.left < 0)


def _cancel(pos: dict[str, PosEntry], one_id: str, other_id: str) -> None:
    """Let what is left of two entries cancel each other, as far as one is above 0 and one below."""
    one, other = pos[one_id], pos[other_id]
    if one.left * other.left < 0:
        less = min(abs(one.left), abs(other.left)) * (1 if one.left > 0 else -1)
        pos[one_id] = replace(one, left=one.left - less)
        pos[other_id] = replace(other, left=other.left + less)


def _without(mapping: Mapping[str, Value], name: str) -> dict[str, Value]:
    return {key: value for key, value in mapping.items() if key != name}
