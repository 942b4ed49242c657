"""Whether a chain shows what TLSA records promise: for DANE-EE the certificate alone, for DANE-TA path, name, dates."""

from __future__ import annotations

import pytest

from gateway.model.tls import Dane, DaneProof
from gateway.net.dane import prove
from tests.fakes.pki import Signed, record, sign

NAME = "mx.example.org"
ROOT = sign("root", ca=True)
ISSUER = sign("issuer", ROOT, ca=True)
LEAF = sign("leaf", ISSUER, names=[NAME])


def dane(*records: bytes, names: tuple[str, ...] = (NAME,)) -> Dane:
    return Dane(base=NAME, records=records, names=names, mx_secure=True)


def proof(*chain: Signed, by: Dane) -> tuple[DaneProof, str | None]:
    return prove(by, [each.der for each in chain])


@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("matching", [0, 1, 2])
def test_dane_ee_ignores_names_dates_and_issuers(selector: int, matching: int) -> None:
    expired = sign("nobody", names=["other.example"], days=(-20, -10))
    wanted = record(3, selector, matching, expired)
    shown, failure = proof(expired, by=dane(wanted))
    assert (shown.matched, shown.place, failure) == (wanted, 0, None)
    assert not shown.failed


@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("matching", [0, 1, 2])
@pytest.mark.parametrize("anchor", [ISSUER, ROOT], ids=["issuer", "root"])
def test_dane_ta_takes_any_issuer_that_was_sent(anchor: Signed, selector: int, matching: int) -> None:
    wanted = record(2, selector, matching, anchor)
    shown, failure = proof(LEAF, ISSUER, ROOT, by=dane(wanted))
    assert (shown.matched, failure) == (wanted, None)


@pytest.mark.parametrize("selector", [0, 1])
def test_dane_ta_takes_a_whole_issuer_that_was_not_sent(selector: int) -> None:
    for chain, anchor in (((LEAF, ISSUER), ROOT), ((LEAF,), ISSUER)):
        shown, failure = proof(*chain, by=dane(record(2, selector, 0, anchor)))
        assert shown.matched is not None
        assert failure is None
    digest, failure = proof(LEAF, ISSUER, by=dane(record(2, selector, 1, ROOT)))
    assert (digest.matched, failure) == (None, "tlsa-invalid")


@pytest.mark.parametrize(
    ("names", "reference", "fits"),
    [
        ((NAME,), (NAME,), True),
        (("*.example.org",), (NAME,), True),
        (("example.org",), (NAME, "example.org"), True),  # the domain itself
        (("example.org",), (NAME,), False),
        ((), (NAME,), False),
    ],
)
def test_dane_ta_wants_one_of_the_names(
    names: tuple[str, ...], reference: tuple[str, ...], fits: bool
) -> None:
    leaf = sign("leaf", ISSUER, names=names)
    shown, failure = proof(leaf, ISSUER, by=dane(record(2, 1, 1, ISSUER), names=reference))
    assert (shown.matched is not None) is fits
    assert failure == (None if fits else "certificate-host-mismatch")


def test_dane_ta_wants_a_valid_path() -> None:
    expired = sign("leaf", ISSUER, names=[NAME], days=(-20, -10))
    early = sign("leaf", ISSUER, names=[NAME], days=(5, 10))
    stranger = sign("issuer", ca=True)  # the same name, another key
    forged = sign("leaf", stranger, names=[NAME])
    no_authority = sign("middle", ISSUER)
    below = sign("leaf", no_authority, names=[NAME])
    wanted = dane(record(2, 1, 1, ISSUER))
    for chain, word in (
        ((expired, ISSUER), "certificate-expired"),
        ((early, ISSUER), "certificate-not-trusted"),
        ((forged, ISSUER), "certificate-not-trusted"),
        ((below, no_authority, ISSUER), "certificate-not-trusted"),
        ((forged, stranger), "tlsa-invalid"),
    ):
        shown, failure = proof(*chain, by=wanted)
        assert (shown.matched, shown.failed, failure) == (None, True, word)


def test_a_key_that_signed_the_leaf_itself_is_an_issuer_too() -> None:
    shown, failure = proof(LEAF, by=dane(record(2, 1, 0, ISSUER)))
    assert (shown.place, failure) == (0, None)
    self_made = sign("leaf", names=[NAME])
    shown, failure = proof(self_made, by=dane(record(2, 1, 0, ISSUER)))
    assert (shown.failed, failure) == (True, "tlsa-invalid")


def test_without_usable_records_nothing_is_proved_and_nothing_fails() -> None:
    for unusable in (record(0, 1, 1, LEAF), record(1, 1, 1, LEAF), b"\x03\x01\x01", b"\x03"):
        shown, failure = proof(LEAF, ISSUER, by=dane(unusable))
        assert (shown.usable, shown.matched, shown.failed, failure) == (0, None, False, None)


def test_one_fitting_record_among_wrong_ones_is_enough() -> None:
    other = sign("other")
    fitting = record(3, 1, 1, LEAF)
    shown, failure = proof(
        LEAF, by=dane(record(3, 1, 1, other), record(0, 0, 1, other), record(2, 0, 1, other), fitting)
    )
    assert (shown.matched, shown.usable, failure) == (fitting, 3, None)


def test_what_a_stranger_sends_instead_of_certificates_proves_nothing() -> None:
    wanted = dane(
        record(3, 1, 1, LEAF), record(2, 1, 1, ISSUER), record(2, 0, 0, ROOT), record(2, 1, 0, ROOT)
    )
    for chain in ([], [b""], [b"x" * 100, ISSUER.der], [LEAF.der[:-1], ISSUER.der]):
        shown, failure = prove(wanted, chain)
        assert shown.failed
        assert failure is not None
