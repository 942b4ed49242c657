"""The leak counter finds a marker in every form, and asks whether that server was to have it."""

from __future__ import annotations

import base64
import quopri

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.demo.leaks import base64_forms, find_leaks
from gateway.demo.messages import Letter, LetterKind, make_marker
from gateway.demo.recipients import Reception
from gateway.model.tls import TlsGrade

MARKER = make_marker()


def letter(*recipients: str, marker: str = MARKER) -> Letter:
    return Letter(
        kind=LetterKind.TEXT,
        sender="dr.grey@hospital.example",
        recipients=recipients,
        marker=marker,
        content=b"",
    )


def arrived(
    recipient: str, server: str, truth: TlsGrade = TlsGrade.PKIX, content: bytes = b"raw " + MARKER.encode()
) -> Reception:
    return Reception(
        server=server,
        sender="dr.grey@hospital.example",
        recipients=(recipient,),
        content=content,
        tls_version=None,
        cipher=None,
        truth=truth,
    )


@pytest.mark.parametrize(
    ("recipient", "server", "truth", "leaks"),
    [
        ("ann@good.example", "mx.good.example", TlsGrade.PKIX, 0),
        ("ann@good.example", "mx.good.example", TlsGrade.NONE, 1),
        ("ann@good.example", "mx.greylist.example", TlsGrade.PKIX, 1),
        ("ann@good.example", "mx.hospital.example", TlsGrade.PKIX, 1),
        ("ben@selfsigned.example", "mx.selfsigned.example", TlsGrade.ENCRYPTED, 1),
        ("kurt@mixed.example", "mx1.mixed.example", TlsGrade.ENCRYPTED, 1),
        ("kurt@mixed.example", "mx2.mixed.example", TlsGrade.PKIX, 0),
        ("lou@oldpost.example", "mx.oldpost.example", TlsGrade.ENCRYPTED, 0),
        ("mona@postcard.example", "mx.postcard.example", TlsGrade.NONE, 0),
        ("pia@bogus.example", "mx.bogus.example", TlsGrade.PKIX, 1),
        ("pia@bogus.example", "forged.bogus.example", TlsGrade.ENCRYPTED, 1),
        ("quinn@good.example", "mx.good.example", TlsGrade.PKIX, 1),
        ("rosa@good.example", "mx.good.example", TlsGrade.PKIX, 1),
        ("zoe@team.alias.example", "mx.good.example", TlsGrade.PKIX, 0),
        ("stranger@good.example", "mx.good.example", TlsGrade.PKIX, 1),
    ],
)
def test_where_a_message_may_be_read(recipient: str, server: str, truth: TlsGrade, leaks: int) -> None:
    found = find_leaks([letter(recipient)], [arrived(recipient, server, truth)])
    assert len(found) == leaks
    if leaks:
        assert (found[0].server, found[0].truth, found[0].found) == (server, truth, "raw")


def test_a_copy_for_somebody_who_was_no_recipient_is_a_leak() -> None:
    assert (
        len(find_leaks([letter("ann@good.example")], [arrived("ward@good.example", "mx.good.example")])) == 1
    )


def test_a_copy_for_nobody_is_a_leak() -> None:
    copy = msgspec.structs.replace(arrived("ann@good.example", "mx.good.example"), recipients=())
    assert len(find_leaks([letter("ann@good.example")], [copy])) == 1


def test_other_peoples_mail_is_no_leak() -> None:
    assert (
        find_leaks(
            [letter("ann@good.example", marker=make_marker())], [arrived("x@x.example", "mx.x.example")]
        )
        == ()
    )


def test_every_arrival_counts() -> None:
    copies = [arrived("finn@cleartext.example", "mx.cleartext.example", TlsGrade.NONE)] * 3
    assert len(find_leaks([letter("finn@cleartext.example")], copies)) == 3


@given(before=st.binary(max_size=60), after=st.binary(max_size=60), width=st.sampled_from([60, 64, 76]))
def test_base64_is_seen_through_at_every_alignment_and_line_length(
    before: bytes, after: bytes, width: int
) -> None:
    encoded = base64.b64encode(before + MARKER.encode() + after)
    lines = b"\r\n".join(encoded[start : start + width] for start in range(0, len(encoded), width))
    found = find_leaks(
        [letter("ann@good.example")],
        [arrived("ann@good.example", "mx.x.example", content=b"head: x\r\n\r\n" + lines)],
    )
    assert [leak.found for leak in found] == ["base64"]


@given(before=st.text(max_size=80), after=st.text(max_size=80))
def test_quoted_printable_is_seen_through(before: str, after: str) -> None:
    content = quopri.encodestring(f"{before} {MARKER} {after}".encode())
    found = find_leaks(
        [letter("ann@good.example")], [arrived("ann@good.example", "mx.x.example", content=content)]
    )
    assert [leak.found for leak in found] == ["quoted-printable"]


def test_everything_escaped_is_seen_through() -> None:
    content = b"".join(b"=%02X" % octet for octet in MARKER.encode())
    found = find_leaks(
        [letter("ann@good.example")], [arrived("ann@good.example", "mx.x.example", content=content)]
    )
    assert [leak.found for leak in found] == ["quoted-printable"]


def test_a_marker_folded_over_lines_is_found() -> None:
    content = b"Subject: Results\r\n " + MARKER[:9].encode() + b"\r\n\t" + MARKER[9:].encode()
    assert (
        len(
            find_leaks(
                [letter("ann@good.example")], [arrived("a@x.example", "mx.x.example", content=content)]
            )
        )
        == 1
    )


@given(marker=st.binary(min_size=8, max_size=40))
def test_each_base64_form_is_what_base64_prints(marker: bytes) -> None:
    for offset, form in enumerate(base64_forms(marker)):
        assert len(form) >= 8
        assert form in base64.b64encode(b"\xa5" * offset + marker + b"\x5a\xff\x00")
