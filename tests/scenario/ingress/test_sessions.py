"""A listener on a real socket: messages in, with everything that a mail server may send."""

from __future__ import annotations

import asyncio

import pytest

from gateway.ingress.connector import Connector
from gateway.ingress.intake import IntakeUnavailable
from gateway.model.address import Address
from gateway.model.envelope import Recipient
from gateway.model.problem import Problem
from gateway.wire.smtp_server_data import Newlines
from tests.fakes.ingress_world import HEADER, LOCAL, plain_settings, world
from tests.unit.wire.test_smtp_server_data import FALSE_ENDS, SMUGGLED


async def test_a_message_is_accepted_byte_for_byte_below_our_trace() -> None:
    async with world() as here:
        client = await here.client()
        await client.hello()
        body = HEADER + b"X-8bit: \xe4\r\n\r\n..leading dot\r\n" + b"x" * 3000 + b"\r\n"
        assert (
            await client.message(body[:-2])
            == b"250 2.0.0 queued as " + here.intake.accepted[0][0].id.encode() + b"\r\n"
        )
        envelope, content = here.intake.accepted[0]
        assert here.intake.bodies == [body.replace(b"\n..", b"\n.")]
        assert content.startswith(
            b"Received: from client.hospital.example ([127.0.0.1])\r\n\tby gw.hospital.example"
        )
        assert envelope.sender == Address("ann", "hospital.example")
        assert envelope.recipients == (Recipient(Address("bob", "partner.example")),)
        assert (envelope.client.connector, envelope.client.listener, envelope.client.protocol) == (
            "local",
            "inside",
            "ESMTP",
        )
        assert await client.say(b"QUIT\r\n") == b"221 2.0.0 goodbye\r\n"
        assert await client.rest() == b""
        await client.close()


async def test_dsn_parameters_and_the_rest_of_the_envelope_arrive_as_sent() -> None:
    async with world() as here:
        client = await here.client()
        await client.hello()
        await client.says(
            b"MAIL FROM:<ann@hospital.example> RET=HDRS ENVID=AbC+2B BODY=8BITMIME SMTPUTF8 SIZE=100",
            "RCPT TO:<bäb@partner.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Bob+2Bx@partner.example".encode(),
            b"RCPT TO:<eve@partner.example> NOTIFY=NEVER",
            b"RCPT TO:<eve@partner.example> NOTIFY=NEVER",
            b"DATA",
        )
        await client.say(HEADER + b"\r\n.\r\n")
        envelope, _ = here.intake.accepted[0]
        assert (envelope.ret, envelope.envid, envelope.body_type, envelope.smtputf8) == (
            "HDRS",
            "AbC+2B",
            "8BITMIME",
            True,
        )
        assert envelope.recipients == (
            Recipient(
                Address("bäb", "partner.example"), ("SUCCESS", "DELAY"), "rfc822;Bob+2Bx@partner.example"
            ),
            Recipient(Address("eve", "partner.example"), ("NEVER",)),
        )
        assert envelope.client.protocol == "UTF8SMTP"
        await client.close()


async def test_pipelined_messages_by_data_and_by_chunks() -> None:
    async with world() as here:
        client = await here.client()
        await client.hello()
        envelope = b"MAIL FROM:<ann@hospital.example>\r\nRCPT TO:<bob@partner.example>\r\n"
        message = HEADER + b"\r\nhello\r\n"
        client.writer.write(envelope + b"DATA\r\n")
        assert [(await client.reply())[:3] for _ in range(3)] == [b"250", b"250", b"354"]
        client.writer.write(
            message + b".\r\n" + envelope + b"BDAT %d LAST\r\n" % len(message) + message + b"QUIT\r\n"
        )
        assert [(await client.reply())[:3] for _ in range(5)] == [b"250"] * 4 + [b"221"]
        assert here.intake.bodies == [message, message]
        await client.close()


async def test_a_large_message_goes_through_in_pieces() -> None:
    async with world() as here:
        client = await here.client()
        await client.hello()
        body = HEADER + b"\r\n" + (b"y" * 70 + b"\r\n") * 120_000
        assert (await client.message(body[:-2])).startswith(b"250 ")
        assert here.intake.bodies == [body]
        assert len(here.intake.opened[0].chunks) > 1
        await client.close()


async def test_the_bare_postmaster_is_ours_to_answer() -> None:
    async with world(settings=plain_settings(postmaster=Address("pm", "hospital.example"))) as here:
        client = await here.client()
        await client.hello()
        assert (await client.message(HEADER, b"ann@hospital.example", b"postmaster")).startswith(b"250 ")
        assert here.intake.accepted[0][0].recipients == (Recipient(Address("pm", "hospital.example")),)
        await client.close()


