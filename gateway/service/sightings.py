"""What destinations showed when mail last went there, remembered, so that a loss is noticed: `sealgate stats --drift`.

A loss of a grade that decisions rested on is the policy's business and told elsewhere; here the rest is: published
records and policies that are gone, certificates that soon expire. Each is told once.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
import structlog
from msgspec.structs import replace

from gateway.model.alarm import AlarmKind
from gateway.model.capability import Capability
from gateway.model.tls import TlsGrade
from gateway.probe.cache import BoundedCache
from gateway.probe.servers import proves
from gateway.probe.sighting import Change, HostSighting, PolicyEnd, Sighting, differences, sighting
from gateway.service.alerts.alarms import Alarms
from gateway.store.contract import Store, StoreError

_SIGHTING = "sighting"
_KEPT = timedelta(days=60)
_AGAIN = timedelta(days=1)  # what did not change is written down no more often
_MOST = 50_000
_MOST_CHANGES = 20

log = structlog.get_logger()


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """The last look at a domain; `changes` are those of the last look that differed, at `changed_at`.

    `warned` are the certificates (SHA-256) and policies (their end) of which it was told that they expire.
    """

    latest: Sighting
    changed_at: datetime | None = None
    changes: tuple[Change, ...] = ()
    warned: tuple[str, ...] = ()


class Sightings:
    """Notices what is different. `ahead` is how long before its end a certificate is told of."""

    def __init__(
        self, store: Store, alarms: Alarms | None, ahead: timedelta, now: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._alarms = alarms
        self._ahead = ahead
        self._now = now
        self._noticed: BoundedCache[str, datetime] = BoundedCache(_MOST)

    async def notice(self, capability: Capability) -> None:
        """Compare with what is remembered, where this is a new look. A store that does not answer costs no mail."""
        domain, at = capability.recipient.domain, capability.observed_at
        if self._noticed.get(domain, self._now()) == at:
            return
        self._noticed.put(domain, at, self._now() + _AGAIN)
        latest = sighting(capability)
        if latest.grade is None and latest.undeliverable is None:
            return  # nothing was learned
        try:
            await self._compare(latest)
        except StoreError as error:
            log.debug("what a destination showed is not remembered", reason=str(error))

    async def _compare(self, latest: Sighting) -> None:
        before = await self.of(latest.domain)
        kept = Kept(latest=latest)
        if before is not None:
            changes = differences(before.latest, latest)[:_MOST_CHANGES]
            kept = replace(before, latest=latest)
            if changes:
                kept = replace(kept, changes=changes, changed_at=latest.at)
                self._tell(changes)
        expiring = [host for host in self.expiring(latest) if host.certificate not in kept.warned]
        for host in expiring:
            self._warn(latest.domain, host)
        warned = tuple(host.certificate or "" for host in expiring)
        end = self.policy_end(latest)
        if end is not None and end.at.isoformat() not in kept.warned:
            self._warn_of_policy(latest.domain, end)
            warned += (end.at.isoformat(),)
        kept = replace(kept, warned=(*kept.warned, *warned)[-_MOST_CHANGES:])
        if (
            before is None
            or before != replace(kept, latest=before.latest)
            or before.latest.policy_end != latest.policy_end
            or self._is_old(before)
        ):
            expires = latest.at + _KEPT
            await self._store.remember(_SIGHTING, latest.domain, msgspec.msgpack.encode(kept), expires)

    def _is_old(self, kept: Kept) -> bool:
        return self._now() - kept.latest.at > _AGAIN

    def expiring(self, seen: Sighting) -> list[HostSighting]:
        """The hosts whose certificate soon ends and is what proves them. Under DANE dates need not matter."""
        soon = self._now() + self._ahead
        return [
            host
            for host in seen.hosts
            if host.expires is not None
            and host.expires < soon
            and proves(host.grade)
            and host.grade not in {TlsGrade.DANE, TlsGrade.PIN}
        ]

    def policy_end(self, seen: Sighting) -> PolicyEnd | None:
        """When the domain's MTA-STS policy ends, where that is soon and nothing follows it."""
        end = seen.policy_end
        return end if end is not None and end.told_from <= self._now() else None

    async def of(self, domain: str) -> Kept | None:
        """What is remembered."""
        value = await self._store.recall(_SIGHTING, domain, self._now())
        try:
            return msgspec.msgpack.decode(value, type=Kept) if value else None
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None  # of another version

    def _tell(self, changes: tuple[Change, ...]) -> None:
        for change in changes:
            if change.effect == "lost" and change.what != "grade" and self._alarms is not None:
                remedy = f"sealgate probe {change.where}"
                self._alarms.alarm(AlarmKind.DRIFT, f"{change.where} {change.what}", str(change), remedy)

    def _warn(self, domain: str, host: HostSighting) -> None:
        if self._alarms is not None and host.expires is not None:
            text = (
                f"the certificate of {host.name}, mail server of {domain}, expires on {host.expires:%Y-%m-%d}"
            )
            remedy = f"tell them: sealgate stats --drift --letter {domain}"
            self._alarms.alarm(AlarmKind.DRIFT, f"{domain} {host.name} expires", text, remedy)

    def _warn_of_policy(self, domain: str, end: PolicyEnd) -> None:
        if self._alarms is not None:
            text = (
                f"the MTA-STS policy of {domain} cannot be fetched anew ({end.why}) and ends at"
                f" {end.at:%Y-%m-%d %H:%M} UTC; from then on its mail servers prove less"
            )
            remedy = f"tell them: sealgate stats --drift --letter {domain}"
            self._alarms.alarm(AlarmKind.DRIFT, f"{domain} MTA-STS policy ends", text, remedy)
