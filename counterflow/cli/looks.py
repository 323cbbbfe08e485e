"""One look of the doctor at one thing: what was looked at, whether it is well, and what to do where it is not."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from counterflow.clock import Clock
from counterflow.errors import Transient, Trouble

CLOCK_S_MAX = 30.0  # Further apart, "the more recent change wins" would begin to lie.
Look = Callable[[], str]  # Gives what it saw; raises Trouble with what is wrong and how to mend it.


class Wrong(Trouble):
    """What a look found, and how to mend it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One look, taken."""

    what: str
    ok: bool
    says: str

    def line(self) -> str:
        """Give the check in one line."""
        return f"{'ok   ' if self.ok else 'WRONG'}  {self.what}: {self.says}"


@dataclass(slots=True)
class Visit:
    """All looks of one visit, in the order in which they were taken."""

    checks: list[Check] = field(default_factory=list)

    def look(self, what: str, look: Look, *, after: Check | None = None, mend: str = "") -> Check:
        """Take a look; what it cannot do turns into its line.

        Args:
            what: What is looked at.
            look: The look.
            after: A check that must have been well; where it was not, there is nothing to look at.
            mend: What to do where nobody answers.
        """
        if after is not None and not after.ok:
            return self._add(what, f"not looked at; first mend: {after.what}", ok=False)
        try:
            return self._add(what, look(), ok=True)
        except Transient as error:
            return self._add(what, f"{error}; {mend}" if mend else str(error), ok=False)
        except Trouble as error:
            return self._add(what, str(error), ok=False)

    def _add(self, what: str, says: str, *, ok: bool) -> Check:
        check = Check(what=what, ok=ok, says=" ".join(says.split()))
        self.checks.append(check)
        return check


def offset(there: datetime, clock: Clock) -> str:
    """Say how far another clock is from ours. Raises Wrong where it is too far."""
    seconds = (there - clock.now()).total_seconds()
    if abs(seconds) > CLOCK_S_MAX:
        raise Wrong(f"differs from ours by {seconds:.0f} s; let both machines take their time from a time server")
    return f"{seconds:+.1f} s from ours"
