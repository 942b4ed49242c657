"""Where mail for a domain goes: MX records, the address records behind them, literals and fixed routes.

Sources: RFC 5321 section 5.1 (MX, implicit MX), RFC 7505 (null MX), RFC 5321 section 4.1.3 (address literals).
"No such name" is believed when it is signed or said twice. What DNS cannot tell right now is unclear, never "no".
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from typing import assert_never

import dns.rdatatype
import dns.rdtypes.ANY.MX
import msgspec
from msgspec.structs import replace

from gateway.model.capability import MxHost, Route
from gateway.model.problem import Problem
from gateway.probe.dane import NOT_LEARNED, Failed, Nothing, Published, demand
from gateway.probe.dns import Answer, Bogus, Found, Lookup, NoData, NoName, Refused, Silent
from gateway.probe.terms import TermsBook
from gateway.wire.destinations import Destinations

_MOST_HOSTS = 8  # a domain that lists more is served by its best
_MOST_ADDRESSES = 5  # of one host
_HOST_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_NO_TTL = 3600  # seconds, for what does not come from DNS


class Routed(msgspec.Struct, frozen=True, kw_only=True):
    """A way. `ttl` says for how long, in seconds; `without_dane`: signed DNS says that no host has TLSA records.

    `unheard` are hosts that are listed too, and why their addresses cannot be told at the moment.
    """

    route: Route
    ttl: int
    without_dane: bool = False
    unheard: tuple[tuple[str, Problem], ...] = ()


class Nowhere(msgspec.Struct, frozen=True):
    """The domain takes no mail, provably."""

    problem: Problem


class Unclear(msgspec.Struct, frozen=True):
    """It cannot be told at the moment."""

    problem: Problem


RouteResult = Routed | Nowhere | Unclear


class RouteSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`fixed` maps a domain to its next hop (host and port); `own_names` are hosts that would bring mail back to us."""

    port: int = 25
    fixed: Mapping[str, tuple[str, int]] = msgspec.field(default_factory=dict)
    own_names: frozenset[str] = frozenset()
    terms: TermsBook = TermsBook()


class _Host(msgspec.Struct, frozen=True, kw_only=True):
    """The addresses of one host, or why there are none."""

    addresses: tuple[str, ...] = ()
    ttl: int = _NO_TTL
    gone: bool = False  # the name does not exist
    prohibited: tuple[str, ...] = ()  # addresses that it has and we must not use
    unclear: str = ""
    answers: tuple[Answer, ...] = ()  # those that gave the addresses


