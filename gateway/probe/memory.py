"""What must survive a restart: since when a domain's mail servers are the same, since when a lookup fails.

Both move decisions (`mx_continuity` and `patience` of policy.md), so forgetting them only ever delays: a forgotten
continuity counts from now, a forgotten failure is waited for anew.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol, TypeVar

import msgspec

T = TypeVar("T")

_CONTINUITY = "mx-continuity"
_FAILURE = "probe-failure"
_KEPT = timedelta(days=60)  # how long a domain may go without mail before its continuity is forgotten
_OUTAGE_ENDS = timedelta(days=1)  # a failure that did not recur for so long is over, seen or not


class Memory(Protocol):
    """A small durable dictionary. Values that are too old or too many may be forgotten."""

    async def remember(self, kind: str, key: str, value: bytes, expires: datetime) -> None:
        """Durable when it returns; a later value replaces it."""
        ...

    async def recall(self, kind: str, key: str, now: datetime) -> bytes | None:
        """The value, unless it has expired."""
        ...


class _Continuity(msgspec.Struct, frozen=True):
    hosts: tuple[str, ...]
    since: datetime
    seen: datetime


class Recollection:
    """Reads and writes the two facts."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def unchanged_since(self, domain: str, hosts: frozenset[str], now: datetime) -> datetime:
        """Since when nobody but these hosts took the domain's mail, as far as we saw; notes what is seen now.

        A host that was not there at the last look starts the count anew; one that left does not.
        """
        value = await self._memory.recall(_CONTINUITY, domain, now)
        known = _decode(value, _Continuity)
        since = known.since if known is not None and hosts.issubset(known.hosts) else now
        # Not each look is worth a write; a day more or less in an expiry of months is.
        if known is None or hosts != frozenset(known.hosts) or now - known.seen > timedelta(days=1):
            fresh = _Continuity(tuple(sorted(hosts)), since, now)
            await self._memory.remember(_CONTINUITY, domain, msgspec.msgpack.encode(fresh), now + _KEPT)
        return since

    async def failing_since(self, source: str, domain: str, now: datetime) -> datetime:
        """When this outage of `source` for `domain` was first noticed; notes that it goes on."""
        key = f"{source} {domain}"
        value = await self._memory.recall(_FAILURE, key, now)
        since = _decode(value, datetime) or now
        await self._memory.remember(_FAILURE, key, msgspec.msgpack.encode(since), now + _OUTAGE_ENDS)
        return since

    async def works_again(self, source: str, domain: str, now: datetime) -> None:
        """The outage is over; the next one has its own beginning."""
        key = f"{source} {domain}"
        if await self._memory.recall(_FAILURE, key, now):
            await self._memory.remember(_FAILURE, key, b"", now)


def _decode(value: bytes | None, kind: type[T]) -> T | None:
    """A value that this version cannot read is a forgotten one."""
    if not value:
        return None
    try:
        return msgspec.msgpack.decode(value, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
