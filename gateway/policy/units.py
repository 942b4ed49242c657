"""Durations, sizes, scores, comparisons, hours and days as a policy writes them. ValueError says what was expected."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from gateway.policy.conditions import Comparison

_DURATION: Final = re.compile(r"([0-9]{1,9}) ?(s|m|h|d|w)")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
LONGEST: Final = 10 * 366 * 86400

_SIZE: Final = re.compile(r"([0-9]{1,15}) ?(B|KB|MB|GB|KiB|MiB|GiB)?", re.IGNORECASE)
_OCTETS: Final = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
}
_SCORE: Final = re.compile(r"(?:0?\.[0-9]{1,3}|[01](?:\.[0-9]{1,3})?)")
_COMPARISON: Final = re.compile(r"(<=|>=|<|>|==?)\s*(.+)")

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SPAN: Final = re.compile(r"([0-9]{2}):([0-9]{2}) ?- ?([0-9]{2}):([0-9]{2})")


def duration(value: object) -> int:
    """Seconds of "90s", "15m", "1h", "30d", "2w"."""
    found = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError('expected a duration such as "15m", "1h" or "30d"')
    seconds = int(found[1]) * _SECONDS[found[2]]
    if seconds > LONGEST:
        raise ValueError("a duration may be ten years at most")
    return seconds


def size(text: str) -> int:
    """Octets of "10MB" (thousands) or "10MiB" (1024s); a bare number is octets."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueError('expected a size such as "10MB" or "512KiB"')
    return int(found[1]) * _OCTETS[(found[2] or "").lower()]


def score(text: str) -> int:
    """Thousandths of "0.8"; a score lies between 0 and 1 and has three decimals at most."""
    text = text.strip()
    whole, _, decimals = text.partition(".")
    if _SCORE.fullmatch(text) is not None:
        thousandths = int(whole or "0") * 1000 + int(decimals.ljust(3, "0"))
        if thousandths <= 1000:
            return thousandths
    raise ValueError("expected a score between 0 and 1, such as 0.8")


def count(text: str) -> int:
    """A whole number."""
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise ValueError("expected a whole number")
    return int(text)


def comparison(value: object, unit: Callable[[str], int]) -> Comparison:
    """ ">= 10MB", "< 5", or a bare value, which means exactly that."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError('expected a comparison such as ">= 5"')
    text = value.strip() if isinstance(value, str) else str(value)
    found = _COMPARISON.fullmatch(text)
    if found is None:
        return Comparison("=", unit(text))
    return Comparison("=" if found[1] == "==" else found[1], unit(found[2]))


def hours(value: object) -> tuple[int, int]:
    """Minutes of the day of "08:00-18:00"."""
    found = _SPAN.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError('expected hours such as "08:00-18:00"')
    first, second, third, fourth = (int(part) for part in found.groups())
    start, end = first * 60 + second, third * 60 + fourth
    if second > 59 or fourth > 59 or start >= 1440 or end > 1440 or start == end:
        raise ValueError('expected two different times of the day such as "08:00-18:00"')
    return start, end


def days(value: str) -> tuple[int, ...]:
    """Numbers of "sat" or "mon-fri", Monday being 0."""
    first, dash, last = value.strip().lower().partition("-")
    if first not in DAYS or (dash and last not in DAYS):
        raise ValueError("expected days such as `mon` or `mon-fri`")
    start = DAYS.index(first)
    length = (DAYS.index(last) - start) % 7 + 1 if dash else 1
    return tuple((start + step) % 7 for step in range(length))


def spell_duration(seconds: int) -> str:
    """The shortest way to write a duration, as a policy would."""
    if seconds == 0:
        return "0s"
    for unit in ("w", "d", "h", "m"):
        if seconds % _SECONDS[unit] == 0:
            return f"{seconds // _SECONDS[unit]}{unit}"
    return f"{seconds}s"
