"""Debian's Postfix as a device: unpacked, not installed (tests/peers), all but the next hop at its defaults.

With verified TLS there are two: as it comes, a handshake for each connection; and with the client session cache, the
fastest of its set-ups (TLS connection reuse through tlsproxy was slower). Both demand the next hop's name in a
certificate of the local authority (`smtp_tls_security_level = secure`).
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum

from bench.device import Device
from bench.world import MX, SINKS, Job, World
from tests.peers import postfix_relay
from tests.peers.packages import unpacked

_ADDRESS = "127.61.0.6"


class Variant(StrEnum):
    """A set-up of Postfix, as the tables call it."""

    PLAIN = "Postfix"
    CACHE = "Postfix, session cache"
    DEFAULT = "Postfix, default"


_CACHE = {"smtp_tls_session_cache_database": "btree:${data_directory}/smtp_scache"}


@contextmanager
def postfix(world: World, variant: Variant, more: Mapping[str, str] | None = None) -> Iterator[Device]:
    """A running Postfix; `more` is added to its main.cf. Raises PeerUnavailable where it cannot be had."""
    job = Job.PLAIN if variant is Variant.PLAIN else Job.TLS
    settings = _tls(world) if job is Job.TLS else {}
    settings |= _CACHE if variant is Variant.CACHE else {}
    with postfix_relay(
        (SINKS[job], world.sink.port), address=_ADDRESS, main_cf=settings | dict(more or {})
    ) as peer:
        master = int((peer.home / "queue/pid/master.pid").read_text())
        yield Device(variant, job, peer.host, peer.port, master)


def version() -> str:
    """What the unpacked Postfix calls itself."""
    root = unpacked("postfix", "libnss-wrapper")
    folders = [root / "usr/lib/postfix", *root.glob("usr/lib/*-linux-gnu*")]
    done = subprocess.run(
        [root / "usr/sbin/postconf", "-dh", "mail_version"],
        env={"LD_LIBRARY_PATH": ":".join(map(str, folders))},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


def _tls(world: World) -> dict[str, str]:
    return {
        "smtp_tls_security_level": "secure",
        "smtp_tls_CAfile": str(world.ca_file),
        "smtp_tls_secure_cert_match": MX,
        "smtp_tls_loglevel": "1",
    }
