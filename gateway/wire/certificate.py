"""What a stranger's certificate says of itself: subject, names, issuer, dates, fingerprints (RFC 5280); pure.

Nothing here says whether any of it is true: that is `TlsSession.trusted` and `DaneProof`. Any octets may be read.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256

import msgspec
from cryptography import x509
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_MOST_NAMES = 100  # shared hosting puts hundreds into one certificate
_LONGEST = 200  # characters of one name
_SEQUENCE = 0x30
_LONG_FORM = 0x80

# What reading or checking a stranger's certificate may raise; OpenSSL lets all of them through a handshake.
UNREADABLE = (
    InternalError,
    KeyError,  # a TLS feature (RFC 7633) that the library has no name for
    TypeError,
    UnsupportedAlgorithm,
    ValueError,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


class CertificateFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One certificate. `names` are its dNSNames; `subject` and `issuer` are RFC 4514 strings, perhaps empty.

    `sha256` is that of the whole certificate, `spki_sha256` that of its public key: what a pin or a TLSA record holds.
    """

    subject: str
    names: tuple[str, ...]
    issuer: str
    not_before: datetime
    not_after: datetime
    key: str  # "RSA 2048"
    self_issued: bool
    sha256: str
    spki_sha256: str

    def remaining(self, now: datetime) -> int:
        """Whole days until it expires; negative where it has expired."""
        return (self.not_after - now).days


def read_certificate(der: bytes) -> CertificateFacts | None:
    """The facts, or None where it cannot be read."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        public = certificate.public_key()
        spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return CertificateFacts(
            subject=_shortened(certificate.subject.rfc4514_string()),
            names=_names(certificate),
            issuer=_shortened(certificate.issuer.rfc4514_string()),
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            key=_key(public),
            self_issued=certificate.subject == certificate.issuer,
            sha256=sha256(der).hexdigest(),
            spki_sha256=sha256(spki).hexdigest(),
        )
    except UNREADABLE:
        return None


def apart(octets: bytes) -> tuple[bytes, ...]:
    """Certificates in DER that stand one after the other (X.690 section 8.1). What is no certificate ends it, whole."""
    found = []
    start = 0
    while start < len(octets):
        end = start + _size(octets, start)
        found.append(octets[start:end])
        start = end
    return tuple(found)


def _size(octets: bytes, start: int) -> int:
    """Octets of the SEQUENCE there with its header; all there are where something else stands there."""
    head = octets[start : start + 2]
    if len(head) < 2 or head[0] != _SEQUENCE:
        return len(octets) - start
    if head[1] < _LONG_FORM:
        return 2 + head[1]
    digits = head[1] - _LONG_FORM
    return 2 + digits + int.from_bytes(octets[start + 2 : start + 2 + digits], "big")


def first_to_expire(chain: Iterable[bytes]) -> CertificateFacts | None:
    """The certificate of a chain whose end comes first; None where none can be read."""
    known = [facts for der in chain if (facts := read_certificate(der)) is not None]
    return min(known, key=lambda facts: facts.not_after, default=None)


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    """The dNSNames; what stands there in a form that cannot be read counts as none, as for the check of the name."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found = names.get_values_for_type(x509.DNSName)
    except (x509.ExtensionNotFound, *UNREADABLE):
        return ()
    return tuple(map(_shortened, found[:_MOST_NAMES]))


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def _key(public: object) -> str:
    if isinstance(public, rsa.RSAPublicKey):
        return f"RSA {public.key_size}"
    if isinstance(public, dsa.DSAPublicKey):
        return f"DSA {public.key_size}"
    if isinstance(public, ec.EllipticCurvePublicKey):
        return f"EC {public.curve.name}"
    return type(public).__name__.removeprefix("_").removesuffix("PublicKey")
