"""A mark in the store while a gateway runs: found at start, it tells that the last one did not stop in order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from gateway.store.contract import Store

_KIND, _KEY = "service", "running"
_RUNNING, _STOPPED = b"running", b"stopped"
_FOR_EVER = datetime(9000, 1, 1, tzinfo=UTC)


class RunningMark:
    """The mark of one store."""

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now

    async def set(self) -> bool:
        """Leave the mark; whether the last stop was orderly."""
        found = await self._store.recall(_KIND, _KEY, self._now())
        await self._store.remember(_KIND, _KEY, _RUNNING, _FOR_EVER)
        return found != _RUNNING

    async def clear(self) -> None:
        """Say that this stop is orderly."""
        await self._store.remember(_KIND, _KEY, _STOPPED, _FOR_EVER)
