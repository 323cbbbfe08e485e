"""One loop per target: read commands, carry them out, report, and only then commit.

A command that does not work now is reported as waiting and comes again from the gate: its key waits, the others go
on. Where the target as a whole does not answer, this target pauses until a probe of it works; nothing is committed
meanwhile, and the same commands are carried out then. The `.now` lane goes first.
"""

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from kafka.errors import KafkaError

from counterflow import log
from counterflow.clock import Clock
from counterflow.dead_letters import IN_A_ROW_MAX, dead_letter, publish, too_large
from counterflow.errors import Broken, Transient
from counterflow.kafka import Message, Messages, Publisher, TooLarge
from counterflow.metrics import APPLIED, APPLY, PAUSED, UP
from counterflow.retry import ROW
from counterflow.systems.ports import Target
from schemas.changes import NOTHING
from schemas.commands import Command
from schemas.outcomes import Heartbeat, Outcome, answer
from schemas.topics import HEARTBEATS, OUTCOMES, WORK, WORK_NOW

AT_ONCE = 100  # Commands of one round: what one batch call of a store takes.
HEARTBEAT_S = 5.0
WORDS_MAX = 1000  # Of an outcome that is too large to be told whole.
PROBE_S_MAX = 2.0  # A target that is back is noticed within this.


