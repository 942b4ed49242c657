"""The thread that seals, writes and flushes body frames for one front, so that a change can name them.

What is asked for while one batch is being written is the next one: they share writes, and one flush a segment.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path

from gateway.store.back import Extent, Lent
from gateway.store.contract import StoreUnavailable
from gateway.store.files import Files
from gateway.store.lane import Job, Lane
from gateway.store.sealing import Reserved
from gateway.store.segments.filling import Filling, Frame
from gateway.store.segments.frame import FRAME_OCTETS, room, seal_frame
from gateway.store.troubles import FlushFailed, broken


class Spill(Job):
    """Pieces of one body to be written: `first` is the index of the first, `rest` says that the body ends with them.

    `flush` also names the segments of earlier frames, which must be on disk with these. `before` runs on the thread.
    """

    __slots__ = ("before", "first", "flush", "key", "pieces", "rest", "stream")

    def __init__(
        self,
        answer: asyncio.Future[list[Extent]],
        *,
        stream: bytes,
        key: Reserved | None,
        first: int,
        pieces: Sequence[bytes | memoryview],
        rest: bool,
        flush: Iterable[int] | None,
        before: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(answer)
        self.stream = stream
        self.key = key
        self.first = first
        self.pieces = pieces
        self.rest = rest
        self.flush = flush
        self.before = before

    def to_flush(self) -> set[int]:
        """The segments that must be on disk before this is answered."""
        if self.flush is None:
            return set()
        places: list[Extent] = self.outcome  # type: ignore[assignment]
        return {*self.flush, *(each.segment for each in places)}

    def frames(self) -> list[Frame]:
        key, last = self.key, len(self.pieces) - 1
        if key is None:
            return []
        return [
            Frame(
                len(text),
                room(len(text)),
                key.number,
                partial(
                    _fill, key, key.first + index, self.stream, self.first + index, text,
                    self.rest and index == last,
                ),
            )
            for index, text in enumerate(self.pieces)
        ]  # fmt: skip


def _fill(
    key: Reserved,
    counter: int,
    stream: bytes,
    index: int,
    text: bytes | memoryview,
    last: bool,
    into: memoryview,
) -> None:
    seal_frame(key.cipher, key.number, counter, stream, index, last=last, text=text, into=into)


def cut(text: bytes) -> list[bytes | memoryview]:
    """A body's text, or a part of it, in pieces that fit a frame each."""
    if len(text) <= FRAME_OCTETS:
        return [text]
    view = memoryview(text)
    return [view[start : start + FRAME_OCTETS] for start in range(0, len(text), FRAME_OCTETS)]


class Spool:
    """All calls belong to the event loop. Answers are the places of the frames, or `StoreUnavailable` and its like."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        files: Files,
        folder: Path,
        lend: Callable[[], Awaitable[Lent]],
        give_back: Callable[[int, bool], None],
        fail: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._lend = lend
        self._give_back = give_back
        self._fail = fail
        self._broken: str | None = None
        self.filling = Filling(files, folder, self._borrow, self._return)
        self._lane: Lane[Spill] = Lane("store-spool", loop, self._do)

    def write(self, spill: Spill) -> asyncio.Future[list[Extent]]:
        return self._lane.put(spill)

    def settle(self, places: Iterable[Extent]) -> None:
        """The change that names these frames has been asked for, or never will be."""
        self.filling.settle(places)

    def forget(self) -> None:
        """What was lent is not ours any more. On the thread, so that no write is under way."""
        forgetting = Spill(
            self._loop.create_future(),
            stream=b"",
            key=None,
            first=0,
            pieces=(),
            rest=False,
            flush=None,
            before=self.filling.forget,
        )
        with contextlib.suppress(StoreUnavailable):  # closed: it is forgotten already
            self._lane.put(forgetting)

    async def close(self) -> None:
        await self._lane.close()
        self.filling.forget()

    # ---- the thread

    def _do(self, batch: list[Spill]) -> None:
        try:
            todo = [spill for spill in batch if self._prepared(spill)]
            frames = [spill.frames() for spill in todo]
            places = iter(self.filling.write(list(chain.from_iterable(frames))))
            for spill, own in zip(todo, frames, strict=True):
                spill.outcome = list(islice(places, len(own)))
            self.filling.flush({number for spill in todo for number in spill.to_flush()})
        except FlushFailed as error:
            self._broken = str(error)
            self._loop.call_soon_threadsafe(self._fail, str(error))
        except StoreUnavailable as error:
            for spill in batch:
                spill.refuse(type(error)(error.problem))
        except BaseException as error:  # noqa: BLE001 - a bug must reach those who wait, not end the thread
            for spill in batch:
                spill.refuse(error)
        if self._broken is not None:
            for spill in batch:
                spill.refuse(broken(self._broken))

    def _prepared(self, spill: Spill) -> bool:
        try:
            spill.before()
        except Exception as error:  # noqa: BLE001 - its neighbours must not suffer
            spill.refuse(error)
        return spill.refused is None

    def _borrow(self) -> Lent:
        async def lend() -> Lent:
            return await self._lend()

        return asyncio.run_coroutine_threadsafe(lend(), self._loop).result()

    def _return(self, number: int, spoilt: bool) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone
            self._loop.call_soon_threadsafe(self._give_back, number, spoilt)
