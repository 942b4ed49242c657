"""Where DATA ends, what dot-stuffing does, and what becomes of bare CR, bare LF and NUL (SMTP smuggling)."""

from __future__ import annotations

import resource

import pytest

from gateway.wire.smtp_server_actions import CloseReason
from gateway.wire.smtp_server_data import DataReader, LineEnds, Newlines
from gateway.wire.smtp_server_session import DialogueSettings
from tests.fakes.smtp_dialogue import Driver

MAIL_RCPT_DATA = b"MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n"
FALSE_ENDS = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r.\r",
    b"\r.\n",
    b"\r.\r\n",
    b"\n.\r",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
    b"\r\n.\r\r\n",
    b"\r\n\r.\r\n",
    b"\r\r\n.\r\r\n",
    b"\r\n.\n\r\n",
]
SMUGGLED = b"MAIL FROM:<ceo@x.example>\r\nRCPT TO:<victim@y.example>\r\nDATA\r\nboo"


@pytest.mark.parametrize(
    ("wire", "content"),
    [
        (b".\r\n", b""),
        (b"a\r\n.\r\n", b"a\r\n"),
        (b"..\r\n.\r\n", b".\r\n"),
        (b"..a\r\n..\r\n.b\r\n.\r\n", b".a\r\n.\r\nb\r\n"),
        (b"\r\n.\r\n", b"\r\n"),
        (b"a.\r\n.\r\n", b"a.\r\n"),
        (b"a\r\n...\r\n.\r\n", b"a\r\n..\r\n"),
    ],
)
def test_dots_at_the_start_of_lines(wire: bytes, content: bytes) -> None:
    for cut in range(len(wire) + 1):
        reader = DataReader()
        first, rest = reader.feed(wire[:cut])
        if rest is None:
            second, rest = reader.feed(wire[cut:] + b"NOOP\r\n")
        else:
            second, rest = b"", rest + b"NOOP\r\n"
        assert (first + second, rest) == (content, b"NOOP\r\n")


@pytest.mark.parametrize("false_end", FALSE_ENDS)
@pytest.mark.parametrize("bytewise", [False, True])
def test_nothing_but_crlf_dot_crlf_ends_a_message_and_it_is_refused(false_end: bytes, bytewise: bool) -> None:
    driver = Driver().hello()
    driver.feed(MAIL_RCPT_DATA)
    wire = b"Subject: x\r\n\r\nhi" + false_end + SMUGGLED + b"\r\n.\r\nNOOP\r\n"
    pieces = [wire[at : at + 1] for at in range(len(wire))] if bytewise else [wire]
    assert driver.codes(*pieces) == [550, 250]
    assert driver.messages == []


@pytest.mark.parametrize("false_end", FALSE_ENDS)
@pytest.mark.parametrize("rule", [Newlines.NORMALIZE, Newlines.SPACE])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_repaired_message_stays_one_message(false_end: bytes, rule: Newlines, chunked: bool) -> None:
    driver = Driver(newlines=rule).hello()
    wire = b"Subject: x\r\n\r\nhi" + false_end + SMUGGLED
    if chunked:
        driver.feed(MAIL_RCPT_DATA.replace(b"DATA\r\n", b"BDAT %d LAST\r\n" % len(wire)) + wire)
    else:
        driver.feed(MAIL_RCPT_DATA)
        driver.feed(wire + b"\r\n.\r\n")
    assert len(driver.messages) == 1
    message = driver.messages[0]
    assert message.endswith(SMUGGLED + b"\r\n")
    assert message.count(b"\r") == message.count(b"\n") == message.count(b"\r\n")
    assert b"\0" not in message
    # Stuffed again on its way out, it has one end.
    out = (b"\r\n" + message + b".\r\n").replace(b"\r\n.", b"\r\n..")[2:]
    assert b"\r\n.\r\n" not in out


@pytest.mark.parametrize(
    ("rule", "octets", "repaired"),
    [
        (Newlines.NORMALIZE, b"a\nb\rc\r\nd\0e\r\r\n", b"a\r\nb\r\nc\r\nde\r\n\r\n"),
        (Newlines.SPACE, b"a\nb\rc\r\nd\0e\r\r\n", b"a b c\r\nd e \r\n"),
        (Newlines.REJECT, b"a\r\nb\r\n", b"a\r\nb\r\n"),
        (Newlines.REJECT, b"a", b"a\r\n"),
        (Newlines.NORMALIZE, b"a\r", b"a\r\n"),
        (Newlines.SPACE, b"a\r", b"a \r\n"),
        (Newlines.REJECT, b"", b""),
    ],
)
def test_repairs(rule: Newlines, octets: bytes, repaired: bytes) -> None:
    for pieces in ([octets], [octets[at : at + 1] for at in range(len(octets))]):
        lines = LineEnds(rule)
        assert b"".join([*map(lines.feed, pieces), lines.finish()]) == repaired
        assert not lines.refused


def test_endless_content_without_a_line_end_takes_no_memory() -> None:
    settings = DialogueSettings(hostname="gw.example", size_limit=1 << 20, discard_limit=100 << 20)
    driver = Driver(settings).hello()
    driver.feed(MAIL_RCPT_DATA)
    piece = b"x" * (1 << 16)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(48 * 16):
        driver.feed(piece)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 * 1024  # KiB
    assert driver.largest <= len(piece) + 4
    assert driver.codes(b"\r\n.\r\nNOOP\r\n") == [552, 250]
    assert driver.closed is None


def test_endless_content_above_the_hard_limit_ends_the_session() -> None:
    settings = DialogueSettings(hostname="gw.example", size_limit=1 << 20, discard_limit=1 << 20)
    driver = Driver(settings).hello()
    driver.feed(MAIL_RCPT_DATA)
    fed = 0
    while driver.closed is None:
        driver.feed(b"x" * 65536)
        fed += 65536
    assert fed == (2 << 20) + 65536
    assert driver.closed.reason is CloseReason.TOO_MUCH_DATA
