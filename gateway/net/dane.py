"""Does a peer's chain show what its owner's TLSA records promise? RFC 7672 section 3, with OpenSSL's path validation.

Called once a handshake, before its session is given to anybody. Costs some ten microseconds for DANE-EE, less than a
millisecond for DANE-TA.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509
from OpenSSL import crypto

from gateway.model.tls import Dane, DaneProof
from gateway.wire import tlsa
from gateway.wire.certificate import UNREADABLE
from gateway.wire.tls_name import match_name

_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED
_MOST_TRIES = 8  # at validating one chain

NO_MATCH = "tlsa-invalid"  # RFC 8460 section 4.3.2.1: no record of the RRset was found to be valid


def prove(dane: Dane, chain: Sequence[bytes]) -> tuple[DaneProof, str | None]:
    """The proof, or what there is of it, with the RFC 8460 word for what is wrong.

    `chain` is in DER, leaf first, as sent. Without usable records there is nothing to fail.
    """
    records = tlsa.usable(dane.records)
    if not records:
        return DaneProof(dane=dane, usable=0), None
    leaf = tlsa.match_leaf(records, chain)
    if leaf is not None:
        return DaneProof(dane=dane, usable=len(records), matched=leaf.rdata, place=0), None
    failure = NO_MATCH
    for _, issuer in zip(range(_MOST_TRIES), tlsa.issuers(records, chain), strict=False):
        verdict = validates(chain, issuer.certificate)
        if verdict is None and any(match_name(dns_names(chain[0]), name) for name in dane.names):
            return DaneProof(dane=dane, usable=len(records), matched=issuer.rdata, place=issuer.place), None
        failure = verdict or "certificate-host-mismatch"
    return DaneProof(dane=dane, usable=len(records)), failure


def dns_names(certificate: bytes) -> list[str]:
    """The subject's dNSNames (RFC 7817: never its common name); none where a stranger's encoding cannot be read."""
    try:
        extensions = x509.load_der_x509_certificate(certificate).extensions
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return names.get_values_for_type(x509.DNSName)
    except (x509.ExtensionNotFound, *UNREADABLE):
        return []


def validates(chain: Sequence[bytes], anchor: bytes) -> str | None:
    """None where a valid path leads from the leaf to `anchor`, else the RFC 8460 word for why not."""
    try:
        store = crypto.X509Store()
        store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)  # the anchor need not be a root
        store.add_cert(_load(anchor))
        leaf, *others = map(_load, chain)
        crypto.X509StoreContext(store, leaf, others).verify_certificate()
    except crypto.X509StoreContextError as error:
        return "certificate-expired" if error.errors[0] == _EXPIRED else "certificate-not-trusted"
    except crypto.Error:
        return "validation-failure"
    return None


def _load(der: bytes) -> crypto.X509:
    return crypto.load_certificate(crypto.FILETYPE_ASN1, der)
