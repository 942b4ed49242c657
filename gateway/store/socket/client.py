"""The back of another process, as `back.Back`: asks of one turn of the event loop leave together.

When the connection is lost, every ask in flight is answered `StoreUnavailable` (it may or may not have happened), and
so is every later one until the store is back; then we are a new front to it, and seal with new keys.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any, cast

from gateway.store import back as b
from gateway.store.contract import StoreBroken
from gateway.store.socket.files import HandedFiles
from gateway.store.socket.protocol import (
    LONGEST_FRAME,
    Frames,
    Garbled,
    Kind,
    decode_names,
    read_answer,
    request,
)
from gateway.store.troubles import unavailable

_LOOK_EVERY = 0.2  # seconds between two attempts to find the store again
_MOST_UNSENT = 64 * 1024 * 1024  # octets that wait for a store that does not read


class SocketBack:
    """One front's way to the store. All calls belong to the event loop on which it was made.

    `lost` is set by the front: it is called when the connection is gone, before anything else is asked.
    """

    def __init__(
        self,
        path: Path,
        root: bytes | None,
        files: HandedFiles,
        on_forgotten: Callable[[Sequence[str]], None],
        on_due: Callable[[], None] | None,
    ) -> None:
        self._path = path
        self._root = root
        self._files = files
        self._on_forgotten = on_forgotten
        self._on_due = on_due
        self._loop = asyncio.get_running_loop()
        self._numbers = count(1)
        self._wire: _Wire | None = None
        self._ready = False
        self._closed = False
        self._returning: asyncio.Task[None] | None = None
        self._broken: str | None = None
        self.lost: Callable[[], None] = lambda: None

    async def connect(self) -> b.Begun:
        """Raises `OSError` where nobody is there, `StoreUnusable` where it is not for us."""
        _, wire = await self._loop.create_unix_connection(lambda: _Wire(self), str(self._path))
        self._wire = wire
        try:
            begun: b.Begun = await self._sent(b.Begin(self._root))
        except BaseException:
            wire.hang_up()
            raise
        self._files.token = begun.token
        self._ready = True
        return begun

    def ask(self, ask: b.Ask) -> asyncio.Future[Any]:
        if self._closed:
            raise unavailable("the store is closed")
        if not self._ready:
            raise unavailable(f"the store is away ({self._path})")
        return self._sent(ask)

    def _sent(self, ask: b.Ask) -> asyncio.Future[Any]:
        wire = self._wire
        if wire is None:
            raise unavailable(f"the store is away ({self._path})")
        number = next(self._numbers) & 0xFFFF_FFFF or next(self._numbers)
        answer = self._loop.create_future()
        wire.send(number, type(ask), answer, request(number, ask))
        return answer

    @property
    def broken(self) -> str | None:
        return self._broken

    async def leave(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._returning is not None:
            self._returning.cancel()
            await asyncio.gather(self._returning, return_exceptions=True)
        if self._wire is not None:
            self._wire.hang_up()
            await self._wire.gone

    # ---- what the wire reports

    def heard(self, kind: int, payload: memoryview) -> None:
        """News."""
        if kind == Kind.FORGOTTEN:
            self._on_forgotten(decode_names(payload))
        elif kind == Kind.DUE and self._on_due is not None:
            self._on_due()

    def met(self, trouble: object) -> None:
        """An answer that is an exception."""
        if isinstance(trouble, StoreBroken) and self._broken is None:
            self._broken = str(trouble)

    def hung_up(self, wire: _Wire) -> None:
        if self._wire is not wire:
            return
        self._wire = None
        was_ready, self._ready = self._ready, False
        if was_ready and not self._closed:
            self.lost()
            self._returning = self._loop.create_task(self._come_back())

    async def _come_back(self) -> None:
        while not self._ready:
            with contextlib.suppress(Exception):  # not yet: it is looked for again
                await self.connect()
                if self._on_due is not None:
                    self._on_due()
                return
            await asyncio.sleep(_LOOK_EVERY)


class _Wire(asyncio.Protocol):
    """One connection."""

    def __init__(self, back: SocketBack) -> None:
        self._back = back
        self._loop = asyncio.get_running_loop()
        self._frames = Frames(LONGEST_FRAME)
        self._waiting: dict[int, tuple[type, asyncio.Future[Any]]] = {}
        self._out: list[bytes] = []
        self._transport: asyncio.Transport
        self.gone: asyncio.Future[None] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by behaviour, not by class

    def send(self, number: int, kind: type, answer: asyncio.Future[Any], frame: bytes) -> None:
        if self._transport.get_write_buffer_size() > _MOST_UNSENT:
            raise unavailable("the store does not keep up")
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(frame)
        self._waiting[number] = (kind, answer)

    def _flush(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(b"".join(self._out))
        self._out.clear()

    def data_received(self, data: bytes) -> None:
        try:
            for number, payload in self._frames.feed(data):
                self._answered(number, payload)
        except (Garbled, IndexError, KeyError):
            self.hang_up()

    def _answered(self, number: int, payload: memoryview) -> None:
        kind = payload[0]
        if number == 0:
            self._back.heard(kind, payload[1:])
            return
        asked, answer = self._waiting.pop(number)
        said = read_answer(asked, kind, payload[1:])
        if kind == Kind.DONE:
            if not answer.done():
                answer.set_result(said)
            return
        self._back.met(said)
        if not answer.done():
            assert isinstance(said, BaseException)
            answer.set_exception(said)

    def connection_lost(self, exc: Exception | None) -> None:
        waiting, self._waiting = self._waiting, {}
        self._back.hung_up(self)
        for _, answer in waiting.values():
            if not answer.done():
                answer.set_exception(unavailable("the store went away before it answered"))
        self.gone.set_result(None)

    def hang_up(self) -> None:
        self._transport.abort()
