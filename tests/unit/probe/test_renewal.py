"""The prober ahead of use: what a new look makes of an answer that still counts; servers good, worse and silent."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from gateway.model.address import Address
from gateway.model.capability import Capability, HostPosture, MxHost, Offer, Route
from gateway.model.problem import Problem
from gateway.model.tls import Dane, TlsGrade
from gateway.probe.dns import Answer, Silent
from gateway.probe.servers import Servers, ServerSettings
from gateway.probe.warm import NOT_RENEWED, RENEWED, WAITED
from tests.unit.probe.answers import found
from tests.unit.probe.street import BOB, HOSTS, MINUTE, NOW, Directory, Street, World, names

PKIX, PIN, ENCRYPTED, NONE, DANE = (
    TlsGrade.PKIX,
    TlsGrade.PIN,
    TlsGrade.ENCRYPTED,
    TlsGrade.NONE,
    TlsGrade.DANE,
)
TTL = 86400  # so that only ages of ours end anything
LATE = NOW + 50 * MINUTE


async def every_minute(world: World, began: int, ends: int) -> list[Capability]:
    """One message a minute, and what is due in between; what each saw."""
    seen = []
    for minute in range(began, ends):
        seen.append(await world.prober.probe(BOB, NOW + minute * MINUTE))
        for second in (0, 20, 40):
            world.prober.renew_due(NOW + minute * MINUTE + timedelta(seconds=second))
            await world.rest()
    return seen


def tls(capability: Capability) -> list[str]:
    return [offer.grade for offer in capability.offers if offer.method == "tls"]


async def renewed(world: World, *shown: TlsGrade | None, at: datetime = LATE) -> Capability:
    """What is known after servers that showed one thing show another at the renewal."""
    await world.prober.probe(BOB, NOW)
    world.street.shown = dict(zip(HOSTS, shown, strict=False))
    assert world.prober.known(BOB, at) is not None
    await world.rest()
    known = world.prober.known(BOB, at)
    assert known is not None
    return known


@pytest.mark.parametrize(("ttl", "questions"), [(TTL, 9), (300, 105)])
async def test_mail_every_minute_waits_for_one_look_in_six_hours(ttl: int, questions: int) -> None:
    world = World(PKIX, written=names(1, ttl=ttl))
    seen = await every_minute(world, 0, 360)
    assert world.counts[WAITED] == 1
    assert {tuple(tls(each)) for each in seen} == {("pkix",)}
    ages = [NOW + place * MINUTE - each.postures[0].observed_at for place, each in enumerate(seen)]
    assert max(ages) < 60 * MINUTE
    assert len(world.street.asked) <= 9  # each time past 42 minutes
    assert world.dns.asked.count(("example.org", "MX")) <= questions


async def test_an_outage_in_between_costs_no_grade_no_wait_and_few_looks() -> None:
    world = World(PKIX, written=names(1, ttl=TTL))
    seen = await every_minute(world, 0, 38)
    world.street.shown[HOSTS[0]] = None
    seen += await every_minute(world, 38, 54)
    looked = len(world.street.asked)
    world.street.shown[HOSTS[0]] = PKIX
    seen += await every_minute(world, 54, 180)
    assert {(tuple(tls(each)), each.unknown) for each in seen} == {(("pkix",), ())}
    assert world.counts[WAITED] == 1
    assert 2 <= looked <= 12


async def test_an_outage_that_lasts_is_unknown_when_the_answer_ends_since_it_was_first_noticed() -> None:
    world = World(PKIX, written=names(1, ttl=TTL))
    await every_minute(world, 0, 38)
    world.street.shown[HOSTS[0]] = None
    seen = await every_minute(world, 38, 60)
    assert {tuple(tls(each)) for each in seen} == {("pkix",)}
    (after,) = await every_minute(world, 60, 61)
    assert after.offers == ()
    (failure,) = after.unknown
    assert NOW + 42 * MINUTE <= failure.since <= NOW + 49 * MINUTE


@pytest.mark.parametrize(
    ("before", "after", "known"),
    [
        ((ENCRYPTED,), (PKIX,), ["pkix"]),  # better, and worse: the server's own word
        ((PKIX,), (ENCRYPTED,), ["encrypted"]),
        ((PKIX,), (NONE,), []),
        ((PKIX, ENCRYPTED), (ENCRYPTED, ENCRYPTED), ["encrypted"]),
        ((PKIX,), (None,), ["pkix"]),  # silence
        ((PKIX, ENCRYPTED), (None, ENCRYPTED), ["pkix"]),
        ((PKIX, ENCRYPTED), (ENCRYPTED, None), ["pkix"]),
        ((PIN, PKIX), (None, PKIX), ["pin"]),
        ((PIN, PKIX), (PKIX, PKIX), ["pkix"]),
        (
            (PIN, PKIX),
            (None, DANE),
            ["pin"],
        ),  # the one that a policy asks for may be gone beside a better one
        ((PKIX, PKIX), (DANE, None), ["dane"]),
    ],
)
async def test_a_definite_answer_replaces_and_a_silence_never_steps_down(
    before: tuple[TlsGrade, ...], after: tuple[TlsGrade | None, ...], known: list[str]
) -> None:
    world = World(*before, written=names(len(before), ttl=TTL))
    at = LATE if before != (ENCRYPTED,) else NOW + timedelta(minutes=4, seconds=10)
    seen = await renewed(world, *after, at=at)
    assert tls(seen) == known
    assert seen.unknown == ()
    kept = seen.observed_at == NOW
    assert (world.counts[RENEWED], world.counts[NOT_RENEWED]) == ((0, 1) if kept else (1, 0))


async def test_a_backup_that_dies_beside_a_proved_server_holds_nothing_up() -> None:
    world = World(PKIX, ENCRYPTED, written=names(2, ttl=TTL))
    seen = await renewed(world, PKIX, None)
    assert (tls(seen), seen.observed_at) == (["pkix"], LATE)
    assert [each.grade for each in seen.postures] == [PKIX, None]


@pytest.mark.parametrize(
    ("mx", "kept"),
    [(Silent("nobody"), True), (found("MX", "0 ."), False), (found("MX", "1 mx2.example.org."), False)],
)
async def test_dns_that_is_silent_replaces_nothing_and_what_it_says_counts_at_once(
    mx: Answer, kept: bool
) -> None:
    written = {**names(2, ttl=TTL), ("example.org", "MX"): [found("MX", "1 mx1.example.org.", ttl=TTL), mx]}
    world = World(PKIX, ENCRYPTED, written=written)
    seen = await renewed(world, PKIX, ENCRYPTED)
    assert (seen.observed_at == NOW) is kept
    assert (tls(seen) == ["pkix"]) is kept


@pytest.mark.parametrize(
    ("before", "kept"), [((PKIX, ENCRYPTED), True), ((PIN, PKIX), True), ((PKIX, PKIX), False)]
)
async def test_a_host_whose_address_dns_does_not_tell_takes_nothing_away(
    before: tuple[TlsGrade, TlsGrade], kept: bool
) -> None:
    one = ("mx1.example.org", "A")
    world = World(
        *before, written={**names(2, ttl=TTL), one: [found("A", HOSTS[0], ttl=TTL), Silent("nobody")]}
    )
    seen = await renewed(world, *before)
    assert (seen.observed_at == NOW) is kept
    assert tls(seen) == [before[0].value]


async def test_a_resolver_that_can_no_longer_tell_signed_answers_takes_no_proof_away() -> None:
    world = World(DANE, written=names(1, ttl=TTL))
    world.dnssec = "validated"
    await world.prober.probe(BOB, NOW)
    world.dnssec = "unavailable"
    assert tls(await renewed(world, PKIX)) == ["dane"]
    assert world.counts[NOT_RENEWED] == 1
    world.dnssec = "validated"
    world.prober.renew_due(LATE + 5 * MINUTE)
    await world.rest()
    after = world.prober.known(BOB, LATE + 6 * MINUTE)
    assert after is not None
    assert tls(after) == ["pkix"]


async def test_weakness_is_renewed_and_failures_have_their_own_retry() -> None:
    weak = World(ENCRYPTED, written=names(1, ttl=TTL))
    await every_minute(weak, 0, 60)
    assert weak.counts[WAITED] == 1
    silent = World(None, written=names(1, ttl=TTL))
    await every_minute(silent, 0, 60)
    assert silent.counts[RENEWED] + silent.counts[NOT_RENEWED] == 0
    half = World(ENCRYPTED, None, written=names(2, ttl=TTL))
    await every_minute(half, 0, 60)
    assert half.counts[RENEWED] > 0
    assert len(half.street.asked) < 60


async def test_a_server_that_another_domain_has_just_asked_is_not_asked_again() -> None:
    ann = Address("ann", "example.net")
    written = {**names(1, ttl=TTL), ("example.net", "MX"): found("MX", "1 mx1.example.org.", ttl=TTL)}
    world = World(PKIX, written=written)
    for recipient in (BOB, ann):
        await world.prober.probe(recipient, NOW)
    assert len(world.street.asked) == 1
    world.prober.known(BOB, LATE)
    await world.rest()
    assert len(world.street.asked) == 2
    world.prober.known(ann, LATE)
    await world.rest()
    assert len(world.street.asked) == 2
    after = world.prober.known(ann, LATE)
    assert after is not None
    assert (after.observed_at, after.postures[0].observed_at) == (LATE, LATE)


async def test_a_silence_ahead_of_use_is_shared_and_hides_nothing_from_a_first_look() -> None:
    ann, eve = Address("ann", "example.net"), Address("eve", "example.com")
    written: dict[tuple[str, str], Answer | list[Answer]] = {**names(1, ttl=TTL)}
    for domain in ("example.net", "example.com"):
        written[domain, "MX"] = found("MX", "1 mx1.example.org.", ttl=TTL)
    world = World(PKIX, written=written)
    for recipient in (BOB, ann):
        await world.prober.probe(recipient, NOW)
    world.street.shown[HOSTS[0]] = None
    for recipient in (BOB, ann):
        world.prober.known(recipient, LATE)
        await world.rest()
    assert len(world.street.asked) == 2
    assert tls(await world.prober.probe(eve, LATE)) == ["pkix"]
    assert len(world.street.asked) == 2


async def test_what_a_renewal_saw_before_it_was_to_be_forgotten_is_forgotten_too() -> None:
    world = World(PKIX, written=names(1, ttl=TTL))
    await world.prober.probe(BOB, NOW)
    world.street.began.clear()
    world.street.gate.clear()
    world.prober.known(BOB, LATE)
    await world.street.began.wait()
    world.prober.forget("example.org")  # a delivery has just seen less
    world.street.gate.set()
    await world.rest()
    assert world.prober.known(BOB, LATE) is None
    world.street.shown[HOSTS[0]] = NONE
    assert tls(await world.prober.probe(BOB, LATE)) == []


async def test_keys_are_renewed_like_servers_and_no_silence_of_a_source_takes_one_away() -> None:
    key = Offer(method="smime", grade="verified", source="directory", scope="mailbox")
    source = Directory((key,))
    world = World(PKIX, written=names(1, ttl=TTL), sources=[source])
    await every_minute(world, 0, 38)
    source.answer = Problem("4.4.3", "the directory does not answer")
    assert all(key in each.offers for each in await every_minute(world, 38, 54))
    assert 2 <= source.asked <= 12
    source.answer = ()
    await every_minute(world, 54, 60)
    known = world.prober.known(BOB, NOW + 60 * MINUTE)
    assert known is not None
    assert (key in known.offers, known.unknown) == (False, ())
    assert world.counts[WAITED] == 2  # the domain, and the mailbox


async def test_a_host_that_may_show_more_is_waited_for_beside_one_that_is_known_already() -> None:
    street = Street({HOSTS[0]: PKIX, HOSTS[1]: DANE})

    async def slow(host: MxHost, address: str, now: datetime) -> HostPosture:
        await asyncio.sleep(0.1 if host.dane else 0)
        return await street.observe(host, address, now)

    servers = Servers(slow, ServerSettings(deadline=30, grace=0.01))
    one = MxHost("mx1.example.org", 1, (HOSTS[0],))
    dane = Dane(base="mx2.example.org", records=(), names=(), mx_secure=True)
    two = MxHost("mx2.example.org", 1, (HOSTS[1],), dane=dane)
    await servers.look_at(Route((one,), "mx"), NOW)
    assert [each.grade for each in await servers.look_at(Route((one, two), "mx"), NOW)] == [PKIX, DANE]


async def test_a_silence_too_is_forgotten() -> None:
    world = World(None)
    await world.prober.probe(BOB, NOW)
    world.prober.forget("example.org")
    await world.prober.probe(BOB, NOW)
    assert len(world.street.asked) == 2
