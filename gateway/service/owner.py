"""The process as its parts see it: what they tell it, and how what they started comes to an end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol


class Owner(Protocol):
    """The process that a part belongs to."""

    @property
    def broken(self) -> bool:
        """Whether it ends because it cannot go on: then nobody is waited for."""
        ...

    def on_stop(self, what: str, close: Callable[[], Awaitable[object]]) -> None:
        """Call `close` when the process stops, in the reverse order."""
        ...

    def cannot_go_on(self, reason: BaseException) -> None:
        """End the process."""
        ...


def ending(task: asyncio.Task[None]) -> Callable[[], Awaitable[object]]:
    """What ends a task that runs until it is cancelled."""

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    return end
