"""On the delivering connection: what the owner of a server published binds, whatever floor a message has."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509

from gateway.model.delivery import Deferred, Delivered, DeliveryAttempt
from gateway.model.tls import Dane, TlsFloor, TlsGrade
from tests.fakes.authority import Authority
from tests.fakes.egress_world import ANYTHING, ENCRYPTED, VERIFIED, egress
from tests.fakes.pki import Signed, record
from tests.fakes.scripted_mx import CLOSE, Raw, Script, scripted_mx

DANE_ONLY = TlsFloor((TlsGrade.DANE,))


def certificates(path: str) -> list[Signed]:
    loaded = x509.load_pem_x509_certificates(Path(path).read_bytes())
    return [Signed(one, None) for one in loaded]  # type: ignore[arg-type]  # (the keys are not needed)


def demand(*records: bytes, mx_secure: bool = True, base: str = "mx.example.org") -> Dane:
    return Dane(base=base, records=records, names=("mx.example.org", "example.org"), mx_secure=mx_secure)


def word(attempt: DeliveryAttempt) -> tuple[str, bool, bool]:
    assert isinstance(attempt.outcome, Deferred)
    return attempt.outcome.problem.status, attempt.outcome.security, attempt.outcome.definite


async def test_a_certificate_that_only_its_record_vouches_for_is_enough(authority: Authority) -> None:
    path = authority.issue("elsewhere.example", self_signed=True, expired=True)
    wanted = record(3, 1, 1, certificates(path)[0])
    async with scripted_mx(Script(certificate=path)) as mx, egress(authority.ca_file) as out:
        (attempt,) = await out.send(mx, floor=DANE_ONLY, dane=demand(wanted))
    assert isinstance(attempt.outcome, Delivered)
    assert attempt.grade is TlsGrade.DANE
    assert attempt.evidence.session is not None
    assert attempt.evidence.session.failure is None
    assert attempt.evidence.session.dane is not None
    assert (attempt.evidence.session.dane.matched, attempt.evidence.session.dane.dane.records) == (
        wanted,
        (wanted,),
    )


async def test_an_issuer_in_the_record_vouches_for_name_and_path(authority: Authority, good: str) -> None:
    issuer = record(2, 0, 2, certificates(good)[1])
    other = authority.issue("mx.evil.example")
    async with egress(None) as out:  # the system's roots know nothing of this authority
        async with scripted_mx(Script(certificate=good)) as mx:
            (attempt,) = await out.send(mx, floor=DANE_ONLY, dane=demand(issuer))
        assert isinstance(attempt.outcome, Delivered)
        async with scripted_mx(Script(certificate=other)) as mx:
            (attempt,) = await out.send(mx, floor=DANE_ONLY, dane=demand(issuer))
        assert word(attempt) == ("4.7.5", True, True)
        assert attempt.evidence.session is not None
        assert attempt.evidence.session.failure == "certificate-host-mismatch"


@pytest.mark.parametrize("floor", [DANE_ONLY, VERIFIED, ENCRYPTED, ANYTHING])
async def test_a_good_certificate_that_the_record_does_not_name_gets_nothing(
    authority: Authority, good: str, floor: TlsFloor
) -> None:
    wrong = record(3, 1, 1, certificates(authority.issue("mx.example.org"))[0])
    async with scripted_mx(Script(certificate=good)) as mx, egress(authority.ca_file) as out:
        (attempt,) = await out.send(mx, floor=floor, dane=demand(wrong))
        assert word(attempt) == ("4.7.5", True, True)
        assert attempt.evidence.session is not None
        assert attempt.evidence.session.failure == "tlsa-invalid"
        assert not mx.lines("MAIL")


async def test_who_demands_dane_is_never_spoken_to_in_the_clear(authority: Authority, good: str) -> None:
    wanted = record(3, 1, 1, certificates(good)[0])
    for script in (
        Script(offers_tls=False),
        Script(certificate=good, answers={"STARTTLS": ["454 4.7.0 not now"]}),
        Script(certificate=good, answers={"STARTTLS": [CLOSE]}),
        Script(certificate=good, instead_of_tls=Raw(b"500 what?\r\n")),
    ):
        async with scripted_mx(script) as mx, egress(authority.ca_file) as out:
            (attempt,) = await out.send(mx, floor=ANYTHING, dane=demand(wanted))
            assert isinstance(attempt.outcome, Deferred)
            assert not mx.lines("MAIL")
            assert out.opened == 1


async def test_records_that_cannot_be_used_demand_tls_and_no_more(authority: Authority, good: str) -> None:
    unusable = demand(record(1, 1, 1, certificates(good)[0]), b"\x03\x01\x01")
    async with scripted_mx(Script(offers_tls=False)) as mx, egress(authority.ca_file) as out:
        (attempt,) = await out.send(mx, floor=ANYTHING, dane=unusable)
        assert word(attempt) == ("4.7.4", True, True)
    unknown = authority.issue("mx.evil.example", self_signed=True)
    async with scripted_mx(Script(certificate=unknown)) as mx, egress(authority.ca_file) as out:
        (attempt,) = await out.send(mx, floor=ENCRYPTED, dane=unusable)
        assert isinstance(attempt.outcome, Delivered)
        assert attempt.grade is TlsGrade.ENCRYPTED


async def test_a_host_whose_name_is_unsigned_proves_no_more_than_pkix(
    authority: Authority, good: str
) -> None:
    wanted = demand(record(3, 0, 1, certificates(good)[0]), mx_secure=False)
    async with scripted_mx(Script(certificate=good)) as mx, egress(authority.ca_file) as out:
        (attempt,) = await out.send(mx, floor=DANE_ONLY, dane=wanted)
        assert word(attempt) == ("4.7.5", True, True)
        (attempt,) = await out.send(mx, floor=VERIFIED, dane=wanted)
        assert isinstance(attempt.outcome, Delivered)
        assert attempt.grade is TlsGrade.PKIX


async def test_the_next_host_is_tried(authority: Authority, good: str) -> None:
    wrong = record(3, 1, 1, certificates(authority.issue("mx.example.org"))[0])
    async with (
        scripted_mx(Script(certificate=good)) as first,
        scripted_mx(Script(certificate=good)) as second,
        egress(authority.ca_file) as out,
    ):
        (attempt,) = await out.send(first, second, dane=demand(wrong))
        assert isinstance(attempt.outcome, Delivered)
        assert not first.lines("MAIL")
        assert attempt.evidence.session is not None
        assert attempt.evidence.session.dane is None


async def test_a_kept_connection_is_not_used_under_other_records(authority: Authority, good: str) -> None:
    fitting = record(3, 1, 1, certificates(good)[0])
    wrong = record(3, 1, 1, certificates(authority.issue("mx.example.org"))[0])
    async with scripted_mx(Script(certificate=good)) as mx, egress(authority.ca_file) as out:
        for records, opened, delivered in (
            ((fitting,), 1, True),
            ((fitting,), 1, True),
            ((wrong,), 2, False),
        ):
            (attempt,) = await out.send(mx, dane=demand(*records))
            assert isinstance(attempt.outcome, Delivered) is delivered
            assert out.opened == opened
        assert len(mx.messages) == 2


async def test_the_base_domain_is_the_server_name_asked_for(authority: Authority, good: str) -> None:
    wanted = demand(record(3, 1, 1, certificates(good)[0]), base="host.example.net")
    async with scripted_mx(Script(certificate=good)) as mx, egress(authority.ca_file) as out:
        (attempt,) = await out.send(mx, dane=wanted)
        assert mx.hellos == ["host.example.net"]
    assert attempt.evidence.session is not None
    assert attempt.evidence.session.sni == "host.example.net"
