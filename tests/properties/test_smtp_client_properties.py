"""Laws of replies and of the client's dialogue, whatever a server sends and however it is cut into pieces."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from gateway.deliver.outcome import of_replies
from gateway.model.address import Address
from gateway.model.delivery import Delivered, Unknown
from gateway.model.envelope import Recipient
from gateway.model.problem import Problem
from gateway.wire.endpoint import Endpoint
from gateway.wire.reply import MAX_LINE, ReplyParser, format_reply
from gateway.wire.smtp_client import ClientDialogue
from gateway.wire.smtp_client_phase import Phase, StartTls
from gateway.wire.smtp_transaction import Transaction, dotted, is_canonical
from tests.fakes.smtp_peer import BARE, HELLO, opened, written

RECIPIENTS = tuple(Recipient(Address(name, "example.org")) for name in ("bob", "eve"))
MX = Endpoint("mx.example.org", "192.0.2.1", 25)

texts = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)
tokens = st.one_of(
    st.sampled_from(
        [
            b"\r\n",
            b"\n",
            b"\r",
            b"250 ok\r\n",
            b"250-a\r\n",
            b"354 go\r\n",
            b"421 bye\r\n",
            b"220 hi\r\n",
            b"2",
        ]
    ),
    st.binary(max_size=20),
)
noise = st.lists(tokens, max_size=20).map(b"".join)
replies = st.builds(
    lambda code, text: f"{code} {text}\r\n".encode(),
    st.sampled_from([220, 250, 251, 354, 421, 450, 452, 500, 503, 550, 552, 554]),
    texts,
)
good_starts = st.sampled_from(
    [
        [],
        [b"250 a\r\n250 b\r\n250 c\r\n354 d\r\n"],
        [b"250 a\r\n550 b\r\n250 c\r\n354 d\r\n"],
        [b"250 a\r\n", b"250 b\r\n", b"250 c\r\n", b"354 d\r\n"],
        [b"250 a\r\n550 b\r\n550 c\r\n354 d\r\n"],
    ]
)
pieces_said = st.lists(st.one_of(replies, st.lists(replies, max_size=5).map(b"".join), noise), max_size=12)


@given(octets=noise, cuts=st.lists(st.integers(0, 400), max_size=8))
def test_replies_do_not_depend_on_how_octets_are_cut(octets: bytes, cuts: list[int]) -> None:
    whole = ReplyParser()
    at_once = whole.feed(octets)
    bounds = [0, *sorted(min(cut, len(octets)) for cut in cuts), len(octets)]
    for pieces in (
        [octets[a:b] for a, b in itertools.pairwise(bounds)],
        [bytes([octet]) for octet in octets],
    ):
        parser = ReplyParser()
        assert [reply for piece in pieces for reply in parser.feed(piece)] == at_once
        assert parser.fault == whole.fault
        assert parser.pending == whole.pending


@given(
    code=st.integers(200, 599),
    lines=st.lists(st.text(max_size=700), min_size=1, max_size=5),
    marked=st.booleans(),
)
def test_what_we_write_we_can_read(code: int, lines: list[str], marked: bool) -> None:
    first = str(code)[0]
    status = f"{first}.1.2" if marked and first in "245" else None
    parser = ReplyParser()
    (reply,) = parser.feed(format_reply(code, status, *lines))
    assert parser.fault is None
    assert (reply.code, len(reply.lines)) == (code, len(lines))
    assert status is None or reply.status == status


@given(octets=st.binary(max_size=MAX_LINE))
def test_the_parser_holds_a_bounded_piece(octets: bytes) -> None:
    parser = ReplyParser()
    for _ in range(6):
        parser.feed(octets.replace(b"\n", b""))
    assert len(parser._buffer) <= MAX_LINE


@given(
    hello=st.sampled_from([HELLO, BARE]),
    start=good_starts,
    said=pieces_said,
    large=st.booleans(),
    first=st.booleans(),
)
def test_a_hostile_server_never_makes_delivered_of_what_it_did_not_take(
    hello: bytes, start: list[bytes], said: list[bytes], large: bool, first: bool
) -> None:
    content = b"line\r\n" * (120_000 if large else 1)
    dialogue = opened(hello)
    dialogue.begin(Transaction(sender=None, recipients=RECIPIENTS, content=content))
    wire = written(dialogue)
    accepting = b""
    for octets in start + said:
        whole_left = wire.endswith(content + b".\r\n")
        dialogue.feed(octets)
        if dialogue.replies is not None and dialogue.replies.final is not None and not accepting:
            accepting = octets
            assert dialogue.replies.final.code // 100 != 2 or whole_left
        if dialogue.replies is not None:
            break
        wire += bytes(dialogue.take())  # at most one piece: a server may speak while content leaves
    if dialogue.replies is None:
        dialogue.lost(Problem("4.4.2", "gone"))
    assert dialogue.replies is not None
    for number in range(2):
        outcome = of_replies(MX, dialogue.replies, number, first=first)
        if isinstance(outcome, Delivered | Unknown):
            assert wire.endswith(content + b".\r\n")
            assert wire.count(b"DATA\r\n") == 1
        if isinstance(outcome, Delivered):
            assert b"2%02d" % (outcome.reply.code % 100) in accepting
            assert dialogue.replies.rcpt[number] is not None


@given(said=st.lists(st.one_of(noise, replies, st.just(HELLO)), max_size=8), how=st.sampled_from(StartTls))
def test_the_opening_ends_ready_or_dead_and_never_in_between(said: list[bytes], how: StartTls) -> None:
    dialogue = ClientDialogue("gw.example", how)
    written(dialogue)
    for octets in said:
        if dialogue.phase is Phase.TLS:
            dialogue.tls_established()
        dialogue.feed(octets)
        written(dialogue)
    dialogue.lost(Problem("4.4.2", "gone"))
    assert dialogue.phase is Phase.DEAD
    if dialogue.failed is None:
        assert dialogue.secured or how is not StartTls.MUST
    assert dialogue.take() == b""


@given(
    content=st.lists(
        st.sampled_from([b"\r\n", b".", b"a", b"..", b"\r\n.", b".\r\n", b"text"]), max_size=40
    ).map(b"".join)
)
def test_dots_come_off_as_they_went_on(content: bytes) -> None:
    wire = b"".join(dotted(content))
    assert wire.endswith(b".\r\n")
    lines = wire.split(b"\r\n")
    assert lines.index(b".") == len(lines) - 2  # the final dot is the only line that is one dot
    received = b"".join(line.removeprefix(b".") + b"\r\n" for line in lines[:-2])
    assert received == content + (b"" if not content or content.endswith(b"\r\n") else b"\r\n")


@given(
    content=st.lists(st.sampled_from([b"\r", b"\n", b"\0", b"a", b".", b"\r\n", b"\xff"]), max_size=20).map(
        b"".join
    )
)
def test_canonical_is_what_the_definition_says(content: bytes) -> None:
    rest = content.replace(b"\r\n", b"")
    assert is_canonical(content) == (b"\r" not in rest and b"\n" not in rest and b"\0" not in rest)
