"""A box on the way that forwards octets, and hangs up on a TLS ClientHello larger than it likes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tests.fakes.scripted_mx import raw_server

_HANDSHAKE = b"\x16\x03"  # the beginning of a TLS record with a handshake message


@contextlib.asynccontextmanager
async def middlebox(port: int, largest: int, hellos: list[int]) -> AsyncIterator[int]:
    """Forwards to `port`; notes the size of every ClientHello record in `hellos`. Gives its own port."""

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, inward: bool) -> None:
        seen = False
        while octets := await reader.read(1 << 16):
            if inward and not seen and octets.startswith(_HANDSHAKE):
                seen = True
                hellos.append(int.from_bytes(octets[3:5], "big"))
                if hellos[-1] > largest:
                    break
            writer.write(octets)
            await writer.drain()
        writer.transport.abort()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        beyond_reader, beyond_writer = await asyncio.open_connection("127.0.0.1", port)
        both = (
            asyncio.ensure_future(forward(reader, beyond_writer, inward=True)),
            asyncio.ensure_future(forward(beyond_reader, writer, inward=False)),
        )
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for each in both:
            each.cancel()
        await asyncio.gather(*both, return_exceptions=True)
        beyond_writer.transport.abort()

    async with raw_server(serve) as own:
        yield own
