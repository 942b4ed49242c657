"""Which addresses to try, in which order (RFC 5321 section 5.1); pure: chance is an argument.

Nobody's MX record may aim us at our own machines: addresses that are not public are left out unless their network is
allowed, our own listeners always.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from itertools import chain, groupby, zip_longest

import msgspec

from gateway.model.capability import MxHost, Route
from gateway.model.problem import Problem
from gateway.wire.destinations import Destinations
from gateway.wire.endpoint import Endpoint

MOST_ADDRESSES = 5  # in one attempt
MOST_SESSIONS = 2  # in one attempt: sessions that got as far as MAIL

Network = IPv4Network | IPv6Network
Shuffle = Callable[[list[MxHost]], None]  # in place, as `random.Random.shuffle`


class Plan(msgspec.Struct, frozen=True):
    """Where to go, best first; `problem` says why there is nowhere."""

    endpoints: tuple[Endpoint, ...]
    problem: Problem | None = None


class Bounds(msgspec.Struct, frozen=True):
    """Networks that may be reached though they are not public, and the listeners (address, port) that are our own."""

    allowed: tuple[Network, ...] = ()
    own: frozenset[tuple[str, int]] = frozenset()


def plan(route: Route, bounds: Bounds, shuffle: Shuffle) -> Plan:
    """At most `MOST_ADDRESSES` endpoints: every host gets one before any gets a second, families take turns."""
    hosts = [
        host
        for _, equal in groupby(
            sorted(route.hosts, key=lambda host: host.preference), lambda host: host.preference
        )
        for host in _shuffled(list(equal), shuffle)
    ]
    ours = [
        host.preference for host in hosts if any(_is_own(host, address, bounds) for address in host.addresses)
    ]
    if ours:  # a host as good as ourselves or worse would hand the message back (RFC 5321 section 5.1)
        hosts = [host for host in hosts if host.preference < min(ours)]
    barred = [host.barred for host in hosts if host.barred is not None]
    hosts = [host for host in hosts if host.barred is None]
    meant = route.source == "static"  # the configuration names it: that is permission enough
    reachable = [
        [address for address in _in_turns(host) if meant or may_reach(address, bounds)] for host in hosts
    ]
    shares = _shares([len(addresses) for addresses in reachable])
    endpoints = tuple(
        Endpoint(host.name, address, host.port, host.dane, host.terms, host.sts)
        for host, addresses, share in zip(hosts, reachable, shares, strict=True)
        for address in addresses[:share]
    )
    if not endpoints and barred:
        return Plan((), barred[0])
    return Plan(endpoints, None if endpoints else _nowhere(route, looped=bool(ours)))


@lru_cache(maxsize=4096)
def may_reach(address: str, bounds: Bounds) -> bool:
    """Whether a recipient's server may be there."""
    return Destinations(bounds.allowed).permits(address)


@lru_cache(maxsize=4096)
def _judged(address: str) -> IPv4Address | IPv6Address:
    """The address that packets go to: an IPv4 address in IPv6 clothes is judged as IPv4."""
    ip = ip_address(address)
    return (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip


def _is_own(host: MxHost, address: str, bounds: Bounds) -> bool:
    return (str(_judged(address)), host.port) in bounds.own


def _shuffled(hosts: list[MxHost], shuffle: Shuffle) -> list[MxHost]:
    shuffle(hosts)
    return hosts


def _in_turns(host: MxHost) -> list[str]:
    """IPv6 and IPv4 by turns, so that one family's trouble does not use up all tries."""
    six = [address for address in host.addresses if ":" in address]
    four = [address for address in host.addresses if ":" not in address]
    return [address for address in chain.from_iterable(zip_longest(six, four)) if address is not None]


def _shares(available: list[int]) -> list[int]:
    """How many of each host's addresses to try."""
    shares = [0] * len(available)
    left = MOST_ADDRESSES
    for turn in range(max(available, default=0)):
        for index, count in enumerate(available):
            if turn < count and left:
                shares[index] += 1
                left -= 1
    return shares


def _nowhere(route: Route, *, looped: bool) -> Problem:
    found = [address for host in route.hosts for address in host.addresses]
    if looped or (found and all(_judged(address).is_loopback for address in found)):
        return Problem("5.4.6", "the recipient's mail servers lead back to this one", ", ".join(found)[:200])
    if found and all(host.addresses for host in route.hosts):
        text = "the recipient's mail servers have no public address"
        return Problem("5.4.4", text, f"{', '.join(found)[:200]}; [delivery] allow_networks can permit them")
    return Problem("4.4.4", "no address of the recipient's mail servers could be found")
