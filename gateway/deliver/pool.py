"""Kept SMTP connections to next hops, bounded and shared fairly.

The key of a connection holds everything that was asked of its handshake, so that no message ever meets a connection
made under another floor. Whoever waits is served in the order of asking; only who waits for a full destination is
overtaken by those who want another.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator

import msgspec

from gateway.model.tls import TlsFloor
from gateway.net.smtp import SmtpConnection
from gateway.net.tls_context import ClientTls
from gateway.wire.endpoint import ConnectFailure, Endpoint


class Hop(msgspec.Struct, frozen=True):
    """What two messages must have in common to share a connection. `plain` never asks for STARTTLS."""

    endpoint: Endpoint
    floor: TlsFloor
    ca_file: str | None = None
    source_address: str | None = None
    plain: bool = False

    def tls(self) -> ClientTls | None:
        return None if self.plain else ClientTls.of(self.floor, self.ca_file)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Connections in all and to one hop, messages over one connection, seconds that one is kept without work."""

    total: int = 500
    per_destination: int = 20
    messages: int = 100
    idle: float = 10


Connector = Callable[[Hop], Awaitable[SmtpConnection | ConnectFailure]]


class Taken(msgspec.Struct, frozen=True, eq=False):
    """A connection in hand, to be given back with `Pool.release`. `kept`: it has carried messages before."""

    hop: Hop
    connection: SmtpConnection
    kept: bool


class _Waiting:
    """Someone who waits for a connection or for leave to open one (None)."""

    def __init__(self, hop: Hop, ready: asyncio.Future[_Kept | None]) -> None:
        self.hop = hop
        self.ready = ready


class _Kept(msgspec.Struct, frozen=True, eq=False):
    connection: SmtpConnection
    until: float


