"""The server dialogue: commands, order, parameters, limits, ends."""

from __future__ import annotations

import base64

import msgspec
import pytest

from gateway.model.address import Address
from gateway.model.envelope import Recipient
from gateway.wire.smtp_server import AUTH_LIMIT, COMMAND_LIMIT
from gateway.wire.smtp_server_actions import (
    Authenticate,
    CloseReason,
    EndOfData,
    JudgeMail,
    JudgeRecipient,
    Login,
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


# ------------------------------------------------------------------------------------------------------------- chunks


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


# -------------------------------------------------------------------------------------------------------------- sizes


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


# --------------------------------------------------------------------------------------------------------------- AUTH


def b64(text: str) -> bytes:
    return base64.b64encode(text.encode())


@pytest.mark.parametrize(
    "lines",
    [
        [b"AUTH PLAIN " + b64("\0ann\0geheim")],
        [b"auth plain", b64("ann\0ann\0geheim")],
        [b"AUTH LOGIN", b64("ann"), b64("geheim")],
        [b"AUTH LOGIN " + b64("ann"), b64("geheim")],
    ],
)
def test_logins_that_are_well_formed(lines: list[bytes]) -> None:
    driver = Driver(tls=True).hello()
    codes = [code for line in lines for code in driver.codes(line + b"\r\n")]
    assert codes == [334] * (len(lines) - 1) + [235]
    assert driver.events == [Authenticate(Login("ann", "geheim"))]
    assert "geheim" not in repr(driver.events)
    assert driver.dialogue.user == "ann"
    assert driver.dialogue.protocol == "ESMTPSA"
    assert driver.codes(b"AUTH LOGIN\r\n") == [503]


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([b"AUTH PLAIN ???"], 501),
        ([b"AUTH PLAIN " + b64("ann")], 501),
        ([b"AUTH PLAIN " + b64("root\0ann\0geheim")], 535),
        ([b"AUTH PLAIN ="], 501),
        ([b"AUTH CRAM-MD5"], 504),
        ([b"AUTH"], 504),
        ([b"AUTH LOGIN", b"*"], 501),
        ([b"AUTH LOGIN", b64("ann"), b"*"], 501),
        ([b"AUTH PLAIN", b"/w=="], 501),
    ],
)
def test_logins_that_are_not(lines: list[bytes], code: int) -> None:
    driver = Driver(tls=True).hello()
    codes = [each for line in lines for each in driver.codes(line + b"\r\n")]
    assert codes[-1] == code
    assert driver.events == []
    assert driver.codes(b"NOOP\r\n") == [250]


def test_three_failed_logins_end_the_session() -> None:
    def no(action: object) -> Refused | None:
        return Refused(535, "5.7.8", "no") if isinstance(action, Authenticate) else None

    driver = Driver(tls=True, answer=no).hello()
    login = b"AUTH PLAIN " + b64("\0ann\0wrong") + b"\r\n"
    assert [code for _ in range(3) for code in driver.codes(login)] == [535, 535, 421]
    assert driver.closed is not None
    assert driver.closed.reason is CloseReason.AUTH


def test_long_sasl_responses_pass_and_longer_ones_end_the_session() -> None:
    driver = Driver(tls=True).hello()
    assert driver.codes(b"AUTH PLAIN\r\n") == [334]
    assert driver.codes(b64("\0ann\0" + "x" * 9000) + b"\r\n") == [235]
    driver = Driver(tls=True).hello()
    assert driver.codes(b"AUTH PLAIN\r\n", b"x" * (AUTH_LIMIT + 2)) == [334, 500]


def test_login_under_way_is_not_pipelined() -> None:
    driver = Driver(tls=True).hello()
    assert driver.codes(b"AUTH LOGIN\r\nTUFJTA==\r\n") == [554]


# --------------------------------------------------------------------------------------------------------------- ends

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
