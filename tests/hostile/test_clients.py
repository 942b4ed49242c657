"""Clients that break off: at every octet of a session, in every way. What was not acknowledged is nobody's message."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import cast

import pytest

from gateway.ingress.settings import Timers
from tests.fakes.ingress_world import HEADER, RawClient, World, plain_settings, world

DIALOGUE = (
    b"EHLO c.hospital.example\r\n",
    b"MAIL FROM:<ann@hospital.example>\r\n",
    b"RCPT TO:<bob@partner.example>\r\n",
    b"DATA\r\n",
    HEADER + b"\r\nhello\r\n.\r\n",
)
END = sum(map(len, DIALOGUE))
BRIEF = Timers(command=0.15, data=0.15, slow_start=0.1, processing=0.3, linger=0.05, tick=0.02)


def reset(client: RawClient) -> None:
    """Break the connection off with RST, as a machine that lost its power later does."""
    connection = cast(socket.socket, client.writer.get_extra_info("socket"))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.writer.transport.abort()


def half_close(client: RawClient) -> None:
    client.writer.write_eof()


async def play(here: World, octets: int) -> RawClient:
    """Say the first octets of a whole session, waiting for the answers where one must."""
    client = await here.client()
    await client.reply()
    for command in DIALOGUE:
        said, octets = command[:octets], octets - len(command)
        client.writer.write(said)
        if octets < 0:
            break
        if octets or command is not DIALOGUE[-1]:
            await client.reply()
    return client


async def gone(here: World) -> None:
    async with asyncio.timeout(10):
        while here.listener.sessions:
            await asyncio.sleep(0)


@pytest.mark.parametrize("leave", [reset, half_close])
async def test_a_session_that_ends_at_any_octet_leaves_nothing_behind(leave: object) -> None:
    async with world(settings=plain_settings(timers=BRIEF)) as here:
        for octets in range(0, END, 3):
            client = await play(here, octets)
            assert callable(leave)
            leave(client)
            await gone(here)
            await client.close()
        assert here.intake.accepted == []
        assert all(body.abandoned for body in here.intake.opened)
        client = await play(here, END)
        assert (await client.reply()).startswith(b"250 ")
        assert len(here.intake.accepted) == 1
        await client.close()


async def test_a_crowd_that_breaks_off_in_its_content_leaves_nothing_behind() -> None:
    async with world() as here:
        clients = [await play(here, END - 10) for _ in range(90)]
        await asyncio.gather(*(client.writer.drain() for client in clients))
        for client in clients:
            reset(client)
        await gone(here)
        assert here.intake.accepted == []
        assert all(body.abandoned for body in here.intake.opened)
        for client in clients:
            await client.close()


@pytest.mark.parametrize("at", range(len(DIALOGUE)))
async def test_one_octet_at_a_time_is_too_slow_at_every_step(at: int) -> None:
    async with world(settings=plain_settings(timers=BRIEF)) as here:
        client = await play(here, sum(map(len, DIALOGUE[:at])))

        async def drip() -> None:
            while True:
                client.writer.write(b"x")
                await asyncio.sleep(0.01)  # the client's slowness is what is tested; nothing is waited for

        dripping = asyncio.create_task(drip())
        async with asyncio.timeout(10):
            assert (await client.reply()).startswith(b"421 4.4.2 ")
        dripping.cancel()
        await client.close()
        await gone(here)
        assert here.intake.accepted == []
