"""The one place that reads the clock and draws randomness for the rest, which takes both as arguments."""

from __future__ import annotations

import os
from datetime import UTC, datetime


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)


def entropy(octets: int) -> bytes:
    """`octets` of randomness fit for keys and identifiers."""
    return os.urandom(octets)
