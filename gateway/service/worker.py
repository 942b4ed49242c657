"""The worker: takes errands from the queue and carries them, a message at a time, never more than it can hold.

Promises: an errand is carried by one task at a time (its lease), an errand that met a bug goes back to the queue with a
record and is held after some tries, and memory is bounded by `Limits` whatever waits in the queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Protocol

from gateway.journey import Foreseen, Stages, Unsettled, carry, depart, foresee
from gateway.model.envelope import Envelope
from gateway.model.progress import Lease, State, Work
from gateway.store.contract import StoreBroken, StoreUnavailable

LEASE = timedelta(minutes=15)
RENEW_EVERY = 300.0  # seconds; well within LEASE
LONGEST_NAP = 30.0  # seconds between two looks at the queue when nothing is known to be due
RETRY_AFTER_TROUBLE = 1.0  # seconds, when the store did not answer


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one worker holds at once."""

    messages: int = 400
    octets: int = 256 * 1024 * 1024


class Queue(Protocol):
    """What the worker needs of the store."""

    async def lease(self, now: datetime, until: datetime, limit: int) -> Sequence[Work]:
        """Errands that are due, each exclusively ours until `until`."""
        ...

    async def renew(self, lease: Lease, until: datetime) -> Lease:
        """Keep a lease."""
        ...

    async def next_due(self) -> datetime | None:
        """When the next errand is due, or None."""
        ...


class Worker:
    """Carries what ingress hands over at once (`take`) and what the queue says is due (`run`)."""

    def __init__(
        self,
        queue: Queue,
        stages: Stages,
        *,
        now: Callable[[], datetime],
        setback: Callable[[Work, Exception], Awaitable[None]],
        expired: Callable[[Work], Awaitable[None]],
        broken: Callable[[StoreBroken], None],
        report: Callable[[Work], Awaitable[None]] | None = None,
        resting: Callable[[], bool] = lambda: False,
        limits: Limits = Limits(),
    ) -> None:
        self._queue = queue
        self._stages = stages
        self._now = now
        self._setback = setback
        self._expired = expired
        self._broken = broken
        self._report = report  # reads what came back; where no listener takes reports, there are none
        self._resting = resting  # nothing new may leave now; whoever ends that rest wakes us
        self._limits = limits
        self._running: dict[asyncio.Task[None], Sequence[Work]] = {}
        self._octets = 0
        self._wake = asyncio.Event()
        self._stopping = False

    @property
    def has_room(self) -> bool:
        """Whether another message may be taken now. One message is always taken, however large."""
        if self._stopping or self._resting():
            return False
        return not self._running or (
            len(self._running) < self._limits.messages and self._octets < self._limits.octets
        )

    def lease_until(self) -> datetime | None:
        """Until when a message that is being accepted may be leased to this worker; None: leave it to the queue."""
        return self._now() + LEASE if self.has_room else None

    async def foresee(self, envelope: Envelope, content: bytes) -> Foreseen | None:
        """What can be decided of a message before it is on disk; see `gateway.journey.foresee`."""
        try:
            return await foresee(envelope, content, self._stages)
        except Exception:  # noqa: BLE001  (the ordinary way meets it again, and has a place for it)
            return None

    def take(self, works: Sequence[Work], foreseen: Foreseen | None = None) -> None:
        """Carry the errands of one message, which are already leased to us; with `foreseen` they are on the way out."""
        if not works:
            return
        size = works[0].errand.envelope.size
        self._octets += size
        task = asyncio.get_running_loop().create_task(self._carry(works, foreseen))
        self._running[task] = works
        task.add_done_callback(lambda done: self._finished(done, size))

    def wake(self) -> None:
        """Look at the queue now: something may have become due."""
        self._wake.set()

    async def run(self) -> None:
        """Take what is due until `stop`."""
        renewing = asyncio.create_task(self._keep_leases())
        try:
            while not self._stopping:
                try:
                    await self._look()
                except StoreUnavailable:
                    await asyncio.sleep(RETRY_AFTER_TROUBLE)
                except StoreBroken as error:
                    self._broken(error)
                    return
        finally:
            renewing.cancel()

    async def stop(self, grace: float) -> int:
        """Take nothing more, let what runs finish within `grace` seconds; the number of messages cut off."""
        self._stopping = True
        self._wake.set()
        if self._running:
            await asyncio.wait(list(self._running), timeout=grace)
        cut = list(self._running)
        for task in cut:
            task.cancel()
        await asyncio.gather(*cut, return_exceptions=True)
        return len(cut)

    async def _look(self) -> None:
        self._wake.clear()
        now = self._now()
        works: Sequence[Work] = ()
        if self.has_room:
            room = max(1, self._limits.messages - len(self._running))
            works = await self._queue.lease(now, now + LEASE, room)
        for _, group in groupby(works, key=lambda work: work.errand.envelope.id):
            self.take(list(group))
        if not works:
            await self._nap()

    async def _nap(self) -> None:
        due = await self._queue.next_due() if self.has_room else None
        seconds = LONGEST_NAP if due is None else (due - self._now()).total_seconds()
        try:
            await asyncio.wait_for(self._wake.wait(), min(max(seconds, 0.01), LONGEST_NAP))
        except TimeoutError:
            return

    async def _carry(self, works: Sequence[Work], foreseen: Foreseen | None) -> None:
        try:
            if foreseen is not None:
                await depart(works, foreseen, self._stages)
                return
            due = [work for work in works if work.progress.state is not State.HELD]
            for work in works:
                if work.progress.state is State.HELD:  # leased because its time is up
                    await self._expired(work)
            if due and due[0].errand.envelope.origin == "bounce":
                await self._read_reports(due)
            elif due:
                await carry(due, self._stages)
        except Unsettled as unsettled:
            await self._put_back(unsettled.troubles)
        except Exception as trouble:  # noqa: BLE001  (whatever it was: the errands go back, nothing is lost)
            await self._put_back([(work, trouble) for work in works])

    async def _read_reports(self, works: Sequence[Work]) -> None:
        troubles: list[tuple[Work, Exception]] = []
        for work in works:
            try:
                if self._report is None:
                    raise LookupError("no listener takes reports any more")
                await self._report(work)
            except Exception as trouble:  # noqa: BLE001  (one report's trouble is not the next one's)
                troubles.append((work, trouble))
        if troubles:
            await self._put_back(troubles)

    async def _put_back(self, troubles: Sequence[tuple[Work, Exception]]) -> None:
        try:
            for work, trouble in troubles:
                await self._setback(work, trouble)
        except StoreBroken as error:
            self._broken(error)
        except StoreUnavailable:
            return  # the leases run out, and the queue offers the errands again

    def _finished(self, task: asyncio.Task[None], size: int) -> None:
        was_full = not self.has_room
        self._running.pop(task, None)
        self._octets -= size
        if was_full:  # else nothing waited for it: who has put something into the queue wakes us
            self._wake.set()
        if not task.cancelled():
            task.exception()  # a setback that failed too: the lease runs out and the queue offers the errand again

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY)
            for works in list(self._running.values()):
                for work in works:
                    await self._renew(work.lease)

    async def _renew(self, lease: Lease) -> None:
        try:
            await self._queue.renew(lease, self._now() + LEASE)
        except Exception:  # noqa: BLE001  (settled meanwhile, or lost: then its commit will be refused)
            return
