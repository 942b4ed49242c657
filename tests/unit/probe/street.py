"""A prober's surroundings for tests: mail servers that show what a test says, and names that lead to them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from gateway.model.address import Address
from gateway.model.capability import HostPosture, MxHost, Offer
from gateway.model.evidence import Evidence
from gateway.model.problem import Problem
from gateway.model.tls import TlsGrade
from gateway.probe.dns import Answer
from gateway.probe.gather import Prober, ProberSettings
from gateway.probe.key_source import KeySource
from gateway.probe.mx import Router, RouteSettings
from gateway.probe.servers import ServerSettings
from gateway.wire.destinations import Destinations
from tests.unit.probe.answers import PaperDns, found
from tests.unit.probe.notebook import Notebook

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
BOB = Address("bob", "example.org")
HOSTS = ("8.8.8.1", "8.8.8.2", "8.8.8.3")  # mx1, mx2, mx3
QUICK = ProberSettings(servers=ServerSettings(deadline=0.2, grace=0.01))


class Street:
    """The mail servers of a test: what each shows. An address that is not there never answers."""

    def __init__(self, shown: Mapping[str, TlsGrade | None]) -> None:
        self.shown = dict(shown)
        self.asked: list[str] = []
        self.began = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def observe(self, host: MxHost, address: str, now: datetime) -> HostPosture:
        self.asked.append(address)
        self.began.set()
        await self.gate.wait()
        if address not in self.shown:
            await asyncio.Event().wait()
        grade = self.shown[address]
        problem = Problem("4.4.1", f"{host.name} does not answer") if grade is None else None
        return HostPosture(
            host=host.name, address=address, evidence=Evidence(grade=grade), observed_at=now, problem=problem
        )


class Directory:
    """A key source that answers as it is told."""

    name = "directory"
    methods = ("smime",)

    def __init__(self, answer: tuple[Offer, ...] | Problem) -> None:
        self.answer = answer
        self.asked = 0

    async def look_up(self, recipient: Address, now: datetime) -> tuple[Offer, ...] | Problem:
        self.asked += 1
        return self.answer


def names(count: int, ttl: int = 300) -> dict[tuple[str, str], Answer | list[Answer]]:
    mx = found("MX", *(f"{place}0 mx{place}.example.org." for place in range(1, count + 1)), ttl=ttl)
    hosts: dict[tuple[str, str], Answer | list[Answer]] = {
        (f"mx{place}.example.org", "A"): found("A", HOSTS[place - 1], ttl=ttl)
        for place in range(1, count + 1)
    }
    return {("example.org", "MX"): mx, **hosts}


class World:
    """One prober with everything around it within reach."""

    def __init__(
        self,
        *shown: TlsGrade | None,
        written: dict[tuple[str, str], Answer | list[Answer]] | None = None,
        notebook: Notebook | None = None,
        never: int = 0,
        sources: Sequence[KeySource] = (),
    ) -> None:
        self.dns = PaperDns(written if written is not None else names(len(shown) + never))
        self.street = Street(dict(zip(HOSTS, shown, strict=False)))
        self.notebook = notebook or Notebook()
        self.counts = Counter[str]()
        self.dnssec = ""
        router = Router(self.dns, Destinations(), RouteSettings())
        self.prober = Prober(
            router,
            self.street.observe,
            self.notebook,
            settings=QUICK,
            sources=sources,
            dnssec=lambda: self.dnssec,
            counted=lambda what: self.counts.update([what]),
        )

    async def rest(self) -> None:
        """Let what is under way come to its end."""
        kept = (self.prober._domains, self.prober._keys)
        await asyncio.gather(
            *(task for warm in kept for task in warm._looking._running), return_exceptions=True
        )
