"""The fence around the tests holds: for Python's sockets, for asyncio and for uvloop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import uvloop

from tests.fence import Fence, OutsideNetworkError

OUTSIDE = "192.0.2.1"


@pytest.fixture(autouse=True)
def forgive(fence: Fence) -> Iterator[None]:
    """These tests reach outside on purpose."""
    yield
    fence.reached.clear()


def connect() -> None:
    with socket.socket() as sock:
        sock.connect((OUTSIDE, 25))


def send_datagram() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", (OUTSIDE, 53))


def look_up() -> None:
    socket.getaddrinfo("mx.example.org", 25)


@pytest.mark.parametrize("reach", [connect, send_datagram, look_up])
def test_sockets_stay_inside(reach: Callable[[], None], fence: Fence) -> None:
    with pytest.raises(OutsideNetworkError):
        reach()

    assert len(fence.reached) == 1


async def open_stream() -> None:
    await asyncio.open_connection(OUTSIDE, 25)


async def open_stream_by_name() -> None:
    await asyncio.open_connection("mx.example.org", 25)


async def open_datagram() -> None:
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=(OUTSIDE, 53))


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("reach", [open_stream, open_stream_by_name, open_datagram])
def test_loops_stay_inside(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
    reach: Callable[[], Coroutine[Any, Any, None]],
    fence: Fence,
) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner, pytest.raises(OutsideNetworkError):
        runner.run(reach())

    assert fence.reached


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_loopback_is_inside(new_loop: Callable[[], asyncio.AbstractEventLoop], fence: Fence) -> None:
    async def talk() -> bytes:
        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220")
            writer.close()

        async with await asyncio.start_server(answer, "127.7.7.7", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            greeting = await reader.read()
            writer.close()
            return greeting

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(talk()) == b"220"

    assert fence.reached == []
