"""Sealgate as a device: `sealgate run` on a configuration of its own, durable, encrypted at rest, deciding, sealing.

Everything that is not said here is at its default. The policy of the job with verified TLS is the pack `hipaa`; that of
the plain job has an exception for all domains, since no policy allows plain text otherwise.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.device import Device
from bench.letters import DOMAINS, SENDER_DOMAIN
from bench.world import GATEWAY, ROOT, SINKS, BenchFailed, Job, World, free_port
from gateway.service.setup import make_keys

_ADDRESS = "127.61.0.5"
_PATIENCE = 60.0  # seconds to start or to stop

_CONFIGURATION = """\
hostname = "{hostname}"
data_dir = "data"
policy = "{policy}"
postmaster = "postmaster@{domain}"

[[listener]]
name = "plain"
address = "{address}:{port}"
tls = "off"

[[listener]]
name = "secure"
address = "{address}:{secure_port}"
tls = "starttls"
certificate = "{chain}"
key = "{key}"
max_sessions = 2000

[[connector]]
name = "hospital"
kind = "smtp"
networks = ["127.0.0.0/8"]
domains = ["{domain}"]
sender_messages = "1000000/s"             # counted for each message, as in production, and never reached
sender_recipients = "1000000/s"

[dns]
servers = ["{dns}"]

[tls]
ca_file = "{ca_file}"

[delivery]
port = {sink_port}
allow_networks = ["{sink}/32"]
"""

_PLAIN_POLICY = """\
[policy]
name = "plain next hop"
schema = 1
timezone = "UTC"

[default]
require = ["authenticated"]
prefer = ["tls"]
otherwise = "hold"

[[exception]]
name = "the next hop of the benchmark offers no TLS"
when = {{ recipient_domain = [{domains}] }}
relax = ["authenticated", "encrypted"]
methods = ["tls", "plain"]
reason = "a benchmark on loopback"
approved_by = "who runs it"
expires = {expires}
"""


@dataclass(frozen=True, slots=True)
class Sealgate:
    """The device, its folder, and the port that demands STARTTLS."""

    device: Device
    home: Path
    secure_port: int


@contextmanager
def sealgate(world: World, job: Job, *, named: bool = False) -> Iterator[Sealgate]:
    """A running gateway. `named`: its threads carry their names (bench/named.py)."""
    home = world.folder / f"sealgate-{job.name.lower()}"
    home.mkdir(mode=0o700)
    make_keys(home / "keys")
    port, secure_port = free_port(_ADDRESS), free_port(_ADDRESS)
    (home / "sealgate.toml").write_text(
        _CONFIGURATION.format(
            hostname=GATEWAY,
            policy=_policy(home, job),
            domain=SENDER_DOMAIN,
            address=_ADDRESS,
            port=port,
            secure_port=secure_port,
            chain=world.chain,
            key=world.key,
            dns=world.dns[job],
            ca_file=world.ca_file,
            sink_port=world.sink.port,
            sink=SINKS[job],
        )
    )
    module = "bench.named" if named else "gateway"
    command = [sys.executable, "-m", module, "run", "--config", str(home / "sealgate.toml")]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _wait_for(process, port)
        yield Sealgate(Device("Sealgate", job, _ADDRESS, port, process.pid, ours=True), home, secure_port)
    except BenchFailed as error:
        raise BenchFailed(f"{error}\nThe end of Sealgate's log ({job}):\n{_log(home)}") from error
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def verify_log(home: Path) -> int:
    """Verify the audit log of a gateway that has stopped; how many records it has. Raises BenchFailed."""
    command = [
        *(sys.executable, "-m", "gateway", "audit", "verify", "--json"),
        *("--config", str(home / "sealgate.toml")),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if not done.stdout:
        raise BenchFailed(f"audit verify: {done.stderr.decode()}")
    report = json.loads(done.stdout)
    if not report["ok"] or report["open_errands"]:
        raise BenchFailed(f"audit verify: {report['first_line']}, {report['open_errands']} errands are open")
    return int(report["records"])


def _policy(home: Path, job: Job) -> Path:
    if job is Job.TLS:
        return ROOT / "policies/hipaa.toml"
    file = home / "policy.toml"
    expires = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 30 * 86400))
    file.write_text(_PLAIN_POLICY.format(domains=", ".join(f'"{name}"' for name in DOMAINS), expires=expires))
    return file


def _log(home: Path) -> str:
    return (home / "log").read_text(errors="replace")[-2000:]


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection((_ADDRESS, port), timeout=5) as connection:
                if connection.recv(3) == b"220":
                    return
        except OSError:
            time.sleep(0.05)
    raise BenchFailed("Sealgate does not start")
