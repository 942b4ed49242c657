"""One octet stream to one address, in the clear or inside TLS, with what the handshake showed.

For protocols in which the client speaks first and one answer ends the matter (HTTP with `Connection: close`). Nothing
here asks the DNS, waits within a time of its own, or judges the peer's certificate: the caller does.
"""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from typing import Self

from gateway.model.tls import TlsSession
from gateway.net.tls_client import TlsChannel, TlsError
from gateway.net.tls_context import ClientTls

_PIECE = 16 * 1024


class CutOff(Exception):
    """The peer closed the connection without the TLS word that no more will come: what came may be a part."""


class Stream:
    """Made by `open`. Every method may raise OSError and TlsError, after which the stream is of no use."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._channel: TlsChannel | None = None

    @classmethod
    async def open(cls, address: str, port: int) -> Self:
        """Connect. `address` is numeric; raises OSError."""
        ip_address(address)  # a name here would be a bug, and would ask the DNS
        return cls(*await asyncio.open_connection(address, port, limit=_PIECE))

    @property
    def session(self) -> TlsSession | None:
        return None if self._channel is None else self._channel.session

    async def secure(self, tls: ClientTls, host: str) -> TlsSession:
        """Shake hands; `host` is the name that the certificate should carry. What it did carry is in the session."""
        channel = TlsChannel(tls, host)
        self._writer.write(channel.handshake(b""))
        while channel.session is None:
            received = await self._reader.read(_PIECE)
            if not received:
                raise TlsError("the server closed the connection during the handshake", definite=False)
            self._writer.write(channel.handshake(received))
        self._channel = channel
        return channel.session

    async def write(self, octets: bytes) -> None:
        self._writer.write(octets if self._channel is None else self._channel.send(octets))
        await self._writer.drain()

    async def read(self) -> bytes:
        """What came next; empty at the end. Raises CutOff where the end is not the peer's word."""
        if self._channel is None:
            return await self._reader.read(_PIECE)
        plain = self._channel.receive(b"")
        while not plain and not self._channel.closed:
            received = await self._reader.read(_PIECE)
            if not received:
                raise CutOff
            plain = self._channel.receive(received)
        return plain

    def abort(self) -> None:
        """Let go at once."""
        self._writer.transport.abort()
