"""The cast is consistent with itself: every promise that the table makes can be true."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_address, ip_network

from gateway.demo.cast import DNS_ADDRESS, EXPECTATIONS, NETWORK, PARTS, SERVERS, Manner
from gateway.demo.messages import LetterKind
from gateway.model.tls import TlsGrade


def test_every_address_is_in_the_demos_network_and_used_once() -> None:
    addresses = [DNS_ADDRESS, *(server.address for server in SERVERS)]
    assert all(ip_address(address) in ip_network(NETWORK) for address in addresses)
    assert len(set(addresses)) == len(addresses)
    assert ip_network(NETWORK).is_loopback


def test_recipients_and_names_appear_once() -> None:
    assert max(Counter(each.recipient for each in EXPECTATIONS).values()) == 1
    assert max(Counter(server.name for server in SERVERS).values()) == 1


def test_expectations_use_the_words_of_the_report() -> None:
    for each in EXPECTATIONS:
        assert each.decision in {"send", "hold", "defer", "reject"}
        assert each.method in {"tls", "plain", None}
        assert (each.method is None) == (each.decision != "send")
        assert (each.evidence is None) == (each.decision != "send")
        assert each.outcome in {"delivered", "deferred", "held", "escrowed", "rejected", "failed"}
        assert each.why


def test_what_is_to_be_delivered_has_a_living_host_that_proves_what_the_table_says() -> None:
    for part in PARTS:
        expected = part.expectation
        if expected.decision != "send":
            continue
        hosts = [
            server.truth
            for server in SERVERS
            if server.name.endswith(f".{part.home}") and server.manner is not Manner.DEAD
        ]
        assert TlsGrade(expected.evidence or "") in hosts
        assert TlsGrade(expected.evidence or "") in part.accepts


def test_what_is_to_be_held_for_its_server_has_no_host_that_proves_enough() -> None:
    for part in PARTS:
        if part.expectation.decision == "hold" and part.letter is not LetterKind.TAGGED:
            truths = {server.truth for server in SERVERS if server.name.endswith(f".{part.home}")}
            assert truths
            assert not truths & set(part.accepts)


def test_what_has_no_expected_arrival_is_accepted_nowhere_or_has_no_host() -> None:
    for part in PARTS:
        if part.letter is LetterKind.PROGRAM or part.home == "bogus.example":
            assert part.accepts == ()
