"""Steps of a story that concern no message's way: values are remembered, counted and erased, errands are looked at."""

from __future__ import annotations

from abc import abstractmethod
from hashlib import sha256

from msgspec.structs import replace

from gateway.audit.leaves import Actor
from gateway.model.audit import Record
from gateway.model.progress import Progress, State, Work
from tests.crash.beside import TOPIC, message_of, read_values
from tests.crash.process import LEASE, Process
from tests.crash.trace import Change

_KEYS = "abc"
_FIRSTS = "abcdefgh"  # more, since each can be taken only once
_OPERATOR = Actor(uid=1000, user="operator")
_SOME = 50


class Upkeep(Process):
    """What a gateway does beside carrying mail."""

    async def _remember(self) -> None:
        store, key, value = self._opened(), self.chance.choice(_KEYS), self.chance.randbytes(40)
        until = self.clock() + LEASE
        await self._change(
            Change({}, values={f"value {key}": value.hex()}),
            lambda: store.remember("value", key, value, until),
        )

    async def _remember_first(self) -> None:
        store, key, value = self._opened(), self.chance.choice(_FIRSTS), self.chance.randbytes(40)
        name, now = f"first {key}", self.clock()
        there = self.values.get(name)
        done: list[bool] = []

        async def call() -> None:
            done.append(await store.remember_first("first", key, value, now + LEASE, now))

        if await self._change(Change({}, values={name: there or value.hex()}), call) and done == [
            bool(there)
        ]:
            self.wrong.append(f"{name}: {there} was there, and the answer was {done[0]}")

    async def _count(self) -> None:
        store, now = self._opened(), self.clock()
        amounts = {key: self.chance.randrange(1, 100) for key in self.chance.sample(_KEYS, 2)}
        sums = {
            f"count {key}": int(self.values.get(f"count {key}", 0)) + more for key, more in amounts.items()
        }
        await self._change(
            Change({}, values={name: str(amount) for name, amount in sums.items()}),
            lambda: store.tally(TOPIC, amounts, now + LEASE, now),
        )

    async def _erase(self) -> None:
        store = self._opened()
        messages = sorted({found for name in self.values if (found := message_of(name))})
        if messages:
            message = self.chance.choice(messages)
            gone: dict[str, str | None] = {name: None for name in self.values if message_of(name) == message}
            await self._change(Change({}, values=gone), lambda: store.erase_values(message))

    async def _renew(self) -> None:
        if self._works:
            work = self._works[self.chance.choice(sorted(self._works))]
            lease = await self._quietly(self._opened().renew(work.lease, self.clock() + 2 * LEASE))
            if lease is not None:
                self._works[work.errand.id] = Work(lease, work.errand, work.progress)

    async def _claim(self) -> None:
        """An operator takes an errand by its name: one that is held is let go, another is worked on at once."""
        store, now = self._opened(), self.clock()
        free = [
            entry
            for entry in await self._quietly(store.entries(limit=_SOME)) or ()
            if entry.errand.id not in self._works
        ]
        if not free:
            return
        work = await self._quietly(store.claim(self.chance.choice(free).errand.id, now, now + LEASE))
        if work is None:
            return
        if work.progress.state is not State.HELD:
            self._works[work.errand.id] = work
            return
        record = self._recorder.action("release", _OPERATOR, "it may go", now, work.errand)
        await self._move(
            work, replace(work.progress, state=State.QUEUED, due_at=now), record, keep_lease=False
        )

    async def _look(self) -> None:
        """What can be read is what was written."""
        store = self._opened()
        seen = await self._quietly(read_values(store, self.values, self.clock()))
        if seen is not None and seen != self.values:
            self.wrong.append(f"kept beside the queue is {seen}, not {self.values}")
        entries = await self._quietly(store.entries(limit=_SOME))
        if entries is None:
            return
        counts = await self._quietly(store.counts())
        if counts is not None and len(entries) != min(_SOME, counts.queued + counts.sending + counts.held):
            self.wrong.append(f"{len(entries)} errands are listed, counted are {counts}")
        if (await self._quietly(store.next_due()) is None) and entries and not self.machine.struck:
            self.wrong.append(f"{len(entries)} errands, and none is ever due")
        if entries:
            envelope = self.chance.choice(entries).errand.envelope
            content = await self._quietly(store.content(envelope))
            if content is not None and sha256(content).digest() != envelope.sha256:
                self.wrong.append(f"{envelope.id} has another body")

    @abstractmethod
    async def _move(self, work: Work, after: Progress, record: Record, *, keep_lease: bool) -> bool:
        """Commit where the errand stands then; whether that took effect."""
