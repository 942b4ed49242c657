"""Counts the sessions of deliveries for reports about TLS: which domain's mail, which policy, what came of it."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.deliver.courier import Told
from gateway.deliver.tls_sessions import (
    SessionCount,
    barred,
    failed,
    outdated,
    secured,
    unlearned,
    written,
)
from gateway.model.capability import Capability
from gateway.model.tls import TlsSession
from gateway.service.day_counts import DayCounts
from gateway.service.tls_reports import KIND
from gateway.wire.endpoint import ConnectFailure, Endpoint


class SessionCounts:
    """Hears of connections, and counts each for every domain whose mail it was made for."""

    def __init__(self, counts: DayCounts) -> None:
        self._counts = counts

    def of(self, capabilities: Iterable[Capability], source_address: str | None) -> Told:
        """Who hears of the connections of one delivery to these recipients."""
        policies = {one.recipient.domain: one.sts for one in capabilities}
        source = source_address or ""

        def told(endpoint: Endpoint, shown: TlsSession | ConnectFailure | None) -> None:
            for domain, sts in policies.items():
                if isinstance(shown, ConnectFailure):
                    self._add(failed(domain, endpoint, source, shown, sts))
                else:
                    self._add(secured(domain, endpoint, source, shown, sts))

        return told

    def kept_away(self, capability: Capability) -> None:
        """A delivery that had to do without some host, or without the policy that the domain has, or only has one that
        could not be fetched anew."""
        domain = capability.recipient.domain
        for host in capability.route.hosts if capability.route is not None else ():
            if host.barred is not None:
                self._add(barred(domain, host, capability.sts))
        for failure in capability.unknown:
            self._add(unlearned(domain, failure))
        if capability.sts is not None:
            self._add(outdated(domain, capability.sts))

    def _add(self, count: SessionCount | None) -> None:
        if count is not None and not count.domain.startswith("["):
            self._counts.note(KIND, written(count))
