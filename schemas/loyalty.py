"""Points: what each side shows of them. Whole points, never 0 in a movement (docs/facts/loyalty-rules.md)."""

import msgspec

from schemas.records import Record

CARD = "card:"  # Before a gift card's number, in place of a customer's number or an account's id: amounts are cents.


class WebTransaction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Points were added to, or taken from, one account of a store: by its shopper, or by us."""

    store: str
    account_id: str
    transaction_id: str
    points: int
    reference: str = ""  # Our tag, where it was us.
    order_id: str = ""  # Of a gift card: the order that it paid for, or was given back from.


class HistoryRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Points were added or taken at the point of sale: by a ticket, or by an adjustment that was posted."""

    row_id: str  # "<table>:<key>".
    cust_no: str
    version: int  # Of the row: at most that of the snapshot it was read in.
    points: int
    reference: str = ""  # Our tag, where we wrote the adjustment; of a gift card, what an order's document carries.
    document: str = ""  # Of a gift card: the DOC_ID of what moved it.


class PointsShown(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What one customer has at the point of sale."""

    cust_no: str
    balance: int | None  # None: he is not there any more; rows of his may still come.
    is_enrolled: bool = True  # In a programme, and flagged e-commerce (loyalty-R12); a gift card: not void.
    expires: str = ""  # A gift card's last day, ISO; "": none.


class PointsReading(Record, frozen=True, kw_only=True):
    """What the point of sale shows of points, all of it read in one snapshot transaction (loyalty-R8).

    It tells of every customer whose record or rows have changed since the reading before.
    """

    version: int  # Rises with each reading.
    previous: int  # Of the reading before; 0: this is the first.
    customers: tuple[PointsShown, ...] = ()
    rows: tuple[HistoryRow, ...] = ()  # New since the reading before; more is no harm.
    unposted: tuple[str, ...] | None = ()  # All of our tags among the adjustments that wait; None: of gift cards.


class PointsMoved(Record, frozen=True, kw_only=True):
    """A transaction as a store's reader gives it; its key is the transaction's id."""

    account_id: str  # Or CARD and a gift card's number.
    points: int
    reference: str = ""
    order_id: str = ""  # Of a gift card: the order that it paid for, or was given back from.
