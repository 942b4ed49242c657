"""The control socket: how `sealgate queue`, `trace`, `reload` and others reach a running gateway.

One JSON object a line, one answer a request: {"call": NAME, "arguments": {...}} -> {"value": ...} or
{"problem": [...]}. Promises: only root and the gateway's own user are answered (by the kernel's word for the peer's
uid, not by the socket's mode alone); requests are bounded; a call that fails answers with what to do and never ends
the gateway.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import structlog

from gateway.audit.leaves import Actor
from gateway.service.roles import Process, Role

SOCKET = "control.sock"  # of the process that answers operators
_OTHERS = "control-{}.sock"  # of the others, which can be told to reload
_LONGEST_REQUEST = 1024 * 1024
_LONGEST_ANSWER = 64 * 1024 * 1024
_LONGEST_WAIT = 600.0  # seconds for one call

Arguments = Mapping[str, Any]
Call = Callable[[Arguments, Actor], Awaitable[object]]
log = structlog.get_logger()


def socket_name(process: Process) -> str:
    """The name of a process's control socket in the run folder."""
    answers = process.leads and Role.WORKER in process.roles
    return SOCKET if answers else _OTHERS.format(process.name)


def sockets(folder: Path) -> list[Path]:
    """The control sockets of all processes of a gateway, whether they still answer or not."""
    return [folder / SOCKET, *sorted(folder.glob(_OTHERS.format("*")))]


class ControlRefused(Exception):
    """The gateway, or nobody, answered with a problem; the text says what and what to do."""


class _Request(msgspec.Struct):
    call: str
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)
    sudo_user: str | None = None


async def serve(path: Path, calls: Mapping[str, Call]) -> asyncio.AbstractServer:
    """Listen on the Unix socket at `path`; a socket that a dead gateway left is replaced."""
    path.unlink(missing_ok=True)  # noqa: ASYNC240 (one call at start)

    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _session(reader, writer, calls)
        except (ConnectionError, asyncio.IncompleteReadError, ValueError):
            pass  # the peer went away or sent what is no request; nothing was asked
        finally:
            writer.close()

    old = os.umask(0o177)
    try:
        with _reachable(path) as short:
            return await asyncio.start_unix_server(session, short, limit=_LONGEST_REQUEST)
    finally:
        os.umask(old)


async def _session(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, calls: Mapping[str, Call]
) -> None:
    uid = _peer_uid(writer.get_extra_info("socket"))
    if uid not in (0, os.getuid()):
        await _answer(writer, {"problem": ["only root and the gateway's own user may ask"]})
        return
    while line := await reader.readline():
        await _answer(writer, await _respond(line, uid, calls))


async def _respond(line: bytes, uid: int, calls: Mapping[str, Call]) -> dict[str, object]:
    try:
        request = msgspec.json.decode(line, type=_Request)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return {"problem": [f"the request is not understood: {error}"]}
    call = calls.get(request.call)
    if call is None:
        return {"problem": [f"this gateway has no call `{request.call}`: is the command of another version?"]}
    try:
        return {
            "value": await call(request.arguments, Actor(uid=uid, user=_name(uid), sudo=request.sudo_user))
        }
    except ControlRefused as refusal:
        return {"problem": str(refusal).splitlines()}
    except Exception as bug:  # (an operator's question must not end the gateway)
        log.error("control call failed", call=request.call, exc_info=bug)
        return {
            "problem": [f"the gateway failed on `{request.call}`: {type(bug).__name__}; its log says more"]
        }


async def _answer(writer: asyncio.StreamWriter, answer: dict[str, object]) -> None:
    writer.write(msgspec.json.encode(answer) + b"\n")
    await writer.drain()


async def ask(path: Path, call: str, arguments: Arguments) -> Any:
    """Ask a running gateway. Raises `ControlRefused`, or `ConnectionError` where none is running."""
    try:
        with _reachable(path) as short:
            reader, writer = await asyncio.open_unix_connection(short, limit=_LONGEST_ANSWER)
    except FileNotFoundError as error:
        raise ConnectionRefusedError(f"no gateway listens at {path}") from error
    try:
        request = _Request(call, dict(arguments), os.environ.get("SUDO_USER"))
        writer.write(msgspec.json.encode(request) + b"\n")
        line = await asyncio.wait_for(reader.readline(), _LONGEST_WAIT)
    finally:
        writer.close()
    if not line:
        raise ControlRefused("the gateway closed the connection without an answer")
    answer = msgspec.json.decode(line)
    if "problem" in answer:
        raise ControlRefused("\n".join(answer["problem"]))
    return answer.get("value")


@contextmanager
def _reachable(path: Path) -> Iterator[str]:
    """A name for the socket that fits into the 107 octets that the kernel allows, however deep its folder lies."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _peer_uid(connection: socket.socket) -> int:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    uid: int = struct.unpack("3i", credentials)[1]
    return uid


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def whoami() -> Actor:
    """The actor for a command that works on the store itself."""
    uid = os.getuid()
    return Actor(uid=uid, user=_name(uid), sudo=os.environ.get("SUDO_USER"))
