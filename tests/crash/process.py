"""A gateway's process on a recorded machine: how it starts, stops and dies, and how it changes the world.

Every call that does is written into the trace with what it changes, before it is made and when it returns. When the
store is broken, or a write of the log fails, the process ends and starts again, as the daemon does.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from gateway.audit.sealer import Sealer
from gateway.audit.shard import Halted
from gateway.model.audit import Record
from gateway.model.progress import Work
from gateway.store.contract import StoreBroken, StoreUnavailable, StoreUnusable
from gateway.store.sqlite.opening import open_store
from gateway.store.sqlite.store import SqliteStore
from tests.crash.beside import read_values
from tests.crash.machine import Machine
from tests.crash.recovery import KEY, SIZES, log_of, log_settings, places
from tests.crash.trace import Begun, Change, Kept, Mkdir, Refused, SyncFolder, overlay
from tests.unit.audit import world

T = TypeVar("T")
LEASE = timedelta(minutes=30)
_LONG = 10_000_000


class Ended(Exception):
    """The process is over: it died, or what it stands on is broken."""


class Process(ABC):
    """One seed, one story; what its steps are, a subclass says. `wrong` collects what a caller must never see.
    `store_type`: a planted fault."""

    store_type = SqliteStore

    def __init__(self, machine: Machine, key: Path, seed: int) -> None:
        self.machine = machine
        self.chance = random.Random(seed)
        self.clock = world.Clock()
        self.wrong: list[str] = []
        self.starts = 0
        self.struck = False  # whether the fault was met
        self.values: dict[str, str] = {}  # what is certainly kept beside the queue
        self._key = key
        self._recorder = world.recorder(seed)
        self._in_flight: set[int] = set()
        self._works: dict[str, Work] = {}
        self._out: set[str] = set()  # errands that this process is sending
        self._store: SqliteStore | None = None
        self._sealer: Sealer | None = None

    # ---- the process

    async def run(self, steps: int) -> None:
        """So many steps, over restarts; stopped in order at the end."""
        for folder in ("data", "audit", "apart"):
            (self.machine.root / folder).mkdir(exist_ok=True)
        self._note_folders()
        left = steps
        while left:
            try:
                await self._start()
                while left:
                    left -= 1
                    await self._step()
                await self._stop()
            except Ended:
                self.struck = True
                self.machine.set_fault(None)
                await self._vanish()
        self.struck = self.struck or bool(self.machine.struck)
        self.machine.set_fault(None)
        await self._vanish()

    def _note_folders(self) -> None:
        """They were there before: whoever installed the gateway made them."""
        for folder in ("data", "audit", "apart"):
            self.machine.mark(Mkdir(folder))
        self.machine.mark(SyncFolder("."))

    async def _start(self) -> None:
        machine = self.machine
        self.starts += 1
        if self.starts > 5:
            raise AssertionError("the gateway does not come up again")
        try:
            self._store = await open_store(
                places(machine.root)[0], KEY, settings=SIZES, files=machine.files, vfs=machine.vfs.name
            )
            self._store.__class__ = self.store_type
            sealer = self._store._asking.sealer
            assert sealer is not None
            sealer._most = 40  # short epochs
            await self._settle_what_was_open()
            entropy = random.Random(self.starts).randbytes
            settings = log_settings(machine.root, self._key)
            self._sealer = Sealer(settings, self._store, self.clock, entropy, machine.disk)
            await self._sealer.open()
        except (StoreUnusable, StoreUnavailable, StoreBroken, OSError) as error:
            self._trouble("start", error)
            raise Ended from error
        except Halted as error:
            self.wrong.append(f"the log halted: {error}")
            raise AssertionError("halted") from error
        await self._began()

    async def _stop(self) -> None:
        await self._seal()
        if self._sealer is not None:
            try:
                self._sealer.close()
            except OSError as error:
                self._trouble("close", error)
                raise Ended from error
        await self._vanish()

    async def _vanish(self) -> None:
        """The process is gone: nothing is written any more but what was under way."""
        if self._sealer is not None:
            self._sealer._let_go()
            self._sealer = None
        if self._store is not None:
            await self._store.close()
            self._store = None
        self._works.clear()
        self._out.clear()

    async def _settle_what_was_open(self) -> None:
        """After a start it can be seen what happened of that which nobody was told about; that stays so."""
        store = self._opened()
        leaves = {leaf.data for _, leaf in await store.leaves_after(0, _LONG)} | set(
            log_of(self.machine.root)
        )
        for number in sorted(self._in_flight):
            change = self.machine.trace.changes[number]
            if change.leaves:
                happened = change.leaves[0] in leaves
            else:
                seen = await read_values(store, change.values, self.clock())
                happened = all(seen[name] == value for name, value in change.values.items())
            self._settled(number, happened=happened)
        self._in_flight.clear()

    def _opened(self) -> SqliteStore:
        assert self._store is not None
        return self._store

    def _trouble(self, doing: str, error: BaseException) -> None:
        if not self.machine.struck:
            self.wrong.append(f"{doing}: {type(error).__name__} without a fault: {error}")

    # ---- what the process does

    @abstractmethod
    async def _began(self) -> None:
        """What it does first of all."""

    @abstractmethod
    async def _step(self) -> None:
        """One thing more."""

    async def _seal(self) -> None:
        assert self._sealer is not None
        try:
            await self._sealer.seal()
        except (OSError, StoreUnavailable, StoreBroken) as error:  # the daemon ends in each of these cases
            self._trouble("seal", error)
            raise Ended from error

    # ---- calls that change the world

    async def _change(self, change: Change, call: Callable[[], Awaitable[object]]) -> bool:
        """Make the call; whether it took effect. Raises Ended."""
        machine = self.machine
        number = len(machine.trace.changes)
        machine.trace.changes.append(change)
        machine.mark(Begun(number))
        self._in_flight.add(number)
        try:
            await call()
        except StoreBroken as error:
            self._trouble("call", error)
            await self._must_stay_broken()
            raise Ended from error
        except StoreUnavailable as error:
            self._trouble("call", error)
            self._must_live()
            self._in_flight.discard(number)
            self._settled(number, happened=False)
            return False
        self._must_live()
        self._in_flight.discard(number)
        self._settled(number, happened=True)
        return True

    def _settled(self, number: int, *, happened: bool) -> None:
        self.machine.mark(Kept(number) if happened else Refused(number))
        if happened:
            overlay(self.values, self.machine.trace.changes[number].values)

    def _must_live(self) -> None:
        fault = self.machine.fault
        if fault is not None and fault.kind == "died" and self.machine.struck:
            raise Ended

    async def _must_stay_broken(self) -> None:
        """After a failed flush nothing is confirmed any more."""
        store = self._opened()
        for call in (store.append(Record()), store.counts()):
            try:
                await call
            except StoreBroken:
                continue
            self.wrong.append("a broken store answered as if nothing had happened")

    async def _quietly(self, call: Coroutine[object, object, T]) -> T | None:
        """A call that changes nothing of what is promised; None where it is refused."""
        answer = None
        try:
            answer = await call
        except StoreBroken as error:
            self._trouble("call", error)
            raise Ended from error
        except StoreUnavailable as error:
            self._trouble("call", error)
        self._must_live()
        return answer
