"""Unbound from the cache: a real validating resolver in front of the name server that a test plays.

It forwards everything to that server with checking disabled and validates by itself, from the trust anchors it is given
(RFC 4035 section 3.2). Zones without an anchor are unsigned to it. No root needed.
"""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.peers.packages import unpacked
from tests.peers.peer import free_port

_PATIENCE = 20.0  # seconds until it must answer

_CONFIG = """\
server:
  interface: {address}@{port}
  port: {port}
  do-ip6: no
  do-daemonize: no
  do-not-query-localhost: no
  chroot: ""
  username: ""
  directory: "{home}"
  pidfile: ""
  use-syslog: no
  logfile: ""
  verbosity: 1
  val-log-level: 2
  module-config: "validator iterator"
  ede: {ede}
  num-threads: 1
  access-control: 127.0.0.0/8 allow
{anchors}
forward-zone:
  name: "."
  forward-addr: {upstream}
remote-control:
  control-enable: no
"""


@contextmanager
def unbound(
    upstream: tuple[str, int],
    anchors: Sequence[str],
    *,
    address: str = "127.0.0.1",
    port: int = 0,
    explains: bool = True,
) -> Iterator[tuple[str, int]]:
    """Its address and port. `anchors` are DNSKEY records in text; `explains`: it gives extended errors (RFC 8914)."""
    root = unpacked("unbound")
    libraries = ":".join(str(path) for path in sorted(root.glob("usr/lib/*-linux-gnu*")))
    port = port or free_port(address)
    with tempfile.TemporaryDirectory(prefix="sealgate-unbound-") as folder:
        home = Path(folder)
        text = _CONFIG.format(
            address=address,
            port=port,
            home=home,
            ede="yes" if explains else "no",
            anchors="\n".join(f"  trust-anchor: '{anchor}'" for anchor in anchors),
            upstream=f"{upstream[0]}@{upstream[1]}",
        )
        (home / "unbound.conf").write_text(text)
        with (home / "log").open("wb") as log:
            process = subprocess.Popen(
                [root / "usr/sbin/unbound", "-d", "-c", home / "unbound.conf"],
                env={"LD_LIBRARY_PATH": libraries, "PATH": "/usr/sbin:/usr/bin"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            _wait(process, (address, port), home / "log")
            yield address, port
        finally:
            process.terminate()
            process.wait(10)


def _wait(process: subprocess.Popen[bytes], where: tuple[str, int], log: Path) -> None:
    """There is nothing to wait on but its port."""
    ends = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < ends:
        try:
            socket.create_connection(where, timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError(f"unbound does not answer; its log:\n{log.read_text(errors='replace')[-4000:]}")
