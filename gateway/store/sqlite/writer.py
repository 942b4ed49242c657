"""The writer thread: takes whatever is queued, makes it durable with one flush and one commit, answers all at once.

While one batch is being flushed the next one gathers, so no timer is needed. The order that makes a crash harmless:
body frames, flush of their segments, then the transaction that names them (its commit flushes the log), then the
answers. A change that is refused leaves its neighbours alone; if the database refuses a statement, the batch is
undone and its changes are tried one by one. A failed flush ends everything (`StoreBroken`).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future as ThreadFuture
from itertools import chain, islice
from queue import Empty, SimpleQueue
from typing import Any

import apsw

from gateway.store.contract import LeaseLost, Mistake, StoreUnavailable
from gateway.store.files import Files
from gateway.store.sealing import Keyring, Sealer
from gateway.store.segments.frame import Extent
from gateway.store.segments.pool import SegmentPool
from gateway.store.sqlite.changes import Change, Enter, MoveBody
from gateway.store.sqlite.database import is_flush_error
from gateway.store.sqlite.rows import Tagger
from gateway.store.sqlite.transaction import Counters, Transaction
from gateway.store.troubles import FlushFailed, broken, full, unavailable

MOST_CHANGES = 512
MOST_OCTETS = 4 * 1024 * 1024
CHECKPOINT_PAGES = 4000

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

Answer = asyncio.Future[Any] | ThreadFuture[Any]


class _Job:
    """A change, who waits for it, and what came of it."""

    __slots__ = ("answer", "change", "octets", "outcome", "refused")

    def __init__(self, change: Change, answer: Answer) -> None:
        self.change = change
        self.answer = answer
        self.octets = sum(len(each.body.rest) for each in change.incoming)
        self.outcome: object = None
        self.refused: BaseException | None = None

    def refuse(self, error: BaseException) -> None:
        self.refused = error


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


class Writer:
    """Owns the database connection that writes. `submit` belongs to the event loop, `ask` to other threads."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        database: Database,
        files: Files,
        pool: SegmentPool,
        keyring: Keyring,
        sealer: Sealer,
        tags: Tagger,
        counters: Counters,
        has_room: Callable[[], bool],
        on_forgotten: Callable[[Sequence[str]], None],
        on_batch: Callable[[], None],
        on_broken: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._database = database
        self._files = files
        self._pool = pool
        self._keyring = keyring
        self._sealer = sealer
        self._tags = tags
        self._counters = counters
        self._has_room = has_room
        self._on_forgotten = on_forgotten
        self._on_batch = on_batch
        self._on_broken = on_broken
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._broken: str | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, change: Change) -> asyncio.Future[Any]:
        """The change's outcome, when it is durable. Event loop only."""
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._put(_Job(change, answer))
        return answer

    def ask(self, change: Change) -> ThreadFuture[Any]:
        """The same for the store's other threads, which may wait for it."""
        answer: ThreadFuture[Any] = ThreadFuture()
        self._put(_Job(change, answer))
        return answer

    def stop(self) -> None:
        """Finish what is queued, then end; blocks until then."""
        self._closing = True
        self._queue.put(None)
        self._thread.join()

    def fail(self, what: str) -> None:
        """A flush failed somewhere: from now on every call is answered `StoreBroken`. May be called from every
        thread."""
        if self._broken is None:
            self._broken = what
            self._on_broken(what)

    @property
    def broken(self) -> str | None:
        return self._broken

    def _put(self, job: _Job) -> None:
        if self._closing:
            raise unavailable("the store is closed")
        self._queue.put(job)

    # ---- the thread

    def _run(self) -> None:
        queue = self._queue
        going = True
        while going:
            job = queue.get()
            batch: list[_Job] = []
            octets = 0
            while job is not None:
                batch.append(job)
                octets += job.octets
                if len(batch) >= MOST_CHANGES or octets >= MOST_OCTETS:
                    break
                try:
                    job = queue.get_nowait()
                except Empty:
                    break
            going = job is not None
            if batch:
                self._do(batch)
        if self._broken is None:
            self._checkpoint(apsw.SQLITE_CHECKPOINT_TRUNCATE)
        self._database.connection.close()

    def _do(self, batch: list[_Job]) -> None:
        tx: Transaction | None = None
        try:
            if self._broken is None:
                todo = self._write_bodies(batch)
                tx = self._commit_all(todo)
        except FlushFailed as error:
            self.fail(str(error))
        except BaseException as error:  # noqa: BLE001 - a bug must reach those who wait, not end the thread
            self._roll_back()
            for job in batch:
                job.refuse(error)
        if self._broken is not None:
            for job in batch:
                job.refuse(broken(self._broken))
        elif tx is not None:
            self._pool.release(tx.freed)
        self._answer(batch, tx.forgotten if tx is not None else [])
        if self._broken is None:
            self._look_after(tx)
        self._on_batch()

    def _write_bodies(self, batch: list[_Job]) -> list[_Job]:
        """Put the bodies' frames on disk; returns the jobs that may go on."""
        copied = {
            place.segment for job in batch if isinstance(job.change, MoveBody) for place in job.change.copies
        }
        self._pool.flush(copied)
        if not any(job.change.incoming for job in batch):
            return batch
        if not self._has_room():  # what is queued may still be finished, so that room can come back
            batch = self._without(batch, Enter, full("the disk has less room left than the store keeps free"))
        messages = [message for job in batch for message in job.change.incoming]
        frames = [message.frames() for message in messages]
        try:
            places = iter(self._pool.write(list(chain.from_iterable(frames))))
        except StoreUnavailable as error:
            return self._without(batch, object, error)
        for message, own in zip(messages, frames, strict=True):
            message.places += islice(places, len(own))
        self._pool.flush({place.segment for message in messages for place in message.places})
        return batch

    def _without(self, batch: list[_Job], kind: type, error: StoreUnavailable) -> list[_Job]:
        """Refuse the changes of this kind that bring messages."""
        for job in batch:
            if job.change.incoming and isinstance(job.change, kind):
                self._refuse(job, type(error)(error.problem))
        return [job for job in batch if job.refused is None]

    def _refuse(self, job: _Job, error: BaseException) -> None:
        """The change does not happen: what its bodies took is free again."""
        job.refuse(error)
        for message in job.change.incoming:
            self._pool.release(message.places)
            message.places = []

    def _commit_all(self, batch: list[_Job]) -> Transaction | None:
        """One transaction for all; where the database will not have it, one for each."""
        if not batch:
            return None
        try:
            return self._commit(batch)
        except FlushFailed:
            raise
        except (apsw.Error, OSError) as error:
            answer = self._disk_trouble(error)
            if answer is not None:
                for job in batch:
                    self._refuse(job, type(answer)(answer.problem))
                return None
            if len(batch) == 1:
                taken = isinstance(error, apsw.ConstraintError)
                self._refuse(batch[0], Mistake(f"the store has this already: {error}") if taken else error)
                return None
        except Exception as error:  # noqa: BLE001 - a bug in one change: its neighbours must not suffer
            self._roll_back()
            if len(batch) == 1:
                self._refuse(batch[0], error)
                return None
        return self._commit_singly(batch)

    def _commit_singly(self, batch: list[_Job]) -> Transaction | None:
        forgotten: list[str] = []
        freed: list[Extent] = []
        last: Transaction | None = None
        for job in batch:
            job.outcome = job.refused = None
            tx = self._commit_all([job])
            if tx is not None:
                forgotten += tx.forgotten
                freed += tx.freed
                last = tx
        if last is not None:
            last.forgotten, last.freed = forgotten, freed
        return last

    def _commit(self, batch: list[_Job]) -> Transaction:
        self._sealer.grow_old()
        cursor = self._database.cursor
        tx = Transaction(cursor, self._sealer, self._tags, self._counters)
        refused: list[tuple[_Job, LeaseLost | Mistake]] = []
        cursor.execute("BEGIN IMMEDIATE")
        for job in batch:
            try:
                job.outcome = job.change.apply(tx)
            except (LeaseLost, Mistake) as error:
                refused.append((job, error))
        keys = self._keyring.unsaved()
        tx.write(keys)
        try:
            self._files.commit(lambda: cursor.execute("COMMIT"))
        except OSError as error:
            raise FlushFailed("the database", error) from error
        self._keyring.saved(keys)
        tx.committed()
        for job, why in refused:
            self._refuse(job, why)
        return tx

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

    def _look_after(self, tx: Transaction | None) -> None:
        """After the answers: copy the log into the database when it is long, or has a copy of what was erased."""
        if tx is not None and tx.erases:
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

    def _answer(self, batch: list[_Job], forgotten: Sequence[str]) -> None:
        waiting = []
        for job in batch:
            if isinstance(job.answer, ThreadFuture):
                _settle(job)
            else:
                waiting.append(job)
        if waiting or forgotten:
            try:
                self._loop.call_soon_threadsafe(self._answer_here, waiting, forgotten)
            except RuntimeError:
                pass  # the loop is gone, and with it everybody who waited

    def _answer_here(self, waiting: list[_Job], forgotten: Sequence[str]) -> None:
        for job in waiting:
            _settle(job)
        if forgotten:
            self._on_forgotten(forgotten)


def _settle(job: _Job) -> None:
    if job.answer.done():
        return  # cancelled
    if job.refused is not None:
        job.answer.set_exception(job.refused)
    else:
        job.answer.set_result(job.outcome)
