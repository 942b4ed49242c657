"""TLSA records and what they prove of a certificate chain (RFC 6698, RFC 7671, RFC 7672); pure.

Promises: any octets can be read as a record; what is not a record that SMTP can use counts as unusable, never as a
match; nothing here raises for what a stranger published or sent. Path validation up to an issuer that a record names
(DANE-TA) needs an X.509 engine and is `gateway.net.dane`'s part; here are the candidates for that issuer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256, sha512

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from gateway.wire.certificate import UNREADABLE

DANE_TA = 2
DANE_EE = 3
_CERTIFICATE, _PUBLIC_KEY = 0, 1  # selectors
_WHOLE, _SHA256, _SHA512 = 0, 1, 2  # matching types
_DIGESTS = {_SHA256: sha256, _SHA512: sha512}
_SHORT = 22  # characters of a record that are shown where there is little room
_SIZES = {_SHA256: 32, _SHA512: 64}  # octets


class Tlsa(msgspec.Struct, frozen=True):
    """One record: usage, selector and matching type are whatever was published; `rdata` are its octets."""

    usage: int
    selector: int
    matching: int
    data: bytes
    rdata: bytes


class Issuer(msgspec.Struct, frozen=True):
    """A certificate (DER) under which the chain has to validate, by a record's word; `place` is that in the chain."""

    certificate: bytes
    rdata: bytes
    place: int | None


def parse(rdata: bytes) -> Tlsa | None:
    """A record's octets as published; None where not even the three numbers are there (RFC 6698 section 2.1)."""
    if len(rdata) < 3:
        return None
    return Tlsa(rdata[0], rdata[1], rdata[2], rdata[3:], rdata)


def describe(rdata: bytes) -> str:
    """A record as people write it, the data shortened: "3 1 1 0f3a9c..."."""
    shown = presentation(rdata)
    return f"{shown[:_SHORT]}..." if len(shown) > _SHORT and parse(rdata) is not None else shown


def presentation(rdata: bytes) -> str:
    """A record in the form of zone files (RFC 6698 section 2.2): "3 1 1 0f3a9c4d"."""
    record = parse(rdata)
    if record is None:
        return f"malformed ({rdata.hex()})"
    return f"{record.usage} {record.selector} {record.matching} {record.data.hex()}"


def usable(rdatas: Iterable[bytes]) -> tuple[Tlsa, ...]:
    """The records that SMTP can use (RFC 7672 section 3.1), of digests the strongest only (RFC 7671 section 9)."""
    records = [record for rdata in rdatas if (record := parse(rdata)) is not None and _is_usable(record)]
    strongest: dict[tuple[int, int], int] = {}
    for record in records:
        key = record.usage, record.selector
        strongest[key] = max(record.matching, strongest.get(key, _WHOLE))
    return tuple(
        record for record in records if record.matching in {_WHOLE, strongest[record.usage, record.selector]}
    )


def _is_usable(record: Tlsa) -> bool:
    """PKIX-TA and PKIX-EE are not for SMTP (RFC 7672 section 3.1.3); digests have their length, the rest is DER."""
    if record.usage not in {DANE_TA, DANE_EE} or record.selector not in {_CERTIFICATE, _PUBLIC_KEY}:
        return False
    if record.matching == _WHOLE:
        return _is_der(record)
    return len(record.data) == _SIZES.get(record.matching)


def _is_der(record: Tlsa) -> bool:
    try:
        if record.selector == _CERTIFICATE:
            x509.load_der_x509_certificate(record.data)
        else:
            load_der_public_key(record.data)
    except UNREADABLE:
        return False
    return True


def match_leaf(records: Sequence[Tlsa], chain: Sequence[bytes]) -> Tlsa | None:
    """The DANE-EE record that the peer's own certificate fits. Names and dates count for nothing (RFC 7672 3.1.1)."""
    if not chain:
        return None
    leaf = _Certificate(chain[0])
    return next((record for record in records if record.usage == DANE_EE and leaf.fits(record)), None)


def issuers(records: Sequence[Tlsa], chain: Sequence[bytes]) -> Iterator[Issuer]:
    """The certificates under which a DANE-TA record wants the chain to validate, each with its record.

    They are sought above the leaf in what the peer sent; a record that holds a whole certificate or key also stands for
    an issuer that was not sent (RFC 7672 section 3.1.2): by its certificate, or by those certificates that it signed.
    """
    anchoring = [record for record in records if record.usage == DANE_TA]
    if not anchoring or not chain:
        return
    for place, der in enumerate(chain[1:], 1):
        certificate = _Certificate(der)
        for record in anchoring:
            if certificate.fits(record):
                yield Issuer(der, record.rdata, place)
    for record in anchoring:
        if record.matching == _WHOLE and record.selector == _CERTIFICATE:
            yield Issuer(record.data, record.rdata, None)
        elif record.matching == _WHOLE:
            for place, der in enumerate(chain):
                if _is_signed_by(der, record.data):
                    yield Issuer(der, record.rdata, place)


class _Certificate:
    """One certificate with what records compare, each computed once."""

    def __init__(self, der: bytes) -> None:
        self._der = der
        self._known: dict[tuple[int, int], bytes | None] = {}

    def fits(self, record: Tlsa) -> bool:
        kind = record.selector, record.matching
        if kind not in self._known:
            selected = self._der if record.selector == _CERTIFICATE else public_key(self._der)
            digest = _DIGESTS.get(record.matching)
            self._known[kind] = selected and (digest(selected).digest() if digest else selected)
        return self._known[kind] == record.data


def public_key(der: bytes) -> bytes | None:
    """The SubjectPublicKeyInfo in DER, None where a stranger's certificate cannot be read."""
    try:
        key = x509.load_der_x509_certificate(der).public_key()
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except UNREADABLE:
        return None


def _is_signed_by(der: bytes, spki: bytes) -> bool:
    try:
        certificate, key = x509.load_der_x509_certificate(der), load_der_public_key(spki)
        signed, octets = certificate.signature, certificate.tbs_certificate_bytes
        how = certificate.signature_algorithm_parameters
        digest = certificate.signature_hash_algorithm
        if isinstance(key, rsa.RSAPublicKey) and isinstance(how, padding.PKCS1v15 | padding.PSS) and digest:
            key.verify(signed, octets, how, digest)
        elif isinstance(key, ec.EllipticCurvePublicKey) and isinstance(how, ec.ECDSA):
            key.verify(signed, octets, how)
        elif isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
            key.verify(signed, octets)
        else:
            return False
    except (InvalidSignature, *UNREADABLE):
        return False
    return True
