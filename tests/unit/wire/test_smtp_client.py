"""The client's dialogue, step by step: what it says, and what it makes of answers in and out of their places."""

from __future__ import annotations

import pytest

from gateway.model.address import Address
from gateway.model.envelope import Recipient
from gateway.model.problem import Problem
from gateway.wire.smtp_client import ClientDialogue
from gateway.wire.smtp_client_phase import Phase, StartTls
from gateway.wire.smtp_transaction import CHUNK, Transaction, TransactionReplies
from tests.fakes.smtp_peer import BARE, HELLO, opened, play, written

ANN = Address("ann", "example.net")
BOB = Recipient(Address("bob", "example.org"))
EVE = Recipient(Address("eve", "example.org"))
CONTENT = b"Subject: x\r\n\r\nhello\r\n"
MESSAGE = Transaction(sender=ANN, recipients=(BOB, EVE), content=CONTENT)
GONE = Problem("4.4.2", "gone")


def carry(said: list[bytes], hello: bytes = HELLO) -> tuple[ClientDialogue, list[bytes]]:
    dialogue = opened(hello)
    assert dialogue.begin(MESSAGE) is None
    first = written(dialogue)
    return dialogue, [first, *play(dialogue, said)]


def ended(dialogue: ClientDialogue) -> TransactionReplies:
    assert dialogue.replies is not None
    return dialogue.replies


def codes(dialogue: ClientDialogue) -> list[int | None]:
    replies = ended(dialogue)
    return [
        None if reply is None else reply.code
        for reply in (replies.mail, *replies.rcpt, replies.data, replies.final)
    ]


# ---------------------------------------------------------------------- the opening


def test_greeting_then_ehlo_then_ready() -> None:
    dialogue = ClientDialogue("gw.example", StartTls.NEVER)
    assert play(dialogue, [b"220-hi\r\n220 there\r\n", HELLO]) == [b"EHLO gw.example\r\n", b""]
    assert dialogue.alive
    assert dialogue.extensions["SIZE"] == "1000000"


@pytest.mark.parametrize(
    "greeting", [b"554 no\r\n", b"421 busy\r\n", b"450 later\r\n", b"250 odd\r\n", b"354 odd\r\n"]
)
def test_a_greeting_that_is_no_220_is_a_temporary_failure(greeting: bytes) -> None:
    dialogue = ClientDialogue("gw.example", StartTls.NEVER)
    assert play(dialogue, [greeting]) == [b""]
    assert dialogue.failed is not None
    assert dialogue.failed.stage is Phase.GREETING
    assert dialogue.failed.problem.temporary
    assert not dialogue.failed.definite
    assert dialogue.phase is Phase.DEAD


def test_helo_where_ehlo_is_unknown_but_not_after_421() -> None:
    dialogue = ClientDialogue("gw.example", StartTls.NEVER)
    wrote = play(dialogue, [b"220 mx\r\n", b"502 what\r\n", b"250 mx\r\n"])
    assert wrote == [b"EHLO gw.example\r\n", b"HELO gw.example\r\n", b""]
    assert dialogue.alive
    assert dialogue.extensions == {}
    for last in ([b"421 busy\r\n"], [b"502 what\r\n", b"502 what\r\n"]):
        dialogue = ClientDialogue("gw.example", StartTls.NEVER)
        play(dialogue, [b"220 mx\r\n", *last])
        assert dialogue.failed is not None
        assert dialogue.failed.stage is Phase.EHLO


def test_starttls_forgets_what_was_said_in_the_clear() -> None:
    dialogue = ClientDialogue("gw.example", StartTls.MUST)
    clear = b"250-mx\r\n250-STARTTLS\r\n250-DSN\r\n250 SIZE 5\r\n"
    assert play(dialogue, [b"220 mx\r\n", clear, b"220 go\r\n"])[1:] == [b"STARTTLS\r\n", b""]
    assert dialogue.phase is Phase.TLS
    dialogue.tls_established()
    assert dialogue.extensions == {}
    assert play(dialogue, [b"250-mx\r\n250 PIPELINING\r\n"]) == [b""]
    assert dialogue.alive
    assert dialogue.extensions == {"PIPELINING": ""}
    assert dialogue.secured


