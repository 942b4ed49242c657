"""Chains of certificates for tests of DANE: any depth, any names, any dates, all in DER."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

DAY = dt.timedelta(days=1)
# A TLS feature (RFC 7633) that the library has no name for.
ODD_FEATURE = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.24"), b"\x30\x03\x02\x01\x6e")
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Signed:
    """One certificate with its key."""

    def __init__(self, certificate: x509.Certificate, key: Key) -> None:
        self.certificate, self.key = certificate, key

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def spki(self) -> bytes:
        return self.certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def sign(
    title: str,
    issuer: Signed | None = None,
    *,
    names: Sequence[str] = (),
    ca: bool = False,
    days: tuple[int, int] = (-1, 30),
    key: Key | None = None,
    more: Sequence[x509.ExtensionType] = (),
) -> Signed:
    """A certificate valid between the two days from now; `issuer` None signs itself."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(title))
        .issuer_name(issuer.certificate.subject if issuer else _name(title))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + days[0] * DAY)
        .not_valid_after(now + days[1] * DAY)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if names:
        alternative = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(alternative, critical=False)
    for extension in more:
        builder = builder.add_extension(extension, critical=False)
    return Signed(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


def record(usage: int, selector: int, matching: int, of: Signed) -> bytes:
    """The TLSA record that names this certificate or its key."""
    selected = of.spki if selector == 1 else of.der
    data = (selected, hashlib.sha256(selected).digest(), hashlib.sha512(selected).digest())[matching]
    return bytes((usage, selector, matching)) + data


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
