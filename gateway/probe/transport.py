"""Asks one address of one mail server what TLS it shows: connect, EHLO, STARTTLS, and leave before any mail.

What the server showed is a posture with a grade: no STARTTLS, a final refusal of it, and a handshake that fails within
the limits of version and ciphers we ask for all grade as `none`, each with its problem. A host that does not show what
DANE or MTA-STS promise of it is not `fit` to be given anything, whatever its grade. What it did not tell us (no
connection, no greeting, "TLS not available just now", a handshake that went silent) has no grade: that is unknown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import msgspec

from gateway.model.capability import HostPosture, MxHost
from gateway.model.evidence import Evidence
from gateway.model.problem import Problem
from gateway.model.tls import TlsGrade, TlsSession
from gateway.net.smtp import ClientSettings, ClientTls, ConnectFailure, Endpoint, SmtpConnection, connect
from gateway.wire.tls_grade import fell_short, forbids, grade
from gateway.wire.tls_shortfall import shortfall

_NOT_OFFERED = Problem("4.7.4", "the mail server does not offer TLS")


class _Look(msgspec.Struct, frozen=True):
    """What one try showed. `in_tls`: its handshake failed; `broke_off`: the server ended it without a word."""

    posture: HostPosture
    in_tls: bool = False
    broke_off: bool = False


class TlsObserver:
    """Observes with one set of limits (`tls`: roots, version, ciphers); the clock is that of each observation."""

    def __init__(
        self,
        tls: ClientTls,
        settings: ClientSettings,
        source_address: str | None = None,
        look: Callable[[SmtpConnection], Awaitable[None]] | None = None,
    ) -> None:
        self._tls = msgspec.structs.replace(tls, optional=True)  # a server without STARTTLS is an answer, too
        self._settings = settings
        self._source_address = source_address
        self._look = look  # learns what became of its certificate

    async def observe(self, host: MxHost, address: str, now: datetime) -> HostPosture:
        """The posture, within the times of the settings. Never raises for what a peer does."""
        endpoint = Endpoint(host.name, address, host.port, host.dane, host.terms, host.sts)
        first = await self._once(endpoint, self._tls, now)
        if not first.in_tls:
            return first.posture
        # The second ClientHello is smaller, for those whom a large one chokes (`gateway.net.second_try`).
        second = await self._once(endpoint, self._tls.reduced() or self._tls, now)
        if second.posture.grade is None and first.posture.grade is not None:
            return first.posture  # a definite no is not forgotten because the second visit found nobody in
        if first.broke_off and second.broke_off:
            # Many old servers hang up where they should say "protocol version"; so do overloaded ones. Twice is a no.
            fit = not endpoint.demands_tls
            evidence = msgspec.structs.replace(second.posture.evidence, grade=TlsGrade.NONE)
            return msgspec.structs.replace(second.posture, evidence=evidence, fit=fit)
        return second.posture

    async def _once(self, endpoint: Endpoint, tls: ClientTls, now: datetime) -> _Look:
        loop = asyncio.get_running_loop()
        began = loop.time()
        result = await connect(endpoint, tls, self._settings, self._source_address)
        if isinstance(result, ConnectFailure):
            in_tls = result.stage == "tls"
            # where the time was not up, it was the server's doing
            prompt = loop.time() - began < self._settings.tls
            return _Look(_failed(endpoint, result, now), in_tls, in_tls and not result.definite and prompt)
        if self._look is not None:
            await self._look(result)
        posture = _shown(endpoint, result, now)
        await result.close()
        return _Look(posture)


def observer_settings(helo: str) -> ClientSettings:
    """Times for a look, shorter than a delivery's: whoever is slower is asked again by the delivery itself."""
    return ClientSettings(helo=helo, connect=10, greeting=20, tls=15, quit=2)


def _shown(endpoint: Endpoint, connection: SmtpConnection, now: datetime) -> HostPosture:
    session = connection.session
    if session is None:
        return _posture(endpoint, now, TlsGrade.NONE, _NOT_OFFERED, result=fell_short(session))
    seen = grade(session)
    fit = not forbids(session)
    problem = _weakness(session) if seen is TlsGrade.ENCRYPTED or not fit else None
    return _posture(endpoint, now, seen, problem, session=session, result=fell_short(session), fit=fit)


def _failed(endpoint: Endpoint, failure: ConnectFailure, now: datetime) -> HostPosture:
    """A definite no to TLS grades as none; everything else, and all that came before it, leaves us ignorant."""
    no_tls = failure.definite and failure.stage in {"starttls", "tls"}
    where = f"{endpoint.host} [{endpoint.address}]:{endpoint.port}"
    problem = msgspec.structs.replace(
        failure.problem,
        private=f"{where} {failure.stage}: {failure.problem.private or failure.problem.public}",
    )
    grade_ = TlsGrade.NONE if no_tls else None
    fit = not (endpoint.demands_tls and no_tls)
    return _posture(endpoint, now, grade_, problem, session=failure.session, result=failure.result, fit=fit)


def _weakness(session: TlsSession) -> Problem:
    lacks = shortfall(session)
    return Problem(lacks.status, f"the mail server {lacks.says}", lacks.detail)


def _posture(
    endpoint: Endpoint,
    now: datetime,
    seen: TlsGrade | None,
    problem: Problem | None,
    *,
    session: TlsSession | None = None,
    result: str | None = None,
    fit: bool = True,
) -> HostPosture:
    return HostPosture(
        host=endpoint.host,
        address=endpoint.address,
        evidence=Evidence(grade=seen, session=session, result=result),
        observed_at=now,
        problem=problem,
        fit=fit,
    )
