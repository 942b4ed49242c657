"""The self-test of a running gateway: it tries to relay through itself, daily and after each reload, and raises alarms.

A connector that somebody has opened too wide is found by the gateway before a stranger finds it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import structlog

from gateway.config import ConfigError, load
from gateway.model.alarm import AlarmKind
from gateway.service.alerts.alarms import Alarms
from gateway.service.doctor.check import Check
from gateway.service.doctor.examination import relaying_of

FIRST = 60.0  # seconds after the start: listeners are up by then, in this process or another one
_SETTLE = 5.0  # seconds after a reload, for the other processes to have reloaded too

log = structlog.get_logger()


class SelfTest:
    """Runs until cancelled. The configuration is read anew each time, as a reload reads it."""

    def __init__(
        self, file: Path, alarms: Alarms, every: timedelta, *, first: float = FIRST, settle: float = _SETTLE
    ) -> None:
        self._file = file
        self._alarms = alarms
        self._every = every.total_seconds()
        self._first = first
        self._settle = settle
        self._reloaded = asyncio.Event()

    def soon(self) -> None:
        """The rules have changed."""
        self._reloaded.set()

    async def run(self) -> None:
        """Test again and again."""
        wait = self._first
        while True:
            try:
                await asyncio.wait_for(self._reloaded.wait(), wait)
            except TimeoutError:
                pass
            else:
                await asyncio.sleep(self._settle)
            self._reloaded.clear()
            try:
                await self._test()
            except Exception as bug:  # (a self-test that ends is worse than one that fails)
                log.error("the relay self-test failed", exc_info=bug)
            wait = self._every

    async def _test(self) -> None:
        try:
            config = load(self._file, os.environ)
        except ConfigError as error:
            log.warning("the relay self-test needs a configuration that can be read", reason=str(error))
            return
        checks = await relaying_of(config)
        raise_alarms(self._alarms, checks)
        log.info(
            "the relay self-test is done", attempts=len(checks), faults=sum(c.state == "fail" for c in checks)
        )


def raise_alarms(alarms: Alarms, checks: Sequence[Check]) -> None:
    """An alarm for each attempt that succeeded, and its end where it no longer does."""
    alarms.settle(AlarmKind.RELAY, _troubles([one for one in checks if one.area == "relay"]))


def raise_all_alarms(alarms: Alarms, checks: Sequence[Check]) -> None:
    """The same for everything that does not work. What was an alarm already makes no second one."""
    raise_alarms(alarms, checks)
    others = [one for one in checks if one.area != "relay" and not one.name.startswith("alarm ")]
    alarms.settle(AlarmKind.DOCTOR, _troubles(others))


def _troubles(checks: Sequence[Check]) -> dict[str, tuple[str, str]]:
    return {one.name: (one.what, one.remedy or one.why) for one in checks if one.state == "fail"}
