"""What connections showed and had to show: in leaves without names, keys and texts, which are sealed beside them. Pure.

The same for the servers that a decision looked at and for the connection of an attempt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import TypedDict

import msgspec
from msgspec.structs import replace

from gateway.audit.shapes import DaneSeen, Floor, StsSeen, TermsSeen, TlsSeen
from gateway.model.capability import Capability, HostPosture
from gateway.model.evidence import Evidence
from gateway.model.sts import StsInForce
from gateway.model.tls import DaneProof, TermsProof, TlsFloor, TlsSession

Values = list[tuple[str, bytes]]  # (field, value), sorted by field

_MOST_CHAINS = 8
_MOST_OCTETS = 64 * 1024  # of all chains that are sealed with one decision

_write = msgspec.json.Encoder(order="deterministic").encode


class ServerPart(TypedDict):
    """Fields that every leaf has that says what a server showed."""

    grade: str | None
    result: str | None
    tls: TlsSeen | None


class DomainPart(TypedDict):
    """Fields that every leaf has that says what was in force for a recipient's domain."""

    dnssec: str
    sts: StsSeen | None


def server_part(evidence: Evidence) -> ServerPart:
    return {
        "grade": evidence.grade.value if evidence.grade is not None else None,
        "result": evidence.result,
        "tls": tls_seen(evidence.session),
    }


def domain_part(resolver: str, sts: StsInForce | None) -> DomainPart:
    return {"dnssec": resolver, "sts": _sts_seen(sts)}


def sealed(shown: Sequence[Evidence]) -> Values:
    """The values for the vault: `chain` (DER certificates, which delimit themselves, chain after chain as sent), `sts`
    (the policy in force), `terms` and `tlsa` (what the configuration and the servers' owners demand, with the proof; a
    line of JSON each). What several show alike is there once.
    """
    chains: dict[tuple[bytes, ...], None] = {}
    terms: dict[bytes, None] = {}
    tlsa: dict[bytes, None] = {}
    for one in shown:
        if (session := one.session) is not None:
            chains[session.chain] = None
            if session.terms is not None:
                terms[_write(session.terms)] = None
            if session.dane is not None:
                tlsa[_write(session.dane)] = None
    values: Values = []
    if chain := b"".join([der for chain in chains for der in chain]):
        values.append(("chain", chain))
    if shown and shown[0].sts is not None:  # they are all of one domain
        values.append(("sts", _write(shown[0].sts)))
    if terms:
        values.append(("terms", b"\n".join(terms)))
    if tlsa:
        values.append(("tlsa", b"\n".join(tlsa)))
    return values


def looked_at(capability: Capability) -> Iterator[Evidence]:
    """What its servers showed, for `sealed`: without the chains that would be too many or too long to keep."""
    chains: set[tuple[bytes, ...]] = set()
    octets = 0
    for posture in capability.postures:
        evidence = capability.evidence(posture)
        session = evidence.session
        if session is not None and session.chain not in chains:
            size = sum(map(len, session.chain))
            if len(chains) == _MOST_CHAINS or octets + size > _MOST_OCTETS:
                evidence = replace(evidence, session=replace(session, chain=()))
            else:
                chains.add(session.chain)
                octets += size
        yield evidence


def lean(capability: Capability) -> Capability:
    """The capability with each certificate and the MTA-STS text replaced by its SHA-256, and staples dropped.

    No decision looks inside them, so that it can be made again from this.
    """
    sts = capability.sts
    if sts is not None:
        sts = replace(sts, chain=_digests(sts.chain), text=sha256(sts.text).digest())
    return replace(capability, postures=tuple(map(_lean_posture, capability.postures)), sts=sts)


def _lean_posture(posture: HostPosture) -> HostPosture:
    session = posture.evidence.session
    if session is None:
        return posture
    session = replace(session, chain=_digests(session.chain), ocsp_staple=None)
    return replace(posture, evidence=replace(posture.evidence, session=session))


def _digests(chain: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return tuple(sha256(der).digest() for der in chain)


def tls_seen(session: TlsSession | None) -> TlsSeen | None:
    if session is None:
        return None
    return TlsSeen(
        certificates=len(session.chain),
        cipher=session.cipher,
        dane=_dane_seen(session.dane),
        failure=session.failure,
        group=session.group,
        matched=session.name_matched is not None,
        ocsp=session.ocsp_staple is not None,
        reduced=session.reduced,
        resumed=session.resumed,
        revocation=session.revocation,
        sts=session.sts,
        terms=_terms_seen(session.terms),
        trusted=session.trusted,
        version=session.version,
        weak=session.weak,
    )


def _sts_seen(sts: StsInForce | None) -> StsSeen | None:
    if sts is None:
        return None
    return StsSeen(
        expires_at=sts.expires_at,
        fetched_at=sts.fetched_at,
        id=sts.id,
        mode=sts.policy.mode.value,
        stale=sts.stale,
    )


def _dane_seen(proof: DaneProof | None) -> DaneSeen | None:
    if proof is None:
        return None
    return DaneSeen(
        matched=None if proof.matched is None else " ".join(map(str, proof.matched[:3])),
        mx_secure=proof.dane.mx_secure,
        place=proof.place,
        records=len(proof.dane.records),
        usable=proof.usable,
    )


def _terms_seen(proof: TermsProof | None) -> TermsSeen | None:
    if proof is None:
        return None
    terms = proof.terms
    return TermsSeen(
        distrusted=terms.distrusted,
        least=terms.least.value if terms.least is not None else None,
        pins=len(terms.pins),
        place=proof.place,
    )


@lru_cache(maxsize=256)
def floor_leaf(floor: TlsFloor) -> Floor:
    return Floor(
        ciphers=floor.ciphers,
        grades=tuple(grade.value for grade in floor.grades),
        groups=floor.groups,
        min_version=floor.min_version,
        revocation=floor.revocation,
    )