@pytest.mark.parametrize("behind", [b"250 x\r\n", b"2", b"\x15\x03\x03\x00\x02\x02\x28", b"\r\n"])
def test_octets_behind_the_220_of_starttls_are_an_attack(behind: bytes) -> None:
    dialogue = ClientDialogue("gw.example", StartTls.IF_OFFERED)
    play(dialogue, [b"220 mx\r\n", b"250-mx\r\n250 STARTTLS\r\n", b"220 go\r\n" + behind])
    assert dialogue.phase is Phase.DEAD
    assert dialogue.failed is not None
    assert dialogue.failed.result == "validation-failure"
    assert not dialogue.failed.definite


def test_a_failed_handshake_is_not_no_tls() -> None:
    dialogue = ClientDialogue("gw.example", StartTls.IF_OFFERED)
    play(dialogue, [b"220 mx\r\n", b"250-mx\r\n250 STARTTLS\r\n", b"220 go\r\n"])
    dialogue.tls_failed(Problem("4.7.5", "no"), definite=True)
    assert dialogue.phase is Phase.DEAD
    assert dialogue.failed is not None
    assert (dialogue.failed.stage, dialogue.failed.definite) == (Phase.TLS, True)


def test_octets_that_come_too_early_end_the_session() -> None:
    for early in (b"220 mx\r\n250 mx\r\n", b"220 mx\r\n25"):
        dialogue = ClientDialogue("gw.example", StartTls.NEVER)
        assert play(dialogue, [early]) == [b""]
        assert dialogue.failed is not None
        assert dialogue.phase is Phase.DEAD


def test_a_word_to_an_idle_client_ends_the_session() -> None:
    for word in (b"421 timeout\r\n", b"250 ok\r\n", b"x"):
        dialogue = opened()
        dialogue.feed(word)
        assert dialogue.phase is Phase.DEAD
        assert dialogue.replies is None


# ---------------------------------------------------------------------- transactions


def test_pipelined_in_one_write() -> None:
    dialogue, wrote = carry([b"250 a\r\n250 b\r\n550 c\r\n354 d\r\n", b"250 2.0.0 queued\r\n"])
    assert wrote == [
        b"MAIL FROM:<ann@example.net> SIZE=21\r\nRCPT TO:<bob@example.org>\r\nRCPT TO:<eve@example.org>\r\nDATA\r\n",
        CONTENT + b".\r\n",
        b"",
    ]
    assert codes(dialogue) == [250, 250, 550, 354, 250]
    assert dialogue.alive
    assert not ended(dialogue).without_dsn


def test_one_by_one_without_pipelining() -> None:
    said = [b"250 a\r\n", b"550 b\r\n", b"250 c\r\n", b"354 d\r\n", b"250 e\r\n"]
    dialogue, wrote = carry(said, BARE)
    assert wrote == [
        b"MAIL FROM:<ann@example.net>\r\n",
        b"RCPT TO:<bob@example.org>\r\n",
        b"RCPT TO:<eve@example.org>\r\n",
        b"DATA\r\n",
        CONTENT + b".\r\n",
        b"",
    ]
    assert codes(dialogue) == [250, 550, 250, 354, 250]
    assert ended(dialogue).without_dsn


def test_nobody_accepted_and_yet_354_gets_a_lone_dot_that_counts_for_nothing() -> None:
    dialogue, wrote = carry([b"250 a\r\n550 b\r\n450 c\r\n354 d\r\n", b"250 queued\r\n"])
    assert wrote[1] == b".\r\n"
    assert codes(dialogue) == [250, 550, 450, 354, None]
    assert dialogue.alive


