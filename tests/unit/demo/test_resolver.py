"""The demo's resolver says AD for what it has proved, SERVFAIL for what is forged, and tells NODATA from NXDOMAIN."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataset
import dns.rdatatype
import dns.rrset
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.demo.resolver import Resolver
from gateway.demo.zones import ServedZone, Signing, ZoneSource, serve_zone

NOW = datetime.now(UTC)
RECORDS = (
    "@ MX 10 mx",
    "mx A 127.53.0.10",
    "a.b.deep A 127.53.0.10",
    "www CNAME mx",
    "away CNAME mx.plain.example.",
)


def signed(signing: Signing = Signing.SIGNED, now: datetime = NOW) -> ServedZone:
    return serve_zone(
        ZoneSource("good.example", RECORDS, signing), ec.generate_private_key(ec.SECP256R1()), now
    )


def unsigned() -> ServedZone:
    source = ZoneSource(
        "plain.example",
        (
            "@ MX 10 mx",
            "mx A 127.53.0.11",
            "loop CNAME loop2",
            "loop2 CNAME loop",
            "away CNAME mx.good.example.",
            "away CNAME mx.good.example.",
        ),
    )
    return serve_zone(source, ec.generate_private_key(ec.SECP256R1()), NOW)


@pytest.fixture
def resolver() -> Resolver:
    return Resolver((signed(), unsigned()), silent=("silent.example",))


def ask(
    resolver: Resolver,
    name: str,
    rdtype: str = "A",
    *,
    flags: int = dns.flags.RD | dns.flags.AD,
    dnssec: bool = False,
) -> dns.message.Message:
    query = dns.message.make_query(name, rdtype, flags=flags, want_dnssec=dnssec)
    wire = resolver.respond(query.to_wire())
    assert wire is not None
    response = dns.message.from_wire(wire)
    assert query.is_response(response)
    return response


def secure(response: dns.message.Message) -> bool:
    return bool(response.flags & dns.flags.AD)


@pytest.mark.parametrize(
    ("name", "rdtype", "rcode", "is_secure", "answers"),
    [
        ("good.example", "MX", dns.rcode.NOERROR, True, 1),
        ("mx.good.example", "A", dns.rcode.NOERROR, True, 1),
        ("MX.GOOD.example", "A", dns.rcode.NOERROR, True, 1),
        ("mx.good.example", "AAAA", dns.rcode.NOERROR, True, 0),
        ("b.deep.good.example", "A", dns.rcode.NOERROR, True, 0),
        ("no.good.example", "A", dns.rcode.NXDOMAIN, True, 0),
        ("zzz.good.example", "A", dns.rcode.NXDOMAIN, True, 0),
        ("x.y.mx.good.example", "A", dns.rcode.NXDOMAIN, True, 0),
        ("www.good.example", "A", dns.rcode.NOERROR, True, 2),
        ("www.good.example", "AAAA", dns.rcode.NOERROR, True, 1),
        ("away.good.example", "A", dns.rcode.NOERROR, False, 2),
        ("away.plain.example", "A", dns.rcode.NOERROR, False, 2),
        ("plain.example", "MX", dns.rcode.NOERROR, False, 1),
        ("mx.plain.example", "AAAA", dns.rcode.NOERROR, False, 0),
        ("no.plain.example", "A", dns.rcode.NXDOMAIN, False, 0),
        ("elsewhere.example", "A", dns.rcode.NXDOMAIN, False, 0),
        ("loop.plain.example", "A", dns.rcode.SERVFAIL, False, 0),
    ],
)
def test_each_kind_of_answer(
    resolver: Resolver, name: str, rdtype: str, rcode: dns.rcode.Rcode, is_secure: bool, answers: int
) -> None:
    response = ask(resolver, name, rdtype)
    assert response.rcode() == rcode
    assert secure(response) == is_secure
    assert len(response.answer) == answers
    assert response.flags & dns.flags.RA


def test_a_forged_record_is_servfail_and_the_rest_of_its_zone_is_not() -> None:
    resolver = Resolver([signed(Signing.BOGUS)])
    forged = ask(resolver, "good.example", "MX")
    assert forged.rcode() == dns.rcode.SERVFAIL
    assert not forged.answer
    assert not secure(forged)
    assert secure(ask(resolver, "mx.good.example"))


def test_who_sets_cd_sees_the_forged_record_without_ad() -> None:
    resolver = Resolver([signed(Signing.BOGUS)])
    forged = ask(resolver, "good.example", "MX", flags=dns.flags.RD | dns.flags.AD | dns.flags.CD)
    assert "forged.good.example" in forged.answer[0].to_text()
    assert not secure(forged)


def test_ad_is_for_those_who_ask_for_it(resolver: Resolver) -> None:
    assert not secure(ask(resolver, "good.example", "MX", flags=dns.flags.RD))
    with_proof = ask(resolver, "good.example", "MX", flags=dns.flags.RD, dnssec=True)
    assert secure(with_proof)
    assert [each.rdtype for each in with_proof.answer] == [dns.rdatatype.MX, dns.rdatatype.RRSIG]


@pytest.mark.parametrize("age", [timedelta(days=91), timedelta(days=-2)])
def test_signatures_out_of_their_time_prove_nothing(age: timedelta) -> None:
    resolver = Resolver([signed(now=NOW - age)])
    assert ask(resolver, "good.example", "MX").rcode() == dns.rcode.SERVFAIL
    assert ask(resolver, "no.good.example").rcode() == dns.rcode.SERVFAIL


def test_another_zones_key_proves_nothing() -> None:
    mine, other = signed(), signed()
    resolver = Resolver([ServedZone(mine.zone, other.anchor)])
    assert ask(resolver, "good.example", "MX").rcode() == dns.rcode.SERVFAIL


@pytest.mark.parametrize(
    ("owner", "rdtype", "asked"),
    [
        ("good.example.", "MX", ("good.example", "MX")),
        ("mx.good.example.", "NSEC", ("mx.good.example", "AAAA")),
        ("mx.good.example.", "NSEC", ("no.good.example", "A")),
        ("good.example.", "NSEC", ("no.good.example", "A")),  # covers the wildcard that could have answered
    ],
)
def test_a_record_without_its_signature_is_no_proof(owner: str, rdtype: str, asked: tuple[str, str]) -> None:
    served = signed()
    name = dns.name.from_text(owner)
    with served.zone.writer() as change:
        change.delete(name, dns.rdatatype.RRSIG, dns.rdatatype.from_text(rdtype))
    assert ask(Resolver([served]), *asked).rcode() == dns.rcode.SERVFAIL


@pytest.mark.parametrize(
    ("owner", "asked"),
    [
        ("mx.good.example.", ("mx.good.example", "AAAA")),
        ("mx.good.example.", ("no.good.example", "A")),
        ("good.example.", ("no.good.example", "A")),  # denies the wildcard
        ("away.good.example.", ("b.deep.good.example", "A")),
    ],
)
def test_a_denial_that_is_missing_with_its_signature_is_missed(owner: str, asked: tuple[str, str]) -> None:
    served = signed()
    name = dns.name.from_text(owner)
    with served.zone.writer() as change:
        change.delete(name, dns.rdatatype.NSEC)
        change.delete(name, dns.rdatatype.RRSIG, dns.rdatatype.NSEC)
    assert ask(Resolver([served]), *asked).rcode() == dns.rcode.SERVFAIL


def test_a_record_that_the_denial_knows_cannot_be_hidden() -> None:
    served = signed()
    with served.zone.writer() as change:
        change.delete(dns.name.from_text("mx.good.example."), dns.rdatatype.A)
    assert ask(Resolver([served]), "mx.good.example", "A").rcode() == dns.rcode.SERVFAIL


def test_a_denial_that_was_taken_out_is_missed() -> None:
    served = signed()
    with served.zone.writer() as change:
        change.delete(dns.name.from_text("mx.good.example."))  # an attacker hides the host
    assert ask(Resolver([served]), "mx.good.example", "A").rcode() == dns.rcode.SERVFAIL


def test_silence_and_noise_get_no_answer(resolver: Resolver) -> None:
    assert resolver.respond(dns.message.make_query("silent.example", "MX").to_wire()) is None
    assert resolver.respond(b"") is None
    assert resolver.respond(b"\x00" * 11) is None
    assert resolver.respond(b"\xff" * 600) is None


def test_what_does_not_fit_a_datagram_is_truncated_and_whole_over_tcp() -> None:
    many = tuple(f"@ MX {number} host-with-a-long-name-{number}" for number in range(40))
    source = ZoneSource("wide.example", many)
    resolver = Resolver([serve_zone(source, ec.generate_private_key(ec.SECP256R1()), NOW)])
    query = dns.message.make_query("wide.example", "MX", use_edns=False).to_wire()
    short, whole = resolver.respond(query), resolver.respond(query, tcp=True)
    assert short is not None
    assert whole is not None
    assert len(short) <= 512
    assert dns.message.from_wire(short).flags & dns.flags.TC
    assert len(dns.message.from_wire(whole).answer[0]) == 40
