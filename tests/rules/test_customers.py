"""Who qualifies for an account, which groups are one, and into whom somebody was merged."""

from datetime import UTC, datetime, timedelta

import pytest

from processors.rules.groups import NONE, NoGroup, Same, Unpaired, pair
from processors.rules.merges import Suspect, survivor
from processors.rules.nobody import Nobody
from processors.rules.qualification import Terms, reasons_against
from schemas.records import Address, Customer

NOW = datetime(2026, 5, 4, 9, tzinfo=UTC)
ANA = Customer(
    key="C-1", email="ana@example.com", first_name="Ana", last_name="Adler", is_ecommerce=True, changed_at=NOW
)
TERMS = Terms(away=timedelta(days=365))


def changed(**fields: object) -> Customer:
    return Customer(**{name: getattr(ANA, name) for name in ANA.__struct_fields__} | fields)


@pytest.mark.parametrize(
    ("customer", "sharers", "reasons"),
    [
        (ANA, [], []),
        (changed(is_ecommerce=False), [], ["not flagged"]),
        (changed(email=None), [], ["no e-mail"]),
        (changed(email="ana(at)example.com"), [], ["e-mail invalid"]),
        (changed(email="noemail@example.com"), [], ["e-mail placeholder"]),
        (ANA, ["C-2", "C-9"], ["e-mail shared"]),
        (changed(changed_at=NOW - timedelta(days=400)), [], ["away"]),
        (changed(changed_at=NOW - timedelta(days=400), bought_at=NOW), [], []),
        (changed(changed_at=None), [], ["away"]),
        (
            changed(key="CASH", is_nobody=True, is_ecommerce=False, email=None),
            [],
            ["walk-in", "not flagged", "no e-mail"],
        ),
    ],
)
def test_yes_or_no_with_every_reason(customer: Customer, sharers: list[str], reasons: list[str]) -> None:  # req-C1
    found = reasons_against(customer, sharers=sharers, now=NOW, terms=TERMS)
    assert [name for name, _ in found] == reasons


def test_whom_an_email_is_shared_with_is_named() -> None:
    ((_, detail),) = reasons_against(ANA, sharers=["C-9", "C-2"], now=NOW, terms=TERMS)
    assert detail == "shared with C-2, C-9"


@pytest.mark.parametrize(
    ("email", "fills"),
    [("NoEmail@shop.example.com", True), ("x@none.com", True), ("nomail.ana@example.com", False), ("ana@a.com", False)],
)
def test_what_only_fills_a_field(email: str, fills: bool) -> None:
    assert Nobody().has_email(email) is fills


@pytest.mark.parametrize(
    ("title", "decided", "match"),
    [
        ("VIP", None, Same("VIP")),
        ("Vip", None, Unpaired("VIP")),
        (" whole sale", None, Unpaired("WHOLESALE")),
        ("Friends", None, Unpaired(None)),
        ("Friends", "VIP", Same("VIP")),
        ("Friends", NONE, NoGroup()),
        ("VIP", NONE, Same("VIP")),
    ],
)
def test_which_groups_are_one(title: str, decided: str | None, match: object) -> None:  # req-C8
    assert pair(title, ["RETAIL", "VIP", "WHOLESALE"], decided=decided) == match


GONE = changed(key="C-9", points=25, phone="212 555 0100")


def suspect(key: str, **facts: object) -> Suspect:
    fields = {name: facts.pop(name) for name in ("points", "email", "first_name", "phone") if name in facts}
    return Suspect(customer=changed(key=key, **({"email": f"{key}@example.org", "first_name": key} | fields)), **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("suspects", "who"),
    [
        ([], None),
        ([suspect("C-1", has_his_documents=True, first_name="A"), suspect("C-2", points=50, points_before=25)], "C-1"),
        ([suspect("C-1", points=50, points_before=25, first_name="Ana"), suspect("C-2", lost_flag=True)], "C-1"),
        ([suspect("C-1", points=50, points_before=25, lost_flag=True)], "C-1"),
        ([suspect("C-1", points=50, points_before=25), suspect("C-2", points=75, points_before=50)], None),
        ([suspect("C-1", points=60, points_before=25)], None),
        ([suspect("C-1", lost_flag=True, phone="+1 212 555 0100"), suspect("C-2", lost_flag=True)], "C-1"),
        ([suspect("C-1", lost_flag=True, email="ana@example.com")], "C-1"),
        ([suspect("C-1", lost_flag=True)], None),
    ],
)
def test_who_survived_a_merge(suspects: list[Suspect], who: str | None) -> None:  # req-C6
    verdict = survivor(GONE, suspects, lost_flag=True)
    assert verdict.survivor == who
    assert (
        verdict.survivor is not None
        or bool(verdict.candidates) is bool([one for one in suspects if one.lost_flag])
        or (len(verdict.candidates) == 2)
    )


@pytest.mark.parametrize("facts", [{"has_his_documents": True}, {"points": 50, "points_before": 25}])
@pytest.mark.parametrize(("lost_flag", "other_lost"), [(False, False), (True, False), (False, True)])
def test_a_trace_to_clearly_another_name_is_a_question_unless_both_lost_the_flag(
    facts: dict[str, object], lost_flag: bool, other_lost: bool
) -> None:
    """A document may have been corrected, and points bought."""
    one = suspect("C-1", first_name="Ben", lost_flag=other_lost, **facts)
    verdict = survivor(GONE, [one], lost_flag=lost_flag)
    assert (verdict.survivor, verdict.candidates) == (None, ("C-1",))


ACME = changed(key="C-9", email=None, first_name="", last_name="", company="Acme Plumbing LLC")


@pytest.mark.parametrize(
    ("gone", "other", "who"),
    [
        pytest.param(ACME, {"company": "ACME Plumbing LLC"}, "C-1", id="companies of one name"),
        pytest.param(ACME, {"company": "Best Bakery LLC"}, None, id="companies of two names, and no person's"),
        pytest.param(ACME, {"billing": Address(company="Acme Plumbing LLC")}, "C-1", id="the billing address names it"),
        pytest.param(changed(key="C-9", email=None, first_name="", last_name=""), {}, None, id="nobody is named"),
    ],
)
def test_a_company_is_known_by_its_name_and_nobody_by_having_none(
    gone: Customer, other: dict[str, object], who: str | None
) -> None:
    one = Customer(key="C-1", **other)  # type: ignore[arg-type]
    assert survivor(gone, [Suspect(customer=one, lost_flag=True)]).survivor == who


def test_no_points_add_up_to_nobody() -> None:
    gone = changed(key="C-9", points=0)
    assert survivor(gone, [suspect("C-1", points=25, points_before=25)]).survivor is None