@pytest.mark.parametrize(
    ("problem", "reply"),
    [
        (Problem("4.3.1", "no room"), b"452 4.3.1 no room\r\n"),
        (Problem("4.3.0", "later"), b"451 4.3.0 later\r\n"),
    ],
)
async def test_an_intake_that_cannot_take_it_is_a_temporary_failure(problem: Problem, reply: bytes) -> None:
    async with world() as here:
        client = await here.client()
        await client.hello()
        here.intake.no_body = problem
        assert await client.message(HEADER) == reply
        here.intake.no_body = None
        here.intake.trouble = IntakeUnavailable(problem)
        assert await client.message(HEADER) == reply
        here.intake.trouble = RuntimeError("disk on fire")
        assert (await client.message(HEADER)).startswith(b"451 4.3.0 ")
        here.intake.trouble = None
        assert (await client.message(HEADER)).startswith(b"250 ")
        assert len(here.intake.accepted) == 1
        assert here.kinds == ["intake-unavailable", "intake-unavailable", "bug"]
        assert b"fire" not in await client.say(b"NOOP\r\n")
        await client.close()


async def test_a_disk_that_fills_up_while_writing_abandons_the_body() -> None:
    async with world(settings=plain_settings(backlog_limit=1000)) as here:
        here.intake.full_after = 20_000
        client = await here.client()
        await client.hello()
        assert await client.message(HEADER + b"\r\n" + b"z" * 100_000) == b"452 4.3.1 no room\r\n"
        assert len(here.intake.abandoned) == 1
        assert (await client.message(HEADER)).startswith(b"250 ")
        await client.close()


async def test_a_client_that_goes_before_the_reply_leaves_its_message_with_us() -> None:
    async with world() as here:
        client = await here.client()
        await client.hello()
        here.intake.commit.clear()
        await client.says(b"MAIL FROM:<ann@hospital.example>", b"RCPT TO:<bob@partner.example>", b"DATA")
        client.writer.write(HEADER + b"\r\nx\r\n.\r\n")
        await here.intake.committing.wait()
        await client.close()
        here.intake.commit.set()
        await here.intake.happened.wait()
        assert len(here.intake.accepted) == 1


async def test_a_client_that_goes_in_mid_content_leaves_nothing() -> None:
    async with world() as here:
        client = await here.client()
        await client.hello()
        await client.says(b"MAIL FROM:<ann@hospital.example>", b"RCPT TO:<bob@partner.example>", b"DATA")
        client.writer.write(HEADER + b"\r\nx\r\n")
        await client.writer.drain()
        await client.close()
        await here.intake.happened.wait()
        assert len(here.intake.abandoned) == 1
        assert here.intake.accepted == []


async def test_a_client_that_closes_its_side_after_the_dot_still_gets_its_answer() -> None:
    async with world() as here:
        client = await here.client()
        await client.hello()
        here.intake.commit.clear()
        await client.says(b"MAIL FROM:<ann@hospital.example>", b"RCPT TO:<bob@partner.example>", b"DATA")
        client.writer.write(HEADER + b"\r\nx\r\n.\r\n")
        client.writer.write_eof()
        await here.intake.committing.wait()
        here.intake.commit.set()
        assert (await client.reply()).startswith(b"250 ")
        assert await client.rest() == b""
        await client.close()


@pytest.mark.parametrize("false_end", FALSE_ENDS)
async def test_smuggling_is_refused_or_repaired_to_exactly_one_message(false_end: bytes) -> None:
    lenient = Connector(
        name="lenient",
        kind="smtp",
        domains=("hospital.example",),
        networks=("127.0.0.2/32",),
        bare_newlines=Newlines.NORMALIZE,
    )
    strict = Connector(name="strict", kind="smtp", domains=("hospital.example",), networks=("127.0.0.1/32",))
    content = HEADER + b"\r\nhi" + false_end + SMUGGLED.replace(b"ceo@x", b"ann@hospital")
    async with world([lenient, strict]) as here:
        client = await here.client("127.0.0.1")
        await client.hello()
        assert (await client.message(content)).startswith(b"550 5.5.2 ")
        assert (await client.say(b"NOOP\r\n")).startswith(b"250 ")
        assert here.intake.accepted == []
        await client.close()
        client = await here.client("127.0.0.2")
        await client.hello()
        assert (await client.message(content)).startswith(b"250 ")
        assert (await client.say(b"NOOP\r\n")).startswith(b"250 ")
        assert len(here.intake.accepted) == 1
        body = here.intake.bodies[0]
        assert body.count(b"\r") == body.count(b"\n") == body.count(b"\r\n")
        await client.close()


async def test_two_listeners_clients_do_not_disturb_each_other() -> None:
    async with world([LOCAL]) as here:
        clients = [await here.client() for _ in range(10)]

        async def work(number: int) -> None:
            client = clients[number]
            await client.hello()
            for turn in range(5):
                assert (await client.message(HEADER + b"\r\n%d.%d" % (number, turn))).startswith(b"250 ")
            await client.close()

        await asyncio.gather(*map(work, range(10)))
        assert sorted(body[len(HEADER) + 2 : -2] for body in here.intake.bodies) == sorted(
            b"%d.%d" % (number, turn) for number in range(10) for turn in range(5)
        )
        assert len({envelope.id for envelope, _ in here.intake.accepted}) == 50
