"""Did the delivering connection meet what the decision required? Judged from the leaves alone.

Pure, and written apart from the code that enforces (`gateway.wire.tls_grade`), so that one mistake is not made twice.
Source: policy.md, Guarantees and Grades; reference/audit-portal.md A.2.13, check 11.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.audit.leaves import Attempted, Decided
from gateway.audit.shapes import Floor, TlsSeen

_BEST_FIRST = ("dane", "mta-sts", "pin", "pkix", "encrypted", "none")
PROVING = frozenset(_BEST_FIRST[:4])
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
_NIST = re.compile(r"^(TLS_|(ECDHE|DHE)-(ECDSA|RSA)-)AES_?(128|256)[_-]GCM")
_BROKEN = re.compile(r"NULL|EXP|RC4|DES|MD5|ADH|AECDH|anon", re.IGNORECASE)


def content_left(attempt: Attempted) -> bool:
    """Whether content may have left: it was taken, or nobody knows, or octets of it went out before the answer."""
    return attempt.outcome in {"delivered", "unknown"} or (attempt.octets > 0 and not attempt.security)


def unfit_floor(decision: Decided) -> Iterator[str]:
    """Why the floor under a decision to send is too low for what the same decision says is required."""
    if decision.decision != "send":
        return
    if decision.floor is None or decision.method is None:
        yield "a decision to send names no floor"
        return
    required = {guarantee for guarantee, _ in decision.required}
    grades = set(decision.floor.grades)
    if not grades:
        yield "the floor admits no grade"
    if decision.method in {"tls", "plain"}:
        if "authenticated" in required and not grades <= PROVING:
            yield "authenticated is required, the floor admits connections that prove nothing"
        if "encrypted" in required and "none" in grades:
            yield "encrypted is required, the floor admits plain text"


def violations(decision: Decided, attempt: Attempted) -> Iterator[str]:
    """Why content that left under `decision` should not have left like that."""
    if decision.decision != "send":
        yield f"the decision was {decision.decision}"
        return
    if attempt.method != decision.method:
        yield f"it left by {attempt.method}, decided was {decision.method}"
    if attempt.floor != decision.floor:
        yield "the attempt names another floor than its decision"
    if decision.floor is not None:
        yield from _below(decision.floor, attempt.grade, attempt.tls)


def _below(floor: Floor, grade: str | None, tls: TlsSeen | None) -> Iterator[str]:
    shown = _shown(grade, tls)
    if tls is not None and _may_be_revoked(tls, floor.revocation):
        shown -= {"pkix", "mta-sts"}
    if not shown & set(floor.grades):
        yield f"the connection showed {grade or 'nothing'}, required was one of {', '.join(floor.grades)}"
    if tls is None:
        return
    if _VERSIONS.get(tls.version, 0) < _VERSIONS.get(floor.min_version, 99):
        yield f"the connection spoke {tls.version}, required was at least {floor.min_version}"
    if tls.dane is not None and tls.dane.usable and tls.dane.matched is None:
        yield "the connection did not show what the host's own DANE records promise"
    if tls.terms is not None and tls.terms.pins and tls.terms.place is None:
        yield "the connection did not show a key that is pinned for the host"
    if tls.terms is not None and tls.terms.least is not None and not _reaches(shown, tls.terms.least):
        yield f"the connection showed {grade or 'nothing'}, laid down for its domain is {tls.terms.least}"
    if floor.groups and _plain(tls.group or "") not in {_plain(group) for group in floor.groups}:
        yield f"its keys were agreed by {tls.group or 'an unknown group'}, required was {' or '.join(floor.groups)}"
    if floor.ciphers == "nist-sp800-52r2" and not _NIST.search(tls.cipher):
        yield f"the connection used {tls.cipher}, which {floor.ciphers} does not have"
    if tls.sts and not (tls.failure is None and tls.trusted and tls.matched):
        yield "the connection did not show what the MTA-STS policy of the recipient's domain demands"
    if _BROKEN.search(tls.cipher) and "none" not in floor.grades:
        yield f"the connection used {tls.cipher}, which protects nothing"


def _may_be_revoked(tls: TlsSeen, mode: str) -> bool:
    """Whether the certificate, if it is what proves the connection, was not looked at as the floor says."""
    if mode == "off" or (tls.dane is not None and tls.dane.matched is not None):
        return False
    enough = {"good", "exempt"} if mode == "hard-fail" else {"good", "exempt", "unknown"}
    return tls.revocation not in enough


def _plain(group: str) -> str:
    """A group's name without the differences in writing it."""
    return group.casefold().replace("prime256v1", "secp256r1")


def _reaches(shown: set[str], least: str) -> bool:
    """Whether something of what was shown is as good as what was laid down."""
    enough = _BEST_FIRST[: _BEST_FIRST.index(least) + 1] if least in _BEST_FIRST else ()
    return not shown.isdisjoint(enough)


def _shown(grade: str | None, tls: TlsSeen | None) -> set[str]:
    """The grades that the evidence bears out. A claimed grade without its evidence counts as what is left of it."""
    if tls is None:
        return {"none"}
    shown = {"none", "encrypted"}
    proved = tls.failure is None and tls.trusted and tls.matched
    if grade in {"pkix", "mta-sts"} and proved:
        shown.add("pkix")
    if grade == "mta-sts" and proved and tls.sts:
        shown.add(grade)
    terms = tls.terms
    if tls.weak:
        return {"none", "encrypted"}
    if terms is not None and (terms.distrusted or (terms.pins and terms.place is None)):
        return {"none", "encrypted"}
    if terms is not None and terms.place is not None:
        shown.add("pin")  # it may rest on the certificate itself, without a public root
    if tls.dane is not None and tls.dane.matched is not None and tls.failure is None:
        # So may DANE (RFC 7672 section 3.1.1); of a host whose name came from unsigned DNS it proves no more than pkix.
        shown.update({grade or ""} & ({"dane"} if tls.dane.mx_secure else {"pkix"}))
    return shown
