"""The server dialogue: commands, order, parameters, limits, ends."""

from __future__ import annotations

import msgspec
import pytest

from gateway.model.address import Address
from gateway.model.envelope import Recipient
from gateway.wire.smtp_server import COMMAND_LIMIT
from gateway.wire.smtp_server_actions import (
    CloseReason,
    JudgeMail,
    JudgeRecipient,
    MailCommand,
    OpenBody,
    Refused,
    StartTls,
)
from tests.fakes.smtp_dialogue import SETTINGS, Driver

MAIL = b"MAIL FROM:<a@x.example>\r\n"
RCPT = b"RCPT TO:<b@y.example>\r\n"


def test_greeting_and_keywords_before_and_under_tls() -> None:
    driver = Driver().greet()
    assert driver.said == b"220 gw.example ESMTP\r\n"
    words = driver.feed(b"EHLO client.example\r\n").decode().splitlines()
    assert [word[4:] for word in words[1:]] == [
        "PIPELINING",
        "SIZE 157286400",
        "8BITMIME",
        "SMTPUTF8",
        "ENHANCEDSTATUSCODES",
        "CHUNKING",
        "DSN",
        "STARTTLS",
    ]
    driver.feed(b"STARTTLS\r\n")
    words = driver.feed(b"EHLO client.example\r\n").decode().splitlines()
    assert [word[4:] for word in words[-2:]] == ["REQUIRETLS", "AUTH PLAIN LOGIN"]
    assert not any("STARTTLS" in word for word in words)


def test_one_message_from_hello_to_quit() -> None:
    driver = Driver().hello()
    assert driver.codes(MAIL) == [250]
    assert driver.codes(RCPT) == [250]
    assert driver.codes(b"DATA\r\n") == [354]
    assert driver.codes(b"Subject: x\r\n\r\nhello\r\n.\r\n") == [250]
    assert driver.messages == [b"Subject: x\r\n\r\nhello\r\n"]
    assert driver.codes(b"QUIT\r\n") == [221]
    assert driver.closed is not None
    assert driver.closed.reason is CloseReason.QUIT


def test_a_pipelined_batch_is_answered_in_order_with_one_write() -> None:
    driver = Driver().hello()
    assert driver.codes(MAIL + RCPT + b"RCPT TO:<>\r\n" + RCPT + b"DATA\r\n") == [250, 250, 501, 250, 354]
    assert driver.sends == 1
    assert driver.codes(b"x\r\n.\r\n" + MAIL + RCPT + b"RSET\r\nNOOP\r\nQUIT\r\n") == [
        250,
        250,
        250,
        250,
        250,
        221,
    ]
    assert driver.messages == [b"x\r\n"]


@pytest.mark.parametrize(
    ("commands", "codes"),
    [
        ([MAIL], [503]),
        ([b"EHLO x\r\n", RCPT], [250, 503]),
        ([b"EHLO x\r\n", b"DATA\r\n"], [250, 503]),
        ([b"EHLO x\r\n", MAIL, b"DATA\r\n"], [250, 250, 554]),
        ([b"EHLO x\r\n", MAIL, MAIL], [250, 250, 503]),
        ([b"EHLO x\r\n", MAIL, b"EHLO x\r\n", RCPT], [250, 250, 250, 503]),
        ([b"EHLO x\r\n", MAIL, b"RSET\r\n", RCPT], [250, 250, 250, 503]),
        ([b"EHLO x\r\n", MAIL, b"STARTTLS\r\n"], [250, 250, 503]),
        ([b"EHLO x\r\n", b"STARTTLS now\r\n"], [250, 501]),
        ([b"EHLO x\r\n", b"AUTH PLAIN AGEAYg==\r\n"], [250, 538]),
        (
            [b"EHLO x\r\n", b"VRFY ann\r\n", b"EXPN all\r\n", b"TURN\r\n", b"HELP\r\n"],
            [250, 252, 502, 502, 214],
        ),
        ([b"EHLO x\r\n", b"FOO\r\n", b"\r\n", b"MAILFROM:<a@x.example>\r\n"], [250, 500, 500, 500]),
        ([b"EHLO\r\n", b"EHLO a b\r\n", b"HELO \xe4\r\n"], [501, 501, 501]),
        ([b"HELO x\r\n", MAIL, RCPT, b"DATA\r\n"], [250, 250, 250, 354]),
    ],
)
def test_commands_out_of_order_and_commands_that_are_none(commands: list[bytes], codes: list[int]) -> None:
    driver = Driver().greet()
    assert [code for command in commands for code in driver.codes(command)] == codes


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        (b"MAIL FROM:<a@x.example> FOO=1", b"555 5.5.4 "),
        (b"MAIL FROM:<a@x.example> XOORG=x", b"555 5.5.4 "),
        (b"MAIL FROM:<a@x.example> REQUIRETLS", b"555 5.5.4 "),
        (b"MAIL FROM:<a@x.example> SIZE=x", b"501 5.5.4 "),
        (b"MAIL FROM:<a@x.example> SIZE=" + b"1" * 21, b"501 5.5.4 "),
        (b"MAIL FROM:<a@x.example> SIZE=157286401", b"552 5.3.4 "),
        (b"MAIL FROM:<a@x.example> BODY=BINARYMIME", b"501 5.5.4 "),
        (b"MAIL FROM:<a@x.example> RET=SOME", b"501 5.5.4 "),
        (b"MAIL FROM:<a@x.example> ENVID=a+0D+0Ab", b"501 5.5.4 "),
        (b"MAIL FROM:<a@x.example> ENVID=" + b"x" * 101, b"501 5.5.4 "),
        (b"MAIL FROM:<a@x.example> SMTPUTF8=1", b"501 5.5.4 "),
        (b"MAIL FROM:<a@x.example> SIZE=1 SIZE=1", b"501 5.5.4 "),
        (b"MAIL FROM:<a@x.example> AUTH=a=b", b"501 5.5.4 "),
        (b"MAIL FROM:<a@x.example> =", b"501 5.5.4 "),
        (b"MAIL FROM:a@x.example", b"501 5.1.7 "),
        (b"MAIL FROM:<a@x..example>", b"501 5.1.7 "),
        (b"MAIL TO:<a@x.example>", b"501 5.5.4 "),
        ("MAIL FROM:<ä@x.example>".encode(), b"553 5.6.7 "),
    ],
)
def test_mail_that_is_refused(command: bytes, reply: bytes) -> None:
    assert Driver().hello().feed(command + b"\r\n").startswith(reply)


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        (b"RCPT TO:<>", b"501 5.1.3 "),
        (b"RCPT TO:b@y.example", b"501 5.1.3 "),
        (b"RCPT TO:<b@y.example> NOTIFY=NEVER,DELAY", b"501 5.5.4 "),
        (b"RCPT TO:<b@y.example> ORCPT=rfc822", b"501 5.5.4 "),
        (b"RCPT TO:<b@y.example> SIZE=1", b"555 5.5.4 "),
        ("RCPT TO:<ä@y.example>".encode(), b"553 5.6.7 "),
    ],
)
def test_recipients_that_are_refused(command: bytes, reply: bytes) -> None:
    driver = Driver().hello()
    driver.feed(MAIL)
    assert driver.feed(command + b"\r\n").startswith(reply)


