"""Our commands -> the REST server's requests, and the comparison of what was placed with what was wanted. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from counterflow.systems.counterpoint.read import FIRST_LENGTH, LAST_LENGTH, is_company
from schemas.commands import CreateCustomer, DocumentPayment, PlaceDocument, Profile
from schemas.profiles import FIELDS as ALL_FIELDS
from schemas.profiles import of_profile
from schemas.records import Address, Postal

# Lengths of AR_CUST and of the contacts (docs/facts/counterpoint.md 2).
_LENGTHS = {"FST_NAM": FIRST_LENGTH, "LST_NAM": LAST_LENGTH, "NAM": 40, "EMAIL_ADRS_1": 50, "COMMNT": 50}
_LENGTHS |= {"PHONE_1": 25, "CITY": 20, "STATE": 10, "ADRS_1": 40, "ADRS_2": 40, "ZIP_COD": 15, "CNTRY": 20}
SHIPPED = "Shipped by the web store, tracking "
EMAIL_LENGTH, COMMENT_LENGTH = _LENGTHS["EMAIL_ADRS_1"], _LENGTHS["COMMNT"]
_COLUMNS = {"email": "EMAIL_ADRS_1", "first_name": "FST_NAM", "last_name": "LST_NAM", "phone": "PHONE_1"}
_COLUMNS |= {"group": "CATEG_COD"}
_LINES = {"line_1": "ADRS_1", "line_2": "ADRS_2", "city": "CITY", "state": "STATE", "postcode": "ZIP_COD"}
_LINES |= {"country": "CNTRY"}
# What Counterpoint keeps of a customer: there is no one shipping address, but a table of them.
FIELDS = frozenset(ALL_FIELDS) - {"shipping"}
LENGTHS = {name: _LENGTHS[column] for name, column in (_COLUMNS | _LINES).items() if column in _LENGTHS} | {"group": 10}


def amount(minor: int, digits: int) -> str:
    """Give minor units as the server takes amounts: decimal text."""
    return format(Decimal(minor).scaleb(-digits), "f")


def minor(value: Any, digits: int) -> int:
    """Give an amount of the server's in minor units."""
    return int(Decimal(str(value or 0)).scaleb(digits).to_integral_value(rounding=ROUND_HALF_UP))


def customer_payload(wanted: CreateCustomer, workgroup: str) -> dict[str, Any]:
    """Return the body of POST /Customer.

    The server requires FST_NAM and LST_NAM, so a missing one is filled, and a filler is nobody's name: it is the other
    name, else the company, the e-mail's own part or the reference, whichever there is first, cut to the column. NAM is
    the company or the names that there are, and a filler only where there is neither. Mail is refused unless they said
    yes: what the template says is nobody's word.
    """
    names = [name for name in (wanted.first_name, wanted.last_name) if name]
    filler = " ".join(names[:1]) or wanted.company or wanted.email.partition("@")[0] or wanted.reference
    fields = _address(wanted.billing) | {
        "NAM": wanted.company or " ".join(names) or filler,
        "FST_NAM": wanted.first_name or filler,
        "LST_NAM": wanted.last_name or filler,
        "EMAIL_ADRS_1": wanted.email,
        "PHONE_1": wanted.phone or wanted.billing.phone,
        "IS_ECOMM_CUST": "Y",
        "CUST_NAM_TYP": "B" if wanted.company else "P",
        "INCLUDE_IN_MARKETING_MAILOUTS": "Y" if wanted.marketing else "N",
        "COMMNT": "" if wanted.email else comment(wanted.reference),
    }
    return {"Workgroup": workgroup, "AR_CUST": _cut(fields)}


def comment(reference: str) -> str:
    """Return the comment of a customer without an e-mail, by which they are found: the order they were created for."""
    return f"Web order {reference}"


