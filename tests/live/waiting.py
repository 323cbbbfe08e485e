"""Waiting for a condition, with a deadline: no test here sleeps to be right."""

import time
from collections.abc import Callable


def wait_for(condition: Callable[[], bool], *, within_s: float, what: str | Callable[[], object]) -> None:
    """Return once the condition holds.

    Raises:
        AssertionError: It did not hold in time; the message says what did not come to pass.
    """
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            said = what if isinstance(what, str) else what()
            raise AssertionError(f"not within {within_s:.0f} s: {said}")
        time.sleep(0.1)
