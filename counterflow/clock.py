"""Time, passed in. The only place that reads the clock or sleeps."""

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What the time is, and waiting."""

    def now(self) -> datetime:
        """Give the time, aware and UTC."""
        ...

    def monotonic(self) -> float:
        """Give seconds that never go back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The machine's clock. A wait ends early when `stop` is set."""

    def __init__(self, stop: threading.Event | None = None) -> None:
        self._stop = stop or threading.Event()

    def now(self) -> datetime:
        """Give the time, aware and UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Give seconds that never go back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait, but not past the stop."""
        self._stop.wait(max(0.0, seconds))


class FakeClock:
    """A clock that a test moves; waiting moves it too and costs nothing."""

    def __init__(self, at: datetime = datetime(2026, 1, 5, 9, tzinfo=UTC)) -> None:
        self.at = at
        self.slept: list[float] = []

    def now(self) -> datetime:
        """Give the time as the test set it."""
        return self.at

    def monotonic(self) -> float:
        """Give seconds since 1970, by the fake time."""
        return self.at.timestamp()

    def sleep(self, seconds: float) -> None:
        """Move on at once."""
        self.slept.append(seconds)
        self.at += timedelta(seconds=seconds)
