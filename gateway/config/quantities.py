"""Durations, sizes and rates as people write them: "90s", "1h30m", "150MiB", "300/m".

Pure; shared by the configuration and the policy.

A bare number is refused for a duration, since nobody can see whether seconds or minutes were meant.
"""

from __future__ import annotations

import re
from datetime import timedelta

from gateway.model.rate import UNLIMITED, Rate

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhdw]))+", re.ASCII)
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])", re.ASCII)

_OCTETS = {
    "": 1,
    "B": 1,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "TB": 1000**4,
    "KIB": 1024,
    "MIB": 1024**2,
    "GIB": 1024**3,
    "TIB": 1024**4,
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]I?B|B|)", re.IGNORECASE | re.ASCII)

_RATE = re.compile(r"(\d{1,9})\s*/\s*([smhd])", re.ASCII)

LONGEST = timedelta(days=36500)
LARGEST = 2**63  # octets


def parse_duration(text: object) -> timedelta:
    """Reads "30s", "5m", "1h30m", "7d", "250ms". Raises ValueError."""
    if isinstance(text, timedelta):
        return text
    if not isinstance(text, str) or not _DURATION.fullmatch(text.strip()):
        raise ValueError(
            'is not a duration: write a number with its unit, such as "30s", "5m", "1h30m" or "7d"'
        )
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(text))
    if seconds > LONGEST.total_seconds():
        raise ValueError("is longer than a century")
    return timedelta(seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """Writes a duration so that `parse_duration` reads the same one again."""
    milliseconds = round(duration / timedelta(milliseconds=1))
    if milliseconds == 0:
        return "0s"
    text = ""
    for unit in ("d", "h", "m", "s"):
        count, milliseconds = divmod(milliseconds, round(_SECONDS[unit] * 1000))
        text += f"{count}{unit}" if count else ""
    return text + (f"{milliseconds}ms" if milliseconds else "")


def parse_size(text: object) -> int:
    """Reads a number of octets: 1024, "64KiB" (1024s), "150MB" (1000s). Raises ValueError."""
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return text
    match = _SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError('is not a size: write octets, or a number with its unit, such as "64KiB" or "150MB"')
    octets = float(match[1]) * _OCTETS[match[2].upper()]
    if octets > LARGEST:
        raise ValueError("is not a size of anything: it exceeds every file system")
    return round(octets)


def format_size(octets: int) -> str:
    """Writes a size so that `parse_size` reads the same one again, in the largest unit that divides it."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        whole, rest = divmod(octets, _OCTETS[unit.upper()])
        if whole and not rest:
            return f"{whole}{unit}"
    return str(octets)


def parse_rate(text: object) -> Rate:
    """Reads "300/m", "2000/h", "5/s", "10000/d" and "unlimited". Raises ValueError."""
    if isinstance(text, Rate):
        return text
    word = text.strip() if isinstance(text, str) else ""
    if word == "unlimited":
        return UNLIMITED
    match = _RATE.fullmatch(word)
    if match is None:
        raise ValueError(
            'is not a rate: write how many in a second, minute, hour or day: "300/m", or "unlimited"'
        )
    if not int(match[1]):
        raise ValueError("must let something pass")
    return Rate(int(match[1]), _SECONDS[match[2]])


def format_rate(rate: Rate) -> str:
    """Writes a rate so that `parse_rate` reads the same one again."""
    unit = next((unit for unit in "smhd" if _SECONDS[unit] == rate.seconds), "s")
    return f"{rate.count}/{unit}" if rate.count else "unlimited"
