"""Archives: zip (and what is a zip underneath: office documents, Java programs), 7z and rar.

Only directories are read, nothing is unpacked. `encrypted` is True if any entry is: what is hidden in one entry is
hidden. Sources: PKWARE APPNOTE 6.3, 7zFormat.txt of the LZMA SDK, RAR 5.0 and RAR 4 technical notes.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from gateway.classify.look import Look

ENTRY_LIMIT = (
    20_000  # directory entries of one archive that are read; more are not looked at, and that is said
)

_OFFICE = "application/vnd.openxmlformats-officedocument."
_KINDS_BY_ENTRY: tuple[tuple[bytes, str], ...] = (
    (b"word/", _OFFICE + "wordprocessingml.document"),
    (b"xl/", _OFFICE + "spreadsheetml.sheet"),
    (b"ppt/", _OFFICE + "presentationml.presentation"),
    (b"visio/", "application/vnd.ms-visio.drawing"),
)
_MIMETYPE = re.compile(rb"mimetype(?:application/[a-z0-9.+-]{1,80})", re.IGNORECASE)
_DIRECTORY_ENTRY = struct.Struct("<4s2x2xHHHHIIIHHHHHII")
_DIRECTORY_END = struct.Struct("<4sHHHHIIH")
_7Z_AES = b"\x06\xf1\x07\x01"


def look_at_zip(octets: bytes) -> Look:
    """A zip by the names in its central directory; unreadable where there is no sound one."""
    encrypted = False
    names: list[bytes] = []
    try:
        for flags, name in _zip_entries(octets):
            encrypted |= bool(flags & 0x2041)  # bits 0 encrypted, 6 strongly, 13 names masked
            names.append(name)
    except (struct.error, ValueError):
        first_is_encrypted = octets.startswith(b"PK\x03\x04") and len(octets) > 6 and octets[6] & 1
        return Look(
            "application/zip", encrypted=True if encrypted or first_is_encrypted else None, unreadable=True
        )
    return Look(_zip_kind(octets, names), encrypted=encrypted, unreadable=encrypted)


def _zip_entries(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """(flags, name) of each entry of the central directory; ValueError or struct.error where it is not sound."""
    at = octets.rfind(b"PK\x05\x06")
    if at < 0:
        raise ValueError("no end of central directory")
    _, _, _, _, count, size, offset, _ = _DIRECTORY_END.unpack_from(octets, at)
    if count == 0xFFFF or offset == 0xFFFFFFFF:
        raise ValueError("zip64")
    position = at - size  # rather than `offset`, which is wrong where something stands before the archive
    if position < 0 or count > ENTRY_LIMIT:
        raise ValueError("directory out of bounds")
    for _ in range(count):
        entry = _DIRECTORY_ENTRY.unpack_from(octets, position)
        signature, flags, name_length, extra_length, comment_length = (
            entry[0],
            entry[1],
            entry[8],
            entry[9],
            entry[10],
        )
        if signature != b"PK\x01\x02":
            raise ValueError("directory entry expected")
        start = position + _DIRECTORY_ENTRY.size
        yield flags, octets[start : start + name_length]
        position = start + name_length + extra_length + comment_length
    if position != at:
        raise ValueError("directory does not end where it should")


def _zip_kind(octets: bytes, names: list[bytes]) -> str:
    found = set(names)
    if b"[Content_Types].xml" in found:
        for prefix, kind in _KINDS_BY_ENTRY:
            if any(name.startswith(prefix) for name in names):
                return kind
        return "application/zip"
    if b"AndroidManifest.xml" in found:
        return "application/vnd.android.package-archive"
    if b"META-INF/MANIFEST.MF" in found:
        return "application/java-archive"
    stored = _MIMETYPE.match(octets, 30)  # OpenDocument and EPUB: first entry, stored, without extra field
    if stored is not None:
        return stored[0][len(b"mimetype") :].decode("ascii").lower()
    return "application/zip"


def look_at_7z(octets: bytes) -> Look:
    """A 7z by its end header. Where that is packed without encryption, its entries may still be encrypted: unknown."""
    kind = "application/x-7z-compressed"
    try:
        offset, size = struct.unpack_from("<QQ", octets, 12)
    except struct.error:
        return Look(kind, encrypted=None, unreadable=True)
    header = octets[32 + offset : 32 + offset + min(size, 1 << 20)]
    if not header or len(header) != size:
        return Look(kind, encrypted=None, unreadable=True)
    if _7Z_AES in header:
        return Look(kind, encrypted=True, unreadable=True)
    return Look(kind, encrypted=False if header[0] == 1 else None)


def look_at_rar(octets: bytes) -> Look:
    """A rar by its block headers."""
    try:
        encrypted = any(_rar5(octets) if octets.startswith(b"Rar!\x1a\x07\x01\0") else _rar4(octets))
    except (struct.error, ValueError, IndexError):
        return Look("application/x-rar", encrypted=None, unreadable=True)
    return Look("application/x-rar", encrypted=encrypted, unreadable=encrypted)


def _rar4(octets: bytes) -> Iterator[bool]:
    """Whether each block says that something is encrypted."""
    position = 7
    for _ in range(ENTRY_LIMIT):
        if position == len(octets):
            return  # old archives have no end block
        kind, flags, size = struct.unpack_from("<2xBHH", octets, position)
        if size < 7:
            raise ValueError("block too small")
        if kind == 0x73:
            yield bool(flags & 0x80)  # headers encrypted
        elif kind == 0x74:
            yield bool(flags & 0x04)  # file encrypted
        elif kind == 0x7B:
            return
        more = struct.unpack_from("<I", octets, position + 7)[0] if kind == 0x74 or flags & 0x8000 else 0
        position += size + more
    raise ValueError("too many blocks")


def _rar5(octets: bytes) -> Iterator[bool]:
    position = 8
    for _ in range(ENTRY_LIMIT):
        size, start = _vint(octets, position + 4)
        kind, at = _vint(octets, start)
        flags, at = _vint(octets, at)
        extra_size = data_size = 0
        if flags & 1:
            extra_size, at = _vint(octets, at)
        if flags & 2:
            data_size, at = _vint(octets, at)
        end = start + size
        if end > len(octets):
            raise ValueError("block is cut off")
        if kind == 4:
            yield True  # archive encryption header: everything after it is
            return
        if kind == 5:
            return
        if kind in {2, 3}:
            yield any(record == 1 for record in _rar5_records(octets, end - extra_size, end))
        if end + data_size <= position:
            raise ValueError("block goes nowhere")
        position = end + data_size
    raise ValueError("too many blocks")


def _rar5_records(octets: bytes, position: int, end: int) -> Iterator[int]:
    """Types of a file header's extra records; 1 is encryption."""
    while position < end:
        size, start = _vint(octets, position)
        kind, _ = _vint(octets, start)
        yield kind
        position = start + size


def _vint(octets: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        octet = octets[position]
        position += 1
        value |= (octet & 0x7F) << shift
        if octet < 0x80:
            return value, position
        shift += 7
    raise ValueError("number too long")
