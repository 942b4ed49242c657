"""`./dev bench probe`: many domains that nobody has asked about before, all looked at in the same moment.

The prober of the gateway in this process, against the lab's internet in another: Unbound in front of NSD with signed
zones, a mail server for each domain, MTA-STS policies over HTTPS. Each look is DNS, a policy, a handshake, a judgement.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import uvloop

from bench.world import ROOT, BenchFailed
from gateway.config import load
from gateway.model.address import Address
from gateway.service.policies import PolicyInForce
from gateway.service.wiring import name_servers, prober
from tests.lab.cells import Cell, Counts, Dnssec, Server, Sts, Tlsa
from tests.lab.gateway import Stage, set_up
from tests.lab.run import open_internet
from tests.lab.web import ADDRESS
from tests.lab.zones import lab_zones
from tests.peers import unbound
from tests.peers.nsd import nsd

_KINDS = (
    Cell(Dnssec.SECURE, Tlsa.EE_OK, Sts.NONE, Server.TLS13, Counts.PKIX),
    Cell(Dnssec.INSECURE, Tlsa.NONE, Sts.ENFORCE, Server.TLS13, Counts.PKIX),
    Cell(Dnssec.INSECURE, Tlsa.NONE, Sts.NONE, Server.TLS12, Counts.PKIX),
    Cell(Dnssec.INSECURE, Tlsa.NONE, Sts.NONE, Server.SELF_SIGNED, Counts.PKIX),
)
_WANTED = ("dane", "mta-sts", "pkix", "encrypted")
_LOOK = 0.02  # seconds between two looks at what is open
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Where(msgspec.Struct, frozen=True):
    """The internet in the other process."""

    dns: tuple[str, int]
    ca_file: str
    smtp: int
    web: int
    domains: tuple[str, ...]


class Crowd(msgspec.Struct, frozen=True):
    """What all looks together took. Times in seconds, memory in octets above what the process had before."""

    domains: int
    wall: float
    cpu: float
    sockets: int  # open at once, at most
    memory: int  # at most
    kept: int  # afterwards, with everything remembered


def measure(domains: int) -> Crowd:
    """Look at so many. Raises BenchFailed where one was not found to be what it is."""
    with (
        tempfile.TemporaryDirectory(prefix="sealgate-bench-") as name,
        _internet(Path(name), domains) as where,
    ):
        return uvloop.run(_measure(Path(name), where))


async def _measure(folder: Path, where: Where) -> Crowd:
    stage = Stage(
        dns=where.dns, ca_file=Path(where.ca_file), smtp=where.smtp, web=where.web, counts=Counts.PKIX
    )
    set_up(folder, stage)
    config = load(folder / "sealgate.toml", {})
    looker = prober(config, PolicyInForce(config.policy), _Memory(), name_servers(config))
    now = datetime.now(UTC)
    before, began, cpu = _resident(), time.monotonic(), time.process_time()
    asking = asyncio.ensure_future(
        asyncio.gather(*(looker.probe(Address("ann", domain), now) for domain in where.domains))
    )
    sockets = memory = 0
    while not asking.done():
        sockets, memory = max(sockets, _sockets()), max(memory, _resident())
        await asyncio.wait([asking], timeout=_LOOK)
    wall, cpu = time.monotonic() - began, time.process_time() - cpu
    found = [{offer.grade for offer in each.offers if offer.method == "tls"} for each in asking.result()]
    wrong = sum(_WANTED[place % len(_KINDS)] not in grades for place, grades in enumerate(found))
    await looker.close()
    if wrong:
        raise BenchFailed(f"{wrong} of {len(found)} domains were not found to be what they are")
    return Crowd(len(found), wall, cpu, sockets, memory - before, _resident() - before)


class _Memory:
    """The store's, in a dictionary."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], tuple[bytes, datetime]] = {}

    async def remember(self, kind: str, key: str, value: bytes, expires: datetime) -> None:
        self._values[kind, key] = (value, expires)

    async def recall(self, kind: str, key: str, now: datetime) -> bytes | None:
        value, expires = self._values.get((kind, key), (None, now))
        return value if expires > now else None


def _sockets() -> int:
    """How many of this process's files are sockets."""
    count = 0
    for file in Path("/proc/self/fd").iterdir():
        try:
            count += str(file.readlink()).startswith("socket:")
        except OSError:
            continue  # closed meanwhile
    return count


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


# ------------------------------------------------------------------------------------------------ the other process


@contextmanager
def _internet(folder: Path, domains: int) -> Iterator[Where]:
    command = [sys.executable, "-m", "bench.probing", str(folder), str(domains)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise BenchFailed("the lab's internet did not come up: is this Debian, with its package tools?")
        yield msgspec.json.decode(line, type=Where)
    finally:
        process.communicate()  # its standard input ends, and so does it


async def _serve(folder: Path, domains: int) -> None:
    cells = [_KINDS[number % len(_KINDS)] for number in range(domains)]
    async with open_internet(cells, folder) as internet:
        lab = lab_zones(internet.places, ADDRESS, internet.now)
        with nsd(lab.zones) as upstream, unbound(upstream, [lab.anchor]) as dns:
            names = tuple(place.domain for place in internet.places)
            where = Where(dns, str(internet.ca_file), internet.smtp, internet.web_port, names)
            sys.stdout.buffer.write(msgspec.json.encode(where) + b"\n")
            sys.stdout.flush()
            await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2])))
