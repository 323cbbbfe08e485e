"""Messages that went before anybody handled them: they expired, or their topic was made anew. Never passed over."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from counterflow import log
from counterflow.metrics import LOST

_log = log.get("gaps")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """What is missing of one partition."""

    topic: str
    partition: int
    first: int  # The offset that should have come next.
    found: int  # The one that the log goes on with; below `first`: the topic was made anew, or has lost its end.
    before: datetime | None = None  # What is missing was published before this; None: nobody knows.

    @property
    def count(self) -> int:
        """How many messages, as far as it is known: of a topic that was made anew, at least one may be missing."""
        return max(1, self.found - self.first)


def tell(gaps: Iterable[Gap]) -> None:
    """Raise the alarm: a line and a count for each."""
    for one in gaps:
        LOST.labels(one.topic).inc(one.count)
        _log.error(
            "messages lost before they were handled",
            topic=one.topic,
            partition=one.partition,
            from_offset=one.first,
            to_offset=one.found,
        )
