"""Remembered grades: what is noted, for how long, how it is withdrawn, and what its loss does to a look at a domain."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import pytest

from gateway.model.address import Address
from gateway.model.capability import Capability, GradeSeen, HostPosture, MxHost
from gateway.model.evidence import Evidence
from gateway.model.problem import Problem
from gateway.model.tls import DaneProof, TermsProof, TlsGrade, TlsSession, TlsTerms
from gateway.net.http import HttpFailure, HttpReply, HttpRequest
from gateway.probe.dns import Answer, NoData, Refused
from gateway.probe.gather import Prober
from gateway.probe.grades_seen import GradesSeen, lost
from gateway.probe.mta_sts import StsPolicies
from gateway.probe.mx import Router, RouteSettings
from gateway.probe.servers import best_grade
from gateway.wire.destinations import Destinations
from gateway.wire.tls_grade import forbids, shown
from tests.unit.probe.answers import PaperDns, found
from tests.unit.probe.notebook import Notebook

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DANE, STS, PKIX = TlsGrade.DANE, TlsGrade.MTA_STS, TlsGrade.PKIX
TLSA = "3 1 1 " + "00" * 32


async def note(
    seen: GradesSeen, shown: TlsGrade | None, after: timedelta, withdrawn: Collection[TlsGrade] = ()
) -> dict[TlsGrade, timedelta]:
    """What is remembered then, with when it was last seen."""
    known = await seen.note("example.org", shown, withdrawn, NOW + after)
    return {one.grade: one.last_seen - NOW for one in known}


async def test_a_grade_above_pkix_is_remembered_for_a_month_over_restarts() -> None:
    notebook = Notebook()
    for grade in (PKIX, TlsGrade.PIN, TlsGrade.ENCRYPTED, TlsGrade.NONE, None):
        assert await note(GradesSeen(notebook), grade, 0 * DAY) == {}
    assert notebook.writes == 0
    assert await note(GradesSeen(notebook), DANE, 0 * DAY) == {DANE: 0 * DAY}
    assert await note(GradesSeen(notebook), PKIX, 30 * DAY - HOUR) == {DANE: 0 * DAY}
    assert await note(GradesSeen(notebook), PKIX, 30 * DAY + HOUR) == {}


async def test_seeing_it_again_makes_the_month_begin_anew_without_a_write_at_each_look() -> None:
    notebook = Notebook()
    seen = GradesSeen(notebook)
    for hour in range(24):
        await note(seen, STS, hour * HOUR)
    assert notebook.writes == 4
    assert await note(seen, PKIX, 30 * DAY) == {STS: 18 * HOUR}


async def test_what_was_withdrawn_is_forgotten_and_the_rest_is_not() -> None:
    seen = GradesSeen(Notebook())
    await note(seen, DANE, 0 * DAY)
    assert await note(seen, STS, DAY) == {DANE: 0 * DAY, STS: DAY}
    assert await note(seen, PKIX, 2 * DAY, {DANE}) == {STS: DAY}
    assert await note(seen, PKIX, 3 * DAY) == {STS: DAY}
    assert await note(seen, PKIX, 4 * DAY, {STS}) == {}


async def test_an_admin_may_accept_the_loss() -> None:
    seen = GradesSeen(Notebook())
    assert await seen.forget("example.org", NOW) == ()
    await note(seen, DANE, 0 * DAY)
    assert await seen.forget("example.org", NOW + DAY) == (GradeSeen(DANE, NOW),)
    assert await note(seen, PKIX, 2 * DAY) == {}
    assert await note(seen, DANE, 3 * DAY) == {DANE: 3 * DAY}


@pytest.mark.parametrize(
    ("shown", "missed"),
    [(DANE, None), (STS, DANE), (PKIX, DANE), (TlsGrade.NONE, DANE), (TlsGrade.PIN, None), (None, None)],
)
def test_what_is_lost_is_the_best_that_is_better(shown: TlsGrade | None, missed: TlsGrade | None) -> None:
    found = lost((GradeSeen(DANE, NOW), GradeSeen(STS, NOW)), shown)
    assert (found and found.grade) == missed
    assert lost((), shown) is None


class World:
    """A prober of a domain whose DNS and policy a test rewrites between looks."""

    def __init__(self) -> None:
        self.written: dict[tuple[str, str], Answer | list[Answer]] = {}
        self.policy = ""
        self.told: list[tuple[TlsGrade, TlsGrade]] = []
        self.dnssec = "validated"
        self.silent = False
        self.terms: TlsTerms | None = None
        self.notebook = Notebook()

    async def look(self, after: timedelta) -> Capability:
        """With a prober that has forgotten all but what is durable."""
        dns = PaperDns(self.written)
        prober = Prober(
            Router(dns, Destinations(), RouteSettings()),
            self.observe,
            self.notebook,
            dnssec=lambda: self.dnssec,
            sts=StsPolicies(dns, self.ask, self.notebook),
            told=lambda _, missed, shown: self.told.append((missed.grade, shown)),
        )
        capability = await prober.probe(Address("bob", "example.org"), NOW + after)
        await prober.close()
        return capability

    async def observe(self, host: MxHost, address: str, now: datetime) -> HostPosture:
        grade = None if self.silent else DANE if host.dane else STS if host.sts else PKIX
        problem = Problem("4.4.1", "no answer") if grade is None else None
        evidence, fit = Evidence(grade=grade), True
        if self.terms is not None:
            proof = DaneProof(dane=host.dane, usable=1, matched=bytes(35)) if host.dane is not None else None
            session = TlsSession(
                version="TLSv1.3",
                cipher="TLS_AES_256_GCM_SHA384",
                trusted=True,
                name_matched=host.name,
                dane=proof,
                terms=TermsProof(terms=self.terms),
            )
            evidence, fit = Evidence(grade=shown(session)[0], session=session), not forbids(session)
        return HostPosture(
            host=host.name, address=address, evidence=evidence, observed_at=now, problem=problem, fit=fit
        )

    async def ask(self, request: HttpRequest) -> HttpReply | HttpFailure:
        headers = (("content-type", "text/plain"),)
        return HttpReply(
            url="", address="", status=200, headers=headers, body=self.policy.encode(), session=None
        )

    def dns(self, *, secure: bool, tlsa: Answer | None = None, sts: str = "") -> None:
        self.written = {
            ("example.org", "MX"): found("MX", "10 mx.example.org.", secure=secure),
            ("mx.example.org", "A"): found("A", "8.8.8.8", secure=secure),
        }
        if tlsa is not None:
            self.written["_25._tcp.mx.example.org", "TLSA"] = tlsa
        if sts:
            self.written["_mta-sts.example.org", "TXT"] = found("TXT", f'"v=STSv1; id={sts}"')


async def test_dane_that_is_gone_is_missed_until_signed_dns_says_that_it_is_meant() -> None:
    world = World()
    world.dns(secure=True, tlsa=found("TLSA", TLSA, secure=True))
    assert (await world.look(0 * DAY)).best_seen == (GradeSeen(DANE, NOW),)
    world.dns(secure=False)  # whoever stands between: no signatures at all
    assert (await world.look(DAY)).best_seen == (GradeSeen(DANE, NOW),)
    world.dns(secure=True, tlsa=NoData(secure=False))
    assert (await world.look(2 * DAY)).best_seen == (GradeSeen(DANE, NOW),)
    assert world.told == [(DANE, PKIX)] * 2
    world.dns(secure=True, tlsa=NoData(secure=True))
    assert (await world.look(3 * DAY)).best_seen == ()
    assert world.told == [(DANE, PKIX)] * 2


async def test_a_host_whose_address_dns_does_not_tell_has_withdrawn_nothing() -> None:
    """Whoever keeps the answer for the host with DANE from us must not make us forget that there is one."""
    world = World()
    world.dns(secure=True, tlsa=found("TLSA", TLSA, secure=True))
    world.written["example.org", "MX"] = found("MX", "1 mx.example.org.", "2 mx2.example.org.", secure=True)
    world.written["mx2.example.org", "A"] = found("A", "8.8.4.4", secure=True)
    world.written["_25._tcp.mx2.example.org", "TLSA"] = NoData(secure=True)
    await world.look(0 * DAY)
    world.written["mx.example.org", "A"] = Refused("SERVFAIL")
    seen = await world.look(DAY)
    assert seen.best_seen == (GradeSeen(DANE, NOW),)
    assert [(each.source, each.methods) for each in seen.unknown] == [("smtp", ("tls",))]
    assert world.told == []


async def test_an_enforced_policy_that_is_gone_is_missed_until_https_says_that_it_is_meant() -> None:
    world = World()
    world.dns(secure=False, sts="1")
    world.policy = "version: STSv1\nmode: enforce\nmx: mx.example.org\nmax_age: 3600\n"
    assert (await world.look(0 * DAY)).best_seen == (GradeSeen(STS, NOW),)
    world.dns(secure=False)
    assert (await world.look(DAY)).best_seen == (GradeSeen(STS, NOW),)
    assert world.told == [(STS, PKIX)]
    world.dns(secure=False, sts="2")
    world.policy = "version: STSv1\nmode: none\nmax_age: 3600\n"
    assert (await world.look(2 * DAY)).best_seen == ()


async def test_silence_is_no_loss_and_dane_that_is_off_is_another_alarm() -> None:
    world = World()
    world.dns(secure=True, tlsa=found("TLSA", TLSA, secure=True))
    await world.look(0 * DAY)
    world.silent = True
    await world.look(DAY)
    world.silent, world.dnssec = False, "unproved"
    world.dns(secure=False)
    assert (await world.look(2 * DAY)).best_seen == (GradeSeen(DANE, NOW),)
    assert world.told == []


@pytest.mark.parametrize(
    "terms",
    [
        TlsTerms(source='[tls] distrust "example.org"', distrusted=True),
        TlsTerms(source='[tls.domain."example.org"]', least=TlsGrade.PIN, pins=(bytes(32),)),
    ],
)
async def test_what_our_own_settings_make_of_a_server_is_no_loss_of_theirs(terms: TlsTerms) -> None:
    world = World()
    world.dns(secure=True, tlsa=found("TLSA", TLSA, secure=True))
    await world.look(0 * DAY)
    world.terms = terms
    seen = await world.look(DAY)
    assert seen.best_seen == (GradeSeen(DANE, NOW + DAY),)
    assert best_grade(seen.postures) is not DANE
    assert world.told == []
    world.dns(secure=True, tlsa=NoData(secure=False))  # and what is, is one
    await world.look(2 * DAY)
    assert world.told == [(DANE, PKIX)]
