"""What a customer's book of points is made of: entries of both sides, our moves, accounts. Pure.

The rules that enter something stand in `ledger.py`.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Literal

import msgspec

from schemas.loyalty import CARD, HistoryRow, WebTransaction

TAG = "CF-"  # Of a shopper's transaction in its adjustment, and of an entry of the point of sale on the web.
TRANSFER = "CT-"  # Of a move between two accounts: it is never seen at the point of sale.
CARRIED = "carried:"  # Instead of an account: of a transfer that is less than one of the other's points.
TAG_DIGITS = 10  # Base 32: 13 characters in all, of the 15 that a document number has.
_OURS = re.compile(rf"C[FT]-[A-Z2-7]{{{TAG_DIGITS}}}")
Rate = tuple[int, int]  # So many of an account's points are so many of the till's (R13).
Cause = Literal["opening", "row", "altered", "deleted", "unexplained", "merged", "closed"]


class WebEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A shopper's own transaction."""

    entry_id: str  # "w:<store>:<transaction id>".
    points: int
    state: Literal["new", "written", "settled"] = "new"
    shown_after: int = 0  # A snapshot of this version or an older one need not show its adjustment.


class PosEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A movement of the point of sale's own. Its points never change; what is left of it does."""

    points: int
    left: int  # What the web has not got of it yet; below 0 a debt, where the account cannot pay it.
    cause: Cause
    version: int  # Of the snapshot that showed it.
    is_held: bool = False


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """One write of ours to one account: a part of an entry, or of a transfer between accounts of the same customer."""

    account: str
    points: int  # Asked for; once it is done, what was moved.
    entry_id: str = ""  # "": a transfer.
    state: Literal["sent", "done", "seen"] = "sent"
    raw: int = 0  # Once it is done, in the account's own points.


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A web account."""

    cust_no: str  # Whose it was when it was linked.
    since: str  # When it was made: the oldest keeps the points.
    times: int = 0  # How often it was taken out of a book before: no id and no tag of then is used again.
    read: int = 0  # What it has, by the transactions that were read, in points of the till.
    rate: int = 1  # So many of its points are `per` of the till's (R13).
    per: int = 1
    raw: int = 0  # What was read of its shopper's, in its own points.
    moved: int = 0  # What was read of our moves, in its own points.
    is_behind: bool = False  # It had less than we knew of: nothing is taken from it before it is read again.
    before: int | None = None  # What it had before it was linked, while a person has not said what becomes of it (R1).

    @property
    def worth(self) -> Rate:
        """What its points are worth."""
        return self.rate, self.per


class Adjust(msgspec.Struct, frozen=True, kw_only=True):
    """Write an unposted adjustment, unless its tag is there already."""

    tag: str
    cust_no: str
    points: int


class MovePoints(msgspec.Struct, frozen=True, kw_only=True):
    """Move an account's points, unless the tag is there already; of what it has not got, what it has."""

    tag: str
    account: str
    points: int


class PointsSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What one reading shows of one customer."""

    version: int
    cust_no: str
    balance: int | None
    rows: tuple[HistoryRow, ...] = ()


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """A customer's book, with those of all who were merged into him. No entry is ever taken out."""

    cust_no: str
    merged: tuple[str, ...] = ()  # Who was merged into him.
    merged_in: int = 0  # Snapshots of an older version do not show the sum yet.
    shown: tuple[int, int] = (0, 0)  # The last snapshot of his own: version and balance.
    versions: Mapping[str, int] = {}  # Customer number -> the last snapshot of his that was taken.
    opened: Mapping[str, int] = {}  # Customer number -> the version up to which rows are inside his opening.
    is_enrolled: bool = True
    expires: str = ""  # A gift card's last day.
    accounts: Mapping[str, Account] = {}
    web: Mapping[str, WebEntry] = {}  # By tag.
    pos: Mapping[str, PosEntry] = {}  # By entry id.
    moves: Mapping[str, Move] = {}  # By tag.
    early: Mapping[str, WebTransaction] = {}  # Our own transactions, read before the move was decided here.
    early_rows: Mapping[str, HistoryRow] = {}  # Rows with our tag, read before the transaction they came from.

    @property
    def is_card(self) -> bool:
        """Whether this is a gift card's book: cents, and no money may appear."""
        return self.cust_no.startswith(CARD)

    @property
    def pos_sum(self) -> int:
        """What the point of sale's balance is by this book (I1)."""
        settled = sum(one.points for one in self.web.values() if one.state == "settled")
        early = sum(one.points for one in self.early_rows.values())
        return sum(one.points for one in self.pos.values()) + settled + early

    @property
    def transit(self) -> int:
        """What was taken from one account and not given to the other yet."""
        return -sum(one.points for one in self.moves.values() if not one.entry_id and one.state != "sent")

    def balance(self, account: str) -> int:
        """Give an account's points, as far as they are known."""
        done = (one.points for one in self.moves.values() if one.account == account and one.state == "done")
        return self.accounts[account].read + sum(done)

    def raw(self, account: str) -> int:
        """Give an account's own points, as far as they are known."""
        return self.accounts[account].raw + self.moved(account)

    def moved(self, account: str) -> int:
        """Give what our moves brought an account in its own points, as far as they are known."""
        done = (one.raw for one in self.moves.values() if one.account == account and one.state == "done")
        return self.accounts[account].moved + sum(done)

    def asked(self, account: str) -> int:
        """Give what our moves to an account were worth at the till: all that its shopper has not done himself."""
        one = self.accounts[account]
        return self.balance(account) - to_till(one.raw, one.worth)

    @property
    def home(self) -> str | None:
        """The account that keeps the points; None where there is none."""
        return min(self.accounts, key=lambda name: (self.accounts[name].since, name), default=None)


def export(book: Book) -> bytes:
    """Give a book's entries and balances as bytes: the same for books that say the same, however they came about."""
    web = sorted((one.entry_id, one.points, one.state) for one in book.web.values())
    pos = sorted((entry_id, one.points, one.left, one.is_held) for entry_id, one in book.pos.items())
    accounts = sorted((name, book.balance(name)) for name in book.accounts)
    return msgspec.json.encode([book.cust_no, web, pos, accounts, book.transit, sorted(book.early_rows)])


def to_till(raw: int, rate: Rate) -> int:
    """Give what a shopper's own points are at the till; what is less than a point there is carried (R13)."""
    return raw * rate[1] // rate[0]


def own_points(book: Book, account: str, points: int) -> int:
    """Give what is to be moved in an account's own points (R13).

    By all that was ever moved there, so that what is less than one of its points is carried from move to move.
    """
    own, per = book.accounts[account].worth
    return (book.asked(account) + points) * own // per - book.moved(account)


def at_till(book: Book, account: str, raw: int, points: int) -> int:
    """Give what a move was worth at the till (R13).

    Args:
        book: In which the move is not done yet.
        account: Where it was.
        raw: What was moved, in the account's own points.
        points: What was to be moved, in points of the till. Less was there perhaps: then it is what `raw` is worth.
    """
    own, per = book.accounts[account].worth
    if raw == own_points(book, account, points):
        return points
    asked = book.asked(account)
    now = -(-(book.moved(account) + raw) * per // own)  # The least that as much was ever moved for.
    return (max if raw > 0 else min)(now, asked) - asked


def tag_of(entry_id: str, prefix: str = TAG) -> str:
    """Give the tag of an entry: the same for ever, and short enough for a document number."""
    return prefix + base64.b32encode(hashlib.sha256(entry_id.encode()).digest())[:TAG_DIGITS].decode()


def is_ours(reference: str) -> bool:
    """Say whether a reference is a tag of ours: what people write into that field never looks so."""
    return _OURS.fullmatch(reference) is not None
