"""Evidence as people and programs read it, the same wherever it is shown. Names here are promised; new ones may come.

Pure. Certificates and records are what strangers sent: any octets can be shown.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec
from msgspec.structs import asdict

from gateway.model.evidence import Evidence
from gateway.model.sts import StsInForce, StsMode
from gateway.model.tls import TlsGrade, TlsSession
from gateway.wire.certificate import CertificateFacts, read_certificate
from gateway.wire.tlsa import presentation


class Voucher(msgspec.Struct, frozen=True):
    """Who vouches for a server, and by what: a TLSA record, a policy's mode, a pinned key, an authority's name."""

    by: Literal["dane", "mta-sts", "pin", "authority"]
    what: str


class Certificate(CertificateFacts, frozen=True, kw_only=True):
    """One certificate of the chain as it was sent."""

    days_left: int


class TlsView(msgspec.Struct, frozen=True, kw_only=True):
    """What the handshake agreed on and showed. Null in `chain` stands for a certificate that cannot be read, or of
    which only the hash is known."""

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


class ServerView(msgspec.Struct, frozen=True, kw_only=True):
    """What a server showed. `grade` null: nothing could be learned. `tlsa`: the records that were in force for it."""

    grade: TlsGrade | None
    result: str | None
    tls: TlsView | None
    tlsa: tuple[str, ...]
    vouched_for: tuple[Voucher, ...]


class StsView(msgspec.Struct, frozen=True, kw_only=True):
    """The domain's MTA-STS policy (RFC 8461). `stale` says why it could not be refreshed, in a word of RFC 8460."""

    mode: StsMode
    mx: tuple[str, ...]
    max_age: int
    id: str
    fetched_at: datetime
    expires_at: datetime
    stale: str | None
    text: str


class EvidenceView(ServerView, frozen=True, kw_only=True):
    """The whole evidence: what one address of a host showed, and what was in force for the recipient's domain."""

    host: str | None
    address: str | None
    dnssec: str
    mta_sts: StsView | None


def server_view(evidence: Evidence, at: datetime) -> ServerView:
    """What a server showed at that moment."""
    session = evidence.session
    dane = session.dane if session is not None else None
    return ServerView(
        grade=evidence.grade,
        result=evidence.result,
        tls=_tls(session, at) if session is not None else None,
        tlsa=tuple(map(presentation, dane.dane.records)) if dane is not None else (),
        vouched_for=_vouchers(session) if session is not None else (),
    )


def evidence_view(evidence: Evidence, host: str | None, address: str | None, at: datetime) -> EvidenceView:
    """All of it."""
    return EvidenceView(
        **asdict(server_view(evidence, at)),
        host=host,
        address=address,
        dnssec=evidence.resolver,
        mta_sts=sts_view(evidence.sts),
    )


def sts_view(sts: StsInForce | None) -> StsView | None:
    """A policy with its text."""
    if sts is None:
        return None
    return StsView(
        mode=sts.policy.mode,
        mx=sts.policy.mx,
        max_age=sts.policy.max_age,
        id=sts.id,
        fetched_at=sts.fetched_at,
        expires_at=sts.expires_at,
        stale=sts.stale,
        text=sts.text.decode("utf-8", "replace"),
    )


def _tls(session: TlsSession, at: datetime) -> TlsView:
    return TlsView(
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


def _vouchers(session: TlsSession) -> tuple[Voucher, ...]:
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
