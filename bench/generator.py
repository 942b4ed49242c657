"""`python -m bench.generator`: hands messages to a device over plain SMTP, as fast as it takes them or at a fixed rate.

Speaks as Exchange and Postfix do: EHLO once, then MAIL, RCPT and DATA in one packet (RFC 2920), the content, the 250.
One process and one loop for all sessions. Prints one JSON object: when the run began and ended (CLOCK_MONOTONIC), its
own CPU time, and the time of each 250: from the end of the content, or with `--rate` from when the message was due.
Any other answer than the expected one ends it with an error.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import time
from collections.abc import Iterator

import msgspec
import uvloop

from bench.letters import SENDER, Letter, make_letter, recipient

_PATIENCE = 120.0  # seconds without any progress


class Order(msgspec.Struct, frozen=True):
    """What to send. `rate` messages a second; 0: as fast as they are taken. `fresh`: a connection for each message."""

    host: str
    port: int
    size: int
    messages: int
    sessions: int
    run: str
    fresh: bool = False
    domains: int = 5
    rate: float = 0.0


class Sent(msgspec.Struct, frozen=True):
    """What became of it. `waits` are the seconds until each 250."""

    began: float
    ended: float
    cpu: float
    waits: list[float]


class Refused(Exception):
    """The device gave an answer that a working relay does not give."""


class _Work:
    """The messages still to be sent, for all sessions."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.letter: Letter = make_letter(order.size)
        self.numbers: Iterator[int] = iter(range(order.messages))
        self.waits: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.began = time.monotonic()
        self.cpu = time.process_time()
        self.content = self.letter.body + b".\r\n"

    def due(self, number: int) -> float:
        return self.began + number / self.order.rate if self.order.rate else 0.0

    def taken(self, wait: float) -> None:
        self.waits.append(wait)
        if len(self.waits) == self.order.messages and not self.done.done():
            self.done.set_result(None)

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


class _Session(asyncio.Protocol):
    """One connection: `_step` is what the next complete answer means."""

    def __init__(self, work: _Work) -> None:
        self._work = work
        self._rest = b""
        self._step = self._greeted
        self._wanted = (b"220",)
        self._closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._rest += data
        if not self._rest.endswith(b"\r\n"):
            return
        lines = [line for line in self._rest.split(b"\r\n")[:-1] if line[3:4] != b"-"]
        if len(lines) < len(self._wanted) and all(map(bytes.startswith, lines, self._wanted)):
            return
        if len(lines) != len(self._wanted) or not all(map(bytes.startswith, lines, self._wanted)):
            self._work.fail(Refused(f"expected {self._wanted}, got {self._rest[:300]!r}"))
            return
        self._rest = b""
        self._step()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._closing:
            self._work.fail(Refused(f"the device closed the connection: {exc}"))

    def _greeted(self) -> None:
        self._ask(b"EHLO mail.hospital.example\r\n", self._next, b"250")

    def _next(self) -> None:
        number = next(self._work.numbers, None)
        if number is None:
            self._bye()
            return
        self._number = number
        self._due = self._work.due(number)
        late = self._due - time.monotonic()
        if self._work.order.rate and late > 0:
            asyncio.get_running_loop().call_later(late, self._envelope)
        else:
            self._envelope()

    def _envelope(self) -> None:
        to = recipient(self._number, self._work.order.domains)
        commands = f"MAIL FROM:<{SENDER}> SIZE={self._work.order.size}\r\nRCPT TO:<{to}>\r\nDATA\r\n"
        self._header = self._work.letter.header(self._work.order.run, self._number, to)
        self._ask(commands.encode(), self._content, b"250", b"250", b"354")

    def _content(self) -> None:
        self._wanted, self._step = (b"250",), self._taken
        self._transport.writelines((self._header, self._work.content))
        if not self._due:
            self._since = time.monotonic()

    def _taken(self) -> None:
        self._work.taken(time.monotonic() - (self._due or self._since))
        if self._work.order.fresh:
            self._bye()
        else:
            self._next()

    def _bye(self) -> None:
        self._closing = True
        self._ask(b"QUIT\r\n", self._gone, b"221")

    def _gone(self) -> None:
        self._transport.close()
        if self._work.order.fresh:
            asyncio.ensure_future(open_session(self._work))  # noqa: RUF006 (the run's own future says when it ends)

    def _ask(self, octets: bytes, step: object, *wanted: bytes) -> None:
        self._wanted, self._step = wanted, step  # type: ignore[assignment]
        self._transport.write(octets)


async def open_session(work: _Work) -> None:
    """One more session, unless all messages have been given out."""
    if len(work.waits) == work.order.messages:
        return
    try:
        await asyncio.get_running_loop().create_connection(
            lambda: _Session(work), work.order.host, work.order.port
        )
    except OSError as error:
        work.fail(error)


async def send(order: Order) -> Sent:
    """Send it all. Raises Refused."""
    work = _Work(order)
    for _ in itertools.repeat(None, min(order.sessions, order.messages)):
        await open_session(work)
    async with asyncio.timeout(None) as limit:
        watching = asyncio.ensure_future(_watch(work, limit))
        await work.done
        watching.cancel()
    return Sent(work.began, time.monotonic(), time.process_time() - work.cpu, work.waits)


async def _watch(work: _Work, limit: asyncio.Timeout) -> None:
    before = -1
    while before != len(work.waits):
        before = len(work.waits)
        await asyncio.sleep(_PATIENCE)
    limit.reschedule(0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.generator")
    parser.add_argument("order", help="an Order in JSON")
    order = msgspec.json.decode(parser.parse_args().order, type=Order)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(send(order))))


if __name__ == "__main__":
    main()
