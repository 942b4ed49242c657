"""Sessions become counts, and counts become a domain's report: each under the policy that it was judged by."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from gateway.deliver.tls_sessions import (
    SessionCount,
    barred,
    failed,
    gathered,
    outdated,
    secured,
    unlearned,
    written,
)
from gateway.model.capability import MxHost, ProbeFailure
from gateway.model.problem import Problem
from gateway.model.sts import StsInForce, StsMode, StsPolicy
from gateway.model.tls import Dane, TlsSession
from gateway.wire.endpoint import ConnectFailure, Endpoint
from gateway.wire.tlsrpt_report import Failure, PolicyApplied, PolicyResult

RECORD = b"\x03\x01\x01" + b"\xab" * 32
DANE = Dane(base="mx.example.org", records=(RECORD,), names=("mx.example.org",), mx_secure=True)
PLAIN = Endpoint("mx.example.org", "198.51.100.7", 25)
BOUND = Endpoint("mx.example.org", "198.51.100.7", 25, DANE)
SOURCE = "192.0.2.1"
NOW = datetime(2026, 3, 1, tzinfo=UTC)
NONE = PolicyApplied("no-policy-found", "example.org")
TLSA = PolicyApplied("tlsa", "mx.example.org", ("3 1 1 " + "ab" * 32,), ("mx.example.org",))


def session(failure: str | None = None) -> TlsSession:
    return TlsSession(version="TLSv1.3", cipher="x", failure=failure)


def refusal(result: str | None, private: str = "") -> ConnectFailure:
    return ConnectFailure(
        stage="tls", problem=Problem("4.7.5", "the handshake failed", private), result=result
    )


def test_what_a_session_is_counted_as() -> None:
    assert secured("example.org", PLAIN, SOURCE, session()) == SessionCount("example.org", NONE, None)
    assert secured("example.org", BOUND, SOURCE, session()) == SessionCount("example.org", TLSA, None)
    assert secured("example.org", BOUND, SOURCE, session("tlsa-invalid")) == SessionCount(
        "example.org", TLSA, Failure("tlsa-invalid", SOURCE, "198.51.100.7", "mx.example.org")
    )
    assert secured("example.org", PLAIN, "", None) == SessionCount(
        "example.org", NONE, Failure("starttls-not-supported", "", "198.51.100.7", "mx.example.org")
    )


def test_what_we_alone_know_of_is_told_to_nobody() -> None:
    assert secured("example.org", PLAIN, SOURCE, session("pin-mismatch")) is None
    assert failed("example.org", PLAIN, SOURCE, refusal(None)) is None


def test_a_failed_handshake_is_counted_with_its_reason() -> None:
    one = failed(
        "example.org", PLAIN, SOURCE, refusal("validation-failure", "no shared\r\ncipher \u2026" + "x" * 99)
    )

    assert one is not None
    assert one.failure is not None
    assert one.failure.reason.startswith("no sharedcipher x")
    assert len(one.failure.reason) == 80


def in_force(mode: StsMode, *mx: str) -> StsInForce:
    policy = StsPolicy(mode, mx, 86400)
    text = b"version: STSv1\r\nmode: " + mode.value.encode() + b"\r\n"
    return StsInForce(id="1", policy=policy, text=text, fetched_at=NOW, expires_at=NOW)


def test_an_mta_sts_policy_counts_where_there_is_no_dane() -> None:
    sts = in_force(StsMode.ENFORCE, "*.example.org")
    policy = PolicyApplied("sts", "example.org", ("version: STSv1", "mode: enforce"), ("*.example.org",))

    assert secured("example.org", PLAIN, SOURCE, session(), sts) == SessionCount("example.org", policy, None)
    assert secured("example.org", BOUND, SOURCE, session(), sts) == SessionCount("example.org", TLSA, None)
    withdrawn = secured("example.org", PLAIN, SOURCE, session(), in_force(StsMode.NONE))
    assert withdrawn == SessionCount("example.org", NONE, None)


def test_a_host_that_a_tested_policy_does_not_list_is_told_though_mail_went_there() -> None:
    count = secured("example.org", PLAIN, SOURCE, session(), in_force(StsMode.TESTING, "mx.example.net"))

    assert count is not None
    assert count.failure is not None
    assert (count.failure.result, count.failure.reason) == (
        "validation-failure",
        "the MX host is not listed in the policy",
    )


def test_a_policy_that_could_not_be_had() -> None:
    word = "sts-policy-fetch-error"
    count = unlearned("example.org", ProbeFailure("mta-sts", ("tls",), Problem("4.7.5", "x"), NOW, word))
    silent = ProbeFailure("smtp", ("tls",), Problem("4.4.1", "x"), NOW)

    assert count == SessionCount("example.org", PolicyApplied("sts", "example.org"), Failure(word))
    assert unlearned("example.org", silent) is None


def test_a_policy_that_is_kept_because_it_could_not_be_fetched_anew() -> None:
    kept = replace(in_force(StsMode.ENFORCE, "*.example.org"), stale="sts-webpki-invalid")
    count = outdated("example.org", kept)

    assert count is not None
    assert (count.policy.kind, count.policy.mx_hosts) == ("sts", ("*.example.org",))
    assert count.failure == Failure("sts-webpki-invalid")
    assert outdated("example.org", replace(kept, stale=None)) is None
    assert outdated("example.org", replace(in_force(StsMode.NONE), stale="sts-webpki-invalid")) is None


def test_a_host_that_could_not_be_asked() -> None:
    count = barred("example.org", MxHost("mx.example.org", 10, ()))
    assert count.policy.kind == "tlsa"
    assert count.failure == Failure("dnssec-invalid", receiving_host="mx.example.org")


def test_counts_become_one_report_a_domain() -> None:
    expired = session("certificate-expired")
    told = [
        secured("example.org", PLAIN, SOURCE, session()),
        secured("example.org", PLAIN, SOURCE, session()),
        secured("example.org", PLAIN, SOURCE, expired),
        secured("example.org", BOUND, SOURCE, session()),
        secured("example.net", PLAIN, SOURCE, expired),
    ]
    counts = Counter(written(one) for one in told if one is not None)
    failure = Failure("certificate-expired", SOURCE, "198.51.100.7", "mx.example.org")

    assert gathered(counts) == {
        "example.org": (PolicyResult(NONE, 2, ((failure, 1),)), PolicyResult(TLSA, 1, ())),
        "example.net": (PolicyResult(PolicyApplied("no-policy-found", "example.net"), 0, ((failure, 1),)),),
    }


@pytest.mark.parametrize("name", ["", "x", "[]", '["example.org"]', "[1,2,3]"])
def test_a_name_that_is_none_of_ours_is_passed_over(name: str) -> None:
    assert gathered({name: 3}) == {}
