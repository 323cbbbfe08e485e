"""The day's weather: what breaks and is mended while things happen, and the clock that lets them happen."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.day import Day
from sandbox.remote import Remote


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """What breaks during the day, each at a share of its length."""

    remote: Remote
    kill: Callable[[random.Random], str]  # Kills one of our processes hard; says which.
    told: Callable[[str], None]
    happened: list[str] = field(default_factory=list)

    def at(self, share: float, done: set[str], dice: random.Random) -> None:
        """Let begin and end what is due at this share of the day."""
        for name, begin, work in self._plan(dice):
            if share >= begin and name not in done:
                done.add(name)
                self.happened.append(name)
                self.told(name)
                work()

    def _plan(self, dice: random.Random) -> list[tuple[str, float, Callable[[], Any]]]:
        remote = self.remote
        lost = {"hooks_lost": 0.4, "hooks_doubled": 0.3, "hooks_reordered": True}
        bad = {"share_429": 0.15, "share_500": 0.15, "share_half_applied": 0.25}
        return [
            ("web hooks of both stores get lost and doubled", 0.05, lambda: self._both(**lost)),
            ("Counterpoint is down", 0.15, lambda: remote.faults("counterpoint", down=True)),
            ("Counterpoint is back, and slow", 0.28, lambda: remote.faults("counterpoint", down=False, delay_s=1.5)),
            ("Counterpoint is quick again", 0.35, lambda: remote.faults("counterpoint", delay_s=0.0)),
            ("Counterpoint applies unanswered", 0.36, lambda: remote.faults("counterpoint", share_half_applied=0.3)),
            ("south answers 429 and 500 and applies without answering", 0.4, lambda: remote.faults("south", **bad)),
            ("a process of ours is killed hard", 0.5, lambda: self.told(f"killed: {self.kill(dice)}")),
            ("another process of ours is killed hard", 0.62, lambda: self.told(f"killed: {self.kill(dice)}")),
            ("Counterpoint answers again", 0.66, lambda: remote.faults("counterpoint", share_half_applied=0.0)),
            ("north is down", 0.7, lambda: remote.faults("north", down=True)),
            ("north is back", 0.8, lambda: remote.faults("north", down=False)),
            ("south is well again", 0.85, lambda: remote.faults("south", **dict.fromkeys(bad, 0.0))),
            ("web hooks arrive again", 0.95, lambda: self._both(**dict.fromkeys(lost, 0) | {"hooks_reordered": False})),
        ]

    def _both(self, **switches: Any) -> None:
        for store in self.remote.stores:
            self.remote.faults(store, **switches)


def play(day: Day, *, seconds: float, per_second: float, storm: Storm | None, seed: int) -> None:
    """Let things happen at a rate for a while; a storm breaks things meanwhile, and has mended them at the end."""
    begun = time.monotonic()
    done: set[str] = set()
    storm_dice = random.Random(seed)
    count = 0
    while (passed := time.monotonic() - begun) < seconds:
        if storm:
            storm.at(passed / seconds, done, storm_dice)
        due = int(passed * per_second)
        if count >= due:
            time.sleep(max(0.0, min(0.05, (count + 1) / per_second - passed)))
            continue
        day.step()
        count += 1
    if storm:
        storm.at(1.0, done, storm_dice)
