"""Comparing what became of web orders afterwards: shipments, refunds, gift cards. As `truth.py`, it knows no rules."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.shop import CARD_CENTS, Shop
from sandbox.truth import Entry, Flow, Site, cents_of


def check_shipments(
    journal: Sequence[Entry], states: Mapping[str, Mapping[str, Any]], sites: Mapping[str, Site]
) -> Flow:
    """Check that each web order tells of what left of it, once, and is completed once everything has."""
    flow = Flow("release -> store")
    releases: dict[str, list[Entry]] = {}
    for entry in (one for one in journal if one["kind"] == "release"):
        releases.setdefault(entry["data"]["marker"], []).append(entry)
    changes = [entry for entry in journal if entry["kind"] in {"order", "order-status"}]
    for store, site in sites.items():
        for row in states[store]["orders"]:
            key, mine = str(row["id"]), releases.get(f"{site.prefix}{row['id']}", [])
            own = [entry for entry in changes if (entry["system"], entry["key"]) == (store, key)] if mine else []
            wrong = _shipping(row, mine, states[store]["notes"][key])
            flow.wrong += [f"{store} order {key}: {text}" for text in wrong]
            documents = [one for one in states["counterpoint"]["documents"] if _is_of(one, f"{site.prefix}{row['id']}")]
            flow.wrong += [f"{store} order {key}: {text}" for text in _tracking(row, documents)]
            for entry in mine:
                flow.changes += 1
                later = [one["at"] for one in own if one["actor"] == "api" and one["at"] >= entry["at"]]
                flow.delays += [min(later) - entry["at"]] if later else []
    return flow


def check_refunds(journal: Sequence[Entry], states: Mapping[str, Mapping[str, Any]], sites: Mapping[str, Site]) -> Flow:
    """Check that each refund has its return ticket in Counterpoint, to the cent and piece, and once."""
    flow = Flow("refund -> return")
    tickets: dict[str, list[Mapping[str, Any]]] = {}
    for one in states["counterpoint"]["documents"]:
        tickets.setdefault(one["CUST_PO_NO"] or "", []).append(one)
    for entry in (one for one in journal if one["kind"] == "refund" and one["actor"] == "staff"):
        flow.changes += 1
        marker = f"{sites[entry['system']].prefix}{entry['key']}R{entry['data']['number']}"
        found = [
            (
                -cents_of(sum(row["AMT"] for row in one["payments"])),
                {row["ITEM_NO"]: int(row["QTY_SOLD"]) for row in one["lines"] if row["LIN_TYP"] == "R"},
            )
            for one in tickets.get(marker, [])
        ]
        if found != [(entry["data"]["cents"], entry["data"]["pieces"])]:
            flow.wrong.append(f"{marker}: {entry['data']} refunded, returns {found}")
    return flow


def check_till_returns(
    journal: Sequence[Entry], states: Mapping[str, Mapping[str, Any]], sites: Mapping[str, Site]
) -> Flow:
    """Check that each return at the till is in its web order: once, its pieces, and their price but for rounding."""
    flow = Flow("till return -> store")
    rows = {
        f"{site.prefix}{row['id']}": (store, row) for store, site in sites.items() for row in states[store]["orders"]
    }
    shown = [one for one in journal if one["kind"] == "refund" and one["actor"] == "api"]
    for entry in (one for one in journal if one["kind"] == "return" and one["data"]["marker"] in rows):
        store, row = rows[entry["data"]["marker"]]
        flow.changes += 1
        reason = f"Counterpoint return {entry['data']['ticket_no']}"
        named = [one["id"] for one in row["refunds"] if one["reason"] == reason]
        mine = [
            one
            for one in shown
            if (one["system"], one["key"]) == (store, str(row["id"])) and one["data"]["id"] in named
        ]
        line = next(one for one in row["line_items"] if one["sku"] == entry["key"])
        # A fee below 0 lowers what each line cost, by its share.
        off = sum(-float(one["total"]) for one in row["fee_lines"] if float(one["total"]) < 0)
        share = off * float(line["total"]) / (sum(float(one["total"]) for one in row["line_items"]) or 1)
        paid = float(line["total"]) - share + float(line["total_tax"])
        exact = paid * 100 * entry["data"]["pieces"] / line["quantity"]
        pieces = {entry["key"]: entry["data"]["pieces"]}
        flow.delays += [mine[0]["at"] - entry["at"]] if mine else []
        if [one["data"]["pieces"] for one in mine] != [pieces] or abs(mine[0]["data"]["cents"] - exact) > 2:
            flow.wrong.append(f"{store} order {row['id']}: {pieces} came back ({exact:.1f} cents), it shows {mine}")
    return flow


def check_gift_cards(shop: Shop, states: Mapping[str, Mapping[str, Any]]) -> Flow:
    """Check that each gift card has lost what the documents that stand say, and nothing else."""
    flow = Flow("gift card -> order")
    paid: dict[str, int] = {}
    for one in states["counterpoint"]["documents"]:
        for row in one["payments"] if one["DOC_TYP"] == "O" else ():
            if row["CARD_NO"]:
                flow.changes += 1
                paid[row["CARD_NO"]] = paid.get(row["CARD_NO"], 0) + cents_of(row["AMT"])
    for card in shop.gift_cards:
        number, left = card["GFC_NO"], cents_of(states["counterpoint"]["gift_cards"][card["GFC_NO"]])
        if left != CARD_CENTS - paid.get(number, 0):
            flow.wrong.append(f"gift card {number} has {left}, expected {CARD_CENTS - paid.get(number, 0)}")
    return flow


def _shipping(row: Mapping[str, Any], releases: Sequence[Entry], notes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Compare what an order tells of its shipments, its notes and its status, with what was released."""
    text = next((one["value"] for one in row["meta_data"] if one["key"] == "counterflow_shipments"), "[]")
    told = {one["reference"]: (_pieces(one["lines"]), one["tracking"]) for one in json.loads(text)}
    true = {one["data"]["ticket_no"]: (_pieces(one["data"]["lines"]), one["data"]["tracking"]) for one in releases}
    wrong = [] if told == true else [f"tells of {told}, released were {true}"]
    for number in true:
        if sum(one["note"].startswith(f"Shipment {number}:") for one in notes) != 1:
            wrong.append(f"{number} is not noted exactly once")
    pieces = _pieces([line for one in releases for line in one["data"]["lines"]])
    if bool(releases) and pieces == _pieces(row["line_items"]) and row["status"] != "completed":
        wrong.append(f"is {row['status']} although everything was released")
    return wrong


def _is_of(document: Mapping[str, Any], marker: str) -> bool:
    return document["CUST_PO_NO"] == marker and document["DOC_TYP"] == "O" and not document["posted"]


def _tracking(row: Mapping[str, Any], documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """Compare the numbers that the store has shipped an order under with what its document says."""
    items: list[Mapping[str, str]] = next(
        (one["value"] for one in row["meta_data"] if one["key"] == "_wc_shipment_tracking_items"), []
    )
    numbers = [one["tracking_number"] for one in items]
    notes = [str(note["NOTE"]) for one in documents for note in one["notes"]]
    return [f"document does not say {one}" for one in numbers if documents and not any(one in note for note in notes)]


def _pieces(lines: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for line in lines:
        found[line["sku"]] = found.get(line["sku"], 0) + line["quantity"]
    return found
