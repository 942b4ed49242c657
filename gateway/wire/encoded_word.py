"""Encoded words (RFC 2047) in unstructured fields and display names: octets in, text out.

Reading is as lenient as mail programs are, because a subject that the reader's program understands must not escape
the rules; what could not be read for certain is said. Decoding is linear in the input. `encode_text` writes the only
form that every reader agrees on.
"""

from __future__ import annotations

import binascii
import re
from typing import NamedTuple

from gateway.wire.charset import decode as decode_charset

_WORD = re.compile(rb"=\?([!-)+->@-~]{1,40})(?:\*[!-)+->@-~]{0,40})?\?([bBqQ])\?([^?\r\n]*)\?=")
_BROKEN_WORD = re.compile(r"=\?[^?\s]+\?[^?\s]*\?")  # what a lenient reader might still take for one
_Q_OCTET = re.compile(rb"=([0-9A-Fa-f]{2})")
_WORD_LIMIT, _LINE_LIMIT = 75, 76  # characters of an encoded word, and of a line with one, RFC 2047 section 2


class Text(NamedTuple):
    """Decoded text. `sound` is False where some of it was malformed, or in a charset that we do not know."""

    text: str
    sound: bool


def decode_text(value: bytes) -> str:
    """The text of an unfolded value; what cannot be decoded appears as replacement characters or as it was written."""
    return read_text(value).text


def read_text(value: bytes) -> Text:
    """The text of an unfolded value, and whether all of it could be read.

    White space between two encoded words is no text (section 6.2). Adjacent words of one charset are joined before
    they are decoded: senders split characters between words, against section 5, and readers put them together.
    """
    if b"=?" not in value:
        return _raw(value)
    pieces: list[str] = []
    sound = True
    held: list[bytes] = []  # decoded octets of adjacent words in `charset`
    charset = ""
    position = 0
    for match in _WORD.finditer(value):
        between = value[position : match.start()]
        label = match[1].decode("ascii").lower()
        if held and (between.strip(b" \t") or label != charset):
            sound &= _settle(held, charset, pieces)
        if between.strip(b" \t") or not position:
            sound &= _append_raw(between, pieces)
        octets, well_formed = _octets(match[2], match[3])
        sound &= well_formed
        held.append(octets)
        charset = label
        position = match.end()
    sound &= _settle(held, charset, pieces)
    sound &= _append_raw(value[position:], pieces)
    return Text("".join(pieces), sound)


def encode_text(text: str, used: int = 0) -> bytes:
    """Text for an unstructured field: as it is where it is ASCII, else UTF-8 in base64 words, folded between them.

    `used` are the columns of the first line that are taken already, by the field's name.
    """
    if text.isascii() and text.isprintable() and "=?" not in text:
        return text.encode("ascii")
    room = _room(used)
    words: list[bytes] = []
    piece = b""
    for char in text:
        octets = char.encode("utf-8", "replace")
        if len(piece) + len(octets) > room:
            words.append(piece)
            piece, room = b"", _room(1)
        piece += octets
    words.append(piece)
    return b"\r\n ".join(b"=?utf-8?b?" + binascii.b2a_base64(word, newline=False) + b"?=" for word in words)


def _room(used: int) -> int:
    """Octets that fit into one word, of three for each four characters."""
    return max((min(_WORD_LIMIT, _LINE_LIMIT - used) - len("=?utf-8?b??=")) // 4 * 3, 6)


def _settle(held: list[bytes], charset: str, pieces: list[str]) -> bool:
    if not held:
        return True
    text, sound = decode_charset(b"".join(held), charset)
    pieces.append(text)
    held.clear()
    return sound


def _append_raw(value: bytes, pieces: list[str]) -> bool:
    text, sound = _raw(value)
    pieces.append(text)
    return sound and not _BROKEN_WORD.search(text)


def _raw(value: bytes) -> Text:
    """Octets outside encoded words: ASCII or UTF-8 (RFC 6532); anything else is guessed as readers guess."""
    try:
        return Text(value.decode(), sound=True)
    except UnicodeDecodeError:
        return Text(value.decode("cp1252", "replace"), sound=False)


def _octets(encoding: bytes, text: bytes) -> tuple[bytes, bool]:
    if encoding in b"qQ":
        plain = text.replace(b"_", b" ")
        decoded = _Q_OCTET.sub(lambda match: bytes((int(match[1], 16),)), plain)
        return decoded, plain.count(b"=") == len(_Q_OCTET.findall(plain))
    compact = text.translate(None, b" \t")
    try:
        return binascii.a2b_base64(compact, strict_mode=True), True
    except binascii.Error:
        pass
    try:
        return binascii.a2b_base64(compact + b"==="), False
    except binascii.Error:
        return b"", False
