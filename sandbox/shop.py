"""A shop that looks real, generated from a seed: customers with near-duplicates, items, and what the web stores have.

Nobody in it exists: the names are put together from common ones, the addresses end in example domains.
"""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from sandbox.counterpoint import tables as t

FIRST = (
    "Ana Ben Carla David Emma Felix Grace Henry Iris Jonas Karin Leo Mia Noah Olga Paul Rosa Sam Tina Victor".split()
)
LAST = "Adler Brook Carter Dunn Evans Fischer Garcia Hughes Irwin Jones Keller Lopez Meyer Novak Owens Parker".split()
CITIES = [
    ("Springfield", "IL", "62701"),
    ("Portland", "OR", "97201"),
    ("Austin", "TX", "78701"),
    ("Salem", "MA", "01970"),
]
THINGS = "Mug Lamp Scarf Kettle Basket Candle Puzzle Journal Teapot Blanket Vase Clock Apron Tray Pillow Board".split()
KINDS = "Oak Linen Copper Blue Large Small Striped Classic Enamel Woven Glass Winter Garden Travel".split()
TRADES = "Plumbing Bakery Catering Design Dental Garage Flowers Roofing".split()
CATEGORIES = ("KITCHEN", "HOME", "GIFTS", "PAPER")
STORES = ("north", "south")


@dataclass(frozen=True, slots=True)
class Shop:
    """Rows for Counterpoint's tables, and what each store begins with."""

    customers: list[dict[str, Any]]
    items: list[dict[str, Any]]
    shelves: list[dict[str, Any]]
    accounts: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # Of each store: what /_sandbox/load takes.
    products: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    gift_cards: list[dict[str, Any]] = field(default_factory=list)
    till_cards: list[dict[str, Any]] = field(default_factory=list)  # More cards, which pay for no web order of a day.


