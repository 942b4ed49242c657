"""In words: what a TLS session lacks, for whoever reads a probe's page, an outcome or a notice."""

from __future__ import annotations

from hashlib import sha256

import msgspec

from gateway.model.tls import TermsProof, TlsSession
from gateway.wire.pin import pin_of, written
from gateway.wire.tls_grade import forbids, grade

_SAYS = {
    "certificate-not-trusted": "has a certificate that nobody whom we trust vouches for",
    "certificate-expired": "has a certificate that has expired",
    "certificate-host-mismatch": "has a certificate for another name",
    "validation-failure": "has a certificate that could not be verified",
    "tlsa-invalid": "has a certificate that its own DNS records (DANE) do not vouch for",
    "certificate-revoked": "has a certificate that its issuer revoked",
    "revocation-unknown": "has a certificate of which it cannot be learned whether it was revoked",
    "pin-mismatch": "does not show the key that is pinned for it",
}
_TOO_LITTLE = "did not show the TLS that this message requires"


class Shortfall(msgspec.Struct, frozen=True):
    """`says` reads on after the host's name; `detail` is for the operator, with the setting to look at."""

    status: str
    says: str
    detail: str = ""


def shortfall(session: TlsSession | None) -> Shortfall:
    """What is wrong with a session, the most binding first."""
    if session is None:
        return Shortfall("4.7.4", "does not offer TLS, which this message requires")
    terms = session.terms
    if terms is not None and terms.failed and session.failure is not None:
        return Shortfall("4.7.5", _SAYS[session.failure], _keys_shown(terms, session))
    if terms is not None and terms.terms.distrusted:
        detail = f"{terms.terms.source}: what its TLS shows proves nothing"
        return Shortfall("4.7.5", "is one whose TLS is not trusted here", detail)
    if session.weak:
        return Shortfall(
            "4.7.5", "has a certificate whose keys are too weak", "see [tls] ciphers of the policy"
        )
    detail = session.revocation_note or session.failure or ""
    if terms is not None and terms.terms.least is not None and forbids(session):
        detail = f'{terms.terms.source}: require = "{terms.terms.least}", shown: {grade(session)}'
        if session.failure is None:
            return Shortfall("4.7.5", "proves less than is laid down for its domain", detail)
    return Shortfall("4.7.5", _SAYS.get(session.failure or "", _TOO_LITTLE), detail)


def _keys_shown(terms: TermsProof, session: TlsSession) -> str:
    """What an administrator needs to tell a changed key from an attack, or from a pin of the wrong thing."""
    pins = [written(pin) for der in session.chain if (pin := pin_of(der)) is not None]
    detail = f"{terms.terms.source}: keys shown, its own first: {', '.join(pins) or 'none'}"
    if any(sha256(der).digest() in terms.terms.pins for der in session.chain):
        detail += "; the pin is the fingerprint of a certificate shown, not of its public key"
    return detail
