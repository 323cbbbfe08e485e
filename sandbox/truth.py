"""Comparing what the systems hold with what till, shoppers and staff did. Knows nothing of the pipeline's rules.

Everything here is reckoned from the sandbox's own journal and state: which document each order must have become, whose
it is, and what each store may offer at any moment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.shop import Shop

Entry = Mapping[str, Any]
NOBODY = {"CASH", "TEMPLATE"}  # Nobody was created under these.
ACCEPTED = {"on-hold", "processing", "completed"}
PAID = {"processing", "completed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What shop.yaml says of a store, as far as the truth depends on it."""

    prefix: str
    store_no: str
    buffer: int
    locations: tuple[str, ...]


@dataclass(slots=True)
class WebOrder:
    """One order as the journal tells its life."""

    store: str
    order_id: str
    entry: Entry
    status: str
    paid_at: float | None
    taken_at: float | None
    freed_at: float | None = None
    is_cancelled: bool = False  # Then it must have no document at the end of the day.


@dataclass(slots=True)
class Flow:
    """The figures of one flow: how many changes, how many reached the target, how late, how many wrong."""

    flow: str
    changes: int = 0
    delays: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)  # What nobody could have seen: named, and not counted as wrong.

    def row(self) -> dict[str, Any]:
        """Give the figures as they are reported; percentiles are None where nothing was measured."""
        return {
            "flow": self.flow,
            "changes": self.changes,
            "applied": len(self.delays),
            "p50_s": percentile(self.delays, 50),
            "p95_s": percentile(self.delays, 95),
            "p99_s": percentile(self.delays, 99),
            "wrong": len(self.wrong),
        }


