"""What a book wants done next: one move at a time, and every adjustment that waits. Pure."""

from collections import Counter

from msgspec.structs import replace

from processors.rules.book import CARRIED, TRANSFER, Adjust, Book, Move, MovePoints, own_points, tag_of
from processors.rules.lefts import cancel, deliver, net, without

PARTS_AHEAD = 4  # Parts of an entry are looked for so far ahead.


def plan(book: Book) -> Book:
    """Decide the next move, one at a time: what is in transit, then points that came, then debts, then transfers.

    What was decided and cannot be meant any more is dropped: had it been carried out all the same, its echo says so.
    """
    book = _set_off(book)
    moves = {tag: _amended(book, one) for tag, one in book.moves.items() if not _is_in_vain(book, one)}
    book = net(replace(book, moves=moves)) if book.is_card else replace(book, moves=moves)
    book = _match_early(book)
    book = _carry_back(book)
    while not any(one.state == "sent" for one in book.moves.values()):
        found = _next_move(book)
        if found is None:
            break
        tag, move = found
        is_less = own_points(book, move.account, move.points) == 0
        book = _carry(book, move) if is_less else replace(book, moves={**book.moves, tag: move})
    return book


def _set_off(book: Book) -> Book:
    """Let entries cancel each other where a point of the till is not so many whole ones of the account's (R13).

    A replay finds some of them moved in part, as they were together with others then.
    """
    home = book.home
    if home is None or book.accounts[home].per == 1 or not _may_send(book):
        return book
    pos = dict(book.pos)
    for more in [entry_id for entry_id, one in pos.items() if one.left > 0 and not one.is_held]:
        for less in [entry_id for entry_id, one in pos.items() if one.left < 0 and not one.is_held]:
            cancel(pos, more, less)
    return replace(book, pos=pos)


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
        tuple(
            MovePoints(tag=tag, account=one.account, points=own_points(book, one.account, one.points))
            for tag, one in sent
        ),
    )


def _carry_back(book: Book) -> Book:
    """Take back what a replay has given an account too much for a transfer: less than one of its points (R13)."""
    home = book.home
    if home is None or book.transit >= 0 or own_points(book, home, book.transit):
        return book
    return _carry(book, Move(account=home, points=book.transit))


def _carry(book: Book, move: Move) -> Book:
    """Count as moved what is less than one of the account's own points: it goes with the next (R13).

    No tag is used up: a replay may cut the same points into other parts.
    """
    account = book.accounts[move.account]
    book = replace(book, accounts={**book.accounts, move.account: replace(account, read=account.read + move.points)})
    if move.entry_id:
        entry = book.pos[move.entry_id]
        return replace(book, pos={**book.pos, move.entry_id: replace(entry, left=entry.left - move.points)})
    number = sum(one.account == CARRIED for one in book.moves.values())
    given = Move(account=CARRIED, points=move.points, state="seen")
    return replace(book, moves={**book.moves, tag_of(f"{book.cust_no}#{number}", CARRIED): given})


def _may_send(book: Book) -> bool:
    asks = any(one.before is not None for one in book.accounts.values())
    return book.is_enrolled and book.cust_no in book.opened and not asks


def _ends_transfer(move: Move) -> bool:
    return not move.entry_id and move.points > 0


def _is_in_vain(book: Book, move: Move) -> bool:
    if move.state != "sent":
        return False
    if _ends_transfer(move):
        return book.transit <= 0 or not own_points(book, move.account, book.transit)
    if move.points < 0 and book.balance(move.account) <= 0:
        return True
    if not move.entry_id:
        return move.account == book.home  # It keeps the points by now.
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
    book = replace(book, early=without(book.early, tag), moves={**book.moves, tag: move})
    book = deliver(book, tag, seen.points, "seen")
    return _even_out(book, entry_id) if entry_id in book.pos else book


def _even_out(book: Book, entry_id: str) -> Book:
    """Let what was moved beyond an entry's own points count for others of which something is left, held ones first."""
    pos = dict(book.pos)
    for other_id in sorted(pos, key=lambda one: not pos[one].is_held):
        if pos[entry_id].left * pos[entry_id].points >= 0:
            break
        cancel(pos, entry_id, other_id)
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
        points = -book.balance(name)
        # Less than one of its own points stays where it is (R13).
        if name != home and points < 0 and own_points(book, name, points) and not book.accounts[name].is_behind:
            return _transfer(book, name, points)
    return None


def _transfer(book: Book, account: str, points: int) -> tuple[str, Move]:
    """Give a move between accounts: the n-th to or from this one, whatever the others did meanwhile."""
    way = "to" if points > 0 else "from"
    mine = (one for one in book.moves.values() if not one.entry_id and one.account == account)
    number = sum((one.points > 0) == (points > 0) for one in mine)
    times = book.accounts[account].times  # It may have been in another's book, which had numbers of its own.
    return tag_of(f"{way}:{account}:{times}#{number}", TRANSFER), Move(account=account, points=points)
