"""Both SMTP machines and the reply parser, played by a stranger."""

from __future__ import annotations

from gateway.deliver.outcome import of_replies
from gateway.model.address import Address
from gateway.model.delivery import Delivered, Unknown
from gateway.model.envelope import Recipient
from gateway.model.problem import Problem
from gateway.wire.endpoint import Endpoint
from gateway.wire.reply import MAX_LINE, MAX_LINES, ReplyParser, format_reply
from gateway.wire.smtp_client import ClientDialogue
from gateway.wire.smtp_client_phase import Phase, StartTls
from gateway.wire.smtp_server_actions import CloseReason, EndOfData
from gateway.wire.smtp_server_auth import AUTH_LIMIT
from gateway.wire.smtp_server_data import Newlines
from gateway.wire.smtp_server_session import DialogueSettings
from gateway.wire.smtp_transaction import Transaction, TransactionReplies
from tests.fakes.smtp_dialogue import Driver
from tests.fakes.smtp_peer import HELLO, written
from tests.fuzz.target import Choices, Target, cut, piece

_SETTINGS = DialogueSettings(
    hostname="gw.example",
    size_limit=300,
    discard_limit=300,
    recipient_limit=3,
    error_limit=50,
    starttls=True,
    auth=True,
    scram=True,
)
_UNHEARD = {CloseReason.PIPELINING, CloseReason.STARTTLS_INJECTION}  # the client did not wait: cuts matter
_MX = Endpoint("mx.example.org", "192.0.2.1", 25)
_RECIPIENTS = tuple(Recipient(Address(name, "example.org")) for name in ("bob", "eve"))
_CONTENT = b"Subject: x\r\n\r\n.dot\r\nbody\r\n"


def reply(octets: bytes) -> None:
    whole = ReplyParser()
    found = whole.feed(octets)
    parser = ReplyParser()
    again = []
    for one in cut(octets, 1):
        again += parser.feed(one)
        assert len(parser._buffer) < MAX_LINE
    assert again == found
    assert (parser.fault, parser.pending) == (whole.fault, whole.pending)
    for each in found:
        assert all(line.isprintable() for line in each.lines)
        (read,) = ReplyParser().feed(format_reply(each.code, None, *each.lines))
        assert (read.code, len(read.lines)) == (each.code, len(each.lines))


def server(octets: bytes) -> None:
    choices = Choices(octets)
    rule, tls = choices.pick(tuple(Newlines)), choices.flag()
    size = 1 + choices.number(16)
    groups = choices.rest().split(b"\xff\xfe")  # the client waits for its answers here
    whole = _played(groups, rule, tls, 0)
    pieces = _played(groups, rule, tls, size)
    if not {driver.closed.reason for driver in (whole, pieces) if driver.closed} & _UNHEARD:
        assert pieces.said == whole.said
        assert pieces.messages == whole.messages
        assert pieces.events == whole.events
        assert pieces.closed == whole.closed


def _played(groups: list[bytes], rule: Newlines, tls: bool, size: int) -> Driver:
    driver = Driver(_SETTINGS, newlines=rule, tls=tls).greet()
    for group in groups:
        for one in cut(group, size) if size else (group,):
            driver.feed(one)
            assert driver.dialogue._unread <= AUTH_LIMIT + 2
    for message in driver.messages:
        assert message.count(b"\r") == message.count(b"\n") == message.count(b"\r\n")
        assert b"\0" not in message
        assert len(message) <= _SETTINGS.size_limit
    assert len(driver.messages) == sum(isinstance(event, EndOfData) for event in driver.events)
    return driver


def content(octets: bytes) -> None:
    """DATA ends at the first CRLF.CRLF and nowhere else, so that one message is never two."""
    choices = Choices(octets)
    rule, size = choices.pick(tuple(Newlines)), 1 + choices.number(16)
    wire = choices.rest() + b"\r\n.\r\n"
    end = (b"\r\n" + wire).index(b"\r\n.\r\n") + 3
    driver = Driver(DialogueSettings(hostname="gw.example"), newlines=rule).hello()
    driver.feed(b"MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n")
    said = driver.feed(*cut(wire[:end], size))
    assert said.count(b"\r\n") == 1
    assert said[:3] in {b"250", b"550"}
    assert len(driver.messages) == (said[:3] == b"250")
    assert driver.dialogue.idle
    assert driver.codes(b"NOOP\r\n") == [250]


def starttls(octets: bytes) -> None:
    """A session that said something before STARTTLS goes on as one that said nothing."""
    choices = Choices(octets)
    before, after = choices.piece(), choices.rest()
    settings = DialogueSettings(hostname="gw.example", error_limit=10_000, starttls=True, auth=True)
    talked, silent = Driver(settings).greet(), Driver(settings).greet()
    for line in before.split(b"\r\n"):
        talked.feed(line + b"\r\n")
    for driver in (talked, silent):
        if driver.closed or driver.dialogue.tls or not driver.dialogue.idle:
            return
        driver.messages.clear()
        assert driver.feed(b"STARTTLS\r\n").startswith(b"220")
        assert (driver.dialogue.tls, driver.dialogue.helo, driver.dialogue.user) == (True, "", None)
        driver.events.clear()
    assert talked.feed(after) == silent.feed(after)
    assert talked.messages == silent.messages
    assert talked.events == silent.events
    assert talked.closed == silent.closed


