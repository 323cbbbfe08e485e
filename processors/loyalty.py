"""Points: readings of the point of sale and transactions of the stores -> books -> adjustments and moves.

The rules stand in `rules/ledger.py`; here is found whose book a message is for, and what a book wants is wanted.
Keyed by the reading, and by the account.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta

import msgspec

from counterflow.state import ledger as kept
from counterflow.state import links, profiles, reviews, steering, wanted
from counterflow.state.ledger import LOOSE, Entry
from counterflow.state.records import Seen
from counterflow.state.wanted import Want
from processors import customers, gift_cards
from processors.rules import ledger, planning
from processors.rules.book import Adjust, Book, MovePoints, is_ours, tag_of
from processors.rules.readings import take_reading
from processors.shop import State
from schemas import commands
from schemas.loyalty import CARD, PointsMoved, PointsReading, WebTransaction
from schemas.names import COUNTERPOINT, GIFT_CARDS, POINTS, OurId
from schemas.outcomes import Outcome

HELD = "points-held"  # The timer of what nothing has explained yet.
MERGED = "points-merged"  # The timer of a merge of which the readings have not told yet.
PARTING = "points-parting"  # The timer of an account that is to go into another book.
JUDGE = "merge"  # The timer of `merges`.
# Reviews.
UNEXPLAINED, FIRST, PARTED, REUSED = "points-unexplained", "points-first", "points-parted", "points-number"
ACCEPT = "accept"
TIMES_MAX = 20
LAST = 10**11  # Seconds: later than any account.
SOON = timedelta(seconds=1)


def take_readings(batch: Iterable[Seen], state: State) -> None:
    """Enter what the point of sale shows, in the order in which it was read."""
    if not state.shop.keeps_books:
        return
    for seen in batch:
        reading = seen.body
        if isinstance(reading, PointsReading):
            state.books.fetch([*(one.cust_no for one in reading.customers), *(row.cust_no for row in reading.rows)])
            gift_cards.want_changes(state, reading)
            _look_for_gap(state, reading)
            take_reading(state.books, _of_interest(state, reading))
            _look_for_gone(state, reading)
    for cust_no in sorted(state.books.reused_numbers) if state.has_books else ():
        message = f"customer number {cust_no} was merged into another's, and is in use again: its points are left alone"
        state.ask(REUSED, cust_no, message, {"customer": cust_no})


def _look_for_gap(state: State, reading: PointsReading) -> None:
    """Notice that a reading is missing, or that the point of sale begins anew: then nothing follows from absence.

    What was written is looked for again by its tag: it may have gone with a backup that was restored.
    """
    kind = "cards" if reading.unposted is None else POINTS
    last = int(steering.get(state.connection, f"reading:{kind}") or 0)
    if reading.version <= last:
        return  # A replay.
    steering.put(state.connection, f"reading:{kind}", str(reading.version))
    if last and reading.previous != last:
        for book in state.books.waiting():
            if book.is_card == (reading.unposted is None):
                state.books.keep(ledger.write_again(book))


def _look_for_gone(state: State, reading: PointsReading) -> None:
    """Have it judged what became of customers who are gone, and of whom nobody but their book knows."""
    for one in reading.customers:
        is_known = one.balance is None and not one.cust_no.startswith(CARD)
        if is_known and has_points(state, one.cust_no) and state.books.of(one.cust_no).cust_no == one.cust_no:
            customers.id_of(state, one.cust_no)
            steering.set_timer_once(state.connection, JUDGE, one.cust_no, state.now + state.shop.merge_wait)


def _of_interest(state: State, reading: PointsReading) -> PointsReading:
    """Leave those out who have no points, are in no programme and have no book: most of a shop's customers."""
    mentioned = {row.cust_no for row in reading.rows}
    shown = [
        one
        for one in reading.customers
        if _is_kept_here(state, one.cust_no)
        and (one.is_enrolled or one.balance or one.cust_no in mentioned or state.books.is_kept(one.cust_no))
    ]
    rows = tuple(gift_cards.with_marker(state, row) for row in reading.rows if _is_kept_here(state, row.cust_no))
    return msgspec.structs.replace(reading, customers=tuple(shown), rows=rows)


