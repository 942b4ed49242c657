"""AUTH on a real socket under real TLS: aiosmtplib as the client, right and wrong passwords, limits."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import aiosmtplib
import argon2
import pytest

from gateway.ingress.connector import Connector, User
from gateway.ingress.login import LoginCheck
from gateway.wire.smtp_server_actions import Login, Refused
from tests.fakes.ingress_world import HEADER, Certificates, RawClient, world

CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
APPS = Connector(
    name="apps",
    kind="login",
    domains=("hospital.example",),
    users=(User("printer", CHEAP.hash("geheim")), User("scanner", CHEAP.hash("anders"))),
)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(Path(tmp_path_factory.mktemp("certificates")))


def plain(user: str, password: str) -> bytes:
    return b"AUTH PLAIN " + base64.b64encode(f"\0{user}\0{password}".encode()) + b"\r\n"


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_aiosmtplib_logs_in_and_sends(certificates: Certificates, tls: str) -> None:
    async with world([APPS], certificates.settings(tls)) as here:
        host, port = here.listener.address
        client = aiosmtplib.SMTP(
            hostname=host,
            port=port,
            start_tls=tls == "starttls",
            use_tls=tls == "implicit",
            tls_context=certificates.client_context(),
            username="printer",
            password="geheim",
            local_hostname="printer.hospital.example",
        )
        async with client:
            for _ in range(2):
                refused, reply = await client.sendmail(
                    "ann@hospital.example",
                    ["bob@partner.example", "eve@partner.example"],
                    HEADER + b"\r\n.dot\r\n",
                    mail_options=["RET=FULL"],
                )
                assert refused == {}
                assert reply.startswith("2.0.0 queued as ")
        envelope, content = here.intake.accepted[0]
        assert here.intake.bodies[0] == HEADER + b"\r\n.dot\r\n"
        assert envelope.client.authenticated_as == "printer"
        assert envelope.client.connector == "apps"
        assert envelope.client.protocol == "ESMTPSA"
        assert b"with ESMTPSA (TLSv1.3 TLS_" in content
        assert b"for <" not in content


async def test_wrong_passwords_and_unknown_users_are_told_the_same(certificates: Certificates) -> None:
    async with world([APPS], certificates.settings()) as here:
        client = await tls_client(here.listener.address, certificates)
        wrong = await client.say(plain("printer", "wrong"))
        unknown = await client.say(plain("nobody", "geheim"))
        assert wrong == unknown == b"535 5.7.8 authentication failed: wrong user name or password\r\n"
        assert (await client.message(HEADER)).startswith(b"530 5.7.0 authentication required")
        assert (await client.say(plain("printer", "anders"))).startswith(b"421 4.7.0 ")
        assert await client.rest() == b""
        assert here.kinds == ["auth-failed", "auth-failed", "relay-denied", "auth-failed"]
        assert "geheim" not in str(here.incidents)
        await client.close()


async def test_a_login_is_bound_to_its_connectors_domains(certificates: Certificates) -> None:
    async with world([APPS], certificates.settings()) as here:
        client = await tls_client(here.listener.address, certificates)
        assert (await client.say(plain("scanner", "anders"))).startswith(b"235 2.7.0 ")
        assert (await client.message(HEADER, b"eve@evil.example")).startswith(b"550 5.7.1 ")
        assert (await client.message(b"From: eve@evil.example\r\n")).startswith(b"550 5.7.1 ")
        assert (await client.message(HEADER)).startswith(b"250 ")
        await client.close()


async def test_auth_is_neither_offered_nor_taken_in_the_clear(certificates: Certificates) -> None:
    async with world([APPS], certificates.settings()) as here:
        client = RawClient(*await asyncio.open_connection(*here.listener.address))
        assert b"AUTH" not in await client.hello()
        assert (await client.say(plain("printer", "geheim"))).startswith(b"538 5.7.11 ")
        assert here.kinds == []
        await client.close()


async def test_a_session_that_logs_in_does_not_hold_up_the_others(certificates: Certificates) -> None:
    async with world([APPS], certificates.settings()) as here:
        clients = [await tls_client(here.listener.address, certificates) for _ in range(4)]
        replies = await asyncio.gather(*(client.say(plain("printer", "geheim")) for client in clients))
        assert all(reply.startswith(b"235 ") for reply in replies)
        for client in clients:
            await client.close()


async def test_too_many_failures_from_one_address_are_not_even_looked_at() -> None:
    check = LoginCheck()
    try:
        for _ in range(20):
            found = await check.check(Login("printer", "wrong"), (APPS,), "192.0.2.1")
            assert isinstance(found, Refused)
            assert found.code == 535
        throttled = await check.check(Login("printer", "geheim"), (APPS,), "192.0.2.1")
        assert isinstance(throttled, Refused)
        assert throttled.code == 454
        assert await check.check(Login("printer", "geheim"), (APPS,), "192.0.2.2") == APPS
    finally:
        check.close()


async def test_endless_passwords_and_broken_hashes_are_wrong_and_nothing_else() -> None:
    broken = Connector(name="b", kind="login", domains=(), users=(User("x", "no hash"),))
    check = LoginCheck()
    try:
        for login, connectors in (
            (Login("printer", "x" * 10_000), (APPS,)),
            (Login("x", "geheim"), (broken,)),
            (Login("printer", "geheim"), ()),
        ):
            found = await check.check(login, connectors, "192.0.2.1")
            assert isinstance(found, Refused)
            assert found.code == 535
    finally:
        check.close()


async def tls_client(address: tuple[str, int], certificates: Certificates) -> RawClient:
    client = RawClient(*await asyncio.open_connection(*address))
    await client.hello()
    await client.start_tls(certificates.client_context())
    await client.say(b"EHLO client.hospital.example\r\n")
    return client
