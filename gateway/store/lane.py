"""A thread that works in batches: what is asked for while one batch is being done is the next batch.

The event loop gathers, hands a whole batch over once the last one is answered, and gets all its answers in one call:
two changes of thread a batch, however many share it. They are what costs, because each waits for the interpreter lock.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from gateway.store.troubles import unavailable

MOST_JOBS = 512  # in one batch


class Job:
    """Something to be done, who waits for it, and what came of it."""

    __slots__ = ("answer", "outcome", "refused")

    def __init__(self, answer: asyncio.Future[Any]) -> None:
        self.answer = answer
        self.outcome: object = None
        self.refused: BaseException | None = None

    def refuse(self, error: BaseException) -> None:
        self.refused = error

    def settle(self) -> None:
        """Tell whoever waits; one who was cancelled does not wait any more."""
        answer = self.answer
        if answer.done():
            return
        if self.refused is not None:
            answer.set_exception(self.refused)
        else:
            answer.set_result(self.outcome)


J = TypeVar("J", bound=Job)


class Lane(Generic[J]):
    """`do` gets each batch on the lane's thread and sets outcomes; it must not raise. All else: event loop only.

    `after` is called on the event loop when a batch has been answered, `end` on the thread when it ends.
    """

    def __init__(
        self,
        name: str,
        loop: asyncio.AbstractEventLoop,
        do: Callable[[list[J]], None],
        after: Callable[[], None] | None = None,
        *,
        end: Callable[[], None] = lambda: None,
    ) -> None:
        self._loop = loop
        self._do = do
        self._after = after
        self._end = end
        self._queue: SimpleQueue[list[J] | None] = SimpleQueue()
        self._waiting: list[J] = []
        self._busy = False  # a batch is being done, or will be handed over in this turn of the loop
        self._idle: asyncio.Future[None] | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, job: J) -> asyncio.Future[Any]:
        """Have it done; the answer comes when its whole batch is done."""
        if self._closing:
            raise unavailable("the store is closed")
        self._waiting.append(job)
        if not self._busy:
            self._busy = True
            self._loop.call_soon(self._hand_over)
        return job.answer

    async def close(self) -> None:
        """Finish what was asked for, then end the thread."""
        if not self._closing:
            self._closing = True
            if self._busy:
                self._idle = self._loop.create_future()
                await self._idle
            self._queue.put(None)
        await self._loop.run_in_executor(None, self._thread.join)

    def _hand_over(self) -> None:
        batch, self._waiting = self._waiting[:MOST_JOBS], self._waiting[MOST_JOBS:]
        self._queue.put(batch)

    def _answer(self, batch: list[J]) -> None:
        for job in batch:
            job.settle()
        if self._after is not None:
            self._after()
        if self._waiting:
            self._loop.call_soon(
                self._hand_over
            )  # behind those who were just answered: they may ask again at once
            return
        self._busy = False
        if self._idle is not None:
            self._idle.set_result(None)

    # ---- the thread

    def _run(self) -> None:
        while (batch := self._queue.get()) is not None:
            self._do(batch)
            try:
                self._loop.call_soon_threadsafe(self._answer, batch)
            except RuntimeError:
                return  # the loop is gone, and with it everybody who waited
        self._end()
