"""Mail goes to public addresses only, and to networks that are meant."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from gateway.wire.destinations import Destinations


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"]
)
def test_public_addresses(address: str) -> None:
    assert Destinations().permits(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fc00::1",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "2002:808:808::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "",
        "localhost",
        "1.2.3",
        "127.1",
    ],
)
def test_everything_else(address: str) -> None:
    assert not Destinations().permits(address)


def test_allowed_networks_are_meant_and_only_they() -> None:
    lab = Destinations([ip_network("127.53.0.0/24"), ip_network("fd00::/8")])
    assert lab.permits("127.53.0.10")
    assert lab.permits("fd00::1")
    assert not lab.permits("127.53.1.1")
    assert not lab.permits("127.0.0.1")
