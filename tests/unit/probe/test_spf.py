"""What an SPF record says of one of our addresses: every mechanism, the bounds, and what cannot be known beforehand."""

from __future__ import annotations

import pytest

from gateway.probe.dns import Answer, Silent
from gateway.probe.spf import evaluate
from tests.unit.probe.answers import PaperDns, found

US = "203.0.113.5"
A = found("A", US)
OTHER = found("A", "203.0.113.99")

Written = dict[tuple[str, str], Answer | list[Answer]]


def txt(*texts: str) -> Answer:
    return found("TXT", *(f'"{text}"' for text in texts))


async def verdict(record: str, more: Written | None = None, address: str = US) -> str:
    written: Written = {("example.org", "TXT"): txt(record), **(more or {})}
    return (await evaluate(PaperDns(written), "example.org", address)).verdict


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ("v=spf1 ip4:203.0.113.5 -all", "pass"),
        ("v=spf1 ip4:203.0.113.0/29 -all", "pass"),
        ("v=spf1 ip4:203.0.113.8/29 -all", "fail"),
        ("v=spf1 ip4:203.0.113.8/29 ~all", "softfail"),
        ("v=spf1 ip4:203.0.113.8/29 ?all", "neutral"),
        ("v=spf1 ip4:203.0.113.8/29", "neutral"),
        ("V=SPF1 IP4:203.0.113.5 -ALL", "pass"),
        ("v=spf1 -ip4:203.0.113.5 +all", "fail"),
        ("v=spf1 ip6:2001:db8::/32 -all", "fail"),
        ("v=spf1 exp=explain.example.org ip4:203.0.113.5 -all", "pass"),
        ("v=spf1 ip4:203.0.113 -all", "permerror"),
        ("v=spf1 +all:x", "permerror"),
        ("v=spf1 ip:203.0.113.5 -all", "permerror"),
        ("v=spf1 ip4:203.0.113.0/255.255.255.0 -all", "permerror"),
        ("v=spf1 ip4:203.0.113.0/ -all", "permerror"),
        ("v=spf1 ip4:2001:db8::/32 -all", "permerror"),
        ("v=spf1 ip6:203.0.113.5 -all", "permerror"),
        ("v=spf1 ip6:fe80::1%x ip4:203.0.113.5 -all", "permerror"),
        ("v=spf1 ip4:203.0.113.5 \\027[2J -all", "permerror"),
        ("v=spf1 include: -all", "permerror"),
        (f'v=spf1 include:{"a" * 200}" "{"a" * 54} -all', "permerror"),
        ("v=spf1 exists:%{i}.list.example.org -all", "unsure"),
        ("v=spf1 ip4:203.0.113.5 exists:%{i}.list.example.org -all", "pass"),
        ("v=spf1 ptr -all", "unsure"),
        ("v=spf1 include:%{d}.example.net -all", "unsure"),
        ("v=spf10 ip4:203.0.113.5 -all", "none"),
    ],
)
async def test_terms_that_ask_nobody(record: str, expected: str) -> None:
    assert await verdict(record) == expected


async def test_addresses_by_name() -> None:
    assert await verdict("v=spf1 a -all", {("example.org", "A"): A}) == "pass"
    assert await verdict("v=spf1 a:gw.example.org -all", {("gw.example.org", "A"): A}) == "pass"
    assert await verdict("v=spf1 a:gw.example.org/24 -all", {("gw.example.org", "A"): OTHER}) == "pass"
    assert await verdict("v=spf1 a:gw.example.org -all", {("gw.example.org", "A"): OTHER}) == "fail"
    assert await verdict("v=spf1 a/24//64 -all", {("example.org", "A"): OTHER}) == "pass"


async def test_mail_servers_by_name() -> None:
    more: Written = {("example.org", "MX"): found("MX", "10 mx.example.org."), ("mx.example.org", "A"): A}

    assert await verdict("v=spf1 mx -all", more) == "pass"
    assert await verdict("v=spf1 mx -all", more, "203.0.113.6") == "fail"


async def test_ipv6_counts_in_its_own_length() -> None:
    more: Written = {("gw.example.org", "AAAA"): found("AAAA", "2001:db8::1")}

    assert await verdict("v=spf1 a:gw.example.org//64 -all", more, "2001:db8::7") == "pass"
    assert await verdict("v=spf1 a:gw.example.org -all", more, "2001:db8::7") == "fail"


async def test_includes_and_redirects() -> None:
    provider: Written = {("_spf.example.net", "TXT"): txt("v=spf1 ip4:203.0.113.0/24 -all")}

    assert await verdict("v=spf1 include:_spf.example.net -all", provider) == "pass"
    assert await verdict("v=spf1 include:_spf.example.net ~all", provider, "192.0.2.1") == "softfail"
    assert await verdict("v=spf1 redirect=_spf.example.net", provider) == "pass"
    assert await verdict("v=spf1 redirect=_spf.example.net", provider, "192.0.2.1") == "fail"
    assert await verdict("v=spf1 include:gone.example.net -all") == "permerror"


async def test_two_records_count_as_none_and_no_record_is_none() -> None:
    two: Written = {("example.org", "TXT"): txt("v=spf1 -all", "v=spf1 +all")}

    assert (await evaluate(PaperDns(two), "example.org", US)).verdict == "permerror"
    assert (await evaluate(PaperDns({}), "example.org", US)).verdict == "none"


async def test_a_record_that_asks_too_much_or_leads_in_circles_is_an_error() -> None:
    assert await verdict("v=spf1 include:example.org -all") == "permerror"
    many = " ".join(f"a:a{number}.example.org" for number in range(11))
    hosts: Written = {(f"a{number}.example.org", "A"): OTHER for number in range(11)}

    assert await verdict(f"v=spf1 {many} -all", hosts) == "permerror"
    assert await verdict("v=spf1 a:x.example.net a:y.example.net a:z.example.net -all") == "permerror"


async def test_silence_is_no_answer() -> None:
    silent: Written = {("example.org", "TXT"): Silent("nobody")}

    assert (await evaluate(PaperDns(silent), "example.org", US)).verdict == "temperror"
