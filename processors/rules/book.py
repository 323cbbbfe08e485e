"""What a customer's book of points is made of: entries of both sides, our moves, accounts. Pure.

The rules that enter something stand in `ledger.py`.
"""

import base64
import hashlib
from collections.abc import Mapping
from typing import Literal

import msgspec

from schemas.loyalty import HistoryRow, WebTransaction

TAG = "CF-"  # Of a shopper's transaction in its adjustment, and of an entry of the point of sale on the web.
TRANSFER = "CT-"  # Of a move between two accounts: it is never seen at the point of sale.
TAG_DIGITS = 10  # Base 32: 13 characters in all, of the 15 that a document number has.
Cause = Literal["opening", "row", "altered", "deleted", "unexplained", "merged"]


class WebEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A shopper's own transaction."""

    entry_id: str  # "w:<store>:<transaction id>".
    points: int
    state: Literal["new", "written", "settled"] = "new"
    written_at: int = 0  # A snapshot of this version or an older one need not show it.


class PosEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A movement of the point of sale's own."""

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


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A web account."""

    since: str  # When it was made: the oldest keeps the points.
    read: int = 0  # The sum of its transactions, as far as they were read.
    is_behind: bool = False  # It had less than we knew of: nothing is taken from it before it is read again.
    asks: bool = False  # It had points before it was linked: a person must say what becomes of them (R1).


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


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """A customer's book. Entries are never taken out."""

    cust_no: str
    versions: Mapping[str, int] = {}  # Customer number -> the last snapshot of his that was taken.
    merged_at: int = 0  # Snapshots before it do not show the sum yet.
    is_enrolled: bool = True
    opened: Mapping[str, int] = {}  # Customer number -> the version up to which rows are inside his opening.
    expected: tuple[str, ...] = ()  # Merged customers without a book: the next snapshot shows what they had.
    accounts: Mapping[str, Account] = {}
    web: Mapping[str, WebEntry] = {}  # By tag.
    pos: Mapping[str, PosEntry] = {}  # By entry id.
    moves: Mapping[str, Move] = {}  # By tag.
    early: Mapping[str, WebTransaction] = {}  # Our own transactions, read before the move was decided here.
    early_rows: Mapping[str, HistoryRow] = {}  # Rows with our tag, read before the transaction they came from.

    @property
    def pos_sum(self) -> int:
        """What the point of sale's balance is by this book (I1)."""
        settled = sum(one.points for one in self.web.values() if one.state == "settled")
        return (
            sum(one.points for one in self.pos.values()) + settled + sum(one.points for one in self.early_rows.values())
        )

    @property
    def transit(self) -> int:
        """What was taken from one account and not given to the other yet."""
        return -sum(one.points for one in self.moves.values() if not one.entry_id and one.state != "sent")

    def balance(self, account: str) -> int:
        """Give an account's points, as far as they are known."""
        done = (one.points for one in self.moves.values() if one.account == account and one.state == "done")
        return self.accounts[account].read + sum(done)

    @property
    def home(self) -> str | None:
        """The account that keeps the points; None where there is none."""
        return min(self.accounts, key=lambda name: (self.accounts[name].since, name), default=None)


def export(book: Book) -> bytes:
    """Give a book's entries and balances as bytes: the same for equal books, however they came about (I9)."""
    web = sorted((one.entry_id, one.points, one.state) for one in book.web.values())
    pos = sorted((entry_id, one.points, one.left) for entry_id, one in book.pos.items())
    accounts = sorted((name, book.balance(name)) for name in book.accounts)
    return msgspec.json.encode([book.cust_no, web, pos, accounts, book.transit])


def tag_of(entry_id: str, prefix: str = TAG) -> str:
    """Give the tag of an entry: the same for ever, and short enough for a document number."""
    return prefix + base64.b32encode(hashlib.sha256(entry_id.encode()).digest())[:TAG_DIGITS].decode()
