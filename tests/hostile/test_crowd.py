"""Thousands of clients that dawdle, and one that wants to send: what the crowd costs, and whether it gets through."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.hostile.gateway import Gateway, gateway

CROWD = 5000
EACH = 50  # sessions from one address
GOOD = 20  # messages of the good client
SLOWEST = (
    2.0  # seconds for the slowest of them: it must get through, not be fast, on a machine that tests share
)
A_SESSION = 16 * 1024  # octets


@asynccontextmanager
async def files_enough(count: int) -> AsyncIterator[None]:
    """As many open files as the crowd needs, here and in the gateway that inherits the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        pytest.skip(f"the hard limit on open files is {hard}; this test needs {count}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def dawdler(running: Gateway, number: int) -> socket.socket:
    """A session in which nothing was said but the beginning of a command."""
    loop = asyncio.get_running_loop()
    client = socket.socket()
    client.setblocking(False)
    client.bind((f"127.0.{100 + number // EACH // 250}.{1 + number // EACH % 250}", 0))
    await loop.sock_connect(client, running.address)
    assert (await loop.sock_recv(client, 100)).startswith(b"220 ")
    await loop.sock_sendall(client, b"EH")
    return client


async def test_five_thousand_slow_sessions_do_not_stop_a_good_one(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    loop = asyncio.get_running_loop()
    async with files_enough(2 * CROWD), gateway(tmp_path, sessions=CROWD + 2000) as running:
        assert (await running.submit("bob@partner.example")).startswith(b"250 ")
        before = running.memory()
        crowd: list[socket.socket] = []
        for start in range(0, CROWD, 500):
            crowd += await asyncio.gather(*(dawdler(running, start + at) for at in range(500)))
        cost = (running.memory() - before) / CROWD
        taken: list[float] = []
        for number in range(GOOD):
            for client in crowd[number::GOOD]:
                client.send(b"x")  # they do not sleep: each sends an octet now and then
            began = loop.time()
            assert (await running.submit("bob@partner.example", "127.0.0.2")).startswith(b"250 ")
            taken.append(loop.time() - began)
        assert all(not _was_closed(client) for client in crowd)
        for client in crowd:
            client.close()
    record_property("octets a session", round(cost))
    record_property("median", sorted(taken)[GOOD // 2])
    record_property("slowest", max(taken))
    assert max(taken) < SLOWEST
    assert cost < A_SESSION


def _was_closed(client: socket.socket) -> bool:
    try:
        return client.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
