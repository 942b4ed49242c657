"""Each letter is wire-ready, carries its marker in every part, and nobody else's."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import SMTP

import pytest

from gateway.demo.messages import LetterKind, compose, make_marker

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("kind", LetterKind)
def test_every_letter_is_canonical_and_marked(kind: LetterKind) -> None:
    letter = compose(kind, "dr.grey@hospital.example", ("ann@good.example", "bob@good.example"), NOW)
    lines = letter.content.split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    assert max(map(len, lines)) <= 998
    message = message_from_bytes(letter.content, policy=SMTP)
    assert message["To"] == "ann@good.example, bob@good.example"
    parts = [part.get_content() for part in message.walk() if not part.is_multipart()]
    wanted = letter.marker
    assert wanted in message["Subject"]
    assert all(wanted in part if isinstance(part, str) else wanted.encode() in part for part in parts)


def test_markers_are_unique() -> None:
    assert len({make_marker() for _ in range(1000)}) == 1000


def test_the_program_begins_like_one() -> None:
    letter = compose(LetterKind.PROGRAM, "a@hospital.example", ("b@good.example",), NOW)
    (attachment,) = message_from_bytes(letter.content, policy=SMTP).iter_attachments()
    content = attachment.get_content()
    assert content.startswith(b"MZ")
    assert content[int.from_bytes(content[60:64], "little") :].startswith(b"PE\0\0")


def test_eight_bit_text_is_8_bit_and_long_is_long() -> None:
    eight_bit = compose(LetterKind.EIGHT_BIT, "a@hospital.example", ("b@good.example",), NOW)
    assert not eight_bit.content.isascii()
    assert len(compose(LetterKind.LONG, "a@hospital.example", ("b@good.example",), NOW).content) > 300_000
