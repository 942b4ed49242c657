"""The form of one frame on disk.

A body is a stream of frames of at most 64 KiB, in any segments. One frame, padded to whole pages so that writing it
never has to read a page first:

    header (64): magic, index in the stream, last?, length of the text, key, counter, stream, and the CRC-32 of these
    ciphertext and tag: AES-256-GCM; nonce: the counter, which one key never gives twice; additional data: the header

A frame is bound to its place in its body, not to its place on disk: it can be copied to another segment as it is. The
header tells what a page holds to whoever looks at the file alone; the truth about which frames count is in the
database. Truncation shows: the number of frames is in the database, and only the last frame says that it is the
last.
"""

from __future__ import annotations

import struct
import zlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.store.back import Extent, Located
from gateway.store.troubles import Damaged

FRAME_OCTETS = 64 * 1024  # of text in one frame
PAGE = 4096
_MAGIC = b"SGF2"
_HEADER = struct.Struct(">4sIIIQQ16s12x")
_CHECK = struct.Struct(">I")
_NONCE = struct.Struct(">4xQ")
HEADER_OCTETS = _HEADER.size + _CHECK.size
_TAG_OCTETS = 16
_ZEROS = bytes(PAGE)


def room(length: int) -> int:
    """Octets on disk that a frame with a text of `length` octets takes."""
    return -(-(HEADER_OCTETS + length + _TAG_OCTETS) // PAGE) * PAGE


def sealed_octets(length: int) -> int:
    """Octets of a frame without its padding."""
    return HEADER_OCTETS + length + _TAG_OCTETS


def seal_frame(
    cipher: AESGCM,
    key: int,
    counter: int,
    stream: bytes,
    index: int,
    *,
    last: bool,
    text: bytes | memoryview,
    into: memoryview,
) -> None:
    """Fill `into`, which is as long as the frame's room, with the frame."""
    header = _packed(index, last, len(text), key, counter, stream)
    end = sealed_octets(len(text))
    into[:HEADER_OCTETS] = header
    cipher.encrypt_into(_NONCE.pack(counter), text, header, into[HEADER_OCTETS:end])
    into[end:] = _ZEROS[: len(into) - end]


def open_frame(cipher: AESGCM, located: Located, index: int, found: bytes) -> bytes:
    """The text of one of a body's frames, read from its place. Raises `Damaged`."""
    place = located.extents[index]
    counter = _counter_of(located, index, found)
    try:
        return cipher.decrypt(
            _NONCE.pack(counter),
            memoryview(found)[HEADER_OCTETS : sealed_octets(place.length)],
            found[:HEADER_OCTETS],
        )
    except InvalidTag:
        raise _damaged(place, "does not match its seal") from None


def is_whole(located: Located, index: int, found: bytes) -> bool:
    """Whether what was read there is headed as that frame: what can be said without its key."""
    try:
        _counter_of(located, index, found)
    except Damaged:
        return False
    return True


def _counter_of(located: Located, index: int, found: bytes) -> int:
    place = located.extents[index]
    if len(found) < sealed_octets(place.length):
        raise _damaged(place, "is cut short")
    counter = int(_HEADER.unpack_from(found)[5])
    last = index == len(located.extents) - 1
    if found[:HEADER_OCTETS] != _packed(index, last, place.length, place.key, counter, located.stream):
        raise _damaged(place, "is something else")
    return counter


def _damaged(place: Extent, what: str) -> Damaged:
    return Damaged(f"the frame at {place.offset} of segment {place.segment} {what}")


def _packed(index: int, last: bool, length: int, key: int, counter: int, stream: bytes) -> bytes:
    packed = _HEADER.pack(_MAGIC, index, last, length, key, counter, stream)
    return packed + _CHECK.pack(zlib.crc32(packed))