def test_a_refused_mail_lets_nothing_count() -> None:
    dialogue, wrote = carry([b"550 a\r\n250 b\r\n250 c\r\n354 d\r\n", b"250 queued\r\n"])
    assert wrote[1] == b".\r\n"
    assert codes(dialogue) == [550, 250, 250, 354, None]
    dialogue, wrote = carry([b"550 a\r\n"], BARE)
    assert codes(dialogue) == [550, None, None, None, None]
    assert dialogue.alive


def test_what_ends_without_content_is_reset_before_the_next() -> None:
    for said, hello in (
        ([b"250 a\r\n", b"550 b\r\n", b"550 c\r\n", b"250 reset\r\n"], BARE),
        ([b"250 a\r\n250 b\r\n250 c\r\n452 d\r\n", b"250 reset\r\n"], HELLO),
    ):
        dialogue, wrote = carry(said, hello)
        assert wrote[-2] == b"RSET\r\n"
        assert dialogue.alive
        assert ended(dialogue).lost is None
    dialogue, _ = carry([b"250 a\r\n", b"550 b\r\n", b"550 c\r\n", b"500 what\r\n"], BARE)
    assert dialogue.phase is Phase.DEAD
    assert codes(dialogue) == [250, 550, 550, None, None]


@pytest.mark.parametrize("code", [500, 501, 503, 521, 555])
def test_a_reply_about_the_dialogue_is_the_last_of_the_connection(code: int) -> None:
    dialogue, _ = carry([b"250 a\r\n%d b\r\n250 c\r\n354 d\r\n" % code, b"250 queued\r\n"])
    assert codes(dialogue) == [250, code, 250, 354, 250]
    assert ended(dialogue).lost is None
    assert dialogue.phase is Phase.DEAD


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        ([b"421 bye\r\n"], [421, None, None, None, None]),
        ([b"250 a\r\n421 bye\r\n"], [250, 421, None, None, None]),
        ([b"250 a\r\n550 b\r\n421 bye\r\n"], [250, 550, 421, None, None]),
        ([b"250 a\r\n250 b\r\n250 c\r\n421 bye\r\n"], [250, 250, 250, 421, None]),
        ([b"250 a\r\n250 b\r\n250 c\r\n354 d\r\n", b"421 bye\r\n"], [250, 250, 250, 354, 421]),
    ],
)
def test_421_anywhere_closes(said: list[bytes], seen: list[int | None]) -> None:
    dialogue, _ = carry(said)
    assert codes(dialogue) == seen
    assert dialogue.phase is Phase.DEAD
    lost = ended(dialogue).lost
    assert (lost is None) == (seen[-1] == 421)
    assert lost is None or not lost.after_dot


def test_421_without_pipelining_sends_nothing_more() -> None:
    dialogue, wrote = carry([b"250 a\r\n", b"421 bye\r\n"], BARE)
    assert wrote[-1] == b""
    assert codes(dialogue) == [250, 421, None, None, None]


def test_lost_before_and_after_the_dot() -> None:
    said = [b"250 a\r\n250 b\r\n250 c\r\n", b"354 d\r\n"]
    for length, stage, after_dot in ((0, Phase.MAIL, False), (1, Phase.DATA, False), (2, Phase.DOT, True)):
        dialogue, _ = carry(said[:length])
        dialogue.lost(GONE)
        lost = ended(dialogue).lost
        assert lost is not None
        assert (lost.stage, lost.after_dot) == (stage, after_dot)
        assert dialogue.phase is Phase.DEAD


def test_lost_while_content_leaves_is_before_the_dot() -> None:
    dialogue = opened()
    dialogue.begin(Transaction(sender=ANN, recipients=(BOB,), content=b"x\r\n" * CHUNK, eight_bit=True))
    play(dialogue, [])
    dialogue.feed(b"250 a\r\n250 b\r\n354 c\r\n")
    assert len(dialogue.take()) == CHUNK
    dialogue.lost(GONE)
    lost = ended(dialogue).lost
    assert lost is not None
    assert (lost.stage, lost.after_dot) == (Phase.CONTENT, False)


