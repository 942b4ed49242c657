"""SPF: what a stranger's record says of an address, and the networks that a provider publishes."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import tempfile
from pathlib import Path

import dns.rdataclass
import dns.rdatatype
from dns.rdtypes.ANY.TXT import TXT
from structlog.testing import capture_logs

from gateway.config.provider_ranges import SHIPPED
from gateway.probe.dns import Answer, Found, NoData, NoName, Silent
from gateway.probe.spf import evaluate
from gateway.service.provider_ranges import (
    FILE,
    ProviderRanges,
    RangesUnknown,
    hopeless,
    published,
    unlike,
)
from gateway.wire.spf import read_spf
from tests.fuzz.target import Choices, Target, piece
from tests.unit.probe.answers import found as records

_LOOP = asyncio.new_event_loop()
_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
_VERDICTS = {"pass", "fail", "softfail", "neutral", "none", "permerror", "temperror", "unsure"}
_US = ("203.0.113.5", "2001:db8::5")
_MOST_WORDS = 1000  # characters of what a person is told
_FOUR, _SIX = records("A", "203.0.113.5", "203.0.113.77"), records("AAAA", "2001:db8::5")
_MAIL = records("MX", *(f"{place} mx{place}.example.org." for place in range(1, 15)))


class _Told:
    """Answers every question for TXT with the next record of the input, and for addresses as the input decides."""

    def __init__(self, choices: Choices) -> None:
        self._choices = choices
        self.asked: list[str] = []

    async def ask(self, name: str, rdtype: dns.rdatatype.RdataType) -> Answer:
        self.asked.append(name)
        if rdtype == dns.rdatatype.TXT:
            text = self._choices.piece()
            strings = [text[at : at + 255] for at in range(0, len(text), 255)] or [b""]
            record = TXT(dns.rdataclass.IN, dns.rdatatype.TXT, strings)
            return Found(records=(record,), ttl=60, secure=False)
        known = {dns.rdatatype.A: _FOUR, dns.rdatatype.AAAA: _SIX, dns.rdatatype.MX: _MAIL}[rdtype]
        answers: tuple[Answer, ...] = (known, NoData(secure=False), NoName(secure=False), Silent("x"))
        return self._choices.pick(answers)


def spf(octets: bytes) -> None:
    choices = Choices(octets)
    address, text = choices.pick(_US), b""
    if choices.left >= 2:
        text = Choices(octets[1:]).piece()
    told = _Told(choices)
    found = _LOOP.run_until_complete(evaluate(told, "example.org", address))
    assert found.verdict in _VERDICTS
    assert found.why.isprintable()
    assert len(found.why) <= _MOST_WORDS
    assert len(told.asked) <= 1 + 10 * 11  # RFC 7208 section 4.6.4: ten terms, each of them at most ten names
    plain = read_spf(text.decode("latin-1"))
    if found.verdict == "pass" and plain is not None and not plain.includes and len(told.asked) == 1:
        words = text.lower().split()
        inside = any(ipaddress.ip_address(address) in each for each in plain.networks)
        assert inside or {b"all", b"+all"} & set(words)


def provider(octets: bytes) -> None:
    """What a provider publishes, and the file that is kept of it."""
    told = _Told(Choices(octets))
    try:
        networks = _LOOP.run_until_complete(published(told, "spf.example.org"))
    except RangesUnknown as error:
        assert str(error).isprintable()
    else:
        assert len(set(networks)) == len(networks)
        for network in networks:
            assert "%" not in str(network)
            assert ipaddress.ip_network(str(network)) == network
        problem = unlike(SHIPPED["microsoft365"].networks, networks)
        assert problem is None or problem.isprintable()
        if hopeless(networks) is None:
            assert unlike(networks, networks) is None
            assert all(each.is_global for each in networks)
    assert len(told.asked) == len(set(told.asked)) <= 10
    with tempfile.TemporaryDirectory(dir=_MEMORY) as folder, capture_logs():
        (Path(folder) / FILE).write_bytes(octets)
        kept = ProviderRanges(Path(folder), ("microsoft365",), lambda: None).networks
    assert hopeless(kept["microsoft365"]) is None
    assert kept["google-workspace"] == SHIPPED["google-workspace"].networks


TARGETS = (
    Target(
        "spf",
        "a verdict for any record, in words that a terminal can show, after a bounded number of questions",
        spf,
        (
            b"\0" + piece(b"v=spf1 ip4:203.0.113.0/24 -all"),
            b"\1" + piece(b"v=spf1 ip6:2001:db8::/32 ?all"),
            b"\0" + piece(b"v=spf1 a/24//64 mx:x.example/30 ~all") + b"\0\1",
            b"\0" + piece(b"v=spf1 include:a.example redirect=b.example") * 12,
            b"\0" + piece(b"v=spf1 exists:%{i}.x.example"),
            b"\0" + piece(b"V=SPF1 include:a.example -all") + piece(b"v=spf1 +all"),
        ),
        1500,
    ),
    Target(
        "provider-ranges",
        "networks without a zone that are written and read alike, or RangesUnknown; no kept file that is not sound",
        provider,
        (
            piece(b"v=spf1 ip4:40.92.0.0/15 ip6:2a01:111:f400::/48 include:x.example -all")
            + piece(b"v=spf1 ip4:52.100.0.0/15 redirect=spf.example.org"),
            piece(b"v=spf1 ip4:10.0.0.0/8 -ip4:192.0.2.1 ?all"),
            b'{"microsoft365":{"networks":["40.92.0.0/15","2a01:111:f400::/48"],"asked":1.5}}',
        ),
        1500,
    ),
)
