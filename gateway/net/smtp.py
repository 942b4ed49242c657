"""SMTP connections to recipients' servers: an asyncio shell around `gateway.wire.smtp_client`, with STARTTLS.

Promises: a cancelled or timed-out call closes the connection, so that no later call meets its replies; memory is
bounded whatever the peer sends (the reply parser) or does not take (content leaves in pieces, under back-pressure);
each phase has its own time, which a peer that trickles octets does not extend. Addresses are numeric: nothing here
asks the DNS.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from ipaddress import ip_address
from typing import cast

import msgspec

from gateway.model.problem import Problem
from gateway.model.tls import TlsSession
from gateway.net.tls_client import TlsChannel, TlsError
from gateway.net.tls_context import ClientTls
from gateway.wire.endpoint import ConnectFailure, Endpoint
from gateway.wire.smtp_client import ClientDialogue
from gateway.wire.smtp_client_phase import Phase, StartTls
from gateway.wire.smtp_transaction import Lost, Obstacle, Transaction, TransactionReplies

__all__ = [
    "ClientSettings",
    "ClientTls",
    "ConnectFailure",
    "Endpoint",
    "Lost",
    "Obstacle",
    "SmtpConnection",
    "Transaction",
    "TransactionReplies",
    "connect",
]

_HIGH_WATER = 512 * 1024  # octets that may wait in the transport before content stops
_LINGER = 1.0  # seconds for the last octets of a connection that is over


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Our name, and how long the peer may take for each step, in seconds (RFC 5321 section 4.5.3.2)."""

    helo: str
    connect: float = 30
    greeting: float = 300
    tls: float = 60
    mail: float = 300
    data: float = 120
    block: float = 180
    dot: float = 600
    quit: float = 5

    def allowed(self, phase: Phase) -> float | None:
        """Seconds for this phase; None where the peer owes us nothing."""
        match phase:
            case Phase.GREETING | Phase.EHLO:
                return self.greeting
            case Phase.STARTTLS | Phase.TLS:
                return self.tls
            case Phase.MAIL | Phase.RCPT:
                return self.mail
            case Phase.DATA:
                return self.data
            case Phase.CONTENT:
                return self.block
            case Phase.DOT:
                return self.dot
            case Phase.RSET | Phase.QUIT:
                return self.quit
            case Phase.IDLE | Phase.DEAD:
                return None


async def connect(
    endpoint: Endpoint, tls: ClientTls | None, settings: ClientSettings, source_address: str | None = None
) -> SmtpConnection | ConnectFailure:
    """Connect, greet and secure. With `tls` None the session stays in the clear, whatever the server offers.

    An endpoint that demands TLS is never spoken to in the clear, `tls` or not (RFC 7672 section 2.2, RFC 8461 section
    5).
    The session's worth is not judged here: look at `session` before anything is sent.
    """
    ip_address(endpoint.address)  # a name here would be a bug, and would ask the DNS
    loop = asyncio.get_running_loop()
    connection = SmtpConnection(endpoint, tls, settings, loop)
    try:
        async with asyncio.timeout(settings.connect):
            await loop.create_connection(
                lambda: connection,
                endpoint.address,
                endpoint.port,
                local_addr=None if source_address is None else (source_address, 0),
            )
    except asyncio.CancelledError:
        connection.abort()
        raise
    except (OSError, TimeoutError) as error:
        connection.abort()
        where = f"{endpoint.address} port {endpoint.port}"
        problem = Problem("4.4.1", "the mail server does not answer", f"{where}: {_said(error)}")
        return ConnectFailure(stage="connect", problem=problem)
    await connection.settled()
    failed = connection.dialogue.failed
    if failed is None:
        return connection
    return ConnectFailure(
        stage=failed.stage,
        problem=failed.problem,
        session=connection.session,
        definite=failed.definite,
        result=failed.result,
        reply=failed.reply,
    )


