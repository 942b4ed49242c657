"""A courier with everything it needs, aimed at scripted servers on loopback addresses."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Sequence
from ipaddress import ip_network

from gateway.deliver.courier import Courier, Told
from gateway.deliver.dkim import Sign
from gateway.deliver.plan import Bounds
from gateway.deliver.pool import Hop, Limits, Pool
from gateway.model.address import Address
from gateway.model.capability import Capability, MxHost, Route
from gateway.model.delivery import DeliveryAttempt, ProtectedMessage
from gateway.model.envelope import Client, Envelope, Errand, Recipient
from gateway.model.tls import Dane, TlsFloor, TlsGrade, TlsTerms
from gateway.net.revocation import Revocation
from gateway.net.second_try import connect_or_again
from gateway.net.smtp import ClientSettings, ConnectFailure, SmtpConnection
from gateway.wire.dkim import Signed
from tests.fakes.scripted_mx import ScriptedMx

VERIFIED = TlsFloor((TlsGrade.DANE, TlsGrade.MTA_STS, TlsGrade.PIN, TlsGrade.PKIX))
ENCRYPTED = TlsFloor((*VERIFIED.grades, TlsGrade.ENCRYPTED), "1.2", "opportunistic")
ANYTHING = TlsFloor((*ENCRYPTED.grades, TlsGrade.NONE), "1.2", "opportunistic")
CONTENT = b"From: ann@example.net\r\nSubject: x\r\n\r\nhello\r\n.\r\nbye\r\n"
LOOPBACK = Bounds((ip_network("127.0.0.0/8"),))


class Egress:
    """`opened` counts the connections that were tried."""

    def __init__(self, ca_file: str | None, limits: Limits, timeouts: dict[str, float]) -> None:
        self.opened = 0
        self.looks: Revocation | None = None
        self.settings = ClientSettings(helo="gw.example", **timeouts)
        self.pool = Pool(self._connect, limits)
        self.downgraded: list[bytes] = []
        self.downgrade_to: bytes | None = None
        self.sign: Sign | None = None
        self._now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        self.courier = Courier(
            self.pool,
            clock=self._clock,
            shuffle=lambda hosts: None,
            bounds=LOOPBACK,
            downgrade=self._downgrade,
            sign=self._signed,
            ca_file=ca_file,
        )

    async def send(
        self,
        *servers: ScriptedMx | int,
        floor: TlsFloor = VERIFIED,
        recipients: int = 1,
        content: bytes = CONTENT,
        numbers: Sequence[int] = (),
        source_address: str | None = None,
        told: Told = lambda _endpoint, _shown: None,
        dane: Dane | None = None,
        terms: TlsTerms | None = None,
        **more: object,
    ) -> tuple[DeliveryAttempt, ...]:
        """Deliver to `recipients` recipients over the servers in order (a number is a port at which nobody listens).

        `dane` is what the first of them demands; `terms` are laid down for all.
        """
        envelope_more = {key: more.pop(key) for key in ("requiretls", "ret", "envid") if key in more}
        message = ProtectedMessage(
            content=content,
            method="tls",
            floor=floor,
            sender=Address("ann", "example.net"),
            **more,  # type: ignore[arg-type]
        )
        route = Route(
            tuple(
                MxHost(
                    "mx.example.org",
                    number,
                    ("127.0.0.1",),
                    server if isinstance(server, int) else server.port,
                    dane if number == 0 else None,
                    terms=terms,
                )
                for number, server in enumerate(servers)
            ),
            "mx",
        )
        going = errands(recipients, **envelope_more)
        return await self.courier.deliver(
            message,
            going,
            [known(errand, route) for errand in going],
            route,
            numbers=numbers,
            source_address=source_address,
            told=told,
        )

    async def _connect(self, hop: Hop) -> SmtpConnection | ConnectFailure:
        self.opened += 1
        made = await connect_or_again(hop.endpoint, hop.tls(), self.settings, hop.source_address)
        if self.looks is not None and isinstance(made, SmtpConnection):
            await self.looks.look_or_abort(made, hop.floor.revocation)
        return made

    async def _signed(self, content: bytes, sha256: bytes) -> Signed:
        return await self.sign(content, sha256) if self.sign is not None else Signed(b"", sha256)

    def _downgrade(self, content: bytes) -> bytes | None:
        self.downgraded.append(content)
        return self.downgrade_to

    def _clock(self) -> dt.datetime:
        self._now += dt.timedelta(seconds=1)
        return self._now


def errands(count: int, **more: object) -> tuple[Errand, ...]:
    recipients = tuple(
        Recipient(Address(f"user{number}", "example.org"), ("FAILURE",)) for number in range(count)
    )
    envelope = Envelope(
        id="0123456789abcdefghjk",
        accepted_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        client=Client(ip="192.0.2.1", port=1, helo="mail.example.net", listener="inside", connector="lan"),
        sender=Address("ann", "example.net"),
        recipients=recipients,
        size=len(CONTENT),
        sha256=b"",
        **more,  # type: ignore[arg-type]
    )
    return tuple(Errand(envelope, number) for number in range(count))


def known(errand: Errand, route: Route) -> Capability:
    return Capability(
        recipient=errand.recipient.address,
        observed_at=errand.envelope.accepted_at,
        route=route,
        dnssec="validated",
    )


@contextlib.asynccontextmanager
async def egress(
    ca_file: str | None = None, limits: Limits | None = None, **timeouts: float
) -> AsyncIterator[Egress]:
    world = Egress(ca_file, limits or Limits(), timeouts)
    yield world
    await world.pool.close()
    assert world.pool.connections == 0, "a place in the pool was lost"
