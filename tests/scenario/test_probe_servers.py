"""The prober on the demo's internet, with real DNS and real TLS: it finds what is true of each server, and no more."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest
import pytest_asyncio

from gateway.demo.cast import DNS_ADDRESS, NETWORK, SERVERS, Manner, ServerPlan
from gateway.demo.internet import Internet, open_internet
from gateway.model.address import Address
from gateway.model.capability import Capability, HostPosture, MxHost
from gateway.model.tls import TlsGrade
from gateway.net.smtp import ClientSettings, ClientTls
from gateway.probe.dns import Dns
from gateway.probe.gather import Prober, ProberSettings
from gateway.probe.mx import Router, RouteSettings
from gateway.probe.transport import TlsObserver, observer_settings
from gateway.probe.trust import ProofNames
from gateway.wire.destinations import Destinations
from tests.unit.probe.notebook import Notebook

NOW = datetime.now(UTC)
HELO = "gw.hospital.example"


pytestmark = pytest.mark.asyncio(loop_scope="module")  # one internet for all: nothing here changes it


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def internet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Internet]:
    async with open_internet(tmp_path_factory.mktemp("demo")) as opened:
        yield opened


def observer(
    internet: Internet, settings: ClientSettings | None = None, min_version: str = "1.2"
) -> TlsObserver:
    tls = ClientTls(ca_file=str(internet.ca_file), min_version=min_version)
    return TlsObserver(tls, settings or observer_settings(HELO))


def look_from_here(internet: Internet, settings: ProberSettings | None = None) -> Prober:
    router = Router(
        Dns([(DNS_ADDRESS, internet.ports.dns)], names=ProofNames("good.example", "bogus.example")),
        Destinations([ip_network(NETWORK)]),
        RouteSettings(port=internet.ports.smtp),
    )
    return Prober(router, observer(internet).observe, Notebook(), settings=settings)


@pytest_asyncio.fixture(loop_scope="module")
async def prober(internet: Internet) -> AsyncIterator[Prober]:
    prober = look_from_here(internet)
    yield prober
    await prober.close()


async def probe(prober: Prober, recipient: str) -> Capability:
    local, _, domain = recipient.partition("@")
    async with asyncio.timeout(60):
        return await prober.probe(Address(local, domain), NOW)


def best(capability: Capability) -> str | None:
    """The best offer's word; None where there is no offer."""
    return next((offer.grade for offer in capability.offers), None)


@pytest.mark.parametrize(
    ("domain", "grade", "unknown"),
    [
        ("good.example", "pkix", []),
        ("team.alias.example", "pkix", []),
        ("greylist.example", "pkix", []),
        ("dane.example", "dane", []),
        ("wrongdane.example", None, []),
        ("selfsigned.example", "encrypted", []),
        ("wrongname.example", "encrypted", []),
        ("expired.example", "encrypted", []),
        ("tls10.example", "none", []),
        ("cleartext.example", "none", []),
        ("backup.example", "pkix", []),
        ("mixed.example", "pkix", []),
        ("oldpost.example", "encrypted", []),
        ("postcard.example", "none", []),
        ("brokentls.example", None, [("smtp", ("tls", "plain"))]),
        ("dead.example", None, [("smtp", ("tls", "plain"))]),
        ("bogus.example", None, [("mx", ("tls", "plain"))]),
        ("nullmx.example", None, []),
        ("nowhere.example", None, []),
    ],
)
async def test_what_is_found_is_what_is_true(
    prober: Prober, domain: str, grade: str | None, unknown: list[tuple[str, tuple[str, ...]]]
) -> None:
    capability = await probe(prober, f"somebody@{domain}")
    assert best(capability) == grade
    assert [(failure.source, failure.methods) for failure in capability.unknown] == unknown


@pytest.mark.parametrize(("domain", "status"), [("nullmx.example", "5.1.10"), ("nowhere.example", "5.1.2")])
async def test_domains_that_take_no_mail(prober: Prober, domain: str, status: str) -> None:
    capability = await probe(prober, f"somebody@{domain}")
    assert capability.undeliverable is not None
    assert capability.undeliverable.status == status


