"""Structured logs: one line a decision, fields not prose, to standard error. No personal data, no secrets."""

import hashlib
import logging
import sys
from typing import Any

import structlog

SECRET = ("password", "secret", "api_key", "authorization", "consumer_key")


def set_up(*, role: str, as_json: bool, level: str = "info") -> None:
    """Set logging up for this process; our own lines and the libraries' warnings come out alike."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        hide_secrets,
        structlog.processors.format_exc_info,
    ]
    last: Any = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,  # A logger kept by a module must not outlive the stream it writes to.
    )
    structlog.contextvars.bind_contextvars(role=role)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=last, foreign_pre_chain=shared))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("kafka").setLevel(logging.ERROR)  # It warns of every slow moment; what fails comes as an error.


def hide_secrets(_logger: Any, _name: str, fields: Any) -> Any:
    """Blank out fields that carry a secret, should one ever be passed."""
    for name in fields:
        if any(word in name.lower() for word in SECRET):
            fields[name] = "***"
    return fields


def key(text: str) -> str:
    """Give a wanted row's key as it may stand in a log: an e-mail is nobody's business, a gift card is money."""
    is_secret = "@" in text or text.startswith("card:")
    return f"#{hashlib.sha256(text.encode()).hexdigest()[:8]}" if is_secret else text


def get(job: str) -> structlog.stdlib.BoundLogger:
    """Give the logger of one part of the program."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(job=job)
    return logger
