"""What a TLS session is worth, and whose certificate fits which name."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.tls import Dane, DaneProof, TermsProof, TlsFloor, TlsGrade, TlsSession, TlsTerms
from gateway.wire.tls_grade import forbids, grade, meets, shown
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


PIN = bytes(32)


def on_terms(
    session: TlsSession, *, shown: bool = True, least: TlsGrade | None = None, **terms: object
) -> TlsSession:
    laid_down = TlsTerms(source="test", least=least, **terms)  # type: ignore[arg-type]
    matched = PIN if shown and laid_down.pins else None
    return msgspec.structs.replace(session, terms=TermsProof(terms=laid_down, matched=matched))


def test_a_pin_proves_a_session_that_nobody_else_vouches_for() -> None:
    pinned = on_terms(but(trusted=False, name_matched=None), pins=(PIN,))
    assert grade(pinned) is TlsGrade.PIN
    assert meets(pinned, VERIFIED)
    assert meets(pinned, TlsFloor((TlsGrade.PIN,)))
    assert not meets(pinned, TlsFloor((TlsGrade.PKIX,)))
    assert meets(on_terms(GOOD, pins=(PIN,)), TlsFloor((TlsGrade.PKIX,)))
    both = on_terms(proved(), pins=(PIN,))
    assert grade(both) is TlsGrade.DANE
    assert meets(both, TlsFloor((TlsGrade.PIN,)))


def test_no_floor_is_low_enough_for_a_broken_pin_or_for_less_than_is_laid_down() -> None:
    for floor in (VERIFIED, ENCRYPTED, ANYTHING):
        assert not meets(on_terms(proved(), pins=(PIN,), shown=False), floor)
        assert not meets(on_terms(proved(matched=False), pins=(PIN,)), floor), "DANE binds all the same"
        assert not meets(on_terms(but(trusted=False), least=TlsGrade.PKIX), floor)
        assert not meets(on_terms(GOOD, least=TlsGrade.DANE), floor)
    assert meets(on_terms(GOOD, least=TlsGrade.PKIX), VERIFIED)
    assert meets(on_terms(proved(), least=TlsGrade.PKIX), VERIFIED)


def test_what_a_distrusted_server_shows_proves_nothing() -> None:
    for session in (GOOD, proved()):
        seen = on_terms(session, pins=(PIN,), distrusted=True)
        assert grade(seen) is TlsGrade.ENCRYPTED
        assert not meets(seen, VERIFIED)
        assert meets(seen, ENCRYPTED)
    assert not meets(on_terms(proved(matched=False), distrusted=True), ANYTHING)


sessions = st.builds(
    but,
    trusted=st.booleans(),
    name_matched=st.sampled_from([None, "mx.example.org"]),
    version=st.sampled_from(["TLSv1.1", "TLSv1.2", "TLSv1.3"]),
    failure=st.sampled_from([None, "certificate-expired"]),
    dane=st.sampled_from(
        [None, *(proved(mx_secure=a, matched=b).dane for a in (False, True) for b in (False, True))]
    ),
)
floors = st.builds(
    TlsFloor,
    st.lists(st.sampled_from(TlsGrade), unique=True).map(tuple),
    st.sampled_from(["1.2", "1.3"]),
)


@given(
    session=sessions,
    floor=floors,
    pins=st.sampled_from([(), (PIN,)]),
    shown=st.booleans(),
    least=st.sampled_from([None, *TlsGrade]),
    distrusted=st.booleans(),
)
def test_nothing_that_is_laid_down_lets_a_lesser_connection_pass(
    session: TlsSession,
    floor: TlsFloor,
    pins: tuple[bytes, ...],
    shown: bool,
    least: TlsGrade | None,
    distrusted: bool,
) -> None:
    """Terms only take away, but for the one grade `pin`, and that only where a floor counts it."""
    with_terms = on_terms(session, shown=shown, least=least, pins=pins, distrusted=distrusted)
    if meets(with_terms, floor) and not meets(session, floor):
        assert pins
        assert shown
        assert not distrusted
        assert TlsGrade.PIN in floor.grades or {TlsGrade.ENCRYPTED, TlsGrade.NONE} & {*floor.grades}
        assert not (session.dane and session.dane.failed)


def test_an_enforced_policy_that_lists_the_host_makes_chain_and_name_worth_more_and_a_must() -> None:
    listed = but(sts=True)
    assert shown(listed) == (TlsGrade.MTA_STS, TlsGrade.PKIX, TlsGrade.ENCRYPTED, TlsGrade.NONE)
    assert meets(listed, TlsFloor((TlsGrade.MTA_STS,)))
    assert not meets(GOOD, TlsFloor((TlsGrade.MTA_STS,)))
    for lesser in (but(trusted=False), but(name_matched=None), but(failure="certificate-expired")):
        broken = msgspec.structs.replace(lesser, sts=True)
        assert grade(broken) is TlsGrade.ENCRYPTED
        assert forbids(broken)
        assert not meets(broken, ANYTHING)


def test_records_of_a_host_that_only_the_policy_names_bind_beside_it() -> None:
    """The domain is unsigned, so that DANE does not decide alone."""
    both = msgspec.structs.replace(GOOD, dane=proved(mx_secure=False).dane, sts=True)
    assert grade(both) is TlsGrade.MTA_STS
    assert forbids(msgspec.structs.replace(both, trusted=False))
    assert forbids(msgspec.structs.replace(both, dane=proved(mx_secure=False, matched=False).dane))


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
