"""What the DNS says of us: each fault is found, and a zone in order has none."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import Config
from gateway.config.loading import parse
from gateway.config.toml_source import load
from gateway.probe.dns import Answer
from gateway.service.doctor.check import Check
from gateway.service.doctor.published import published
from tests.unit.probe.answers import PaperDns, found

ADDRESS = "203.0.113.5"
POINTER = "5.113.0.203.in-addr.arpa"
HOST, DOMAIN = "gw.hospital.example", "hospital.example"

Written = dict[tuple[str, str], Answer | list[Answer]]

IN_ORDER: Written = {
    (HOST, "A"): found("A", ADDRESS),
    (POINTER, "PTR"): found("PTR", f"{HOST}."),
    (DOMAIN, "TXT"): found("TXT", '"v=spf1 a:gw.hospital.example -all"'),
    (f"_dmarc.{DOMAIN}", "TXT"): found("TXT", '"v=DMARC1; p=reject"'),
}


def config() -> Config:
    text = """
hostname = "gw.hospital.example"
data_dir = "data"
policy = "policy.toml"
postmaster = "postmaster@hospital.example"
[[listener]]
name = "smarthost"
address = "127.0.0.1:25"
tls = "off"
[[connector]]
name = "office"
kind = "smtp"
networks = ["192.0.2.0/28"]
domains = ["hospital.example"]
"""
    found_config, problems = parse(load(text.encode(), "test"), [], Path("/"), "")
    assert found_config is not None, problems
    return found_config


async def bad(changes: Written, outward: tuple[str, ...] = (ADDRESS,)) -> list[Check]:
    written = {**IN_ORDER, **changes}
    return [one for one in await published(config(), PaperDns(written), outward) if one.state != "ok"]


async def test_a_zone_in_order_has_no_fault() -> None:
    assert await bad({}) == []


async def test_dmarc_of_the_domain_above_counts() -> None:
    above: Written = {(f"_dmarc.{DOMAIN}", "TXT"): found("TXT", '"v=DMARC1; p=reject; sp=none"')}

    assert await bad(above) == []


FAULTS: list[tuple[str, Written, str, str]] = [
    ("no PTR", {(POINTER, "PTR"): found("TXT", '"x"')}, "fail", "has no PTR record"),
    ("PTR of the provider", {(POINTER, "PTR"): found("PTR", "h5.isp.example.")}, "warn", "is called h5.isp.example"),
    ("PTR that does not lead back", {(HOST, "A"): found("A", "203.0.113.6")}, "fail", "does not lead back"),
    ("no SPF", {(DOMAIN, "TXT"): found("TXT", '"something"')}, "fail", "has no SPF record"),
    (
        "SPF without us",
        {(DOMAIN, "TXT"): found("TXT", '"v=spf1 include:spf.protection.outlook.example -all"'),
         ("spf.protection.outlook.example", "TXT"): found("TXT", '"v=spf1 ip4:192.0.2.0/24 -all"')},
        "fail",
        "SPF says fail for 203.0.113.5",
    ),
    (
        "two SPF records",
        {(DOMAIN, "TXT"): found("TXT", '"v=spf1 -all"', '"v=spf1 a:gw.hospital.example -all"')},
        "fail",
        "2 SPF records",
    ),
    ("no DMARC", {(f"_dmarc.{DOMAIN}", "TXT"): found("TXT", '"x"')}, "fail", "has no DMARC record"),
    (
        "two DMARC records",
        {(f"_dmarc.{DOMAIN}", "TXT"): found("TXT", '"v=DMARC1; p=none"', '"v=DMARC1; p=reject"')},
        "fail",
        "2 records",
    ),
    ("DMARC p=none", {(f"_dmarc.{DOMAIN}", "TXT"): found("TXT", '"v=DMARC1; p=none"')}, "warn", "p=none"),
    ("DMARC without policy", {(f"_dmarc.{DOMAIN}", "TXT"): found("TXT", '"v=DMARC1; p=all"')}, "fail", "no policy"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "state", "says"), [one[1:] for one in FAULTS], ids=[one[0] for one in FAULTS]
)
async def test_each_fault_is_found_and_says_why_and_what_to_do(
    changes: Written, state: str, says: str
) -> None:
    faults = await bad(changes)

    assert [one.state for one in faults if says in one.what] == [state]
    assert all(one.why and one.remedy for one in faults)


async def test_a_host_without_an_address_is_found() -> None:
    written = {key: value for key, value in IN_ORDER.items() if key != (HOST, "A")}
    faults = [
        one for one in await published(config(), PaperDns(written), ()) if one.state in ("warn", "fail")
    ]

    assert [one.name for one in faults] == ["hostname", "outward"]