def customer_changes(wanted: Profile, row: Mapping[str, Any]) -> dict[str, Any]:
    """Give the columns of PATCH /Customer. A full name that was made of the two names is made of the new ones.

    A company's name is its own, whatever the names of whoever speaks for it.

    Args:
        wanted: What the customer shall have.
        row: The customer as it is.
    """
    found: dict[str, Any] = {}
    for name, value in of_profile(wanted).items():
        if isinstance(value, Postal):
            found |= {column: getattr(value, line) for line, column in _LINES.items()}
        elif isinstance(value, bool):
            found["INCLUDE_IN_MARKETING_MAILOUTS"] = "Y" if value else "N"
        elif name in _COLUMNS:
            found[_COLUMNS[name]] = value
    is_made_of_names = str(row.get("NAM") or "").strip() in _full_names(row) and not is_company(row)
    if is_made_of_names and {"FST_NAM", "LST_NAM"} & found.keys():
        found["NAM"] = _full_names({**row, **found})[0]
    return {name: value[: _LENGTHS[name]] if name in _LENGTHS else value for name, value in found.items()}


def shows(row: Mapping[str, Any], columns: Mapping[str, Any]) -> bool:
    """Say whether a row shows just what would be written."""
    return all(str(row.get(name) or "").strip() == str(value).strip() for name, value in columns.items())


def _full_names(row: Mapping[str, Any]) -> list[str]:
    """Return what the full name may be that is made of a row's two names; of one name in both columns, it alone too."""
    names = [str(row.get(column) or "").strip() for column in ("FST_NAM", "LST_NAM")]
    found = [" ".join(names).strip()[: _LENGTHS["NAM"]]]
    return [*found, names[0]] if names[0] == names[1] else found


def _address(address: Address) -> dict[str, Any]:
    return {
        "ADRS_1": address.line_1,
        "ADRS_2": address.line_2,
        "CITY": address.city,
        "STATE": address.state,
        "ZIP_COD": address.postcode,
        "CNTRY": address.country,
    }


def _cut(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value[: _LENGTHS[name]] if name in _LENGTHS else value for name, value in fields.items() if value}


def _contact(address: Address) -> dict[str, Any]:
    """Return an address as the document names it: the company, where it has one, with whoever speaks for it."""
    person = f"{address.first_name} {address.last_name}".strip()
    names = {"NAM": address.company or person, "NAM_TYP": "B" if address.company else "P"}
    names |= {"FST_NAM": address.first_name, "LST_NAM": address.last_name}
    return _cut(_address(address) | names | {"EMAIL_ADRS_1": address.email, "PHONE_1": address.phone})


def document_payload(wanted: PlaceDocument) -> dict[str, Any]:
    """Give the body of POST /Document for an order: net prices (the server takes no discounts), the marker twice."""
    digits = wanted.minor_digits
    tax = sum(one.tax for one in wanted.taxes)
    header: dict[str, Any] = {
        "STR_ID": wanted.store_no,
        "STA_ID": wanted.station,
        "DRW_ID": wanted.drawer,
        "USR_ID": wanted.user,
        "TKT_TYP": "T",
        "DOC_TYP": "O",
        "CUST_NO": wanted.cust_no,
        "CUST_PO_NO": wanted.marker,
        "TAX_COD": wanted.tax_code,
        "NORM_TAX_COD": wanted.tax_code,
        "BILL_TO_CONTACT": _contact(wanted.bill_to),
        "SHIP_TO_CONTACT": _contact(wanted.ship_to),
        "PS_DOC_HDR_PROF": {"PROF_ALPHA_1": wanted.marker},
        "PS_DOC_NOTE": [{"NOTE_ID": "WEB", "NOTE": note} for note in wanted.notes],
        "PS_DOC_LIN": [
            {
                "LIN_TYP": "O",
                "ITEM_NO": line.item_no,
                "DESCR": line.description[:250],
                "QTY_SOLD": line.quantity,
                "PRC": format(line.price, "f"),
                "REG_PRC": format(line.regular_price, "f"),
                "USR_ENTD_PRC": "Y",  # From 2.4 the price counts only so.
            }
            for line in wanted.lines
        ],
        "PS_DOC_PMT": [_payment(one, digits) for one in wanted.payments],
        "PS_DOC_TAX": [
            {
                "AUTH_COD": one.authority,
                "RUL_COD": one.rule,
                "TAX_DOC_PART": "O",
                "TAX_AMT": amount(one.tax, digits),
                "TOT_TXBL_AMT": amount(one.taxable, digits),
            }
            for one in wanted.taxes
        ],
    }
    charges = [(wanted.misc_charge_no, wanted.misc), (wanted.fee_charge_no, wanted.fees)]
    if any(charge for _, charge in charges):
        header["PS_DOC_HDR_MISC_CHRG"] = [
            {"TOT_TYP": "O", "MISC_CHRG_NO": number, "MISC_TYP": "A", "MISC_AMT": amount(charge, digits)}
            for number, charge in charges
            if charge
        ]
    totals = {"ORD_TAX_AMT": amount(tax, digits), "ORD_NORM_TAX_AMT": amount(tax, digits)}
    return {"PS_DOC_HDR": header, "PS_TAX": totals}