def generate(seed: int, *, customers: int = 2000, items: int = 500) -> Shop:
    """Generate a shop; the same seed gives the same shop."""
    dice = random.Random(seed)
    people = _with_companies(list(_customers(dice, customers)), random.Random(f"companies {seed}"))
    people = _profiled(people, random.Random(f"profiles {seed}"))
    people = _with_points(people, random.Random(f"points {seed}"))
    things = [_item(dice, number) for number in range(1, items + 1)]
    shelves = [
        {"ITEM_NO": thing["ITEM_NO"], "LOC_ID": loc, "QTY_ON_HND": dice.randint(low, high), "QTY_COMMIT": 0}
        for thing in things
        for loc, low, high in (("MAIN", 15, 120), ("WH2", 0, 40))
    ]
    shop = Shop(people, things, shelves)
    shop.gift_cards.extend(_gift_card(number) for number in range(1, 41))
    shop.till_cards.extend(_till_cards(random.Random(f"cards {seed}"), people))
    for store in STORES:
        known = [one for one in people if one["EMAIL_ADRS_1"] and one["IS_ECOMM_CUST"] == "Y" and dice.random() < 0.5]
        strangers = [_account(dice, f"{store}{number}") for number in range(customers // 20)]
        in_step = random.Random(f"accounts {seed} {store}")
        shop.accounts[store] = [_as_account(one, is_in_step=in_step.random() < 0.8) for one in known] + strangers
        shop.products[store] = [_as_product(thing) for thing in things if thing["IS_ECOMM_ITEM"] == "Y"]
    return shop


def _customers(dice: random.Random, count: int) -> Iterator[dict[str, Any]]:
    for number in range(1, count + 1):
        one = _customer(dice, number)
        yield one
        if number % 50 == 0:  # The same person once more, as a hurried clerk typed her.
            twin = one | {"CUST_NO": str(50_000 + number), "FST_NAM": one["FST_NAM"][:1], "PHONE_1": one["PHONE_1"]}
            yield twin | {
                "EMAIL_ADRS_1": None if number % 100 else one["EMAIL_ADRS_1"],
                "NAM": f"{one['FST_NAM'][:1]} {one['LST_NAM']}",
            }


COMPANIES_SHARE = 0.03  # Of the customers; of whoever else shares an e-mail or comes twice none is one.


def _with_companies(rows: list[dict[str, Any]], dice: random.Random) -> list[dict[str, Any]]:
    """Make some customers companies: a full name, and nobody's first and last one."""
    shared = Counter(row["EMAIL_ADRS_1"] for row in rows if row["EMAIL_ADRS_1"])
    for row in rows:
        row["CUST_NAM_TYP"] = "P"
        number, email = int(row["CUST_NO"]) % 10_000, row["EMAIL_ADRS_1"]
        if dice.random() < COMPANIES_SHARE and number % 50 and shared.get(email, 1) == 1:
            trade = dice.choice(TRADES)
            row |= {"CUST_NAM_TYP": "B", "NAM": f"{dice.choice(LAST)} {trade} LLC", "FST_NAM": None, "LST_NAM": None}
            own = f"office.{trade}{number}@example.com".lower()
            row["EMAIL_ADRS_1"] = email and (own.upper() if email.isupper() else own)
    return rows


CARD_CENTS = 5000  # On each gift card.
WALK_IN_EMAIL = "till@walkin.example.com"
GROUPS = ("RETAIL", "RETAIL", "RETAIL", "WHOLESALE", "VIP", "")


def _profiled(rows: list[dict[str, Any]], dice: random.Random) -> list[dict[str, Any]]:
    """Give customers a group, a wish about mail, and a last purchase: of last week, or of years ago."""
    for row in rows:
        row["CATEG_COD"] = dice.choice(GROUPS)
        row["INCLUDE_IN_MARKETING_MAILOUTS"] = dice.choice("YN")
        row["LOY_PTS_BAL"] = dice.choice((0, 0, dice.randint(1, 900)))
        bought_at = datetime.now(UTC) - timedelta(days=dice.choice((dice.randint(0, 300), dice.randint(0, 2500))))
        row["LST_SAL_DAT"] = bought_at.replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    return rows


def _with_points(rows: list[dict[str, Any]], dice: random.Random) -> list[dict[str, Any]]:
    """Give customers the totals that their balance is made of, and whoever ever had points a loyalty programme."""
    for row in rows:
        redeemed = dice.choice((0, 0, dice.randint(1, 400)))
        adjusted = min(dice.choice((0, 0, 0, dice.randint(-20, 50))), row["LOY_PTS_BAL"] + redeemed)
        row["TOT_LOY_PTS_EARND"] = row["LOY_PTS_BAL"] + redeemed - adjusted
        row["TOT_LOY_PTS_RDM"], row["TOT_LOY_PTS_ADJ"] = redeemed, adjusted
        is_member = bool(row["TOT_LOY_PTS_EARND"]) or dice.random() < 0.2
        row["LOY_PGM_COD"] = "REWARDS" if is_member else None
    return rows


def _customer(dice: random.Random, number: int) -> dict[str, Any]:
    first, last = dice.choice(FIRST), dice.choice(LAST)
    city, state, postcode = dice.choice(CITIES)
    email: str | None = f"{first}.{last}{number}@example.com".lower()
    if number % 7 == 0:
        email = None
    elif number % 41 == 0:
        email = "noemail@example.com"
    elif number % 53 == 0:
        email = f"family.{last}@example.org".lower()  # A family on one address.
    return {
        "CUST_NO": str(10_000 + number),
        "FST_NAM": first,
        "LST_NAM": last,
        "NAM": f"{first} {last}",
        "EMAIL_ADRS_1": email.upper() if email and number % 13 == 0 else email,
        "PHONE_1": f"555-{dice.randint(200, 999)}-{dice.randint(1000, 9999)}",
        "ADRS_1": f"{dice.randint(1, 999)} {dice.choice(KINDS)} Street",
        "CITY": city,
        "STATE": state,
        "ZIP_COD": postcode,
        "CNTRY": "US",
        "CUST_TYP": "C",
        "IS_ECOMM_CUST": "Y" if email and number % 3 == 0 else "N",
    }


def _item(dice: random.Random, number: int) -> dict[str, Any]:
    price = dice.randint(199, 19_999) / 100
    return {
        "ITEM_NO": f"ITM{number:04d}",
        "DESCR": f"{dice.choice(KINDS)} {dice.choice(THINGS)}",
        "CATEG_COD": dice.choice(CATEGORIES),
        "ITEM_TYP": "I",
        "TRK_METH": "N",
        "STAT": "A",
        "IS_TXBL": "Y",
        "IS_ECOMM_ITEM": "N" if number % 10 == 0 else "Y",
        "QTY_DECS": 0,
        "PRC_DECS": 4 if number % 25 == 0 else 2,
        "PRC_1": price,
        "REG_PRC": price,
    }


def _gift_card(number: int) -> dict[str, Any]:
    card = {"GFC_NO": f"GC-{number:04d}", "GFC_COD": "GC", "IS_VOID": "N", "NO_EXP_DAT": "Y", "ORIG_CUST_NO": None}
    return card | {"ORIG_AMT": CARD_CENTS / 100, "CURR_AMT": CARD_CENTS / 100}


def _till_cards(dice: random.Random, people: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Give cards that anybody may hold, and store credit that somebody was given."""
    for number in range(1, 31):
        code, about = ("GC", "Gift card") if number <= 20 else ("STC", "Store credit")
        amount = dice.choice((10, 25, 50, 100)) if code == "GC" else dice.randint(199, 9999) / 100
        card = {"GFC_NO": f"{code}-{1000 + number}", "GFC_COD": code, "DESCR": about, "IS_VOID": "N", "NO_EXP_DAT": "Y"}
        owner = dice.choice(people)["CUST_NO"] if code == "STC" else None
        yield card | {"ORIG_CUST_NO": owner, "ORIG_AMT": amount, "CURR_AMT": amount}


def _account(dice: random.Random, name: str) -> dict[str, Any]:
    first, last = dice.choice(FIRST), dice.choice(LAST)
    return {"email": f"{first}.{last}.{name}@example.net".lower(), "first_name": first, "last_name": last}


def _as_account(row: dict[str, Any], *, is_in_step: bool) -> dict[str, Any]:
    """Give a customer's account; one that is in step has all that Counterpoint has, as after a year of counterflow."""
    bare = {"email": row["EMAIL_ADRS_1"].lower(), "first_name": row["FST_NAM"] or "", "last_name": row["LST_NAM"] or ""}
    named = {"company": row["NAM"]} if row["CUST_NAM_TYP"] == "B" else {}
    if not is_in_step:
        return bare | ({"billing": named} if named else {})
    lines = {"address_1": "ADRS_1", "city": "CITY", "state": "STATE", "postcode": "ZIP_COD", "country": "CNTRY"}
    meta = {
        "counterpoint_cust_no": row["CUST_NO"],
        "counterflow_marketing": "yes" if row["INCLUDE_IN_MARKETING_MAILOUTS"] == "Y" else "no",
    }
    meta |= {"counterflow_group": row["CATEG_COD"]} if row["CATEG_COD"] else {}
    return bare | {
        "billing": {name: row[column] for name, column in lines.items()} | {"phone": row["PHONE_1"]} | named,
        "meta_data": [{"key": key, "value": value} for key, value in meta.items()],
    }


def _as_product(thing: dict[str, Any]) -> dict[str, Any]:
    price = f"{thing['PRC_1']:.2f}"
    return {"sku": thing["ITEM_NO"], "name": thing["DESCR"], "regular_price": price, "stock_quantity": 0}


def fill_counterpoint(engine: Engine, shop: Shop) -> None:
    """Enter the shop into Counterpoint's tables; its walk-in has an address that looks like anybody's."""
    walk_in = t.customer.update().where(t.customer.c.CUST_NO == "CASH").values(EMAIL_ADRS_1=WALK_IN_EMAIL)
    with engine.begin() as connection:
        connection.execute(walk_in)
        connection.execute(t.customer.insert(), shop.customers)
        connection.execute(t.item.insert(), shop.items)
        connection.execute(t.inventory.insert(), shop.shelves)
        for cards in (shop.gift_cards, shop.till_cards):
            connection.execute(t.gift_card.insert(), cards)
            issued = [{"GFC_NO": one["GFC_NO"], "SEQ_NO": 1, "ACTIV_TYP": "I", "AMT": one["CURR_AMT"]} for one in cards]
            connection.execute(t.card_activity.insert(), issued)
