"""TLS reports as RFC 8460 has them: a strict reader that shares no code with the writer understands each."""

from __future__ import annotations

import zlib
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model.address import Address
from gateway.wire.tlsrpt_report import (
    Failure,
    PolicyApplied,
    PolicyResult,
    Report,
    file_name,
    report_json,
    report_mail,
    zipped,
)
from tests.fakes.tlsrpt_reader import NoReport, read_document, read_mail

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
END = datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC)
TLSA = PolicyApplied("tlsa", "mx.example.org", ("3 1 1 " + "ab" * 32,), ("mx.example.org",))
NONE = PolicyApplied("no-policy-found", "example.org")
EXPIRED = Failure("certificate-expired", "192.0.2.1", "198.51.100.7", "mx.example.org")


def report(*results: PolicyResult) -> Report:
    return Report(
        organization="Hospital",
        contact="postmaster@hospital.example",
        id="20260301.0f3a9c4d@gw.hospital.example",
        domain="example.org",
        begin=BEGIN,
        end=END,
        results=results or (PolicyResult(NONE, 5, ()),),
    )


def mail(one: Report) -> bytes:
    return report_mail(
        one,
        zipped(report_json(one)),
        submitter="gw.hospital.example",
        author=Address("tls-reports", "hospital.example"),
        to=Address("reports", "example.org"),
        now=END,
        message_id="x@gw.hospital.example",
        boundary="=_b",
    )


def test_a_report_says_what_was_counted() -> None:
    found = read_document(
        report_json(report(PolicyResult(TLSA, 7, ((EXPIRED, 3),)), PolicyResult(NONE, 2, ())))
    )
    first, second = found["policies"]

    assert found["date-range"] == {
        "start-datetime": "2026-03-01T00:00:00Z",
        "end-datetime": "2026-03-01T23:59:59Z",
    }
    assert first["policy"]["policy-string"] == ["3 1 1 " + "ab" * 32]
    assert first["summary"] == {"total-successful-session-count": 7, "total-failure-session-count": 3}
    assert first["failure-details"] == [
        {
            "result-type": "certificate-expired",
            "sending-mta-ip": "192.0.2.1",
            "receiving-mx-hostname": "mx.example.org",
            "receiving-ip": "198.51.100.7",
            "failed-session-count": 3,
        }
    ]
    assert second["policy"] == {"policy-type": "no-policy-found", "policy-domain": "example.org"}


def test_the_mail_says_whose_report_it_is_and_asks_to_arrive() -> None:
    message = mail(report(PolicyResult(TLSA, 7, ((EXPIRED, 3),))))

    assert read_mail(message)["report-id"] == "20260301.0f3a9c4d@gw.hospital.example"
    assert max(map(len, message.split(b"\r\n"))) <= 998


def test_the_file_is_named_as_the_standard_says() -> None:
    assert file_name(report(), "gw.hospital.example") == (
        "gw.hospital.example!example.org!1772323200!1772409599!20260301.0f3a9c4d.json.gz"
    )


def test_the_same_report_is_the_same_octets() -> None:
    assert mail(report()) == mail(report())
    assert zlib.decompress(zipped(report_json(report())), 31) == report_json(report())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'report-type="tlsrpt"', b'report-type="dsn"'),
        (b"TLS-Report-Domain: example.org", b"TLS-Report-Domain: example.net"),
        (b"TLS-Required: No\r\n", b""),
        (b"1772323200", b"1772323201"),
    ],
)
def test_the_reader_sees_what_is_not_right(old: bytes, new: bytes) -> None:
    damaged = mail(report()).replace(old, new)
    with pytest.raises(NoReport):
        read_mail(damaged)


_TEXTS = st.text(st.characters(max_codepoint=0x2FF), max_size=60)
_FAILURES = st.builds(
    Failure, st.just("validation-failure"), st.just("192.0.2.1"), st.just("2001:db8::1"), st.just("mx.example.org"),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=80),
)  # fmt: skip


@settings(max_examples=50)
@given(
    strings=st.lists(_TEXTS, min_size=1, max_size=5),
    failures=st.dictionaries(_FAILURES, st.integers(1, 10**6), max_size=4),
    good=st.integers(0, 10**9),
)
def test_whatever_strangers_publish_stays_in_its_place(
    strings: list[str], failures: dict[Failure, int], good: int
) -> None:
    policy = PolicyApplied("sts", "example.org", tuple(strings), ("*.example.org",))
    found = read_mail(mail(report(PolicyResult(policy, good, tuple(failures.items())))))

    assert found["policies"][0]["policy"]["policy-string"] == strings
    assert found["policies"][0]["summary"]["total-failure-session-count"] == sum(failures.values())