def _is_kept_here(state: State, cust_no: str) -> bool:
    if cust_no in state.shop.nobody.numbers:
        return False  # Nobody's points: many people buy under that number.
    return bool(state.shop.cards_at if cust_no.startswith(CARD) else state.shop.loyalty)


def take_transactions(batch: Iterable[Seen], state: State) -> None:
    """Enter what happened in the stores' accounts; of an account that nobody has, it is kept until he is found."""
    for seen in batch:
        if not isinstance(seen.body, PointsMoved):
            continue
        is_card = seen.body.account_id.startswith(CARD)
        if seen.system == state.shop.cards_at if is_card else seen.system in state.shop.loyalty:
            _take_transaction(state, seen.system, seen.body)


def _take_transaction(state: State, store: str, moved: PointsMoved) -> None:
    name = f"{store}/{moved.account_id}"
    if _is_elsewhere(state, store, moved, name):
        return
    if not moved.points or kept.holders(state.connection, LOOSE, [f"{store}/{moved.key}"]):
        return
    is_card = moved.account_id.startswith(CARD)
    book = state.books.holder("accounts", name) or (None if is_card else _linked(state, store, moved.account_id))
    transaction = WebTransaction(
        store=store,
        account_id=moved.account_id,
        transaction_id=moved.key,
        points=moved.points,
        reference=moved.reference,
        order_id=moved.order_id,
    )
    if book is not None:
        book = gift_cards.take(state, book, transaction) if is_card else ledger.take_transaction(book, transaction)
        state.books.keep(ledger.account_read(book, name))
        return
    if is_card:
        gift_cards.bought(state, moved.account_id, moved.points)
    entry = Entry(
        kind=LOOSE,
        id=f"{store}/{moved.key}",
        book=name,
        place=len(kept.loose(state.connection, name)),
        is_open=False,
        body=msgspec.json.encode(transaction).decode(),
    )
    kept.keep(state.connection, {}, [entry])


def _is_elsewhere(state: State, store: str, moved: PointsMoved, name: str) -> bool:
    """Say whether a transaction was entered in the book of somebody who had the account before."""
    own = state.books.with_tag(tag_of(f"w:{store}:{moved.key}"))
    book = own or (state.books.holder("moves", moved.reference) if is_ours(moved.reference) else None)
    return book is not None and name not in book.accounts


def _linked(state: State, store: str, account_id: str) -> Book | None:
    """Enter an account in its customer's book; None where nobody has it."""
    ours = links.find(state.connection, "customer", store, account_id)
    cust_no = links.remote(state.connection, "customer", state.shop.pos, ours) if ours is not None else None
    if cust_no is None:
        return None
    book = state.books.of(cust_no)
    if book.cust_no != cust_no:
        return None  # A number that was merged away, and is in use again.
    name = f"{store}/{account_id}"
    known = [msgspec.json.decode(one.body, type=WebTransaction) for one in kept.loose(state.connection, name)]
    # From the first move of ours on the account was his: a replay has told of it before it told of the link.
    begun = next((at for at, one in enumerate(known) if is_ours(one.reference)), len(known))
    before = sum(one.points for one in known[:begun])
    since, times = _since(state, store, account_id), _times(state, name)
    rate = state.shop.loyalty[store].rate.as_integer_ratio()
    book = ledger.link_account(book, name, since=since, before=before or None, times=times, rate=rate)
    for one in known[begun:]:
        book = ledger.take_transaction(book, one)
    state.books.keep(book)
    return book


def _times(state: State, name: str) -> int:
    """Say how often an account was taken out of a book."""
    return len(kept.holders(state.connection, "pos", [f"c:closed:{name}:{number}" for number in range(TIMES_MAX)]))


def _since(state: State, store: str, account_id: str) -> str:
    """Say when an account was made, as text of which the lowest keeps the points; where a store says not, ids rise."""
    known = profiles.read(state.connection, [(store, account_id)]).get((store, account_id))
    made = known.body.made_at if known is not None else None
    seconds = int(made.timestamp()) if made else LAST
    return f"{LAST - seconds if state.shop.kept_by == 'newest' and made else seconds:>12} {account_id:>20}"


