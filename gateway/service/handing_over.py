"""The stage that hands over, bound to what it needs: a courier, and those who hear of what it saw."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence

from msgspec.structs import replace

from gateway.config import Config
from gateway.deliver.courier import Courier
from gateway.deliver.return_path import returning_headers
from gateway.journey import Departure
from gateway.model.capability import MxHost, Route
from gateway.model.delivery import Deferred, DeliveryAttempt, ProtectedMessage
from gateway.probe.gather import Prober
from gateway.service.session_counts import SessionCounts


def deliverer(
    config: Config, prober: Prober, carrier: Courier, sessions: SessionCounts
) -> Callable[[ProtectedMessage, Sequence[Departure]], Awaitable[Sequence[DeliveryAttempt]]]:
    """The stage that hands over, and lets others know what it saw."""

    async def delivered(
        message: ProtectedMessage, departures: Sequence[Departure]
    ) -> Sequence[DeliveryAttempt]:
        lead = departures[0]
        route, reports = lead.capability.route, lead.work.errand.envelope.origin == "report"
        assert route is not None, "a way that leads nowhere is no candidate"
        source = _source(config, lead.decision.effects.pool)
        attempts = await carrier.deliver(
            message,
            returning_headers([one.work.errand for one in departures], message.sender),
            [one.capability for one in departures],
            _undemanding(route) if reports else route,
            numbers=[one.work.progress.attempts + 1 for one in departures],
            source_address=source,
            told=sessions.of(() if reports else [one.capability for one in departures], source),
        )
        for one, attempt in zip(departures, attempts, strict=True):
            if isinstance(attempt.outcome, Deferred) and attempt.outcome.security:
                prober.forget(one.work.errand.recipient.address.domain)  # it showed less than when we looked
        return attempts

    return delivered


def _undemanding(route: Route) -> Route:
    """The same hosts, whatever they demand: a report must not fail for what it reports (RFC 8460 section 3)."""
    hosts = (MxHost(host.name, host.preference, host.addresses, host.port) for host in route.hosts)
    return replace(route, hosts=tuple(hosts))


def _source(config: Config, name: str | None) -> str | None:
    """One address of the pool that the policy chose, or of `default`, or None: the system chooses."""
    addresses = config.delivery.pools.get(name or "default", ())
    return str(random.choice(addresses)) if addresses else None  # noqa: S311 (spreading load, not secrecy)
