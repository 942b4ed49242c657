"""The demo's recipients' servers, on aiosmtpd: they receive, answer as their plan says, and keep what they got.

The one importer of aiosmtpd in the package. Everything received is kept in memory, and in a folder where one is given.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import msgspec
from aiosmtpd.smtp import SMTP, Envelope, Session

from gateway.demo.cast import Manner, ServerPlan
from gateway.model.tls import TlsGrade

UNKNOWN_MAILBOX = "nobody"  # local parts that begin so have no mailbox anywhere
_SIZE_LIMIT = 64 << 20  # octets
_OLD_CIPHERS = "ALL:@SECLEVEL=0"  # OpenSSL 3 signs no TLS 1.0 handshake above security level 0


class Reception(msgspec.Struct, frozen=True, kw_only=True):
    """One message that arrived: where, how, for whom. `truth` is what the TLS of that session truly proved."""

    server: str
    sender: str
    recipients: tuple[str, ...]
    content: bytes
    tls_version: str | None
    cipher: str | None
    truth: TlsGrade


class Postbox:
    """Everything that all servers received, in order. Wait for it with `until`, not with a clock."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._written = sum(1 for _ in folder.glob("*.eml")) if folder is not None else 0
        self._changed = asyncio.Condition()
        self._receptions: list[Reception] = []

    @property
    def receptions(self) -> tuple[Reception, ...]:
        return tuple(self._receptions)

    async def add(self, reception: Reception) -> None:
        if self._folder is not None:
            self._written += 1
            await asyncio.to_thread(_write, self._folder, self._written, reception)
        async with self._changed:
            self._receptions.append(reception)
            self._changed.notify_all()

    async def until(self, satisfied: Callable[[tuple[Reception, ...]], bool]) -> None:
        """Return as soon as what has arrived satisfies the caller."""
        async with self._changed:
            await self._changed.wait_for(lambda: satisfied(self.receptions))


class _Host:
    """The behaviour of one server: aiosmtpd calls the `handle_` methods."""

    def __init__(self, plan: ServerPlan, postbox: Postbox) -> None:
        self._plan = plan
        self._postbox = postbox
        self._greeted: set[str] = set()

    async def handle_RCPT(  # noqa: N802 (aiosmtpd's name)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith(UNKNOWN_MAILBOX):
            return "550 5.1.1 no such mailbox here"
        if self._plan.manner is Manner.GREYLISTS and address not in self._greeted:
            self._greeted.add(address)
            return "451 4.7.1 greylisted, please come back"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 recipient ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        cipher: tuple[str, str, int] | None = (session.ssl or {}).get("cipher")
        version = cipher and _handshake_version(session)
        reception = Reception(
            server=self._plan.name,
            sender=envelope.mail_from or "",
            recipients=tuple(envelope.rcpt_tos),
            content=envelope.content,
            tls_version=version,
            cipher=cipher and cipher[0],
            truth=TlsGrade.NONE if version is None else self._plan.truth,
        )
        await self._postbox.add(reception)
        return "250 2.0.0 received"


class _Session(SMTP):
    """One connection, which leaves the book of open ones when it ends."""

    def __init__(
        self, host: _Host, plan: ServerPlan, context: ssl.SSLContext | None, open_: set[SMTP]
    ) -> None:
        super().__init__(
            host,
            hostname=plan.name,
            ident="ready",
            tls_context=context,
            data_size_limit=_SIZE_LIMIT,
            enable_SMTPUTF8=True,
            loop=asyncio.get_running_loop(),
        )
        self._open = open_

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._open.add(self)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.discard(self)
        super().connection_lost(exc)


class _RefusesStarttls(_Session):
    async def smtp_STARTTLS(self, arg: str) -> None:  # noqa: N802 (aiosmtpd's name)
        await self.push("454 4.7.0 TLS not available")


@asynccontextmanager
async def serve_recipients(
    plans: tuple[ServerPlan, ...], port: int, contexts: dict[str, ssl.SSLContext], postbox: Postbox
) -> AsyncIterator[None]:
    """Run all servers on that one port as long as the block runs. Raises OSError where the port is taken."""
    # aiosmtpd reports each failed handshake with a traceback; here failing is what some servers are for.
    logging.getLogger("mail.log").setLevel(logging.CRITICAL + 1)
    running: list[asyncio.Server] = []
    sessions: set[SMTP] = set()
    reserved: list[socket.socket] = []
    try:
        for plan in plans:
            if plan.manner is Manner.DEAD:
                reserved.append(_refuse_connections(plan.address, port))
            else:
                running.append(await _start(plan, port, contexts.get(plan.name), postbox, sessions))
        yield
    finally:
        for server in running:
            server.close()
        for held in reserved:
            held.close()
        for session in sessions:
            _hang_up(session)


def _hang_up(session: SMTP) -> None:
    try:
        cast(asyncio.Transport, session.transport).abort()
    except AttributeError:
        return  # Python 3.11.2: a TLS transport that is closed already has lost what it would abort


async def _start(
    plan: ServerPlan, port: int, context: ssl.SSLContext | None, postbox: Postbox, sessions: set[SMTP]
) -> asyncio.Server:
    host = _Host(plan, postbox)
    protocol = _RefusesStarttls if plan.manner is Manner.REFUSES_STARTTLS else _Session
    return await asyncio.get_running_loop().create_server(
        lambda: protocol(host, plan, context, sessions), plan.address, port
    )


def server_context(plan: ServerPlan, chain: Path, key: Path) -> ssl.SSLContext:
    """The TLS side of a server that shows the certificate in `chain`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if plan.old_tls:
        with warnings.catch_warnings():  # "deprecated": that is the point of this server
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1
        context.set_ciphers(_OLD_CIPHERS)
    context.load_cert_chain(chain, key)
    return context


def swapping(first: ssl.SSLContext, then: ssl.SSLContext) -> ssl.SSLContext:
    """`first`, which gives way to `then` after one handshake."""
    shown = False

    def choose(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        nonlocal shown
        if shown:
            connection.context = then
        shown = True

    first.sni_callback = choose
    return first


def _refuse_connections(address: str, port: int) -> socket.socket:
    """A dead host that stays dead: bound without listening, so that nobody else can come alive there."""
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        held.bind((address, port))
    except OSError:
        held.close()
        raise
    return held


def _handshake_version(session: Session) -> str | None:
    secured: Any = (session.ssl or {}).get("ssl_object")
    version: str | None = secured.version() if secured is not None else None
    return version


def _write(folder: Path, number: int, reception: Reception) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    about = msgspec.structs.replace(reception, content=b"")
    (folder / f"{number:05}.eml").write_bytes(reception.content)
    (folder / f"{number:05}.json").write_bytes(msgspec.json.encode(about))