def take_answer(outcome: Outcome, state: State) -> None:
    """Enter what became of an adjustment or of a move."""
    if "version" in outcome.remote:
        book = state.books.with_tag(outcome.key)
        if book is not None:
            state.books.keep(ledger.written(book, outcome.key, int(outcome.remote["version"])))
    elif "points" in outcome.remote:
        book = state.books.holder("moves", outcome.key)
        if book is not None:
            state.books.keep(ledger.moved(book, outcome.key, int(outcome.remote["points"])))


def account_gone(state: State, store: str, account_id: str) -> None:
    """Take a deleted account out of its book."""
    if store in state.shop.loyalty:
        book = state.books.holder("accounts", f"{store}/{account_id}")
        if book is not None:
            state.books.keep(ledger.close_account(book, f"{store}/{account_id}", book.shown[0]))


def has_points(state: State, cust_no: str) -> bool:
    """Say whether a customer of the point of sale has points, or had some to be moved."""
    if not state.shop.loyalty or not state.books.is_kept(cust_no):
        return False
    book = state.books.of(cust_no)
    return bool(book.pos_sum) or any(one.left for one in book.pos.values())


def unexplained(state: State, cust_no: str, since_of: str) -> frozenset[int]:
    """Give what a customer's points moved by without a row, in readings after the last one that showed another's."""
    if not state.shop.loyalty or not state.books.is_kept(cust_no) or not state.books.is_kept(since_of):
        return frozenset()
    since, entries = state.books.of(since_of).shown[0], state.books.of(cust_no).pos.values()
    return frozenset(one.points for one in entries if one.cause == "unexplained" and one.version > since)


def follow_merge(state: State, gone: str, stays: str) -> None:
    """Let a customer's book go into the one of whom he was merged into, once a reading has told that he is gone.

    Before that nobody knows whether a balance is the sum already.
    """
    if not state.shop.loyalty:
        return
    if not state.books.is_kept(gone):
        return  # He had no points, and was in no programme.
    left, right = state.books.of(gone), state.books.of(stays)
    if left.cust_no != gone or left.cust_no == right.cust_no:
        return
    told = left.versions.get(gone, 0)
    if left.shown == (0, 0):  # He was never read: what he had is in the survivor's sum.
        told = right.shown[0]
    elif told <= left.shown[0]:
        steering.set_timer(state.connection, MERGED, gone, state.now + SOON, stays)
        return
    state.books.unite(left.cust_no, ledger.merge(left, right, version=told))


def decide(state: State, people: Iterable[OurId]) -> None:
    """Enter the accounts of people in their books, and want what the books want. Last in a batch."""
    if not state.shop.keeps_books:
        return
    _look_at(state, people if state.shop.loyalty else ())
    if not state.has_books:
        return
    changed = []
    for before, book in state.books.changed():
        settled = planning.plan(_opened(state, gift_cards.open_on_web(state, book)))
        state.books.keep(settled)
        changed.append((before, settled))
        _ask(state, before, settled)
    _want(state, changed)
    state.books.write()


def _look_at(state: State, people: Iterable[OurId]) -> None:
    """Enter people's accounts in their books; what does not belong there any more is asked about (loyalty-R10)."""
    found = sorted(links.remotes_of(state.connection, "customer", people).items())
    numbers = {ours: _number(state, known) for ours, known in found}
    if any(numbers.values()):
        state.books.fetch(number for number in numbers.values() if number)
    for ours, known in found:
        cust_no = numbers[ours]
        if cust_no is not None:
            _look_at_one(state, cust_no, known)


def _number(state: State, known: Iterable[tuple[str, str]]) -> str | None:
    return next((number for system, number in known if system == state.shop.pos), None)


def _look_at_one(state: State, cust_no: str, known: Collection[tuple[str, str]]) -> None:
    if state.books.is_kept(cust_no):
        for name in state.books.of(cust_no).accounts:
            store, _, account_id = name.partition("/")
            if (store, account_id) not in known:
                _check_account(state, name, cust_no)
    for store, account_id in known:
        if store in state.shop.loyalty:
            _enter_account(state, store, account_id, cust_no)


