"""Attempts to relay: strangers, wrong senders, disguised authors, words before STARTTLS. None gets through."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from gateway.ingress.connector import Connector
from gateway.ingress.listener import ListenerError
from tests.fakes.ingress_world import HEADER, LOCAL, Certificates, plain_settings, world
from tests.unit.ingress.test_author import DISGUISES

LAN = Connector(name="lan", kind="smtp", domains=("hospital.example",), networks=("127.0.0.1/32",))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(Path(tmp_path_factory.mktemp("certificates")))


async def test_a_stranger_is_refused_at_mail_even_with_our_own_addresses() -> None:
    async with world([LAN]) as here:
        client = await here.client("127.0.0.2")
        await client.hello()
        for sender in (b"ann@hospital.example", b"eve@evil.example", b""):
            assert (await client.message(HEADER, sender)).startswith(b"550 5.7.1 relaying denied")
        assert (await client.says(b"RCPT TO:<bob@partner.example>", b"DATA"))[0].startswith(b"503 ")
        assert here.kinds == ["relay-denied"] * 3
        assert here.intake.opened == []
        await client.close()


async def test_a_client_of_ours_cannot_send_for_another_domain() -> None:
    async with world([LAN]) as here:
        client = await here.client()
        await client.hello()
        for sender in (
            b"eve@evil.example",
            b"ann@sub.hospital.example",
            b"ann@[127.0.0.1]",
            b"postmaster",
            b"",
        ):
            assert (await client.message(HEADER, sender)).startswith(b"550 5.7.1 ")
        assert (await client.message(HEADER, b"@hospital.example:eve@evil.example")).startswith(b"550 5.7.1 ")
        assert (await client.message(HEADER)).startswith(b"250 ")
        await client.close()


@pytest.mark.parametrize("name", DISGUISES)
async def test_a_disguised_author_is_refused_after_the_dot(name: str) -> None:
    async with world([LOCAL]) as here:
        client = await here.client()
        await client.hello()
        for sender in (b"ann@hospital.example", b""):
            reply = await client.message(DISGUISES[name] + b"Subject: x\r\n\r\nhi", sender)
            assert reply.startswith((b"550 5.7.1 ", b"550 5.5.2 ")), reply
        assert (await client.message(HEADER)).startswith(b"250 ")
        assert len(here.intake.accepted) == 1
        assert all(body.abandoned for body in here.intake.opened[:-1])
        await client.close()


async def test_a_null_sender_still_needs_an_author_of_ours() -> None:
    async with world([LOCAL]) as here:
        client = await here.client()
        await client.hello()
        assert (await client.message(HEADER, b"")).startswith(b"250 ")
        assert (await client.message(b"From: eve@evil.example\r\n", b"")).startswith(b"550 5.7.1 ")
        assert here.intake.accepted[0][0].sender is None
        assert here.kinds == ["author-refused"]
        await client.close()


async def test_from_decides_between_two_tenants_behind_one_address() -> None:
    lab = Connector(
        name="lab", kind="smtp", domains=("lab.example",), networks=("127.0.0.0/8",), null_sender="allow"
    )
    async with world([LOCAL, lab]) as here:
        client = await here.client()
        await client.hello()
        assert (await client.message(b"From: x@lab.example\r\n", b"")).startswith(b"250 ")
        assert (await client.message(b"From: x@hospital.example\r\n", b"")).startswith(b"250 ")
        assert (await client.message(b"From: x@lab.example, y@hospital.example\r\n", b"")).startswith(b"550 ")
        assert (await client.message(b"From: x@lab.example\r\n", b"ann@hospital.example")).startswith(b"550 ")
        assert [envelope.client.connector for envelope, _ in here.intake.accepted] == ["lab", "local"]
        await client.close()


async def test_words_before_starttls_are_forgotten_and_octets_after_it_end_the_session(
    certificates: Certificates,
) -> None:
    strict = Connector(
        name="s", kind="smtp", domains=("hospital.example",), networks=("127.0.0.0/8",), require_tls=True
    )
    async with world([strict], certificates.settings()) as here:
        client = await here.client()
        await client.hello()
        assert (await client.message(HEADER)).startswith(b"530 5.7.0 ")
        client.writer.write(
            b"STARTTLS\r\nMAIL FROM:<ann@hospital.example>\r\nRCPT TO:<bob@partner.example>\r\n"
        )
        assert (await client.rest()).startswith(b"554 5.5.0 ")
        assert "starttls-injection" in here.kinds
        await client.close()

        client = await here.client()
        await client.hello()
        await client.start_tls(certificates.client_context())
        assert (await client.say(b"MAIL FROM:<ann@hospital.example>\r\n")).startswith(
            b"503 5.5.1 say EHLO first"
        )
        await client.say(b"EHLO client.hospital.example\r\n")
        assert (await client.message(HEADER)).startswith(b"250 ")
        assert here.intake.accepted[0][0].client.protocol == "ESMTPS"
        await client.close()


async def test_octets_in_the_clear_after_the_220_never_reach_the_dialogue(certificates: Certificates) -> None:
    async with world([LOCAL], certificates.settings()) as here:
        client = await here.client()
        await client.hello()
        assert (await client.say(b"STARTTLS\r\n")).startswith(b"220 ")
        client.writer.write(b"MAIL FROM:<ann@hospital.example>\r\nRCPT TO:<bob@partner.example>\r\n")
        assert b"250" not in await client.rest()
        assert here.kinds == ["tls-failed"]
        await client.close()


async def test_whoever_speaks_before_the_greeting_is_sent_away() -> None:
    async with world([LOCAL]) as here:
        # Without the event loop in between, so that the octets are there before anyone can greet.
        with socket.create_connection(here.listener.address) as early:
            early.sendall(b"EHLO x\r\n")
            early.setblocking(False)
            reader, writer = await asyncio.open_connection(sock=early)
            assert (await reader.read()).startswith(b"554 5.5.0 ")
            writer.close()
            await writer.wait_closed()
        assert here.kinds == ["protocol-abuse"]


async def test_a_web_browser_is_sent_away() -> None:
    async with world([LOCAL]) as here:
        client = await here.client()
        assert (await client.reply()).startswith(b"220 ")
        client.writer.write(
            b"POST / HTTP/1.1\r\nHost: gw\r\n\r\nEHLO x\r\nMAIL FROM:<ann@hospital.example>\r\n"
        )
        assert (await client.rest()).startswith(b"554 5.5.0 ")
        assert here.kinds == ["protocol-abuse"]
        await client.close()


async def test_a_client_certificate_counts_by_its_fingerprint_and_needs_no_purpose(
    certificates: Certificates,
) -> None:
    for_servers, key, fingerprint = certificates.issue(
        "mail.partner.example", ExtendedKeyUsageOID.SERVER_AUTH
    )
    other, other_key, _ = certificates.issue("mail.evil.example", ExtendedKeyUsageOID.CLIENT_AUTH)
    partner = Connector(name="p", kind="smtp", domains=("hospital.example",), certificates=(fingerprint,))
    async with world([partner], certificates.settings()) as here:
        client = await here.client()
        await client.hello()
        assert (await client.message(HEADER)).startswith(b"530 5.7.0 ")
        await client.start_tls(certificates.client_context())
        await client.say(b"EHLO x\r\n")
        assert (await client.message(HEADER)).startswith(b"550 5.7.1 ")
        await client.close()
        for file, file_key, code in ((for_servers, key, b"250 "), (other, other_key, b"550 ")):
            client = await here.client()
            await client.hello()
            await client.start_tls(certificates.client_context(file, file_key))
            await client.say(b"EHLO x\r\n")
            assert (await client.message(HEADER)).startswith(code)
            await client.close()
        tls = here.intake.accepted[0][0].client.tls
        assert tls is not None
        assert tls.version == "TLSv1.3"
        assert len(tls.chain) == 1


async def test_rules_can_change_while_sessions_are_open() -> None:
    async with world([LAN]) as here:
        client = await here.client("127.0.0.2")
        await client.hello()
        assert (await client.message(HEADER)).startswith(b"550 ")
        here.listener.use_connectors([LOCAL])
        assert (await client.message(HEADER)).startswith(b"250 ")
        here.listener.use_connectors([])
        assert (await client.message(HEADER)).startswith(b"550 ")
        await client.close()


async def test_settings_unfit_for_the_world_are_not_opened() -> None:
    with pytest.raises(ListenerError, match="loopback"):
        async with world([LAN], plain_settings(host="0.0.0.0")):
            pass
    with pytest.raises(ListenerError, match="certificate"):
        async with world([LAN], plain_settings(tls="starttls")):
            pass
