"""MTA-STS policies: found, fetched, kept over restarts, refreshed behind the scenes, and what failures mean."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from gateway.model.problem import Problem
from gateway.model.sts import StsInForce, StsMode
from gateway.model.tls import TlsSession
from gateway.net.http import HttpFailure, HttpReply, HttpRequest
from gateway.probe.dns import Answer, Bogus, NoData, Refused, Silent
from gateway.probe.mta_sts import NoSts, StsAnswer, StsPolicies, StsSettings, StsUnclear
from tests.unit.probe.answers import PaperDns, found
from tests.unit.probe.notebook import Notebook

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
NAME = ("_mta-sts.example.org", "TXT")
SESSION = TlsSession(
    version="TLSv1.3", cipher="x", chain=(b"leaf", b"issuer"), trusted=True, name_matched="x"
)
DOWN = HttpFailure(stage="connect", problem=Problem("4.4.1", "down", "refused"))
NOT_TRUSTED = HttpFailure(
    stage="tls", problem=Problem("4.4.1", "x"), session=SESSION, result="certificate-not-trusted"
)


def record(identity: str) -> Answer:
    return found("TXT", f'"v=STSv1; " "id={identity};"')


def policy(mode: str = "enforce", age: int = 7 * 86400, mx: str = "mx.example.org") -> bytes:
    return f"version: STSv1\r\nmode: {mode}\r\nmx: {mx}\r\nmax_age: {age}\r\n".encode()


def reply(body: bytes, status: int = 200, kind: str | None = "text/plain; charset=utf-8") -> HttpReply:
    headers = () if kind is None else (("content-type", kind),)
    return HttpReply(url="", address="192.0.2.1", status=status, headers=headers, body=body, session=SESSION)


class World:
    """A finder with DNS, a web server and a memory within reach. The web server says `said` and can be held up."""

    def __init__(
        self,
        dns: Answer | None = None,
        said: HttpReply | HttpFailure = DOWN,
        notebook: Notebook | None = None,
    ) -> None:
        self.dns = PaperDns({} if dns is None else {NAME: dns})
        self.said = said
        self.notebook = notebook or Notebook()
        self.requests: list[HttpRequest] = []
        self.open = asyncio.Event()
        self.open.set()
        self.answered = asyncio.Event()
        self.policies = StsPolicies(self.dns, self.ask, self.notebook, StsSettings(port=8443, timeout=7))

    async def ask(self, request: HttpRequest) -> HttpReply | HttpFailure:
        self.requests.append(request)
        await self.open.wait()
        self.answered.set()
        return self.said

    def publish(self, dns: Answer) -> None:
        self.dns = PaperDns({NAME: dns})
        self.policies._dns = self.dns

    async def look(self, after: timedelta = timedelta(0)) -> StsAnswer:
        return await self.policies.look_up("example.org", NOW + after)

    async def behind_the_scenes(self) -> None:
        """Until nothing is being fetched."""
        await asyncio.gather(*self.policies._fetching._running)


def in_force(answer: StsAnswer) -> StsInForce:
    assert isinstance(answer, StsInForce), answer
    return answer


async def test_a_policy_is_fetched_with_its_proof() -> None:
    world = World(record("1"), reply(policy()))
    kept = in_force(await world.look())
    assert (kept.id, kept.policy.mode, kept.policy.mx) == ("1", StsMode.ENFORCE, ("mx.example.org",))
    assert (kept.text, kept.chain) == (policy(), SESSION.chain)
    assert (kept.fetched_at, kept.expires_at, kept.stale) == (NOW, NOW + 7 * DAY, None)
    (request,) = world.requests
    assert request.url == "https://mta-sts.example.org:8443/.well-known/mta-sts.txt"
    assert (request.method, request.redirects, request.plain) == ("GET", 0, False)
    assert (request.seconds, request.most_body) == (7, 64 * 1024)


@pytest.mark.parametrize(
    "dns",
    [
        None,
        NoData(secure=False),
        found("TXT", '"v=spf1 -all"'),
        found("TXT", '"v=STSv1; id=1"', '"v=STSv1; id=2"'),
    ],
)
async def test_without_a_record_there_is_no_policy_and_no_fetch(dns: Answer | None) -> None:
    world = World(dns, reply(policy()))
    assert await world.look() == NoSts()
    assert world.requests == []


@pytest.mark.parametrize(
    ("said", "word"),
    [
        (DOWN, "sts-policy-fetch-error"),
        (NOT_TRUSTED, "sts-webpki-invalid"),
        (reply(policy(), status=404), "sts-policy-fetch-error"),
        (reply(policy(), status=203), "sts-policy-fetch-error"),
        (reply(policy(), status=301), "sts-policy-fetch-error"),
        (reply(policy(), kind="text/html"), "sts-policy-fetch-error"),
        (reply(policy(), kind=None), "sts-policy-fetch-error"),
        (reply(b"<html>"), "sts-policy-invalid"),
    ],
)
async def test_a_policy_that_cannot_be_had_is_unclear_and_named(
    said: HttpReply | HttpFailure, word: str
) -> None:
    answer = await World(record("1"), said).look()
    assert isinstance(answer, StsUnclear)
    assert answer.result == word
    assert answer.problem.temporary


@pytest.mark.parametrize("trouble", [Silent("no answer"), Refused("SERVFAIL"), Bogus("broken")])
async def test_silence_of_dns_is_not_absence(trouble: Answer) -> None:
    answer = await World(trouble).look()
    assert isinstance(answer, StsUnclear)
    assert answer.result == "sts-policy-fetch-error"


@pytest.mark.parametrize(
    "dns", [None, NoData(secure=True), Silent("no answer"), Bogus("broken"), record("2"), record("1")]
)
async def test_a_kept_policy_binds_over_a_restart_whatever_is_said_meanwhile(dns: Answer | None) -> None:
    notebook = Notebook()
    await World(record("1"), reply(policy()), notebook).look()
    later = World(dns, DOWN, notebook)
    kept = in_force(await later.look(6 * DAY))
    await later.behind_the_scenes()
    assert (kept.id, kept.policy.mode, kept.expires_at) == ("1", StsMode.ENFORCE, NOW + 7 * DAY)
    after = await World(dns, DOWN, notebook).look(7 * DAY)
    assert not isinstance(after, StsInForce), "it has expired"


async def test_a_new_id_brings_the_new_policy_at_once() -> None:
    world = World(record("1"), reply(policy()))
    await world.look()
    world.publish(record("2"))
    world.said = reply(policy(mx="new.example.org"))
    assert in_force(await world.look(MINUTE)).policy.mx == ("new.example.org",)
    world.publish(record("3"))
    world.said = reply(policy("none"))
    assert in_force(await world.look(2 * MINUTE)).policy.mode is StsMode.NONE
    kept = in_force(await World(None, DOWN, world.notebook).look(3 * MINUTE))
    assert kept.policy.mode is StsMode.NONE, "the withdrawal is kept, not what it withdrew"


async def test_a_new_id_whose_policy_fails_to_come_leaves_the_old_one_and_delays_once() -> None:
    world = World(record("1"), reply(policy()))
    await world.look()
    world.publish(record("2"))
    world.said = NOT_TRUSTED
    kept = in_force(await world.look(MINUTE))
    assert (kept.id, kept.stale) == ("1", "sts-webpki-invalid")
    asked = len(world.requests)
    for _ in range(3):
        assert in_force(await world.look(MINUTE)).stale == "sts-webpki-invalid"
    assert len(world.requests) == asked


async def test_no_message_waits_a_second_time_for_a_policy_that_fails_to_come() -> None:
    world = World(record("1"))
    assert isinstance(await world.look(), StsUnclear)
    world.open.clear()  # from now on the web server says nothing
    assert isinstance(await world.look(timedelta(seconds=59)), StsUnclear)
    assert len(world.requests) == 1
    for _ in range(3):
        assert isinstance(await world.look(MINUTE), StsUnclear)  # at once, though a fetch is due and hangs
    await asyncio.sleep(0)
    world.said = reply(policy())
    world.open.set()
    await world.behind_the_scenes()
    assert len(world.requests) == 2
    assert in_force(await world.look(2 * MINUTE)).id == "1"


async def test_tries_become_seldom_while_an_outage_lasts() -> None:
    world = World(record("1"))
    at = timedelta(0)
    while at < DAY:
        await world.look(at)
        await world.behind_the_scenes()
        at += MINUTE
    assert 20 < len(world.requests) < 40


async def test_a_day_old_policy_is_refreshed_while_nobody_waits() -> None:
    world = World(record("1"), reply(policy()))
    await world.look()
    assert in_force(await world.look(DAY / 2)).fetched_at == NOW
    assert len(world.requests) == 1
    world.open.clear()
    assert in_force(await world.look(DAY)).fetched_at == NOW  # at once, though the fetch hangs
    await asyncio.sleep(0)
    world.open.set()
    await world.behind_the_scenes()
    kept = in_force(await world.look(DAY))
    assert (kept.fetched_at, kept.expires_at) == (NOW + DAY, NOW + 8 * DAY)
    assert len(world.requests) == 2


async def test_a_refresh_that_fails_keeps_the_policy_and_says_so() -> None:
    world = World(record("1"), reply(policy()))
    await world.look()
    world.said = reply(b"gone", status=500)
    await world.look(DAY)
    await world.behind_the_scenes()
    kept = in_force(await world.look(DAY))
    assert (kept.stale, kept.expires_at) == ("sts-policy-fetch-error", NOW + 7 * DAY)
    world.said = reply(policy())
    await world.look(DAY + MINUTE)
    await world.behind_the_scenes()
    assert in_force(await world.look(DAY + 2 * MINUTE)).stale is None


async def test_an_age_of_nothing_is_asked_for_each_time() -> None:
    world = World(record("1"), reply(policy(age=0)))
    assert in_force(await world.look()).policy.mode is StsMode.ENFORCE
    assert in_force(await world.look(MINUTE)).fetched_at == NOW + MINUTE
    assert await World(None, DOWN, world.notebook).look(MINUTE) == NoSts()


async def test_a_memory_that_cannot_be_read_is_a_forgotten_one() -> None:
    notebook = Notebook()
    await notebook.remember("mta-sts", "example.org", b"\xff\x00", NOW + DAY)
    assert await World(None, DOWN, notebook).look() == NoSts()


async def test_closing_ends_what_is_under_way() -> None:
    world = World(record("1"))
    await world.look()
    world.open.clear()
    await world.look(MINUTE)
    await asyncio.sleep(0)
    await world.policies.close()
    assert not world.policies._fetching._running
