"""Where mail goes, and when it provably goes nowhere: each answer of DNS has its own consequence."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.capability import MxHost
from gateway.probe.dns import Answer, NoData, NoName, Refused, Silent
from gateway.probe.mx import Nowhere, Routed, Router, RouteResult, RouteSettings, Unclear
from gateway.wire.destinations import Destinations
from tests.unit.probe.answers import PaperDns, found

LAB = Destinations([ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")])
A1 = found("A", "192.0.2.1")
A2 = found("A", "192.0.2.2")
DOMAIN = "example.org"

Written = dict[tuple[str, str], Answer | list[Answer]]


async def route(written: Written, domain: str = DOMAIN, settings: RouteSettings | None = None) -> RouteResult:
    return await Router(PaperDns(written), LAB, settings or RouteSettings()).route(domain)


def hosts(result: RouteResult) -> list[tuple[str, int, tuple[str, ...]]]:
    assert isinstance(result, Routed)
    return [(host.name, host.preference, host.addresses) for host in result.route.hosts]


def status(result: RouteResult) -> tuple[type[RouteResult], str]:
    assert not isinstance(result, Routed)
    return type(result), result.problem.status


async def test_mx_hosts_come_by_preference_with_their_addresses() -> None:
    written: Written = {
        (DOMAIN, "MX"): found("MX", "20 mx2.example.org.", "10 MX1.Example.ORG.", ttl=600),
        ("mx1.example.org", "A"): found("A", "192.0.2.1", "192.0.2.3", ttl=120),
        ("mx1.example.org", "AAAA"): found("AAAA", "2001:db8::1"),
        ("mx2.example.org", "A"): A2,
    }
    result = await route(written)
    assert hosts(result) == [
        ("mx1.example.org", 10, ("2001:db8::1", "192.0.2.1", "192.0.2.3")),
        ("mx2.example.org", 20, ("192.0.2.2",)),
    ]
    assert isinstance(result, Routed)
    assert (result.route.source, result.ttl, result.route.secure) == ("mx", 120, False)
    assert {host.port for host in result.route.hosts} == {25}


async def test_signed_mx_records_are_secure() -> None:
    result = await route(
        {(DOMAIN, "MX"): found("MX", "10 mx.example.org.", secure=True), ("mx.example.org", "A"): A1}
    )
    assert isinstance(result, Routed)
    assert result.route.secure


async def test_null_mx_takes_no_mail() -> None:
    assert status(await route({(DOMAIN, "MX"): found("MX", "0 ."), (DOMAIN, "A"): A1})) == (Nowhere, "5.1.10")


async def test_a_null_mx_beside_others_is_passed_over() -> None:
    written: Written = {(DOMAIN, "MX"): found("MX", "0 .", "10 mx.example.org."), ("mx.example.org", "A"): A1}
    assert hosts(await route(written)) == [("mx.example.org", 10, ("192.0.2.1",))]


async def test_without_mx_records_the_domains_own_address_counts() -> None:
    result = await route({(DOMAIN, "MX"): NoData(secure=False), (DOMAIN, "A"): A1})
    assert hosts(result) == [(DOMAIN, 0, ("192.0.2.1",))]
    assert isinstance(result, Routed)
    assert result.route.source == "implicit"


@pytest.mark.parametrize("trouble", [Refused("SERVFAIL"), Silent("nobody")])
async def test_no_answer_for_mx_is_unclear_and_never_falls_back_to_the_address(trouble: Answer) -> None:
    assert status(await route({(DOMAIN, "MX"): trouble, (DOMAIN, "A"): A1})) == (Unclear, "4.4.3")


async def test_a_domain_that_does_not_exist_is_asked_for_twice() -> None:
    dns = PaperDns({})
    result = await Router(dns, LAB, RouteSettings()).route(DOMAIN)
    assert status(result) == (Nowhere, "5.1.2")
    assert dns.asked == [(DOMAIN, "MX"), (DOMAIN, "MX")]


async def test_a_signed_nxdomain_is_believed_at_once() -> None:
    dns = PaperDns({(DOMAIN, "MX"): NoName(secure=True)})
    assert status(await Router(dns, LAB, RouteSettings()).route(DOMAIN)) == (Nowhere, "5.1.2")
    assert len(dns.asked) == 1


@pytest.mark.parametrize(
    ("second", "expected"),
    [(Refused("SERVFAIL"), (Unclear, "4.4.3")), (Silent("nobody"), (Unclear, "4.4.3"))],
)
async def test_an_nxdomain_that_is_not_confirmed_is_unclear(
    second: Answer, expected: tuple[type, str]
) -> None:
    written: Written = {(DOMAIN, "MX"): [NoName(secure=False), second]}
    assert status(await route(written)) == expected


async def test_an_nxdomain_that_is_contradicted_does_not_count() -> None:
    written: Written = {
        (DOMAIN, "MX"): [NoName(secure=False), found("MX", "10 mx.example.org.")],
        ("mx.example.org", "A"): A1,
    }
    assert hosts(await route(written)) == [("mx.example.org", 10, ("192.0.2.1",))]


MX = found("MX", "10 mx.example.org.")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ({}, (Nowhere, "5.4.4")),
        ({("mx.example.org", "A"): NoData(secure=False)}, (Unclear, "4.4.4")),
        (
            {("mx.example.org", "A"): NoName(secure=True), ("mx.example.org", "AAAA"): NoData(secure=True)},
            (Unclear, "4.4.4"),
        ),
        ({("mx.example.org", "A"): Refused("SERVFAIL")}, (Unclear, "4.4.3")),
        ({("mx.example.org", "A"): Silent("nobody")}, (Unclear, "4.4.3")),
        (
            {("mx.example.org", "A"): NoData(secure=False), ("mx.example.org", "AAAA"): Silent("x")},
            (Unclear, "4.4.3"),
        ),
        ({("mx.example.org", "A"): found("A", "127.0.0.1")}, (Nowhere, "5.4.4")),
        ({("mx.example.org", "A"): found("A", "10.1.2.3", "169.254.169.254")}, (Nowhere, "5.4.4")),
        ({("mx.example.org", "AAAA"): found("AAAA", "::ffff:10.0.0.1")}, (Nowhere, "5.4.4")),
    ],
)
async def test_mx_hosts_without_a_usable_address(host: Written, expected: tuple[type, str]) -> None:
    assert status(await route({(DOMAIN, "MX"): MX, **host})) == expected


async def test_a_domain_without_mx_and_address_waits_for_its_administrator() -> None:
    assert status(await route({(DOMAIN, "MX"): NoData(secure=False)})) == (Unclear, "4.4.4")


async def test_one_dead_name_does_not_hide_the_other_hosts() -> None:
    written: Written = {
        (DOMAIN, "MX"): found("MX", "10 mx1.example.org.", "20 mx2.example.org.", "30 mx3.example.org."),
        ("mx1.example.org", "A"): Silent("nobody"),
        ("mx2.example.org", "A"): found("A", "127.0.0.1", "192.0.2.2"),
    }
    result = await route(written)
    assert hosts(result) == [("mx2.example.org", 20, ("192.0.2.2",))]
    assert isinstance(result, Routed)
    assert [(name, problem.status) for name, problem in result.unheard] == [("mx1.example.org", "4.4.3")]


async def test_only_hosts_better_than_we_are_used() -> None:
    written: Written = {
        (DOMAIN, "MX"): found(
            "MX", "10 mx1.example.org.", "20 gw.example.org.", "20 mx2.example.org.", "30 mx3.example.org."
        ),
        **{(f"{name}.example.org", "A"): A1 for name in ("mx1", "mx2", "mx3", "gw")},
    }
    settings = RouteSettings(own_names=frozenset({"gw.example.org"}))
    assert [name for name, _, _ in hosts(await route(written, settings=settings))] == ["mx1.example.org"]


async def test_being_the_best_mx_is_a_loop() -> None:
    settings = RouteSettings(own_names=frozenset({"mx.example.org"}))
    assert status(await route({(DOMAIN, "MX"): MX}, settings=settings)) == (Nowhere, "5.4.6")


async def test_names_that_are_no_host_names_are_passed_over() -> None:
    listed = found("MX", r"5 mx\032evil.example.org.", r"6 \013\010.example.org.", "10 mx.example.org.")
    written: Written = {(DOMAIN, "MX"): listed}
    for record in listed.records:  # each of them has an address
        written[str(record).split(" ", 1)[1].rstrip("."), "A"] = A1
    assert [name for name, _, _ in hosts(await route(written))] == ["mx.example.org"]


async def test_a_long_list_is_cut_to_its_best() -> None:
    listed = found("MX", *(f"{number} mx{number}.example.org." for number in range(60)))
    written: Written = {
        (DOMAIN, "MX"): listed,
        **{(f"mx{number}.example.org", "A"): A1 for number in range(60)},
    }
    assert [preference for _, preference, _ in hosts(await route(written))] == list(range(8))
    many: Written = {
        (DOMAIN, "MX"): MX,
        ("mx.example.org", "A"): found("A", *(f"192.0.2.{number}" for number in range(1, 200))),
    }
    assert len(hosts(await route(many))[0][2]) == 5


@pytest.mark.parametrize(
    ("literal", "address"),
    [
        ("[192.0.2.9]", "192.0.2.9"),
        ("[IPv6:2001:db8::9]", "2001:db8::9"),
        ("[ipv6:2001:DB8:0::9]", "2001:db8::9"),
    ],
)
async def test_an_address_literal_is_its_own_route(literal: str, address: str) -> None:
    assert hosts(await route({}, literal)) == [(address, 0, (address,))]


@pytest.mark.parametrize(
    "literal", ["[127.0.0.1]", "[IPv6:::1]", "[10.0.0.1]", "[x400:somewhere]", "[]", "[999.1.1.1]"]
)
async def test_literals_that_lead_nowhere(literal: str) -> None:
    assert isinstance(await route({}, literal), Nowhere)


async def test_a_fixed_route_needs_no_mx_and_may_be_private() -> None:
    settings = RouteSettings(
        fixed={DOMAIN: ("10.0.0.5", 2525), "partner.example": ("mx.partner.example", 25)}
    )
    dns = PaperDns({("mx.partner.example", "A"): found("A", "10.0.0.6")})
    router = Router(dns, Destinations(), settings)
    first, second = await router.route(DOMAIN), await router.route("partner.example")
    assert isinstance(first, Routed)
    assert isinstance(second, Routed)
    assert first.route.hosts == (MxHost("10.0.0.5", 0, ("10.0.0.5",), 2525),)
    assert second.route.hosts == (MxHost("mx.partner.example", 0, ("10.0.0.6",), 25),)
    assert first.route.source == second.route.source == "static"


@pytest.mark.parametrize("answer", [NoName(secure=True), NoData(secure=True), Silent("nobody")])
async def test_a_broken_fixed_route_bounces_nothing(answer: Answer) -> None:
    settings = RouteSettings(fixed={DOMAIN: ("mx.partner.example", 25)})
    written: Written = {("mx.partner.example", "A"): answer, ("mx.partner.example", "AAAA"): answer}
    assert status(await route(written, settings=settings)) == (Unclear, "4.3.5")


answers = st.one_of(
    st.builds(NoName, st.booleans()),
    st.builds(NoData, st.booleans()),
    st.builds(Refused, st.just("x")),
    st.builds(Silent, st.just("x")),
    st.sampled_from([A1, A2, found("A", "127.0.0.1"), found("MX", "10 mx.example.org."), found("MX", "0 .")]),
)


@given(mx=answers, own=answers, host=answers, host6=answers)
async def test_whatever_dns_says_there_is_a_result_and_only_proof_bounces(
    mx: Answer, own: Answer, host: Answer, host6: Answer
) -> None:
    written: Written = {
        (DOMAIN, "MX"): mx,
        (DOMAIN, "A"): own,
        ("mx.example.org", "A"): host,
        ("mx.example.org", "AAAA"): host6,
    }
    result = await route(written)
    if isinstance(mx, Refused | Silent):
        assert isinstance(result, Unclear)
    if isinstance(result, Routed):
        assert all(LAB.permits(address) for one in result.route.hosts for address in one.addresses)
        assert all(one.addresses for one in result.route.hosts)
    if isinstance(result, Nowhere):
        assert not result.problem.temporary
    if isinstance(result, Unclear):
        assert result.problem.temporary
