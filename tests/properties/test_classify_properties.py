"""Whatever a stranger sends has facts, in bounded time; and nothing hides by being malformed."""

from __future__ import annotations

import binascii

from hypothesis import given
from hypothesis import strategies as st

from gateway.classify.file_type import look_at
from gateway.classify.message import classify
from gateway.wire.mime import Part, index, walk
from gateway.wire.parameters import parse
from gateway.wire.recode import repair_long_lines, to_seven_bit
from gateway.wire.transfer import Decoded, decode, encode_base64, encode_quoted_printable
from tests.unit.classify.samples import (
    compound,
    envelope,
    excel,
    rar4,
    rar5,
    seven_zip,
    with_file,
    word,
    zipped,
)

LINES = [
    b"Content-Type: multipart/mixed; boundary=a",
    b"Content-Type: multipart/alternative; boundary=ab",
    b"Content-Type: message/rfc822",
    b"Content-Type: text/plain; charset=utf-8",
    b"Content-Type: application/pkcs7-mime",
    b"Content-Transfer-Encoding: base64",
    b"Content-Transfer-Encoding: quoted-printable",
    b"Content-Disposition: attachment; filename*0*=utf-8''%41",
    b"From: ann@example.org",
    b"Subject: =?utf-8?q?=5Bsecure=5D?= x",
    b"",
    b"",
    b"--a",
    b"--ab",
    b"--a--",
    b"--ab--",
    b"--abc",
    b"begin 644 x",
    b"TVqQAA==",
    "grüße".encode(),
    b"x" * 1200,
    b"\0",
]
mimeish = st.lists(st.sampled_from(LINES), max_size=30).map(b"\r\n".join)
containers = st.sampled_from(
    [
        zipped("a", "b"),
        zipped("[Content_Types].xml", "word/x"),
        word(encrypted=True),
        excel(encrypted=True),
        compound("x"),
        seven_zip(b"\x01\0"),
        rar4(file_flags=4),
        rar5(file_encrypted=True),
        b"%PDF-1.7 /Encrypt 1 0 R",
        b"\x78\x9f\x3e\x22",
    ]
)


@given(st.binary(max_size=200) | mimeish)
def test_every_message_has_facts(content: bytes) -> None:
    found = classify(content, envelope())

    assert found.readable or len(found.unknown) == 8
    assert classify(content, envelope()) == found


@given(mimeish)
def test_parts_lie_inside_their_parents_and_beside_each_other(content: bytes) -> None:
    def check(part: Part) -> None:
        assert part.start <= part.body <= part.end <= len(content)
        position = part.body
        for child in part.children:
            assert position <= child.start
            assert child.end <= part.end
            position = child.end
            check(child)

    check(index(content))


@given(mimeish)
def test_recoded_messages_keep_their_parts(content: bytes) -> None:
    before = [part.type for part in walk(index(content))]
    for recoded in (to_seven_bit(content), repair_long_lines(content)):
        if recoded is not None:
            assert [part.type for part in walk(index(recoded))] == before


@given(containers, st.data())
def test_files_that_are_cut_or_changed_are_still_looked_at(octets: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(octets)))
    at = data.draw(st.integers(0, len(octets) - 1))
    changed = bytearray(octets)
    changed[at] ^= data.draw(st.integers(1, 255))

    for broken in (octets[:cut], bytes(changed), octets + octets[:cut]):
        assert look_at(broken).type


@given(st.binary(max_size=300))
def test_any_file_is_looked_at_and_found_in_a_message(octets: bytes) -> None:
    look = look_at(octets)

    (attachment,) = classify(with_file(octets), envelope()).attachments

    assert attachment.size == len(octets)
    assert (attachment.type, attachment.encrypted) == (look.type, look.encrypted)


@given(st.binary(max_size=300), st.sampled_from(["base64", "quoted-printable", "7bit", "x-other", ""]))
def test_every_body_is_decoded_somehow(raw: bytes, encoding: str) -> None:
    assert isinstance(decode(raw, encoding).octets, bytes)


@given(st.text("ABYZabz09+/=\r\n \t!-", max_size=24).map(str.encode) | st.binary(max_size=20))
def test_base64_is_sound_only_where_a_strict_decoder_says_the_same(raw: bytes) -> None:
    octets, problem = decode(raw, "base64")
    compact = raw.translate(None, b"\r\n \t")
    try:
        strict = binascii.a2b_base64(compact, strict_mode=True)
    except binascii.Error:
        assert problem is not None
        return
    assert problem is not None or octets == strict
    assert (
        problem is None or len(compact) % 4 or b"= " in raw or b"=\t" in raw or b"=\r" in raw or b"=\n" in raw
    )


@given(st.binary(max_size=300))
def test_encoding_can_be_undone(octets: bytes) -> None:
    assert decode(encode_base64(octets), "base64") == Decoded(octets)
    text = octets.replace(b"\r", b"").replace(b"\n", b"\r\n")
    assert decode(encode_quoted_printable(text), "quoted-printable") == Decoded(text)


@given(st.binary(max_size=120) | st.text(";=\"\\*'%0123 abc", max_size=60).map(str.encode))
def test_every_value_with_parameters_is_read(value: bytes) -> None:
    parsed = parse(value)

    for name in (*parsed.plain, *parsed.extended):
        assert parsed.text(name) is not None
