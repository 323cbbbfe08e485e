"""The one retry policy: the wait doubles up to a ceiling. The loop is tenacity's or the gate's, never both."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Double the wait each time, up to a ceiling, for a fixed number of attempts."""

    attempts_max: int = 4
    delay_s_first: float = 0.25
    delay_s_max: float = 60.0

    def delay_s(self, attempt: int) -> float | None:
        """Give the wait after the attempt-th failure (1 is the first); None is: give up."""
        assert attempt >= 1
        if attempt >= self.attempts_max:
            return None
        return min(self.delay_s_max, self.delay_s_first * 2.0 ** min(attempt - 1, 30))


# In one call: short, for what a moment mends. Then the key waits in the gate, by the second policy.
CALL = Retry(attempts_max=3, delay_s_first=0.2, delay_s_max=2.0)
# Between two sendings of one wanted row: it never gives up, a person sees it on the Queue tab.
ROW = Retry(attempts_max=2**31, delay_s_first=1.0, delay_s_max=120.0)
