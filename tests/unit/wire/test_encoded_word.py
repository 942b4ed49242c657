"""Encoded words: read as mail programs read them, and said where that was a guess."""

from __future__ import annotations

import pytest

from gateway.wire.charset import decode
from gateway.wire.encoded_word import Text, encode_text, read_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"plain", "plain"),
        ("gr\u00fc\u00dfe".encode(), "grüße"),
        (b"=?utf-8?q?gr=C3=BC=C3=9Fe?=", "grüße"),
        (b"=?UTF-8?B?Z3LDvMOfZQ==?=", "grüße"),
        (b"=?iso-8859-1?Q?gr=FC=DFe_dich?=", "grüße dich"),
        (b"=?utf-8*de?q?gr=C3=BC=C3=9Fe?=", "grüße"),
        (b"=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
        (b"=?utf-8?q?a?=\t  =?utf-8?b?Yg==?= c", "ab c"),
        (b"x =?utf-8?q?a?= y", "x a y"),
        (b"=?utf-8?q?=C3?= =?utf-8?q?=BC?=", "ü"),
        (b"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"),
        (b"=?gb2312?B?1tC5+g==?=", "中国"),
        (b"is 2+2=? or not?", "is 2+2=? or not?"),
        (b"[sec=?utf-8?q?ure]?= x", "[secure] x"),
    ],
)
def test_words_are_decoded(value: bytes, text: str) -> None:
    assert read_text(value) == Text(text, sound=True)


@pytest.mark.parametrize(
    "value",
    [
        b"=?x-unknown?q?abc?=",
        b"=?utf-8?q?=FF?=",
        b"=?utf-8?q?=4?=",
        b"=?utf-8?b?a?=",
        b"=?utf-8?x?abc?=",
        b"=?utf-8?q?abc",
        b"\xff\xfe",
    ],
)
def test_what_was_guessed_is_said(value: bytes) -> None:
    assert not read_text(value).sound


def test_ascii_needs_no_encoding_and_the_rest_is_folded_into_short_words() -> None:
    assert encode_text("hello") == b"hello"
    assert encode_text("=?utf-8?q?x?=").startswith(b"=?utf-8?b?")
    assert encode_text("a\r\nBcc: b").startswith(b"=?utf-8?b?")
    long = encode_text("ü" * 100)
    assert all(len(word) <= 75 for word in long.split(b"\r\n "))
    assert read_text(long.replace(b"\r\n", b"")).text == "ü" * 100


def test_only_charsets_of_mail_are_known() -> None:
    assert decode(b"abc", "UTF-8") == ("abc", True)
    for codec in ("rot13", "unicode_escape", "idna", "no-such"):
        assert decode(b"abc", codec) == ("abc", False)
