"""Finds out whether servers' certificates were revoked: from the staple, a cache, OCSP, or the issuer's list.

Bounded: one look a certificate at a time, a few in all, each within its own time, answers of limited size, as many
kept as the cache holds. What fails is unknown, never good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from gateway.model.tls import TlsSession
from gateway.net.http import HttpFailure, HttpReply, HttpRequest
from gateway.wire.revocation import Standing, Status, Subject, judge_crl, judge_ocsp, ocsp_request, subject

HARD, SOFT, OFF = "hard-fail", "soft-fail", "off"
_MOST_OCSP = 64 * 1024  # octets
_MOST_LIST = 8 * 1024 * 1024
_MOST_PLACES = 2  # of each kind that are asked
_AT_ONCE = 16
_UNKNOWN_FOR = timedelta(minutes=5)  # before it is asked again
_APART = 64 * 1024  # octets above which reading a list leaves the event loop


class Web(Protocol):
    """Asks a web server (`gateway.net.http.HttpClient`)."""

    async def ask(self, request: HttpRequest) -> HttpReply | HttpFailure: ...


class Cache(Protocol):
    """Remembers standings, each until its moment; bounded."""

    def get(self, key: tuple[bytes, int], now: datetime) -> Standing | None: ...

    def put(self, key: tuple[bytes, int], value: Standing, until: datetime) -> None: ...


class Secured(Protocol):
    """A connection with the evidence of its handshake (`gateway.net.smtp.SmtpConnection`)."""

    @property
    def session(self) -> TlsSession | None: ...

    def learned(self, session: TlsSession) -> None: ...

    def abort(self) -> None: ...


class Revocation:
    """Looks at certificates on behalf of connections. One for the whole process: it shares the cache."""

    def __init__(self, web: Web, cache: Cache, now: Callable[[], datetime], *, seconds: float = 5) -> None:
        self._web = web
        self._cache = cache
        self._now = now
        self._seconds = seconds
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._looking: dict[tuple[bytes, int], asyncio.Task[Standing]] = {}

    async def look_or_abort(self, connection: Secured, mode: str) -> None:
        """As `look`; whoever is cancelled meanwhile leaves no open connection behind."""
        try:
            await self.look(connection, mode)
        except BaseException:
            connection.abort()
            raise

    async def look(self, connection: Secured, mode: str) -> None:
        """Put on the session's record what became of its certificate, where the certificate is what proves it."""
        session = connection.session
        if mode == OFF or session is None or not session.trusted or session.name_matched is None:
            return
        if session.dane is not None and session.dane.usable:
            return  # the owner's own records decide (RFC 7672 section 2.2)
        connection.learned(judged(session, await self._standing(session), mode))

    async def _standing(self, session: TlsSession) -> Standing:
        about = subject(session.chain)
        if about is None:
            return Standing(Status.UNKNOWN, why="the server did not send the issuer's certificate")
        if session.ocsp_staple is not None:
            stapled = judge_ocsp(session.ocsp_staple, about, self._now())
            if stapled.status is not Status.UNKNOWN:
                return stapled
        if about.must_staple:  # RFC 7633 section 4.2.3.1
            return Standing(
                Status.REVOKED, why="the certificate demands a valid stapled answer, and there is none"
            )
        if about.exempt:
            return Standing(Status.EXEMPT)
        return self._cache.get(about.key, self._now()) or await self._look_once(about)

    async def _look_once(self, about: Subject) -> Standing:
        key = about.key
        task = self._looking.get(key)
        if task is None:
            task = asyncio.create_task(self._look(about))
            self._looking[key] = task
            task.add_done_callback(lambda _: self._looking.pop(key, None))
        return await asyncio.shield(
            task
        )  # who waits may be cancelled; the others, and the cache, want the answer

    async def _look(self, about: Subject) -> Standing:
        async with self._room:
            try:
                async with asyncio.timeout(self._seconds):
                    found = await self._ask(about)
            except TimeoutError:
                found = Standing(Status.UNKNOWN, why=f"no answer about revocation within {self._seconds:g} s")
        self._cache.put(about.key, found, found.until or self._now() + _UNKNOWN_FOR)
        return found

    async def _ask(self, about: Subject) -> Standing:
        """The first definite answer; OCSP comes first because it is small."""
        found = Standing(Status.UNKNOWN, why="the certificate names no place to ask about revocation")
        for url in about.responders[:_MOST_PLACES]:
            found = await self._by_ocsp(url, about)
            if found.status is not Status.UNKNOWN:
                return found
        for url in about.lists[:_MOST_PLACES]:
            found = await self._by_list(url, about)
            if found.status is not Status.UNKNOWN:
                return found
        return found

    async def _by_ocsp(self, url: str, about: Subject) -> Standing:
        request = HttpRequest(
            url=url,
            method="POST",
            headers=(("Content-Type", "application/ocsp-request"),),
            body=ocsp_request(about),
            plain=True,
            seconds=self._seconds,
            most_body=_MOST_OCSP,
        )
        reply = await self._web.ask(request)
        return _failed(url, reply) or judge_ocsp(_body(reply), about, self._now())

    async def _by_list(self, url: str, about: Subject) -> Standing:
        request = HttpRequest(url=url, plain=True, redirects=1, seconds=self._seconds, most_body=_MOST_LIST)
        reply = await self._web.ask(request)
        if (failed := _failed(url, reply)) is not None:
            return failed
        if len(_body(reply)) <= _APART:
            return judge_crl(_body(reply), about, self._now())
        return await asyncio.to_thread(judge_crl, _body(reply), about, self._now())


def judged(session: TlsSession, found: Standing, mode: str) -> TlsSession:
    """The session's evidence with what was found out; a certificate that no longer counts proves nothing."""
    failure = session.failure
    if found.status is Status.REVOKED:
        failure = failure or "certificate-revoked"
    elif found.status is Status.UNKNOWN and mode == HARD:
        failure = failure or "revocation-unknown"
    return msgspec.structs.replace(
        session, failure=failure, revocation=found.status.value, revocation_note=found.why
    )


def _failed(url: str, reply: HttpReply | HttpFailure) -> Standing | None:
    if isinstance(reply, HttpFailure):
        return Standing(Status.UNKNOWN, why=f"{url[:200]}: {reply.problem.private or reply.problem.public}")
    if reply.status != 200:
        return Standing(Status.UNKNOWN, why=f"{url[:200]}: status {reply.status}")
    return None


def _body(reply: HttpReply | HttpFailure) -> bytes:
    return reply.body if isinstance(reply, HttpReply) else b""
