"""The back on SQLite, as `back.Back`: changes go to the writer's thread, questions to reading threads.

One `SqliteBack` a data folder; `join` gives each front its own view of it. No key is needed here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import apsw

from gateway.store.back import Ask, Change, Fail, Lend, Lent, Question
from gateway.store.files import Files
from gateway.store.lane import Lane
from gateway.store.segments.book import SegmentBook
from gateway.store.sqlite.changes import Internal, Leave
from gateway.store.sqlite.keeper import HOLDER, Keeper
from gateway.store.sqlite.memory import Memory
from gateway.store.sqlite.reads import Connections, Reads
from gateway.store.sqlite.writer import Asked, Database, Done, Writer
from gateway.store.troubles import broken, unavailable

READERS = 2
_QUESTIONS: frozenset[type] = frozenset(Question.__args__)


class SqliteBack:
    """Made by `opening.open_back`. All calls belong to the event loop on which it was opened."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        lock: int,
        files: Files,
        database: Database,
        connections: Connections,
        book: SegmentBook,
        memory: Memory,
        has_room: Callable[[], bool],
        on_broken: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._lock = lock
        self._connections = connections
        self.book = book
        self.writer = Writer(
            database=database,
            files=files,
            book=book,
            memory=memory,
            has_room=has_room,
            on_broken=on_broken,
            on_done=self._batch_done,
        )
        self._lane: Lane[Asked] = Lane("store-writer", loop, self.writer.do, end=self.writer.end)
        self._reads = Reads(connections, book, memory)
        self._readers = ThreadPoolExecutor(READERS, "store-reader")
        self._care = ThreadPoolExecutor(1, "store-keeper")
        self._caring = False
        self._closed = False
        self._holders = count(HOLDER + 1)
        self._joined: dict[int, Joined] = {}
        self.keeper = Keeper(self._ask_and_wait, files, book.folder, book, connections)

    def join(
        self,
        *,
        on_forgotten: Callable[[Sequence[str]], None] | None = None,
        on_due: Callable[[], None] | None = None,
    ) -> Joined:
        """One more front. It is told of messages that are gone, and of changes by others that may have made something
        due."""
        joined = Joined(self, next(self._holders), on_forgotten, on_due)
        self._joined[joined.holder] = joined
        return joined

    async def close(self) -> None:
        """Finish what was asked for, then let go of the files. From those who may still ask the writer, to the writer,
        to what it writes on."""
        if self._closed:
            return
        self._closed = True
        await self._loop.run_in_executor(None, self._care.shutdown)
        await self._lane.close()
        await self._loop.run_in_executor(None, self._readers.shutdown)
        self._connections.close()
        self.keeper.close()
        os.close(self._lock)

    # ---- asking

    def change(self, change: Change | Internal, holder: int) -> asyncio.Future[Any]:
        self._must_be_well()
        return self._lane.put(Asked(change, holder, self._loop.create_future()))

    def question(self, question: Question) -> asyncio.Future[Any]:
        self._must_be_well()
        return self._loop.run_in_executor(self._readers, self._answer, question)

    def lend(self, holder: int) -> asyncio.Future[Lent]:
        self._must_be_well()
        return self._loop.run_in_executor(self._care, self._lend, holder)

    def left(self, holder: int) -> asyncio.Future[Any] | None:
        if self._joined.pop(holder, None) is None or self._closed:
            return None
        return self._lane.put(Asked(Leave(), holder, self._loop.create_future()))

    @property
    def broken(self) -> str | None:
        return self.writer.broken

    # ---- how

    def _must_be_well(self) -> None:
        if self.writer.broken is not None:
            raise broken(self.writer.broken)
        if self._closed:
            raise unavailable("the store is closed")

    def _answer(self, question: Question) -> object:
        try:
            return self._reads.answer(question)
        except (apsw.CorruptError, apsw.NotADBError) as error:
            self.writer.fail(f"the database is damaged: {error}")
            raise broken(str(error)) from error
        except (apsw.IOError, apsw.BusyError, apsw.CantOpenError, apsw.NoMemError, apsw.LockedError) as error:
            raise unavailable(f"the database: {error}") from error

    def _lend(self, holder: int) -> Lent:
        while True:
            lent = self.book.lend(holder)
            if lent is not None:
                return lent
            self.book.make()

    def _batch_done(self, done: Done) -> None:
        """On the writer's thread."""
        if not self._caring and not self._closed and self.keeper.wanted():
            self._caring = True
            with contextlib.suppress(RuntimeError):  # closing
                self._care.submit(self._take_care)
        if done.forgotten or done.frees:
            with contextlib.suppress(RuntimeError):  # the loop is gone
                self._loop.call_soon_threadsafe(self._tell, done)

    def _tell(self, done: Done) -> None:
        for joined in list(self._joined.values()):
            if done.forgotten and joined.on_forgotten is not None:
                joined.on_forgotten(done.forgotten)
            if done.frees and joined.on_due is not None:
                joined.on_due()

    def _take_care(self) -> None:
        try:
            self.keeper.run()
        finally:
            self._caring = False

    def _ask_and_wait(self, change: Internal) -> Any:
        """For the keeper's thread."""

        async def asked() -> Any:
            return await self._lane.put(Asked(change, HOLDER, self._loop.create_future()))

        return asyncio.run_coroutine_threadsafe(asked(), self._loop).result()


class Joined:
    """`back.Back` for one front."""

    def __init__(
        self,
        back: SqliteBack,
        holder: int,
        on_forgotten: Callable[[Sequence[str]], None] | None,
        on_due: Callable[[], None] | None,
    ) -> None:
        self.back = back
        self.holder = holder
        self.on_forgotten = on_forgotten
        self.on_due = on_due
        self._gone = False

    def ask(self, ask: Ask) -> asyncio.Future[Any]:
        if self._gone:
            raise unavailable("the store is closed")
        kind = type(ask)
        if kind in _QUESTIONS:
            return self.back.question(ask)  # type: ignore[arg-type]
        if isinstance(ask, Lend):
            return self.back.lend(self.holder)
        if isinstance(ask, Fail):
            self.back.writer.fail(ask.what)
            answer = asyncio.get_running_loop().create_future()
            answer.set_result(None)
            return answer
        return self.back.change(ask, self.holder)  # type: ignore[arg-type]

    @property
    def broken(self) -> str | None:
        return self.back.broken

    async def leave(self) -> None:
        if not self._gone:
            self._gone = True
            leaving = self.back.left(self.holder)
            if leaving is not None:
                with contextlib.suppress(Exception):  # a broken store holds nothing for anybody
                    await leaving
