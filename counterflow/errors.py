"""What can go wrong, named by what the pipeline then does.

Trouble
├── Transient   the same call may work later          -> retry; then this key waits, the rest goes on
├── Rejected    this record will never work            -> dead-letter it, go on
└── Broken      no record will work (login, config)    -> stop, raise the alarm

A message says what, which one, and what to do. It holds no secret and no personal data.
"""


class Trouble(Exception):
    """What counterflow knows how to answer."""


class Transient(Trouble):
    """The same call may work later.

    `retry_after_s` is what the other side asked for; None where it asked for nothing. `unknown` says that the call
    may have taken effect although no answer came: look before trying again. `reason` is what the other side gave as
    its own, code and words: for a person's eyes, never for a log, for nobody knows whom it names.
    """

    def __init__(
        self, message: str, *, retry_after_s: float | None = None, unknown: bool = False, reason: str = ""
    ) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.unknown = unknown
        self.reason = reason


class Rejected(Trouble):
    """This record will never work."""


class Held(Trouble):
    """This record must not go on before a person has looked at it."""


class Broken(Trouble):
    """No record will work until somebody mends the set-up."""
