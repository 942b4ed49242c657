"""Syslog over every transport, against real sockets: framing, the name in the certificate, nobody there."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.net.syslog import Receiver, hand_over
from tests.fakes.authority import Authority

MESSAGES = (b"<27>1 - gw sealgate 7 disk - one", b"<27>1 - gw sealgate 7 disk - two, longer")
FRAMED = b"32 <27>1 - gw sealgate 7 disk - one40 <27>1 - gw sealgate 7 disk - two, longer"


@asynccontextmanager
async def listening(context: ssl.SSLContext | None = None) -> AsyncIterator[tuple[int, asyncio.Queue[bytes]]]:
    taken: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.put_nowait(await reader.read())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1], taken


async def test_tcp_counts_octets() -> None:
    async with listening() as (port, taken):
        await hand_over(MESSAGES, Receiver("tcp", "127.0.0.1", port))

        assert await taken.get() == FRAMED


async def test_tls_proves_the_receiver_first(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.issue("localhost"))
    async with listening(context) as (port, taken):
        await hand_over(MESSAGES, Receiver("tls", "localhost", port, authority.ca_file))

        assert await taken.get() == FRAMED


async def test_a_receiver_with_another_name_is_told_nothing(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.issue("elsewhere.example.org"))
    async with listening(context) as (port, taken):
        with pytest.raises(ssl.SSLCertVerificationError):
            await hand_over(MESSAGES, Receiver("tls", "localhost", port, authority.ca_file))

        assert taken.empty()


async def test_udp_is_one_message_a_datagram() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.setblocking(False)
        await hand_over(MESSAGES, Receiver("udp", "127.0.0.1", receiver.getsockname()[1]))
        loop = asyncio.get_running_loop()

        assert [await loop.sock_recv(receiver, 4096) for _ in MESSAGES] == [*MESSAGES]


async def test_the_local_socket_too(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "log"))
        receiver.settimeout(10)
        await hand_over(MESSAGES, Receiver("unix", str(tmp_path / "log")))

        assert [receiver.recv(4096) for _ in MESSAGES] == [*MESSAGES]


@pytest.mark.parametrize("transport", ["tcp", "unix"])
async def test_nobody_there_is_said(transport: str, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    host = str(tmp_path / "log") if transport == "unix" else "127.0.0.1"
    with pytest.raises(OSError):
        await hand_over(MESSAGES, Receiver(transport, host, port))  # type: ignore[arg-type]
