"""A thousand domains that nobody has asked about, looked at in one moment: bounded in sockets and memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path

from gateway.model.address import Address
from gateway.model.tls import TlsGrade
from gateway.net.smtp import ClientTls
from gateway.probe.dns import Answer
from gateway.probe.gather import Prober, ProberSettings
from gateway.probe.mx import Router, RouteSettings
from gateway.probe.transport import TlsObserver, observer_settings
from gateway.wire.destinations import Destinations
from tests.unit.probe.answers import PaperDns, found
from tests.unit.probe.notebook import Notebook

DOMAINS = 1000
HOSTS = ("127.56.0.1", "127.56.0.2")
MOST = ProberSettings().at_once * len(HOSTS)  # connections at once
NOW = datetime.now(UTC)
ROOM = 64 << 20  # octets of memory for all of it


class Crowded:
    """A mail server without TLS that greets nobody before as many have come as may."""

    def __init__(self) -> None:
        self.open = self.most = self.in_all = 0
        self._full = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.in_all += 1
        self.most = max(self.most, self.open)
        if self.open >= MOST:
            self._full.set()
        await self._full.wait()
        writer.write(b"220 mx.example ESMTP\r\n")
        try:
            while line := await reader.readline():
                writer.write(b"221 bye\r\n" if line.startswith(b"QUIT") else b"250 mx.example\r\n")
                await writer.drain()
        finally:
            self.open -= 1
            writer.close()


@asynccontextmanager
async def crowded() -> AsyncIterator[tuple[Crowded, int]]:
    server = Crowded()
    first = await asyncio.start_server(server.serve, HOSTS[0], 0)
    port = first.sockets[0].getsockname()[1]
    second = await asyncio.start_server(server.serve, HOSTS[1], port)
    try:
        yield server, port
    finally:
        first.close()
        second.close()


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def test_a_thousand_cold_looks_at_once_are_bounded_in_sockets_and_memory() -> None:
    written: dict[tuple[str, str], Answer | list[Answer]] = {}
    for number in range(DOMAINS):
        domain = f"d{number}.example"
        written[domain, "MX"] = found("MX", f"10 mx1.{domain}.", f"10 mx2.{domain}.")
        for place, address in enumerate(HOSTS, 1):
            written[f"mx{place}.{domain}", "A"] = found("A", address)
    async with crowded() as (server, port):
        near = Destinations([ip_network("127.56.0.0/24")])
        router = Router(PaperDns(written), near, RouteSettings(port=port))
        observer = TlsObserver(ClientTls(), observer_settings("gw.hospital.example"))
        prober = Prober(router, observer.observe, Notebook())
        before = resident()
        seen = await asyncio.gather(
            *(prober.probe(Address("ann", f"d{number}.example"), NOW) for number in range(DOMAINS))
        )
        await prober.close()

    assert server.most == MOST
    assert server.in_all == DOMAINS * len(HOSTS)
    assert all(each.grade is TlsGrade.NONE for capability in seen for each in capability.postures)
    assert resident() - before < ROOM
