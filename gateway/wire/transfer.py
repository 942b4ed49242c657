"""Content transfer encodings (RFC 2045 section 6): decoding as lenient as mail programs are, and plain encoding.

Decoding never fails: it gives what a reader would see, and says where that was malformed.
"""

from __future__ import annotations

import binascii
import re
from typing import NamedTuple

import pybase64

DECODE_LIMIT = 1 << 27  # octets of one encoded body; what is larger is not looked into

_BROKEN_ESCAPE = re.compile(rb"=(?![0-9A-Fa-f]{2}|[ \t]*\r?\n|[ \t]*\Z)")
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_BLANKS = b"\r\n \t"
_BASE64_LINE = 57  # octets that fill a line of 76 characters


class Decoded(NamedTuple):
    octets: bytes
    problem: str | None = None


def decode(raw: bytes, encoding: str) -> Decoded:
    """The octets of a body in this (lower-case) encoding."""
    if len(raw) > DECODE_LIMIT:
        return Decoded(b"", f"more than {DECODE_LIMIT} octets")
    match encoding:
        case "7bit" | "8bit" | "binary":
            return Decoded(raw)
        case "base64":
            return _base64(raw)
        case "quoted-printable":
            broken = _BROKEN_ESCAPE.search(raw) is not None
            return Decoded(binascii.a2b_qp(raw), "malformed quoted-printable" if broken else None)
        case _:
            return Decoded(raw, "unknown transfer encoding")


def encode_base64(octets: bytes) -> bytes:
    """Base64 in lines of 76 characters, each with its CRLF."""
    lines = [
        binascii.b2a_base64(octets[start : start + _BASE64_LINE], newline=False)
        for start in range(0, len(octets), _BASE64_LINE)
    ]
    return b"".join(line + b"\r\n" for line in lines)


def encode_quoted_printable(text: bytes) -> bytes:
    """Quoted-printable of text in canonical lines, which stay lines."""
    encoded = binascii.b2a_qp(text.replace(b"\r\n", b"\n"), quotetabs=False, istext=True, header=False)
    return encoded.replace(b"\n", b"\r\n")


def _base64(raw: bytes) -> Decoded:
    """What keeps to the rules (the alphabet, padding at the end, blanks) is decoded strictly, which is fast.

    For the rest the decoder skips whatever is not of the alphabet; whether there was such a thing is counted beside it.
    """
    try:
        return Decoded(pybase64.b64decode(raw.translate(None, _BLANKS), validate=True))
    except binascii.Error:
        return _loose_base64(raw)


def _loose_base64(raw: bytes) -> Decoded:
    rest = raw.translate(None, _ALPHABET)
    padding = rest.count(b"=")
    sound = (
        not rest.strip(_BLANKS + b"=")
        and padding <= 2
        and (len(raw) - len(rest) + padding) % 4 == 0
        and raw.rstrip(_BLANKS).endswith(b"=" * padding)
    )
    try:
        if sound:
            return Decoded(binascii.a2b_base64(raw))
        return Decoded(binascii.a2b_base64(raw + b"==="), "malformed base64")
    except binascii.Error:
        return Decoded(b"", "malformed base64")