@pytest.mark.parametrize(
    ("domain", "result", "said"),
    [
        ("wrongdane.example", "tlsa-invalid", "DANE"),
        ("selfsigned.example", "certificate-not-trusted", "nobody whom we trust"),
        ("wrongname.example", "certificate-host-mismatch", "another name"),
        ("expired.example", "certificate-expired", "expired"),
        ("tls10.example", "validation-failure", "TLS handshake|closed the connection"),
        ("cleartext.example", "starttls-not-supported", "does not offer TLS"),
        ("brokentls.example", "validation-failure", "refused STARTTLS: 454"),
        ("dead.example", None, "does not answer"),
    ],
)
async def test_each_weakness_is_told_in_the_standards_word_and_in_a_persons(
    prober: Prober, domain: str, result: str | None, said: str
) -> None:
    (posture,) = (await probe(prober, f"somebody@{domain}")).postures
    assert posture.evidence.result == result
    assert posture.problem is not None
    assert re.search(said, posture.problem.public)


async def test_the_evidence_of_a_proved_server(prober: Prober) -> None:
    capability = await probe(prober, "ann@good.example")
    (posture,) = capability.postures
    assert posture.problem is None
    assert posture.evidence.session is not None
    assert posture.evidence.session.version == "TLSv1.3"
    assert posture.evidence.session.name_matched == "mx.good.example"
    assert len(posture.evidence.session.chain) == 2
    assert capability.offers[0].mx_continuity == "own-domain"
    assert capability.offers[0].mx_unchanged_since == NOW
    assert capability.destination == "good.example"
    assert capability.route is not None
    assert capability.route.source == "mx"


async def test_what_is_in_use_is_looked_at_again_ahead_of_its_end(internet: Internet) -> None:
    """An hour's answers, whatever the TTLs here; nobody waits for the second look at the server."""
    ann, late = Address("ann", "dane.example"), NOW + timedelta(minutes=50)
    looker = look_from_here(internet, ProberSettings(shortest=timedelta(hours=1)))
    first = await probe(looker, str(ann))
    assert looker.known(ann, late) == first
    async with asyncio.timeout(60):
        while (seen := looker.known(ann, late)) == first:
            await asyncio.sleep(0.01)
    assert seen is not None
    assert [(each.observed_at, each.grade) for each in seen.postures] == [(late, TlsGrade.DANE)]
    await looker.close()


async def test_every_host_is_told_apart(prober: Prober) -> None:
    mixed = await probe(prober, "kurt@mixed.example")
    assert [(each.host, each.grade) for each in mixed.postures] == [
        ("mx1.mixed.example", TlsGrade.ENCRYPTED),
        ("mx2.mixed.example", TlsGrade.PKIX),
    ]
    backup = await probe(prober, "judy@backup.example")
    assert [each.grade for each in backup.postures] == [None, TlsGrade.PKIX]


async def test_looking_leaves_no_mail_behind(prober: Prober, internet: Internet) -> None:
    for domain in ("good.example", "cleartext.example", "mixed.example"):
        await probe(prober, f"somebody@{domain}")
    assert internet.postbox.receptions == ()


@pytest.mark.parametrize(
    "plan", [plan for plan in SERVERS if plan.manner is Manner.ACCEPTS], ids=lambda plan: plan.name
)
async def test_every_living_server_grades_as_its_ground_truth(internet: Internet, plan: ServerPlan) -> None:
    host = MxHost(plan.name, 10, (plan.address,), internet.ports.smtp)
    posture = await observer(internet).observe(host, plan.address, NOW)
    # DANE is asked of the DNS, which has no part in this, nor has the web server with the policies.
    assert posture.grade is (TlsGrade.ENCRYPTED if plan.dane else TlsGrade.PKIX if plan.sts else plan.truth)


async def test_a_policy_that_allows_old_versions_sees_the_old_server(internet: Internet) -> None:
    """The limits are the policy's, not the observer's: with them wide open the same server is encrypted after all."""
    plan = next(plan for plan in SERVERS if plan.old_tls)
    host = MxHost(plan.name, 10, (plan.address,), internet.ports.smtp)
    wide = TlsObserver(
        ClientTls(ca_file=str(internet.ca_file), min_version="1.0", ciphers="opportunistic"),
        observer_settings(HELO),
    )
    posture = await wide.observe(host, plan.address, NOW)
    assert posture.grade is TlsGrade.PKIX
    assert posture.evidence.session is not None
    assert posture.evidence.session.version == "TLSv1"


Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PATIENT = ClientSettings(helo=HELO, connect=20, greeting=20, tls=20, quit=0.1)
HASTY = ClientSettings(helo=HELO, connect=20, greeting=0.1, tls=0.1, quit=0.1)


@asynccontextmanager
async def scripted(script: Script) -> AsyncIterator[tuple[MxHost, list[int]]]:
    """A server that follows a script; the list grows with each visit."""
    visits: list[int] = []
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visits.append(len(visits))
        writers.append(writer)
        try:
            await script(reader, writer)
        except (OSError, EOFError):
            pass

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield MxHost("mx.example.org", 10, ("127.0.0.1",), server.sockets[0].getsockname()[1]), visits
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()


