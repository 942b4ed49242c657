"""A limit on failed logins by client address and by user name. Pure: time is an argument; memory is bounded."""

from __future__ import annotations

from collections import OrderedDict

TRACKED = 10_000  # keys; the oldest are forgotten first


class FailureLimit:
    """A leaky bucket for each key: `failures` at once, refilled evenly over `seconds`."""

    def __init__(self, failures: int, seconds: float) -> None:
        self._failures = failures
        self._rate = failures / seconds
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()  # key: level, when it was so

    def allows(self, key: str, now: float) -> bool:
        """Whether another try may be looked at."""
        return self._level(key, now) <= self._failures - 1

    def failed(self, key: str, now: float) -> None:
        """Count one failure."""
        level = self._level(key, now) + 1
        self._levels[key] = (level, now)
        self._levels.move_to_end(key)
        if len(self._levels) > TRACKED:
            self._levels.popitem(last=False)

    def _level(self, key: str, now: float) -> float:
        level, then = self._levels.get(key, (0.0, now))
        return max(0.0, level - (now - then) * self._rate)
