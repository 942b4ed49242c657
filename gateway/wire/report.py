"""What a bounce says: a delivery status report (RFC 3464, 6522, 6533), the older forms of one, or something else.

Never fails and guesses little: whose message it is about is known from the address it came to, so that only what
happened is read here. Bounded: so many octets, parts and groups, whatever a stranger sends. Nothing of a report's free
text is kept but the diagnostic line of a server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum

import msgspec

from gateway.wire.header import Field, HeaderError, fields, split
from gateway.wire.mime import Part, index, walk
from gateway.wire.parameters import parse
from gateway.wire.transfer import decode

LOOKED_AT = 1 << 20  # octets of the report; what it is about stands in front, the returned message behind
STATUS_LIMIT = 1 << 16  # octets of the machine's part
TEXT_LIMIT = 1 << 14  # octets of the part for people
SUBJECT_LIMIT = 500
GROUP_LIMIT = 100  # recipients in one report
DIAGNOSTIC_LIMIT = 500

_STATUS_TYPES = frozenset({"message/delivery-status", "message/global-delivery-status"})
_RETURNED_TYPES = frozenset(
    {"message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers"}
)
_STATUS = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
_REPLY = re.compile(r"\b([45])\d\d(?:[ -]|$)", re.MULTILINE)
_MESSAGE_ID = re.compile(rb"<[!-;=?-~]{1,250}>")
_SERVER = re.compile(rb"mailer-daemon|postmaster", re.IGNORECASE)
# Servers that write no status part say it in these words: qmail, Exim, Sendmail, Exchange, the large providers.
_FAILED = re.compile(
    r"undeliver|not (?:be )?delivered|delivery (?:has )?failed|delivery failure|failure notice"
    r"|returned (?:mail|to sender)|permanent(?:ly)? (?:error|fail)|does not exist|user unknown"
    r"|mailbox (?:full|unavailable)|rejected",
    re.IGNORECASE,
)
_DELAYED = re.compile(
    r"delayed|warning only|will (?:be retried|keep trying|continue)|still (?:being )?(?:retr|try)"
    r"|temporar(?:y|ily)|not yet been delivered",
    re.IGNORECASE,
)


class Happened(StrEnum):
    """What became of the message at a server behind ours. The first five are RFC 3464's actions (section 2.3.3), the
    worst first."""

    FAILED = "failed"
    DELAYED = "delayed"
    EXPANDED = "expanded"
    RELAYED = "relayed"
    DELIVERED = "delivered"
    ANSWERED = "answered"  # an automatic answer, such as that somebody is away
    UNCLEAR = "unclear"  # something came back, and nobody can tell what it means


_ACTIONS = tuple(Happened)[:5]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a bounce says about one message to one recipient.

    `standard` tells an RFC 3464 report from one that had to be guessed at. `status` is an enhanced code (RFC 3463),
    `diagnostic` one line of a server's, `remote` that server's name; all three are a stranger's words. `returned` has
    the Message-ID and Subject fields of the returned message: one threads a notice to it, one is kept out of it.
    """

    happened: Happened
    standard: bool = False
    status: str | None = None
    diagnostic: str | None = None
    remote: str | None = None
    returned: bytes = b""


def read_report(content: bytes) -> Report:
    """Read a message in canonical lines that came to a bounce address."""
    content = content[:LOOKED_AT]
    try:
        header = fields(content[: split(content)])
    except HeaderError:
        return Report(happened=Happened.UNCLEAR)
    whole = index(content, header)
    parts = tuple(walk(whole))
    said = _from_status_parts(content, whole, parts)
    if said is None:
        said = _from_header(header) or _from_text(content, header, parts)
    return msgspec.structs.replace(said, returned=_returned(content, parts))


# ---- as the standard has it ----------------------------------------------------------------------------------------


def _from_status_parts(content: bytes, whole: Part, parts: Iterable[Part]) -> Report | None:
    strict = whole.type == "multipart/report" and (
        whole.content_type.plain.get("report-type", b"").lower() == b"delivery-status"
    )
    for part in parts:
        if part.type in _STATUS_TYPES:
            octets = decode(content[part.body : part.end][:STATUS_LIMIT], part.encoding).octets
            found = _from_groups(octets)
            if found is not None:
                return msgspec.structs.replace(found, standard=strict and part in whole.children)
    return None


def _from_groups(octets: bytes) -> Report | None:
    """The worst that it says of any recipient: the report is about one, whom a server may have expanded to many."""
    blocks = octets.replace(b"\r\n", b"\n").strip(b"\n").split(b"\n\n", GROUP_LIMIT + 1)
    found = [one for block in blocks[: GROUP_LIMIT + 1] if (one := _from_group(block)) is not None]
    return min(found, key=lambda one: _ACTIONS.index(one.happened), default=None)


