"""The demo's internet, visited by an ordinary mail client: every server is what its plan says, TLS 1.0 included."""

from __future__ import annotations

import asyncio
import socket
import ssl
import warnings
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import aiosmtplib
import dns.asyncquery
import dns.flags
import dns.message
import dns.rcode
import pytest
import pytest_asyncio

from gateway.demo.cast import DNS_ADDRESS, SENDER, SERVERS, Manner, ServerPlan
from gateway.demo.internet import Internet, InternetError, open_internet
from gateway.demo.leaks import control_run, find_leaks
from gateway.demo.messages import LetterKind, compose
from gateway.demo.recipients import UNKNOWN_MAILBOX
from gateway.model.tls import TlsGrade

NOW = datetime.now(UTC)


@pytest.fixture
async def internet(tmp_path: Path) -> AsyncIterator[Internet]:
    async with open_internet(tmp_path) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def visited(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Internet]:
    """One internet for all who only look at it."""
    async with open_internet(tmp_path_factory.mktemp("demo")) as opened:
        yield opened


def server(name: str) -> ServerPlan:
    return next(plan for plan in SERVERS if plan.name == name)


def client_to(internet: Internet, plan: ServerPlan) -> aiosmtplib.SMTP:
    return aiosmtplib.SMTP(
        hostname=plan.address,
        port=internet.ports.smtp,
        start_tls=False,
        local_hostname="visitor.example",
        timeout=20,
    )


def trusting(internet: Internet) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=internet.ca_file)


def trusting_nobody() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def starttls(internet: Internet, plan: ServerPlan, context: ssl.SSLContext) -> str | None:
    """What stands in the way of a STARTTLS session with the server's own name; None where nothing does."""
    async with client_to(internet, plan) as client:
        await client.ehlo()
        if not client.supports_extension("STARTTLS"):
            return "not offered"
        try:
            await client.starttls(server_hostname=plan.name, tls_context=context)
        except aiosmtplib.SMTPResponseException as refused:
            return str(refused.code)
        except ssl.SSLCertVerificationError as unproved:
            return unproved.verify_message
        except (OSError, aiosmtplib.SMTPException):
            return "handshake"
        return None


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("name", "trouble"),
    [
        ("mx.good.example", None),
        ("mx2.backup.example", None),
        ("mx.selfsigned.example", "self-signed certificate"),
        ("mx.wrongname.example", "Hostname mismatch, certificate is not valid for 'mx.wrongname.example'."),
        ("mx.expired.example", "certificate has expired"),
        ("mx.tls10.example", "handshake"),
        ("mx.cleartext.example", "not offered"),
        ("mx.brokentls.example", "454"),
    ],
)
async def test_what_a_strict_client_meets(visited: Internet, name: str, trouble: str | None) -> None:
    assert await starttls(visited, server(name), trusting(visited)) == trouble


@pytest.mark.asyncio(loop_scope="module")
async def test_a_certificate_is_swapped_after_the_first_look(visited: Internet) -> None:
    swaps = server("mx.swapped.example")
    assert await starttls(visited, swaps, trusting(visited)) is None
    assert await starttls(visited, swaps, trusting(visited)) == "self-signed certificate"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "plan",
    [plan for plan in SERVERS if plan.manner not in {Manner.DEAD, Manner.SWAPS}],
    ids=lambda plan: plan.name,
)
async def test_the_ground_truth_is_what_two_clients_find(visited: Internet, plan: ServerPlan) -> None:
    """A client that verifies and one that does not, neither of them ours, grade the server as its plan does.

    Neither asks the DNS for keys, nor anybody for policies: for them, a server that is proved by DANE alone is one that
    nobody vouches for, and one that a policy names is any other that has a good certificate.
    """
    if await starttls(visited, plan, trusting(visited)) is None:
        found = TlsGrade.PKIX
    elif await starttls(visited, plan, trusting_nobody()) is None:
        found = TlsGrade.ENCRYPTED
    else:
        found = TlsGrade.NONE
    assert found is (TlsGrade.ENCRYPTED if plan.dane else TlsGrade.PKIX if plan.sts else plan.truth)


async def test_a_tls_1_0_client_gets_in_and_its_message_counts_as_unprotected(internet: Internet) -> None:
    plan = server("mx.tls10.example")
    context = trusting(internet)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    async with client_to(internet, plan) as client:
        await client.starttls(server_hostname=plan.name, tls_context=context)
        assert client.get_transport_info("cipher")[1] == "TLSv1.0"
        await client.sendmail(SENDER, ["eve@tls10.example"], b"Subject: x\r\n\r\nold\r\n")
    (arrived,) = internet.postbox.receptions
    assert (arrived.tls_version, arrived.truth) == ("TLSv1", TlsGrade.NONE)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "plan", [plan for plan in SERVERS if plan.manner is Manner.DEAD], ids=lambda plan: plan.name
)
async def test_a_dead_host_refuses_connections(visited: Internet, plan: ServerPlan) -> None:
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(plan.address, visited.ports.smtp)


async def test_greylisting_refuses_once(internet: Internet) -> None:
    async with client_to(internet, server("mx.greylist.example")) as client:
        await client.mail(SENDER)
        with pytest.raises(aiosmtplib.SMTPRecipientRefused) as refused:
            await client.rcpt("hana@greylist.example")
        assert refused.value.code == 451
        assert (await client.rcpt("hana@greylist.example")).code == 250


