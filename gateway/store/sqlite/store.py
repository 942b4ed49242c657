"""The store on SQLite, as `contract.Store`: hands changes to the writer and questions to the readers.

The event loop only moves values; sealing, disk and SQL happen on the store's threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import ParamSpec, TypeVar

import apsw

from gateway.model.audit import Leaf, Record, SealedValues
from gateway.model.envelope import Envelope, Errand
from gateway.model.progress import Lease, Progress, Work
from gateway.store.cache import PlainCache
from gateway.store.contract import (
    EVERYTHING,
    BodyWriter,
    Counts,
    EntryFilter,
    Mistake,
    NewMessage,
    QueueEntry,
)
from gateway.store.sealing import Damaged, Keyring
from gateway.store.segments.body import RETAINED_OCTETS, RetainedBudget, SegmentBody
from gateway.store.segments.pool import SegmentPool
from gateway.store.sqlite.changes import Change, Enter, Incoming, Move, Renew, SetAside, first_lease
from gateway.store.sqlite.keeper import Keeper
from gateway.store.sqlite.leasing import Claim, Rota, TakeDue
from gateway.store.sqlite.reads import Connections, Reads
from gateway.store.sqlite.rows import RawLease, open_envelope, open_leased
from gateway.store.sqlite.upkeep import Append, EraseValues, ForgetLeaves, Remember
from gateway.store.sqlite.writer import Writer
from gateway.store.troubles import FlushFailed, broken, unavailable

READERS = 2

T = TypeVar("T")
P = ParamSpec("P")


class SqliteStore:
    """Made by `opening.open_store`. All calls belong to the event loop on which it was opened."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        lock: int,
        keyring: Keyring,
        pool: SegmentPool,
        connections: Connections,
        tag_secret: bytes,
        cache_octets: int,
    ) -> None:
        self._loop = loop
        self._lock = lock
        self._keyring = keyring
        self._pool = pool
        self._connections = connections
        self._reads = Reads(connections, keyring, pool, tag_secret)
        self._cache = PlainCache(cache_octets)
        self._budget = RetainedBudget(cache_octets // 2)
        self._rota = Rota()
        self._remembered = 0
        self._readers = ThreadPoolExecutor(READERS, "store-reader")
        self._spool = ThreadPoolExecutor(1, "store-spool")
        self._care = ThreadPoolExecutor(1, "store-keeper")
        self._caring = False
        self._closed = False
        self._writer: Writer
        self._keeper: Keeper

    def begin(self, writer: Writer, keeper: Keeper) -> None:
        """The other half of making it: the writer reports to us."""
        self._writer = writer
        self._keeper = keeper
        writer.start()

    # ---- what the writer reports

    def forgotten(self, messages: Sequence[str]) -> None:
        """On the event loop."""
        self._cache.discard(messages)

    def batch_done(self) -> None:
        """On the writer's thread."""
        if not self._caring and not self._closed and self._keeper.wanted():
            self._caring = True
            with contextlib.suppress(RuntimeError):  # closing
                self._care.submit(self._take_care)

    def _take_care(self) -> None:
        try:
            self._keeper.run()
        finally:
            self._caring = False

    # ---- accepting

    def body_writer(self) -> BodyWriter:
        return SegmentBody(self._pool, self._write_away, self._budget)

    def _write_away(self, run: Callable[[], None]) -> asyncio.Future[None]:
        self._must_be_well()
        return self._loop.run_in_executor(self._spool, self._guarded, run)

    def _guarded(self, run: Callable[[], None]) -> None:
        try:
            run()
        except FlushFailed as error:
            self._writer.fail(str(error))
            raise broken(str(error)) from error

    async def accept(
        self,
        envelope: Envelope,
        body: BodyWriter,
        record: Record,
        *,
        progress: tuple[Progress, ...],
        lease_until: datetime | None,
    ) -> tuple[Work, ...]:
        if not isinstance(body, SegmentBody):
            raise Mistake("this body belongs to another store")
        digest = body.sha256
        spent = body.spend()
        try:
            if digest != envelope.sha256:
                raise Mistake("the envelope names another body")
            answer: asyncio.Future[None] = self._submit(
                Enter(Incoming(envelope, spent, record, progress, lease_until))
            )
        except BaseException:
            self._pool.release(spent.written)
            raise
        await answer
        if spent.plain is not None:
            self._cache.put(envelope.id, spent.plain)
        if lease_until is None:
            return ()
        errands = (Errand(envelope, number) for number in range(len(progress)))
        return tuple(
            Work(first_lease(errand.id, lease_until), errand, each)
            for errand, each in zip(errands, progress, strict=True)
        )

    # ---- the queue

    async def lease(self, now: datetime, until: datetime, limit: int) -> tuple[Work, ...]:
        if limit <= 0:
            return ()
        raws: tuple[RawLease, ...] = await self._submit(TakeDue(now, until, limit, self._rota))
        if not raws:
            return ()
        opened, damaged = await self._ask(self._open_all, raws, until)
        for raw in damaged:
            await self._submit(SetAside(raw.message, raw.number, raw.fence))
        return opened

    async def claim(self, errand: str, now: datetime, until: datetime) -> Work | None:
        raw: RawLease | None = await self._submit(Claim(errand, now, until))
        if raw is None:
            return None
        opened, damaged = await self._ask(self._open_all, (raw,), until)
        for each in damaged:
            await self._submit(SetAside(each.message, each.number, each.fence))
        return opened[0] if opened else None

    async def renew(self, lease: Lease, until: datetime) -> Lease:
        renewed: Lease = await self._submit(Renew(lease, until))
        return renewed

    async def commit(
        self,
        lease: Lease,
        progress: Progress,
        record: Record,
        spawn: tuple[NewMessage, ...] = (),
        *,
        keep_lease: bool,
    ) -> None:
        incoming = tuple(map(Incoming.composed, spawn)) if spawn else ()
        await self._submit(Move(lease, progress, record, incoming, keep_lease=keep_lease))

    async def content(self, envelope: Envelope) -> bytes:
        self._must_be_well()
        found = self._cache.get(envelope.id)
        if found is None:
            found = await self._ask(self._reads.content, envelope)
            if len(found) <= RETAINED_OCTETS:
                self._cache.put(envelope.id, (found,))
        return found

    async def entries(
        self, wanted: EntryFilter = EVERYTHING, *, limit: int = 100, after: str | None = None
    ) -> tuple[QueueEntry, ...]:
        return await self._ask(self._reads.entries, wanted, limit, after)

    async def counts(self) -> Counts:
        return await self._ask(self._reads.counts)

    async def next_due(self) -> datetime | None:
        return await self._ask(self._reads.next_due)

    # ---- leaves, personal values, remembered facts

    async def append(self, record: Record) -> None:
        await self._submit(Append(record))

    async def leaves_after(self, sequence: int, limit: int) -> tuple[tuple[int, Leaf], ...]:
        return await self._ask(self._reads.leaves_after, sequence, limit)

    async def forget_leaves(self, upto: int) -> None:
        await self._submit(ForgetLeaves(upto))

    async def sealed_values(self, message: str) -> tuple[SealedValues, ...]:
        return await self._ask(self._reads.sealed_values, message)

    async def erase_values(self, message: str) -> None:
        await self._submit(EraseValues(message))

    async def remember(self, kind: str, key: str, value: bytes, expires: datetime) -> None:
        self._remembered += 1
        await self._submit(Remember(kind, key, value, expires, self._remembered))

    async def recall(self, kind: str, key: str, now: datetime) -> bytes | None:
        return await self._ask(self._reads.recall, kind, key, now)

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await self._loop.run_in_executor(None, self._close)

    def _close(self) -> None:
        """From those who may still ask the writer, to the writer, to what it writes on."""
        self._spool.shutdown()
        self._care.shutdown()
        self._writer.stop()
        self._readers.shutdown()
        self._connections.close()
        self._pool.close()
        os.close(self._lock)

    # ---- how things are asked

    def _must_be_well(self) -> None:
        if self._writer.broken is not None:
            raise broken(self._writer.broken)
        if self._closed:
            raise unavailable("the store is closed")

    def _submit(self, change: Change) -> asyncio.Future[T]:
        self._must_be_well()
        return self._writer.submit(change)

    async def _ask(self, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        self._must_be_well()
        return await self._loop.run_in_executor(self._readers, partial(self._reading, read, *args, **kwargs))

    def _reading(self, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return read(*args, **kwargs)
        except (apsw.CorruptError, apsw.NotADBError) as error:
            self._writer.fail(f"the database is damaged: {error}")
            raise broken(str(error)) from error
        except (apsw.IOError, apsw.BusyError, apsw.CantOpenError, apsw.NoMemError, apsw.LockedError) as error:
            raise unavailable(f"the database: {error}") from error

    def _open_all(
        self, raws: tuple[RawLease, ...], until: datetime
    ) -> tuple[tuple[Work, ...], tuple[RawLease, ...]]:
        """Errands that open, and those that are damaged."""
        envelopes: dict[str, Envelope] = {}
        opened: list[Work] = []
        damaged: list[RawLease] = []
        for raw in raws:
            try:
                envelope = envelopes.get(raw.message)
                if envelope is None:
                    envelope = envelopes[raw.message] = open_envelope(
                        self._keyring, raw.message, raw.envelope
                    )
                opened.append(open_leased(self._keyring, raw, until, envelope))
            except Damaged:
                damaged.append(raw)
        return tuple(opened), tuple(damaged)
