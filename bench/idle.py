"""`./dev bench idle`: what open sessions cost in memory. Each has done STARTTLS and EHLO and says nothing more."""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench import processes
from bench.postfix import Variant, postfix
from bench.sealgate import sealgate
from bench.world import GATEWAY, BenchFailed, Job, World

_HELLO = b"EHLO mail.hospital.example\r\n"
_EACH_CLIENT = 40  # sessions from one address; a relay takes only so many of one client


@dataclass(frozen=True, slots=True)
class Idle:
    """Memory of a device without and with the sessions."""

    name: str
    sessions: int
    before: processes.Memory
    after: processes.Memory

    @property
    def each(self) -> float:
        """Bytes of PSS for each session."""
        return (self.after.pss - self.before.pss) / self.sessions


def ours(world: World, sessions: int) -> Idle:
    """Sealgate with so many open sessions."""
    with sealgate(world, Job.TLS) as gateway:
        return _measure(
            "Sealgate", world, gateway.device.host, gateway.secure_port, gateway.device.pid, sessions
        )


def peers(world: World, sessions: int) -> Idle:
    """Postfix, its limit of 100 processes raised to what the sessions need."""
    more = {
        "default_process_limit": str(sessions + 100),
        "smtpd_tls_security_level": "may",
        "smtpd_tls_cert_file": str(world.chain),
        "smtpd_tls_key_file": str(world.key),
    }
    with postfix(world, Variant.PLAIN, more) as device:
        name = "Postfix, process limit raised"
        return _measure(name, world, device.host, device.port, device.pid, sessions)


def _measure(name: str, world: World, host: str, port: int, pid: int, sessions: int) -> Idle:
    with _open(world, host, port, 1):  # whatever is made for the first session only is there already
        before = processes.memory(pid)
    with _open(world, host, port, sessions) as opened:
        after = processes.memory(pid)
        if _has_spoken(opened):
            raise BenchFailed(f"{name}: a session ended while the others were opened")
        return Idle(name, sessions, before, after)


@contextmanager
def _open(world: World, host: str, port: int, sessions: int) -> Iterator[list[ssl.SSLSocket]]:
    context = ssl.create_default_context(cafile=str(world.ca_file))
    opened: list[ssl.SSLSocket] = []
    try:
        for number in range(sessions):
            client = f"127.61.1.{1 + number // _EACH_CLIENT}"
            opened.append(_session(context, host, port, client))
        yield opened
    finally:
        for one in opened:
            one.close()


def _session(context: ssl.SSLContext, host: str, port: int, client: str) -> ssl.SSLSocket:
    plain = socket.create_connection((host, port), timeout=60, source_address=(client, 0))
    _answer(plain)
    for command in (_HELLO, b"STARTTLS\r\n"):
        plain.sendall(command)
        _answer(plain)
    secure = context.wrap_socket(plain, server_hostname=GATEWAY)
    secure.sendall(_HELLO)
    _answer(secure)
    return secure


def _has_spoken(opened: list[ssl.SSLSocket]) -> bool:
    """Whether something came on any of the connections: an idle session is told nothing unless it ends."""
    watch = select.poll()
    for one in opened:
        watch.register(one, select.POLLIN)
    return bool(watch.poll(0))


def _answer(connection: socket.socket) -> None:
    """Read one reply. Raises BenchFailed where it is none of success."""
    text = b""
    while not text.endswith(b"\r\n") or text.splitlines()[-1][3:4] == b"-":
        piece = connection.recv(4096)
        if not piece:
            raise BenchFailed("the device closed the connection")
        text += piece
    if text[:1] != b"2":
        raise BenchFailed(f"the device answered {text!r}")