def percentile(values: Sequence[float], share: int) -> float | None:
    """Give a percentile by nearest rank."""
    if not values:
        return None
    ranked = sorted(values)
    return round(ranked[max(0, -(-len(ranked) * share // 100) - 1)], 3)


class Truth:
    """The journal and the end states, read once."""

    def __init__(
        self,
        journal: Sequence[Entry],
        states: Mapping[str, Mapping[str, Any]],
        sites: Mapping[str, Site],
        shop: Shop,
        merged: Mapping[str, str] | None = None,
    ) -> None:
        self._journal, self._states, self._sites, self._shop = journal, states, sites, shop
        self._merged = merged or {}  # Customers who were merged into others.
        self._web = {row["ITEM_NO"] for row in shop.items if row["IS_ECOMM_ITEM"] == "Y"}
        self.orders = self._orders()

    def _orders(self) -> list[WebOrder]:
        found: dict[tuple[str, str], WebOrder] = {}
        cancelled: dict[tuple[str, str], float] = {}
        for entry in self._journal:
            key = (entry["system"], entry["key"])
            if entry["kind"] == "order" and "status" in entry["data"]:  # Not a change of one.
                found[key] = WebOrder(*key, entry, entry["data"]["status"], None, None)
                _take_status(found[key], entry["data"]["status"], entry["at"])
            elif entry["kind"] == "order-status" and key in found:
                _take_status(found[key], entry["data"]["status"], entry["at"])
                cancelled |= {key: entry["at"]} if entry["data"]["status"] == "cancelled" else {}
        self._free(found, cancelled)
        return list(found.values())

    def _free(self, found: Mapping[tuple[str, str], WebOrder], cancelled: Mapping[tuple[str, str], float]) -> None:
        """Note since when what a cancelled order took is free: since its document was voided, or never placed."""
        placed = {entry["data"]["CUST_PO_NO"] for entry in self._journal if entry["kind"] == "document"}
        voided = {entry["data"]["marker"]: entry["at"] for entry in self._journal if entry["kind"] == "void"}
        for key, at in cancelled.items():
            marker, order = self._sites[key[0]].prefix + key[1], found[key]
            order.is_cancelled = True
            if order.taken_at is not None:
                order.freed_at = voided.get(marker) if marker in placed else order.freed_at or at

    def check_orders(self, since: float, until: float) -> Flow:
        """Check each paid order of a time against the documents, and measure how late each was."""
        flow = Flow("order -> document")
        documents: dict[str, list[Mapping[str, Any]]] = {}
        for one in self._states["counterpoint"]["documents"]:
            if one["DOC_TYP"] == "O":
                documents.setdefault(one["CUST_PO_NO"] or "", []).append(one)
        written = {
            entry["data"]["CUST_PO_NO"]: entry["at"]
            for entry in reversed(self._journal)
            if entry["kind"] == "document" and entry["data"]["DOC_TYP"] == "O"
        }
        for order in self.orders:
            moment = order.paid_at or order.entry["at"]
            if not since <= moment < until:
                continue
            marker = self._sites[order.store].prefix + order.order_id
            wanted = (
                order.entry["data"]["expect"] == "document" and order.paid_at is not None and not order.is_cancelled
            )
            there = documents.get(marker, [])
            if wanted:
                flow.changes += 1
                if marker in written and order.paid_at is not None:
                    flow.delays.append(written[marker] - order.paid_at)
            flow.wrong += self._compare_order(order, marker, there, wanted=wanted)
        return flow

    def _compare_order(
        self, order: WebOrder, marker: str, there: Sequence[Mapping[str, Any]], *, wanted: bool
    ) -> list[str]:
        if len(there) != int(wanted):
            return [f"{order.store} order {order.order_id}: {len(there)} documents {marker}, expected {int(wanted)}"]
        if not wanted:
            return []
        document, data = there[0], order.entry["data"]
        total: Mapping[str, Any] = next((row for row in document["totals"] if row["TOT_TYP"] == "O"), {})
        lines: dict[str, list[int]] = {}
        for line in data["lines"]:
            sums = lines.setdefault(line["sku"], [0, 0])
            sums[0] += line["quantity"]
            sums[1] += line["total_cents"]
        placed: dict[str, list[int]] = {}
        for row in document["lines"]:
            sums = placed.setdefault(row["ITEM_NO"], [0, 0])
            sums[0] += round(row["QTY_SOLD"])
            sums[1] += round(row["EXT_PRC"] * 100)
        pairs = [
            ("total", data["total_cents"] + sum(data["cards_cents"].values()), round(total.get("TOT", 0) * 100)),
            ("tax", data["tax_cents"], round(total.get("TAX_AMT", 0) * 100)),
            (
                "shipping and fees",
                _charges(data),
                {row["MISC_CHRG_NO"]: cents_of(row["MISC_AMT"]) for row in document["misc"]},
            ),
            ("taxes", _taxes(data), {row["AUTH_COD"]: cents_of(row["TAX_AMT"]) for row in document["taxes"]}),
            ("lines", *_lines(lines, placed, off=-sum(fee for fee in data["fees_cents"] if fee < 0))),
            ("paid", *_paid(data, document["payments"], is_done=order.status == "completed")),
            ("store", self._sites[order.store].store_no, document["STR_ID"]),
        ]
        return [
            f"{marker}: {what}: {here} in the store, {in_books} in Counterpoint"
            for what, here, in_books in pairs
            if here != in_books
        ]

    def check_customers(self) -> Flow:
        """Check that each person is one customer, the one he was before, and that nobody else is."""
        flow = Flow("person -> customer")
        state = self._states["counterpoint"]
        buyers = {one["CUST_PO_NO"]: one["CUST_NO"] for one in state["documents"] if one["DOC_TYP"] == "O"}
        of_person: dict[str, set[str]] = {}
        for order in self.orders:
            marker = self._sites[order.store].prefix + order.order_id
            if order.entry["data"]["expect"] == "document" and marker in buyers:
                number = self._merged.get(buyers[marker], buyers[marker])
                of_person.setdefault(order.entry["data"]["person"], set()).add(number)
        before = {row["CUST_NO"] for row in self._shop.customers}
        owners: dict[str, list[str]] = {}
        for person, numbers in of_person.items():
            flow.changes += 1
            if len(numbers) != 1:
                flow.wrong.append(f"person {person} is {len(numbers)} customers: {sorted(numbers)}")
            elif person in before and self._merged.get(person, person) not in numbers:
                flow.wrong.append(f"person {person} was taken for {sorted(numbers)}")
            for number in numbers:
                owners.setdefault(number, []).append(self._merged.get(person, person))
        flow.wrong += [
            f"customer {one} is {len(who)} persons: {who}" for one, who in owners.items() if len(set(who)) > 1
        ]
        flow.wrong += self._created_twice(before)
        flow.wrong += self._taken_for_another_kind(buyers)
        return flow

    def _taken_for_another_kind(self, buyers: Mapping[str, str]) -> list[str]:
        """Find companies that became a person, or lost their name, and persons who became a company."""
        rows = {row["CUST_NO"]: row for row in self._states["counterpoint"]["customers"]}
        wrong = {}
        for order in self.orders:
            number = buyers.get(self._sites[order.store].prefix + order.order_id, "")
            row, company = rows.get(number), order.entry["data"].get("company", "")
            if row is None or number in self._merged.values() or order.entry["data"]["expect"] != "document":
                continue
            shown = row["NAM"] if row["CUST_NAM_TYP"] == "B" else ""
            if shown != company[:40]:
                wrong[number] = f"customer {number} is {shown!r} as a company, expected {company!r}"
        return list(wrong.values())

    def _created_twice(self, before: set[str]) -> list[str]:
        emails: dict[str, int] = {}
        for row in self._states["counterpoint"]["customers"]:
            if row["CUST_NO"] not in before | NOBODY and row["EMAIL_ADRS_1"]:
                emails[row["EMAIL_ADRS_1"].lower()] = emails.get(row["EMAIL_ADRS_1"].lower(), 0) + 1
        return [f"{count} customers were created for one e-mail" for count in emails.values() if count > 1]

    def check_stock(self, since: float, until: float) -> list[Flow]:
        """Check what each store offers of each item at the end, and measure how late each change of it came."""
        own, other = Flow("stock -> store"), Flow("order -> other store's stock")
        writes: dict[tuple[str, str], list[tuple[float, int]]] = {}
        for entry in self._journal:
            if entry["kind"] == "stock" and entry["actor"] == "api":
                writes.setdefault((entry["system"], entry["key"]), []).append((entry["at"], entry["data"]["quantity"]))
        for store, site in self._sites.items():
            offered = self._states[store]["products"]
            for sku in sorted(self._web & offered.keys()):
                steps = self._steps(sku, site)
                if offered[sku]["stock_quantity"] != steps[-1][1]:
                    text = f"{store} offers {offered[sku]['stock_quantity']} of {sku}, expected {steps[-1][1]}"
                    own.wrong.append(text)
                _measure(steps, writes.get((store, sku), []), (own, other), store=store, between=(since, until))
        return [own, other]

    def _steps(self, sku: str, site: Site) -> list[tuple[float, int, str]]:
        """Give what the store may offer after each thing that moved the item: (when, how many, what moved it)."""
        rows = [row for row in self._shop.shelves if row["ITEM_NO"] == sku and row["LOC_ID"] in site.locations]
        left = sum(int(row["QTY_ON_HND"]) for row in rows) - site.buffer
        moves: list[tuple[float, int, str]] = []
        for entry in self._journal:
            moved = entry["system"] == "counterpoint" and entry["key"] == sku and "on_hand" in entry["data"]
            if moved and entry["data"]["loc"] in site.locations:
                moves.append((entry["at"], int(entry["data"]["quantity"]), "counterpoint"))
        for order in self.orders:
            quantity = sum(line["quantity"] for line in order.entry["data"]["lines"] if line["sku"] == sku)
            if quantity and order.taken_at is not None:
                moves.append((order.taken_at, -quantity, order.store))
                if order.freed_at is not None:
                    moves.append((order.freed_at, quantity, order.store))
        steps = [(0.0, max(0, left), "")]
        for at, change, who in sorted(moves):
            left += change
            steps.append((at, max(0, left), who))
        return steps


def cents_of(amount: float) -> int:
    return round(amount * 100)


def _charges(data: Mapping[str, Any]) -> dict[str, int]:
    """Give shipping and fees by the number of their charge, as shop.yaml has them."""
    charges = {"1": data["shipping_cents"], "2": sum(fee for fee in data["fees_cents"] if fee > 0)}
    return {number: cents for number, cents in charges.items() if cents}


def _paid(data: Mapping[str, Any], payments: Sequence[Mapping[str, Any]], *, is_done: bool) -> tuple[object, object]:
    """Give what was paid when the order was placed, tender by tender: by gift cards, and all but cash on delivery.

    That is paid once the order is completed (W-68), which the store's staff may do before the document is placed.
    """
    here = {("GIFT", code): cents for code, cents in data["cards_cents"].items()}
    here |= {("CARD", ""): int(data["total_cents"])} if data["payment_method"] != "cod" else {}
    there = {(row["PAY_COD"], row["CARD_NO"] or ""): cents_of(row["AMT"] or 0) for row in payments}
    if is_done and there.get(("COD", "")) == data["total_cents"]:
        del there[("COD", "")]
    return {one: cents for one, cents in here.items() if cents}, {one: cents for one, cents in there.items() if cents}


def _taxes(data: Mapping[str, Any]) -> dict[str, int]:
    """Give the order's taxes by authority, as shop.yaml has them."""
    found: dict[str, int] = {}
    for code, cents in data["taxes_cents"].items():
        authority = "COUNTY" if "COUNTY" in code else "STATE"
        found[authority] = found.get(authority, 0) + cents
    return {authority: cents for authority, cents in found.items() if cents}


def _lines(lines: dict[str, list[int]], placed: dict[str, list[int]], *, off: int) -> tuple[object, object]:
    """Give what to compare of the lines: each item's pieces and cents; with a discount `off` the whole, their sum."""
    if not off:
        return lines, placed
    here = ({sku: sums[0] for sku, sums in lines.items()}, sum(sums[1] for sums in lines.values()) - off)
    there = ({sku: sums[0] for sku, sums in placed.items()}, sum(sums[1] for sums in placed.values()))
    return here, there


def _take_status(order: WebOrder, status: str, at: float) -> None:
    order.status = status
    if status in PAID and order.paid_at is None:
        order.paid_at = at
    if status in ACCEPTED and order.taken_at is None:
        order.taken_at = at
    if status not in ACCEPTED and status != "pending" and order.taken_at is not None and order.paid_at is None:
        order.freed_at = order.freed_at or at


def _measure(
    steps: Sequence[tuple[float, int, str]],
    writes: Sequence[tuple[float, int]],
    flows: tuple[Flow, Flow],
    *,
    store: str,
    between: tuple[float, float],
) -> None:
    """Find for each step the first write that includes it: one of a figure that is right then or later.

    A step that leaves the figure as it was needs no write; an order of the store itself lowers its stock there.
    """
    own, other = flows
    for number in range(1, len(steps)):
        at, offer, who = steps[number]
        if who == store or offer == steps[number - 1][1] or not between[0] <= at < between[1]:
            continue
        flow = own if who == "counterpoint" else other
        flow.changes += 1
        right = steps[number:]
        for written_at, quantity in writes:
            if written_at >= at and any(quantity == value for when, value, _ in right if when <= written_at):
                flow.delays.append(written_at - at)
                break