def _from_group(block: bytes) -> Report | None:
    values = _values(block)
    action = values.get("action", "").split("(")[0].strip().lower()
    happened = next((one for one in _ACTIONS if one.value == action), None)
    if happened is None:
        return None
    status = _STATUS.search(values.get("status", ""))
    return Report(
        happened=happened,
        status=status[0] if status else None,
        diagnostic=_after_type(values.get("diagnostic-code")),
        remote=_after_type(values.get("remote-mta")),
    )


def _values(block: bytes) -> dict[str, str]:
    """The fields of one group; the first of a name counts."""
    try:
        found = fields(block.strip(b"\n").replace(b"\n", b"\r\n") + b"\r\n")
    except HeaderError:
        return {}
    return {field.name: field.value.decode("utf-8", "replace") for field in reversed(found)}


def _after_type(value: str | None) -> str | None:
    """What follows the type: `smtp; 550 no such user`, `dns; mx.example`."""
    if value is None:
        return None
    kind, semicolon, rest = value.partition(";")
    return _line(rest if semicolon and re.fullmatch(r"[\w-]+", kind.strip()) else value)


# ---- as it is found elsewhere --------------------------------------------------------------------------------------


def _from_header(header: tuple[Field, ...]) -> Report | None:
    """Automatic answers name themselves (RFC 3834); some servers name failed recipients in a header field."""
    values = {field.name: field.value for field in reversed(header)}
    kind = parse(values.get("content-type", b""))
    if kind.main == "multipart/report":
        read = kind.plain.get("report-type", b"").lower() == b"disposition-notification"
        return Report(happened=Happened.ANSWERED) if read else None
    subject = _readable(values.get("subject", b""))
    if "x-failed-recipients" in values and not _DELAYED.search(subject):
        return Report(happened=Happened.FAILED)
    answers = parse(values.get("auto-submitted", b"")).main == "auto-replied" or "x-autoreply" in values
    server = _SERVER.search(values.get("from", b"")) or _FAILED.search(subject) or _DELAYED.search(subject)
    return Report(happened=Happened.ANSWERED) if answers and not server else None


def _from_text(content: bytes, header: tuple[Field, ...], parts: Iterable[Part]) -> Report:
    subject = next((field.value for field in header if field.name == "subject"), b"")
    text = f"{_readable(subject)}\n{_first_text(content, parts)}"
    status, reply = _STATUS.search(text), _REPLY.search(text)
    severity = status[1] if status else reply[1] if reply else ""
    if _DELAYED.search(text) and severity != "5":
        happened = Happened.DELAYED
    elif severity == "5" or _FAILED.search(text):
        happened = Happened.FAILED
    else:
        return Report(happened=Happened.UNCLEAR)
    line = next((one for one in text.splitlines() if _REPLY.search(one)), None)
    return Report(happened=happened, status=status[0] if status else None, diagnostic=_line(line))


def _first_text(content: bytes, parts: Iterable[Part]) -> str:
    for part in parts:
        if part.type in _RETURNED_TYPES:
            break  # what stands behind is our message, not the server's words
        if part.type in {"text/plain", "text/html"}:
            octets = decode(content[part.body : part.end][:TEXT_LIMIT], part.encoding).octets
            return octets.decode("utf-8", "replace")
    return ""


def _readable(value: bytes) -> str:
    return value[:SUBJECT_LIMIT].decode("utf-8", "replace")


# ---- both ----------------------------------------------------------------------------------------------------------


def _returned(content: bytes, parts: Iterable[Part]) -> bytes:
    returned = next((part for part in parts if part.type in _RETURNED_TYPES), None)
    if returned is None:
        return b""
    block = content[returned.body : returned.end][:STATUS_LIMIT]
    try:
        found = fields(block[: split(block)])
    except HeaderError:
        return b""
    own = [field.value for field in found if field.name == "message-id"]
    threads = len(own) == 1 and _MESSAGE_ID.fullmatch(own[0])
    kept = [b"Message-ID: %b\r\n" % own[0]] if threads else []
    kept += [b"Subject: %b\r\n" % field.value for field in found if field.name == "subject"][:1]
    return b"".join(kept)


def _line(text: str | None) -> str | None:
    if text is None:
        return None
    line = " ".join(text.split())[:DIAGNOSTIC_LIMIT]
    return "".join(char if char.isprintable() else "?" for char in line) or None
