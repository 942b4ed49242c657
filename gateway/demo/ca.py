"""The demo's certificate authority: a root, an issuing certificate below it, and servers' certificates of every kind.

All keys are P-256. The root's and the issuer's keys are kept in the folder, so that the same authority goes on after
a restart; it is a throw-away authority, and its keys protect nothing but the demo. Times are arguments.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_CA_LIFE = timedelta(days=3650)
_LEAF_LIFE = timedelta(days=397)
_BACKDATED = timedelta(hours=1)  # a clock that is a little behind still accepts what we issue


class CertificateKind(StrEnum):
    """What a server shows."""

    GOOD = "good"
    SELF_SIGNED = "self-signed"
    WRONG_NAME = "wrong-name"
    EXPIRED = "expired"


class Authority(msgspec.Struct, frozen=True):
    """Root and issuer with their keys; `root_file` is what a client has to trust."""

    root_file: Path
    root: x509.Certificate
    issuer: x509.Certificate
    issuer_key: ec.EllipticCurvePrivateKey

    def issue(
        self, name: str, kind: CertificateKind, key: ec.EllipticCurvePrivateKey, now: datetime
    ) -> bytes:
        """The chain in PEM, leaf first, that a server called `name` shows with `key`."""
        shown = f"other.{name}" if kind is CertificateKind.WRONG_NAME else name
        builder = _builder(_name(shown), key, now - _BACKDATED, now + _LEAF_LIFE)
        if kind is CertificateKind.EXPIRED:
            builder = _builder(_name(shown), key, now - _LEAF_LIFE, now - timedelta(days=1))
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(shown)]), critical=False)
        builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        if kind is CertificateKind.SELF_SIGNED:
            return _pem(builder.issuer_name(_name(shown)).sign(key, hashes.SHA256()))
        builder = builder.issuer_name(self.issuer.subject)
        builder = builder.add_extension(_authority_of(self.issuer_key), critical=False)
        return _pem(builder.sign(self.issuer_key, hashes.SHA256())) + _pem(self.issuer)


def open_authority(folder: Path, now: datetime) -> Authority:
    """The authority kept in `folder`, made there if there is none."""
    root_file, issuer_file = folder / "ca.pem", folder / "issuer.pem"
    root_key, issuer_key = kept_key(folder / "ca.key"), kept_key(folder / "issuer.key")
    if not issuer_file.exists():
        root = _authority_certificate("Sealgate demo root", root_key, None, now)
        issuer = _authority_certificate("Sealgate demo issuer", issuer_key, (root, root_key), now)
        root_file.write_bytes(_pem(root))
        issuer_file.write_bytes(_pem(issuer))
    return Authority(
        root_file,
        x509.load_pem_x509_certificate(root_file.read_bytes()),
        x509.load_pem_x509_certificate(issuer_file.read_bytes()),
        issuer_key,
    )


def kept_key(file: Path) -> ec.EllipticCurvePrivateKey:
    """The P-256 key in `file`, made there (readable by its owner only) if there is none."""
    if file.exists():
        key = serialization.load_pem_private_key(file.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key
    key = ec.generate_private_key(ec.SECP256R1())
    file.touch(mode=0o600)
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return key


def _authority_certificate(
    title: str,
    key: ec.EllipticCurvePrivateKey,
    parent: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None,
    now: datetime,
) -> x509.Certificate:
    builder = _builder(_name(title), key, now - _BACKDATED, now + _CA_LIFE)
    builder = builder.issuer_name(parent[0].subject if parent else _name(title))
    length = 0 if parent else 1
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=length), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    signer = parent[1] if parent else key
    builder = builder.add_extension(_authority_of(signer), critical=False)
    return builder.sign(signer, hashes.SHA256())


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePrivateKey, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_of(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
