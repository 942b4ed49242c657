"""A mailbox sends far more than people write: it is held, nothing is lost, others' mail goes on, a person clears it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator

import pytest

from gateway.demo.cast import GATEWAY_HOST, SENDER
from tests.scenario.gateway.conftest import World, letter

BURST = 240
LIMIT = 30  # an hour
SESSIONS = 4
VICTIM = "eve.mallow@hospital.example"
ONTO = "anna@good.example"


async def _session(world: World, count: int) -> list[bytes]:
    """Hand messages in as fast as one session goes; the answers to their ends."""
    context = ssl.create_default_context(cafile=str(world.stage.ca_file))
    reader, writer = await asyncio.open_connection(world.stage.address, world.stage.port)
    await reader.readline()
    for command in (b"EHLO mail.hospital.example\r\n", b"STARTTLS\r\n"):
        writer.write(command)
        while (await reader.readline())[3:4] == b"-":
            pass
    await writer.start_tls(context, server_hostname=GATEWAY_HOST)
    writer.write(b"EHLO mail.hospital.example\r\n")
    while (await reader.readline())[3:4] == b"-":
        pass
    begin = b"MAIL FROM:<%b>\r\nRCPT TO:<%b>\r\nDATA\r\n" % (VICTIM.encode(), ONTO.encode())
    content = letter(ONTO, author=VICTIM).replace(b"\r\n.", b"\r\n..") + b".\r\n"
    replies = []
    for _ in range(count):
        writer.write(begin)
        answers = [await reader.readline() for _ in range(3)]
        assert answers[2].startswith(b"354")
        writer.write(content)
        replies.append(await reader.readline())
    writer.close()
    await writer.wait_closed()
    return replies


@pytest.fixture
async def world(quiet_world: World) -> AsyncIterator[World]:
    file = quiet_world.stage.config_file
    file.write_text(f'{file.read_text()}\n[limits]\nsender_messages = "{LIMIT}/h"\n')
    await quiet_world.start()
    yield quiet_world
    await quiet_world.stop()


async def test_a_burst_is_held_and_others_mail_goes_on_and_an_operator_clears_it(world: World) -> None:
    bursts = [asyncio.create_task(_session(world, BURST // SESSIONS)) for _ in range(SESSIONS)]
    await world.submit(letter(ONTO, subject="from another"), ONTO)
    await world.internet.postbox.until(lambda arrived: any(one.sender == SENDER for one in arrived))
    under_way = not all(burst.done() for burst in bursts)
    replies = [reply for burst in bursts for reply in await burst]

    assert len(replies) == BURST
    assert {reply[:3] for reply in replies} == {b"250"}  # taken, so that nobody tries again for ever
    assert under_way
    held = await world.ask("queue.list", wanted={"state": "held", "sender": VICTIM}, limit=10_000)
    errands = [row["errand"] for row in held]
    assert BURST - LIMIT - 1 <= len(errands) <= BURST - LIMIT  # one may be refilled while this goes on
    assert {row["reason"] for row in held} == {"held: its sender sent too much in a short time"}
    (suspended,) = await world.story(VICTIM, "sender.suspended")
    assert f"{VICTIM} sent more than {LIMIT}/h through hospital and is suspended" in suspended["words"]

    await world.ask("queue.move", errands=errands[10:], action="drop", reason="junk")
    assert (await world.ask("queue.resume", sender=VICTIM, reason="new password"))["done"]
    assert not (await world.ask("queue.resume", sender=VICTIM, reason="twice"))["done"]
    await world.ask("queue.move", errands=errands[:10], action="release", reason="these were real")
    await world.arrived(ONTO, BURST - len(errands) + 10 + 1)
