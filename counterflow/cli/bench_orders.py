"""bench orders: random web orders become documents; how many are off by a cent, and how many would be otherwise.

Each document is added up as Counterpoint's server does it, line by line from quantity and price, and compared with
what the shopper paid. The two usual short cuts are tried on the same orders.
"""

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from processors.rules.documents import Hold, Site, compose
from schemas.commands import PlaceDocument
from schemas.records import Address, Item, Order, OrderLine, TaxLine, Tender

AT = datetime(2026, 1, 5, tzinfo=UTC)
CURRENCIES = {"USD": 2, "JPY": 0, "KWD": 3}
ITEMS = {"EVEN": Item(key="EVEN"), "FINE": Item(key="FINE", price_decimals=4)}
RATES = (0, 6, Decimal("8.25"), 19)  # Percent.


@dataclass(frozen=True, slots=True)
class Bought:
    """An order, and what its shopper paid, reckoned without our rules."""

    order: Order
    paid: int


def run(*, count: int, seed: int, json_file: Path | None) -> int:
    """Make documents of random orders and print how many are off. Gives the exit code: 1 where one of ours is."""
    dice, off, held = random.Random(seed), Counter[str](), 0
    for number in track(range(count), "orders", console=Console(stderr=True), transient=True):
        bought = draw(dice, number)
        made = compose(bought.order, _site(bought.order.currency), ITEMS, "C1")
        if isinstance(made, Hold):
            held += 1
            continue
        off["counterflow"] += is_off(made, bought.paid)
        for name, total in SHORT_CUTS.items():
            off[name] += total(bought.order) != bought.paid
    rates = {name: off[name] / max(1, count - held) for name in ("counterflow", *SHORT_CUTS)}
    output = Console()
    output.print(f"{count:,} orders (seed {seed}), {held} of them held; off by a cent or more:")
    for name, rate in rates.items():
        output.print(f"  {name:<32} {off[name]:>8,}  {rate:7.2%}{'  (goal 0)' if name == 'counterflow' else ''}")
    if json_file:
        report = {"bench": "orders", "orders": count, "held": held, "off": dict(off), "rates": rates}
        json_file.write_text(json.dumps(report, indent=1) + "\n")
    return int(off["counterflow"] > 0 or held > 0)


def is_off(made: PlaceDocument, paid: int) -> bool:
    """Say whether a document comes to something else than was paid, as the server adds it up."""
    lines = sum(_extended(line.quantity, line.price, made.minor_digits) for line in made.lines)
    total = lines + made.misc + made.fees + sum(tax.tax for tax in made.taxes)
    return total != paid or sum(one.amount for one in made.payments) != paid


def _extended(quantity: int, price: Decimal, digits: int) -> int:
    return int((quantity * price).scaleb(digits).to_integral_value(ROUND_HALF_UP))


def draw(dice: random.Random, number: int) -> Bought:
    """Draw an order: line discounts, a discount on the whole, fees, two taxes, gift cards, free ones, three currencies.

    Prices with tax in them are taken apart as a shop does it, line by line: net = gross - tax.
    """
    currency = dice.choice(list(CURRENCIES))
    rate, includes_tax = Decimal(dice.choice(RATES)), dice.random() < 0.4
    lines = [_line(dice, at, rate, includes_tax=includes_tax) for at in range(dice.randint(1, 8))]
    net = sum(line.net for line in lines)
    eligible = sum(line.net for line in lines if line.is_discountable)
    discount = dice.choice([0, 0, eligible, dice.randint(0, eligible)])
    shipping, fees = dice.choice([0, 599, 1250]), dice.choice([0, 0, 250])
    taxes = [sum(line.tax for line in lines), _tax(shipping + fees, rate)]
    paid = net - discount + shipping + fees + sum(taxes)
    card = dice.choice([0, 0, 0, dice.randint(0, paid)])
    order = Order(
        key=str(number),
        number=str(number),
        status="processing",
        currency=currency,
        minor_digits=CURRENCIES[currency],
        account_id=None,
        email="ana@example.com",
        billing=Address(),
        shipping_to=Address(),
        lines=tuple(lines),
        shipping=shipping,
        fees=fees,
        discount=discount,
        taxes=tuple(TaxLine(name=f"T{at}", tax=tax) for at, tax in enumerate(taxes)),
        tax=sum(taxes),
        total=paid,
        tenders=(Tender(method="gift_card", amount=card, card_no="1"),) if card else (),
        is_paid=True,
        placed_at=AT,
    )
    return Bought(order, paid)


def _line(dice: random.Random, at: int, rate: Decimal, *, includes_tax: bool) -> OrderLine:
    quantity, price = dice.randint(1, 12), dice.choice([0, dice.randint(1, 200), dice.randint(1, 20_000)])
    regular = quantity * price
    shown = regular - dice.choice([0, 0, regular, dice.randint(0, regular)])
    tax = (
        shown - int((shown / (1 + rate / 100)).to_integral_value(ROUND_HALF_UP)) if includes_tax else _tax(shown, rate)
    )
    return OrderLine(
        line_id=str(at),
        sku=dice.choice(list(ITEMS)),
        name="",
        quantity=quantity,
        regular=regular,
        net=shown - tax if includes_tax else shown,
        tax=tax,
        is_discountable=dice.random() < 0.9,
    )


def _tax(amount: int, rate: Decimal) -> int:
    return int((amount * rate / 100).to_integral_value(ROUND_HALF_UP))


def _site(currency: str) -> Site:
    return Site(
        store_id="north",
        when="paid",
        prefix="N-",
        store="1",
        station="1",
        drawer="1",
        user="WEB",
        tax_code="T",
        tax_authority="T",
        tax_rule="T",
        misc_charge_no="1",
        fee_charge_no="2",
        taxes={"T1": ("S", "S")},
        pay_codes={"gift_card": "GIFT", "*": "CARD"},
        currency=currency,
        takes_suggestion=False,
    )


def _each_share_rounded(order: Order) -> int:
    """Add the order up with each line's share of the discount rounded by itself."""
    eligible = sum(line.net for line in order.lines if line.is_discountable)
    shares = [
        int((Decimal(order.discount) * line.net / eligible).to_integral_value(ROUND_HALF_UP))
        for line in order.lines
        if line.is_discountable and eligible
    ]
    return sum(line.net for line in order.lines) - sum(shares) + order.shipping + order.fees + order.tax


def _cent_prices(order: Order) -> int:
    """Add the order up with unit prices rounded to the smallest coin."""
    eligible = sum(line.net for line in order.lines if line.is_discountable)
    total, left = 0, order.discount
    for line in order.lines:
        share = min(left, order.discount * line.net // eligible) if line.is_discountable and eligible else 0
        unit = (Decimal(line.net - share) / line.quantity).to_integral_value(ROUND_HALF_UP)
        total += int(unit) * line.quantity + share
    return total - order.discount + order.shipping + order.fees + order.tax


SHORT_CUTS: dict[str, Callable[[Order], Any]] = {
    "each share rounded by itself": _each_share_rounded,
    "unit prices in whole cents": _cent_prices,
}