class Router:
    """Finds routes. Every call asks DNS anew; the caller caches."""

    def __init__(self, lookup: Lookup, destinations: Destinations, settings: RouteSettings) -> None:
        self._dns = lookup
        self._destinations = destinations
        self._settings = settings

    async def route(self, domain: str) -> RouteResult:
        """The way to `domain` (A-labels, or an address literal in brackets)."""
        fixed = self._settings.fixed.get(domain)
        if fixed is not None:
            return await self._fixed(domain, *fixed)
        if domain.startswith("["):
            return self._literal(domain)
        answer = await self._surely(domain, dns.rdatatype.MX)
        match answer:
            case Found():
                return await self._by_mx(domain, answer)
            case NoData():
                return await self._implicit(domain, secure=answer.secure)  # NODATA, signed or not
            case NoName():
                return Nowhere(Problem("5.1.2", f"the domain {domain} does not exist", "NXDOMAIN, confirmed"))
            case Bogus() | Refused() | Silent():
                return Unclear(_dns_trouble(domain, answer.detail))
            case _:
                assert_never(answer)

    async def _fixed(self, domain: str, host: str, port: int) -> RouteResult:
        """A route that the configuration names is meant, whatever its address."""
        if _is_address(host):
            found = _Host(addresses=(host,))
        else:
            found = await self._addresses(host, lambda _: True)
        if not found.addresses:  # our mistake, or our DNS: it bounces nobody's mail
            why = found.unclear or f"next hop {host} has no address"
            return Unclear(Problem("4.3.5", "the next hop cannot be found at the moment", why))
        hop = self._on_terms(domain, MxHost(host, 0, found.addresses, port), found)
        hop, ttl, _ = await self._demanding(hop, found, (), secure=True)
        return Routed(route=Route((hop,), "static", secure=True), ttl=ttl)

    def _literal(self, domain: str) -> RouteResult:
        text = domain.strip("[]")
        address = text[5:] if text.lower().startswith("ipv6:") else text
        if not _is_address(address):
            return Nowhere(Problem("5.1.2", f"{domain} is no address that mail can go to"))
        address = str(ip_address(address))
        if not self._destinations.permits(address):
            return Nowhere(_prohibited(domain, (address,)))
        hop = MxHost(address, 0, (address,), self._settings.port)
        return Routed(route=Route((hop,), "implicit", secure=True), ttl=_NO_TTL)

    async def _by_mx(self, domain: str, answer: Found) -> RouteResult:
        listed = [
            (record.preference, str(record.exchange).rstrip(".").lower())
            for record in answer.records
            if isinstance(record, dns.rdtypes.ANY.MX.MX)
        ]
        if all(not name for _, name in listed):  # RFC 7505 section 3: a lone "."
            return Nowhere(Problem("5.1.10", f"the domain {domain} takes no mail", "null MX"))
        # An own name in the list means that this host is a relay for the domain: only better ones lead onwards, the
        # rest would bring the mail back (RFC 5321 section 5.1).
        own = min(
            (preference for preference, name in listed if name in self._settings.own_names), default=None
        )
        better = [(preference, name) for preference, name in listed if own is None or preference < own]
        if not better:
            return Nowhere(
                Problem("5.4.6", f"mail for {domain} would come back to this gateway", "we are its best MX")
            )
        usable = sorted({entry for entry in better if _HOST_NAME.fullmatch(entry[1])})[:_MOST_HOSTS]
        permits = self._destinations.permits
        found = await asyncio.gather(*(self._addresses(name, permits) for _, name in usable))
        reachable = [
            (
                self._on_terms(domain, MxHost(name, preference, host.addresses, self._settings.port), host),
                host,
            )
            for (preference, name), host in zip(usable, found, strict=True)
            if host.addresses
        ]
        if not reachable:
            return _no_host(domain, found)
        names = (domain, answer.canonical or domain) if answer.secure else ()
        hops = await asyncio.gather(
            *(self._demanding(hop, host, names, secure=answer.secure) for hop, host in reachable)
        )
        ttl = min(answer.ttl, *(host.ttl for host in found), *(ttl for _, ttl, _ in hops))
        unheard = tuple(
            (name, _dns_trouble(name, host.unclear))
            for (_, name), host in zip(usable, found, strict=True)
            if host.unclear
        )
        denied = answer.secure and not unheard and all(denied for _, _, denied in hops)
        route = Route(tuple(hop for hop, _, _ in hops), "mx", answer.secure)
        return Routed(route=route, ttl=ttl, without_dane=denied, unheard=unheard)

    async def _implicit(self, domain: str, *, secure: bool) -> RouteResult:
        """Without MX records the domain's own addresses count as its mail server (RFC 5321 section 5.1)."""
        found = await self._addresses(domain, self._destinations.permits)
        if not found.addresses:
            return _no_host(domain, (found,))
        hop = self._on_terms(domain, MxHost(domain, 0, found.addresses, self._settings.port), found)
        hop, ttl, denied = await self._demanding(hop, found, (), secure=secure)
        return Routed(route=Route((hop,), "implicit", secure), ttl=ttl, without_dane=secure and denied)

    def _on_terms(self, domain: str, hop: MxHost, found: _Host) -> MxHost:
        """The host with what our configuration lays down for it."""
        aliases = [each.canonical for each in found.answers if isinstance(each, Found) and each.canonical]
        return replace(hop, terms=self._settings.terms.of(domain, (hop.name, *aliases)))

    async def _demanding(
        self, hop: MxHost, found: _Host, names: Sequence[str], *, secure: bool
    ) -> tuple[MxHost, int, bool]:
        """The host with what it demands of a connection (DANE), for how long, and whether that is provably nothing."""
        wanted = await demand(self._dns, hop.name, hop.port, found.answers, next_hops=names, mx_secure=secure)
        match wanted:
            case Published():
                return replace(hop, dane=wanted.dane), min(found.ttl, wanted.ttl), False
            case Failed():
                return replace(hop, barred=wanted.problem, barred_as=NOT_LEARNED), found.ttl, False
            case Nothing():
                return hop, found.ttl, wanted.denied
            case _:
                assert_never(wanted)

    async def _addresses(self, host: str, permits: Callable[[str], bool]) -> _Host:
        """IPv6 and IPv4 addresses in turn, so that neither family's failure blocks the other (RFC 8305's idea)."""
        six, four = await asyncio.gather(
            self._surely(host, dns.rdatatype.AAAA), self._surely(host, dns.rdatatype.A)
        )
        both = (six, four)
        families = [
            [str(record) for record in answer.records] for answer in both if isinstance(answer, Found)
        ]
        longest = max(map(len, families), default=0)
        known = [family[place] for place in range(longest) for family in families if place < len(family)]
        usable = tuple(address for address in known if permits(address))[:_MOST_ADDRESSES]
        troubles = [answer.detail for answer in both if isinstance(answer, Bogus | Refused | Silent)]
        return _Host(
            addresses=usable,
            ttl=min((answer.ttl for answer in both if isinstance(answer, Found)), default=_NO_TTL),
            gone=all(isinstance(answer, NoName) for answer in both),
            prohibited=tuple(address for address in known if not permits(address)),
            unclear="; ".join(troubles) if troubles and not usable else "",
            answers=both,
        )

    async def _surely(self, name: str, rdtype: dns.rdatatype.RdataType) -> Answer:
        """An unsigned "no such name" bounces mail, so it has to be said twice."""
        answer = await self._dns.ask(name, rdtype)
        if isinstance(answer, NoName) and not answer.secure:
            return await self._dns.ask(name, rdtype)
        return answer


def _no_host(domain: str, found: Sequence[_Host]) -> RouteResult:
    """None of the hosts has an address for us. What may be a slip of their administrator's waits."""
    unclear = "; ".join(host.unclear for host in found if host.unclear)
    if unclear:
        return Unclear(_dns_trouble(domain, unclear))
    prohibited = tuple(address for host in found for address in host.prohibited)
    if prohibited:
        return Nowhere(_prohibited(domain, prohibited))
    if all(host.gone for host in found):
        return Nowhere(
            Problem("5.4.4", f"none of the mail servers of {domain} exists", "every MX host is NXDOMAIN")
        )
    return Unclear(Problem("4.4.4", f"the mail servers of {domain} have no address", "no A or AAAA record"))


def _prohibited(domain: str, addresses: tuple[str, ...]) -> Problem:
    return Problem(
        "5.4.4",
        f"the mail servers of {domain} cannot be reached from the Internet",
        f"{', '.join(addresses)}: no public address; if it is meant, add it to [delivery] allow_networks",
    )


def _dns_trouble(name: str, detail: str) -> Problem:
    return Problem("4.4.3", f"the DNS servers for {name} give no answer at the moment", detail)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
