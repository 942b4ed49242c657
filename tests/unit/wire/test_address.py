"""Addresses, paths and DSN parameters, by example."""

from __future__ import annotations

import pytest

from gateway.model.address import Address
from gateway.wire.address import (
    AddressError,
    check_envid,
    check_orcpt,
    decode_xtext,
    encode_xtext,
    parse_address,
    parse_domain,
    parse_notify,
    parse_path,
    parse_ret,
)


@pytest.mark.parametrize(
    ("text", "local", "domain"),
    [
        ("ann@hospital.example", "ann", "hospital.example"),
        ("Ann.B+tag@Hospital.EXAMPLE", "Ann.B+tag", "hospital.example"),
        ('"a b"@x.example', '"a b"', "x.example"),
        ('"a\\"@\\\\b"@x.example', '"a\\"@\\\\b"', "x.example"),
        ("ann@[192.0.2.1]", "ann", "[192.0.2.1]"),
        ("ann@[IPv6:2001:DB8:0:0::1]", "ann", "[ipv6:2001:db8::1]"),
        ("ann@münchen.example", "ann", "xn--mnchen-3ya.example"),
        ("ann@xn--mnchen-3ya.example", "ann", "xn--mnchen-3ya.example"),
        ("ännchen@x.example", "ännchen", "x.example"),
        ("a@localhost", "a", "localhost"),
        ("!#$%&'*+-/=?^_`{|}~@x.example", "!#$%&'*+-/=?^_`{|}~", "x.example"),
    ],
)
def test_mailboxes_that_are_in_order(text: str, local: str, domain: str) -> None:
    assert parse_address(text) == Address(local, domain)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ann",
        "@x.example",
        "ann@",
        "a..b@x.example",
        ".a@x.example",
        "a.@x.example",
        "a b@x.example",
        "a@b@x.example",
        '"a"b@x.example',
        '"a@x.example',
        "a\r\nb@x.example",
        '"a\nb"@x.example',
        "a\x00@x.example",
        "a\u202eb@x.example",
        "a@x..example",
        "a@-x.example",
        "a@x-.example",
        "a@x_y.example",
        "a@x.example.",
        "a@192.0.2.1",
        "a@[192.0.2.256]",
        "a@[192.0.2.1",
        "a@[IPv6:fe80::1%eth0]",
        "a@[tag:x]",
        "a@MÜNCHEN.example",
        "a@ｅxample.org",
        "a@x。example",
        "a@xn--zz.example",
        "a@" + "x" * 64 + ".example",
        "a" * 65 + "@x.example",
        "ä" * 33 + "@x.example",
        "a" * 64 + "@" + "x." * 91 + "example1",
        "a@" + "x." * 124 + "example",
    ],
)
def test_mailboxes_that_are_refused(text: str) -> None:
    with pytest.raises(AddressError):
        parse_address(text)


def test_the_longest_local_part_and_domain_pass() -> None:
    domain = ".".join(["x" * 63] * 3) + "." + "y" * 61
    assert len(domain) == 253
    assert parse_domain(domain) == domain
    assert parse_address("a" * 64 + "@x.example").local == "a" * 64
    assert len(str(parse_address("a" * 64 + "@" + "x." * 91 + "example"))) == 254


@pytest.mark.parametrize(
    ("argument", "path", "rest"),
    [
        (b"<>", None, b""),
        (b"<> RET=HDRS", None, b" RET=HDRS"),
        (b" <ann@x.example>", Address("ann", "x.example"), b""),
        (b"<ann@x.example> SIZE=1", Address("ann", "x.example"), b" SIZE=1"),
        (b"<Ann.B+tag@x.example>", Address("Ann.B+tag", "x.example"), b""),
        (b"<ann@X.example>", Address("ann", "x.example"), b""),
        (b"<@relay.example,@other.example:ann@x.example>", Address("ann", "x.example"), b""),
        (b'<"a>b c"@x.example> SIZE=1', Address('"a>b c"', "x.example"), b" SIZE=1"),
        (b"<Postmaster>", Address("Postmaster", ""), b""),
    ],
)
def test_paths_in_angle_brackets(argument: bytes, path: Address | None, rest: bytes) -> None:
    assert parse_path(argument, smtputf8=False) == (path, rest)


