"""TLSA records: any octets can be read, only usable ones count, and a match is a match of what was published."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire import tlsa
from tests.fakes.pki import Signed, record, sign

ROOT = sign("root", ca=True)
ISSUER = sign("issuer", ROOT, ca=True)
LEAF = sign("leaf", ISSUER, names=["mx.example.org"])
OTHER = sign("other")
CHAIN = (LEAF.der, ISSUER.der)


@pytest.mark.parametrize("matching", [0, 1, 2])
@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("usage", [0, 1, 2, 3])
def test_every_combination_is_usable_or_not_as_the_standard_says(
    usage: int, selector: int, matching: int
) -> None:
    rdata = record(usage, selector, matching, LEAF)
    assert [each.rdata for each in tlsa.usable([rdata])] == ([rdata] if usage in {2, 3} else [])


@pytest.mark.parametrize("matching", [0, 1, 2])
@pytest.mark.parametrize("selector", [0, 1])
def test_a_leafs_record_fits_the_leaf_and_nothing_else(selector: int, matching: int) -> None:
    fitting, wrong, above = (record(3, selector, matching, of) for of in (LEAF, OTHER, ISSUER))
    matched = tlsa.match_leaf(tlsa.usable([wrong, above, fitting]), CHAIN)
    assert matched is not None
    assert matched.rdata == fitting
    assert tlsa.match_leaf(tlsa.usable([wrong, above]), CHAIN) is None
    assert list(tlsa.issuers(tlsa.usable([fitting]), CHAIN)) == []


@pytest.mark.parametrize("matching", [0, 1, 2])
@pytest.mark.parametrize("selector", [0, 1])
def test_an_issuers_record_names_the_issuer_in_the_chain(selector: int, matching: int) -> None:
    records = tlsa.usable([record(2, selector, matching, ISSUER)])
    assert tlsa.match_leaf(records, CHAIN) is None
    first = next(tlsa.issuers(records, CHAIN))
    assert (first.certificate, first.place) == (ISSUER.der, 1)


def test_an_issuers_record_never_takes_the_leaf_itself_for_an_issuer() -> None:
    for selector, matching in ((0, 1), (1, 1), (0, 2), (1, 2)):
        assert list(tlsa.issuers(tlsa.usable([record(2, selector, matching, LEAF)]), CHAIN)) == []


def test_a_whole_certificate_or_key_stands_for_an_issuer_that_was_not_sent() -> None:
    whole = list(tlsa.issuers(tlsa.usable([record(2, 0, 0, ROOT)]), CHAIN))
    assert [(each.certificate, each.place) for each in whole] == [(ROOT.der, None)]
    key = list(tlsa.issuers(tlsa.usable([record(2, 1, 0, ROOT)]), CHAIN))
    assert [(each.certificate, each.place) for each in key] == [(ISSUER.der, 1)]  # which that key signed
    assert list(tlsa.issuers(tlsa.usable([record(2, 1, 0, OTHER)]), CHAIN)) == []
    assert (
        list(tlsa.issuers(tlsa.usable([record(2, 1, 1, ROOT)]), CHAIN)) == []
    )  # a digest stands for nothing


def test_a_key_of_another_kind_than_the_signature_signed_nothing() -> None:
    rsa_root = sign("rsa", key=rsa.generate_private_key(65537, 2048), ca=True)
    below = sign("below", rsa_root)
    edwards = ed25519.Ed25519PrivateKey.generate().public_key()
    spki = edwards.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    curve = ec.generate_private_key(ec.SECP384R1()).public_key()
    other = curve.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for key, signed in ((rsa_root.spki, [below.der]), (spki, []), (other, [])):
        found = tlsa.issuers(tlsa.usable([bytes((2, 1, 0)) + key]), (below.der,))
        assert [each.certificate for each in found] == signed
    assert list(tlsa.issuers(tlsa.usable([bytes((2, 1, 0)) + rsa_root.spki]), CHAIN)) == []


@pytest.mark.parametrize(
    "rdata",
    [
        b"",
        b"\x03",
        b"\x03\x01",
        b"\x03\x01\x01",  # no data
        b"\x03\x01\x01" + bytes(31),
        b"\x03\x01\x01" + bytes(33),
        b"\x03\x01\x02" + bytes(32),
        b"\x03\x01\x02" + bytes(65),
        b"\x03\x00\x00",
        b"\x03\x00\x00" + b"not a certificate",
        b"\x02\x01\x00" + b"not a key",
        b"\x03\x01\x00" + LEAF.der,  # a certificate is no key
        b"\x03\x00\x00" + LEAF.spki,
        b"\x03\x00\x00" + LEAF.der + b"x",
        b"\x03\x02\x01" + bytes(32),  # no such selector
        b"\x03\x01\x03" + bytes(32),  # no such matching type
        b"\x04\x01\x01" + bytes(32),  # no such usage
        b"\xff\xff\xff" + bytes(32),  # private use
    ],
    ids=map(str, range(18)),
)
def test_what_is_malformed_or_unheard_of_is_unusable(rdata: bytes) -> None:
    assert tlsa.usable([rdata]) == ()
    assert tlsa.describe(rdata)


def test_of_digests_the_strongest_counts_and_whole_data_always_does() -> None:
    """RFC 7671 section 9; by usage and selector, so that another kind of record keeps its own best."""
    weak, strong = record(3, 1, 1, LEAF), record(3, 1, 2, OTHER)
    whole, other = record(3, 1, 0, LEAF), record(3, 0, 1, LEAF)
    assert tlsa.match_leaf(tlsa.usable([weak, strong]), CHAIN) is None
    assert [each.rdata for each in tlsa.usable([weak, strong, whole, other])] == [strong, whole, other]
    unusable_strong = b"\x03\x01\x02" + bytes(10)
    assert [each.rdata for each in tlsa.usable([weak, unusable_strong])] == [weak]


def test_no_chain_matches_nothing() -> None:
    records = tlsa.usable([record(3, 1, 1, LEAF), record(2, 1, 1, ISSUER), record(2, 0, 0, ROOT)])
    assert tlsa.match_leaf(records, ()) is None
    assert list(tlsa.issuers(records, ())) == []


def test_a_record_is_described_as_people_write_it() -> None:
    assert tlsa.describe(bytes((3, 1, 1)) + bytes(32)) == "3 1 1 0000000000000000..."
    assert tlsa.describe(b"\x03") == "malformed (03)"


@given(st.lists(st.binary(max_size=80), max_size=8), st.lists(st.binary(max_size=80), max_size=4))
def test_no_octets_from_strangers_raise_or_match(rdatas: list[bytes], chain: list[bytes]) -> None:
    records = tlsa.usable(rdatas)
    assert {each.rdata for each in records} <= set(rdatas)
    list(tlsa.issuers(records, chain))
    matched = tlsa.match_leaf(records, chain)
    assert matched is None or matched.usage == 3
    assert all(tlsa.describe(each) for each in rdatas)


@given(
    usage=st.integers(2, 3),
    selector=st.integers(0, 1),
    matching=st.integers(0, 2),
    place=st.integers(0, 10_000),
)
def test_one_changed_bit_in_a_record_matches_nothing(
    usage: int, selector: int, matching: int, place: int
) -> None:
    of: Signed = LEAF if usage == 3 else ISSUER
    data = bytearray(record(usage, selector, matching, of))
    bit = 24 + place % (8 * (len(data) - 3))
    data[bit // 8] ^= 1 << bit % 8
    records = tlsa.usable([bytes(data)])
    assert tlsa.match_leaf(records, CHAIN) is None
    assert all(each.certificate != ISSUER.der for each in tlsa.issuers(records, CHAIN))
