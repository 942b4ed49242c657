"""The part of an SPF record that lists networks (RFC 7208 sections 4.6.1 and 5): text in, networks and includes out.

Not an evaluation: providers publish the addresses of their servers this way, and whatever depends on a message (`a`,
`mx`, `ptr`, `exists`, macros) names none. Terms with a qualifier other than `+` are passed over.
"""

from __future__ import annotations

import ipaddress

import msgspec

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_BEGINNING = "v=spf1"


class SpfNetworks(msgspec.Struct, frozen=True):
    """What one record lists itself, and the domains whose records belong to it."""

    networks: tuple[Network, ...]
    includes: tuple[str, ...]


def is_text(record: str) -> bool:
    """Whether a record has only the characters that one may have (section 12: visible ASCII and blanks)."""
    return record.isascii() and record.isprintable()


def read_network(kind: str, value: str) -> Network:
    """The value of `ip4` or `ip6`; octets after the prefix do not count (section 5.6). Raises ValueError."""
    _, slash, length = value.partition("/")
    if slash and not (length.isascii() and length.isdigit()):
        raise ValueError("no prefix length")  # `ipaddress` takes netmasks, too
    if kind == "ip4":
        return ipaddress.IPv4Network(value, strict=False)
    if "%" in value:
        raise ValueError("an address with a zone is one machine's own")
    return ipaddress.IPv6Network(value, strict=False)


def read_spf(text: str) -> SpfNetworks | None:
    """None for a text that is no SPF record, or that has a network which is none."""
    if not is_text(text):
        return None
    words = text.lower().split(" ")
    if words[0] != _BEGINNING:
        return None
    networks: list[Network] = []
    includes: list[str] = []
    for word in words[1:]:
        term = word.removeprefix("+")
        kind, colon, value = term.partition(":")
        if term.startswith("redirect="):
            includes.append(term.removeprefix("redirect="))
        elif colon and kind == "include":
            includes.append(value)
        elif colon and kind in {"ip4", "ip6"}:
            try:
                networks.append(read_network(kind, value))
            except ValueError:
                return None
    return SpfNetworks(tuple(networks), tuple(name for name in includes if "%" not in name))
