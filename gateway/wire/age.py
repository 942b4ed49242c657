"""How old something was, in plain words: every decision rests on a look, and the look's age is part of the decision."""

from __future__ import annotations

from datetime import datetime, timedelta

_UNITS = (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1)))


def age_seconds(seen: datetime, at: datetime) -> int:
    """Whole seconds from a look until `at`; a clock that was set back makes none of them negative."""
    return max(0, int((at - seen).total_seconds()))


def before(seen: datetime, at: datetime) -> str:
    """The same in words, in the largest unit that there are two of: "90 seconds before", "3 hours before"."""
    seconds = age_seconds(seen, at)
    if seconds == 0:
        return "at that moment"
    for unit, length in _UNITS:
        count = timedelta(seconds=seconds) // length
        if count >= 2:
            return f"{count} {unit}s before"
    return f"{seconds} seconds before" if seconds > 1 else "1 second before"
