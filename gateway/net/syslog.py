"""Handing messages to a syslog receiver: UDP (RFC 5426), TCP (RFC 6587), TLS (RFC 5425), or a local socket.

No receiver of syslog confirms what it took: a message counts as handed over when the connection took it and, over TCP
and TLS, was not refused before it was closed in order.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from typing import Literal

import msgspec

PATIENCE = 10.0  # seconds for one hand-over

Transport = Literal["udp", "tcp", "tls", "unix"]


class Receiver(msgspec.Struct, frozen=True):
    """Where a receiver is. For `unix` the host is the path of a datagram socket and the port means nothing.

    `ca_file` vouches for a TLS receiver; None: whom the system trusts. Its certificate must carry `host`.
    """

    transport: Transport
    host: str
    port: int = 0
    ca_file: str | None = None


async def hand_over(messages: Sequence[bytes], receiver: Receiver) -> None:
    """Raises OSError (ssl.SSLError and TimeoutError are kinds of it) where it cannot be reached or breaks off."""
    async with asyncio.timeout(PATIENCE):
        match receiver.transport:
            case "udp":
                await _datagrams(messages, receiver)
            case "unix":
                await asyncio.to_thread(_local, messages, receiver.host)
            case "tcp" | "tls":
                await _stream(messages, receiver)


async def _stream(messages: Sequence[bytes], receiver: Receiver) -> None:
    context = ssl.create_default_context(cafile=receiver.ca_file) if receiver.transport == "tls" else None
    reader, writer = await asyncio.open_connection(
        receiver.host, receiver.port, ssl=context, server_hostname=receiver.host if context else None
    )
    try:
        for message in messages:
            writer.write(b"%d %b" % (len(message), message))  # octet counting: both RFCs prefer it
        await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
            await reader.read()  # until the receiver closes: a reset here says that it was not taken
    finally:
        writer.close()
        await writer.wait_closed()


async def _datagrams(messages: Sequence[bytes], receiver: Receiver) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=(receiver.host, receiver.port)
    )
    try:
        for message in messages:
            transport.sendto(message)
    finally:
        transport.close()


def _local(messages: Sequence[bytes], path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.settimeout(PATIENCE)
        sender.connect(path)
        for message in messages:
            sender.send(message)
