"""Two looks at a destination: what was lost, changed and gained between them, and nothing else."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from gateway.model.capability import ProbeFailure
from gateway.model.problem import Problem
from gateway.model.tls import Dane, TlsGrade
from gateway.probe.sighting import Sighting, differences, sighting
from tests.fakes.pki import record, sign
from tests.unit.probe.samples import NOW, capability, host, posture, session

LEAF = sign("mx", names=("mx.example.org",))
GOOD = sighting(capability([posture(TlsGrade.PKIX, session(LEAF.der))]))
SILENCE = ProbeFailure("smtp", ("tls",), Problem("4.4.1", "x"), NOW)


def told(before: Sighting, after: Sighting) -> list[tuple[str, str, str]]:
    return [(change.effect, change.where, change.what) for change in differences(before, after)]


def test_the_same_twice_is_no_change() -> None:
    assert told(GOOD, GOOD) == []


def test_a_lesser_grade_is_lost_and_a_better_one_gained() -> None:
    weak = sighting(capability([posture(TlsGrade.ENCRYPTED, session(LEAF.der))]))
    both = [("example.org", "grade"), ("mx.example.org", "grade")]

    assert told(GOOD, weak) == [("lost", *one) for one in both]
    assert told(weak, GOOD) == [("gained", *one) for one in both]


def test_silence_is_no_change() -> None:
    silent = sighting(capability([posture(None, problem=Problem("4.4.1", "x"))], unknown=(SILENCE,)))
    assert told(GOOD, silent) == []
    unclear = replace(capability([]), route=None, unknown=(replace(SILENCE, source="mx"),))
    assert told(GOOD, sighting(unclear)) == []


def test_a_new_certificate_and_a_new_issuer() -> None:
    renewed = sighting(capability([posture(TlsGrade.PKIX, session(sign("mx").der))]))
    moved = sighting(capability([posture(TlsGrade.PKIX, session(sign("mx", sign("CA", ca=True)).der))]))

    assert told(GOOD, renewed) == [("changed", "mx.example.org", "certificate")]
    assert told(GOOD, moved) == [("changed", "mx.example.org", "certificate and its issuer")]


def test_mail_servers_signatures_and_tlsa_records() -> None:
    dane = Dane(base="mx.example.org", records=(record(3, 1, 1, LEAF),), names=(), mx_secure=True)
    shown = [posture(TlsGrade.DANE, session(LEAF.der))]
    signed = sighting(capability(shown, [host(dane=dane)], secure=True))
    elsewhere = sighting(
        capability([posture(TlsGrade.PKIX, name="mx.example.net")], [host("mx.example.net")])
    )

    assert told(signed, GOOD) == [
        ("lost", "example.org", "grade"),
        ("lost", "example.org", "signed DNS"),
        ("lost", "mx.example.org", "grade"),
        ("lost", "mx.example.org", "DANE records"),
    ]
    assert told(GOOD, elsewhere) == [("changed", "example.org", "mail servers")]


def test_a_domain_that_takes_no_mail_any_more() -> None:
    closed = sighting(replace(capability([]), route=None, undeliverable=Problem("5.1.10", "no mail")))
    assert told(GOOD, closed) == [("lost", "example.org", "mail service")]


def test_a_host_is_remembered_by_its_worst_address() -> None:
    mixed = capability([posture(TlsGrade.PKIX, session(LEAF.der)), posture(TlsGrade.NONE)])
    seen = sighting(mixed)

    assert seen.grade is TlsGrade.PKIX
    assert seen.hosts[0].grade is TlsGrade.NONE


def test_it_can_be_kept() -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(GOOD), type=Sighting) == GOOD