def _enter_account(state: State, store: str, account_id: str, cust_no: str) -> None:
    name = f"{store}/{account_id}"
    book = state.books.holder("accounts", name)
    if book is None:
        _linked(state, store, account_id)
    elif book.cust_no == state.books.of(cust_no).cust_no:
        state.settle(PARTED, name)
    elif not steering.is_set(state.connection, MERGED, book.cust_no):
        message = f"account {name} is customer {cust_no}'s now: its points stand in the book of {book.cust_no}"
        state.ask(PARTED, name, message, {"from": book.cust_no, "to": cust_no, "points": book.balance(name)})


def _check_account(state: State, name: str, cust_no: str) -> None:
    """Ask about an account that stands in a book, and that nobody has any more (loyalty-R10)."""
    store, _, account_id = name.partition("/")
    if links.find(state.connection, "customer", store, account_id) is None:
        message = f"account {name} is not customer {cust_no}'s any more: his points still go there"
        state.ask(PARTED, name, message, {"from": cust_no})


def part(state: State, name: str, cust_no: str) -> None:
    """Take an account out of one book and enter it in another, as a person decided (loyalty-R10).

    Each customer keeps his own points: what the account shows becomes its new customer's.
    """
    book = state.books.holder("accounts", name)
    if book is None or book.cust_no == state.books.of(cust_no).cust_no:
        return
    if any(one.account == name and one.state != "seen" for one in book.moves.values()):
        steering.set_timer(state.connection, PARTING, name, state.now + SOON, cust_no)
        return  # What is on its way there must be seen first: it belongs to this book.
    account, raw = book.accounts[name], book.raw(name)
    state.books.keep(ledger.close_account(book, name, book.shown[0]))
    other = ledger.link_account(
        state.books.of(cust_no),
        name,
        since=account.since,
        before=raw or None,
        times=account.times + 1,
        rate=account.worth,
    )
    if other.accounts[name].before is not None:
        other = ledger.decide_opening(other, name, "keep_pos")
    state.books.keep(other)


def _opened(state: State, book: Book) -> Book:
    """Decide what becomes of points that an account had before it was linked, where that needs no person (R1)."""
    for name, account in book.accounts.items():
        if account.before is None or account.cust_no not in book.opened:
            continue
        store = name.partition("/")[0]
        choice = state.shop.loyalty[store].first if store in state.shop.loyalty else "ask"
        if book.pos_sum == 0:
            choice = "add"  # There is nothing to choose between.
        if choice == "ask":
            decided = reviews.decision(state.connection, FIRST, name)
            if decided not in {"keep_pos", "keep_web", "add"}:
                body = {"counterpoint": book.pos_sum, "web": account.before, "customer": book.cust_no}
                message = (
                    f"customer {book.cust_no} has {book.pos_sum} points in Counterpoint, "
                    f"and his account {name} has {account.before}: keep_pos, keep_web, or add?"
                )
                state.ask(FIRST, name, message, body)
                continue
            choice = decided  # type: ignore[assignment]
        book = ledger.decide_opening(book, name, choice)  # type: ignore[arg-type]
        state.settle(FIRST, name)
    return book


def _want(state: State, changed: Sequence[tuple[Book, Book]]) -> None:
    """Want what the books want now, and no more what they wanted before."""
    wants: list[Want] = []
    anew: list[tuple[str, str, str]] = []
    over: dict[tuple[str, str, str], Book] = {}
    for before, book in changed:
        task = GIFT_CARDS if book.is_card else POINTS
        was, now = _rows(before), _rows(book)
        wants += [Want(system=system, task=task, key=key, body=body) for (system, key), body in now.items()]
        anew += [(system, task, key) for system, key in now.keys() - was.keys()]
        over |= {(system, task, key): book for system, key in was.keys() - now.keys()}
    wanted.want(state.connection, wants, at=state.now)
    wanted.reopen(state.connection, anew, at=state.now, note="it is wanted again")
    still = {(one.system, one.task, one.key) for one in wants}
    for row in wanted.rows(state.connection, over.keys() - still):
        if _has(over[row], row[2]):
            wanted.mark_done(state.connection, [row], at=state.now, note="it was seen there")
        else:
            wanted.withdraw(state.connection, row, "it is not wanted any more")
        state.settle("refused", "/".join(row))


