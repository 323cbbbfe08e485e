"""Who asks that a source be read again from the beginning: a person, or the pipeline where it has lost something.

What was asked is forgotten once it is done: whoever dies before finds it again, and begins again.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec
from kafka.errors import KafkaError

from counterflow import log
from counterflow.clock import Clock
from counterflow.errors import Transient
from counterflow.kafka import Messages
from schemas.requests import ReadAgain, Request

LOOK_S = 1.0  # A request is heard within this.
_log = log.get("producer")


class Asks(Protocol):
    """Where requests to read a source again come from."""

    def take(self) -> datetime | None:
        """Give when it was asked for last, of what has come since the last call; None: nobody has asked."""
        ...

    def confirm(self) -> None:
        """Forget what was given: it is done."""
        ...


class Nobody:
    """Nobody asks. See Asks."""

    def take(self) -> datetime | None:
        """Give nothing."""
        return None

    def confirm(self) -> None:
        """Forget nothing."""


class KafkaAsks:
    """What is asked of one source on the `requests` topic. See Asks."""

    def __init__(self, reader: Messages, system: str, clock: Clock) -> None:
        self._reader, self._system, self._clock = reader, system, clock
        self._looked_at = float("-inf")
        self._taken = False

    def take(self) -> datetime | None:
        """Give when it was asked for last. Raises Transient."""
        if self._clock.monotonic() - self._looked_at < LOOK_S:
            return None
        self._looked_at = self._clock.monotonic()
        try:
            batches = self._reader.poll(timeout_ms=0)
        except KafkaError as error:
            raise Transient(f"Kafka: requests not read ({error!r})") from error
        self._taken = self._taken or bool(batches)
        return max(self._asked([one for batch in batches.values() for one in batch]), default=None)

    def confirm(self) -> None:
        """Commit what was taken. Not committed, it only comes again."""
        if not self._taken:
            return
        try:
            self._reader.commit()
            self._taken = False
        except KafkaError as error:
            _log.warning("requests not committed", why=repr(error))

    def _asked(self, messages: Sequence[Any]) -> list[datetime]:
        found = []
        for message in messages:
            try:
                request = msgspec.json.decode(message.value, type=Request)
            except (msgspec.MsgspecError, TypeError, ValueError):
                continue  # The processors set it aside.
            if isinstance(request.ask, ReadAgain) and request.ask.system == self._system:
                _log.warning("asked to read everything again", source=self._system, by=request.by)
                found.append(request.at)
        return found
