"""Clients that send without end: what they cost us, measured from outside on the real gateway.

Ceiling: 8 MiB for any one of them, whatever it sends. What they send is never accepted: a message that was is held
whole while it is carried, within `[limits] memory`. Measured: docs/threat-model.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import cast

import pytest
import pytest_asyncio

from tests.hostile.gateway import MIB, PATIENCE, Client, Gateway, gateway

CEILING = 8 * MIB
HEADER = b"From: ann@hospital.example\r\n\r\n"
PIECE = b"x" * (1 << 18)
PIECES = 64 * MIB // len(PIECE)


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    async with gateway(Path(tmp_path_factory.mktemp("gateway"))) as one:
        for _ in range(3):  # what the first messages load stays; so do the buffers of the first long one
            assert (await one.submit("bob@partner.example")).startswith(b"250 ")
        client = await one.open()
        await client.begin("bob@partner.example")
        assert await client.pour(HEADER, 1) + await client.pour(PIECE, 16) == 17
        await client.close()
        yield one


async def a_command(client: Client) -> None:
    assert await client.pour(PIECE, PIECES) < PIECES
    assert (await client.reply())[:3] in {b"500", b""}  # the reset may overtake it


async def content_without_an_end(client: Client) -> None:
    await client.begin("bob@partner.example")
    assert (await client.pour(HEADER, 1)) == 1
    assert await client.pour(PIECE, PIECES) == PIECES


async def content_of_bare_line_ends(client: Client) -> None:
    await client.begin("bob@partner.example")
    assert await client.pour(b"x\n" * (1 << 17), PIECES) == PIECES
    assert (await client.say(b"\r\n.\r\n")).startswith(b"550 ")


async def content_of_dots(client: Client) -> None:
    await client.begin("bob@partner.example")
    assert (await client.pour(HEADER, 1)) == 1
    assert await client.pour(b"..\r\n" * (1 << 16), PIECES) == PIECES


async def a_header(client: Client) -> None:
    await client.begin("bob@partner.example")
    assert await client.pour(b"X-Endless: x\r\n" * 16384, 64 * MIB // (14 * 16384)) > 200
    assert (await client.say(b"\r\n.\r\n")).startswith(b"554 ")


async def a_chunk(client: Client) -> None:
    assert (await client.say(b"MAIL FROM:<ann@hospital.example>\r\n")).startswith(b"250 ")
    assert (await client.say(b"RCPT TO:<bob@partner.example>\r\n")).startswith(b"250 ")
    client.writer.write(b"BDAT %d LAST\r\n" % (100 * MIB))
    assert await client.pour(PIECE, PIECES) == PIECES


async def recipients(client: Client) -> None:
    assert (await client.say(b"MAIL FROM:<ann@hospital.example>\r\n")).startswith(b"250 ")
    said = b""
    for start in range(0, 20_000, 1000):
        client.writer.write(
            b"".join(b"RCPT TO:<b%d@partner.example>\r\n" % (start + at) for at in range(1000))
        )
        for _ in range(1000):
            said = await client.reply()
    assert said.startswith(b"452 ")


async def commands_whose_replies_nobody_reads(client: Client) -> None:
    cast(asyncio.Transport, client.writer.transport).pause_reading()
    with suppress(TimeoutError):
        async with asyncio.timeout(1):  # by then nobody takes any more
            await client.pour(b"NOOP\r\n" * 4096, 64 * MIB // (6 * 4096))


ATTACKS = (
    a_command,
    content_without_an_end,
    content_of_bare_line_ends,
    content_of_dots,
    a_header,
    a_chunk,
    recipients,
    commands_whose_replies_nobody_reads,
)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
async def test_an_endless_client_costs_little_and_stops_nobody(
    running: Gateway,
    attack: Callable[[Client], Awaitable[None]],
    record_property: Callable[[str, object], None],
) -> None:
    client = await running.open()
    before = highest = running.memory()

    async def watch() -> None:
        nonlocal highest
        while True:
            highest = max(highest, running.memory())
            await asyncio.sleep(0.02)  # the measuring interval

    watching = asyncio.create_task(watch())
    async with asyncio.timeout(PATIENCE):
        await attack(client)
        assert (await running.submit("bob@partner.example", "127.0.0.2")).startswith(b"250 ")
    watching.cancel()
    await client.close()
    record_property("growth", highest - before)
    assert highest - before < CEILING