@pytest.mark.parametrize(
    "argument",
    [
        b"",
        b"ann@x.example",
        b"<ann@x.example",
        b"<ann@x.example>SIZE=1",
        b"<ann>",
        b'<"ann@x.example>',
        b"<@relay.example>",
        b"<@relay.example,other.example:ann@x.example>",
        b"<\xff@x.example>",
        "<ännchen@x.example>".encode(),
        b"< >",
        b"<<ann@x.example>>",
    ],
)
def test_paths_that_are_refused(argument: bytes) -> None:
    with pytest.raises(AddressError):
        parse_path(argument, smtputf8=False)


def test_a_path_without_brackets_passes_only_where_that_is_tolerated() -> None:
    assert parse_path(b"ann@x.example SIZE=1", smtputf8=False, strict=False) == (
        Address("ann", "x.example"),
        b" SIZE=1",
    )
    with pytest.raises(AddressError, match="missing"):
        parse_path(b"", smtputf8=False, strict=False)


def test_a_non_ascii_local_part_needs_smtputf8_and_a_non_ascii_domain_does_not() -> None:
    assert parse_path("<ännchen@x.example>".encode(), smtputf8=True)[0] == Address("ännchen", "x.example")
    domain = parse_path("<ann@münchen.example>".encode(), smtputf8=False)[0]
    assert domain == Address("ann", "xn--mnchen-3ya.example")


def test_xtext_there_and_back() -> None:
    assert encode_xtext("a+b=c d") == "a+2Bb+3Dc+20d"
    assert decode_xtext("a+2Bb+3Dc+20d") == "a+b=c d"


@pytest.mark.parametrize(
    "value", ["a+", "a+2", "a+2b", "a=b", "a b", "a+0D", "a+0A", "a+00", "a+7F", "a+E4", "ä"]
)
def test_xtext_that_is_malformed_or_hides_something(value: str) -> None:
    with pytest.raises(AddressError):
        decode_xtext(value)


def test_dsn_parameters_are_checked_and_carried_as_they_came() -> None:
    assert check_orcpt("rfc822;Bob+2Bx@Y.example", smtputf8=False) == "rfc822;Bob+2Bx@Y.example"
    assert check_orcpt("utf-8;b\\x{E4}r@x.example", smtputf8=False) == "utf-8;b\\x{E4}r@x.example"
    assert check_orcpt("utf-8;bär@x.example", smtputf8=True) == "utf-8;bär@x.example"
    assert check_orcpt("rfc822;+CE+B1@x.example", smtputf8=False) == "rfc822;+CE+B1@x.example"
    assert check_envid("AbC+2B") == "AbC+2B"
    assert parse_notify("never") == ("NEVER",)
    assert parse_notify("Success,DELAY") == ("SUCCESS", "DELAY")
    assert parse_ret("hdrs") == "HDRS"


@pytest.mark.parametrize(
    "value",
    [
        "rfc822",
        ";x",
        "rfc822;",
        "rf c;x",
        "rfc822;a+0Ab",
        "rfc822;a+E4b",
        "rfc822;a+C2+85b",
        "rfc822;\xe4",
        "rfc822;" + "x" * 500,
        "utf-8;b\\x{0A}r",
        "utf-8;b\\x{D800}",
        "utf-8;b\\x{FFFFFF}",
        "utf-8;b\\q",
        "utf-8;bär",
    ],
)
def test_orcpt_that_is_refused(value: str) -> None:
    with pytest.raises(AddressError):
        check_orcpt(value, smtputf8=False)


def test_notify_never_stands_alone_and_envid_and_ret_have_their_limits() -> None:
    for notify in ("NEVER,FAILURE", "", "SOMETIMES", "DELAY,DELAY", "SUCCESS,"):
        with pytest.raises(AddressError):
            parse_notify(notify)
    for envid in ("", "x" * 101, "a\x00"):
        with pytest.raises(AddressError):
            check_envid(envid)
    with pytest.raises(AddressError):
        parse_ret("BODY")
