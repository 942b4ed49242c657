"""The demo's DNS resolver: answers from its own zones, and checks their signatures before it says AD.

A signed answer is validated against the zone's trust anchor (RFC 4035 section 5) each time it is first asked for:
the positive answer by its RRSIG, NXDOMAIN and NODATA by signed NSEC records. What does not validate is SERVFAIL,
unless the client sets CD. Unsigned zones are answered without AD. Aliases are followed (at most eight).
Not a general resolver: no delegation, no wildcards, no DNAME; everything outside its zones does not exist.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import cast

import dns.dnssec
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.node
import dns.opcode
import dns.rcode
import dns.rdataset
import dns.rdatatype
import dns.rrset
import dns.zone
import msgspec

from gateway.demo.zones import ServedZone

_MAX_ALIASES = 8
_PLAIN_UDP = 512  # octets, RFC 1035 section 4.2.1
_TCP_IDLE = 10.0  # seconds
_REMEMBERED = 10_000  # answers and questions

_Key = tuple[dns.name.Name, dns.rdatatype.RdataType]
_Keys = dict[dns.name.Name, dns.node.Node | dns.rdataset.Rdataset]  # what signatures are checked against


class _Found(msgspec.Struct, frozen=True):
    """What one zone says about one name and type; `proof` are the records beside the answer."""

    rcode: dns.rcode.Rcode
    answer: tuple[dns.rrset.RRset, ...] = ()
    proof: tuple[dns.rrset.RRset, ...] = ()
    secure: bool = False


class _Unproved(Exception):
    """Signatures are missing, or do not add up to a proof."""


_BOGUS = _Found(dns.rcode.SERVFAIL)


class Resolver:
    """Question in, answer out. `silent` are names whose questions get no answer at all."""

    def __init__(self, zones: Iterable[ServedZone], silent: Iterable[str] = ()) -> None:
        self._zones = {served.zone.origin: served for served in zones}
        self._silent = frozenset(dns.name.from_text(name) for name in silent)
        self._found: dict[_Key, _Found] = {}
        self.asked: deque[tuple[str, str]] = deque(maxlen=_REMEMBERED)  # (name, type) of the last questions

    @property
    def anchors(self) -> tuple[str, ...]:
        """The keys of the signed zones, as records in text: what another validator would have to trust."""
        anchored = [(origin, served.anchor) for origin, served in self._zones.items() if served.anchor]
        return tuple(f"{origin} IN DNSKEY {anchor}" for origin, anchor in anchored)

    def respond(self, wire: bytes, *, tcp: bool = False) -> bytes | None:
        """The reply to one query message; None where silence is the reply (noise, or a silent name)."""
        try:
            query = dns.message.from_wire(wire, ignore_trailing=True)
        except dns.exception.DNSException:
            return None
        if len(query.question) != 1 or query.opcode() != dns.opcode.QUERY:
            return None
        question = query.question[0]
        if question.name in self._silent:
            return None
        self.asked.append((str(question.name), dns.rdatatype.to_text(question.rdtype)))
        response = dns.message.make_response(query, recursion_available=True, our_payload=1232)
        self._fill(response, query)
        try:
            return response.to_wire(max_size=65535 if tcp else query.payload or _PLAIN_UDP)
        except dns.exception.TooBig:
            return _truncated(query)

    def _fill(self, response: dns.message.Message, query: dns.message.Message) -> None:
        question = query.question[0]
        wants_proof = bool(query.ednsflags & dns.flags.DO)
        found = self._resolve(question.name, question.rdtype, checking=not query.flags & dns.flags.CD)
        response.set_rcode(found.rcode)
        response.answer.extend(each for each in found.answer if wants_proof or not _is_proof(each))
        response.authority.extend(each for each in found.proof if wants_proof or not _is_proof(each))
        # RFC 6840 section 5.8: AD goes to those who asked for it, by AD or by DO.
        if found.secure and (wants_proof or query.flags & dns.flags.AD):
            response.flags |= dns.flags.AD

    def _resolve(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, *, checking: bool) -> _Found:
        answer: tuple[dns.rrset.RRset, ...] = ()
        secure = True
        for _ in range(_MAX_ALIASES):
            found = self._validated(name, rdtype) if checking else self._look_up(name, rdtype)
            secure = secure and found.secure
            answer += found.answer
            alias = _alias(found, rdtype)
            if alias is None:
                return msgspec.structs.replace(found, answer=answer, secure=secure)
            name = alias
        return _BOGUS

    def _validated(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> _Found:
        key = (name, rdtype)
        found = self._found.get(key)
        if found is None:
            found = self._look_up(name, rdtype)
            served = self._zone_of(name)
            if served is not None and served.anchor is not None:
                try:
                    _validate(served, name, rdtype, found)
                    found = msgspec.structs.replace(found, secure=True)
                except (dns.exception.DNSException, _Unproved):
                    found = _BOGUS
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            self._found[key] = found
        return found

    def _zone_of(self, name: dns.name.Name) -> ServedZone | None:
        while name != dns.name.root:
            if name in self._zones:
                return self._zones[name]
            name = name.parent()
        return None

    def _look_up(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> _Found:
        served = self._zone_of(name)
        if served is None:
            return _Found(dns.rcode.NXDOMAIN)
        zone = served.zone
        for kind in (rdtype, dns.rdatatype.CNAME):
            answer = _rrsets(zone, name, kind)
            if answer:
                return _Found(dns.rcode.NOERROR, answer)
        # A name that exists only because something below it does is NODATA, not NXDOMAIN (RFC 8020).
        exists = any(each.is_subdomain(name) for each in zone)
        assert zone.origin is not None
        proof = _rrsets(zone, zone.origin, dns.rdatatype.SOA)
        if exists:
            proof += _denial(zone, name)
        else:
            proof += _denial(zone, name) + _denial(zone, _wildcard(zone, name))
        return _Found(dns.rcode.NOERROR if exists else dns.rcode.NXDOMAIN, proof=proof)


def _alias(found: _Found, rdtype: dns.rdatatype.RdataType) -> dns.name.Name | None:
    if rdtype == dns.rdatatype.CNAME or not found.answer or found.answer[0].rdtype != dns.rdatatype.CNAME:
        return None
    target: dns.name.Name = found.answer[0][0].target
    return target


def _is_proof(rrset: dns.rrset.RRset) -> bool:
    return rrset.rdtype in (dns.rdatatype.RRSIG, dns.rdatatype.NSEC)


def _rrsets(
    zone: dns.zone.Zone, name: dns.name.Name, rdtype: dns.rdatatype.RdataType
) -> tuple[dns.rrset.RRset, ...]:
    """The records and, in a signed zone, their signatures."""
    both = (
        zone.get_rrset(name, rdtype),
        zone.get_rrset(name, dns.rdatatype.RRSIG, covers=rdtype),
    )
    return tuple(each for each in both if each is not None) if both[0] is not None else ()


def _denial(zone: dns.zone.Zone, name: dns.name.Name) -> tuple[dns.rrset.RRset, ...]:
    """The NSEC record at `name` or the one whose gap `name` falls into; none in an unsigned zone."""
    owners = sorted(each for each in zone if zone.get_rdataset(each, dns.rdatatype.NSEC) is not None)
    before = [each for each in owners if each <= name]
    return _rrsets(zone, before[-1], dns.rdatatype.NSEC) if before else ()


def _wildcard(zone: dns.zone.Zone, name: dns.name.Name) -> dns.name.Name:
    """The wildcard at the closest name that exists (RFC 4592 section 3.3.1)."""
    encloser = name.parent()
    while not any(each.is_subdomain(encloser) for each in zone):
        encloser = encloser.parent()
    return dns.name.from_text("*", encloser)


def _validate(
    served: ServedZone, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, found: _Found
) -> None:
    """Raise unless every record and every denial in `found` is proved from the anchor."""
    zone = served.zone
    origin = zone.origin
    assert origin is not None
    keys = zone.find_rrset(origin, dns.rdatatype.DNSKEY)
    trusted = dns.rrset.from_rdata(origin, keys.ttl, served.anchor)
    _check(_rrsets(zone, origin, dns.rdatatype.DNSKEY), {origin: trusted})
    _check(found.answer + found.proof, {origin: keys})
    if found.answer:
        return
    denials = [each for each in found.proof if each.rdtype == dns.rdatatype.NSEC]
    if found.rcode == dns.rcode.NXDOMAIN:
        _check_covered(denials, origin, name)
        _check_covered(denials, origin, _wildcard(zone, name))
    elif not any(_denies_type(each, name, rdtype) for each in denials):
        raise _Unproved("no signed record denies the type")


def _check(records: tuple[dns.rrset.RRset, ...], keys: _Keys) -> None:
    signatures = {(each.name, each.covers): each for each in records if each.rdtype == dns.rdatatype.RRSIG}
    for each in records:
        if each.rdtype == dns.rdatatype.RRSIG:
            continue
        signature = signatures.get((each.name, each.rdtype))
        if signature is None:
            raise _Unproved("a record without signature in a signed zone")
        dns.dnssec.validate(each, signature, keys)


def _check_covered(denials: list[dns.rrset.RRset], origin: dns.name.Name, name: dns.name.Name) -> None:
    """RFC 4034 section 4: the last NSEC record of a zone points back to its apex."""
    for each in denials:
        following = each[0].next
        if each.name < name and (name < following or following == origin):
            return
    raise _Unproved("no signed gap covers the name")


def _denies_type(denial: dns.rrset.RRset, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> bool:
    """By the type bitmap at the name itself, or, for a name that has only descendants, by the gap around it."""
    if denial.name == name:
        window, bit = divmod(int(rdtype), 256)
        maps = dict(denial[0].windows)
        octets = maps.get(window, b"")
        return not (bit // 8 < len(octets) and octets[bit // 8] & 0x80 >> bit % 8)
    following: dns.name.Name = denial[0].next
    return denial.name < name != following and following.is_subdomain(name)


def _truncated(query: dns.message.Message) -> bytes:
    response = dns.message.make_response(query, recursion_available=True)
    response.flags |= dns.flags.TC
    return response.to_wire()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # asyncio's own transport is no subclass of its abstract one (3.11), nor is uvloop's.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        reply = self._resolver.respond(data)
        if reply is not None and self._transport is not None:
            self._transport.sendto(reply, addr)


@asynccontextmanager
async def serve_dns(resolver: Resolver, address: str, port: int) -> AsyncIterator[None]:
    """Answer on UDP and TCP at `address`:`port` as long as the block runs. Raises OSError where the port is taken."""
    loop = asyncio.get_running_loop()
    conversations: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        conversations[task] = writer
        try:
            while True:
                async with asyncio.timeout(_TCP_IDLE):
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                    query = await reader.readexactly(length)
                reply = resolver.respond(query, tcp=True)
                if reply is not None:
                    writer.write(struct.pack("!H", len(reply)) + reply)
                    await writer.drain()
        except (OSError, EOFError, TimeoutError):
            pass
        finally:
            del conversations[task]
            writer.close()

    server = await asyncio.start_server(converse, address, port)
    try:
        datagrams, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(resolver), local_addr=(address, port)
        )
    except OSError:
        server.close()
        raise
    try:
        yield
    finally:
        datagrams.close()
        server.close()
        for stream in conversations.values():
            stream.transport.abort()
        await asyncio.gather(*conversations)
