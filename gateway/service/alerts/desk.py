"""The desk where alarms are told: every channel hears all of them, at least once, each in its own time.

A channel that cannot be reached is tried again, at growing intervals, and holds up no other. What it was told is in a
file of its own beside the alarms, so that a restart neither tells everything again nor forgets what was not told; a
crash between telling and writing tells once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import structlog

from gateway.service.alerts.alarms import Alarms
from gateway.service.alerts.channels import CannotTell, Channel
from gateway.service.alerts.news import Memory, after_telling, news

LOOK = 1.0  # seconds between two looks at the alarms
_RETRIES = (5.0, 30.0, 120.0, 600.0)  # seconds after a channel's first, second ... failure

log = structlog.get_logger()


class Desk:
    """Tells the alarms of one gateway. `interval` and `repeat`: see `news`."""

    def __init__(
        self,
        alarms: Alarms,
        channels: Sequence[Channel],
        folder: Path,
        *,
        interval: timedelta,
        repeat: timedelta,
        now: Callable[[], datetime],
        look: float = LOOK,
        retries: Sequence[float] = _RETRIES,
    ) -> None:
        self._alarms = alarms
        self._channels = channels
        self._folder = folder
        self._interval = interval
        self._repeat = repeat
        self._now = now
        self._look = look
        self._retries = retries
        self._memories: dict[str, Memory] = {}

    async def run(self) -> None:
        """Tell until cancelled."""
        await asyncio.gather(*(self._serve(channel) for channel in self._channels))

    async def _serve(self, channel: Channel) -> None:
        failures = 0
        while True:
            try:
                await self._tell(channel)
                failures = 0
            except CannotTell as trouble:
                log.error("an alarm could not be told", channel=channel.name, reason=str(trouble))
                failures += 1
            except Exception as bug:  # (one bad alarm must not silence the others' channels)
                log.error("an alarm could not be told", channel=channel.name, exc_info=bug)
                failures += 1
            wait = self._retries[min(failures, len(self._retries)) - 1] if failures else self._look
            await asyncio.sleep(wait)

    async def _tell(self, channel: Channel) -> None:
        now = self._now()
        file = self._folder / f"told-{channel.name}.json"
        memory = self._memories.get(channel.name) or _recalled(file)
        standing = self._alarms.standing()
        for digest in news(standing, memory, now, interval=self._interval, repeat=self._repeat):
            await channel.tell(digest, now)
            memory = self._memories[channel.name] = after_telling(memory, digest, now, standing)
            _remember(file, memory)


def _recalled(file: Path) -> Memory:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Memory)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return Memory()  # it is told again: better twice than not at all


def _remember(file: Path, memory: Memory) -> None:
    fresh = file.with_suffix(".new")
    try:
        fresh.write_bytes(msgspec.json.encode(memory))
        fresh.replace(file)
    except OSError as error:  # as on a full disk: this process remembers, the next one tells again
        log.error("what was told could not be written down", file=str(file), reason=error.strerror)
