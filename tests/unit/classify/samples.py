"""Small files of many kinds, made here octet by octet, and the envelope and messages that carry them."""

from __future__ import annotations

import base64
import io
import struct
import zipfile
from datetime import UTC, datetime

from gateway.model.address import Address
from gateway.model.envelope import Client, Envelope, Recipient

SENDER = Address("ann", "example.org")
OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def envelope(sender: Address | None = SENDER) -> Envelope:
    return Envelope(
        id="01hxyz",
        accepted_at=datetime(2024, 5, 14, 8, tzinfo=UTC),
        client=Client(
            ip="192.0.2.1",
            port=4711,
            helo="mail.example.org",
            listener="smarthost",
            connector="exchange",
            authenticated_as="relay",
        ),
        sender=sender,
        recipients=(Recipient(Address("bob", "example.com")), Recipient(Address("eve", "example.com"))),
        size=1234,
        sha256=b"",
        stream="bulk",
        requiretls=True,
    )


def message(*lines: str | bytes) -> bytes:
    return b"\r\n".join(line.encode() if isinstance(line, str) else line for line in lines) + b"\r\n"


def with_file(octets: bytes, name: str = "file.bin", declared: str = "application/octet-stream") -> bytes:
    """A message with a text and one file."""
    return message(
        "From: ann@example.org",
        "Content-Type: multipart/mixed; boundary=b",
        "",
        "--b",
        "",
        "see attached",
        "--b",
        f"Content-Type: {declared}",
        f'Content-Disposition: attachment; filename="{name}"',
        "Content-Transfer-Encoding: base64",
        "",
        base64.encodebytes(octets).replace(b"\n", b"\r\n").rstrip(),
        "--b--",
    )


def zipped(*names: str, flags: int = 0) -> bytes:
    """A zip with empty-ish entries; `flags` are set in every entry's general purpose bits."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), b"content")
    octets = bytearray(buffer.getvalue())
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = octets.find(magic)
        while at >= 0:
            octets[at + offset : at + offset + 2] = struct.pack("<H", flags)
            at = octets.find(magic, at + 4)
    return bytes(octets)


def compound(*streams: str, sector: bytes = b"") -> bytes:
    """Something that looks like a compound file with these streams and one sector of content."""
    directory = b"".join((name.encode("utf-16-le")).ljust(128, b"\0") for name in streams)
    return OLE_MAGIC.ljust(512, b"\0") + sector.ljust(512, b"\0") + directory


def word(*, encrypted: bool) -> bytes:
    return compound(
        "WordDocument", sector=b"\xec\xa5\xc1\0" + b"\0" * 6 + struct.pack("<H", 0x0100 if encrypted else 0)
    )


def excel(*, encrypted: bool) -> bytes:
    bof = struct.pack("<HH16x", 0x0809, 16)
    second = struct.pack("<HH6x", 0x002F if encrypted else 0x00E1, 6)
    return compound("Workbook", sector=bof + second)


def seven_zip(header: bytes) -> bytes:
    return b"7z\xbc\xaf\x27\x1c\0\x04" + b"\0" * 4 + struct.pack("<QQI", 4, len(header), 0) + b"data" + header


def rar4(*, archive_flags: int = 0, file_flags: int = 0) -> bytes:
    main = struct.pack("<HBHH6x", 0, 0x73, archive_flags, 13)
    entry = struct.pack("<HBHHI", 0, 0x74, file_flags | 0x8000, 32, 5).ljust(32, b"\0") + b"xxxxx"
    end = struct.pack("<HBHH", 0, 0x7B, 0, 7)
    return b"Rar!\x1a\x07\0" + main + entry + end


def rar5(*, header_encrypted: bool = False, file_encrypted: bool = False) -> bytes:
    def block(kind: int, flags: int, rest: bytes = b"") -> bytes:
        body = bytes((kind, flags)) + rest
        return b"\0\0\0\0" + bytes((len(body),)) + body

    if header_encrypted:
        return b"Rar!\x1a\x07\x01\0" + block(4, 0, b"\0\0")
    extra = b"\x02\x01\0" if file_encrypted else b""
    entry = block(
        2, 3 if extra else 2, (bytes((len(extra),)) if extra else b"") + b"\x05" + b"\0\0\0\0" + extra
    )
    return b"Rar!\x1a\x07\x01\0" + block(1, 0, b"\0") + entry + b"xxxxx" + block(5, 0, b"\0")
