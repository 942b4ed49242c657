"""What the gateway records of itself: start and stop, a heartbeat, clock steps, the policy in force.

A heartbeat makes silence visible to an auditor and carries counters for what strangers can cause, so that nobody can
fill the log by knocking at the door.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from gateway.audit.recorder import Recorder
from gateway.model.audit import Record
from gateway.service.policies import Loaded
from gateway.store.contract import Store, StoreBroken, StoreUnavailable

INTERVAL = 300  # seconds between heartbeats
CLOCK_STEP = timedelta(seconds=2)
_TICK = 5.0


class Heart:
    """Records the service's own life in the audit log."""

    def __init__(
        self,
        store: Store,
        recorder: Recorder,
        incidents: Counter[str],
        *,
        now: Callable[[], datetime],
        fatal: Callable[[BaseException], None],
    ) -> None:
        self._store = store
        self._recorder = recorder
        self._incidents = incidents
        self._now = now
        self._fatal = fatal
        self._began = time.monotonic()
        self._beating: asyncio.Task[None] | None = None

    async def begin(self, *, clean: bool, version: str) -> None:
        """Record the start, and beat from now on."""
        await self._store.append(self._recorder.started(version, INTERVAL, self._now(), clean=clean))
        self.beat()

    def beat(self) -> None:
        """Beat from now on."""
        self._beating = asyncio.create_task(self._beat())

    async def still(self) -> None:
        """Beat no longer."""
        if self._beating is not None:
            self._beating.cancel()

    async def end(self) -> None:
        """Record an orderly stop."""
        await self.still()
        await self._store.append(self._recorder.stopped("signal", self._now()))

    async def policy(self, loaded: Loaded, previous: str | None) -> None:
        """Record that a policy is in force."""
        policy = loaded.policy
        await self._store.append(
            self._recorder.policy_loaded(
                policy.name, policy.hash, self._now(), lists=loaded.texts, previous=previous
            )
        )

    async def policy_refused(self, name: str, problems: Sequence[str]) -> None:
        """Record that a policy was offered and not taken."""
        await self._store.append(self._recorder.policy_refused(name, problems, self._now()))

    async def _beat(self) -> None:
        beaten = time.monotonic()
        wall, steady = self._now(), beaten
        while True:
            await asyncio.sleep(_TICK)
            after, ticked = self._now(), time.monotonic()
            step = (after - wall) - timedelta(seconds=ticked - steady)
            wall, steady = after, ticked
            if abs(step) >= CLOCK_STEP:
                await self._append(self._recorder.clock_step(round(step / timedelta(milliseconds=1)), after))
            if ticked - beaten >= INTERVAL:
                beaten = ticked
                counters = dict(sorted(self._incidents.items()))
                uptime = int(ticked - self._began)
                await self._append(self._recorder.heartbeat(counters, INTERVAL, uptime, after))

    async def _append(self, record: Record) -> None:
        try:
            await self._store.append(record)
        except StoreUnavailable:
            return  # the gap that this leaves is what tells of it
        except StoreBroken as error:
            self._fatal(error)
