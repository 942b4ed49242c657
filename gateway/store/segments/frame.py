"""The form of one frame on disk, and where a body's frames are.

A body is a stream of frames of at most 64 KiB, in any segments. One frame, padded to whole pages so that writing it
never has to read a page first:

    header (64): magic, segment, key, index in the stream, last?, length of the text, offset, stream, and the CRC-32
        of all these
    ciphertext and tag: AES-256-GCM; nonce: the offset, which one use of a segment never gives twice; additional
        data: the header

The header tells what a page holds to whoever looks at the file alone; the truth about which frames count is in the
database. Truncation shows: the number of frames is in the database, and only the last frame says that it is the
last.
"""

from __future__ import annotations

import struct
import zlib

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.store.sealing import Damaged

FRAME_OCTETS = 64 * 1024  # of text in one frame
PAGE = 4096
_MAGIC = b"SGF1"
_HEADER = struct.Struct(">4sIIIIIQ16s12x")
_CHECK = struct.Struct(">I")
_NONCE = struct.Struct(">4xQ")
HEADER_OCTETS = _HEADER.size + _CHECK.size
_TAG_OCTETS = 16
_ZEROS = bytes(PAGE)


class Extent(msgspec.Struct, frozen=True, array_like=True):
    """Where one frame is. `length` counts the text's octets; `key` also tells one use of a segment from the next."""

    segment: int
    key: int
    offset: int
    length: int

    @property
    def room(self) -> int:
        return room(self.length)


class Located(msgspec.Struct, frozen=True, array_like=True):
    """Where one body is: all its frames in order."""

    stream: bytes
    extents: tuple[Extent, ...]


def room(length: int) -> int:
    """Octets on disk that a frame with a text of `length` octets takes."""
    return -(-(HEADER_OCTETS + length + _TAG_OCTETS) // PAGE) * PAGE


def seal_frame(
    cipher: AESGCM,
    place: Extent,
    stream: bytes,
    index: int,
    *,
    last: bool,
    text: bytes | memoryview,
    into: memoryview,
) -> None:
    """Fill `into`, which is as long as the frame's room, with the frame."""
    header = _header(place, stream, index, last=last)
    end = sealed_octets(place.length)
    into[:HEADER_OCTETS] = header
    cipher.encrypt_into(_NONCE.pack(place.offset), text, header, into[HEADER_OCTETS:end])
    into[end:] = _ZEROS[: len(into) - end]


def open_frame(
    cipher: AESGCM, place: Extent, stream: bytes, index: int, *, last: bool, found: bytes
) -> bytes:
    """The text of a frame that was read from its place. Raises `Damaged`."""
    header = _header(place, stream, index, last=last)
    if found[: len(header)] != header:
        raise Damaged(f"segment {place.segment} holds something else at {place.offset}")
    try:
        return cipher.decrypt(
            _NONCE.pack(place.offset), memoryview(found)[len(header) : sealed_octets(place.length)], header
        )
    except InvalidTag:
        raise Damaged(
            f"the frame at {place.offset} of segment {place.segment} does not match its seal"
        ) from None


def sealed_octets(length: int) -> int:
    """Octets of a frame without its padding."""
    return HEADER_OCTETS + length + _TAG_OCTETS


def _header(place: Extent, stream: bytes, index: int, *, last: bool) -> bytes:
    packed = _HEADER.pack(_MAGIC, place.segment, place.key, index, last, place.length, place.offset, stream)
    return packed + _CHECK.pack(zlib.crc32(packed))
