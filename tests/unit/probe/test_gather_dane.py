"""What demands of DANE make of the offers: a proof, nothing where it is not shown, unknown where it is not known."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from gateway.model.address import Address
from gateway.model.capability import Capability, HostPosture, MxHost, Route
from gateway.model.evidence import Evidence
from gateway.model.problem import Problem
from gateway.model.tls import Dane, TlsGrade
from gateway.probe.dns import Answer, Silent
from gateway.probe.gather import Prober, ProberSettings
from gateway.probe.mx import Router, RouteSettings
from gateway.probe.servers import Servers, ServerSettings
from gateway.wire.destinations import Destinations
from tests.unit.probe.answers import PaperDns, found
from tests.unit.probe.notebook import Notebook

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BOB = Address("bob", "example.org")
TLSA = found("TLSA", "3 1 1 " + "ab" * 32, secure=True)
UNFIT = "unfit"

Shown = TlsGrade | str | None


async def look(
    *shown: Shown, tlsa: Mapping[int, Answer] | None = None, dnssec: str = "validated"
) -> Capability:
    """One look at mx1, mx2 ... which show that; `tlsa` says what DNS says of which, all of it signed."""
    return await prober(shown, tlsa or {}, dnssec).probe(BOB, NOW)


def prober(shown: Sequence[Shown], tlsa: Mapping[int, Answer], dnssec: str) -> Prober:
    places = range(1, len(shown) + 1)
    written: dict[tuple[str, str], Answer | list[Answer]] = {
        ("example.org", "MX"): found("MX", *(f"{n}0 mx{n}.example.org." for n in places), secure=True)
    }
    for place in places:
        written[f"mx{place}.example.org", "A"] = found("A", f"8.8.8.{place}", secure=True)
    for place, answer in tlsa.items():
        written[f"_25._tcp.mx{place}.example.org", "TLSA"] = answer
    by_address = {f"8.8.8.{place}": one for place, one in zip(places, shown, strict=True)}

    async def observe(host: MxHost, address: str, now: datetime) -> HostPosture:
        assert host.barred is None, "a barred host is not asked"
        one = by_address[address]
        if one == "slow":
            await asyncio.sleep(0.05)
            one = TlsGrade.DANE
        fit, problem = one != UNFIT, Problem("4.4.1", "x") if one is None else None
        grade = None if one is None else TlsGrade.PKIX if one == UNFIT else TlsGrade(one)
        return HostPosture(
            host=host.name,
            address=address,
            evidence=Evidence(grade=grade),
            observed_at=now,
            problem=problem,
            fit=fit,
        )

    return Prober(
        Router(PaperDns(written), Destinations(), RouteSettings()),
        observe,
        Notebook(),
        settings=ProberSettings(servers=ServerSettings(deadline=5, grace=0.01)),
        dnssec=lambda: dnssec,
    )


def offers(capability: Capability) -> list[str]:
    return [f"{one.method} {one.grade}" for one in capability.offers]


def unknown(capability: Capability) -> list[tuple[str, ...]]:
    return [failure.methods for failure in capability.unknown]


async def test_a_proof_by_dane_is_the_best_offer_and_the_state_of_dnssec_is_told() -> None:
    capability = await look(TlsGrade.PKIX, TlsGrade.DANE, tlsa={2: TLSA})
    assert offers(capability)[0] == "tls dane"
    assert capability.dnssec == "validated"
    assert capability.route is not None
    assert [host.dane is not None for host in capability.route.hosts] == [False, True]


async def test_whose_every_host_demands_tls_offers_no_plain_text() -> None:
    assert offers(await look(TlsGrade.DANE, TlsGrade.DANE, tlsa={1: TLSA, 2: TLSA})) == ["tls dane"]
    assert offers(await look(TlsGrade.DANE, TlsGrade.DANE, tlsa={1: TLSA})) == ["tls dane", "plain none"]


async def test_a_host_that_breaks_its_promise_offers_nothing_at_all() -> None:
    capability = await look(UNFIT, tlsa={1: TLSA})
    assert (offers(capability), unknown(capability)) == ([], [])
    both = await look(UNFIT, TlsGrade.ENCRYPTED, tlsa={1: TLSA})
    assert offers(both) == ["tls encrypted", "plain none"]


async def test_a_host_whose_demand_is_not_known_is_unknown_and_not_asked() -> None:
    failed = {1: Silent("nobody")}
    capability = await look(TlsGrade.PKIX, tlsa=failed)
    assert (offers(capability), unknown(capability)) == ([], [("tls", "plain")])
    (posture,) = capability.postures
    assert (posture.grade, posture.evidence.result) == (None, "dnssec-invalid")
    assert capability.unknown[0].problem.status == "4.7.5"
    with_another = await look(TlsGrade.PKIX, TlsGrade.PKIX, tlsa=failed)
    assert (offers(with_another)[0], unknown(with_another)) == ("tls pkix", [("tls",)])


async def test_silence_of_a_host_that_demands_dane_might_hide_a_better_proof() -> None:
    capability = await look(TlsGrade.PKIX, None, tlsa={2: TLSA})
    assert (offers(capability)[0], unknown(capability)) == ("tls pkix", [("tls",)])
    capability = await look(TlsGrade.PKIX, None)
    assert unknown(capability) == []
    capability = await look(UNFIT, None, tlsa={1: TLSA, 2: TLSA})
    assert (offers(capability), unknown(capability)) == ([], [("tls", "plain")])


@pytest.mark.parametrize(("tlsa", "grade"), [({2: TLSA}, "tls dane"), ({}, "tls pkix")])
async def test_a_slower_host_that_demands_dane_is_waited_for(tlsa: dict[int, Answer], grade: str) -> None:
    capability = await look(TlsGrade.PKIX, "slow", tlsa=tlsa)
    assert offers(capability)[0] == grade


@pytest.mark.parametrize(
    ("dnssec", "kept"), [("validated", True), ("not-validating", True), ("unproved", False)]
)
async def test_what_was_found_while_nobody_had_proved_anything_counts_for_a_minute_only(
    dnssec: str, kept: bool
) -> None:
    """As at a start before the resolver is up: what would be `dane` then looks like less."""
    asked = prober([TlsGrade.PKIX], {}, dnssec)
    await asked.probe(BOB, NOW)
    later = asked.known(BOB, NOW + timedelta(minutes=2))
    assert (later is not None) is kept


async def test_what_was_seen_under_other_records_is_not_used_again() -> None:
    """The grade is that of certificate and records together; records change without the host's being asked anew."""
    asked: list[Dane | None] = []

    async def observe(host: MxHost, address: str, now: datetime) -> HostPosture:
        asked.append(host.dane)
        return HostPosture(
            host=host.name, address=address, evidence=Evidence(grade=TlsGrade.DANE), observed_at=now
        )

    servers = Servers(observe, ServerSettings())
    before, after = (
        Dane(base="mx1.example.org", records=(record,), names=(), mx_secure=True) for record in (b"1", b"2")
    )
    for dane in (before, before, after, None, after):
        host = MxHost("mx1.example.org", 10, ("8.8.8.1",), dane=dane)
        await servers.look_at(Route((host,), "mx"), NOW)
    assert asked == [before, after, None]
