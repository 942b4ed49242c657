"""MTA-STS as it is written: records, policies, patterns (RFC 8461, with its own examples)."""

from __future__ import annotations

import pytest

from gateway.model.sts import StsMode, StsPolicy
from gateway.wire.mta_sts import LONGEST_AGE, MOST_OCTETS, StsError, lists, parse_policy, record_id

EXAMPLE = (  # RFC 8461 section 3.2
    b"version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\n"
    b"mx: backupmx.example.com\r\nmax_age: 604800\r\n"
)
HOSTS = ("mail.example.com", "*.example.net", "backupmx.example.com")


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        ([b"v=STSv1; id=20160831085700Z;"], "20160831085700Z"),  # section 3.1
        ([b"v=STSv1;id=1"], "1"),
        ([b"v=STSv1 ;\tid=1 ; "], "1"),
        ([b"v=STSv1; x-odd=a:b/c,d; id=" + b"a" * 32], "a" * 32),
        ([b"v=STSv1; id=1; id=2"], "1"),
        ([b"v=spf1 -all", b"v=STSv1; id=7;", b"v=STSv10; id=8"], "7"),
        ([], None),
        ([b"v=STSv1; id=1", b"v=STSv1; id=1"], None),
        ([b"v=STSv1"], None),
        ([b"v=STSv1;"], None),
        ([b"v=STSv1; x=1"], None),
        ([b"v=STSv1; id="], None),
        ([b"v=STSv1; id=" + b"a" * 33], None),
        ([b"v=STSv1; id=1-2"], None),
        ([b"v=STSv1; id=1;; x=2"], None),
        ([b"v=STSv1; id=1; x y=2"], None),
        ([b"v=STSv1; id=1; x=a=b"], None),
        ([b"v=STSv1; id=1; x=\xc3\xa4"], None),
        ([b"V=STSv1; id=1"], None),
        ([b"v=stsv1; id=1"], None),
        ([b" v=STSv1; id=1"], None),
        ([b"v=STSv1; ID=1"], None),
        ([b"v=STSv1; id=1\n"], None),
    ],
)
def test_the_record_names_a_policy_or_there_is_none(texts: list[bytes], found: str | None) -> None:
    assert record_id(texts) == found


def test_the_policy_of_the_standard_is_read() -> None:
    assert parse_policy(EXAMPLE) == StsPolicy(StsMode.ENFORCE, HOSTS, 604800)
    assert parse_policy(EXAMPLE.replace(b"\r\n", b"\n")) == parse_policy(EXAMPLE)
    assert parse_policy(EXAMPLE.removesuffix(b"\r\n")) == parse_policy(EXAMPLE)


@pytest.mark.parametrize(
    ("text", "mode", "mx", "age"),
    [
        (b"version: STSv1\nmode: none\nmax_age: 0\n", StsMode.NONE, (), 0),
        (b"mode:testing\nmax_age:86400\nmx:MX.Example.ORG\nversion:STSv1", StsMode.TESTING, None, 86400),
        (b"version: STSv1 \t\nmode: testing\nmx: mx.example.org\nmax_age: 9999999999\n", None, None, LONGEST_AGE),
        (b"version: STSv1\nmode: testing\nmode: enforce\nmx: mx.example.org\nmax_age: 5\nmax_age: x\n",
         StsMode.TESTING, None, 5),
        (b"version: STSv1\nmode: testing\nmx: mx.example.org\nmx: mx.example.org\nmax_age: 5\n\n\n",
         StsMode.TESTING, ("mx.example.org",), 5),
        (b"version: STSv1\nmode: testing\nx-note.1: \xc3\xbcber alles: ja\nmx: mx.example.org\nmax_age: 5\n",
         StsMode.TESTING, None, 5),
    ],
)  # fmt: skip
def test_what_is_allowed_is_read(
    text: bytes, mode: StsMode | None, mx: tuple[str, ...] | None, age: int
) -> None:
    policy = parse_policy(text)
    assert policy.mode is (mode or StsMode.TESTING)
    assert policy.mx == (("mx.example.org",) if mx is None else mx)
    assert policy.max_age == age


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        (b"version: STSv1\r\n", b""),
        (b"version: STSv1\r\n", b"version: STSv2\r\n"),
        (b"version: STSv1\r\n", b"Version: STSv1\r\n"),
        (b"mode: enforce\r\n", b""),
        (b"mode: enforce\r\n", b"mode: Enforce\r\n"),
        (b"mode: enforce\r\n", b"mode : enforce\r\n"),
        (b"mode: enforce\r\n", b"mode:\r\n"),
        (b"mode: enforce\r\n", b"mode: enforce\rmode: none\r\n"),
        (b"max_age: 604800\r\n", b""),
        (b"max_age: 604800\r\n", b"max_age: -1\r\n"),
        (b"max_age: 604800\r\n", b"max_age: 12345678901\r\n"),
        (b"max_age: 604800\r\n", "max_age: ٣\r\n".encode()),
        (b"mx: mail.example.com\r\n", b"mx: mail.example.com.\r\n"),
        (b"mx: mail.example.com\r\n", b"mx: *.*.example.com\r\n"),
        (b"mx: mail.example.com\r\n", b"mx: .example.com\r\n"),
        (b"mx: mail.example.com\r\n", b"mx: *example.com\r\n"),
        (b"mx: mail.example.com\r\n", b"mx: a b\r\n"),
        (b"mx: mail.example.com\r\n", b"mx: " + b"a." * 126 + b"ab\r\n"),
        (b"mx: mail.example.com\r\n", "mx: müller.example\r\n".encode()),
        (b"mx: mail.example.com\r\n", b"mx mail.example.com\r\n"),
        (b"mx: mail.example.com\r\n", b"x: \x00\r\n"),
        (b"mx: mail.example.com\r\n", b"x: \xff\r\n"),
        (b"version: STSv1\r\n", b"\xef\xbb\xbfversion: STSv1\r\n"),
        (b"version: STSv1\r\n", b"<html>\r\n"),
    ],
)
def test_what_is_written_wrongly_is_no_policy(line: bytes, instead: bytes) -> None:
    assert line in EXAMPLE
    with pytest.raises(StsError):
        parse_policy(EXAMPLE.replace(line, instead, 1))


def test_a_policy_that_asks_something_has_an_mx() -> None:
    with pytest.raises(StsError):
        parse_policy(b"version: STSv1\nmode: testing\nmax_age: 1\n")


def test_a_policy_is_as_long_as_its_limit() -> None:
    padding = b"x: " + b"y" * (MOST_OCTETS - len(EXAMPLE) - 3)
    assert parse_policy(EXAMPLE + padding).max_age == 604800
    with pytest.raises(StsError):
        parse_policy(EXAMPLE + padding + b"y")


@pytest.mark.parametrize(
    ("host", "listed"),
    [
        ("mail.example.com", True),
        ("MAIL.example.COM.", True),
        ("backupmx.example.com", True),
        ("mx1.example.net", True),
        ("example.net", False),
        ("a.b.example.net", False),
        ("mail2.example.com", False),
        ("a.mail.example.com", False),
        ("xexample.net", False),
        ("", False),
    ],
)
def test_a_pattern_stands_for_one_label(host: str, listed: bool) -> None:
    assert lists(HOSTS, host) is listed
