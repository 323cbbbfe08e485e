"""The waits of the retry policy: they double, have a ceiling, and end when the attempts do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterflow.retry import CALL, ROW, Retry

POLICIES = st.builds(
    Retry,
    attempts_max=st.integers(1, 2**31),
    delay_s_first=st.floats(0.01, 10),
    delay_s_max=st.floats(10, 600),
)


@pytest.mark.parametrize(
    ("attempt", "expected"),
    [
        pytest.param(1, 0.5, id="the first wait is as given"),
        pytest.param(2, 1.0, id="the second is twice as long"),
        pytest.param(3, 2.0, id="so is the third"),
        pytest.param(4, 3.0, id="no wait is longer than the ceiling"),
        pytest.param(5, None, id="the last failure has no wait after it"),
        pytest.param(6, None, id="nor has any later one"),
    ],
)
def test_delay_s(attempt: int, expected: float | None) -> None:
    policy = Retry(attempts_max=5, delay_s_first=0.5, delay_s_max=3.0)
    assert policy.delay_s(attempt) == expected


@given(POLICIES, st.integers(1, 10_000))
def test_waits_never_shrink_and_stay_below_the_ceiling(policy: Retry, attempt: int) -> None:
    earlier, later = policy.delay_s(attempt), policy.delay_s(attempt + 1)
    if later is not None:
        assert earlier is not None
        assert policy.delay_s_first <= earlier <= later <= policy.delay_s_max


@given(POLICIES, st.integers(1, 2**40))
def test_it_gives_up_exactly_when_the_attempts_are_used_up(policy: Retry, attempt: int) -> None:
    assert (policy.delay_s(attempt) is None) == (attempt >= policy.attempts_max)


def test_one_call_is_short() -> None:
    waits = [CALL.delay_s(attempt) or 0.0 for attempt in range(1, CALL.attempts_max)]
    assert sum(waits) < 5  # A key must not hold a process up: it waits in the gate.


def test_a_wanted_row_is_never_given_up() -> None:
    assert ROW.delay_s(1_000_000) == ROW.delay_s_max
