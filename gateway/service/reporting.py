"""Reports about TLS in one process: from settings to a running `Reporter`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from hashlib import sha256

from gateway.audit.recorder import Recorder
from gateway.config import Config
from gateway.model.address import Address
from gateway.model.envelope import Client, Envelope, Recipient
from gateway.model.progress import Progress, State
from gateway.net.http import HttpClient
from gateway.probe.dns import Dns
from gateway.probe.hosts import resolver
from gateway.probe.reporting import find_places
from gateway.service import wiring
from gateway.service.day_counts import DayCounts
from gateway.service.tls_reports import Reporter, ReportSettings
from gateway.store.contract import Mistake, Store
from gateway.wire.destinations import Destinations


def reporter(
    config: Config,
    store: Store,
    counts: DayCounts,
    recorder: Recorder,
    lookup: Dns,
    *,
    now: Callable[[], datetime],
    changed: Callable[[], None],
) -> Reporter:
    """The reporter that `[tlsrpt]` asks for. `changed` is called when a report is in the queue."""
    destinations = Destinations(config.delivery.allow_networks)
    client = HttpClient(resolver(lookup), destinations, wiring.ca_file(config))
    settings = config.tlsrpt

    async def enqueue(message: str, to: Address, content: bytes) -> None:
        envelope = report_envelope(message, to, content, config.hostname, now())
        body = store.body_writer()
        await body.write(content)
        queued = Progress(state=State.QUEUED, due_at=envelope.accepted_at)
        try:
            await store.accept(
                envelope, body, recorder.received(envelope), progress=(queued,), lease_until=None
            )
        except Mistake:  # the id is taken: it is in the queue already
            return
        changed()

    return Reporter(
        store,
        counts,
        ReportSettings(
            organization=settings.organization or config.hostname,
            contact=str(settings.contact or config.postmaster),
            author=settings.sender or config.postmaster,
            hostname=config.hostname,
            spread=settings.spread,
        ),
        places=lambda domain: find_places(lookup, domain),
        post=client.ask,
        enqueue=enqueue,
        now=now,
    )


def report_envelope(message: str, to: Address, content: bytes, hostname: str, at: datetime) -> Envelope:
    """A report's envelope. Its reverse-path is null: nobody is told when a report cannot be delivered."""
    return Envelope(
        id=message,
        accepted_at=at,
        client=Client(ip="", port=0, helo=hostname, listener="", connector="reports", protocol="local"),
        sender=None,
        recipients=(Recipient(to),),
        size=len(content),
        sha256=sha256(content).digest(),
        smtputf8=to.needs_smtputf8,
        origin="report",
    )
