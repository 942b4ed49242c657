"""A mail server that says what a test wants at every stage, with STARTTLS and any certificate, and records what it got.

It is played without our own machines, so that no bug of ours is on both ends. A script's answer is text (CRLF is
added) or `Raw` octets, among them CLOSE (hang up) and SILENT (say nothing).
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Raw:
    """Octets as they are. `close`: hang up behind them."""

    octets: bytes
    close: bool = False


CLOSE = Raw(b"", close=True)
SILENT = Raw(b"")
Answer = str | Raw
PARTS = ("PIPELINING", "8BITMIME", "SIZE 50000000", "DSN", "SMTPUTF8", "ENHANCEDSTATUSCODES")


@dataclass
class Script:
    """What the server says.

    `answers` maps a verb (or "greeting", or "DOT" for the end of content) to the answers of its successive uses on all
    connections; the last one stays. A callable gets the command's line.
    """

    certificate: Callable[[int], str] | str | None = None  # of the connection's number, from 1
    offers: Sequence[str] = PARTS
    offers_tls: bool = True
    answers: dict[str, Sequence[Answer] | Callable[[str], Answer]] = field(default_factory=dict)
    newest_tls: ssl.TLSVersion | None = None
    hang_up_at_data_octet: int | None = None
    instead_of_tls: Raw | None = None  # said when the client's first octets of TLS have come


_USUAL: dict[str, str] = {
    "greeting": "220 mx.example.org ESMTP",
    "HELO": "250 mx.example.org",
    "STARTTLS": "220 2.0.0 go ahead",
    "MAIL": "250 2.1.0 ok",
    "RCPT": "250 2.1.5 ok",
    "DATA": "354 go ahead",
    "DOT": "250 2.0.0 queued as 4X1",
    "RSET": "250 2.0.0 ok",
    "QUIT": "221 2.0.0 bye",
}


@dataclass
class Received:
    """One message as it came: its commands, and its content without dot-stuffing."""

    connection: int
    tls: str | None
    mail: str = ""
    rcpt: list[str] = field(default_factory=list)
    content: bytes = b""


class ScriptedMx:
    """The server. `commands` holds (connection, line); `messages` what ended with a final dot."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.port = 0
        self.connections = 0
        self.commands: list[tuple[int, str]] = []
        self.messages: list[Received] = []
        self.octets_of_content = 0
        self.hellos: list[str | None] = []  # server names asked for in TLS
        self.heard = asyncio.Condition()
        self._uses: dict[str, int] = {}
        self._writers: set[asyncio.StreamWriter] = set()

    def lines(self, verb: str) -> list[str]:
        return [line for _, line in self.commands if line.upper().startswith(verb)]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something that was heard makes the condition true."""
        async with self.heard:
            await self.heard.wait_for(condition)

    def hang_up(self) -> None:
        """Close every connection now."""
        for writer in self._writers:
            writer.transport.abort()

    async def over(self) -> None:
        """Hang up, and wait until every session has ended."""
        self.hang_up()
        await self.until(lambda: not self._writers)
        await asyncio.sleep(0)  # a transport that was aborted closes its socket in the loop's next turn

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            await _Session(self, self.connections, reader, writer).run()
        except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError, TimeoutError):
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()
            async with self.heard:
                self.heard.notify_all()

    def answer(self, verb: str, line: str) -> Answer:
        scripted = self.script.answers.get(verb)
        if scripted is None:
            return _USUAL.get(verb, "250 2.0.0 ok")
        if callable(scripted):
            return scripted(line)
        use = self._uses.get(verb, 0)
        self._uses[verb] = use + 1
        return scripted[min(use, len(scripted) - 1)]


class _HungUpError(ConnectionError):
    """The script hung up."""


class _Session:
    def __init__(
        self, server: ScriptedMx, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._server = server
        self._number = number
        self._reader = reader
        self._writer = writer
        self._tls: str | None = None
        self._message = Received(number, None)

    async def run(self) -> None:
        await self._say(self._server.answer("greeting", ""))
        while True:
            line = (await self._reader.readuntil(b"\r\n"))[:-2].decode()
            verb = line.split(" ")[0].upper()
            async with self._server.heard:
                self._server.commands.append((self._number, line))
                self._server.heard.notify_all()
            if verb == "EHLO" and "EHLO" not in self._server.script.answers:
                await self._say(self._hello())
                continue
            answer = self._server.answer(verb, line)
            self._note(verb, line, answer)
            await self._say(answer)
            if verb == "QUIT":
                return
            if verb == "STARTTLS" and isinstance(answer, str) and answer.startswith("220"):
                await self._secure()
            if verb == "DATA" and isinstance(answer, str) and answer.startswith("354"):
                await self._content()

    def _hello(self) -> str:
        parts = list(self._server.script.offers)
        if self._server.script.offers_tls and self._tls is None:
            parts.append("STARTTLS")
        lines = ["mx.example.org", *parts]
        return "\r\n".join(
            f"250{'-' if index < len(lines) - 1 else ' '}{line}" for index, line in enumerate(lines)
        )

    def _note(self, verb: str, line: str, answer: Answer) -> None:
        if verb == "MAIL":
            self._message = Received(self._number, self._tls, mail=line)
        if verb == "RCPT" and isinstance(answer, str) and answer.startswith("2"):
            self._message.rcpt.append(line)

    async def _content(self) -> None:
        lines = []
        while (line := await self._reader.readuntil(b"\r\n")) != b".\r\n":
            lines.append(line.removeprefix(b"."))
            self._server.octets_of_content += len(line)
            limit = self._server.script.hang_up_at_data_octet
            if limit is not None and self._server.octets_of_content >= limit:
                raise _HungUpError
        self._message.content = b"".join(lines)
        async with self._server.heard:
            self._server.messages.append(self._message)
            self._server.heard.notify_all()
        await self._say(self._server.answer("DOT", "."))

    async def _say(self, answer: Answer) -> None:
        octets = answer.encode() + b"\r\n" if isinstance(answer, str) else answer.octets
        if octets:
            self._writer.write(octets)
            await self._writer.drain()
        if isinstance(answer, Raw) and answer.close:
            raise _HungUpError

    async def _secure(self) -> None:
        if (broken := self._server.script.instead_of_tls) is not None:
            await self._reader.read(1)
            await self._say(broken)
            await self._reader.read()
            raise _HungUpError
        certificate = self._server.script.certificate
        path = certificate(self._number) if callable(certificate) else certificate
        assert path is not None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if self._server.script.newest_tls is not None:
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # old on purpose
                context.minimum_version = ssl.TLSVersion.TLSv1
                context.maximum_version = self._server.script.newest_tls
        context.load_cert_chain(path)
        context.sni_callback = self._saw_name
        await self._writer.start_tls(context)
        self._tls = str(self._writer.get_extra_info("ssl_object").version())

    def _saw_name(self, _sock: object, name: str | None, _context: object) -> None:
        self._server.hellos.append(name)


@contextlib.asynccontextmanager
async def raw_server(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], limit: int = 1 << 16
) -> AsyncIterator[int]:
    """A server for what no script can say; gives its port, and waits at its end until every session is over."""
    sessions: set[asyncio.Task[None]] = set()

    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await serve(reader, writer)
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sessions.add(asyncio.ensure_future(session(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0, limit=limit)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.gather(*sessions)
        await server.wait_closed()


@contextlib.asynccontextmanager
async def scripted_mx(script: Script, address: str = "127.0.0.1") -> AsyncIterator[ScriptedMx]:
    """A running server on a free port."""
    mx = ScriptedMx(script)
    server = await asyncio.start_server(mx.serve, address, 0, limit=1 << 24)
    mx.port = server.sockets[0].getsockname()[1]
    try:
        yield mx
    finally:
        server.close()
        await mx.over()
        await server.wait_closed()
