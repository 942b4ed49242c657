"""A certificate authority that tells what it revoked: OCSP responses and lists of any kind, right and wrong."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from tests.fakes.pki import Signed, sign

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
HOUR = dt.timedelta(hours=1)
OTHER_ISSUER = sign("issuer", ca=True)  # the same name, another key


class RevokingAuthority:
    """A root and an issuer; `ca_file` is what a client trusts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = sign("root", ca=True)
        self.issuer = sign("issuer", self.root, ca=True)
        self.ca_file = str(folder / "root.pem")
        Path(self.ca_file).write_bytes(self.root.certificate.public_bytes(Encoding.PEM))

    def issue(
        self,
        name: str = "mx.example.org",
        *,
        responder: str = "",
        lists: Sequence[str] = (),
        must_staple: bool = False,
        days: int = 30,
        usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
    ) -> Signed:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(self.issuer.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - HOUR)
            .not_valid_after(NOW - HOUR + dt.timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        )
        if responder:
            place = x509.UniformResourceIdentifier(responder)
            access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, place)
            builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
        if lists:
            points = [x509.DistributionPoint(_urls(url), None, None, None) for url in lists]
            builder = builder.add_extension(x509.CRLDistributionPoints(points), critical=False)
        if must_staple:
            feature = x509.TLSFeature([x509.TLSFeatureType.status_request])
            builder = builder.add_extension(feature, critical=False)
        return Signed(builder.sign(self.issuer.key, hashes.SHA256()), key)

    def chain(self, leaf: Signed) -> list[bytes]:
        return [leaf.der, self.issuer.der]

    def file(self, leaf: Signed) -> str:
        """A PEM file with key, leaf and issuer."""
        path = self.folder / f"{leaf.certificate.serial_number}.pem"
        key = leaf.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        pems = [each.certificate.public_bytes(Encoding.PEM) for each in (leaf, self.issuer)]
        path.write_bytes(b"".join((key, *pems)))
        return str(path)

    def response(
        self,
        leaf: Signed,
        status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD,
        *,
        by: Signed | None = None,
        carried: Sequence[Signed] = (),
        begins: dt.datetime = NOW - HOUR,
        ends: dt.datetime | None = NOW + HOUR,
        issuer: Signed | None = None,
        names_key: bool = True,
        digest: hashes.HashAlgorithm | None = None,
    ) -> bytes:
        """An OCSP response about `leaf`, signed by the issuer or `by` another."""
        signer = by or self.issuer
        revoked = status is ocsp.OCSPCertStatus.REVOKED
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=leaf.certificate,
            issuer=(issuer or self.issuer).certificate,
            algorithm=digest or hashes.SHA1(),
            cert_status=status,
            this_update=begins,
            next_update=ends,
            revocation_time=NOW - HOUR if revoked else None,
            revocation_reason=x509.ReasonFlags.key_compromise if revoked else None,
        )
        how = ocsp.OCSPResponderEncoding.HASH if names_key else ocsp.OCSPResponderEncoding.NAME
        builder = builder.responder_id(how, signer.certificate)
        if carried:
            builder = builder.certificates([each.certificate for each in carried])
        return builder.sign(signer.key, hashes.SHA256()).public_bytes(Encoding.DER)

    def list_of(
        self,
        *revoked: Signed,
        by: Signed | None = None,
        begins: dt.datetime = NOW - HOUR,
        ends: dt.datetime = NOW + HOUR,
        extensions: Sequence[x509.ExtensionType] = (),
        form: Encoding = Encoding.DER,
    ) -> bytes:
        """A certificate revocation list."""
        signer = by or self.issuer
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(signer.certificate.subject)
            .last_update(begins)
            .next_update(ends)
        )
        for each in revoked:
            entry = x509.RevokedCertificateBuilder(each.certificate.serial_number, NOW - HOUR)
            builder = builder.add_revoked_certificate(entry.build())
        for extension in extensions:
            builder = builder.add_extension(extension, critical=True)
        return builder.sign(signer.key, hashes.SHA256()).public_bytes(form)


def distribution_point(url: str | None = None, **flags: bool) -> x509.IssuingDistributionPoint:
    """The extension that says what a list covers."""
    asked = dict.fromkeys(
        (
            "only_contains_user_certs",
            "only_contains_ca_certs",
            "indirect_crl",
            "only_contains_attribute_certs",
        ),
        False,
    )
    return x509.IssuingDistributionPoint(
        full_name=None if url is None else _urls(url),
        relative_name=None,
        only_some_reasons=None,
        **{**asked, **flags},
    )


def _urls(url: str) -> list[x509.GeneralName]:
    return [x509.UniformResourceIdentifier(url)]
