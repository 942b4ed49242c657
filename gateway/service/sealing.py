"""The sealer at work in a process, and its sign of life, by which the others know whether mail may be taken.

The sign is a small file that the sealer writes anew after each look at the queue. Whoever takes or sends mail looks at
it four times a second: no sign, an old one, or one that says "halted" means 451 at the door and nothing new on its
way. A file, and not a call, because it must speak where no process does, whoever of them has died.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import structlog

from gateway.audit.sealer import LogSettings, Sealer
from gateway.audit.shard import Halted
from gateway.model.problem import Problem
from gateway.service.clock import entropy, now
from gateway.store.contract import Store, StoreUnavailable

SIGN = "sealing"
SILENCE = 15.0  # seconds without a sign, beside two intervals of sealing: time to start a sealer anew
LOOK = 0.25  # seconds between two looks at the sign
LOCK_PATIENCE = 5.0  # seconds for the sealer of a gateway that was just killed to be gone
RETRY = 0.5  # seconds until a store that is away is asked again

log = structlog.get_logger()


class _Sign(msgspec.Struct):
    """`at` is the machine's time since boot, which no clock setting changes; `valid` how long the sign holds."""

    at: float
    valid: float
    halted: str = ""


class Sealing:
    """Keeps the log sealed. `open`, then `run`; both write the sign."""

    def __init__(self, settings: LogSettings, store: Store, sign: Path, interval: timedelta) -> None:
        self._settings = settings
        self._store = store
        self._sign = sign
        self._interval = interval.total_seconds()
        self._sealer: Sealer

    async def open(self) -> None:
        """Take the log. Raises Halted; waits while the store is away."""
        while True:
            self._sealer = Sealer(self._settings, self._store, now, entropy)
            try:
                await self._sealer.open(LOCK_PATIENCE)
            except StoreUnavailable:
                await asyncio.sleep(RETRY)
            except Halted as halted:
                self._write(str(halted))
                raise
            else:
                self._alive()
                return

    async def run(self, stop: asyncio.Event) -> None:
        """Seal until `stop`, and then what is left. Raises Halted, OSError or StoreBroken: nothing is signed then."""
        while True:
            try:
                await self._sealer.run(stop, self._interval, self._alive)
            except StoreUnavailable:
                if stop.is_set():
                    return  # what is left is sealed at the next start
                await self.open()
            except Halted as halted:
                self._write(str(halted))
                raise
            else:
                self._sign.unlink(missing_ok=True)  # whoever starts now waits for the next sealer
                return

    def _alive(self) -> None:
        self._write("")

    def _write(self, halted: str) -> None:
        sign = _Sign(_since_boot(), SILENCE + 2 * self._interval, halted)
        fresh = self._sign.with_name(f"{self._sign.name}.new")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, 0o644)  # the other roles' users read it
            file.write(msgspec.json.encode(sign))
        fresh.replace(self._sign)


class SealerWatch:
    """Looks at the sign. `trouble` is why no mail may be taken or sent now, or None. It begins with trouble."""

    def __init__(self, sign: Path, changed: Callable[[], None]) -> None:
        self._sign = sign
        self._changed = changed
        self.trouble: Problem | None = _trouble("nobody has looked for the sealer yet")

    def look(self) -> None:
        """Look now."""
        before = self.trouble
        self.trouble = self._seen()
        if before != self.trouble:
            if self.trouble is not None:
                log.error("no mail is taken and none leaves", reason=self.trouble.private)
            self._changed()

    async def run(self) -> None:
        """Look again and again."""
        while True:
            self.look()
            await asyncio.sleep(LOOK)

    def _seen(self) -> Problem | None:
        try:
            sign = msgspec.json.decode(self._sign.read_bytes(), type=_Sign)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return _trouble(f"the sealer gives no sign of life in {self._sign}")
        if sign.halted:
            return _trouble(f"the audit log is halted: {sign.halted}")
        if not 0 <= _since_boot() - sign.at <= sign.valid:
            return _trouble("the sealer has given no sign of life for too long")
        return None


def _trouble(why: str) -> Problem:
    return Problem("4.3.0", "this gateway cannot take mail now; try again later", why)


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
