"""Delivery status notices (RFC 3464, 3461 section 6, 6522, 6533): values in, a whole message out.

A notice never holds content: of the message it returns a few header fields that cannot carry any, and its subject is
left out. Its lines are short, and nothing that a stranger wrote (replies, addresses, header fields) can add a line to
it. It is 7-bit, unless its addressee can only be reached by SMTPUTF8 anyway: then it has the forms of RFC 6533 that
show addresses as they are (message/global-delivery-status, message/global-headers).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import format_datetime

import msgspec

from gateway.model.address import Address
from gateway.model.delivery import Reply
from gateway.wire.encoded_word import decode_text
from gateway.wire.fold import WIDTH, fold
from gateway.wire.header import Field, HeaderError, fields
from gateway.wire.transfer import encode_quoted_printable

TEXT_LIMIT = 600  # characters of one remote reply
REFERENCE_LIMIT = 20  # message ids in References

_RETURNED = frozenset({"from", "date", "message-id"})
_MESSAGE_ID = re.compile(rb"<[!-;=?-~]{1,250}>")
_ORIGINAL = re.compile(r"([A-Za-z0-9-]{1,40});(.{1,500})")
_XTEXT_CODE = re.compile(r"\+([0-9A-F]{2})")
_UNITEXT_CODE = re.compile(r"\\x\{([0-9A-F]{2,6})\}")


class RecipientStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the message for one recipient.

    `action` is failed, delayed, delivered, relayed or expanded (RFC 3464 section 2.3.3). `original` is the ORCPT
    parameter as it was sent. `reply` is the remote server's, `remote` its name.
    """

    recipient: Address
    action: str
    status: str
    original: str | None = None
    reply: Reply | None = None
    remote: str | None = None
    last_attempt: datetime | None = None
    retry_until: datetime | None = None


class StatusReport(msgspec.Struct, frozen=True, kw_only=True):
    """One notice. `text` is what people read, `original` the header block of the message that it is about.

    `message_id` is the notice's own, without brackets.
    """

    reporter: str
    sender: Address
    recipient: Address
    subject: str
    text: str
    date: datetime
    message_id: str
    boundary: str
    queue_id: str
    arrived: datetime
    recipients: tuple[RecipientStatus, ...]
    envelope_id: str | None = None
    original: bytes = b""


def compose(report: StatusReport) -> bytes:
    """The notice as a message in canonical lines."""
    try:
        original = fields(report.original)
    except HeaderError:
        original = ()
    boundary = report.boundary.encode("ascii")
    return b"\r\n--".join(
        (
            _header(report, original),
            boundary + b"\r\n" + _text_part(report.text),
            boundary + b"\r\n" + _status_part(report, original),
            boundary + b"\r\n" + _returned_part(original, international=_international(report)),
            boundary + b"--\r\n",
        )
    )


def _international(report: StatusReport) -> bool:
    """Whether the notice may hold UTF-8 (RFC 6533 section 4): its way is open to that or there is none."""
    return report.recipient.needs_smtputf8


def _header(report: StatusReport, original: tuple[Field, ...]) -> bytes:
    boundary = _printable(report.boundary)
    lines = [
        _line("From", f"Mail gateway <{report.sender}>"),
        b"To: <" + _one_line(str(report.recipient)).encode() + b">\r\n",
        _line("Subject", report.subject),
        _line("Date", _date(report.date)),
        _line("Message-ID", f"<{report.message_id}>"),
        _line("Auto-Submitted", "auto-replied"),
        _line("X-Auto-Response-Suppress", "All"),
        *_threading(original),
        _line("MIME-Version", "1.0"),
        _line("Content-Type", f'multipart/report; report-type=delivery-status; boundary="{boundary}"'),
        b"\r\n",
        b"This is a delivery status notice in MIME format.\r\n",
    ]
    return b"".join(lines)


def _threading(original: tuple[Field, ...]) -> list[bytes]:
    """In-Reply-To and References (RFC 5322 section 3.6.4): a mail program shows the notice beside its message."""
    own = [field.value for field in original if field.name == "message-id"]
    if len(own) != 1 or not _MESSAGE_ID.fullmatch(own[0]):
        return []
    before = [
        match
        for field in original
        if field.name == "references"
        for match in _MESSAGE_ID.findall(field.value)
    ]
    chain = b" ".join((*before[-REFERENCE_LIMIT:], own[0]))
    return [b"In-Reply-To: " + own[0] + b"\r\n", fold(b"References", chain) or b""]


def _text_part(text: str) -> bytes:
    lines = "".join(f"{_one_line(line)}\r\n" for line in text.splitlines())
    octets = lines.encode("utf-8", "replace")
    if octets.isascii() and max(map(len, lines.split("\r\n"))) <= 900:
        return b"Content-Type: text/plain; charset=us-ascii\r\n\r\n" + octets
    head = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    return head + encode_quoted_printable(octets)


def _status_part(report: StatusReport, original: tuple[Field, ...]) -> bytes:
    international = _international(report)
    lines = [
        b"Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        if international
        else b"Content-Type: message/delivery-status\r\n\r\n"
    ]
    if report.envelope_id is not None:
        lines.append(_line("Original-Envelope-Id", _from_xtext(report.envelope_id)))
    lines += [
        _line("Reporting-MTA", f"dns; {report.reporter}"),
        _line("X-Sealgate-Queue-Id", report.queue_id),
        _line("Arrival-Date", _date(report.arrived)),
    ]
    subject = _subject(original)
    for recipient in report.recipients:
        lines += (b"\r\n", *_recipient(recipient, subject, international=international))
    return b"".join(lines)


