"""What a proxy in front of us says about the client behind it: PROXY protocol v1 and v2, and XCLIENT. Pure.

Whoever may say such things can be any client, so callers listen to configured networks only.
Sources: haproxy's proxy-protocol.txt (sections 2.1, 2.2); Postfix's XCLIENT_README.
"""

from __future__ import annotations

import ipaddress
import re

import msgspec

from gateway.wire.smtp_server_commands import CommandError

NOBODY = "0.0.0.0"  # noqa: S104 (no client's address: it fits no connector)
PROXY_LIMIT = 536  # octets of a whole PROXY header: v1 has at most 107; of v2's extensions we need none

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_V1_LIMIT = 107
_V1 = re.compile(rb"PROXY (?:(UNKNOWN)(?: [ -~]*)?|TCP([46]) ([^ ]+) ([^ ]+) (\d{1,5}) (\d{1,5}))")
_V2_ADDRESSES = {0x11: 12, 0x21: 36}  # TCP over IPv4, TCP over IPv6: octets of both addresses and ports
_XTEXT = re.compile(r"\+([0-9A-F]{2})")
_ATTRIBUTES = frozenset(
    {"NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT", "REVERSE_NAME"}
)
_UNSAID = frozenset({"[UNAVAILABLE]", "[TEMPUNAVAIL]"})


class Introduced(msgspec.Struct, frozen=True):
    """The client behind the proxy; None where the proxy does not say. `NOBODY` where it says that it cannot tell."""

    ip: str | None
    port: int | None


class ProxyError(ValueError):
    """No PROXY header: the connection is worth nothing."""


class ProxyReader:
    """Reads the one header that must come first. Holds at most `PROXY_LIMIT` octets and one piece."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, octets: bytes) -> tuple[Introduced, bytes] | None:
        """The client and the octets after the header; None where more must come. Raises ProxyError."""
        self._held += octets
        held = self._held
        if held.startswith(_SIGNATURE[: len(held)]):
            return _second(held)
        if not held.startswith(b"PROXY "[: len(held)]):
            raise ProxyError("no PROXY header")
        end = held.find(b"\r\n", 0, _V1_LIMIT)
        if end >= 0:
            return _first(held[:end]), held[end + 2 :]
        if len(held) >= _V1_LIMIT:
            raise ProxyError("a PROXY header without an end")
        return None


def _first(line: bytes) -> Introduced:
    match = _V1.fullmatch(line)
    if match is None:
        raise ProxyError("malformed PROXY header")
    if match[1]:
        return Introduced(NOBODY, 0)
    source, _ = (_ip(text.decode("latin-1"), int(match[2])) for text in (match[3], match[4]))
    port = int(match[5])
    if max(port, int(match[6])) > 65535:
        raise ProxyError("malformed PROXY header")
    return Introduced(source, port)


def _second(held: bytes) -> tuple[Introduced, bytes] | None:
    if len(held) < 16:
        return None
    command, family, size = held[12], held[13], int.from_bytes(held[14:16], "big")
    if command not in {0x20, 0x21}:
        raise ProxyError("a PROXY header of an unknown version or command")
    if 16 + size > PROXY_LIMIT:
        raise ProxyError(f"a PROXY header of more than {PROXY_LIMIT} octets")
    if len(held) < 16 + size:
        return None
    rest = held[16 + size :]
    needed = _V2_ADDRESSES.get(family)
    if command == 0x20 or needed is None:  # the proxy's own health check, or no TCP
        return Introduced(NOBODY, 0), rest
    if size < needed:
        raise ProxyError("a PROXY header without its addresses")
    width = 4 if family == 0x11 else 16
    source = ipaddress.ip_address(held[16 : 16 + width])
    return Introduced(str(source), int.from_bytes(held[16 + 2 * width : 18 + 2 * width], "big")), rest


def _ip(text: str, version: int) -> str:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        raise ProxyError("malformed PROXY header") from None
    if found.version != version or "%" in text:
        raise ProxyError("malformed PROXY header")
    return str(found)


def parse_xclient(argument: bytes) -> Introduced:
    """One XCLIENT command's argument. Raises CommandError.

    Only address and port are of use. LOGIN would be a right to send that nobody proved to us, and is refused.
    """
    ip: str | None = None
    port: int | None = None
    words = argument.decode("ascii", "replace").split()
    if not words:
        raise CommandError(501, "5.5.4", "XCLIENT needs an attribute")
    for word in words:
        name, equals, written = word.partition("=")
        name, value = name.upper(), _XTEXT.sub(lambda code: chr(int(code[1], 16)), written)
        if not equals or name not in _ATTRIBUTES or not (value.isascii() and value.isprintable() and value):
            raise CommandError(501, "5.5.4", "XCLIENT has an attribute that is not known or malformed")
        if name == "LOGIN" and value.upper() not in _UNSAID:
            raise CommandError(501, "5.5.4", "XCLIENT LOGIN is not taken: log in here")
        if name == "ADDR":
            ip = NOBODY if value.upper() in _UNSAID else _xclient_ip(value)
        elif name == "PORT":
            port = 0 if value.upper() in _UNSAID else _xclient_port(value)
    return Introduced(ip, port)


def _xclient_ip(value: str) -> str:
    text = value[5:] if value[:5].upper() == "IPV6:" else value
    try:
        if "%" in text:
            raise ValueError(text)
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise CommandError(501, "5.5.4", "XCLIENT ADDR is no address") from None


def _xclient_port(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", value) or int(value) > 65535:
        raise CommandError(501, "5.5.4", "XCLIENT PORT is no port")
    return int(value)
