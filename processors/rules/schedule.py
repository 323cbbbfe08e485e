"""When does a task run (req-U4)? "continuous", "every N minutes", or a cron line such as "0 6,12,18 * * *"."""

import re
from datetime import datetime, timedelta

from cronsim import CronSim, CronSimError

CONTINUOUS = "continuous"
_EVERY = re.compile(r"every (\d+) minutes?")
MINUTES_MAX = 7 * 24 * 60


def next_run(schedule: str, after: datetime) -> datetime | None:
    """Give the next time a task runs behind `after`; None for a continuous one, which always does.

    Raises:
        ValueError: The text is no schedule; the message says what one looks like.
    """
    if schedule == CONTINUOUS:
        return None
    every = _EVERY.fullmatch(schedule)
    if every and 1 <= int(every[1]) <= MINUTES_MAX:
        return after + timedelta(minutes=int(every[1]))
    try:
        found: datetime = next(CronSim(schedule, after))
        return found
    except (CronSimError, StopIteration):
        raise ValueError(
            f"{schedule!r} is no schedule; say 'continuous', 'every 10 minutes', or a cron line as '0 6,18 * * *'"
        ) from None
