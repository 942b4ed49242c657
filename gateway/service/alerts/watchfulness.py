"""The alarms of one process at work: its watches, and in the leading worker the desk that tells them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

from gateway.audit.recorder import Recorder
from gateway.config import Config
from gateway.config.alerts import AlertWebhook
from gateway.model.alarm import AlarmKind
from gateway.net.http import HttpClient
from gateway.net.syslog import Receiver
from gateway.probe.dns import Lookup
from gateway.probe.hosts import resolver
from gateway.service import wiring
from gateway.service.alerts import watches
from gateway.service.alerts.alarms import Alarms
from gateway.service.alerts.channels import ByMail, BySyslog, ByWebhook, Channel, OnRecord
from gateway.service.alerts.desk import Desk
from gateway.service.children import CannotStart
from gateway.service.clock import entropy, now
from gateway.service.policies import PolicyInForce
from gateway.service.sealing import SealerWatch
from gateway.store.contract import Store
from gateway.wire.destinations import Destinations

ANYWHERE = Destinations([ip_network("0.0.0.0/0"), ip_network("::/0")])  # an operator chose it, no stranger


def listen_for_expiry(config: Config, alarms: Alarms) -> asyncio.Task[None]:
    """The watch of a process that has listeners: it alone can be sure to read their certificates."""
    look = watches.certificates(config.listener, config.alerts.certificate, now)
    return asyncio.create_task(watches.watch(alarms, [(AlarmKind.CERTIFICATE, look)]))


def keep_watch(
    config: Config, alarms: Alarms, store: Store, policies: PolicyInForce, sealer: SealerWatch
) -> asyncio.Task[None]:
    """The watches of the leading worker."""
    settings = config.alerts
    folders = _existing(config.data_dir, config.audit_directory, config.run_directory)
    looks = [
        (AlarmKind.QUEUE, watches.queue(store, settings, now)),
        (AlarmKind.DISK, watches.disk(folders, settings.disk_free)),
        (AlarmKind.AUDIT, watches.audit(lambda: sealer.trouble, store, now)),
        (AlarmKind.EXCEPTION, watches.exceptions(lambda: policies.policy, now)),
    ]
    return asyncio.create_task(watches.watch(alarms, looks))


def tell(
    config: Config, alarms: Alarms, store: Store, recorder: Recorder, changed: Callable[[], None]
) -> asyncio.Task[None]:
    """The desk of the gateway, with the channels of its configuration."""
    settings = config.alerts
    desk = Desk(
        alarms,
        channels(config, store, recorder, changed),
        config.run_directory,
        interval=settings.interval,
        repeat=settings.repeat,
        now=now,
    )
    return asyncio.create_task(desk.run())


def channels(config: Config, store: Store, recorder: Recorder, changed: Callable[[], None]) -> list[Channel]:
    """The record, and every way that is configured."""
    settings = config.alerts
    found: list[Channel] = [OnRecord(store, recorder)]
    if settings.mail.to:
        found.append(
            ByMail(
                store,
                recorder,
                hostname=config.hostname,
                sender=config.postmaster,
                recipients=settings.mail.to,
                entropy=entropy,
                changed=changed,
            )
        )
    if (syslog := settings.syslog.address) is not None:
        receiver = Receiver(syslog.transport, syslog.host, syslog.port, wiring.ca_file(config))
        found.append(BySyslog(receiver, config.hostname))
    if settings.webhook.url is not None:
        found.append(_webhook(config, settings.webhook, settings.webhook.url))
    return found


def _webhook(config: Config, settings: AlertWebhook, url: str) -> ByWebhook:
    lookup: Lookup = wiring.name_servers(config, None)

    client = HttpClient(resolver(lookup), ANYWHERE, wiring.ca_file(config))
    try:
        secret = settings.secret.read_bytes().strip() if settings.secret is not None else b""
    except OSError as error:
        raise CannotStart(
            f"alerts.webhook.secret: {settings.secret}: {error.strerror}",
            "make the file, for the worker to read",
        ) from error
    return ByWebhook(client, url, config.hostname, secret, settings.secret_header)


def _existing(*folders: Path) -> list[Path]:
    return [next(one for one in (folder, *folder.parents) if one.exists()) for folder in folders]
