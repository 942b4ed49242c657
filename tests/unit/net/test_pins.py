"""Whether a chain shows a pinned key: the server's own is enough, an issuer's wants path, dates and name."""

from __future__ import annotations

import pytest

from gateway.model.tls import TermsProof, TlsTerms
from gateway.net.pins import stand
from gateway.wire.pin import pin_of
from tests.fakes.pki import Signed, sign

NAME = "mx.example.org"
ROOT = sign("root", ca=True)
ISSUER = sign("issuer", ROOT, ca=True)
LEAF = sign("leaf", ISSUER, names=[NAME])


def pin(of: Signed) -> bytes:
    digest = pin_of(of.der)
    assert digest is not None
    return digest


def proof(*chain: Signed, pins: tuple[bytes, ...]) -> tuple[TermsProof, str | None]:
    return stand(TlsTerms(source="test", pins=pins), [each.der for each in chain], NAME)


def test_the_servers_own_key_is_enough_whatever_else_is_wrong() -> None:
    stranger = sign("nobody", names=["other.example"], days=(-20, -10))
    shown, failure = proof(stranger, pins=(pin(LEAF), pin(stranger)))
    assert (shown.matched, shown.place, shown.failed, failure) == (pin(stranger), 0, False, None)


def test_a_renewed_certificate_with_the_same_key_still_fits() -> None:
    renewed = sign("leaf", ISSUER, names=[NAME], key=LEAF.key)
    assert renewed.der != LEAF.der
    assert proof(renewed, pins=(pin(LEAF),))[0].matched == pin(LEAF)


@pytest.mark.parametrize(("issuer", "place"), [(ISSUER, 1), (ROOT, 2)])
def test_an_issuer_that_is_sent_vouches_for_a_valid_certificate_with_the_name(
    issuer: Signed, place: int
) -> None:
    shown, failure = proof(LEAF, ISSUER, ROOT, pins=(pin(issuer),))
    assert (shown.matched, shown.place, failure) == (pin(issuer), place, None)


def test_a_pinned_issuer_that_did_not_sign_proves_nothing() -> None:
    """Anybody can send anybody's certificate along."""
    mallory = sign("mallory", names=[NAME])
    shown, failure = proof(mallory, ISSUER, ROOT, pins=(pin(ISSUER), pin(ROOT)))
    assert (shown.failed, failure) == (True, "certificate-not-trusted")


@pytest.mark.parametrize(
    ("leaf", "word"),
    [
        (sign("leaf", ISSUER, names=["mx.example.net"]), "certificate-host-mismatch"),
        (sign("leaf", ISSUER, names=[NAME], days=(-20, -10)), "certificate-expired"),
    ],
)
def test_a_pinned_issuer_vouches_for_neither_another_name_nor_another_time(leaf: Signed, word: str) -> None:
    shown, failure = proof(leaf, ISSUER, pins=(pin(ISSUER),))
    assert (shown.failed, failure) == (True, word)


def test_no_pinned_key_is_a_broken_pin() -> None:
    for chain in ((LEAF, ISSUER), ()):
        shown, failure = proof(*chain, pins=(pin(ROOT),))
        assert (shown.failed, shown.matched, failure) == (True, None, "pin-mismatch")


def test_without_pins_there_is_nothing_to_break() -> None:
    shown, failure = proof(LEAF, pins=())
    assert (shown.failed, failure) == (False, None)


def test_octets_that_are_no_certificate_show_no_key() -> None:
    assert pin_of(b"nonsense") is None
    assert stand(TlsTerms(source="test", pins=(bytes(32),)), [b"nonsense"], NAME)[0].failed
