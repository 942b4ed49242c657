"""A throw-away certificate authority for servers that tests play: good, self-signed, expired and odd certificates."""

from __future__ import annotations

import datetime as dt
import itertools
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY = dt.timedelta(days=1)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Authority:
    """A root and an issuer below it. `ca_file` is what a client trusts; `issue` writes key and chain to one file."""

    def __init__(self, folder: Path, now: dt.datetime | None = None) -> None:
        self.folder = folder
        self.ca_file = str(folder / "ca.pem")
        self._now = now or dt.datetime.now(dt.UTC)
        self._serial = itertools.count(1)
        self._root_key = ec.generate_private_key(ec.SECP256R1())
        self._issuer_key = ec.generate_private_key(ec.SECP256R1())
        root = self._builder("root", self._root_key, "root").add_extension(_CA, critical=True)
        self._root = root.sign(self._root_key, hashes.SHA256())
        issuer = self._builder("issuer", self._issuer_key, "root").add_extension(_CA, critical=True)
        self._issuer = issuer.sign(self._root_key, hashes.SHA256())
        Path(self.ca_file).write_bytes(_pem(self._root))

    def issue(
        self,
        *names: str,
        self_signed: bool = False,
        expired: bool = False,
        early: bool = False,
        common_name: str = "server",
        usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
        key: Key | None = None,
        without_issuer: bool = False,
    ) -> str:
        """The path of a PEM file with key, leaf and issuer."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        signer: Key = key if self_signed else self._issuer_key
        builder = self._builder(common_name, key, common_name if self_signed else "issuer", expired, early)
        if names:
            alternative = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
            builder = builder.add_extension(alternative, critical=False)
        leaf = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False).sign(
            signer, hashes.SHA256()
        )
        chain = _pem(leaf) + (b"" if self_signed or without_issuer else _pem(self._issuer))
        path = self.folder / f"server-{next(self._serial)}.pem"
        path.write_bytes(_key(key) + chain)
        return str(path)

    def _builder(
        self, subject: str, key: Key, issuer: str, expired: bool = False, early: bool = False
    ) -> x509.CertificateBuilder:
        start = self._now - (20 * _DAY if expired else -5 * _DAY if early else _DAY)
        end = self._now - 2 * _DAY if expired else self._now + 30 * _DAY
        return (
            x509.CertificateBuilder()
            .subject_name(_name(subject))
            .issuer_name(_name(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
        )


_CA = x509.BasicConstraints(ca=True, path_length=None)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key(key: Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
