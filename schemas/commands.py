"""Commands: what a consumer shall make so in its system. A command states what is wanted, never a difference."""

import hashlib
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

from schemas.records import Address, Postal


class _Body(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", omit_defaults=True
):
    pass


class SetStock(_Body, frozen=True, kw_only=True, tag="set_stock"):
    """Offer so many of one product."""

    sku: str
    product_id: str
    quantity: int  # At least 0.

    def __post_init__(self) -> None:
        if self.quantity < 0:
            raise ValueError(f"quantity must not be below 0, got {self.quantity}")


class CreateCustomer(_Body, frozen=True, kw_only=True, tag="create_customer"):
    """Have a customer with this e-mail address, flagged e-commerce: found, or else created.

    Who has no e-mail of their own is found by `reference` instead.
    """

    email: str  # "" for somebody who has none of their own; then there is a reference.
    first_name: str = ""
    last_name: str = ""
    company: str = ""
    marketing: bool | None = None  # What they said of mail; None: nothing, so that nobody may be mailed.
    reference: str = ""  # Of the one order they are created for.
    phone: str = ""
    billing: Address = Address()


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Fields of a customer; what is unset is left as it is."""

    email: str | msgspec.UnsetType = msgspec.UNSET
    first_name: str | msgspec.UnsetType = msgspec.UNSET
    last_name: str | msgspec.UnsetType = msgspec.UNSET
    phone: str | msgspec.UnsetType = msgspec.UNSET
    billing: Postal | msgspec.UnsetType = msgspec.UNSET
    shipping: Postal | msgspec.UnsetType = msgspec.UNSET
    marketing: bool | msgspec.UnsetType = msgspec.UNSET
    group: str | msgspec.UnsetType = msgspec.UNSET
    pos_id: str | msgspec.UnsetType = msgspec.UNSET  # Of a store's account: the point of sale's number (W-42).


class ChangeCustomer(_Body, frozen=True, kw_only=True, tag="change_customer"):
    """Have these fields of one customer so.

    The target is read first: where it is neither as decided on nor as wanted, nothing is written, and the outcome
    carries what was read (design 7, two-way records).
    """

    remote_id: str
    fields: Profile
    decided_on: Profile  # What the target was seen to have when it was decided, in every field that it keeps.
    home: str = "US"  # The shop's own country: what a phone without a prefix and an address without a country mean.


class CreateAccount(_Body, frozen=True, kw_only=True, tag="create_account"):
    """Have an account with this e-mail in a store: found, or else created, which may mail its owner (W-36)."""

    email: str
    pos_id: str  # The customer's number at the point of sale, written to the account for people to see.
    fields: Profile
    company: str = ""


class DocumentLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of a document. quantity * price, rounded, is `net`."""

    item_no: str
    description: str
    quantity: int
    price: Decimal  # Net, for one.
    regular_price: Decimal
    net: int  # Minor units, for the whole line.


