"""Replies: what is a reply, what is none, and where the bounds are."""

from __future__ import annotations

import pytest

from gateway.model.delivery import Reply
from gateway.wire.reply import MAX_LINE, MAX_LINES, ReplyParser, format_reply


def parse(octets: bytes) -> tuple[list[Reply], str | None]:
    parser = ReplyParser()
    return parser.feed(octets), parser.fault


def test_one_line_several_lines_and_a_bare_code() -> None:
    assert parse(b"250 2.1.0 ok\r\n") == ([Reply(250, ("2.1.0 ok",), "2.1.0")], None)
    assert parse(b"250-mx\r\n250-SIZE 10\r\n250 DSN\r\n") == ([Reply(250, ("mx", "SIZE 10", "DSN"))], None)
    assert parse(b"354\r\n") == ([Reply(354, ("",))], None)


def test_several_replies_come_in_order_and_a_piece_waits() -> None:
    parser = ReplyParser()
    assert [reply.code for reply in parser.feed(b"250 a\r\n450 b\r\n55")] == [250, 450]
    assert parser.pending
    assert [reply.code for reply in parser.feed(b"0 c\r\n")] == [550]
    assert not parser.pending


@pytest.mark.parametrize(
    "line",
    [
        b"250 ok\n",
        b"250 o\rk\r\n",
        b"+25 ok\r\n",
        b"2_5 ok\r\n",
        b"25 ok\r\n",
        b"2500 ok\r\n",
        b"150 ok\r\n",
        b"650 ok\r\n",
        b" 250 ok\r\n",
        b"\r\n",
        b"250\tok\r\n",
        b"HTTP/1.1 400 Bad Request\r\n",
        "٢٥٠ ok\r\n".encode(),
        b"250-a\r\n251 b\r\n",
    ],
)
def test_what_is_no_reply_stops_the_parser_for_good(line: bytes) -> None:
    parser = ReplyParser()
    assert parser.feed(line) == []
    assert parser.fault
    assert parser.feed(b"250 ok\r\n") == []
    assert not parser.pending


def test_replies_before_a_fault_still_count() -> None:
    replies, fault = parse(b"250 ok\r\nnonsense\r\n250 more\r\n")
    assert [reply.code for reply in replies] == [250]
    assert fault


def test_bounds() -> None:
    assert parse(b"250 " + b"x" * (MAX_LINE - 6) + b"\r\n")[1] is None
    assert parse(b"250 " + b"x" * (MAX_LINE - 5) + b"\r\n")[1]
    assert parse(b"x" * MAX_LINE)[1]
    assert parse(b"250-x\r\n" * (MAX_LINES - 1) + b"250 x\r\n")[1] is None
    assert parse(b"250-x\r\n" * MAX_LINES + b"250 x\r\n")[1]
    assert parse((b"250-" + b"x" * 8000 + b"\r\n") * 5)[1]


def test_the_enhanced_status_must_be_of_the_codes_class() -> None:
    cases = {
        b"550 5.1.1 no such user": "5.1.1",
        b"550 5.01.001 no": "5.1.1",
        b"550 4.1.1 no": None,
        b"550 5.1.1no": None,
        b"250 2.0.0": "2.0.0",
        b"354 3.0.0 go": None,
        b"550 no 5.1.1": None,
        b"550 5.1.1234 no": None,
    }
    for line, status in cases.items():
        assert parse(line + b"\r\n")[0][0].status == status, line
    assert parse(b"550-sorry\r\n550 5.7.1 policy\r\n")[0][0].status == "5.7.1"


def test_what_cannot_be_shown_is_replaced() -> None:
    (reply,), _ = parse("550 caf\xe9\x1b[2J\0\ttab".encode("latin-1") + b"\r\n")
    assert reply.lines == ("caf\ufffd\ufffd[2J\ufffd tab",)


def test_our_own_replies() -> None:
    assert format_reply(250, "2.1.0", "ok") == b"250 2.1.0 ok\r\n"
    assert format_reply(250, None, "mx", "SIZE 10") == b"250-mx\r\n250 SIZE 10\r\n"
    assert format_reply(354, None) == b"354 \r\n"
    assert format_reply(550, "5.7.1", "no\r\n250 yes", "é") == b"550-5.7.1 no??250 yes\r\n550 5.7.1 ?\r\n"
    long = format_reply(550, "5.7.1", "x" * 2000)
    assert len(long) == 512
    assert parse(long)[1] is None
    with pytest.raises(AssertionError):
        format_reply(250, "5.1.1", "no")
