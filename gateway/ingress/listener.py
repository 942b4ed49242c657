"""Opens a listener and closes it again without losing what is on its way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime

from gateway.ingress.connection import Connection
from gateway.ingress.connector import Connector, Connectors
from gateway.ingress.desk import Desk
from gateway.ingress.door import Door
from gateway.ingress.evidence import SignatureCheck
from gateway.ingress.intake import Incidents, Intake, ignore
from gateway.ingress.login import LoginCheck
from gateway.ingress.pace import Pace
from gateway.ingress.settings import ListenerSettings
from gateway.wire.smtp_server_actions import Refused

SHUTTING_DOWN = Refused(421, "4.3.2", "shutting down; try again later")


class ListenerError(Exception):
    """A listener cannot be opened. The text says which, why, and what to do."""


class Listener:
    """An open listener. Made by `open_listener`."""

    def __init__(self, door: Door, server: asyncio.Server, logins: LoginCheck) -> None:
        self._door = door
        self._server = server
        self._logins = logins
        host, port = server.sockets[0].getsockname()[:2]
        self.address: tuple[str, int] = (host, port)

    @property
    def sessions(self) -> int:
        """How many clients are connected."""
        return len(self._door.guests)

    def use_connectors(self, connectors: Iterable[Connector]) -> None:
        """Change the rules for every message that begins from now on. Raises ValueError as `Connectors` does."""
        if self._door.desk is not None:
            return
        self._door.change_connectors(Connectors(connectors))

    def use_certificate(self) -> None:
        """Read certificate and key again, for new sessions. Raises TlsFailure, and the old ones stay."""
        self._door.load_tls()

    async def close(self, grace: float) -> None:
        """Stop: no new sessions, 421 to those that are idle; content on its way is finished for up to `grace` seconds.
        Messages that are complete are always brought to their end."""
        self._server.close()
        self._door.stopping = SHUTTING_DOWN
        for guest in tuple(self._door.guests):
            guest.stop(SHUTTING_DOWN)
        try:
            await asyncio.wait_for(self._door.empty.wait(), grace)
        except TimeoutError:
            for guest in tuple(self._door.guests):
                guest.cut()
            await self._door.empty.wait()
        await self._door.finished()
        await self._server.wait_closed()
        self._logins.close()


async def open_listener(
    settings: ListenerSettings,
    connectors: Iterable[Connector],
    intake: Intake,
    *,
    clock: Callable[[], datetime],
    entropy: Callable[[int], bytes],
    incidents: Incidents = ignore,
    pace: Pace | None = None,
    desk: Desk | None = None,
    signatures: SignatureCheck | None = None,
) -> Listener:
    """Listen. `clock` gives aware UTC times; `entropy` gives that many unguessable octets; listeners share a
    `pace` and the check of DKIM `signatures`; without one, messages that need it wait at the client's. With a `desk`
    it is a service listener, and has no connectors.

    Raises ListenerError for settings that must not be used and addresses that cannot be had, TlsFailure for unusable
    certificate files, ValueError for unusable connectors.
    """
    fault = settings.fault()
    if fault is not None:
        raise ListenerError(fault)
    logins = LoginCheck(entropy(32))
    door = Door(
        settings,
        Connectors(connectors),
        intake,
        clock=clock,
        entropy=entropy,
        incidents=incidents,
        logins=logins,
        signatures=signatures or SignatureCheck(_no_keys),
        pace=pace or Pace(),
        desk=desk,
    )
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(
            lambda: Connection(door),
            settings.host,
            settings.port,
            reuse_port=settings.reuse_port or None,
            backlog=1024,
        )
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        raise ListenerError(
            f"listener {settings.name}: cannot listen on {where}: {error.strerror or error}"
        ) from None
    return Listener(door, server, logins)


async def _no_keys(_name: str) -> tuple[bytes, ...] | None:
    return None
