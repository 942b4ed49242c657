"""Our DNS client against real sockets: the demo's validating resolver, and servers that misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.demo.resolver import Resolver, serve_dns
from gateway.demo.zones import Signing, ZoneSource, serve_zone
from gateway.probe.dns import Answer, Bogus, Dns, Found, NoData, NoName, Refused, Server, Silent
from gateway.probe.trust import ProofNames

MX, A = dns.rdatatype.MX, dns.rdatatype.A
ADDRESS = "127.0.0.53"
RECORDS = (
    "@ MX 10 mx",
    "mx A 192.0.2.1",
    "www CNAME mx",
    *(f"wide MX {n} long-name-of-host-{n}" for n in range(120)),
)

NAMES = ProofNames(signed="signed.example", bogus="bogus.example")
UNSHOWN = ProofNames(signed="unknown.example", bogus="unknown.example")  # nobody proves anything with these
UNKNOWN_NAME = dns.name.from_text("unknown.example")

Reply = Callable[[dns.message.Message], list[bytes]]


class Misbehaving(asyncio.DatagramProtocol):
    """Answers each query with whatever the test says, and counts those that are no examination."""

    def __init__(self, reply: Reply) -> None:
        self.asked = 0
        self._reply = reply

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        self.asked += query.question[0].name != UNKNOWN_NAME
        for packet in self._reply(query):
            self.transport.sendto(packet, addr)  # type: ignore[attr-defined]


@asynccontextmanager
async def misbehaving(reply: Reply) -> AsyncIterator[tuple[Server, Misbehaving]]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(
        lambda: Misbehaving(reply), local_addr=(ADDRESS, 0)
    )
    try:
        yield (ADDRESS, transport.get_extra_info("sockname")[1]), protocol
    finally:
        transport.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    resolver = Resolver(
        (
            serve_zone(ZoneSource("signed.example", RECORDS, Signing.SIGNED), key, now),
            serve_zone(ZoneSource("plain.example", RECORDS), key, now),
            serve_zone(ZoneSource("bogus.example", RECORDS, Signing.BOGUS), key, now),
        ),
        silent=["silent.example"],
    )
    async with AsyncExitStack() as running:
        yield await _serve(running, resolver)


async def _serve(running: AsyncExitStack, resolver: Resolver) -> Server:
    for _ in range(20):
        async with AsyncExitStack() as trying:
            probe = await asyncio.start_server(lambda r, w: None, ADDRESS, 0)
            port: int = probe.sockets[0].getsockname()[1]
            probe.close()
            try:
                await trying.enter_async_context(serve_dns(resolver, ADDRESS, port))
            except OSError:
                continue
            running.push_async_exit(trying.pop_all())
            return ADDRESS, port
    raise AssertionError("no free port")


def client(*servers: Server, timeout: float = 0.2, names: ProofNames = NAMES) -> Dns:
    return Dns(servers, timeout=timeout, lifetime=20, names=names)


@pytest.mark.parametrize(
    ("name", "rdtype", "expected"),
    [
        ("mx.plain.example", dns.rdatatype.AAAA, NoData(secure=False)),
        ("mx.signed.example", dns.rdatatype.AAAA, NoData(secure=True)),
        ("no.plain.example", A, NoName(secure=False)),
        ("no.signed.example", A, NoName(secure=True)),
    ],
)
async def test_what_is_not_there(
    server: Server, name: str, rdtype: dns.rdatatype.RdataType, expected: Answer
) -> None:
    assert await client(server).ask(name, rdtype) == expected


@pytest.mark.parametrize(("zone", "secure"), [("plain", False), ("signed", True)])
async def test_what_is_found(server: Server, zone: str, secure: bool) -> None:
    answer = await client(server).ask(f"{zone}.example", MX)
    assert isinstance(answer, Found)
    assert [str(record) for record in answer.records] == [f"10 mx.{zone}.example."]
    assert (answer.ttl, answer.secure, answer.canonical) == (60, secure, None)


async def test_an_alias_is_followed(server: Server) -> None:
    answer = await client(server).ask("www.signed.example", A)
    assert isinstance(answer, Found)
    assert ([str(record) for record in answer.records], answer.canonical, answer.secure) == (
        ["192.0.2.1"],
        "mx.signed.example",
        True,
    )


async def test_a_forgery_is_an_answer_of_its_own(server: Server) -> None:
    answer = await client(server).ask("bogus.example", MX)
    assert isinstance(answer, Bogus)
    assert "signatures" in answer.detail


async def test_silence_is_silence(server: Server) -> None:
    answer = await client(server, timeout=0.05).ask("silent.example", MX)
    assert isinstance(answer, Silent)
    assert "did not answer" in answer.detail


async def test_a_long_answer_comes_whole_over_tcp(server: Server) -> None:
    answer = await client(server, timeout=20).ask("wide.plain.example", MX)
    assert isinstance(answer, Found)
    assert len(answer.records) == 120


@pytest.mark.parametrize(
    "rcode", [dns.rcode.SERVFAIL, dns.rcode.REFUSED, dns.rcode.FORMERR, dns.rcode.NOTIMP]
)
async def test_a_server_that_fails_is_passed_over(server: Server, rcode: dns.rcode.Rcode) -> None:
    def fail(query: dns.message.Message) -> list[bytes]:
        response = dns.message.make_response(query)
        response.set_rcode(rcode)
        return [response.to_wire()]

    async with misbehaving(fail) as (bad, protocol):
        assert isinstance(await client(bad, server, names=UNSHOWN).ask("plain.example", MX), Found)
        assert protocol.asked == 1
        assert isinstance(await client(bad, names=UNSHOWN).ask("plain.example", MX), Refused)
        assert protocol.asked == 3


async def test_a_server_that_is_not_there_is_passed_over(server: Server) -> None:
    async with misbehaving(lambda query: []) as (mute, _):
        near = client(mute, server, timeout=0.05, names=UNSHOWN)
        assert isinstance(await near.ask("plain.example", MX), Found)
    near = client(mute, server, timeout=0.05, names=UNSHOWN)
    assert isinstance(await near.ask("plain.example", MX), Found)


async def test_packets_that_answer_something_else_are_not_taken() -> None:
    """Another id, another question, noise: all ignored, and the true answer behind them is taken."""

    def reply(query: dns.message.Message) -> list[bytes]:
        wrong_id = dns.message.make_response(query)
        wrong_id.id ^= 1
        other = dns.message.make_query("evil.example", MX)
        other.id = query.id
        true = dns.message.make_response(query)
        return [wrong_id.to_wire(), dns.message.make_response(other).to_wire(), b"noise", b"", true.to_wire()]

    async with misbehaving(reply) as (address, protocol):
        near = client(address, timeout=20, names=UNSHOWN)
        assert await near.ask("plain.example", MX) == NoData(secure=False)
        assert protocol.asked == 1


async def test_only_noise_is_silence() -> None:
    async with misbehaving(lambda query: [b"\xff" * 40]) as (address, _):
        assert isinstance(await client(address, timeout=0.05).ask("plain.example", MX), Silent)


async def test_a_ring_of_aliases_is_refused() -> None:
    def ring(query: dns.message.Message) -> list[bytes]:
        response = dns.message.make_response(query)
        for n in range(40):
            owner = "plain.example." if n == 0 else f"a{n}.example."
            response.answer.append(dns.rrset.from_text(owner, 60, "IN", "CNAME", f"a{n + 1}.example."))
        return [response.to_wire()]

    async with misbehaving(ring) as (address, _):
        answer = await client(address, timeout=20).ask("plain.example", MX)
        assert isinstance(answer, Refused)
        assert "aliases" in answer.detail


async def test_all_tries_together_are_bounded() -> None:
    async with misbehaving(lambda query: []) as (mute, _), asyncio.timeout(60):
        answer = await Dns([mute] * 4, timeout=30, lifetime=0.1).ask("plain.example", MX)
    assert isinstance(answer, Silent)
    assert "gave up" in answer.detail


async def test_ad_is_believed_of_servers_on_loopback_only(server: Server) -> None:
    """The same server, taken for one elsewhere."""
    near = client(server)
    far = client(server)
    far._near = ()
    assert await near.ask("no.signed.example", A) == NoName(secure=True)
    assert await far.ask("no.signed.example", A) == NoName(secure=False)


@pytest.mark.parametrize("name", ["x" * 64 + ".example", "a." * 130 + "example", "two..dots.example"])
async def test_names_that_cannot_be_asked_for(server: Server, name: str) -> None:
    assert isinstance(await client(server).ask(name, MX), Refused)


def test_no_servers_is_a_mistake_that_is_told() -> None:
    with pytest.raises(ValueError, match="dns"):
        Dns([])


@pytest.mark.parametrize("octets", ["0301010a0b", "0301", ""], ids=["short digest", "two octets", "none"])
async def test_a_malformed_tlsa_record_does_not_take_the_others_with_it(octets: str) -> None:
    good = b"\x03\x01\x01" + bytes(32)

    def reply(query: dns.message.Message) -> list[bytes]:
        answer = dns.message.make_response(query)
        records = [
            dns.rdata.GenericRdata(dns.rdataclass.IN, dns.rdatatype.TLSA, data)
            for data in (good, bytes.fromhex(octets))
        ]
        answer.answer.append(dns.rrset.from_rdata(query.question[0].name, 60, *records))
        return [answer.to_wire()]

    async with misbehaving(reply) as (where, _):
        lookup = Dns([where], timeout=1, lifetime=2, names=UNSHOWN)
        answer = await lookup.ask("_25._tcp.mx.example.org", dns.rdatatype.TLSA)
    assert isinstance(answer, Found)
    assert {record.to_wire() for record in answer.records} == {good, bytes.fromhex(octets)}
