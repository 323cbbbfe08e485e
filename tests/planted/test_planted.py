"""Fourteen bugs, planted one at a time into a copy of the tree: for each of them some test must fail."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FOLDERS = ("consumers", "counterflow", "processors", "producers", "sandbox", "schemas", "tests", "deploy")
FLOWS = "tests/flows/test_main_job.py::"
BUGS = {
    "commit-before-write": "tests/contracts/test_consumer_order.py",
    "no-look-before-second-try": (
        "tests/contracts/test_counterpoint_target.py::test_a_half_applied_document_is_found_and_not_placed_again"
    ),
    "email-before-link": FLOWS + "test_a_customer_who_changes_the_email_stays_the_same",
    "allocation-forgets-the-other-store": FLOWS + "test_what_one_store_sells_no_store_offers",
    "echo-counts-as-an-edit": (
        "tests/rules/test_profiles.py::test_whatever_comes_in_whichever_order_the_last_edit_counts_everywhere"
    ),
    "write-without-reading-first": (
        "tests/contracts/test_store_accounts.py::test_what_somebody_changed_meanwhile_is_told_and_not_written"
    ),
    "told-before-read-whole": (
        "tests/flows/test_customer_flow.py::test_no_account_is_told_by_customers_who_are_not_read_whole"
    ),
    "answer-undoes-a-later-edit": (
        "tests/flows/test_customer_flow.py::test_an_answer_that_comes_after_a_later_edit_was_read_does_not_undo_it"
    ),
    "each-share-rounded-alone": (
        "tests/rules/test_shares.py::test_a_discount_is_spread_exactly_and_no_line_falls_below_zero"
    ),
    "unit-price-in-whole-cents": ("tests/rules/test_documents.py::test_unit_prices_add_up_exactly_in_one_line_or_two"),
    "coupon-subtracted-again": ("tests/rules/test_documents.py::test_a_coupon_is_named_and_never_subtracted_again"),
    "billing-email-links-an-account": (
        "tests/flows/test_nobody_else.py::test_a_billing_email_routes_the_document_and_links_no_account"
    ),
    "template-default-is-newer": (
        "tests/flows/test_nobodys_word.py::test_an_account_is_not_made_with_what_nobody_said"
    ),
    "outbox-before-commit": FLOWS + "test_a_batch_whose_commit_fails_says_nothing_and_comes_again_whole",
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__", "planted", "live", "vendor")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def run(copy: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-o", "pythonpath=.", *tests]
    return subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.parametrize(("bug", "test"), BUGS.items(), ids=list(BUGS))
def test_a_planted_bug_makes_a_test_fail(copy: Path, bug: str, test: str) -> None:
    patch = ROOT / "tests" / "planted" / f"{bug}.patch"
    subprocess.run(["git", "apply", str(patch)], cwd=copy, check=True)
    done = run(copy, test)
    assert done.returncode == 1, f"{bug}: no test failed\n{done.stdout[-1500:]}{done.stderr[-500:]}"
    assert "failed" in done.stdout, done.stdout[-1500:]


def test_without_a_bug_the_copy_passes(copy: Path) -> None:
    """Else the tests above might fail for being in a copy."""
    done = run(copy, *BUGS.values())
    assert done.returncode == 0, done.stdout[-1500:]
