"""What a proxy says of its client: the forms that are taken, and all others that are not."""

from __future__ import annotations

import pytest

from gateway.wire.introduction import NOBODY, Introduced, ProxyError, ProxyReader, parse_xclient
from gateway.wire.smtp_server_actions import Introduce
from gateway.wire.smtp_server_commands import CommandError
from tests.fakes.smtp_dialogue import SETTINGS, Driver

V2 = b"\r\n\r\n\0\r\nQUIT\n"
FOUR = bytes((192, 0, 2, 1, 198, 51, 100, 1)) + (4711).to_bytes(2, "big") + (25).to_bytes(2, "big")
SIX = bytes.fromhex("20010db8" + "0" * 23 + "1" + "20010db8" + "0" * 23 + "2") + FOUR[8:]


@pytest.mark.parametrize(
    ("header", "ip", "port"),
    [
        (b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 25\r\n", "192.0.2.1", 4711),
        (b"PROXY TCP6 2001:db8::1 2001:db8::2 4711 25\r\n", "2001:db8::1", 4711),
        (b"PROXY UNKNOWN\r\n", NOBODY, 0),
        (b"PROXY UNKNOWN 192.0.2.1 x y z\r\n", NOBODY, 0),
        (V2 + b"\x21\x11\x00\x0c" + FOUR, "192.0.2.1", 4711),
        (V2 + b"\x21\x21\x00\x24" + SIX, "2001:db8::1", 4711),
        (V2 + b"\x21\x11\x00\x13" + FOUR + b"\x20\x00\x04abcd", "192.0.2.1", 4711),
        (V2 + b"\x20\x11\x00\x0c" + FOUR, NOBODY, 0),
        (V2 + b"\x21\x31\x00\x01x", NOBODY, 0),
    ],
)
def test_headers_that_name_a_client(header: bytes, ip: str, port: int) -> None:
    assert ProxyReader().feed(header + b"rest") == (Introduced(ip, port), b"rest")


@pytest.mark.parametrize(
    "header",
    [
        b"EHLO x\r\n",
        b"proxy TCP4 192.0.2.1 198.51.100.1 4711 25\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 4711\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 65536\r\n",
        b"PROXY TCP4 2001:db8::1 198.51.100.1 4711 25\r\n",
        b"PROXY TCP4 192.0.2.256 198.51.100.1 4711 25\r\n",
        b"PROXY TCP6 fe80::1%eth0 2001:db8::2 4711 25\r\n",
        b"PROXY TCP4  192.0.2.1 198.51.100.1 4711 25\r\n",
        b"PROXY UNIX /x y 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 25\n" + b"x" * 100,
        b"PROXY UNKNOWN " + b"x" * 100,
        V2 + b"\x11\x11\x00\x0c" + FOUR,
        V2 + b"\x22\x11\x00\x0c" + FOUR,
        V2 + b"\x21\x11\x00\x0b" + FOUR,
        V2 + b"\x21\x11\x02\x09" + FOUR,
        V2[:-1] + b"x" * 20,
    ],
)
def test_anything_else_is_no_header(header: bytes) -> None:
    with pytest.raises(ProxyError):
        ProxyReader().feed(header)


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        (b"ADDR=192.0.2.1 PORT=4711", Introduced("192.0.2.1", 4711)),
        (b"name=x.example addr=IPv6:2001:DB8::1", Introduced("2001:db8::1", None)),
        (b"ADDR=[UNAVAILABLE]", Introduced(NOBODY, None)),
        (b"PROTO=ESMTP HELO=client+2Eexample LOGIN=[UNAVAILABLE]", Introduced(None, None)),
    ],
)
def test_attributes_of_xclient(argument: bytes, expected: Introduced) -> None:
    assert parse_xclient(argument) == expected


@pytest.mark.parametrize(
    "argument",
    [b"", b"ADDR", b"ADDR=", b"ADDR=x", b"ADDR=fe80::1%lo", b"PORT=65536", b"PORT=+31x", b"LOGIN=root",
     b"ODD=x", b"HELO=a+0D+0Ab", b"HELO=\xff"],
)  # fmt: skip
def test_attributes_that_are_refused(argument: bytes) -> None:
    with pytest.raises(CommandError):
        parse_xclient(argument)


def test_xclient_is_for_those_who_may_and_begins_the_session_anew() -> None:
    driver = Driver(SETTINGS, tls=True).hello()
    assert driver.codes(b"XCLIENT ADDR=192.0.2.1\r\n") == [550]
    driver.dialogue.xclient = True
    assert b"XCLIENT NAME ADDR PORT PROTO HELO\r\n" in driver.feed(b"EHLO proxy.example\r\n")
    assert driver.codes(b"MAIL FROM:<a@x.example>\r\n", b"XCLIENT ADDR=192.0.2.1\r\n", b"RSET\r\n") == [
        250,
        503,
        250,
    ]
    driver.dialogue.user = "proxy"
    assert driver.codes(b"XCLIENT ADDR=192.0.2.1 PORT=9\r\n") == [220]
    assert driver.events[-1] == Introduce("192.0.2.1", 9)
    assert driver.codes(b"MAIL FROM:<a@x.example>\r\n") == [503], "EHLO comes again"
    assert driver.codes(b"EHLO x.example\r\n", b"AUTH PLAIN AGFubgB4\r\n") == [250, 235], (
        "nobody is logged in"
    )
