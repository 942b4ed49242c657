"""How much a TLS session proves, and whether that is enough for a floor. Judgement only, on `TlsSession`'s evidence."""

from __future__ import annotations

from gateway.model.tls import TlsFloor, TlsGrade, TlsSession

# What a proof is worth as well: whoever admits plain text also admits any TLS.
_WORTH = {
    TlsGrade.DANE: (TlsGrade.DANE, TlsGrade.ENCRYPTED, TlsGrade.NONE),
    TlsGrade.PKIX: (TlsGrade.PKIX, TlsGrade.ENCRYPTED, TlsGrade.NONE),
    TlsGrade.ENCRYPTED: (TlsGrade.ENCRYPTED, TlsGrade.NONE),
    TlsGrade.NONE: (TlsGrade.NONE,),
}
_VERSIONS = {
    "TLSv1": 10,
    "TLSv1.1": 11,
    "TLSv1.2": 12,
    "TLSv1.3": 13,
    "1.0": 10,
    "1.1": 11,
    "1.2": 12,
    "1.3": 13,
}


def grade(session: TlsSession | None) -> TlsGrade:
    """`dane` where a TLSA record proves it, `pkix` where a trusted chain carries the name asked for (RFC 9525).

    DANE for a host whose name came from unsigned DNS proves no more than `pkix` does (policy.md, Grades). Grades that
    need evidence from elsewhere (MTA-STS, pins) are not this function's to give.
    """
    if session is None:
        return TlsGrade.NONE
    if session.dane is not None and session.dane.matched is not None:
        return TlsGrade.DANE if session.dane.dane.mx_secure else TlsGrade.PKIX
    if session.trusted and session.name_matched is not None and session.failure is None:
        return TlsGrade.PKIX
    return TlsGrade.ENCRYPTED


def meets(session: TlsSession | None, floor: TlsFloor) -> bool:
    """Whether content may leave over this connection: its grade counts for the floor, its version is not below it.

    Where the host's owner published what its certificate must show and it does not, no floor is low enough (RFC 7672
    section 2.2).
    """
    if session is not None and session.dane is not None and session.dane.failed:
        return False
    if not any(worth in floor.grades for worth in _WORTH[grade(session)]):
        return False
    return session is None or _VERSIONS.get(session.version, 0) >= _VERSIONS[floor.min_version]
