"""MTA-STS in a look at a domain: what its policy makes of the hosts, and when a missing one is unknown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.model.address import Address
from gateway.model.capability import Capability, HostPosture, MxHost, Route
from gateway.model.evidence import Evidence
from gateway.model.problem import Problem
from gateway.model.sts import StsInForce, StsMode, StsPolicy
from gateway.model.tls import Dane, TlsGrade
from gateway.net.http import HttpFailure, HttpReply, HttpRequest
from gateway.probe.gather import Prober
from gateway.probe.mta_sts import NoSts, StsPolicies, StsUnclear, bind
from gateway.probe.mx import Router, RouteSettings
from gateway.wire.destinations import Destinations
from tests.unit.probe.answers import PaperDns, found
from tests.unit.probe.notebook import Notebook

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BOB = Address("bob", "example.org")
ONE, TWO = (MxHost(f"mx{place}.example.org", 10, (f"8.8.8.{place}",)) for place in (1, 2))
USABLE, PKIX_EE = (bytes((usage, 1, 1)) + bytes(32) for usage in (3, 1))
DNS = {
    ("example.org", "MX"): found("MX", "10 mx1.example.org.", "20 mx2.example.org."),
    ("mx1.example.org", "A"): found("A", "8.8.8.1"),
    ("mx2.example.org", "A"): found("A", "8.8.8.2"),
    ("_mta-sts.example.org", "TXT"): found("TXT", '"v=STSv1; id=1"'),
}


def kept(mode: StsMode, *mx: str) -> StsInForce:
    policy = StsPolicy(mode, mx, 86400)
    return StsInForce(id="1", policy=policy, text=b"", fetched_at=NOW, expires_at=NOW + timedelta(days=1))


def dane(record: bytes, *, mx_secure: bool) -> Dane:
    return Dane(base="mx1.example.org", records=(record,), names=("mx1.example.org",), mx_secure=mx_secure)


def test_an_enforced_policy_binds_the_hosts_it_lists_and_bars_the_others() -> None:
    one, two = bind(Route((ONE, TWO), "mx"), "example.org", kept(StsMode.ENFORCE, "mx1.example.org")).hosts
    assert (one.sts, one.barred, one.demands_tls) == (True, None, True)
    assert two.barred is not None
    assert (two.sts, two.barred.temporary, two.barred_as) == (False, True, "validation-failure")
    assert "mx2.example.org" in two.barred.public


@pytest.mark.parametrize(
    ("answer", "source"),
    [
        (kept(StsMode.TESTING, "other.example"), "mx"),
        (kept(StsMode.NONE), "mx"),
        (NoSts(), "mx"),
        (StsUnclear(Problem("4.7.5", "x"), "sts-policy-fetch-error"), "mx"),
        (kept(StsMode.ENFORCE, "other.example"), "static"),
    ],
)
def test_what_is_not_enforced_and_what_the_configuration_names_is_not_bound(
    answer: StsInForce | NoSts | StsUnclear, source: str
) -> None:
    route = Route((ONE, TWO), source)
    assert bind(route, "example.org", answer) == route


@pytest.mark.parametrize(
    ("records", "alone"),
    [
        (dane(USABLE, mx_secure=True), True),
        (dane(USABLE, mx_secure=False), False),  # whoever forges the MX record chooses a host that signs
        (dane(PKIX_EE, mx_secure=True), False),  # no record that SMTP can use: DANE only demands TLS
    ],
)
def test_dane_decides_alone_where_the_whole_way_is_signed(records: Dane, alone: bool) -> None:
    host = MxHost("mx1.example.org", 10, ("8.8.8.1",), dane=records)
    (bound,) = bind(Route((host,), "mx"), "example.org", kept(StsMode.ENFORCE, "other.example")).hosts
    assert (bound.barred is None) is alone
    (bound,) = bind(Route((host,), "mx"), "example.org", kept(StsMode.ENFORCE, "*.example.org")).hosts
    assert bound.sts is not alone


class World:
    """A prober whose web server says `body`, or nothing, and whose mail servers show `shown` to who may be asked."""

    def __init__(self, body: str | None, shown: TlsGrade = TlsGrade.PKIX, unpoliced: str = "") -> None:
        self.dns = PaperDns(DNS)
        self.body = body
        self.shown = shown
        self.notebook = Notebook()
        self.fetched = 0
        self.sts = StsPolicies(self.dns, self.ask, self.notebook)
        router = Router(self.dns, Destinations(), RouteSettings())
        self.prober = Prober(router, self.observe, self.notebook, sts=self.sts, unpoliced=unpoliced.split())

    async def ask(self, request: HttpRequest) -> HttpReply | HttpFailure:
        self.fetched += 1
        if self.body is None:
            return HttpFailure(stage="connect", problem=Problem("4.4.1", "x"))
        headers = (("content-type", "text/plain"),)
        return HttpReply(
            url="", address="", status=200, headers=headers, body=self.body.encode(), session=None
        )

    async def observe(self, host: MxHost, address: str, now: datetime) -> HostPosture:
        grade = TlsGrade.MTA_STS if host.sts and self.shown is TlsGrade.PKIX else self.shown
        fit = not host.sts or grade is TlsGrade.MTA_STS
        return HostPosture(
            host=host.name, address=address, evidence=Evidence(grade=grade), observed_at=now, fit=fit
        )

    async def look(self, at: datetime = NOW) -> Capability:
        return await self.prober.probe(BOB, at)


def policy(mode: str, mx: str, age: int = 86400) -> str:
    return f"version: STSv1\nmode: {mode}\nmx: {mx}\nmax_age: {age}\n"


def grades(capability: Capability) -> list[tuple[str, str]]:
    return [(offer.method, offer.grade) for offer in capability.offers]


async def test_an_enforced_policy_makes_the_offer_and_is_the_evidence() -> None:
    capability = await World(policy("enforce", "*.example.org")).look()
    assert grades(capability) == [("tls", "mta-sts")]  # plain text is not on offer
    assert capability.sts is not None
    assert capability.sts.policy.mx == ("*.example.org",)
    assert capability.unknown == ()


async def test_a_host_that_is_not_listed_is_not_asked_and_no_reason_to_wait() -> None:
    capability = await World(policy("enforce", "mx2.example.org")).look()
    assert grades(capability) == [("tls", "mta-sts")]
    assert capability.unknown == ()
    assert [posture.evidence.result for posture in capability.postures] == ["validation-failure", None]


async def test_where_no_host_is_listed_there_is_nothing_on_offer_and_nothing_to_wait_for() -> None:
    capability = await World(policy("enforce", "mx.elsewhere.example")).look()
    assert capability.offers == ()
    assert capability.unknown == ()


async def test_a_listed_host_that_breaks_the_policy_is_no_way_at_all() -> None:
    capability = await World(policy("enforce", "*.example.org"), TlsGrade.ENCRYPTED).look()
    assert capability.offers == ()


async def test_a_policy_under_test_changes_nothing() -> None:
    capability = await World(policy("testing", "mx.elsewhere.example")).look()
    assert grades(capability) == [("tls", "pkix"), ("plain", "none")]
    assert capability.sts is not None
    assert capability.sts.policy.mode is StsMode.TESTING


async def test_a_policy_that_cannot_be_had_is_unknown_since_it_first_failed() -> None:
    world = World(None)
    capability = await world.look()
    assert grades(capability) == [("tls", "pkix"), ("plain", "none")]
    (failure,) = capability.unknown
    assert (failure.source, failure.methods, failure.since) == ("mta-sts", ("tls",), NOW)
    assert failure.result == "sts-policy-fetch-error"
    (failure,) = (await world.look(NOW + timedelta(seconds=40))).unknown
    assert failure.since == NOW
    assert world.fetched == 1


async def test_nobody_waits_for_a_policy_that_could_make_nothing_better() -> None:
    """A policy turns `pkix` into `mta-sts`; a certificate that proves nothing stays what it is."""
    capability = await World(None, TlsGrade.ENCRYPTED).look()
    assert [(failure.methods, failure.result) for failure in capability.unknown] == [
        ((), "sts-policy-fetch-error")
    ]


async def test_what_is_known_lasts_no_longer_than_the_policy() -> None:
    world = World(policy("enforce", "*.example.org", age=120))
    await world.look()
    assert world.prober.known(BOB, NOW + timedelta(seconds=119)) is not None
    assert world.prober.known(BOB, NOW + timedelta(seconds=120)) is None


async def test_domains_with_a_route_of_ours_are_not_asked() -> None:
    world = World(policy("enforce", "mx.elsewhere.example"), unpoliced="example.org")
    assert grades(await world.look()) == [("tls", "pkix"), ("plain", "none")]
    assert world.fetched == 0
