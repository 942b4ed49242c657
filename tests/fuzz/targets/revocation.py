"""Revocation: OCSP responses and CRLs as octets from anybody, and as an issuer signs them, whatever they say."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID, SignatureAlgorithmOID

from gateway.wire.certificate import read_certificate
from gateway.wire.revocation import (
    FRESH,
    Standing,
    Status,
    Subject,
    judge_crl,
    judge_ocsp,
    ocsp_request,
    subject,
)
from tests.fakes.pki import ODD_FEATURE, Signed
from tests.fakes.revoking import OTHER_ISSUER, RevokingAuthority, distribution_point
from tests.fuzz.target import Choices, Target, piece

_SHA256_ECDSA = bytes.fromhex("300a06082a8648ce3d040302")  # AlgorithmIdentifier of ecdsa-with-SHA256
_BASIC = bytes.fromhex("06092b0601050507300101")  # id-pkix-ocsp-basic
_LIST = "http://ca.example/all.crl"
_NOW = datetime(
    2026, 3, 1, tzinfo=UTC
)  # fixed, as keys and numbers are: what breaks a law breaks it the next day, too
_HOUR = timedelta(hours=1)


def _certificate(title: str, number: int, issuer: Signed | None, *more: x509.ExtensionType) -> Signed:
    key = ec.derive_private_key(number, ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, title)])
    builder = x509.CertificateBuilder(
        issuer.certificate.subject if issuer else name, name, key.public_key(), number
    )
    builder = builder.not_valid_before(_NOW - _HOUR).not_valid_after(_NOW + timedelta(days=30))
    for each in more:
        builder = builder.add_extension(each, critical=False)
    return Signed(builder.sign(issuer.key if issuer else key, hashes.SHA256(), ecdsa_deterministic=True), key)


def _place(url: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(url)


_ISSUER = _certificate("issuer", 0x5EA1, None)
_LEAF = _certificate(
    "mx.example.org",
    0x7001,
    _ISSUER,
    x509.AuthorityInformationAccess(
        [x509.AccessDescription(AuthorityInformationAccessOID.OCSP, _place("http://ca.example/ocsp"))]
    ),
    x509.CRLDistributionPoints([x509.DistributionPoint([_place(_LIST)], None, None, None)]),
)
_ODD = _certificate("x", 0x7002, _ISSUER, ODD_FEATURE)
with tempfile.TemporaryDirectory() as _folder:
    _CA = RevokingAuthority(Path(_folder))
_CA.issuer = _ISSUER
_SHOWN = _CA.chain(_LEAF)


def _about() -> Subject:
    found = subject(_SHOWN)
    assert found is not None
    return found


_ABOUT = _about()
_STRANGER = msgspec.structs.replace(_ABOUT, issuer=OTHER_ISSUER.certificate)


def _der(tag: int, *content: bytes) -> bytes:
    """One value in DER (X.690 section 8.1): its tag, its length, its content."""
    octets = b"".join(content)
    if len(octets) < 128:
        return bytes((tag, len(octets))) + octets
    length = len(octets).to_bytes((len(octets).bit_length() + 7) // 8, "big")
    return bytes((tag, 128 + len(length))) + length + octets


def _signed(what: bytes) -> bytes:
    """What is signed, the algorithm, and the issuer's signature: what OCSP and CRLs have in common."""
    key = _CA.issuer.key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    signature = key.sign(what, ec.ECDSA(hashes.SHA256()))
    return _der(0x30, what, _SHA256_ECDSA, _der(0x03, b"\0", signature))


def _response(what: bytes) -> bytes:
    """A successful OCSPResponse (RFC 6960 section 4.2.1) with this ResponseData."""
    basic = _der(0x30, _BASIC, _der(0x04, _signed(what)))
    return _der(0x30, _der(0x0A, b"\0"), _der(0xA0, basic))


def _sound(found: Standing) -> None:
    if found.status is Status.UNKNOWN:
        assert found.until is None
        assert found.why.isprintable()
        assert len(found.why) < 200
    else:
        assert found.status in {Status.GOOD, Status.REVOKED}
        assert found.until is not None
        assert _NOW < found.until <= _NOW + FRESH


def _judged(
    judge: Callable[..., Standing], octets: bytes, by_issuer: Callable[[bytes], bytes]
) -> tuple[Standing, bytes]:
    """What is said of our certificate; what the input asks to be signed is signed first."""
    choices = Choices(octets)
    said = by_issuer(choices.rest()) if choices.flag() else choices.rest()
    found = judge(said, _ABOUT, _NOW)
    _sound(found)
    assert judge(said, _STRANGER, _NOW).status is Status.UNKNOWN, "another key of the same name says nothing"
    return found, said


