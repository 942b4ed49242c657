"""Answers that stay warm while they are in use: nobody waits for one that somebody asked for in the last one's life.

Promises: a key is looked up once at a time, whoever asks; looks are bounded, and those ahead of use have a room of
their own, so that no first look waits for them; an answer that counts is replaced by a definite one only; what nobody
asks for is not asked for again. When an answer is worth asking for again is decided in `due`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from typing import Generic, Protocol, TypeAlias, TypeVar

import msgspec
from msgspec.structs import replace

from gateway.probe.cache import BoundedCache
from gateway.probe.due import due_at
from gateway.probe.tasks import TaskByKey

K = TypeVar("K", bound=Hashable)
K_contra = TypeVar("K_contra", contravariant=True)
V = TypeVar("V")

# What is counted: a look that somebody waited for; one ahead of use that gave an answer; one that gave none which is
# definite, so that the answer before it was kept.
WAITED = "waited"
RENEWED = "renewed"
NOT_RENEWED = "not_renewed"


class Learned(msgspec.Struct, Generic[V], frozen=True):
    """What a look found, how long it counts, and whether it is worth renewing: a failure has its own retry."""

    value: V
    lasts: timedelta
    renewed: bool = True


class Look(Protocol[K_contra, V]):
    """Finds an answer. `ahead` of use nobody waits, and nothing will do that is old already."""

    async def __call__(self, key: K_contra, now: datetime, /, *, ahead: bool) -> Learned[V]:
        """Takes as long as it must; what it raises reaches those who wait."""
        ...


class WarmSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How much is done at once, and kept; how long at most until the next try where a renewal came to nothing."""

    at_once: int  # first looks; of those ahead of use, half as many beside them
    remembered: int
    last_retry: timedelta


class _Kept(msgspec.Struct, Generic[V], frozen=True):
    """An answer, until when it counts, and from when on it is worth renewing."""

    value: V
    until: datetime
    due: datetime | None


class Warm(Generic[K, V]):
    """Answers to one kind of question. Time is an argument.

    `replaces(old, new)` says whether an answer ahead of use may take the place of one that still counts. `overtaken`
    hears of an answer that was being renewed when its key was forgotten.
    """

    def __init__(
        self,
        look: Look[K, V],
        replaces: Callable[[V, V], bool],
        settings: WarmSettings,
        *,
        overtaken: Callable[[V], None] = lambda _: None,
        counted: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._look = look
        self._replaces = replaces
        self._settings = settings
        self._overtaken = overtaken
        self._counted = counted
        self._kept: BoundedCache[K, _Kept[V]] = BoundedCache(settings.remembered)
        self._looking: TaskByKey[K, V] = TaskByKey()
        self._awaited: dict[K, datetime] = {}  # the latest moment of a question that waits
        self._room = asyncio.Semaphore(settings.at_once)
        self._ahead: set[asyncio.Task[V]] = set()
        self._in_use: _Line[K] = _Line(settings.remembered)
        self._closed = False

    def known(self, key: K, now: datetime) -> V | None:
        """The answer, if one still counts; it is in use now."""
        kept = self._kept.get(key, now)
        if kept is None:
            return None
        if kept.due is not None and (kept.due > now or not self._renew(key, now)):
            self._in_use.add(key, kept.due)
        return kept.value

    async def get(self, key: K, now: datetime) -> V:
        """The answer, waited for where none counts."""
        known = self.known(key, now)
        if known is not None:
            return known
        if key not in self._awaited:
            self._counted(WAITED)
        self._awaited[key] = max(self._awaited.get(key, now), now)
        task = self._looking.get(key) or self._start(key, now, ahead=False)
        # Who waits may be cancelled; the look goes on for the others, and for the cache.
        return await asyncio.shield(task)

    def renew_due(self, now: datetime) -> None:
        """Begin to renew what is in use and worth it at `now`, as far as there is room; call it every few seconds."""
        while (next_one := self._in_use.first(now)) is not None:
            key, due = next_one
            kept = self._kept.get(key, now)
            if kept is not None and kept.due == due and not self._renew(key, now):
                return
            self._in_use.drop_first()

    def forget(self, key: K) -> V | None:
        """Look again at the next question, and believe no renewal that began before; gives what was known."""
        if self._looking.get(key) in self._ahead:
            self._looking.let_go(key)
            self._awaited.pop(key, None)
        kept = self._kept.drop(key)
        return None if kept is None else kept.value

    async def close(self) -> None:
        """End the looks under way."""
        self._closed = True
        await self._looking.close()

    # ---- looks -----------------------------------------------------------------------------------------------------

    def _renew(self, key: K, now: datetime) -> bool:
        """Whether a look at it is under way now."""
        if self._looking.get(key) is None:
            if self._closed or len(self._ahead) >= max(1, self._settings.at_once // 2):
                return False
            task = self._start(key, now, ahead=True)
            self._ahead.add(task)
            task.add_done_callback(self._ahead.discard)
        return True

    def _start(self, key: K, now: datetime, *, ahead: bool) -> asyncio.Task[V]:
        work = self._renewal(key, now) if ahead else self._first(key, now)
        return self._looking.start(key, work, f"probe {key}")

    async def _first(self, key: K, now: datetime) -> V:
        try:
            async with self._room:
                learned = await self._look(key, now, ahead=False)
        finally:
            self._awaited.pop(key, None)
        self._keep(key, learned, now)
        return learned.value

    async def _renewal(self, key: K, now: datetime) -> V:
        try:
            learned = await self._look(key, now, ahead=True)
        except Exception:
            if self._looking.get(key) is asyncio.current_task():
                self._settle(key, None, now)
            raise
        if self._looking.get(key) is asyncio.current_task():
            self._settle(key, learned, now)
        else:
            self._overtaken(learned.value)
        return learned.value

    def _settle(self, key: K, learned: Learned[V] | None, now: datetime) -> None:
        """Take what a renewal learned, unless it is not definite and the answer before it still counts.

        Whoever came to wait for it found that the one before did not count any more.
        """
        old = self._kept.get(key, self._awaited.pop(key, now))
        if learned is not None and (old is None or self._replaces(old.value, learned.value)):
            self._keep(key, learned, now)
            self._counted(RENEWED)
            return
        self._counted(NOT_RENEWED)
        if old is not None:
            longest = self._settings.last_retry
            due = now + (longest if learned is None else min(learned.lasts, longest))
            self._kept.put(key, replace(old, due=due), old.until)
            self._in_use.add(key, due)

    def _keep(self, key: K, learned: Learned[V], now: datetime) -> None:
        due = due_at(str(key), now, learned.lasts) if learned.renewed else None
        until = now + learned.lasts
        self._kept.put(key, _Kept(learned.value, until, due), until)


_Place: TypeAlias = tuple[datetime, int, K]


class _Line(Generic[K]):
    """Keys that are in use, by when they are due; at most `limit`. A key's latest place is the one that counts."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._places: list[_Place[K]] = []
        self._due: dict[K, datetime] = {}
        self._numbers = count()

    def add(self, key: K, due: datetime) -> None:
        if self._due.get(key) != due and len(self._places) < self._limit:
            self._due[key] = due
            heappush(self._places, (due, next(self._numbers), key))

    def first(self, now: datetime) -> tuple[K, datetime] | None:
        """The first that is due at `now`."""
        while self._places and self._places[0][0] <= now:
            due, _, key = self._places[0]
            if self._due.get(key) == due:
                return key, due
            heappop(self._places)
        return None

    def drop_first(self) -> None:
        due, _, key = heappop(self._places)
        if self._due.get(key) == due:
            del self._due[key]
