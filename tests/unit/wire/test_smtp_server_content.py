"""The server dialogue: content by chunks, its size, and how sessions end around it."""

from __future__ import annotations

import msgspec
import pytest

from gateway.wire.smtp_server_actions import CloseReason, EndOfData, Refused
from tests.fakes.smtp_dialogue import SETTINGS, Driver

MAIL = b"MAIL FROM:<a@x.example>\r\n"
RCPT = b"RCPT TO:<b@y.example>\r\n"


def test_chunks_make_one_message_and_end_its_last_line() -> None:
    driver = Driver().hello()
    assert driver.codes(MAIL + RCPT + b"BDAT 5\r\na\r\nb\rBDAT 1\r\n\nBDAT 0\r\n") == [
        250,
        250,
        250,
        250,
        250,
    ]
    assert driver.codes(b"BDAT 5 LAST\r\n.\r\n.x") == [250]
    assert driver.messages == [b"a\r\nb\r\n.\r\n.x\r\n"]


def test_an_empty_last_chunk_ends_the_message() -> None:
    driver = Driver().hello()
    assert driver.codes(MAIL + RCPT + b"BDAT 3\r\nab\rBDAT 1\r\n\nBDAT 0 LAST\r\nNOOP\r\n") == [250] * 6
    assert driver.messages == [b"ab\r\n"]


def test_rset_between_chunks_drops_the_message() -> None:
    driver = Driver().hello()
    assert driver.codes(MAIL + RCPT + b"BDAT 2\r\nabRSET\r\nBDAT 2 LAST\r\nab" + MAIL) == [
        250,
        250,
        250,
        250,
        503,
        250,
    ]
    assert driver.messages == []
    assert "dropped" in driver.events


@pytest.mark.parametrize("command", [b"DATA\r\n", RCPT, MAIL, b"STARTTLS\r\n", b"AUTH PLAIN AGEAYg==\r\n"])
def test_nothing_mixes_with_chunks(command: bytes) -> None:
    driver = Driver(tls=command.startswith(b"AUTH")).hello()
    assert driver.codes(MAIL + RCPT + b"BDAT 2\r\nab") == [250, 250, 250]
    assert driver.codes(command) == [503]
    assert driver.codes(b"BDAT 2 LAST\r\ncd") == [250]
    assert driver.messages == [b"abcd\r\n"]


def test_a_chunk_without_a_transaction_is_thrown_away_and_never_read_as_commands() -> None:
    driver = Driver().hello()
    assert driver.codes(b"BDAT 6 LAST\r\nRSET\r\nNOOP\r\n") == [503, 250]
    assert driver.codes(MAIL + b"BDAT 6 LAST\r\nRSET\r\n" + RCPT) == [250, 503, 250]


@pytest.mark.parametrize(
    "argument", [b"", b"x", b"-1", b"1 LAST NOW", b"1 FIRST", b"9" * 21, b"1_0", "٣".encode()]
)
def test_a_chunk_of_unknown_size_ends_the_session(argument: bytes) -> None:
    driver = Driver().hello()
    assert driver.codes(MAIL + RCPT + b"BDAT " + argument + b"\r\n" + b"NOOP\r\n") == [250, 250, 501]
    assert driver.closed is not None
    assert driver.closed.reason is CloseReason.UNREADABLE


def test_a_bare_line_feed_in_any_chunk_refuses_the_message_and_stays_in_step() -> None:
    driver = Driver().hello()
    assert driver.codes(MAIL + RCPT + b"BDAT 3\r\na\nbBDAT 2\r\nabBDAT 0 LAST\r\n" + MAIL) == [
        250,
        250,
        550,
        550,
        550,
        250,
    ]
    assert driver.messages == []


