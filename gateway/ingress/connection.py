"""One client's connection: socket, TLS, back-pressure and clocks around a session; nothing of SMTP itself."""

from __future__ import annotations

import asyncio
from typing import cast

from gateway.ingress.door import Door
from gateway.ingress.intake import IncidentKind
from gateway.ingress.session import Session
from gateway.ingress.tls import TlsEngine, TlsFailure
from gateway.wire.introduction import ProxyError, ProxyReader
from gateway.wire.reply import format_reply
from gateway.wire.smtp_server_actions import CloseReason, Refused

_LINGER_OCTETS = 1 << 16


class Connection(asyncio.Protocol):
    """From accept to close."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._session: Session
        self._engine: TlsEngine | None = None
        self._proxy: ProxyReader | None = None  # a proxy that has not yet said who is behind it
        self._timer: asyncio.TimerHandle | None = None
        self._moved_at = self._loop.time()  # when there was progress last: what the clocks count from
        self._content_from = (
            0.0  # when content began, put forward by the time that the client had to wait for us
        )
        self._content_octets = 0
        self._paused_at: float | None = None
        self._unasked = False  # the client sends on while we owe it an answer
        self._congested = False  # the client does not read our replies
        self._ended = False  # the client will send no more
        self._closing = False  # our last word is written
        self._lost = False
        self._discarded = 0

    # ----------------------------------------------------------------------------------------- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        # A client that has gone already has no address; 0.0.0.0 is nobody's.
        ip, port = (transport.get_extra_info("peername") or ("0.0.0.0", 0))[:2]  # noqa: S104
        ip = ip.partition("%")[0]
        self._session = Session(self._door, self, ip, port, tls=self._implicit)
        refusal = self._door.enter(self, ip)
        if refusal is not None:
            self._turn_away(refusal)
            return
        if self._door.must_introduce(ip):
            self._proxy = ProxyReader()
        self._arm()
        if self._proxy is None:
            self._begin()

    @property
    def _implicit(self) -> bool:
        return self._door.settings.tls == "implicit"

    def _begin(self) -> None:
        if self._implicit:
            self.start_tls()
        else:
            # Twice round the loop: octets that are here already are read first, and end the session.
            self._loop.call_soon(self._loop.call_soon, self._greet)

    def data_received(self, data: bytes) -> None:
        if self._lost:
            return
        if self._closing:
            self._discarded += len(data)
            if self._discarded > _LINGER_OCTETS:
                self._transport.abort()
        elif self._proxy is not None:
            self._introduce(self._proxy, data)
        elif self._engine is None:
            self._hear(data)
        else:
            self._decrypt(self._engine, data)

    def eof_received(self) -> bool:
        self._ended = True
        if self._engine is not None and self._engine.session is None:
            return False  # who leaves in the handshake waits for nothing
        # Whoever waits for an answer shall have it.
        return not self._closing and self._session.dialogue.waiting

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        if self._timer is not None:
            self._timer.cancel()
        self._session.lost()
        self._door.leave(self)

    def pause_writing(self) -> None:
        self._congested = True
        self.regulate()

    def resume_writing(self) -> None:
        self._congested = False
        self.regulate()

    # ---------------------------------------------------------------------------------------- what the door calls

    def stop(self, refusal: Refused) -> None:
        self._session.stop(refusal)

    def cut(self) -> None:
        self._transport.abort()

    # ------------------------------------------------------------------------------------- what the session calls

    def write(self, octets: bytes) -> None:
        self._moved_at = self._loop.time()
        if self._lost:
            return
        if self._engine is None:
            self._transport.write(octets)
            return
        try:
            self._engine.send(octets)
        except TlsFailure as failure:
            self._tls_failed(failure)
        else:
            self._transport.write(self._engine.outgoing())

    def start_tls(self) -> None:
        assert self._door.tls is not None
        self._engine = self._door.tls.engine()
        self._moved_at = self._loop.time()

    def introduced(self, ip: str) -> Refused | None:
        return self._door.introduced(self, ip)

    def close(self, reason: CloseReason) -> None:
        if self._lost or self._closing:
            return
        self._closing = True
        self._moved_at = self._loop.time()
        if self._engine is not None:
            self._engine.shut_down()
            self._transport.write(self._engine.outgoing())
        if self._ended or (reason is CloseReason.QUIT and self._engine is None):
            self._transport.close()
            return
        # Closing with unread octets in the kernel would reset the connection and swallow our last word; under TLS a
        # client that has said QUIT still answers our close_notify.
        try:
            self._transport.write_eof()
        except OSError:
            self._transport.abort()  # the client is gone, and nobody has told us yet
        self._arm()

    def regulate(self) -> None:
        fluent = self._paused_at is None and not (self._unasked or self._congested or self._ended)
        if fluent and not self._session.overfull:
            return
        if self._lost or self._transport.is_closing():
            return
        waiting = self._session.dialogue.waiting
        if self._ended and not waiting:
            self._transport.close()
            return
        self._unasked = self._unasked and waiting
        stop = not self._closing and (self._unasked or self._congested or self._session.overfull)
        if stop and self._paused_at is None:
            self._paused_at = self._loop.time()
            self._transport.pause_reading()
        elif not stop and self._paused_at is not None:
            now = self._loop.time()
            self._content_from += now - self._paused_at
            self._moved_at = now
            self._paused_at = None
            self._transport.resume_reading()

    # ---------------------------------------------------------------------------------------------------- reading

    def _introduce(self, proxy: ProxyReader, data: bytes) -> None:
        try:
            found = proxy.feed(data)
        except ProxyError as error:
            self._door.report(IncidentKind.PROTOCOL_ABUSE, self._session.ip, str(error))
            self._transport.abort()
            return
        if found is None:
            return
        client, rest = found
        assert client.ip is not None
        self._proxy = None
        self._moved_at = self._loop.time()
        self._session.behind(client.ip, client.port or 0)
        refusal = self._door.introduced(self, client.ip)
        if refusal is not None:
            self._turn_away(refusal)
            return
        self._begin()
        if rest:
            self.data_received(rest)

    def _greet(self) -> None:
        if not self._lost and not self._closing:
            self._session.greet()

    def _hear(self, octets: bytes) -> None:
        dialogue = self._session.dialogue
        before = dialogue.receiving
        self._unasked = dialogue.waiting
        self._session.hear(octets)
        if dialogue.receiving:
            self._moved_at = self._loop.time()
            if not before:
                self._content_from, self._content_octets = self._moved_at, 0
            self._content_octets += len(octets)
        elif dialogue.waiting and not self._unasked:
            self._moved_at = self._loop.time()

    def _decrypt(self, engine: TlsEngine, data: bytes) -> None:
        shaking = engine.session is None
        try:
            octets = engine.receive(data)
        except TlsFailure as failure:
            self._tls_failed(failure)
            return
        if shaking or not octets:
            # OpenSSL answers by itself in the handshake, and to what is no data later (renegotiation, key updates).
            self._flush(engine)
        if shaking and engine.session is not None:
            self._session.tls_started(engine)
            if not octets:
                self._session.greet()  # under implicit TLS; after STARTTLS there is no second greeting
        if octets and not self._closing:
            self._hear(octets)
        if engine.ended and not self._transport.is_closing():
            self._ended = True
            self.regulate()

    def _flush(self, engine: TlsEngine) -> None:
        outgoing = engine.outgoing()
        if outgoing:
            self._transport.write(outgoing)

    def _tls_failed(self, failure: TlsFailure) -> None:
        self._door.report(IncidentKind.TLS_FAILED, self._session.ip, str(failure))
        if self._engine is not None:
            self._flush(self._engine)  # the alert that says why
        self._closing = True
        self._transport.close()

    def _turn_away(self, refusal: Refused) -> None:
        if not self._implicit:
            self._transport.write(format_reply(refusal.code, refusal.status, refusal.text))
        self._closing = True
        self._transport.close()

    # ----------------------------------------------------------------------------------------------------- clocks

    def _patience(self) -> float:
        timers = self._door.settings.timers
        if self._closing:
            return timers.linger
        if self._proxy is not None:
            return timers.introduction
        if self._engine is not None and self._engine.session is None:
            return timers.handshake
        if self._session.dialogue.waiting or self._paused_at is not None:
            return timers.processing
        return timers.data if self._session.dialogue.receiving else self._door.command_patience

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        left = self._moved_at + self._patience() - self._loop.time()
        self._timer = self._loop.call_later(min(max(left, 0.0), self._door.settings.timers.tick), self._tick)

    def _tick(self) -> None:
        if self._lost:
            return
        if self._loop.time() - self._moved_at >= self._patience():
            self._overdue()
        elif self._dripping():
            self._session.time_out()
        self._arm()

    def _overdue(self) -> None:
        self._moved_at = self._loop.time()
        if self._closing:
            self._transport.abort()
        elif self._proxy is not None:
            self._door.report(IncidentKind.TIMEOUT, self._session.ip, "no PROXY header")
            self._transport.abort()
        elif self._engine is not None and self._engine.session is None:
            self._door.report(IncidentKind.TLS_FAILED, self._session.ip, "the handshake took too long")
            self._transport.abort()
        elif self._session.dialogue.waiting:
            self._session.overdue()
        else:
            self._session.time_out()

    def _dripping(self) -> bool:
        """Whether content comes so slowly that it serves only to keep us busy."""
        if not self._session.dialogue.receiving or self._paused_at is not None:
            return False
        seconds = self._loop.time() - self._content_from
        settings = self._door.settings
        return seconds > settings.timers.slow_start and self._content_octets < seconds * settings.minimum_rate
