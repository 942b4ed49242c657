"""A file's type, judged by its first octets and never by its name; containers and documents are looked into.

The types are those that policies ask about: programs, archives, office documents, pictures, mail. What is none of them
is `text/plain` or `application/octet-stream`; that we have no name for it does not make it unreadable.
"""

from __future__ import annotations

import re

from gateway.classify.archives import look_at_7z, look_at_rar, look_at_zip
from gateway.classify.documents import look_at_ole, look_at_pdf
from gateway.classify.look import Look

_SNIFF = 1024  # octets in which PDF readers look for the header, and we for markup

# (octets at the start, type). The first that fits wins.
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"MZ", "application/x-dosexec"),
    (b"\x7fELF", "application/x-executable"),
    (b"\xfe\xed\xfa\xce", "application/x-mach-binary"),
    (b"\xfe\xed\xfa\xcf", "application/x-mach-binary"),
    (b"\xce\xfa\xed\xfe", "application/x-mach-binary"),
    (b"\xcf\xfa\xed\xfe", "application/x-mach-binary"),
    (b"\xca\xfe\xba\xbe", "application/x-mach-binary"),  # or a Java class: a program as well
    (b"\0asm", "application/wasm"),
    (b"L\0\0\0\x01\x14\x02\0", "application/x-ms-shortcut"),
    (b"#!", "text/x-shellscript"),
    (b"\x1f\x8b", "application/gzip"),
    (b"BZh", "application/x-bzip2"),
    (b"\xfd7zXZ\0", "application/x-xz"),
    (b"\x28\xb5\x2f\xfd", "application/zstd"),
    (b"MSCF", "application/vnd.ms-cab-compressed"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"{\\rtf", "text/rtf"),
    (b"-----BEGIN PGP MESSAGE-----", "application/pgp-encrypted"),
    (b"BEGIN:VCALENDAR", "text/calendar"),
    (b"BEGIN:VCARD", "text/vcard"),
    (b"SQLite format 3\0", "application/vnd.sqlite3"),
    (b"ID3", "audio/mpeg"),
    (b"%!PS", "application/postscript"),
)
_FIRST_OCTETS = frozenset(magic[:1] for magic, _ in _MAGIC)
# (offset, octets there, type)
_MAGIC_WITHIN: tuple[tuple[int, bytes, str], ...] = (
    (6, b"\0\0\0\0", "image/bmp"),  # only where the first two are BM, which is also how words begin
    (8, b"WEBP", "image/webp"),
    (4, b"ftyp", "video/mp4"),
    (128, b"DICM", "application/dicom"),
    (257, b"ustar", "application/x-tar"),
    (32769, b"CD001", "application/x-iso9660-image"),
)
_TNEF = b"\x78\x9f\x3e\x22"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MAIL = re.compile(
    rb"(?:Received|Return-Path|Delivered-To|From|To|Subject|Date|Message-ID|MIME-Version|Content-Type|X-[!-9;-~]+):",
    re.IGNORECASE,
)
_MAIL_LATER = re.compile(rb"\n(?:From|To|Subject|Date|Message-ID|MIME-Version):[ \t]", re.IGNORECASE)
_HTML = re.compile(
    rb"\s*(?:<!--.{0,500}?-->\s*)?<(?:!doctype\s+html|html|head|body|script)[\s>]", re.IGNORECASE | re.DOTALL
)
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def look_at(octets: bytes) -> Look:
    """The type of a file, and whether it is encrypted or cannot be looked into."""
    if octets.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")):
        return look_at_zip(octets)
    if octets.startswith(_OLE):
        return look_at_ole(octets)
    if octets.startswith(b"7z\xbc\xaf\x27\x1c"):
        return look_at_7z(octets)
    if octets.startswith(b"Rar!\x1a\x07"):
        return look_at_rar(octets)
    head = octets[:_SNIFF]
    if b"%PDF-" in head:
        return look_at_pdf(octets)
    if octets.startswith(_TNEF):
        return Look(
            "application/vnd.ms-tnef", unreadable=True
        )  # Outlook's own container; what it holds is not seen
    kind = _by_magic(octets) or _text(head)
    if kind == "application/pgp-encrypted":
        return Look(kind, encrypted=True, unreadable=True)
    return Look(kind)


def _by_magic(octets: bytes) -> str | None:
    if octets[:1] in _FIRST_OCTETS:
        for magic, kind in _MAGIC:
            if octets.startswith(magic):
                return kind
    for offset, magic, kind in _MAGIC_WITHIN:
        if octets.startswith(magic, offset) and (offset != 6 or octets.startswith(b"BM")):
            return kind
    return None


def _text(head: bytes) -> str:
    """A kind of text, or octets of no known kind. UTF-16 text has its byte order mark."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "text/plain"
    plain = head.removeprefix(b"\xef\xbb\xbf")
    if _BINARY.search(plain):
        return "application/octet-stream"
    if _HTML.match(plain):
        return "text/html"
    if plain.lstrip().startswith(b"<?xml"):
        return "image/svg+xml" if b"<svg" in plain else "text/xml"
    if b"<svg" in plain[:256]:
        return "image/svg+xml"
    if _MAIL.match(plain) and _MAIL_LATER.search(plain):
        return "message/rfc822"
    return "text/plain"