def _rows(book: Book) -> dict[tuple[str, str], commands.Body]:
    """Give what a book wants of each system, by tag."""
    adjusts, moves = planning.wanted(book)
    rows: dict[tuple[str, str], commands.Body] = {}
    for one in adjusts:
        rows[COUNTERPOINT, one.tag] = _adjust(one)
    for move in moves:
        store, _, account_id = move.account.partition("/")
        rows[store, move.tag] = _move(book, move, account_id)
    return rows


def _adjust(one: Adjust) -> commands.Body:
    if one.cust_no.startswith(CARD):
        return commands.AdjustCard(tag=one.tag, number=one.cust_no.removeprefix(CARD), cents=one.points)
    return commands.AdjustPoints(tag=one.tag, cust_no=one.cust_no, points=one.points)


def _move(book: Book, one: MovePoints, account_id: str) -> commands.Body:
    if not book.is_card:
        return commands.MovePoints(tag=one.tag, account_id=account_id, points=one.points)
    number, is_new = account_id.removeprefix(CARD), book.moves[one.tag].entry_id.startswith("c:open:")
    return commands.MoveCard(tag=one.tag, number=number, cents=one.points, expires=book.expires, is_new=is_new)


def _has(book: Book, tag: str) -> bool:
    """Say whether what was wanted under a tag is there."""
    move, entry = book.moves.get(tag), book.web.get(tag)
    return (move is not None and move.state != "sent") or (entry is not None and entry.state != "new")


def _ask(state: State, before: Book, book: Book) -> None:
    """Let what nothing explains wait for a merge that may; and settle what was asked and is explained by now."""
    if book.is_card:
        gift_cards.ask_if_overdrawn(state, before, book)
        gift_cards.wait_for_store(state, before, book)
    for entry_id, entry in book.pos.items():
        was = before.pos.get(entry_id)
        if entry.is_held and (was is None or not was.is_held):
            due = state.now + 2 * state.shop.merge_wait
            steering.set_timer_once(state.connection, HELD, entry_id, due)
        elif entry.cause in {"unexplained", "merged"} and not entry.is_held:
            state.settle(UNEXPLAINED, entry_id)


def look_again(state: State, entry_id: str) -> None:
    """Let the web have what nothing has explained where it is little; ask where it is much."""
    book = state.books.holder("pos", entry_id)
    entry = book.pos.get(entry_id) if book is not None else None
    if book is None or entry is None or not entry.is_held or entry.cause == "altered":
        return
    if abs(entry.left) <= state.shop.unexplained_max and not book.is_card:
        state.books.keep(ledger.let_go(book, entry_id))
        return
    if book.is_card:
        message = (
            f"gift card {book.cust_no.removeprefix(CARD)}: {entry.left / 100:+.2f} that its activity does not explain"
        )
        state.ask(UNEXPLAINED, entry_id, message, {"entry": entry_id, "card": book.cust_no, "cents": entry.left})
        return
    message = (
        f"customer {book.cust_no}: his points differ by {entry.left:+} from what tickets and adjustments explain; "
        "the web has not been told"
    )
    state.ask(UNEXPLAINED, entry_id, message, {"entry": entry_id, "customer": book.cust_no, "points": entry.left})


def take_decision(state: State, kind: str, key: str, decision: str) -> None:
    """Do what a person decided about points."""
    if kind in {UNEXPLAINED, gift_cards.OVERDRAWN} and decision == ACCEPT:
        book = state.books.holder("pos", key)
        if book is not None:
            state.books.keep(ledger.let_go(book, key))
    elif kind == FIRST:
        book = state.books.holder("accounts", key)
        if book is not None:
            state.books.keep(_opened(state, book))
    elif kind == gift_cards.ALONE:
        gift_cards.take_decision(state, key, decision)
    elif kind == PARTED and decision == ACCEPT:
        store, _, account_id = key.partition("/")
        ours = links.find(state.connection, "customer", store, account_id)
        cust_no = links.remote(state.connection, "customer", state.shop.pos, ours) if ours is not None else None
        if cust_no is not None:
            part(state, key, cust_no)
        else:
            account_gone(state, store, account_id)
