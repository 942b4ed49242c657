"""When something is worth asking again: what counts ahead of its end, what failed the more seldom the longer it fails.

Pure: moments in, moments out.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from zlib import crc32

SOONEST = 0.7  # of its life, after which nothing counts as fresh


def due_at(key: str, since: datetime, lasts: timedelta, latest: float = 0.8) -> datetime:
    """When what was learned at `since` and counts for `lasts` is asked for again, while it still counts.

    Between `SOONEST` and `latest` of its life, always the same for a key: what was learned in one moment, as after a
    start, is not renewed in one moment.
    """
    place = crc32(key.encode()) % 1000 / 1000
    return since + lasts * (SOONEST + (latest - SOONEST) * place)


def retry_after(since: datetime, now: datetime, first: timedelta, last: timedelta) -> timedelta:
    """Half the outage's age so far: soon at first, seldom when it lasts. `since` is when it began."""
    return min(max((now - since) / 2, first), last)
