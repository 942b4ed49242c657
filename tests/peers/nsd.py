"""NSD from the cache: a real authoritative name server for zones that a test wrote. No root needed.

A zone without a file is one that the server is to have and has not: it answers SERVFAIL for everything in it.
"""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.peers.packages import unpacked
from tests.peers.peer import free_port

_PATIENCE = 20.0  # seconds until it must answer

_CONFIG = """\
server:
  ip-address: {address}@{port}
  port: {port}
  server-count: 1
  do-ip6: no
  chroot: ""
  username: ""
  zonesdir: "{home}"
  database: ""
  pidfile: "{home}/pid"
  xfrdfile: "{home}/xfrd.state"
  zonelistfile: "{home}/zone.list"
  verbosity: 1
  rrl-ratelimit: 0
remote-control:
  control-enable: no
{zones}
"""


@contextmanager
def nsd(zones: Mapping[str, str | None], *, address: str = "127.0.0.1") -> Iterator[tuple[str, int]]:
    """Its address and port. `zones` maps each origin, without the final dot, to its master file, or to None."""
    root = unpacked("nsd")
    libraries = ":".join(str(path) for path in sorted(root.glob("usr/lib/*-linux-gnu*")))
    port = free_port(address)
    with tempfile.TemporaryDirectory(prefix="sealgate-nsd-") as folder:
        home = Path(folder)
        for number, text in enumerate(zones.values()):
            if text is not None:
                (home / f"{number}.zone").write_text(text)
        listed = (
            f'zone:\n  name: "{origin}"\n  zonefile: "{number}.zone"' for number, origin in enumerate(zones)
        )
        text = _CONFIG.format(address=address, port=port, home=home, zones="\n".join(listed))
        (home / "nsd.conf").write_text(text)
        with (home / "log").open("wb") as log:
            process = subprocess.Popen(
                [root / "usr/sbin/nsd", "-d", "-c", home / "nsd.conf"],
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
    raise AssertionError(f"NSD does not answer; its log:\n{log.read_text(errors='replace')[-4000:]}")