class SmtpConnection(asyncio.Protocol):
    """One SMTP session. One call at a time."""

    def __init__(
        self,
        endpoint: Endpoint,
        tls: ClientTls | None,
        settings: ClientSettings,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        starttls = StartTls.NEVER if tls is None else StartTls.IF_OFFERED if tls.optional else StartTls.MUST
        if endpoint.demands_tls:
            tls, starttls = tls or ClientTls(), StartTls.MUST
        self.endpoint = endpoint
        self.dialogue = ClientDialogue(settings.helo, starttls)
        self.used = 0  # transactions begun
        self._tls = tls
        self._settings = settings
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._channel: TlsChannel | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._full = False
        self._progress = -1
        self._due: float | None = None  # when the time for this phase is up
        self._timer: asyncio.TimerHandle | None = None

    @property
    def session(self) -> TlsSession | None:
        return None if self._channel is None else self._channel.session

    def learned(self, session: TlsSession) -> None:
        """Put the same session with more evidence in its place."""
        assert self._channel is not None
        self._channel.session = session

    @property
    def extensions(self) -> Mapping[str, str]:
        return self.dialogue.extensions

    @property
    def alive(self) -> bool:
        """Whether a transaction may begin."""
        return self.dialogue.alive and self._waiter is None

    async def send(self, transaction: Transaction) -> TransactionReplies:
        """Send one message. The connection may be dead afterwards: look at `alive`."""
        if (reason := self.dialogue.begin(transaction)) is not None:
            return TransactionReplies(rcpt=(None,) * len(transaction.recipients), obstacle=reason)
        self.used += 1
        self._pump()
        await self.settled()
        assert self.dialogue.replies is not None
        return self.dialogue.replies

    async def close(self) -> None:
        """Say QUIT where that is still possible, and let go."""
        if not self.alive:
            self.abort()
            return
        self.dialogue.quit()
        self._pump()
        await self.settled()

    def abort(self) -> None:
        """Let go at once. A peer that waits for more sees the connection reset."""
        self.dialogue.lost(Problem("4.4.2", "we closed the connection"))
        self._done()

    async def settled(self) -> None:
        """Wait until the peer owes us nothing. Cancelling closes the connection: its replies are lost to everyone."""
        if self.dialogue.phase in _SETTLED:
            return
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        except asyncio.CancelledError:
            self.abort()
            raise
        finally:
            self._waiter = None

    # ------------------------------------------------------------------ what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by behaviour, not by class
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        self._pump()

    def data_received(self, data: bytes) -> None:
        try:
            if self._channel is None:
                self.dialogue.feed(data)
            elif self._channel.session is None:
                self._shake_hands(data)
            else:
                self._secured(data)
        except TlsError as error:
            self._tls_broke(error)
        self._pump()

    def eof_received(self) -> None:
        self._hung_up("the peer closed the connection")

    def connection_lost(self, exc: Exception | None) -> None:
        self._hung_up(_said(exc) if exc else "the peer closed the connection")

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._pump()

    # ------------------------------------------------------------------ inside

    def _pump(self) -> None:
        """Write what can be written, and see whether the peer still owes us something."""
        try:
            if self.dialogue.phase is Phase.TLS and self._channel is None:
                assert self._tls is not None
                self._channel = TlsChannel(
                    self._tls,
                    self.endpoint.host,
                    self.endpoint.dane,
                    self.endpoint.terms,
                    sts=self.endpoint.sts,
                )
                self._shake_hands(b"")
            while not self._full and (octets := self.dialogue.take()):
                self._write(octets)
        except TlsError as error:
            self._tls_broke(error)
        phase = self.dialogue.phase
        if phase is Phase.DEAD:
            self._done()
        elif phase is Phase.IDLE:
            self._due = None
            self._wake()
        elif self._progress != self.dialogue.progress or self._due is None:
            self._progress = self.dialogue.progress
            self._start_clock(phase)

    def _write(self, octets: bytes | memoryview) -> None:
        assert self._transport is not None
        self._transport.write(octets if self._channel is None else self._channel.send(octets))

    def _shake_hands(self, data: bytes) -> None:
        assert self._channel is not None
        assert self._transport is not None
        answer = self._channel.handshake(data)
        if answer:
            self._transport.write(answer)
        if self._channel.session is not None:
            self.dialogue.tls_established()
            self._secured(
                b""
            )  # what came behind the handshake answers no command yet, and the dialogue knows it

    def _secured(self, data: bytes) -> None:
        assert self._channel is not None
        if plain := self._channel.receive(data):
            self.dialogue.feed(plain)
        if self._channel.closed:
            self._hung_up("the peer closed the TLS session")

    def _tls_broke(self, error: TlsError) -> None:
        if self.dialogue.phase is Phase.TLS:
            problem = Problem("4.7.5", "the TLS handshake with the mail server failed", error.detail)
            self.dialogue.tls_failed(problem, definite=error.definite)
        else:
            self.dialogue.lost(Problem("4.4.2", "the TLS session with the mail server broke", error.detail))

    def _hung_up(self, how: str) -> None:
        self.dialogue.lost(
            Problem("4.4.2", f"the mail server closed the connection ({self.dialogue.phase})", how)
        )
        self._done()

    def _start_clock(self, phase: Phase) -> None:
        """One timer for the connection: it is only moved when it would ring too late."""
        allowed = self._settings.allowed(phase)
        assert allowed is not None
        self._due = self._loop.time() + allowed
        if self._timer is None or self._timer.when() > self._due:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(self._due, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._due is None:
            return
        if self._loop.time() < self._due:
            self._timer = self._loop.call_at(self._due, self._ring)
            return
        self.dialogue.lost(Problem("4.4.2", f"the mail server took too long ({self.dialogue.phase})"))
        self._done()

    def _done(self) -> None:
        """The session is over: free the socket, tell whoever waits."""
        self._due = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None and not self._transport.is_closing():
            if (
                self._channel is not None
                and self._channel.session is not None
                and (last := self._channel.close())
            ):
                self._transport.write(last)
            self._transport.abort()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


_SETTLED = frozenset({Phase.IDLE, Phase.DEAD})


def _said(error: BaseException) -> str:
    """An error as the operator should read it, in one bounded line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:200] if text else type(error).__name__
