"""Capabilities as looks make them, for tests of what follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from gateway.model.address import Address
from gateway.model.capability import Capability, HostPosture, MxHost, Route
from gateway.model.evidence import Evidence
from gateway.model.problem import Problem
from gateway.model.tls import Dane, DaneProof, TlsGrade, TlsSession

NOW = datetime.now(UTC)
ADDRESS = "192.0.2.1"


def host(name: str = "mx.example.org", dane: Dane | None = None, barred: Problem | None = None) -> MxHost:
    return MxHost(name, 10, (ADDRESS,), 25, dane, barred)


def session(
    *chain: bytes, trusted: bool = True, failure: str | None = None, dane: DaneProof | None = None
) -> TlsSession:
    return TlsSession(
        version="TLSv1.3",
        cipher="TLS_AES_256_GCM_SHA384",
        chain=chain,
        trusted=trusted,
        name_matched="mx.example.org",
        failure=failure,
        dane=dane,
    )


def posture(
    grade: TlsGrade | None,
    shown: TlsSession | None = None,
    *,
    name: str = "mx.example.org",
    result: str | None = None,
    problem: Problem | None = None,
    fit: bool = True,
) -> HostPosture:
    return HostPosture(
        host=name,
        address=ADDRESS,
        evidence=Evidence(grade=grade, session=shown, result=result),
        observed_at=NOW,
        problem=problem,
        fit=fit,
    )


def capability(
    postures: Sequence[HostPosture],
    hosts: Sequence[MxHost] = (host(),),
    *,
    secure: bool = False,
    at: datetime = NOW,
    **more: object,
) -> Capability:
    return Capability(
        recipient=Address("bob", "example.org"),
        observed_at=at,
        route=Route(tuple(hosts), "mx", secure),
        postures=tuple(postures),
        dnssec="validated",
        **more,  # type: ignore[arg-type]
    )
