"""Dead letters: a message that will never work, where it was, and why. Kept, listed, and sent again by a person."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from counterflow.kafka import Message, Publisher, TooLarge, size_of
from counterflow.metrics import DEAD
from schemas.outcomes import DeadLetter
from schemas.topics import DEAD_LETTERS

VALUE_MAX = 100_000
KEY_MAX = 1_000  # A letter must never be too large itself.
REASON_MAX = 2_000
IN_A_ROW_MAX = 20  # More in a row means that no record works, and a fuller topic helps nobody.
NOWHERE = -1  # The partition and the offset of what was never published.


def dead_letter(message: Any, reason: str, *, prefix: str, at: datetime) -> Message:
    """Give the dead letter of a Kafka message."""
    value = (message.value or b"")[:VALUE_MAX].decode(errors="replace")
    return _letter(message, message.partition, message.offset, value, reason, prefix=prefix, at=at)


def too_large(message: Message, *, prefix: str, at: datetime) -> Message:
    """Give the dead letter of a message that cannot be published: without its body, which would not fit either."""
    reason = f"too large to be published: {size_of(message)} bytes"
    return _letter(message, NOWHERE, NOWHERE, "", reason, prefix=prefix, at=at)


def publish(publisher: Publisher, messages: Sequence[Message], *, prefix: str, at: datetime) -> None:
    """Publish messages; a dead letter takes the place of one that is too large, and the others go on.

    Raises:
        Transient: At least one was not acknowledged; publish all of them again.
    """
    try:
        publisher.publish(messages)
    except TooLarge as error:
        publisher.publish([too_large(one, prefix=prefix, at=at) for one in error.messages])


def _letter(
    message: Any, partition: int, offset: int, value: str, reason: str, *, prefix: str, at: datetime
) -> Message:
    DEAD.labels(message.topic).inc()
    key = (message.key or b"")[:KEY_MAX]
    letter = DeadLetter(
        topic=message.topic,
        partition=partition,
        offset=offset,
        key=key.decode(errors="replace"),
        value=value,
        reason=reason[:REASON_MAX],
        at=at,
    )
    return Message(topic=DEAD_LETTERS.named(prefix), key=key, value=msgspec.json.encode(letter))
