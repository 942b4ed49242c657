"""Re-encoding: only what is wrong changes, and what must not change is refused."""

from __future__ import annotations

from email import policy
from email.message import EmailMessage
from email.parser import BytesParser

import pytest

from gateway.wire.fold import fold
from gateway.wire.header import line_problem
from gateway.wire.recode import repair_long_lines, to_seven_bit

LONG = "x" * 2000


def read(content: bytes) -> EmailMessage:
    return BytesParser(EmailMessage, policy=policy.default).parsebytes(content)


def texts(content: bytes) -> list[str]:
    return [
        part.get_content().replace("\r\n", "\n")
        for part in read(content).walk()
        if part.get_content_maintype() == "text"
    ]


def message(*lines: str) -> bytes:
    return "\r\n".join(lines).encode() + b"\r\n"


PARTS = message(
    "From: ann@example.org",
    "Content-Type: multipart/mixed; boundary=b",
    "Content-Transfer-Encoding: 8bit",
    "X-Kept: exactly   as it   is",
    "",
    "--b",
    "Content-Type: text/plain; charset=utf-8",
    "",
    "grüße aus der ferne, mit vielen worten",
    "--b",
    "Content-Type: text/plain; charset=utf-8",
    "Content-Transfer-Encoding: 8bit",
    "X-Kept: too",
    "",
    "Привет, как дела",
    "--b",
    "Content-Type: application/octet-stream",
    "Content-Transfer-Encoding: base64",
    "",
    "aGVsbG8=",
    "--b--",
)


def test_seven_bit_content_stays_the_same_object() -> None:
    content = message("From: a@example.org", "", "hello")

    assert to_seven_bit(content) is content
    assert repair_long_lines(content) is content


def test_eight_bit_parts_are_encoded_and_read_the_same() -> None:
    recoded = to_seven_bit(PARTS)

    assert recoded is not None
    assert recoded.isascii()
    assert texts(recoded) == texts(PARTS)
    assert line_problem(recoded) is None
    assert b"X-Kept: exactly   as it   is\r\n" in recoded
    assert b"X-Kept: too\r\n" in recoded
    assert b"Content-Transfer-Encoding: quoted-printable" in recoded
    assert recoded.count(b"Content-Transfer-Encoding: base64") == 2
    assert b"8bit" not in recoded
    assert b"aGVsbG8=\r\n--b--\r\n" in recoded


def test_a_plain_message_is_encoded() -> None:
    content = message(
        "From: a@example.org", "Content-Type: text/plain; charset=utf-8", "", "grüße", "", ".", ""
    )

    recoded = to_seven_bit(content)

    assert recoded is not None
    assert texts(recoded) == texts(content)


def test_a_message_inside_is_encoded_where_it_stands() -> None:
    content = message(
        "Content-Type: message/rfc822",
        "Content-Transfer-Encoding: 8bit",
        "",
        "From: a@example.org",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
        "",
        "grüße und noch mehr",
    )

    recoded = to_seven_bit(content)

    assert recoded is not None
    assert recoded.isascii()
    assert texts(recoded) == ["grüße und noch mehr\n"]


SIGNED = (
    "Content-Type: multipart/signed; protocol=x; boundary=s",
    "",
    "--s",
    "Content-Type: text/plain; charset=utf-8",
    "",
    "TEXT",
    "--s",
    "Content-Type: application/pkcs7-signature",
    "",
    "x",
    "--s--",
)


@pytest.mark.parametrize(
    "content",
    [
        message("Subject: grüße", "", "x"),
        message(*SIGNED).replace(b"TEXT", "grüße".encode()),
        message("Content-Type: multipart/mixed; boundary=b", "", "prä", "--b", "", "x", "--b--"),
        message("Content-Type: multipart/mixed", "", "grüße"),
        message(
            "Content-Type: multipart/mixed; boundary=b", "", "--b", "Content-Description: ü", "", "x", "--b--"
        ),
        message("Content-Transfer-Encoding: base64", "", "grüße"),
        message("Content-Transfer-Encoding: x-other", "", "grüße"),
    ],
)
def test_what_would_break_is_not_encoded(content: bytes) -> None:
    assert to_seven_bit(content) is None


def test_signed_seven_bit_parts_beside_eight_bit_ones_stay_as_they_are() -> None:
    signed = message(*SIGNED)
    content = (
        message("Content-Type: multipart/mixed; boundary=b", "", "--b")
        + signed
        + message("--b", "Content-Type: text/plain; charset=utf-8", "", "grüße und so weiter", "--b--")
    )

    recoded = to_seven_bit(content)

    assert recoded is not None
    assert signed in recoded


def test_long_lines_in_bodies_and_headers_are_repaired() -> None:
    content = message(
        "From: a@example.org",
        "References: " + " ".join(f"<{n}@example.org>" for n in range(100)),
        "Content-Type: text/html; charset=utf-8",
        "",
        LONG + "ü",
        "short",
    )

    repaired = repair_long_lines(content)

    assert repaired is not None
    assert line_problem(repaired) is None
    assert texts(repaired) == texts(content)
    assert read(repaired)["References"].split() == read(content)["References"].split()
    assert repaired.startswith(b"From: a@example.org\r\nReferences: <0@example.org> ")


def test_base64_in_one_line_is_wrapped() -> None:
    content = message("Content-Type: image/png", "Content-Transfer-Encoding: base64", "", "QUJD" * 600)

    repaired = repair_long_lines(content)

    assert repaired is not None
    assert line_problem(repaired) is None
    assert read(repaired).get_content() == b"ABC" * 600


@pytest.mark.parametrize(
    "content",
    [
        message("Subject: " + LONG, "", "x"),
        message(*SIGNED).replace(b"TEXT", LONG.encode()),
        message("Content-Type: multipart/mixed; boundary=b", "", LONG, "--b", "", "x", "--b--"),
        message("no header", "", LONG),
    ],
)
def test_long_lines_that_cannot_be_repaired_are_refused(content: bytes) -> None:
    assert repair_long_lines(content) is None


def test_folding_keeps_the_value() -> None:
    value = b"word " * 50 + b"x" * 200 + b"   end \t of it"

    folded = fold(b"X", value)

    assert folded is not None
    assert folded.replace(b"\r\n", b"") == b"X: " + value.strip()
    assert all(line.strip() for line in folded.split(b"\r\n")[:-1])
    assert fold(b"X", b"y" * 1000) is None
