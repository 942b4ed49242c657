"""AUTH on a real socket under real TLS: aiosmtplib as the client, right and wrong passwords, limits."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import aiosmtplib
import argon2
import msgspec
import pytest

from gateway.ingress.connector import Connector, Connectors, User
from gateway.ingress.login import LoginCheck
from gateway.wire.scram import make_verifier
from gateway.wire.smtp_server_actions import Login, Refused
from tests.fakes.ingress_world import HEADER, Certificates, RawClient, world
from tests.fakes.scram_client import ScramClient

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
    check = LoginCheck(b"s" * 32)
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
    check = LoginCheck(b"s" * 32)
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


SCRAM = Connector(
    name="apps",
    kind="login",
    domains=("hospital.example",),
    users=(User("printer", str(make_verifier("geheim", b"salt of sixteen.", 5000))),),
)


async def scram(client: RawClient, login: ScramClient) -> bytes:
    """The last reply."""
    name = "SCRAM-SHA-256-PLUS" if login.binding else "SCRAM-SHA-256"
    challenge = await client.say(f"AUTH {name} ".encode() + encoded(login.first()))
    if not challenge.startswith(b"334 "):
        return challenge
    answer = await client.say(encoded(login.final(decoded(challenge))))
    if not answer.startswith(b"334 "):
        return answer
    login.check(decoded(answer))
    return await client.say(b"\r\n")


def encoded(message: str) -> bytes:
    return base64.b64encode(message.encode()) + b"\r\n"


def decoded(reply: bytes) -> str:
    return base64.b64decode(reply[4:]).decode()


async def test_scram_logs_in_without_the_password_and_so_does_plain(certificates: Certificates) -> None:
    async with world([SCRAM], certificates.settings()) as here:
        client = await tls_client(here.listener.address, certificates)
        greeting = await client.say(b"EHLO client.hospital.example\r\n")
        assert b"AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN\r\n" in greeting
        assert (await scram(client, ScramClient("printer", "geheim"))).startswith(b"235 2.7.0 ")
        assert (await client.message(HEADER)).startswith(b"250 ")
        assert here.intake.accepted[0][0].client.authenticated_as == "printer"
        await client.close()
        other = await tls_client(here.listener.address, certificates)
        assert (await other.say(plain("printer", "geheim"))).startswith(b"235 ")
        await other.close()


async def test_scram_tells_strangers_nothing_and_counts_failures(certificates: Certificates) -> None:
    async with world([SCRAM], certificates.settings()) as here:
        client = await tls_client(here.listener.address, certificates)
        unknown = [ScramClient("nobody", "x"), ScramClient("nobody", "y")]
        replies = [await scram(client, login) for login in unknown]
        assert replies == [b"535 5.7.8 authentication failed: wrong user name or password\r\n"] * 2
        assert unknown[0].salt == unknown[1].salt, "as a user's salt would be"
        assert (unknown[0].iterations, len(unknown[0].salt)) == (5000, 16)
        assert (await scram(client, ScramClient("printer", "wrong"))).startswith(b"421 4.7.0 ")
        assert here.kinds == ["auth-failed"] * 3
        assert "geheim" not in str(here.incidents)
        await client.close()


async def test_scram_is_not_offered_where_a_user_has_only_a_hash(certificates: Certificates) -> None:
    mixed = msgspec.structs.replace(SCRAM, users=(*SCRAM.users, *APPS.users[1:]))
    async with world([mixed], certificates.settings()) as here:
        client = await tls_client(here.listener.address, certificates)
        assert b"AUTH PLAIN LOGIN\r\n" in await client.say(b"EHLO x.example\r\n")
        assert (await scram(client, ScramClient("printer", "geheim"))).startswith(b"504 ")
        assert (await client.say(plain("scanner", "anders"))).startswith(b"235 ")
        await client.close()


def test_a_verifier_that_is_none_is_found_when_connectors_are_read() -> None:
    with pytest.raises(ValueError, match="SCRAM"):
        Connectors([msgspec.structs.replace(SCRAM, users=(User("x", "SCRAM-SHA-256$4096:!$x:y"),))])


async def tls_client(address: tuple[str, int], certificates: Certificates) -> RawClient:
    client = RawClient(*await asyncio.open_connection(*address))
    await client.hello()
    await client.start_tls(certificates.client_context())
    await client.say(b"EHLO client.hospital.example\r\n")
    return client
