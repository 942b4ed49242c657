"""The calls behind `sealgate stats`: what became of mail and how destinations were looked at, by day, and which of them
are not as they were.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from gateway.audit.leaves import Actor
from gateway.probe.sighting import Change, PolicyEnd
from gateway.probe.warm import NOT_RENEWED, RENEWED, WAITED
from gateway.service.calls import understood
from gateway.service.clock import now
from gateway.service.control import Arguments, Call
from gateway.service.day_counts import KEPT, DayCounts
from gateway.service.mail_counts import KIND, read_count
from gateway.service.sightings import Sightings

MOST_DAYS = KEPT.days - 1
LOOKS = "look"  # a kind of counts; their names are those of `gateway.probe.warm`


class Span(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The last so many days, today included; one domain, or all."""

    days: int
    domain: str | None = None


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """So many copies, one recipient's each."""

    day: str
    what: str
    domain: str
    method: str
    grade: str
    reason: str
    count: int


class Looks(msgspec.Struct, frozen=True, kw_only=True):
    """Looks at destinations in one day: those that mail waited for, and those ahead of use, with and without a definite
    answer.
    """

    day: str
    waited: int
    renewed: int
    not_renewed: int


class Drifted(msgspec.Struct, frozen=True, kw_only=True):
    """A destination that is not as it was, or soon will not be; `expiring` are host and end of its certificate,
    `policy_end` is that of an MTA-STS policy that cannot be fetched anew."""

    domain: str
    seen_at: datetime
    changed_at: datetime | None
    changes: tuple[Change, ...]
    expiring: tuple[tuple[str, datetime], ...]
    policy_end: PolicyEnd | None


def figure_calls(counts: DayCounts, sightings: Sightings) -> dict[str, Call]:
    """The calls about figures."""

    async def figures(asked: Span) -> list[Figure]:
        await counts.flush()
        today = now().date()
        found: list[Figure] = []
        for back in range(min(asked.days, MOST_DAYS)):
            day = today - timedelta(days=back)
            for name, amount in (await counts.of(KIND, day)).items():
                count = read_count(name)
                if count is not None and asked.domain in (None, count.domain):
                    found.append(
                        Figure(
                            day=day.isoformat(), what=count.what, domain=count.domain, method=count.method,
                            grade=count.grade, reason=count.reason, count=amount,
                        )
                    )  # fmt: skip
        return found

    async def stats(arguments: Arguments, _: Actor) -> list[Figure]:
        return await figures(understood(arguments, Span))

    async def looks(arguments: Arguments, _: Actor) -> list[Looks]:
        asked = understood(arguments, Span)
        await counts.flush()
        found: list[Looks] = []
        for back in range(min(asked.days, MOST_DAYS)):
            day = now().date() - timedelta(days=back)
            of = await counts.of(LOOKS, day)
            found.append(
                Looks(
                    day=day.isoformat(), waited=of.get(WAITED, 0), renewed=of.get(RENEWED, 0),
                    not_renewed=of.get(NOT_RENEWED, 0),
                )
            )  # fmt: skip
        return found

    async def drift(arguments: Arguments, _: Actor) -> list[Drifted]:
        asked = understood(arguments, Span)
        since = now() - timedelta(days=asked.days)
        domains = {one.domain for one in await figures(Span(days=MOST_DAYS, domain=asked.domain))}
        found: list[Drifted] = []
        for domain in sorted(domains):
            kept = await sightings.of(domain)
            if kept is None:
                continue
            recent = kept.changed_at is not None and kept.changed_at >= since
            expiring = tuple(
                (host.name, host.expires) for host in sightings.expiring(kept.latest) if host.expires
            )
            policy_end = sightings.policy_end(kept.latest)
            if recent or expiring or policy_end is not None:
                changes = kept.changes if recent else ()
                found.append(
                    Drifted(
                        domain=domain, seen_at=kept.latest.at, changed_at=kept.changed_at if recent else None,
                        changes=changes, expiring=expiring, policy_end=policy_end,
                    )
                )  # fmt: skip
        return found

    return {"stats": stats, "stats.looks": looks, "stats.drift": drift}
