"""Whole messages of strangers: MIME structure, transfer encodings, re-encoding, facts, and what files are."""

from __future__ import annotations

import re

from gateway.classify.file_type import look_at
from gateway.classify.message import classify
from gateway.deliver.reported import compose_report
from gateway.model.address import Address
from gateway.model.envelope import Errand
from gateway.wire.header import line_problem
from gateway.wire.mime import PART_LIMIT, Part, index, walk
from gateway.wire.recode import repair_long_lines, to_seven_bit
from gateway.wire.report import read_report
from gateway.wire.smtp_server_data import LineEnds, Newlines
from gateway.wire.smtp_transaction import dotted, is_canonical
from gateway.wire.transfer import decode, encode_base64, encode_quoted_printable
from tests.fuzz.target import Choices, Target
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

_ENVELOPE = envelope()
_MULTIPART = (
    b"From: a@x.example\r\nSubject: [secure] x\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n"
    b"--a\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nh\xc3\xa9\r\n"
    b"--a\r\nContent-Type: message/rfc822\r\n\r\nSubject: y\r\n\r\ninner\r\n"
    b"--a\r\nContent-Type: application/zip; name=x.zip\r\nContent-Transfer-Encoding: base64\r\n\r\nUEsFBg==\r\n"
    b"--a--\r\n"
)


def mime(octets: bytes) -> None:
    root = index(octets)
    parts = list(walk(root))
    assert len(parts) <= PART_LIMIT + 64
    for part in parts:
        _inside(part, 0, len(octets))
        at = part.body
        for child in part.children:
            _inside(child, at, part.end)
            at = child.end


def _inside(part: Part, start: int, end: int) -> None:
    assert start <= part.start <= part.body <= part.end <= end


def facts(octets: bytes) -> None:
    found = classify(_canonical(octets), _ENVELOPE)
    assert found.readable or "attachment" in found.unknown
    assert found.size == _ENVELOPE.size


def bounce(octets: bytes) -> None:
    report = read_report(octets)
    assert report.diagnostic is None or (report.diagnostic.isprintable() and len(report.diagnostic) <= 500)
    notice = compose_report(
        Errand(_ENVELOPE, 0),
        report,
        Address("ann", "hospital.example"),
        hostname="gw.hospital.example",
        postmaster=Address("postmaster", "hospital.example"),
        now=_ENVELOPE.accepted_at,
        message_id="n@gw.hospital.example",
        boundary="=_b",
    )
    assert line_problem(notice) is None
    assert max(map(len, notice.split(b"\r\n"))) <= 998
    assert notice.count(b"\r\n--=_b") == 4  # nothing that a stranger wrote looks like a boundary


def transfer(octets: bytes) -> None:
    for encoding in ("7bit", "base64", "quoted-printable", "x-uuencode"):
        decode(octets, encoding)
    assert decode(encode_base64(octets), "base64") == (octets, None)
    text = _canonical(octets)
    written = encode_quoted_printable(text)
    assert line_problem(written) is None
    assert decode(written, "quoted-printable") == (text, None)


def recode(octets: bytes) -> None:
    """Re-encoded, each leaf says what it said, and there are as many."""
    content = _canonical(octets)
    before = _leaves(content)
    seven = to_seven_bit(content)
    if seven is not None:
        assert seven.isascii()
        assert _leaves(seven) == before
    short = repair_long_lines(content)
    if short is not None:
        assert line_problem(short) is None
        assert _leaves(short) == before


def _leaves(content: bytes) -> list[tuple[str, bytes]]:
    parts = [part for part in walk(index(content)) if not part.children]
    return [(part.type, decode(content[part.body : part.end], part.encoding).octets) for part in parts]


def file(octets: bytes) -> None:
    look = look_at(octets)
    assert "/" in look.type


def _canonical(octets: bytes) -> bytes:
    """What the listener would have stored."""
    lines = LineEnds(Newlines.NORMALIZE)
    return lines.feed(octets) + lines.finish()


def smuggling(octets: bytes) -> None:
    """Content repaired or refused at the door, as our client sends it: no reader sees an end of data inside."""
    choices = Choices(octets)
    lines = LineEnds(choices.pick(tuple(Newlines)))
    content = lines.feed(choices.rest()) + lines.finish()
    if lines.refused:
        return
    assert is_canonical(content)
    wire = b"\r\n" + b"".join(dotted(content))
    ends = [match.end() for match in re.finditer(rb"(?:\r\n|\r|\n)\.(?=\r|\n)", wire)]
    assert ends == [len(wire) - 2]


_MAIL = (
    _MULTIPART,
    with_file(b"MZ", "x.exe"),
    b"Content-Type: text/plain\r\n\r\n" + b"y" * 1000 + b"\r\n",
    b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A9\r\n",
    b"Content-Type: multipart/signed; boundary=x\r\n\r\n--x\r\n\r\n\xff\r\n--x--\r\n",
    "Subject: ü\r\n\r\nü\r\n".encode(),
)

_BOUNCE = (
    b"Subject: Undelivered\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=a\r\n\r\n"
    b"--a\r\n\r\n550 5.1.1 no such user\r\n"
    b"--a\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n"
    b"Final-Recipient: rfc822; bob@clinic.example\r\nAction: failed\r\nStatus: 5.1.1\r\n"
    b"Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n"
    b"--a\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <a@hospital.example>\r\nSubject: x\r\n\r\n--a--\r\n"
)

TARGETS = (
    Target(
        "bounce",
        "what happened, with one printable line of a server at most; the notice about it is lines of lawful length",
        bounce,
        (
            _BOUNCE,
            b"Subject: failure notice\r\n\r\nRemote host said: 550 no\r\n",
            b"Auto-Submitted: auto-replied\r\n\r\n",
        ),
    ),
    Target("mime", "an index whose parts lie in order inside their parents", mime, _MAIL),
    Target("facts", "facts; what cannot be read is said to be unknown", facts, _MAIL),
    Target(
        "transfer",
        "decoding gives octets; what we encode is decoded to the same",
        transfer,
        (*_MAIL, b"=41=", b"QQ=="),
    ),
    Target("recode", "7-bit, short lines, and every leaf says what it said; or None", recode, _MAIL),
    Target(
        "file",
        "a type for any octets",
        file,
        (
            zipped("word/document.xml", "[Content_Types].xml"),
            zipped("x", flags=1),
            compound("EncryptedPackage"),
            word(encrypted=True),
            excel(encrypted=True),
            seven_zip(b"\x01\x06\xf1\x07\x01"),
            rar4(file_flags=4),
            rar5(file_encrypted=True),
            b"%PDF-1.7\n/Encrypt 1 0 R",
            b"<!-- x --><html>",
        ),
        8192,
    ),
    Target(
        "smuggling",
        "what was accepted as one message leaves as one, for readers of every kind of line end",
        smuggling,
        (b"\0a\r\n.\r\nb", b"\1a\n.\nb", b"\2a\r.\rb\r\n", b"\1.\n\0.\0\n."),
    ),
)