def test_parameters_reach_the_shell_exactly_as_they_were_sent() -> None:
    driver = Driver(tls=True).hello()
    driver.feed(
        "mail from:<ä@x.example>  size=10 BODY=8BitMime AUTH=<> smtputf8 RET=full ENVID=AbC+2Bd REQUIRETLS\r\n".encode()
    )
    driver.feed(b"rcpt to:<b@y.example> NOTIFY=success,Delay ORCPT=RFC822;B+2B@Y.example\r\n")
    assert driver.events == [
        JudgeMail(
            MailCommand(
                sender=Address("ä", "x.example"),
                size=10,
                body_type="8BITMIME",
                smtputf8=True,
                ret="FULL",
                envid="AbC+2Bd",
                requiretls=True,
            )
        ),
        JudgeRecipient(Recipient(Address("b", "y.example"), ("SUCCESS", "DELAY"), "RFC822;B+2B@Y.example")),
    ]
    assert driver.dialogue.protocol == "UTF8SMTPS"


def test_auth_empty_is_accepted_where_auth_is_not_offered() -> None:
    settings = msgspec.structs.replace(SETTINGS, auth=False)
    assert Driver(settings).hello().codes(b"MAIL FROM:<a@x.example> AUTH=<>\r\n") == [250]


def test_the_null_sender_is_none() -> None:
    driver = Driver().hello()
    driver.feed(b"MAIL FROM:<>\r\n")
    assert driver.events == [JudgeMail(MailCommand(sender=None))]


def test_more_recipients_than_allowed_are_put_off() -> None:
    driver = Driver(msgspec.structs.replace(SETTINGS, recipient_limit=2)).hello()
    assert driver.codes(MAIL + RCPT * 3) == [250, 250, 250, 452]


def test_refusals_of_the_shell_are_passed_on() -> None:
    def no(action: object) -> Refused | None:
        match action:
            case JudgeMail():
                return Refused(550, "5.7.1", "no")
            case _:
                return None

    driver = Driver(answer=no).hello()
    assert driver.feed(MAIL + RCPT).startswith(b"550 5.7.1 no\r\n503 5.5.1 ")


def test_a_refused_body_leaves_the_session_in_step() -> None:
    refusals = iter([Refused(452, "4.3.1", "full")])

    def full(action: object) -> Refused | None:
        return next(refusals, None) if isinstance(action, OpenBody) else None

    driver = Driver(answer=full).hello()
    assert driver.codes(MAIL + RCPT + b"DATA\r\n") == [250, 250, 452]
    assert driver.codes(MAIL + RCPT + b"DATA\r\n") == [250, 250, 354]


