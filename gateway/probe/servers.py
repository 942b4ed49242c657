"""Asks the mail servers of a route what they show, several at a time, within a deadline, and remembers the answers.

A posture is remembered by host name and address, so that domains on the same servers share it. Silences are remembered
apart, and shorter: none takes the place of what a server showed while that still counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from gateway.model.capability import HostPosture, MxHost, Route
from gateway.model.evidence import Evidence
from gateway.model.problem import Problem
from gateway.model.tls import Dane, TlsGrade, TlsTerms
from gateway.probe.cache import BoundedCache
from gateway.probe.due import SOONEST
from gateway.wire.tls_grade import forbids, shown

_WORTH = {grade: place for place, grade in enumerate(reversed(TlsGrade))}

# Asks one address of one host, at that moment; takes as long as its own timeouts allow, and never raises for what a
# peer does.
Observe: TypeAlias = Callable[[MxHost, str, datetime], Coroutine[object, object, HostPosture]]

_Target: TypeAlias = tuple[MxHost, str]
_Key: TypeAlias = tuple[str, str, int, Dane | None, TlsTerms | None, bool]


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How many are asked, how long is waited (seconds), and how long answers count."""

    targets: int = 6  # addresses asked for one route
    addresses_per_host: int = 2
    deadline: float = 45.0
    grace: float = 1.0  # for the others, once one has proved itself
    remembered: int = 50_000
    proved: timedelta = timedelta(hours=1)
    weak: timedelta = timedelta(minutes=5)  # somebody may just be repairing it
    silent: timedelta = timedelta(seconds=15)


def worth(grade: TlsGrade) -> int:
    """How much it is worth beside the other grades: more is better."""
    return _WORTH[grade]


def proves(grade: TlsGrade | None) -> bool:
    """Whether the server proved who it is."""
    return grade is not None and worth(grade) >= worth(TlsGrade.PKIX)


def best_grade(postures: tuple[HostPosture, ...]) -> TlsGrade | None:
    """The best that any host showed to which mail may go; None where there is none."""
    return max((each.grade for each in postures if each.grade and each.fit), key=worth, default=None)


def published_grade(postures: tuple[HostPosture, ...]) -> TlsGrade | None:
    """The best that any host shows of what its side publishes, whatever our settings make of it: that we distrust it,
    or demand more, is no loss of theirs. A pin that is shown is as good as any.
    """
    best = best_grade(postures)
    return best if best is TlsGrade.PIN else best_grade(tuple(map(_without_our_word, postures)))


def _without_our_word(posture: HostPosture) -> HostPosture:
    session = posture.evidence.session
    if session is None or session.terms is None or posture.grade in {None, TlsGrade.NONE}:
        return posture
    bare = replace(session, terms=None)
    evidence = replace(posture.evidence, session=bare, grade=shown(bare)[0])
    return replace(posture, evidence=evidence, fit=not forbids(bare))


def _may_show_more(proved: HostPosture, waiting: list[_Target]) -> bool:
    return proved.grade is not TlsGrade.DANE and any(host.dane is not None for host, _ in waiting)


class Servers:
    """Postures of routes."""

    def __init__(self, observe: Observe, settings: ServerSettings) -> None:
        self._observe = observe
        self._settings = settings
        self._known: BoundedCache[_Key, HostPosture] = BoundedCache(settings.remembered)
        self._silent: BoundedCache[_Key, HostPosture] = BoundedCache(settings.remembered)

    async def look_at(self, route: Route, now: datetime, *, ahead: bool = False) -> tuple[HostPosture, ...]:
        """The postures of the route's best hosts, in the order in which a delivery would try them.

        A host that is barred is not asked: nothing may go there whatever it shows. `ahead` of use a posture counts only
        while it is fresh.
        """
        targets = self._targets(route)
        found = {
            key: posture for key in map(_key, targets) if (posture := self._recall(key, now, ahead=ahead))
        }
        found |= {_key(target): _barred(target, now) for target in targets if target[0].barred is not None}
        asked = [target for target in targets if _key(target) not in found]
        if asked:
            settled = any(
                proves(posture.grade) and not _may_show_more(posture, asked) for posture in found.values()
            )
            found |= await self._ask(asked, now, settled=settled)
        return tuple(found.get(_key(target)) or _unanswered(target, now) for target in targets)

    def forget(self, route: Route) -> None:
        """Ask its hosts anew the next time."""
        for target in self._targets(route):
            self._known.drop(_key(target))
            self._silent.drop(_key(target))

    def _recall(self, key: _Key, now: datetime, *, ahead: bool) -> HostPosture | None:
        known = self._known.get(key, now)
        if known is not None and not (ahead and known.observed_at + SOONEST * self._lasts(known) <= now):
            return known
        return self._silent.get(key, now)

    def _remember(self, key: _Key, posture: HostPosture, now: datetime) -> None:
        postures = self._silent if posture.grade is None else self._known
        postures.put(key, posture, now + self._lasts(posture))

    def _targets(self, route: Route) -> list[_Target]:
        """The first address of each host, then the second of each: another host tells more than another address."""
        places = range(self._settings.addresses_per_host)
        targets = [
            (host, host.addresses[place])
            for place in places
            for host in route.hosts
            if place < len(host.addresses)
        ]
        chosen = targets[: self._settings.targets]
        order = {id(host): place for place, host in enumerate(route.hosts)}
        return sorted(chosen, key=lambda target: order[id(target[0])])

    async def _ask(self, targets: list[_Target], now: datetime, *, settled: bool) -> dict[_Key, HostPosture]:
        loop = asyncio.get_running_loop()
        tasks = {
            asyncio.create_task(self._observe(host, address, now)): (host, address)
            for host, address in targets
        }
        ends = loop.time() + (self._settings.grace if settled else self._settings.deadline)
        found: dict[_Key, HostPosture] = {}
        pending = set(tasks)
        try:
            while pending:
                done, pending = await asyncio.wait(
                    pending, timeout=max(0.0, ends - loop.time()), return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    break
                for task in done:
                    posture = task.result()
                    found[_key(tasks[task])] = posture
                    self._remember(_key(tasks[task]), posture, now)
                    if proves(posture.grade) and not _may_show_more(
                        posture, [tasks[each] for each in pending]
                    ):
                        # the rest is for the record
                        ends = min(ends, loop.time() + self._settings.grace)
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
        return found

    def _lasts(self, posture: HostPosture) -> timedelta:
        if posture.grade is None:
            return self._settings.silent
        return self._settings.proved if proves(posture.grade) else self._settings.weak


def _key(target: _Target) -> _Key:
    host, address = target
    return host.name, address, host.port, host.dane, host.terms, host.sts


def _barred(target: _Target, now: datetime) -> HostPosture:
    host, address = target
    return HostPosture(
        host=host.name,
        address=address,
        evidence=Evidence(result=host.barred_as),
        observed_at=now,
        problem=host.barred,
    )


def _unanswered(target: _Target, now: datetime) -> HostPosture:
    host, address = target
    problem = Problem(
        "4.4.1", f"the mail server {host.name} did not answer in time", f"{address} port {host.port}"
    )
    return HostPosture(host=host.name, address=address, evidence=Evidence(), observed_at=now, problem=problem)