class DocumentTax(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One tax of a document, on the store's own authority and rule."""

    authority: str
    rule: str
    tax: int
    taxable: int


class DocumentPayment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One tender. A captured one is a deposit."""

    pay_code: str
    amount: int
    captured: bool
    card_no: str = ""  # Of a gift card.


class PlaceDocument(_Body, frozen=True, kw_only=True, tag="place_document"):
    """Have one order document that carries this marker: found, or else placed."""

    marker: str  # At most 12 characters (order-E.2).
    order_hash: str  # Of the web order it was made from.
    cust_no: str
    store_no: str
    station: str
    drawer: str
    user: str
    tax_code: str
    minor_digits: int
    lines: tuple[DocumentLine, ...]
    misc_charge_no: str
    misc: int  # Shipping, and the fees where they have no number of their own.
    taxes: tuple[DocumentTax, ...]
    payments: tuple[DocumentPayment, ...]
    total: int
    bill_to: Address
    ship_to: Address
    notes: tuple[str, ...] = ()
    fee_charge_no: str = ""
    fees: int = 0  # Under `fee_charge_no`.


class FindDocument(_Body, frozen=True, kw_only=True, tag="find_document"):
    """Say where a document stands that has left the open ones: among the posted ones, or nowhere. Writes nothing."""

    marker: str
    doc_id: str


class CompareDocument(_Body, frozen=True, kw_only=True, tag="compare_document"):
    """Say how a document differs from what its order has become since. Writes nothing."""

    doc_id: str
    document: PlaceDocument
    as_of: int  # The version of its header's last change that was seen: a later one is compared again.


class ReadRelease(_Body, frozen=True, kw_only=True, tag="read_release"):
    """Say what a release ticket let out, and under which tracking numbers. Writes nothing."""

    doc_id: str
    ticket_no: str
    as_of: int  # The version of its header's last change that was seen: a later one is looked at again.


class ShippedLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """So many of one line of the web order."""

    line_id: str
    sku: str
    name: str
    quantity: int


class Shipment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What left with one release ticket."""

    reference: str  # The ticket's number.
    lines: tuple[ShippedLine, ...]
    tracking: tuple[str, ...] = ()


class UpdateOrder(_Body, frozen=True, kw_only=True, tag="update_order"):
    """Have a web order tell of its shipments. Its status only ever moves forward, whatever is wanted (order-E.16)."""

    order_id: str
    status: Literal["", "completed"]  # "": as it is.
    shipments: tuple[Shipment, ...]
    tells_shopper: bool  # A note to the shopper is mailed to him (W-71).
    hold: Literal["", "on", "off"] = ""  # Of its document, for the store's staff; "": it never was on hold.


class ReturnedLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pieces of one line of the web order that came back, at what the shopper paid for them."""

    line_id: str
    quantity: int
    net: int
    tax: int


class RecordReturn(_Body, frozen=True, kw_only=True, tag="record_return"):
    """Have a web order show a return that the shop took at its till. No money is moved, and no stock."""

    order_id: str
    reference: str  # The return ticket's number.
    minor_digits: int
    lines: tuple[ReturnedLine, ...]


class NoteDocument(_Body, frozen=True, kw_only=True, tag="note_document"):
    """Have an open document carry a note that says this."""

    doc_id: str
    says: tuple[str, ...]  # Tracking numbers: a note that has them all is one.


class AdjustPoints(_Body, frozen=True, kw_only=True, tag="adjust_points"):
    """Have an unposted adjustment of points with this tag, unless it is there or was posted (loyalty-R2)."""

    tag: str
    cust_no: str
    points: int


class MovePoints(_Body, frozen=True, kw_only=True, tag="move_points"):
    """Have points moved in a store's account under this tag, as far as they are there (loyalty-R5, R7)."""

    tag: str
    account_id: str
    points: int


class AdjustCard(_Body, frozen=True, kw_only=True, tag="adjust_card"):
    """Have a gift card of the point of sale moved under this tag, as far as it has so much; once."""

    tag: str
    number: str
    cents: int


class MoveCard(_Body, frozen=True, kw_only=True, tag="move_card"):
    """Have a store's gift card moved under this tag, as far as it has so much; made, where it is not there."""

    tag: str
    number: str
    cents: int
    expires: str = ""  # Its last day, where it is made; "": none.
    is_new: bool = False  # It is made, and must not be there.


class ChangeCard(_Body, frozen=True, kw_only=True, tag="change_card"):
    """Have a store's gift card void or good, with this last day."""

    number: str
    is_void: bool
    expires: str = ""


Body = (
    SetStock
    | CreateCustomer
    | ChangeCustomer
    | CreateAccount
    | PlaceDocument
    | FindDocument
    | CompareDocument
    | ReadRelease
    | UpdateOrder
    | RecordReturn
    | NoteDocument
    | AdjustPoints
    | MovePoints
    | AdjustCard
    | MoveCard
    | ChangeCard
)


class Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One wanted row, released to its target."""

    system: str  # The target.
    task: str  # "inventories", "customers", "orders": one of the console's tasks.
    key: str  # Of the wanted row, within system and task.
    version: int  # Rises with every change of the wanted row; a consumer skips what is older than what it has seen.
    hash: str  # Of the body.
    reference: str  # Made before the first try and the same in every try.
    body: Body
    sent_at: datetime


def body_hash(body: Body) -> str:
    """Hash what is wanted: equal bodies, and only they, have equal hashes."""
    return hashlib.sha256(msgspec.json.encode(body, order="deterministic")).hexdigest()[:32]


def as_plain(body: Body) -> dict[str, Any]:
    """Give a body as plain JSON values, for a log entry."""
    plain: dict[str, Any] = msgspec.to_builtins(body)
    return plain
