"""The shapes of evidence that several kinds of leaves hold: TLS sessions, floors, MTA-STS policies. Rules: `leaves`."""

from __future__ import annotations

from datetime import datetime

import msgspec

Words = tuple[str, ...]


class Shape(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Common rules of all shapes; unknown fields are refused so that verification covers everything that is there."""


class DaneSeen(Shape, frozen=True, kw_only=True):
    """How a chain stood to the TLSA records in force; the records are sealed beside the chain.

    `matched` is the usage, selector and matching type of the record that proves it. `mx_secure`: the host's name came
    from signed DNS or the configuration.
    """

    matched: str | None = None
    mx_secure: bool = False
    place: int | None = None  # of the matched certificate in the chain as sent
    records: int
    usable: int


class TermsSeen(Shape, frozen=True, kw_only=True):
    """What the configuration laid down for the connection: `pins` many keys, a least grade, that it proves nothing.

    `place` is that of the certificate with a pinned key in the chain as sent; None: none of the pins was shown.
    """

    distrusted: bool = False
    least: str | None = None
    pins: int = 0
    place: int | None = None


class TlsSeen(Shape, frozen=True, kw_only=True):
    """A TLS session without names: `matched` says that the certificate bore the name asked for."""

    certificates: int = 0
    cipher: str
    dane: DaneSeen | None = None
    failure: str | None = None  # RFC 8460 section 4.3 result word
    group: str | None = None
    matched: bool = False
    ocsp: bool = False
    reduced: bool = False
    resumed: bool = False
    revocation: str | None = None
    sts: bool = False  # an enforced MTA-STS policy lists the host
    terms: TermsSeen | None = None
    trusted: bool = False
    version: str
    weak: bool = False


class StsSeen(Shape, frozen=True, kw_only=True):
    """The MTA-STS policy in force for the recipient's domain (RFC 8461); its text and proof are sealed.

    `stale` is the RFC 8460 word for why its last refresh failed.
    """

    expires_at: datetime
    fetched_at: datetime
    id: str
    mode: str
    stale: str | None = None


class Floor(Shape, frozen=True, kw_only=True):
    """What the connection had to show (`TlsFloor`)."""

    ciphers: str
    grades: Words
    groups: Words = ()
    min_version: str
    revocation: str = "off"
