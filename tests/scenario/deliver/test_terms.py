"""On the delivering connection: what our configuration lays down for a domain binds, whatever floor a message has."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.model.delivery import Deferred, Delivered, DeliveryAttempt
from gateway.model.problem import Problem
from gateway.model.tls import TlsFloor, TlsGrade, TlsTerms
from gateway.wire.pin import pin_of
from tests.fakes.authority import Authority
from tests.fakes.egress_world import ANYTHING, ENCRYPTED, VERIFIED, egress
from tests.fakes.scripted_mx import CLOSE, Raw, Script, scripted_mx

PIN_ONLY = TlsFloor((TlsGrade.PIN,))


def certificate(path: str, place: int = 0) -> x509.Certificate:
    return x509.load_pem_x509_certificates(Path(path).read_bytes())[place]


def pinned(path: str, place: int = 0) -> TlsTerms:
    pin = pin_of(certificate(path, place).public_bytes(Encoding.DER))
    assert pin is not None
    return TlsTerms(source='[tls.domain."example.org"]', pins=(pin,))


def problem(attempt: DeliveryAttempt) -> Problem:
    assert isinstance(attempt.outcome, Deferred)
    assert attempt.outcome.security
    assert attempt.outcome.definite
    return attempt.outcome.problem


async def test_a_pinned_key_is_enough_for_a_server_that_nobody_vouches_for(authority: Authority) -> None:
    path = authority.issue("elsewhere.example", self_signed=True, expired=True)
    async with scripted_mx(Script(certificate=path)) as mx, egress(authority.ca_file) as out:
        for floor in (PIN_ONLY, VERIFIED):
            (attempt,) = await out.send(mx, floor=floor, terms=pinned(path))
            assert isinstance(attempt.outcome, Delivered)
            assert attempt.grade is TlsGrade.PIN
            assert attempt.evidence.session is not None
            assert attempt.evidence.session.failure is None


@pytest.mark.parametrize("floor", [PIN_ONLY, VERIFIED, ENCRYPTED, ANYTHING])
async def test_a_good_certificate_with_another_key_gets_nothing(
    authority: Authority, good: str, floor: TlsFloor
) -> None:
    other = pinned(authority.issue("mx.example.org"))
    async with scripted_mx(Script(certificate=good)) as mx, egress(authority.ca_file) as out:
        (attempt,) = await out.send(mx, floor=floor, terms=other)
        assert not mx.lines("MAIL")
    said = problem(attempt)
    assert said.public == "mx.example.org does not show the key that is pinned for it"
    assert '[tls.domain."example.org"]: keys shown, its own first: sha256:' in said.private
    assert pinned(good).pins[0].hex() in said.private
    assert attempt.evidence.session is not None
    assert attempt.evidence.session.failure == "pin-mismatch"


async def test_the_fingerprint_of_the_certificate_is_recognised_as_the_wrong_thing(
    authority: Authority, good: str
) -> None:
    mistaken = TlsTerms(source="x", pins=(certificate(good).fingerprint(SHA256()),))
    async with scripted_mx(Script(certificate=good)) as mx, egress(authority.ca_file) as out:
        (attempt,) = await out.send(mx, terms=mistaken)
    assert "fingerprint of a certificate shown, not of its public key" in problem(attempt).private


async def test_a_pinned_issuer_is_checked_with_the_name(authority: Authority, good: str) -> None:
    issuer = pinned(good, place=1)
    wrong = authority.issue("mx.example.net")
    async with egress(None) as out:  # the system's roots know nothing of this authority
        async with scripted_mx(Script(certificate=good)) as mx:
            (attempt,) = await out.send(mx, floor=PIN_ONLY, terms=issuer)
            assert isinstance(attempt.outcome, Delivered)
        async with scripted_mx(Script(certificate=wrong)) as mx:
            (attempt,) = await out.send(mx, floor=ANYTHING, terms=issuer)
            assert problem(attempt).public == "mx.example.org has a certificate for another name"


@pytest.mark.parametrize(
    "terms",
    [
        TlsTerms(source="x", pins=(bytes(32),)),
        TlsTerms(source="x", least=TlsGrade.PKIX),
        TlsTerms(source="x", least=TlsGrade.ENCRYPTED),
    ],
)
async def test_whoever_is_pinned_or_has_a_least_grade_is_never_spoken_to_in_the_clear(
    authority: Authority, good: str, terms: TlsTerms
) -> None:
    for script in (
        Script(offers_tls=False),
        Script(certificate=good, answers={"STARTTLS": ["454 4.7.0 not now"]}),
        Script(certificate=good, answers={"STARTTLS": [CLOSE]}),
        Script(certificate=good, instead_of_tls=Raw(b"500 what?\r\n")),
    ):
        async with scripted_mx(script) as mx, egress(authority.ca_file) as out:
            (attempt,) = await out.send(mx, floor=ANYTHING, terms=terms)
            assert isinstance(attempt.outcome, Deferred)
            assert not mx.lines("MAIL")


async def test_below_the_least_grade_nothing_leaves_and_the_setting_is_named(authority: Authority) -> None:
    path = authority.issue("mx.example.org", self_signed=True)
    terms = TlsTerms(source='[tls.domain."example.org"]', least=TlsGrade.PKIX)
    async with scripted_mx(Script(certificate=path)) as mx, egress(authority.ca_file) as out:
        (attempt,) = await out.send(mx, floor=ENCRYPTED, terms=terms)
        assert not mx.lines("MAIL")
    assert '[tls.domain."example.org"]: require = "pkix", shown: encrypted' in problem(attempt).private


async def test_a_distrusted_server_gets_what_needs_no_proof_and_nothing_else(
    authority: Authority, good: str
) -> None:
    terms = TlsTerms(source='[tls] distrust "example.org"', distrusted=True)
    async with scripted_mx(Script(certificate=good)) as mx, egress(authority.ca_file) as out:
        (attempt,) = await out.send(mx, floor=VERIFIED, terms=terms)
        assert problem(attempt).public == "mx.example.org is one whose TLS is not trusted here"
        assert not mx.lines("MAIL")
        (attempt,) = await out.send(mx, floor=ENCRYPTED, terms=terms)
        assert isinstance(attempt.outcome, Delivered)
        assert attempt.grade is TlsGrade.ENCRYPTED


async def test_a_kept_connection_is_not_used_under_other_pins(authority: Authority, good: str) -> None:
    other = TlsTerms(source="x", pins=(bytes(32),))
    async with scripted_mx(Script(certificate=good)) as mx, egress(authority.ca_file) as out:
        for terms, opened, delivered in ((pinned(good), 1, True), (pinned(good), 1, True), (other, 2, False)):
            (attempt,) = await out.send(mx, terms=terms)
            assert isinstance(attempt.outcome, Delivered) is delivered
            assert out.opened == opened