def client(octets: bytes) -> None:
    """A stranger plays the recipient's server: delivered is only what it had whole and said 2xx to."""
    choices = Choices(octets)
    dialogue = ClientDialogue("gw.example", choices.pick(tuple(StartTls)))
    wire = written(dialogue)
    begun, first = 0, choices.flag()
    while choices.left and dialogue.phase is not Phase.DEAD:
        if dialogue.phase is Phase.TLS:
            dialogue.tls_established()
            assert dialogue.extensions == {}
        elif dialogue.alive and begun < 3:
            begun += 1
            dialogue.begin(Transaction(sender=None, recipients=_RECIPIENTS, content=_CONTENT))
            wire = b""
        wire += written(dialogue)
        dialogue.feed(choices.take(1 + choices.number(200)))
        assert len(dialogue._parser._buffer) < MAX_LINE
        if dialogue.replies is not None:
            _judge(dialogue.replies, wire, first=first)
            wire += written(dialogue)
    was_dead = dialogue.phase is Phase.DEAD
    dialogue.lost(Problem("4.4.2", "gone"))
    assert dialogue.phase is Phase.DEAD
    assert not dialogue.take()
    dialogue.feed(b"250 ok\r\n" * 3)
    assert dialogue.phase is Phase.DEAD
    if begun and (dialogue.replies is not None or not was_dead):
        assert dialogue.replies is not None
        _judge(dialogue.replies, wire, first=first)
    for line in wire.replace(b"\r\n.dot", b"").split(b"\r\n"):
        assert b"\r" not in line
        assert b"\n" not in line


def _judge(replies: TransactionReplies, wire: bytes, *, first: bool) -> None:
    for number in range(len(_RECIPIENTS)):
        outcome = of_replies(_MX, replies, number, first=first)
        if isinstance(outcome, Delivered | Unknown):
            assert wire.count(_CONTENT.replace(b"\r\n.", b"\r\n..") + b".\r\n") == 1
        if isinstance(outcome, Delivered):
            accepted = (replies.mail, replies.rcpt[number], replies.final)
            assert all(each is not None and each.code // 100 == 2 for each in accepted)


def _said(*replies: bytes) -> bytes:
    """A client seed: pieces, each after one octet that says its length."""
    return b"".join(bytes((len(each) - 1,)) + each for each in replies)


_MESSAGE = b"MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n\xff\xfea\r\n..b\r\n.\r\n"
_HELLO = b"EHLO c.example\r\n\xff\xfe"

TARGETS = (
    Target(
        "reply",
        "the same replies however they are cut, bounded; what we write we can read",
        reply,
        (
            b"250-a\r\n250 2.1.0 b\r\n",
            b"220\r\n421 4.3.2 x\r\n",
            b"250 a\n",
            b"250-a\r\n251 b\r\n",
            b"250 " + b"x" * MAX_LINE + b"\r\n",
            b"250-x\r\n" * (MAX_LINES + 1),
        ),
        2 * MAX_LINE,
    ),
    Target(
        "server",
        "the same session however it is cut; bounded; messages are canonical and as many as were acknowledged",
        server,
        (
            b"\0\0\0" + _HELLO + _MESSAGE + b"QUIT\r\n",
            b"\1\0\3"
            + _HELLO
            + b"STARTTLS\r\n\xff\xfe"
            + _HELLO
            + b"AUTH PLAIN AGEAYg==\r\n\xff\xfe"
            + _MESSAGE,
            b"\2\1\1"
            + _HELLO
            + b"MAIL FROM:<>\r\nRCPT TO:<b@y.example>\r\nBDAT 3\r\na\nbBDAT 2 LAST\r\n\rcRSET\r\n",
            b"\0\1\1" + _HELLO + b"AUTH LOGIN\r\n\xff\xfeYQ==\r\n\xff\xfeYg==\r\n\xff\xfeNOOP\r\nFOO\r\n",
            b"\0\0\7HELO c\r\n\xff\xfeMAIL FROM:<a@x.example>\r\n\xff\xfeVRFY x\r\n\xff\xfeHELP\r\n",
        ),
    ),
    Target(
        "content",
        "DATA ends at the first CRLF.CRLF and nowhere else",
        content,
        (b"\0\0a\n.\nb", b"\1\1a\r.\r\nb\r\n.", b"\2\3..\r\n..\r\n\0"),
    ),
    Target(
        "starttls",
        "nothing that was said before STARTTLS survives it",
        starttls,
        (
            piece(b"EHLO x\r\nMAIL FROM:<a@x.example>\r\nRSET\r\n") + b"MAIL FROM:<a@x.example>\r\n",
            piece(b"HELO x\r\nFOO") + b"RCPT TO:<b@y.example>\r\nEHLO y\r\n",
        ),
    ),
    Target(
        "client",
        "delivered is only what the server had whole and said 2xx to; dead stays dead; nothing before TLS survives",
        client,
        (
            b"\0\0" + _said(b"220 mx\r\n", HELLO, b"250 a\r\n250 b\r\n250 c\r\n354 d\r\n250 early\r\n"),
            b"\0\0"
            + _said(b"220 mx\r\n", HELLO, b"250 a\r\n250 b\r\n250 c\r\n354 d\r\n", b"250 2.0.0 ok\r\n"),
            b"\0\1"
            + _said(
                b"220 mx\r\n", b"250 mx\r\n", b"250 a\r\n", b"550 b\r\n", b"250 c\r\n", b"354 d\r\n", b"4"
            ),
            b"\2\0" + _said(b"220 mx\r\n", b"250-mx\r\n250 STARTTLS\r\n", b"220 go\r\n", HELLO, b"250 a\r\n"),
            b"\1\0"
            + _said(
                b"220 mx\r\n",
                b"500 x\r\n",
                b"250 mx\r\n",
                b"250 a\r\n",
                b"451 b\r\n",
                b"550 b\r\n",
                b"250 r\r\n",
            ),
        ),
        2000,
    ),
)
