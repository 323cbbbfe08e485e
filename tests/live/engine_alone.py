"""One Faust worker with a double in place of the flows, as a process: test_engine.py starts it.

Its one argument is a JSON object. The double obeys what a message says, and then writes down that it was handled.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import Any

from sqlalchemy import Connection
from sqlalchemy import Engine as Database

from counterflow import log
from counterflow.clock import SystemClock
from counterflow.errors import Broken, Transient
from counterflow.gaps import Gap
from counterflow.state import steering
from counterflow.state.database import begin, migrate, open_database
from processors import gaps
from processors.batch import Arrived
from processors.engine import Engine, Patience, prepare


class Double:
    """What the engine needs of `Batches`."""

    def __init__(self, folder: Path, topic: str, database: Database) -> None:
        self._folder, self._database = folder, database
        self._attempts = 0
        self.topics = self.expiring = [topic]
        self._watch = gaps.Watch(self.topics)

    def begin_stores(self, connection: Connection) -> None:
        """Take no notice."""

    def lose(self, connection: Connection, lost: Sequence[Gap]) -> None:
        """Write down what is missing, and take it as handled."""
        steering.note_handled(connection, {(one.topic, one.partition): one.found for one in lost})
        self._write_down([f"lost {one.first}-{one.found}" for one in lost])

    def know_epochs(self, epochs: Mapping[str, int]) -> None:
        """Take no notice."""

    def tick(self) -> None:
        """Do nothing by the clock."""

    def handle(self, batch: Sequence[Arrived]) -> None:
        """Do what each message says, and write all of them down."""
        words = [(one.value or b"").decode() for one in batch]
        with begin(self._database) as connection:
            for word in words:
                self._obey(word)
            places = [(one.topic, one.partition, one.offset, one.at) for one in batch]
            lost = self._watch.find(connection, places)
            steering.note_handled(connection, {(one.topic, one.partition): one.offset + 1 for one in batch})
        self._watch.handled({(one.topic, one.partition): one.offset + 1 for one in batch})
        self._write_down([f"lost {one.first}-{one.found}" for one in lost] + [word.strip() for word in words])

    def _write_down(self, words: Sequence[str]) -> None:
        with (self._folder / "handled").open("a") as file:
            file.write("".join(f"{word}\n" for word in words))

    def _obey(self, word: str) -> None:
        if word == "bug" and not self._is_mended():
            raise ValueError("a bug in a flow")
        while word == "busy" and not self._is_mended():
            Event().wait(0.05)
        if word == "stuck" and not self._is_mended():
            Event().wait()
        if word == "broken":
            raise Broken("no message works any more")
        if word == "later":
            self._attempts += 1
            if self._attempts < 3:
                raise Transient(f"not yet, attempt {self._attempts}")

    def _is_mended(self) -> bool:
        return (self._folder / "mended").exists()


def main(given: Mapping[str, Any]) -> None:
    """Prepare, wait for a line where one is asked for, and work."""
    log.set_up(role="engine-alone", as_json=False)
    clock, folder = SystemClock(), Path(given["folder"])
    database = open_database(given["database"])
    batches = Double(folder, given["topic"], database)
    while True:
        try:
            migrate(database)
            group = given["group"]
            prepare(batches, engine=database, servers=given["servers"], group=group, instance=group)
            break
        except Transient:
            clock.sleep(0.2)
    engine = Engine(
        batches,
        servers=given["servers"],
        group=given["group"],
        instance=given["group"],
        folder=folder / "faust",
        clock=clock,
        patience=Patience(batch_s=given["batch_s"], unassigned_s=given["unassigned_s"]),
    )
    (folder / "prepared").touch()
    if given["waits"]:
        sys.stdin.readline()
    engine.run()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
