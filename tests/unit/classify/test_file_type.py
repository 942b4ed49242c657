"""Files judged by their octets: type, encryption, and what cannot be looked into."""

from __future__ import annotations

import pytest

from gateway.classify.file_type import look_at
from gateway.classify.look import Look
from tests.unit.classify.samples import compound, excel, rar4, rar5, seven_zip, word, zipped

OFFICE = "application/vnd.openxmlformats-officedocument."
TYPES = "[Content_Types].xml"


@pytest.mark.parametrize(
    ("octets", "kind"),
    [
        (b"MZ\x90\0\x03", "application/x-dosexec"),
        (b"\x7fELF\x02\x01\x01", "application/x-executable"),
        (b"\xcf\xfa\xed\xfe\x07", "application/x-mach-binary"),
        (b"\xca\xfe\xba\xbe\0\0", "application/x-mach-binary"),
        (b"L\0\0\0\x01\x14\x02\0\0\0", "application/x-ms-shortcut"),
        (b"#!/bin/sh\n", "text/x-shellscript"),
        (b"\x1f\x8b\x08\0", "application/gzip"),
        (b"BZh91AY", "application/x-bzip2"),
        (b"\xfd7zXZ\0\0", "application/x-xz"),
        (b"\x28\xb5\x2f\xfd\x04", "application/zstd"),
        (b"MSCF\0\0\0\0", "application/vnd.ms-cab-compressed"),
        (b"\x89PNG\r\n\x1a\n\0", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a\x01", "image/gif"),
        (b"II*\0\x08", "image/tiff"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp"),
        (b"BM\x9a\0\0\0\0\0\0\0", "image/bmp"),
        (b"BMW is a car maker", "text/plain"),
        (b"\0\0\0\x18ftypmp42", "video/mp4"),
        (b"\0" * 128 + b"DICM", "application/dicom"),
        (b"a" * 257 + b"ustar\0", "application/x-tar"),
        (b"{\\rtf1\\ansi", "text/rtf"),
        (b"SQLite format 3\0", "application/vnd.sqlite3"),
        (b"BEGIN:VCALENDAR\r\n", "text/calendar"),
        (b"<!DOCTYPE html><p>", "text/html"),
        (b"\xef\xbb\xbf \r\n<HTML >", "text/html"),
        (b"<!-- x --><script src='y'>", "text/html"),
        (b"<?xml version='1.0'?><a/>", "text/xml"),
        (b"<?xml version='1.0'?><svg/>", "image/svg+xml"),
        (b"<svg xmlns='x'>", "image/svg+xml"),
        (b"Received: from x\r\nFrom: a@example.org\r\n\r\nhi", "message/rfc822"),
        (b"Subject: matters\r\nare discussed here", "text/plain"),
        ("grüße".encode(), "text/plain"),
        (b"\xff\xfeh\0i\0", "text/plain"),
        (b"", "text/plain"),
        (b"\x01\x02\x03", "application/octet-stream"),
        (b"%PDF-1.7\n", "application/pdf"),
        (b"junk before\n%PDF-1.4\n", "application/pdf"),
    ],
)
def test_types_by_content(octets: bytes, kind: str) -> None:
    assert look_at(octets) == Look(kind)


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("a.txt",), "application/zip"),
        ((TYPES, "word/document.xml"), OFFICE + "wordprocessingml.document"),
        ((TYPES, "xl/workbook.xml"), OFFICE + "spreadsheetml.sheet"),
        (("ppt/presentation.xml", TYPES), OFFICE + "presentationml.presentation"),
        ((TYPES, "other.xml"), "application/zip"),
        (("word/document.xml",), "application/zip"),
        (("META-INF/MANIFEST.MF", "A.class"), "application/java-archive"),
        (("AndroidManifest.xml",), "application/vnd.android.package-archive"),
    ],
)
def test_what_is_a_zip_underneath_is_told_by_its_entries(names: tuple[str, ...], kind: str) -> None:
    assert look_at(zipped(*names)) == Look(kind)


def test_open_document_says_its_type_in_its_first_entry() -> None:
    octets = zipped("mimetype", "content.xml").replace(
        b"content", b"application/vnd.oasis.opendocument.text", 1
    )

    assert look_at(octets).type.startswith("application/vnd.oasis.opendocument.text")


