"""Port 25 and the clock: what is blocked and what is wrong is found."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from email.utils import format_datetime
from ipaddress import ip_network

import pytest

from gateway.config import Config
from gateway.config.examining import Doctor
from gateway.config.sending import Delivery
from gateway.net.http import HttpClient
from gateway.probe.mx import Router, RouteSettings
from gateway.service.clock import now
from gateway.service.doctor import outside
from gateway.wire.destinations import Destinations
from tests.fakes.web_server import page, web_server
from tests.unit.doctor.test_published import config
from tests.unit.probe.answers import PaperDns, found

LOOPBACK = Destinations([ip_network("127.0.0.0/8")])


def on_port(port: int, *reach: str) -> Config:
    return config().model_copy(update={"delivery": Delivery(port=port), "doctor": Doctor(reach=reach)})


def router(port: int, **mx: str) -> Router:
    written = {(f"{name}.example", "MX"): found("MX", f"10 mx.{name}.example.") for name in mx}
    hosts = {(f"mx.{name}.example", "A"): found("A", address) for name, address in mx.items()}
    return Router(PaperDns({**written, **hosts}), LOOPBACK, RouteSettings(port=port))


@asynccontextmanager
async def saying(octets: bytes) -> AsyncIterator[int]:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(octets)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_server_of_the_world_that_greets_us_is_enough() -> None:
    async with saying(b"220 mx.big.example ESMTP\r\n") as port:
        check = await outside.port_25(
            on_port(port, "big.example"), router(port, hospital="127.0.0.9", big="127.0.0.1")
        )

    assert (check.state, "mx.big.example greets us" in check.what) == ("ok", True)


@pytest.mark.parametrize("octets", [b"", b"554 mx.big.example no service for you\r\n", b"x" * 9000])
async def test_servers_that_refuse_us_are_found(octets: bytes) -> None:
    async with saying(octets) as port:
        check = await outside.port_25(on_port(port, "big.example"), router(port, big="127.0.0.1"))

    assert check.state == "fail"
    assert check.remedy


async def test_a_port_that_is_closed_is_found() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    check = await outside.port_25(on_port(port), router(port, hospital="127.0.0.1"))

    assert check.state == "fail"


async def test_our_own_server_shows_nothing() -> None:
    async with saying(b"220 gw.hospital.example ESMTP\r\n") as port:
        written = {
            ("hospital.example", "MX"): found("MX", "10 gw.hospital.example."),
            ("gw.hospital.example", "A"): found("A", "127.0.0.1"),
        }
        check = await outside.port_25(
            on_port(port), Router(PaperDns(written), LOOPBACK, RouteSettings(port=port))
        )

    assert check.state == "fail"


async def nobody(_: str) -> Sequence[str]:
    return ()


async def clock(answer: bytes) -> tuple[str, str]:
    async with web_server({"/": answer}) as server:
        settings = Doctor.model_validate({"clock": f"http://127.0.0.1:{server.port}/"})
        check = await outside.clock(
            config().model_copy(update={"doctor": settings}), HttpClient(nobody, LOOPBACK)
        )
    return check.state, check.what


@pytest.mark.parametrize(
    ("off", "state", "says"),
    [
        (timedelta(), "ok", "right within seconds"),
        (timedelta(seconds=30), "warn", "behind"),
        (timedelta(seconds=-30), "warn", "ahead"),
        (timedelta(hours=1), "fail", "behind"),
        (timedelta(days=-400), "fail", "ahead"),
    ],
)
async def test_a_clock_that_is_off_is_found(off: timedelta, state: str, says: str) -> None:
    found_state, what = await clock(page(b"", extra=f"Date: {format_datetime(now() + off, usegmt=True)}\r\n"))

    assert found_state == state
    assert says in what


@pytest.mark.parametrize("date", ["", "Date: yesterday\r\n", "Date: Mon, 99 Foo 2026 99:99:99 GMT\r\n"])
async def test_a_server_without_a_time_shows_nothing(date: str) -> None:
    assert (await clock(page(b"", extra=date)))[0] == "warn"
