"""Certificates of strangers: what they say is told, and what cannot be read is no error."""

from __future__ import annotations

import datetime as dt
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.net.dane import dns_names
from gateway.wire.certificate import apart, first_to_expire, read_certificate
from gateway.wire.revocation import subject
from tests.fakes.pki import ODD_FEATURE, sign

DAY = dt.timedelta(days=1)


def test_a_certificate_tells_who_it_is_for_who_signed_it_and_until_when() -> None:
    ca = sign("An authority", ca=True)
    leaf = sign("mx", ca, names=("mx.example.org", "*.example.org"), days=(-1, 30))
    facts = read_certificate(leaf.der)

    assert facts is not None
    assert facts.names == ("mx.example.org", "*.example.org")
    assert (facts.subject, facts.issuer) == ("CN=mx", "CN=An authority")
    assert not facts.self_issued
    assert facts.key == "EC secp256r1"
    assert facts.sha256 == sha256(leaf.der).hexdigest()
    assert facts.spki_sha256 == sha256(leaf.spki).hexdigest()
    assert facts.remaining(facts.not_after - 12 * DAY) == 12
    assert facts.remaining(facts.not_after + DAY) == -1


def test_a_feature_that_nobody_has_named_ends_no_connection() -> None:
    ca = sign("An authority", ca=True)
    leaf = sign("mx", ca, names=("mx.example.org",), more=[ODD_FEATURE])
    facts = read_certificate(leaf.der)

    assert facts is not None
    assert (facts.subject, facts.names) == ("CN=mx", ())
    assert dns_names(leaf.der) == []
    assert subject([leaf.der, ca.der]) is None


def test_the_end_of_a_chain_is_that_of_the_first_to_end() -> None:
    ca = sign("short", ca=True, days=(-5, 3))
    leaf = sign("mx", ca, days=(-1, 30))
    first = first_to_expire([leaf.der, ca.der, b"no certificate"])

    assert first is not None
    assert first.subject == "CN=short"
    assert first_to_expire([b"", b"x"]) is None


def test_a_flood_of_names_is_cut() -> None:
    leaf = sign("mx", names=[f"n{number}.example.org" for number in range(300)])
    facts = read_certificate(leaf.der)

    assert facts is not None
    assert len(facts.names) == 100


@given(octets=st.binary(max_size=200))
def test_any_octets_can_be_read(octets: bytes) -> None:
    read_certificate(octets)


@pytest.mark.parametrize("at", [4, 20, 60, 120, 200])
def test_a_damaged_certificate_is_read_or_refused(at: int) -> None:
    der = bytearray(sign("mx", names=("mx.example.org",)).der)
    der[at] ^= 0xFF
    read_certificate(bytes(der))


def test_certificates_that_stand_one_after_the_other_come_apart() -> None:
    ca = sign("An authority", ca=True)
    chain = (sign("mx", ca).der, ca.der, ca.der)
    assert apart(b"".join(chain)) == chain
    assert apart(b"".join(chain) + b"rest") == (*chain, b"rest")
    assert apart(b"".join(chain)[:-1]) == (*chain[:2], chain[2][:-1])


@given(st.one_of(st.binary(), st.binary().map(b"\x30".__add__)))
def test_nothing_is_lost_of_octets_that_are_no_certificates(octets: bytes) -> None:
    pieces = apart(octets)
    assert b"".join(pieces) == octets
    assert all(pieces)
