"""The life of a small gateway: mail comes, is decided, sent, deferred, held; the log is sealed, values are kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

from msgspec.structs import replace

from gateway.model.address import Address
from gateway.model.audit import Record
from gateway.model.envelope import Envelope, Errand
from gateway.model.progress import FINAL, Progress, State, Work
from gateway.store.contract import NewMessage, StoreBroken, StoreUnavailable
from tests.crash.beside import personal
from tests.crash.machine import Machine
from tests.crash.process import LEASE, Ended
from tests.crash.trace import Change
from tests.crash.upkeep import Upkeep
from tests.unit.audit import world

_SIZES = (300, 4_000, 16_000, 20_000, 45_000, 66_000, 90_000, 140_000)


class Workload(Upkeep):
    """One story of a seed."""

    def __init__(self, machine: Machine, key: Path, seed: int) -> None:
        super().__init__(machine, key, seed)
        self._number = seed * 100_000

    async def _began(self) -> None:
        for step in (self._append, self._remember, self._remember_first, self._count):
            await step()

    async def _step(self) -> None:
        self.clock.pass_by(milliseconds=200)
        steps: tuple[tuple[int, Callable[[], Awaitable[None]]], ...] = (
            (6, self._accept),
            (2, self._accept_together),
            (9, self._work),
            (3, self._seal),
            (1, self._append),
            (2, self._remember),
            (3, self._remember_first),
            (2, self._count),
            (3, self._erase),
            (1, self._renew),
            (2, self._claim),
            (1, self._look),
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
        until = self.clock() + LEASE if self.chance.random() < 0.7 else None
        taken: list[Work] = []

        async def call() -> None:
            taken.extend(await store.accept(envelope, body, record, progress=progress, lease_until=until))

        states: dict[str, str | None] = {Errand(envelope, n).id: "queued" for n in range(len(progress))}
        if await self._change(
            Change(states, _data(record), {envelope.id: envelope.sha256}, personal(record)), call
        ):
            self._works |= {work.errand.id: work for work in taken}

    async def _work(self) -> None:
        """One errand goes one step further."""
        if not self._works:
            try:
                works = await self._opened().lease(self.clock(), self.clock() + LEASE, 4)
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
        values = personal(sum((each.record for each in spawn), record))
        return await self._change(
            Change(states, leaves, bodies, values),
            lambda: store.commit(work.lease, after, record, spawn, keep_lease=keep_lease),
        )

    async def _append(self) -> None:
        record = self._recorder.heartbeat({}, 300, 1, self.clock())
        store = self._opened()
        await self._change(Change({}, _data(record)), lambda: store.append(record))


def _queued(envelope: Envelope) -> Progress:
    return Progress(state=State.QUEUED, due_at=envelope.accepted_at)


def _data(record: Record) -> tuple[bytes, ...]:
    return tuple(leaf.data for leaf in record.leaves)


def play(workload: Workload, steps: int) -> None:
    """The whole story."""
    asyncio.run(workload.run(steps))
