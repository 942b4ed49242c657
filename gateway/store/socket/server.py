"""The back on a Unix socket: each connection is a front, allowed what its user's roles allow.

Answers that are ready together leave together. A peer that does not read its answers is not read from either. When a
connection ends, its leases are free and its segments are nobody's.
"""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import socket
import struct
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import structlog
from msgspec.structs import replace

from gateway.store import back as b
from gateway.store.contract import Mistake, StoreUnusable
from gateway.store.segments.filling import segment_path
from gateway.store.socket.protocol import (
    LONGEST_REQUEST,
    MAY,
    READS_BODIES,
    Frames,
    Garbled,
    Kind,
    Open,
    Request,
    Role,
    answer,
    read_request,
    refusal,
)
from gateway.store.sqlite.back import Joined, SqliteBack

MOST_WAITING = 4096  # asks of one connection that are not answered yet; beyond, it is not read from
_CREDENTIALS = struct.Struct("3i")

log = structlog.get_logger()


class StoreServer:
    """The store's socket. `refused` counts calls that their caller's roles do not allow."""

    def __init__(self, back: SqliteBack, path: Path, roles: Mapping[int, frozenset[Role]]) -> None:
        self.back = back
        self.refused = 0
        self.fronts: dict[bytes, _Connection] = {}
        self.connections: set[_Connection] = set()
        self._path = path
        self._roles = {**roles, os.geteuid(): frozenset(Role)}
        self._server: asyncio.AbstractServer | None = None

    async def listen(self) -> None:
        """Raises `StoreUnusable`."""
        loop = asyncio.get_running_loop()
        try:
            self._path.unlink(missing_ok=True)
            listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                listening.bind(str(self._path))
                self._path.chmod(0o660)
                self._server = await loop.create_unix_server(lambda: _Connection(self), sock=listening)
            except BaseException:
                listening.close()
                raise
        except OSError as error:
            raise StoreUnusable(
                str(self._path),
                f"the store's socket cannot be made ({error.strerror or error})",
                "check the folder's owner and mode, and the length of its path",
            ) from error

    def roles_of(self, uid: int) -> frozenset[Role]:
        return self._roles.get(uid, frozenset())

    async def close(self) -> None:
        """Stop listening, end every connection (their leases are free), remove the socket. The store stays open."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for connection in list(self.connections):
            connection.hang_up()
        while self.connections:
            await next(iter(self.connections)).gone
        self._path.unlink(missing_ok=True)


class _Connection(asyncio.Protocol):
    """One front in another process."""

    def __init__(self, server: StoreServer) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._frames = Frames(LONGEST_REQUEST)
        self._token = secrets.token_bytes(16)
        self._out: list[bytes] = []
        self._waiting = 0
        self._stuck = False  # the peer does not read
        self._paused = False
        self._transport: asyncio.Transport
        self.joined: Joined | None = None
        self._roles: frozenset[Role] = frozenset()
        self._may: frozenset[type] = frozenset()
        self.uid = -1
        self.gone: asyncio.Future[None] = self._loop.create_future()

    # ---- the transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by behaviour, not by class
        self._server.connections.add(self)
        with self._own_socket() as own:
            found = own.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _, self.uid, _ = _CREDENTIALS.unpack(found)
        self._roles = self._server.roles_of(self.uid)
        self._may = frozenset().union(*(MAY[role] for role in self._roles))

    def data_received(self, data: bytes) -> None:
        try:
            for number, payload in self._frames.feed(data):
                self._asked(number, read_request(payload))
        except Garbled as error:
            log.warning("the store hung up on a peer", uid=self.uid, reason=str(error))
            self.hang_up()

    def pause_writing(self) -> None:
        self._stuck = True
        self._look_at_pace()

    def resume_writing(self) -> None:
        self._stuck = False
        self._look_at_pace()

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.fronts.pop(self._token, None)
        self._loop.create_task(self._leave())

    async def _leave(self) -> None:
        try:
            if self.joined is not None:
                await self.joined.leave()
        finally:
            self._server.connections.discard(self)
            self.gone.set_result(None)

    def hang_up(self) -> None:
        self._transport.abort()

    # ---- asks

    def _asked(self, number: int, ask: Request) -> None:
        kind = type(ask)
        if kind not in self._may:
            self._refuse(number, kind)
            return
        if isinstance(ask, Open):
            self._hand_over(number, ask)
            return
        if self.joined is None:
            self.joined = self._server.back.join(
                on_forgotten=self._tell_forgotten if self._roles & READS_BODIES else None,
                on_due=self._tell_due if Role.WORKER in self._roles else None,
            )
            self._server.fronts[self._token] = self
        try:
            asked = self.joined.ask(ask)
        except Exception as error:  # noqa: BLE001 (the peer is told)
            self._send(refusal(number, error))
            return
        self._waiting += 1
        self._look_at_pace()
        asked.add_done_callback(partial(self._answered, number))

    def _refuse(self, number: int, kind: type) -> None:
        self._server.refused += 1
        roles = " and ".join(sorted(self._roles)) or f"user {self.uid}, who has no role here,"
        log.warning("the store refused a call", uid=self.uid, call=kind.__name__, roles=sorted(self._roles))
        self._send(refusal(number, Mistake(f"{roles} may not call {kind.__name__} on the store")))

    def _answered(self, number: int, asked: asyncio.Future[Any]) -> None:
        self._waiting -= 1
        self._look_at_pace()
        if asked.cancelled():
            self._send(refusal(number, RuntimeError("cancelled")))
            return
        error = asked.exception()
        if error is not None:
            self._send(refusal(number, error))
            return
        value = asked.result()
        if isinstance(value, b.Begun):
            value = replace(value, token=self._token)
        self._send(answer(number, Kind.DONE, value))

    def _look_at_pace(self) -> None:
        slow = self._stuck or self._waiting >= MOST_WAITING
        if slow != self._paused and not self._transport.is_closing():
            self._paused = slow
            (self._transport.pause_reading if slow else self._transport.resume_reading)()

    # ---- answers and news

    def _tell_forgotten(self, messages: Sequence[str]) -> None:
        self._send(answer(0, Kind.FORGOTTEN, messages))

    def _tell_due(self) -> None:
        self._send(answer(0, Kind.DUE, None))

    def _send(self, frame: bytes) -> None:
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(frame)

    def _flush(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(b"".join(self._out))
        self._out.clear()

    # ---- files

    def _hand_over(self, number: int, ask: Open) -> None:
        """An open segment goes over the socket itself, so that its folder may stay closed to other users."""
        front = self._server.fronts.get(ask.token)
        book = self._server.back.book
        try:
            if front is None or front.joined is None or front.uid != self.uid:
                raise Mistake("that front is not connected")
            holder = front.joined.holder
            if not self._roles & READS_BODIES and not book.is_lent(ask.segment, holder):
                raise Mistake(f"segment {ask.segment} is not lent to that front")
            flags = os.O_RDWR if book.is_lent(ask.segment, holder) else os.O_RDONLY
            handle = os.open(segment_path(book.folder, ask.segment), flags | os.O_CLOEXEC)
        except OSError as error:
            self._send(answer(number, Kind.UNAVAILABLE, (str(error.errno or errno.EIO), "", "")))
            return
        except Mistake as error:
            self._send(refusal(number, error))
            return
        try:
            with self._own_socket() as own:
                socket.send_fds(own, [answer(number, Kind.DONE, None)], [handle])
        except OSError:
            self.hang_up()
        finally:
            os.close(handle)

    def _own_socket(self) -> socket.socket:
        """The transport's socket as the standard library's, which knows more calls than the event loop's."""
        return socket.socket(fileno=os.dup(self._transport.get_extra_info("socket").fileno()))
