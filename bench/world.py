"""What stands around the devices: a folder on a real disk, an authority, a name server, and the sink.

Everything listens on 127.61.0.0/16. The mail server of every domain is the sink: in the plain job at an address that
offers no STARTTLS, in the job with verified TLS at one whose certificate (P-256, local authority) carries its name.
"""

from __future__ import annotations

import asyncio
import secrets
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from bench.letters import DOMAINS
from bench.sink import Report
from gateway.demo.ca import CertificateKind, kept_key, open_authority
from gateway.demo.resolver import Resolver, serve_dns
from gateway.demo.zones import ZoneSource, serve_zone

ROOT = Path(__file__).resolve().parent.parent
MX_DOMAIN = "sink.example"
MX = f"mx.{MX_DOMAIN}"
GATEWAY = "gw.hospital.example"
_DNS = "127.61.0.9"


class Job(StrEnum):
    """What the next hop offers, and what the devices demand of it."""

    PLAIN = "plain"
    TLS = "verified TLS"


SINKS = {Job.PLAIN: "127.61.0.1", Job.TLS: "127.61.0.2"}


class BenchFailed(Exception):
    """A run whose numbers would mean nothing; the text says why."""


class Sink:
    """The sink's process, and what it says."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = process
        self.port = port
        self.pid = process.pid

    def expect(self, run: str, count: int) -> None:
        self._order(f"expect {run} {count}")

    def arrived(self, patience: float) -> Report:
        """The report on the run, as soon as all of it is there. Raises BenchFailed when none came for so long."""
        assert self._process.stdout is not None
        before = 0
        while not select.select([self._process.stdout], [], [], patience)[0]:
            self._order("report")
            found = self._read()
            if found.at:
                self._read()  # the last one came as we asked: this is the answer
                return found
            if found.distinct == before:
                raise BenchFailed(f"messages are missing: {before} arrived, and no more in {patience:.0f} s")
            before = found.distinct
        return self._read()

    def _order(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode() + b"\n")
        self._process.stdin.flush()

    def _read(self) -> Report:
        assert self._process.stdout is not None
        return msgspec.json.decode(self._process.stdout.readline(), type=Report)


@dataclass(frozen=True)
class World:
    """`chain` is the gateway's certificate with its key in `key`; `dns` answers for one job each."""

    folder: Path
    ca_file: Path
    chain: Path
    key: Path
    sink: Sink
    dns: dict[Job, str]


def free_port(*addresses: str) -> int:
    """A port that is free on all of the addresses now."""
    for _ in range(50):
        with socket.socket() as first:
            first.bind((addresses[0], 0))
            port: int = first.getsockname()[1]
            try:
                for address in addresses[1:]:
                    with socket.socket() as other:
                        other.bind((address, port))
            except OSError:
                continue
            return port
    raise BenchFailed("no port is free on all of the addresses")


@contextmanager
def open_world(folder: Path) -> Iterator[World]:
    """Everything but the devices, for as long as the block runs."""
    now = datetime.now(UTC)
    certificates = folder / "certs"
    certificates.mkdir(mode=0o755)
    authority = open_authority(certificates, now)
    for name in (MX, GATEWAY):
        key = kept_key(certificates / f"{name}.key")
        (certificates / f"{name}.pem").write_bytes(authority.issue(name, CertificateKind.GOOD, key, now))
    both = certificates / "sink.pem"
    both.touch(mode=0o600)
    both.write_bytes((certificates / f"{MX}.key").read_bytes() + (certificates / f"{MX}.pem").read_bytes())
    with _sink(both) as sink, _names(now) as dns:
        yield World(
            folder,
            authority.root_file,
            certificates / f"{GATEWAY}.pem",
            certificates / f"{GATEWAY}.key",
            sink,
            dns,
        )


def fresh_run() -> str:
    """A name that no other run has."""
    return secrets.token_hex(4)


@contextmanager
def _sink(chain: Path) -> Iterator[Sink]:
    port = free_port(*SINKS.values())
    command = [sys.executable, "-m", "bench.sink", *SINKS.values(), str(port), str(chain)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        sink = Sink(process, port)
        sink.arrived(30)
        yield sink
        # Leaving closes its input, which ends it.


@contextmanager
def _names(now: datetime) -> Iterator[dict[Job, str]]:
    """One name server for each job, in one thread."""
    key = ec.generate_private_key(ec.SECP256R1())
    ports = {job: free_port(_DNS) for job in Job}
    loop = asyncio.new_event_loop()
    stop, up = asyncio.Event(), threading.Event()

    async def serve() -> None:
        plain, tls = (_resolver(SINKS[job], key, now) for job in Job)
        async with serve_dns(plain, _DNS, ports[Job.PLAIN]), serve_dns(tls, _DNS, ports[Job.TLS]):
            up.set()
            await stop.wait()

    def run(*_: Any) -> None:
        loop.run_until_complete(serve())

    thread = threading.Thread(target=run, name="name server", daemon=True)
    thread.start()
    if not up.wait(30):
        raise BenchFailed("the name server does not start")
    try:
        yield {job: f"{_DNS}:{port}" for job, port in ports.items()}
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def _resolver(address: str, key: ec.EllipticCurvePrivateKey, now: datetime) -> Resolver:
    sources = [ZoneSource(domain, (f"@ MX 10 {MX}.",)) for domain in DOMAINS]
    sources.append(ZoneSource(MX_DOMAIN, (f"mx A {address}",)))
    return Resolver(serve_zone(source, key, now) for source in sources)
