"""What a look finds wrong, in words that name the place, the remedy and the side whose it is."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gateway.model.capability import GradeSeen, ProbeFailure
from gateway.model.problem import Problem
from gateway.model.tls import Dane, DaneProof, TlsGrade
from gateway.probe.findings import Finding, contacts, findings
from tests.fakes.pki import record, sign
from tests.unit.probe.samples import NOW, capability, host, posture, session

WEAK = Problem("4.7.5", "the mail server's certificate cannot be verified", "certificate-expired")


def found(result: tuple[Finding, ...]) -> list[tuple[str, str, str | None]]:
    return [(one.severity, one.where, one.result) for one in result]


@pytest.mark.parametrize(
    ("grade", "result", "words"),
    [
        (TlsGrade.NONE, "starttls-not-supported", "offers no TLS"),
        (TlsGrade.ENCRYPTED, "certificate-expired", "has expired"),
        (TlsGrade.ENCRYPTED, "certificate-host-mismatch", "another name"),
        (TlsGrade.ENCRYPTED, "certificate-not-trusted", "no authority we trust"),
    ],
)
def test_a_weak_server_is_told_with_a_remedy(grade: TlsGrade, result: str, words: str) -> None:
    [one] = findings(capability([posture(grade, result=result, problem=WEAK)]), NOW)

    assert (one.severity, one.side, one.result) == ("wrong", "theirs", result)
    assert one.where == "mx.example.org [192.0.2.1]"
    assert words in one.text
    assert one.remedy


def test_a_silent_server_is_a_note_where_another_is_proved() -> None:
    silent = posture(None, name="mx2.example.org", problem=Problem("4.4.1", "does not answer"))
    proved = posture(TlsGrade.DANE, session())
    hosts = (host(), host("mx2.example.org"))

    assert found(findings(capability([silent], hosts), NOW)) == [
        ("wrong", "mx2.example.org [192.0.2.1]", None)
    ]
    both = findings(capability([proved, silent], hosts, secure=True), NOW)
    assert found(both) == [("note", "mx2.example.org [192.0.2.1]", None)]


@pytest.mark.parametrize(("left", "told"), [(10, True), (29, True), (31, False)])
def test_a_certificate_is_told_before_it_expires(left: int, told: bool) -> None:
    leaf = sign("mx", names=("mx.example.org",), days=(-1, left))
    result = findings(capability([posture(TlsGrade.PKIX, session(leaf.der))], secure=True), NOW)
    soon = [one for one in result if one.severity == "soon"]

    assert bool(soon) is told
    if told:
        assert f"{leaf.certificate.not_valid_after_utc:%Y-%m-%d}" in soon[0].text


def test_dates_do_not_matter_where_dns_names_the_key_itself() -> None:
    leaf = sign("mx", days=(-1, 5))
    rdata = record(3, 1, 1, leaf)
    dane = Dane(base="mx.example.org", records=(rdata,), names=("mx.example.org",), mx_secure=True)
    by_key = DaneProof(dane=dane, usable=1, matched=rdata, place=0)
    by_issuer = replace(by_key, matched=record(2, 0, 1, leaf), place=1)
    told = [
        found(findings(capability([posture(TlsGrade.DANE, session(leaf.der, dane=proof))], secure=True), NOW))
        for proof in (by_key, by_issuer)
    ]

    assert told == [[], [("soon", "mx.example.org [192.0.2.1]", None)]]


def test_an_unsigned_zone_and_one_without_tlsa_records_could_be_better() -> None:
    proved = [posture(TlsGrade.PKIX, session())]
    unsigned, signed = (findings(capability(proved, secure=secure), NOW) for secure in (False, True))

    assert [one.severity for one in (*unsigned, *signed)] == ["note", "note"]
    assert "not signed" in unsigned[0].text
    assert "TLSA" in signed[0].remedy


def test_a_grade_that_was_better_is_told_until_it_is_back() -> None:
    seen = (GradeSeen(TlsGrade.DANE, NOW),)
    [first, *_] = findings(capability([posture(TlsGrade.PKIX, session())], best_seen=seen), NOW)
    back = findings(capability([posture(TlsGrade.DANE, session())], best_seen=seen, secure=True), NOW)

    assert "proved itself by `dane` until" in first.text
    assert back == ()


def test_a_barred_host_is_told_once() -> None:
    barred = host(barred=Problem("4.7.5", "it cannot be learned", "TLSA lookup error: SERVFAIL"))
    result = findings(
        capability([posture(None, result="dnssec-invalid", problem=barred.barred)], [barred]), NOW
    )

    assert found(result) == [("wrong", "mx.example.org", "dnssec-invalid")]
    assert "SERVFAIL" in result[0].text


def test_our_own_resolver_is_our_side() -> None:
    without = replace(capability([posture(TlsGrade.DANE, session())], secure=True), dnssec="not-validating")
    [one] = findings(without, NOW)

    assert (one.side, one.severity) == ("ours", "wrong")
    assert "[dns] servers" in one.remedy


def test_what_dns_does_not_tell_and_what_takes_no_mail() -> None:
    trouble = Problem("4.4.3", "the DNS servers give no answer", "example.org MX: SERVFAIL")
    unclear = replace(capability([]), route=None, unknown=(ProbeFailure("mx", ("tls",), trouble, NOW),))
    closed = replace(capability([]), route=None, undeliverable=Problem("5.1.10", "takes no mail", "null MX"))

    assert [one.text for one in findings(unclear, NOW)] == [
        "the DNS servers give no answer (example.org MX: SERVFAIL)"
    ]
    assert [one.text for one in findings(closed, NOW)] == ["takes no mail (null MX)"]


def test_whoever_runs_the_servers_is_told_too() -> None:
    own = contacts(capability([]), None)
    hosted = contacts(
        capability([], [host("mx1.mail.example.net"), host("192.0.2.7")]), ("mailto:r@example.org",)
    )

    assert own.postmasters == ("postmaster@example.org",)
    assert own.reports is None
    assert hosted.postmasters == ("postmaster@example.org", "postmaster@example.net")
