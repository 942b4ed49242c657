"""Documents: Microsoft's compound files (old Office, Outlook items, encrypted new Office) and PDF.

They are searched, not parsed: whether a document is encrypted stands in places that a search finds. Sources: MS-CFB,
MS-DOC 2.5.2 (fEncrypted), MS-XLS 2.4.117 (FilePass), MS-OFFCRYPTO 2.3.4, ISO 32000-1 section 7.6.
"""

from __future__ import annotations

import re
import struct

from gateway.classify.look import Look

_SECTOR = 512
_RECORD_LIMIT = 20  # records after a workbook's beginning among which FilePass stands


def _entry(name: str) -> bytes:
    """A stream's name as a compound file's directory holds it: UTF-16, followed by zeros."""
    return name.encode("utf-16-le") + b"\0\0"


# The first that is there tells the type: Outlook items may hold Word documents, not the reverse.
_STREAMS: tuple[tuple[bytes, str], ...] = (
    (_entry("EncryptedPackage"), "application/encrypted"),
    (_entry("__properties_version1.0"), "application/vnd.ms-outlook"),
    (_entry("WordDocument"), "application/msword"),
    (_entry("PowerPoint Document"), "application/vnd.ms-powerpoint"),
    (_entry("Workbook"), "application/vnd.ms-excel"),
    (_entry("Book"), "application/vnd.ms-excel"),
)
_ENCRYPTED_SUMMARY = _entry("EncryptedSummary")
_WORD = b"\xec\xa5"
_WORKBOOK = b"\x09\x08"
_FILE_PASS = 0x002F


def _pdf_name(name: str) -> bytes:
    """A pattern for a PDF name, any of whose characters may be written as #xx (ISO 32000-1 section 7.3.5)."""
    return b"/" + b"".join(rb"(?:%c|#%02x|#%02X)" % (char, char, char) for char in name.encode("ascii"))


_PDF_ENCRYPT = re.compile(_pdf_name("Encrypt") + rb"\s*(?:\d|<<)")


def look_at_pdf(octets: bytes) -> Look:
    encrypted = _PDF_ENCRYPT.search(octets) is not None
    return Look("application/pdf", encrypted=encrypted, unreadable=encrypted)


def look_at_ole(octets: bytes) -> Look:
    """A compound file by the names of its streams."""
    kind = next((kind for name, kind in _STREAMS if name in octets), "application/x-ole-storage")
    match kind:
        case "application/encrypted":
            encrypted: bool | None = True
        case "application/msword":
            encrypted = _word(octets)
        case "application/vnd.ms-excel":
            encrypted = _excel(octets)
        case _:
            encrypted = _ENCRYPTED_SUMMARY in octets
    return Look(kind, encrypted=encrypted, unreadable=bool(encrypted))


def _word(octets: bytes) -> bool | None:
    """The flag in the file information block, which begins a sector; None where none is found."""
    for start in range(_SECTOR, min(len(octets), 1 << 20), _SECTOR):
        if octets.startswith(_WORD, start) and start + 12 <= len(octets):
            return bool(struct.unpack_from("<H", octets, start + 10)[0] & 0x0100)
    return None


def _excel(octets: bytes) -> bool | None:
    """Whether a FilePass record follows the beginning of the workbook, which begins a sector."""
    for start in range(_SECTOR, min(len(octets), 1 << 20), _SECTOR):
        if octets.startswith(_WORKBOOK, start):
            return _has_file_pass(octets, start)
    return None


def _has_file_pass(octets: bytes, position: int) -> bool:
    for _ in range(_RECORD_LIMIT):
        if position + 4 > len(octets):
            return False
        kind, size = struct.unpack_from("<HH", octets, position)
        if kind == _FILE_PASS:
            return True
        position += 4 + size
    return False
