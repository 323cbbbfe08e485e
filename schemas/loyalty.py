"""Points: what each side shows of them. Whole points, never 0 in a movement (docs/facts/loyalty-rules.md)."""

import msgspec


class WebTransaction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Points were added to, or taken from, one account of a store: by its shopper, or by us."""

    store: str
    account_id: str
    transaction_id: str
    points: int
    reference: str = ""  # Our tag, where it was us.


class HistoryRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Points were added or taken at the point of sale: by a ticket, or by an adjustment that was posted."""

    row_id: str  # "<table>:<key>".
    cust_no: str
    version: int  # Of the row: at most that of the snapshot it was read in.
    points: int
    reference: str = ""  # Our tag, where we wrote the adjustment.


class PointsSnapshot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One customer's points, all of it read in one snapshot transaction (loyalty-R8).

    A reading tells of every customer whose balance, rows or unposted tags have changed, and of those who are asked for:
    into whom somebody was merged, and who have adjustments that we have written; of those who are gone, first.
    """

    version: int  # Rises with each reading.
    cust_no: str
    balance: int | None  # None: he is not there any more; rows of his may still come.
    unposted: tuple[str, ...]  # All of our tags among the adjustments that wait to be posted, whoever's they are.
    rows: tuple[HistoryRow, ...] = ()  # New since the reading before; more is no harm.
