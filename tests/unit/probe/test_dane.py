"""TLSA lookups: in which order, from which answers, and what a failure means (RFC 7672 section 2.2)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from gateway.model.capability import MxHost
from gateway.model.tls import Dane
from gateway.probe.dns import Answer, Bogus, Found, NoData, NoName, Refused, Silent
from gateway.probe.mx import Routed, Router, RouteSettings, Unclear
from gateway.wire.destinations import Destinations
from tests.unit.probe.answers import PaperDns, found

DIGEST = "ab" * 32
EE = bytes((3, 1, 1)) + bytes.fromhex(DIGEST)
MX = found("MX", "10 mx.example.org.", secure=True)
A = found("A", "8.8.8.1", secure=True)
TLSA = found("TLSA", f"3 1 1 {DIGEST}", secure=True, ttl=60)
NAME = "_25._tcp.mx.example.org"
SIGNED: Mapping[tuple[str, str], Answer] = {
    ("example.org", "MX"): MX,
    ("mx.example.org", "A"): A,
    (NAME, "TLSA"): TLSA,
}

Written = Mapping[tuple[str, str], Answer]


def insecure(answer: Found) -> Found:
    return msgspec.structs.replace(answer, secure=False)


def alias(answer: Found, canonical: str, *, secure: bool) -> Found:
    return msgspec.structs.replace(answer, canonical=canonical, secure=secure)


async def looked(written: Written, settings: RouteSettings | None = None) -> tuple[MxHost, PaperDns, Routed]:
    dns = PaperDns(dict(written))
    result = await Router(dns, Destinations(), settings or RouteSettings()).route("example.org")
    assert isinstance(result, Routed), result
    return result.route.hosts[0], dns, result


async def test_a_signed_chain_of_records_is_a_demand() -> None:
    host, _, routed = await looked(SIGNED)
    assert host.dane == Dane(
        base="mx.example.org", records=(EE,), names=("mx.example.org", "example.org"), mx_secure=True
    )
    assert routed.route.secure
    assert routed.ttl == 60


async def test_tlsa_is_asked_for_at_the_port_of_delivery() -> None:
    _, dns, _ = await looked(SIGNED, RouteSettings(port=2525))
    assert ("_2525._tcp.mx.example.org", "TLSA") in dns.asked


async def test_unsigned_addresses_are_a_reason_not_to_ask() -> None:
    host, dns, _ = await looked({**SIGNED, ("mx.example.org", "A"): insecure(A)})
    assert host.dane is None
    assert host.barred is None
    assert all(kind != "TLSA" for _, kind in dns.asked)


@pytest.mark.parametrize(
    "answer", [NoData(secure=True), NoName(secure=True), NoData(secure=False), insecure(TLSA)]
)
async def test_without_signed_records_there_is_no_dane(answer: Answer) -> None:
    host, _, _ = await looked({**SIGNED, (NAME, "TLSA"): answer})
    assert host.dane is None
    assert host.barred is None


@pytest.mark.parametrize("answer", [Bogus("forged"), Refused("SERVFAIL"), Silent("nobody")])
async def test_a_lookup_that_fails_bars_the_host(answer: Answer) -> None:
    host, _, _ = await looked({**SIGNED, (NAME, "TLSA"): answer})
    assert host.dane is None
    assert host.barred is not None
    assert host.barred.status == "4.7.5"
    assert "TLSA lookup error" in host.barred.private


async def test_a_signed_host_of_an_unsigned_domain_is_bound_under_its_own_names_only() -> None:
    host, _, routed = await looked({**SIGNED, ("example.org", "MX"): insecure(MX)})
    assert host.dane is not None
    assert (host.dane.mx_secure, host.dane.names) == (False, ("mx.example.org",))
    assert not routed.route.secure


async def test_an_alias_that_is_signed_all_the_way_is_followed_and_the_name_itself_comes_second() -> None:
    led = alias(A, "host.example.net", secure=True)
    there = ("_25._tcp.host.example.net", "TLSA")
    host, dns, _ = await looked({**SIGNED, ("mx.example.org", "A"): led, there: TLSA})
    assert host.dane is not None
    assert (host.dane.base, host.dane.names) == (
        "host.example.net",
        ("host.example.net", "mx.example.org", "example.org"),
    )
    assert (NAME, "TLSA") not in dns.asked
    host, dns, _ = await looked({**SIGNED, ("mx.example.org", "A"): led, there: NoName(secure=True)})
    assert host.dane is not None
    assert host.dane.base == "mx.example.org"


async def test_a_signed_alias_into_unsigned_names_binds_by_its_own_name() -> None:
    written = {**SIGNED, ("mx.example.org", "A"): alias(A, "host.example.net", secure=False)}
    signed = {**written, ("mx.example.org", "CNAME"): found("CNAME", "host.example.net.", secure=True)}
    host, dns, _ = await looked(signed)
    assert host.dane is not None
    assert host.dane.base == "mx.example.org"
    assert ("_25._tcp.host.example.net", "TLSA") not in dns.asked
    unsigned = {**written, ("mx.example.org", "CNAME"): found("CNAME", "host.example.net.")}
    host, _, _ = await looked(unsigned)
    assert (host.dane, host.barred) == (None, None)
    host, _, _ = await looked({**written, ("mx.example.org", "CNAME"): Silent("nobody")})
    assert host.barred is not None


async def test_a_domain_that_is_an_alias_may_be_named_by_either_name() -> None:
    host, _, _ = await looked({**SIGNED, ("example.org", "MX"): alias(MX, "example.com", secure=True)})
    assert host.dane is not None
    assert host.dane.names == ("mx.example.org", "example.org", "example.com")


async def test_without_mx_the_domain_itself_is_the_host() -> None:
    host, _, routed = await looked(
        {
            ("example.org", "MX"): NoData(secure=True),
            ("example.org", "A"): A,
            ("_25._tcp.example.org", "TLSA"): TLSA,
        }
    )
    assert host.dane is not None
    assert (host.dane.names, host.dane.mx_secure) == (("example.org",), True)
    assert routed.route.source == "implicit"


async def test_a_next_hop_that_the_configuration_names_is_bound_by_its_records_too() -> None:
    settings = RouteSettings(fixed={"example.org": ("mx.example.org", 587)})
    host, _, routed = await looked({**SIGNED, ("_587._tcp.mx.example.org", "TLSA"): TLSA}, settings)
    assert host.dane is not None
    assert (host.dane.names, host.dane.mx_secure) == (("mx.example.org",), True)
    assert (routed.route.source, routed.route.secure) == ("static", True)


async def test_a_flood_of_records_is_not_kept() -> None:
    many = found("TLSA", *(f"3 1 1 {number:064x}" for number in range(65)), secure=True)
    host, _, _ = await looked({**SIGNED, (NAME, "TLSA"): many})
    assert host.barred is not None
    assert "more than anybody needs" in host.barred.private


async def test_a_forged_mx_answer_is_unclear() -> None:
    dns = PaperDns({("example.org", "MX"): Bogus("forged")})
    result = await Router(dns, Destinations(), RouteSettings()).route("example.org")
    assert isinstance(result, Unclear)
    assert result.problem.status == "4.4.3"
