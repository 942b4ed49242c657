"""The prober: everything that can be found out about a recipient, put together as one Capability.

Promises: a domain is looked at once at a time, whoever asks; looks under way are bounded, and so is the time of each;
what was not answered is `unknown`, never `none`; what was learned is used again for as long as it counts, and renewed
before its end while it is in use (`warm`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import assert_never

import msgspec

from gateway.model.address import Address
from gateway.model.capability import Capability, GradeSeen, HostPosture, Offer, ProbeFailure, Route
from gateway.model.problem import Problem
from gateway.model.sts import StsInForce, StsMode
from gateway.model.tls import TlsGrade
from gateway.probe.dane import NOT_LEARNED
from gateway.probe.due import retry_after
from gateway.probe.grades_seen import GradesSeen, lost
from gateway.probe.key_source import KeySource
from gateway.probe.memory import Memory, Recollection
from gateway.probe.mta_sts import NOT_LISTED, NoSts, StsAnswer, StsPolicies, StsUnclear, bind
from gateway.probe.mx import Nowhere, Routed, Router, Unclear
from gateway.probe.providers import continuity, registered_domain
from gateway.probe.servers import (
    Observe,
    Servers,
    ServerSettings,
    best_grade,
    proves,
    published_grade,
    worth,
)
from gateway.probe.trust import DnssecState
from gateway.probe.warm import Learned, Warm, WarmSettings
from gateway.wire.tls_grade import shown


class ProberSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How much is done at once, and how long what was found counts."""

    at_once: int = 100  # domains looked at; renewed ahead of use, half as many beside them
    remembered: int = 50_000  # domains, and mailboxes
    shortest: timedelta = timedelta(minutes=1)  # a route, however short its TTL
    longest: timedelta = timedelta(hours=1)  # anything
    nowhere: timedelta = timedelta(minutes=15)
    first_retry: timedelta = timedelta(seconds=15)  # after no answer; grows with the outage
    last_retry: timedelta = timedelta(minutes=5)
    servers: ServerSettings = ServerSettings()