class Runner:
    """Drives one target."""

    def __init__(
        self,
        target: Target,
        consumer: Messages,
        publisher: Publisher,
        *,
        prefix: str,
        clock: Clock,
        stop: threading.Event,
    ) -> None:
        self._target, self._consumer, self._publisher = target, consumer, publisher
        self._prefix, self._clock, self._stop = prefix, clock, stop
        self._log = log.get("consumer").bind(target=target.system)
        self._highest: dict[tuple[str, str], int] = {}
        self._dead_in_a_row = 0
        self._up: bool | None = None
        self._since: datetime = clock.now()
        self._beat_at = float("-inf")

    def run(self) -> None:
        """Work until the stop.

        Raises:
            Broken: The target will not work until somebody mends the set-up.
        """
        while not self._stop.is_set():
            batches = self._consumer.poll(timeout_ms=200, max_records=AT_ONCE)
            messages = [message for batch in batches.values() for message in batch]
            messages.sort(key=lambda one: not one.topic.endswith(".now"))
            if messages:
                self._round(messages)
            elif self._up is None:
                self._wait_until_up()
            self._heartbeat(up=bool(self._up), note="")

    def _round(self, messages: Sequence[Any]) -> None:
        commands, outcomes = self._sort(messages)
        while commands and not self._stop.is_set():
            try:
                with APPLY.labels(self._target.system, commands[0].task).time():
                    outcomes += self._target.apply(commands)
                break
            except Transient as error:
                self._log.warning("target paused", why=str(error))
                self._be_silent(error)
                self._wait_until_up(note=str(error))
            except Broken as error:
                self._heartbeat(up=False, note=str(error))
                raise
        if self._stop.is_set():
            return  # Not committed: the same commands come again.
        self._heartbeat(up=True, note="")
        for one in outcomes:
            APPLIED.labels(one.system, one.task, one.result).inc()
            if one.result in {"held", "rejected"}:
                self._log.warning(
                    "not applied", task=one.task, key=log.key(one.key), result=one.result, why=one.message
                )
        # The offset goes last: whoever dies before it finds the same commands again, and finds them done.
        if self._insist(lambda: self._report(outcomes), "outcomes not published"):
            self._commit()

    def _report(self, outcomes: Sequence[Outcome]) -> None:
        """Publish outcomes; one that is too large goes out without its bodies, or at last with its result alone.

        Raises:
            Transient: At least one was not acknowledged; report all of them again.
        """
        left = list(outcomes)
        for form in (_whole, _without_bodies, _result_alone):
            messages = {self._message(form(one)): one for one in left}
            try:
                return self._publisher.publish(list(messages))
            except TooLarge as error:
                left = [messages[one] for one in error.messages]
        # Only its key is left, which is that of its command: the row goes on waiting for an answer.
        return self._say([too_large(self._message(one), prefix=self._prefix, at=self._clock.now()) for one in left])

    def _say(self, messages: Sequence[Message]) -> None:
        """Publish what no command waits for; what is too large is set aside. Raises Transient."""
        publish(self._publisher, messages, prefix=self._prefix, at=self._clock.now())

    def _commit(self) -> None:
        """Commit what was reported. What the broker does not take comes again, and is found done."""
        try:
            self._consumer.commit()
        except KafkaError as error:
            self._log.warning("offsets not committed", why=repr(error))

    def _sort(self, messages: Sequence[Any]) -> tuple[list[Command], list[Outcome]]:
        """Decode strictly, and keep the newest command of each row; an older one than any seen is skipped."""
        newest: dict[tuple[str, str], Command] = {}
        skipped = []
        for message in messages:
            command = self._decode(message)
            if command is None:
                continue
            row = (command.task, command.key)
            if command.version < self._highest.get(row, 0):
                skipped.append(self._skip(command))
                continue
            if row in newest and newest[row].version < command.version:
                skipped.append(self._skip(newest[row]))
            self._highest[row] = command.version
            newest[row] = command
        return list(newest.values()), skipped

    def _decode(self, message: Any) -> Command | None:
        try:
            command = msgspec.json.decode(message.value or b"", type=Command)
            if command.system != self._target.system:
                raise ValueError(f"for {command.system}, not for {self._target.system}")
            self._dead_in_a_row = 0
            return command
        except (msgspec.MsgspecError, ValueError) as error:
            self._dead_in_a_row += 1
            letter = dead_letter(message, f"not a command: {error}", prefix=self._prefix, at=self._clock.now())
            self._insist(lambda: self._say([letter]), "dead letter not published")
            self._log.error("dead letter", topic=message.topic, offset=message.offset)
        if self._dead_in_a_row > IN_A_ROW_MAX:
            raise Broken(f"{self._dead_in_a_row} dead letters in a row on {message.topic}: do versions fit together?")
        return None

    def _skip(self, command: Command) -> Outcome:
        return answer(command, "skipped", "a newer command was seen", at=self._clock.now())

    def _message(self, outcome: Outcome) -> Message:
        key = f"{outcome.system}/{outcome.task}/{outcome.key}".encode()
        return Message(topic=OUTCOMES.named(self._prefix), key=key, value=msgspec.json.encode(outcome))

    def _be_silent(self, error: Transient) -> None:
        """Wait as long as the target asked for, and say meanwhile that we do."""
        until = self._clock.monotonic() + (error.retry_after_s or 0.0)
        while (left_s := until - self._clock.monotonic()) > 0 and not self._stop.is_set():
            self._heartbeat(up=False, note=str(error))
            self._clock.sleep(min(PROBE_S_MAX, left_s))

    def _wait_until_up(self, note: str = "") -> None:
        """Probe until the target answers. Nothing is fetched meanwhile."""
        PAUSED.labels(self._target.system).set(1)
        attempt = 0
        while not self._stop.is_set():
            try:
                self._target.probe()
                break
            except Transient as error:
                attempt += 1
                note = str(error)
                self._be_silent(error)
            except Broken as error:
                self._heartbeat(up=False, note=str(error))
                raise
            self._heartbeat(up=False, note=note)
            self._clock.sleep(min(PROBE_S_MAX, ROW.delay_s(attempt) or PROBE_S_MAX))
        PAUSED.labels(self._target.system).set(0)
        self._heartbeat(up=True, note="")

    def _heartbeat(self, *, up: bool, note: str) -> None:
        now = self._clock.now()
        if up != self._up:
            self._up, self._since, self._beat_at = up, now, float("-inf")
            self._log.info("target up" if up else "target down")
        UP.labels(self._target.system).set(int(up))
        if self._clock.monotonic() - self._beat_at < HEARTBEAT_S:
            return
        self._beat_at = self._clock.monotonic()
        beat = Heartbeat(system=self._target.system, role="consumer", up=up, since=self._since, seen_at=now, note=note)
        key = f"{self._target.system}/consumer".encode()
        try:
            self._say([Message(topic=HEARTBEATS.named(self._prefix), key=key, value=msgspec.json.encode(beat))])
        except Transient as error:
            self._log.warning("heartbeat not sent", why=str(error))

    def _insist(self, work: Callable[[], Any], what: str) -> bool:
        """Try until it works or we are stopped (then False): the broker may be away for a while."""
        attempt = 0
        while True:
            try:
                work()
                return True
            except (Transient, KafkaError) as error:
                attempt += 1
                self._log.warning(what, why=repr(error))
                if self._stop.is_set():
                    return False
                self._clock.sleep(min(2.0, ROW.delay_s(attempt) or 2.0))


def _whole(outcome: Outcome) -> Outcome:
    return outcome


def _without_bodies(outcome: Outcome) -> Outcome:
    """Leave out what is for the log alone."""
    return msgspec.structs.replace(outcome, request=NOTHING, response=NOTHING)


def _result_alone(outcome: Outcome) -> Outcome:
    """Leave out the customer as read, too: they are read again, as any change is."""
    words = {"message": outcome.message[:WORDS_MAX], "reason": outcome.reason[:WORDS_MAX]}
    return msgspec.structs.replace(_without_bodies(outcome), record=None, **words)


def topics(prefix: str, system: str) -> list[str]:
    """Give the topics of a target's commands."""
    return [WORK.named(prefix, system=system), WORK_NOW.named(prefix, system=system)]