class Pool:
    """Hands out connections. Every place that counts is given back: by `release`, by a failure, by cancellation."""

    def __init__(self, connect: Connector, limits: Limits) -> None:
        self._connect = connect
        self._limits = limits
        self._kept: dict[Hop, deque[_Kept]] = {}  # the most recently used on the right
        self._open: Counter[Hop] = Counter()  # kept, in hand or being opened
        self._total = 0
        self._waiting: deque[_Waiting] = deque()
        self._reaper: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def connections(self) -> int:
        """How many there are, those being opened included."""
        return self._total

    async def take(self, hop: Hop, *, fresh: bool = False) -> Taken | ConnectFailure:
        """A connection for this hop: a kept one, or a new one; `fresh` asks for a new one whatever is kept."""
        kept = await self._place(hop, fresh=fresh)
        if kept is not None:
            return Taken(hop, kept.connection, kept=True)
        try:
            made = await self._connect(hop)
        except BaseException:
            self._forget(hop)
            raise
        if isinstance(made, ConnectFailure):
            self._forget(hop)
            return made
        return Taken(hop, made, kept=False)

    def release(self, taken: Taken, *, keep: bool = True) -> None:
        """Give a connection back, dead or alive; `keep` False: it is of no use for its hop."""
        connection = taken.connection
        spent = not connection.alive or connection.used >= self._limits.messages
        if spent or self._closed or not keep:
            self._close(connection)
            self._forget(taken.hop)
            return
        until = asyncio.get_running_loop().time() + self._limits.idle
        self._kept.setdefault(taken.hop, deque()).append(_Kept(connection, until))
        self._serve()
        self._watch()

    async def close(self) -> None:
        """Close what is kept, and what comes back later; wait for the farewells."""
        self._closed = True
        for hop in list(self._kept):
            for kept in self._kept.pop(hop):
                self._close(kept.connection)
                self._forget(hop)
        if self._reaper is not None:
            self._reaper.cancel()
        while self._closing:
            await asyncio.gather(*self._closing)

    # ------------------------------------------------------------------ places

    async def _place(self, hop: Hop, *, fresh: bool) -> _Kept | None:
        if fresh:
            self._drop(hop)  # what was kept is no younger than the one that proved dead
        if not self._waiting:
            kept = self._kept_alive(hop)
            if kept is not None or self._enter(hop):
                return kept
        waiting = _Waiting(hop, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._serve()
        try:
            return await waiting.ready
        except asyncio.CancelledError:
            self._gave_up(waiting)
            raise

    def _gave_up(self, waiting: _Waiting) -> None:
        """Whoever was cancelled after being served passes it on."""
        if waiting in self._waiting:
            self._waiting.remove(waiting)
        elif waiting.ready.done() and not waiting.ready.cancelled():
            kept = waiting.ready.result()
            if kept is None:
                self._forget(waiting.hop)
            else:
                self.release(Taken(waiting.hop, kept.connection, kept=True))

    def _serve(self) -> None:
        """Serve all who can be served, oldest first."""
        still: deque[_Waiting] = deque()
        while self._waiting:
            waiting = self._waiting.popleft()
            if waiting.ready.done():
                continue  # cancelled, and about to find out
            kept = self._kept_alive(waiting.hop)
            if kept is not None or self._enter(waiting.hop):
                waiting.ready.set_result(kept)
            else:
                still.append(waiting)
                if self._total >= self._limits.total and not any(self._kept.values()):
                    break
        still.extend(self._waiting)
        self._waiting = still

    def _enter(self, hop: Hop) -> bool:
        """Count one more connection for this hop, at the cost of the longest unused of another where all are taken."""
        if self._open[hop] >= self._limits.per_destination:
            return False
        if self._total >= self._limits.total and not self._evict():
            return False
        self._open[hop] += 1
        self._total += 1
        return True

    def _forget(self, hop: Hop) -> None:
        self._uncount(hop)
        self._serve()

    def _uncount(self, hop: Hop) -> None:
        self._total -= 1
        self._open[hop] -= 1
        if not self._open[hop]:
            del self._open[hop]

    def _kept_alive(self, hop: Hop) -> _Kept | None:
        """The most recently used connection that the peer has not closed meanwhile."""
        kept = self._kept.get(hop)
        while kept:
            last = kept.pop()
            if not kept:
                del self._kept[hop]
            if last.connection.alive:
                return last
            self._close(last.connection)
            self._uncount(hop)
        return None

    def _drop(self, hop: Hop) -> None:
        for kept in self._kept.pop(hop, ()):
            self._close(kept.connection)
            self._uncount(hop)

    def _evict(self) -> bool:
        """Close the connection that has been kept longest."""
        oldest = min(self._kept, key=lambda hop: self._kept[hop][0].until, default=None)
        if oldest is None:
            return False
        self._close(self._leftmost(oldest).connection)
        self._uncount(oldest)
        return True

    def _leftmost(self, hop: Hop) -> _Kept:
        kept = self._kept[hop].popleft()
        if not self._kept[hop]:
            del self._kept[hop]
        return kept

    # ------------------------------------------------------------------ ends

    def _watch(self) -> None:
        if self._reaper is None and self._kept:
            due = min(kept[0].until for kept in self._kept.values())
            self._reaper = asyncio.get_running_loop().call_at(due, self._reap)

    def _reap(self) -> None:
        """Close what was kept too long."""
        self._reaper = None
        now = asyncio.get_running_loop().time()
        for hop in list(self._due(now)):
            self._close(self._leftmost(hop).connection)
            self._uncount(hop)
        self._serve()
        self._watch()

    def _due(self, now: float) -> Iterator[Hop]:
        for hop, kept in self._kept.items():
            for one in kept:
                if one.until <= now:
                    yield hop

    def _close(self, connection: SmtpConnection) -> None:
        if not connection.alive:
            connection.abort()
            return
        farewell = asyncio.ensure_future(connection.close())
        self._closing.add(farewell)
        farewell.add_done_callback(self._closing.discard)
