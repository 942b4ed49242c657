"""What `sealgate probe --json` prints: one document a recipient. Names here are promised; new ones may be added."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec.structs import asdict

from gateway.model.capability import Capability, HostPosture, MxHost
from gateway.model.problem import Problem
from gateway.model.sts import StsInForce, StsMode
from gateway.model.tls import TlsGrade, TlsSession
from gateway.policy.explain import explain_data
from gateway.probe.findings import Contacts, Finding
from gateway.probe.servers import best_grade
from gateway.probe.trust import DnssecStanding
from gateway.service.looking import Seen
from gateway.wire.certificate import CertificateFacts, read_certificate
from gateway.wire.tlsa import presentation

SCHEMA = 1


class Voucher(msgspec.Struct, frozen=True):
    """Who vouches for a server, and by what: a TLSA record, a policy's mode, a pinned key, an authority's name."""

    by: Literal["dane", "mta-sts", "pin", "authority"]
    what: str


class Certificate(CertificateFacts, frozen=True, kw_only=True):
    """One certificate of the chain as it was sent."""

    days_left: int


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    """What the handshake agreed on and showed. Null in `chain` stands for a certificate that cannot be read."""

    version: str
    cipher: str
    group: str | None
    sni: str | None
    trusted: bool
    name_matched: str | None
    result: str | None
    reduced: bool
    revocation: str | None
    chain: tuple[Certificate | None, ...]


class AddressSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One address of one host. `grade` null: it did not answer, see `problem`."""

    address: str
    grade: TlsGrade | None
    fit: bool
    observed_at: datetime
    tls: Tls | None
    vouched_for: tuple[Voucher, ...]
    result: str | None
    problem: Problem | None


class HostSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One MX host with what its owner published about it; `tlsa` are the records as zone files have them, `terms` the
    settings of ours that bind it; `listed`: an MTA-STS policy that is enforced names it.
    """

    name: str
    preference: int
    port: int
    tlsa: tuple[str, ...]
    tlsa_base: str | None
    terms: str | None
    listed: bool
    barred: Problem | None
    barred_as: str | None
    addresses: tuple[AddressSeen, ...]


class StsSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The domain's MTA-STS policy (RFC 8461). `stale` says why it could not be refreshed, in a word of RFC 8460."""

    mode: StsMode
    mx: tuple[str, ...]
    max_age: int
    id: str
    fetched_at: datetime
    expires_at: datetime
    stale: str | None
    text: str


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer. `capability` is the evidence itself, as `policy explain --capability` reads it."""

    schema: int
    recipient: str
    domain: str
    observed_at: datetime
    grade: TlsGrade | None
    dnssec: DnssecStanding
    mta_sts: StsSeen | None
    route: str | None
    route_signed: bool
    hosts: tuple[HostSeen, ...]
    undeliverable: Problem | None
    findings: tuple[Finding, ...]
    contacts: Contacts
    decision_for: str
    decision: dict[str, Any]
    capability: Capability


def document(seen: Seen) -> Document:
    """Everything that a look found, and what follows from it."""
    capability = seen.capability
    route = capability.route
    return Document(
        schema=SCHEMA,
        recipient=str(capability.recipient),
        domain=capability.recipient.domain,
        observed_at=capability.observed_at,
        grade=best_grade(capability.postures),
        dnssec=seen.dnssec,
        mta_sts=_sts(capability.sts) if capability.sts is not None else None,
        route=route.source if route is not None else None,
        route_signed=route is not None and route.secure,
        hosts=tuple(_host(host, capability) for host in (route.hosts if route is not None else ())),
        undeliverable=capability.undeliverable,
        findings=seen.findings,
        contacts=seen.contacts,
        decision_for=f"an ordinary letter from {seen.sender}",
        decision=explain_data(seen.decision),
        capability=capability,
    )


def _sts(sts: StsInForce) -> StsSeen:
    return StsSeen(
        mode=sts.policy.mode,
        mx=sts.policy.mx,
        max_age=sts.policy.max_age,
        id=sts.id,
        fetched_at=sts.fetched_at,
        expires_at=sts.expires_at,
        stale=sts.stale,
        text=sts.text.decode("utf-8", "replace"),
    )


def _host(host: MxHost, capability: Capability) -> HostSeen:
    return HostSeen(
        name=host.name,
        preference=host.preference,
        port=host.port,
        tlsa=tuple(map(presentation, host.dane.records)) if host.dane is not None else (),
        tlsa_base=host.dane.base if host.dane is not None else None,
        terms=host.terms.source if host.terms is not None else None,
        listed=host.sts,
        barred=host.barred,
        barred_as=host.barred_as,
        addresses=tuple(_address(one) for one in capability.postures if one.host == host.name),
    )


def _address(posture: HostPosture) -> AddressSeen:
    session = posture.evidence.session
    return AddressSeen(
        address=posture.address,
        grade=posture.grade,
        fit=posture.fit,
        observed_at=posture.observed_at,
        tls=_tls(session, posture.observed_at) if session is not None else None,
        vouched_for=vouchers(session) if session is not None else (),
        result=posture.evidence.result,
        problem=posture.problem,
    )


def _tls(session: TlsSession, at: datetime) -> Tls:
    return Tls(
        version=session.version,
        cipher=session.cipher,
        group=session.group,
        sni=session.sni,
        trusted=session.trusted,
        name_matched=session.name_matched,
        result=session.failure,
        reduced=session.reduced,
        revocation=session.revocation,
        chain=tuple(_certificate(der, at) for der in session.chain),
    )


def _certificate(der: bytes, at: datetime) -> Certificate | None:
    facts = read_certificate(der)
    return None if facts is None else Certificate(**asdict(facts), days_left=facts.remaining(at))


def vouchers(session: TlsSession) -> tuple[Voucher, ...]:
    """Who vouches for this server, the strongest first."""
    found: list[Voucher] = []
    if session.dane is not None and session.dane.matched is not None:
        found.append(Voucher("dane", f"TLSA {presentation(session.dane.matched)}"))
    if session.sts and session.names_its_host:
        found.append(Voucher("mta-sts", "the policy that the domain enforces lists this host"))
    if session.terms is not None and session.terms.matched is not None:
        found.append(Voucher("pin", f"sha256:{session.terms.matched.hex()} ({session.terms.terms.source})"))
    if session.trusted and session.name_matched is not None and session.revocation != "revoked":
        last = read_certificate(session.chain[-1]) if session.chain else None
        found.append(Voucher("authority", (last.issuer or last.subject) if last is not None else ""))
    return tuple(found)
