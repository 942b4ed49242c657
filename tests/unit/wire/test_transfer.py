"""Transfer encodings: decoded as readers do, with a word on what was malformed."""

from __future__ import annotations

import pytest

from gateway.wire.transfer import Decoded, decode, encode_base64, encode_quoted_printable


@pytest.mark.parametrize("encoding", ["7bit", "8bit", "binary"])
def test_plain_encodings_change_nothing(encoding: str) -> None:
    raw = b"\xfc\r\n"

    assert decode(raw, encoding).octets is raw


def test_base64_is_decoded_across_lines_and_blanks() -> None:
    assert decode(b"aGVs\r\nbG8g\t \r\nd29y\r\nbGQ=\r\n", "base64") == Decoded(b"hello world")
    assert decode(b"", "base64") == Decoded(b"")


@pytest.mark.parametrize(
    ("raw", "octets"),
    [
        (b"aGVsbG8", b"hello"),
        (b"aGVs!bG8=", b"hello"),
        (b"aGVsbG8=\r\n-- \r\nlist footer", b"hello"),
        (b"a", b""),
        (b"====", b""),
        (b"QQ=\r\n=QQ", b"A"),
    ],
)
def test_malformed_base64_gives_what_readers_see_and_is_reported(raw: bytes, octets: bytes) -> None:
    assert decode(raw, "base64") == Decoded(octets, "malformed base64")


def test_quoted_printable_is_decoded() -> None:
    assert decode(b"gr=C3=BC=\r\n=c3=9fe \r\n", "quoted-printable").octets == "grüße".encode() + b" \r\n"
    assert decode(b"a=\r\nb= \r\nc=", "quoted-printable").problem is None
    assert decode(b"a=ZZ", "quoted-printable").problem == "malformed quoted-printable"


def test_an_unknown_encoding_is_reported_and_nothing_is_lost() -> None:
    assert decode(b"abc", "x-uuencode") == Decoded(b"abc", "unknown transfer encoding")


def test_encoding_gives_short_lines_with_line_breaks() -> None:
    encoded = encode_base64(bytes(range(256)))
    assert decode(encoded, "base64") == Decoded(bytes(range(256)))
    assert encoded.endswith(b"\r\n")
    assert max(map(len, encoded.split(b"\r\n"))) == 76

    text = ("grüße " * 40 + "\r\n\r\n.\r\nFrom x \r\n").encode()
    quoted = encode_quoted_printable(text)
    assert decode(quoted, "quoted-printable") == Decoded(text)
    assert max(map(len, quoted.split(b"\r\n"))) <= 76
