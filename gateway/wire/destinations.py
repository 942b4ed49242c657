"""Which addresses mail may go to: the public ones, and the networks that the configuration means.

Whoever writes an MX record chooses where we connect; without this they could aim us at our own network.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
_6TO4 = IPv6Network("2002::/16")  # RFC 3056; deprecated, and a way around every list of IPv4 networks


class Destinations:
    """Answers for one address at a time. `allowed` are the networks that may be reached although not public."""

    def __init__(self, allowed: Sequence[IPv4Network | IPv6Network] = ()) -> None:
        self._allowed = tuple(allowed)

    def permits(self, address: str) -> bool:
        """Whether mail may go to `address`; False too for what is no address."""
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped  # packets to it go to that IPv4 address
        return any(parsed in network for network in self._allowed) or _is_public(parsed)


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return _is_public(IPv4Address(int(address) & 0xFFFFFFFF))
        if address in _6TO4 or address.is_site_local:
            return False
    return address.is_global and not (
        address.is_multicast or address.is_unspecified or address.is_reserved or address.is_loopback
    )
