"""The addresses of the large providers' mail servers, kept fresh: what they publish now, or the last that was good.

The list of this version is the beginning. Every few hours each provider that a connector names is asked anew by its SPF
record; what comes back takes the old list's place, is kept in a file for the next start, and listeners are told. A
list that suddenly is empty, much wider or much narrower is not taken: a person is told, and the old one stays.
What comes from unsigned DNS is evidence and no proof; that is why no connector goes by addresses alone.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import dns.rdatatype
import msgspec
import structlog
from dns.rdtypes.ANY.TXT import TXT

from gateway.config import Config
from gateway.config.provider_ranges import SHIPPED, Network
from gateway.model.alarm import AlarmKind
from gateway.probe.dns import Found, Lookup
from gateway.service.alerts.alarms import Alarms
from gateway.wire.spf import read_spf

FILE = "provider-ranges.json"
_AGAIN = 900.0  # seconds after a look that failed
_LOOKUPS = 10  # RFC 7208 section 4.6.4
_MOST = 1000  # networks of one provider
_FACTOR = 2.0  # how much the address space may grow or shrink at once
_WIDEST = {4: 12, 6: 32}  # the shortest prefix that one network may have

log = structlog.get_logger()


class Kept(msgspec.Struct, frozen=True):
    """One provider's networks as they were last published, and when they were asked for (seconds since 1970)."""

    networks: tuple[str, ...]
    asked: float


class RangesUnknown(Exception):
    """A provider's list cannot be had. The text says why."""


class ProviderRanges:
    """What is in force. `changed` is called after it changed."""

    def __init__(self, folder: Path, wanted: Iterable[str], changed: Callable[[], None]) -> None:
        self._file = folder / FILE
        self._wanted = tuple(wanted)
        self._changed = changed
        self._networks = {name: ranges.networks for name, ranges in SHIPPED.items()}
        self._kept: dict[str, Kept] = {}
        self._load()

    @property
    def networks(self) -> Mapping[str, tuple[Network, ...]]:
        """Each provider's networks, by its name."""
        return self._networks

    async def keep_fresh(self, lookup: Lookup, every: float, alarms: Alarms) -> None:
        """Ask again and again until cancelled; `every` is in seconds. Nothing that is wanted: returns at once."""
        while self._wanted:
            good = await self.refresh(lookup, alarms)
            await asyncio.sleep(every if good else min(every, _AGAIN))

    async def refresh(self, lookup: Lookup, alarms: Alarms) -> bool:
        """Ask once for each provider that is wanted; whether all answers could be taken. Odd ones raise an alarm."""
        good = True
        changed = False
        for name in self._wanted:
            try:
                found = await published(lookup, SHIPPED[name].source)
            except RangesUnknown as error:
                good = False
                log.warning("a provider's addresses cannot be had", provider=name, reason=str(error))
                continue
            if problem := unlike(self._networks[name], found):
                good = False
                alarms.alarm(
                    AlarmKind.PROVIDERS,
                    name,
                    f"the published addresses of {name} were not taken, the last good ones stay: {problem}",
                    "see docs/connectors.md, `Addresses of the providers`",
                )
                continue
            alarms.over(AlarmKind.PROVIDERS, name)
            changed = changed or found != self._networks[name]
            self._networks[name] = found
            asked = datetime.now(UTC).timestamp()
            self._kept[name] = Kept(tuple(map(str, found)), asked)
        if self._kept:
            self._save()
        if changed:
            log.info("providers' addresses have changed", providers=list(self._wanted))
            self._changed()
        return good

    def _load(self) -> None:
        try:
            kept = msgspec.json.decode(self._file.read_bytes(), type=dict[str, Kept])
            read = {name: tuple(map(ipaddress.ip_network, each.networks)) for name, each in kept.items()}
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            log.warning("provider ranges cannot be read; those of this version count", error=str(error))
            return
        for name in self._wanted:
            if name in read and not hopeless(read[name]):
                self._networks[name] = read[name]
                self._kept[name] = kept[name]

    def _save(self) -> None:
        """Whole or not at all; without a place to write, the next start begins with this version's list."""
        temporary = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        try:
            temporary.write_bytes(msgspec.json.encode(self._kept, order="sorted"))
            temporary.replace(self._file)
        except OSError as error:
            log.info("provider ranges are kept in memory only", error=str(error))


def wanted(config: Config) -> tuple[str, ...]:
    """The providers that some connector's `networks` name."""
    named = {one[1:] for each in config.connector for one in each.networks if isinstance(one, str)}
    return tuple(sorted(named))


async def published(lookup: Lookup, domain: str) -> tuple[Network, ...]:
    """All networks that the domain's SPF record lists, with what it includes. Raises RangesUnknown."""
    found: set[Network] = set()
    pending, seen = [domain], set[str]()
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        if len(seen) > _LOOKUPS:
            raise RangesUnknown(f"{domain}: its SPF record leads to more than {_LOOKUPS} others")
        answer = await lookup.ask(name, dns.rdatatype.TXT)
        if not isinstance(answer, Found):
            raise RangesUnknown(f"{name} TXT: no answer that could be used")
        texts = [b"".join(one.strings).decode("latin-1") for one in answer.records if isinstance(one, TXT)]
        records = [record for text in texts if (record := read_spf(text))]
        if len(records) != 1:
            raise RangesUnknown(f"{name} TXT: {len(records)} SPF records that can be read")
        found.update(records[0].networks)
        pending += records[0].includes
    by_family = sorted(found, key=lambda one: (one.version, int(one.network_address), one.prefixlen))
    return tuple(by_family)


def unlike(old: Iterable[Network], new: tuple[Network, ...]) -> str | None:
    """Why a new list must not take the old one's place without a person, or None."""
    if problem := hopeless(new):
        return problem
    grown = _space(new)
    for version, before in _space(tuple(old)).items():
        after = grown[version]
        if after > before * _FACTOR:
            return f"the IPv{version} addresses grew from {before} to {after}"
        if after * _FACTOR < before:
            return f"the IPv{version} addresses shrank from {before} to {after}"
    return None


def hopeless(networks: tuple[Network, ...]) -> str | None:
    """Why a list cannot be a provider's, or None."""
    if not networks:
        return "the list is empty"
    if len(networks) > _MOST:
        return f"the list has more than {_MOST} networks"
    for one in networks:
        if one.prefixlen < _WIDEST[one.version] or not one.is_global:
            return f"the list has {one}, which is too wide or not public"
    return None


def _space(networks: tuple[Network, ...]) -> dict[int, int]:
    """Addresses of each family, those counted once that two networks hold; for IPv6 in /64s."""
    four = [one for one in networks if isinstance(one, ipaddress.IPv4Network)]
    six = [one for one in networks if isinstance(one, ipaddress.IPv6Network)]
    return {
        4: sum(one.num_addresses for one in ipaddress.collapse_addresses(four)),
        6: sum(one.num_addresses >> 64 for one in ipaddress.collapse_addresses(six)),
    }
