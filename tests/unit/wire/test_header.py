"""Header blocks: where they end, their fields, and what is refused."""

from __future__ import annotations

import pytest

from gateway.wire.header import (
    BLOCK_LIMIT,
    FIELD_LIMIT,
    Field,
    HeaderError,
    fields,
    line_problem,
    long_line,
    remove_fields,
    split,
)

MESSAGE = (
    b"From: ann@example.org\r\nSubject: a\r\n folded\r\n\tsubject \r\nTo:bob@example.com\r\n\r\nbody\r\n"
)


def test_the_body_begins_after_the_first_empty_line() -> None:
    assert MESSAGE[split(MESSAGE) :] == b"body\r\n"
    assert split(b"\r\nbody") == 2
    assert split(b"From: a@example.org\r\n") == len(b"From: a@example.org\r\n")
    assert split(b"") == 0


def test_fields_are_unfolded_and_say_where_they_stand() -> None:
    block = MESSAGE[: split(MESSAGE)]

    found = fields(block)

    assert [(field.name, field.value) for field in found] == [
        ("from", b"ann@example.org"),
        ("subject", b"a folded\tsubject"),
        ("to", b"bob@example.com"),
    ]
    assert b"".join(block[field.start : field.end] for field in found) == block[:-2]


def test_the_empty_line_and_the_last_line_break_may_be_missing() -> None:
    assert fields(b"A: b") == (Field("a", b"b", 0, 4),)
    assert fields(b"A: b\r\n") == fields(b"A: b\r\n\r\n") == (Field("a", b"b", 0, 6),)
    assert fields(b"") == fields(b"\r\n") == ()


def test_a_folded_line_may_hold_nothing_but_blanks() -> None:
    assert fields(b"A:\r\n \r\n b\r\nC: d\r\n")[0].value == b"b"


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (b"From joe@example.org Mon Jan  1 10:20:30 2024\r\nA: b\r\n", "line 1 is no field"),
        (b"A: b\r\nno colon here\r\n", "line 2 is no field"),
        (b"A: b\r\nFrom : ann@example.org\r\n", "line 2 has blanks before the colon"),
        (b" A: b\r\n", "line 1 continues no field"),
        (b"A: b\r\n: c\r\n", "line 2 is no field"),
        ("Ä: b\r\n".encode(), "line 1 is no field"),
        (b"A: b\r\n\r\nC: d\r\n", "line 2 is empty"),
        (b"A: b\nFrom: x@example.org\r\n", "bare LF in line 1"),
        (b"A: b\rFrom: x@example.org\r\n", "bare CR in line 1"),
        (b"A: b\r\nC: \0d\r\n", "NUL in line 2"),
        (b"A: " + b"b" * BLOCK_LIMIT, "octets"),
        (b"A: b\r\n" * (FIELD_LIMIT + 1), "fields"),
    ],
)
def test_what_readers_could_understand_in_two_ways_is_refused(block: bytes, words: str) -> None:
    with pytest.raises(HeaderError, match=words):
        fields(block)


def test_a_message_without_the_fields_comes_back_as_it_is() -> None:
    assert remove_fields(MESSAGE, frozenset({"bcc"})) is MESSAGE
    named_in_a_value = b"Subject: x\r\n\r\nBcc: y\r\n"
    assert remove_fields(named_in_a_value, frozenset({"bcc"})) is named_in_a_value
    longer_name = b"Bcc-Like: y\r\n\r\nx"
    assert remove_fields(longer_name, frozenset({"bcc"})) is longer_name


@pytest.mark.parametrize(
    "field",
    [
        b"Bcc: eve@example.org\r\n",
        b"BCC: eve@example.org,\r\n fred@example.org,\r\n\tgus@example.org\r\n",
        b"bcc : eve@example.org\r\n",
        b"Bcc:\r\n",
    ],
)
@pytest.mark.parametrize("before", [b"", b"From: ann@example.org\r\n", b"broken line\r\n"])
@pytest.mark.parametrize("after", [b"", b"To: bob@example.org\r\n"])
def test_a_field_is_removed_with_its_folded_lines_and_nothing_else_changes(
    before: bytes, field: bytes, after: bytes
) -> None:
    body = b"\r\nBcc: this is text\r\n"

    removed = remove_fields(before + field + after + body, frozenset({"bcc", "resent-bcc"}))

    assert removed == before + after + body


def test_every_one_of_the_fields_is_removed() -> None:
    message = b"Bcc: a@example.org\r\nBcc: b@example.org\r\nX-Secret: s\r\nTo: c@example.org\r\n\r\n"

    assert remove_fields(message, frozenset({"bcc", "x-secret"})) == b"To: c@example.org\r\n\r\n"


def test_lines_are_canonical_or_the_first_trouble_is_named() -> None:
    assert line_problem(MESSAGE) is None
    assert line_problem(b"") is None
    assert line_problem(b"a\r\nb\n") == "bare LF in line 2"
    assert line_problem(b"a\r\n\rb\r\n") == "bare CR in line 2"
    assert line_problem(b"\n\r") == "bare CR in line 2"
    assert line_problem(b"a\r\n\r\n\0") == "NUL in line 3"


@pytest.mark.parametrize("ending", [b"", b"\r\n", b"\r\nx\r\n"])
def test_a_line_may_have_998_octets_and_no_more(ending: bytes) -> None:
    assert line_problem(b"a\r\n" + b"x" * 998 + ending) is None
    assert line_problem(b"a\r\n" + b"x" * 999 + ending) == "line 2 is longer than 998 octets"


def test_long_lines_are_found_where_they_begin() -> None:
    content = b"a\r\n" * 700 + b"x" * 2000 + b"\r\n" + b"a\r\n" * 700

    assert long_line(content) == 2100
    assert long_line(content, 2100 + 2002) == -1
