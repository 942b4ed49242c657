"""What proxies say about their clients: PROXY v1 and v2, XCLIENT."""

from __future__ import annotations

import ipaddress

from gateway.wire.introduction import PROXY_LIMIT, Introduced, ProxyError, ProxyReader, parse_xclient
from gateway.wire.smtp_server_commands import CommandError
from tests.fuzz.target import Target, cut

V2 = b"\r\n\r\n\0\r\nQUIT\n"


def proxy(octets: bytes) -> None:
    """The same client and the same rest however the octets are cut; what is held is bounded."""
    whole = _read([octets])
    assert _read(list(cut(octets, 1))) == whole
    if isinstance(whole, tuple):
        client, rest = whole
        _is_sound(client)
        assert client.ip is not None
        assert octets.endswith(rest)
        assert 0 < len(octets) - len(rest) <= PROXY_LIMIT


def _read(pieces: list[bytes]) -> tuple[Introduced, bytes] | str | None:
    reader = ProxyReader()
    for number, octets in enumerate(pieces):
        try:
            found = reader.feed(octets)
        except ProxyError:
            return "refused"
        if found is not None:
            return found[0], found[1] + b"".join(pieces[number + 1 :])
        assert len(reader._held) <= PROXY_LIMIT
    return None


def xclient(octets: bytes) -> None:
    try:
        said = parse_xclient(octets)
    except CommandError as error:
        assert error.reply.code == 501
        return
    _is_sound(said)


def _is_sound(said: Introduced) -> None:
    assert said.ip is None or str(ipaddress.ip_address(said.ip)) == said.ip
    assert said.ip is None or "%" not in said.ip
    assert said.port is None or 0 <= said.port <= 65535


TARGETS = (
    Target(
        "proxy",
        "a client or a refusal, the same however it is cut; never more than one header is held",
        proxy,
        (
            b"PROXY TCP4 192.0.2.1 198.51.100.1 1 25\r\nEHLO x\r\n",
            b"PROXY TCP6 2001:db8::1 2001:db8::2 65535 25\r\n",
            b"PROXY UNKNOWN ffff:f...f 1 2\r\n",
            b"PROXY TCP4 " + b"1" * 120,
            V2 + b"\x21\x11\x00\x0c" + bytes((192, 0, 2, 1, 198, 51, 100, 1, 0, 1, 0, 25)) + b"rest",
            V2 + b"\x21\x21\x00\x27" + bytes(range(36)) + b"\x04\0\0",
            V2 + b"\x20\x00\x00\x00",
            V2 + b"\x21\x11\xff\xff",
        ),
    ),
    Target(
        "xclient",
        "an address and a port, or 501",
        xclient,
        (
            b"ADDR=192.0.2.1 PORT=25 NAME=[UNAVAILABLE] PROTO=ESMTP HELO=x+2Ey",
            b"addr=IPV6:2001:db8::1 LOGIN=[UNAVAILABLE]",
            b"ADDR=[TEMPUNAVAIL] PORT=[UNAVAILABLE]",
            b"LOGIN=root",
            b"ADDR=fe80::1%eth0",
            b"HELO=+0D+0A",
        ),
    ),
)
