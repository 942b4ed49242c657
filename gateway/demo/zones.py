"""The demo's DNS zones: made from a few lines of records, signed where their owner would have signed them.

A bogus zone is signed and then changed: records no longer fit their signatures (RFC 4035 section 5.5).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

import dns.dnssec
import dns.name
import dns.rdataset
import dns.rdatatype
import dns.rdtypes.ANY.DNSKEY
import dns.zone
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from dns.dnssectypes import Algorithm

TTL = 60  # seconds
_SIGNATURE_LIFE = timedelta(days=90)


class Signing(StrEnum):
    """How a zone stands to DNSSEC."""

    UNSIGNED = "unsigned"
    SIGNED = "signed"
    BOGUS = "bogus"


class ZoneSource(msgspec.Struct, frozen=True):
    """A zone as its owner wrote it: master file lines without TTL and class ("@ MX 10 mx1"), names relative to it.

    `@PORT@` in them is the port of mail servers, `@KEY host@` the SHA-256 of that host's public key. `forged` are the
    lines that stand in a bogus zone in place of the true records; by default its mail goes to the host `forged`.
    """

    origin: str
    records: tuple[str, ...]
    signing: Signing = Signing.UNSIGNED
    forged: tuple[str, ...] = ("@ MX 0 forged",)


class ServedZone(msgspec.Struct, frozen=True):
    """A zone as a name server holds it. `anchor` is the key that a validator trusts for it, None where unsigned."""

    zone: dns.zone.Zone
    anchor: dns.rdtypes.ANY.DNSKEY.DNSKEY | None


def serve_zone(source: ZoneSource, key: ec.EllipticCurvePrivateKey, now: datetime) -> ServedZone:
    """The zone with its signatures, valid from one hour before `now` for three months."""
    head = (
        f"$TTL {TTL}",
        f"@ IN SOA ns hostmaster 1 3600 600 86400 {TTL}",
        "@ IN NS ns",
        "ns IN A 127.0.0.1",
    )
    body = (_with_class(line) for line in source.records)
    zone = dns.zone.from_text("\n".join((*head, *body)) + "\n", origin=f"{source.origin}.", relativize=False)
    if source.signing is Signing.UNSIGNED:
        return ServedZone(zone, None)
    anchor = dns.dnssec.make_dnskey(key.public_key(), Algorithm.ECDSAP256SHA256, flags=257)
    begins = now - timedelta(hours=1)
    dns.dnssec.sign_zone(zone, keys=[(key, anchor)], inception=begins, expiration=begins + _SIGNATURE_LIFE)
    if source.signing is Signing.BOGUS:
        _forge(zone, source.forged)
    return ServedZone(zone, anchor)


def _with_class(line: str) -> str:
    owner, rest = line.split(maxsplit=1)
    return f"{owner} IN {rest}"


def _forge(zone: dns.zone.Zone, lines: tuple[str, ...]) -> None:
    """What a forger would do: other records, and the signatures stay those of the true ones."""
    assert zone.origin is not None
    with zone.writer() as change:
        for line in lines:
            owner, kind, data = line.split(" ", 2)
            name = dns.name.from_text(owner, zone.origin)
            rdata = dns.rdata.from_text("IN", kind, data, zone.origin, relativize=False)
            change.replace(name, dns.rdataset.from_rdata(TTL, rdata))