async def test_an_unknown_mailbox_is_refused_for_good(internet: Internet) -> None:
    async with client_to(internet, server("mx.good.example")) as client:
        await client.mail(SENDER)
        with pytest.raises(aiosmtplib.SMTPRecipientRefused) as refused:
            await client.rcpt(f"{UNKNOWN_MAILBOX}@good.example")
        assert (refused.value.code, refused.value.message) == (550, "5.1.1 no such mailbox here")


async def test_what_arrives_is_kept_octet_by_octet(internet: Internet) -> None:
    letter = compose(LetterKind.EIGHT_BIT, SENDER, ("ann@good.example",), NOW)
    plan = server("mx.good.example")
    async with client_to(internet, plan) as client:
        await client.starttls(server_hostname=plan.name, tls_context=trusting(internet))
        await client.sendmail(letter.sender, list(letter.recipients), letter.content)
    await asyncio.wait_for(internet.postbox.until(lambda arrived: len(arrived) == 1), 20)
    (arrived,) = internet.postbox.receptions
    assert arrived.content == letter.content
    assert (arrived.server, arrived.sender, arrived.recipients) == (plan.name, SENDER, letter.recipients)
    assert (arrived.tls_version, arrived.truth) == ("TLSv1.3", TlsGrade.PKIX)
    assert (internet.folder / "received" / "00001.eml").read_bytes() == letter.content
    assert find_leaks([letter], internet.postbox.receptions) == ()


async def test_a_message_in_clear_at_a_proved_server_is_a_leak_all_the_same(internet: Internet) -> None:
    letter = compose(LetterKind.TEXT, SENDER, ("ann@good.example",), NOW)
    async with client_to(internet, server("mx.good.example")) as client:
        await client.sendmail(letter.sender, list(letter.recipients), letter.content)
    (arrived,) = internet.postbox.receptions
    assert (arrived.tls_version, arrived.truth) == (None, TlsGrade.NONE)
    assert len(find_leaks([letter], internet.postbox.receptions)) == 1


async def test_the_leak_counter_counts(internet: Internet) -> None:
    control = await control_run(internet)
    assert control.works
    assert [leak.found for leak in control.counted] == ["raw", "base64", "quoted-printable"]
    assert {leak.server for leak in control.counted} == {"mx.cleartext.example"}
    assert len(control.innocent) == 1


async def ask(internet: Internet, name: str, *, tcp: bool) -> dns.message.Message:
    query = dns.message.make_query(name, "MX", flags=dns.flags.RD | dns.flags.AD)
    transport = dns.asyncquery.tcp if tcp else dns.asyncquery.udp
    return await transport(query, DNS_ADDRESS, port=internet.ports.dns, timeout=20)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("tcp", [False, True])
async def test_names_resolve_over_udp_and_tcp(visited: Internet, tcp: bool) -> None:
    good = await ask(visited, "good.example", tcp=tcp)
    assert good.flags & dns.flags.AD
    assert "mx.good.example" in str(good.answer[0])
    assert (await ask(visited, "bogus.example", tcp=tcp)).rcode() == dns.rcode.SERVFAIL
    assert (await ask(visited, "nowhere.example", tcp=tcp)).rcode() == dns.rcode.NXDOMAIN


async def test_messages_that_arrive_together_and_after_a_restart_are_all_kept(tmp_path: Path) -> None:
    sent: list[bytes] = []

    async def send(internet: Internet, number: int) -> None:
        content = b"Subject: %d\r\n\r\nhello\r\n" % number
        sent.append(content)
        async with client_to(internet, server("mx.cleartext.example")) as client:
            await client.sendmail(SENDER, ["finn@cleartext.example"], content)

    for first in (0, 8):
        async with open_internet(tmp_path) as internet:
            await asyncio.gather(*(send(internet, first + number) for number in range(8)))
    kept = [file.read_bytes() for file in (tmp_path / "internet" / "received").glob("*.eml")]
    assert sorted(kept) == sorted(sent)


async def test_a_kept_internet_comes_back_the_same(tmp_path: Path) -> None:
    async with open_internet(tmp_path) as first:
        kept = (first.ports, first.ca_file.read_bytes(), (first.folder / "mx.good.example.key").read_bytes())
    async with open_internet(tmp_path) as again:
        assert (
            again.ports,
            again.ca_file.read_bytes(),
            (again.folder / "mx.good.example.key").read_bytes(),
        ) == kept
        assert await starttls(again, server("mx.good.example"), trusting(again)) is None


async def test_a_kept_port_that_somebody_else_has_is_told(tmp_path: Path) -> None:
    async with open_internet(tmp_path) as first:
        ports = first.ports
    with socket.socket() as squatter:
        squatter.bind(("127.53.0.10", ports.smtp))
        with pytest.raises(InternetError, match=f"{ports.smtp}.*taken.*another folder"):
            async with open_internet(tmp_path):
                pass


async def test_two_internets_do_not_meet(tmp_path: Path) -> None:
    async with open_internet(tmp_path / "one") as one, open_internet(tmp_path / "two") as two:
        assert one.ports.smtp != two.ports.smtp
        assert (
            await starttls(two, server("mx.good.example"), trusting(one))
            == "unable to get local issuer certificate"
        )


@pytest.mark.asyncio(loop_scope="module")
async def test_private_keys_are_for_their_owner_only(visited: Internet) -> None:
    keys = list(visited.folder.glob("*.key"))
    assert keys
    assert all(key.stat().st_mode & 0o077 == 0 for key in keys)
