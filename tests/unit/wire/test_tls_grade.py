"""What a TLS session is worth, and whose certificate fits which name."""

from __future__ import annotations

import msgspec
import pytest

from gateway.model.tls import Dane, DaneProof, TlsFloor, TlsGrade, TlsSession
from gateway.wire.tls_grade import grade, meets
from gateway.wire.tls_name import match_name

GOOD = TlsSession(
    version="TLSv1.3", cipher="TLS_AES_128_GCM_SHA256", trusted=True, name_matched="mx.example.org"
)
VERIFIED = TlsFloor((TlsGrade.DANE, TlsGrade.MTA_STS, TlsGrade.PIN, TlsGrade.PKIX))
ENCRYPTED = TlsFloor((TlsGrade.PKIX, TlsGrade.ENCRYPTED))
ANYTHING = TlsFloor((TlsGrade.ENCRYPTED, TlsGrade.NONE))


def but(**changes: object) -> TlsSession:
    return msgspec.structs.replace(GOOD, **changes)


def test_pkix_needs_trust_and_name_and_no_failure() -> None:
    assert grade(GOOD) is TlsGrade.PKIX
    assert grade(None) is TlsGrade.NONE
    for lesser in (but(trusted=False), but(name_matched=None), but(failure="certificate-expired")):
        assert grade(lesser) is TlsGrade.ENCRYPTED


def test_floors() -> None:
    assert meets(GOOD, VERIFIED)
    assert meets(GOOD, ANYTHING)
    assert not meets(but(trusted=False), VERIFIED)
    assert meets(but(trusted=False), ENCRYPTED)
    assert not meets(None, ENCRYPTED)
    assert meets(None, ANYTHING)
    assert not meets(GOOD, TlsFloor((TlsGrade.DANE,)))
    assert not meets(GOOD, TlsFloor(()))
    assert not meets(but(version="TLSv1.1"), VERIFIED)
    assert not meets(but(version="TLSv1.2"), TlsFloor((TlsGrade.PKIX,), "1.3"))
    assert not meets(but(version="unheard of"), VERIFIED)


RECORD = bytes((3, 1, 1)) + bytes(32)


def proved(*, mx_secure: bool = True, matched: bool = True, usable: int = 1) -> TlsSession:
    """A session with nothing for it but what DANE says."""
    dane = Dane(base="mx.example.org", records=(RECORD,), names=("mx.example.org",), mx_secure=mx_secure)
    proof = DaneProof(dane=dane, usable=usable, matched=RECORD if matched else None)
    return but(trusted=False, name_matched=None, dane=proof)


def test_a_tlsa_record_proves_a_session_that_nobody_else_vouches_for() -> None:
    assert grade(proved()) is TlsGrade.DANE
    assert grade(proved(mx_secure=False)) is TlsGrade.PKIX
    assert meets(proved(), VERIFIED)
    assert meets(proved(), TlsFloor((TlsGrade.DANE,)))
    assert meets(proved(), ANYTHING)
    assert not meets(proved(mx_secure=False), TlsFloor((TlsGrade.DANE,)))
    assert not meets(proved(), TlsFloor((TlsGrade.MTA_STS,)))


def test_no_floor_is_low_enough_for_a_host_that_breaks_its_own_promise() -> None:
    for floor in (VERIFIED, ENCRYPTED, ANYTHING):
        assert not meets(proved(matched=False), floor)
        good = msgspec.structs.replace(GOOD, dane=proved(matched=False).dane)
        assert not meets(good, floor)


def test_records_that_cannot_be_used_leave_the_judgement_to_the_certificate() -> None:
    unusable = proved(matched=False, usable=0).dane
    assert grade(msgspec.structs.replace(GOOD, dane=unusable)) is TlsGrade.PKIX
    assert meets(msgspec.structs.replace(GOOD, dane=unusable), VERIFIED)
    assert grade(proved(matched=False, usable=0)) is TlsGrade.ENCRYPTED


@pytest.mark.parametrize(
    ("name", "reference", "fits"),
    [
        ("mx.example.org", "mx.example.org", True),
        ("MX.Example.ORG.", "mx.example.org", True),
        ("mx.example.org", "MX.EXAMPLE.ORG.", True),
        ("*.example.org", "mx.example.org", True),
        ("*.example.org", "a.mx.example.org", False),
        ("*.example.org", "example.org", False),
        ("*.org", "example.org", False),
        ("*", "localhost", False),
        ("m*.example.org", "mx.example.org", False),
        ("*x.example.org", "mx.example.org", False),
        ("mx.*.org", "mx.example.org", False),
        ("*.*.org", "mx.example.org", False),
        ("example.org", "mx.example.org", False),
        ("mx.example.org.evil.example", "mx.example.org", False),
        ("xn--bcher-kva.example", "xn--bcher-kva.example", True),
        ("*.example", "xn--bcher-kva.example", False),
        ("bücher.example", "xn--bcher-kva.example", False),
        ("", "mx.example.org", False),
        ("mx..example.org", "mx..example.org", False),
        ("192.0.2.1", "192.0.2.1", False),
        ("mx.example.org\0.evil.example", "mx.example.org", False),
    ],
)
def test_names(name: str, reference: str, fits: bool) -> None:
    assert (match_name([name], reference) == name) is fits


def test_the_first_name_that_fits_is_told() -> None:
    assert (
        match_name(["a.example.org", "*.example.org", "mx.example.org"], "mx.example.org") == "*.example.org"
    )
    assert match_name([], "mx.example.org") is None
