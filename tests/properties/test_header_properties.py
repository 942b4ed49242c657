"""Headers of strangers: a value or our own error, never anything else, and never two readings."""

from __future__ import annotations

import re
from collections.abc import Callable
from email import policy
from email.parser import BytesParser

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.wire import mailbox
from gateway.wire.encoded_word import encode_text, read_text
from gateway.wire.header import (
    Field,
    HeaderError,
    choice,
    chosen_fields,
    decode_text,
    fields,
    line_problem,
    mailboxes,
    remove_fields,
    split,
)

octets = st.binary(max_size=300)
headerish = st.lists(
    st.sampled_from(
        [
            b"From",
            b"bcc",
            b"Subject",
            b":",
            b" ",
            b"\t",
            b"\r\n",
            b"\r",
            b"\n",
            b"\0",
            b"a@b.example",
            b"\xff",
            b"x",
        ]
    ),
    max_size=30,
).map(b"".join)
canonical = st.lists(
    st.sampled_from([b"From", b"bcc", b"BCC ", b":", b" ", b"\t", b"\r\n", b"\r\nbcc:", b"\xff", b"x"]),
    max_size=30,
).map(b"".join)
addressish = st.lists(
    st.sampled_from(
        [
            "ann",
            "@",
            "example.org",
            "<",
            ">",
            "(",
            ")",
            '"',
            "\\",
            ",",
            ":",
            ";",
            " ",
            "\t",
            ".",
            "[192.0.2.1]",
            "=?utf-8?q?x?=",
            "ö",
            "\0",
        ]
    ),
    max_size=20,
).map("".join)
plain_names = st.text("abc AB.,'_-", max_size=10)


@given(octets | headerish)
def test_a_header_block_is_covered_by_its_fields_or_refused(block: bytes) -> None:
    try:
        found = fields(block)
    except HeaderError:
        return

    rest = block.removesuffix(b"\r\n") if block.endswith(b"\r\n\r\n") or block == b"\r\n" else block
    assert b"".join(block[field.start : field.end] for field in found) == rest
    assert all(field.name == field.name.lower() and b"\n" not in field.value for field in found)


@given(octets | headerish)
def test_line_problems_are_found_or_there_are_none(content: bytes) -> None:
    lines = content.split(b"\r\n")
    clean = not any(b"\r" in line or b"\n" in line or b"\0" in line or len(line) > 998 for line in lines)

    assert (line_problem(content) is None) == clean


@given(canonical, canonical)
def test_after_removal_no_such_field_is_left_and_nothing_else_is_gone(head: bytes, body: bytes) -> None:
    message = head + b"\r\n\r\n" + body

    removed = remove_fields(message, frozenset({"bcc"}))

    assert removed.endswith(message[split(message) :])
    kept = removed[: split(removed)]
    assert not any(re.match(rb"bcc[ \t]*:", line, re.IGNORECASE) for line in kept.split(b"\n"))
    assert remove_fields(removed, frozenset({"bcc"})) == removed


@given(addressish | st.text(max_size=60))
@example("a" + " " * 200)
def test_an_address_list_has_one_reading_or_none(value: str) -> None:
    octets = value.encode("utf-8", "surrogatepass")
    try:
        found = mailboxes(octets)
    except HeaderError:
        return

    for address in found:
        assert "=?" not in address.local
        assert address.domain


@given(st.lists(st.tuples(plain_names, st.booleans(), st.sampled_from(["a@b.example", "x.y+z@EXAMPLE.org"]))))
def test_the_short_way_reads_what_the_grammar_reads(entries: list[tuple[str, bool, str]]) -> None:
    text = ", ".join(f'"{name}" <{addr}>' if quoted else f"{name} <{addr}>" for name, quoted, addr in entries)
    short = mailbox._simple(text)
    if not short:
        return

    assert short == mailbox._List(mailbox._tokens(text)).read()


@given(addressish)
def test_the_short_way_takes_nothing_that_the_grammar_refuses(text: str) -> None:
    try:
        short = mailbox._simple(text)
    except HeaderError:
        return
    if short:
        assert short == mailbox._List(mailbox._tokens(text)).read()


@given(
    st.lists(
        st.tuples(plain_names, st.sampled_from(["a@b.example", "c.d@example.org"])), min_size=1, max_size=4
    )
)
def test_the_standard_library_reads_the_same_addresses(entries: list[tuple[str, str]]) -> None:
    value = ", ".join(f'"{name}" <{addr}>' for name, addr in entries)
    message = BytesParser(policy=policy.default).parsebytes(f"From: {value}\r\n\r\n".encode())

    assert [str(address) for address in mailboxes(value.encode())] == [
        address.addr_spec for address in message["From"].addresses
    ]


@given(
    octets
    | st.lists(
        st.sampled_from([b"=?", b"utf-8", b"?q?", b"?B?", b"=41", b"=", b"_", b"?=", b" ", b"x", b"\xff"])
    ).map(b"".join)
)
def test_encoded_text_is_always_read_somehow(value: bytes) -> None:
    assert isinstance(decode_text(value), str)


@given(st.text(max_size=200))
def test_text_survives_being_encoded(text: str) -> None:
    encoded = encode_text(text.encode("utf-8", "replace").decode())

    assert all(len(line) <= 78 for line in encoded.split(b"\r\n")) or text.isascii()
    read = read_text(encoded.replace(b"\r\n", b""))
    assert read.sound
    assert read.text == text.encode("utf-8", "replace").decode()


CHOSEN = choice("from", "bcc", prefix="x")
sound = [b"From: a\r\n", b"BCC:\r\n", b"bcc: x\r\n\ty\r\n", b"X-Odd:  \t z \r\n", b"Subject: From: s\r\n"]
unsound = [b" From: y\r\n", b"bcc : x\r\n", b"From\r\n", b"\xff: x\r\n", b"\r\n", b"From: a"]
blocks = st.lists(st.sampled_from(sound), max_size=6).map(b"".join)


@given(
    st.one_of(blocks, st.builds(bytes.__add__, blocks, st.sampled_from(unsound)), canonical),
    st.sampled_from([b"", b"Subject: y\r\n" * 800]),
)
def test_chosen_fields_are_those_of_all_fields(block: bytes, before: bytes) -> None:
    def wanted() -> tuple[Field, ...]:
        found = fields(before + block)
        return tuple(one for one in found if one.name in {"from", "bcc"} or one.name.startswith("x"))

    assert outcome(wanted) == outcome(lambda: chosen_fields(before + block, CHOSEN))


def outcome(read: Callable[[], tuple[Field, ...]]) -> tuple[Field, ...] | str:
    try:
        return read()
    except HeaderError as error:
        return str(error)
