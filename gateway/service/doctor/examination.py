"""The whole examination: every check, side by side where they do not meet, in the order in which people read them."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence

from gateway.config import Config, ConfigError
from gateway.model.problem import Problem
from gateway.net.http import HttpClient
from gateway.probe.dns import Dns, Lookup
from gateway.probe.hosts import addresses_of, resolver
from gateway.probe.mx import Router, RouteSettings
from gateway.service import wiring
from gateway.service.alerts.watchfulness import ANYWHERE
from gateway.service.doctor import outside, own
from gateway.service.doctor.check import Check
from gateway.service.doctor.published import published
from gateway.service.doctor.relay import relay
from gateway.service.doctor.signatures import signatures
from gateway.service.provider_ranges import ProviderRanges, wanted
from gateway.wire.destinations import Destinations

_ELSEWHERE = {4: "198.51.100.1", 6: "2001:db8::1"}  # nothing is sent there


async def examine(config: Config) -> tuple[Check, ...]:
    """All of it. Takes up to a minute where servers are silent; raises nothing for what it finds."""
    lookup = wiring.name_servers(config, None)
    network, records, certificates, state, relaying = await asyncio.gather(
        _network(config, lookup),
        _records(config, lookup),
        own.certificates(config, wiring.ca_file(config)),
        own.state(config),
        relaying_of(config),
    )
    return (*state, *certificates, *relaying, *network, *records)


async def relaying_of(config: Config) -> tuple[Check, ...]:
    """The attempts to relay alone."""
    try:
        ranges = ProviderRanges(config.run_directory, wanted(config), _unchanged).networks
        return await relay(config, ranges, _own_addresses(config))
    except ConfigError as error:
        text = "; ".join(map(str, error.problems))
        return (
            Check(area="relay", name="connectors", state="fail", what=text, why="nothing could be tried"),
        )


def _unchanged() -> None:
    """The addresses are only read here."""


async def _network(config: Config, lookup: Dns) -> tuple[Check, ...]:
    destinations = Destinations(config.delivery.allow_networks)
    settings = RouteSettings(port=config.delivery.port, own_names=frozenset({config.hostname}))
    router = Router(lookup, destinations, settings)
    client = HttpClient(resolver(lookup), ANYWHERE, wiring.ca_file(config))
    return (
        await outside.dnssec(lookup),
        *await asyncio.gather(outside.port_25(config, router), outside.clock(config, client)),
    )


async def _records(config: Config, lookup: Lookup) -> tuple[Check, ...]:
    records, keys = await asyncio.gather(
        published(config, lookup, await _outward(config, lookup)), signatures(config, lookup)
    )
    return (*records, *keys)


async def _outward(config: Config, lookup: Lookup) -> Sequence[str]:
    """Where our mail comes from, as others see it."""
    if config.doctor.outward:
        return [*map(str, config.doctor.outward)]
    pools = {str(address) for pool in config.delivery.pools.values() for address in pool if address.is_global}
    if pools:
        return sorted(pools)
    found = await addresses_of(lookup, config.hostname)
    destinations = Destinations(config.delivery.allow_networks)
    return [] if isinstance(found, Problem) else [one for one in found if destinations.permits(one)]


def _own_addresses(config: Config) -> list[str]:
    """The addresses from which this machine speaks to others, where a listener takes clients at any address."""
    versions = {
        address.version
        for one in config.listener
        if (address := ipaddress.ip_address(one.address.host)).is_unspecified
    }
    found = []
    for version in sorted(versions):
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((_ELSEWHERE[version], 25))  # chooses a route, and sends nothing
            except OSError:
                continue
            found.append(str(probe.getsockname()[0]))
    return found
