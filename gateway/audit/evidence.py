"""What connections showed and had to show, as leaves say it: without names, keys and texts, which are sealed. Pure."""

from __future__ import annotations

from functools import lru_cache

from gateway.audit.shapes import DaneSeen, Floor, StsSeen, TermsSeen, TlsSeen
from gateway.model.sts import StsInForce
from gateway.model.tls import DaneProof, TermsProof, TlsFloor, TlsSession


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


def sts_seen(sts: StsInForce | None) -> StsSeen | None:
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
