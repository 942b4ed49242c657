"""Which addresses are tried, in which order, and which never."""

from __future__ import annotations

import random
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.deliver.plan import MOST_ADDRESSES, Bounds, may_reach, plan
from gateway.model.capability import MxHost, Route
from gateway.model.problem import Problem
from gateway.model.tls import Dane

OPEN = Bounds((ip_network("192.0.2.0/24"), ip_network("198.51.100.0/24"), ip_network("2001:db8::/32")))


def keep(_hosts: list[MxHost]) -> None:
    """No chance at all."""


def tried(*hosts: MxHost, bounds: Bounds = OPEN) -> list[str]:
    return [endpoint.address for endpoint in plan(Route(hosts, "mx"), bounds, keep).endpoints]


def test_preference_first() -> None:
    assert tried(MxHost("b", 20, ("192.0.2.2",)), MxHost("a", 10, ("192.0.2.1",))) == [
        "192.0.2.1",
        "192.0.2.2",
    ]


def test_equal_preferences_are_shuffled_among_themselves_only() -> None:
    hosts = [MxHost("a", 10, ("192.0.2.1",)), MxHost("b", 10, ("192.0.2.2",)), MxHost("c", 5, ("192.0.2.3",))]
    planned = plan(Route(tuple(hosts), "mx"), OPEN, lambda equal: equal.reverse())
    assert [endpoint.host for endpoint in planned.endpoints] == ["c", "b", "a"]


def test_families_take_turns() -> None:
    host = MxHost("a", 10, ("192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"))
    assert tried(host) == ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2"]


def test_at_most_five_and_no_host_starves_another() -> None:
    many = tuple(f"192.0.2.{number}" for number in range(1, 20))
    assert len(tried(MxHost("a", 10, many))) == MOST_ADDRESSES
    assert tried(MxHost("a", 10, many), MxHost("b", 20, ("198.51.100.1",))) == [*many[:4], "198.51.100.1"]
    hosts = [
        MxHost(str(number), number, (f"192.0.2.{number}", f"198.51.100.{number}")) for number in range(1, 9)
    ]
    assert tried(*hosts) == [f"192.0.2.{number}" for number in range(1, 6)]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
    ],
)
def test_what_is_not_public_is_never_reached(address: str) -> None:
    assert not may_reach(address, Bounds())
    assert tried(MxHost("a", 10, (address,)), bounds=Bounds()) == []


def test_public_addresses_need_no_leave_and_others_can_be_allowed() -> None:
    assert may_reach("8.8.8.8", Bounds())
    assert may_reach("2606:4700::1111", Bounds())
    assert may_reach("::ffff:8.8.8.8", Bounds())
    lan = Bounds((ip_network("10.1.0.0/16"),))
    assert may_reach("10.1.2.3", lan)
    assert may_reach("::ffff:10.1.2.3", lan)
    assert not may_reach("10.2.2.3", lan)


def test_nowhere_to_go_says_why() -> None:
    def status(*hosts: MxHost, bounds: Bounds = OPEN) -> str:
        problem = plan(Route(hosts, "mx"), bounds, keep).problem
        assert problem is not None
        return problem.status

    assert status(MxHost("a", 10, ("10.0.0.1",))) == "5.4.4"
    assert status(MxHost("a", 10, ("127.0.0.1",))) == "5.4.6"
    assert status(MxHost("a", 10, ())) == "4.4.4"
    assert status() == "4.4.4"
    assert status(MxHost("a", 10, ("10.0.0.1",)), MxHost("b", 20, ())) == "4.4.4"
    assert (
        status(
            MxHost("a", 10, ("192.0.2.9",), 2525),
            bounds=Bounds(OPEN.allowed, frozenset({("192.0.2.9", 2525)})),
        )
        == "5.4.6"
    )


def test_a_barred_host_is_not_tried_and_its_reason_is_told_where_there_is_no_other() -> None:
    why = Problem("4.7.5", "it cannot be learned how it proves who it is")
    barred = MxHost("a", 10, ("8.8.8.1",), barred=why)
    assert tried(barred, MxHost("b", 20, ("8.8.8.2",))) == ["8.8.8.2"]
    alone = plan(Route((barred,), "mx"), OPEN, keep)
    assert (alone.endpoints, alone.problem) == ((), why)


def test_what_a_host_demands_goes_with_its_endpoint() -> None:
    dane = Dane(base="a", records=(b"\x03\x01\x01",), names=("a",), mx_secure=True)
    (endpoint,) = plan(Route((MxHost("a", 10, ("8.8.8.1",), dane=dane),), "mx"), OPEN, keep).endpoints
    assert endpoint.dane == dane


def test_hosts_as_good_as_ourselves_or_worse_are_left_out() -> None:
    ours = Bounds(OPEN.allowed, frozenset({("192.0.2.2", 25)}))
    hosts = [MxHost(str(number), number * 10, (f"192.0.2.{number}",)) for number in (1, 2, 3)]
    assert tried(*hosts, bounds=ours) == ["192.0.2.1"]
    assert tried(*hosts[1:], bounds=ours) == []
    other_port = Bounds(OPEN.allowed, frozenset({("192.0.2.2", 2525)}))
    assert len(tried(*hosts, bounds=other_port)) == 3


addresses = st.lists(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str), max_size=7)
hosts_of = st.lists(
    st.builds(MxHost, st.sampled_from("abcdef"), st.integers(0, 3), addresses.map(tuple)), max_size=7
)


@given(hosts=hosts_of, seed=st.integers())
def test_a_plan_is_short_sorted_and_within_bounds(hosts: list[MxHost], seed: int) -> None:
    planned = plan(Route(tuple(hosts), "mx"), Bounds(), random.Random(seed).shuffle)
    assert len(planned.endpoints) <= MOST_ADDRESSES
    assert (planned.problem is None) == bool(planned.endpoints)
    assert all(may_reach(endpoint.address, Bounds()) for endpoint in planned.endpoints)
    preference = {(host.name, address): host.preference for host in hosts for address in host.addresses}
    if len(preference) == sum(len(host.addresses) for host in hosts):
        order = [preference[endpoint.host, endpoint.address] for endpoint in planned.endpoints]
        assert order == sorted(order)


def test_a_next_hop_that_the_configuration_names_may_be_private() -> None:
    hosts = (MxHost("relay.hospital.example", 10, ("10.1.2.3",)),)

    assert plan(Route(hosts, "static"), Bounds(), lambda _: None).endpoints
    assert not plan(Route(hosts, "mx"), Bounds(), lambda _: None).endpoints
