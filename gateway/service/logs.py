"""Structured logs: JSON lines for machines, plain lines on a terminal; what must never be logged is dropped here.

Never in a log: bodies, subjects, codes, secrets. Stages do not log at all; the service logs what operators act on.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_NEVER = frozenset({"body", "content", "subject", "code", "password", "secret", "key", "token", "passphrase"})
_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}
_LONGEST = 2000  # characters of one value: a peer's text does not fill a disk


def configure(level: str, form: str) -> None:
    """Set up logging for this process. `form` is "json", "text" or "auto" (text on a terminal)."""
    text = form == "text" or (form == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(pad_event_to=0) if text else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            redact,
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def redact(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop what must never be logged, and cut and clean what a peer may have written."""
    for name in list(event):
        if name in _NEVER:
            event[name] = "(withheld)"
        elif isinstance(event[name], str):
            event[name] = "".join(c if c.isprintable() else " " for c in event[name][:_LONGEST])
    return event
