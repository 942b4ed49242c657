"""Faults that we plant ourselves, to see that they are found: lying flushes, an early 250, wrong recoveries.

They are injected where tests may replace a part: a machine's flushes, a subclass of the store, what happens to a data
folder before it is opened. The product has no switch for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path

import apsw

from gateway.audit.head import parse_head
from gateway.model.audit import Record
from gateway.model.envelope import Envelope
from gateway.model.progress import Progress, Work
from gateway.store.back import SENDING_CODE
from gateway.store.contract import BodyWriter
from gateway.store.sqlite.store import SqliteStore
from tests.crash.machine import Machine
from tests.crash.recovery import Recovery, places
from tests.crash.trace import Op, Sync

EARLY_SECONDS = 0.1


def skipped_flush(machine: Machine, *endings: str) -> Callable[[Op], bool]:
    """Flushes of files with these endings are said to be done and are not."""
    return lambda op: isinstance(op, Sync) and machine.path(op.file).endswith(endings)


class _Hasty(SqliteStore):
    """Answers before the work is done, and does it a little later."""

    def later(self, work: Callable[[], Awaitable[object]]) -> None:
        async def soon() -> None:
            await asyncio.sleep(EARLY_SECONDS)
            await work()

        self.__dict__.setdefault("under_way", []).append(asyncio.create_task(soon()))

    async def close(self) -> None:
        await asyncio.gather(*self.__dict__.get("under_way", ()), return_exceptions=True)
        await super().close()


class EarlyStore(_Hasty):
    """Says that a message is safe before it is."""

    async def accept(
        self,
        envelope: Envelope,
        body: BodyWriter,
        record: Record,
        *,
        progress: tuple[Progress, ...],
        lease_until: datetime | None,
    ) -> tuple[Work, ...]:
        self.later(
            lambda: SqliteStore.accept(self, envelope, body, record, progress=progress, lease_until=None)
        )
        return ()


class EarlyValue(_Hasty):
    """Says that a value is remembered before it is."""

    async def remember(self, kind: str, key: str, value: bytes, expires: datetime) -> None:
        self.later(lambda: SqliteStore.remember(self, kind, key, value, expires))


class EarlyFirst(_Hasty):
    """Says that a value was the first before it is there."""

    async def remember_first(
        self, kind: str, key: str, value: bytes, expires: datetime, now: datetime
    ) -> bool:
        self.later(lambda: SqliteStore.remember_first(self, kind, key, value, expires, now))
        return await self.recall(kind, key, now) is None


class EarlyCount(_Hasty):
    """Says that something is counted before it is."""

    async def tally(self, topic: str, amounts: Mapping[str, int], expires: datetime, now: datetime) -> None:
        self.later(lambda: SqliteStore.tally(self, topic, amounts, expires, now))


class EarlyErasure(_Hasty):
    """Says that personal values are gone before they are."""

    async def erase_values(self, message: str) -> None:
        self.later(lambda: SqliteStore.erase_values(self, message))


class GivesWay(SqliteStore):
    """Lets another value take the place of the first one."""

    async def remember_first(
        self, kind: str, key: str, value: bytes, expires: datetime, now: datetime
    ) -> bool:
        await self.remember(kind, key, value, expires)
        return True


def forget_sending(data: Path, head: Path) -> None:
    """What was being sent when the gateway died is thrown away."""
    _execute(data, f"DELETE FROM errand WHERE state = {SENDING_CODE}")


def drop_unsealed(data: Path, head: Path) -> None:
    """Records that are under no signed head yet are thrown away."""
    if head.exists():
        _execute(data, f"DELETE FROM leaf WHERE last > {parse_head(head.read_bytes()).sequence}")


def count_twice(data: Path, head: Path) -> None:
    """What had been counted is counted once more."""
    _execute(data, "UPDATE tally SET amount = amount * 2")


def _execute(data: Path, statement: str) -> None:
    database = data / "queue.sqlite"
    if not database.exists():
        return
    connection = apsw.Connection(str(database))
    try:
        connection.execute(statement)
    except apsw.SQLError:
        pass  # no table yet
    finally:
        connection.close()


class WrongRecovery(Recovery):
    """Does something to the data folder before it is opened."""

    def __init__(self, spoil: Callable[[Path, Path], None]) -> None:
        self._spoil = spoil

    async def open_store(self, root: Path) -> SqliteStore:
        data, _, head = places(root)
        self._spoil(data, head)
        return await super().open_store(root)


class ForgettingFirsts(Recovery):
    """Starts a store whose first values give way."""

    async def open_store(self, root: Path) -> SqliteStore:
        store = await super().open_store(root)
        store.__class__ = GivesWay
        return store


RECOVERIES = {"forget sending": forget_sending, "drop unsealed": drop_unsealed}
EARLY = "early 250"