def test_a_chunk_that_makes_the_message_too_large_is_refused_before_it_is_read() -> None:
    driver = Driver(msgspec.structs.replace(SETTINGS, size_limit=10, discard_limit=100)).hello()
    assert driver.codes(MAIL + RCPT + b"BDAT 8\r\n12345678BDAT 8 LAST\r\n12345678NOOP\r\n") == [
        250,
        250,
        250,
        552,
        250,
    ]
    assert driver.codes(MAIL + RCPT + b"BDAT 500 LAST\r\n") == [250, 250, 421]


def test_content_above_the_limit_is_thrown_away_and_refused() -> None:
    driver = Driver(msgspec.structs.replace(SETTINGS, size_limit=10, discard_limit=100)).hello()
    driver.feed(MAIL + RCPT + b"DATA\r\n")
    assert driver.codes(b"12345678\r\n1\r\n.\r\nNOOP\r\n") == [552, 250]
    driver.feed(MAIL + RCPT + b"DATA\r\n")
    assert driver.codes(b"12345678\r\n.\r\n") == [250]
    assert driver.messages == [b"12345678\r\n"]


def test_content_that_is_both_malformed_and_too_large_gets_one_answer_however_it_is_cut() -> None:
    wire = b"a\nb" + b"x" * 20 + b"\r\n.\r\n"
    for pieces in ([wire], [wire[at : at + 1] for at in range(len(wire))]):
        driver = Driver(msgspec.structs.replace(SETTINGS, size_limit=10, discard_limit=100)).hello()
        driver.feed(MAIL + RCPT + b"DATA\r\n")
        assert driver.codes(*pieces) == [552]


def test_far_too_much_content_ends_the_session() -> None:
    driver = Driver(msgspec.structs.replace(SETTINGS, size_limit=10, discard_limit=100)).hello()
    driver.feed(MAIL + RCPT + b"DATA\r\n")
    for _ in range(11):
        assert driver.feed(b"1234567890") == b""
    assert driver.codes(b"1") == [421]
    assert driver.closed is not None
    assert driver.closed.reason is CloseReason.TOO_MUCH_DATA
    assert driver.events[-1] == "dropped"


DOWN = Refused(421, "4.3.2", "shutting down")


def test_an_idle_session_is_stopped_at_once_and_one_in_content_after_its_reply() -> None:
    idle = Driver().hello()
    idle.stop(DOWN)
    assert idle.said.startswith(b"421 4.3.2 ")
    busy = Driver().hello()
    busy.feed(MAIL + RCPT + b"DATA\r\nabc"[:-3])
    busy.said = b""
    busy.stop(DOWN)
    assert busy.said == b""
    assert busy.codes(b"abc\r\n.\r\n") == [250, 421]
    assert busy.messages == [b"abc\r\n"]


def test_a_session_between_chunks_is_stopped_after_the_last_one() -> None:
    driver = Driver().hello()
    driver.feed(MAIL + RCPT + b"BDAT 2\r\nab")
    driver.stop(DOWN)
    assert driver.closed is None
    assert driver.codes(b"BDAT 0 LAST\r\n") == [250, 421]


def test_an_aborted_session_drops_its_content() -> None:
    driver = Driver().hello()
    driver.feed(MAIL + RCPT + b"DATA\r\n")
    driver.feed(b"abc")
    driver.abort(DOWN)
    assert driver.events[-1] == "dropped"
    assert driver.closed is not None
    driver.abort(DOWN)


def test_an_answer_after_the_end_is_not_heard() -> None:
    dialogue = Driver().hello().dialogue
    dialogue.feed(MAIL)
    dialogue.abort(DOWN)
    assert dialogue.resume(Refused(550, "5.7.1", "no")) == []


def test_content_in_the_shells_hands_is_not_dropped_by_an_abort() -> None:
    driver = Driver(answer=lambda action: None).hello()
    dialogue = driver.dialogue
    driver.feed(MAIL + RCPT + b"DATA\r\n")
    assert isinstance(dialogue.feed(b"x\r\n.\r\n")[-1], EndOfData)
    assert [type(each).__name__ for each in dialogue.abort(DOWN)] == ["Send", "Close"]
