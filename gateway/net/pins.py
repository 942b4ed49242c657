"""Does a peer's chain show a key that our configuration pinned? Called once a handshake, as `gateway.net.dane` is.

A pinned key of the server's own certificate is enough: neither its name nor its dates nor its issuer matter then. A
pinned issuer says only who may have signed: path and dates up to it must be valid, and the certificate must carry the
host's name.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.model.tls import TermsProof, TlsTerms
from gateway.net.dane import dns_names, validates
from gateway.wire.pin import pin_of
from gateway.wire.tls_name import match_name

NO_MATCH = "pin-mismatch"  # RFC 8460 has no word for it: what we pinned is between us and nobody


def stand(terms: TlsTerms, chain: Sequence[bytes], host: str) -> tuple[TermsProof, str | None]:
    """How `chain` (DER, leaf first, as sent) stands to the terms, with the word for what is wrong with its pins."""
    if not terms.pins:
        return TermsProof(terms=terms), None
    failure = NO_MATCH
    for place, der in enumerate(chain):
        pin = pin_of(der)
        if pin not in terms.pins:
            continue
        verdict = None
        if place:
            verdict = validates(chain, der)
            if verdict is None and match_name(dns_names(chain[0]), host) is None:
                verdict = "certificate-host-mismatch"
        if verdict is None:
            return TermsProof(terms=terms, matched=pin, place=place), None
        failure = verdict
    return TermsProof(terms=terms), failure
