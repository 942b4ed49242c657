"""Our gateway as an installation has it: `sealgate run` as a process of its own, with the names that it looks up.

Everything is on loopback addresses: a name server in a thread of the test, one recipients' server for every domain.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from gateway.demo.resolver import Resolver, serve_dns
from gateway.demo.zones import ZoneSource, serve_zone
from gateway.service.setup import make_keys
from tests.fakes.authority import Authority
from tests.peers import Peer, Sink
from tests.peers.peer import free_port

ROOT = Path(__file__).resolve().parents[2]
HOSTNAME = "gw.hospital.example"
MX = "mx.clinic.example"
_ADDRESS = "127.0.0.21"
_DNS = "127.0.0.22"
_PATIENCE = 60.0  # seconds for a clean stop

_CONFIGURATION = """\
hostname = "{hostname}"
data_dir = "data"
policy = "{policy}"
postmaster = "postmaster@hospital.example"

[[listener]]
name = "smarthost"
address = "{address}:{port}"
tls = "starttls"
certificate = "{certificate}"
key = "{certificate}"

[[connector]]
name = "hospital"
kind = "smtp"
networks = ["127.0.0.0/8"]
domains = ["hospital.example"]
null_sender = "allow"
{connector}

[dns]
servers = ["{dns}"]

[tls]
ca_file = "{ca_file}"

[delivery]
port = {sink_port}
allow_networks = ["127.0.0.0/8"]

[delivery.retry]
first = "2s"
max = "4s"

[audit]
checkpoint_interval = "1s"
{more}
"""


class Gateway(Peer):
    """A running `sealgate run`; its log is what it printed."""

    def __init__(self, home: Path, host: str, port: int) -> None:
        super().__init__(home, host, port)
        self.config_file = home / "sealgate.toml"
        self.audit_folder = home / "data/audit"

    def ask(self, *command: str) -> Any:
        """What the command line says about it, as a program reads it."""
        done = subprocess.run(
            [*_SEALGATE, *command, "--config", self.config_file, "--json"],
            cwd=ROOT, capture_output=True, check=False, timeout=_PATIENCE,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}: {done.stderr.decode()}"
        return json.loads(done.stdout)

    def finish(self) -> int:
        """Stops it as an operator does; its exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(_PATIENCE)


_SEALGATE = (sys.executable, "-m", "gateway")


@contextmanager
def gateway(
    home: Path,
    authority: Authority,
    sink: Sink,
    domains: Sequence[str],
    *,
    connector: str = "",
    more: str = "",
) -> Iterator[Gateway]:
    """A gateway with the policy pack `baseline`, for which `sink` is the server of all `domains`.

    `connector` is added to the settings of its connector, `more` to its configuration.
    """
    (home / "log").mkdir(parents=True)
    make_keys(home / "keys")
    certificate = Path(authority.issue(HOSTNAME))
    certificate.chmod(0o600)
    running = Gateway(home, _ADDRESS, free_port(_ADDRESS))
    with _name_server(sink.host, domains) as dns:
        running.config_file.write_text(
            _CONFIGURATION.format(
                hostname=HOSTNAME,
                policy=ROOT / "policies/baseline.toml",
                address=_ADDRESS,
                port=running.port,
                certificate=certificate,
                dns=dns,
                ca_file=authority.ca_file,
                sink_port=sink.port,
                connector=connector,
                more=more,
            )
        )
        try:
            command = [*_SEALGATE, "run", "--config", str(running.config_file)]
            running.start(command, {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"})
            yield running
        finally:
            running.stop()


@contextmanager
def _name_server(mx_address: str, domains: Sequence[str]) -> Iterator[str]:
    """Where a name server is that knows the domains and their one mail server."""
    port = free_port(_DNS)
    key = ec.generate_private_key(ec.SECP256R1())
    host, _, mx_domain = MX.partition(".")
    sources = [ZoneSource(domain, (f"@ MX 10 {MX}.",)) for domain in domains if domain != mx_domain]
    sources.append(ZoneSource(mx_domain, (f"@ MX 10 {MX}.", f"{host} A {mx_address}")))
    resolver = Resolver(serve_zone(source, key, datetime.now(UTC)) for source in sources)
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    up = threading.Event()

    async def serve() -> None:
        async with serve_dns(resolver, _DNS, port):
            up.set()
            await stop.wait()

    thread = threading.Thread(
        target=loop.run_until_complete, args=(serve(),), name="name server", daemon=True
    )
    thread.start()
    try:
        assert up.wait(30), "the name server does not start"
        yield f"{_DNS}:{port}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
