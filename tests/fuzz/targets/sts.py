"""MTA-STS: the record and the policy, from whoever publishes them."""

from __future__ import annotations

from gateway.model.sts import StsMode
from gateway.wire.mta_sts import LONGEST_AGE, MOST_OCTETS, StsError, lists, parse_policy, record_id
from tests.fuzz.target import Choices, Target


def record(octets: bytes) -> None:
    choices = Choices(octets)
    texts = [choices.take(choices.number(256)) for _ in range(choices.number(3))]
    texts.append(choices.rest())
    found = record_id(texts)
    if found is None:
        return
    assert found.isalnum()
    assert found.isascii()
    assert len(found) <= 32
    ours = [text for text in texts if text.startswith(b"v=STSv1")]
    assert any(b"id=" + found.encode() in text for text in ours)
    assert record_id([*texts, b"v=STSv1; id=1"]) is None, "two records are none"
    assert record_id([*texts, b"v=spf1 -all"]) == found


def policy(octets: bytes) -> None:
    try:
        found = parse_policy(octets)
    except StsError as error:
        assert str(error).isascii()
        return
    assert len(octets) <= MOST_OCTETS
    assert 0 <= found.max_age <= LONGEST_AGE
    assert found.mx or found.mode is StsMode.NONE
    for pattern in found.mx:
        assert pattern.isascii()
        assert pattern == pattern.lower()
        fits = pattern.replace("*.", "one.")
        assert lists(found.mx, fits)
        assert lists((pattern,), fits.upper() + ".")
        assert not lists((pattern,), "x." + fits)
    lines = "".join(f"mx: {pattern}\n" for pattern in found.mx)
    again = f"version: STSv1\nmode: {found.mode}\nmax_age: {found.max_age}\n{lines}"
    if len(again) <= MOST_OCTETS:
        assert parse_policy(again.encode()) == found


TARGETS = (
    Target(
        "sts-record",
        "an id, or none: never from two records, never from what does not begin as one",
        record,
        (
            b"\x00v=STSv1; id=20160831085700Z;",
            b"\x01\x0cv=spf1 -all  v=STSv1;id=1; x-odd=a:b",
            b"\x00v=STSv1 ; id=1; id=2 ;",
        ),
        600,
    ),
    Target(
        "sts-policy",
        "a policy that lists what it says and nothing below it, or StsError; written anew it reads the same",
        policy,
        (
            b"version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n",
            b"version: STSv1\nmode: none\nmax_age: 0",
            b"mode: testing\nmax_age: 9999999999\nmx:MX.example\nversion: STSv1\nx-more: a: b\n\n",
        ),
        2000,
    ),
)
