"""Dead letters: a message that will never work, where it was, and why. Kept, listed, and sent again by a person."""

from datetime import datetime
from typing import Any

import msgspec

from counterflow.kafka import Message
from counterflow.metrics import DEAD
from schemas.outcomes import DeadLetter
from schemas.topics import DEAD_LETTERS

VALUE_MAX = 100_000
IN_A_ROW_MAX = 20  # More in a row means that no record works, and a fuller topic helps nobody.


def dead_letter(message: Any, reason: str, *, prefix: str, at: datetime) -> Message:
    """Give the dead letter of a Kafka message."""
    DEAD.labels(message.topic).inc()
    key = message.key or b""
    letter = DeadLetter(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        key=key.decode(errors="replace"),
        value=(message.value or b"")[:VALUE_MAX].decode(errors="replace"),
        reason=reason,
        at=at,
    )
    return Message(topic=DEAD_LETTERS.named(prefix), key=key, value=msgspec.json.encode(letter))