def ocsp_response(octets: bytes) -> None:
    found, said = _judged(judge_ocsp, octets, _response)
    if found.status is not Status.UNKNOWN:
        response = ocsp.load_der_ocsp_response(said)
        assert _ABOUT.certificate.serial_number in {each.serial_number for each in response.responses}


def crl(octets: bytes) -> None:
    found, said = _judged(judge_crl, octets, _signed)
    if found.status is not Status.UNKNOWN:
        load = x509.load_pem_x509_crl if b"-----BEGIN" in said[:40] else x509.load_der_x509_crl
        numbers = {entry.serial_number for entry in load(said.lstrip() if b"-----" in said[:40] else said)}
        assert (found.status is Status.REVOKED) == (_ABOUT.certificate.serial_number in numbers)


def chain(octets: bytes) -> None:
    """A stranger's chain: what is asked about is what it shows first, signed by what it shows."""
    choices = Choices(octets)
    count = 1 + choices.number(3)
    shown = [choices.piece() for _ in range(count)]
    facts = [read_certificate(der) for der in shown]
    found = subject(shown)
    if found is None:
        return
    assert facts[0] is not None
    assert found.certificate.public_bytes(Encoding.DER) == shown[0]
    assert found.issuer.public_bytes(Encoding.DER) in shown[1:]
    assert all(url.lower().startswith(("http://", "https://")) for url in (*found.responders, *found.lists))
    assert not (found.exempt and (found.responders or found.lists))
    assert found.key == (found.key[0], found.certificate.serial_number)
    request = ocsp.load_der_ocsp_request(ocsp_request(found))
    assert request.serial_number == found.certificate.serial_number


def _said(*how: bytes) -> tuple[bytes, ...]:
    """Seeds: each as it is, and what was signed of it, to be signed anew."""
    return tuple(b"\0" + each for each in how)


def _inside_response(der: bytes) -> bytes:
    return b"\1" + ocsp.load_der_ocsp_response(der).tbs_response_bytes


def _inside_list(der: bytes) -> bytes:
    found = x509.load_der_x509_crl(der)
    assert found.signature_algorithm_oid == SignatureAlgorithmOID.ECDSA_WITH_SHA256
    return b"\1" + found.tbs_certlist_bytes


_response_of = functools.partial(_CA.response, _LEAF, begins=_NOW - _HOUR, ends=_NOW + _HOUR)
_list_of = functools.partial(_CA.list_of, begins=_NOW - _HOUR, ends=_NOW + _HOUR)
_UNTIMELY = tuple(  # the first and the last date of all, in responses that name no end
    _inside_response(_response_of(ends=None)).replace(b"20260228230000Z", date)
    for date in (b"00010101000000Z", b"99991231235959Z")
)
_RESPONSES = (
    _response_of(),
    _response_of(ocsp.OCSPCertStatus.REVOKED, names_key=False, digest=hashes.SHA256()),
    _response_of(ends=None),
    _response_of(ocsp.OCSPCertStatus.UNKNOWN, carried=[OTHER_ISSUER]),
)
_LISTS = (
    _list_of(_LEAF),
    _list_of(_ISSUER),
    _list_of(extensions=[distribution_point(_LIST)]),
    _list_of(extensions=[distribution_point(only_contains_ca_certs=True), x509.DeltaCRLIndicator(1)]),
    _list_of(_LEAF, ends=_NOW + timedelta(days=9), extensions=[x509.CRLNumber(7)]),
)

TARGETS = (
    Target(
        "ocsp",
        "known only by the issuer's word about this certificate, and for a bounded time; unknown for all other octets",
        ocsp_response,
        (*_said(*_RESPONSES), *map(_inside_response, _RESPONSES), *_UNTIMELY, b"\0\x30\x03\x0a\x01\x06"),
        2000,
    ),
    Target(
        "crl",
        "revoked where another reader finds the number in the issuer's list, good in a whole list alone, else unknown",
        crl,
        (
            *_said(*_LISTS, b"\n" + _list_of(_LEAF, form=Encoding.PEM)),
            *map(_inside_list, _LISTS),
        ),
        2000,
    ),
    Target(
        "chain",
        "a certificate and the issuer that signed it, both shown, and web addresses to ask; or nothing to ask about",
        chain,
        (
            b"\1" + b"".join(map(piece, _SHOWN)),
            b"\1" + piece(_ODD.der) + piece(_SHOWN[1]),
            b"\2" + piece(_CA.issue(must_staple=True).der) + piece(b"x") + piece(_SHOWN[1]),
            b"\1" + piece(_CA.issue(lists=["ldap://x", _LIST], days=6).der) + piece(_SHOWN[1]),
        ),
        4000,
    ),
)
