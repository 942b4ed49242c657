"""The writer: makes each batch of changes durable with one commit, and answers all at once.

The order that makes a crash harmless: a front has flushed its frames before it asks, then the transaction that names
them (its commit flushes the log), then the answers. A change that is refused leaves its neighbours alone; if the
database refuses a statement, the batch is undone and its changes are tried one by one. A failed flush ends everything
(`StoreBroken`), and so does a commit that the disk refused otherwise than for want of room.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import apsw

from gateway.store.back import Change, Enter
from gateway.store.contract import LeaseLost, Mistake, StoreUnavailable
from gateway.store.files import Files
from gateway.store.lane import Job
from gateway.store.segments.book import SegmentBook
from gateway.store.sqlite.changes import Internal, Leave, Rules
from gateway.store.sqlite.database import is_flush_error
from gateway.store.sqlite.memory import Memory
from gateway.store.sqlite.transaction import Transaction
from gateway.store.troubles import FlushFailed, broken, full, unavailable

CHECKPOINT_PAGES = 8000

# Troubles that may go by themselves; a closed connection is one that could not be opened again.
_PASSING = (
    apsw.CantOpenError,
    apsw.ReadOnlyError,
    apsw.BusyError,
    apsw.LockedError,
    apsw.NoMemError,
    apsw.ConnectionClosedError,
    apsw.CursorClosedError,
)


class Asked(Job):
    """A change, and the front that asked for it."""

    __slots__ = ("change", "holder")

    def __init__(self, change: Change | Internal, holder: int, answer: asyncio.Future[Any]) -> None:
        super().__init__(answer)
        self.change = change
        self.holder = holder


class Database:
    """The writer's connection, and how to make it anew after an input or output error."""

    def __init__(self, connect: Callable[[], apsw.Connection], first: apsw.Connection) -> None:
        self._connect = connect
        self._adopt(first)

    def _adopt(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self.cursor = connection.cursor()
        self.log_pages = 0
        connection.set_wal_hook(self._seen)

    def _seen(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self.log_pages = pages
        return apsw.SQLITE_OK

    def reconnect(self) -> None:
        """The old file handles are given up; errors count as those of the next use."""
        self.connection.close()
        self._adopt(self._connect())


class Done:
    """What a batch did to the world, for whoever tells others of it."""

    def __init__(self) -> None:
        self.forgotten: list[str] = []
        self.frees = False
        self.erases = False


class Writer:
    """Owns the database connection that writes. `do` belongs to the lane's thread, `fail` to every thread."""

    def __init__(
        self,
        *,
        database: Database,
        files: Files,
        book: SegmentBook,
        memory: Memory,
        has_room: Callable[[], bool],
        on_broken: Callable[[str], None],
        on_done: Callable[[Done], None],
    ) -> None:
        self._database = database
        self._files = files
        self._book = book
        self._memory = memory
        self._rules = Rules(book)
        self._has_room = has_room
        self._on_broken = on_broken
        self._on_done = on_done
        self._broken: str | None = None

    def fail(self, what: str) -> None:
        """A flush failed somewhere: from now on every call is answered `StoreBroken`."""
        if self._broken is None:
            self._broken = what
            self._on_broken(what)

    @property
    def broken(self) -> str | None:
        return self._broken

    def do(self, batch: list[Asked]) -> None:
        done = Done()
        try:
            if self._broken is None:
                self._commit_all(self._with_room(batch), done)
        except FlushFailed as error:
            self.fail(str(error))
        except BaseException as error:  # noqa: BLE001 - a bug must reach those who wait, not end the thread
            self._roll_back()
            for job in batch:
                job.refuse(error)
        if self._broken is not None:
            for job in batch:
                job.outcome = None
                job.refuse(broken(self._broken))
        else:
            self._look_after(done)
        self._on_done(done)

    def end(self) -> None:
        """On the lane's thread, after the last batch."""
        if self._broken is None:
            self._checkpoint(apsw.SQLITE_CHECKPOINT_TRUNCATE)
        self._database.connection.close()

    def _with_room(self, batch: list[Asked]) -> list[Asked]:
        """New messages only where there is room; what is queued may still be finished, so that room can come back."""
        if not any(type(job.change) is Enter for job in batch) or self._has_room():
            return batch
        for job in batch:
            if type(job.change) is Enter:
                job.refuse(full("the disk has less room left than the store keeps free"))
        return [job for job in batch if job.refused is None]

    def _commit_all(self, batch: list[Asked], done: Done) -> None:
        """One transaction for all; where the database will not have it, one for each."""
        if not batch:
            return
        try:
            self._commit(batch, done)
            return
        except FlushFailed:
            raise
        except (apsw.Error, OSError) as error:
            answer = self._disk_trouble(error)
            if answer is not None:
                for job in batch:
                    job.refuse(type(answer)(answer.problem))
                return
            if len(batch) == 1:
                taken = isinstance(error, apsw.ConstraintError)
                batch[0].refuse(Mistake(f"the store has this already: {error}") if taken else error)
                return
        except Exception as error:  # noqa: BLE001 - a bug in one change: its neighbours must not suffer
            self._roll_back()
            if len(batch) == 1:
                batch[0].refuse(error)
                return
        for job in batch:
            job.outcome = job.refused = None
            self._commit_all([job], done)

    def _commit(self, batch: list[Asked], done: Done) -> None:
        cursor, memory, apply = self._database.cursor, self._memory, self._rules.apply
        tx = Transaction(cursor, memory)
        for job in batch:
            try:
                job.outcome = apply(tx, job.change, job.holder)
            except (LeaseLost, Mistake, StoreUnavailable) as error:
                job.refuse(error)
        if tx.writes:
            tx.send()
            try:
                self._files.commit(lambda: cursor.execute("COMMIT"))
            except OSError as error:
                raise FlushFailed("the database", error) from error
            except (
                apsw.IOError
            ) as error:  # the write that makes it count may be there: nobody can say that nothing changed
                raise FlushFailed("the database", OSError(0, str(error))) from error
        memory.committed()
        self._book.count(tx.named)
        self._book.release(tx.freed)
        for number, spoilt, holder in tx.returned:
            self._book.take_back(number, holder, spoilt=spoilt)
        for job in batch:
            if type(job.change) is Leave:
                self._book.take_all_back(job.holder)
        done.forgotten += tx.forgotten
        done.frees = done.frees or tx.frees
        done.erases = done.erases or tx.erases

    def _disk_trouble(self, error: apsw.Error | OSError) -> StoreUnavailable | None:
        """Undo; what to tell everybody in the batch, or None where the fault is in one of the changes."""
        if isinstance(error, apsw.Error) and is_flush_error(error):
            raise FlushFailed("the database", OSError(0, str(error))) from error
        if isinstance(error, apsw.CorruptError | apsw.NotADBError):
            raise FlushFailed("the database", OSError(0, f"it is damaged: {error}")) from error
        self._roll_back()
        if isinstance(error, apsw.FullError):
            return full(f"the database: {error}")
        if isinstance(error, apsw.IOError | OSError):
            self._reconnect()
            return unavailable(f"the database: {error}")
        if isinstance(error, _PASSING):
            return unavailable(f"the database: {error}")
        return None

    def _roll_back(self) -> None:
        self._memory.rolled_back()
        try:
            if self._database.connection.in_transaction:
                self._database.cursor.execute("ROLLBACK")
        except apsw.Error:
            self._reconnect()

    def _reconnect(self) -> None:
        try:
            self._database.reconnect()
        except apsw.Error:
            pass  # the next batch meets the same trouble, and tries again

    def _look_after(self, done: Done) -> None:
        """Copy the log into the database when it is long, or has a copy of what was erased."""
        if done.erases:
            self._checkpoint(apsw.SQLITE_CHECKPOINT_TRUNCATE)
        elif self._database.log_pages >= CHECKPOINT_PAGES:
            self._checkpoint(apsw.SQLITE_CHECKPOINT_PASSIVE)

    def _checkpoint(self, mode: int) -> None:
        try:
            self._database.connection.wal_checkpoint(mode=mode)
            self._database.log_pages = 0
        except (
            apsw.Error
        ) as error:  # else the log keeps everything, and the next commit's pages lead here again
            if is_flush_error(error):
                self.fail(f"flush of the database failed: {error}")