class _Domain(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one domain, the same for all of its mailboxes."""

    observed_at: datetime
    route: Route | None = None
    offers: tuple[Offer, ...] = ()
    unknown: tuple[ProbeFailure, ...] = ()
    postures: tuple[HostPosture, ...] = ()
    destination: str = ""
    undeliverable: Problem | None = None
    dnssec: str = ""
    sts: StsInForce | None = None
    best_seen: tuple[GradeSeen, ...] = ()
    unheard: tuple[str, ...] = ()  # hosts that are listed too, whose addresses DNS did not tell


class _Keys(msgspec.Struct, frozen=True):
    """What the key sources say of one mailbox."""

    offers: tuple[Offer, ...]
    unknown: tuple[ProbeFailure, ...]


_NO_KEYS = _Keys((), ())
_RENEW_EVERY = 1.0  # seconds


class Prober:
    """Answers what a recipient can receive. `observe` asks one address of one host for its posture.

    `sts` finds MTA-STS policies; without it there are none, and the domains of `unpoliced` are not asked for theirs.
    `dnssec` says at any moment whether signed answers can be told from others (`DnssecState`). `told` hears of a domain
    that shows less than it did, at each look at it. `counted` hears of each look what it was (`warm`).
    """

    def __init__(
        self,
        router: Router,
        observe: Observe,
        memory: Memory,
        *,
        sources: Sequence[KeySource] = (),
        settings: ProberSettings | None = None,
        dnssec: Callable[[], str] = str,
        sts: StsPolicies | None = None,
        unpoliced: Collection[str] = (),
        told: Callable[[str, GradeSeen, TlsGrade], None] | None = None,
        counted: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._settings = settings or ProberSettings()
        self._router = router
        self._servers = Servers(observe, self._settings.servers)
        self._recollection = Recollection(memory)
        self._grades = GradesSeen(memory)
        self._sources = tuple(sources)
        self._dnssec = dnssec
        self._sts = sts
        self._unpoliced = unpoliced
        self._told = told
        warm = WarmSettings(
            at_once=self._settings.at_once,
            remembered=self._settings.remembered,
            last_retry=self._settings.last_retry,
        )
        self._domains = Warm(self._look, _replaces, warm, overtaken=self._forget_servers, counted=counted)
        self._keys = Warm(self._ask_sources, _keys_replace, warm, counted=counted)

    async def probe(self, recipient: Address, now: datetime) -> Capability:
        """What this recipient can receive, from the cache where that still counts."""
        domain = await self._domains.get(recipient.domain, now)
        keys = _NO_KEYS
        if self._sources and domain.undeliverable is None:
            keys = await self._keys.get(recipient, now)
        return _capability(recipient, domain, keys)

    def known(self, recipient: Address, now: datetime) -> Capability | None:
        """The same where the cache has all of it, else None."""
        domain = self._domains.known(recipient.domain, now)
        if domain is None:
            return None
        if not self._sources or domain.undeliverable is not None:
            return _capability(recipient, domain, _NO_KEYS)
        keys = self._keys.known(recipient, now)
        return None if keys is None else _capability(recipient, domain, keys)

    def forget(self, domain: str) -> None:
        """Look again at the next question: a delivery saw something else than we did, or a person asks."""
        known = self._domains.forget(domain)
        if known is not None:
            self._forget_servers(known)

    def renew_due(self, now: datetime) -> None:
        """Begin to renew what is in use and will soon count no more."""
        self._domains.renew_due(now)
        self._keys.renew_due(now)

    async def keep_warm(self, clock: Callable[[], datetime]) -> None:
        """Renew what is in use, until cancelled."""
        while True:
            self.renew_due(clock())
            await asyncio.sleep(_RENEW_EVERY)

    async def close(self) -> None:
        """End the looks under way."""
        await asyncio.gather(self._domains.close(), self._keys.close())
        if self._sts is not None:
            await self._sts.close()

    def _forget_servers(self, facts: _Domain) -> None:
        if facts.route is not None:
            self._servers.forget(facts.route)

    async def _look(self, domain: str, now: datetime, *, ahead: bool) -> Learned[_Domain]:
        result, policy = await asyncio.gather(self._router.route(domain), self._policy_of(domain, now))
        match result:
            case Routed():
                await self._recollection.works_again("mx", domain, now)
                facts, lasts = await self._look_at_servers(domain, result, policy, now, ahead=ahead)
            case Nowhere():
                await self._recollection.works_again("mx", domain, now)
                facts = _Domain(observed_at=now, undeliverable=result.problem)
                lasts = self._settings.nowhere
            case Unclear():
                failure = await self._failure("mx", ("tls", "plain"), result.problem, domain, now)
                facts = _Domain(observed_at=now, unknown=(failure,))
                lasts = self._retry_after(failure, now)
            case _:
                assert_never(result)
        facts = msgspec.structs.replace(facts, dnssec=self._dnssec())
        if (
            facts.dnssec == DnssecState.UNPROVED
        ):  # as at a start before the resolver is up: DANE may show in a moment
            lasts = min(lasts, self._settings.shortest)
        return Learned(facts, lasts, renewed=bool(facts.offers) or not facts.unknown)

    async def _policy_of(self, domain: str, now: datetime) -> StsAnswer:
        if self._sts is None or domain.startswith("[") or domain in self._unpoliced:
            return NoSts()
        return await self._sts.look_up(domain, now)

    async def _look_at_servers(
        self, domain: str, routed: Routed, policy: StsAnswer, now: datetime, *, ahead: bool
    ) -> tuple[_Domain, timedelta]:
        settings, route = self._settings, bind(routed.route, domain, policy)
        postures = await self._servers.look_at(route, now, ahead=ahead)
        best, published = best_grade(postures), published_grade(postures)
        unknown = (
            await self._silence(domain, routed, route, postures, now) if best is not TlsGrade.DANE else ()
        )
        if not unknown:
            await self._recollection.works_again("smtp", domain, now)
        seen = await self._seen_before(domain, routed, policy, published, now)
        missed = lost(seen, published) if not unknown else None  # a host that is silent may still show it
        unknown += await self._unpublished(domain, policy, best, now)
        facts = _Domain(
            observed_at=now,
            route=route,
            offers=await self._offers(domain, routed, route, postures, now),
            unknown=unknown,
            postures=postures,
            destination=registered_domain(route.hosts[0].name),
            sts=policy if isinstance(policy, StsInForce) else None,
            best_seen=seen,
            unheard=tuple(name for name, _ in routed.unheard),
        )
        ends = [timedelta(seconds=routed.ttl)]
        if isinstance(policy, StsInForce):
            ends.append(policy.expires_at - now)
        lasts = min(max(min(ends), settings.shortest), settings.longest)
        if missed is not None and published is not None:
            self._tell_loss(domain, missed, published)
        if missed is not None or not proves(best):
            lasts = min(lasts, settings.servers.weak)
        return facts, min((lasts, *(self._retry_after(failure, now) for failure in unknown)))

    async def _seen_before(
        self, domain: str, routed: Routed, policy: StsAnswer, published: TlsGrade | None, now: datetime
    ) -> tuple[GradeSeen, ...]:
        """What binds us of what this domain used to show. A route of ours is our word, whatever was there before."""
        if routed.route.source == "static":
            return ()
        withdrawn = set()
        if routed.without_dane:
            withdrawn.add(TlsGrade.DANE)
        undone = isinstance(policy, StsInForce) and policy.policy.mode is StsMode.NONE
        if undone or self._sts is None:
            withdrawn.add(TlsGrade.MTA_STS)
        return await self._grades.note(domain, published, withdrawn, now)

    def _tell_loss(self, domain: str, missed: GradeSeen, published: TlsGrade) -> None:
        blind = missed.grade is TlsGrade.DANE and self._dnssec() != DnssecState.VALIDATED
        if self._told is not None and not blind:  # that DANE is off is an alarm of its own
            self._told(domain, missed, published)

    async def _unpublished(
        self, domain: str, policy: StsAnswer, best: TlsGrade | None, now: datetime
    ) -> tuple[ProbeFailure, ...]:
        """A policy that cannot be had, and none is kept: a certificate that proves the name may be worth more than it
        shows. Nothing else would be, so that nobody has to wait for it.
        """
        if not isinstance(policy, StsUnclear):
            await self._recollection.works_again("mta-sts", domain, now)
            return ()
        methods = ("tls",) if best in {TlsGrade.PKIX, TlsGrade.PIN} else ()
        failure = await self._failure("mta-sts", methods, policy.problem, domain, now)
        return (msgspec.structs.replace(failure, result=policy.result),)

    async def _silence(
        self, domain: str, routed: Routed, route: Route, postures: tuple[HostPosture, ...], now: datetime
    ) -> tuple[ProbeFailure, ...]:
        """A host that did not answer might have shown more than the others; if none did, all is unknown. So might one
        whose address DNS did not tell.

        Where one has proved itself, only a host that demands DANE, or may do so, could show more. One that no policy
        lists will show nothing.
        """
        unlisted = {host.name for host in route.hosts if host.barred_as == NOT_LISTED}
        silent = [each for each in postures if each.grade is None and each.host not in unlisted]
        unheard = routed.unheard
        best = best_grade(postures)
        if proves(best):
            bound = {
                host.name for host in route.hosts if host.dane is not None or host.barred_as == NOT_LEARNED
            }
            silent = [posture for posture in silent if posture.host in bound]
            unheard = unheard if route.secure else ()
        problems = [each.problem for each in silent] + [problem for _, problem in unheard]
        if not problems:
            return ()
        methods = ("tls", "plain") if best is None else ("tls",)
        assert problems[0] is not None
        return (await self._failure("smtp", methods, problems[0], domain, now),)

    async def _offers(
        self, domain: str, routed: Routed, route: Route, postures: tuple[HostPosture, ...], now: datetime
    ) -> tuple[Offer, ...]:
        """Plain text is on offer wherever a server answers that does not demand TLS; whether it is ever taken is the
        policy's business. A pin that is shown is on offer beside a better grade: it may be the one that counts.
        """
        best = best_grade(postures)
        if best is None:
            return ()
        plain: tuple[Offer, ...] = ()
        if not all(host.demands_tls or host.barred for host in route.hosts):
            plain = (Offer(method="plain", grade=TlsGrade.NONE.value, source="smtp"),)
        if best is TlsGrade.NONE:
            return plain
        hosts = frozenset((*(host.name for host in route.hosts), *(name for name, _ in routed.unheard)))
        tls = Offer(
            method="tls",
            grade=best.value,
            source="smtp",
            mx_continuity=continuity(domain, route),
            mx_unchanged_since=await self._recollection.unchanged_since(domain, hosts, now),
        )
        if best is not TlsGrade.PIN and any(
            TlsGrade.PIN in shown(each.evidence.session) for each in postures if each.fit
        ):
            return tls, msgspec.structs.replace(tls, grade=TlsGrade.PIN.value), *plain
        return tls, *plain

    async def _failure(
        self, source: str, methods: tuple[str, ...], problem: Problem, key: str, now: datetime
    ) -> ProbeFailure:
        since = await self._recollection.failing_since(source, key, now)
        return ProbeFailure(source, methods, problem, since)

    def _retry_after(self, failure: ProbeFailure, now: datetime) -> timedelta:
        return retry_after(failure.since, now, self._settings.first_retry, self._settings.last_retry)

    async def _ask_sources(self, recipient: Address, now: datetime, *, ahead: bool) -> Learned[_Keys]:
        answers = await asyncio.gather(*(source.look_up(recipient, now) for source in self._sources))
        offers: tuple[Offer, ...] = ()
        unknown: tuple[ProbeFailure, ...] = ()
        for source, answer in zip(self._sources, answers, strict=True):
            if isinstance(answer, Problem):
                unknown += (await self._failure(source.name, source.methods, answer, recipient.domain, now),)
            else:
                await self._recollection.works_again(source.name, recipient.domain, now)
                offers += answer
        lasts = (self._settings.longest, *(self._retry_after(failure, now) for failure in unknown))
        return Learned(_Keys(offers, unknown), min(lasts), renewed=bool(offers) or not unknown)


def _replaces(old: _Domain, new: _Domain) -> bool:
    """Whether what was found ahead of use may take the place of what still counts: better or worse, it is definite.

    A look is seldom all answers or all silence. It is definite where nothing is unknown that was known before, and
    nothing that was on offer is missing beside a server that has fallen silent, or a DNSSEC that can no longer be
    told: what is not heard might be just that. So nothing steps down on a silence as long as the answer before it
    counts, while a server's own weaker word, hosts that DNS no longer lists, and a domain that is gone count at once;
    a backup that dies beside a server which shows all that was shown before holds nothing up.
    """
    if _doubts(new.unknown) - _doubts(old.unknown):
        return False
    blind = old.dnssec == DnssecState.VALIDATED != new.dnssec
    return not (_less_on_offer(old, new) and (blind or _silent(new) - _silent(old)))


def _keys_replace(old: _Keys, new: _Keys) -> bool:
    """The same for keys: every source that had answered has answered again."""
    return not _doubts(new.unknown) - _doubts(old.unknown)


def _doubts(unknown: tuple[ProbeFailure, ...]) -> set[tuple[str, str]]:
    """What is unknown: sources, and the methods that each might have offered."""
    return {(failure.source, method) for failure in unknown for method in ("", *failure.methods)}


def _less_on_offer(old: _Domain, new: _Domain) -> bool:
    """Whether TLS was worth more: to the best of its grades, or by a pin, which no other grade stands for."""
    before, after = (
        {TlsGrade(offer.grade) for offer in facts.offers if offer.method == "tls"} for facts in (old, new)
    )
    best = max(map(worth, after), default=-1)
    return any(grade is TlsGrade.PIN or worth(grade) > best for grade in before - after)


def _silent(facts: _Domain) -> set[tuple[str, str]]:
    """The addresses that did not answer or were not told, of hosts that may take the domain's mail."""
    hosts = facts.route.hosts if facts.route is not None else ()
    unlisted = {host.name for host in hosts if host.barred_as == NOT_LISTED}
    silent = {(each.host, each.address) for each in facts.postures if each.grade is None}
    silent |= {(name, "") for name in facts.unheard}
    return {(name, address) for name, address in silent if name not in unlisted}


def _capability(recipient: Address, domain: _Domain, keys: _Keys) -> Capability:
    return Capability(
        recipient=recipient,
        observed_at=domain.observed_at,
        route=domain.route,
        offers=domain.offers + keys.offers,
        unknown=domain.unknown + keys.unknown,
        postures=domain.postures,
        destination=domain.destination,
        undeliverable=domain.undeliverable,
        dnssec=domain.dnssec,
        sts=domain.sts,
        best_seen=domain.best_seen,
    )
