"""Real programs hand their mail to a real listener over real TLS: what they send is what comes in, octet for octet."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from gateway.ingress.connector import Connector, User
from gateway.wire.scram import make_verifier
from tests.fakes.ingress_world import LOCAL, Certificates, world
from tests.peers import clients
from tests.peers.clients import ClientFailed

MESSAGE = (
    b"From: Ann <ann@hospital.example>\r\nTo: bob@partner.example\r\nSubject: results\r\n"
    b"Message-ID: <1@hospital.example>\r\nDate: Wed, 4 Mar 2026 05:06:07 +0000\r\n\r\n"
    b".a dot\r\n..two\r\n.\r\nthe end\r\n"
)
ANN, BOB, EVE = "ann@hospital.example", "bob@partner.example", "eve@partner.example"
APPS = Connector(
    name="apps",
    kind="login",
    domains=("hospital.example",),
    users=(User("printer", str(make_verifier("geheim", b"salt of sixteen."))),),
)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(Path(tmp_path_factory.mktemp("certificates")))


@pytest.mark.parametrize("mechanism", ["scram-sha-256", "plain", "login"])
async def test_msmtp_logs_in_by_every_mechanism(certificates: Certificates, mechanism: str) -> None:
    async with world([APPS], certificates.settings()) as here:
        said = await clients.msmtp(
            here.listener.address,
            certificates.ca_file,
            MESSAGE,
            sender=ANN,
            to=[BOB, EVE],
            mechanism=mechanism,
        )
        assert here.intake.bodies == [MESSAGE]
        assert here.intake.accepted[0][0].client.authenticated_as == "printer"
        assert re.search(rf"--> AUTH {mechanism.upper()}\b(?!-)", said), said


async def test_gnu_sasl_binds_its_login_to_the_connection(certificates: Certificates) -> None:
    async with world([APPS], certificates.settings()) as here:
        said = await clients.gsasl(here.listener.address, certificates.ca_file, "SCRAM-SHA-256-PLUS")
        assert "235 2.7.0 authentication succeeded" in said
        assert "server trusted" in said


async def test_msmtp_is_refused_a_foreign_author(certificates: Certificates) -> None:
    async with world([LOCAL], certificates.settings()) as here:
        foreign = MESSAGE.replace(b"ann@", b"ann@not-")
        with pytest.raises(ClientFailed, match=r"5\.7\.1"):
            await clients.msmtp(here.listener.address, certificates.ca_file, foreign, sender=ANN, to=[BOB])
        assert here.intake.accepted == []


@pytest.mark.parametrize("login", [["--auth", "PLAIN"], ["--auth", "LOGIN"]])
async def test_swaks_logs_in(certificates: Certificates, login: list[str]) -> None:
    async with world([APPS], certificates.settings()) as here:
        who = ["--auth-user", "printer", "--auth-password", "geheim"]
        await clients.swaks(here.listener.address, MESSAGE, "--tls", *login, *who, sender=ANN, to=[BOB])
        assert here.intake.accepted[0][0].client.protocol == "ESMTPSA"


@pytest.mark.parametrize("version", ["1", "2"])
async def test_swaks_speaks_proxy(certificates: Certificates, version: str) -> None:
    office = msgspec.structs.replace(LOCAL, networks=("192.0.2.0/24",))
    async with world([office], certificates.settings(proxies=("127.0.7.0/24",))) as here:
        header = [
            "--proxy-version", version, "--proxy-family", {"1": "TCP4", "2": "AF_INET"}[version],
            "--proxy-source", "192.0.2.7", "--proxy-source-port", "4711",
            "--proxy-dest", "198.51.100.1", "--proxy-dest-port", "25",
        ]  # fmt: skip
        more = [*header, "--proxy-protocol", "STREAM"] if version == "2" else header
        await clients.swaks(
            here.listener.address, MESSAGE, "--tls", *more, sender=ANN, to=[BOB], source="127.0.7.1"
        )
        client = here.intake.accepted[0][0].client
        assert (client.ip, client.port) == ("192.0.2.7", 4711)


async def test_swaks_speaks_xclient(certificates: Certificates) -> None:
    office = msgspec.structs.replace(LOCAL, networks=("192.0.2.0/24",))
    async with world([office], certificates.settings(xclients=("127.0.7.0/24",))) as here:
        named = [
            "--xclient-addr",
            "192.0.2.7",
            "--xclient-port",
            "4711",
            "--xclient-name",
            "pc.hospital.example",
        ]
        await clients.swaks(
            here.listener.address, MESSAGE, "--tls", *named, sender=ANN, to=[BOB], source="127.0.7.1"
        )
        client = here.intake.accepted[0][0].client
        assert (client.ip, client.port) == ("192.0.2.7", 4711)


async def test_opensmtpd_hands_over(certificates: Certificates) -> None:
    async with world([LOCAL], certificates.settings()) as here:
        await clients.opensmtpd(here.listener.address, MESSAGE, sender=ANN, to=[BOB, EVE])
        assert here.intake.bodies == [MESSAGE]
        assert here.intake.accepted[0][0].client.protocol == "ESMTPS"


@pytest.mark.parametrize("login", [False, True])
async def test_nodemailer_hands_over(certificates: Certificates, login: bool) -> None:
    async with world([APPS if login else LOCAL], certificates.settings()) as here:
        said = await clients.nodemailer(
            here.listener.address, certificates.ca_file, MESSAGE, sender=ANN, to=[BOB, EVE], login=login
        )
        assert said.startswith("250 2.0.0 queued as ")
        assert here.intake.bodies == [MESSAGE]


async def test_exim_hands_over_by_bdat(certificates: Certificates) -> None:
    async with world([LOCAL], certificates.settings()) as here:
        log = await clients.exim(
            here.listener.address, certificates.ca_file, MESSAGE, sender=ANN, to=[BOB, EVE]
        )
        assert re.search(r"=> bob@partner\.example .* CV=yes .* K C=\"250 2\.0\.0 queued", log), log
        (body,) = here.intake.bodies
        assert body.endswith(MESSAGE), "only Exim's trace is on top"
        assert b"Received: " in body[: -len(MESSAGE)]
