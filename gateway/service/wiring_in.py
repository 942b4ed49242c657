"""Wiring of the way in: from settings to listeners, connectors and what each may send. See `wiring.py`."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from gateway.config import Config
from gateway.config.accepting import Listener
from gateway.config.connector import Connector as ConnectorSettings
from gateway.config.provider_ranges import Network
from gateway.config.secrets import read_secrets
from gateway.ingress.connector import Connector, User
from gateway.ingress.settings import ListenerSettings, Timers
from gateway.ingress.tenant import TenantProof
from gateway.model.rate import UNLIMITED, Allowance, Rate
from gateway.wire.smtp_server_data import Newlines

STRANGERS_RECIPIENTS = 100  # of one message at a service listener
STRANGERS_ERRORS = 5


def listener_settings(config: Config, listener: Listener) -> ListenerSettings:
    """One listener, with the limits that all share."""
    limits, timeouts = config.limits, listener.timeouts
    settings = ListenerSettings(
        name=listener.name,
        host=str(listener.address.host),
        port=listener.address.port,
        hostname=config.hostname,
        tls=listener.tls,
        certificate=str(listener.certificate or ""),
        key=str(listener.key or ""),
        ca_file=str(config.tls.ca_file) if config.tls.ca_file else None,
        postmaster=config.postmaster,
        size_limit=limits.message_size,
        header_limit=limits.header_size,
        recipient_limit=limits.recipients,
        sessions=listener.max_sessions,
        sessions_per_client=limits.sessions_per_client,
        client_allowance=_allowance(limits.client_messages, limits.client_recipients),
        proxies=tuple(map(str, listener.proxy_protocol)),
        xclients=tuple(map(str, listener.xclient)),
        timers=Timers(
            handshake=timeouts.tls.total_seconds(),
            command=timeouts.command.total_seconds(),
            data=timeouts.data.total_seconds(),
        ),
    )
    if listener.kind != "service":
        return settings
    return replace(
        settings,
        size_limit=limits.report_size,
        client_allowance=_allowance(limits.report_messages, UNLIMITED),
        recipient_limit=STRANGERS_RECIPIENTS,
        error_limit=STRANGERS_ERRORS,
    )


def connectors(config: Config, ranges: Mapping[str, tuple[Network, ...]]) -> tuple[Connector, ...]:
    """Who may send through us, and as whom. `ranges` are the providers' addresses now.

    Raises ConfigError for a file of secrets that cannot be used.
    """
    return tuple(_connector(one, ranges) for one in config.connector)


def _connector(settings: ConnectorSettings, ranges: Mapping[str, tuple[Network, ...]]) -> Connector:
    networks: list[str] = []
    for one in settings.networks:
        networks += map(str, ranges[one[1:]] if isinstance(one, str) else (one,))
    return Connector(
        name=settings.name,
        kind="tenant" if settings.of_a_cloud else settings.kind,
        domains=settings.domains,
        networks=tuple(networks),
        certificates=tuple(fingerprint.hex() for fingerprint in settings.client_certificates),
        names=settings.client_names,
        users=tuple(User(name, password_hash) for name, password_hash in settings.users.items()),
        null_sender=settings.null_sender,
        forwarded=settings.forwarded,
        bare_newlines=Newlines(settings.newlines),
        require_tls=settings.of_a_cloud,
        tenant=_tenant(settings) if settings.of_a_cloud else None,
        allowance=_allowance(settings.messages, settings.recipients),
    )


def _tenant(settings: ConnectorSettings) -> TenantProof:
    return TenantProof(
        tenant_ids=settings.tenant_ids,
        organisations=settings.originator_orgs,
        internal=settings.kind == "microsoft365" and "author" not in settings.insecure_skip,
        secret_header=settings.secret_header.lower() if settings.secret else "",
        secrets=read_secrets(settings.secret) if settings.secret else (),
        signed=settings.dkim == "require",
    )


def sender_allowances(config: Config) -> dict[str, Allowance]:
    """How much one sender may send, by connector. A connector without a limit is not in it."""
    limits = config.limits
    found = (
        (
            one.name,
            _allowance(
                one.sender_messages or limits.sender_messages,
                one.sender_recipients or limits.sender_recipients,
            ),
        )
        for one in config.connector
    )
    return {name: allowance for name, allowance in found if allowance is not None}


def _allowance(messages: Rate, recipients: Rate) -> Allowance | None:
    return Allowance(messages, recipients) if messages.count or recipients.count else None
