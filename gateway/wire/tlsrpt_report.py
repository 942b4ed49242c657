"""A report about TLS to a domain: its JSON, and the mail that carries it (RFC 8460 sections 4 and 5); pure.

Where it goes is `gateway.wire.tlsrpt`. Promises: the same values give the same octets; what strangers chose (names of
hosts, records, reasons) cannot leave its place in JSON or header; nothing in it tells of a message or a person.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from email.utils import format_datetime
from typing import Any

import msgspec

from gateway.model.address import Address

MEDIA_TYPE = "application/tlsrpt+gzip"
_GZIP = 31  # zlib's word for a gzip header with the largest window
_LINE = 76  # characters of base64


class PolicyApplied(msgspec.Struct, frozen=True, order=True, array_like=True):
    """What the sessions were judged by. `kind` is tlsa, sts or no-policy-found; `strings` is its text, line by line.

    `domain` is the policy domain: the TLSA base domain for tlsa, else the recipients' domain.
    """

    kind: str
    domain: str
    strings: tuple[str, ...] = ()
    mx_hosts: tuple[str, ...] = ()


class Failure(msgspec.Struct, frozen=True, order=True, array_like=True):
    """Failed sessions of one kind. `result` is a word of section 4.3; empty texts are left out of the report."""

    result: str
    sending_ip: str = ""
    receiving_ip: str = ""
    receiving_host: str = ""
    reason: str = ""


class PolicyResult(msgspec.Struct, frozen=True):
    """One policy with its sessions."""

    policy: PolicyApplied
    successful: int
    failures: tuple[tuple[Failure, int], ...]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One domain's report. `begin` and `end` are the first and last second of the day; `id` is unique."""

    organization: str
    contact: str
    id: str
    domain: str
    begin: datetime
    end: datetime
    results: tuple[PolicyResult, ...]


def report_json(report: Report) -> bytes:
    """The report as section 4.4 has it."""
    return msgspec.json.encode(
        {
            "organization-name": report.organization,
            "date-range": {
                "start-datetime": _rfc3339(report.begin),
                "end-datetime": _rfc3339(report.end),
            },
            "contact-info": report.contact,
            "report-id": report.id,
            "policies": [_policy(result) for result in report.results],
        }
    )


def zipped(document: bytes) -> bytes:
    """The document as it travels (section 5.2), the same each time."""
    pressing = zlib.compressobj(level=9, wbits=_GZIP)
    return pressing.compress(document) + pressing.flush()


def file_name(report: Report, submitter: str) -> str:
    """Section 5.1; the parts are host names and digits, so that none holds the `!` between them."""
    begin, end = (int(moment.timestamp()) for moment in (report.begin, report.end))
    unique = report.id.partition("@")[0]
    return f"{submitter}!{report.domain}!{begin}!{end}!{unique}.json.gz"


def report_mail(
    report: Report,
    attachment: bytes,
    *,
    submitter: str,
    author: Address,
    to: Address,
    now: datetime,
    message_id: str,
    boundary: str,
) -> bytes:
    """The whole message in canonical lines (section 5.3). `attachment` is the zipped document.

    `TLS-Required: No` (RFC 8689 section 5) asks everybody on the way not to let it fail for what it reports.
    """
    name = file_name(report, submitter)
    lines = [
        f"From: {author}",
        f"To: {to}",
        f"Subject: Report Domain: {report.domain}",
        f" Submitter: {submitter}",
        f" Report-ID: <{report.id}>",
        f"Date: {format_datetime(now)}",
        f"Message-ID: <{message_id}>",
        f"TLS-Report-Domain: {report.domain}",
        f"TLS-Report-Submitter: {submitter}",
        "TLS-Required: No",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        'Content-Type: multipart/report; report-type="tlsrpt";',
        f' boundary="{boundary}"',
        "",
        f"--{boundary}",
        "Content-Type: text/plain; charset=us-ascii",
        "",
        *_words(report, submitter),
        "",
        f"--{boundary}",
        f"Content-Type: {MEDIA_TYPE}",
        "Content-Transfer-Encoding: base64",
        "Content-Disposition: attachment;",
        f' filename="{name}"',
        "",
        *_folded(attachment),
        f"--{boundary}--",
        "",
    ]
    return "\r\n".join(lines).encode("utf-8")


def _words(report: Report, submitter: str) -> Iterable[str]:
    good = sum(result.successful for result in report.results)
    bad = sum(count for result in report.results for _, count in result.failures)
    yield f"This is a TLS report (RFC 8460) about mail to {report.domain}"
    yield f"from {submitter}, {report.begin:%Y-%m-%d} (UTC)."
    yield ""
    yield f"Sessions that showed what was expected: {good}"
    yield f"Sessions that failed: {bad}"
    yield ""
    yield "The attached file has the details, as JSON, compressed."
    yield f"Questions about it go to {report.contact}."


def _folded(content: bytes) -> Sequence[str]:
    text = base64.b64encode(content).decode()
    return [text[start : start + _LINE] for start in range(0, len(text), _LINE)]


def _policy(result: PolicyResult) -> dict[str, Any]:
    policy = result.policy
    described: dict[str, Any] = {"policy-type": policy.kind}
    if policy.strings:
        described["policy-string"] = policy.strings
    described["policy-domain"] = policy.domain
    if policy.mx_hosts:
        described["mx-host"] = policy.mx_hosts
    whole: dict[str, Any] = {
        "policy": described,
        "summary": {
            "total-successful-session-count": result.successful,
            "total-failure-session-count": sum(count for _, count in result.failures),
        },
    }
    if result.failures:
        whole["failure-details"] = [_failure(failure, count) for failure, count in result.failures]
    return whole


def _failure(failure: Failure, count: int) -> dict[str, Any]:
    details = {
        "result-type": failure.result,
        "sending-mta-ip": failure.sending_ip,
        "receiving-mx-hostname": failure.receiving_host,
        "receiving-ip": failure.receiving_ip,
        "failed-session-count": count,
        "failure-reason-code": failure.reason,
    }
    return {key: value for key, value in details.items() if value != ""}


def _rfc3339(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
