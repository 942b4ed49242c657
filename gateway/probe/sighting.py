"""What a destination showed at one look, small enough to remember, and what is different at the next."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from gateway.model.capability import Capability, HostPosture
from gateway.model.sts import StsInForce, StsMode
from gateway.model.tls import TlsGrade
from gateway.probe.servers import best_grade
from gateway.wire.certificate import read_certificate
from gateway.wire.tlsa import describe

_RANK = {grade: place for place, grade in enumerate(reversed(TlsGrade))}
_MOST_HOSTS = 8
_POLICY_NOTICE = timedelta(days=7)


class HostSighting(msgspec.Struct, frozen=True, kw_only=True):
    """One host at its worst address: mail may go to any of them. `expires` and the issuer are its own certificate's."""

    name: str
    grade: TlsGrade | None
    problem: str | None = None  # RFC 8460 word
    issuer: str | None = None
    expires: datetime | None = None
    certificate: str | None = None  # SHA-256
    tlsa: tuple[str, ...] = ()


class PolicyEnd(msgspec.Struct, frozen=True):
    """When an enforced MTA-STS policy ends that cannot be fetched anew, and from when on that is worth telling.

    `why` is the RFC 8460 word for how the last fetch failed.
    """

    at: datetime
    told_from: datetime
    why: str


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """One domain at one moment. `grade` is the best that any of its hosts showed."""

    at: datetime
    domain: str
    grade: TlsGrade | None
    secure: bool
    hosts: tuple[HostSighting, ...] = ()
    undeliverable: str | None = None  # enhanced status code
    sts: str | None = None  # mode and id of the MTA-STS policy
    unknown: tuple[str, ...] = ()  # sources that gave no answer
    policy_end: PolicyEnd | None = None


class Change(msgspec.Struct, frozen=True):
    """One difference: `lost` is for the worse, `gained` for the better. `where` is the domain or one of its hosts."""

    effect: Literal["lost", "changed", "gained"]
    where: str
    what: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what} {self.effect}: was {self.before}, is {self.after}"


def sighting(capability: Capability) -> Sighting:
    """The part of a capability that is remembered."""
    route = capability.route
    hosts = route.hosts[:_MOST_HOSTS] if route is not None else ()
    return Sighting(
        at=capability.observed_at,
        domain=capability.recipient.domain,
        grade=best_grade(capability.postures),
        secure=route is not None and route.secure,
        hosts=tuple(
            _host(
                host.name,
                [posture for posture in capability.postures if posture.host == host.name],
                tuple(map(describe, host.dane.records)) if host.dane is not None else (),
            )
            for host in hosts
        ),
        undeliverable=capability.undeliverable.status if capability.undeliverable is not None else None,
        sts=f"{capability.sts.policy.mode} {capability.sts.id}" if capability.sts is not None else None,
        unknown=tuple(failure.source for failure in capability.unknown),
        policy_end=_policy_end(capability.sts),
    )


def _policy_end(sts: StsInForce | None) -> PolicyEnd | None:
    """Told for the last half of its life, and no longer than a week: refreshes began well before."""
    if sts is None or sts.stale is None or sts.policy.mode is not StsMode.ENFORCE:
        return None
    life = sts.expires_at - sts.fetched_at
    return PolicyEnd(sts.expires_at, sts.expires_at - min(life / 2, _POLICY_NOTICE), sts.stale)


def _host(name: str, postures: list[HostPosture], tlsa: tuple[str, ...]) -> HostSighting:
    answered = [posture for posture in postures if posture.grade is not None]
    if not answered:
        silent = postures[0].evidence.result if postures else None
        return HostSighting(name=name, grade=None, problem=silent, tlsa=tlsa)
    worst = min(answered, key=lambda posture: _RANK[posture.grade or TlsGrade.NONE])
    evidence = worst.evidence
    chain = evidence.session.chain if evidence.session is not None else ()
    facts = read_certificate(chain[0]) if chain else None
    return HostSighting(
        name=name,
        grade=evidence.grade,
        problem=evidence.result,
        issuer=facts.issuer if facts is not None else None,
        expires=facts.not_after if facts is not None else None,
        certificate=facts.sha256 if facts is not None else None,
        tlsa=tlsa,
    )


def differences(before: Sighting, after: Sighting) -> tuple[Change, ...]:
    """What is not as it was, the worst first. What could not be learned this time is no difference."""
    found = sorted(_differences(before, after), key=lambda change: _ORDER[change.effect])
    return tuple(found)


_ORDER = {"lost": 0, "changed": 1, "gained": 2}


def _differences(before: Sighting, after: Sighting) -> Iterator[Change]:
    domain = after.domain
    if before.undeliverable != after.undeliverable:
        words = [one.undeliverable and f"takes no mail ({one.undeliverable})" for one in (before, after)]
        effect: Literal["lost", "gained"] = "gained" if after.undeliverable is None else "lost"
        yield Change(effect, domain, "mail service", words[0] or "takes mail", words[1] or "takes mail")
    if after.undeliverable is not None or "mx" in after.unknown:
        return
    yield from _graded(domain, before.grade, after.grade)
    if before.hosts and before.secure != after.secure:
        effect = "gained" if after.secure else "lost"
        yield Change(effect, domain, "signed DNS", _signed(before), _signed(after))
    if before.sts != after.sts and "mta-sts" not in after.unknown:
        yield Change(
            _effect(before.sts, after.sts),
            domain,
            "MTA-STS policy",
            before.sts or "none",
            after.sts or "none",
        )
    old, new = ({host.name: host for host in one.hosts} for one in (before, after))
    if old and set(old) != set(new):
        yield Change("changed", domain, "mail servers", ", ".join(old), ", ".join(new) or "none")
    for name in new:
        if name in old:
            yield from _host_differences(old[name], new[name])


def _host_differences(before: HostSighting, after: HostSighting) -> Iterator[Change]:
    yield from _graded(after.name, before.grade, after.grade)
    if before.tlsa != after.tlsa:
        yield Change(
            _effect(before.tlsa, after.tlsa),
            after.name,
            "DANE records",
            _listed(before.tlsa),
            _listed(after.tlsa),
        )
    if before.certificate and after.certificate and before.certificate != after.certificate:
        was, now = (f"{one.issuer}, until {_day(one.expires)}" for one in (before, after))
        what = "certificate" if before.issuer == after.issuer else "certificate and its issuer"
        yield Change("changed", after.name, what, was, now)


def _graded(where: str, before: TlsGrade | None, after: TlsGrade | None) -> Iterator[Change]:
    if before is not None and after is not None and before is not after:
        effect: Literal["lost", "gained"] = "lost" if _RANK[after] < _RANK[before] else "gained"
        yield Change(effect, where, "grade", before.value, after.value)


def _effect(before: object, after: object) -> Literal["lost", "changed", "gained"]:
    if before and after:
        return "changed"
    return "gained" if after else "lost"


def _signed(one: Sighting) -> str:
    return "signed" if one.secure else "unsigned"


def _listed(records: tuple[str, ...]) -> str:
    return ", ".join(records) or "none"


def _day(when: datetime | None) -> str:
    return f"{when:%Y-%m-%d}" if when is not None else "?"
