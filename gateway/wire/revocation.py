"""Has the issuer revoked a server's certificate? OCSP responses (RFC 6960) and CRLs (RFC 5280 section 6.3), judged.

Pure: fetching is `gateway.net.revocation`'s part. Promises: an answer counts only if the issuer, or a responder to whom
it delegated OCSP, signed it, if it is about this certificate, and if it is current; whatever else comes, of any octets,
is `unknown` with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from gateway.wire.certificate import UNREADABLE

SKEW = timedelta(minutes=5)  # between our clock and theirs
FRESH = timedelta(days=1)  # how long an answer counts that names no end, and the longest that any is kept
SHORT_LIVED = timedelta(days=7)  # CA/Browser Forum: such certificates need no revocation
_NO_REV_AVAIL = x509.ObjectIdentifier("2.5.29.56")  # RFC 9608
_WEAK_DIGESTS = (hashes.MD5, hashes.SHA1)
_MOST_RESPONSES = 64


class Status(StrEnum):
    """`exempt`: so short-lived that its issuer offers no revocation (RFC 9608)."""

    GOOD = "good"
    EXEMPT = "exempt"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


class Standing(msgspec.Struct, frozen=True):
    """What was found out, for how long it counts, and why not more."""

    status: Status
    until: datetime | None = None
    why: str = ""


class Subject(msgspec.Struct, frozen=True):
    """A server's certificate with its issuer's, and where its issuer tells about revocation."""

    certificate: x509.Certificate
    issuer: x509.Certificate
    responders: tuple[str, ...]
    lists: tuple[str, ...]
    must_staple: bool
    exempt: bool

    @property
    def key(self) -> tuple[bytes, int]:
        """What identifies it: its issuer's key, and its number."""
        return _spki(self.issuer), self.certificate.serial_number


def subject(chain: Sequence[bytes]) -> Subject | None:
    """The leaf of a chain (DER, as sent) with the certificate that signed it; None where that was not sent."""
    try:
        leaf, *others = map(x509.load_der_x509_certificate, chain)
        issuer = next((each for each in others if _issued(leaf, each)), None)
        return None if issuer is None else _read(leaf, issuer)
    except UNREADABLE:
        return None


def _read(leaf: x509.Certificate, issuer: x509.Certificate) -> Subject:
    responders: list[str] = []
    lists: list[str] = []
    staple, exempt = False, leaf.not_valid_after_utc - leaf.not_valid_before_utc <= SHORT_LIVED
    for extension in leaf.extensions:
        match extension.value:
            case x509.AuthorityInformationAccess() as access:
                responders += _urls(
                    each.access_location
                    for each in access
                    if each.access_method == AuthorityInformationAccessOID.OCSP
                )
            case x509.CRLDistributionPoints() as points:
                lists += [url for point in points for url in _complete(point)]
            case x509.TLSFeature() as features:
                staple = x509.TLSFeatureType.status_request in features
            case x509.UnrecognizedExtension() as other if other.oid == _NO_REV_AVAIL:
                exempt = True
    return Subject(
        leaf, issuer, tuple(responders), tuple(lists), staple, exempt and not responders and not lists
    )


def _urls(names: Iterable[x509.GeneralName]) -> list[str]:
    found = (name.value for name in names if isinstance(name, x509.UniformResourceIdentifier))
    return [url for url in found if url.lower().startswith(("http://", "https://"))]


def _complete(point: x509.DistributionPoint) -> list[str]:
    """The addresses of a list that covers every reason and is the issuer's own."""
    if point.reasons is not None or point.crl_issuer is not None or point.full_name is None:
        return []
    return _urls(point.full_name)


# ------------------------------------------------------------------------------------------------ OCSP


def ocsp_request(about: Subject) -> bytes:
    """The question, in DER. SHA-1 here only names the issuer; it is what every responder knows (RFC 5019)."""
    builder = ocsp.OCSPRequestBuilder().add_certificate(about.certificate, about.issuer, hashes.SHA1())  # noqa: S303
    return builder.build().public_bytes(Encoding.DER)


def judge_ocsp(octets: bytes, about: Subject, now: datetime) -> Standing:
    """What an OCSP response says of the certificate (RFC 6960 section 3.2)."""
    try:
        response = ocsp.load_der_ocsp_response(octets)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            return _unknown(f"the responder said {response.response_status.name}")
        if (why := _unauthorised(response, about, now)) is not None:
            return _unknown(why)
        for _, single in zip(range(_MOST_RESPONSES), response.responses, strict=False):
            if _is_about(single, about):
                return _by_single(single, now)
    except UNREADABLE as error:
        return _unknown(f"the response cannot be read: {type(error).__name__}")
    return _unknown("the response is about another certificate")


def _by_single(single: ocsp.OCSPSingleResponse, now: datetime) -> Standing:
    begins, ends = single.this_update_utc, single.next_update_utc
    until = _current(begins, ends, now)
    if until is None:
        return _unknown("the response is not current")
    match single.certificate_status:
        case ocsp.OCSPCertStatus.REVOKED:
            return Standing(Status.REVOKED, until)
        case ocsp.OCSPCertStatus.GOOD:
            return Standing(Status.GOOD, until)
        case ocsp.OCSPCertStatus.UNKNOWN:
            return _unknown("the responder does not know the certificate")


