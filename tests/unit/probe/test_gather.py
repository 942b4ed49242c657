"""The prober: offers, what is unknown and since when, one look at a time, and what is remembered for how long."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import msgspec
import pytest

from gateway.model.address import Address
from gateway.model.capability import Offer
from gateway.model.problem import Problem
from gateway.model.tls import TlsGrade
from gateway.probe.dns import Answer, Refused, Silent
from gateway.probe.gather import Prober, ProberSettings
from gateway.probe.mx import Router, RouteSettings
from gateway.probe.servers import ServerSettings
from gateway.wire.destinations import Destinations
from tests.unit.probe.answers import PaperDns, found
from tests.unit.probe.notebook import Notebook
from tests.unit.probe.street import BOB, HOSTS, MINUTE, NOW, QUICK, Directory, Street, World, names


def tls(grade: str, since: datetime = NOW) -> Offer:
    return Offer(
        method="tls", grade=grade, source="smtp", mx_continuity="own-domain", mx_unchanged_since=since
    )


PLAIN = Offer(method="plain", grade="none", source="smtp")


@pytest.mark.parametrize(
    ("shown", "offers", "unknown"),
    [
        ((TlsGrade.PKIX,), (tls("pkix"), PLAIN), ()),
        ((TlsGrade.ENCRYPTED,), (tls("encrypted"), PLAIN), ()),
        ((TlsGrade.NONE,), (PLAIN,), ()),
        ((None,), (), ("tls", "plain")),
        ((None, None), (), ("tls", "plain")),
        ((None, TlsGrade.PKIX), (tls("pkix"), PLAIN), ()),
        ((TlsGrade.ENCRYPTED, TlsGrade.PKIX), (tls("pkix"), PLAIN), ()),
        ((TlsGrade.NONE, TlsGrade.ENCRYPTED), (tls("encrypted"), PLAIN), ()),
        ((None, TlsGrade.ENCRYPTED), (tls("encrypted"), PLAIN), ("tls",)),
        ((TlsGrade.NONE, None), (PLAIN,), ("tls",)),
    ],
)
async def test_the_best_host_makes_the_offer_and_a_silent_one_is_unknown(
    shown: tuple[TlsGrade | None, ...], offers: tuple[Offer, ...], unknown: tuple[str, ...]
) -> None:
    capability = await World(*shown).prober.probe(BOB, NOW)
    assert capability.offers == offers
    assert [failure.methods for failure in capability.unknown] == ([unknown] if unknown else [])
    assert all((failure.source, failure.since) == ("smtp", NOW) for failure in capability.unknown)
    assert [posture.grade for posture in capability.postures] == list(shown)
    assert capability.destination == "example.org"
    assert capability.recipient == BOB
    assert capability.undeliverable is None


async def test_a_host_that_never_answers_is_unknown_at_the_deadline() -> None:
    capability = await World(never=1).prober.probe(BOB, NOW)
    assert capability.offers == ()
    (failure,) = capability.unknown
    assert failure.problem.status == "4.4.1"
    assert "did not answer in time" in failure.problem.public


async def test_a_proved_host_does_not_wait_long_for_the_others() -> None:
    world = World(TlsGrade.PKIX, never=2)
    world.prober = Prober(
        Router(world.dns, Destinations(), RouteSettings()),
        world.street.observe,
        world.notebook,
        settings=ProberSettings(servers=ServerSettings(deadline=3600, grace=0.01)),
    )
    async with asyncio.timeout(60):
        capability = await world.prober.probe(BOB, NOW)
    assert capability.offers == (tls("pkix"), PLAIN)
    assert [posture.grade for posture in capability.postures] == [TlsGrade.PKIX, None, None]


@pytest.mark.parametrize("trouble", [Refused("SERVFAIL"), Silent("nobody")])
async def test_dns_trouble_is_unknown(trouble: Answer) -> None:
    capability = await World(written={("example.org", "MX"): trouble}).prober.probe(BOB, NOW)
    (failure,) = capability.unknown
    assert (failure.source, failure.methods, failure.since) == ("mx", ("tls", "plain"), NOW)
    assert (capability.offers, capability.route, capability.undeliverable) == ((), None, None)


@pytest.mark.parametrize(("grade", "methods"), [(TlsGrade.ENCRYPTED, [("tls",)]), (TlsGrade.PKIX, [])])
async def test_a_host_whose_address_dns_does_not_tell_might_show_more_than_a_weak_one(
    grade: TlsGrade, methods: list[tuple[str, ...]]
) -> None:
    written = names(2)
    written["mx2.example.org", "A"] = [Silent("nobody"), found("A", HOSTS[1])]
    world = World(grade, grade, written=written)
    capability = await world.prober.probe(BOB, NOW)
    assert [failure.methods for failure in capability.unknown] == methods
    assert capability.offers[0].mx_unchanged_since == NOW
    world.prober.forget("example.org")
    again = await world.prober.probe(BOB, NOW + MINUTE)
    assert again.unknown == ()
    assert again.offers[0].mx_unchanged_since == NOW  # it was always one of those that take its mail


async def test_a_domain_that_takes_no_mail_has_no_offers_and_nothing_unknown() -> None:
    capability = await World(written={("example.org", "MX"): found("MX", "0 .")}).prober.probe(BOB, NOW)
    assert capability.undeliverable is not None
    assert capability.undeliverable.status == "5.1.10"
    assert (capability.offers, capability.unknown) == ((), ())


async def test_mailboxes_of_a_domain_share_one_look_even_at_the_same_time() -> None:
    world = World(TlsGrade.PKIX)
    world.street.gate.clear()
    asking = [
        asyncio.create_task(world.prober.probe(Address(f"user{n}", "example.org"), NOW)) for n in range(20)
    ]
    await world.street.began.wait()
    world.street.gate.set()
    capabilities = await asyncio.gather(*asking)
    assert world.street.asked == [HOSTS[0]]
    assert world.dns.asked.count(("example.org", "MX")) == 1
    assert [each.recipient.local for each in capabilities] == [f"user{n}" for n in range(20)]


async def test_who_gives_up_waiting_does_not_end_the_look_of_the_others() -> None:
    world = World(TlsGrade.PKIX)
    world.street.gate.clear()
    first = asyncio.create_task(world.prober.probe(BOB, NOW))
    second = asyncio.create_task(world.prober.probe(BOB, NOW))
    await world.street.began.wait()
    first.cancel()
    world.street.gate.set()
    assert (await second).offers == (tls("pkix"), PLAIN)
    assert first.cancelled()


async def test_closing_ends_the_looks_under_way() -> None:
    world = World(never=1)
    asking = asyncio.create_task(world.prober.probe(BOB, NOW))
    await world.street.began.wait()
    await world.prober.close()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def looks(world: World, *moments: timedelta) -> list[int]:
    """How many addresses have been asked after a probe at each moment."""
    counts = []
    for moment in moments:
        await world.prober.probe(BOB, NOW + moment)
        counts.append(len(world.street.asked))
    return counts


async def test_a_proof_counts_for_an_hour_though_the_route_is_asked_for_again() -> None:
    world = World(TlsGrade.PKIX, written=names(1, ttl=120))
    assert await looks(world, 0 * MINUTE, 1 * MINUTE, 3 * MINUTE, 59 * MINUTE, 61 * MINUTE) == [1, 1, 1, 1, 2]
    assert world.dns.asked.count(("example.org", "MX")) == 4


async def test_weakness_is_looked_at_again_after_minutes() -> None:
    world = World(TlsGrade.ENCRYPTED, written=names(1, ttl=86400))
    assert await looks(world, 0 * MINUTE, 4 * MINUTE, 6 * MINUTE) == [1, 1, 2]


async def test_silence_is_looked_at_again_soon_and_then_seldom() -> None:
    world = World(None)
    second = timedelta(seconds=1)
    moments = (0, 14, 16, 20, 32, 3600, 3600 + 299, 3600 + 301)
    assert await looks(world, *(moment * second for moment in moments)) == [1, 1, 2, 2, 3, 4, 4, 5]


async def test_an_outage_keeps_its_beginning_until_it_ends() -> None:
    world = World(None)
    await world.prober.probe(BOB, NOW)
    later = await world.prober.probe(BOB, NOW + 30 * MINUTE)
    assert later.unknown[0].since == NOW
    world.street.shown[HOSTS[0]] = TlsGrade.PKIX
    recovered = await world.prober.probe(BOB, NOW + 60 * MINUTE)
    assert recovered.unknown == ()
    world.street.shown[HOSTS[0]] = None
    again = await world.prober.probe(BOB, NOW + 180 * MINUTE)
    assert again.unknown[0].since == NOW + 180 * MINUTE


async def test_beginning_and_continuity_survive_a_restart() -> None:
    notebook = Notebook()
    await World(None, notebook=notebook).prober.probe(BOB, NOW)
    failing = await World(None, notebook=notebook).prober.probe(BOB, NOW + 10 * MINUTE)
    assert failing.unknown[0].since == NOW
    await World(TlsGrade.PKIX, notebook=notebook).prober.probe(BOB, NOW + 20 * MINUTE)
    capability = await World(TlsGrade.PKIX, notebook=notebook).prober.probe(BOB, NOW + 9000 * MINUTE)
    assert capability.offers[0].mx_unchanged_since == NOW + 20 * MINUTE


async def test_what_is_forgotten_is_looked_at_again() -> None:
    world = World(TlsGrade.PKIX)
    await world.prober.probe(BOB, NOW)
    world.street.shown[HOSTS[0]] = TlsGrade.NONE
    world.prober.forget("example.org")
    world.prober.forget("never-asked.example")
    assert (await world.prober.probe(BOB, NOW)).offers == (PLAIN,)


async def test_a_bug_in_a_look_reaches_who_asked_and_the_next_look_begins_anew() -> None:
    world = World(TlsGrade.PKIX)
    del world.notebook._pages
    with pytest.raises(AttributeError):
        await world.prober.probe(BOB, NOW)
    world.notebook._pages = {}
    assert (await world.prober.probe(BOB, NOW)).offers == (tls("pkix"), PLAIN)


KEY = Offer(method="smime", grade="verified", source="directory", scope="mailbox")


def prober_with(source: Directory, notebook: Notebook) -> Prober:
    router = Router(PaperDns(names(1)), Destinations(), RouteSettings())
    observe = Street({HOSTS[0]: TlsGrade.PKIX}).observe
    return Prober(router, observe, notebook, sources=[source], settings=QUICK)


async def test_a_sources_offers_join_the_others_and_are_asked_for_once() -> None:
    source = Directory((KEY,))
    prober = prober_with(source, Notebook())
    for _ in range(3):
        assert (await prober.probe(BOB, NOW)).offers == (tls("pkix"), PLAIN, KEY)
    assert source.asked == 1
    await prober.probe(Address("ann", "example.org"), NOW)
    assert source.asked == 2


async def test_a_source_that_does_not_answer_is_unknown_with_its_methods() -> None:
    source = Directory(Problem("4.4.3", "the directory does not answer"))
    prober = prober_with(source, Notebook())
    (failure,) = (await prober.probe(BOB, NOW)).unknown
    assert (failure.source, failure.methods, failure.since) == ("directory", ("smime",), NOW)
    source.answer = ()
    recovered = await prober.probe(BOB, NOW + 10 * MINUTE)
    assert (recovered.unknown, recovered.offers) == ((), (tls("pkix"), PLAIN))


async def test_no_source_is_asked_for_a_domain_that_takes_no_mail() -> None:
    source = Directory((KEY,))
    router = Router(PaperDns({("example.org", "MX"): found("MX", "0 .")}), Destinations(), RouteSettings())
    prober = Prober(router, Street({}).observe, Notebook(), sources=[source], settings=QUICK)
    assert (await prober.probe(BOB, NOW)).offers == ()
    assert source.asked == 0


async def test_only_a_few_addresses_are_asked_and_other_hosts_before_other_addresses() -> None:
    written: dict[tuple[str, str], Answer | list[Answer]] = {
        ("example.org", "MX"): found("MX", *(f"{n} mx{n}.example.org." for n in range(1, 6))),
        **{
            (f"mx{n}.example.org", "A"): found("A", *(f"8.8.{n}.{last}" for last in range(1, 5)))
            for n in range(1, 6)
        },
    }
    world = World(written=written)
    world.street.shown = {f"8.8.{n}.{last}": TlsGrade.ENCRYPTED for n in range(1, 6) for last in range(1, 5)}
    capability = await world.prober.probe(BOB, NOW)
    asked = ["8.8.1.1", "8.8.1.2", "8.8.2.1", "8.8.3.1", "8.8.4.1", "8.8.5.1"]
    assert [posture.address for posture in capability.postures] == asked


async def test_every_capability_can_be_written_down_and_read_back() -> None:
    for shown in (TlsGrade.PKIX, TlsGrade.NONE, None):
        capability = await World(shown).prober.probe(BOB, NOW)
        assert msgspec.json.decode(msgspec.json.encode(capability), type=type(capability)) == capability