def test_an_answer_before_the_dot_may_refuse_and_never_accept() -> None:
    for early, final in ((b"552 too big\r\n", 552), (b"250 sure\r\n", None), (b"25", None)):
        dialogue = opened()
        dialogue.begin(Transaction(sender=ANN, recipients=(BOB,), content=b"x\r\n" * CHUNK))
        play(dialogue, [])
        dialogue.feed(b"250 a\r\n250 b\r\n354 c\r\n")
        dialogue.take()
        dialogue.feed(early)
        assert codes(dialogue)[-1] == final
        assert (ended(dialogue).lost is None) == (final is not None)
        assert dialogue.phase is Phase.DEAD
        assert dialogue.take() == b""


def test_354_and_250_at_once_deliver_nothing() -> None:
    dialogue, wrote = carry([b"250 a\r\n250 b\r\n250 c\r\n354 d\r\n250 queued\r\n"])
    assert wrote[-1] == b""
    assert codes(dialogue)[-1] is None
    lost = ended(dialogue).lost
    assert lost is not None
    assert not lost.after_dot


@pytest.mark.parametrize(
    "said",
    [
        [b"354 a\r\n"],
        [b"250 a\r\n354 b\r\n"],
        [b"250 a\r\n250 b\r\n250 c\r\n250 d\r\n"],
        [b"250 a\r\n250 b\r\n250 c\r\nnonsense\r\n"],
        [b"250 a\r\n250 b\r\n250 c\r\n354 d\r\n", b"354 e\r\n"],
        [b"250 a\r\n250 b\r\n250 c\r\n354 d\r\n", b"nonsense\r\n"],
    ],
)
def test_replies_of_a_class_that_cannot_be_end_the_session(said: list[bytes]) -> None:
    dialogue, _ = carry(said)
    lost = ended(dialogue).lost
    assert lost is not None
    assert codes(dialogue)[-1] is None
    assert lost.after_dot is (len(said) == 2)
    assert dialogue.phase is Phase.DEAD


def test_a_reply_behind_the_final_one_spoils_the_connection_but_not_the_outcome() -> None:
    dialogue, _ = carry([b"250 a\r\n250 b\r\n250 c\r\n354 d\r\n", b"250 queued\r\n421 bye\r\n"])
    assert codes(dialogue)[-1] == 250
    assert ended(dialogue).lost is None
    assert dialogue.phase is Phase.DEAD


def test_two_messages_and_a_farewell() -> None:
    dialogue, _ = carry([b"250 a\r\n250 b\r\n250 c\r\n354 d\r\n", b"250 e\r\n"])
    assert dialogue.begin(MESSAGE) is None
    assert dialogue.replies is None
    play(dialogue, [b"250 a\r\n250 b\r\n250 c\r\n354 d\r\n", b"450 e\r\n"])
    assert codes(dialogue)[-1] == 450
    dialogue.quit()
    assert play(dialogue, []) == []
    dialogue.feed(b"221 bye\r\n")
    assert dialogue.phase is Phase.DEAD


def test_large_content_leaves_in_bounded_pieces() -> None:
    content = b"line of text\r\n" * 60_000
    dialogue = opened()
    dialogue.begin(Transaction(sender=ANN, recipients=(BOB,), content=content))
    dialogue.take()
    dialogue.feed(b"250 a\r\n250 b\r\n354 c\r\n")
    pieces = [bytes(piece) for piece in iter(dialogue.take, b"")]
    assert max(map(len, pieces)) <= CHUNK + 5
    assert b"".join(pieces) == content + b".\r\n"
    assert dialogue.phase is Phase.DOT
