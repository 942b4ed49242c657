"""Who may send through us: networks, certificates, logins, sender domains."""

from __future__ import annotations

import pytest

from gateway.ingress.connector import (
    RELAY_DENIED,
    Connector,
    Connectors,
    Peer,
    User,
    admit,
    newline_rule,
)
from gateway.model.address import Address
from gateway.wire.smtp_server_actions import Refused
from gateway.wire.smtp_server_data import Newlines

ANN = Address("ann", "hospital.example")
EVE = Address("eve", "evil.example")
LAN = Connector(
    name="lan", kind="smtp", domains=("hospital.example",), networks=("192.0.2.0/24", "2001:db8::/32")
)
LAB = Connector(
    name="lab", kind="smtp", domains=("lab.example",), networks=("192.0.2.128/25",), null_sender="allow"
)
CERT = Connector(name="cert", kind="smtp", domains=("partner.example",), certificates=("ab" * 32,))
BOTH = Connector(
    name="both",
    kind="smtp",
    domains=("both.example",),
    certificates=("cd" * 32,),
    networks=("198.51.100.0/24",),
)
APPS = Connector(name="apps", kind="login", domains=("apps.example",), users=(User("app", "hash"),))


def names(found: tuple[Connector, ...] | Refused) -> object:
    return found if isinstance(found, Refused) else [each.name for each in found]


def standing(connectors: list[Connector], **peer: object) -> object:
    result = Connectors(connectors).standing(Peer(**peer))  # type: ignore[arg-type]
    return names(result.connectors) if result.connectors else result.otherwise.code


def test_a_network_decides_who_a_client_is() -> None:
    assert standing([LAN, LAB], ip="192.0.2.1") == ["lan"]
    assert standing([LAN, LAB], ip="192.0.2.200") == ["lan", "lab"]
    assert standing([LAN, LAB], ip="::ffff:192.0.2.1") == ["lan"]
    assert standing([LAN, LAB], ip="2001:db8::1") == ["lan"]
    assert standing([LAN, LAB], ip="fe80::1%eth0") == 550
    assert standing([LAN, LAB], ip="198.51.100.1") == 550
    assert standing([], ip="127.0.0.1") == 550


def test_a_certificate_counts_with_its_network_where_one_is_asked_for() -> None:
    assert standing([CERT], ip="198.51.100.1") == 530
    assert standing([CERT], ip="198.51.100.1", tls=True) == 550
    assert standing([CERT], ip="198.51.100.1", tls=True, certificate="ab" * 32) == ["cert"]
    assert standing([CERT], ip="198.51.100.1", tls=True, certificate="ef" * 32) == 550
    assert standing([BOTH], ip="198.51.100.1", tls=True) == 550
    assert standing([BOTH], ip="198.51.100.1", tls=True, certificate="cd" * 32) == ["both"]
    assert standing([BOTH], ip="192.0.2.1", tls=True, certificate="cd" * 32) == 550


def test_a_login_counts_for_its_connector_only_and_replaces_the_network() -> None:
    assert standing([APPS], ip="198.51.100.1") == 530
    assert standing([APPS], ip="198.51.100.1", tls=True) == 530
    assert standing([APPS, LAN], ip="192.0.2.1", tls=True, user="app", authenticated_by="apps") == ["apps"]
    assert standing([LAN], ip="192.0.2.1", tls=True, user="app", authenticated_by="apps") == 550


def test_a_connector_can_ask_for_tls() -> None:
    strict = Connector(
        name="s", kind="smtp", domains=("x.example",), networks=("192.0.2.0/24",), require_tls=True
    )
    assert standing([strict], ip="192.0.2.1") == 530
    assert standing([strict], ip="192.0.2.1", tls=True) == ["s"]
    assert standing([strict], ip="198.51.100.1") == 550


def test_the_sender_must_be_of_the_connectors_domains() -> None:
    both = Connectors([LAN, LAB]).standing(Peer(ip="192.0.2.200"))
    assert names(admit(both, ANN)) == ["lan"]
    assert names(admit(both, Address("x", "lab.example"))) == ["lab"]
    for sender in (
        EVE,
        Address("ann", "sub.hospital.example"),
        Address("ann", "hospital.example.evil.example"),
    ):
        refused = admit(both, sender)
        assert isinstance(refused, Refused)
        assert (refused.code, refused.status) == (550, "5.7.1")


def test_the_null_sender_goes_by_the_connectors_rule() -> None:
    assert names(admit(Connectors([LAN, LAB]).standing(Peer(ip="192.0.2.200")), None)) == ["lab"]
    refused = admit(Connectors([LAN, LAB]).standing(Peer(ip="192.0.2.1")), None)
    assert isinstance(refused, Refused)
    assert refused.code == 550
    assert admit(Connectors([LAN]).standing(Peer(ip="198.51.100.1")), None) == RELAY_DENIED


def test_the_strictest_line_end_rule_holds_until_the_connector_is_known() -> None:
    lax = Connector(name="lax", kind="smtp", domains=("x.example",), bare_newlines=Newlines.NORMALIZE)
    assert newline_rule((lax,)) is Newlines.NORMALIZE
    assert newline_rule((lax, LAN)) is Newlines.REJECT


def test_connectors_that_cannot_be_used_are_refused() -> None:
    with pytest.raises(ValueError, match="same name"):
        Connectors([LAN, LAN])
    with pytest.raises(ValueError, match="host bits"):
        Connectors([Connector(name="x", kind="smtp", domains=(), networks=("192.0.2.1/24",))])


def test_a_users_hash_is_in_no_text() -> None:
    assert "hash" not in repr(APPS)
