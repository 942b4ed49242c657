"""Re-encoding what a hop cannot carry: 8-bit content for a server without 8BITMIME, lines over 998 octets.

Only what is wrong changes: a leaf's body gets another transfer encoding and its header says so; a long header line is
folded. Where that is not possible without breaking something (a signature, a structure that readers differ about),
the answer is None and the message must not travel this way. Sources: RFC 6152 section 3, RFC 2045 section 6.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gateway.wire.fold import fold
from gateway.wire.header import HeaderError, fields, line_problem, long_line
from gateway.wire.mime import Part, index
from gateway.wire.transfer import decode, encode_base64, encode_quoted_printable

_ASCII = bytes(range(128))
_FIELD_NAME = b"Content-Transfer-Encoding"
_SEALED = frozenset({"multipart/signed", "multipart/encrypted"})


def to_seven_bit(content: bytes) -> bytes | None:
    """The message in 7-bit octets; None where that would break it (5.6.3), 8-bit header fields among the reasons."""
    if content.isascii():
        return content
    recoded = _recode(content, lambda octets: not octets.isascii(), _no_header)
    return recoded if recoded is not None and recoded.isascii() else None


def repair_long_lines(content: bytes) -> bytes | None:
    """The message with no line over 998 octets; None where that would break it."""
    if long_line(content) < 0:
        return content
    recoded = _recode(content, lambda octets: long_line(octets) >= 0, _folded)
    return recoded if recoded is not None and line_problem(recoded) is None else None


class _Edit(NamedTuple):
    start: int
    end: int
    octets: bytes


class _Broken(Exception):
    """The message cannot be re-encoded."""


def _recode(
    content: bytes, wrong: Callable[[bytes], bool], mend_header: Callable[[bytes], bytes]
) -> bytes | None:
    edits: list[_Edit] = []
    try:
        _visit(content, index(content), wrong, mend_header, edits)
    except (_Broken, HeaderError):
        return None
    pieces: list[bytes] = []
    position = 0
    for edit in edits:
        pieces += (content[position : edit.start], edit.octets)
        position = edit.end
    pieces.append(content[position:])
    return b"".join(pieces)


def _visit(
    content: bytes,
    part: Part,
    wrong: Callable[[bytes], bool],
    mend_header: Callable[[bytes], bytes],
    edits: list[_Edit],
) -> None:
    """Add the edits of a part and all below it, in order."""
    if not wrong(content[part.start : part.end]):
        return
    if part.problem is not None or part.type in _SEALED:
        raise _Broken
    header, body = content[part.start : part.body], content[part.body : part.end]
    mended = mend_header(header) if wrong(header) else header
    if part.children:
        mended = _with_encoding(mended, b"7bit") if part.encoding in {"8bit", "binary"} else mended
        edits.append(_Edit(part.start, part.body, mended))
        for child in part.children:
            _visit(content, child, wrong, mend_header, edits)
        return
    if wrong(body):
        body, encoding = _encoded(part, body)
        mended = _with_encoding(mended, encoding)
    edits.append(_Edit(part.start, part.end, mended + body))


def _encoded(part: Part, body: bytes) -> tuple[bytes, bytes]:
    """A leaf's body in a safe encoding, and that encoding's name."""
    octets, problem = decode(body, part.encoding)
    if problem is not None:
        raise _Broken
    if part.encoding == "base64" or not part.type.startswith("text/"):
        return encode_base64(octets), b"base64"
    if 3 * len(octets.translate(None, _ASCII)) > len(octets):
        return encode_base64(octets), b"base64"  # shorter for text that is mostly not ASCII
    return encode_quoted_printable(octets), b"quoted-printable"


def _with_encoding(header: bytes, encoding: bytes) -> bytes:
    """The header block with that transfer encoding, in the field's old place or as the last one."""
    line = _FIELD_NAME + b": " + encoding + b"\r\n"
    found = [field for field in fields(header) if field.name == "content-transfer-encoding"]
    if found:
        kept = header
        for field in reversed(found):
            kept = kept[: field.start] + kept[field.end :]
        return kept[: found[0].start] + line + kept[found[0].start :]
    if header.endswith(b"\r\n\r\n"):
        return header[:-2] + line + b"\r\n"
    if header == b"\r\n":
        return line + b"\r\n"
    raise _Broken  # a header without its empty line has no body to encode


def _no_header(header: bytes) -> bytes:
    raise _Broken


def _folded(header: bytes) -> bytes:
    pieces: list[bytes] = []
    for field in fields(header):
        raw = header[field.start : field.end]
        folded: bytes | None = raw
        if long_line(raw) >= 0:
            folded = fold(raw[: raw.index(b":")], field.value)
        if folded is None:
            raise _Broken
        pieces.append(folded)
    return b"".join(pieces) + header[sum(field.end - field.start for field in fields(header)) :]
