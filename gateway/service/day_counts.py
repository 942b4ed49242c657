"""Counts of what happens, by UTC day, durable within seconds: for reports about TLS and for `sealgate stats`.

Counting costs an addition in memory; now and then what was added goes to the store, which adds it up for all workers.
A process that is killed loses what it had counted since then. Memory is bounded whatever there is to count.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import date, datetime, timedelta

import structlog

from gateway.store.contract import Store, StoreError

KEPT = timedelta(days=40)
_FLUSH_EVERY = 5.0  # seconds
_MOST = 5_000  # names that wait; beyond, they are counted as one

log = structlog.get_logger()


def topic(kind: str, day: date) -> str:
    """Under what the store keeps one day's counts of a kind."""
    return f"{kind} {day.isoformat()}"


class DayCounts:
    """Counts names of several kinds."""

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now
        self._waiting: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._held = 0
        self._running: asyncio.Task[None] | None = None

    def note(self, kind: str, name: str) -> None:
        """One more."""
        counts = self._waiting[topic(kind, self._now().date())]
        if name not in counts:
            if self._held >= _MOST:
                name = ""
            else:
                self._held += 1
        counts[name] += 1

    def start(self) -> None:
        """Write down from now on."""
        self._running = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Write down what is left."""
        if self._running is not None:
            self._running.cancel()
        await self.flush()

    async def flush(self) -> None:
        """Write down what was counted; what the store does not take now is kept for the next time."""
        while self._waiting:
            name, counts = self._waiting.popitem()
            self._held -= len(counts)
            now = self._now()
            try:
                await self._store.tally(name, counts, now + KEPT, now)
            except StoreError as error:
                self._waiting[name].update(counts)
                self._held = sum(map(len, self._waiting.values()))
                log.debug("counts wait for the store", reason=str(error))
                return

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_EVERY)
            await self.flush()

    async def of(self, kind: str, day: date) -> dict[str, int]:
        """What all workers wrote down for a day."""
        return await self._store.tallied(topic(kind, day), self._now())
