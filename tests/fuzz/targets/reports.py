"""TLS reports: whatever stands in DNS and whatever servers showed, a strict reader understands the report."""

from __future__ import annotations

from datetime import UTC, datetime

from gateway.deliver.tls_sessions import failed, gathered, secured, written
from gateway.model.address import Address
from gateway.model.problem import Problem
from gateway.model.tls import Dane, TlsSession
from gateway.wire.endpoint import ConnectFailure, Endpoint
from gateway.wire.tlsrpt import joined_strings, reporting_places
from gateway.wire.tlsrpt_report import Report, report_json, report_mail, zipped
from tests.fakes.tlsrpt_reader import read_mail
from tests.fuzz.target import Choices, Target

_BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
_WORDS = (None, "validation-failure", "certificate-expired", "tlsa-invalid", "pin-mismatch")


def records(octets: bytes) -> None:
    choices = Choices(octets)
    strings = [choices.piece() for _ in range(choices.number(4))]
    text = joined_strings([*strings, choices.rest()])
    for place in reporting_places([text, f"v=TLSRPTv1; rua={text}"]):
        assert place.uri.isprintable()
        assert (place.mailbox is None) == place.uri.lower().startswith("https:")


def sessions(octets: bytes) -> None:
    choices = Choices(octets)
    counts: dict[str, int] = {}
    for _ in range(1 + choices.number(4)):
        dane = None
        if choices.flag():
            dane = Dane(base="mx.example.org", records=(choices.piece(),), names=(), mx_secure=True)
        endpoint = Endpoint("mx.example.org", "198.51.100.7", 25, dane)
        word = choices.pick(_WORDS)
        if choices.flag():
            problem = Problem("4.7.5", "x", choices.piece().decode("utf-8", "replace"))
            count = failed(
                "example.org", endpoint, "", ConnectFailure(stage="tls", problem=problem, result=word)
            )
        else:
            session = TlsSession(version="TLSv1.3", cipher="x", failure=word)
            count = secured("example.org", endpoint, "192.0.2.1", session if choices.flag() else None)
        if count is not None:
            name = written(count)
            counts[name] = counts.get(name, 0) + 1 + choices.number(1000)
    for domain, results in gathered(counts).items():
        report = Report(
            organization="o", contact="c@example.net", id="i@gw.example", domain=domain, begin=_BEGIN,
            end=_BEGIN.replace(hour=23), results=results,
        )  # fmt: skip
        mail = report_mail(
            report, zipped(report_json(report)), submitter="gw.example", author=Address("a", "example.net"),
            to=Address("b", domain), now=_BEGIN, message_id="m@gw.example", boundary="=_b",
        )  # fmt: skip
        found = read_mail(mail)
        told = sum(sum(policy["summary"].values()) for policy in found["policies"])
        assert told == sum(counts.values())


TARGETS = (
    Target(
        "tlsrpt-record",
        "a TXT record gives destinations that are well formed, or none",
        records,
        (
            b"\x00v=TLSRPTv1; rua=mailto:a@example.com,https://example.com/r",
            b"\x00mailto:a%21b@example.com?subject=x, https://[2001:db8::1]:8443/",
        ),
    ),
    Target(
        "tlsrpt-report",
        "what sessions showed becomes a report that a strict reader understands, and no session is lost",
        sessions,
        (bytes(40), b"\x03\x01\x00\x23\x03\x01\x01" + bytes(32) + b"\x02\x01\x00\x03abc" + bytes(20)),
    ),
)