async def until_starttls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mx.example.org\r\n")
    await reader.readuntil(b"\r\n")
    writer.write(b"250-mx.example.org\r\n250 STARTTLS\r\n")
    await reader.readuntil(b"STARTTLS\r\n")


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def refusing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"554 5.3.2 go away\r\n")
    await reader.read()


async def hanging_up_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def no_tls_for_good(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await until_starttls(reader, writer)
    writer.write(b"502 5.5.1 not implemented\r\n")
    await reader.read()


async def no_tls_for_now(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await until_starttls(reader, writer)
    writer.write(b"454 4.7.0 TLS not available\r\n")
    await reader.read()


async def alerting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await until_starttls(reader, writer)
    writer.write(b"220 go ahead\r\n")
    await reader.read(1)
    writer.write(b"\x15\x03\x01\x00\x02\x02\x46")  # fatal alert: protocol_version (RFC 8446 section 6.2)
    await reader.read()


async def hanging_up_in_the_handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await until_starttls(reader, writer)
    writer.write(b"220 go ahead\r\n")
    await reader.read(1)
    writer.transport.abort()


async def silent_in_the_handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await until_starttls(reader, writer)
    writer.write(b"220 go ahead\r\n")
    await reader.read()


async def injecting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await until_starttls(reader, writer)
    writer.write(b"220 go ahead\r\n250-mx.example.org\r\n250 SIZE\r\n")
    await reader.read()


@pytest.mark.parametrize(
    ("script", "settings", "grade", "visits"),
    [
        (silent, HASTY, None, 1),
        (refusing, PATIENT, None, 1),
        (hanging_up_at_once, PATIENT, None, 1),
        (no_tls_for_good, PATIENT, TlsGrade.NONE, 1),
        (no_tls_for_now, PATIENT, None, 1),
        (alerting, PATIENT, TlsGrade.NONE, 2),
        (hanging_up_in_the_handshake, PATIENT, TlsGrade.NONE, 2),
        (silent_in_the_handshake, HASTY, None, 2),
    ],
)
async def test_a_no_to_tls_is_told_from_not_answering(
    internet: Internet, script: Script, settings: ClientSettings, grade: TlsGrade | None, visits: int
) -> None:
    async with scripted(script) as (host, visited), asyncio.timeout(60):
        posture = await observer(internet, settings).observe(host, "127.0.0.1", NOW)
    assert posture.grade is grade
    assert posture.problem is not None
    assert posture.problem.temporary
    assert len(visited) == visits


async def test_octets_injected_before_the_handshake_never_count_as_an_answer(internet: Internet) -> None:
    async with scripted(injecting) as (host, _), asyncio.timeout(60):
        posture: HostPosture = await observer(internet, PATIENT).observe(host, "127.0.0.1", NOW)
    assert posture.grade in {None, TlsGrade.NONE}
    assert posture.evidence.session is None


@pytest.mark.parametrize(("second", "grade"), [(silent, None), (no_tls_for_good, TlsGrade.NONE)])
async def test_after_a_broken_handshake_the_second_visit_counts(
    internet: Internet, second: Script, grade: TlsGrade | None
) -> None:
    scripts = iter((hanging_up_in_the_handshake, second))

    async def moody(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await next(scripts)(reader, writer)

    settings = ClientSettings(helo=HELO, connect=20, greeting=0.5, tls=20, quit=0.1)
    async with scripted(moody) as (host, visited), asyncio.timeout(60):
        posture = await observer(internet, settings).observe(host, "127.0.0.1", NOW)
    assert len(visited) == 2
    assert posture.grade is grade


async def test_a_server_without_tls_is_left_politely(internet: Internet) -> None:
    said: list[bytes] = []

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mx.example.org\r\n")
        said.append(await reader.readuntil(b"\r\n"))
        writer.write(b"250 mx.example.org\r\n")
        said.append(await reader.readuntil(b"\r\n"))
        writer.write(b"221 bye\r\n")

    async with scripted(plain) as (host, _), asyncio.timeout(60):
        posture = await observer(internet, PATIENT).observe(host, "127.0.0.1", NOW)
    assert said == [b"EHLO gw.hospital.example\r\n", b"QUIT\r\n"]
    assert (posture.grade, posture.evidence.result) == (TlsGrade.NONE, "starttls-not-supported")
