"""Proxies in front of a listener: who they name is who counts; nobody else may name anybody."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from gateway.ingress.connector import Connector
from gateway.ingress.settings import Timers
from tests.fakes.ingress_world import HEADER, Certificates, plain_settings, world

OFFICE = Connector(name="office", kind="smtp", domains=("hospital.example",), networks=("192.0.2.0/24",))
PROXY, ELSEWHERE = "127.0.7.1", "127.0.8.1"
NAMED = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\n"
STRANGER = b"PROXY TCP4 203.0.113.7 198.51.100.1 4711 25\r\n"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(Path(tmp_path_factory.mktemp("certificates")))


async def test_the_client_that_proxy_names_is_the_client() -> None:
    settings = plain_settings(proxies=("127.0.7.0/24",), sessions_per_client=1)
    async with world([OFFICE], settings) as here:
        client = await here.client(PROXY)
        other = await here.client(PROXY)
        for one, header in ((client, NAMED), (other, STRANGER)):
            for octet in header:
                one.writer.write(bytes((octet,)))
            await one.hello()
        assert (await client.message(HEADER)).startswith(b"250 ")
        assert (await other.message(HEADER)).startswith(b"550 5.7.1 ")
        seen = here.intake.accepted[0][0].client
        assert (seen.ip, seen.port, seen.connector) == ("192.0.2.7", 4711, "office")
        third = await here.client(PROXY)
        assert (await third.say(NAMED)).startswith(b"421 "), "limits are the client's, not the proxy's"
        for one in (client, other, third):
            await one.close()


@pytest.mark.parametrize(
    "spoken", [b"EHLO x\r\n", b"PROXY TCP4 x\r\n", b"\x16\x03\x01\x02\x00\x01", b"PROXY UNKNOWN\r\n" + NAMED]
)
async def test_a_proxy_that_names_nobody_rightly_gets_nowhere(spoken: bytes) -> None:
    async with world([OFFICE], plain_settings(proxies=("127.0.7.0/24",))) as here:
        client = await here.client(PROXY)
        client.writer.write(spoken)
        try:
            said = await client.rest()
        except ConnectionError:
            said = b""
        assert b"220" not in said
        assert here.kinds == ["protocol-abuse"]
        await client.close()


async def test_a_proxy_that_says_nothing_is_cut_off() -> None:
    settings = plain_settings(
        proxies=("127.0.7.0/24",), timers=msgspec.structs.replace(Timers(), introduction=0.05)
    )
    async with world([OFFICE], settings) as here:
        client = await here.client(PROXY)
        assert await client.rest() == b""
        assert here.kinds == ["timeout"]
        await client.close()


async def test_nobody_else_may_say_proxy() -> None:
    async with world([OFFICE], plain_settings(proxies=("127.0.7.0/24",))) as here:
        client = await here.client(ELSEWHERE)
        assert (await client.reply()).startswith(b"220 ")
        assert (await client.say(NAMED)).startswith(b"500 ")
        assert (await client.say(b"EHLO x.example\r\n")).startswith(b"250")
        assert (await client.message(HEADER)).startswith(b"550 5.7.1 ")
        await client.close()


async def test_proxy_comes_before_implicit_tls(certificates: Certificates) -> None:
    settings = certificates.settings("implicit", proxies=("127.0.7.0/24",))
    async with world([OFFICE], settings) as here:
        client = await here.client(PROXY)
        client.writer.write(NAMED)
        context = certificates.client_context()
        await client.writer.start_tls(context, server_hostname="gw.hospital.example")
        await client.hello()
        assert (await client.message(HEADER)).startswith(b"250 ")
        assert here.intake.accepted[0][0].client.protocol == "ESMTPS"
        await client.close()


async def test_xclient_makes_it_another_client_who_may_not_say_it_again() -> None:
    async with world([OFFICE], plain_settings(xclients=("127.0.7.0/24",))) as here:
        client = await here.client(PROXY)
        assert b"XCLIENT" in await client.hello()
        assert (await client.message(HEADER)).startswith(b"550 "), "a proxy is no client of ours itself"
        assert (await client.say(b"XCLIENT ADDR=192.0.2.7 PORT=4711\r\n")).startswith(b"220 ")
        assert b"XCLIENT" not in await client.say(b"EHLO client.hospital.example\r\n")
        assert (await client.message(HEADER)).startswith(b"250 ")
        seen = here.intake.accepted[0][0].client
        assert (seen.ip, seen.port) == ("192.0.2.7", 4711)
        assert (await client.say(b"XCLIENT ADDR=192.0.2.8\r\n")).startswith(b"550 "), (
            "the client behind says so"
        )
        await client.close()

        stranger = await here.client(ELSEWHERE)
        assert b"XCLIENT" not in await stranger.hello()
        assert (await stranger.say(b"XCLIENT ADDR=192.0.2.7\r\n")).startswith(b"550 ")
        await stranger.close()


async def test_what_the_proxy_has_proved_is_not_its_clients(certificates: Certificates) -> None:
    from cryptography.x509.oid import ExtendedKeyUsageOID

    file, key, fingerprint = certificates.issue("proxy.hospital.example", ExtendedKeyUsageOID.CLIENT_AUTH)
    known = Connector(name="proxy", kind="smtp", domains=("hospital.example",), certificates=(fingerprint,))
    async with world([known], certificates.settings(xclients=("127.0.7.0/24",))) as here:
        client = await here.client(PROXY)
        await client.hello()
        await client.start_tls(certificates.client_context(file, key))
        await client.say(b"EHLO proxy.hospital.example\r\n")
        assert (await client.message(HEADER)).startswith(b"250 ")
        assert (await client.say(b"XCLIENT ADDR=203.0.113.7\r\n")).startswith(b"220 ")
        await client.say(b"EHLO x.example\r\n")
        assert (await client.message(HEADER)).startswith(b"550 5.7.1 ")
        await client.close()


async def test_sessions_that_wait_for_proxy_end_with_the_listener() -> None:
    async with world([OFFICE], plain_settings(proxies=("127.0.7.0/24",))) as here:
        client = await here.client(PROXY)
        waiting = asyncio.ensure_future(client.rest())
    assert b"220" not in await waiting
    await client.close()
