"""DKIM: whether each of our domains has a key, and whether the DNS shows it to those who verify."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from gateway.config import Config
from gateway.probe.dkim import published
from gateway.probe.dns import Lookup
from gateway.service.dkim_files import DkimKey, read_keys
from gateway.service.dkim_keys import choose, why_not
from gateway.service.doctor.check import Check, State
from gateway.wire.dkim_record import Matches, Standing, Unlearned

_WHY = "mail that is not signed for your domain passes DMARC by SPF alone, which every forwarding breaks"


async def signatures(config: Config, lookup: Lookup) -> tuple[Check, ...]:
    """One check a domain: at least one key that signs is published, and none that signs is published wrongly."""
    found = read_keys(config.dkim.directory)
    domains = sorted({domain for connector in config.connector for domain in connector.domains})
    faults = [
        _check(f"dkim {one.where}", "fail", f"{one.where}: {one.what}", one.remedy) for one in found.faults
    ]
    checks = await asyncio.gather(
        *(_domain(domain, found.keys.get(domain, ()), lookup) for domain in domains)
    )
    return (*faults, *checks)


async def _domain(domain: str, keys: tuple[DkimKey, ...], lookup: Lookup) -> Check:
    name = f"dkim {domain}"
    if not keys:
        return _check(
            name, "warn", f"{domain} has no DKIM key, so its mail is not signed", "sealgate dkim make"
        )
    answers = await asyncio.gather(*(_standing(key, lookup) for key in keys))
    standings = dict(zip(keys, answers, strict=True))
    signing = choose(keys, standings)
    wrong = [*_unpublished(signing, standings)]
    if wrong:
        unsure = all(isinstance(standings[key], Unlearned) for key in signing)
        state: State = "warn" if unsure else "fail"
        return _check(
            name, state, f"{domain}: {'; '.join(wrong)}", "publish what `sealgate dkim records` prints"
        )
    names = ", ".join(key.record.name for key in signing)
    return _check(name, "ok", f"{domain} is signed with DKIM: {names}")


async def _standing(key: DkimKey, lookup: Lookup) -> Standing:
    return await published(lookup, key.record.name, key.kind, key.public)


def _unpublished(keys: tuple[DkimKey, ...], standings: dict[DkimKey, Standing]) -> Iterator[str]:
    for key in keys:
        standing = standings[key]
        if not isinstance(standing, Matches):
            yield f"{key.record.name}: {why_not(standing)}"


def _check(name: str, state: State, what: str, remedy: str = "") -> Check:
    return Check(
        area="DNS", name=name, state=state, what=what, why=_WHY if state != "ok" else "", remedy=remedy
    )