def _is_about(single: ocsp.OCSPSingleResponse, about: Subject) -> bool:
    """Whether it names this certificate as a question with its own digest would."""
    asked = (
        ocsp.OCSPRequestBuilder()
        .add_certificate(about.certificate, about.issuer, single.hash_algorithm)
        .build()
    )
    return (single.serial_number, single.issuer_name_hash, single.issuer_key_hash) == (
        asked.serial_number,
        asked.issuer_name_hash,
        asked.issuer_key_hash,
    )


def _unauthorised(response: ocsp.OCSPResponse, about: Subject, now: datetime) -> str | None:
    """Why the signature is not the issuer's word (RFC 6960 section 4.2.2.2); None where it is."""
    if _is_responder(response, about.issuer) and _signs(about.issuer, response):
        return None
    for certificate in response.certificates[:4]:
        if not _is_responder(response, certificate) or not _signs(certificate, response):
            continue
        if not _issued(certificate, about.issuer):
            return "whoever signed the response was not made a responder by the issuer"
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            return "the responder's certificate is not valid now"
        try:
            usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        except x509.ExtensionNotFound:
            return "the responder's certificate is not for OCSP"
        if ExtendedKeyUsageOID.OCSP_SIGNING not in usage:
            return "the responder's certificate is not for OCSP"
        return None
    return "the response is not signed by the issuer"


def _is_responder(response: ocsp.OCSPResponse, certificate: x509.Certificate) -> bool:
    if response.responder_name is not None:
        return response.responder_name == certificate.subject
    return (
        response.responder_key_hash
        == x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest
    )


def _signs(certificate: x509.Certificate, response: ocsp.OCSPResponse) -> bool:
    digest = response.signature_hash_algorithm
    return _verifies(certificate, response.signature, response.tbs_response_bytes, digest)


# ------------------------------------------------------------------------------------------------ lists


def judge_crl(octets: bytes, about: Subject, now: datetime) -> Standing:
    """What a certificate revocation list says of the certificate. Only a whole, direct list can say that it is good."""
    try:
        text = octets.lstrip()
        pem = text.startswith(b"-----BEGIN")
        revoked_list = x509.load_pem_x509_crl(text) if pem else x509.load_der_x509_crl(octets)
        if revoked_list.issuer != about.issuer.subject or not _signed(revoked_list, about.issuer):
            return _unknown("the list is not signed by the issuer")
        until = _current(revoked_list.last_update_utc, revoked_list.next_update_utc, now)
        if until is None:
            return _unknown("the list is not current")
        if (why := _incomplete(revoked_list, about)) is not None:
            return _unknown(why)
        entry = revoked_list.get_revoked_certificate_by_serial_number(about.certificate.serial_number)
    except UNREADABLE as error:
        return _unknown(f"the list cannot be read: {type(error).__name__}")
    return Standing(Status.GOOD if entry is None else Status.REVOKED, until)


def _incomplete(revoked_list: x509.CertificateRevocationList, about: Subject) -> str | None:
    """Why the list does not cover this certificate (RFC 5280 sections 5.2.4, 5.2.5 and 6.3.3); None where it does."""
    for extension in revoked_list.extensions:
        value = extension.value
        if isinstance(value, x509.DeltaCRLIndicator):
            return "the list holds changes only"
        if isinstance(value, x509.IssuingDistributionPoint):
            if value.indirect_crl or value.only_some_reasons or value.only_contains_ca_certs:
                return "the list does not cover such certificates"
            if value.only_contains_attribute_certs:
                return "the list does not cover such certificates"
            if value.full_name is not None and not {*_urls(value.full_name)} & {*about.lists}:
                return "the list is another part of the issuer's lists"
            if value.relative_name is not None:
                return "the list names its place in a way that is not understood"
        elif extension.critical:
            return "the list has a critical extension that is not understood"
    return None


def _signed(revoked_list: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    digest = revoked_list.signature_hash_algorithm
    return _verifies(issuer, revoked_list.signature, revoked_list.tbs_certlist_bytes, digest)


# ------------------------------------------------------------------------------------------------ what both need


def _unknown(why: str) -> Standing:
    return Standing(Status.UNKNOWN, why=why)


def _current(begins: datetime, ends: datetime | None, now: datetime) -> datetime | None:
    """Until when an answer counts; None where it does not count now."""
    if begins - now > SKEW:  # a difference of dates always exists, a sum may lie beyond the last one
        return None
    until = begins + FRESH if ends is None else ends
    return min(until, now + FRESH) if now < until else None


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *UNREADABLE):
        return False
    return True


def _verifies(
    signer: x509.Certificate, signature: bytes, signed: bytes, digest: hashes.HashAlgorithm | None
) -> bool:
    if isinstance(digest, _WEAK_DIGESTS):
        return False
    key = signer.public_key()
    try:
        if isinstance(key, rsa.RSAPublicKey) and digest is not None:
            key.verify(signature, signed, padding.PKCS1v15(), digest)
        elif isinstance(key, ec.EllipticCurvePublicKey) and digest is not None:
            key.verify(signature, signed, ec.ECDSA(digest))
        elif isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
            key.verify(signature, signed)
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _spki(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
