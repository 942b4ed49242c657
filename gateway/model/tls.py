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


class TlsSession(msgspec.Struct, frozen=True, kw_only=True):
    """What one handshake showed. Evidence, not judgement: `gateway.wire.tls_grade` judges it.

    `chain` holds the peer's certificates in DER, leaf first, as sent. `trusted` says that the chain leads to a trusted
    root and is valid now; `name_matched` is the certificate's name that fits the reference identifier, or None.
    `failure` is an RFC 8460 section 4.3 result word where the chain or the name failed, else None.
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


class TlsFloor(msgspec.Struct, frozen=True):
    """What a connection must show before content may leave over it. Part of the key of every connection pool.

    `grades` are the grades that count; a floor that admits `TlsGrade.NONE` admits plain text.
    `min_version` and `ciphers` name the handshake's limits; `ciphers` is a profile's name, not an OpenSSL string.
    """

    grades: tuple[TlsGrade, ...]
    min_version: str = "1.2"
    ciphers: str = "nist-sp800-52r2"

    @property
    def admits_plain(self) -> bool:
        return TlsGrade.NONE in self.grades
