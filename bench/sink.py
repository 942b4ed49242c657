"""`python -m bench.sink`: the next hop of every device. Takes mail as fast as it can, counts it, throws it away.

Two listeners on one port number: the first address speaks plain SMTP only, the second offers STARTTLS. A line
`expect RUN COUNT` on standard input begins a run; as soon as COUNT different messages of it have arrived, one JSON line
on standard output says when (CLOCK_MONOTONIC), how many came in all, and the digests of the bodies that were sampled.
A line `report` asks for that at once. End of input ends it.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import ssl
import sys
import time

import msgspec
import uvloop

_END = b"\r\n.\r\n"
_SAMPLE = 50  # one message in so many is hashed
_BUFFER = 256 << 10
_MARK = b"Message-ID: <"
_FREE: list[bytearray] = []  # buffers of connections that are gone, for new ones: fresh memory is not free


class Report(msgspec.Struct):
    """What has arrived of one run. `strays` are messages of another run; `resumed` of the `handshakes` had a ticket."""

    run: str = ""
    distinct: int = 0
    count: int = 0
    strays: int = 0
    octets: int = 0
    at: float = 0.0
    secured: int = 0
    handshakes: int = 0
    resumed: int = 0
    bodies: set[str] = msgspec.field(default_factory=set)


class Tally:
    """Counts for all connections."""

    def __init__(self) -> None:
        self.report = Report()
        self.begun = 0  # messages of this run that have begun to arrive
        self._wanted = 0
        self._seen: set[bytes] = set()

    def expect(self, run: str, count: int) -> None:
        self.report, self.begun, self._wanted, self._seen = Report(run=run), 0, count, set()

    def add(self, identity: bytes, octets: int, body: bytes | None, *, secured: bool) -> None:
        report = self.report
        if not identity.startswith(report.run.encode()):
            report.strays += 1
            return
        report.count += 1
        report.octets += octets
        report.secured += secured
        self._seen.add(identity)
        if body is not None:
            report.bodies.add(hashlib.sha256(body).hexdigest())
        if len(self._seen) == self._wanted:
            self._wanted = -1
            report.at = time.monotonic()
            self.say()

    def say(self) -> None:
        self.report.distinct = len(self._seen)
        sys.stdout.write(msgspec.json.encode(self.report).decode() + "\n")
        sys.stdout.flush()


class Session(asyncio.BufferedProtocol):
    """One connection. `_sample` gathers the pieces of a message that will be hashed."""

    _sample: list[bytes] | None

    def __init__(self, tally: Tally, context: ssl.SSLContext | None) -> None:
        self._tally = tally
        self._context = context
        self._secured = False
        self._buffer = _FREE.pop() if _FREE else bytearray(_BUFFER)
        self._filled = 0
        self._in_data = False
        self._upgrading = False
        self._forget()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._transport.write(b"220 mx.sink.example ESMTP\r\n")

    def connection_lost(self, exc: Exception | None) -> None:
        _FREE.append(self._buffer)

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self._buffer)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled += nbytes
        self._go_on()

    def _go_on(self) -> None:
        while (
            self._filled and not self._upgrading and (self._content() if self._in_data else self._command())
        ):
            pass

    # ------------------------------------------------------------------------------------------------ commands

    def _command(self) -> bool:
        end = self._buffer.find(b"\r\n", 0, self._filled)
        if end < 0:
            return False
        verb = bytes(self._buffer[:4]).upper()
        self._consume(end + 2)
        if verb == b"DATA":
            self._in_data = True
            self._sample = [] if self._tally.begun % _SAMPLE == 0 else None
            self._tally.begun += 1
            self._transport.write(b"354 go\r\n")
        elif verb in {b"EHLO", b"HELO"}:
            offer = b"250-STARTTLS\r\n" if self._context and not self._secured else b""
            self._transport.write(
                b"250-mx.sink.example\r\n250-PIPELINING\r\n250-SIZE 209715200\r\n"
                + offer
                + b"250-ENHANCEDSTATUSCODES\r\n250 8BITMIME\r\n"
            )
        elif verb == b"STAR" and self._context:
            self._transport.write(b"220 2.0.0 go\r\n")
            self._filled, self._upgrading = 0, True
            self._upgrade = asyncio.ensure_future(self._start_tls(self._context))
        elif verb == b"QUIT":
            self._transport.write(b"221 2.0.0 bye\r\n")
            self._transport.close()
        else:
            self._transport.write(b"250 2.1.0 ok\r\n")
        return True

    async def _start_tls(self, context: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        try:
            secured = await loop.start_tls(self._transport, self, context, server_side=True)
        except OSError:  # ssl.SSLError is one
            self._transport.close()
            return
        assert secured is not None
        self._transport, self._secured, self._upgrading = secured, True, False
        handshake = secured.get_extra_info("ssl_object")
        self._tally.report.handshakes += 1
        self._tally.report.resumed += bool(handshake and handshake.session_reused)
        self._go_on()  # the first commands may have come with the end of the handshake

    # ------------------------------------------------------------------------------------------------- content

    def _forget(self) -> None:
        """Ready for the next message: nothing of it has come."""
        self._octets = 0
        self._identity = b""
        self._head = b""
        self._sample = None

    def _content(self) -> bool:
        """Take what is there up to the end of the message; the last octets wait, for the end may be cut in two."""
        end = self._buffer.find(_END, 0, self._filled)
        take = end + 2 if end >= 0 else self._filled - (len(_END) - 1)
        if take > 0:
            self._take(take)
        if end < 0:
            return False
        self._consume(len(_END) - 2)
        self._in_data = False
        body = b"".join(self._sample).partition(b"\r\n\r\n")[2] if self._sample is not None else None
        self._tally.add(self._identity, self._octets, body, secured=self._secured)
        self._transport.write(b"250 2.0.0 taken\r\n")
        self._forget()
        return True

    def _take(self, size: int) -> None:
        if self._sample is not None:
            self._sample.append(bytes(self._buffer[:size]))
        if not self._identity:
            self._head += bytes(self._buffer[: min(size, 8192)])
            start = self._head.find(_MARK)
            stop = self._head.find(b">", start)
            if start >= 0 and stop > 0:
                self._identity, self._head = self._head[start + len(_MARK) : stop], b""
        self._octets += size
        self._consume(size)

    def _consume(self, size: int) -> None:
        rest = self._filled - size
        if rest:
            self._buffer[:rest] = self._buffer[size : self._filled]
        self._filled = rest


class _Orders(asyncio.Protocol):
    def __init__(self, tally: Tally, over: asyncio.Event) -> None:
        self._tally = tally
        self._over = over
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            match line.decode().split():
                case ["expect", run, count]:
                    self._tally.expect(run, int(count))
                case _:
                    self._tally.say()

    def connection_lost(self, exc: Exception | None) -> None:
        self._over.set()


async def _serve(plain: str, secure: str, port: int, chain: str) -> None:
    loop = asyncio.get_running_loop()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    context.num_tickets = 1
    tally, over = Tally(), asyncio.Event()
    servers = [
        await loop.create_server(lambda: Session(tally, None), plain, port, backlog=1024),
        await loop.create_server(lambda: Session(tally, context), secure, port, backlog=1024),
    ]
    await loop.connect_read_pipe(lambda: _Orders(tally, over), sys.stdin)
    tally.say()
    await over.wait()
    for server in servers:
        server.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.sink")
    parser.add_argument("plain")
    parser.add_argument("secure")
    parser.add_argument("port", type=int)
    parser.add_argument("chain")
    arguments = parser.parse_args()
    uvloop.run(_serve(arguments.plain, arguments.secure, arguments.port, arguments.chain))


if __name__ == "__main__":
    main()
