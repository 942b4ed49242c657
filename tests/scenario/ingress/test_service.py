"""A service listener: from anybody, reports to addresses that we made; nothing else, whatever is tried."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.ingress.desk import Desk
from gateway.model.ids import message_id
from gateway.model.rate import Allowance, Rate
from gateway.wire.service_address import Purpose, ServiceAddresses, Ticket
from tests.fakes.ingress_world import LOCAL, NOW, RawClient, plain_settings, world

ADDRESSES = ServiceAddresses(bytes(range(32)))
DOMAIN = "gw.hospital.example"
DESK = Desk(ADDRESSES, frozenset({DOMAIN}))
TICKET = Ticket(Purpose.BOUNCE, message_id(1_772_600_000_000, b"\x07" * 7), 0)
OURS = str(ADDRESSES.address(TICKET, NOW, DOMAIN)).encode()
REPORT = b"From: MAILER-DAEMON@mx.example\r\nSubject: Undelivered\r\n\r\nno such user\r\n"


async def _begun(client: RawClient) -> RawClient:
    await client.hello()
    assert (await client.say(b"MAIL FROM:<>\r\n")).startswith(b"250 ")
    return client


async def test_a_report_to_an_address_of_ours_is_taken_from_anybody() -> None:
    async with world((), desk=DESK) as here:
        client = await here.client("127.0.0.9")
        await client.hello()
        assert (await client.message(REPORT, b"", OURS.upper())).startswith(b"250 ")
        ((envelope, content),) = here.intake.accepted
        assert envelope.origin == "bounce"
        assert envelope.client.connector == "service"
        assert envelope.sender is None
        assert REPORT in content
        await client.close()


async def test_what_strange_servers_write_is_read_all_the_same() -> None:
    """No From, two of them, bare line ends: nobody but the gateway reads it."""
    async with world((), desk=DESK) as here:
        client = await here.client()
        await client.hello()
        for content in (
            b"Subject: x\r\n\r\ny",
            b"From: a@x\r\nFrom: b@y\r\n\r\n",
            b"Subject: x\r\n\r\na\nb\r\n",
        ):
            assert (await client.message(content, b"", OURS)).startswith(b"250 ")
        await client.close()


@pytest.mark.parametrize(
    "recipient",
    [
        OURS.replace(b"gw.hospital.example", b"hospital.example"),
        OURS.replace(b"gw.hospital.example", b"[127.0.0.1]"),
        b"r" + OURS[1:],
        OURS[:5] + (b"0" if OURS[5:6] != b"0" else b"1") + OURS[6:],
        str(ServiceAddresses(bytes(32)).address(TICKET, NOW, DOMAIN)).encode(),
        str(ADDRESSES.address(TICKET, NOW - timedelta(days=1), DOMAIN)).encode(),
        b"bob@partner.example",
        b"ann@hospital.example",
        b"postmaster@gw.hospital.example",
        b"postmaster",
        b"@partner.example:" + OURS.replace(b"gw.hospital.example", b"partner.example"),
        OURS.replace(b"@", b"%a.example@"),
    ],
)
async def test_nothing_else_is_taken(recipient: bytes) -> None:
    async with world((), desk=DESK) as here:
        client = await _begun(await here.client())
        reply = await client.say(b"RCPT TO:<" + recipient + b">\r\n")
        assert reply == b"550 5.1.1 no such address here\r\n"
        assert (await client.say(b"DATA\r\n")).startswith(b"5")
        assert not here.intake.opened
        assert here.kinds == ["service-refused"]
        await client.close()


async def test_a_refused_recipient_does_not_spoil_the_others() -> None:
    async with world((), desk=DESK) as here:
        client = await _begun(await here.client())
        replies = await client.says(b"RCPT TO:<bob@partner.example>", b"RCPT TO:<" + OURS + b">", b"DATA")
        assert [reply[:3] for reply in replies] == [b"550", b"250", b"354"]
        assert (await client.say(REPORT + b".\r\n")).startswith(b"250 ")
        assert [str(one.address).encode() for one in here.intake.accepted[0][0].recipients] == [OURS]
        await client.close()


async def test_only_the_null_sender_sends_and_nobody_logs_in() -> None:
    async with world((), desk=DESK) as here:
        client = await here.client()
        greeting = await client.hello()
        assert b"AUTH" not in greeting
        assert (await client.say(b"MAIL FROM:<ann@hospital.example>\r\n")).startswith(
            b"550 5.7.1 relaying denied"
        )
        assert (await client.say(b"RCPT TO:<" + OURS + b">\r\n")).startswith(b"503 ")
        await client.close()


async def test_guessing_ends_the_session() -> None:
    async with world((), plain_settings(error_limit=5), desk=DESK) as here:
        client = await _begun(await here.client())
        client.writer.write(
            b"".join(b"RCPT TO:<b+%052d@gw.hospital.example>\r\n" % number for number in range(9))
        )
        rest = await client.rest()
        assert rest.count(b"550 5.1.1") == 4
        assert rest.endswith(b"421 4.7.0 too many addresses that are not ours\r\n")
        await client.close()


async def test_it_has_limits_of_its_own() -> None:
    settings = plain_settings(size_limit=1000, client_allowance=Allowance(messages=Rate(1, 3600)))
    async with world((), settings, desk=DESK) as here:
        client = await here.client()
        assert b"SIZE 1000\r\n" in await client.hello()
        assert (await client.message(b"Subject: x\r\n\r\n" + b"y" * 2000, b"", OURS)).startswith(b"552 ")
        assert (await client.message(REPORT, b"", OURS)).startswith(b"250 ")
        assert (await client.message(REPORT, b"", OURS)).startswith(b"451 4.7.1 this client")
        await client.close()


async def test_a_reload_of_the_connectors_lets_nobody_in() -> None:
    async with world((), desk=DESK) as here:
        here.listener.use_connectors([LOCAL])
        client = await here.client()
        await client.hello()
        assert (await client.say(b"MAIL FROM:<ann@hospital.example>\r\n")).startswith(b"550 5.7.1")
        await client.close()
