"""The lab's DNS: four zones below one signed parent, of which a validating resolver gets the key.

`secure` is signed and its key vouched for in the parent, `bogus` as well, but its records were changed afterwards;
`insecure` is provably unsigned; `servfail` is delegated, and its name server has no data. TLSA names whose lookup is to
fail are zones of that kind, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

import dns.dnssec
import dns.name
import dns.rdata
import dns.rdataset
import dns.rdtypes.ANY.DNSKEY
import dns.zone
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from dns.dnssectypes import Algorithm
from dns.rdataclass import IN
from dns.rdatatype import TLSA

from tests.lab.cells import Cell, Dnssec, Sts, Tlsa

PARENT = "lab.example"
SIGNED_NAME, BOGUS_NAME = f"proof.secure.{PARENT}", f"proof.bogus.{PARENT}"
_TTL = 60  # seconds
_DAY = timedelta(days=1)
_DOMAIN_ZONE = {Dnssec.HALF: "insecure"}
_HOST_ZONE = {Dnssec.HALF: "secure"}


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A cell's domain in the lab: `address` is its mail server's, `port` that of all mail servers.

    `key` and `authority` are the public keys (SubjectPublicKeyInfo) of its server and of who issued its certificate.
    """

    number: int
    cell: Cell
    address: str
    port: int
    key: bytes
    authority: bytes

    @property
    def domain(self) -> str:
        return f"c{self.number}.{_DOMAIN_ZONE.get(self.cell.dnssec, self.cell.dnssec)}.{PARENT}"

    @property
    def host_zone(self) -> str:
        return _HOST_ZONE.get(self.cell.dnssec, self.cell.dnssec)

    @property
    def host(self) -> str:
        return f"mx.c{self.number}.{self.host_zone}.{PARENT}"

    @property
    def tlsa_name(self) -> str:
        return f"_{self.port}._tcp.{self.host}"


class Lab(msgspec.Struct, frozen=True):
    """Master files by origin, None where the server is to have none; and the key that vouches for all, as text."""

    zones: dict[str, str | None]
    anchor: str


def lab_zones(places: Iterable[Place], web: str, now: datetime, *, policy_id: str = "1") -> Lab:
    """The zones; `web` is the address of the web server with MTA-STS policies."""
    places = tuple(places)
    lines: dict[str, list[str]] = {
        "secure": [f"{SIGNED_NAME}. MX 10 mx"],
        "bogus": [f"{BOGUS_NAME}. MX 10 mx"],
        "insecure": [],
    }
    records: list[tuple[str, str, bytes]] = []
    zones: dict[str, str | None] = {f"servfail.{PARENT}": None}
    for place in places:
        if place.cell.dnssec is Dnssec.SERVFAIL:
            continue
        lines[place.domain.split(".")[1]] += _of_domain(place, web, policy_id)
        lines[place.host_zone].append(f"{place.host}. A {place.address}")
        if place.cell.tlsa is Tlsa.SERVFAIL:
            lines[place.host_zone].append(f"_tcp.{place.host}. NS ns.{PARENT}.")
            zones[f"_tcp.{place.host}"] = None
        records += ((place.host_zone, place.tlsa_name, rdata) for rdata in _tlsa(place))
    parent = ["servfail NS ns"]
    for name, wanted in lines.items():
        zone, anchor = _zone(f"{name}.{PARENT}", wanted, [each[1:] for each in records if each[0] == name])
        parent.append(f"{name} NS ns")
        if name != "insecure":
            _sign(zone, anchor, now)
            parent.append(f"{name} DS {dns.dnssec.make_ds(f'{name}.{PARENT}.', anchor[1], 'SHA256')}")
        if name == "bogus":
            _forge(zone)
        zones[f"{name}.{PARENT}"] = zone.to_text(relativize=False)
    top, anchor = _zone(PARENT, parent, ())
    _sign(top, anchor, now)
    zones[PARENT] = top.to_text(relativize=False)
    return Lab(zones, f"{PARENT}. IN DNSKEY {anchor[1]}")


def _of_domain(place: Place, web: str, policy_id: str) -> Iterator[str]:
    yield f"{place.domain}. MX 10 {place.host}."
    if place.cell.sts is not Sts.NONE:
        yield f'_mta-sts.{place.domain}. TXT "v=STSv1; id={policy_id};"'
        yield f"mta-sts.{place.domain}. A {web}"


def _tlsa(place: Place) -> Iterator[bytes]:
    """The octets of the records at the cell's TLSA name."""
    match place.cell.tlsa:
        case Tlsa.EE_OK:
            yield b"\x03\x01\x01" + hashlib.sha256(place.key).digest()
        case Tlsa.EE_WRONG:
            yield b"\x03\x01\x01" + hashlib.sha256(b"another key").digest()
        case Tlsa.TA_OK | Tlsa.TA_WRONG_NAME:
            yield b"\x02\x01\x01" + hashlib.sha256(place.authority).digest()
        case Tlsa.UNUSABLE:
            yield b"\x01\x01\x01" + hashlib.sha256(place.key).digest()
        case Tlsa.MALFORMED:
            yield b"\x03\x01\x01" + hashlib.sha256(place.key).digest()[:10]
        case Tlsa.NONE | Tlsa.SERVFAIL:
            return


_Keys = tuple[ec.EllipticCurvePrivateKey, dns.rdtypes.ANY.DNSKEY.DNSKEY]


def _zone(
    origin: str, lines: Iterable[str], records: Iterable[tuple[str, bytes]]
) -> tuple[dns.zone.Zone, _Keys]:
    head = (
        f"$TTL {_TTL}",
        f"@ IN SOA ns hostmaster 1 3600 600 86400 {_TTL}",
        "@ IN NS ns",
        "ns IN A 127.0.0.1",
    )
    body = (" IN ".join(line.split(" ", 1)) for line in lines)
    zone = dns.zone.from_text("\n".join((*head, *body, "")), origin=f"{origin}.", relativize=False)
    for name, rdata in records:  # as octets: some are none that a zone file could have
        owner = dns.name.from_text(name)
        zone.find_rdataset(owner, TLSA, create=True).add(dns.rdata.GenericRdata(IN, TLSA, rdata), _TTL)
    key = ec.generate_private_key(ec.SECP256R1())
    return zone, (key, dns.dnssec.make_dnskey(key.public_key(), Algorithm.ECDSAP256SHA256, flags=257))


def _sign(zone: dns.zone.Zone, keys: _Keys, now: datetime) -> None:
    dns.dnssec.sign_zone(zone, keys=[keys], inception=now - _DAY, expiration=now + 30 * _DAY)


def _forge(zone: dns.zone.Zone) -> None:
    """What a forger would do: other mail servers, and the signatures stay those of the true ones."""
    forged = dns.rdata.from_text("IN", "MX", f"0 forged.bogus.{PARENT}.")
    owners = [name for name, _ in zone.iterate_rdatasets("MX")]
    with zone.writer() as change:
        for owner in owners:
            change.replace(owner, dns.rdataset.from_rdata(_TTL, forged))
