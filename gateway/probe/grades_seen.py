"""What a domain's TLS was worth at its best, remembered for a month: who takes that away must gain nothing by it.

Source: policy.md, "Downgrades do not pay". Only grades that rest on what others publish are remembered (DANE and
MTA-STS): a pin is our own word. A grade is forgotten when it was withdrawn provably, when it was not seen for a month,
or when an admin accepts its loss.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

import msgspec

from gateway.model.capability import GradeSeen
from gateway.model.tls import TlsGrade
from gateway.probe.memory import Memory

REMEMBERED = timedelta(days=30)

_KIND = "grades-seen"
_PUBLISHED = (TlsGrade.DANE, TlsGrade.MTA_STS)  # the best first
_NOT_EACH_LOOK = timedelta(hours=6)  # between two notes of the same


class GradesSeen:
    """Reads and writes what is remembered, one domain at a time."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def note(
        self, domain: str, shown: TlsGrade | None, withdrawn: Collection[TlsGrade], now: datetime
    ) -> tuple[GradeSeen, ...]:
        """What the domain has shown, with what it shows now and without what it has withdrawn; best first."""
        known = await self._recall(domain, now)
        seen = {one.grade: one for one in known if one.grade not in withdrawn}
        if shown in _PUBLISHED:
            last = seen.get(shown)
            if last is None or now - last.last_seen >= _NOT_EACH_LOOK:
                seen[shown] = GradeSeen(shown, now)
        latest = tuple(seen[grade] for grade in _PUBLISHED if grade in seen)
        if latest != known:
            await self._keep(domain, latest, now)
        return latest

    async def forget(self, domain: str, now: datetime) -> tuple[GradeSeen, ...]:
        """An admin accepts the loss of all of it; gives what that was."""
        known = await self._recall(domain, now)
        if known:
            await self._keep(domain, (), now)
        return known

    async def _recall(self, domain: str, now: datetime) -> tuple[GradeSeen, ...]:
        value = await self._memory.recall(_KIND, domain, now)
        if not value:
            return ()
        try:
            known = msgspec.msgpack.decode(value, type=tuple[GradeSeen, ...])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return ()  # of a version that wrote it differently
        return tuple(one for one in known if now - one.last_seen <= REMEMBERED)

    async def _keep(self, domain: str, seen: tuple[GradeSeen, ...], now: datetime) -> None:
        expires = max((one.last_seen + REMEMBERED for one in seen), default=now)
        await self._memory.remember(_KIND, domain, msgspec.msgpack.encode(seen), expires)


def lost(seen: tuple[GradeSeen, ...], shown: TlsGrade | None) -> GradeSeen | None:
    """The better grade that a domain which shows `shown` used to show; None where nothing is lost or known."""
    if shown is None or shown is TlsGrade.PIN or not seen:
        return None
    rank = list(TlsGrade).index
    return seen[0] if rank(seen[0].grade) < rank(shown) else None
