"""DKIM signatures (RFC 6376, 8301, 8463): the canonical form of a message, which fields are signed, the field itself.

Pure. Always relaxed/relaxed, the whole body (`l=` would let anybody append to it), SHA-256. Who signs is an argument;
so is the time. Nothing here judges signatures of others: they are left as they are.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Literal, Protocol

import msgspec

from gateway.wire.header import Field, HeaderError, choice, chosen_fields, fields, mailboxes, split

Algorithm = Literal["rsa-sha256", "ed25519-sha256"]

# Signed once more than they occur, present or not: so that nobody can add one that a reader would show or obey
# (RFC 6376 section 8.15).
_SEALED = (
    "from",
    "to",
    "cc",
    "subject",
    "date",
    "reply-to",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
)
# Sealed where they occur; where not, a server on the way may add them (a list its own, a receiver a Message-ID).
_SEALED_IF_PRESENT = frozenset(
    {
        "auto-submitted",
        "autocrypt",
        "content-description",
        "content-disposition",
        "content-id",
        "content-language",
        "importance",
        "in-reply-to",
        "list-help",
        "list-id",
        "list-owner",
        "list-post",
        "list-subscribe",
        "list-unsubscribe",
        "list-unsubscribe-post",
        "message-id",
        "openpgp",
        "priority",
        "references",
        "require-recipient-valid-since",
        "sender",
        "tls-report-domain",
        "tls-report-submitter",
        "tls-required",
        "x-priority",
    }
)
_RESENT = "resent-"  # signed as often as they occur: whoever sends the message on adds a set of his own

_FROM = choice("from", prefix="from-")
_CHUNK = 1 << 18  # octets of body worked on at once: bounds memory, and stays in the processor's cache
_BLANKS = re.compile(rb"[ \t]+")
_LINE = 72  # octets of the folded parts of the field


class SigningKey(Protocol):
    """A private key and the name under which its public half is published."""

    @property
    def domain(self) -> str:
        """Lower-case A-labels: the tag `d=`."""
        ...

    @property
    def selector(self) -> str:
        """The tag `s=`."""
        ...

    @property
    def algorithm(self) -> Algorithm:
        """The tag `a=`."""
        ...

    def sign(self, data: bytes) -> bytes:
        """The raw signature of the canonical header (for Ed25519: of its SHA-256, RFC 8463 section 3)."""
        ...


class Hashed(msgspec.Struct, frozen=True):
    """What all signatures of one message share: the names in `h=`, the canonical fields, the hash of the body."""

    names: tuple[str, ...]
    header: bytes
    body_hash: bytes


class Signed(msgspec.Struct, frozen=True):
    """`fields` belong on top of the message; empty where nobody signs for its author. `sha256`: of both together,
    empty where it is not known."""

    fields: bytes = b""
    sha256: bytes = b""


def author_domains(content: bytes) -> tuple[str, ...]:
    """The domains in From, in order and once each (A-labels); none where From is missing or cannot be read."""
    try:
        found = chosen_fields(content[: split(content)], _FROM)
        authors = [address for field in found if field.name == "from" for address in mailboxes(field.value)]
    except HeaderError:
        return ()
    return tuple(dict.fromkeys(author.domain for author in authors))


def hash_message(content: bytes) -> Hashed:
    """The part of the work that does not depend on the key. `content` is canonical lines; HeaderError as `fields`."""
    end = split(content)
    found = fields(content[:end])
    names, chosen = _chosen(found)
    return Hashed(names, b"".join(map(canonical_field, chosen)), body_hash(content, end))


def signature_field(hashed: Hashed, key: SigningKey, at: datetime, lifetime: timedelta | None) -> bytes:
    """One DKIM-Signature field with its CRLF, to be put on top of the message that was hashed."""
    seconds = int(at.timestamp())
    expiry = f" x={seconds + int(lifetime.total_seconds())};" if lifetime is not None else ""
    head = (
        f"DKIM-Signature: v=1; a={key.algorithm}; c=relaxed/relaxed;\r\n"
        f" d={key.domain}; s={key.selector}; t={seconds};{expiry}\r\n"
        f" h={_folded_names(hashed.names)};\r\n"
        f" bh={base64.b64encode(hashed.body_hash).decode()};\r\n"
        f" b="
    ).encode("ascii")
    value = head.partition(b":")[2].replace(b"\r\n", b"").strip(b" \t")
    unsigned = b"dkim-signature:" + _BLANKS.sub(b" ", value)
    signature = base64.b64encode(key.sign(hashed.header + unsigned))
    lines = [signature[start : start + _LINE] for start in range(0, len(signature), _LINE)]
    return head + b"\r\n  ".join(lines) + b"\r\n"


def body_hash(content: bytes, start: int = 0) -> bytes:
    """SHA-256 of the body from `start` in relaxed form (RFC 6376 section 3.4.4)."""
    digest = hashlib.sha256()
    begun = False
    held = 0  # line ends that count only if something follows them
    position, end = start, len(content)
    while position < end:
        stop = content.find(b"\n", min(position + _CHUNK, end) - 1) + 1 or end
        piece = content[position:stop]
        position = stop
        if not piece.endswith(b"\r\n"):
            piece += b"\r\n"  # as DATA ends it
        piece = relaxed(piece)
        text = piece.rstrip(b"\r\n")
        if text:
            digest.update(b"\r\n" * held + text)
            begun, held = True, 0
        held += (len(piece) - len(text)) // 2
    if begun:
        digest.update(b"\r\n")
    return digest.digest()


def relaxed(lines: bytes) -> bytes:
    """Blanks in a row become one space, those at the ends of lines go. Each pass halves the longest row."""
    if b"\t" in lines:
        lines = lines.replace(b"\t", b" ")
    while b"  " in lines:
        lines = lines.replace(b"  ", b" ")
    return lines.replace(b" \r\n", b"\r\n")


def canonical_field(field: Field) -> bytes:
    """One field in relaxed form (RFC 6376 section 3.4.2)."""
    return field.name.encode("ascii") + b":" + _BLANKS.sub(b" ", field.value) + b"\r\n"


def _chosen(found: Sequence[Field]) -> tuple[tuple[str, ...], list[Field]]:
    """The names in `h=` and their fields; of several with one name the last comes first (section 5.4.2)."""
    present: dict[str, list[Field]] = {name: [] for name in _SEALED}
    for field in found:
        if field.name in present or field.name in _SEALED_IF_PRESENT or field.name.startswith(_RESENT):
            present.setdefault(field.name, []).append(field)
    names: list[str] = []
    chosen: list[Field] = []
    for name, those in present.items():
        names += [name] * (len(those) + (not name.startswith(_RESENT)))
        chosen += reversed(those)
    return tuple(names), chosen


def _folded_names(names: Iterable[str]) -> str:
    lines: list[str] = []
    line = ""
    for name in names:
        if line and len(line) + len(name) > _LINE:
            lines.append(line)
            line = ""
        line += f"{name}:"
    return "\r\n  ".join((*lines, line)).removesuffix(":")