def test_a_refused_body_of_chunks_is_read_and_thrown_away() -> None:
    refusals = iter([Refused(452, "4.3.1", "full")])

    def full(action: object) -> Refused | None:
        return next(refusals, None) if isinstance(action, OpenBody) else None

    driver = Driver(answer=full).hello()
    assert driver.codes(MAIL + RCPT + b"BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n") == [
        250,
        250,
        452,
        452,
        250,
    ]
    assert driver.messages == []


# ------------------------------------------------------------------------------------------------------ abuse, limits


def test_whoever_speaks_before_the_greeting_is_sent_away() -> None:
    driver = Driver()
    assert driver.feed(b"EHLO x\r\n").startswith(b"554 5.5.0 ")
    assert driver.closed is not None
    assert driver.closed.reason is CloseReason.EARLY_TALKER
    driver.greet()
    assert b"220" not in driver.said


@pytest.mark.parametrize(
    "octets",
    [
        b"EHLO x\r\nMAIL FROM:<a@x.example>\r\n",
        b"HELO x\r\nMAIL",
        b"POST / HTTP/1.1\r\nHost: x\r\n\r\nEHLO x\r\n",
    ],
)
def test_pipelining_before_it_was_offered_ends_the_session(octets: bytes) -> None:
    driver = Driver().greet()
    assert driver.feed(octets).startswith(b"554 5.5.0 ")
    assert driver.closed is not None
    assert driver.closed.reason is CloseReason.PIPELINING
    assert driver.events == []


def test_content_that_does_not_wait_for_354_ends_the_session() -> None:
    driver = Driver().hello()
    assert driver.codes(MAIL + RCPT + b"DATA\r\nSubject: x\r\n") == [250, 250, 554]
    assert driver.closed is not None


def test_octets_after_starttls_end_the_session() -> None:
    driver = Driver().hello()
    assert driver.feed(b"STARTTLS\r\nMAIL FROM:<a@x.example>\r\n").startswith(b"554 5.5.0 ")
    assert driver.closed is not None
    assert driver.closed.reason is CloseReason.STARTTLS_INJECTION
    assert driver.events == []


def test_octets_fed_while_the_handshake_is_awaited_end_the_session_in_silence() -> None:
    driver = Driver(answer=lambda action: None).hello()
    dialogue = driver.dialogue
    actions = dialogue.feed(b"STARTTLS\r\n")
    assert isinstance(actions[-1], StartTls)
    assert [type(each).__name__ for each in dialogue.feed(b"RSET\r\n")] == ["Close"]


def test_tls_forgets_what_was_said_before() -> None:
    driver = Driver().hello()
    driver.feed(b"STARTTLS\r\n")
    assert driver.codes(MAIL) == [503]
    assert driver.codes(b"STARTTLS\r\n") == [503]
    assert driver.codes(b"EHLO x\r\n") == [250]
    assert driver.codes(MAIL) == [250]
    assert driver.dialogue.protocol == "ESMTPS"


@pytest.mark.parametrize(
    "command", [b"NOOP\nRSET", b"NOOP\r", b"NOOP a\0b", b"MAIL FROM:<a@x.example>\nRCPT TO:<b@y.example>"]
)
def test_only_crlf_ends_a_command(command: bytes) -> None:
    driver = Driver().hello()
    assert driver.feed(command) == b""
    assert driver.feed(b"\r\n").startswith(b"500 5.5.2 ")
    assert driver.events == []


def test_a_command_of_the_greatest_length_passes_and_a_longer_one_ends_the_session() -> None:
    driver = Driver().hello()
    assert driver.codes(b"NOOP " + b"x" * (COMMAND_LIMIT - 5) + b"\r\n") == [250]
    assert driver.codes(b"NOOP " + b"x" * (COMMAND_LIMIT - 4) + b"\r\n") == [500]
    assert driver.closed is not None
    assert driver.closed.reason is CloseReason.LINE_TOO_LONG


def test_a_command_of_the_greatest_length_may_be_cut_inside_its_crlf() -> None:
    driver = Driver().hello()
    assert driver.codes(b"NOOP " + b"x" * (COMMAND_LIMIT - 5) + b"\r", b"\n") == [250]


def test_an_endless_command_ends_the_session_before_it_has_grown() -> None:
    driver = Driver().hello()
    fed = 0
    while driver.closed is None:
        driver.feed(b"x" * 100)
        fed += 100
    assert fed <= COMMAND_LIMIT + 200
    assert driver.said.startswith(b"500 5.5.2 ")
    assert driver.feed(b"x" * 100) == b""


def test_too_many_errors_end_the_session() -> None:
    driver = Driver(msgspec.structs.replace(SETTINGS, error_limit=3)).hello()
    assert driver.codes(b"FOO\r\nFOO\r\nFOO\r\nNOOP\r\n") == [500, 500, 421]
    assert driver.closed is not None
    assert driver.closed.reason is CloseReason.ERRORS


def test_a_shell_that_never_answers_cannot_be_filled_up() -> None:
    dialogue = Driver().hello().dialogue
    dialogue.feed(MAIL)
    ended = [dialogue.feed(b"NOOP\r\n" * 50_000) for _ in range(5)]
    assert any(ended)
    assert dialogue.closed
