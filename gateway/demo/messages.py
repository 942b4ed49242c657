"""The demo's letters: each of another make, each with a marker of its own that nobody else's mail contains."""

from __future__ import annotations

import secrets
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from enum import StrEnum

import msgspec

_LONG_LINES = 6000  # of 60 octets and more: a message of some 400 KiB


class LetterKind(StrEnum):
    """What a letter is made of."""

    TEXT = "text"
    REPORT = "report"  # HTML and a PDF, encoded in base64
    EIGHT_BIT = "8-bit"
    LONG = "long"
    JOINT = "joint"  # one letter to several recipients
    PROGRAM = "program"  # carries a Windows program
    TAGGED = "tagged"  # [secure] in the subject


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """One message to submit. `marker` stands in its subject, its text and its attachments."""

    kind: LetterKind
    sender: str
    recipients: tuple[str, ...]
    marker: str
    content: bytes  # canonical CRLF lines


def make_marker() -> str:
    """Unguessable. The equals sign changes in quoted-printable, so that this form differs from the raw one."""
    return f"patient={secrets.token_hex(12)}"


def compose(
    kind: LetterKind, sender: str, recipients: tuple[str, ...], now: datetime, marker: str | None = None
) -> Letter:
    """A letter of that make with a fresh marker."""
    marker = marker or make_marker()
    tag = "[secure] " if kind is LetterKind.TAGGED else ""
    message = EmailMessage(policy=SMTP)
    message["From"] = f"Dr. Grey <{sender}>"
    message["To"] = ", ".join(recipients)
    message["Subject"] = f"{tag}Results {marker}"
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{secrets.token_hex(16)}@{sender.rpartition('@')[2]}>"
    _fill(message, kind, marker)
    return Letter(kind=kind, sender=sender, recipients=recipients, marker=marker, content=message.as_bytes())


def _fill(message: EmailMessage, kind: LetterKind, marker: str) -> None:
    text = f"Dear patient,\n\nyour results are ready ({marker}).\n\nDr. Grey\n"
    match kind:
        case LetterKind.TEXT | LetterKind.TAGGED | LetterKind.JOINT:
            message.set_content(text, cte="7bit")
        case LetterKind.EIGHT_BIT:
            message.set_content(f"Grüße aus der Praxis.\n{text}", cte="8bit")
        case LetterKind.LONG:
            lines = (
                f"{number:06} heart rate, blood pressure, temperature: all well"
                for number in range(_LONG_LINES)
            )
            message.set_content("\n".join((text, *lines, marker, "")), cte="7bit")
        case LetterKind.REPORT:
            message.set_content(text, cte="quoted-printable")
            message.add_alternative(
                f"<p>Your results are ready (<b>{marker}</b>).</p>\n", subtype="html", cte="base64"
            )
            message.add_attachment(
                _pdf(marker), maintype="application", subtype="pdf", filename="results.pdf"
            )
        case LetterKind.PROGRAM:
            message.set_content(text, cte="7bit")
            message.add_attachment(
                _program(marker), maintype="application", subtype="octet-stream", filename="viewer.exe"
            )


def _pdf(marker: str) -> bytes:
    """Enough of a PDF for whoever looks at the content, not a page for whoever opens it."""
    return (
        b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\n% " + marker.encode() + b"\n"
        b"trailer\n<< /Root 1 0 R >>\n%%EOF\n"
    )


def _program(marker: str) -> bytes:
    """The head of a Windows program (MZ, and PE where it points to), which no computer would run."""
    head = b"MZ" + bytes(58) + (64).to_bytes(4, "little")
    return head + b"PE\0\0\x64\x86" + bytes(18) + marker.encode() + bytes(64)