def _recipient(status: RecipientStatus, subject: str, *, international: bool) -> list[bytes]:
    address_line = _wide_line if international else _line
    lines: list[bytes] = []
    original = _original_recipient(status.original, international=international)
    if original is not None:
        lines.append(address_line("Original-Recipient", original))
    lines += [
        address_line("Final-Recipient", _typed(status.recipient, international=international)),
        _line("Action", status.action),
        _line("Status", status.status),
    ]
    if status.remote is not None:
        lines.append(_line("Remote-MTA", f"dns; {status.remote}"))
    if status.reply is not None:
        lines.append(_line("Diagnostic-Code", f"smtp; {reply_text(status.reply, subject)}"))
    if status.last_attempt is not None:
        lines.append(_line("Last-Attempt-Date", _date(status.last_attempt)))
    if status.retry_until is not None and status.action == "delayed":
        lines.append(_line("Will-Retry-Until", _date(status.retry_until)))
    return lines


def _returned_part(original: tuple[Field, ...], *, international: bool) -> bytes:
    kept: list[bytes] = []
    for field in original:
        name = field.name.title().replace("-Id", "-ID")
        if field.name in _RETURNED and field.value.isascii():
            kept.append(_line(name, field.value.decode("ascii")))
        elif field.name in _RETURNED and international:
            kept.append(_wide_line(name, field.value.decode("utf-8", "replace")))
    kind = (
        b"message/global-headers\r\nContent-Transfer-Encoding: 8bit"
        if international
        else b"text/rfc822-headers"
    )
    return b"".join((b"Content-Type: ", kind, b"\r\n\r\n", *kept, b"Subject: (left out)\r\n"))


def reply_text(reply: Reply, subject: str = "") -> str:
    """A remote reply in one printable line; where it repeats the message's subject, without it."""
    status = f"{reply.status} " if reply.status else ""
    words = status + " ".join(line.removeprefix(status) for line in reply.lines)
    if len(subject) > 3:
        words = re.sub(re.escape(subject), "(subject left out)", words, flags=re.IGNORECASE)
    return _printable(f"{reply.code} {words}".rstrip())[:TEXT_LIMIT]


def subject_of(original: bytes) -> str:
    """The subject in a header block, so that it can be kept out of what is quoted; empty where there is none."""
    try:
        return _subject(fields(original))
    except HeaderError:
        return ""


def _subject(original: tuple[Field, ...]) -> str:
    return next((decode_text(field.value).strip() for field in original if field.name == "subject"), "")


def _typed(address: Address, *, international: bool) -> str:
    """An address with its type (RFC 3464 section 2.3.2), where need be in the ASCII form of RFC 6533 section 3."""
    if not address.needs_smtputf8:
        return f"rfc822; {address}"
    return f"utf-8; {address if international else _unitext(str(address))}"


def _original_recipient(orcpt: str | None, *, international: bool) -> str | None:
    """The ORCPT parameter as a field: xtext undone for the usual types, the forms of RFC 6533 for UTF-8."""
    match = _ORIGINAL.fullmatch(orcpt) if orcpt is not None else None
    if match is None:
        return None
    kind, address = match[1].lower(), match[2]
    if kind != "utf-8":
        return f"{kind}; {_from_xtext(address)}"
    if international:
        return f"utf-8; {_UNITEXT_CODE.sub(_scalar, address)}"
    return "utf-8; " + "".join(char if char.isascii() else _embedded(char) for char in address)


def _scalar(code: re.Match[str]) -> str:
    """The character that an embedded code stands for; the code itself where it stands for none."""
    number = int(code[1], 16)
    return chr(number) if number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF else code[0]


def _unitext(text: str) -> str:
    """The ASCII form `utf-8-addr-xtext`, in which plus, equals and backslash are embedded too."""
    return "".join(char if char.isascii() and char not in "+=\\" else _embedded(char) for char in text)


def _embedded(char: str) -> str:
    return f"\\x{{{ord(char):02X}}}"


def _from_xtext(value: str) -> str:
    return _XTEXT_CODE.sub(lambda match: chr(int(match[1], 16)), value)


def _date(moment: datetime) -> str:
    return format_datetime(moment.astimezone(UTC))


def _line(name: str, value: str) -> bytes:
    """One field whose value is made safe: printable ASCII in lines of lawful length."""
    octets = _printable(value).strip().encode("ascii")
    return fold(name.encode("ascii"), octets) or fold(name.encode("ascii"), octets[:WIDTH]) or b""


def _wide_line(name: str, value: str) -> bytes:
    """The same for a field that may hold UTF-8; what cannot be folded is cut."""
    octets = _one_line(value).strip().encode("utf-8", "replace")
    cut = octets[:WIDTH].decode("utf-8", "ignore").encode()
    return fold(name.encode("ascii"), octets) or fold(name.encode("ascii"), cut) or b""


def _printable(text: str) -> str:
    """Printable ASCII, everything else replaced: what strangers wrote cannot begin a line."""
    return "".join(char if " " <= char <= "~" else " " if char in "\t\r\n" else "?" for char in text)


def _one_line(text: str) -> str:
    """Printable text; one that looks like a boundary is moved away from the line's start."""
    line = "".join(char if char.isprintable() else " " for char in text)
    return f" {line}" if line.startswith("--") else line
