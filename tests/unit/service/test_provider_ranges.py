"""The providers' addresses: taken from a real name server, never when they widen or empty, kept for the next start."""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.config.provider_ranges import SHIPPED, shipped
from gateway.demo.resolver import Resolver, serve_dns
from gateway.demo.zones import ZoneSource, serve_zone
from gateway.model.alarm import AlarmKind
from gateway.probe.dns import Dns
from gateway.probe.trust import ProofNames
from gateway.service.alerts.alarms import Alarms
from gateway.service.provider_ranges import FILE, ProviderRanges, RangesUnknown, published, unlike
from gateway.wire.spf import read_spf

GOOGLE = SHIPPED["google-workspace"].networks
OLD = tuple(map(ipaddress.ip_network, ("74.125.0.0/16", "209.85.128.0/17", "2001:4860:4864::/56")))
ADDRESS = "127.0.0.53"
UNSHOWN = ProofNames(signed="unknown.example", bogus="unknown.example")


@asynccontextmanager
async def name_server(*records: str, origin: str = "google.com") -> AsyncIterator[Dns]:
    key = ec.generate_private_key(ec.SECP256R1())
    zone = serve_zone(ZoneSource(origin, tuple(records)), key, datetime.now(UTC))
    with socket.socket() as free:
        free.bind((ADDRESS, 0))
        port = int(free.getsockname()[1])
    async with serve_dns(Resolver([zone]), ADDRESS, port):
        yield Dns([(ADDRESS, port)], names=UNSHOWN, timeout=2, lifetime=5)


def alarms(folder: Path) -> Alarms:
    return Alarms(folder, "ingress", lambda: datetime.now(UTC))


def spf(*networks: object) -> str:
    terms = " ".join(f"ip{'6' if ':' in str(one) else '4'}:{one}" for one in networks)
    return f'_spf TXT "v=spf1 {terms} ~all"'


def test_a_record_is_read_as_far_as_it_lists_networks() -> None:
    found = read_spf(
        "v=spf1 ip4:192.0.2.0/24 +ip6:2001:db8::/32 ?ip4:1.2.3.4 include:a.example mx redirect=b.example"
    )
    assert found is not None
    assert list(map(str, found.networks)) == ["192.0.2.0/24", "2001:db8::/32"]
    assert found.includes == ("a.example", "b.example")
    assert read_spf("v=spf1 ip4:192.0.2.0/33 -all") is None
    for network in (
        "ip4:2001:db8::/32",
        "ip6:192.0.2.1",
        "ip4:192.0.2.0/255.255.255.0",
        "ip6:2001:db8::%x/32",
    ):
        assert read_spf(f"v=spf1 {network} -all") is None
    assert read_spf("v=spf1 include:\x1b.example -all") is None
    assert read_spf("v=spf10 ip4:192.0.2.0/24") is None


async def test_includes_are_followed_and_bounded() -> None:
    async with name_server(
        '_spf TXT "v=spf1 include:_a.google.com include:_b.google.com ~all"',
        '_a TXT "v=spf1 ip4:74.125.0.0/16 " "ip4:209.85.128.0/17 include:_spf.google.com ~all"',
        '_b TXT "v=spf1 ip6:2001:4860:4864::/56 ~all"',
        '_b TXT "other=1"',
        *(f'_c{n} TXT "v=spf1 include:_c{n + 1}.google.com ~all"' for n in range(12)),
        '_two TXT "v=spf1 ip4:74.125.0.0/16 ~all"',
        '_two TXT "v=spf1 ip4:74.125.0.0/16 -all"',
    ) as lookup:
        assert await published(lookup, "_spf.google.com") == OLD
        for wrong in ("_c0", "_two", "_nothing"):
            with pytest.raises(RangesUnknown):
                await published(lookup, f"{wrong}.google.com")


@pytest.mark.parametrize(
    ("new", "problem"),
    [
        ("74.125.0.0/16 209.85.128.0/17 2001:4860:4864::/56", None),
        ("74.125.0.0/16 209.85.128.0/17 173.194.0.0/17 2001:4860:4864::/56", None),
        ("74.125.0.0/16 74.125.0.0/17 209.85.128.0/17 2001:4860:4864::/56", None),
        ("", "empty"),
        ("0.0.0.0/0", "too wide"),
        ("74.0.0.0/8 2001:4860:4864::/56", "too wide"),
        ("74.125.0.0/16 209.85.128.0/17 10.0.0.0/24 2001:4860:4864::/56", "not public"),
        ("74.112.0.0/12 209.85.128.0/17 2001:4860:4864::/56", "grew"),
        ("74.125.0.0/16 209.85.128.0/17 2001:4860::/32", "grew"),
        ("74.125.0.0/18 2001:4860:4864::/56", "shrank"),
        ("74.125.0.0/16 209.85.128.0/17", "shrank"),
    ],
)
def test_a_list_that_suddenly_widens_or_empties_is_not_taken(new: str, problem: str | None) -> None:
    said = unlike(OLD, tuple(map(ipaddress.ip_network, new.split())))
    assert (said is None) if problem is None else (said is not None and problem in said)


async def test_new_addresses_are_told_and_kept_and_odd_ones_are_not(tmp_path: Path) -> None:
    told: list[int] = []
    ranges = ProviderRanges(tmp_path, ["google-workspace"], lambda: told.append(1))
    assert ranges.networks == shipped()
    more = (*GOOGLE, ipaddress.ip_network("173.194.0.0/18"))
    async with name_server(spf(*more)) as lookup:
        assert await ranges.refresh(lookup, alarms(tmp_path))
        assert set(ranges.networks["google-workspace"]) == set(more)
        assert await ranges.refresh(lookup, alarms(tmp_path))
    assert told == [1], "the same again changes nothing"
    async with name_server(spf("0.0.0.0/0")) as lookup:
        assert not await ranges.refresh(lookup, alarms(tmp_path))
    assert set(ranges.networks["google-workspace"]) == set(more)
    (alarm,) = alarms(tmp_path).standing()
    assert (alarm.kind, alarm.key) == (AlarmKind.PROVIDERS, "google-workspace")
    assert "0.0.0.0/0" in alarm.text
    async with name_server(spf(*more)) as lookup:
        assert await ranges.refresh(lookup, alarms(tmp_path))
    (alarm,) = alarms(tmp_path).standing()
    assert alarm.over is not None

    again = ProviderRanges(tmp_path, ["google-workspace"], lambda: None)
    assert set(again.networks["google-workspace"]) == set(more), "the last good list outlives a restart"
    assert again.networks["microsoft365"] == SHIPPED["microsoft365"].networks


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        json.dumps({"google-workspace": {"networks": ["x"], "asked": 1}}).encode(),
        json.dumps({"google-workspace": {"networks": [], "asked": 1}}).encode(),
        json.dumps({"google-workspace": {"networks": ["0.0.0.0/0"], "asked": 1}}).encode(),
    ],
)
def test_a_damaged_file_counts_for_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    assert ProviderRanges(tmp_path, ["google-workspace"], lambda: None).networks == shipped()


async def test_nobody_is_asked_where_no_connector_goes_by_a_provider(tmp_path: Path) -> None:
    async with name_server() as lookup:
        await ProviderRanges(tmp_path, [], lambda: None).keep_fresh(lookup, 1, alarms(tmp_path))
    assert list(tmp_path.iterdir()) == []
