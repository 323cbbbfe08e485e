"""Records as every system's `read` gives them: one shape for each thing, whoever it came from.

Money is whole minor units of the order's currency (cents for USD), quantities are Decimal where a system allows
fractions. Times are aware and UTC. A change of a field's meaning needs a new field: old messages stay readable.
"""

from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What each record has."""

    key: str  # The record's key in its own system; parts of a compound key joined by "|".
    changed_at: datetime | None = None  # As the system says; None where it does not.


class Postal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where something can be sent: one value, so that no two addresses are ever mixed."""

    line_1: str = ""
    line_2: str = ""
    city: str = ""
    state: str = ""
    postcode: str = ""
    country: str = ""


class Address(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A postal address with the person it is for."""

    first_name: str = ""
    last_name: str = ""
    company: str = ""
    line_1: str = ""
    line_2: str = ""
    city: str = ""
    state: str = ""
    postcode: str = ""
    country: str = ""
    phone: str = ""
    email: str = ""


class Customer(Record, frozen=True, kw_only=True):
    """A customer of Counterpoint, or a customer account of a store."""

    email: str | None = None  # Normalised; None where there is none.
    first_name: str = ""
    last_name: str = ""
    company: str = ""  # A business's name: never read as a person's, and never made of one.
    phone: str = ""
    is_ecommerce: bool = False  # Counterpoint's flag; a store's accounts are all true.
    billing: Address | None = None
    shipping: Address | None = None  # None where the system keeps none.
    marketing: bool | None = None  # May be mailed; None where the system does not say.
    group: str | None = None  # The title of the one group; None where the system does not say, "" in no group.
    made_at: datetime | None = None  # Where the system says.
    bought_at: datetime | None = None  # Last purchase, where the system says.
    points: int | None = None  # The balance of loyalty points, where the system has one: what shows a merge.
    pos_id: str = ""  # Of a store's account: the number of the point of sale that we wrote to it.
    is_paying: bool = False  # Of a store's account: it has bought.
    is_nobody: bool = (
        False  # Nobody in particular: a walk-in, a template. Never matched, linked or written to (req-C5).
    )


class Item(Record, frozen=True, kw_only=True):
    """An item of Counterpoint; `key` is its number and the stores' SKU."""

    description: str = ""
    is_ecommerce: bool = False
    is_active: bool = True
    price_decimals: int = 2  # Digits behind the point that a price of this item may have (PRC_DECS).
    category: str = ""


class Stock(Record, frozen=True, kw_only=True):
    """What Counterpoint has of one item at one location."""

    item_no: str
    location: str
    on_hand: Decimal
    committed: Decimal


class Product(Record, frozen=True, kw_only=True):
    """A store's product; `key` is the store's id for it."""

    sku: str
    manages_stock: bool = False
    stock: int | None = None  # None where the store does not manage its stock.


class OrderLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One line of a web order, as the store recorded it."""

    line_id: str
    sku: str  # "" where the store knows no product for it any more.
    name: str
    quantity: int
    regular: int  # Before discounts, net of tax, for the whole line.
    net: int  # After its own discounts, net of tax, for the whole line.
    tax: int
    is_discountable: bool = True  # Whether a discount on the whole order may lower it.


class TaxLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One tax of an order: what was charged on lines and shipping together."""

    name: str
    tax: int
    taxable: int | None = None  # What it was charged on, net; None where the store does not say.


class Tender(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of an order's total that was paid otherwise than by its payment method: a gift card, store credit."""

    method: str
    amount: int
    card_no: str = ""


class RefundLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pieces of one line that were given back."""

    line_id: str
    quantity: int
    net: int
    tax: int


class Refund(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Money that a store gave back for an order."""

    refund_id: str
    amount: int  # All of it, tax too; above 0.
    lines: tuple[RefundLine, ...] = ()
    shipping: int = 0
    shipping_tax: int = 0
    reference: str = ""  # Of the return ticket in Counterpoint that it records.


class Coupon(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A coupon of an order. Information only: its discount is in the lines already (W-61)."""

    code: str
    discount: int


class Order(Record, frozen=True, kw_only=True):
    """A web order; `key` is the store's id for it."""

    number: str  # What the shopper was told.
    status: Literal["draft", "pending", "on-hold", "processing", "completed", "cancelled", "refunded", "failed"]
    currency: str
    minor_digits: int  # Of the currency: 2 for USD, 0 for JPY.
    account_id: str | None  # The store's customer id; None for a guest.
    email: str | None
    billing: Address
    shipping_to: Address
    lines: tuple[OrderLine, ...]
    shipping: int  # Net of tax and of discounts.
    fees: int  # Net of tax; surcharges only, what is below 0 is in `discount`.
    taxes: tuple[TaxLine, ...]
    tax: int  # All of it, shipping's too.
    total: int  # What the shopper pays.
    discount: int = 0  # On the whole order, net of tax, and in no line yet; at least 0.
    coupons: tuple[Coupon, ...] = ()
    refunds: tuple[Refund, ...] = ()
    tenders: tuple[Tender, ...] = ()  # Beside the payment method, which paid the rest.
    is_paid: bool = False
    payment_method: str = ""
    tracking: tuple[str, ...] = ()  # Entered in the store, by people or by a shipping service there.
    placed_at: datetime


class ReleasedLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """So many of an item, let out or taken back."""

    item_no: str
    quantity: int


class Release(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a ticket of Counterpoint let out of an order, and what it took back."""

    doc_id: str
    ticket_no: str
    lines: tuple[ReleasedLine, ...]
    tracking: tuple[str, ...] = ()
    returned: tuple[ReleasedLine, ...] = ()


class Document(Record, frozen=True, kw_only=True):
    """A document of Counterpoint, header only; `key` is its DOC_ID."""

    doc_type: str  # O order, T ticket, Q quote, H hold, L layaway.
    ticket_no: str = ""
    cust_no: str = ""
    marker: str = ""  # What our orders carry in CUST_PO_NO.
    store_no: str = ""
    station: str = ""
    stock_location: str = ""  # Where its lines are committed.
    returns: int = 0  # How many of its lines take something back.