@pytest.mark.parametrize("flags", [0x0001, 0x0041, 0x2001])
def test_an_encrypted_zip_is_unreadable(flags: int) -> None:
    assert look_at(zipped("a.txt", flags=flags)) == Look("application/zip", encrypted=True, unreadable=True)


@pytest.mark.parametrize(
    "octets",
    [
        zipped("a.txt")[:-10],
        zipped("a.txt").replace(b"PK\x01\x02", b"PK\x01\x03"),
        zipped("a.txt", "b.txt").replace(
            b"\2\0\2\0", b"\1\0\1\0"
        ),  # an entry that the directory does not count
        b"PK\x03\x04",
        b"PK\x05\x06" + b"\xff" * 18,
    ],
)
def test_a_damaged_zip_is_unreadable_and_may_be_encrypted(octets: bytes) -> None:
    assert look_at(octets) == Look("application/zip", encrypted=None, unreadable=True)


@pytest.mark.parametrize(
    ("octets", "look"),
    [
        (compound("WordDocument"), Look("application/msword", encrypted=None)),
        (word(encrypted=False), Look("application/msword", encrypted=False)),
        (word(encrypted=True), Look("application/msword", encrypted=True, unreadable=True)),
        (excel(encrypted=False), Look("application/vnd.ms-excel")),
        (excel(encrypted=True), Look("application/vnd.ms-excel", encrypted=True, unreadable=True)),
        (compound("PowerPoint Document"), Look("application/vnd.ms-powerpoint")),
        (
            compound("PowerPoint Document", "EncryptedSummary"),
            Look("application/vnd.ms-powerpoint", encrypted=True, unreadable=True),
        ),
        (compound("__properties_version1.0", "WordDocument"), Look("application/vnd.ms-outlook")),
        (
            compound("EncryptionInfo", "EncryptedPackage"),
            Look("application/encrypted", encrypted=True, unreadable=True),
        ),
        (compound("Something"), Look("application/x-ole-storage")),
    ],
)
def test_compound_files(octets: bytes, look: Look) -> None:
    assert look_at(octets) == look


@pytest.mark.parametrize("name", [b"/Encrypt", b"/#45ncrypt", b"/Encryp#74", b"/#45#6e#63#72#79#70#74"])
@pytest.mark.parametrize("value", [b" 5 0 R", b"<</Filter/Standard>>", b"\r\n12 0 R"])
def test_an_encrypted_pdf_is_unreadable(name: bytes, value: bytes) -> None:
    octets = b"%PDF-1.7\ntrailer<</Root 1 0 R" + name + value + b">>"

    assert look_at(octets) == Look("application/pdf", encrypted=True, unreadable=True)


def test_a_pdf_that_only_talks_of_encryption_is_not_encrypted() -> None:
    assert look_at(b"%PDF-1.7\n(/Encrypted /EncryptMetadata true)") == Look("application/pdf")


@pytest.mark.parametrize(
    ("octets", "encrypted"),
    [
        (seven_zip(b"\x01\x04\x06"), False),
        (seven_zip(b"\x17\x06\x10"), None),
        (seven_zip(b"\x17\x06\x06\xf1\x07\x01"), True),
        (seven_zip(b"\x01")[:-1], None),
        (b"7z\xbc\xaf\x27\x1c", None),
        (rar4(), False),
        (rar4(file_flags=4), True),
        (rar4(archive_flags=0x80), True),
        (rar4()[:19], None),
        (rar5(), False),
        (rar5(file_encrypted=True), True),
        (rar5(header_encrypted=True), True),
        (rar5()[:-1], None),
        (b"Rar!\x1a\x07\x01\0\0\0\0\0\xff\xff", None),
    ],
)
def test_archives_say_whether_they_are_encrypted(octets: bytes, encrypted: bool | None) -> None:
    assert look_at(octets).encrypted is encrypted


@pytest.mark.parametrize("octets", [b"\x78\x9f\x3e\x22\x01", b"-----BEGIN PGP MESSAGE-----\r\n"])
def test_containers_that_hide_their_content_are_unreadable(octets: bytes) -> None:
    assert look_at(octets).unreadable
