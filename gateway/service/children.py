"""A process that the main one started: waits until it is ready, starts it anew when it ends unasked, stops it.

A child tells its parent by a pipe, one JSON object a line: that it is ready, that it cannot begin or go on (then it is
not started anew, and the main process stops as well), or that the audit log is halted (then the rest goes on and
answers 451). Starting anew waits from 0.2 to 30 seconds, longer each time until a child has lived for a minute.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Literal

import msgspec
import structlog

from gateway.service.nursery import Life, Nursery

COULD_NOT_RUN = 1
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 30.0
SETTLED = 60.0  # seconds of life after which the next pause is short again

log = structlog.get_logger()


class CannotStart(Exception):
    """The gateway cannot start; the text says what and where, `remedy` what to do, `code` how the command ends."""

    def __init__(self, what: str, remedy: str, code: int = COULD_NOT_RUN) -> None:
        super().__init__(what)
        self.remedy = remedy
        self.code = code


class Word(msgspec.Struct, frozen=True):
    """What a child says to its parent."""

    kind: Literal["ready", "unfit", "halted"]
    what: str = ""
    remedy: str = ""


class Line:
    """The child's end of the pipe."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def say(self, word: Word) -> None:
        """Tell the parent. One write, far below what a pipe holds."""
        os.write(self._pipe, msgspec.json.encode(word) + b"\n")


class Child:
    """One child of the main process. `unfit` is called when it cannot go on and neither can the gateway."""

    def __init__(
        self, nursery: Nursery, entry: int, name: str, unfit: Callable[[BaseException], None]
    ) -> None:
        self._nursery = nursery
        self._entry = entry
        self._name = name
        self._unfit = unfit
        self._life: Life | None = None
        self._stopping = False
        self._attending: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """It is ready when this returns. Raises CannotStart with what it says itself."""
        words = await self._begin()
        first = await _next(words)
        if first is None or first.kind != "ready":
            await self.stop(0)
            raise _reason(self._name, first)
        self._attending = asyncio.create_task(self._attend(words))

    async def stop(self, grace: float) -> None:
        """Ask it to end, and end it where it does not within `grace` seconds."""
        self._stopping = True
        life = self._life
        if life is not None:
            life.signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(asyncio.shield(life.ended), grace)
            except TimeoutError:
                life.signal(signal.SIGKILL)
                await life.ended
        if self._attending is not None:
            self._attending.cancel()
            await asyncio.gather(self._attending, return_exceptions=True)

    def signal(self, number: int) -> None:
        """Pass a signal on."""
        if self._life is not None:
            self._life.signal(number)

    async def _begin(self) -> asyncio.StreamReader:
        """Fork it; what it will say."""
        mine, its = os.pipe()
        try:
            self._life = await self._nursery.bear(self._entry, its)
        finally:
            os.close(its)
        words = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(words), os.fdopen(mine, "rb", 0)
        )
        return words

    async def _attend(self, words: asyncio.StreamReader) -> None:
        """Listen to it until it ends, and start it anew unless that was wanted."""
        pause = FIRST_PAUSE
        while True:
            began = asyncio.get_running_loop().time()
            while (word := await _next(words)) is not None:
                if word.kind == "halted":
                    return  # the others see its sign; nothing is signed before somebody has looked
                if word.kind == "unfit":
                    self._unfit(_reason(self._name, word))
                    return
            assert self._life is not None
            code = await self._life.ended
            if self._stopping:
                return
            if asyncio.get_running_loop().time() - began >= SETTLED:
                pause = FIRST_PAUSE
            log.error("a process ended and is started anew", process=self._name, status=code, pause=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
            words = await self._begin()


async def _next(words: asyncio.StreamReader) -> Word | None:
    """The next word, or None where there will be none."""
    line = await words.readline()
    return msgspec.json.decode(line, type=Word) if line else None


def _reason(name: str, word: Word | None) -> CannotStart:
    if word is None:
        return CannotStart(f"the {name} process ended before it was ready", "its log says why")
    return CannotStart(word.what, word.remedy)