def tracking_note(numbers: Sequence[str]) -> str:
    """Say under which numbers the store shipped an order."""
    return f"{SHIPPED}{', '.join(numbers)}"


def says(note: str, numbers: Sequence[str]) -> bool:
    """Say whether a note is ours, and names all these tracking numbers."""
    return note.startswith(SHIPPED) and set(numbers) <= set(note.removeprefix(SHIPPED).split(", "))


def _payment(one: DocumentPayment, digits: int) -> dict[str, Any]:
    """Give one tender: a captured one is a deposit, another is only named (order-E.10)."""
    card = {"CARD_NO": one.card_no} if one.card_no else {}
    if one.captured:
        return {"PAY_COD": one.pay_code, "AMT": amount(one.amount, digits), "FINAL_PMT": "N"} | card
    return {"PAY_COD": one.pay_code, "FINAL_PMT": "Y"} | card


def differences(wanted: PlaceDocument, placed: Mapping[str, Any]) -> list[str]:
    """Compare a document as it stands with what was wanted (order-E.12, after): "what: wanted, there", none if equal.

    Lines are compared item by item: staff who edit a document put them in an order of their own.
    """
    digits = wanted.minor_digits
    total: Mapping[str, Any] = next((one for one in placed.get("PS_DOC_HDR_TOT", []) if one.get("TOT_TYP") == "O"), {})
    lines = placed.get("PS_DOC_LIN", [])
    tax, charges = sum(one.tax for one in wanted.taxes), wanted.misc + wanted.fees
    deposit = sum(one.amount for one in wanted.payments if one.captured)
    pairs: list[tuple[str, str, str]] = [
        (what, _show(ours, digits), _show(minor(total.get(column), digits), digits))
        for what, ours, column in (
            ("total", wanted.total, "TOT"),
            ("tax", tax, "TAX_AMT"),
            ("shipping and fees", charges, "TOT_MISC"),
            ("deposit", deposit, "TOT_TND"),
        )
    ]
    pairs += [
        ("customer", wanted.cust_no, str(placed.get("CUST_NO") or "")),
        ("store", wanted.store_no, str(placed.get("STR_ID") or "")),
    ]
    here = _by_item(((one.item_no, one.quantity, one.net) for one in wanted.lines), digits)
    rows = (
        (str(one.get("ITEM_NO")), minor(one.get("QTY_SOLD"), 0), minor(one.get("EXT_PRC"), digits)) for one in lines
    )
    there = _by_item(rows, digits)
    pairs += [(item, here.get(item, "none"), there.get(item, "none")) for item in dict.fromkeys([*here, *there])]
    return [f"{what}: wanted {ours}, there {theirs}" for what, ours, theirs in pairs if ours != theirs]


def _by_item(lines: Iterable[tuple[str, int, int]], digits: int) -> dict[str, str]:
    """Give each item's pieces and amount, for people: "3 for 10.00"."""
    found: dict[str, tuple[int, int]] = {}
    for item_no, quantity, net in lines:
        before = found.get(item_no, (0, 0))
        found[item_no] = (before[0] + quantity, before[1] + net)
    return {item_no: f"{quantity} for {_show(net, digits)}" for item_no, (quantity, net) in found.items()}


def _show(minor_units: int, digits: int) -> str:
    return format(Decimal(minor_units).scaleb(-digits), "f")
