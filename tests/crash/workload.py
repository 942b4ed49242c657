"""The life of a small gateway on a recorded machine: mail comes, is decided, sent, deferred, held; the log is sealed.

Every call that changes the world is written into the trace with what it changes, before it is made and when it
returns. When the store is broken, or a write of the log fails, the process ends and starts again, as the daemon does.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

from msgspec.structs import replace

from gateway.audit.sealer import Sealer
from gateway.audit.shard import Halted
from gateway.model.address import Address
from gateway.model.audit import Record
from gateway.model.envelope import Envelope, Errand
from gateway.model.progress import FINAL, Progress, State, Work
from gateway.store.contract import (
    NewMessage,
    StoreBroken,
    StoreUnavailable,
    StoreUnusable,
)
from gateway.store.sqlite.opening import open_store
from gateway.store.sqlite.store import SqliteStore
from tests.crash.machine import Machine
from tests.crash.recovery import KEY, SIZES, log_of, log_settings, places
from tests.crash.trace import Begun, Change, Kept, Mkdir, Refused, SyncFolder
from tests.unit.audit import world

_LEASE = timedelta(minutes=30)
_SIZES = (300, 4_000, 16_000, 20_000, 45_000, 66_000, 90_000, 140_000)
_LONG = 10_000_000


class Ended(Exception):
    """The process is over: it died, or what it stands on is broken."""


class Workload:
    """One seed, one story. `wrong` collects what a caller must never see. `store_type`: a planted fault."""

    store_type = SqliteStore

    def __init__(self, machine: Machine, key: Path, seed: int) -> None:
        self.machine = machine
        self.chance = random.Random(seed)
        self.clock = world.Clock()
        self.wrong: list[str] = []
        self.starts = 0
        self.struck = False  # whether the fault was met
        self._key = key
        self._number = seed * 100_000
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
        await self._append()

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
        for change in sorted(self._in_flight):
            happened = self.machine.trace.changes[change].leaves[0] in leaves
            self.machine.mark(Kept(change) if happened else Refused(change))
        self._in_flight.clear()

    def _opened(self) -> SqliteStore:
        assert self._store is not None
        return self._store

    def _trouble(self, doing: str, error: BaseException) -> None:
        if not self.machine.struck:
            self.wrong.append(f"{doing}: {type(error).__name__} without a fault: {error}")

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
            machine.mark(Refused(number))
            return False
        self._must_live()
        self._in_flight.discard(number)
        machine.mark(Kept(number))
        return True

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

    # ---- steps

    async def _step(self) -> None:
        self.clock.pass_by(milliseconds=200)
        steps: tuple[tuple[int, Callable[[], Awaitable[None]]], ...] = (
            (6, self._accept),
            (2, self._accept_together),
            (9, self._work),
            (3, self._seal),
            (1, self._append),
            (1, self._remember),
            (1, self._erase),
        )
        (step,) = self.chance.choices([one for _, one in steps], [weight for weight, _ in steps])
        await step()

    async def _accept_together(self) -> None:
        """Some share one commit."""
        outcomes = await asyncio.gather(*(self._accept() for _ in range(3)), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    def _envelope(self, content: bytes, recipients: int) -> Envelope:
        self._number += 1
        addresses = [Address(f"r{n}", f"clinic{self._number % 3}.example") for n in range(recipients)]
        plain = world.envelope(self._number, self.clock(), addresses)
        return replace(plain, size=len(content), sha256=sha256(content).digest())

    async def _accept(self) -> None:
        store = self._opened()
        content = self.chance.randbytes(self.chance.choice(_SIZES))
        envelope = self._envelope(content, self.chance.choice((1, 1, 1, 3)))
        record = self._recorder.received(envelope)
        progress = tuple(_queued(envelope) for _ in envelope.recipients)
        try:
            body = store.body_writer()
        except StoreBroken as error:
            self._trouble("begin a body", error)
            raise Ended from error
        try:
            for start in range(0, len(content), 50_000):
                await body.write(content[start : start + 50_000])
        except StoreBroken as error:
            self._trouble("write", error)
            raise Ended from error
        except StoreUnavailable as error:
            self._trouble("write", error)
            self._must_live()
            body.abandon()
            return
        until = self.clock() + _LEASE if self.chance.random() < 0.7 else None
        taken: list[Work] = []

        async def call() -> None:
            taken.extend(await store.accept(envelope, body, record, progress=progress, lease_until=until))

        states: dict[str, str | None] = {Errand(envelope, n).id: "queued" for n in range(len(progress))}
        if await self._change(Change(states, _data(record), {envelope.id: envelope.sha256}), call):
            self._works |= {work.errand.id: work for work in taken}

    async def _work(self) -> None:
        """One errand goes one step further."""
        if not self._works:
            try:
                works = await self._opened().lease(self.clock(), self.clock() + _LEASE, 4)
            except StoreBroken as error:
                self._trouble("lease", error)
                raise Ended from error
            except StoreUnavailable as error:
                self._trouble("lease", error)
                self._must_live()
                return
            self._must_live()
            self._works = {work.errand.id: work for work in works}
        if self._works:
            work = self._works.pop(self.chance.choice(sorted(self._works)))
            await (self._sent(work) if work.errand.id in self._out else self._decide(work))

    async def _decide(self, work: Work) -> None:
        errand, now = work.errand, self.clock()
        before = work.progress
        record = Record()
        if before.state is State.SENDING:  # of a process before this one
            before = replace(before, possibly_delivered=True)
            record = self._recorder.unknown(errand, now, before, before.decision)
        facts = world.facts(errand.envelope)
        decided = self._recorder.decided(errand, facts, world.capability(), world.send(), now, before)
        record += decided
        sending = replace(before, state=State.SENDING, due_at=now, decision=decided.leaves[0].id)
        if await self._move(work, sending, record, keep_lease=True):
            self._out.add(errand.id)
            self._works[errand.id] = Work(work.lease, errand, sending)

    async def _sent(self, work: Work) -> None:
        errand, now, progress = work.errand, self.clock(), work.progress
        self._out.discard(errand.id)
        fate = self.chance.random()
        if fate < 0.15:
            return
        attempt = world.attempt(errand, now, number=progress.attempts + 1)
        record = self._recorder.attempted(errand, attempt, world.send(), progress.decision or "", "mx")
        if fate < 0.6:
            after = replace(progress, state=State.DELIVERED, attempts=progress.attempts + 1)
        elif fate < 0.75:
            after = replace(progress, state=State.QUEUED, due_at=now, attempts=progress.attempts + 1)
        elif fate < 0.85:
            after = replace(progress, state=State.HELD, due_at=now + timedelta(days=9))
        else:
            after = replace(progress, state=State.FAILED, attempts=progress.attempts + 1)
        if after.state in FINAL or after.state is State.HELD:
            record += self._recorder.final(errand, after.state, now, after, after.decision)
        spawn = (
            (self._notice(errand),)
            if after.state is State.FAILED and errand.envelope.origin != "notice"
            else ()
        )
        await self._move(work, after, record, spawn, keep_lease=False)

    def _notice(self, errand: Errand) -> NewMessage:
        content = self.chance.randbytes(self.chance.choice((900, 22_000)))
        envelope = replace(self._envelope(content, 1), sender=None, origin="notice")
        return NewMessage(
            envelope=envelope,
            content=content,
            progress=(_queued(envelope),),
            record=self._recorder.received(envelope),
        )

    async def _move(
        self,
        work: Work,
        after: Progress,
        record: Record,
        spawn: tuple[NewMessage, ...] = (),
        *,
        keep_lease: bool,
    ) -> bool:
        store = self._opened()
        states: dict[str, str | None] = {
            work.errand.id: None if after.state in FINAL else after.state.value,
            **{f"{each.envelope.id}.0": "queued" for each in spawn},
        }
        leaves = _data(record) + tuple(leaf for each in spawn for leaf in _data(each.record))
        bodies = {each.envelope.id: each.envelope.sha256 for each in spawn}
        return await self._change(
            Change(states, leaves, bodies),
            lambda: store.commit(work.lease, after, record, spawn, keep_lease=keep_lease),
        )

    async def _seal(self) -> None:
        assert self._sealer is not None
        try:
            await self._sealer.seal()
        except (OSError, StoreUnavailable, StoreBroken) as error:  # the daemon ends in each of these cases
            self._trouble("seal", error)
            raise Ended from error

    async def _append(self) -> None:
        record = self._recorder.heartbeat({}, 300, 1, self.clock())
        store = self._opened()
        await self._change(Change({}, _data(record)), lambda: store.append(record))

    async def _remember(self) -> None:
        await self._quietly(
            self._opened().remember("mx", "clinic.example", bytes(200), self.clock() + _LEASE)
        )

    async def _erase(self) -> None:
        await self._quietly(self._opened().erase_values(f"0m{self._number:018d}"))

    async def _quietly(self, call: Awaitable[None]) -> None:
        try:
            await call
        except StoreBroken as error:
            self._trouble("call", error)
            raise Ended from error
        except StoreUnavailable as error:
            self._trouble("call", error)
        self._must_live()


def _queued(envelope: Envelope) -> Progress:
    return Progress(state=State.QUEUED, due_at=envelope.accepted_at)


def _data(record: Record) -> tuple[bytes, ...]:
    return tuple(leaf.data for leaf in record.leaves)


def play(workload: Workload, steps: int) -> None:
    """The whole story."""
    asyncio.run(workload.run(steps))
