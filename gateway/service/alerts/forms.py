"""What an alarm looks like to those who are told: a mail, a JSON document, lines of syslog. Pure.

Texts may name hosts that strangers chose: nothing in them can add a line to a message or a field to a header.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime

import msgspec

from gateway.model.address import Address
from gateway.service.alerts.news import Digest, Item
from gateway.wire.fold import fold
from gateway.wire.transfer import encode_quoted_printable

SHOWN = 50  # alarms in one message; the rest is counted
_LONGEST_LINE = 1900  # octets of one syslog message: every receiver takes 2048 (RFC 5426 section 3.2)
_FACILITY = 3  # daemon (RFC 5424 section 6.2.1)
_ERROR, _NOTICE = 3, 5

_TITLES = {
    "queue": "mail waits",
    "disk": "room is running out",
    "certificate": "a certificate of ours expires",
    "audit": "the audit log",
    "dnssec": "DNSSEC is not validated",
    "dkim": "a DKIM key is not published",
    "drift": "a domain shows less protection than before",
    "notice-bounced": "a sender could not be told",
    "sender-held": "a mailbox is held",
    "providers": "a provider's addresses changed too much",
    "relay": "this gateway would relay for strangers",
    "exception": "an exception of the policy expires",
    "doctor": "`sealgate doctor` found something that does not work",
    "stopped": "a process could not go on",
}
_STATES = {"raised": "", "still": "still: ", "over": "over: ", "passed": "over already: "}


def title(digest: Digest) -> str:
    """The kind in plain words, with what became of it where all is well again."""
    states = {item.state for item in digest.items}
    prefix = _STATES[states.pop()] if len(states) == 1 else ""
    return f"{prefix}{_TITLES[digest.kind.value]}"


def sentence(item: Item) -> str:
    """One alarm in one line."""
    alarm = item.alarm
    times = f" ({alarm.times} times)" if alarm.times > 1 and not alarm.lasting else ""
    return _line(f"{_STATES[item.state]}{alarm.text}{times}")


# ---- mail ------------------------------------------------------------------------------------------------------


def mail(
    digest: Digest,
    *,
    hostname: str,
    sender: Address,
    recipients: tuple[Address, ...],
    now: datetime,
    fresh: str,
) -> bytes:
    """A whole message in canonical lines. `fresh` makes its Message-ID."""
    head = (
        ("From", f"Mail gateway <{sender}>"),
        ("To", ", ".join(f"<{one}>" for one in recipients)),
        ("Subject", f"[{hostname}] {title(digest)}"),
        ("Date", format_datetime(now.astimezone(UTC))),
        ("Message-ID", f"<{fresh}@{hostname}>"),
        ("Auto-Submitted", "auto-generated"),
        ("X-Auto-Response-Suppress", "All"),
        ("MIME-Version", "1.0"),
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Transfer-Encoding", "quoted-printable"),
    )
    lines = [fold(name.encode(), _line(value).encode()) or b"" for name, value in head]
    body = "".join(f"{line}\r\n" for line in _letter(digest, hostname))
    return b"".join((*lines, b"\r\n", encode_quoted_printable(body.encode())))


def _letter(digest: Digest, hostname: str) -> Iterator[str]:
    for item in digest.items[:SHOWN]:
        alarm = item.alarm
        yield from _wrapped(sentence(item))
        if item.state in ("raised", "still"):
            yield from _wrapped(f"What to do: {_line(alarm.remedy)}", "  ")
        until = f" until {_moment(alarm.over)}" if alarm.over else ""
        yield f"  Since {_moment(alarm.since)}{until}. Alarm: {digest.kind}/{_line(alarm.key)}"
        yield ""
    if len(digest.items) > SHOWN:
        yield f"And {len(digest.items) - SHOWN} more of this kind; the log of {hostname} has all."
        yield ""
    yield f"Sent by the mail gateway {hostname}. `sealgate doctor` looks at everything again."


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        76,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


# ---- webhook ---------------------------------------------------------------------------------------------------


def document(digest: Digest, hostname: str, now: datetime) -> bytes:
    """The body of a webhook's POST."""
    return msgspec.json.encode(
        {
            "gateway": hostname,
            "at": now,
            "kind": digest.kind.value,
            "title": title(digest),
            "more": max(0, len(digest.items) - SHOWN),
            "alarms": [_entry(item) for item in digest.items[:SHOWN]],
        }
    )


def _entry(item: Item) -> dict[str, object]:
    alarm = item.alarm
    return {
        "state": item.state,
        "key": alarm.key,
        "text": _line(alarm.text),
        "remedy": _line(alarm.remedy),
        "since": alarm.since,
        "over": alarm.over,
        "times": alarm.times,
    }


# ---- syslog ----------------------------------------------------------------------------------------------------


def syslog(digest: Digest, hostname: str, process: int, now: datetime) -> list[bytes]:
    """One RFC 5424 message an alarm."""
    return [_syslog(digest, item, hostname, process, now) for item in digest.items]


def _syslog(digest: Digest, item: Item, hostname: str, process: int, now: datetime) -> bytes:
    severity = _ERROR if item.state in ("raised", "still") else _NOTICE
    stamp = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    head = f"<{_FACILITY * 8 + severity}>1 {stamp} {hostname} sealgate {process} {digest.kind} - "
    what = f"{item.state} {digest.kind}/{_line(item.alarm.key)}: {_line(item.alarm.text)}"
    text = what if severity == _NOTICE else f"{what}; what to do: {_line(item.alarm.remedy)}"
    mark = b"" if text.isascii() else b"\xef\xbb\xbf"  # UTF-8 is announced (RFC 5424 section 6.4)
    return (
        head.encode("ascii", "replace")
        + mark
        + text.encode()[:_LONGEST_LINE].decode(errors="ignore").encode()
    )


def _moment(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _line(text: str) -> str:
    """One printable line."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
