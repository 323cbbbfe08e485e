"""When a task runs (req-U4)."""

from datetime import UTC, datetime, timedelta

import pytest

from processors.rules.schedule import next_run

NOW = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "after"),
    [
        pytest.param("continuous", None, id="always"),
        pytest.param("every 10 minutes", timedelta(minutes=10), id="every ten minutes"),
        pytest.param("every 1 minute", timedelta(minutes=1), id="every minute"),
        pytest.param("0 12 * * *", timedelta(hours=2, minutes=30), id="at noon"),
    ],
)
def test_next_run(schedule: str, after: timedelta | None) -> None:
    assert next_run(schedule, NOW) == (None if after is None else NOW + after)


@pytest.mark.parametrize(
    "schedule", ["", "every minute", "every 0 minutes", "every 99999 minutes", "at noon", "61 * * * *"]
)
def test_what_is_no_schedule_says_what_one_looks_like(schedule: str) -> None:
    with pytest.raises(ValueError, match="is no schedule"):
        next_run(schedule, NOW)
