"""Work under way, at most one piece for each key; none of it outlives `close`."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class TaskByKey(Generic[K, T]):
    """Tasks by key. What one raises is for those who wait for it; if nobody does, nobody misses it."""

    def __init__(self) -> None:
        self._current: dict[K, asyncio.Task[T]] = {}
        self._running: set[asyncio.Task[T]] = set()

    def get(self, key: K) -> asyncio.Task[T] | None:
        """What is under way for `key`."""
        return self._current.get(key)

    def start(self, key: K, work: Coroutine[object, object, T], name: str) -> asyncio.Task[T]:
        """Begin it; from now on it is what is under way for `key`."""
        task = asyncio.create_task(work, name=name)
        self._current[key] = task
        self._running.add(task)
        task.add_done_callback(lambda done: self._ended(key, done))
        return task

    def let_go(self, key: K) -> None:
        """It goes on for those who wait for it, and is no longer what is under way for `key`."""
        self._current.pop(key, None)

    async def close(self) -> None:
        """End all of it."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _ended(self, key: K, task: asyncio.Task[T]) -> None:
        self._running.discard(task)
        if self._current.get(key) is task:
            del self._current[key]
        if not task.cancelled():
            task.exception()
