"""How much a TLS session proves, and whether that is enough for a floor. Judgement only, on `TlsSession`'s evidence."""

from __future__ import annotations

from gateway.model.tls import TlsFloor, TlsGrade, TlsSession
from gateway.wire.tls_profile import fits

_RANK = {grade: place for place, grade in enumerate(TlsGrade)}
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
    """The best that it shows."""
    return shown(session)[0]


def shown(session: TlsSession | None) -> tuple[TlsGrade, ...]:
    """Every grade that the evidence bears out, best first: whoever admits plain text also admits any TLS.

    `dane` where a TLSA record proves it, for a host whose name came from unsigned DNS no more than `pkix` (policy.md,
    Grades); `pin` where it shows a pinned key; `pkix` where a trusted chain carries the name asked for (RFC 9525), and
    with it `mta-sts` where an enforced policy lists that name. Keys too weak for the profile, broken pins or records,
    and distrust leave nothing of that.
    """
    if session is None:
        return (TlsGrade.NONE,)
    return (*sorted(_proved(session), key=_RANK.__getitem__), TlsGrade.ENCRYPTED, TlsGrade.NONE)


def _proved(session: TlsSession) -> set[TlsGrade]:
    dane, terms = session.dane, session.terms
    if session.weak or (terms is not None and (terms.terms.distrusted or terms.failed)):
        return set()
    proved = set()
    if terms is not None and terms.matched is not None:
        proved.add(TlsGrade.PIN)
    if dane is not None and dane.matched is not None:
        proved.add(TlsGrade.DANE if dane.dane.mx_secure else TlsGrade.PKIX)
    elif dane is not None and dane.failed:
        return set()
    elif session.names_its_host:
        proved.add(TlsGrade.PKIX)
    if session.sts and session.names_its_host:
        proved.add(TlsGrade.MTA_STS)
    return proved


def fell_short(session: TlsSession | None) -> str | None:
    """The word of RFC 8460 section 4.3, or ours, for how a connection that came about fell short: in the clear, because
    TLS was not on offer. None: it did not."""
    return "starttls-not-supported" if session is None else session.failure


def forbids(session: TlsSession | None) -> bool:
    """Whether no floor is low enough for this connection.

    Where the host's owner or the domain published what its certificate must show (RFC 7672 section 2.2, RFC 8461
    section 5), or our configuration lays it down, and it does not show it, nothing leaves.
    """
    if session is None:
        return False
    if session.dane is not None and session.dane.failed:
        return True
    if session.sts and not session.names_its_host:
        return True
    if session.terms is None:
        return False
    least = session.terms.terms.least
    return session.terms.failed or (least is not None and _RANK[grade(session)] > _RANK[least])


def meets(session: TlsSession | None, floor: TlsFloor) -> bool:
    """Whether content may leave over this connection.

    Its grade counts for the floor, its version is not below it, and it was made of what the floor's profile allows.
    """
    counted = [each for each in shown(session) if _looked_up(session, each, floor.revocation)]
    if forbids(session) or not any(each in floor.grades for each in counted):
        return False
    if session is None:
        return not floor.groups
    return _VERSIONS.get(session.version, 0) >= _VERSIONS[floor.min_version] and fits(session, floor)


def _looked_up(session: TlsSession | None, proof: TlsGrade, mode: str) -> bool:
    """Whether revocation leaves a proof standing: only a certificate that its issuer vouches for can be revoked."""
    if session is None or mode == "off" or proof not in {TlsGrade.MTA_STS, TlsGrade.PKIX}:
        return True
    if session.dane is not None and session.dane.matched is not None:
        return True
    return session.revocation in {"good", "exempt"} or (
        session.revocation == "unknown" and mode == "soft-fail"
    )
