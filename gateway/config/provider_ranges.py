"""The addresses from which the large providers hand mail over, as they published them when this version was made.

Where newer lists can be had they take this one's place (`gateway.service.provider_ranges`). Both come from the
providers' SPF records, which is where they tell their customers to look.
"""

from __future__ import annotations

import ipaddress
from datetime import date
from typing import NamedTuple

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Ranges(NamedTuple):
    """One provider's networks; `source` is the domain whose SPF record names them."""

    source: str
    as_of: date
    networks: tuple[Network, ...]


def _networks(text: str) -> tuple[Network, ...]:
    return tuple(map(ipaddress.ip_network, text.split()))


SHIPPED: dict[str, Ranges] = {
    "microsoft365": Ranges(
        "spf.protection.outlook.com",
        date(2026, 6, 1),
        _networks("""
            40.92.0.0/15 40.107.0.0/16 52.100.0.0/15 52.102.0.0/16 52.103.0.0/17 104.47.0.0/17
            2a01:111:f400::/48 2a01:111:f403::/49 2a01:111:f403:8000::/51 2a01:111:f403:c000::/51
            2a01:111:f403:f000::/52
        """),
    ),
    "google-workspace": Ranges(
        "_spf.google.com",
        date(2026, 6, 1),
        _networks("""
            74.125.0.0/16 209.85.128.0/17
            2001:4860:4864::/56 2404:6800:4864::/56 2607:f8b0:4864::/56 2800:3f0:4864::/56
            2a00:1450:4864::/56 2c0f:fb50:4864::/56
        """),
    ),
}


def shipped() -> dict[str, tuple[Network, ...]]:
    """Each provider's networks as they came with this version."""
    return {name: ranges.networks for name, ranges in SHIPPED.items()}


def overlapping(network: Network) -> str | None:
    """The provider that has addresses in this network, if one has."""
    for name, ranges in SHIPPED.items():
        if any(network.version == known.version and network.overlaps(known) for known in ranges.networks):
            return name
    return None
