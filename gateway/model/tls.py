"""A TLS session as it was seen, and the words in which its worth is graded."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class TlsGrade(StrEnum):
    """How far a TLS connection proves whom it reaches (policy.md, Grades), best first."""

    DANE = "dane"
    MTA_STS = "mta-sts"
    PIN = "pin"
    PKIX = "pkix"
    ENCRYPTED = "encrypted"
    NONE = "none"


class Dane(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """What a host's owner published, signed, about its certificate (RFC 7672); it binds us whatever a policy says.

    `records` are the TLSA RRset's octets, whole and sorted; `base` is the TLSA base domain, which is also the SNI.
    `names` are those of which a certificate must carry one where a record names an issuer (DANE-TA). `mx_secure` says
    that the host's own name came from signed DNS or from the configuration.
    """

    base: str
    records: tuple[bytes, ...]
    names: tuple[str, ...]
    mx_secure: bool


class DaneProof(msgspec.Struct, frozen=True, kw_only=True):
    """How the chain of one handshake stands to `dane`: `matched` is the record that proves it, if one does.

    `place` is that of the matched certificate in the chain as sent, None where the record itself brought it. With no
    `usable` record at all TLS is demanded, and DANE proves nothing (RFC 7672 section 2.2).
    """

    dane: Dane
    usable: int
    matched: bytes | None = None
    place: int | None = None

    @property
    def failed(self) -> bool:
        """Whether this host must not be given anything as it is."""
        return self.usable > 0 and self.matched is None


class TlsTerms(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """What our own configuration lays down for a domain's mail servers; it binds whatever a policy says (docs/tls.md).

    `pins` are SHA-256 of public keys, one of which the chain must show. Below `least` nothing leaves. What a
    `distrusted` server shows proves nothing. `source` names the settings.
    """

    source: str
    pins: tuple[bytes, ...] = ()
    least: TlsGrade | None = None
    distrusted: bool = False

    @property
    def demands_tls(self) -> bool:
        return bool(self.pins) or self.least is not None


class TermsProof(msgspec.Struct, frozen=True, kw_only=True):
    """How the chain of one handshake stands to `terms`: `matched` is the pin that it shows, if it does.

    `place` is that of the certificate with the pinned key in the chain as sent, 0 for the server's own.
    """

    terms: TlsTerms
    matched: bytes | None = None
    place: int | None = None

    @property
    def failed(self) -> bool:
        """Whether a pin is broken, so that this host must not be given anything as it is."""
        return bool(self.terms.pins) and self.matched is None


class TlsSession(msgspec.Struct, frozen=True, kw_only=True):
    """What one handshake showed. Evidence, not judgement: `gateway.wire.tls_grade` judges it.

    `chain` holds the peer's certificates in DER, leaf first, as sent. `trusted` says that the chain leads to a trusted
    root and is valid now; `name_matched` is the certificate's name that fits the reference identifier, or None.
    `revocation` is good, exempt, revoked or unknown, None where nobody looked; `failure` may then also be
    `certificate-revoked` or `revocation-unknown`. `weak`: a key or digest of the chain is below the profile's strength.
    `reduced`: it was the second, smaller ClientHello.
    `failure` is an RFC 8460 section 4.3 result word, or `pin-mismatch`, where the proof in force (DANE, pins, else
    chain and name) failed. `sts` says that an MTA-STS policy that the recipient's domain enforces lists the host: then
    chain and name must fit.
    """

    version: str  # "TLSv1.3"
    cipher: str
    group: str | None = None  # key exchange group, where the engine can tell
    sni: str | None = None
    chain: tuple[bytes, ...] = ()
    trusted: bool = False
    name_matched: str | None = None
    failure: str | None = None
    resumed: bool = False
    ocsp_staple: bytes | None = None
    dane: DaneProof | None = None
    terms: TermsProof | None = None
    weak: bool = False
    reduced: bool = False
    revocation: str | None = None
    revocation_note: str = ""
    sts: bool = False

    @property
    def names_its_host(self) -> bool:
        """Whether a trusted chain carries the name asked for (RFC 9525)."""
        return self.trusted and self.name_matched is not None and self.failure is None


class TlsFloor(msgspec.Struct, frozen=True):
    """What a connection must show before content may leave over it. Part of the key of every connection pool.

    `grades` are the grades that count; a floor that admits `TlsGrade.NONE` admits plain text.
    `min_version` and `ciphers` name the handshake's limits; `ciphers` is a profile's name, not an OpenSSL string
    (`gateway.wire.tls_profile`). `groups` are the key exchange groups that count, none: those of the profile.
    `revocation` is off, soft-fail or hard-fail (docs/tls.md).
    """

    grades: tuple[TlsGrade, ...]
    min_version: str = "1.2"
    ciphers: str = "nist-sp800-52r2"
    groups: tuple[str, ...] = ()
    revocation: str = "off"

    @property
    def proves_identity(self) -> bool:
        """Whether it admits no connection that could be to anybody."""
        return not {TlsGrade.ENCRYPTED, TlsGrade.NONE} & set(self.grades)

    @property
    def admits_plain(self) -> bool:
        return TlsGrade.NONE in self.grades
