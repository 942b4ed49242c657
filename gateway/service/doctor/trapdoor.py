"""A door like the real one, that keeps nothing: where connectors are tried as their own clients would find them.

Most connectors cannot be reached from this machine as their clients reach them: Microsoft's servers are elsewhere. So
the real code of the door is opened on a private port, for one connector of the configuration, which takes this machine
for its client. Whatever gets through is noted and refused: nothing can be delivered.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec.structs import replace

from gateway.ingress.connector import Connector
from gateway.ingress.intake import BodyWriter, IntakeUnavailable
from gateway.ingress.listener import open_listener
from gateway.ingress.settings import ListenerSettings
from gateway.model.envelope import Envelope
from gateway.model.problem import Problem
from gateway.service.clock import entropy, now
from gateway.service.doctor.attempt import Letter, Target, Tried, attempt
from gateway.service.setup import self_signed

_HOST = "127.0.0.1"
_ANSWER = Problem("4.3.0", "this is a self-test and takes nothing")


class _Nothing:
    """A body that is counted and thrown away."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> bytes:
        return self._hash.digest()

    async def write(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        self.size += len(chunk)

    def abandon(self) -> None:
        """There is nothing to forget."""


class _Trap:
    """Fulfils `gateway.ingress.intake.Intake`; notes that something would have been taken."""

    def __init__(self) -> None:
        self.sprung = False

    @property
    def closed(self) -> Problem | None:
        return None

    def body_writer(self) -> BodyWriter:
        return _Nothing()

    async def accept(self, envelope: Envelope, body: BodyWriter) -> None:
        self.sprung = True
        raise IntakeUnavailable(_ANSWER)


class Trapdoor:
    """The open door. `lets_in` tries one letter."""

    def __init__(self, trap: _Trap, target: Target) -> None:
        self._trap = trap
        self._target = target

    async def lets_in(self, letter: Letter) -> bool:
        """Whether the connector takes it."""
        return (await self.tried(letter)).result == "taken"

    async def tried(self, letter: Letter) -> Tried:
        self._trap.sprung = False
        outcome = await attempt(self._target, letter, f"trap-{entropy(6).hex()}")
        return Tried("taken", outcome.said) if self._trap.sprung else outcome


@asynccontextmanager
async def trapdoor(connector: Connector, hostname: str) -> AsyncIterator[Trapdoor]:
    """Open it for one connector (not of kind `login`). Raises OSError, ListenerError or TlsFailure."""
    trap = _Trap()
    near = replace(connector, networks=(f"{_HOST}/32",), certificates=())
    with tempfile.TemporaryDirectory(prefix="sealgate-doctor-") as folder:
        certificate, key = Path(folder) / "door.pem", Path(folder) / "door.key"
        self_signed(hostname, certificate, key)
        settings = ListenerSettings(
            name="doctor", host=_HOST, port=0, hostname=hostname, certificate=str(certificate), key=str(key)
        )
        listener = await open_listener(settings, [near], trap, clock=now, entropy=entropy)
        try:
            host, port = listener.address
            yield Trapdoor(trap, Target(host=host, port=port, tls="starttls", source=_HOST))
        finally:
            await listener.close(0)
