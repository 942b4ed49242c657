"""A reader of TLS reports that knows nothing of how we write them: RFC 8460, to the letter, and nothing else goes.

It reads mail with the standard library's parser and looks at every field: what is missing, unknown, of another type, or
not in its grammar is an error.
"""

from __future__ import annotations

import gzip
import ipaddress
import json
import re
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

RESULTS = {
    "starttls-not-supported", "certificate-host-mismatch", "certificate-expired", "certificate-not-trusted",
    "validation-failure", "tlsa-invalid", "dnssec-invalid", "dane-required", "sts-policy-fetch-error",
    "sts-policy-invalid", "sts-webpki-invalid",
}  # fmt: skip
_HOST = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_FILE = re.compile(
    r"(?P<submitter>[^!]+)!(?P<domain>[^!]+)!(?P<begin>\d+)!(?P<end>\d+)(!(?P<unique>[A-Za-z0-9.]+))?\.json\.gz"
)
_SUBJECT = re.compile(
    r"Report Domain: (?P<domain>\S+) Submitter: (?P<submitter>\S+) Report-ID: <(?P<id>\S+)>"
)


class NoReport(AssertionError):
    """It is not what RFC 8460 says."""


def read_document(octets: bytes) -> dict[str, Any]:
    """The JSON, compressed or not; every field looked at."""
    document = json.loads(gzip.decompress(octets) if octets[:2] == b"\x1f\x8b" else octets)
    _keys(document, {"organization-name", "date-range", "contact-info", "report-id", "policies"})
    for name in ("organization-name", "contact-info", "report-id"):
        _must(isinstance(document[name], str) and document[name], name)
    _keys(document["date-range"], {"start-datetime", "end-datetime"})
    start, end = (_time(document["date-range"][name]) for name in ("start-datetime", "end-datetime"))
    _must(start < end, "date-range")
    _must(document["policies"], "policies")
    for policy in document["policies"]:
        _policy(policy)
    return dict(document)


def read_mail(octets: bytes) -> dict[str, Any]:
    """The report in a mail, whose header must say the same as the report itself."""
    _must(b"\n" not in octets.replace(b"\r\n", b""), "line ends")
    message = message_from_bytes(octets, policy=SMTP)
    assert isinstance(message, EmailMessage)
    _must(not message.defects, f"defects {message.defects}")
    _must(message.get_content_type() == "multipart/report", "content type")
    _must(message.get_param("report-type") == "tlsrpt", "report-type")
    _must(message["MIME-Version"] == "1.0", "MIME-Version")
    text, attachment = message.iter_parts()
    _must(text.get_content_type() == "text/plain", "first part")
    _must(attachment.get_content_type() == "application/tlsrpt+gzip", "second part")
    document = read_document(attachment.get_content())
    named = _FILE.fullmatch(attachment.get_filename() or "")
    subject = _SUBJECT.fullmatch(message["Subject"])
    _must(named and subject, "file name and subject")
    assert named is not None
    assert subject is not None
    _must(named["domain"] == subject["domain"] == message["TLS-Report-Domain"], "domain")
    _must(named["submitter"] == subject["submitter"] == message["TLS-Report-Submitter"], "submitter")
    _must(subject["id"] == document["report-id"], "report id")
    for name, key in (("begin", "start-datetime"), ("end", "end-datetime")):
        _must(int(named[name]) == _time(document["date-range"][key]).timestamp(), key)
    _must(message["TLS-Required"] == "No", "TLS-Required")
    return document


def _policy(policy: Any) -> None:
    _keys(policy, {"policy", "summary"}, {"failure-details"})
    described = policy["policy"]
    _keys(described, {"policy-type", "policy-domain"}, {"policy-string", "mx-host"})
    _must(described["policy-type"] in {"tlsa", "sts", "no-policy-found"}, "policy-type")
    _must(_HOST.fullmatch(described["policy-domain"]), "policy-domain")
    for name in ("policy-string", "mx-host"):
        lines = described.get(name, ["x"])
        _must(isinstance(lines, list) and lines and all(isinstance(line, str) for line in lines), name)
    _must(described["policy-type"] != "no-policy-found" or "policy-string" not in described, "policy-string")
    summary = policy["summary"]
    _keys(summary, {"total-successful-session-count", "total-failure-session-count"})
    _must(all(_is_count(count) for count in summary.values()), "summary")
    details = policy.get("failure-details", [])
    for failure in details:
        _failure(failure)
    total = sum(failure["failed-session-count"] for failure in details)
    _must(total == summary["total-failure-session-count"], "failures add up")


def _failure(failure: Any) -> None:
    texts = {"receiving-mx-hostname", "receiving-mx-helo", "additional-information", "failure-reason-code"}
    addresses = {"sending-mta-ip", "receiving-ip"}
    _keys(failure, {"result-type", "failed-session-count"}, texts | addresses)
    _must(failure["result-type"] in RESULTS, "result-type")
    _must(
        _is_count(failure["failed-session-count"]) and failure["failed-session-count"] > 0,
        "failed-session-count",
    )
    for name in addresses & set(failure):
        ipaddress.ip_address(failure[name])
    for name in texts & set(failure):
        _must(isinstance(failure[name], str) and failure[name].isprintable(), name)


def _keys(value: Any, needed: set[str], allowed: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    _must(isinstance(value, dict), "object")
    _must(needed <= set(value) <= needed | allowed, f"fields {sorted(value)}")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _time(text: Any) -> datetime:
    _must(isinstance(text, str) and _TIME.fullmatch(text), f"time {text}")
    return datetime.fromisoformat(text).astimezone(UTC)


def _must(holds: object, what: str) -> None:
    if not holds:
        raise NoReport(what)
