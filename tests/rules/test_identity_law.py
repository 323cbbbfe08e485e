"""Nothing of one person ever reaches another: a few of the random worlds of `./run bench identity`."""

from collections import Counter

import pytest

from counterflow.cli import bench_worlds
from processors.rules import identity

WORLDS = 150


@pytest.mark.parametrize("first", range(0, 4 * WORLDS, WORLDS))
def test_nothing_but_a_typed_document_ever_reaches_another(first: int) -> None:
    counts: Counter[str] = Counter()
    for seed in range(first, first + WORLDS):
        counts += bench_worlds.play(seed)
    assert counts["documents routed to another by what was typed"] > 0
    assert counts["true pairs linked"] >= 0.98 * counts["true pairs"], "who is one person is still found"


def test_the_table_names_every_key_and_only_a_typed_email_carries_less_than_everything() -> None:
    weak = {key for key in identity.MAY_CARRY if not identity.may_link(key)}
    assert weak == {"typed e-mail"}
    assert identity.MAY_CARRY["typed e-mail"] == {"document"}
